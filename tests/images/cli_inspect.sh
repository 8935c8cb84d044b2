#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# diff, layout, freefrag, dump, template-install: looking closer.
. "$(dirname "$0")/lib.sh"

make_tree tree
xn format -q disk.img --size 64M && xn mkfs -q disk.img --root home -d tree &&
	xn mkfs -q disk.img --root simple --type simplefs -d tree || exit 1
cp disk.img other.img
before=$(sha256sum <disk.img)

it "finds a tree and its copies to be the same"
ok xn diff disk.img :/home tree
ok xn diff disk.img :/home :/simple
ok xn diff disk.img --with other.img :/home :/home
[ -s out ] && complain "it said: $(cat out)"
json '.differences == []' xn diff --json disk.img :/home :/home

it "tells every way in which files can differ"
cp -a tree changed
echo more >>changed/plain
printf 'X' | dd of=changed/sparse bs=1 seek=500001 conv=notrunc status=none
touch -r tree/sparse changed/sparse
chmod 0711 changed/empty
rm changed/nothing changed/dangling
ln -s elsewhere changed/dangling
: >changed/added
rm changed/fifo
mkdir changed/fifo
try xn diff disk.img :/home changed
equal $code 1
for line in '^plain: size: 6 \| 11$' '^sparse: content: from byte 500001 on$' '^empty: mode: 0755 \| 0711$' \
	'^nothing: only in A$' '^added: only in B$' '^dangling: target: nowhere \| elsewhere$' \
	'^fifo: kind: fifo \| directory$' '^plain: modified: '; do
	output_has "$line"
done
try xn diff --json disk.img :/home changed
equal $code 1
jq -e '.version == 1 and (.differences | any(.path == "plain" and .differs == "size" and .a == "6" and .b == "11"))' \
	out >/dev/null || complain "no JSON: $(head -3 out)"

it "compares contents alone on request"
cp -a tree touched
find touched -exec touch -h {} +
chmod -R u+w touched
ok xn diff --contents disk.img :/home touched
try xn diff disk.img :/home touched
equal $code 1

it "has another exit code for what it could not find out"
refused 2 'No such file' xn diff disk.img :/home/nosuch tree
refused 2 'nosuch.img' xn diff nosuch.img :/home tree
refused 2 'no path is inside' xn diff disk.img tree tree
refused 2 'B is inside the other image' xn diff disk.img --with other.img :/home tree

it "tells where the bytes of a file lie, in every format"
for root in home simple; do
	ok xn layout disk.img /$root/sub/deeper/large
	output_has '^ +0 +[0-9]+ +[0-9]+ +[0-9]+ +$'
	json '.files[0] | .size_bytes == 300000 and .pieces >= 1 and ([.extents[].bytes] | add >= 300000)' \
		xn layout --json disk.img /$root/sub/deeper/large
	# What it names as the file's first block is owned by that root, and holds the bytes.
	block=$(jq -r '.files[0].extents[0].block' out)
	json ".root == \"$root\"" xn owner --json disk.img "$block"
	cmp -s <(dd if=disk.img bs=4096 skip="$block" count=1 status=none) \
		<(head -c 4096 tree/sub/deeper/large) || complain "block $block holds other bytes"
done
json '.files[0].extents == [] and .files[0].pieces == 0' xn layout --json disk.img /home/hole
refused 1 'it is no regular file' xn layout disk.img /home/sub
refused 1 'No such file' xn layout disk.img /home/nosuch

it "counts the runs of free blocks, and as many blocks as the disk says"
json '.free_blocks > 0 and ([.histogram[].blocks] | add) == .free_blocks
	and ([.histogram[].runs] | add) == .runs and .shortest_blocks <= .longest_blocks' xn freefrag --json disk.img
equal "$(jq .free_blocks out)" "$(xn info --json disk.img | jq .free_blocks)"
ok xn freefrag disk.img
output_has 'blocks are free \('
for n in {1..200}; do head -c 4096 /dev/zero; done >holey
xn format -q holes.img --size 16M && xn mkfs -q holes.img --root a --type simplefs
mkdir many && for i in {1..200}; do head -c 9000 /dev/zero >many/$i; done
xn cp holes.img -r many :/a
runs=$(xn freefrag --json holes.img | jq .runs)
xn rm holes.img $(for i in {1..200..2}; do echo /a/many/$i; done)
[ "$(xn freefrag --json holes.img | jq .runs)" -gt $((runs + 20)) ] || complain "it sees no holes"

it "shows objects in words, with what they own, and in hex"
object=$(xn roots --json disk.img | jq -r '.roots[0].object')
ok xn dump disk.img "$object"
output_has "^block $object, 4096 bytes: cffs.dir of root home \(cffs\)$"
output_has 'sector 0 .* of directory'
output_has 'inode '
output_has '^owns:$'
output_has '^000000  ([0-9a-f]{2} ){8}'
json '.type_name == "cffs.dir" and .root == "home" and (.fields | length > 3) and (.owns | length > 0)
	and (.hex | length == 8192)' xn dump --json disk.img "$object"
jq -r .hex out | xxd -r -p | cmp - <(dd if=disk.img bs=4096 skip="$object" count=1 status=none) ||
	complain "the hex says something else than the disk"
object=$(xn roots --json disk.img | jq -r '.roots[1].object')
ok xn dump disk.img "$object"
output_has 'magic +good'
imap=$(jq -r '.owns[0].start' <(xn dump --json disk.img "$object"))
json '.type_name == "simplefs.imap" and (.owns | length > 0)' xn dump --json disk.img "$imap"
itab=$(jq -r '.owns[0].start' out)
ok xn dump disk.img "$itab"
output_has 'inode 0 .*mode 040755'

it "shows the file system's own names and XN's own blocks"
for ((at = 1; at < 400; at++)); do
	xn owner --json disk.img $at | jq -e '.chain[-1].type_name == "cffs.dir"' >/dev/null 2>&1 &&
		xn dump disk.img $at | grep -q '"plain"' && break
done
[ $at -lt 400 ] || complain "no directory names the file"
for block in 0 1 2 8; do
	ok xn dump disk.img $block
	output_has '^block [0-9]+, 4096 bytes: (superblock|map|catalogue|log)$'
done
refused 1 'lies beyond the disk' xn dump disk.img 99999999
refused 2 'not the number' xn dump disk.img x
equal "$(sha256sum <disk.img)" "$before"

it "shows damaged objects as they are"
cp disk.img bad.img
object=$(xn roots --json disk.img | jq -r '.roots[0].object')
printf '\377\377\377\377' | dd of=bad.img bs=1 seek=$((object * 4096 + 1024)) conv=notrunc status=none
try xn dump bad.img "$object"
[ $code = 0 ] && output_has 'is refused by its check'

it "installs templates, and finds those that are there"
templates=$XN_BUILD/libfs/simplefs/simplefs_templates
files=("$templates"/simplefs_{super,imap,itab,ind1,ind2,ind3}.tmpl)
xn format -q bare.img --size 16M
ok xn template-install bare.img "${files[@]}"
grep -q 'simplefs_super.tmpl is template' err || complain "it does not say so: $(cat err)"
json '.templates | length == 6' xn templates --json bare.img
ok xn template-install -q bare.img "${files[@]}"
json '.templates | length == 6' xn templates --json bare.img
ok xn mkfs -q bare.img --root x --type simplefs
json '.templates | length == 6' xn templates --json bare.img
head -c 3000 /dev/urandom >noise
refused 1 'bare.img: ' xn template-install bare.img noise
refused_unchanged bare.img 1 'nosuch: No such file' xn template-install bare.img nosuch
sound bare.img

done_testing
