/* SPDX-License-Identifier: MIT */
/*
 * naivefs: a LibFS that does not care about order, as a shared object, to show that the explorer
 * does.  One directory of 32 files of 24 KiB.  Not for threads.
 *
 *  (1) XN keeps it from harming others or itself: pointers never lead to strangers' bytes.
 *  (2) What POSIX promises it breaks: fsync hands its block to the device and never flushes, a
 *      rename is two steps with the first one written, and a file's size comes before its bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "layout.h"
#include "libfs/libfs.h"
#include "naive_templates.h"
#include "xn/xn.h"

extern const struct libfs_type libfs_plugin;

struct record {
	uint32_t mode, generation;
	uint64_t size;
	uint64_t block[NAIVE_BLOCKS];
	uint64_t unused;
	char name[NAIVE_NAME + 1];
};
_Static_assert(sizeof(struct record) == NAIVE_RECORD, "as layout.h says");

struct naive {
	struct libfs libfs;
	uint32_t root;
	xn_binding_t binding;
	xn_blk_t object;
	const struct record *records;
};

static struct naive *naive_of(struct libfs *fs)
{
	return (struct naive *)fs;
}

/* ---- the one block ---- */

static int write_out(struct naive *fs)
{
	struct xn_extent all[64];
	int n = xn_list_writeable(fs->libfs.session, fs->root, all, 64), err = n < 0 ? n : 0;

	for (int i = n; i-- > 0 && !err;)
		err = xn_writeback(fs->libfs.session, &all[i], 1);
	return err;
}

static int record_write(struct naive *fs, unsigned slot, const struct record *record,
			const struct xn_extent *alloc, const struct xn_extent *frees,
			uint32_t n_frees)
{
	struct xn_edit edit = { .object = fs->object,
				.offset = slot * NAIVE_RECORD,
				.len = NAIVE_RECORD,
				.bytes = record };
	struct xn_update update = { .edits = &edit,
				    .n_edits = 1,
				    .allocs = alloc,
				    .n_allocs = alloc ? 1 : 0,
				    .frees = frees,
				    .n_frees = n_frees };

	return xn_update(fs->libfs.session, &update);
}

/* Free the record's blocks from `first` on. */
static int cut(struct naive *fs, unsigned slot, struct record *record, unsigned first)
{
	struct xn_extent frees[NAIVE_BLOCKS];
	uint32_t n = 0;

	for (unsigned i = first; i < NAIVE_BLOCKS; i++) {
		if (record->block[i])
			frees[n++] = (struct xn_extent){ .start = record->block[i],
							 .count = 1,
							 .type = XN_DATA };
		record->block[i] = 0;
	}
	return record_write(fs, slot, record, NULL, frees, n);
}

static int find(const struct naive *fs, const char *name)
{
	for (int i = 0; i < NAIVE_FILES; i++)
		if (fs->records[i].mode && strcmp(fs->records[i].name, name) == 0)
			return i;
	return -ENOENT;
}

static int slot_of(const struct naive *fs, libfs_ino_t ino)
{
	return ino >= 2 && ino < 2 + NAIVE_FILES && fs->records[ino - 2].mode ? (int)ino - 2
									      : -ESTALE;
}

static void attr_fill(const struct naive *fs, int slot, struct libfs_attr *out)
{
	const struct record *record = &fs->records[slot];

	*out = (struct libfs_attr){ .ino = (libfs_ino_t)slot + 2,
				    .generation = record->generation,
				    .mode = record->mode,
				    .nlink = 1,
				    .size = record->size,
				    .blksize = XN_BLOCK };
}

/* ---- mkfs, mount ---- */

static int naive_mkfs(struct xn_session *session, const struct libfs_mkfs_opts *opts)
{
	struct xn_image image = { .bytes = naive_templates_image[0],
				  .len = naive_templates_image_len[0] };
	struct xn_root_spec spec = { .name = opts->root,
				     .libfs = "naivefs",
				     .mode = 0600,
				     .now_ns = opts->now.tv_sec * 1000000000ll };
	struct xn_root_info info;
	int err = xn_template_install(session, &image, 1, &spec.type, NULL);

	memcpy(spec.uuid, opts->uuid, sizeof(spec.uuid));
	if (!err)
		err = xn_root_create(session, &spec, &info);
	if (!err)
		err = xn_sync(session, info.id);
	return err ? -xn_errno(err) : 0;
}

