/* SPDX-License-Identifier: MIT */
/*
 * Directories, archives and ext file systems, to fill from.  See source.h.
 */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "side_ext.h"
#include "tar.h"

#define KEPT_TIMES (LIBFS_SET_ATIME | LIBFS_SET_MTIME)
#define KEPT       (LIBFS_SET_MODE | LIBFS_SET_UID | LIBFS_SET_GID | KEPT_TIMES)

/* ---- how much it is ---- */

static uint64_t blocks_of(const struct libfs_attr *attr)
{
	uint64_t allocated = attr->blocks * 512, bytes;

	if (!S_ISREG(attr->mode))
		return S_ISDIR(attr->mode);
	bytes = attr->size < allocated ? attr->size : allocated;
	return (bytes + XN_BLOCK - 1) / XN_BLOCK / (attr->nlink ? attr->nlink : 1);
}

/* Blocks that a tree needs at least; what cannot be read is left to the copier to say. */
static uint64_t measure(struct side *side, const struct side_dir *dir, unsigned depth)
{
	struct entries list;
	uint64_t blocks = 0;

	if (depth == DEPTH_MAX || side->ops->list(side, dir, &list))
		return 0;
	for (size_t i = 0; i < list.count; i++) {
		struct libfs_attr attr;
		struct side_dir inner;

		if (side->ops->look(side, dir, list.entry[i].name, &attr))
			continue;
		blocks += blocks_of(&attr);
		if (!S_ISDIR(attr.mode) ||
		    side->ops->open_dir(side, dir, list.entry[i].name, &inner))
			continue;
		blocks += measure(side, &inner, depth + 1);
		side->ops->close_dir(side, &inner);
	}
	entries_free(&list);
	return blocks;
}

int source_check_room(const struct source *source, struct image *image, uint64_t limit,
		      const char *kind)
{
	char needed[SIZE_TEXT_MAX], room[SIZE_TEXT_MAX];

	if (source->needed <= limit)
		return 0;
	say_failure(image_tool(image), image_name(image), "%s needs at least %s, and there is %s%s",
		    source->name, size_text(source->needed * XN_BLOCK, false, needed),
		    size_text(limit * XN_BLOCK, false, room), kind);
	return -ENOSPC;
}

/* ---- opening ---- */

static int dir_open(struct source *source)
{
	int fd = open(source->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	source->side = side_of_machine();
	source->top = (struct side_dir){ .id = (uint64_t)fd };
	return 0;
}

/* Its directories can be listed once for each opening. */
static int ext_enter(struct source *source, char *why, size_t why_size)
{
	int err = ext_open(source->name, why, why_size, &source->ext);

	if (err)
		return err;
	source->side = side_of_ext(source->ext);
	err = ext_top(source->ext, &source->top);
	if (err)
		ext_close(source->ext);
	return err;
}

static int ext_measured(struct source *source, char *why, size_t why_size)
{
	int err = ext_enter(source, why, why_size);

	if (err)
		return err;
	source->needed = measure(&source->side, &source->top, 0);
	source->side.ops->close_dir(&source->side, &source->top);
	ext_close(source->ext);
	return ext_enter(source, why, why_size);
}

static int tar_check(const struct source *source, char *why, size_t why_size)
{
	if (!strcmp(source->name, "-"))
		return 0;
	if (access(source->name, R_OK) != 0)
		return -errno;
	if (tar_is(source->name, true))
		return 0;
	snprintf(why, why_size, "it is no tar archive, or is compressed in a way not known");
	return -EMEDIUMTYPE;
}

static int kind_find(const char *name, enum source_kind *kind, char *why, size_t why_size)
{
	struct stat st;
	struct ext *ext;

	*kind = SOURCE_TAR;
	if (!strcmp(name, "-"))
		return 0;
	if (stat(name, &st))
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		*kind = SOURCE_DIR;
		return 0;
	}
	if (tar_is(name, false))
		return 0;
	*kind = SOURCE_EXT;
	if (ext_open(name, why, why_size, &ext) == 0) {
		ext_close(ext);
		return 0;
	}
	if (strstr(why, "it holds no ext2"))
		snprintf(why, why_size,
			 "it is no directory, no tar archive, and no ext2, ext3 or ext4 file "
			 "system");
	return -EMEDIUMTYPE;
}

