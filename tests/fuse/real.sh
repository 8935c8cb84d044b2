#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What people do with a file system: real.sh LIBFS OPTIONS WHAT...
#
#   git      clone, branch, gc and fsck this project's repository
#   compile  configure it and build a part of it, twice
#   sqlite   a database in both journal modes; kill -9 loses nothing committed
#   tar      /usr/share in and out again (XN_TEST_FILES files, default 3000)
#   rsync    a tree with all a file can carry, which then needs no second copying
#   fio      blocks at random by three ways of reading and writing, read again and compared
#   stress   stress-ng: many kinds of work on names and bytes at once, verified
#
# The disk is clean after each, and holds the same when mounted again.
. "$XN_SOURCE/tests/fuse/lib.sh" || exit 1

libfs=$1
options=root=home$2
shift 2
export GIT_CONFIG_GLOBAL=$work/gitconfig GIT_CONFIG_NOSYSTEM=1
printf '[safe]\n\tdirectory = *\n[user]\n\tname = test\n\temail = test@example.org\n' >gitconfig

begin() { serve disk.img mnt -o "$options"; }
end() {
	stop mnt
	fsck_clean disk.img
}

# What a tree holds, in one line a file.
tree_state() {
	(cd "$1" && find . -printf '%p %y %m %s %T@ %l\n' | sed -E 's/( d [0-7]+) [0-9]+/\1/' | LC_ALL=C sort)
	(cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum)
}

# The repository of this tree, or one made of its files.
repository() {
	if git -C "$XN_SOURCE" rev-parse --git-dir >/dev/null 2>&1; then
		echo "$XN_SOURCE"
		return
	fi
	mkdir origin && cp -r "$XN_SOURCE"/{xn,udf,libfs,tests,CMakeLists.txt} origin
	(cd origin && git init -q && git add -A && git commit -qm all)
	echo "$work/origin"
}

try_git() {
	begin
	git clone -q --no-hardlinks "$(repository)" mnt/clone || fail "git clone"
	(
		cd mnt/clone || exit 1
		git status --porcelain | grep . && exit 1
		git checkout -q -b other && git rm -rq tests && git commit -qm less &&
			git checkout -q - && git checkout -q other && git checkout -q - &&
			git gc -q --prune=now && git fsck --full --strict >fsck.out 2>&1
	) || fail "git in the clone"
	git -C mnt/clone count-objects -v
	end
	begin
	git -C mnt/clone fsck --full >fsck.git 2>&1 || { cat fsck.git; fail "git fsck after a remount"; }
	[ -z "$(git -C mnt/clone status --porcelain | grep -v fsck.out)" ] || fail "the clone has changed"
	rm -rf mnt/clone || fail "rm -rf"
	end
}

try_compile() {
	command -v cmake >/dev/null && command -v ninja >/dev/null || { echo "no cmake or ninja: left out"; return; }
	begin
	mkdir mnt/source
	tar -C "$XN_SOURCE" --exclude=./build --exclude=./.git -cf - . | tar -C mnt/source -xf - ||
		fail "copying the source"
	cmake -S mnt/source -B mnt/build -G Ninja -DCMAKE_BUILD_TYPE=Debug >configure.log 2>&1 ||
		{ tail configure.log; fail "cmake"; }
	ninja -C mnt/build udf xn_bdev >build.log 2>&1 || { tail build.log; fail "ninja"; }
	ninja -C mnt/build udf xn_bdev >again.log 2>&1 || fail "ninja, again"
	grep -q 'no work to do' again.log || { cat again.log; fail "times went wrong: it was built again"; }
	end
	begin
	ninja -C mnt/build udf xn_bdev | grep -q 'no work to do' || fail "times went wrong over a remount"
	rm -rf mnt/source mnt/build || fail "rm -rf"
	end
}

integrity() {
	[ "$(sqlite3 "$1" 'PRAGMA integrity_check')" = ok ] || fail "$1: integrity"
}

# Transactions until the bridge dies; each that was acknowledged is told to ./committed.
commit_on() {
	local i
	for i in $(seq 1000000); do
		sqlite3 "$1" "PRAGMA synchronous=EXTRA; INSERT INTO t VALUES($i, hex(randomblob(400)));" 2>/dev/null || return
		echo "$i" >committed
	done
}

try_sqlite() {
	command -v sqlite3 >/dev/null || { echo "no sqlite3: left out"; return; }
	local mode count last writer
	for mode in DELETE WAL; do
		begin
		sqlite3 mnt/db >/dev/null <<-SQL || fail "sqlite, $mode"
			PRAGMA journal_mode=$mode;
			PRAGMA synchronous=EXTRA;
			CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
			CREATE INDEX i ON t(v);
			BEGIN;
			WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000)
			INSERT INTO t SELECT x + 10000000, hex(randomblob(40)) FROM n;
			COMMIT;
			UPDATE t SET v = v || 'x' WHERE id % 3 = 0;
			DELETE FROM t WHERE id % 5 = 0;
			VACUUM;
		SQL
		integrity mnt/db
		end
		begin
		integrity mnt/db
		count=$(sqlite3 mnt/db 'SELECT count(*) FROM t')
		[ "$count" = 16000 ] || fail "sqlite, $mode: $count rows"
		rm -f committed
		commit_on mnt/db &
		writer=$!
		for _ in $(seq 300); do
			[ -s committed ] && [ "$(cat committed)" -ge 20 ] && break
			sleep 0.1
		done
		kill -9 "$server"
		wait "$writer" "$server" 2>/dev/null
		umount -l mnt
		last=$(cat committed)
		xn-fsck -p disk.img >preen.log 2>&1
		[ $? -le 1 ] || { cat preen.log; fail "fsck -p after kill -9"; }
		begin
		integrity mnt/db
		count=$(sqlite3 mnt/db 'SELECT max(id) FROM t WHERE id < 10000000')
		[ "$count" -ge "$last" ] || fail "sqlite, $mode: $last was committed, $count is there"
		echo "sqlite $mode: killed after transaction $last, found $count"
		rm -f mnt/db*
		end
	done
}

