#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# open(O_TMPFILE): a file without a name, which may get one.
. "$XN_SOURCE/tests/fuse/lib.sh"

xn format disk.img --size 64M >/dev/null 2>&1 || fail "format"
xn mkfs disk.img --root home --type cffs >/dev/null 2>&1 || fail "mkfs"
serve disk.img mnt -o root=home
mkdir mnt/dir
cat >try.py <<'END'
import os

def name(fd, path): # linkat() follows the link only if it is called with a directory
    os.link("/proc/self/fd/%d" % fd, path, src_dir_fd=root, follow_symlinks=True)

root = os.open("/", os.O_RDONLY)
fd = os.open("mnt/dir", os.O_TMPFILE | os.O_RDWR, 0o600)
assert os.write(fd, b"x" * 70000) == 70000
assert os.listdir("mnt/dir") == []
assert os.fstat(fd).st_nlink == 0
name(fd, "mnt/dir/named")
assert os.fstat(fd).st_nlink == 1
os.fsync(fd)
os.close(fd)
assert open("mnt/dir/named", "rb").read() == b"x" * 70000
fd = os.open("mnt/dir", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
assert os.write(fd, b"y" * 1000000) == 1000000
try:
    name(fd, "mnt/dir/other")
    raise SystemExit("a file that shall never have a name got one")
except FileNotFoundError:
    pass
assert os.pread(fd, 10, 999990) == b"y" * 10
os.close(fd)
END
python3 try.py || fail "see above"
[ "$(ls mnt/dir)" = named ] || fail "the directory has $(ls mnt/dir)"
stop mnt
fsck_clean disk.img
