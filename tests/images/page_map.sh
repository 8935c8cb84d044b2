#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The page of `xn map` in a browser.  XN_PICTURES=folder keeps what was seen.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/map_image.sh"

for program in chromium chromedriver python3; do
	command -v $program >/dev/null || skip "$program is not installed"
done

given_three_roots disk.img
ok xn info --json disk.img && cp out info.json
ok xn map disk.img --json -o map.html && cp out figures.json
# XN's own, each root's object, metadata and data, the last blocks.
for block in 0 1 2 10 270 300 400 600 900 1500 2500 24574 24575 \
	$(jq -r '.roots[].object' info.json); do
	xn owner --json disk.img "$block" >"owner-$block.json" || complain "no owner of block $block"
done

it "shows in a browser what the other commands say, by mouse, by keys, in every light"
mkdir pictures

# shows FOLDER: the page in it agrees with the figures beside it.
shows() {
	timeout 150 python3 "$XN_SOURCE/tests/images/page_map.py" "$1/map.html" "$1/figures.json" pictures >said 2>&1
	code=$?
	[ $code = 77 ] && skip "$(grep -o 'chrome.*' said | head -1)"
	[ $code = 0 ] || complain "$(head -c 3000 said)"
}
shows "$dir"
for picture in light dark print hilbert-dark; do
	[ -s pictures/$picture.png ] || complain "no picture $picture"
done
[ -z "${XN_PICTURES-}" ] || { mkdir -p "$XN_PICTURES" && cp pictures/*.png map.html "$XN_PICTURES"; }

it "shows a disk with more blocks than cells"
mkdir large
ok xn format -q large/disk.img --size 8G
ok xn mkfs -q large/disk.img --root fast --type cffs -d tree/udf
ok xn info --json large/disk.img && cp out large/info.json
ok xn map large/disk.img --json -o large/map.html && cp out large/figures.json
shows "$dir/large"
[ -s pictures/cells.png ] || complain "no picture of cells"

done_testing
