#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# xn map without memory: whichever allocation fails, it says so, or its picture is the right one.
# Every third is tried; XN_EVERY=1 tries all.
. "$(dirname "$0")/lib.sh"

failing=$XN_BUILD/tests/images/failing.so
mkdir -p tree/a tree/b
for i in 1 2 3; do head -c 9000 /dev/urandom >tree/a/$i; done
head -c 300000 /dev/urandom >tree/b/large
xn format -q disk.img --size 8M && xn mkfs -q disk.img --root r --type cffs -d tree &&
	xn mkfs -q disk.img --root s --type simplefs -d tree || exit 1

for kind in html svg; do
	it "fails with a sentence or draws the same ($kind)"
	ok xn map disk.img -o whole.$kind
	count=$(COUNT_ALLOCATIONS=1 LD_PRELOAD=$failing xn map disk.img -o count.$kind 2>&1 |
		sed -n 's/allocations: //p')
	[ "${count:-0}" -gt 200 ] || complain "only $count allocations"
	refusals=0
	for ((at = 1; at <= count; at += ${XN_EVERY:-3})); do
		rm -f part.$kind
		FAIL_AT=$at LD_PRELOAD=$failing xn map disk.img -o part.$kind >out 2>err
		case $? in
		0)
			cmp -s part.$kind whole.$kind || complain "allocation $at: another picture"
			;;
		1)
			refusals=$((refusals + 1))
			grep -q '^xn: ' err || complain "allocation $at: $(head -1 err)"
			# Memory for a root's cache is also said to be a cache that is full.
			[ ! -e part.$kind ] || grep -q 'could not all be read' err || complain "allocation $at: a picture is left"
			;;
		*) complain "allocation $at: $(tail -1 err)" ;;
		esac
	done
	[ $refusals -gt 30 ] || complain "only $refusals refusals"
done

done_testing
