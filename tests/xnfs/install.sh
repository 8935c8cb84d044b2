#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The library as others get it: installed, found by pkg-config and by CMake, used by
# the example of its manual page, and showing nothing of its inside.
set -u
fail() {
	echo "FAILED: $*" >&2
	exit 1
}
work=$(mktemp -d "${TMPDIR:-/tmp}/xnfs-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

cmake --install "$XN_BUILD/libfs/xnfs" --prefix "$work/usr" >install.log 2>&1 || { cat install.log; fail "install"; }
libdir=$(dirname "$(find usr -name 'libxnfs.so')")
"$XN_BIN/xn" format disk.img --size 64M >/dev/null && "$XN_BIN/xn" mkfs disk.img --root home >/dev/null || fail "a disk"
echo hello >letter
"$XN_BIN/xn" cp disk.img letter :/home/letter || fail "a file"

sed -n '/^# EXAMPLE/,/^# SEE ALSO/p' "$XN_SOURCE/libfs/xnfs/xnfs.3.scd" | sed '1,/^```$/d;/^```$/,$d' >list.c
[ -s list.c ] || fail "the manual has no example"
pc=$(find usr -name xnfs.pc)
sed -i "s|^prefix=.*|prefix=$work/usr|; s|^libdir=.*|libdir=$work/$libdir|; s|^includedir=.*|includedir=$work/usr/include|" "$pc"
# The flags of the sanitizers, when everything is built with them.
flags=$(sed -n 's/^XN_SANITIZE:STRING=\(..*\)/-fsanitize=\1/p' "$XN_BUILD/CMakeCache.txt")
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$XN_BUILD/CMakeCache.txt")
# shellcheck disable=SC2046,SC2086
PKG_CONFIG_PATH=$(dirname "$pc") && export PKG_CONFIG_PATH
$compiler -Wall -Wextra -Werror $flags list.c -o list $(pkg-config --cflags --libs xnfs) || fail "by pkg-config"
LD_LIBRARY_PATH=$libdir ./list disk.img /home >listed || fail "the example"
grep -qx letter listed || fail "the example does not list the file"
LD_LIBRARY_PATH=$libdir ./list disk.img /none 2>/dev/null && fail "the example lists what is not there"

cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.20)
project(user C)
find_package(xnfs 0.1 REQUIRED)
add_executable(user list.c)
target_link_libraries(user PRIVATE xnfs::xnfs)
END
cmake -B build -DCMAKE_PREFIX_PATH="$work/usr" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="$flags" >cmake.log 2>&1 &&
	cmake --build build >>cmake.log 2>&1 || { cat cmake.log; fail "by CMake"; }
build/user disk.img /home | grep -qx letter || fail "the example, built by CMake"

strange=$(nm -D --defined-only "$libdir"/libxnfs.so.0 | awk '$2 ~ /[TDBR]/ { print $3 }' |
	sed 's/@.*//' | grep -vE '^(xnfs_|xn_|libfs_)')
[ -z "$strange" ] || fail "libxnfs.so also shows: $strange"
for call in $(sed -n 's/^[a-z].*[ *]\(xnfs_[a-z_]*\)(.*/\1/p' "$XN_SOURCE/libfs/include/xnfs/xnfs.h"); do
	nm -D --defined-only "$libdir"/libxnfs.so.0 | grep -q " $call@@XNFS_0" || fail "$call is not in the library"
	grep -q "$call" "$XN_SOURCE/libfs/xnfs/xnfs.3.scd" || fail "$call is not in the manual"
done