static int open_kind(struct source *source, char *why, size_t why_size)
{
	int err;

	switch (source->kind) {
	case SOURCE_DIR:
		err = dir_open(source);
		if (!err)
			source->needed = measure(&source->side, &source->top, 0);
		return err;
	case SOURCE_EXT: return ext_measured(source, why, why_size);
	default: return tar_check(source, why, why_size);
	}
}

int source_open(struct tool *tool, const char *name, enum source_kind kind, struct source *source)
{
	char why[160] = "";
	int err = 0;

	*source = (struct source){ .kind = kind, .name = name };
	if (kind == SOURCE_ANY)
		err = kind_find(name, &source->kind, why, sizeof(why));
	if (!err)
		err = open_kind(source, why, sizeof(why));
	if (!err && source->kind != SOURCE_TAR) {
		err = source->side.ops->look(&source->side, &source->top, ".", &source->attr);
		source->has_attr = !err;
		if (err)
			source_close(source);
	}
	if (err)
		say_error(tool, name, err, why);
	return err;
}

void source_close(struct source *source)
{
	if (source->kind == SOURCE_TAR)
		return;
	source->side.ops->close_dir(&source->side, &source->top);
	if (source->ext)
		ext_close(source->ext);
}

/* ---- filling ---- */

static int fill_by_copy(struct source *source, struct side *to, const struct side_dir *dir,
			const char *path, const struct copy_opts *opts, struct copy_counts *counts)
{
	struct tool *tool = image_tool(to->image);
	struct copy *copy;
	int err = copy_create(tool, &source->side, to, opts, &copy);

	if (err)
		return say_error(tool, path, err, NULL), err;
	err = copy_contents(
		copy, &(struct copy_end){ &source->top, ".", source->ext ? "/" : source->name },
		&(struct copy_end){ dir, ".", path });
	*counts = *copy_counted(copy);
	copy_destroy(copy);
	say_progress(tool, NULL);
	return err;
}

/* Last, for filling changed the times. */
static int give_top(struct source *source, struct side *to, const struct side_dir *dir,
		    const struct copy_opts *opts, struct copy_counts *counts)
{
	struct libfs_attr attr = source->attr;
	struct xattrs xattrs;
	int err = source->side.ops->get_xattrs(&source->side, &source->top, ".", &xattrs), lost;

	if (err)
		return err;
	copy_adjust(opts, &attr);
	lost = copy_give(to, dir, ".", &attr, KEPT, &xattrs);
	xattrs_free(&xattrs);
	counts->bare += lost > 0;
	return lost < 0 ? lost : 0;
}

int source_fill(struct source *source, struct image *image, const struct side_dir *dir,
		const char *path, bool all_root, struct copy_counts *counts)
{
	struct copy_opts opts = { .recursive = true, .preserve = true, .all_root = all_root };
	struct side to = side_of_image(image);
	int err, top_err = 0;

	if (image_time_is_fixed(image))
		opts.latest = image_ctx(image)->now.tv_sec;
	*counts = (struct copy_counts){ 0 };
	if (source->kind == SOURCE_TAR)
		return tar_in(image_tool(image), source->name, &to, dir, path, &opts, counts);
	err = fill_by_copy(source, &to, dir, path, &opts, counts);
	if (source->has_attr)
		top_err = give_top(source, &to, dir, &opts, counts);
	if (!err && top_err)
		err = image_complain(image, path, top_err);
	return err;
}

void source_say(struct tool *tool, const char *path, const char *verb,
		const struct copy_counts *counts)
{
	char size[SIZE_TEXT_MAX];

	copy_say_bare(tool, counts);
	say_done(tool, "%s %s %" PRIu64 " files (%s), %" PRIu64 " directories, %" PRIu64 " others",
		 path, verb, counts->files, size_text(counts->bytes, false, size),
		 counts->directories, counts->others);
}
