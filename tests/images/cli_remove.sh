#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# root-remove, template-remove: what is in use is named and kept.
. "$(dirname "$0")/lib.sh"

free_bytes() {
	xn info --json disk.img | jq .free_bytes
}

given_image disk.img 32M
empty=$(free_bytes)
xn mkfs -q disk.img --root work
head -c 300000 /dev/urandom >file
xn cp disk.img file :/work/file

it "names what a root holds, and leaves it alone"
refused_unchanged disk.img 1 '/work \(cffs\) holds .* --force removes it' \
	xn root-remove disk.img work
refused_unchanged disk.img 1 'no root of that name' xn root-remove disk.img nosuch --force
refused_unchanged disk.img 2 . xn root-remove disk.img

it "removes it when told so, and its space is free"
ok xn root-remove disk.img work --force
grep -q 'no root /work any more' err || complain "it does not say so"
json '[.roots[].name] == ["home"]' xn roots --json disk.img
equal "$(free_bytes)" "$empty"
refused 1 'no root of that name' xn ls disk.img /work
sound disk.img

it "takes the name with a slash, and gives it to a new root"
ok xn mkfs disk.img --root work
json '.roots[1] | .name == "work" and .id == 3' xn roots --json disk.img
ok xn root-remove -q disk.img /work --force
[ -s err ] && complain "it said $(cat err)"

it "keeps templates that a root uses"
first=$(xn templates --json disk.img | jq '.templates[0].id')
refused 1 'root home is of template cffs' xn template-remove disk.img "$first"
refused_unchanged disk.img 1 'no such template' xn template-remove disk.img 4000
refused_unchanged disk.img 2 'is no number' xn template-remove disk.img simplefs

it "removes templates that nobody uses"
ok xn root-remove disk.img home --force
ok xn template-remove disk.img "$first"
json '.templates == []' xn templates --json disk.img
sound disk.img
ok xn mkfs disk.img --root home
json ".templates[0].id > $first" xn templates --json disk.img
sound disk.img

done_testing
