#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a mount costs, next to others of its kind, in one run and one table:
#
#	tests/bench/mounts.sh [--files N] [--rounds N] [--threads N] [--tree DIR] [--quick] [KIND...]
#
# KIND: a LibFS (cffs, simplefs), mem (the same bridge over memory: what FUSE alone costs), fuse2fs,
# ntfs-3g, ext4 (the kernel, on a loop device).  Every phase is run on each of them
# before the next, the best of the rounds counts, all images lie side by side.
# Milliseconds; behind them, how many times faster (>1) the first KIND is.  A second
# table has the processor time of client and server: it tells more where others work too.
# cold: mounted anew, so neither the kernel nor the server remembers.
# Needs root; set XN_BIN and XN_BUILD, or run it through ctest.
. "${XN_SOURCE:=$(cd "$(dirname "$0")/../.." && pwd)}/tests/fuse/lib.sh"

files=10000 rounds=3 threads=1 tree=/usr/include kinds=()
while [ $# -gt 0 ]; do
	case $1 in
	--files) files=$2; shift ;;
	--rounds) rounds=$2; shift ;;
	--threads) threads=$2; shift ;;
	--tree) tree=$2; shift ;;
	--quick) files=400 rounds=1 tree=$XN_SOURCE/tests/fuse ;;
	-*) fail "unknown option $1" ;;
	*) kinds+=("$1") ;;
	esac
	shift
done
if [ ${#kinds[@]} = 0 ]; then
	kinds=()
	for type in cffs simplefs; do
		xn format try.img --size 64M >/dev/null && xn mkfs try.img --root r --type $type >/dev/null 2>&1 &&
			kinds+=($type)
		rm -f try.img
	done
	kinds+=(mem)
	for type in fuse2fs ntfs-3g; do
		command -v $type >/dev/null && kinds+=($type)
	done
	losetup -f >/dev/null 2>&1 && kinds+=(ext4)
fi
phases=$tests/bench_phases
size=600M
declare -A best work_of

# ---- the file systems ----

make_fs() { # kind
	case $1 in
	mem) : ;;
	fuse2fs | ext4) truncate -s $size "$1.img" && mkfs.ext4 -q "$1.img" ;;
	ntfs-3g) truncate -s $size "$1.img" && mkfs.ntfs -F -Q -q "$1.img" ;;
	*) xn format "$1.img" --size $size && xn mkfs "$1.img" --root r --type "$1" ;;
	esac >/dev/null 2>mkfs.log || { cat mkfs.log >&2; fail "mkfs of $1"; }
	mkdir -p "$1"
}

mount_fs() { # kind
	case $1 in
	mem) "$tests/xn-fuse-mem" mem:1 "$work/mem" -o root=r1 ;;
	fuse2fs) fuse2fs "$work/fuse2fs.img" "$work/fuse2fs" -o fakeroot >/dev/null ;;
	ntfs-3g) ntfs-3g "$work/ntfs-3g.img" "$work/ntfs-3g" -o big_writes ;;
	ext4) mount -o loop ext4.img ext4 ;;
	*) "$bridge" "$work/$1.img" "$work/$1" -o root=r,cache=256M ;;
	esac || fail "mounting $1"
}

umount_fs() {
	umount "$1" || fail "umount $1"
	while server_of "$1" >/dev/null; do sleep 0.02; done
}

# Memory forgets when its server ends: there only the kernel forgets.
cool() { # kind
	if [ "$1" = mem ]; then
		sync
		echo 3 >/proc/sys/vm/drop_caches
	else
		umount_fs "$1"
		echo 3 >/proc/sys/vm/drop_caches
		mount_fs "$1"
	fi
}

# ---- the phases ----

least() { # table key value: keep the least
	local -n table=$1
	if [ -z "${table[$2]-}" ] || awk -v a="$3" -v b="${table[$2]}" 'BEGIN { exit !(a < b) }'; then
		table[$2]=$3
	fi
}

server_of() { pgrep -f " $work/$1( |$)"; }

# Nanoseconds that the server's threads have run.
served_ns() { # kind
	local pid
	pid=$(server_of "$1" | head -1)
	[ -z "$pid" ] && echo 0 && return
	awk '{ print ($14 + $15) * 10000000 }' /proc/"$pid"/stat
}

measure() { # kind phase command...
	local kind=$1 name=$2 before after real user sys
	shift 2
	before=$(served_ns "$kind")
	TIMEFORMAT='%R %U %S'
	{ time "$@" >/dev/null 2>phase.log; } 2>time.log || { cat phase.log >&2; fail "$name on $kind"; }
	read -r real user sys < <(tail -1 time.log)
	after=$(served_ns "$kind")
	least best "$kind $name" "$real"
	least work_of "$kind $name" "$(awk "BEGIN { print $user + $sys + ($after - $before) / 1e9 }")"
}

sync_top() { # after a change by shell commands
	python3 -c '
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
try:
    os.fsync(fd)
except OSError:
    pass' "$1"
	sync -f "$1"
}

untar() { tar -C "$1" -xf tree.tar && sync_top "$1"; }
copy() { cp -r "$1/tree" "$1/copy" && sync_top "$1"; }
remove() { rm -rf "$1/tree" "$1/copy" && sync_top "$1"; }
same() { diff -r --no-dereference "$1/tree" "$1/copy"; }

plan=(create stat cold-read read overwrite unlink write64 cold-reread64 random fsyncs
	untar cold-find copy cold-diff remove)

phase() { # kind phase
	local kind=$1 name=${2#cold-}
	[[ $2 == cold-* ]] && cool "$kind"
	case $name in
	untar | copy | remove) measure "$kind" "$2" $name "$kind" ;;
	find) measure "$kind" "$2" find "$kind" -ls ;;
	diff) measure "$kind" "$2" same "$kind" ;;
	*)
		# The other kinds' cold starts have emptied the kernel's memory.
		[ "$2" = read ] && "$phases" "$kind" read "$files" "$threads" >/dev/null
		measure "$kind" "$2" "$phases" "$kind" "$name" "$files" "$threads"
		;;
	esac
}

for kind in "${kinds[@]}"; do make_fs "$kind"; done
mkdir tree && cp -r "$tree"/. tree && tar -cf tree.tar tree
echo "$files files of 1 KiB, $threads threads; tree: $(find tree | wc -l) files, $(du -sm tree | cut -f1) MiB; $(nproc) processors, best of $rounds"
for _ in $(seq "$rounds"); do
	for kind in "${kinds[@]}"; do mount_fs "$kind"; done
	for name in "${plan[@]}"; do
		for kind in "${kinds[@]}"; do
			phase "$kind" "$name"
		done
	done
	for kind in "${kinds[@]}"; do
		[ "$kind" = mem ] || rm -rf "${kind:?}"/{d*,s*,big} 2>/dev/null
		umount_fs "$kind"
	done
done

# ---- the tables ----

print_table() { # title table
	local -n table=$2
	local first
	printf '%-14s' "$1"
	for kind in "${kinds[@]}"; do printf '%18s' "$kind"; done
	echo
	for name in "${plan[@]}"; do
		printf '%-14s' "$name"
		first=${table[${kinds[0]} $name]}
		for kind in "${kinds[@]}"; do
			awk -v t="${table[$kind $name]}" -v f="$first" \
				'BEGIN { printf "%10.0f (%5.2f)", t * 1000, (f > 0 ? t / f : 0) }'
		done
		echo
	done
}

print_table milliseconds best
print_table processor work_of
