#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# images/JSON.md: the members it names are those that are printed, all of them.
. "$(dirname "$0")/lib.sh"

make_tree tree
xn format -q disk.img --size 64M && xn mkfs -q disk.img --root home -d tree && xn mkfs -q disk.img --root work || exit 1
cp -a tree other
echo more >>other/plain
object=$(xn roots --json disk.img | jq -r '.roots[0].object')
documented=$(dirname "$0")/../../images/JSON.md

# Every member, at whatever depth, is a word of the command's row.
described() { # row command...
	local row=$1 line name
	shift
	line=$(grep -F "| $row |" "$documented") || { complain "no row \"$row\""; return; }
	try "$@"
	[ $code -le 1 ] || complain "$* gave $code"
	for name in $(jq -r '[paths | map(select(type == "string")) | .[-1] // empty] | unique | .[]' out); do
		[ "$name" = version ] || [[ $name = *_hex ]] && continue
		grep -qwF -- "$name" <<<"$line" || complain "$*: \"$name\" is not in the row of $row"
	done
}

it "describes every member that is printed"
described '`roots`' xn roots --json disk.img
described '`templates`' xn templates --json disk.img
described '`owner`' xn owner --json disk.img "$object"
described '`owner`' xn owner --json disk.img 2
described '`dump`' xn dump --json disk.img "$object"
described '`layout`' xn layout --json disk.img /home/sub/deeper/large
described '`freefrag`' xn freefrag --json disk.img
described '`diff`' xn diff --json disk.img :/home other
described '`stat`' xn stat --json disk.img /home/plain /home/absolute
described 'what changes an image' xn mkdir --json disk.img /home/new /home/plain

it "prints what it describes"
for name in $(grep -F '| `freefrag` |' "$documented" | cut -d'|' -f3 | tr -c 'a-z_' ' '); do
	xn freefrag --json disk.img | jq -e --arg n "$name" '[paths | .[-1]] | any(. == $n)' >/dev/null ||
		complain "freefrag prints no $name"
done
json '.version == 1 and .label == ""' xn info --json disk.img

done_testing
