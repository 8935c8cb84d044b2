#!/bin/sh
# SPDX-License-Identifier: MIT
#
# manual.sh XN xn.1.scd: the page with the options of every command in place of the line
# @OPTIONS@, as `XN help COMMAND` tells them.  Those that many commands have stand in the page.
set -eu
xn=$1 page=$2

options() {
	"$xn" help | sed -nE 's/^  ([a-z][-a-z]*) +.*/\1/p' | while read -r command; do
		"$xn" help "$command" | awk -v command="$command" '
			function literal(text) {
				gsub(/\\/, "\\\\\\\\", text)
				gsub(/[_*#~<`]/, "\\\\&", text)
				return text
			}
			/^options:$/ { on = 1; next }
			!on || !match($0, /--[a-z][-a-z]*( [A-Z]+)?/) { next }
			{
				letter = substr($0, 1, 5) ~ /-[a-zA-Z],/ ? "*" substr($0, 3, 2) "*, " : ""
				split(substr($0, RSTART, RLENGTH), word, " ")
				text = substr($0, RSTART + RLENGTH)
				sub(/^ +/, "", text)
				if (word[1] ~ /^--(json|bytes|color|quiet|help)$/) next
				if (!any++) printf "## xn %s\n\n", command
				printf "%s*%s*%s\n\t%s\n\n", letter, literal(word[1]), \
					word[2] ? " _" literal(word[2]) "_" : "", literal(text)
			}'
	done
}

sed '/^@OPTIONS@$/,$d' "$page"
options
sed '1,/^@OPTIONS@$/d' "$page"
