#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The frozen images of images/golden: read, checked, mounted for writing, checked again.
#
#   golden.sh            compare
#   golden.sh --write    write NAME.txt of images that have none yet
. "$(dirname "$0")/lib.sh"

command -v gzip >/dev/null || skip "no gzip"
golden=$XN_SOURCE/images/golden
[ -x "$XN_BIN/xn-fsck" ] || skip "xn-fsck is not built"

# Kind, mode, size of files, path and target of all; then the sums of what files hold.
describe() { # image
	local root
	for root in $(xn roots --json "$1" | jq -r '.roots[].name'); do
		mkdir -p out.d
		xn tree "$1" "/$root" >/dev/null || return 1
		xn export -q "$1" "/$root" "out.d/$root" --force >/dev/null 2>&1 || return 1
	done
	(
		cd out.d || exit 1
		find . -mindepth 2 \( -type f -printf '%y %m %s %P\n' -o -printf '%y %m - %P %l\n' \) |
			LC_ALL=C sort -k4
		find . -type f -size +0 -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
	)
	rm -rf out.d
}

checked=0
for packed in "$golden"/*.img.gz; do
	name=$(basename "$packed" .img.gz)
	gzip -dc "$packed" >image.img || exit 1
	cp image.img before.img

	it "$name: every file reads as it was written"
	describe image.img >found.txt || complain "cannot be read"
	[ "${1-}" = --write ] && [ ! -e "$golden/$name.txt" ] && cp found.txt "$golden/$name.txt"
	diff "$golden/$name.txt" found.txt || complain "it holds something else"
	cmp -s image.img before.img || complain "reading changed it"

	it "$name: is sound, but for what a crash leaves"
	try xn-fsck -fn --json image.img
	jq -e '[.findings[] | select(.crash_trace | not)] | length == 0' out >/dev/null ||
		complain "it said: $(cat out)"
	try xn-fsck -fp image.img
	[ $code -le 1 ] || complain "xn-fsck -p gave $code: $(cat out)"

	it "$name: takes files, and is sound then"
	for root in $(xn roots --json before.img | jq -r '.roots[].name'); do
		for which in image before; do
			ok xn mkdir $which.img "/$root/new"
			ok xn cp -q $which.img "$golden/README.md" ":/$root/new/file"
			xn cat $which.img "/$root/new/file" | cmp -s - "$golden/README.md" ||
				complain "what was written reads otherwise"
		done
	done
	ok xn-fsck -fn image.img
	try xn-fsck -fp before.img
	[ $code -le 1 ] || complain "after mounting as it was: $code: $(cat out)"
	ok xn-fsck -fn before.img
	checked=$((checked + 1))
done
it "there are some"
[ $checked -ge 3 ] || complain "only $checked"
done_testing
