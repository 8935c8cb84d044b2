/* SPDX-License-Identifier: MIT */
/*
 * cp: files in, out and between.
 *
 *  (1) A path with a colon before it is inside the image; any other is a file of
 *      this machine.  (A file whose name begins with a colon is "./:name".)
 *  (2) All sources are looked at before the image is opened for writing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "copy.h"
#include "spot.h"

/* The umask cannot be asked for, only exchanged. */
static uint32_t current_umask(void)
{
	mode_t mask = umask(077);

	umask(mask);
	return mask;
}

struct cp {
	struct tool *tool;
	char **sources;
	int n_sources;
	const char *target;
	bool recursive, preserve;
	struct image *other; /* where the sources are, with --from */
};

/* The last name of a path; empty for "/", "." and the like. */
static void base_name(const char *path, char name[LIBFS_NAME_MAX + 1])
{
	size_t len = strlen(path), start;

	while (len > 0 && path[len - 1] == '/')
		len--;
	for (start = len; start > 0 && path[start - 1] != '/'; start--)
		;
	name[0] = '\0';
	if (name_is_safe(path + start, len - start)) {
		memcpy(name, path + start, len - start);
		name[len - start] = '\0';
	}
}

/*
 * If the target is a directory, open it and call it "."; a target that is not
 * there stays a name.  *into tells.
 */
static int target_enter(const struct cp *cp, struct spot *to, bool *into)
{
	struct side_dir inner;
	struct libfs_attr attr;
	int err = to->side.ops->look(&to->side, &to->dir, to->name, &attr);

	*into = !err && S_ISDIR(attr.mode);
	if (!*into && cp->n_sources > 1 && (!err || err == -ENOENT))
		return -ENOTDIR;
	if (err == -ENOENT)
		return 0;
	if (err || !*into)
		return err;
	err = to->side.ops->open_dir(&to->side, &to->dir, to->name, &inner);
	if (err)
		return err;
	spot_close(to);
	to->dir = inner;
	to->open = true;
	strcpy(to->name, ".");
	return 0;
}

static int target_open(const struct cp *cp, struct image *image, struct spot *to, bool *into)
{
	int err = spot_open(image, cp->target, true, to);

	if (!err)
		err = target_enter(cp, to, into);
	if (err) {
		spot_complain(cp->tool, image, cp->target, err);
		spot_close(to);
	}
	return err;
}

/* Would copy_source() begin? */
static int check_source(const struct cp *cp, struct image *image, const char *source)
{
	struct libfs_attr attr;
	struct spot from;
	int err = spot_open(image, source, !cp->recursive, &from);

	if (!err)
		err = from.side.ops->look(&from.side, &from.dir, from.name, &attr);
	if (err) {
		spot_complain(cp->tool, image, source, err);
	} else if (S_ISDIR(attr.mode) && !cp->recursive) {
		say_failure(cp->tool, source, "it is a directory; -r copies directories");
		err = -EISDIR;
	}
	spot_close(&from);
	return err;
}

static int copy_source(const struct cp *cp, struct copy *copy, struct image *image,
		       const char *source, const struct spot *to, bool into)
{
	char name[LIBFS_NAME_MAX + 1], *to_path = NULL;
	struct spot from;
	int err = spot_open(image, source, !cp->recursive, &from);

	if (err)
		return spot_complain(cp->tool, image, source, err);
	base_name(from.path, name);
	if (into && name[0])
		to_path = path_join(to->path, name);
	else
		strcpy(name, to->name);
	err = copy_file(copy, &(struct copy_end){ &from.dir, from.name, from.path },
			&(struct copy_end){ &to->dir, name, to_path ? to_path : to->path });
	free(to_path);
	spot_close(&from);
	return err;
}

static void copy_report(struct tool *tool, const struct copy_counts *counts)
{
	char size[SIZE_TEXT_MAX];

	say_progress(tool, NULL);
	copy_say_bare(tool, counts);
	if (tool->err_is_tty)
		say_done(tool,
			 "%" PRIu64 " files (%s), %" PRIu64 " directories, %" PRIu64 " others",
			 counts->files, size_text(counts->bytes, false, size), counts->directories,
			 counts->others);
}

