#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The program xn-fsck, interrupted: it stops, says 32, and the next run finishes.
# A full pipe for its progress holds it in the middle of a pass, however fast it is.
set -u
fsck=$XN_BIN/xn-fsck
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

fail()
{
	echo "FAILED: $*"
	cat out err
	exit 1
}

cat > recipe <<-END
	format 64M
	root home cffs
	root work simplefs
	files /home 300 5000
	mkdir /home/d
	files /home/d 300 100
	files /work 300 5000
	flip /home/f0003 name 2
	set /home/d nlink 9
	set /work/f0007 nlink 5
	set super state 2
END
"$XN_BIN/xn" break image.made recipe > out 2> err || fail "no image"

# Pages of a full pipe that are emptied: the further it comes before it stands still.

run()
{
	local signal=$1 pages=$2 code
	cp --sparse=always image.made image
	rm -f pipe
	mkfifo pipe
	exec 3<> pipe
	dd if=/dev/zero of=pipe bs=4096 oflag=nonblock 2> /dev/null
	[ "$pages" -eq 0 ] || dd if=pipe of=/dev/null bs=4096 count="$pages" 2> /dev/null
	"$fsck" -fy -C 3 image > out 2> err < /dev/null &
	local pid=$!
	# It stands still when it sleeps in a write.
	until grep -q '^State:.*S' "/proc/$pid/status" 2> /dev/null || ! kill -0 $pid 2> /dev/null; do
		:
	done
	sleep 0.3
	kill "-$signal" $pid 2> /dev/null
	wait $pid
	code=$?
	exec 3>&-
	[ $((code & 32)) -eq 32 ] || fail "SIG$signal with $pages pages: exit $code"
	grep -q 'stopped; nothing half-done is left behind' out || fail "it does not say that it stopped"
	"$fsck" -fy image > out 2> err
	[ $? -eq 1 ] || fail "after SIG$signal -y did not repair"
	"$fsck" -fn image > out 2> err || fail "after SIG$signal the second run is not clean"
}

for signal in INT TERM; do
	run $signal 0
done
echo "OK"
