/* SPDX-License-Identifier: MIT */
/*
 * mkfs: a root with a file system in it, filled from a directory on request.
 *
 *  (1) Everything that can be known beforehand is asked of the image opened
 *      read-only: a refusal changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "xn/format.h"

#include "cmd.h"
#include "copy.h"

struct mkfs {
	struct tool *tool;
	const struct args *args;
	const char *root, *type, *dir;
	struct side_dir source; /* of `dir` */
	struct libfs_attr attr; /* of the root's directory */
	uint64_t quota;         /* blocks */
	uint64_t needed;        /* blocks of data in `dir`, at least */
};

/* ---- what goes in ---- */

static uint64_t blocks_of(const struct libfs_attr *attr)
{
	uint64_t allocated = attr->blocks * 512, bytes;

	if (!S_ISREG(attr->mode))
		return S_ISDIR(attr->mode);
	bytes = attr->size < allocated ? attr->size : allocated;
	return (bytes + XN_BLOCK - 1) / XN_BLOCK / attr->nlink;
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

/* The root's directory is like `dir`, but for what the options say. */
static int source_open(struct mkfs *mkfs)
{
	struct side side = side_of_machine();
	int fd = open(mkfs->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return say_error(mkfs->tool, mkfs->dir, -errno, NULL);
	mkfs->source = (struct side_dir){ .id = (uint64_t)fd };
	err = side.ops->look(&side, &mkfs->source, ".", &mkfs->attr);
	if (err) {
		close(fd);
		return say_error(mkfs->tool, mkfs->dir, err, NULL);
	}
	mkfs->needed = measure(&side, &mkfs->source, 0);
	return EXIT_OK;
}

static void take_options(struct mkfs *mkfs)
{
	const struct args *args = mkfs->args;
	uint64_t quota = args_number(args, "quota", 0);

	mkfs->attr.uid = (uint32_t)args_number(args, "uid", mkfs->attr.uid);
	mkfs->attr.gid = (uint32_t)args_number(args, "gid", mkfs->attr.gid);
	mkfs->attr.mode = (uint32_t)args_number(args, "mode", mkfs->attr.mode & 07777);
	mkfs->quota = quota / XN_BLOCK + (quota % XN_BLOCK != 0);
}

/* ---- may it be? ---- */

static int type_complain(const struct mkfs *mkfs, struct image *image)
{
	char known[256] = "";
	const struct libfs_type *type;

	for (unsigned i = 0; (type = libfs_builtin(i)); i++) {
		size_t len = strlen(known);

		snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "", type->name);
	}
	say_failure(mkfs->tool, image_name(image), "no LibFS is called \"%s\"; there are: %s",
		    mkfs->type, known);
	return -ENOENT;
}

static int check_room(const struct mkfs *mkfs, struct image *image)
{
	char needed[SIZE_TEXT_MAX], room[SIZE_TEXT_MAX];
	struct xn_disk_info disk;
	uint64_t limit;
	int err = xn_disk_info(image_disk(image), &disk);

	if (err)
		return image_complain(image, "/", err);
	limit = disk.free_blocks;
	if (mkfs->quota && mkfs->quota < limit)
		limit = mkfs->quota;
	if (mkfs->needed <= limit)
		return 0;
	say_failure(mkfs->tool, image_name(image), "%s needs at least %s, and there is %s%s",
		    mkfs->dir, size_text(mkfs->needed * XN_BLOCK, false, needed),
		    size_text(limit * XN_BLOCK, false, room),
		    limit == mkfs->quota ? " of quota" : " free");
	return -ENOSPC;
}

static int check(const struct mkfs *mkfs, struct image *image)
{
	const struct libfs_type *type;
	struct xn_root_info root;

	if (libfs_find_type(mkfs->type, &type))
		return type_complain(mkfs, image);
	if (xn_root_find(image_disk(image), mkfs->root, &root) == 0) {
		say_failure(mkfs->tool, image_name(image), "a root called \"%s\" is there already",
			    mkfs->root);
		return XN_EROOTEXISTS;
	}
	return check_room(mkfs, image);
}

/* ---- making ---- */

static int make_root(const struct mkfs *mkfs, struct image *image)
{
	char why[256] = "";
	struct libfs_mkfs_opts opts = {
		.root = mkfs->root,
		.options = args_text(mkfs->args, "options", NULL),
		.uid = mkfs->attr.uid,
		.gid = mkfs->attr.gid,
		.mode = mkfs->attr.mode,
		.quota = mkfs->quota,
		.now = image_ctx(image)->now,
		.why = why,
		.why_size = sizeof(why),
	};
	int err;

	args_uuid(mkfs->args, "uuid", opts.uuid);
	err = libfs_mkfs(image_session(image), mkfs->type, &opts);
	if (err)
		say_error(mkfs->tool, image_name(image), err, why);
	return err;
}

static int fill_dir(const struct mkfs *mkfs, struct side *to, const struct side_dir *dir,
		    const char *path, struct copy_counts *counts)
{
	struct copy_opts opts = { .recursive = true, .preserve = true };
	struct side from = side_of_machine();
	struct copy *copy;
	int err = copy_create(mkfs->tool, &from, to, &opts, &copy);

	if (err)
		return say_error(mkfs->tool, path, err, NULL), err;
	err = copy_contents(copy, &(struct copy_end){ &mkfs->source, ".", mkfs->dir },
			    &(struct copy_end){ dir, ".", path });
	*counts = *copy_counted(copy);
	copy_destroy(copy);
	say_progress(mkfs->tool, NULL);
	return err;
}

static int fill(const struct mkfs *mkfs, struct image *image)
{
	struct side to = side_of_image(image);
	char path[80], size[SIZE_TEXT_MAX];
	struct copy_counts counts = { 0 };
	struct side_dir dir = { .id = LIBFS_ROOT_INO };
	int err = image_mount(image, mkfs->root, &dir.fs), time_err;

	snprintf(path, sizeof(path), "/%s", mkfs->root);
	if (err)
		return image_complain(image, path, err);
	err = fill_dir(mkfs, &to, &dir, path, &counts);
	time_err = to.ops->set_attr(&to, &dir, ".", &mkfs->attr, LIBFS_SET_ATIME | LIBFS_SET_MTIME);
	if (!err && time_err)
		err = image_complain(image, path, time_err);
	if (err) {
		say_failure(mkfs->tool, image_name(image),
			    "%s is there and holds what could be copied", path);
		return err;
	}
	say_done(mkfs->tool,
		 "%s holds %" PRIu64 " files (%s), %" PRIu64 " directories, %" PRIu64 " others",
		 path, counts.files, size_text(counts.bytes, false, size), counts.directories,
		 counts.others);
	return 0;
}

static int mkfs_work(struct image *image, bool really, void *argument)
{
	const struct mkfs *mkfs = argument;
	int err = check(mkfs, image);

	if (err || !really)
		return err;
	err = make_root(mkfs, image);
	if (err)
		return err;
	say_done(mkfs->tool, "%s has a new root /%s (%s)", image_name(image), mkfs->root,
		 mkfs->type);
	return mkfs->dir ? fill(mkfs, image) : 0;
}

int cmd_mkfs(struct tool *tool, const struct args *args)
{
	struct mkfs mkfs = { .tool = tool,
			     .args = args,
			     .root = args_text(args, "root", NULL),
			     .type = args_text(args, "type", libfs_default()->name),
			     .dir = args_text(args, "dir", NULL),
			     .attr = { .uid = geteuid(), .gid = getegid(), .mode = 0755 } };
	int err;

	if (!mkfs.root)
		return say_usage(tool, args->cmd, "--root NAME is missing");
	if (!xn_root_name_ok(mkfs.root))
		return say_failure(tool, args->operands[0],
				   "\"%s\" cannot be a root's name: 1 to 63 bytes, no '/', no "
				   "control characters, not \".\" or \"..\"",
				   mkfs.root);
	if (mkfs.dir && source_open(&mkfs))
		return EXIT_FAIL;
	take_options(&mkfs);
	err = image_change(tool, args->operands[0], mkfs_work, &mkfs);
	if (mkfs.dir)
		close((int)mkfs.source.id);
	return err || tool->failures ? EXIT_FAIL : EXIT_OK;
}
