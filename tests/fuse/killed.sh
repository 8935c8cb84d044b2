#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# killed.sh LIBFS OPTIONS|none LOAD [KILLS]: the bridge is killed at a random moment while LOAD runs
# ("copy": trees are copied and removed; "names": threads make, link, rename and remove a few names),
# KILLS times (XN_TEST_KILLS in the environment comes first).  Each time `xn-fsck -p` accepts the disk,
# it mounts again, and what was fsynced is there, whole, under its name; what was removed and its
# directory fsynced is not.  Every fourth time it is mounted without a check before: opening the disk
# recovers by itself.  When something is missing, the disks are kept.
. "$XN_SOURCE/tests/fuse/lib.sh"

libfs=$1 options=${2#none} load=$3
kills=${XN_TEST_KILLS:-${4-100}}
xn format disk.img --size 64M >/dev/null 2>&1 || fail "format"
for root in home work; do
	xn mkfs disk.img --root $root --type "$libfs" >/dev/null 2>&1 || fail "mkfs $libfs"
done

# The newest word about each name: its sum; "-": it is gone; "?": it was being removed.
verify() { # round
	local name sum now bad=0
	while read -r name sum; do
		[ "$sum" = '?' ] && continue
		now=-
		[ -e "mnt/$name" ] && now=$(sha256sum <"mnt/$name" | cut -c1-64)
		[ "$now" = "$sum" ] || { echo "$name: $now is not what was fsynced, $sum"; bad=1; }
	done < <(awk '{ last[$1] = $2 } END { for (name in last) print name, last[name] }' acknowledged)
	[ $bad = 0 ] && return
	ls -laR mnt/work >listing 2>&1
	kept=$XN_BUILD/killed-$libfs-$load-$$
	mkdir -p "$kept"
	cp --sparse=always as-killed.img disk.img acknowledged listing server.log "$kept"
	cp fsck.log "$kept" 2>/dev/null
	fail "round $1: the disk as it was left, and more, is in $kept"
}

loaded() { # round
	local old
	if [ "$load" = names ]; then
		mkdir -p mnt/home/names
		"$tests/fuse_stress" mnt/home/names 4 1000000 2>/dev/null &
		return
	fi
	# Every third time from empty again, so that removing is interrupted as well.
	if [ $(($1 % 3)) = 0 ]; then
		old=(mnt/home/*) # not what this round makes
		rm -rf "${old[@]}" 2>/dev/null &
		[ $(($1 % 2)) = 0 ] && wait $!
	fi
	cp -r tree "mnt/home/tree$1" 2>/dev/null &
}

repaired() { # round
	local code
	xn-fsck -p disk.img >fsck.log 2>&1
	code=$?
	[ $code -le 1 ] || { cat fsck.log >&2; fail "round $1: xn-fsck -p ended with $code"; }
}

real_tree 150
: >acknowledged
for round in $(seq "$kills"); do
	serve disk.img mnt -o "commit=0.1$options"
	verify "$round"
	if [ $((round % 8)) = 0 ]; then
		: >acknowledged
		rm -rf mnt/work/*
	fi
	loaded "$round"
	"$tests/fuse_durable" mnt/work "$round" >told 2>/dev/null &
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	kill -9 "$server"
	wait 2>/dev/null
	umount -l mnt
	sed 's|^|work/|' told >>acknowledged
	cat told >>all_told
	cp --sparse=always disk.img as-killed.img
	[ $((round % 4)) = 1 ] && continue
	repaired "$round"
	[ $((round % 10)) = 0 ] && fsck_clean disk.img
done
serve disk.img mnt
verify end
words=$(wc -l <all_told)
echo "$kills kills, $words words kept of what was fsynced"
[ "$words" -gt 0 ] || fail "nothing was ever fsynced: the test tests nothing"
stop mnt
repaired end # it may have been stopped before all that the last crash lost was found again
fsck_clean disk.img
