#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# mkdir, rm, mv inside an image.
. "$(dirname "$0")/lib.sh"

given_image disk.img 32M
xn mkfs -q disk.img --root work
echo text >text

it "makes directories, also one in another of the same call"
ok xn mkdir disk.img /home/d /home/d/e
ok xn mkdir disk.img --mode 700 /home/private
json ".files[0] | .mode == \"0755\" and .uid == $(id -u)" xn stat --json disk.img /home/d/e
json '.files[0].mode == "0700"' xn stat --json disk.img /home/private
refused_unchanged disk.img 1 'File exists' xn mkdir disk.img /home/d
refused_unchanged disk.img 1 'File exists' xn mkdir disk.img /home
refused_unchanged disk.img 1 'No such file' xn mkdir disk.img /home/x/y
refused_unchanged disk.img 1 'no root of that name' xn mkdir disk.img /nosuch/y

it "renames and moves"
xn cp disk.img text :/home/a
ok xn mv disk.img /home/a /home/b
refused 1 'No such file' xn cat disk.img /home/a
ok xn mv disk.img /home/b /home/d
ok xn cat disk.img /home/d/b
equal "$(cat out)" text
ok xn mv disk.img /home/d /home/dir
ok xn cat disk.img /home/dir/b

it "replaces what stands at the new name"
xn cp disk.img text :/home/c
echo other >other
xn cp disk.img other :/home/f
ok xn mv disk.img /home/f /home/c
ok xn cat disk.img /home/c
equal "$(cat out)" other

it "refuses moves between roots, of roots, and into itself"
refused_unchanged disk.img 1 'inside one root' xn mv disk.img /home/c /work/c
refused_unchanged disk.img 1 'not permitted' xn mv disk.img /home /work/home
refused_unchanged disk.img 1 'No such file' xn mv disk.img /home/nosuch /home/x
refused 1 'Invalid argument' xn mv disk.img /home/dir /home/dir/e/in

it "removes files and, when told, directories"
refused_unchanged disk.img 1 'it is a directory; -r' xn rm disk.img /home/dir
refused_unchanged disk.img 1 'No such file' xn rm disk.img /home/c /home/nosuch
refused_unchanged disk.img 1 'roots cannot be removed' xn rm disk.img -r /home
ok xn rm disk.img /home/c
ok xn rm disk.img -r /home/dir
ok xn ls disk.img /home
equal "$(cat out)" private

it "removes a link and not what it leads to"
mkdir l
echo kept >l/kept
ln -s kept l/link
ok xn cp disk.img -r l :/home
ok xn rm disk.img /home/l/link
ok xn cat disk.img /home/l/kept

it "gives back every block of what was removed"
free() { xn info --json disk.img | jq .free_blocks; }
xn rm disk.img -r /home/l
before=$(free)
mkdir many
for i in {1..200}; do echo $i >many/$i; done
head -c 3000000 /dev/urandom >many/large
ok xn cp disk.img -r many :/work
[ "$(free)" -lt $((before - 700)) ] || complain "nothing was used"
ok xn rm disk.img -r /work/many
after=$(free)
# The inode tables that were made stay for the next files.
[ "$after" -ge $((before - 40)) ] || complain "$before blocks free before, $after after"
sound disk.img

done_testing
