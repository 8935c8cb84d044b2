#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# cp: in, out, between roots and between images.
. "$(dirname "$0")/lib.sh"

given_image disk.img 64M
xn mkfs -q disk.img --root work
mkdir -p tree/sub
echo one >tree/one
ln tree/one tree/sub/one-again
ln -s ../one tree/sub/link
head -c 2500000 /dev/urandom >tree/sub/large
chmod 640 tree/one
touch -d '2001-02-03 04:05:06.789' tree/one tree/sub

it "copies a file in under a new name, and into a directory under its own"
ok xn cp disk.img tree/one :/home/first
ok xn cp disk.img tree/one :/home
ok xn ls disk.img /home
equal "$(cat out)" $'first\none'
ok xn cat disk.img /home/first
equal "$(cat out)" one

it "gives new files to the caller, with the source's mode under the umask"
(umask 022 && xn cp disk.img tree/one :/home/umask)
json ".files[0] | .mode == \"0640\" and .uid == $(id -u) and .gid == $(id -g)" xn stat --json disk.img /home/umask
(umask 077 && xn cp disk.img tree/one :/home/private)
json '.files[0].mode == "0600"' xn stat --json disk.img /home/private

it "keeps modes and times with -p"
ok xn cp disk.img -p tree/one :/home/kept
json '.files[0] | .mode == "0640" and .modified == "2001-02-03T04:05:06.789000000Z"' \
	xn stat --json disk.img /home/kept

it "overwrites a file with a shorter one"
ok xn cp disk.img tree/sub/large :/home/first
ok xn cp disk.img tree/one :/home/first
ok xn cat disk.img /home/first
equal "$(cat out)" one

it "copies a tree in, out, and between roots, and all are the same"
ok xn cp disk.img -a tree :/home
ok xn cp disk.img -a :/home/tree out1
same_tree tree out1
ok xn cp disk.img -a :/home/tree :/work/copy
ok xn cp disk.img -a :/work/copy out2
same_tree tree out2
sound disk.img

it "copies a tree over itself from before, in and out"
ok xn cp disk.img -a tree :/home
ok xn cp disk.img -a :/home/tree fresh
same_tree tree fresh
ok xn cp disk.img -a :/home/tree/. fresh
same_tree tree fresh
json '.files[0].links == 2' xn stat --json disk.img /home/tree/one

it "copies between images"
given_image other.img 64M
ok xn cp other.img --from disk.img -a :/home/tree :/home
ok xn cp other.img -a :/home/tree out3
same_tree tree out3

it "copies a root by its name, and all roots as directories"
mkdir into
ok xn cp disk.img -r :/home into
[ -f into/home/first ] || complain "no into/home/first: $(ls into)"
mkdir all
ok xn cp disk.img -a :/ all
same_tree tree all/home/tree
same_tree tree all/work/copy

it "merges a directory into one that is there"
mkdir -p more/tree
echo two >more/tree/two
ok xn cp disk.img -r more/tree :/home
ok xn ls disk.img /home/tree
equal "$(cat out)" $'one\nsub\ntwo'
ok xn cp disk.img -r more/tree/. :/work
ok xn cat disk.img /work/two

it "copies several files into a directory, and refuses another target for them"
ok xn cp disk.img tree/one tree/sub/large :/work
ok xn ls disk.img /work
output_has '^large$'
refused_unchanged disk.img 1 'Not a directory' xn cp disk.img tree/one more/tree/two :/work/one
refused_unchanged disk.img 1 'Not a directory' xn cp disk.img tree/one more/tree/two :/work/nosuch

it "follows links without -r, and copies them with it"
ok xn cp disk.img tree/sub/link :/work/followed
json '.files[0].type == "file"' xn stat --json disk.img /work/followed
ok xn cp disk.img -r tree/sub/link :/work/link
json '.files[0].target == "../one"' xn stat --json disk.img /work/link

it "keeps holes in, between and out"
truncate -s 20M hole
printf x | dd of=hole bs=1 seek=9000000 conv=notrunc status=none
ok xn cp disk.img hole :/work/hole
ok xn cp disk.img :/work/hole :/home/hole
ok xn cp disk.img :/home/hole hole2
cmp hole hole2 || complain "bytes differ"
json '.files[0].allocated_bytes < 100000' xn stat --json disk.img /home/hole
[ "$(du -k hole2 | cut -f1)" -lt 1000 ] || complain "the copy has no hole"

