#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The packages: made, found good by lintian, installed into a fresh root, used from there as
# the system would, removed again without a trace.
. "$XN_SOURCE/tests/images/lib.sh"

for program in cpack dpkg-deb dpkg-shlibdeps dpkg; do
	command -v $program >/dev/null || skip "$program is not installed"
done
[ "$(id -u)" = 0 ] || skip "dpkg installs as root only"
grep -q '^CMAKE_INSTALL_PREFIX:PATH=/usr$' "$XN_BUILD/CMakeCache.txt" || skip "the build is not for /usr"

it "makes a package of each component"
SOURCE_DATE_EPOCH=$(date +%s) cpack -G DEB -B "$dir/packages" --config "$XN_BUILD/CPackConfig.cmake" \
	>cpack.log 2>&1 || complain "$(tail -5 cpack.log)"
rm -rf packages/_CPack_Packages
names=$(cd packages && echo ./*.deb | sed 's#\./##g; s/_[^ ]*//g')
equal "$names" "libxnfs-dev libxnfs0 xn-doc xn-fuse xn-tools"
for package in xn-tools xn-fuse libxnfs0 libxnfs-dev; do
	dpkg-deb -f packages/${package}_*.deb Depends | grep -q 'libc6\|fuse3\|libxnfs0' ||
		complain "$package depends on nothing"
done
dpkg-deb -f packages/xn-fuse_*.deb Depends | grep -q 'fuse3.*libfuse3\|libfuse3.*fuse3' ||
	complain "xn-fuse: $(dpkg-deb -f packages/xn-fuse_*.deb Depends)"

it "is found good by lintian"
if command -v lintian >/dev/null; then
	lintian --allow-root --fail-on error,warning packages/*.deb >lintian.log 2>&1 ||
		complain "$(head -20 lintian.log)"
else
	echo "lintian is not installed: not asked"
fi

it "installs into a fresh root"
root=$dir/root
mkdir -p "$root"/var/lib/dpkg/{info,updates,triggers} "$root/var/log" "$root/usr/sbin"
touch "$root"/var/lib/dpkg/{status,available}
into_root() { dpkg --root="$root" --force-depends --no-triggers --log=/dev/null "$@"; }
ok into_root --install packages/*.deb
equal "$(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${db:Status-Abbrev}' | tr -d ' ')" "iiiiiiiiii"
for file in bin/xn bin/xn-fuse bin/xn-fsck bin/xn-tmpl sbin/mkfs.xn sbin/fsck.xn sbin/fsck.fuse.xn sbin/mount.xn \
	sbin/mount.fuse.xn sbin/umount.fuse.xn share/man/man1/xn.1.gz share/man/man5/xn-format.5.gz \
	share/man/man8/mount.xn.8.gz share/bash-completion/completions/xn share/xn/xn.magic share/xn/xn.schema.json \
	lib/systemd/system/xn@.service include/xnfs/xnfs.h bin/xn-libfs-test share/man/man7/xn-libfs.7.gz \
	share/doc/libxnfs-dev/examples/notefs/notefs.c; do
	[ -s "$root/usr/$file" ] || complain "no /usr/$file"
done
find "$root/usr" -xtype l | grep . && complain "links that lead nowhere"

# Lay the root over this one's /usr, in this namespace only: then they are installed.
used() {
	cd "$dir" || exit 1
	PATH=/usr/sbin:/usr/bin:/sbin:/bin
	hash -r
	mkfs -t xn -q -L packed -r home disk.img 32M || echo "mkfs -t xn"
	fsck -t xn -T "$dir/disk.img" -- -f -n >/dev/null || echo "fsck -t xn"
	if [ -w /dev/fuse ]; then
		mkdir -p mnt
		mount -t xn "$dir/disk.img" mnt || echo "mount -t xn"
		echo text >mnt/home/file || echo "writing"
		umount mnt || echo "umount"
		[ "$(xn cat disk.img /home/file)" = text ] || echo "what was written"
	fi
	ldconfig -C ./cache 2>/dev/null
	sed -n '/^# EXAMPLE/,/^# SEE ALSO/p' "$XN_SOURCE/libfs/xnfs/xnfs.3.scd" |
		sed '1,/^```$/d;/^```$/,$d' >list.c
	# shellcheck disable=SC2046
	cc -Wall -Werror list.c -o list $(pkg-config --cflags --libs xnfs) || echo "pkg-config"
	./list disk.img /home >listed || echo "the example"
	printf '%s\n' 'cmake_minimum_required(VERSION 3.20)' 'project(user C)' 'find_package(xnfs 0.1 REQUIRED)' \
		'add_executable(user list.c)' 'target_link_libraries(user PRIVATE xnfs::xnfs)' >CMakeLists.txt
	{ cmake -B build . && cmake --build build; } >cmake.log 2>&1 || echo "find_package: $(tail -3 cmake.log)"
	build/user disk.img / >/dev/null || echo "the example by CMake"
	printf '#include <udf/xn_udf.h>\nint x;\n' >t.bpf.c
	if command -v clang >/dev/null; then
		clang -target bpf -O2 -c t.bpf.c -o t.o || echo "xn_udf.h"
	fi
	printf '#include <libfs/libfs.h>\n#include <xn/xn.h>\n' | cc -x c -fsyntax-only - || echo "libfs.h"
	xn-tmpl --help >/dev/null || echo "xn-tmpl"
	if command -v man >/dev/null; then
		man -w xn mkfs.xn fsck.xn mount.xn umount.xn xn-format xnfs xn-tmpl xn-libfs xn-libfs-test >/dev/null || echo "man"
	fi
}

it "works as the system's own: mkfs, fsck, mount, pkg-config, find_package, man"
if [ -n "${XN_NAMESPACE-}" ] && mount -t overlay overlay -o "lowerdir=$root/usr:/usr" /usr 2>overlay.log; then
	used >wrong 2>&1
	umount -l /usr
	[ ! -s wrong ] || complain "$(head -12 wrong)"
else
	echo "no overlay over /usr here: $(head -1 overlay.log 2>/dev/null)"
	LD_LIBRARY_PATH=$(dirname "$(find "$root/usr/lib" -name 'libxnfs.so.0')")
	export LD_LIBRARY_PATH
	ok "$root/usr/sbin/mkfs.xn" -q -r home disk.img 32M
	ok "$root/usr/sbin/fsck.xn" -f -n disk.img
fi

it "is removed without a trace"
# shellcheck disable=SC2086
ok into_root --purge $names
equal "$(find "$root/usr" "$root/etc" ! -type d 2>/dev/null)" ""
equal "$(dpkg-query --admindir="$root/var/lib/dpkg" -W 2>/dev/null)" ""

done_testing
