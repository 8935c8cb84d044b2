#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The kernel asks no more than it must: after the first time, nothing about opening
# and closing, nothing twice within the day, and no question before each write.
. "$XN_SOURCE/tests/fuse/lib.sh"

count() { # what the bridge was asked since the last mark
	sed -n '/opcode: STATFS/h;//!H;$!d;x;p' server.log | grep -o "opcode: $1 " | wc -l
}
mark() { stat -f mnt >/dev/null; }

for type in simplefs cffs; do
	rm -f disk.img
	xn format disk.img --size 64M >/dev/null && xn mkfs disk.img --root home --type $type >/dev/null || fail "mkfs"
	serve disk.img mnt -d -o root=home
	mkdir mnt/dir
	mark
	echo first >mnt/dir/first
	[ "$(count RELEASE)" = 0 ] || fail "a RELEASE of the very first file"
	cat mnt/dir/first >/dev/null
	ls mnt/dir >/dev/null

	mark
	for i in 1 2 3 4 5; do
		head -c 1000 /dev/zero >mnt/dir/new$i
		cat mnt/dir/new$i mnt/dir/first >/dev/null
	done
	ls -l mnt/dir >/dev/null
	for kind in OPEN RELEASE FLUSH OPENDIR RELEASEDIR ACCESS; do
		[ "$(count $kind)" = 0 ] || fail "$(count $kind) times $kind"
	done
	[ "$(count MKNOD)" = 5 ] || fail "$(count MKNOD) times MKNOD"
	[ "$(count CREATE)" = 0 ] || fail "$(count CREATE) times CREATE"
	[ "$(count WRITE)" = 5 ] || fail "$(count WRITE) times WRITE"
	[ "$(count GETATTR)" -le 8 ] || fail "$(count GETATTR) times GETATTR, though root alone may enter"
	[ "$(count READ)" -le 5 ] || fail "$(count READ) times READ: more than once for a new file"

	mark
	for i in 1 2 3 4 5; do
		cat mnt/dir/new$i mnt/dir/first >/dev/null
		[ -e mnt/dir/missing ] && fail "a file that is not there"
	done
	for kind in READ GETATTR; do
		[ "$(count $kind)" = 0 ] || fail "$(count $kind) times $kind, of what was just read"
	done
	[ "$(count LOOKUP)" -le 1 ] || fail "$(count LOOKUP) times LOOKUP of a name that is not there"

	mark
	dd if=/dev/zero of=mnt/dir/big bs=4k count=100 status=none
	[ "$(count WRITE)" = 100 ] || fail "$(count WRITE) times WRITE"
	[ "$(count GETXATTR)" -le 2 ] || fail "$(count GETXATTR) times GETXATTR for 100 writes"
	stop mnt
	fsck_clean disk.img
done

# Who is root by name only is let through where root alone enters, unless one says otherwise.
as_if() { # user: root, but for the file system (as an NFS server acts for him)
	python3 -c '
import ctypes, sys
ctypes.CDLL(None).setfsuid(int(sys.argv[1]))
try:
    open("mnt/dir/private").read()
except PermissionError:
    sys.exit(1)' "$1"
}
for words in allow_other default_permissions; do
	serve disk.img mnt -o root=home,$words
	echo x >mnt/dir/private
	chmod 600 mnt/dir/private
	as_if 0 || fail "root cannot read his file, with $words"
	as_if 1234 && fail "$words: a file of mode 600 is read"
	stop mnt
done
