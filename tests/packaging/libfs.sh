#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Somebody writes a LibFS elsewhere: with what is installed, and no line of our tree, the example
# is built, used by every tool, crashed and asked what it promises.
. "$XN_SOURCE/tests/images/lib.sh"

for component in dev tools; do
	cmake --install "$XN_BUILD" --prefix "$dir/usr" --component $component >install.log 2>&1 || {
		echo "FAILED: install: $(tail -3 install.log)"
		exit 1
	}
done
PATH=$dir/usr/bin:$PATH
hash -r
cp -r usr/share/doc/libxnfs-dev/examples/notefs . || exit 1

it "builds by find_package(xn-libfs), without a warning"
{ cmake -S notefs -B build -DCMAKE_PREFIX_PATH="$dir/usr" -DCMAKE_C_FLAGS=-Werror && cmake --build build; } \
	>build.log 2>&1 || complain "$(tail -8 build.log)"
[ -f build/xn-libfs-notefs.so ] || complain "no shared object"

it "builds without CMake, as xn-libfs(7) says"
(
	cd notefs || exit 1
	clang=$(sed -n 's/^XN_BPF_CLANG:[^=]*=//p' "$XN_BUILD/CMakeCache.txt")
	PKG_CONFIG_PATH=$(dirname "$(find "$dir/usr" -name xn-libfs.pc)")
	export PKG_CONFIG_PATH
	# shellcheck disable=SC2046
	"$clang" -O2 -target bpf -mcpu=v3 -fno-builtin -g -Wall -I"$dir/usr/include" -I. -c types/notefs.bpf.c -o t.o &&
		xn-tmpl build t.o -o notefs_dir.tmpl --c notefs_templates.c >/dev/null &&
		cc -shared -fPIC -I"$dir/usr/include" $(pkg-config --cflags xn-libfs) notefs.c notefs_templates.c \
			-o xn-libfs-notefs.so && [ "$(pkg-config --variable=libfsdir xn-libfs)" != "" ]
) >hand.log 2>&1 || complain "$(tail -5 hand.log)"

export XN_LIBFS_PATH=$dir/build
it "is known to every tool"
ok xn format -q disk.img --size 16M
ok xn mkfs disk.img --root notes --type notefs
ok xn cp disk.img notefs/README.md notefs/notefs.c :/notes
ok xn mv disk.img /notes/README.md /notes/notefs.c
xn cat disk.img /notes/notefs.c | cmp - notefs/README.md
json '.entries | length == 1' xn ls --json disk.img /notes
json '.files[0].extents[0].block != null' xn layout --json disk.img /notes/notefs.c
ok xn owner disk.img "$(jq -r '.files[0].extents[0].block' out)"
output_has 'notefs.dir'
json '[.roots[].name] | any(. == "/notes (notefs)")' xn map --json disk.img
refused 1 'Function not implemented' xn mkdir disk.img /notes/folder
refused 1 'File name too long' xn cp disk.img notefs/notefs.h ":/notes/$(printf 'x%.0s' {1..64})"
ok xn fsck -f -n disk.img
output_has 'only its templates vouch for it'

it "keeps its promises in every state that a crash may leave"
ok xn crashtest -c 60 notefs bugs seq-1s seq-2s
output_has '0 violations'

it "is asked what libfs.h promises"
ok xn-libfs-test notefs 'write*'
xn-libfs-test notefs >suite.log 2>&1
passed=$(grep -c '^\[       OK' suite.log) skipped=$(grep -c '^\[  SKIPPED \]' suite.log)
[ "$passed" -ge 20 ] && [ "$skipped" -ge 20 ] || complain "passed $passed, skipped $skipped: $(tail -20 suite.log)"
grep -q 'not there: libfs_mkdir' suite.log || complain "it does not say what is missing"
[ "$(xn-libfs-test -l | wc -l)" -gt 60 ] || complain "it lists no tests"

it "is told what is wrong with a shared object"
echo 'extern int nowhere(void); int f(void) { return nowhere(); }' >bad.c
cc -shared -fPIC bad.c -o build/xn-libfs-bad.so
refused 1 '"bad" cannot be loaded: .*nowhere' xn mkfs disk.img --root bad --type bad
cp build/xn-libfs-notefs.so build/xn-libfs-other.so
refused 1 'is no LibFS called "other": notefs' xn mkfs disk.img --root other --type other
for program in 'xn-crashtest' 'xn-libfs-test'; do
	try $program bad
	[ $code -gt 0 ] && grep -q "$program: .*nowhere" err || complain "$program: $(cat err)"
done
sound disk.img

done_testing
