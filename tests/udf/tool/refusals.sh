#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Whatever a template may not hold is refused by name: each file of bad/ says in
# its second line what xn-tmpl must say about it.  Nothing is written then.
. "$(dirname "$0")/lib.sh"

checked=0
for source in "$here"/bad/*.bpf.c; do
	name=$(basename "$source" .bpf.c)
	expect=$(sed -n '2s,^/\* expect: \(.*\) \*/$,\1,p' "$source")
	[ -n "$expect" ] || wrong "$name does not say what to expect"
	compile "$source" "$work/$name.o"
	run 1 "$XN_BIN/xn-tmpl" build "$work/$name.o" -o "$work/$name.tmpl"
	says "$expect" "$name"
	[ ! -e "$work/$name.tmpl" ] || wrong "$name: a template was written"
	checked=$((checked + 1))
done

# what concerns an instruction names the source line
for name in atomic callx emit_outside_owns function_pointer owns_rejects_the_initial_object; do
	run 1 "$XN_BIN/xn-tmpl" build "$work/$name.o" -o "$work/$name.tmpl"
	says "$name.bpf.c:[1-9][0-9]*: [^ ]" "$name"
done

# without -g the same is refused, without a line
"$clang" -O2 -target bpf -mcpu=v3 -w -I"$XN_SOURCE/udf/include" -c "$here/bad/callx.bpf.c" \
	-o "$work/plain.o"
run 1 "$XN_BIN/xn-tmpl" build "$work/plain.o" -o "$work/plain.tmpl"
says "callx" "callx without -g"

[ "$checked" -ge 29 ] || wrong "only $checked files in bad/"
finish "$checked objects refused, each with its reason"