it "refuses directories without -r"
refused_unchanged disk.img 1 'tree: it is a directory; -r' xn cp disk.img tree :/home/x
refused 1 ':/home/tree.*it is a directory; -r' xn cp disk.img :/home/tree x
[ -e x ] && complain "x was made"

it "refuses to copy a file over itself, and a directory into itself"
refused 1 'over itself' xn cp disk.img :/home/first :/home/first
ok xn cat disk.img /home/first
equal "$(cat out)" one
refused 1 'over itself' xn cp disk.img :/home/first :/home
refused 1 'into itself' xn cp disk.img -r :/home/tree :/home/tree/sub/inner
ok xn cat disk.img /home/tree/one
sound disk.img

it "refuses to put a directory over a file, and a file over a directory"
refused 1 'Not a directory' xn cp disk.img -r tree :/home/first
: >tree2
ok xn mkdir disk.img /home/tree/two.d /home/tree/two.d/tree2
refused 1 'Is a directory' xn cp disk.img tree2 :/home/tree/two.d

it "refuses paths that are not there, before it changes anything"
refused_unchanged disk.img 1 'nosuch: No such file' xn cp disk.img nosuch :/home/x
refused_unchanged disk.img 1 'nosuch: No such file' xn cp disk.img tree/one nosuch :/home
refused_unchanged disk.img 1 ':/home/a/b: No such file' xn cp disk.img tree/one :/home/a/b
refused_unchanged disk.img 1 'no root of that name' xn cp disk.img tree/one :/nosuch/x
refused_unchanged disk.img 1 'name too long' xn cp disk.img tree/one ":/home/$(printf 'x%.0s' {1..256})"
refused 1 'No such file' xn cp disk.img :/home/nosuch x
refused 1 'No such file' xn cp disk.img :/home/first nosuch/x
[ -e x ] && complain "x was made"

it "refuses to make files beside the roots"
refused 1 'not permitted|no root of that name' xn cp disk.img tree/one :/x
refused 1 'not permitted|no root of that name' xn cp disk.img tree/one :/

it "refuses operands that make no sense as words"
refused 2 'begins? with a colon|inside the image' xn cp disk.img tree/one tree/two
refused 2 'all inside' xn cp disk.img tree/one :/home/first :/work
refused 2 'between images' xn cp disk.img --from other.img tree/one :/home

it "goes on after a file that it cannot read, and says so at the end"
if [ "$(id -u)" != 0 ]; then
	mkdir -p some
	echo yes >some/readable
	echo no >some/closed
	chmod 0 some/closed
	refused 1 'some/closed: Permission denied' xn cp disk.img -r some :/work
	ok xn cat disk.img /work/some/readable
fi

it "never writes through a link that stands in the way outside"
echo mine >mine
ln -s mine trap
ok xn cp disk.img :/home/first trap
equal "$(cat trap)" one
mkdir box
ln -s ../mine box/first
echo mine >mine
ok xn cp disk.img -r :/home/first box
equal "$(cat mine)" mine
[ -L box/first ] && complain "the link is still there"

it "stops when the image is full, says so, and leaves it sound"
given_image small.img 4M
head -c 6000000 /dev/urandom >toobig
refused 1 'small.img:/home/toobig: No space left|no free blocks' xn cp small.img toobig :/home
ok xn ls small.img /home
sound small.img

it "stops at a root's quota, while others have room"
xn mkfs -q disk.img --root narrow --quota 1M
refused 1 'disk.img:/narrow/large: .*[qQ]uota' xn cp disk.img tree/sub/large :/narrow
ok xn cp disk.img tree/sub/large :/work/large3
sound disk.img

it "uses space again that another root gave back"
ok xn format -q shared.img --size 8M
ok xn mkfs -q shared.img --root a
ok xn mkfs -q shared.img --root b
head -c 5000000 /dev/urandom >five
ok xn cp shared.img five :/a
refused 1 'No space|no free blocks' xn cp shared.img five :/b
ok xn rm shared.img /a/five /b/five
ok xn cp shared.img five :/b
ok xn cp shared.img :/b/five five.back
cmp five five.back || complain "bytes differ"
sound shared.img

done_testing
