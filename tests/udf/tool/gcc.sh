#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Templates compiled by gcc are accepted and do what clang's do.
. "$(dirname "$0")/lib.sh"

command -v bpf-gcc >/dev/null 2>&1 || {
	echo "SKIP: no bpf-gcc (package gcc-bpf)"
	exit 77
}
compile "$here/good.bpf.c" "$work/clang.o"
run 0 "$XN_BIN/xn-tmpl" build "$work/clang.o" -o "$work/clang/"
i=0
while [ $i -lt 512 ]; do # pointers below 256, some of them 0
	printf "\\$(printf %03o $((i * 7 % 256)))\\0\\0\\0\\0\\0\\0\\0"
	i=$((i + 1))
done >"$work/block"
for level in 1 2 s; do
	bpf-gcc -O$level -fno-builtin -Wall -I"$XN_SOURCE/udf/include" -c "$here/good.bpf.c" \
		-o "$work/gcc.o" || wrong "bpf-gcc -O$level"
	# gcc turns the order of definitions around
	run 0 "$XN_BIN/xn-tmpl" build "$work/gcc.o" -o "$work/gcc/" --order good_pointers,good_names
	for function in owns size refcnt check; do
		run 0 "$XN_BIN/xn-tmpl" run "$work/clang/good_pointers.tmpl" $function "$work/block"
		mv "$work/stdout" "$work/expected"
		run 0 "$XN_BIN/xn-tmpl" run "$work/gcc/good_pointers.tmpl" $function "$work/block"
		cmp "$work/expected" "$work/stdout" || wrong "$function at -O$level differs"
	done
done
finish "gcc agrees with clang"
