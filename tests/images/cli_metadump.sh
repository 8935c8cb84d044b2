#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# metadump, restore: everything but what is in the files.
. "$(dirname "$0")/lib.sh"

make_tree tree
echo 'a secret of few bytes' >tree/small
yes 'a secret of many bytes' | head -c 200000 >tree/sub/much
mkdir tree/many
ln -s "$(printf 'long/%.0s' {1..60})" tree/long
for i in {1..300}; do echo "secret number $i" >tree/many/$i; done
xn format -q disk.img --size 64M && xn mkfs -q disk.img --root home -d tree &&
	xn mkfs -q disk.img --root simple --type simplefs -d tree || exit 1
before=$(sha256sum <disk.img)

it "dumps a disk, and makes one of the dump on which all names are"
ok xn metadump disk.img disk.dump
grep -q 'disk.dump holds [0-9]* blocks of 16384' err || complain "it said: $(cat err)"
ok xn restore disk.dump again.img
sound again.img
equal "$(stat -c %s again.img)" "$(stat -c %s disk.img)"
for image in disk again; do xn ls -lR --json $image.img | jq -S 'del(.image)' >$image.json; done
cmp disk.json again.json || complain "the names are others"
equal "$(xn roots --json again.img | jq 'del(.image)')" "$(xn roots --json disk.img | jq 'del(.image)')"
equal "$(sha256sum <disk.img)" "$before"

it "leaves out what is in the files, small ones too"
grep -q 'secret' disk.img || complain "there is no secret to leave out"
grep -q 'secret' again.img && complain "a secret is in the restored disk"
gzip -dc <disk.dump | grep -q 'secret' && complain "a secret is in the dump"
ok xn cat again.img /home/small
equal "$(tr -d '\0' <out | wc -c)" 0
equal "$(stat -c %s out)" 22
[ "$(stat -c %s disk.dump)" -lt 200000 ] || complain "the dump has $(stat -c %s disk.dump) bytes"

it "keeps damage, so that fsck finds it again"
cp disk.img bad.img
object=$(xn roots --json disk.img | jq -r '.roots[0].object')
printf '\377\377' | dd of=bad.img bs=1 seek=$((object * 4096 + 1030)) conv=notrunc status=none
try xn fsck -n -f bad.img
cp out first
ok xn metadump -q bad.img bad.dump --force
ok xn restore -q bad.dump bad2.img
try xn fsck -n -f bad2.img
diff <(sed 's/bad2/bad/' out) first >diff || complain "fsck says something else: $(head -3 diff)"

it "leaves what is there alone"
refused 1 'disk.dump: it is there already' xn metadump disk.img disk.dump
refused_unchanged again.img 1 'again.img: it is there already' xn restore disk.dump again.img
ok xn restore disk.dump again.img --force
sound again.img

it "refuses what is no whole dump, and leaves no half of a disk"
head -c 3000 disk.dump >cut.dump
refused 1 'damaged or was cut off' xn restore cut.dump cut.img
[ -e cut.img ] && complain "cut.img is there"
head -c 3000 /dev/urandom >noise
refused 1 'it is no dump' xn restore noise cut.img
refused 1 'nosuch: No such file' xn restore nosuch cut.img
[ -e cut.img ] && complain "cut.img is there"

done_testing
