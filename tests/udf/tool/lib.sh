# SPDX-License-Identifier: MIT
# Sourced by the scripts beside it.  $1 of each is clang with a BPF target.

clang=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$(dirname "$0")
failures=0

wrong() {
	echo "FAIL: $*" >&2
	failures=$((failures + 1))
}

# compile SOURCE OBJECT [flags...]
compile() {
	source=$1 object=$2
	shift 2
	"$clang" -O2 -target bpf -mcpu=v3 -fno-builtin -w -g -I"$XN_SOURCE/udf/include" "$@" \
		-c "$source" -o "$object" || wrong "cannot compile $source"
}

# run CODE command...: exit code must be CODE; output goes to $work/stdout and $work/stderr
run() {
	want=$1
	shift
	"$@" >"$work/stdout" 2>"$work/stderr"
	got=$?
	[ "$got" -eq "$want" ] || {
		wrong "$* exits with $got, expected $want"
		sed 's/^/    /' "$work/stderr" >&2
	}
}

says() {
	grep -q -e "$1" "$work/stderr" || {
		wrong "$2: expected '$1' in:"
		sed 's/^/    /' "$work/stderr" >&2
	}
}

prints() {
	grep -q -e "$1" "$work/stdout" || {
		wrong "$2: expected '$1' in:"
		sed 's/^/    /' "$work/stdout" >&2
	}
}

finish() {
	[ "$failures" -eq 0 ] || exit 1
	echo "$1"
	exit 0
}
