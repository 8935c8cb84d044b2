/* SPDX-License-Identifier: MIT */
#include "survivors.h"

#include "expect.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsck/fsck.h"
#include "libfs/anatomy.h"
#include "libfs/host.h"
#include "recipe.h"
#include "xn/bdev.h"
#include "xn/format.h"
#include "xn/xn.h"

/* ---- the disks ---- */

static void tree_recipe(FILE *out, const char *root)
{
	for (unsigned d = 0; d < 6; d++) {
		fprintf(out, "mkdir /%s/d%u\n", root, d);
		fprintf(out, "mkdir /%s/d%u/in\nmkdir /%s/d%u/in/deep\n", root, d, root, d);
		for (unsigned i = 0; i < 5; i++)
			fprintf(out, "file /%s/d%u/f%u %u\n", root, d, i, 1u << (3 * i + d));
		fprintf(out, "file /%s/d%u/in/x 9000\nfile /%s/d%u/in/deep/y 100\n", root, d, root,
			d);
		fprintf(out, "symlink /%s/d%u/sym target%u\n", root, d, d);
	}
	for (unsigned i = 0; i < 40; i++)
		fprintf(out, "file /%s/n%02u %u\n", root, i, 37 * i);
	fprintf(out, "link /%s/d0/f3 /%s/d1/other\nlink /%s/d2/f1 /%s/other\n", root, root, root,
		root);
	for (unsigned i = 0; i < 8; i++)
		fprintf(out, "file /%s/holes 4096 %uK\n", root, 64 * i);
	fprintf(out, "file /%s/big 250000\nsymlink /%s/long 900\n", root, root);
}

static struct bdev *disk_build(const char *roots)
{
	struct bdev *dev = NULL;
	char *text, why[RECIPE_WHY];
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fprintf(out, "format 16M\n");
	if (strchr(roots, 'c'))
		fprintf(out, "root home cffs\n");
	if (strchr(roots, 's'))
		fprintf(out, "root work simplefs\n");
	if (strchr(roots, 'c'))
		tree_recipe(out, "home");
	if (strchr(roots, 's'))
		tree_recipe(out, "work");
	if (strchr(roots, '7'))
		fprintf(out, "set root work uid 7\n");
	assert_int_equal(fclose(out), 0);
	if (recipe_run(&dev, text, why))
		fail_msg("%s", why);
	free(text);
	return dev;
}

/* ---- mounts ---- */

struct mounted {
	struct xn *xn;
	struct xn_session *session;
	struct host_ctx ctx;
	struct libfs *fs[2];
};

static const char *const root_names[2] = { "home", "work" };

/* 0, or what refused; `why` says who. */
static int disk_mount(struct bdev *dev, struct mounted *m, char why[256])
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	int err;

	memset(m, 0, sizeof(*m));
	host_ctx_init(&m->ctx, 0, 0);
	snprintf(why, 256, "open");
	err = xn_open_dev(dev, &opts, &m->xn);
	if (err)
		return err;
	assert_ok(xn_session_open(m->xn, m->ctx.libfs.cred, XN_SESSION_ADMIN, &m->session));
	for (unsigned i = 0; i < 2; i++) {
		struct libfs_mount_opts mount = { .root = root_names[i],
						  .why = why,
						  .why_size = 256 };
		struct xn_root_info root;

		if (xn_root_find(m->xn, root_names[i], &root))
			continue;
		err = libfs_mount(m->session, &mount, &m->fs[i]);
		if (err)
			return err;
	}
	return 0;
}

static int disk_unmount(struct mounted *m)
{
	int err = 0;

	for (unsigned i = 0; i < 2; i++)
		if (m->fs[i])
			err = err ? err : libfs_unmount(m->fs[i]);
	return m->xn ? (err ? (xn_close(m->xn), err) : xn_close(m->xn)) : err;
}

static int path_lookup(struct mounted *m, const char *path, struct libfs **fs,
		       struct libfs_attr *attr)
{
	unsigned root = strncmp(path, "/home/", 6) == 0 ? 0 : 1;
	libfs_ino_t dir = LIBFS_ROOT_INO;

