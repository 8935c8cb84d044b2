#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What is promised without an fsync: a closed file and every name within the
# commit time; with -o sync, everything that was answered.
. "$XN_SOURCE/tests/fuse/lib.sh"

killed() {
	kill -9 "$server"
	wait "$server" 2>/dev/null
	umount -l mnt
	xn-fsck -p disk.img >fsck.log 2>&1
	[ $? -le 1 ] || { cat fsck.log >&2; fail "xn-fsck -p"; }
}

image disk.img 64M home work

serve disk.img mnt -o commit=0.3
mkdir mnt/home/dir
echo gone >mnt/home/gone
head -c 300000 /dev/urandom >data
cp data mnt/home/dir/data
ln -s target mnt/work/link
sleep 1.2
rm mnt/home/gone
mv mnt/home/dir/data mnt/home/moved
sleep 1.2
killed
serve disk.img mnt
cmp data mnt/home/moved || fail "a file closed before the last commit"
[ "$(readlink mnt/work/link)" = target ] || fail "a link made before the last commit"
[ -e mnt/home/gone ] && fail "a removal before the last commit"
[ -e mnt/home/dir/data ] && fail "a rename before the last commit"
stop mnt

serve disk.img mnt -o sync,commit=3600
mkdir mnt/home/sync-dir
cp data mnt/home/sync-dir/data
mv mnt/home/sync-dir/data mnt/home/sync-dir/renamed
ln mnt/home/sync-dir/renamed mnt/home/hard
chmod 600 mnt/home/hard
truncate -s 1000 mnt/home/hard
mkfifo mnt/work/pipe
rm mnt/work/link
: >mnt/work/empty
killed
serve disk.img mnt
cmp <(head -c 1000 data) mnt/home/sync-dir/renamed || fail "bytes with -o sync"
[ "$(stat -c '%h %a %s' mnt/home/hard)" = "2 600 1000" ] || fail "attributes with -o sync"
[ -p mnt/work/pipe ] || fail "a new pipe with -o sync"
[ -f mnt/work/empty ] || fail "a new file with -o sync"
[ -e mnt/work/link ] && fail "a removal with -o sync"
stop mnt
fsck_clean disk.img
