#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# info, roots, templates, ls, tree, cat, stat: looking changes nothing.
. "$(dirname "$0")/lib.sh"

mkdir -p tree/b/c
printf 'one\ntwo\n' >tree/a
head -c 100000 /dev/urandom >tree/b/random
echo deep >tree/b/c/deep
ln -s b/c/deep tree/link
ln -s /etc/passwd tree/outside
ln -s c/../../a tree/b/up
ln -s loop tree/loop
ln -s ../../../../a tree/b/over
: >"tree/$(printf 'esc\033[2J')"
: >"tree/$(printf '\377')"
xn format -q disk.img --size 32M -L look && xn mkfs -q disk.img --root home -d tree &&
	xn mkfs -q disk.img --root work || exit 1
before=$(sha256sum <disk.img)

it "tells about the disk in words and in JSON"
ok xn info disk.img
output_has '^label +look$'
output_has '^size +32 MiB \(8192 blocks of 4096 bytes\)$'
output_has '^state +clean$'
ok xn info --bytes disk.img
output_has '^size +33554432 '
json '.label == "look" and .blocks == 8192 and .clean and (.damaged | not)
	and (.free_blocks > 0) and (.roots | length == 2) and (.templates | length > 0)
	and (.mount_epoch | type == "string")' xn info --json disk.img

it "lists roots and templates"
ok xn roots disk.img
output_has ' cffs .* home$'
json '.roots | map(.name) == ["home", "work"]' xn roots --json disk.img
ok xn templates disk.img
output_has 'cffs\.'
json '.templates | all(.sha256 | test("^[0-9a-f]{64}$"))' xn templates --json disk.img

it "lists the roots at the top"
ok xn ls disk.img
equal "$(cat out)" $'home\nwork'
ok xn ls disk.img /
equal "$(cat out)" $'home\nwork'

it "lists a directory sorted by bytes, and no control character reaches the terminal"
ok xn ls disk.img /home
equal "$(cat out)" "$(printf 'a\nb\nesc\\033[2J\nlink\nloop\noutside\n\377')"

it "lists a file as itself, a link as what it leads to"
ok xn ls disk.img /home/a
equal "$(cat out)" /home/a
ok xn ls -l disk.img /home/link
output_has '^-rw.* 5 B .*/home/link$'

it "lists with attributes"
ok xn ls -l disk.img /home
output_has '^-rw-r--r-- +1 .* 8 B 20[0-9-]+ [0-9:]+ a$'
output_has '^lrwxrwxrwx .* link -> b/c/deep$'
output_has '^drwx.* b$'

it "lists everything below, with headings"
ok xn ls -R disk.img /home
grep -qx '/home/b/c:' out || complain "no heading: $(cat out)"
grep -qx 'deep' out || complain "no deep file"
ok xn ls disk.img /home/b/c /work
equal "$(cat out)" $'/home/b/c:\ndeep\n\n/work:'

it "lists as JSON, with names that are no UTF-8"
json '.entries | map(.name) | contains(["home", "b", "deep", "?"])' xn ls -R --json disk.img
json '.entries | map(select(.name_hex)) | length == 1 and .[0].name_hex == "ff"' xn ls --json disk.img /home
json '.entries[] | select(.name == "link") | .target == "b/c/deep" and .type == "symlink"' \
	xn ls --json disk.img /home
json '.entries == []' xn ls --json disk.img /work

it "draws trees"
ok xn tree disk.img
output_has '^├── home$'
output_has '^│   │   │?.*deep$|^│   .*└── deep$'
output_has '^3 directories|^4 directories'
ok xn tree disk.img /home/b
output_has '^1 directory, 4 files$'
json '.directories == 1 and .files == 4 and .entries[0].name == "c"
	and .entries[0].entries[0].name == "deep"' xn tree --json disk.img /home/b
refused 1 'Not a directory' xn tree disk.img /home/a

it "colours only when told to"
ok xn ls disk.img /home
grep -q "$(printf '\033')" out && complain "colours without a terminal"
ok xn ls --color always disk.img /home
grep -q "$(printf '\033')\[1;34mb" out || complain "no colour: $(cat -v out)"
ok xn ls --color=always --json disk.img /home
jq . out >/dev/null || complain "colours in JSON"

it "prints files, one after another, byte for byte"
ok xn cat disk.img /home/a
cmp out tree/a || complain "differs"
ok xn cat disk.img /home/b/random /home/a
cat tree/b/random tree/a | cmp - out || complain "differs"

it "follows links inside a root"
ok xn cat disk.img /home/link
equal "$(cat out)" deep
ok xn cat disk.img /home/b/up
equal "$(cat out)" $'one\ntwo'
ok xn cat disk.img /home/b/../a
ok xn cat disk.img //home///b/.//c/deep

it "stops .. at the root's directory"
ok xn cat disk.img /home/b/over
equal "$(cat out)" $'one\ntwo'
ok xn cat disk.img /home/../../../a

it "refuses links out of the image and links in circles"
refused 1 'disk.img:/home/outside: a symbolic link leads to /etc/passwd, which is outside' xn cat disk.img /home/outside
grep -q root: out && complain "it read a file of this machine"
refused 1 'oo many levels of symbolic links' xn cat disk.img /home/loop

it "refuses to print what has no bytes"
mkdir special
mkfifo special/fifo
cp disk.img special.img
xn cp special.img -r special :/home
refused 1 'a fifo has no bytes' xn cat special.img /home/special/fifo

it "tells everything about files, in words and in JSON"
ok xn stat disk.img /home/a
output_has '^size +8 B, on disk 512 B$'
output_has '^mode +0644 -rw-r--r--$'
output_has "^owner +$(id -u):$(id -g)$"
json '.files | length == 2 and .[0].size_bytes == 8 and .[0].links == 1 and .[1].type == "symlink"
	and .[1].target == "b/c/deep"' xn stat --json disk.img /home/a /home/link
json ".files[0].modified == \"$(date -ud "$(stat -c %y tree/a)" +%Y-%m-%dT%H:%M:%S.%NZ)\"" \
	xn stat --json disk.img /home/a
json '.files[0].type == "directory"' xn stat --json disk.img /

it "refuses wrong paths, each by its own sentence, and goes on with the others"
refused 1 'disk.img:/home/nosuch: No such file' xn cat disk.img /home/nosuch
refused 1 'disk.img:/nosuch/a: .*no root of that name' xn cat disk.img /nosuch/a
refused 1 'Not a directory' xn cat disk.img /home/a/b
refused 1 'Not a directory' xn cat disk.img /home/a/
refused 1 'Is a directory' xn cat disk.img /home/b
refused 1 'begins with / and the root' xn cat disk.img home/a
refused 1 'name too long' xn ls disk.img "/home/$(printf 'x%.0s' {1..256})"
refused 1 'name too long' xn ls disk.img "/$(printf 'x%.0s' {1..64})"
refused 1 'No such file' xn cat disk.img /home/nosuch /home/a
equal "$(cat out)" $'one\ntwo'
refused 1 'nosuch' xn ls disk.img /nosuch
refused 1 'nosuch' xn stat disk.img /home/nosuch

it "changes nothing by looking"
equal "$(sha256sum <disk.img)" "$before"

it "looks from several processes at once"
for i in {1..8}; do xn ls -lR disk.img >many.$i 2>&1 & done
wait
for i in {2..8}; do cmp -s many.1 many.$i || complain "process $i saw something else: $(head -3 many.$i)"; done

done_testing
