#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# resize: larger, smaller, and what is in the way.
. "$(dirname "$0")/lib.sh"

size() {
	stat -c %s disk.img
}

given_image disk.img 32M
head -c 3000000 /dev/urandom >file
xn cp disk.img file :/home/file

it "makes a disk larger, and its file"
ok xn resize disk.img 100M
grep -q 'has 100 MiB now, it had 32 MiB' err || complain "it does not say so: $(cat err)"
equal "$(size)" 104857600
sound disk.img
ok xn cat disk.img /home/file
cmp -s out file || complain "the file is another"

it "puts to use what came"
head -c 60000000 /dev/urandom >large
ok xn cp disk.img large :/home/large
sound disk.img

it "names what is in the way of a smaller one, and leaves the disk as it is"
refused 1 'blocks in use are in the way: [0-9]+.*xn owner' xn resize disk.img 32M
equal "$(size)" 104857600
block=$(sed -n 's/.*in the way: \([0-9]*\).*/\1/p' err)
ok xn owner disk.img "$block"
grep -q home out || complain "block $block is nobody's: $(cat out)"
sound disk.img

it "makes it smaller when nothing is"
ok xn rm disk.img /home/large
ok xn resize -q disk.img 32M
[ -s err ] && complain "it said $(cat err)"
equal "$(size)" 33554432
sound disk.img
ok xn cat disk.img /home/file
cmp -s out file || complain "the file is another"
equal "$(xn info --json disk.img | jq .size_bytes)" 33554432

it "refuses sizes that cannot be"
refused_unchanged disk.img 2 'is no size' xn resize disk.img much
refused_unchanged disk.img 2 . xn resize disk.img
refused 1 'out of range' xn resize disk.img 4096
sound disk.img

done_testing
