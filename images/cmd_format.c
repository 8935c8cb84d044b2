/* SPDX-License-Identifier: MIT */
/*
 * format: an empty XN disk.
 *
 *  (1) Nothing is overwritten without --force, whoever asks and however.
 *  (2) The target is locked before it is looked at, and stays so until it is a
 *      disk.
 *  (3) A file that this call created is removed when it fails.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "super.h"

#define LOCK_TIMEOUT_MS 2000u

struct target {
	const char *name, *path;
	bool is_new, is_file;
	uint64_t size; /* wanted; 0: as it is */
	struct bdev *dev;
};

/* ---- what is asked ---- */

static int size_complain(struct tool *tool, const char *name, uint64_t size)
{
	char text[SIZE_TEXT_MAX];

	return say_failure(tool, name, "%s is not possible; a disk has from 1 MiB to 1 EiB",
			   size_text(size, true, text));
}

/* Decide from what is there and what was asked whether the target makes sense. */
static int target_decide(struct tool *tool, const struct args *args, struct target *target)
{
	bool sized = args_flag(args, "size");
	struct stat st = { 0 };

	target->size = args_number(args, "size", 0) / XN_BLOCK_SIZE * XN_BLOCK_SIZE;
	target->is_new = stat(target->path, &st) && errno == ENOENT;
	if (sized && (target->size < XN_BLOCKS_MIN * XN_BLOCK_SIZE ||
		      target->size > XN_BLOCKS_MAX * XN_BLOCK_SIZE))
		return size_complain(tool, target->name, args_number(args, "size", 0));
	if (target->is_new && !sized)
		return say_failure(tool, target->name,
				   "it does not exist yet; --size says how large to make it");
	target->is_file = target->is_new || S_ISREG(st.st_mode);
	if (!target->is_file && sized && S_ISBLK(st.st_mode))
		return say_failure(tool, target->name,
				   "a block device has a size of its own; leave out --size");
	if (target->is_file && !target->is_new && !sized && st.st_size < (1 << 20))
		return say_failure(tool, target->name,
				   "the file is smaller than 1 MiB; --size makes it larger");
	return EXIT_OK;
}

/* ---- opening ---- */

/* Who holds the disk, by its own superblock, where that tells. */
static int busy_complain(struct tool *tool, const struct target *target)
{
	struct xn_super super;

	if (found_super(target->dev, &super, NULL) == 0 && super.holder_pid)
		return say_failure(tool, target->name, "it is in use by %s (process %llu on %s)",
				   super.holder_command[0] ? super.holder_command : "a program",
				   (unsigned long long)super.holder_pid, super.holder_host);
	return say_failure(tool, target->name, "it is in use by another program");
}

static int target_open(struct tool *tool, struct target *target)
{
	uint32_t flags = BDEV_OPEN_RDWR | (target->is_new ? BDEV_OPEN_CREATE : 0);
	int err = bdev_open(target->name, flags, target->size, &target->dev);

	if (err == -ENOTBLK)
		return say_failure(tool, target->name, "neither a file nor a block device");
	if (err)
		return say_error(tool, target->name, err, NULL);
	err = bdev_lock(target->dev, true, LOCK_TIMEOUT_MS);
	if (!err)
		return EXIT_OK;
	if (err == -EBUSY)
		busy_complain(tool, target);
	else
		say_error(tool, target->name, err, NULL);
	bdev_close(target->dev);
	return EXIT_FAIL;
}

/* ---- what is there ---- */

/* Refuse what is there, or with --force make it unrecognisable. */
static int target_clear(struct tool *tool, const struct target *target, bool force)
{
	struct found found;
	char text[FOUND_TEXT_MAX];
	int there = found_look(target->path, target->dev, &found), err;

	if (there < 0)
		return say_error(tool, target->name, there, NULL);
	if (!there)
		return EXIT_OK;
	if (!force) {
		found_text(&found, text);
		return say_failure(tool, target->name, "it holds %s; --force overwrites it", text);
	}
	err = found_wipe(target->path);
	return err ? say_error(tool, target->name, err, NULL) : EXIT_OK;
}

static int target_resize(struct tool *tool, const struct target *target)
{
	struct bdev_info info;
	int err;

	bdev_info(target->dev, &info);
	if (!target->is_file || !target->size || target->size == info.size)
		return EXIT_OK;
	err = bdev_resize(target->dev, target->size);
	return err ? say_error(tool, target->name, err, NULL) : EXIT_OK;
}

/* ---- the disk ---- */

static int64_t time_of_format(void)
{
	const char *fixed = getenv("SOURCE_DATE_EPOCH");
	uint64_t seconds;

	if (fixed && number_parse(fixed, 10, INT64_MAX / 1000000000, &seconds) == 0)
		return (int64_t)seconds * 1000000000;
	return 0;
}

static int target_format(struct tool *tool, const struct args *args, const struct target *target)
{
	struct xn_format_opts opts = { .force = args_flag(args, "force"),
				       .now_ns = time_of_format() };
	const char *label = args_text(args, "label", "");
	char size[SIZE_TEXT_MAX];
	struct bdev_info info;
	int err;

	snprintf(opts.label, sizeof(opts.label), "%s", label);
	args_uuid(args, "uuid", opts.uuid);
	err = xn_format(target->dev, &opts);
	if (err)
		return say_error(tool, target->name, err, NULL);
	bdev_info(target->dev, &info);
	say_done(tool, "%s is now an empty XN disk of %s", target->name,
		 size_text(info.size, false, size));
	return EXIT_OK;
}

static int target_make(struct tool *tool, const struct args *args, const struct target *target)
{
	int code = EXIT_OK;

	if (!target->is_new)
		code = target_clear(tool, target, args_flag(args, "force"));
	if (code == EXIT_OK)
		code = target_resize(tool, target);
	if (code == EXIT_OK)
		code = target_format(tool, args, target);
	return code;
}

int cmd_format(struct tool *tool, const struct args *args)
{
	struct target target = { .name = args->operands[0], .path = plain_path(args->operands[0]) };
	int code;

	if (strlen(args_text(args, "label", "")) > 64)
		return say_failure(tool, target.name, "a label has at most 64 bytes");
	code = target_decide(tool, args, &target);
	if (code == EXIT_OK)
		code = target_open(tool, &target);
	if (code != EXIT_OK)
		return code;
	code = target_make(tool, args, &target);
	bdev_close(target.dev);
	if (code != EXIT_OK && target.is_new)
		unlink(target.path);
	return code;
}
