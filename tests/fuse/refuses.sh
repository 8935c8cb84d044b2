#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What cannot be mounted is refused with a sentence and the promised exit code;
# helper names and generic words work; a read-only mount changes no byte.
. "$XN_SOURCE/tests/fuse/lib.sh"

image disk.img 64M home work
mkdir mnt other
echo text >file

# ---- words ----
refuses 1 "image and a directory" "$bridge"
refuses 1 "image and a directory" "$bridge" disk.img
refuses 1 "more than" "$bridge" disk.img mnt other
refuses 1 "unknown option -o bogus" "$bridge" disk.img mnt -o ro,bogus
refuses 1 "makes no sense" "$bridge" disk.img mnt -o cache=many
refuses 1 "makes no sense" "$bridge" disk.img mnt -o commit=-1
refuses 1 "makes no sense" "$bridge" disk.img mnt -o root=
refuses 1 "max_threads=0" "$bridge" disk.img mnt -o max_threads=0
refuses 1 "try xn-fuse --help" "$bridge" --nonsense
refuses 0 "usage: xn-fuse IMAGE DIR" "$bridge" --help
refuses 0 "^xn-fuse [0-9]" "$bridge" --version

"$bridge" --help | grep -oE '^  [a-z_]+[=A-Z]* ' | tr -d ' =A-Z' | while read -r word; do
	grep -q "^.*\\*$word=\{0,1\}\\*" "$XN_SOURCE/fuse-bridge/xn-fuse.8.scd" || echo "$word"
done >unexplained
[ -s unexplained ] && fail "in --help, but not in the manual: $(cat unexplained)"
[ "$("$bridge" --help | grep -cE '^  [a-z_]+[=A-Z]* ')" -ge 10 ] || fail "--help names no words"

# ---- places ----
refuses 32 "nowhere: No such file" "$bridge" disk.img nowhere
refuses 32 "file: is not a directory" "$bridge" disk.img file
refuses 32 "missing.img: .*No such file" "$bridge" missing.img mnt
refuses 32 "no root named nobody" "$bridge" disk.img mnt -o root=nobody

# ---- images ----
truncate -s 64M zeroes.img
head -c 1M /dev/urandom >random.img
truncate -s 8M foreign.img && mke2fs -q -F foreign.img 2>/dev/null
: >empty.img
head -c 20M disk.img >truncated.img
xn format rootless.img --size 16M >/dev/null 2>&1
for bad in zeroes random foreign empty; do
	[ -e $bad.img ] || continue
	sum=$(sha256sum <$bad.img)
	refuses 32 "$bad.img: .*(not an XN disk|too small|size)" "$bridge" $bad.img mnt
	[ "$sum" = "$(sha256sum <$bad.img)" ] || fail "$bad.img was changed"
done
sum=$(sha256sum <truncated.img)
refuses 32 "truncated.img: the disk has 16384 blocks, but 5120 are there" "$bridge" truncated.img mnt
[ "$sum" = "$(sha256sum <truncated.img)" ] || fail "truncated.img was changed"
refuses 32 "rootless.img: has no roots" "$bridge" rootless.img mnt
refuses 32 "." "$bridge" "$work" mnt
is_mounted mnt && fail "something is mounted"

# ---- in use: refused, and the holder is named ----
serve disk.img mnt
echo first >mnt/home/first
refuses 32 "disk.img: .*$server" "$bridge" disk.img other -o lock_wait=0
refuses 32 "waiting up to 1 second" "$bridge" disk.img other -o lock_wait=1
refuses 32 "disk.img: .*$server" "$bridge" disk.img other -o ro,lock_wait=0
is_mounted other && fail "mounted twice"
[ "$(cat mnt/home/first)" = first ] || fail "the first mount suffered"
stop mnt

# ---- read-only: not one byte ----
sum=$(sha256sum <disk.img)
serve disk.img mnt -o ro
[ "$(cat mnt/home/first)" = first ] || fail "reading a read-only mount"
ls -lR mnt >/dev/null
refuses 1 "Read-only file system" touch mnt/home/new
refuses 1 "Read-only file system" rm mnt/home/first
refuses 1 "Read-only file system" chmod 600 mnt/home/first
serve disk.img other -o ro # readers share
[ "$(cat other/home/first)" = first ] || fail "a second reader"
reader=$server
sleep 1.2
umount mnt other || fail "umount"
wait "$reader" "${servers[@]: -2:1}"
[ "$sum" = "$(sha256sum <disk.img)" ] || fail "a read-only mount changed the image"
chmod 444 disk.img
serve disk.img mnt -o ro
stop mnt
chmod 644 disk.img
echo "read-only: not one byte"

# ---- as mount(8) and umount(8) call us ----
words=rw,relatime,nofail,_netdev,x-systemd.automount,X-mount.mkdir,user=me,comment=a,context=b:c,noauto
mount.xn "$work/disk.img" "$work/mnt" -s -n -v -o "$words" || fail "mount.xn"
grep -q " $work/mnt rw.* - fuse.xn $work/disk.img .*allow_other" /proc/self/mountinfo ||
	fail "shown as: $(grep xn /proc/self/mountinfo)"
grep " $work/mnt " /proc/self/mountinfo | grep -q nosuid && fail "an administrator's mount is nosuid"
mount.xn disk.img mnt -o remount,ro,nosuid || fail "remount"
refuses 1 "Read-only file system" touch mnt/home/new
mount.xn disk.img mnt -o remount,rw || fail "remount"
touch mnt/home/new || fail "writing after the remount"
umount.fuse.xn "$work/mnt" || fail "umount.fuse.xn"
mount.fuse.xn "$work/disk.img" mnt -o root=home,nosuid,nodev,noexec,noatime || fail "mount.fuse.xn"
grep -q " $work/mnt rw,nosuid,nodev,noexec,noatime" /proc/self/mountinfo || fail "flags are lost"
umount.fuse.xn "$work/mnt" || fail "umount.fuse.xn"
mount.xn disk.img mnt -f || fail "pretending"
mount.xn disk.img mnt -s -f -o bogus || fail "sloppy"
is_mounted mnt && fail "pretending mounted it"
"$bridge" disk.img mnt -o 'fsname=a\,b c,subtype=other' || fail "fsname"
grep -q ' - fuse.other a,b\\040c ' /proc/self/mountinfo || fail "fsname: $(grep other /proc/self/mountinfo)"
umount mnt
fsck_clean disk.img
