#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The tables of FORMAT.md against the structures: every field at the offset and
# of the length that is written there, none left out, to the last byte.
set -eu
: "${XN_SOURCE:?}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

{
	echo '#include <assert.h>'
	echo '#include <stddef.h>'
	echo '#include "xn/format.h"'
	echo '#include "xn/log_format.h"'
	echo '#include "image.h"'
	awk -F' *[|] *' '
	function finish() {
		if (name != "" && rows)
			printf "static_assert(sizeof(%s) == %d, \"%s: the table ends early or late\");\n",
				name, end, name
		rows = 0
	}
	/^#/ { finish(); name = "" }
	/^### `struct / { name = $0; gsub(/^### `|`$/, "", name); tables++; end = 0 }
	name != "" && $2 ~ /^0x/ && $3 ~ /^[0-9]+$/ {
		field = $4; sub(/\[[0-9]+\]$/, "", field)
		printf "static_assert(offsetof(%s, %s) == %s, \"%s.%s\");\n", name, field, $2, name, field
		printf "static_assert(sizeof(((%s *)0)->%s) == %s, \"%s.%s\");\n", name, field, $3, name, field
		printf "static_assert(%s == %d, \"%s.%s: bytes before it are not in the table\");\n", $2, end, name, field
		end += $3; rows++; all++
	}
	END {
		finish()
		printf "static_assert(%d == 10, \"tables\");\nstatic_assert(%d > 90, \"rows\");\n", tables, all
	}' "$XN_SOURCE/FORMAT.md"
	echo 'int main(void) { return 0; }'
} > "$work/table.c"

${CC:-cc} -std=gnu11 -I"$XN_SOURCE/xn/include" -I"$XN_SOURCE/udf/include" -I"$XN_SOURCE/udf" \
	-o "$work/table" "$work/table.c"
grep -c static_assert "$work/table.c" | sed 's/$/ assertions hold/'
