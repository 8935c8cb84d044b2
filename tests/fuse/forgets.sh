#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A LibFS that has too many files in memory has the kernel drop some: those that
# nobody uses, and no others.
. "$XN_SOURCE/tests/fuse/lib.sh"

# By the kernel, so far.  A batch has 48 bytes, and 16 for each file.
forgotten() {
	awk '/opcode: FORGET/ { n++ }
	/opcode: BATCH_FORGET/ { sub(/.*insize: /, ""); n += ($1 - 48) / 16 }
	END { print n + 0 }' server.log
}

xn format disk.img --size 64M >/dev/null 2>&1 || fail "format"
xn mkfs disk.img --root home --type cffs >/dev/null 2>&1 || fail "mkfs"
mkdir mnt
xn-fuse disk.img mnt -o root=home,fsopt=inodes=5 2>why && fail "nonsense was accepted"
grep -q "inodes=N" why || fail "it was not said what is understood: $(cat why)"

serve disk.img mnt -d -o root=home,fsopt=inodes=2000:delayed
mkdir mnt/dir
exec 7>mnt/dir/held
echo before >&7
python3 -c '
for i in range(8000):
    open("mnt/dir/file-%d" % i, "w").close()'
for _ in $(seq 200); do
	[ "$(forgotten)" -ge 3000 ] && break
	sleep 0.05
done
[ "$(forgotten)" -ge 3000 ] || fail "8000 files made, $(forgotten) forgotten, 2000 wanted"

# All is as it was, for those who use it and those who come back.
echo after >&7
exec 7>&-
[ "$(cat mnt/dir/held)" = "before
after" ] || fail "a file in use has other bytes"
[ "$(find mnt/dir -type f | wc -l)" = 8001 ] || fail "not all files are there"
for i in 0 4000 7999; do
	echo $i >mnt/dir/file-$i || fail "file-$i cannot be written"
	[ "$(cat mnt/dir/file-$i)" = $i ] || fail "file-$i has other bytes"
done
stop mnt
fsck_clean disk.img
