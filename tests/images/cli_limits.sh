#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# root-set, allowance: limits that hold.
. "$(dirname "$0")/lib.sh"

given_image disk.img 32M
head -c 3000000 /dev/urandom >file

it "sets a root's limits"
ok xn root-set disk.img home --quota 1M --reserve 64K --weight 7
json '.roots[0] | .quota_bytes == 1048576 and .reserve_bytes == 65536 and .weight == 7' \
	xn roots --json disk.img
refused 1 'quota|No space|Disk quota' xn cp disk.img file :/home/file
ok xn root-set disk.img home --quota 0
ok xn cp disk.img file :/home/file
json '.roots[0] | .quota_bytes == null and .reserve_bytes == 65536' xn roots --json disk.img
sound disk.img

it "refuses limits that cannot be"
refused 1 'Invalid' xn root-set disk.img home --quota 4K --reserve 64K
refused 1 'Invalid' xn root-set disk.img home --weight 1001
refused_unchanged disk.img 1 'no root of that name' xn root-set disk.img nosuch --quota 1M
refused_unchanged disk.img 2 'nothing to set' xn root-set disk.img home

it "tells what a user takes, and limits it"
ok xn mkfs disk.img --root mine --uid 4711
json '.limit.roots == null and .used.roots == 1' xn allowance --json disk.img 4711
ok xn allowance disk.img 4711 --roots 1 --blocks 2M
json '.limit.roots == 1 and .limit.bytes == 2097152' xn allowance --json disk.img 4711
refused 1 'allowance' xn mkfs disk.img --root more --uid 4711
refused 1 . xn cp disk.img file :/mine/file
ok xn allowance disk.img 4711 --blocks 0
ok xn cp disk.img file :/mine/again
ok xn allowance disk.img 4711
output_has 'roots +1 +1'
refused_unchanged disk.img 2 'is no user id' xn allowance disk.img root
sound disk.img

it "gives a disk another label"
uuid=$(xn info --json disk.img | jq .uuid)
ok xn tune disk.img -L 'another one'
json '.label == "another one"' xn info --json disk.img
equal "$(xn info --json disk.img | jq .uuid)" "$uuid"
ok xn tune disk.img -L "$(printf 'x%.0s' {1..64})"
json '.label | length == 64' xn info --json disk.img
refused_unchanged disk.img 1 'at most 64 bytes' xn tune disk.img -L "$(printf 'x%.0s' {1..65})"
refused_unchanged disk.img 2 'nothing to change' xn tune disk.img
sound disk.img
ok xn tune disk.img -L ''
json '.label == ""' xn info --json disk.img

done_testing