try_tar() {
	local files=${XN_TEST_FILES:-3000}
	(cd /usr/share && find . ! -type d | LC_ALL=C sort | head -"$files") >list
	tar -C /usr/share -cf in.tar --no-recursion -T list || fail "tar of /usr/share"
	mkdir expected && tar -xpf in.tar -C expected || fail "tar -x"
	tree_state expected | grep -v '^\. ' >expected.state
	begin
	mkdir mnt/share && tar -xpf in.tar -C mnt/share || fail "tar -x on the mount"
	tar -dpf in.tar -C mnt/share || fail "tar --compare"
	tar -cf mnt/out.tar -C mnt/share . || fail "tar -c on the mount"
	mkdir mnt/again && tar -xpf mnt/out.tar -C mnt/again || fail "tar -x of what was packed there"
	end
	begin
	diff -r --no-dereference expected mnt/share || fail "share differs"
	diff -r --no-dereference mnt/share mnt/again || fail "again differs"
	# directories of a tar without them have the time of unpacking
	diff <(grep -v ' d 7' expected.state) <(tree_state mnt/again | grep -v '^\. ' | grep -v ' d 7') >differs ||
		{ head differs; fail "attributes differ"; }
	rm -rf mnt/share mnt/again mnt/out.tar || fail "rm -rf"
	[ -z "$(ls -A mnt)" ] || fail "something is left"
	end
}

has() {
	command -v "$1" >/dev/null || { echo "no $1: left out"; return 1; }
}

# Files of every kind; with attributes where the LibFS has them.
dress() { # tree
	ln "$1/one" "$1/other-name"
	ln -s one "$1/symlink"
	ln -s nowhere "$1/dangling"
	ln "$1/symlink" "$1/second-symlink"
	mkfifo "$1/fifo"
	mknod "$1/null" c 1 3
	truncate -s 3M "$1/sparse" && echo end >>"$1/sparse"
	chown 1001:2001 "$1/one" && chmod 4711 "$1/one" && chmod 3775 "$1"
	touch -h -d '1969-07-20 20:17:40.5' "$1/symlink"
	touch -d '2242-03-16 01:02:03.000000001' "$1/sparse"
	[ "$libfs" = cffs ] || return 0
	setfattr -n user.kind -v plain "$1/one" && setfattr -n trusted.kind -v link -h "$1/symlink" &&
		setfacl -m u:1002:rw "$1/other-name" && setfacl -d -m g:2002:rx "$1"
}

try_rsync() {
	local all=-aHS
	has rsync || return
	[ "$libfs" = cffs ] && all=-aHSAX
	real_tree 800
	echo one >tree/one && dress tree || fail "making the tree"
	begin
	rsync $all --numeric-ids tree/ mnt/tree || fail "rsync"
	end
	begin
	# -c: by content; what would be copied is listed, a line each
	rsync $all --numeric-ids -cni --delete tree/ mnt/tree >differs || fail "rsync, again"
	[ ! -s differs ] || { head differs; fail "rsync finds differences"; }
	rm -rf mnt/tree || fail "rm -rf"
	end
}

try_fio() {
	local common="--directory=mnt --size=8M --rw=randrw --verify_fatal=1 --output=fio.log"
	has fio || return
	begin
	# shellcheck disable=SC2086
	{
		fio $common --name=calls --ioengine=psync --bsrange=512-64k --numjobs=2 \
			--verify=crc32c --fallocate=none &&
			fio $common --name=direct --ioengine=libaio --direct=1 --iodepth=8 --bs=4k --verify=crc32c &&
			fio $common --name=maps --ioengine=mmap --bs=4k --verify=crc32c
	} || { tail -20 fio.log; fail "fio"; }
	end
	begin
	# shellcheck disable=SC2086
	fio ${common/rw=randrw/rw=read} --name=calls --ioengine=psync --bs=4k --numjobs=2 --fallocate=none ||
		fail "reading after a remount"
	rm -rf mnt/*
	end
}

try_stress() {
	local kinds="rename link symlink dentry chmod chown dir getdent mknod open touch utime
		fallocate fpunch hdd iomix sync-file seek flock lockf mmap sendfile"
	local asked=(--verify --temp-path mnt -t "${XN_TEST_SECONDS:-4}" --hdd-bytes 4M --iomix-bytes 4M
		--fallocate-bytes 4M --sync-file-bytes 4M --seek-size 4M --mmap-bytes 4M --mmap-file) kind
	has stress-ng || return
	[ "$libfs" = cffs ] && kinds+=" xattr"
	for kind in $kinds; do
		asked+=("--$kind" 1)
	done
	begin
	stress-ng "${asked[@]}" >stress.log 2>&1 || { cat stress.log; fail "stress-ng"; }
	grep 'fail:' stress.log && fail "stress-ng met an error"
	rm -rf mnt/*
	[ -z "$(ls -A mnt)" ] || fail "something is left"
	end
}

xn format disk.img --size 2G >/dev/null 2>&1 || fail "format"
xn mkfs disk.img --root home --type "$libfs" >/dev/null 2>&1 || fail "mkfs $libfs"
for what; do
	"try_$what"
	echo "$what: fine"
done
