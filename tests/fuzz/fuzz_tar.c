/* SPDX-License-Identifier: MIT */
/*
 * Any archive, read into a directory of a sound disk, or into a new root.  The first byte says which,
 * whether everything belongs to 0:0, and what to do with checksums; then entries:
 *
 *	kind, name, target, size, mode, flags, and of bytes that `flags` count (at most 15): two for
 *	the place in the header that is overwritten, then the bytes
 *
 * Kinds are those of tar, and extended headers with what such say; names and targets come from a list of
 * bad ones.  (Bytes of no such structure are what libarchive is tested with.)
 *
 *  (1) What lies beside the directory stays as it was, whatever the names.
 *  (2) Afterwards xn-fsck finds nothing, and the tree can be written as an archive.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "broken.h"
#include "fsck/fsck.h"
#include "look.h"
#include "tool_run.h"
#include "xn/xn.h"

#define TAR_MAX   (256u << 10)
#define TAR_BLOCK 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int err)
{
	if (err)
		abort();
}

/* ---- an archive ---- */

struct tar {
	uint8_t bytes[TAR_MAX];
	size_t len;
	bool unsealed; /* checksums stay wrong in some headers */
};

#define N64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const names[] = {
	"a",
	"b",
	"d/",
	"d/a",
	"d/e/f",
	"small",
	"large",
	"sym",
	"sym/x",
	"../tiny",
	"/tiny",
	"./a",
	"d/../../tiny",
	"..",
	".",
	"",
	"/",
	"a//b",
	"a/b",
	N64 "/" N64 "/" N64,
	N64 N64 N64 N64,
	"new\nline",
	"\xff\xfe",
	"../../../../tmp/x",
	"d/.",
	"d/..",
};

static const char *const records[] = {
	"path=../tiny",
	"path=d/x",
	"path=" N64 N64 N64 N64 N64,
	"linkpath=../tiny",
	"size=99999999999999999999",
	"size=10",
	"size=-1",
	"uid=4294967296",
	"mtime=-99999999999.999999999",
	"mtime=1e30",
	"SCHILY.xattr.user.x=value",
	"SCHILY.xattr.user." N64 N64 N64 N64 "=x",
	"SCHILY.xattr.trusted.overlay.opaque=y",
	"SCHILY.xattr.system.posix_acl_access=junk",
	"SCHILY.acl.access=user::rwx,user:0:rwx:0,group::r-x,mask::rwx,other::r-x",
	"SCHILY.acl.access=user::,:::,,,",
	"SCHILY.acl.default=user::rwx,group::r-x,other::---",
	"GNU.sparse.major=1",
	"GNU.sparse.minor=0",
	"GNU.sparse.name=../tiny",
	"GNU.sparse.realsize=1099511627776",
	"GNU.sparse.map=0,10,1000000,10",
	"SCHILY.dev=1",
	"hdrcharset=BINARY",
};

static const char kinds[] = "0123456720505xxxgLKSV0";

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void seal(uint8_t *header)
{
	unsigned sum = 0;

	memset(header + 148, ' ', 8);
	for (unsigned i = 0; i < TAR_BLOCK; i++)
		sum += header[i];
	snprintf((char *)header + 148, 8, "%06o", sum);
}

static void header_put(struct tar *tar, const uint8_t *entry, const uint8_t *patch, size_t len)
{
	uint8_t *header = tar->bytes + tar->len;
	const char *name = names[entry[1] % COUNT(names)], *target = names[entry[2] % COUNT(names)];

	memset(header, 0, TAR_BLOCK);
	strncpy((char *)header, name, 100);
	snprintf((char *)header + 100, 8, "%07o", (unsigned)(entry[4] | (entry[5] & 0x70) << 5));
	snprintf((char *)header + 108, 8, "%07o", entry[4] & 7u);
	snprintf((char *)header + 116, 8, "%07o", entry[4] >> 4);
	snprintf((char *)header + 124, 12, "%011o", entry[3] * 37u);
	snprintf((char *)header + 136, 12, "%011o", 1700000000u);
	header[156] = (uint8_t)kinds[entry[0] % (sizeof(kinds) - 1)];
	strncpy((char *)header + 157, target, 100);
	memcpy(header + 257, "ustar\00000", 8);
	if (len > 2)
		for (size_t i = 2; i < len; i++)
			header[((size_t)(patch[0] | patch[1] << 8) + i) % TAR_BLOCK] = patch[i];
	if (!tar->unsealed || !(entry[5] & 0x80))
		seal(header);
	tar->len += TAR_BLOCK;
}

/* What stands behind the header: a record of an extended one, a long name, or bytes. */
static void body_put(struct tar *tar, const uint8_t *entry)
{
	char kind = kinds[entry[0] % (sizeof(kinds) - 1)];
	size_t size = entry[3] * 37u, blocks = (size + TAR_BLOCK - 1) / TAR_BLOCK, at = 0;
	char *body = (char *)tar->bytes + tar->len;

	memset(body, 0, blocks * TAR_BLOCK);
	if (kind == 'x' || kind == 'g') {
		for (unsigned i = 0; i < 4; i++) {
			const char *record = records[(entry[4] + i * entry[2]) % COUNT(records)];
			size_t len = strlen(record) + 6; /* "0123 ...\n" */

			if (at + len + 1 > size)
				break;
			at += (size_t)snprintf(body + at, size - at, "%04zu %s\n", len, record);
		}
	} else if (kind == 'L' || kind == 'K') {
		snprintf(body, size + 1, "%s", names[entry[2] % COUNT(names)]);
	} else if (kind == '0') {
		memset(body, entry[2], size);
	}
	tar->len += blocks * TAR_BLOCK;
}