	*fs = m->fs[root];
	if (!*fs)
		return -ENODEV;
	for (path += 6; *path;) {
		char name[64];
		size_t len = strcspn(path, "/");
		int err;

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		err = libfs_lookup(*fs, &m->ctx.libfs, dir, name, attr);
		if (err)
			return err;
		dir = attr->ino;
		path += len;
		path += *path == '/';
	}
	return 0;
}

/* Contents or target; NULL when they cannot be had. */
static uint8_t *content_read(struct mounted *m, struct libfs *fs, const struct libfs_attr *attr)
{
	size_t size = (size_t)attr->size;
	uint8_t *bytes = calloc(1, size + 1);
	ssize_t got = 0;

	assert_non_null(bytes);
	if (S_ISREG(attr->mode) && size)
		got = libfs_read(fs, &m->ctx.libfs, attr->ino, LIBFS_NO_HANDLE, 0, bytes, size);
	else if (S_ISLNK(attr->mode))
		got = libfs_readlink(fs, &m->ctx.libfs, attr->ino, (char *)bytes, size);
	else
		return bytes;
	if (got == (ssize_t)size)
		return bytes;
	free(bytes);
	return NULL;
}

/* ---- what files stand on ---- */

static void sector_add(struct tree_item *item, uint64_t sector)
{
	if (item->n_sectors == item->cap) {
		item->cap = item->cap ? 2 * item->cap : 64;
		item->sectors = realloc(item->sectors, item->cap * sizeof(*item->sectors));
		assert_non_null(item->sectors);
	}
	item->sectors[item->n_sectors++] = sector;
}

static int block_read(void *dev, uint64_t block, void *bytes)
{
	return bdev_read(dev, block * XN_BLOCK_SIZE, bytes, XN_BLOCK_SIZE) ? -EIO : 0;
}

/* The sectors of a field, if there is such a thing. */
static bool field_add(struct tree_item *item, const struct libfs_anatomy *anatomy,
		      const struct anatomy_disk *disk, const char *path, const char *field)
{
	struct anatomy_place place;

	if (anatomy->find(disk, path, field, &place))
		return false;
	for (uint32_t at = place.offset / 512; at <= (place.offset + place.size - 1) / 512; at++)
		sector_add(item, place.block * XN_BLOCK_SECTORS + at);
	return true;
}

/* "data." and the like, numbers from 0 to `n`. */
static void fields_add(struct tree_item *item, const struct libfs_anatomy *anatomy,
		       const struct anatomy_disk *disk, const char *path, const char *word,
		       uint64_t n)
{
	char field[64];

	for (uint64_t i = 0; i < n; i++) {
		snprintf(field, sizeof(field), "%s.%llu", word, (unsigned long long)i);
		field_add(item, anatomy, disk, path, field);
	}
}

