#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# format: makes disks, and never overwrites what it was not told to.
. "$(dirname "$0")/lib.sh"

it "makes a file of the size asked for"
ok xn format disk.img --size 64M
equal "$(stat -c %s disk.img)" $((64 << 20))
grep -q 'empty XN disk of 64 MiB' err || complain "it does not say so"
sound disk.img

it "says nothing when asked to be quiet"
ok xn format quiet.img --size 1M -q
[ -s err ] && complain "it said $(cat err)"

it "takes label and UUID"
ok xn format -q labelled.img -s 2M -L 'a label' -U 01234567-89ab-cdef-0123-456789abcdef
json '.label == "a label" and .uuid == "01234567-89ab-cdef-0123-456789abcdef"' \
	xn info --json labelled.img

it "gives two disks different UUIDs"
[ "$(xn info --json disk.img | jq .uuid)" = "$(xn info --json quiet.img | jq .uuid)" ] &&
	complain "the same UUID twice"

it "costs little on a huge disk"
ok xn format -q huge.img --size 1T
[ "$(du -k huge.img | cut -f1)" -lt 4096 ] || complain "$(du -h huge.img) for an empty disk"
json '.blocks == 268435456' xn info --json huge.img
rm huge.img

it "rounds the size down to whole blocks"
ok xn format -q odd.img --size 1049000
equal "$(stat -c %s odd.img)" 1048576

it "keeps the size of a file that is there, or changes it as told"
truncate -s 3M there.img
ok xn format -q there.img
equal "$(stat -c %s there.img)" $((3 << 20))
truncate -s 3M grown.img
ok xn format -q grown.img --size 5M
equal "$(stat -c %s grown.img)" $((5 << 20))
json '.blocks == 1280' xn info --json grown.img

it "makes the same disk twice from the same time and UUID"
uuid=01234567-89ab-cdef-0123-456789abcdef
SOURCE_DATE_EPOCH=1000000000 ok xn format -q one.img --size 8M -U $uuid
SOURCE_DATE_EPOCH=1000000000 ok xn format -q two.img --size 8M -U $uuid
cmp one.img two.img || complain "they differ"
json '.formatted == "2001-09-09T01:46:40.000000000Z"' xn info --json one.img

it "refuses a new file without a size, and makes none"
refused 1 'does not exist yet; --size' xn format none.img
[ -e none.img ] && complain "it was made"

it "refuses sizes that no disk can have, and makes no file"
refused 1 'not possible' xn format none.img --size 1048575
refused 1 'not possible' xn format none.img --size 0
refused 1 'not possible' xn format none.img --size 16777215T
[ -e none.img ] && complain "it was made"
truncate -s 1000 small
refused_unchanged small 1 'smaller than 1 MiB' xn format small

it "refuses a label that does not fit"
refused 1 'at most 64 bytes' xn format none.img --size 1M -L "$(printf 'x%.0s' {1..65})"
[ -e none.img ] && complain "it was made"
ok xn format -q fits.img --size 1M -L "$(printf 'x%.0s' {1..64})"
json '.label | length == 64' xn info --json fits.img

it "refuses what is neither file nor block device, and folders that are not there"
mkdir folder
refused 1 'directory|neither' xn format folder --size 1M
refused 1 'No such file' xn format nosuch/disk.img --size 1M
mkfifo pipe
refused 1 'neither' xn format pipe --size 1M
refused 1 'no such kind|not supported' xn format nosuch:disk --size 1M

it "names an XN disk in its way, and overwrites it when forced"
refused_unchanged labelled.img 1 'an XN disk labelled "a label".*--force' xn format labelled.img
refused_unchanged labelled.img 1 'an XN disk' xn format labelled.img --size 4M
ok xn format -q labelled.img --force
json '.label == ""' xn info --json labelled.img

it "names an XN disk whose superblock is damaged, and leaves it alone"
cp labelled.img torn.img
printf 'x' | dd of=torn.img bs=1 seek=40 conv=notrunc status=none
refused_unchanged torn.img 1 'an XN disk' xn format torn.img

it "names any file system and partition table in its way, and erases their traces when forced"
if command -v mke2fs >/dev/null; then
	mke2fs -q -t ext4 -L precious ext4.img 8M
	refused_unchanged ext4.img 1 'an ext4 file system labelled "precious" \(UUID' xn format ext4.img
	refused_unchanged ext4.img 1 'an ext4' xn format ext4.img --size 16M
	equal "$(blkid -p -o value -s TYPE ext4.img)" ext4
	ok xn format -q ext4.img --force
	equal "$(blkid -p -o value -s TYPE ext4.img)" ""
	ok xn info ext4.img
fi
if command -v mkswap >/dev/null; then
	truncate -s 8M swap.img
	mkswap -q swap.img >/dev/null 2>&1
	refused_unchanged swap.img 1 'a swap file system' xn format swap.img
fi
truncate -s 8M parts.img
if command -v sfdisk >/dev/null && echo ',,L' | sfdisk -q parts.img 2>/dev/null; then
	refused_unchanged parts.img 1 'a dos partition table' xn format parts.img
fi

it "leaves data alone that nobody knows"
head -c 1500000 /dev/urandom >random.img
refused_unchanged random.img 1 'data of a kind that is not known' xn format random.img
truncate -s 4M mostly.img
printf 'dear diary' | dd of=mostly.img bs=1 seek=700000 conv=notrunc status=none
refused_unchanged mostly.img 1 'not known' xn format mostly.img
ok xn format -q random.img --force

it "names who uses a disk, and leaves it alone"
given_image busy.img
mkfifo hold
"$helper" lock busy.img <hold >locked &
holder=$!
exec 9>hold
while [ ! -s locked ] && kill -0 $holder 2>/dev/null; do sleep 0.05; done
if [ -s locked ]; then
	refused_unchanged busy.img 1 'in use' xn format busy.img --force
	refused_unchanged busy.img 1 'in use' xn info busy.img
	refused_unchanged busy.img 1 'in use' xn mkfs busy.img --root b
	ok xn probe busy.img
else
	complain "nobody could lock the disk"
fi
exec 9>&-
wait $holder
ok xn info busy.img

it "probes what a file is"
ok xn probe disk.img
output_has 'an XN disk'
ok xn probe --export fits.img
output_has '^ID_FS_TYPE=xn$'
output_has '^ID_FS_UUID='
json '.xn and .type == "xn"' xn probe --json disk.img
refused 1 'nothing that is known' xn probe small
if [ -e parts.img ] && command -v mke2fs >/dev/null; then
	mke2fs -q -F -t ext2 other.img 4M
	refused 1 'not an XN disk: it holds an ext2' xn probe other.img
fi
refused 1 'No such file' xn probe nosuch

done_testing
