#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# xn crashtest, as people call it; $1: the folder of the shared object of naivefs.
. "$XN_SOURCE/tests/images/lib.sh"
naive=$1

it "finds nothing wrong with our own, and says what it looked at"
for type in cffs simplefs; do
	ok xn crashtest $type 'mkdir A; creat A/foo; append A/foo 9000; fsync A/foo; rename A/foo bar'
	output_has "^$type, .*: 1 workloads .*"
	output_has '0 violations'
done

it "knows workloads by their ids"
ok xn crashtest simplefs bugs:2 risks:0 seq-1:7 seq-1s:3 seq-2s:100000 random:5
output_has '^simplefs, all: 6 workloads'
ok xn crashtest --roots 2 cffs two:3
ok xn crashtest --list cffs seq-2s:4711
id=$(cut -f1 out) text=$(cut -f2 out)
equal "$id" seq-2s:4711
ok xn crashtest -q cffs "$text"
[ -s out ] && complain "it is not quiet"
ok xn crashtest --list -c 50 cffs seq-2s
lines=$(wc -l <out)
[ "$lines" -gt 20 ] && [ "$lines" -lt 100 ] || complain "$lines workloads instead of 50 or so"
printf '# a script\ncreat foo\nappend foo 5000 # some bytes\nfsync foo\n' >script
ok xn crashtest cffs @script
output_has '3 operations'

it "takes a part of a kind, and shares it out among processes, with the same outcome"
try xn crashtest --list cffs seq-2:100-139
equal "$(wc -l <out)" 40
equal "$(head -n1 out | cut -f1)" seq-2:100
ok xn crashtest simplefs seq-2s:60000-60149
grep -o '[0-9]* workloads.* not supported)' out >one
ok xn crashtest -j 3 simplefs seq-2s:60000-60149
grep -o '[0-9]* workloads.* not supported)' out | cmp -s - one || complain "$(cat out)"
output_has '[1-9][0-9]* more that other workloads had'

it "says the same twice"
ok xn crashtest -s 7 simplefs random:9
grep -v 'states/s' out >first
ok xn crashtest -s 7 simplefs random:9
grep -v 'states/s' out | cmp -s - first || complain "another run, other states"

export XN_LIBFS_PATH=$naive
it "catches a LibFS that does not care about order, with the smallest workload and a picture"
try xn crashtest -o picture.html naivefs bugs risks
equal $code 1
output_has '^The first: '
output_has 'R[567]: '
output_has '^  workload: creat foo; (fsync foo|sync)$'
output_has "again: xn crashtest naivefs 'creat foo; "
output_has 'picture: picture.html'
grep -q 'class="missing"' picture.html || complain "no write is missing in the picture"
grep -q 'class="power cut"' picture.html || complain "no cut in the picture"
again=$(sed -n "s/.*again: xn crashtest naivefs '\(.*\)'/\1/p" out)
try xn crashtest naivefs "$again"
equal $code 1

it "shows the first violation of several processes"
try xn crashtest -j 2 naivefs seq-1:0-127
equal $code 1
output_has '^The first: '
output_has '^  workload: creat foo; (fsync foo|sync)$'

it "catches its renames as well"
try xn crashtest --no-minimise naivefs \
	'creat foo; append foo 5000; creat new; append new 300; close'
equal $code 0
try xn crashtest naivefs 'creat foo; append foo 5000; creat new; append new 300; rename new foo; sync'
equal $code 1
output_has 'R[67]'

it "refuses what makes no sense"
try xn crashtest
equal $code 3
for words in "cffs seq-9" "cffs bugs:1000" "cffs seq-1:x" "cffs two:1" "--roots 3 cffs" \
	"cffs seq-1:9-3" "cffs seq-1:5-" "cffs seq-1:5-100000" "cffs random:1-2" "-j 0 cffs" "-j x cffs" \
	"--subsets 17 cffs" "-c some cffs" "--nosuch cffs" "--log x"; do
	# shellcheck disable=SC2086
	try xn crashtest $words
	equal $code 3
	[ -s err ] || complain "nothing was said of: $words"
done
try xn crashtest nosuchfs bugs:0
equal $code 2
grep -q 'no LibFS is called "nosuchfs"' err || complain "$(cat err)"
try xn crashtest cffs @nosuch
equal $code 3
for text in 'creat /' 'unlink foo' 'rename / foo' 'creat b:foo' 'append @ 5' 'jump foo' 'sync; close; sync' \
	'creat foo; write foo 99999999999999 5' 'creat foo; link foo /' 'creat foo; creat foo/bar' \
	'creat foo; falloc foo plain 5 99999999999999999999'; do
	try xn crashtest cffs "$text "
	equal $code 1
	output_has 'operation [0-9]'
done
try xn crashtest --log nosuch nosuch
equal $code 2

done_testing
