#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# mount(8) and umount(8) find us: by type, through fstab, and umount returns when
# the image is free.  The helpers are laid over /usr/sbin, in this namespace only.
. "$XN_SOURCE/tests/fuse/lib.sh"

mkdir links upper mnt
for name in mount.xn mount.fuse.xn umount.fuse.xn; do
	ln -s "$bridge" links/$name
done
sbin=$(readlink -f /sbin)
mount -t overlay overlay -o "lowerdir=$work/links:$sbin" "$sbin" 2>/dev/null ||
	skip "no overlay here to lay the helpers over $sbin"

free() { # may the image be locked for writing?
	python3 - <<'END'
import fcntl, struct
image = open("disk.img", "r+b")
fcntl.fcntl(image, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
END
}

image disk.img 64M home work
for type in xn fuse.xn; do
	mount -t $type "$work/disk.img" "$work/mnt" -o noatime,nofail,x-foo=bar || fail "mount -t $type"
	mountpoint -q mnt || fail "mount -t $type returned before the mount works"
	[ "$(findmnt -no FSTYPE,SOURCE mnt | tr -s ' ')" = "fuse.xn $work/disk.img" ] ||
		fail "shown as $(findmnt -no FSTYPE,SOURCE mnt)"
	dd if=/dev/zero of=mnt/home/$type bs=1M count=6 status=none
	umount mnt || fail "umount after mount -t $type"
	free || fail "umount returned while the image is held (type $type)"
	fsck_clean disk.img
done

echo "$work/disk.img $work/mnt xn root=work,ro,noauto,user 0 2" >fstab
mount -T fstab "$work/mnt" || fail "mount by fstab"
refuses 1 "Read-only" touch mnt/x
umount mnt || fail "umount after fstab"

refuses 32 "not an XN disk" mount -t xn /bin/true "$work/mnt"
refuses 32 "no root named nobody" mount -t xn "$work/disk.img" "$work/mnt" -o root=nobody
