#!/bin/sh
# SPDX-License-Identifier: MIT
#
# format_page.sh FORMAT.md: the same as a page of the manual, in scdoc.
set -eu
awk '
function inline(text,   out, at, inner) {
	gsub(/\\/, "\\\\\\\\", text)
	out = ""
	# Bold, then code; what is inside loses its meaning for scdoc.
	gsub(/\*\*/, "\001", text)
	gsub(/`/, "\001", text)
	gsub(/\*/, "\\*", text)
	gsub(/_/, "\\_", text)
	gsub(/#/, "\\#", text)
	gsub(/~/, "\\~", text)
	gsub(/</, "\\<", text)
	gsub(/\001/, "*", text)
	return text
}
function row(text,   n, i, cell) {
	sub(/^\| */, "", text)
	sub(/ *\|$/, "", text)
	n = split(text, cell, / *\| */)
	for (i = 1; i <= n; i++)
		print (i == 1 ? (table++ ? "|  " : "[[ ") : (table == 1 ? ":[ " : ":  ")) inline(cell[i])
}
NR == 1 {
	print "xn-format(5)\n\n# NAME\n\nxn-format - what is on an XN disk\n\n# DESCRIPTION"
	next
}
/^\|[-| ]+\|$/ { next }
/^\|/ { row($0); next }
table { table = 0 }
/^### / { sub(/^### /, ""); print "## " inline($0); next }
/^## / { sub(/^## /, ""); print "# " inline(toupper($0)); next }
/^\* / { sub(/^\* /, ""); print "- " inline($0); next }
{ print inline($0) }
END {
	print "\n# SEE ALSO\n\n*xn*(1), *xn-fsck*(8), *xn-recipe*(5)"
}' "$1"
