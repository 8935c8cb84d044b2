#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# The page of `xn map` in a browser: page_map.py PAGE FIGURES OUTPUT-FOLDER
#
# FIGURES is what `xn map --json` says, beside it info.json and owner-N.json of
# `xn info` and `xn owner`.  Speaks WebDriver to chromedriver.  Prints what is
# wrong; pictures go to the folder.  Exit code 77: the browser does not start.
import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

page, figures_path, folder = sys.argv[1:4]
wrong = []


def check(sentence, holds, *seen):
    if not holds:
        wrong.append(sentence)
        print("FAILED:", sentence, *seen)


class Browser:
    """One headless window."""

    def __init__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.session = ""
        try:
            self.port = self.find_port()
            self.start()
        except OSError:
            self.close()
            raise

    def start(self):
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                            "--disable-dev-shm-usage", "--window-size=1300,1000",
                            "--user-data-dir=" + self.profile.name]}
        asked = {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}}}
        self.session = "/session/" + self.call("POST", "/session", asked)["sessionId"]

    def find_port(self):
        for line in self.driver.stdout:
            if "successfully on port" in line:
                return int(line.rstrip().rstrip(".").split()[-1])
        raise OSError("chromedriver said nothing")

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.session}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise OSError(error.read().decode(errors="replace")[:300]) from error

    def open(self, url):
        self.call("POST", "/url", {"url": "about:blank"})
        self.call("POST", "/url", {"url": url})
        for _ in range(300):
            if self.run("return document.documentElement.dataset.ready"):
                break
            time.sleep(.05)

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": arguments})

    def command(self, name, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def media(self, scheme, kind=""):
        self.command("Emulation.setEmulatedMedia", media=kind,
                     features=[{"name": "prefers-color-scheme", "value": scheme}])

    def shoot(self, name):
        height = self.run("return document.documentElement.scrollHeight")
        self.command("Emulation.setDeviceMetricsOverride", width=1300, height=min(height, 6000),
                     deviceScaleFactor=1, mobile=False)
        shot = self.command("Page.captureScreenshot", format="png")
        with open(os.path.join(folder, name), "wb") as file:
            file.write(base64.b64decode(shot["data"]))
        self.command("Emulation.clearDeviceMetricsOverride")

    def point(self, x, y):
        self.call("POST", "/actions", {"actions": [{
            "type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
            "actions": [{"type": "pointerMove", "duration": 0, "x": round(x), "y": round(y)}]}]})

    def press(self, *keys):
        downs = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": downs}]})

    def close(self):
        try:
            if self.session:
                self.call("DELETE", "")
        except OSError:
            pass
        self.driver.terminate()
        self.driver.wait(20)
        self.driver.stdout.close()
        self.profile.cleanup()


LEGEND = """return [...document.querySelectorAll('#legend tbody tr')].map(r =>
    [r.cells[0].textContent, +r.dataset.blocks, r.cells[1].textContent])"""
ROOTS = """return [...document.querySelectorAll('#roots tbody tr')].map(r =>
    [r.dataset.name, +r.dataset.blocks, r.cells[2].textContent])"""
# Relative luminance and contrast as WCAG 2 has them.
CONTRAST = """
const lum = c => c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const parse = text => text.match(/[0-9.]+/g).map(Number);
const ground = lum(parse(getComputedStyle(document.body).backgroundColor).slice(0, 3));
const against = c => { const l = lum(c.slice(0, 3)); return (Math.max(l, ground) + .05) / (Math.min(l, ground) + .05); };
return { text: [...document.querySelectorAll('body, h1, h2, p, td, th, label, button, caption')].map(e =>
        against(parse(getComputedStyle(e).color))),
    swatches: [...document.querySelectorAll('#legend button .swatch')].map(e =>
        against(parse(getComputedStyle(e).backgroundColor))),
    ground: getComputedStyle(document.body).backgroundColor };
"""
KEYS = {"left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015", "home": "\ue011", "end": "\ue010"}


def url(**state):
    return "file://" + os.path.abspath(page) + "#" + "&".join(f"{k}={v}" for k, v in state.items())


def load(name):
    with open(os.path.join(os.path.dirname(figures_path), name), encoding="utf-8") as file:
        return json.load(file)


def figures_agree(b, figures, info):
    b.open(url(order="row", by="root"))
    check("the page is ready", b.run("return document.documentElement.dataset.ready") == "yes")
    roots = {name: blocks for name, blocks, _ in b.run(ROOTS)}
    for root in info["roots"]:
        check(f"root {root['name']} has what `xn info` says",
              roots.get(root["name"]) == root["used_bytes"] // 4096, roots, root["used_bytes"] // 4096)
    check("free is what `xn info` says", roots.get("free") == info["free_blocks"], roots)
    check("all is the disk", sum(roots.values()) == info["blocks"], roots)
    check("what is printed is what is meant",
          all(int(text) == blocks for _, blocks, text in b.run(ROOTS)))
    for by, key in (("root", "roots"), ("template", "templates"), ("age", "ages"), ("group", "groups")):
        b.run("document.querySelector(`input[name=by][value=${arguments[0]}]`).click()", by)
        legend = b.run(LEGEND)
        shown = {name: blocks for name, blocks, _ in legend}
        check(f"by {by}: the legend has the blocks of the disk",
              sum(blocks for _, blocks, _ in legend) == info["blocks"], legend)
        for row in figures[key]:
            if row["blocks"]:
                check(f"by {by}: {row['name']}", shown.get(row["name"]) == row["blocks"], shown)
    sizes = b.run("return [...document.querySelectorAll('#histogram tbody tr')].map(r => r.cells[2].textContent)")
    check("the histogram has the free space",
          sum(int(text.replace(",", "")) for text in sizes) == info["free_blocks"], sizes)
    b.run("const all = document.getElementById('all'); if (!all.hidden) all.click()")
    dirs = b.run("""return [...document.querySelectorAll('#dirs tbody tr')].map(r =>
        [r.dataset.path, +r.dataset.seeks, r.querySelectorAll('svg path').length, r.querySelectorAll('svg rect').length])""")
    seeks = {d["path"]: d["seeks"] for d in figures["directories"]}
    check("each directory has its seeks", dirs and all(seeks[path] == n for path, n, _, _ in dirs), dirs[:3])
    check("each directory has a bracket and runs", all(p == 1 and r > 1 for _, _, p, r in dirs), dirs[:3])


def colours_agree(b, figures):
    """The pixels of each colour are as many as its blocks (where a cell is a block)."""
    if b.run("return document.getElementById('scale').textContent").startswith("Each cell is a block"):
        for order in ("row", "hilbert"):
            b.open(url(order=order, by="root"))
            painted = b.run("""
                const c = document.getElementById('canvas');
                const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, n = {};
                for (let i = 0; i < d.length; i += 4) {
                    const k = d[i + 3] === 255 ? `rgb(${d[i]}, ${d[i + 1]}, ${d[i + 2]})` : d[i + 3] ? 'free' : 'none';
                    n[k] = (n[k] || 0) + 1;
                }
                return n;""")
            keys = b.run("""return [...document.querySelectorAll('#legend tbody tr')].map(r =>
                [getComputedStyle(r.querySelector('.swatch')).backgroundColor, +r.dataset.blocks])""")
            for colour, blocks in keys[:-1]:
                check(f"in order {order}, {colour} has a pixel a block", painted.get(colour) == blocks,
                      painted, keys)
            check(f"in order {order}, free has a pixel a block", painted.get("free") == figures["free"]["blocks"],
                  painted)


def hover_agrees(b, owners):
    for order in ("row", "hilbert"):
        b.open(url(order=order, by="root", at=min(owners)))
        check("the address names a block", b.run("return document.getElementById('at').value") == min(owners))
        for block, owner in owners.items():
            text = b.run("""const at = document.getElementById('at');
                at.value = arguments[0];
                at.dispatchEvent(new Event('change'));
                return document.getElementById('readout').textContent""", block)
            box = b.run("""document.getElementById('cursor').scrollIntoView({block: 'center'});
                const r = document.getElementById('cursor').getBoundingClientRect();
                return [r.x + r.width / 2, r.y + r.height / 2]""")
            b.point(*box)
            tip = b.run("const t = document.getElementById('tip'); return t.hidden ? '' : t.textContent")
            check(f"pointing at block {block} ({order}) says what the cursor says", tip == text, tip, "|", text)
            if owner["owner"] == "root":
                last = owner["chain"][-1]
                check(f"block {block}: root {owner['root']}", f"of root /{owner['root']} (" in text, text)
                check(f"block {block}: {last['type_name']}", f": {last['type_name']} of" in text, text)
                if "owner" in last:
                    check(f"block {block}: its object", f"named by object {last['owner']}" in text, text)
                check(f"block {block}: a path", f"/{owner['root']}" in text.split("\n")[1], text)
            elif owner["owner"] == "free":
                check(f"block {block} is free", text.endswith(": free"), text)
            else:
                check(f"block {block} is XN's own", "root" not in text, text)


def cells_agree(b, info):
    """A disk with more blocks than cells."""
    scale = b.run("return document.getElementById('scale').textContent")
    check("a cell is several blocks", "Each cell is 2 blocks" in scale, scale)
    b.open(url(order="hilbert", by="root", at=info["blocks"] - 1))
    text = b.run("return document.getElementById('readout').textContent")
    check("the last cell holds the last block",
          text.startswith(f"Blocks {info['blocks'] - 2} to {info['blocks'] - 1}: 1 block in use, mostly superblock"), text)
    b.open(url(order="row", by="root", at=0))
    text = b.run("return document.getElementById('readout').textContent")
    check("the first cell is full", text.startswith("Blocks 0 to 1: 2 blocks in use, mostly "), text)
    painted = b.run("""
        const c = document.getElementById('canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let n = 0;
        for (let i = 3; i < d.length; i += 4)
            n += d[i] > 0;
        return n;""")
    check("there is a pixel for each cell", painted == info["blocks"] / 2, painted)


def keys_work(b):
    b.open(url(order="row", by="root", at=0))
    b.run("document.getElementById('frame').focus()")
    at = "return +document.getElementById('at').value"
    columns = b.run("return document.getElementById('canvas').width")
    for keys, where in ((["right"], 1), (["right", "down"], columns + 2), (["up"], 2), (["left"], 1), (["home"], 0)):
        b.press(*[KEYS[key] for key in keys])
        check(f"{keys} goes to {where}", b.run(at) == where, b.run(at))
    b.press("n")
    check("n goes to the next run", b.run(at) == 1, b.run(at))
    b.press("n", "n", "p", "p")
    check("p goes back", b.run(at) == 1, b.run(at))
    b.press(KEYS["end"])
    check("End goes to the end", b.run(at) == b.run("return +document.getElementById('at').max"), b.run(at))
    b.press("+")
    check("+ makes it larger", b.run("return document.getElementById('sheet').style.width") == "200%")
    check("the cursor is in sight", b.run("""const c = document.getElementById('cursor').getBoundingClientRect(),
        f = document.getElementById('frame').getBoundingClientRect();
        return c.bottom <= f.bottom + 4 && c.right <= f.right + 4 && c.top >= f.top - 4"""))
    check("what can be pressed has a name", b.run("""return [...document.querySelectorAll('button, input, select, [role]')]
        .every(e => (e.ariaLabel || e.textContent || (e.labels && e.labels[0] && e.labels[0].textContent)
            || e.getAttribute('aria-label') || '').trim())"""))
    first = b.run("""const button = document.querySelector('#legend button'); button.click();
        return document.querySelector('#legend button').getAttribute('aria-pressed')""")
    check("a colour can be shown alone", first == "true", first)


def legible(b, scheme, kind=""):
    b.media(scheme, kind)
    b.open(url(order="row", by="group"))
    seen = b.run(CONTRAST)
    name = kind or scheme
    check(f"{name}: text has a contrast of 4.5", min(seen["text"]) >= 4.5, min(seen["text"]))
    check(f"{name}: colours have a contrast of 3", min(seen["swatches"]) >= 3, seen["swatches"])
    if kind == "print":
        check("controls are not printed", b.run(
            "return getComputedStyle(document.getElementById('controls')).display") == "none")
        check("paper is white", seen["ground"] == "rgb(255, 255, 255)", seen["ground"])
    b.run("""document.querySelector('#all').hidden || (document.querySelector('#dirs').tBodies[0].rows.length)""")
    b.shoot(f"{name}.png")


def main():
    figures, info = load(os.path.basename(figures_path)), load("info.json")
    where = os.path.dirname(figures_path)
    owners = {name[6:-5]: load(name) for name in sorted(os.listdir(where)) if name.startswith("owner-")}
    try:
        browser = Browser()
    except OSError as error:
        print("SKIP: chromedriver or chromium does not start here:", error)
        return 77
    try:
        figures_agree(browser, figures, info)
        if info["blocks"] > 1 << 20:
            cells_agree(browser, info)
            browser.shoot("cells.png")
            return 1 if wrong else 0
        colours_agree(browser, figures)
        hover_agrees(browser, owners)
        keys_work(browser)
        legible(browser, "light")
        legible(browser, "dark")
        browser.open(url(order="hilbert", by="root"))
        browser.shoot("hilbert-dark.png")
        legible(browser, "dark", "print")
        log = browser.call("POST", "/se/log", {"type": "browser"})
        check("the console is empty", not log, log)
        events = [json.loads(e["message"])["message"] for e in
                  browser.call("POST", "/se/log", {"type": "performance"})]
        asked = {e["params"]["request"]["url"].split("#")[0] for e in events
                 if e["method"] == "Network.requestWillBeSent"}
        check("nothing is fetched", all(u.startswith(("file://" + os.path.abspath(page), "about:", "blob:", "data:", "chrome:"))
                                         for u in asked), asked)
        check("the page itself was", any(u.startswith("file://") for u in asked), asked)
    finally:
        browser.close()
    return 1 if wrong else 0


# Ended by a timeout, it still ends the browser.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
sys.exit(main())
