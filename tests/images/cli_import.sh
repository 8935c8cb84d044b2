#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# import, export, mkfs --tar: trees go in and come out as they were.
. "$(dirname "$0")/lib.sh"

make_tree tree
if command -v setfattr >/dev/null && command -v setfacl >/dev/null && given_xattrs tree/plain; then
	given_xattrs tree/sub
	given_xattrs tree/sparse
	setfattr -n user.long -v "$(printf 'x%.0s' {1..800})" tree/sub/text
	touch -d '1999-12-31 23:59:59.999999999' tree/sub/text
fi
touch -d '2010-10-10 10:10:10.1' tree tree/sub
xn format -q disk.img --size 96M && xn mkfs -q disk.img --root home && xn mkfs -q disk.img --root work || exit 1

# Archives keep no time of reading, and "attributes" compares no such.
it "takes a directory in and gives it back the same"
ok xn import disk.img tree /home
ok xn export disk.img /home back
same_tree tree back
same_xattrs tree back
sound disk.img

it "writes an archive that tar reads, and that it reads itself"
ok xn export disk.img /home home.tar
mkdir untarred
if [ "$(id -u)" = 0 ]; then
	tar -C untarred --xattrs --xattrs-include='*' --acls -xpf home.tar 2>tar.err || complain "tar: $(cat tar.err)"
	same_tree tree untarred
fi
ok xn import disk.img home.tar /work
ok xn export disk.img /work back2
same_tree tree back2
same_xattrs tree back2
[ "$(stat -c %s home.tar)" -lt 1500000 ] || complain "the holes are in the archive"
json '.files[0] | .size_bytes == 3145728 and .allocated_bytes < 8192' xn stat --json disk.img /work/hole
sound disk.img

it "finds one tree in two images to be the same, and writes one archive of it"
ok xn export disk.img /work work.tar
cmp home.tar work.tar || complain "two archives of one tree differ"

it "knows compressed archives, and standard input and output"
for ending in tar.gz tgz tar.bz2 tar.xz tar.zst; do
	ok xn export -q disk.img /home a.$ending
	ok xn mkfs -q disk.img --root z --tar a.$ending
	xn export -q disk.img /z z.tar --force
	cmp -s home.tar z.tar || complain "$ending: another tree"
	ok xn root-remove -q disk.img z --force
done
ok xn export disk.img /home -
cmp -s home.tar out || complain "standard output got something else"
xn mkfs -q disk.img --root z --tar - <home.tar || complain "standard input was not read"
xn export -q disk.img /z z.tar --force && cmp -s home.tar z.tar || complain "another tree by standard input"
sound disk.img

it "reads what tar writes"
tar --format=gnu --xattrs --acls -C tree -cSf gnu.tar . 2>/dev/null
tar --format=pax --xattrs --xattrs-include='*' --acls -C tree -cSf pax.tar . 2>/dev/null
for kind in gnu pax; do
	xn root-remove -q disk.img z --force
	ok xn mkfs -q disk.img --root z --tar $kind.tar
	rm -rf backz
	ok xn export -q disk.img /z backz
	if [ $kind = pax ] && [ "$(id -u)" = 0 ]; then
		same_tree tree backz
		same_xattrs tree backz
	else
		diff -r --no-dereference tree backz 2>&1 | grep -vE 'is a (fifo|character|block)|Permission' >diff &&
			complain "$kind: $(head -3 diff)"
	fi
done

it "takes an ext4 image in, and it comes out equal"
if command -v mke2fs >/dev/null; then
	# What mke2fs -d itself does not keep: fractions of a second, years from 2038 on.
	source=ext-tree
	cp -a tree $source
	find $source -exec touch -h -d @1234567890 {} +
	touch -d '2001-02-03 04:05:06' $source/sub/text
	touch -h -d '1970-01-02 03:04:05' $source/dangling
	[ "$(id -u)" = 0 ] || chmod -R u+r $source
	for kind in ext2 ext3 ext4; do
		rm -rf $kind.img ext-back
		options=
		[ $kind = ext4 ] && options='-O inline_data'
		# shellcheck disable=SC2086
		mke2fs -q -t $kind $options -b 4096 -I 256 -d $source $kind.img 32M >mke2fs.out 2>&1 ||
			complain "mke2fs -d failed: $(cat mke2fs.out)"
		xn root-remove -q disk.img z --force
		xn mkfs -q disk.img --root z
		ok xn import disk.img $kind.img /z
		grep -q 'lost+found' out && complain "lost+found came along"
		ok xn export -q disk.img /z ext-back
		touch -d @1234567890 ext-back # it does not keep that of the top either
		same_tree $source ext-back
		same_xattrs $source ext-back
		sound disk.img
	done
	json '.files[0] | .size_bytes == 3145728 and .allocated_bytes < 8192' xn stat --json disk.img /z/hole
fi