static int naive_mount(struct xn_session *session, const struct libfs_mount_opts *opts,
		       struct libfs **out)
{
	struct naive *fs = calloc(1, sizeof(*fs));
	struct xn_root_info info;
	const void *bytes;
	size_t len;
	int err;

	if (!fs)
		return -ENOMEM;
	fs->libfs =
		(struct libfs){ .type = &libfs_plugin, .session = session, .flags = opts->flags };
	err = xn_root_find(xn_session_disk(session), opts->root, &info);
	fs->root = info.id;
	if (!err)
		err = xn_bind_root(session, opts->root, XN_READ | XN_WRITE | XN_READIN,
				   &fs->binding, &fs->object);
	if (!err)
		err = xn_map(session, fs->binding, &bytes, &len);
	if (err) {
		free(fs);
		return -xn_errno(err);
	}
	fs->records = bytes;
	*out = &fs->libfs;
	return 0;
}

static int naive_unmount(struct libfs *libfs)
{
	struct naive *fs = naive_of(libfs);
	int err = xn_sync(fs->libfs.session, fs->root);

	xn_unbind(fs->libfs.session, fs->binding);
	free(fs);
	return err ? -xn_errno(err) : 0;
}

/* ---- names ---- */

static int naive_getattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			 struct libfs_attr *out)
{
	int slot;

	(void)ctx;
	if (ino == LIBFS_ROOT_INO) {
		*out = (struct libfs_attr){ .ino = ino, .mode = S_IFDIR | 0755, .nlink = 2 };
		return 0;
	}
	slot = slot_of(naive_of(fs), ino);
	if (slot < 0)
		return slot;
	attr_fill(naive_of(fs), slot, out);
	return 0;
}

static int naive_find(struct libfs *fs, libfs_ino_t ino, uint32_t generation,
		      struct libfs_attr *out)
{
	int err = naive_getattr(fs, NULL, ino, out);

	return err ? err : out->generation == generation ? 0 : -ESTALE;
}

static void naive_forget(struct libfs *fs, libfs_ino_t ino, uint64_t count)
{
	(void)fs, (void)ino, (void)count;
}

static int naive_lookup(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			const char *name, struct libfs_attr *out)
{
	int slot = dir == LIBFS_ROOT_INO ? find(naive_of(fs), name) : -ENOTDIR;

	(void)ctx;
	if (slot < 0)
		return slot;
	attr_fill(naive_of(fs), slot, out);
	return 0;
}

static int naive_create(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			const char *name, uint32_t mode, bool exclusive, struct libfs_attr *out)
{
	struct naive *fs = naive_of(libfs);
	int slot = find(fs, name), err = 0;
	struct record record;

	(void)ctx, (void)dir, (void)exclusive;
	if (slot >= 0)
		return -EEXIST;
	if (strlen(name) > NAIVE_NAME)
		return -ENAMETOOLONG;
	for (slot = 0; slot < NAIVE_FILES && fs->records[slot].mode; slot++)
		;
	if (slot == NAIVE_FILES)
		return -ENOSPC;
	record = (struct record){ .mode = S_IFREG | (mode & 07777),
				  .generation = fs->records[slot].generation + 1 };
	memcpy(record.name, name, strlen(name));
	err = record_write(fs, (unsigned)slot, &record, NULL, NULL, 0);
	if (err)
		return -xn_errno(err);
	attr_fill(fs, slot, out);
	return 0;
}

static int naive_unlink(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			const char *name)
{
	struct naive *fs = naive_of(libfs);
	int slot = find(fs, name), err;
	struct record record;

	(void)ctx, (void)dir;
	if (slot < 0)
		return slot;
	record = fs->records[slot];
	record.mode = 0;
	record.size = 0;
	err = cut(fs, (unsigned)slot, &record, 0);
	return err ? -xn_errno(err) : 0;
}

