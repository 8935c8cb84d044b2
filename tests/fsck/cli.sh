#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The program xn-fsck: exit codes of fsck(8), what it prints, whom it refuses.
set -u
fsck=$XN_BIN/xn-fsck
make=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0

fail()
{
	echo "FAILED: $*"
	cat out err
	failed=1
}

# expect CODE arguments...
expect()
{
	code=$1
	shift
	"$fsck" "$@" > out 2> err < /dev/null
	got=$?
	[ $got -eq "$code" ] || fail "xn-fsck $*: exit $got, not $code"
}

# says FILE PATTERN
says()
{
	grep -q -- "$2" "$1" || fail "no '$2' in $1"
}

image()
{
	"$make" image "$1" || { echo "FAILED: no image"; exit 1; }
	cp image before
}

unchanged()
{
	cmp -s image before || fail "the image was changed: $1"
}

# 0: clean, and as e2fsck says it.
image sound
expect 0 -n image
says out '^hand-made: clean, 2 roots, [0-9]*/512 blocks$'
expect 0 -p image
expect 0 -a image
expect 0 -f -y image
says out '^Pass 1: '
says out '^Pass 6: '
expect 0 -fnv image
says out ' 6 objects'
unchanged 'a clean one'

# A path is a root, and nothing below.
expect 8 -fn image /none
expect 0 -fn image /a
expect 0 -fn image //a
expect 16 -fn image /none/deeper
says err 'a path is that of a whole root'
expect 16 -fn image /
expect 16 -fn image --root a /b
expect 16 -fn image other

# 1: repaired; 4 when looking only.
image leak
expect 4 -n image
says out 'Free them? no'
unchanged '-n'
expect 1 -p image
says out 'FIXED'
grep -q '^Pass' out && fail 'passes are told while preening'
expect 0 -fn image
image leak
expect 1 -y image
says out 'Free them? yes'
says out 'DISK WAS MODIFIED'
expect 0 -f -n image
image unclean
expect 0 -p image
expect 0 -n image
says out 'clean'

# --undo: all is as it was; the file is never overwritten.
image leak
expect 1 -y --undo taken image
cmp -s image before && fail 'nothing was repaired'
expect 1 --undo-replay taken image
unchanged '--undo-replay'
expect 8 -y --undo taken image
says err 'File exists'
unchanged 'an undo file that is there'
expect 8 --undo-replay before image
says err 'no undo file'
expect 16 --undo-replay taken -y image
rm -f taken
# What was written behind a record that is cut off never went down: it is left out.
image leak
"$fsck" -y --undo taken image > out 2>&1
truncate -s -100 taken
expect 1 --undo-replay taken image
rm -f taken

# --root: that root only, and no free map.
image leak
expect 0 -fn --root a image
grep -q 'Free them' out && fail 'the map was checked'
expect 8 -fn --root nosuch image

# 4: left.
image lossy
expect 4 -fp image
says out 'RUN xn-fsck MANUALLY'
expect 1 -y image
expect 0 -fn image
image broken
expect 4 -fn image
says out "is no sound test.node: its check says 7"
expect 4 -fnv image
says out '<object/damaged>'
expect 4 -fy image
expect 4 -y image # without -f, too: it is marked

# 8: cannot run.
expect 8 -n nowhere
says err 'No such file'
expect 8 -n .
image newer
expect 8 -y image
says out 'newer'
unchanged 'a newer one'
head -c 100000 /dev/zero > image
expect 8 -y image
says out 'not an XN disk'
: > image
expect 8 -n image

# Nobody to ask: a sound disk is found so, and nothing is repaired of another.
image sound
expect 0 -f image
unchanged 'asking nobody about a sound one'
image leak
expect 4 -f image
says out 'Free them? no'
says err 'nothing was repaired: asking needs a terminal'
unchanged 'asking nobody'
image sound

# 16: usage.
expect 16
expect 16 -n
expect 16 -n -y image
expect 16 -Q image
expect 16 -n image image
expect 16 --json image
expect 16 -C x -n image
expect 16 -C 99 -n image
expect 0 --help
says out '^Usage: xn-fsck'
expect 0 --version
says out '^xn-fsck [0-9]'
expect 0 -n -n image # the same twice is no contradiction
expect 0 -p -a image

# Progress: "pass current max device" on a descriptor.
"$fsck" -fn -C 3 image > out 2> err 3> progress || fail 'with -C 3'
grep -Eq '^4 [0-9]+ [0-9]+ .*image$' progress || { cat progress; fail 'no progress of pass 4'; }
grep -Evq '^[1-7] [0-9]+ [0-9]+ ' progress && fail 'something else among the progress'

expect 0 -fn -C 0 image
says out '%'

# JSON: one object; nothing else on standard output.
image leak
expect 4 -n --json image
python3 - out << 'PY' || fail 'JSON'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["version"] == 1
assert report["exit_code"] == 4
assert report["found"] == report["left"] == 1
assert report["disk"]["label"] == "hand-made"
assert report["disk"]["was_clean"] is False
assert report["findings"][0]["code"] == "map/leak"
assert report["findings"][0]["crash_trace"] is True
assert report["findings"][0]["repaired"] is False
PY
expect 8 -n --json nowhere
python3 -c 'import json; r = json.load(open("out")); assert r["exit_code"] == 8 and r["why"] and r["disk"] is None' ||
	fail 'JSON of a failure'

# In use: refused with the holder's name; looking warns and goes on.
image held
python3 - image ready << 'PY' &
import fcntl, os, struct, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
# an open-file-description lock, exclusive, of the whole file
fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
open(sys.argv[2], "w").close()
time.sleep(60)
PY
holder=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ -e ready ] && break
	sleep 0.2
done
expect 8 -p image
says err 'in use by xn-fuse (process 4711 on somewhere)'
unchanged 'in use'
expect 0 -n image
says err 'warning: .*in use by xn-fuse'
kill $holder
wait $holder 2> /dev/null
expect 0 -p image

# A reader may look while another looks, and nobody repairs meanwhile.
image unclean
python3 - image ready2 << 'PY' &
import fcntl, os, struct, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 0, 0))
open(sys.argv[2], "w").close()
time.sleep(60)
PY
holder=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ -e ready2 ] && break
	sleep 0.2
done
expect 0 -n image
[ -s err ] && fail 'a warning without a reason'
expect 8 -y image
kill $holder
wait $holder 2> /dev/null

# A read-only file is looked at and not repaired (root may write anything).
if [ "$(id -u)" != 0 ]; then
	image leak
	chmod 400 image
	expect 4 -n image
	expect 8 -p image
fi

# A reader that goes away does not leave a repair half-done.
image leak
"$fsck" -y image 2> err | head -c 1 > out
expect 0 -fn image

# The names that fsck(8) calls.
[ -x "$XN_BIN/fsck.xn" ] || fail 'no fsck.xn'
[ -x "$XN_BIN/fsck.fuse.xn" ] || fail 'no fsck.fuse.xn'
image leak
"$XN_BIN/fsck.fuse.xn" -a image > out 2> err
[ $? -eq 1 ] || fail 'fsck.fuse.xn -a'

exit $failed
