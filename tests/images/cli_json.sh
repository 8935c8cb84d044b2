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
described '`map`' xn map --json disk.img
described '`allowance`' xn allowance --json disk.img 0
described '`allowance`' xn allowance --json disk.img 5 --blocks 1G
described '`probe`' xn probe --json disk.img
described 'what changes an image' xn mkdir --json disk.img /home/new /home/plain

it "prints what it describes"
for name in $(grep -F '| `freefrag` |' "$documented" | cut -d'|' -f3 | tr -c 'a-z_' ' '); do
	xn freefrag --json disk.img | jq -e --arg n "$name" '[paths | .[-1]] | any(. == $n)' >/dev/null ||
		complain "freefrag prints no $name"
done
json '.version == 1 and .label == ""' xn info --json disk.img

it "prints what the JSON schema says, every kind"
mkdir said
# said KIND command...
said() {
	local kind=$1
	shift
	try "$@"
	[ -s out ] || complain "$*: not a word: $(cat err)"
	cp out "said/$kind.$((said_count += 1)).json"
}
said_count=0
xn mkfs -q disk.img --root simple --type simplefs --quota 16M -d tree
for command in info roots templates ls freefrag map; do
	said $command xn $command --json disk.img
done
said ls xn ls --json disk.img /home /simple
said tree xn tree --json disk.img /home
said stat xn stat --json disk.img /home/plain /home/absolute /home/empty /simple/fifo
for block in 0 1 2 3 10 100 270 300 $((object + 1)) "$object" 16000; do
	said owner xn owner --json disk.img $block
	said dump xn dump --json disk.img $block
done
said layout xn layout --json disk.img /home/sub/deeper/large /home/hole /simple/sparse /home/nothing
said diff xn diff --json disk.img :/home other
said allowance xn allowance --json disk.img 0
said allowance xn allowance --json disk.img 7 --blocks 1M
said probe xn probe --json disk.img
said probe xn probe --json tree/plain
said change xn tune --json disk.img -L renamed
said change xn mkdir --json disk.img /home/plain
if python3 -c 'import jsonschema' 2>/dev/null; then
	python3 "$XN_SOURCE/tests/images/json_schema.py" "$XN_SOURCE/images/xn.schema.json" said >schema.log 2>&1 ||
		complain "$(head -20 schema.log)"
else
	echo "python3-jsonschema is not installed: not asked"
fi

done_testing
