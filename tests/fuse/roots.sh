#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A mount of many roots: each a directory of its own, none reaches into another,
# and the top directory changes for nobody.
. "$XN_SOURCE/tests/fuse/lib.sh"

image disk.img 64M home work third
serve disk.img mnt

[ "$(cd mnt && echo *)" = "home third work" ] || fail "the top lists $(ls mnt)"
[ "$(stat -c %h mnt)" = 5 ] || fail "the top directory has $(stat -c %h mnt) links"

echo text >mnt/home/file
ln mnt/home/file mnt/home/second || fail "link inside a root"
refuses 1 "Invalid cross-device link" ln mnt/home/file mnt/work/file
refuses 1 "Invalid cross-device link" python3 -c 'import os; os.rename("mnt/home/file", "mnt/work/file")'
refuses 1 "Invalid cross-device link" python3 -c 'import os; os.rename("mnt/home", "mnt/work/home")'
mv mnt/home/file mnt/work/file || fail "mv copies across roots"
[ "$(cat mnt/work/file)" = text ] || fail "the copy differs"

refuses 1 "Read-only file system" touch mnt/new
refuses 1 "Read-only file system" mkdir mnt/new
refuses 1 "Read-only file system" ln -s x mnt/new
refuses 1 "Read-only file system" rmdir mnt/third
refuses 1 "Read-only file system" mv mnt/home mnt/other
refuses 1 "Read-only file system" chmod 700 mnt
refuses 1 "No such file" stat mnt/nothing
refuses 1 "File name too long" stat "mnt/$(printf 'n%.0s' $(seq 300))"

# The same inode number never shows twice in one mount, `..` and listings included.
for root in home work third; do
	mkdir -p mnt/$root/a/b && touch mnt/$root/a/b/f mnt/$root/only-$root
done
find mnt -printf '%i %n %y\n' | awk '$3 == "f" && $2 > 1 { next } { print $1 }' | sort | uniq -d >twice
[ -s twice ] && fail "shown twice: $(cat twice)"
[ "$(stat -c %i mnt/home/a/..)" = "$(stat -c %i mnt/home)" ] || fail "a/.. is not its parent"
[ "$(stat -c %i mnt/home/..)" = "$(stat -c %i mnt)" ] || fail "home/.. is not the top"
for name in . .. a only-home second; do
	shown=$(ls -ai mnt/home | awk -v n="$name" '$2 == n { print $1 }')
	[ "$shown" = "$(stat -c %i "mnt/home/$name")" ] || fail "$name: listed as $shown"
done

# Roots share one disk, but each speaks for itself.
df mnt/home mnt/work >/dev/null || fail "df"
stop mnt

serve disk.img mnt -o root=work
[ -e mnt/only-work ] || fail "root=work does not show work"
[ -e mnt/work ] && fail "root=work shows the top directory"
[ "$(stat -c %i mnt)" = 1 ] || fail "its root is not number 1"

# Holes are seen: a copy that looks for them stays small.
truncate -s 100M mnt/sparse
printf data | dd of=mnt/sparse bs=1 seek=50M conv=notrunc status=none
cp --sparse=auto mnt/sparse mnt/copy || fail "copying a sparse file"
cmp mnt/sparse mnt/copy || fail "the sparse copy differs"
[ "$(python3 -c 'import os; print(os.lseek(os.open("mnt/sparse", os.O_RDONLY), 0, os.SEEK_DATA))')" -gt 1000000 ] ||
	fail "the hole at the start does not show"
stop mnt
fsck_clean disk.img
