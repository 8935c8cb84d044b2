#!/bin/sh
# SPDX-License-Identifier: MIT
#
# build, check, dump and run do what --help says; exit codes tell refusal (1) from
# trouble (2).
. "$(dirname "$0")/lib.sh"

tmpl=$XN_BIN/xn-tmpl
compile "$here/good.bpf.c" "$work/good.o"

# bytes OFFSET HEX...: write bytes into $work/block
fresh() {
	head -c "$1" /dev/zero >"$work/block"
}
bytes() {
	at=$1
	shift
	for byte; do
		printf "\\$(printf %03o "0x$byte")"
	done | dd of="$work/block" bs=1 seek="$at" conv=notrunc status=none
}

# ---- build ----
run 0 "$tmpl" build "$work/good.o" -o "$work/out/" --c "$work/good_templates.c"
for file in out/good_pointers.tmpl out/good_names.tmpl good_templates.c good_templates.h; do
	[ -s "$work/$file" ] || wrong "$file was not written"
done
cp -r "$work/out" "$work/again"
run 0 "$tmpl" build "$work/good.o" -o "$work/again"
cmp "$work/out/good_pointers.tmpl" "$work/again/good_pointers.tmpl" || wrong "two builds differ"

cat >"$work/use.c" <<'C'
#include <stdio.h>
#include "good_templates.h"
int main(void)
{
	FILE *out = fopen("embedded.tmpl", "wb");

	fwrite(good_names_tmpl, 1, good_names_tmpl_len, out);
	printf("%d %d %d %s %d\n", good_templates_count, good_templates_good_pointers,
	       good_templates_good_names, good_templates_name[1],
	       good_templates_image[1] == good_names_tmpl &&
	       good_templates_image_len[1] == good_names_tmpl_len);
	return fclose(out);
}
C
(cd "$work" && cc -Wall -Wextra -Werror -Wmissing-prototypes use.c good_templates.c -o use) ||
	wrong "generated C does not compile"
run 0 sh -c "cd '$work' && ./use"
prints "^2 0 1 good_names 1$" "generated C"
cmp "$work/embedded.tmpl" "$work/out/good_names.tmpl" || wrong "embedded image differs"

run 2 "$tmpl" build "$work/good.o" -o "$work/one.tmpl"
says "2 templates need a directory" "two templates, one file"
run 2 "$tmpl" build "$work/missing.o" -o "$work/x.tmpl"
run 2 "$tmpl" build "$work/good.o" -o "$work/no/such/dir/"
run 2 "$tmpl" build "$work/good.o"
run 2 "$tmpl" build "$work/good.o" -o "$work/out/" --c "$work/name.cpp"
run 1 "$tmpl" build "$here/good.bpf.c" -o "$work/x.tmpl"
says "not an ELF file" "a C file as object"
run 1 "$tmpl" build "$work/use" -o "$work/x.tmpl"
says "not a little-endian BPF object" "a host program as object"
run 1 "$tmpl" build "$work/good.o" "$work/good.o" -o "$work/out/"
says "defined twice" "the same object twice"

# ---- batch order ----
run 0 "$tmpl" dump "$work/out/good_pointers.tmpl"
prints "child     2 BATCH+1" "as given"
prints "child     3 SELF" "SELF"
prints "child     4 id:1f" "id"
prints "flags     sticky" "flags"
run 0 "$tmpl" build "$work/good.o" -o "$work/out2/" --order good_names,good_pointers
run 0 "$tmpl" dump "$work/out2/good_pointers.tmpl"
prints "child     2 BATCH+0" "as --order says"
run 1 "$tmpl" build "$work/good.o" -o "$work/out2/" --order good_names
run 1 "$tmpl" build "$work/good.o" -o "$work/out2/" --order good_names,good_names
run 1 "$tmpl" build "$work/good.o" -o "$work/out2/" --order good_names,good_pointers,x

# ---- check ----
run 0 "$tmpl" check "$work/out/good_pointers.tmpl" "$work/out/good_names.tmpl"
prints "good.pointers: sound" "check"
cp "$work/out/good_names.tmpl" "$work/bad.tmpl"
printf x | dd of="$work/bad.tmpl" bs=1 seek=300 conv=notrunc status=none
run 1 "$tmpl" check "$work/out/good_pointers.tmpl" "$work/bad.tmpl"
says "checksum" "a damaged image"
run 2 "$tmpl" check "$work/missing.tmpl"
run 2 "$tmpl" check

