#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Two roots of C-FFS and one of simplefs on one disk, mounted at once, busy at once,
# until the disk is full; then emptied: the free space returns to the block.
. "$XN_SOURCE/tests/fuse/lib.sh" || exit 1

roots="first second third"

free_blocks() {
	df --output=avail -B4096 mnt | tail -1
}

# Everything given up is free again when this number stands still.
settled() {
	local before now=-1
	for _ in $(seq 200); do
		before=$now
		sleep 0.3
		now=$(free_blocks)
		[ "$now" = "$before" ] && [ "$now" -ge "${1-0}" ] && break
	done
	echo "$now"
}

# Files of all sizes, some removed again on the way, until the disk says no.  What was
# acknowledged is in ./kept.ROOT with its sum.
busy() { # root seed
	local root=$1 i size file victim
	RANDOM=$2
	: >"kept.$root"
	for ((i = 0; i < 100000; i++)); do
		file=mnt/$root/d$((i % 23))/f$i
		size=$((RANDOM % 16 ? RANDOM % 9000 : RANDOM * 40))
		mkdir -p "${file%/*}" 2>/dev/null && head -c $size /dev/urandom >"sample.$root" &&
			cp "sample.$root" "$file" 2>"refusal.$root" || break
		if ((i % 40 == 0)) && mv "$file" "$file.moved" 2>/dev/null; then
			file=$file.moved
		fi
		((i % 50)) || ln "$file" "mnt/$root/d0/link$i" 2>/dev/null
		echo "$(sha256sum <"sample.$root") $file" >>"kept.$root"
		if ((i % 3 == 2)); then
			victim=$(tail -2 "kept.$root" | head -1)
			rm "${victim##* }" || return 1
			sed -i "\\|${victim##* }\$|d" "kept.$root"
		fi
	done
	rm -f "$file"
	[ "$i" -gt 20 ] || { cat "refusal.$root"; return 1; }
}

whole() { # root
	local sum rest file
	while read -r sum rest file; do
		[ "$(sha256sum <"$file")" = "$sum  $rest" ] || { echo "$file is damaged" >&2; return 1; }
	done <"kept.$1"
}

round() {
	local pids=() root n=0
	for root in $roots; do
		busy "$root" $((++n * 77 + $1)) & pids+=($!)
	done
	for n in "${pids[@]}"; do
		wait "$n" || fail "round $1: a root stopped before the disk was full"
	done
	grep -l "No space left" refusal.* >/dev/null || { cat refusal.*; fail "the disk was never full"; }
	echo "round $1: $(cat kept.* | wc -l) files, $(free_blocks) blocks free"
	for root in $roots; do
		whole "$root" || fail "round $1: $root"
	done
}

xn format disk.img --size 16M >/dev/null 2>&1 || fail "format"
xn mkfs disk.img --root first --type cffs >/dev/null 2>&1 || fail "mkfs first"
xn mkfs disk.img --root second --type cffs >/dev/null 2>&1 || fail "mkfs second"
xn mkfs disk.img --root third --type simplefs >/dev/null 2>&1 || fail "mkfs third"

# Blocks that the roots of a kind own; of all without one.
used() {
	xn roots disk.img | awk -v kind="${1-}" '$2 ~ kind && NR > 1 { sum += $3 } END { print sum / 4 }'
}

# simplefs never gives a table of inodes back: it owns those it has, and the rest is free.
measure() {
	stop mnt
	fsck_clean disk.img
	cffs=$(used cffs)
	owned=$(used)
	serve disk.img mnt
	free=$(settled "${1-0}")
	echo "free: $free, owned: $owned, of C-FFS: $cffs"
}

serve disk.img mnt
measure
total=$((free + owned))
for n in 1 2; do
	round $n
	rm -rf mnt/*/* || fail "removing on a full disk"
	for root in $roots; do
		rmdir "mnt/$root/"* 2>/dev/null && fail "something was left in $root"
	done
	measure "$((total - owned - 100))"
	[ $((free + owned)) = "$total" ] || fail "$total blocks were free or owned, and now $((free + owned)) are"
	# Its own block, and one for each directory that goes with the root.
	[ "$cffs" -le 8 ] || fail "two empty C-FFS own $cffs blocks"
done
stop mnt
fsck_clean disk.img
