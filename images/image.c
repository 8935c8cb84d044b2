/* SPDX-License-Identifier: MIT */
/*
 * An open image and its mounts.  See image.h.
 */
#include "image.h"

#include <errno.h>
#include "libfs/host.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_TIMEOUT_MS 2000u /* somebody who is just closing the image */
#define WHY_SIZE        256u

struct image {
	struct tool *tool;
	const char *name;
	struct host *host;
	unsigned flags;
	bool time_is_fixed;
	struct host_ctx ctx;
	char why[WHY_SIZE]; /* the sentence of the last failure that had one, ... */
	int why_error;      /* ... and its number */
};

/* The time that new files get: now, or SOURCE_DATE_EPOCH for builds that repeat. */
static struct timespec time_of_work(bool *is_fixed)
{
	const char *fixed = getenv("SOURCE_DATE_EPOCH");
	struct timespec now;
	uint64_t seconds;

	*is_fixed = fixed && number_parse(fixed, 10, INT64_MAX / 1000000000, &seconds) == 0;
	if (*is_fixed)
		return (struct timespec){ .tv_sec = (time_t)seconds };
	clock_gettime(CLOCK_REALTIME, &now);
	return now;
}

int image_open(struct tool *tool, const char *name, unsigned flags, struct image **out)
{
	struct image *image = calloc(1, sizeof(*image));
	struct host_opts opts = {
		.flags = flags & IMAGE_WRITE ? 0 : HOST_RDONLY,
		.lock_timeout_ms = LOCK_TIMEOUT_MS,
		.why_size = WHY_SIZE,
	};
	int err;

	if (!image)
		return say_error(tool, name, -ENOMEM, NULL), -ENOMEM;
	image->tool = tool;
	image->name = name;
	image->flags = flags;
	host_ctx_init(&image->ctx, 0, 0);
	image->ctx.libfs.now = time_of_work(&image->time_is_fixed);
	if (image->time_is_fixed)
		opts.now_ns = (int64_t)image->ctx.libfs.now.tv_sec * 1000000000 + 1; /* never 0 */
	opts.why = image->why;
	err = host_open(name, &opts, &image->host);
	if (err) {
		say_error(tool, name, err, image->why);
		free(image);
		return err;
	}
	*out = image;
	return 0;
}

int image_close(struct image *image)
{
	int err = host_close(image->host, image->why, sizeof(image->why));

	if (err)
		say_error(image->tool, image->name, err, image->why);
	free(image);
	return err;
}

int image_change(struct tool *tool, const char *name, image_work *work, void *argument)
{
	int err = 0;

	for (int really = 0; really < 2 && !err; really++) {
		struct image *image;
		int close_err;

		err = image_open(tool, name, really ? IMAGE_WRITE : 0, &image);
		if (err)
			return err;
		err = work(image, really, argument);
		close_err = image_close(image);
		if (!err)
			err = close_err;
	}
	return err;
}

const char *image_name(const struct image *image)
{
	return image->name;
}

struct tool *image_tool(const struct image *image)
{
	return image->tool;
}

struct xn *image_disk(const struct image *image)
{
	return host_disk(image->host);
}

struct xn_session *image_session(const struct image *image)
{
	return host_session(image->host);
}

const struct libfs_ctx *image_ctx(const struct image *image)
{
	return &image->ctx.libfs;
}

bool image_time_is_fixed(const struct image *image)
{
	return image->time_is_fixed;
}

int image_mount(struct image *image, const char *root, struct libfs **out)
{
	int err = host_mount_root(image->host, root, NULL, out, image->why, sizeof(image->why));

	image->why_error = err;
	return err;
}

int image_find(struct image *image, const char *path, unsigned flags, struct place *place)
{
	const struct place_walk how = {
		.host = image->host,
		.ctx = &image->ctx.libfs,
		.flags = flags,
		.why = image->why,
		.why_size = sizeof(image->why),
	};
	int err;

	image->why[0] = '\0';
	err = place_find(&how, path, place);
	image->why_error = image->why[0] ? err : 0;
	return err;
}

int image_explain(struct image *image, int error, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(image->why, sizeof(image->why), format, list);
	va_end(list);
	image->why_error = error;
	return error;
}

int image_complain(struct image *image, const char *path, int error)
{
	char subject[512];

	snprintf(subject, sizeof(subject), "%s:%s", image->name, path);
	say_error(image->tool, subject, error, error == image->why_error ? image->why : NULL);
	image->why_error = 0;
	return error;
}
