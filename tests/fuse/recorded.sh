#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# -o record: what a mount writes, and every disk that a power cut on the way could have left.
. "$XN_SOURCE/tests/fuse/lib.sh"

image disk.img 8M work
xn mkfs -q disk.img --root home --type cffs || fail "no root of C-FFS"
cp disk.img before.img
serve disk.img mnt -o record="$work/log",commit=0.2
real_tree 12
cp -r tree mnt/home/
for i in 1 2 3 4; do
	echo "version $i" >mnt/work/new
	sync mnt/work/new
	mv mnt/work/new mnt/work/file
done
rm -r mnt/home/tree
stop mnt
fsck_clean disk.img

xn crashtest --states 3000 --log log before.img >told || { cat told >&2; fail "a state is wrong"; }
states=$(sed -n 's/.* \([0-9]*\) distinct states.*/\1/p' told)
[ "${states:-0}" -ge 50 ] || fail "too few states: $(cat told)"

# The same mount without most of its flushes: pointers before what they point at.
python3 - log unflushed <<'END'
import struct, sys
data = open(sys.argv[1], "rb").read()
out, at, flushes, waiting = data[:24], 24, 0, b""
while at + 32 <= len(data):
    kind, flags, offset, length, extra = struct.unpack_from("<IIQQQ", data, at)
    body = data[at + 32 : at + 32 + extra]
    at += 32 + extra
    if kind == 1:
        flushes += 1
        waiting += body
        kind, length, body = 4, 0, b""  # a mark without text, unless
        if flushes % 4 == 0:
            kind, length, body, waiting = 1, len(waiting) // 8, waiting, b""
    out += struct.pack("<IIQQQ", kind, flags, offset, length, len(body)) + body
open(sys.argv[2], "wb").write(out)
END
xn crashtest --states 1500 --html picture.html --log unflushed before.img >told
[ $? = 1 ] || { cat told >&2; fail "a mount without flushes is not caught"; }
grep -q 'R[123]' told || fail "no question is named: $(cat told)"
grep -q '</svg>' picture.html || fail "there is no picture"

refuses 2 'no sound XN disk' xn crashtest --log log "$XN_BIN/xn-fuse"
xn format -q other.img --size 4M
refuses 2 'another size' xn crashtest --log log other.img
refuses 2 . xn crashtest --log disk.img before.img
refuses 32 'record' xn-fuse disk.img mnt -f -o record="$work/log"
refuses 32 'record' xn-fuse disk.img mnt -f -o record=/nonexistent/log
echo "$states states"
