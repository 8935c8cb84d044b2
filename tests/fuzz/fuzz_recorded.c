/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a recorded log: what is read makes sense, and states can be made of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "states.h"

#define DISK_BYTES (64u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int visit(void *arg, const struct state *state)
{
	char text[512];

	(void)arg;
	state_text(state, text, sizeof(text));
	return 0;
}

/* What xn-crashtest would do with it, and what every event must be. */
static void use(struct slate *slate, const struct bdev *recorder)
{
	struct states_opts opts = {
		.all_below = 4, .samples = 4, .tears = 2, .seed = 1, .max = 64
	};
	struct states_count count = { 0 };
	size_t n = bdev_recorder_count(recorder);

	for (size_t i = 0; i < n; i++) {
		const struct bdev_event *event = bdev_recorder_event(recorder, i);

		if (event->kind == BDEV_EVENT_MARK || event->kind == BDEV_EVENT_FLUSH)
			continue;
		if (event->len > DISK_BYTES || event->offset > DISK_BYTES - event->len ||
		    (event->stable_at != SIZE_MAX && event->stable_at >= n))
			abort();
	}
	if (n && !states_refuse(recorder, n))
		states_each(slate, recorder, n, &opts, visit, NULL, &count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t head[24] = "XNEVENTS\1\0\0\0\0\0\0\0\0\0\1\0\0\0\0";
	struct slate *slate = slate_new(DISK_BYTES);
	int file = memfd_create("log", MFD_CLOEXEC);
	struct bdev *recorder;
	char path[64];

	/* The head is right in most inputs. */
	if (file < 0 ||
	    (size && data[0] == 0xff ? 0 : write(file, head, sizeof(head)) != sizeof(head)) ||
	    write(file, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if (bdev_recorder_create(slate_device(slate), &recorder))
		abort();
	if (!bdev_recorder_load(recorder, path))
		use(slate, recorder);
	else if (bdev_recorder_count(recorder) > 0)
		abort();
	bdev_close(recorder);
	close(file);
	slate_free(slate);
	return 0;
}