static int copy_sources(const struct cp *cp, struct image *source_image, struct spot *to, bool into)
{
	struct copy_opts opts = { .recursive = cp->recursive,
				  .preserve = cp->preserve,
				  .umask = current_umask(),
				  .uid = geteuid(),
				  .gid = getegid() };
	struct side from =
		spot_is_inside(cp->sources[0]) ? side_of_image(source_image) : side_of_machine();
	struct copy *copy;
	int err = copy_create(cp->tool, &from, &to->side, &opts, &copy);

	if (err) {
		say_error(cp->tool, cp->target, err, NULL);
		return err;
	}
	for (int i = 0; i < cp->n_sources; i++) {
		int failed = copy_source(cp, copy, source_image, cp->sources[i], to, into);

		if (!err)
			err = failed;
	}
	copy_report(cp->tool, copy_counted(copy));
	copy_destroy(copy);
	return err;
}

/* image_change() asks this: first whether it can be done, then to do it. */
static int cp_work(struct image *image, bool really, void *argument)
{
	const struct cp *cp = argument;
	struct image *source_image = cp->other ? cp->other : image;
	struct spot to;
	bool into;
	int err = 0;

	for (int i = 0; i < cp->n_sources && !err; i++)
		err = check_source(cp, source_image, cp->sources[i]);
	if (!err)
		err = target_open(cp, image, &to, &into);
	if (err)
		return err;
	if (really)
		err = copy_sources(cp, source_image, &to, into);
	spot_close(&to);
	return err;
}

/* Out of the image: it is only read. */
static int cp_out(struct tool *tool, struct cp *cp, const char *name)
{
	struct image *image;
	int err = image_open(tool, name, 0, &image), close_err;

	if (err)
		return err;
	err = cp_work(image, true, cp);
	close_err = image_close(image);
	return err ? err : close_err;
}

static int cp_in(struct tool *tool, struct cp *cp, const char *name, const char *from)
{
	int err = from ? image_open(tool, from, 0, &cp->other) : 0, close_err = 0;

	if (err)
		return err;
	err = image_change(tool, name, cp_work, cp);
	if (cp->other)
		close_err = image_close(cp->other);
	return err ? err : close_err;
}

/* What is wrong with the operands as words; NULL = nothing. */
static const char *cp_misuse(const struct cp *cp, const char *from)
{
	for (int i = 1; i < cp->n_sources; i++)
		if (spot_is_inside(cp->sources[i]) != spot_is_inside(cp->sources[0]))
			return "the sources are all inside the image (:/root/...) or all outside";
	if (!spot_is_inside(cp->sources[0]) && !spot_is_inside(cp->target))
		return "no path is inside the image; write :/root/path for those that are";
	if (from && (!spot_is_inside(cp->sources[0]) || !spot_is_inside(cp->target)))
		return "--from copies between images: sources and target begin with a colon";
	return NULL;
}

int cmd_cp(struct tool *tool, const struct args *args)
{
	struct cp cp = { .tool = tool,
			 .sources = args->operands + 1,
			 .n_sources = args->n_operands - 2,
			 .target = args->operands[args->n_operands - 1],
			 .recursive = args_flag(args, "recursive") || args_flag(args, "archive"),
			 .preserve = args_flag(args, "preserve") || args_flag(args, "archive") };
	const char *from = args_text(args, "from", NULL);
	const char *misuse = cp_misuse(&cp, from);
	int err;

	if (misuse)
		return say_usage(tool, args->cmd, "%s", misuse);
	if (spot_is_inside(cp.target))
		err = cp_in(tool, &cp, args->operands[0], from);
	else
		err = cp_out(tool, &cp, args->operands[0]);
	return err || tool->failures ? EXIT_FAIL : EXIT_OK;
}