/* What was there goes, and is gone on the disk, before the name comes. */
static int naive_rename(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t from_dir,
			const char *from, libfs_ino_t to_dir, const char *to, uint32_t flags)
{
	struct naive *fs = naive_of(libfs);
	int slot = find(fs, from), err = 0;
	struct record record;

	(void)from_dir, (void)to_dir;
	if (slot < 0 || flags)
		return slot < 0 ? slot : -EINVAL;
	if (strcmp(from, to) == 0)
		return 0;
	if (find(fs, to) >= 0)
		err = naive_unlink(libfs, ctx, LIBFS_ROOT_INO, to);
	if (!err)
		err = write_out(fs);
	record = fs->records[slot];
	memset(record.name, 0, sizeof(record.name));
	memcpy(record.name, to, strnlen(to, NAIVE_NAME));
	if (!err)
		err = record_write(fs, (unsigned)slot, &record, NULL, NULL, 0);
	return err < 0 ? err : err ? -xn_errno(err) : 0;
}

static ssize_t naive_readdir(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			     uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max)
{
	struct naive *fs = naive_of(libfs);
	size_t n = 0;

	(void)ctx, (void)dir, (void)flags;
	for (; cookie < 2 + NAIVE_FILES && n < max; cookie++) {
		struct libfs_dirent *entry = &out[n];

		if (cookie >= 2 && !fs->records[cookie - 2].mode)
			continue;
		memset(entry, 0, sizeof(*entry));
		entry->cookie = cookie + 1;
		entry->type = (cookie < 2 ? S_IFDIR : S_IFREG) >> 12;
		entry->ino = cookie < 2 ? LIBFS_ROOT_INO : cookie;
		snprintf(entry->name, sizeof(entry->name), "%s",
			 cookie == 0   ? "."
			 : cookie == 1 ? ".."
				       : fs->records[cookie - 2].name);
		entry->name_len = (uint32_t)strlen(entry->name);
		naive_getattr(libfs, NULL, entry->ino, &entry->attr);
		n++;
	}
	return (ssize_t)n;
}

static int naive_open(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      uint32_t flags, uint64_t *handle)
{
	(void)fs, (void)ctx, (void)ino, (void)flags;
	*handle = 0;
	return 0;
}

static void naive_release(struct libfs *fs, libfs_ino_t ino, uint64_t handle)
{
	(void)fs, (void)ino, (void)handle;
}

/* ---- bytes ---- */

static int block_bind(struct naive *fs, int slot, uint64_t block, xn_binding_t *binding)
{
	struct xn_bind_request request = {
		.owner = fs->object,
		.record = (uint32_t)slot,
		.access = XN_READ | XN_WRITE,
		.extent = { .start = block, .count = 1, .type = XN_DATA },
	};

	return xn_bind(fs->libfs.session, &request, binding);
}

static ssize_t naive_read(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			  uint64_t handle, uint64_t offset, void *buffer, size_t len)
{
	struct naive *fs = naive_of(libfs);
	int slot = slot_of(fs, ino), err = 0;
	const struct record *record;
	size_t done = 0;

	(void)ctx, (void)handle;
	if (slot < 0)
		return slot;
	record = &fs->records[slot];
	if (offset >= record->size)
		return 0;
	len = record->size - offset < len ? record->size - offset : len;
	while (done < len && !err) {
		uint64_t at = offset + done, head = at % XN_BLOCK,
			 block = record->block[at / XN_BLOCK];
		size_t n = XN_BLOCK - head < len - done ? XN_BLOCK - head : len - done;
		xn_binding_t binding;

		memset((uint8_t *)buffer + done, 0, n);
		if (block && !(err = block_bind(fs, slot, block, &binding))) {
			err = xn_read(libfs->session, binding, head, (uint8_t *)buffer + done, n);
			xn_unbind(libfs->session, binding);
		}
		done += n;
	}
	return err ? -xn_errno(err) : (ssize_t)done;
}

