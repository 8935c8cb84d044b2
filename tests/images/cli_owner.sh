#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# owner: every block of a disk is somebody's, or free, and the free map agrees.
. "$(dirname "$0")/lib.sh"

mkdir tree
head -c 5000000 /dev/urandom >tree/large
for i in {1..40}; do echo $i >tree/$i; done
xn format -q disk.img --size 16M && xn mkfs -q disk.img --root home -d tree &&
	xn mkfs -q disk.img --root work || exit 1
before=$(sha256sum <disk.img)

it "knows what XN keeps for itself"
ok xn owner disk.img 0
equal "$(cat out)" "block 0 is the superblock"
ok xn owner disk.img 1
equal "$(cat out)" "block 1 is the free map of chunk 0"
ok xn owner disk.img 2
output_has 'catalogue of templates$'
ok xn owner disk.img 6
output_has 'catalogue of roots \(the twin\)$'
ok xn owner disk.img 8
output_has 'intent log$'
ok xn owner disk.img 4095
output_has 'copy 1 of the superblock$'
json '.owner == "superblock" and .copy == "0" and .block == "0"' xn owner --json disk.img 0

it "draws the chain from the root's object down to a block"
object=$(xn roots --json disk.img | jq -r '.roots[0].object')
ok xn owner disk.img "$object"
output_has "^block $object is cffs\.dir of root 1 \"home\" \(cffs\)$"
json ".owner == \"root\" and .root == \"home\" and .chain[0].start == \"$object\"" xn owner --json disk.img "$object"

it "finds an owner for every block in use, and none for the others"
# Each chain: begins at a root's object, each link is owned by the one before it, the last holds the block.
used=0 wrong=0
for ((block = 0; block < 4096; block += 29)); do
	xn owner --json disk.img $block >one.json || { complain "block $block: exit code $?"; break; }
	jq -e --argjson block $block '
		def holds($b): (.start | tonumber) <= $b and $b < (.start | tonumber) + (.count | tonumber);
		.version == 1 and (
		  if .owner == "root" then
		    . as $o | (.chain | length) as $n
		    | (.chain[0] | has("owner") | not)
		    and (.chain[$n - 1] | holds($block))
		    and all(range(1; $n); . as $i | $o.chain[$i - 1] | holds($o.chain[$i].owner | tonumber))
		  else .owner != "nobody" end)' one.json >/dev/null || {
		wrong=$((wrong + 1))
		complain "block $block: $(tr -d '\n ' <one.json)"
	}
	[ "$(jq -r .owner one.json)" = root ] && used=$((used + 1))
done
[ $used -gt 30 ] || complain "only $used blocks with a root as owner"

it "counts as many free blocks as the disk says"
free=0
for ((block = 4000; block < 4095; block++)); do
	xn owner disk.img $block | grep -q 'is free$' && free=$((free + 1))
done
[ $free -gt 80 ] || complain "only $free of the last 95 blocks are free"

it "refuses blocks that are none"
refused 1 'block 4096 lies beyond the disk' xn owner disk.img 4096
refused 1 'lies beyond' xn owner disk.img 18446744073709551615
refused 2 'not the number of a block' xn owner disk.img 18446744073709551616
refused 2 'not the number' xn owner disk.img -- -1

it "changes nothing by looking"
equal "$(sha256sum <disk.img)" "$before"

done_testing
