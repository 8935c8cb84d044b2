#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# See it work: a disk of 1 GiB with two file systems on it, filled through a mount.
#
#   ./demo.sh [--no-install]
#
# Builds the release, makes build/demo/disk.img, copies a real tree of this
# machine into both file systems at the same time, mounts it anew, compares,
# checks, and reads it without a mount.  May be run again; leaves everything in
# build/demo.  Exit code 0: all of it was equal and clean.
set -u
cd "$(dirname "$0")" || exit 2

install=yes
case ${1-} in
"") ;;
--no-install) install=no ;;
-h | --help) sed -n '4,11s/^# \{0,1\}//p' demo.sh; exit 0 ;;
*) echo "demo.sh: unknown option $1" >&2; exit 2 ;;
esac

root=$PWD bin=$PWD/build/release/bin demo=$PWD/build/demo
image=$demo/disk.img mount=$demo/mnt
files_min=5000 bytes_max=$((400 << 20))

say() {
	printf '\n== %s\n' "$*"
}

die() {
	echo "demo.sh: $*" >&2
	exit 1
}

is_mounted() {
	grep -q " $mount fuse" /proc/mounts
}

unmount() {
	local tries
	for tries in 1 2 3 4 5 6 7 8 9 10; do
		is_mounted || return 0
		"$bin/xn" umount "$mount" && return 0 # returns when the image is free for the next
		sleep 0.5
	done
	return 1
}

leave() {
	is_mounted && unmount
}
trap leave EXIT

# The first tree of this machine that is large enough and not too large.
tree_choose() {
	local dir
	for dir in /usr/include /usr/share/doc /usr/share/man /usr/share /usr/lib/python3 /usr/lib; do
		[ -d $dir ] || continue
		[ "$(find $dir -type f 2>/dev/null | wc -l)" -ge $files_min ] || continue
		[ "$(du -sb $dir 2>/dev/null | cut -f1)" -le $bytes_max ] || continue
		echo $dir
		return
	done
	return 1
}

build() {
	. .ci/packages.sh
	# shellcheck disable=SC2086
	packages_need $packages_build || die "packages could not be installed"
	{ cmake --preset release && cmake --build --preset release -j "$(nproc)"; } \
		>"$demo/build.log" 2>&1 || {
		tail -20 "$demo/build.log"
		die "it does not build; see build/demo/build.log"
	}
}

run() {
	echo "\$ ${*//$root\//}"
	"$@"
}

must() {
	run "$@" || die "that should have worked (exit code $?)"
}

# One copy into each file system, at the same time.
copy_both() {
	local start=$SECONDS first second
	local how=(cp -a)
	[ "$(id -u)" = 0 ] || how=(cp -dR --preserve=mode,timestamps,links)
	"${how[@]}" "$tree" "$mount/home/tree" &
	first=$!
	"${how[@]}" "$tree" "$mount/data/tree" &
	second=$!
	wait $first || die "the copy into home failed"
	wait $second || die "the copy into data failed"
	echo "$(find "$tree" -type f | wc -l) files, $(du -sh "$tree" | cut -f1), twice, in $((SECONDS - start)) s"
}

# Name, kind, mode, time and target of everything below a directory.
attributes() {
	(cd "$1" && find . -mindepth 1 \( -type l -printf '%p %y %l\n' -o -printf '%p %y %m %T@\n' \) |
		LC_ALL=C sort)
}

compare() {
	local name
	for name in home data; do
		diff -r --no-dereference "$tree" "$1/$name/tree" || die "$name differs from $tree"
		diff <(attributes "$tree") <(attributes "$1/$name/tree") >"$demo/attributes.diff" ||
			die "$name has other modes or times; see build/demo/attributes.diff"
		echo "$name: equal to $tree"
	done
}

through_a_mount() {
	say "mount it: each file system is a directory of the mount"
	must "$bin/xn-fuse" "$image" "$mount"
	must ls -la "$mount"
	say "copy $tree into both at the same time"
	copy_both
	must df -h "$mount"
	say "unmount, mount again, compare"
	unmount || die "it does not unmount"
	must "$bin/xn-fuse" "$image" "$mount"
	compare "$mount"
	unmount || die "it does not unmount"
}

without_a_mount() {
	say "/dev/fuse cannot be opened here, so the image tool copies, without a mount"
	must "$bin/xn" cp --archive "$image" "$tree" :/home/tree
	must "$bin/xn" cp --archive "$image" "$tree" :/data/tree
}

read_without_mounting() {
	local file
	file=$(cd "$tree" && find . -type f -size -8k -size +0 | LC_ALL=C sort | head -1)
	file=${file#./}
	say "read it without mounting"
	run "$bin/xn" ls "$image" /home/tree | sed -n 1,8p
	run "$bin/xn" cat "$image" "/data/tree/$file" | sed -n 1,5p
	rm -rf "$demo/out"
	must "$bin/xn" cp "$image" ":/data/tree/$file" "$demo/out"
	cmp "$demo/out" "$tree/$file" || die "the copy differs"
	echo "equal to $tree/$file"
}

mkdir -p "$demo"
say "build"
build
is_mounted && { unmount || die "$mount is still in use"; }
rm -rf "$mount" "$image"
mkdir -p "$mount"
tree=$(tree_choose) || die "no tree of $files_min files up to 400 MiB on this machine"

say "a disk of 1 GiB with two file systems"
must "$bin/xn" format "$image" --size 1G -L demo
must "$bin/xn" mkfs "$image" --root home --type cffs
must "$bin/xn" mkfs "$image" --root data --type simplefs
must "$bin/xn" roots "$image"

if [ -r /dev/fuse ] && [ -w /dev/fuse ]; then through_a_mount; else without_a_mount; fi

say "check it"
must "$bin/xn-fsck" -f "$image"
read_without_mounting

say "it works; try next"
cat <<END
  build/release/bin/xn info build/demo/disk.img
  build/release/bin/xn tree build/demo/disk.img /home | less
  build/release/bin/xn owner build/demo/disk.img 5000
  build/release/bin/xn templates build/demo/disk.img
  build/release/bin/xn-fuse build/demo/disk.img build/demo/mnt
END
