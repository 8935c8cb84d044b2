/* SPDX-License-Identifier: MIT */
#include "broken.h"

#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "layout.h"

#include "look.h"
#include "udf/udf.h"

#define MOMENT 1800000000

const char *const broken_roots[BROKEN_ROOTS] = { "cffs", "simplefs" };

static void must(int err)
{
	if (err)
		abort();
}

/* ---- the sound one ---- */

static libfs_ino_t make(struct libfs *fs, libfs_ino_t dir, const char *name, size_t len)
{
	struct libfs_attr attr;
	struct libfs_user user;
	uint8_t *bytes = calloc(1, len + 1);

	must(!bytes);
	memset(bytes, name[0], len);
	must(libfs_create(fs, user_at(&user, 1), dir, name, 0644, true, &attr));
	must(libfs_write(fs, user_at(&user, 1), attr.ino, 0, 0, bytes, len) != (ssize_t)len);
	libfs_forget(fs, attr.ino, 1);
	free(bytes);
	return attr.ino;
}

static void fill(struct xn_session *session, const char *name)
{
	struct libfs_mkfs_opts how = { .root = name, .now = { .tv_sec = MOMENT } };
	struct libfs_mount_opts opts = { .root = name };
	struct libfs_attr dir, attr;
	struct libfs_user user;
	libfs_ino_t file;
	struct libfs *fs;

	memset(how.uuid, name[0], sizeof(how.uuid));
	must(libfs_mkfs(session, name, &how));
	must(libfs_mount(session, &opts, &fs));
	must(libfs_mkdir(fs, user_at(&user, 1), LIBFS_ROOT_INO, "dir", 0755, &dir));
	make(fs, LIBFS_ROOT_INO, "tiny", 20);
	file = make(fs, dir.ino, "small", 5000);
	make(fs, dir.ino, "large", 80000);
	must(libfs_find(fs, file, 0, &attr) &&
	     libfs_lookup(fs, user_at(&user, 1), dir.ino, "small", &attr));
	must(libfs_link(fs, user_at(&user, 1), attr.ino, LIBFS_ROOT_INO, "link", &attr));
	libfs_forget(fs, attr.ino, 2);
	must(libfs_symlink(fs, user_at(&user, 1), dir.ino, "sym", "far/away", &attr));
	libfs_forget(fs, attr.ino, 1);
	libfs_forget(fs, dir.ino, 1);
	must(libfs_unmount(fs));
}

static void used_note(struct broken *base)
{
	uint8_t map[XN_MAP_CHUNK_BYTES];

	must(xn_super_decode((const void *)slate_bytes(base->slate), &base->super));
	xn_map_decode(&base->super, 0, slate_bytes(base->slate) + xn_map_block(0) * XN_BLOCK_SIZE,
		      map);
	base->used = calloc(base->super.block_count, sizeof(*base->used));
	must(!base->used);
	for (uint64_t b = 0; b < base->super.block_count; b++)
		if (map[b / 8] >> (b % 8) & 1)
			base->used[base->n_used++] = b;
}

struct broken *broken_new(void)
{
	struct xn_format_opts format = { .now_ns = MOMENT * 1000000000ll };
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	static const struct xn_cred root;
	struct broken *base = calloc(1, sizeof(*base));
	struct xn_session *session;
	struct bdev *dev;
	struct xn *xn;

	must(!base);
	base->slate = slate_new(BROKEN_BYTES);
	dev = slate_device(base->slate);
	memset(format.uuid, 7, sizeof(format.uuid));
	must(xn_format(dev, &format));
	must(xn_open_dev(dev, &opts, &xn));
	must(xn_session_open(xn, &root, XN_SESSION_ADMIN, &session));
	for (unsigned i = 0; i < BROKEN_ROOTS; i++)
		fill(session, broken_roots[i]);
	xn_session_close(session);
	must(xn_close(xn));
	bdev_close(dev);
	used_note(base);
	return base;
}

/* ---- patches ---- */

/* Checksums of the kinds of sectors there are. */
static void seal(const struct broken *base, uint64_t block, uint8_t *sector, unsigned index)
{
	uint64_t places[3];
	unsigned n = xn_super_places(base->super.block_count, places), at = 0;
	bool is_super = false, fixed = false;
	uint32_t crc;

	for (unsigned i = 0; i < n; i++)
		is_super |= block == places[i] && index == 0;
	fixed = block == xn_map_block(0);
	for (unsigned k = 0; k < XN_CAT_KINDS; k++)
		fixed |= block == base->super.catalogue[k] || block == base->super.twin[k];
	if (!is_super && !fixed) {
		if (cffs_sector_check(sector))
			cffs_sector_seal(sector); /* only a guess: simplefs has none to break */
		return;
	}
	at = is_super ? 8 : 0;
	memset(sector + at, 0, 4);
	crc = udf_crc32c(is_super ? 0 : xn_format_seed(&base->super), sector, XN_SECTOR_SIZE);
	for (unsigned i = 0; i < 4; i++)
		sector[at + i] = (uint8_t)(crc >> 8 * i);
}

static bool is_cffs(const uint8_t *sector)
{
	return sector[CFFS_S_MAGIC] == (CFFS_DIR_MAGIC & 0xff) &&
	       sector[CFFS_S_MAGIC + 1] == CFFS_DIR_MAGIC >> 8;
}

static void patch(struct broken *base, const uint8_t *head, const uint8_t *bytes, size_t len)
{
	size_t which = (size_t)(head[0] | head[1] << 8) % (base->n_used * XN_BLOCK_SECTORS);
	unsigned place = (unsigned)(head[2] | head[3] << 8), at = place % XN_SECTOR_SIZE;
	uint64_t block = base->used[which / XN_BLOCK_SECTORS];
	unsigned index = (unsigned)(which % XN_BLOCK_SECTORS);
	uint64_t offset = block * XN_BLOCK_SIZE + index * XN_SECTOR_SIZE;
	uint8_t sector[XN_SECTOR_SIZE];
	bool cffs;

	memcpy(sector, slate_bytes(base->slate) + offset, sizeof(sector));
	cffs = is_cffs(sector);
	memcpy(sector + at, bytes, len < XN_SECTOR_SIZE - at ? len : XN_SECTOR_SIZE - at);
	if (!(place & 0x8000) &&
	    (cffs || block < base->super.log_start || block == base->super.block_count - 1))
		seal(base, block, sector, index);
	slate_write(base->slate, offset, sector, sizeof(sector));
	for (unsigned k = 0; k < XN_CAT_KINDS && (place & 0x4000); k++)
		if (block == base->super.catalogue[k])
			slate_write(base->slate,
				    base->super.twin[k] * XN_BLOCK_SIZE + index * XN_SECTOR_SIZE,
				    sector, sizeof(sector));
}

void broken_patch(struct broken *base, const uint8_t *data, size_t size)
{
	while (size >= 6) {
		size_t len = data[4] % 16 + 1u;

		if (len > size - 5)
			len = size - 5;
		patch(base, data, data + 5, len);
		data += 5 + len;
		size -= 5 + len;
	}
}
