#!/bin/sh
# SPDX-License-Identifier: MIT
#
# xn-tmpl dump writes every instruction as llvm-objdump does.  Instructions that
# this llvm-objdump does not know are compared with what newer ones print.
. "$(dirname "$0")/lib.sh"

objdump=
for candidate in "$(dirname "$("$clang" -print-prog-name=llvm-objdump)")/llvm-objdump" \
	llvm-objdump llvm-objdump-14 llvm-objdump-16 llvm-objdump-19; do
	if command -v "$candidate" >/dev/null 2>&1; then
		objdump=$candidate
		break
	fi
done
[ -n "$objdump" ] || {
	echo "SKIP: no llvm-objdump"
	exit 77
}
"$objdump" --version | grep -q 'LLVM version 14\.' || {
	echo "SKIP: llvm-objdump is not 14; later ones write numbers in hexadecimal"
	exit 77
}

# slot OPCODE REGISTERS OFFSET IMMEDIATE: one instruction as assembler bytes
slot() {
	printf '\t.byte 0x%s, 0x%s\n\t.short %d\n\t.long %d\n' "$1" "$2" "$3" "$4"
}

program() {
	printf '\t.section xn/check.t,"ax"\n\t.globl t\n\t.type t,@function\nt:\n'
	slot 85 10 0 -1
	for op in 0 1 2 3 4 5 6 7 9 a b c; do
		for imm in 0 1 -1 2147483647 -2147483648 123456; do
			slot "${op}4" 03 0 "$imm"
			slot "${op}7" 09 0 "$imm"
		done
		slot "${op}c" 12 0 0
		slot "${op}f" a8 0 0
	done
	slot 84 06 0 0
	slot 87 07 0 0
	for width in 16 32 64; do
		slot d4 01 0 "$width"
		slot dc 02 0 "$width"
	done
	for imm in 0 1 -1 2147483647 -2147483648; do
		slot 18 04 0 "$imm"
		slot 00 00 0 "$imm"
		slot 18 05 0 "$imm"
		slot 00 00 0 0
	done
	for op in 61 69 71 79; do
		for off in 0 1 -1 32767 -32768; do
			slot "$op" 31 "$off" 0
		done
	done
	for op in 63 6b 73 7b; do
		for off in 0 1 -1 32767 -32768; do
			slot "$op" 42 "$off" 0
		done
	done
	for op in 1 2 3 4 5 6 7 a b c d; do
		for off in 0 -1; do
			slot "${op}5" 03 "$off" -5
			slot "${op}6" 03 "$off" 2147483647
			slot "${op}d" 23 "$off" 0
			slot "${op}e" 23 "$off" 0
		done
	done
	slot 05 00 0 0
	slot 05 00 -1 0
	slot 85 00 0 2
	slot 85 00 0 3
	slot 95 00 0 0
	printf '\t.size t, .-t\n'
	descriptor
}

# struct xn_template: sizes only
descriptor() {
	printf '\t.section xn/tmpl.t,"a"\n\t.zero 68\n\t.long 512\n\t.zero 40\n\t.zero 3968\n'
}

# "SLOT TEXT" of each instruction, by llvm-objdump and by xn-tmpl
theirs() {
	"$objdump" -d "$1" | sed -n 's/^ *\([0-9]*\):\t[0-9a-f ]*\t\(.*\)$/\1 \2/p' |
		sed 's/ <[A-Za-z_][A-Za-z0-9_.+]*>$//'
}
ours() {
	"$XN_BIN/xn-tmpl" dump "$1" | sed -n 's/^ *\([0-9]*\):\t[0-9a-f ]*\t\(.*\)$/\1 \2/p'
}

program >"$work/all.s"
"$clang" -target bpf -c "$work/all.s" -o "$work/all.o" || wrong "cannot assemble"
run 0 "$XN_BIN/xn-tmpl" build "$work/all.o" -o "$work/all.tmpl"
theirs "$work/all.o" >"$work/known"
ours "$work/all.tmpl" >"$work/ours"
# this llvm-objdump may be too old for some (14: %=, &), which leaves a bare number
grep -v '^[0-9]*$' "$work/known" >"$work/theirs"
sed -n 's/^\([0-9]*\)$/^\1 /p' "$work/known" >"$work/unknown"
[ ! -s "$work/unknown" ] || {
	grep -v -f "$work/unknown" "$work/ours" >"$work/kept"
	mv "$work/kept" "$work/ours"
}
diff "$work/theirs" "$work/ours" >&2 || wrong "disassembly differs (<: llvm-objdump)"
lines=$(wc -l <"$work/ours")
[ "$lines" -gt 250 ] || wrong "only $lines instructions compared"

# a compiled template, function by function (linked calls differ by design)
compile "$here/good.bpf.c" "$work/good.o"
run 0 "$XN_BIN/xn-tmpl" build "$work/good.o" -o "$work/good/"
for section in owns size refcnt; do
	"$objdump" -d --section="xn/$section.good_pointers" "$work/good.o" >"$work/section"
	sed -n 's/^ *\([0-9]*\):\t[0-9a-f ]*\t\(.*\)$/\1 \2/p' "$work/section" |
		sed 's/ <[A-Za-z_][A-Za-z0-9_.+]*>$//' >"$work/theirs"
	"$XN_BIN/xn-tmpl" dump "$work/good/good_pointers.tmpl" | sed -n "/^$section,/,/^$/p" |
		sed -n 's/^ *\([0-9]*\):\t[0-9a-f ]*\t\(.*\)$/\1 \2/p' >"$work/ours"
	[ -s "$work/ours" ] || wrong "no code in $section"
	diff "$work/theirs" "$work/ours" >&2 || wrong "$section differs"
done

# newer instructions: what llvm-objdump 19 prints
newer() {
	printf '\t.section xn/check.t,"ax"\nt:\n'
	slot 34 03 1 7
	slot 3f 23 1 0
	slot 97 03 1 -7
	slot 9c 23 1 0
	slot bf 21 8 0
	slot bf 21 32 0
	slot bc 21 16 0
	slot d7 05 0 32
	slot 81 31 4 0
	slot 91 31 -4 0
	slot 06 00 0 0
	slot 97 03 0 -7
	slot 9c 23 0 0
	slot 45 03 0 -5
	slot 4e 23 -1 0
	slot 72 0a -8 5
	slot 7a 0a -8 -1
	slot 95 00 0 0
	descriptor
}
cat >"$work/expected" <<'TEXT'
0 w3 s/= 7
1 r3 s/= r2
2 r3 s%= -7
3 w3 s%= w2
4 r1 = (s8)r2
5 r1 = (s32)r2
6 w1 = (s16)w2
7 r5 = bswap32 r5
8 r1 = *(s32 *)(r3 + 4)
9 r1 = *(s8 *)(r3 - 4)
10 gotol +0
11 r3 %= -7
12 w3 %= w2
13 if r3 & -5 goto +0
14 if w3 & w2 goto -1
15 *(u8 *)(r10 - 8) = 5
16 *(u64 *)(r10 - 8) = -1
17 exit
TEXT
newer >"$work/newer.s"
"$clang" -target bpf -c "$work/newer.s" -o "$work/newer.o" || wrong "cannot assemble"
run 0 "$XN_BIN/xn-tmpl" build "$work/newer.o" -o "$work/newer.tmpl"
ours "$work/newer.tmpl" >"$work/ours"
diff "$work/expected" "$work/ours" >&2 || wrong "newer instructions differ"
finish "$lines instructions compared with $("$objdump" --version | grep -m1 version)"
