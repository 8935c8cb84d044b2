#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The bridge is killed during a copy, XN_TEST_KILLS times (default 50): each time
# `xn-fsck -p` accepts the disk, it mounts again, and what was fsynced is there,
# whole, under its name.  Every fourth time it is mounted without a check before:
# opening the disk recovers by itself.
. "$XN_SOURCE/tests/fuse/lib.sh"

kills=${XN_TEST_KILLS:-50}
real_tree 150
image disk.img 64M home work

verify() { # round
	local name sum bad=0
	while read -r name sum; do
		[ "$(sha256sum <"mnt/$name" | cut -c1-64)" = "$sum" ] || { echo "$name is not what was fsynced"; bad=1; }
	done <acknowledged
	[ $bad = 0 ] || fail "round $1"
}

: >acknowledged
for round in $(seq "$kills"); do
	serve disk.img mnt -o commit=0.1
	verify "$round"
	# Every third time from empty again, so that removing is interrupted as well.
	if [ $((round % 3)) = 0 ]; then
		: >acknowledged
		old=(mnt/home/* mnt/work/*) # not what this round makes
		rm -rf "${old[@]}" 2>/dev/null &
		remover=$!
		[ $((round % 2)) = 0 ] && wait $remover
	fi
	cp -r tree "mnt/home/tree$round" 2>/dev/null &
	"$tests/fuse_durable" mnt/work "$round" >told 2>/dev/null &
	durable=$!
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	kill -9 "$server"
	wait 2>/dev/null
	umount -l mnt
	sed 's|^|work/|' told >>acknowledged
	[ $((round % 4)) = 1 ] && continue
	xn-fsck -p disk.img >fsck.log 2>&1
	code=$?
	[ $code -le 1 ] || { cat fsck.log >&2; fail "round $round: xn-fsck -p ended with $code"; }
	[ $((round % 10)) = 0 ] && fsck_clean disk.img
done
serve disk.img mnt
verify end
echo "$kills kills, $(wc -l <acknowledged) fsynced files at the last"
[ -s acknowledged ] || [ $((kills % 3)) = 0 ] || fail "nothing was ever fsynced: the test tests nothing"
stop mnt
fsck_clean disk.img
: "$durable"
