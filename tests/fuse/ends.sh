#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every way a mount ends leaves the image whole, free and clean: umount, a signal
# at rest, under load, with users who stay; and the next opener gets it.
. "$XN_SOURCE/tests/fuse/lib.sh"

load() { # keeps the mount busy until it goes away
	while dd if=/dev/urandom of="mnt/home/load$1" bs=64k count=16 status=none 2>/dev/null; do
		mv "mnt/home/load$1" "mnt/home/moved$1" 2>/dev/null || break
		mkdir "mnt/home/dir$1" || break
		rmdir "mnt/home/dir$1" || break
	done 2>/dev/null
}

with=(-o "rw${1-}")
image disk.img 64M home work

mkdir mnt

# umount returns early; whoever opens next waits for the one that is finishing.
for round in $(seq 10); do
	"$bridge" disk.img mnt "${with[@]}" 2>/dev/null || fail "round $round"
	echo "$round" >mnt/home/round
	[ "$(cat mnt/home/round)" = "$round" ] || fail "round $round"
	umount mnt || fail "umount, round $round"
done
echo "10 times unmounted and opened again at once"

# By umount.fuse.xn: free when it returns.
"$bridge" disk.img mnt "${with[@]}" || fail "mount"
dd if=/dev/zero of=mnt/home/much bs=1M count=8 status=none
umount.fuse.xn -v "$work/mnt" | grep -q "is free" || fail "umount.fuse.xn says nothing"
python3 - <<'END' || fail "the image is still locked"
import fcntl, struct
image = open("disk.img", "r+b")
fcntl.fcntl(image, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
END
fsck_clean disk.img
refuses 32 "nothing is mounted" umount.fuse.xn "$work/mnt"

# A signal at rest, each of them.
for signal in TERM INT HUP; do
	serve disk.img mnt "${with[@]}"
	echo $signal >mnt/home/signal
	kill -$signal "$server"
	served
	is_mounted mnt && fail "still mounted after SIG$signal"
	fsck_clean disk.img
	[ "$(xn cat disk.img /home/signal)" = $signal ] || fail "what was written before SIG$signal is lost"
done

# Under load.
serve disk.img mnt "${with[@]}"
loads=()
for i in 1 2 3; do
	load $i &
	loads+=($!)
done
sleep 1
kill -TERM "$server"
served
wait "${loads[@]}"
is_mounted mnt && fail "still mounted after SIGTERM under load"
fsck_clean disk.img
echo "ended under load: clean"

# Somebody stays: cut off, his unlinked file is gone, the disk is clean.  (libfuse then keeps a
# string that only its own unmounting would free, and that might hit another's mount.)
ASAN_OPTIONS=detect_leaks=0 serve disk.img mnt "${with[@]}"
echo kept >mnt/home/kept
exec 7<>mnt/work/held 8<>mnt/work/held-too
echo x >&7
echo dirty >&8
rm mnt/work/held
kill -TERM "$server"
sleep 0.3
kill -TERM "$server" # a second one: now
served
grep -q "cut off" server.log || fail "does not say that somebody was cut off"
python3 -c 'import os; os.write(7, b"y"); os.fsync(7)' 2>/dev/null &&
	fail "a file of a mount that is gone can still be fsynced"
exec 7>&- 8>&-
is_mounted mnt && fail "still mounted"
fsck_clean disk.img
serve disk.img mnt "${with[@]}"
[ "$(cat mnt/home/kept)" = kept ] || fail "what was written before is lost"
[ "$(cat mnt/work/held-too)" = dirty ] || fail "what the kernel held of an open file is lost"
[ "$(ls mnt/work)" = held-too ] || fail "the unlinked file has a name: $(ls mnt/work)"

stop mnt

# Killed: with auto_unmount nothing stays behind.  (libfuse's helper loses a race now and then,
# when it looks before the kernel has closed the dead process's /dev/fuse; not three times.)
if command -v fusermount3 >/dev/null; then
	gone=no
	for _ in 1 2 3; do
		serve disk.img mnt -o auto_unmount
		kill -9 "$server"
		wait "$server" 2>/dev/null
		for _ in $(seq 40); do
			is_mounted mnt || gone=yes
			[ $gone = yes ] && break 2
			sleep 0.05
		done
		umount mnt
	done
	[ $gone = yes ] || fail "auto_unmount left the mount"
fi
# Without it a dead mount, which is refused by name and can be undone.
serve disk.img mnt
kill -9 "$server"
wait "$server" 2>/dev/null
refuses 32 "server has died; unmount it first" "$bridge" disk.img mnt
umount mnt || fail "a dead mount cannot be undone"
xn-fsck -p disk.img >/dev/null
[ $? -le 1 ] || fail "xn-fsck -p after kill -9"

# Who gives up waiting for the mount does not get one behind his back.
exec 9<>disk.img
python3 -c 'import fcntl, struct; fcntl.fcntl(9, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))'
"$bridge" disk.img mnt -o lock_wait=3 2>/dev/null 9<&- &
parent=$!
sleep 0.5
kill -INT $parent
kill -TERM $parent
wait $parent
exec 9<&-
sleep 4
is_mounted mnt && fail "mounted for somebody who has gone"
fsck_clean disk.img

# A lazy umount ends when the last user leaves.
serve disk.img mnt "${with[@]}"
exec 7>mnt/work/last
umount -l mnt
sleep 0.3
kill -0 "$server" 2>/dev/null || fail "ended while a file was open"
echo written-late >&7
exec 7>&-
served
[ "$(xn cat disk.img /work/last)" = written-late ] || fail "a late write is lost"
fsck_clean disk.img
