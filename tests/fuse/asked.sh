#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A mount answers by ioctl where a file lives, where its bytes lie, whose a block
# is, and which templates the disk has; the image tool says the same of the disk.
. "$XN_SOURCE/tests/fuse/lib.sh"
ask=$tests/fuse_ask

type=${1-simplefs}
xn format disk.img --size 64M >/dev/null 2>&1 || fail "format"
for root in home work; do
	xn mkfs disk.img --root $root --type "$type" >/dev/null 2>&1 || fail "mkfs $root"
done
serve disk.img mnt -o allow_other
head -c 20000 /dev/urandom >data
cp data mnt/work/data
sync -f mnt/work/data
sleep 1.3
answer=$($ask file mnt/work/data) || fail "file"
ino=$(stat -c %i mnt/work/data)
[[ $answer == "root=work id=2 libfs=$type ino=$((ino & 0xffffffffffff)) "* ]] || fail "file says $answer"
[[ $($ask file mnt) == "root= id=0 "* ]] || fail "the top directory says $($ask file mnt)"
$ask templates mnt >templates || fail "templates"
grep -qE "^[0-9]+ $type\.[a-z]+ [0-9]+" templates || fail "templates: $(cat templates)"
$ask extents mnt/work/data >extents || fail "extents"
while read -r offset len place; do
	[ "$len" -le $((20000 - offset)) ] || len=$((20000 - offset))
	cmp -n "$len" <(tail -c +$((offset + 1)) data) <(tail -c +$((place + 1)) disk.img) ||
		fail "the bytes at $offset are not at $place"
	told=$((${told-0} + len))
	block=$((place / 4096))
done <extents
[ "$told" = 20000 ] || fail "extents: $(cat extents)"
answer=$($ask owner mnt $block) || fail "owner"
[[ $answer == "root=2 "*" data=1" ]] || fail "owner says $answer"
# Not for everybody.
setpriv --reuid 1234 --clear-groups "$ask" owner mnt $block >/dev/null
[ $? = 1 ] || fail "anybody may walk the disk"
$ask owner mnt 99999999
[ $? = 34 ] || fail "a block beyond the disk has an owner"
stop mnt
xn owner disk.img "$block" | head -1 | grep -q 'data of root 2 "work"' || fail "xn owner disagrees"
$ask file data >/dev/null
[ $? = 25 ] || fail "another file system answers"
