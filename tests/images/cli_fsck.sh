#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# fsck: is xn-fsck, with its options and its exit codes.
. "$(dirname "$0")/lib.sh"

[ -x "$XN_BIN/xn-fsck" ] || skip "xn-fsck is not built"
given_image disk.img 32M

it "hands everything on, and the exit code back"
try xn fsck -n -f disk.img
equal $code 0
xn-fsck -n -f disk.img >direct 2>&1
cmp -s out direct || [ -z "$(diff <(cat out err) direct)" ] || complain "it said something else: $(cat out err)"
try xn fsck --no-such-option disk.img
equal $code 16
try xn fsck nosuch.img
equal $code 8

it "finds itself through PATH when it does not lie beside"
mkdir elsewhere
cp "$XN_BIN/xn" elsewhere/xn
try elsewhere/xn fsck -n disk.img
equal $code 0
try env PATH=/nonexistent elsewhere/xn fsck disk.img
equal $code 1
grep -q '^xn: xn-fsck: cannot be run: No such file' err || complain "it said: $(cat err)"

done_testing
