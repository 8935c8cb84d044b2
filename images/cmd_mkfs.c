/* SPDX-License-Identifier: MIT */
/*
 * mkfs: a root with a file system in it, filled on request.
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
#include "source.h"

struct mkfs {
	struct tool *tool;
	const struct args *args;
	const char *root, *type;
	struct source source; /* when `filled` */
	bool filled;
	struct libfs_attr attr; /* of the root's directory */
	uint64_t quota;         /* blocks */
};

/* ---- what goes in ---- */

static int source_find(struct mkfs *mkfs)
{
	const char *dir = args_text(mkfs->args, "dir", NULL);
	const char *tar = args_text(mkfs->args, "tar", NULL);

	if (dir && tar)
		return say_usage(mkfs->tool, mkfs->args->cmd, "--dir and --tar are two sources");
	if (!dir && !tar)
		return EXIT_OK;
	if (source_open(mkfs->tool, dir ? dir : tar, dir ? SOURCE_DIR : SOURCE_TAR, &mkfs->source))
		return EXIT_FAIL;
	mkfs->filled = true;
	if (mkfs->source.has_attr)
		mkfs->attr = mkfs->source.attr;
	return EXIT_OK;
}

static void take_options(struct mkfs *mkfs)
{
	const struct args *args = mkfs->args;
	uint64_t quota = args_number(args, "quota", 0);

	if (args_flag(args, "all-root"))
		mkfs->attr.uid = mkfs->attr.gid = 0;
	mkfs->attr.uid = (uint32_t)args_number(args, "uid", mkfs->attr.uid);
	mkfs->attr.gid = (uint32_t)args_number(args, "gid", mkfs->attr.gid);
	mkfs->attr.mode = (uint32_t)args_number(args, "mode", mkfs->attr.mode & 07777);
	mkfs->quota = quota / XN_BLOCK + (quota % XN_BLOCK != 0);
}

/* ---- may it be? ---- */

static int check_room(const struct mkfs *mkfs, struct image *image)
{
	struct xn_disk_info disk;
	int err = xn_disk_info(image_disk(image), &disk);

	if (err)
		return image_complain(image, "/", err);
	if (mkfs->quota && mkfs->quota < disk.free_blocks)
		return source_check_room(&mkfs->source, image, mkfs->quota, " of quota");
	return source_check_room(&mkfs->source, image, disk.free_blocks, " free");
}

static int check(const struct mkfs *mkfs, struct image *image)
{
	const struct libfs_type *type;
	struct xn_root_info root;
	char why[512];
	int err = libfs_find_type_why(mkfs->type, &type, why, sizeof(why));

	if (err) {
		say_failure(mkfs->tool, image_name(image), "%s", why);
		return err;
	}
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

/* What the options say of the root's directory goes before what the source says. */
static int give_options(const struct mkfs *mkfs, struct image *image, const struct side_dir *dir)
{
	struct side to = side_of_image(image);
	uint32_t which = args_flag(mkfs->args, "uid") ? LIBFS_SET_UID : 0;

	which |= args_flag(mkfs->args, "gid") ? LIBFS_SET_GID : 0;
	which |= args_flag(mkfs->args, "mode") ? LIBFS_SET_MODE : 0;
	return which ? to.ops->set_attr(&to, dir, ".", &mkfs->attr, which) : 0;
}

static int fill(struct mkfs *mkfs, struct image *image)
{
	struct copy_counts counts = { 0 };
	struct side_dir dir = { .id = LIBFS_ROOT_INO };
	int err = image_mount(image, mkfs->root, &dir.fs), late_err;
	char path[80];

	snprintf(path, sizeof(path), "/%s", mkfs->root);
	if (err)
		return image_complain(image, path, err);
	err = source_fill(&mkfs->source, image, &dir, path, args_flag(mkfs->args, "all-root"),
			  &counts);
	late_err = give_options(mkfs, image, &dir);
	if (!err && late_err)
		err = image_complain(image, path, late_err);
	if (err) {
		say_failure(mkfs->tool, image_name(image),
			    "%s is there and holds what could be copied", path);
		return err;
	}
	source_say(mkfs->tool, path, "holds", &counts);
	return 0;
}

static int mkfs_work(struct image *image, bool really, void *argument)
{
	struct mkfs *mkfs = argument;
	int err = check(mkfs, image);

	if (err || !really)
		return err;
	err = make_root(mkfs, image);
	if (err)
		return err;
	say_done(mkfs->tool, "%s has a new root /%s (%s)", image_name(image), mkfs->root,
		 mkfs->type);
	return mkfs->filled ? fill(mkfs, image) : 0;
}

int cmd_mkfs(struct tool *tool, const struct args *args)
{
	struct mkfs mkfs = { .tool = tool,
			     .args = args,
			     .root = args_text(args, "root", NULL),
			     .type = args_text(args, "type", libfs_default()->name),
			     .attr = { .uid = geteuid(), .gid = getegid(), .mode = 0755 } };
	int err;

	if (!mkfs.root)
		return say_usage(tool, args->cmd, "--root NAME is missing");
	if (!xn_root_name_ok(mkfs.root))
		return say_failure(tool, args->operands[0],
				   "\"%s\" cannot be a root's name: 1 to 63 bytes, no '/', no "
				   "control characters, not \".\" or \"..\"",
				   mkfs.root);
	err = source_find(&mkfs);
	if (err)
		return err;
	take_options(&mkfs);
	err = image_change(tool, args->operands[0], mkfs_work, &mkfs);
	if (mkfs.filled)
		source_close(&mkfs.source);
	return err || tool->failures ? EXIT_FAIL : EXIT_OK;
}
