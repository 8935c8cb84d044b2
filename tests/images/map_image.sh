#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The disk that the tests of `xn map` draw: three roots with files of the source,
# names that mean harm, and holes in the free space.  Sourced after lib.sh.

# given_three_roots IMAGE
given_three_roots() {
	local i

	mkdir -p tree/one tree/evil tree/empty
	cp -r "$XN_SOURCE/udf" "$XN_SOURCE/images" tree/
	for i in {1..60}; do head -c $((i * 701)) /dev/urandom >"tree/one/file $i"; done
	head -c 3000000 /dev/urandom >tree/large
	# Larger than C-FFS keeps in an inode, so that each has blocks to be drawn.
	head -c 9000 /dev/urandom | tee 'tree/evil/<!--<script><img src=x onerror=alert(1)>' \
		$'tree/evil/no\xffutf8\001' 'tree/evil/"&\<>@DATA@' >tree/evil/plain
	xn format -q "$1" --size 96M -L 'a <b> & "c"' &&
		xn mkfs -q "$1" --root fast --type cffs -d tree &&
		xn mkfs -q "$1" --root simple --type simplefs -d tree &&
		xn mkfs -q "$1" --root other --type cffs -d tree/udf &&
		xn rm "$1" -r "/fast/one/file 7" "/fast/one/file 30" /simple/images || {
		echo "FAILED: no image to draw"
		exit 1
	}
}
