#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Roots draw from one free map: full through one is full for all, and what one
# gives back the other takes.
. "$XN_SOURCE/tests/fuse/lib.sh"

available() {
	df --output=avail -B4096 "mnt/$1" | tail -1
}

fill() { # root; until the disk says no
	local i
	for i in $(seq 1000); do
		dd if=/dev/urandom of="mnt/$1/fill$i" bs=256k count=4 conv=fsync status=none 2>refusal || break
	done
	grep -q "No space left" refusal || { cat refusal >&2; fail "it never was full"; }
	rm -f "mnt/$1/fill$i"
	echo "$1 filled the disk with $((i - 1)) MiB"
}

image disk.img 24M home work
serve disk.img mnt
before=$(available home)
echo precious >mnt/work/precious
fill home
# The write itself is refused, without an fsync: nothing acknowledged is lost later.
refuses 1 "No space left" dd if=/dev/zero of=mnt/work/no bs=1M count=8 status=none
rm -f mnt/work/no
[ "$(cat mnt/work/precious)" = precious ] || fail "what was there is damaged"
for file in mnt/home/fill*; do
	cksum <"$file" >/dev/null || fail "$file cannot be read"
done
rm mnt/home/fill* || fail "removing on a full disk"
for _ in $(seq 100); do
	[ "$(available work)" -ge $((before * 9 / 10)) ] && break
	sleep 0.1
done
[ "$(available work)" -ge $((before * 9 / 10)) ] || fail "only $(available work) of $before blocks came back"
fill work
stop mnt
fsck_clean disk.img
