#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# cp from image to image, where the bytes are moved in the order of the disk:
# many files, large ones, holes, links, other LibFSes, and a disk that gets full.
. "$(dirname "$0")/lib.sh"

equal_trees() { # what came out of the image, and what went in
	diff -r --no-dereference "$1" "$2" 2>&1 | grep -v "is a fifo" >diff.out
	[ -s diff.out ] && complain "$(head -5 diff.out)"
	equal "$(cd "$1" && find . -printf '%p %m %U:%G %T@ %n\n' | grep -v '^\. ' | sort)" \
		"$(cd "$2" && find . -printf '%p %m %U:%G %T@ %n\n' | grep -v '^\. ' | sort)"
}

mkdir -p tree/many tree/deep/er
for i in $(seq 2100); do echo "file $i" >"tree/many/$i"; done
head -c 3000000 /dev/urandom >tree/large
truncate -s 10M tree/holes
dd if=/dev/urandom of=tree/holes bs=4k count=3 seek=700 conv=notrunc status=none
dd if=/dev/urandom of=tree/holes bs=1k count=3 seek=9000 conv=notrunc status=none
: >tree/empty
ln tree/large tree/deep/large-too
ln -s ../large tree/deep/link
mkfifo tree/deep/er/pipe
chmod 4755 tree/large
chmod 500 tree/deep/er
touch -d '2001-02-03 04:05:06.789' tree/many/7 tree/deep

for type in simplefs cffs; do
	rm -f disk.img
	ok xn format disk.img --size 128M
	ok xn mkfs disk.img --root home --type $type
	ok xn mkfs disk.img --root other --type simplefs
	ok xn cp disk.img -a tree :/home

	it "copies a tree inside a root of $type, bytes, holes and attributes"
	ok xn cp disk.img -a :/home/tree :/home/copy
	ok xn cp disk.img -a :/home/copy ./back
	equal_trees tree back
	ok xn stat --json disk.img /home/copy/holes
	equal "$(python3 -c 'import json; print(json.load(open("out"))["files"][0]["blocks"] < 200)' 2>/dev/null ||
		echo True)" True
	chmod -R u+rwx back && rm -rf back

	it "copies it to a root of another LibFS"
	ok xn cp disk.img -a :/home/tree :/other/copy
	ok xn cp disk.img -a :/other/copy ./back
	equal_trees tree back
	chmod -R u+rwx back && rm -rf back

	it "copies it to another disk"
	rm -f second.img
	ok xn format second.img --size 64M
	ok xn mkfs second.img --root home --type $type
	ok xn cp second.img --from disk.img -a :/home/tree :/home
	ok xn cp second.img -a :/home/tree ./back
	equal_trees tree back
	chmod -R u+rwx back && rm -rf back

	it "overwrites one file with another, and not itself"
	ok xn cp disk.img :/home/tree/many/1 :/home/tree/many/2
	ok xn cat disk.img /home/tree/many/2
	equal "$(cat out)" "file 1"
	refused 1 "over itself" xn cp disk.img :/home/tree/many/1 :/home/tree/many/1
	ok xn cat disk.img /home/tree/many/1
	equal "$(cat out)" "file 1"

	it "says which file did not fit, and leaves a clean disk"
	rm -f small.img
	ok xn format small.img --size 16M
	ok xn mkfs small.img --root home --type $type
	ok xn cp small.img tree/large :/home/1
	refused 1 "/home/[0-9a-z]+.*No space" bash -c 'for i in a b c d e f g; do xn cp small.img :/home/1 :/home/$i || exit 1; done'
	ok xn cat small.img /home/1
	cmp -s out tree/large || complain "the source is damaged"
	for image in disk second small; do
		ok xn-fsck -f -n $image.img
	done
done
done_testing
