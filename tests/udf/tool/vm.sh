#!/bin/sh
# SPDX-License-Identifier: MIT
#
# xn-udf-vm as conformance suites call it: program on standard input, memory as
# the first argument, result in hexadecimal on standard output.
. "$(dirname "$0")/lib.sh"

vm=$XN_BIN/xn-udf-vm

# expect RESULT PROGRAM [arguments...]
expect() {
	result=$1 program=$2
	shift 2
	got=$(echo "$program" | "$vm" "$@" 2>"$work/stderr") || {
		wrong "'$program' $*: $(cat "$work/stderr")"
		return
	}
	[ "$got" = "$result" ] || wrong "'$program' $*: $got, expected $result"
}

# refused WORDS PROGRAM [arguments...]
refused() {
	words=$1 program=$2
	shift 2
	if echo "$program" | "$vm" "$@" >"$work/stdout" 2>"$work/stderr"; then
		wrong "'$program' $* was not refused"
	fi
	[ ! -s "$work/stdout" ] || wrong "'$program' $* printed a result"
	says "$words" "'$program' $*"
}

exit_r0="95 00 00 00 00 00 00 00"
expect 7 "b7 00 00 00 07 00 00 00 $exit_r0"
expect 7 "b700000007000000 9500000000000000"
expect 7 "B7 00 00 00 07 00 00 00 $exit_r0" --interp
expect ffffffffffffffff "b7 00 00 00 ff ff ff ff $exit_r0"
expect 0 "$exit_r0"

# r1 is the address of MEM or 0, r2 its length
expect 0 "bf 10 00 00 00 00 00 00 $exit_r0"
expect 10000000 "bf 10 00 00 00 00 00 00 $exit_r0" "01 02"
expect 0 "bf 20 00 00 00 00 00 00 $exit_r0" ""
expect 3 "bf 20 00 00 00 00 00 00 $exit_r0" "01 02 03"
expect 3 "bf 20 00 00 00 00 00 00 $exit_r0" 010203 --interp
expect ddccbbaa "61 10 00 00 00 00 00 00 $exit_r0" "aa bb cc dd"
# MEM can be written: *(u8 *)(r1 + 1) = 0x44; r0 = *(u32 *)r1
expect ddcc44aa "72 01 01 00 44 00 00 00 61 10 00 00 00 00 00 00 $exit_r0" "aa bb cc dd"
# helper 5 returns its first argument
expect 2a "b7 01 00 00 2a 00 00 00 85 00 00 00 05 00 00 00 $exit_r0"
# local calls and the stack
expect 5 "85 10 00 00 01 00 00 00 $exit_r0 b7 00 00 00 05 00 00 00 $exit_r0"
expect 9 "7a 0a f8 ff 09 00 00 00 79 a0 f8 ff 00 00 00 00 $exit_r0"

refused "V7" "b7 00 00 00 07 00 00 00"
refused "V2" "ff 00 00 00 00 00 00 00 $exit_r0"
refused "V9" "85 00 00 00 01 00 00 00 $exit_r0"
refused "V9" "85 00 00 00 04 00 00 00 $exit_r0"
refused "V1" ""
refused "load outside" "79 10 00 00 00 00 00 00 $exit_r0" "aa bb cc dd"
refused "store outside" "7b 11 00 00 00 00 00 00 $exit_r0" "aa bb cc dd"
refused "load outside" "79 10 00 00 00 00 00 00 $exit_r0"
refused "out of fuel" "05 00 ff ff 00 00 00 00 $exit_r0"
refused "hexadecimal" "b7 00 0"
refused "hexadecimal" "zz"
refused "hexadecimal" "$exit_r0" "a"
refused "hexadecimal" "$exit_r0" "0x12"
refused "not available" "$exit_r0" --jit
refused "unexpected argument" "$exit_r0" aa bb
refused "unexpected argument" "$exit_r0" --fast
run 0 "$vm" --help
prints "usage" "--help"
finish "conformance convention"