# ---- dump ----
run 0 "$tmpl" dump "$work/out/good_names.tmpl"
prints "^init, 14 bytes:$" "init ends at its last byte that is not zero"
prints "4e 41 4d 45 53" "init bytes"
run 1 "$tmpl" dump "$work/bad.tmpl"

# ---- run ----
pointers=$work/out/good_pointers.tmpl names=$work/out/good_names.tmpl
fresh 4096
bytes 24 05
bytes 4088 09
run 0 "$tmpl" run "$pointers" owns "$work/block"
prints "^record 3: start 5 count 1 child 3 SELF$" "owns"
prints "^record 511: start 9 count 2 child 1 RESERVED$" "owns of the last record"
[ "$(wc -l <"$work/stdout")" -eq 2 ] || wrong "owns prints more than what is owned"
run 0 "$tmpl" run "$pointers" owns "$work/block" --record 511
[ "$(wc -l <"$work/stdout")" -eq 1 ] || wrong "--record does not choose one"
run 0 "$tmpl" run --record 3 "$pointers" refcnt "$work/block"
prints "^record 3: 13$" "refcnt"
run 0 "$tmpl" run "$pointers" size "$work/block"
prints "^4096$" "size"
bytes 0 02
run 0 "$tmpl" run "$pointers" check "$work/block" --first-block 100
prints "^111$" "check: 2*4 + 3*1 + 100"
bytes 24 9a 02
run 1 "$tmpl" run "$pointers" owns "$work/block"
says "MALFORMED at slot [0-9]* of record 3, value 0x1" "a malformed record"

head -c 512 "$here/good.bpf.c" >"$work/block"
run 0 "$tmpl" run "$names" check "$work/block"
prints "^1$" "check of a foreign block"
fresh 512
bytes 0 4e 41 4d 45 53 00 00 00 e8 03 00 00
run 0 "$tmpl" run "$names" check "$work/block"
prints "^0$" "check of a sound object"
head -c 200 /dev/zero >"$work/args"
run 0 "$tmpl" run "$names" acl "$work/block" --args "$work/args"
prints "^approved$" "acl for uid 0"
cp "$work/block" "$work/object"
cp "$work/args" "$work/block"
bytes 24 07
run 0 "$tmpl" run "$names" acl "$work/object" --args "$work/block"
prints "^denied$" "acl for uid 7"
run 1 "$tmpl" run "$names" acl "$work/object"
says "acl faulted: MEM" "acl without arguments"

run 1 "$tmpl" run "$names" owns "$work/object"
says "no function owns" "an absent function"
run 2 "$tmpl" run "$names" own "$work/object"
run 1 "$tmpl" run "$pointers" owns "$work/object"
says "512 bytes; an object of good.pointers has 4096" "a block of another size"
fresh 4096
run 2 "$tmpl" run "$pointers" owns "$work/block" --record 512
run 2 "$tmpl" run "$pointers" owns "$work/block" --record x
run 2 "$tmpl" run "$pointers" owns "$work/block" --record -1
run 2 "$tmpl" run "$pointers" owns
run 2 "$tmpl" run "$pointers" owns "$work/missing"
run 1 "$tmpl" run "$work/bad.tmpl" owns "$work/block"

# ---- warnings ----
compile "$here/straddling.bpf.c" "$work/straddling.o"
run 0 "$tmpl" build "$work/straddling.o" -o "$work/straddling/"
says "straddling: warning: record 5 straddles two 512-byte sectors" "records of 100 bytes"
says "large: warning: records share 512-byte sectors" "records of 600 bytes"
! grep -q aligned "$work/stderr" || wrong "a warning about aligned records"

# ---- the program itself ----
run 0 "$tmpl" --help
prints "xn-tmpl run TEMPLATE FUNCTION BLOCKFILE" "--help"
run 2 "$tmpl"
run 2 "$tmpl" frobnicate
says "no such command" "an unknown command"
finish "build, check, dump, run"