static void tar_make(struct tar *tar, const uint8_t *data, size_t size)
{
	tar->len = 0;
	while (size >= 6 && tar->len < TAR_MAX - (32u << 10)) {
		size_t len = data[5] & 15u;

		if (len > size - 6)
			len = size - 6;
		header_put(tar, data, data + 6, len);
		body_put(tar, data);
		data += 6 + len;
		size -= 6 + len;
	}
	memset(tar->bytes + tar->len, 0, 2 * TAR_BLOCK);
	tar->len += 2 * TAR_BLOCK;
}

/* ---- what is asked ---- */

/* Put what the file holds on the slate. */
static void slate_take(struct slate *slate, int file)
{
	uint8_t *now = mmap(NULL, BROKEN_BYTES, PROT_READ, MAP_SHARED, file, 0);

	must(now == MAP_FAILED);
	for (uint64_t at = 0; at < BROKEN_BYTES; at += TAR_BLOCK)
		if (memcmp(now + at, slate_bytes(slate) + at, TAR_BLOCK) != 0)
			slate_write(slate, at, now + at, TAR_BLOCK);
	munmap(now, BROKEN_BYTES);
}

static void assert_clean(struct slate *slate)
{
	struct fsck_opts opts = { .mode = CHECK_LOOK, .force = true, .progress_fd = -1 };
	struct bdev *dev = slate_device(slate);
	struct fsck_result result;

	must(fsck_run(dev, &opts, &result));
	must(result.exit_code != FSCK_OK);
	fsck_result_fini(&result);
	bdev_close(dev);
}

/* In the root directory there are dir, tiny and link, and tiny is what it was. */
static void assert_others(struct libfs *fs)
{
	static const char tiny[] = "tttttttttttttttttttt";
	struct libfs_dirent entries[8];
	struct libfs_attr attr;
	struct libfs_user user;
	char bytes[32];

	must(libfs_readdir(fs, user_at(&user, 9), LIBFS_ROOT_INO, 0, 0, entries, 8) != 5);
	must(libfs_lookup(fs, user_at(&user, 9), LIBFS_ROOT_INO, "tiny", &attr));
	must(attr.size != 20 || attr.uid || attr.mode != 0100644 || attr.nlink != 1);
	must(libfs_read(fs, user_at(&user, 9), attr.ino, 0, 0, bytes, sizeof(bytes)) != 20);
	must(memcmp(bytes, tiny, 20));
	libfs_forget(fs, attr.ino, 1);
}

static void assert_roots(struct slate *slate)
{
	static const struct xn_cred root;
	struct xn_open_opts opts = { .flags = XN_OPEN_RDONLY | XN_OPEN_BORROW_DEV };
	struct bdev *dev = slate_device(slate);
	struct xn_session *session;
	struct xn *xn;

	must(xn_open_dev(dev, &opts, &xn));
	must(xn_session_open(xn, &root, XN_SESSION_ADMIN, &session));
	for (unsigned i = 0; i < BROKEN_ROOTS; i++) {
		struct libfs_mount_opts how = { .root = broken_roots[i],
						.flags = LIBFS_MOUNT_RDONLY };
		struct libfs *fs;
		struct look *look;

		must(libfs_mount(session, &how, &fs));
		assert_others(fs);
		look = look_at(fs);
		must(look->error[0]);
		look_free(look);
		libfs_unmount(fs);
	}
	xn_session_close(session);
	xn_close(xn);
	bdev_close(dev);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char disk[TOOL_PATH_MAX], archive[TOOL_PATH_MAX];
	static struct broken *base;
	static struct tar tar;
	static int file, archive_file;
	const char *into, *words[] = { "import", disk, archive, NULL, NULL, NULL };
	const char *fresh[] = { "mkfs", disk, "--root", "z", "--tar", archive, NULL };
	const char *out[] = { "export", disk, NULL, "-", NULL };
	size_t before;

	if (!base) {
		base = broken_new();
		file = tool_file(disk);
		archive_file = tool_file(archive);
	}
	if (size == 0)
		return 0;
	into = data[0] & 1 ? "/cffs/dir" : "/simplefs/dir";
	words[3] = out[2] = into;
	if (data[0] & 2)
		words[4] = "--all-root";
	tar.unsealed = (data[0] & 0x1c) == 0;
	tar_make(&tar, data + 1, size - 1);
	tool_file_fill(archive_file, tar.bytes, tar.len);
	tool_file_fill(file, slate_bytes(base->slate), BROKEN_BYTES);
	tool_command(data[0] & 0x20 ? fresh : words);
	before = slate_mark(base->slate);
	slate_take(base->slate, file);
	assert_clean(base->slate);
	assert_roots(base->slate);
	must(tool_command(out));
	slate_back(base->slate, before);
	return 0;
}
