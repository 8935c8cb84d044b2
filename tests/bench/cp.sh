#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A tree copied inside one root: by `xn cp`, and by cp through a mount, from a cold and
# from a warm start, each until all is on the disk.
#
#	tests/bench/cp.sh [LIBFS [DIR]]
. "${XN_SOURCE:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/fuse/lib.sh"

type=${1:-simplefs} tree=${2:-/usr/include}
seconds() {
	local began
	began=$(date +%s%N)
	"$@" >/dev/null || fail "$*"
	echo $((($(date +%s%N) - began) / 1000000))
}
by_mount() { # from to
	cp -a "mnt/$1" "mnt/$2" && umount mnt && umount.fuse.xn mnt 2>/dev/null
	while pgrep -f " $work/disk.img $work/mnt" >/dev/null; do sleep 0.01; done
}
mount_it() { "$bridge" "$work/disk.img" "$work/mnt" -o root=home,cache=256M || fail "mount"; }
drop() { { sync && echo 3 >/proc/sys/vm/drop_caches; } 2>/dev/null; }

mkdir mnt
xn format disk.img --size 2G >/dev/null && xn mkfs disk.img --root home --type "$type" >/dev/null || fail "mkfs"
xn cp disk.img -a "$tree" :/home/tree || fail "filling"
echo "$(find "$tree" | wc -l) files, $(du -sm "$tree" | cut -f1) MiB, $type; milliseconds"
drop
cold=$(seconds xn cp disk.img -a :/home/tree :/home/a)
warm=$(seconds xn cp disk.img -a :/home/tree :/home/b)
drop
mount_it
mount_cold=$(seconds by_mount tree c)
mount_it
find mnt/tree -type f -exec cat {} + >/dev/null
mount_warm=$(seconds by_mount tree d)
printf '%-8s%10s%10s%8s\n' "" "xn cp" "cp" "times"
printf '%-8s%10d%10d%8.1f\n' cold "$cold" "$mount_cold" "$(awk "BEGIN { print $mount_cold / $cold }")"
printf '%-8s%10d%10d%8.1f\n' warm "$warm" "$mount_warm" "$(awk "BEGIN { print $mount_warm / $warm }")"
fsck_clean disk.img
