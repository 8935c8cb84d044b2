#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# map: the figures are those of the other commands, the pictures are well formed.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/map_image.sh"

given_three_roots disk.img
before=$(sha256sum <disk.img)
xn info --json disk.img >info.json
free=$(jq .free_blocks info.json) blocks=$(jq .blocks info.json)

it "counts for each root what the root has, and as free what is free"
json ".blocks == $blocks and .free.blocks == $free" xn map disk.img --json
cp out figures.json
equal "$(jq -r '.roots[] | select(.name | startswith("/")) | .blocks' figures.json | tr '\n' ' ')" \
	"$(jq -r '.roots[] | .used_bytes / 4096' info.json | tr '\n' ' ')"
equal "$(jq '.shared_blocks + .unmarked_blocks + .unread_objects + (.unread_roots | length)' figures.json)" 0

it "counts every block once, whatever the colours mean"
for by in roots templates ages groups; do
	equal "$by $(jq "[.${by}[].blocks] | add + $free" figures.json)" "$by $blocks"
done
equal "$(jq '[.free.sizes[].blocks] | add' figures.json)" "$free"
equal "$(jq '[.free.sizes[].runs] | add' figures.json)" "$(jq .free.runs figures.json)"
jq -e '.free.runs > 2 and all(.free.sizes[]; .blocks >= .runs * .from and .blocks < 2 * .runs * .from)' \
	figures.json >/dev/null || complain "sizes of free runs: $(jq -c .free figures.json)"

it "knows the directories, and what it takes to read them"
for path in /fast /fast/one /fast/evil /simple/one /other /other/include/udf; do
	jq -e --arg path "$path" '.directories[] | select(.path == $path)
		| .files > 0 and .blocks > 0 and .runs >= 1 and .seeks >= .runs
		  and (.end | tonumber) - (.first | tonumber) >= .blocks' figures.json >/dev/null ||
		complain "$path: $(jq -c --arg p "$path" '.directories[] | select(.path == $p)' figures.json)"
done
equal "$(jq '.directories[] | select(.path == "/simple/one") | .files' figures.json)" 60
jq -e 'any(.directories[]; .path == "/fast/empty") | not' figures.json >/dev/null ||
	complain "an empty directory has files"
# Each file of /simple/one lies in one piece: sixty are read in far fewer than two jumps each.
jq -e '.directories[] | select(.path == "/simple/one") | .seeks < 120' figures.json >/dev/null ||
	complain "$(jq -c '.directories[] | select(.path == "/simple/one")' figures.json)"

it "draws pages that are below 1 MB and hold no markup out of names"
ok xn map disk.img -o map.html
[ "$(stat -c %s map.html)" -lt 1000000 ] || complain "$(stat -c %s map.html) bytes"
grep -q '<img' map.html && complain "markup out of a name"
grep -q 'a &lt;b&gt; &amp; &quot;c&quot;' map.html || complain "the label is not in it"
grep -qE '(src|href)="?(https?:|//)' map.html && complain "it points outside"
equal "$(grep -c '</script>' map.html)" 2

it "writes the same for the same image"
ok xn map disk.img -o again.html
cmp -s map.html again.html || complain "two pages differ"

it "draws SVG that is well formed, in both orders and by each colour"
for order in row hilbert; do
	for by in root template age group; do
		ok xn map disk.img -o "$order-$by.svg" --order $order --by $by
		if command -v xmllint >/dev/null; then
			xmllint --noout "$order-$by.svg" 2>xml.err || complain "$order $by: $(head -3 xml.err)"
		fi
		equal "$order $by $(grep -o 'data-blocks="[0-9]*"' "$order-$by.svg" | tr -dc '0-9\n' |
			paste -sd+ | bc)" "$order $by $blocks"
	done
	grep -q '<title>blocks [0-9]* to [0-9]*: [0-9]* of [0-9]* in use, mostly data of /fast, /fast/' "$order-root.svg" ||
		complain "no cell says whose it is"
	grep -q '<image\|<img\|<script\|http.*//[^w]' "$order-root.svg" && complain "markup or addresses in it"
done
cmp -s row-root.svg hilbert-root.svg && complain "both orders are the same"

it "draws each block as one cell where the disk is small"
xn format -q small.img --size 2M && xn mkfs -q small.img --root r --type simplefs
ok xn map small.img -o small.svg
grep -q 'a cell is 4 KiB' small.svg || complain "cells: $(grep -o 'a cell is[^<]*' small.svg)"
grep -q '<title>block 0: superblock' small.svg || complain "no superblock"
ok xn map small.img -o small.html

it "gives a root without its LibFS its colours, and no paths"
export XN_LIBFS_PATH=$XN_BUILD/tests/images/plugins
ok xn mkfs small.img --root b --type borrowfs
unset XN_LIBFS_PATH
json '((.roots[] | select(.name == "/b (borrowfs)") | .blocks) > 0) and (.unread_roots | map(.name)) == ["b"]' \
	xn map small.img --json -o b.html
grep -q 'The files of b could not all be read' b.html || complain "it does not say so"
grep -q 'The files of r could' b.html && complain "nor are those of r"

it "refuses what makes no sense, and overwrites nothing unasked"
refused_unchanged disk.img 2 'names the picture' xn map disk.img
refused_unchanged disk.img 2 'ends in' xn map disk.img -o map.pdf
refused_unchanged disk.img 2 'root, template, age or group' xn map disk.img -o x.svg --by size
refused_unchanged disk.img 2 'row or hilbert' xn map disk.img -o x.svg --order random
refused 1 'exists; --force' xn map disk.img -o map.html
ok xn map disk.img -o map.html --force
cp small.img image.svg
refused_unchanged image.svg 1 'the image itself' xn map image.svg -o image.svg --force
mkdir folder.svg
refused 1 'no file' xn map disk.img -o folder.svg --force
refused 1 'No such file' xn map disk.img -o nowhere/x.svg
refused 1 'No such file' xn map nothing.img -o x.svg
[ -e x.svg ] && complain "a picture of nothing"

it "says when the picture cannot be written, and leaves no half of it"
ln -s /dev/full full.html
refused 1 'No space left' xn map disk.img -o full.html --force

it "changes nothing by looking"
equal "$(sha256sum <disk.img)" "$before"

done_testing
