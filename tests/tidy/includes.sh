#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Reads every #include of the components and refuses what the table does not
# allow: other components' headers, `../`, angle brackets around our own, libfuse
# outside the bridge, files of another folder.
#
#   includes.sh [TREE [BUILD]]      default: $XN_SOURCE and $XN_BUILD
#   includes.sh --self-test         every kind of breach is found in a tree made for it
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/tidy/rules.sh
. "$here/rules.sh"

# May `file` (relative to the tree) say `#include <bracket><header>`?  Prints why not.
include_check() { # tree build file bracket header
	local tree=$1 build=$2 file=$3 bracket=$4 header=$5 component
	component=$(component_of "$file")
	case $header in
	*../*) echo "leaves its folder"; return ;;
	fuse*.h | */fuse*.h)
		[ "$component" = fuse-bridge ] || echo "libfuse belongs to the bridge"
		return ;;
	esac
	if [ "$bracket" = "<" ]; then
		case $header in
		udf/* | xn/* | libfs/*) echo "our own headers stand in quotes" ;;
		esac
		return
	fi
	case " $(echo $public_headers) udf/xn_udf.h udf/xn_template.h " in
	*" $header "*)
		header_is_allowed "$file" "$header" || echo "$component may not know $header"
		return ;;
	esac
	[ -f "$tree/$(dirname "$file")/$header" ] && return
	[ -f "$tree/$component/$header" ] && return
	# Made by the build for this component.
	[ -n "$build" ] && [ -d "$build/$component" ] &&
		[ -n "$(find "$build/$component" -name "$(basename "$header")" -print -quit)" ] && return
	echo "$header is not a file of $component"
}

tree_check() { # tree build
	local tree=$1 build=$2 file line text bracket header why bad=0
	while IFS=: read -r file line text; do
		[[ $text =~ include[[:space:]]*([\<\"])([^\>\"]*) ]] || continue
		bracket=${BASH_REMATCH[1]} header=${BASH_REMATCH[2]}
		# The system's: not worth a process each.
		[[ $bracket$header =~ ^\<[a-z_0-9]+\.h$ && $header != fuse* ]] && continue
		why=$(include_check "$tree" "$build" "$file" "$bracket" "$header")
		if [ -n "$why" ]; then
			echo "$file:$line: $header: $why"
			bad=1
		fi
	done < <(cd "$tree" && grep -rnE '^[ \t]*#[ \t]*include[ \t]*[<"]' --include='*.c' --include='*.h' \
		udf xn libfs fuse-bridge fsck images 2>/dev/null)
	return $bad
}

self_test() {
	local tree expected found
	tree=$(mktemp -d)
	trap "rm -rf '$tree'" EXIT
	mkdir -p "$tree"/{udf,xn/devices,libfs/simplefs/types,libfs/cffs,fuse-bridge,fsck,images}
	breach() { printf '#include %s\n' "$2" >>"$tree/$1"; }
	touch "$tree/xn/order.h" "$tree/xn/devices/device.h"
	# allowed
	breach xn/order.c '"order.h"'
	breach xn/devices/file.c '"device.h"'
	breach xn/order.c '<string.h>'
	breach libfs/simplefs/dir.c '"xn/xn.h"'
	breach libfs/simplefs/check.c '"libfs/check.h"'
	breach libfs/simplefs/types/dir.bpf.c '"udf/xn_udf.h"'
	breach fuse-bridge/main.c '<fuse_lowlevel.h>'
	breach fsck/main.c '"xn/format.h"'
	if ! tree_check "$tree" ""; then
		echo "the rules refuse what they should allow"
		return 1
	fi
	# not allowed: one line each
	breach udf/run.c '"xn/xn.h"'
	breach udf/validate.c '"xn/error.h"'
	breach xn/api.c '"libfs/libfs.h"'
	breach xn/bind.c '<udf/udf.h>'
	breach xn/check.c '"libfs/check.h"'
	breach libfs/simplefs/file.c '"libfs/check.h"'
	breach libfs/simplefs/inode.c '"xn/bdev.h"'
	breach libfs/simplefs/name.c '"xn/format.h"'
	breach libfs/cffs/dir.c '"udf/udf.h"'
	breach libfs/cffs/file.c '"../simplefs/file.h"'
	breach libfs/host.c '"xn/format.h"'
	breach fuse-bridge/ops.c '"xn/xn.h"'
	breach fuse-bridge/node.c '"order.h"'
	breach fsck/pass1.c '"xn/xn.h"'
	breach fsck/pass2.c '"libfs/libfs.h"'
	breach fsck/pass3.c '"../xn/internal.h"'
	breach images/show.c '<fuse3/fuse.h>'
	breach images/open.c '"xn/devices/device.h"'
	expected=18
	found=$(tree_check "$tree" "" | wc -l)
	if [ "$found" != $expected ]; then
		echo "found $found breaches of $expected:"
		tree_check "$tree" ""
		return 1
	fi
	echo "all $expected breaches found"
}

if [ "${1-}" = --self-test ]; then
	self_test
	exit
fi
tree_check "${1-$XN_SOURCE}" "${2-${XN_BUILD-}}"