/* One block of the file; it is made when it is not there. */
static int block_write(struct naive *fs, int slot, uint64_t at, const void *bytes, size_t len)
{
	struct record record = fs->records[slot];
	uint64_t *block = &record.block[at / XN_BLOCK];
	uint8_t whole[XN_BLOCK] = { 0 };
	bool fresh = !*block;
	xn_binding_t binding;
	int err = 0;

	if (fresh) {
		struct xn_extent extent;

		err = xn_find_free(fs->libfs.session, fs->object, 1, 1, &extent);
		if (err)
			return err;
		*block = extent.start;
		err = record_write(fs, (unsigned)slot, &record, &extent, NULL, 0);
	}
	memcpy(whole + at % XN_BLOCK, bytes, len);
	if (!err)
		err = block_bind(fs, slot, *block, &binding);
	if (err)
		return err;
	err = fresh ? xn_write(fs->libfs.session, binding, 0, whole, XN_BLOCK)
		    : xn_write(fs->libfs.session, binding, at % XN_BLOCK, bytes, len);
	xn_unbind(fs->libfs.session, binding);
	return err;
}

static int size_set(struct naive *fs, int slot, uint64_t size)
{
	struct record record = fs->records[slot];
	unsigned blocks = (unsigned)((size + XN_BLOCK - 1) / XN_BLOCK);

	record.size = size;
	return cut(fs, (unsigned)slot, &record, blocks);
}

static ssize_t naive_write(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			   uint64_t handle, uint64_t offset, const void *bytes, size_t len)
{
	struct naive *fs = naive_of(libfs);
	int slot = slot_of(fs, ino), err = 0;

	(void)ctx, (void)handle;
	if (slot < 0)
		return slot;
	if (offset + len > (uint64_t)NAIVE_BLOCKS * XN_BLOCK)
		return -EFBIG;
	if (offset + len > fs->records[slot].size) {
		err = size_set(fs, slot, offset + len);
		if (!err)
			err = write_out(fs);
	}
	for (size_t done = 0; done < len && !err;) {
		uint64_t at = offset + done;
		size_t n = XN_BLOCK - at % XN_BLOCK;

		n = n < len - done ? n : len - done;
		err = block_write(fs, slot, at, (const uint8_t *)bytes + done, n);
		done += n;
	}
	return err ? -xn_errno(err) : (ssize_t)len;
}

static int naive_setattr(struct libfs *libfs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			 const struct libfs_attr *attr, uint32_t which, struct libfs_attr *out)
{
	struct naive *fs = naive_of(libfs);
	int slot = slot_of(fs, ino), err = 0;
	struct record record;

	(void)ctx;
	if (slot < 0)
		return slot;
	if ((which & LIBFS_SET_SIZE) && attr->size > (uint64_t)NAIVE_BLOCKS * XN_BLOCK)
		return -EFBIG;
	if (which & LIBFS_SET_SIZE)
		err = size_set(fs, slot, attr->size);
	record = fs->records[slot];
	record.mode = S_IFREG | (attr->mode & 07777);
	if (!err && (which & LIBFS_SET_MODE))
		err = record_write(fs, (unsigned)slot, &record, NULL, NULL, 0);
	if (out)
		attr_fill(fs, slot, out);
	return err ? -xn_errno(err) : 0;
}

/* Given to the device is as good as there: so it thinks. */
static int naive_fsync(struct libfs *libfs, libfs_ino_t ino, bool data_only)
{
	int err = write_out(naive_of(libfs));

	(void)ino, (void)data_only;
	return err ? -xn_errno(err) : 0;
}

static int naive_sync(struct libfs *libfs)
{
	return naive_fsync(libfs, 0, false);
}

static const struct libfs_ops ops = {
	.mkfs = naive_mkfs,
	.mount = naive_mount,
	.unmount = naive_unmount,
	.lookup = naive_lookup,
	.forget = naive_forget,
	.find = naive_find,
	.getattr = naive_getattr,
	.setattr = naive_setattr,
	.create = naive_create,
	.unlink = naive_unlink,
	.rename = naive_rename,
	.readdir = naive_readdir,
	.open = naive_open,
	.release = naive_release,
	.read = naive_read,
	.write = naive_write,
	.fsync = naive_fsync,
	.sync = naive_sync,
};

const struct libfs_type libfs_plugin = {
	.name = "naivefs",
	.about = "writes in any order, to be caught",
	.version = 1,
	.ops = &ops,
};
