/* SPDX-License-Identifier: MIT */
/*
 *  (1) Directories wait in `nodes` itself; no recursion.
 *  (2) Nothing is referenced afterwards: who looks leaves no trace.
 */
#include "look.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "slate.h"
#include "xn/error.h"

#define ENTRIES_AT_ONCE 16u
#define DEPTH_MAX       16u

/* ---- small things ---- */

void canary_fill(void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i += 8)
		memcpy((uint8_t *)bytes + i, CANARY, 8);
}

bool canary_in(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i + 8 <= len; i += 8)
		if (memcmp(at + i, CANARY, 8) == 0)
			return true;
	return false;
}

uint64_t sector_hash_of(const void *bytes, size_t len)
{
	uint8_t sector[LOOK_SECTOR] = { 0 };

	memcpy(sector, bytes, len < LOOK_SECTOR ? len : LOOK_SECTOR);
	return hash_bytes(0, sector, LOOK_SECTOR);
}

const struct libfs_ctx *user_at(struct libfs_user *user, int64_t now)
{
	memset(user, 0, sizeof(*user));
	user->ctx.cred = &user->cred;
	user->ctx.now = (struct timespec){ .tv_sec = 1700000000 + now };
	return &user->ctx;
}

static void wrong(struct look *look, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void wrong(struct look *look, const char *format, ...)
{
	va_list args;

	if (look->error[0])
		return;
	va_start(args, format);
	vsnprintf(look->error, sizeof(look->error), format, args);
	va_end(args);
}

/* ---- one node ---- */

static void read_target(struct look *look, struct libfs *fs, struct look_node *node)
{
	char target[LIBFS_SYMLINK_MAX + 1];
	struct libfs_user user;
	ssize_t n = libfs_readlink(fs, user_at(&user, 0), node->ino, target, sizeof(target) - 1);

	if (n < 0) {
		wrong(look, "readlink of inode %llu: %s", (unsigned long long)node->ino,
		      xn_error_name((int)n));
		n = 0;
	}
	target[n] = '\0';
	node->target = strdup(target);
	assert(node->target);
}

static void read_sectors(struct look *look, struct libfs *fs, struct look_node *node)
{
	uint8_t *bytes = malloc(node->size + 1);
	struct libfs_user user;
	ssize_t n;

	assert(bytes);
	n = libfs_read(fs, user_at(&user, 0), node->ino, 0, 0, bytes, node->size + 1);
	if (n < 0 || (uint64_t)n != node->size) {
		wrong(look, "reading inode %llu of %llu bytes: %s", (unsigned long long)node->ino,
		      (unsigned long long)node->size, n < 0 ? xn_error_name((int)n) : "short");
		goto out;
	}
	node->canary = canary_in(bytes, node->size);
	node->n_sectors = (node->size + LOOK_SECTOR - 1) / LOOK_SECTOR;
	node->sectors = calloc(node->n_sectors + 1, sizeof(*node->sectors));
	assert(node->sectors);
	for (size_t i = 0; i < node->n_sectors; i++)
		node->sectors[i] =
			sector_hash_of(bytes + i * LOOK_SECTOR, node->size - i * LOOK_SECTOR);
out:
	free(bytes);
}

static uint32_t node_add(struct look *look, struct libfs *fs, const struct libfs_attr *attr)
{
	struct look_node *node;

	for (uint32_t i = 0; i < look->n_nodes; i++)
		if (look->nodes[i].ino == attr->ino)
			return i;
	look->nodes = realloc(look->nodes, (look->n_nodes + 1) * sizeof(*node));
	assert(look->nodes);
	node = &look->nodes[look->n_nodes];
	*node = (struct look_node){ .ino = attr->ino,
				    .generation = attr->generation,
				    .mode = attr->mode,
				    .nlink = attr->nlink,
				    .uid = attr->uid,
				    .gid = attr->gid,
				    .rdev = attr->rdev };
	if (!S_ISDIR(attr->mode))
		node->size = attr->size;
	if (S_ISREG(attr->mode) && attr->size > 16u << 20)
		wrong(look, "inode %llu has %llu bytes", (unsigned long long)attr->ino,
		      (unsigned long long)attr->size);
	else if (S_ISREG(attr->mode))
		read_sectors(look, fs, node);
	else if (S_ISLNK(attr->mode))
		read_target(look, fs, node);
	return look->n_nodes++;
}

/* ---- the tree ---- */

static void entry_add(struct look *look, struct libfs *fs, uint32_t dir,
		      const struct libfs_dirent *from)
{
	struct look_entry *entry;
	uint32_t node;

	if (strcmp(from->name, ".") == 0 || strcmp(from->name, "..") == 0)
		return;
	node = node_add(look, fs, &from->attr);
	libfs_forget(fs, from->attr.ino, 1);
	if (S_ISDIR(from->attr.mode) && look->nodes[node].names > 0)
		wrong(look, "directory %llu has two names, one is %s",
		      (unsigned long long)from->attr.ino, from->name);
	look->nodes[node].names++;
	look->entries = realloc(look->entries, (look->n_entries + 1) * sizeof(*entry));
	assert(look->entries);
	entry = &look->entries[look->n_entries++];
	memset(entry, 0, sizeof(*entry));
	entry->dir = dir;
	entry->node = node;
	memcpy(entry->name, from->name, from->name_len);
}

static void dir_read(struct look *look, struct libfs *fs, uint32_t dir)
{
	struct libfs_dirent entries[ENTRIES_AT_ONCE];
	struct libfs_user user;
	uint64_t cookie = 0;
	ssize_t n;

	do {
		n = libfs_readdir(fs, user_at(&user, 0), look->nodes[dir].ino, cookie,
				  LIBFS_READDIR_PLUS, entries, ENTRIES_AT_ONCE);
		for (ssize_t i = 0; i < n; i++) {
			entry_add(look, fs, dir, &entries[i]);
			cookie = entries[i].cookie;
		}
	} while (n > 0 && look->n_entries < 100000);
	if (n != 0)
		wrong(look, "readdir of inode %llu: %s", (unsigned long long)look->nodes[dir].ino,
		      n < 0 ? xn_error_name((int)n) : "does not end");
}

/* Link counts are what the names say. */
static void links_check(struct look *look)
{
	for (uint32_t i = 0; i < look->n_nodes; i++) {
		const struct look_node *node = &look->nodes[i];
		uint32_t links = node->names;

		if (S_ISDIR(node->mode)) {
			links = 2;
			for (uint32_t k = 0; k < look->n_entries; k++)
				links += look->entries[k].dir == i &&
					 S_ISDIR(look->nodes[look->entries[k].node].mode);
		}
		if (node->nlink != links)
			wrong(look, "inode %llu says it has %u links and has %u",
			      (unsigned long long)node->ino, node->nlink, links);
	}
}

static uint64_t look_hash(const struct look *look)
{
	uint64_t sum = hash_bytes(0, look->error, strlen(look->error));

	for (uint32_t i = 0; i < look->n_nodes; i++) {
		const struct look_node *node = &look->nodes[i];
		uint64_t words[] = { sum,        node->ino,  node->size,
				     node->rdev, node->mode, node->nlink,
				     node->uid,  node->gid,  node->generation };

		sum = hash_bytes(i, words, sizeof(words));
		sum = hash_bytes(sum, node->sectors, node->n_sectors * sizeof(uint64_t));
		if (node->target)
			sum = hash_bytes(sum, node->target, strlen(node->target));
	}
	for (uint32_t i = 0; i < look->n_entries; i++)
		sum = hash_bytes(sum, &look->entries[i], sizeof(look->entries[i]));
	return sum;
}

struct look *look_at(struct libfs *fs)
{
	struct look *look = calloc(1, sizeof(*look));
	struct libfs_attr attr;
	struct libfs_user user;
	int err;

	assert(look);
	err = libfs_getattr(fs, user_at(&user, 0), LIBFS_ROOT_INO, &attr);
	if (err) {
		wrong(look, "getattr of the root directory: %s", xn_error_name(err));
		return look;
	}
	node_add(look, fs, &attr);
	for (uint32_t i = 0; i < look->n_nodes; i++)
		if (S_ISDIR(look->nodes[i].mode))
			dir_read(look, fs, i);
	links_check(look);
	look->hash = look_hash(look);
	return look;
}

void look_free(struct look *look)
{
	if (!look)
		return;
	for (uint32_t i = 0; i < look->n_nodes; i++) {
		free(look->nodes[i].sectors);
		free(look->nodes[i].target);
	}
	free(look->nodes);
	free(look->entries);
	free(look);
}

/* ---- alive ---- */

static const char *failed(char text[160], const char *what, int err)
{
	snprintf(text, 160, "%s: %s", what, xn_error_name(err));
	return text;
}

/* Remove one name, or go down into a directory that is not empty: *dir is where to go on. */
static int remove_one(struct libfs *fs, libfs_ino_t *dir, libfs_ino_t *above, unsigned *depth,
		      const struct libfs_dirent *entry)
{
	struct libfs_user user;
	int err;

	if (entry->type != S_IFDIR >> 12)
		return libfs_unlink(fs, user_at(&user, 2000), *dir, entry->name);
	err = libfs_rmdir(fs, user_at(&user, 2000), *dir, entry->name);
	if (err == -ENOTEMPTY && *depth + 1 < DEPTH_MAX) {
		above[(*depth)++] = *dir;
		*dir = entry->ino;
		err = 0;
	}
	return err;
}

static int first_entry(struct libfs *fs, libfs_ino_t dir, struct libfs_dirent *out)
{
	struct libfs_dirent entries[3];
	struct libfs_user user;
	ssize_t n = libfs_readdir(fs, user_at(&user, 0), dir, 0, 0, entries, 3);

	if (n == 3)
		*out = entries[2];
	return n < 0 ? (int)n : n == 3;
}

static int remove_all(struct libfs *fs)
{
	libfs_ino_t dir = LIBFS_ROOT_INO, above[DEPTH_MAX];
	unsigned depth = 0;

	for (unsigned steps = 0; steps < 10000; steps++) {
		struct libfs_dirent entry;
		int got = first_entry(fs, dir, &entry);

		if (got < 0)
			return got;
		if (got == 0 && depth == 0)
			return 0;
		if (got == 0)
			dir = above[--depth];
		else
			got = remove_one(fs, &dir, above, &depth, &entry);
		if (got < 0)
			return got;
	}
	return -ELOOP;
}

const char *look_alive(struct libfs *fs, char text[160])
{
	static const char words[] = "still alive";
	struct libfs_attr dir, file;
	struct libfs_user user;
	ssize_t n;
	int err;

	err = libfs_mkdir(fs, user_at(&user, 2000), LIBFS_ROOT_INO, "alive", 0755, &dir);
	if (err == -ENOSYS)
		dir.ino = LIBFS_ROOT_INO; /* a LibFS of one directory */
	else if (err)
		return failed(text, "mkdir afterwards", err);
	err = libfs_create(fs, user_at(&user, 2000), dir.ino, "file", 0644, true, &file);
	if (dir.ino != LIBFS_ROOT_INO)
		libfs_forget(fs, dir.ino, 1);
	if (err)
		return failed(text, "create afterwards", err);
	n = libfs_write(fs, user_at(&user, 2000), file.ino, 0, 0, words, sizeof(words));
	err = n == sizeof(words) ? libfs_fsync(fs, file.ino, false) : (int)n;
	libfs_forget(fs, file.ino, 1);
	if (err)
		return failed(text, "write and fsync afterwards", err);
	err = remove_all(fs);
	if (!err)
		err = libfs_sync(fs);
	return err ? failed(text, "removing everything afterwards", err) : NULL;
}
