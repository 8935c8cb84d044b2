#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# References balance: many threads look up, make, rename, list and remove the
# same names in a LibFS that counts; some are killed in the middle of a request.
# When nothing is left, no reference and no open handle is out.
. "$XN_SOURCE/tests/fuse/lib.sh"

bridge=$tests/xn-fuse-mem

books() { # "references handles", once nothing is open any more
	local out
	for _ in $(seq 100); do
		out=$(stat -f -c '%d %f' mnt/r2)
		[ "$out" = "0 0" ] && break
		sleep 0.05
	done
	echo "$out"
}

serve mem:2 mnt -o "max_threads=8${1-}"
for round in 1 2 3; do
	"$tests/fuse_stress" mnt/r2 6 400 & first=$!
	"$tests/fuse_stress" mnt/r2 4 100000 & killed=$!
	sleep 0.5
	kill -9 $killed
	wait $first || fail "the stress saw what it should not"
	wait $killed 2>/dev/null
	rm -rf mnt/r2/*
	[ "$(books)" = "0 0" ] || fail "round $round: references and handles still out: $(books)"
	[ "$(stat -f -c %c mnt/r2)" = 1 ] || fail "round $round: $(stat -f -c %c mnt/r2) files left"
done

# Names the kernel only remembers are given back when it forgets them.
mkdir mnt/r2/a && touch mnt/r2/a/{1..200} && ls -l mnt/r2/a >/dev/null
[ "$(stat -f -c %d mnt/r2)" -gt 100 ] || fail "nothing was out: the books are not kept"
if { echo 2 >/proc/sys/vm/drop_caches; } 2>/dev/null; then
	[ "$(books)" = "0 0" ] || fail "the kernel forgot, but $(books) are out"
fi
[ "$(find mnt/r2/a -type f | wc -l)" = 200 ] || fail "files are lost"
stop mnt