it "builds the same bytes of the same tree"
cp -a tree copy # read at other times
sleep 0.01
for kind in dir tar; do
	for n in 1 2; do
		from=tree
		[ $n = 2 ] && from=copy
		source=(-d $from)
		[ $kind = tar ] && source=(--tar home.tar)
		export SOURCE_DATE_EPOCH=1500000000
		ok xn format -q same$n.img --force --size 64M -U 01234567-89ab-cdef-0123-456789abcdef
		ok xn mkfs -q same$n.img --root home "${source[@]}" -U 11111111-89ab-cdef-0123-456789abcdef
		unset SOURCE_DATE_EPOCH
	done
	cmp same1.img same2.img || complain "two builds ($kind) differ"
	sound same1.img
done
json '.files[0].modified == "2017-07-14T02:40:00.000000000Z"' xn stat --json same1.img /home/empty

it "reports in JSON what was done, and what failed"
json '.command == "mkfs" and .exit_code == 0 and .failures == [] and (.done | map(.text) | any(test("new root /j")))' \
	xn mkfs --json disk.img --root j
[ -s err ] && complain "it also said $(cat err)"
try xn import --json disk.img nosuch /j
equal $code 1
jq -e '.version == 1 and .command == "import" and .exit_code == 1 and .failures[0].subject == "nosuch"' out >/dev/null ||
	complain "no JSON: $(cat out)"
refused 2 'cannot share the output' xn export --json disk.img /j -

it "gives everything to root when asked"
ok xn format -q root.img --size 64M
ok xn mkfs -q root.img --root home -d tree --all-root
json '[.entries[] | .uid + .gid] | add == 0' xn ls -lR --json root.img /home

it "leaves what is there alone"
refused 1 'home.tar: it is there already; --force' xn export disk.img /home home.tar
refused 1 'back: there is something in it; --force' xn export disk.img /home back
refused 1 'name a directory of a root' xn export disk.img / all
refused_unchanged disk.img 1 'name a directory of a root' xn import disk.img tree /
refused_unchanged disk.img 1 'Not a directory' xn import disk.img tree /home/plain
refused_unchanged disk.img 1 'No such file' xn import disk.img tree /home/nosuch
refused_unchanged disk.img 1 'nosuch: No such file' xn import disk.img nosuch /home
head -c 100000 /dev/urandom >noise
refused_unchanged disk.img 1 'no directory, no tar archive, and no ext2' xn import disk.img noise /home
refused_unchanged disk.img 1 'it is no tar archive' xn mkfs disk.img --root x --tar noise
refused_unchanged disk.img 1 'holds no ext2' xn import disk.img noise /home --from ext
refused_unchanged disk.img 2 'is not auto, dir' xn import disk.img noise /home --from zip
refused_unchanged disk.img 2 'two sources' xn mkfs disk.img --root x --tar home.tar -d tree

it "says so when an archive is cut off, and keeps what was whole"
head -c 200000 home.tar >cut.tar
xn root-remove -q disk.img z --force && xn mkfs -q disk.img --root z
refused 1 'cut.tar: ' xn import disk.img cut.tar /z
ok xn ls disk.img /z
sound disk.img

it "lets no name lead out of the directory that is filled"
python3 - <<'END'
import io, tarfile
def add(tar, name, **more):
    info = tarfile.TarInfo(name)
    for key, value in more.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(b"x" * info.size))
with tarfile.open("evil.tar", "w") as tar:
    add(tar, "../outside", size=1)
    add(tar, "a/../../outside", size=1)
    add(tar, "/absolute", size=1)
    add(tar, "link", type=tarfile.SYMTYPE, linkname="/work")
    add(tar, "link/through", size=1)
    add(tar, "hard", type=tarfile.LNKTYPE, linkname="../../work/plain")
    add(tar, "self", type=tarfile.LNKTYPE, linkname="self")
    add(tar, "good", size=1)
END
xn root-remove -q disk.img z --force && xn mkfs -q disk.img --root z
refused 1 'leads out of the directory' xn import disk.img evil.tar /z
ok xn ls disk.img /z
equal "$(cat out)" $'absolute\ngood\nlink'
refused 1 'No such file' xn stat disk.img /work/through
sound disk.img

it "survives ext images whose bytes lie"
if command -v mke2fs >/dev/null; then
	mkdir small
	cp tree/plain tree/sub/text small
	ln -s "$(printf 'x%.0s' {1..200})" small/long
	mke2fs -q -t ext4 -d small bad0.img 2M >mke2fs.out 2>&1
	given_image empty.img 8M
	for ((seed = 0; seed < ${XN_LIES-20}; seed++)); do
		python3 - $seed <<'END'
import random, sys
random.seed(int(sys.argv[1]))
image = bytearray(open("bad0.img", "rb").read())
used = [i for i in range(len(image)) if image[i]]
for _ in range(random.choice((1, 10, 100))):
    image[random.choice(used)] = random.choice((0, 1, 255, random.randrange(256)))
open("bad.img", "wb").write(image)
END
		cp --sparse=always empty.img target.img
		try timeout 20 xn import target.img bad.img /home --from ext
		[ $code -le 1 ] || complain "seed $seed: exit code $code"
	done
	sound target.img
fi

done_testing
