/* SPDX-License-Identifier: MIT */
/*
 * The page of `xn map`: unpacks its data and draws.
 *
 *  (1) Nothing is fetched; the data is in the page, and all text out of it goes
 *      through textContent.
 *  (2) The canvas has a pixel for each cell; zoom is the style's.  Free space is
 *      nearly transparent, so the same pixels serve light, dark and print.
 *  (3) What is shown is in the address behind the "#".
 */
"use strict";
(() => {
const $ = id => document.getElementById(id);
const FREE_ALPHA = 44, DIM_ALPHA = 36;
const ROOT = 5; /* of the kinds, the one of what roots own */
const TIES = ["", "leads to ", "below "];
const state = { order: "row", by: "root", at: 0, zoom: 1, key: -1, find: "" };
let map, cells, layout, groups;

/* ---- the data ---- */

async function unpack() {
	const text = atob($("data").textContent.trim());
	const bytes = Uint8Array.from(text, c => c.charCodeAt(0));
	const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
	return JSON.parse(await new Response(stream).text());
}

/* Cell by cell: the thing, + 1 (0: free); and by run: where it begins, what it is. */
function expand() {
	const c = map.cells, n = c.count.length;
	cells = { thing: new Uint32Array(map.cell_count), run: new Int32Array(map.cell_count).fill(-1),
		first: new Float64Array(n), owner: new Float64Array(n) };
	for (let i = 0, at = 0, owner = 0; i < n; i++) {
		at += c.gap[i];
		cells.first[i] = at;
		if (c.owner)
			cells.owner[i] = owner += c.owner[i];
		cells.thing.fill(c.thing[i] + 1, at, at + c.count[i]);
		cells.run.fill(i, at, at + c.count[i]);
		at += c.count[i];
	}
	for (let i = 1; i < map.nodes.mtime.length; i++)
		map.nodes.mtime[i] += map.nodes.mtime[i - 1];
}

function path(node) {
	let text = "";
	for (; node; node = map.nodes.parent[node - 1])
		text = "/" + map.nodes.name[node - 1] + text;
	return text;
}

function group(thing) {
	const node = map.things.node[thing];
	return node && !map.nodes.dir[node - 1] ? map.nodes.parent[node - 1] : node;
}

/* Of each directory, the runs of cells that it and its files have. */
function collect() {
	groups = new Map();
	for (let i = 0; i < map.cells.count.length; i++) {
		const g = group(map.cells.thing[i]);
		if (!g)
			continue;
		if (!groups.has(g))
			groups.set(g, []);
		groups.get(g).push([cells.first[i], map.cells.count[i]]);
	}
}

/* ---- words ---- */

const count = n => n.toLocaleString("en");

function size(blocks) {
	let n = blocks * map.block_bytes, unit = 0;
	const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
	while (n >= 1024 && unit < 5) {
		n /= 1024;
		unit++;
	}
	return (n < 10 && n % 1 ? Math.floor(n * 10) / 10 : Math.floor(n)) + " " + units[unit];
}

const share = part => (100 * part / map.blocks).toFixed(part && part < map.blocks / 1000 ? 2 : 1) + " %";
const amount = n => count(n) + (n === 1 ? " block" : " blocks");

function place(first, blocks) {
	const last = Math.min(first + blocks, map.blocks) - 1;
	return last > first ? `Blocks ${first} to ${last}` : `Block ${first}`;
}

/* Whose a thing is, and to what it belongs: two lines. */
function words(thing) {
	const t = map.things, kind = t.kind[thing];
	if (kind !== ROOT)
		return [map.kinds[kind]];
	const root = map.roots[t.root[thing] - 1];
	const lines = [(map.types[t.type[thing]] || "unknown template") + " of root /" + root.name +
		" (" + root.libfs + ")"];
	const node = t.node[thing];
	if (node) {
		const time = new Date(map.nodes.mtime[node - 1] * 1000);
		lines.push(TIES[t.tie[thing]] + path(node) +
			(t.tie[thing] === 0 && !isNaN(time) ? ", changed " + time.toISOString().slice(0, 10) : ""));
	}
	return lines;
}

function describe(cell) {
	const k = map.cell_blocks, run = cells.run[cell];
	if (run < 0)
		return place(cell * k, k) + ": free";
	const lines = words(map.cells.thing[run]);
	let text = place(cell * k, k) + ": " + lines[0];
	if (k > 1)
		text = place(cell * k, k) + ": " + amount(map.cells.used[run]) + " in use, mostly " + lines[0];
	if (cells.owner[run])
		text += ", named by object " + cells.owner[run];
	if (lines[1])
		text += "\n" + lines[1];
	if (k === 1 && map.cells.count[run] > 1)
		text += `\nin a run of ${map.cells.count[run]} from ${cells.first[run]} on`;
	return text;
}

/* ---- orders ---- */

function rows() {
	const cols = 2 ** Math.ceil(Math.log2(Math.sqrt(map.cell_count)));
	return { cols, rows: Math.ceil(map.cell_count / cols),
		xy: cell => [cell % cols, Math.floor(cell / cols)],
		cell: (x, y) => y * cols + x, line: cols };
}

/* Squares of 2^n, each a Hilbert curve from its lower left to its lower right, side by side. */
function hilbert() {
	let side = 1;
	while (side * side * 4 <= map.cell_count)
		side *= 2;
	const area = side * side, squares = Math.ceil(map.cell_count / area);
	const xy = cell => {
		let x = 0, y = 0, t = cell % area;
		for (let s = 1; s < side; s *= 2) {
			const rx = 1 & (t / 2), ry = 1 & (t ^ rx);
			if (!ry) {
				if (rx)
					[x, y] = [s - 1 - x, s - 1 - y];
				[x, y] = [y, x];
			}
			x += s * rx;
			y += s * ry;
			t = Math.floor(t / 4);
		}
		return [x + side * Math.floor(cell / area), y];
	};
	const cell = (px, y) => {
		const square = Math.floor(px / side);
		let x = px % side, d = 0;
		for (let s = side / 2; s >= 1; s /= 2) {
			const rx = x & s ? 1 : 0, ry = y & s ? 1 : 0;
			d += s * s * ((3 * rx) ^ ry);
			if (!ry) {
				if (rx)
					[x, y] = [side - 1 - x, side - 1 - y];
				[x, y] = [y, x];
			}
		}
		return square * area + d;
	};
	return { cols: side * squares, rows: side, xy, cell, line: side };
}

/* ---- drawing ---- */

function rgb(text) {
	return [1, 3, 5].map(i => parseInt(text.slice(i, i + 2), 16));
}

/* Directories that share a colour still end where the next one begins. */
function shade(colour, number) {
	const part = [.8, .93, 1.06][number % 3];
	return colour.map(c => Math.round(c * part));
}

function matching() {
	if (!state.find)
		return null;
	const hit = new Uint8Array(map.things.kind.length);
	for (let i = 0; i < hit.length; i++)
		hit[i] = map.things.node[i] && path(map.things.node[i]).includes(state.find) ? 1 : 0;
	return hit;
}

function draw() {
	const canvas = $("canvas"), legend = map.legends[state.by], hit = matching();
	layout = state.order === "row" ? rows() : hilbert();
	canvas.width = layout.cols;
	canvas.height = layout.rows;
	const context = canvas.getContext("2d"), image = context.createImageData(layout.cols, layout.rows);
	const colours = legend.keys.map(key => rgb(key.colour));
	const others = state.by === "group" ? legend.keys.length - 2 : -1;
	for (let cell = 0; cell < map.cell_count; cell++) {
		const [x, y] = layout.xy(cell), at = 4 * (y * layout.cols + x), thing = cells.thing[cell] - 1;
		let colour = [128, 128, 128], alpha = FREE_ALPHA;
		if (thing >= 0) {
			const key = legend.of[thing];
			colour = key === others ? shade(colours[key], group(thing)) : colours[key];
			alpha = map.cell_blocks > 1
				? 90 + Math.round(165 * map.cells.used[cells.run[cell]] / map.cell_blocks) : 255;
			if ((state.key >= 0 && state.key !== key) || (hit && !hit[thing]))
				alpha = DIM_ALPHA;
		}
		image.data.set(colour, at);
		image.data[at + 3] = alpha;
	}
	context.putImageData(image, 0, 0);
	$("sheet").style.width = 100 * state.zoom + "%";
	$("zoom").textContent = state.zoom;
	cursor();
}

function cursor() {
	const [x, y] = layout.xy(state.at), c = $("cursor").style;
	c.display = "block";
	c.left = 100 * x / layout.cols + "%";
	c.top = 100 * y / layout.rows + "%";
	c.width = 100 / layout.cols + "%";
	c.height = 100 / layout.rows + "%";
}

function row(body, ...texts) {
	const tr = body.insertRow();
	texts.forEach((text, i) => {
		const td = tr.insertCell();
		if (text instanceof Node)
			td.append(text);
		else
			td.textContent = text;
		if (i && !(text instanceof Node))
			td.className = "n";
	});
	return tr;
}

function key_button(key, index) {
	const button = document.createElement("button"), swatch = document.createElement("span");
	swatch.className = "swatch";
	swatch.style.background = key.colour;
	button.type = "button";
	button.append(swatch, key.label);
	button.setAttribute("aria-pressed", state.key === index);
	button.title = key.label + ": " + amount(key.blocks) + ", " + size(key.blocks);
	button.onclick = () => {
		state.key = state.key === index ? -1 : index;
		show();
	};
	return button;
}

function legend() {
	const body = $("legend").tBodies[0], keys = map.legends[state.by].keys;
	$("legend-caption").textContent = "Colours: by " + state.by;
	body.replaceChildren();
	keys.forEach((key, i) => {
		if (key.blocks)
			row(body, key_button(key, i), count(key.blocks), share(key.blocks)).dataset.blocks = key.blocks;
	});
	const swatch = document.createElement("span"), free = document.createElement("span");
	swatch.className = "swatch";
	swatch.style.background = `rgba(128,128,128,${FREE_ALPHA / 255})`;
	free.append(swatch, "free");
	row(body, free, count(map.free.blocks), share(map.free.blocks)).dataset.blocks = map.free.blocks;
}

/* ---- free space and directories ---- */

function histogram() {
	const body = $("histogram").tBodies[0], free = map.free;
	$("free-words").textContent = free.runs
		? `${amount(free.blocks)} (${size(free.blocks)}) in ${count(free.runs)} ` +
			`${free.runs === 1 ? "run" : "runs"}; the longest has ${count(free.longest)}.`
		: "Nothing is free.";
	free.sizes.forEach(([runs, blocks], i) => {
		if (!runs)
			return;
		const bar = document.createElement("span");
		bar.className = "bar";
		bar.style.width = 100 * blocks / free.blocks + "%";
		bar.title = (100 * blocks / free.blocks).toFixed(1) + " % of the free space";
		row(body, i ? `${count(2 ** i)} to ${count(2 ** (i + 1) - 1)}` : "1", count(runs), count(blocks), bar)
			.cells[0].className = "n";
	});
}

function svg(name, attributes, parent) {
	const element = document.createElementNS("http://www.w3.org/2000/svg", name);
	for (const [key, value] of Object.entries(attributes))
		element.setAttribute(key, value);
	if (parent)
		parent.append(element);
	return element;
}

/* A bracket from the first block to the last, and in it what the directory has of that. */
function strip(dir) {
	const WIDTH = 600, limit = Math.max(...map.dirs.map(d => d.end)), scale = WIDTH * map.cell_blocks / limit;
	const from = WIDTH * dir.first / limit, to = Math.max(WIDTH * dir.end / limit, from + 2);
	const picture = svg("svg", { viewBox: `0 0 ${WIDTH} 16`, class: "strip", role: "img",
		preserveAspectRatio: "none" });
	svg("title", {}, picture).textContent =
		`${dir.path}: ${place(dir.first, dir.end - dir.first)}, ${dir.extents} runs`;
	svg("rect", { x: 0, y: 14, width: WIDTH, height: 1, fill: "#757b82" }, picture);
	let until = -1;
	for (const [first, n] of groups.get(dir.node) || []) {
		const x = Math.floor(first * scale * 2) / 2, end = (first + n) * scale;
		if (end <= until)
			continue;
		until = Math.max(end, x + 1);
		svg("rect", { x, y: 5, width: until - x, height: 8, fill: "#1270dc" }, picture);
	}
	svg("path", { d: `M${from} 13V2H${to}V13`, class: "span" }, picture);
	return picture;
}

let shown = 40;

function dirs() {
	const body = $("dirs").tBodies[0], by = $("sort").value;
	const rank = { spread: d => d.end - d.first, path: d => d.path }[by] || (d => d[by]);
	const sorted = [...map.dirs].sort((a, b) => {
		const x = rank(a), y = rank(b);
		return by === "path" ? (x < y ? -1 : x > y ? 1 : 0) : y - x;
	});
	body.replaceChildren();
	for (const dir of sorted.slice(0, shown)) {
		const tr = row(body, dir.path, count(dir.files), count(dir.blocks), count(dir.extents),
			count(dir.seeks), strip(dir));
		tr.dataset.path = dir.path;
		tr.dataset.seeks = dir.seeks;
	}
	$("all").hidden = shown >= map.dirs.length;
	$("dirs-words").textContent = `${count(map.directories)} directories have files with blocks` +
		(map.dirs.length < map.directories ? `; the ${map.dirs.length} with the most seeks are listed` : "") +
		". To read one is to read the blocks that lead to it, and each file in the order of the names: " +
		"seeks are the jumps on the way, runs how many there would be in the best order. " +
		"The bracket reaches from its first block to its last.";
	if (map.dirs.length)
		$("dirs-where").textContent = `where in blocks 0 to ${Math.max(...map.dirs.map(d => d.end)) - 1}`;
}

/* ---- what people do ---- */

function look(cell, scroll) {
	state.at = Math.max(0, Math.min(map.cell_count - 1, cell));
	$("readout").textContent = describe(state.at);
	$("at").value = state.at * map.cell_blocks;
	cursor();
	if (scroll)
		$("cursor").scrollIntoView({ block: "nearest", inline: "nearest" });
	address();
}

function step(by) {
	const run = cells.run[state.at];
	let cell = state.at;
	while (cell + by >= 0 && cell + by < map.cell_count && cells.run[cell + by] === run)
		cell += by;
	cell += by;
	if (by < 0)
		while (cell > 0 && cells.run[cell - 1] === cells.run[cell])
			cell--;
	look(cell, true);
}

function beside(dx, dy) {
	const [x, y] = layout.xy(state.at);
	const nx = x + dx, ny = y + dy;
	if (state.order === "row")
		look(state.at + dx + dy * layout.cols, true);
	else if (nx >= 0 && nx < layout.cols && ny >= 0 && ny < layout.rows && layout.cell(nx, ny) < map.cell_count)
		look(layout.cell(nx, ny), true);
}

function zoom(factor) {
	state.zoom = Math.max(1, Math.min(16, state.zoom * factor));
	draw();
	$("cursor").scrollIntoView({ block: "nearest", inline: "nearest" });
}

const KEYS = {
	ArrowLeft: () => beside(-1, 0), ArrowRight: () => beside(1, 0),
	ArrowUp: () => beside(0, -1), ArrowDown: () => beside(0, 1),
	Home: () => look(0, true), End: () => look(map.cell_count - 1, true),
	PageUp: () => look(state.at - 16 * layout.line, true),
	PageDown: () => look(state.at + 16 * layout.line, true),
	n: () => step(1), p: () => step(-1), "+": () => zoom(2), "-": () => zoom(.5),
};

function under(event) {
	const box = $("canvas").getBoundingClientRect();
	const x = Math.floor((event.clientX - box.left) / box.width * layout.cols);
	const y = Math.floor((event.clientY - box.top) / box.height * layout.rows);
	if (x < 0 || y < 0 || x >= layout.cols || y >= layout.rows)
		return -1;
	const cell = layout.cell(x, y);
	return cell < map.cell_count ? cell : -1;
}

function hover(event) {
	const cell = under(event), tip = $("tip");
	tip.hidden = cell < 0;
	if (cell < 0)
		return;
	tip.textContent = describe(cell);
	const right = event.clientX + 16 + tip.offsetWidth > innerWidth;
	tip.style.left = Math.max(0, right ? event.clientX - tip.offsetWidth - 12 : event.clientX + 16) + "px";
	tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight) + "px";
}

function address() {
	const text = `#order=${state.order}&by=${state.by}&at=${state.at * map.cell_blocks}`;
	history.replaceState(null, "", text);
}

function take_address() {
	const asked = new URLSearchParams(location.hash.slice(1));
	if (["row", "hilbert"].includes(asked.get("order")))
		state.order = asked.get("order");
	if (asked.get("by") in map.legends)
		state.by = asked.get("by");
	return /^[0-9]+$/.test(asked.get("at") || "") ? Math.floor(asked.get("at") / map.cell_blocks) : -1;
}

function show() {
	document.querySelector(`input[name=order][value=${state.order}]`).checked = true;
	document.querySelector(`input[name=by][value=${state.by}]`).checked = true;
	draw();
	legend();
	address();
}

function listen() {
	for (const input of document.querySelectorAll("#controls input[type=radio]"))
		input.onchange = () => {
			state[input.name] = input.value;
			state.key = input.name === "by" ? -1 : state.key;
			show();
		};
	$("controls").onsubmit = event => event.preventDefault();
	$("more").onclick = () => zoom(2);
	$("less").onclick = () => zoom(.5);
	$("at").onchange = () => look(Math.floor($("at").value / map.cell_blocks), true);
	$("find").oninput = () => {
		state.find = $("find").value;
		draw();
		const hit = matching();
		const first = hit ? cells.thing.findIndex(thing => thing && hit[thing - 1]) : -1;
		if (first >= 0)
			look(first, true);
		else if (hit)
			$("readout").textContent = "No block belongs to a path with that in it.";
	};
	$("frame").onkeydown = event => {
		const does = KEYS[event.key];
		if (!does || event.ctrlKey || event.altKey || event.metaKey)
			return;
		event.preventDefault();
		does();
	};
	$("canvas").onmousemove = hover;
	$("canvas").onmouseleave = () => $("tip").hidden = true;
	$("canvas").onclick = event => {
		const cell = under(event);
		if (cell >= 0)
			look(cell);
	};
	$("sort").onchange = dirs;
	$("all").onclick = () => {
		shown = Infinity;
		dirs();
	};
}

async function start() {
	map = await unpack();
	state.order = map.order;
	state.by = map.by;
	const asked = take_address();
	expand();
	collect();
	$("at").max = map.blocks - 1;
	$("scale").textContent = (map.cell_blocks === 1 ? "Each cell is a block of 4 KiB."
		: `Each cell is ${amount(map.cell_blocks)} (${size(map.cell_blocks)}); the more of them are ` +
			"in use, the stronger its colour, which is that of whoever has most of them.") +
		(map.files ? "" : " To keep the page small, files and deep directories are not named in it.");
	listen();
	show();
	if (asked >= 0)
		look(asked);
	histogram();
	dirs();
	document.documentElement.dataset.ready = "yes";
}

start().catch(error => {
	$("readout").textContent = "This browser cannot show the map: " + error.message;
	document.documentElement.dataset.ready = "failed";
});
})();
