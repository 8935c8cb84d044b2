#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every public header compiles alone, as C and as C++, with nothing in sight but
# its own header set.
set -u
bad=0 count=0

try() { # compiler language flags... -- header
	local compiler=$1 language=$2
	shift 2
	command -v "$compiler" >/dev/null || return 0
	count=$((count + 1))
	if ! echo "#include \"$header\"" |
		"$compiler" -x "$language" -fsyntax-only -Wall -Wextra -Werror "$@" -; then
		echo "$header: not alone with $compiler as $language"
		bad=1
	fi
}

for set in "$XN_BUILD"/include/*/; do
	case $set in
	*/udf_author_api/) continue ;; # for the BPF machine; below
	*/fsck_api/) more=-I"$XN_BUILD/include/libfs_check_api" ;; # speaks of its problems
	*) more=-I"$set" ;;
	esac
	for path in "$set"*/*.h; do
		header=${path#"$set"}
		try gcc c -std=gnu11 -Wstrict-prototypes -Wundef -I"$set" "$more"
		try clang c -std=gnu11 -Wundef -I"$set" "$more"
		try g++ c++ -std=c++11 -I"$set" "$more"
		try clang++ c++ -std=c++17 -I"$set" "$more"
	done
done
header=udf/xn_udf.h
try clang c -target bpf -I"$XN_BUILD/include/udf_author_api"
[ $count -gt 0 ] || { echo "nothing was tried"; bad=1; }
echo "$count compilations"
exit $bad
