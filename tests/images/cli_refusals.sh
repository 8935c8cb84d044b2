#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Images that are none, or not whole: every command refuses them in a sentence
# with exit code 1, and changes nothing.
. "$(dirname "$0")/lib.sh"

mkdir tree
echo one >tree/one
xn format -q good.img --size 80M -L good && xn mkfs -q good.img --root home -d tree || exit 1

# every_command IMAGE PATTERN: all commands that open an image refuse this one so.
every_command() {
	local image=$1 pattern=$2 before
	before=$(sha256sum <"$image")
	refused 1 "$pattern" xn info "$image"
	refused 1 "$pattern" xn info --json "$image"
	refused 1 "$pattern" xn roots "$image"
	refused 1 "$pattern" xn templates "$image"
	refused 1 "$pattern" xn ls -lR "$image"
	refused 1 "$pattern" xn tree "$image"
	refused 1 "$pattern" xn cat "$image" /home/one
	refused 1 "$pattern" xn stat "$image" /home/one
	refused 1 "$pattern" xn owner "$image" 0
	refused 1 "$pattern" xn cp "$image" -r :/home copied
	refused 1 "$pattern" xn cp "$image" tree/one :/home/two
	refused 1 "$pattern" xn mkdir "$image" /home/d
	refused 1 "$pattern" xn rm "$image" /home/one
	refused 1 "$pattern" xn mv "$image" /home/one /home/two
	refused 1 "$pattern" xn mkfs "$image" --root work
	equal "$(sha256sum <"$image")" "$before"
	[ -e copied ] && complain "something was copied"
}

# change FILE OFFSET BYTES (as printf writes them)
change() {
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

it "refuses an image that is not there"
refused 1 '^xn: nosuch.img: No such file' xn info nosuch.img
refused 1 '^xn: nosuch.img: No such file' xn mkfs nosuch.img --root a
[ -e nosuch.img ] && complain "it was made"

it "refuses a directory, and a file that may not be read"
refused 1 'neither a regular file|lock device|irectory' xn info tree
if [ "$(id -u)" != 0 ]; then
	cp good.img closed.img
	chmod 0 closed.img
	refused 1 'Permission denied' xn info closed.img
fi

it "refuses files that are no disks"
: >empty.img
every_command empty.img 'empty.img: .*not an XN disk'
echo text >text.img
every_command text.img 'not an XN disk'
head -c 2000000 /dev/zero >zero.img
every_command zero.img 'not an XN disk'
head -c 2000000 /dev/urandom >random.img
every_command random.img 'not an XN disk'

it "refuses a foreign file system"
if command -v mke2fs >/dev/null; then
	mke2fs -q -t ext4 ext4.img 8M >/dev/null
	every_command ext4.img 'not an XN disk'
	equal "$(blkid -p -o value -s TYPE ext4.img)" ext4
fi

it "refuses a disk that was cut off"
head -c $((79 << 20)) good.img >cut.img
every_command cut.img 'the disk has 20480 blocks, but [0-9]+ are there'
head -c $((1 << 20)) good.img >cut2.img
every_command cut2.img 'the disk has 20480 blocks, but [0-9]+ are there'
head -c 4096 good.img >cut3.img
every_command cut3.img 'but 1 are there'
head -c 511 good.img >cut4.img
every_command cut4.img 'not an XN disk'

it "refuses a disk whose superblock and all copies are damaged, and probe still knows it"
cp good.img torn.img
for block in 0 16384 20479; do change torn.img $((block * 4096 + 40)) '\377\377\377'; done
every_command torn.img 'damaged'
ok xn probe torn.img
output_has 'an XN disk'

it "opens a disk whose first superblock is damaged, by a copy"
cp good.img copy.img
change copy.img 40 '\377\377\377'
ok xn cat copy.img /home/one
equal "$(cat out)" one

it "refuses a newer format"
cp good.img newer.img
"$helper" newer newer.img || complain "no image of a newer format could be made"
every_command newer.img 'newer'
refused_unchanged newer.img 1 'an XN disk' xn format newer.img

it "says that a root is damaged, and reads the others"
cp good.img partly.img
xn mkfs -q partly.img --root work -d tree
block=$(xn roots --json partly.img | jq -r '.roots[0].object')
dd if=/dev/urandom of=partly.img bs=4096 seek="$block" count=1 conv=notrunc status=none
refused 1 'partly.img:/home' xn ls partly.img /home
ok xn cat partly.img /work/one
ok xn info partly.img

it "survives any single damaged block without crashing, hanging or changing the disk"
# A block of each kind, overwritten by noise: what is read is refused or right.
xn format -q base.img --size 8M && xn mkfs -q base.img --root home -d tree
for block in $(seq 0 12) $(seq 30 60); do
	cp base.img hurt.img
	dd if=/dev/urandom of=hurt.img bs=4096 seek="$block" count=1 conv=notrunc status=none
	before=$(sha256sum <hurt.img)
	try timeout 20 xn ls -lR hurt.img
	[ $code -le 1 ] || complain "ls with block $block damaged: exit code $code"
	try timeout 20 xn owner hurt.img 50
	[ $code -le 1 ] || complain "owner with block $block damaged: exit code $code"
	equal "$(sha256sum <hurt.img)" "$before"
done

it "refuses a disk that another command is writing, or waits for it to finish"
# Two at once: each either did its work or said that the disk is in use.
for i in {1..6}; do
	xn mkdir good.img "/home/d$i" >race.$i 2>&1
	echo $? >race.code.$i &
done
wait
for i in {1..6}; do
	case $(cat race.code.$i) in
	0) ok xn ls good.img /home/d$i ;;
	1) grep -q 'in use' race.$i || complain "process $i said: $(cat race.$i)" ;;
	*) complain "process $i: exit code $(cat race.code.$i)" ;;
	esac
done
sound good.img

done_testing
