#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# --json without memory: whichever allocation fails, a command fails with a sentence or prints
# everything.  Some of each are tried, all with XN_EVERY=1.
. "$(dirname "$0")/lib.sh"

failing=$XN_BUILD/tests/images/failing.so
mkdir tree
for i in 1 2 3; do echo "$i" >"tree/$i"; done
: >"tree/$(printf '\377\376')"
xn format -q disk.img --size 8M && xn mkfs -q disk.img --root r -d tree || exit 1

# whole COMMAND...: as JSON, whichever allocation fails.
whole() {
	local at count
	"$@" >whole.json 2>err
	count=$(COUNT_ALLOCATIONS=1 LD_PRELOAD=$failing "$@" 2>&1 >/dev/null | sed -n 's/allocations: //p')
	[ "${count:-0}" -gt 50 ] || complain "$*: only $count allocations"
	for ((at = 1; at <= count; at += ${XN_EVERY:-1 + count / 60})); do
		FAIL_AT=$at LD_PRELOAD=$failing "$@" >part.json 2>err
		case $? in
		# The engine calls damaged what it had no memory to look at.
		0) cmp -s <(sed 's/"damaged": true/"damaged": false/' part.json) whole.json || complain "$*: allocation $at: other text, exit code 0" ;;
		1) [ -s err ] || [ -s part.json ] || complain "$*: allocation $at: not a word" ;;
		*) complain "$*: allocation $at: $(tail -1 err)" ;;
		esac
	done
}

it "prints everything or fails"
whole xn info --json disk.img
whole xn ls --json disk.img /r
whole xn stat --json disk.img /r/1
whole xn freefrag --json disk.img
whole xn map --json disk.img
whole xn allowance --json disk.img 0

it "reports all that it did, or fails"
whole xn tune --json disk.img -L other
sound disk.img

done_testing
