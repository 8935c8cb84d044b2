#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Two roots busy at once with a real tree (XN_TEST_FILES files, default 400):
# equal after a remount, and the disk is clean.
. "$XN_SOURCE/tests/fuse/lib.sh"

real_tree "${XN_TEST_FILES:-400}"
image disk.img 1G home work
serve disk.img mnt
cp -a tree mnt/home/ & first=$!
cp -a tree mnt/work/ & second=$!
wait $first || fail "copy into home"
wait $second || fail "copy into work"
find mnt -type f | wc -l
diff -r tree mnt/home/tree || fail "home differs before the remount"
stop mnt
fsck_clean disk.img

serve disk.img mnt
for root in home work; do
	diff -r tree mnt/$root/tree || fail "$root differs"
	(cd tree && find . -printf '%p %y %m %s %T@ %l\n' | sort) >expected
	(cd mnt/$root/tree && find . -printf '%p %y %m %s %T@ %l\n' | sort) >found
	# sizes of directories are the file system's own
	diff <(sed -E 's/( d [0-7]+) [0-9]+/\1/' expected) <(sed -E 's/( d [0-7]+) [0-9]+/\1/' found) ||
		fail "attributes of $root differ"
done
# At once: remove here, copy there.
rm -rf mnt/home/tree & first=$!
cp -a mnt/work/tree mnt/work/again & second=$!
wait $first || fail "rm in home"
wait $second || fail "copy in work"
diff -r tree mnt/work/again || fail "the second copy differs"
[ -z "$(ls -A mnt/home)" ] || fail "home is not empty"
stop mnt
fsck_clean disk.img