static void way_add(struct tree_item *item, const struct libfs_anatomy *anatomy,
		    const struct anatomy_disk *disk, const char *path, bool last)
{
	static const char *const words[] = { "entry",    "sector", "ino",         "inode",
					     "slot.ino", "imap.0", "super.magic", "super.imap.0",
					     "params",   "ind1",   "ind2" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		field_add(item, anatomy, disk, path, words[i]);
	fields_add(item, anatomy, disk, path, "node", 4);
	if (last)
		fields_add(item, anatomy, disk, path, "data", (item->size + 4095) / 4096);
}

static void item_stands_on(struct tree_disk *disk, struct tree_item *item, uint64_t object,
			   const struct libfs_anatomy *anatomy)
{
	struct anatomy_disk where = { block_read, disk->dev, object };
	const char *path = item->path + 6;
	char part[128];

	way_add(item, anatomy, &where, "", false);
	/* A file of several names stands on the directory of external inodes, too. */
	field_add(item, anatomy, &where, "#xdir", "sector");
	for (size_t len = 0; len < strlen(path); len++) {
		len += strcspn(path + len, "/");
		snprintf(part, sizeof(part), "%.*s", (int)len, path);
		way_add(item, anatomy, &where, part, !path[len]);
	}
}

static void items_gather(struct tree_disk *disk, struct mounted *m, struct libfs *fs,
			 libfs_ino_t dir, const char *path)
{
	struct libfs_dirent entry;
	uint64_t cookie = 0;

	while (libfs_readdir(fs, &m->ctx.libfs, dir, cookie, 0, &entry, 1) == 1) {
		struct tree_item *item = &disk->items[disk->n];
		struct libfs_attr attr;

		cookie = entry.cookie;
		if (entry.name[0] == '.')
			continue;
		assert_true(disk->n++ < ITEMS_MAX);
		snprintf(item->path, sizeof(item->path), "%.60s/%.60s", path, entry.name);
		assert_ok(libfs_lookup(fs, &m->ctx.libfs, dir, entry.name, &attr));
		item->mode = attr.mode;
		item->size = S_ISDIR(attr.mode) ? 0 : attr.size;
		item->bytes = content_read(m, fs, &attr);
		assert_non_null(item->bytes);
		if (S_ISDIR(attr.mode))
			items_gather(disk, m, fs, attr.ino, item->path);
	}
}

static void used_gather(struct tree_disk *disk)
{
	uint8_t block[XN_BLOCK_SIZE], bits[XN_MAP_CHUNK_BYTES];
	struct xn_super_disk bytes;
	struct xn_super super;

	assert_ok(bdev_read(disk->dev, 0, &bytes, sizeof(bytes)));
	assert_ok(xn_super_decode(&bytes, &super));
	assert_ok(block_read(disk->dev, xn_map_block(0), block));
	assert_int_equal(xn_map_decode(&super, 0, block, bits), 0);
	disk->used = calloc(super.block_count * XN_BLOCK_SECTORS, sizeof(*disk->used));
	assert_non_null(disk->used);
	for (uint64_t b = 0; b < super.block_count; b++)
		for (unsigned s = 0; bits[b / 8] >> (b % 8) & 1 && s < XN_BLOCK_SECTORS; s++)
			disk->used[disk->n_used++] = b * XN_BLOCK_SECTORS + s;
}

static void pairs_gather(struct tree_disk *disk)
{
	uint8_t block[XN_BLOCK_SIZE];
	struct xn_super_disk bytes;
	struct xn_super super;

	assert_ok(bdev_read(disk->dev, 0, &bytes, sizeof(bytes)));
	assert_ok(xn_super_decode(&bytes, &super));
	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++) {
		struct xn_cat_link link = { .next = super.catalogue[kind],
					    .next_twin = super.twin[kind] };

		for (; link.next; disk->n_pairs++) {
			assert_true(disk->n_pairs < PAIRS_MAX);
			disk->pair[disk->n_pairs][0] = link.next;
			disk->pair[disk->n_pairs][1] = link.next_twin;
			assert_ok(block_read(disk->dev, link.next, block));
			assert_ok(xn_cat_link_decode(&super, block, &link));
		}
	}
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t word_at(const struct tree_item *item, uint64_t offset)
{
	uint64_t word = 0;

	if (offset + sizeof(word) <= item->size)
		memcpy(&word, item->bytes + offset, sizeof(word));
	return word;
}

static void words_gather(struct tree_disk *disk)
{
	for (unsigned fill = 0; fill < 2; fill++) {
		disk->n_words = 0;
		for (size_t i = 0; i < disk->n; i++) {
			const struct tree_item *item = &disk->items[i];

			if (!S_ISREG(item->mode) || strncmp(item->path, "/work/", 6) != 0)
				continue;
			for (uint64_t at = 0; at < item->size; at += XN_BLOCK_SIZE) {
				uint64_t word = word_at(item, at);

				if (word && fill)
					disk->words[disk->n_words] = word;
				disk->n_words += word != 0;
			}
		}
		if (!fill)
			disk->words = calloc(disk->n_words, sizeof(*disk->words));
		assert_non_null(disk->words);
	}
	assert_true(disk->n_words > 50);
	qsort(disk->words, disk->n_words, sizeof(*disk->words), by_number);
}

struct tree_disk *tree_disk_new(const char *name, const char *roots)
{
	struct tree_disk *disk = calloc(1, sizeof(*disk));
	struct mounted m;
	char why[256];

	assert_non_null(disk);
	disk->name = name;
	disk->dev = disk_build(roots);
	assert_ok(disk_mount(disk->dev, &m, why));
	for (unsigned i = 0; i < 2; i++) {
		struct xn_root_info root;
		char path[8];

		if (!m.fs[i])
			continue;
		snprintf(path, sizeof(path), "/%s", root_names[i]);
		items_gather(disk, &m, m.fs[i], LIBFS_ROOT_INO, path);
		assert_ok(xn_root_find(m.xn, root_names[i], &root));
		disk->object[i] = root.object;
	}
	assert_ok(disk_unmount(&m));
	for (size_t i = 0; i < disk->n; i++) {
		bool work = strncmp(disk->items[i].path, "/work/", 6) == 0;

		item_stands_on(disk, &disk->items[i], disk->object[work],
			       libfs_anatomy_find(work ? "simplefs" : "cffs"));
		assert_true(disk->items[i].n_sectors > 2);
	}
	used_gather(disk);
	pairs_gather(disk);
	if (strcmp(name, USERS) == 0)
		words_gather(disk);
	return disk;
}

uint64_t tree_disk_root(const struct tree_disk *disk, const char *name)
{
	return disk->object[strcmp(name, "work") == 0];
}

void tree_disk_free(struct tree_disk *disk)
{
	for (size_t i = 0; i < disk->n; i++) {
		free(disk->items[i].bytes);
		free(disk->items[i].sectors);
	}
	free(disk->used);
	free(disk->words);
	bdev_close(disk->dev);
	free(disk);
}

static bool was_hit(const uint64_t *hit, size_t n, uint64_t sector)
{
	for (size_t i = 0; i < n; i++)
		if (hit[i] == sector)
			return true;
	return false;
}

/* Was something hit in both places where XN keeps it? */
bool survivors_beyond_help(const struct tree_disk *disk, const uint64_t *hit, size_t n)
{
	struct bdev_info info;
	uint64_t last;

	bdev_info(disk->dev, &info);
	last = info.size / 512 - XN_BLOCK_SECTORS;
	if (was_hit(hit, n, 0) && was_hit(hit, n, last))
		return true;
	for (size_t i = 0; i < disk->n_pairs; i++)
		for (unsigned s = 0; s < XN_BLOCK_SECTORS; s++)
			if (was_hit(hit, n, disk->pair[i][0] * XN_BLOCK_SECTORS + s) &&
			    was_hit(hit, n, disk->pair[i][1] * XN_BLOCK_SECTORS + s))
				return true;
	return false;
}

static bool is_touched(const struct tree_item *item, const uint64_t *hit, size_t n)
{
	for (size_t i = 0; i < item->n_sectors; i++)
		if (was_hit(hit, n, item->sectors[i]))
			return true;
	return false;
}

static bool item_is_same(struct mounted *m, const struct tree_item *item, char why[256])
{
	struct libfs_attr attr;
	struct libfs *fs;
	uint8_t *bytes;
	bool same;
	int err = path_lookup(m, item->path, &fs, &attr);

	snprintf(why, 256, "%s", item->path);
	if (err || attr.mode != item->mode || (!S_ISDIR(attr.mode) && attr.size != item->size)) {
		snprintf(why, 256, "%s: error %d, mode %o, size %llu", item->path, err,
			 err ? 0 : attr.mode, err ? 0 : (unsigned long long)attr.size);
		return false;
	}
	if (S_ISDIR(attr.mode))
		return true;
	bytes = content_read(m, fs, &attr);
	same = bytes && memcmp(bytes, item->bytes, (size_t)item->size) == 0;
	free(bytes);
	return same;
}

int survivors_fsck(struct bdev *dev, enum check_mode mode, bool print)
{
	struct fsck_opts opts = { .mode = mode, .force = true, .progress_fd = -1 };
	struct fsck_result result;
	int code;

	assert_ok(fsck_run(dev, &opts, &result));
	for (size_t i = 0; print && i < result.n_findings; i++)
		print_error("  %s [%s] %s%s\n", result.findings[i].code, result.findings[i].root,
			    result.findings[i].text,
			    result.findings[i].repaired ? " (repaired)" : "");
	code = result.exit_code;
	fsck_result_fini(&result);
	return code;
}

/* For a closer look with other tools: XN_DAMAGE_KEEP names a file. */
void survivors_keep(struct bdev *dev)
{
	const char *path = getenv("XN_DAMAGE_KEEP");
	FILE *out = path ? fopen(path, "we") : NULL;
	uint8_t block[XN_BLOCK_SIZE];
	struct bdev_info info;

	bdev_info(dev, &info);
	for (uint64_t b = 0; out && b < info.size / sizeof(block); b++) {
		assert_ok(block_read(dev, b, block));
		assert_int_equal(fwrite(block, sizeof(block), 1, out), 1);
	}
	if (out)
		assert_int_equal(fclose(out), 0);
}

/*
 * Nothing in a simplefs tells which of two names alike was damaged, so the wrong one may have
 * become another: is the file there under some name?
 */
static bool item_was_renamed(struct mounted *m, const struct tree_item *item)
{
	struct tree_item other = *item;
	struct libfs_dirent entry;
	struct libfs_attr attr;
	struct libfs *fs;
	uint64_t cookie = 0;
	char dir[sizeof(item->path)], why[256];
	libfs_ino_t ino = LIBFS_ROOT_INO;

	snprintf(dir, sizeof(dir), "%s", item->path);
	*strrchr(dir, '/') = '\0';
	if (strncmp(item->path, "/work/", 6) != 0)
		return false;
	if (strcmp(dir, "/work") != 0) {
		if (path_lookup(m, dir, &fs, &attr))
			return false;
		ino = attr.ino;
	}
	while (libfs_readdir(m->fs[1], &m->ctx.libfs, ino, cookie, 0, &entry, 1) == 1) {
		cookie = entry.cookie;
		snprintf(other.path, sizeof(other.path), "%.60s/%.60s", dir, entry.name);
		if (entry.name[0] != '.' && item_is_same(m, &other, why))
			return true;
	}
	return false;
}

/* Does a file of the first user hold a block that was the other's? */
static bool item_leaks(const struct tree_disk *disk, struct mounted *m,
		       const struct tree_item *item, struct survivors_totals *totals)
{
	struct tree_item now = { .size = 0 };
	struct libfs_attr attr;
	struct libfs *fs;
	bool leaks = false;

	if (!disk->n_words || strncmp(item->path, "/home/", 6) != 0 ||
	    path_lookup(m, item->path, &fs, &attr) || !S_ISREG(attr.mode) || attr.size > 64u << 20)
		return false;
	now.size = attr.size;
	now.bytes = content_read(m, fs, &attr);
	for (uint64_t at = 0; now.bytes && at < now.size; at += XN_BLOCK_SIZE) {
		uint64_t word = word_at(&now, at);

		totals->words++;
		leaks |= word && bsearch(&word, disk->words, disk->n_words, sizeof(word),
					 by_number) != NULL;
	}
	free(now.bytes);
	return leaks;
}

/* Returns how many things were wrong. */
unsigned survivors_check(struct tree_disk *disk, struct bdev *dev, const uint64_t *hit, size_t n,
			 struct survivors_totals *totals)
{
	struct mounted m;
	unsigned bad = 0;
	char why[256];
	int err = disk_mount(dev, &m, why);

	if (err) {
		print_error("  it cannot be mounted: %s: %s\n", why, xn_strerror(err));
		bad++;
	}
	for (size_t i = 0; !err && i < disk->n; i++) {
		totals->compared++;
		if (item_leaks(disk, &m, &disk->items[i], totals) && bad++ < 3)
			print_error("  shows another user's block: %s\n", disk->items[i].path);
		if (is_touched(&disk->items[i], hit, n))
			continue;
		totals->untouched++;
		if (!item_is_same(&m, &disk->items[i], why) &&
		    !item_was_renamed(&m, &disk->items[i])) {
			if (bad++ < 3)
				print_error("  was not touched and is not the same: %s\n", why);
		}
	}
	err = disk_unmount(&m);
	if (!bad && err) {
		print_error("  it cannot be unmounted: %s\n", xn_strerror(err));
		bad++;
	}
	return bad;
}
