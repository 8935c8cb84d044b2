#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Listeners that go away, outputs that are full, and words that only a terminal
# is told.
. "$(dirname "$0")/lib.sh"

mkdir tree
for i in {1..400}; do echo "$i" >"tree/file-$i"; done
head -c 3000000 /dev/urandom >tree/large
xn format -q disk.img --size 32M && xn mkfs -q disk.img --root home -d tree || exit 1

# Run with nobody listening to either output; the exit code in $code.
deaf() {
	local status=$dir/status
	{ "$@" 2>&1; echo $? >"$status"; } | true
	code=$(cat "$status")
}

it "finishes format although nobody listens"
deaf xn format piped.img --size 16M
ok xn info piped.img
sound piped.img

it "finishes mkfs -d although nobody listens"
deaf xn mkfs piped.img --root home -d tree
ok xn cp piped.img -r :/home back
diff -r tree back >diff || complain "the copy differs"
sound piped.img

it "says at the end that output was lost, and fails"
{ xn cat disk.img /home/large 2>err; echo $? >status; } | head -c 1 >/dev/null
equal "$(cat status)" 1
grep -q '^xn: standard output: ' err || complain "it said: $(cat err)"

it "fails when the output is full"
if [ -w /dev/full ]; then
	for command in 'info disk.img' 'info --json disk.img' 'ls -lR disk.img' 'ls --json disk.img /home' \
		'tree disk.img' 'cat disk.img /home/file-1' 'stat disk.img /home' 'roots disk.img' \
		'owner disk.img 0' 'probe disk.img' 'help' '--version' 'completion bash'; do
		# shellcheck disable=SC2086
		xn $command >/dev/full 2>err
		equal $? 1
		grep -q 'standard output: No space left' err || complain "xn $command said: $(cat err)"
	done
fi

it "fails when there is no output at all"
xn info disk.img >&- 2>err
equal $? 1
grep -q 'standard output' err || complain "it said: $(cat err)"

it "shows no progress and no colour without a terminal"
xn format -q plain.img --size 32M
ok xn mkfs plain.img --root home -d tree
grep -q "$(printf '\r')" err && complain "progress without a terminal"
grep -q "$(printf '\033')" out err && complain "colours without a terminal"

it "shows colours on a terminal, and none with NO_COLOR"
if command -v script >/dev/null; then
	script -qec "xn ls disk.img /" /dev/null </dev/null >typed
	grep -q "$(printf '\033')" typed || complain "no colours: $(cat -v typed)"
	NO_COLOR=1 script -qec "xn ls disk.img /" /dev/null </dev/null >typed
	grep -q "$(printf '\033')" typed && complain "colours with NO_COLOR"
fi

it "leaves no half of a disk behind when it is killed"
# At any time of its death there is either no XN disk, or one that opens.
for delay in 0 0.001 0.002 0.005; do
	rm -f killed.img
	xn format -q killed.img --size 64M &
	sleep $delay
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
	try xn info killed.img
	[ $code -le 1 ] || complain "info after kill: exit code $code"
done

it "leaves a disk that opens when a copy is killed"
for delay in 0.01 0.02 0.04 0.08; do
	xn format -q --force killed.img --size 32M && xn mkfs -q killed.img --root home
	xn cp killed.img -r tree :/home &
	sleep $delay
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
	ok xn ls killed.img /home
	ok xn mkdir killed.img /home/after
	# Blocks that were taken and never named may be left: what -p gives back without asking.
	try xn fsck -p -f killed.img
	[ $code -le 1 ] || complain "xn fsck -p gave $code: $(cat out)"
	sound killed.img
done

done_testing
