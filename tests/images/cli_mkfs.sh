#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# mkfs: roots, and what they are filled with.
. "$(dirname "$0")/lib.sh"

it "makes a root that info and roots show"
ok xn format -q disk.img --size 64M
ok xn mkfs disk.img --root home --type simplefs --quota 1M
grep -q 'new root /home (simplefs)' err || complain "it does not say so"
json '.roots | length == 1 and .[0].name == "home" and .[0].libfs == "simplefs"
	and .[0].quota_bytes == 1048576' xn roots --json disk.img
sound disk.img

it "takes owner, group, mode and UUID of the root"
ok xn mkfs -q disk.img --root work --uid 1000 --gid 100 --mode 2750 -U 01234567-89ab-cdef-0123-456789abcdef
json '.files[0] | .uid == 1000 and .gid == 100 and .mode == "2750"' xn stat --json disk.img /work
json '.roots[1].uuid == "01234567-89ab-cdef-0123-456789abcdef"' xn roots --json disk.img

it "keeps many roots"
for i in {1..20}; do ok xn mkfs -q disk.img --root "root $i"; done
json '.roots | length == 22' xn roots --json disk.img
json '.templates | length == 9' xn templates --json disk.img # six of simplefs, three of C-FFS

it "fills a root with a tree that comes back the same"
make_tree tree
ok xn format -q full.img --size 64M
ok xn mkfs full.img --root home -d tree
ok xn cp full.img -a :/home back
same_tree tree back
sound full.img

it "keeps hard links as one file"
json '.files | map(.inode) | unique | length == 1' xn stat --json full.img /home/plain /home/sub/twin \
	/home/sub/deeper/triplet
json '.files[0].links == 3' xn stat --json full.img /home/plain

it "keeps holes"
json '.files[0] | .size_bytes == 3145728 and .allocated_bytes == 0' xn stat --json full.img /home/hole
json '.files[0].allocated_bytes < 65536' xn stat --json full.img /home/sparse
[ "$(du -k back/hole | cut -f1)" -lt 64 ] || complain "the copy has no hole"

it "takes options before what the directory says"
ok xn mkfs -q full.img --root other -d tree --uid 5 --mode 700
json '.files[0] | .uid == 5 and .mode == "0700"' xn stat --json full.img /other
json '.files[0].modified == "2010-10-10T10:10:10.100000000Z"' xn stat --json full.img /other

it "makes the same files of the same tree, in the same order, with the same inodes"
export SOURCE_DATE_EPOCH=1000000000
for n in 1 2; do
	xn format -q same$n.img --size 64M -U 01234567-89ab-cdef-0123-456789abcdef
	xn mkfs -q same$n.img --root home -d tree -U 11111111-89ab-cdef-0123-456789abcdef
	xn ls -lR --json same$n.img | jq 'del(.image) | .entries | map(del(.generation, .accessed))' >same$n.json
done
unset SOURCE_DATE_EPOCH
cmp same1.json same2.json || complain "they differ"

it "fills a root with a real tree that comes back the same"
real=$(for d in /usr/include /usr/share/doc /usr/share; do [ -d $d ] && echo $d && break; done)
xn format -q real.img --size 2G
ok xn mkfs -q real.img --root inc -d "$real"
ok xn cp real.img -a :/inc real
if [ "$(id -u)" = 0 ]; then
	same_tree "$real" real
else
	diff -r --no-dereference "$real" real >diff || complain "it differs: $(head -3 diff)"
fi
sound real.img
rm -rf real real.img

it "refuses unknown types and names those it knows"
refused_unchanged disk.img 1 'no LibFS is called "ext9".*simplefs' xn mkfs disk.img --root x --type ext9
refused_unchanged disk.img 1 'no LibFS is called "../evil"' xn mkfs disk.img --root x --type ../evil

it "refuses names that no root can have"
for name in '' a/b . .. "$(printf 'x%.0s' {1..64})" "$(printf 'a\nb')"; do
	refused_unchanged disk.img 1 "cannot be a root's name" xn mkfs disk.img --root "$name"
done

it "refuses a second root of one name"
refused_unchanged disk.img 1 'a root called "home" is there already' xn mkfs disk.img --root home

it "refuses what does not fit before it changes anything"
mkdir big
head -c 3000000 /dev/urandom >big/file
xn format -q tiny.img --size 2M
refused_unchanged tiny.img 1 'big needs at least 2\.8 MiB, and there is .* free' xn mkfs tiny.img --root x -d big
refused_unchanged disk.img 1 'big needs at least .* 1 MiB of quota' xn mkfs disk.img --root x -d big --quota 1M

it "says so when the disk is full after all, and leaves it sound"
# Fits by its bytes; the blocks that name them do not.
mkdir brim
for i in {1..300}; do echo $i >brim/$i; done
head -c 1000 /dev/urandom >brim/last
blocks=$(xn info --json tiny.img | jq .free_blocks)
head -c $(((blocks - 302 > 0 ? blocks - 302 : 1) * 4096)) /dev/zero | tr '\0' x >brim/1x
[ "$blocks" -gt 302 ] || rm brim/2*
refused 1 'No space|at least' xn mkfs tiny.img --root x --type simplefs -d brim
if xn roots tiny.img | grep -q ' x$'; then
	grep -q 'tiny.img: /x is there and holds what could be copied' err || complain "it said: $(cat err)"
	ok xn ls -lR tiny.img /x
fi
sound tiny.img

it "refuses a directory that is none"
refused_unchanged disk.img 1 'nosuch: No such file' xn mkfs disk.img --root x -d nosuch
refused_unchanged disk.img 1 'Not a directory' xn mkfs disk.img --root x -d tiny.img

done_testing
