#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# How other programs know an XN disk: file(1) by our magic, scripts by `xn probe` as by blkid,
# mkfs(8) and fsck(8) by name, systemd by our unit.
. "$XN_SOURCE/tests/images/lib.sh"

uuid=0de1eca7-1234-4abc-8def-001122334455
label='a "b $c'
ok xn format -q disk.img --size 16M -U $uuid -L "$label"
ok xn mkfs -q disk.img --root home

it "is told by file(1)"
if command -v file >/dev/null; then
	file -b -m "$XN_SOURCE/packaging/xn.magic" disk.img >out
	equal "$(cat out)" "XN disk version 1, label \"$label\", UUID $uuid, 4096 blocks of 4096 bytes, clean"
	equal "$(file -b --mime-type -m "$XN_SOURCE/packaging/xn.magic" disk.img)" application/x-xn-disk
	head -c 16M /dev/zero >zero.img
	file -b -m "$XN_SOURCE/packaging/xn.magic" zero.img | grep -q XN && complain "zeroes are an XN disk"
	ok xn format -q plain.img --size 2M
	file -b -m "$XN_SOURCE/packaging/xn.magic" plain.img >out
	output_has '^XN disk version 1, UUID [-0-9a-f]{36}, 512 blocks of 4096 bytes, clean$'
fi

it "prints what blkid prints, but for what an ext4 is and has"
if command -v blkid >/dev/null && command -v mkfs.ext4 >/dev/null; then
	truncate -s 16M other.img
	mkfs.ext4 -q -b 4096 -U $uuid -L "$label" other.img
	for format in full value export udev; do
		for tag in '' '-s LABEL' '-s UUID -s USAGE' '-s NONE'; do
			# shellcheck disable=SC2086
			blkid -p -o $format $tag other.img >theirs
			theirs=$?
			# shellcheck disable=SC2086
			try xn probe -o $format $tag disk.img
			equal "$format $tag $code" "$format $tag $theirs"
			sed -E 's/other\.img/disk.img/; s/\bext4\b/xn/; s/(VERSION=)"?1\.0"?/\11/; s/^1\.0$/1/' theirs |
				tr -d '\r' | sed 's/ *$//' >wanted
			sed -E 's/(VERSION=)"1"/\11/; s/ *$//' out >ours
			diff wanted ours >differ || complain "-o $format $tag: $(cat differ)"
		done
	done
	refused 2 'ext4' xn probe -o export other.img
fi
refused 2 'full, value, export or udev' xn probe -o list disk.img
refused 2 'No such file' xn probe -o full nosuch
equal "$(xn probe --export disk.img)" "$(xn probe -o udev disk.img)"

it "is made by mkfs -t xn: a disk with a root, filled, and nothing overwritten"
mkdir tree && echo text >tree/file
ok mkfs.xn -q -L one -r files -d tree made.img 16M
equal "$(xn cat made.img /files/file)" text
json '.label == "one" and (.roots | length) == 1' xn info --json made.img
sound made.img
refused_unchanged made.img 1 'labelled "one".*--force' mkfs.xn made.img
ok mkfs.xn -q -f -e -U $uuid made.img
json ".uuid == \"$uuid\" and .roots == []" xn info --json made.img
ok mkfs.xn -q -f -t simplefs made.img
json '.roots[0] | .name == "root" and .libfs == "simplefs"' xn roots --json made.img
refused 1 'no LibFS is called' mkfs.xn -f -t ext4 made.img
refused 2 'usage: mkfs.xn' mkfs.xn
refused 2 'not a size' mkfs.xn new.img many
[ -e new.img ] && complain "it left a file"
ok mkfs.xn --version
if command -v mkfs >/dev/null; then
	ok mkfs -t xn -f -L two -q made.img
	json '.label == "two"' xn info --json made.img
fi

it "is checked by fsck -t xn and by the type of a FUSE mount"
if command -v fsck >/dev/null; then
	for type in xn fuse.xn; do
		try fsck -t $type -T "$dir/made.img" -- -f -n
		equal "$type $code" "$type 0"
	done
fi

it "has a unit that systemd understands"
if command -v systemd-analyze >/dev/null; then
	unit=$(find "$XN_BUILD/packaging" -maxdepth 1 -name 'xn@.service')
	sed -E 's#^(Exec[A-Za-z]*=)[^ ]*#\1/bin/true#' "$unit" >xn@.service
	systemd-analyze verify --man=no "$dir/xn@.service" >out 2>&1 || complain "$(cat out)"
	grep -q 'xn@' out && complain "$(cat out)"
	grep -E '^Exec' "$unit" | grep -vqE '=/usr/(local/)?s?bin/(xn-fuse|umount.xn) ' && complain "$(grep ^Exec "$unit")"
fi

done_testing
