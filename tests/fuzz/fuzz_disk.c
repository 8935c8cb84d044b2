/* SPDX-License-Identifier: MIT */
/*
 * Any disk: the input is a list of patches (broken.h).  What opens is mounted, walked, read, used and
 * closed; then xn-fsck -y has one go, after which it finds nothing more, and the disk opens.
 */
#include <stdlib.h>
#include <string.h>

#include "broken.h"
#include "fsck/fsck.h"
#include "look.h"
#include "xn/xn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int err)
{
	if (err)
		abort();
}

/* Open, mount, walk, read, use.  Whether it opened. */
static bool use(struct broken *base, bool write)
{
	static const struct xn_cred root;
	char why[160] = "", text[160];
	struct xn_open_opts opts = { .flags = (write ? XN_OPEN_RDWR : XN_OPEN_RDONLY) |
					      XN_OPEN_BORROW_DEV,
				     .why = why,
				     .why_size = sizeof(why) };
	struct bdev *dev = slate_device(base->slate);
	struct xn_session *session;
	struct xn *xn;
	int err = xn_open_dev(dev, &opts, &xn);

	if (err) {
		bdev_close(dev);
		return false;
	}
	must(xn_session_open(xn, &root, XN_SESSION_ADMIN, &session));
	for (unsigned i = 0; i < BROKEN_ROOTS; i++) {
		struct libfs_mount_opts how = { .root = broken_roots[i],
						.flags = write ? 0 : LIBFS_MOUNT_RDONLY };
		struct libfs *fs;

		if (libfs_mount(session, &how, &fs))
			continue;
		look_free(look_at(fs));
		if (write)
			look_alive(fs, text);
		libfs_unmount(fs);
	}
	while (write && xn_reclaim(session, 1000, NULL) > 0)
		;
	xn_session_close(session);
	xn_close(xn);
	bdev_close(dev);
	return true;
}

static int check(struct broken *base, enum check_mode mode)
{
	struct fsck_opts opts = { .mode = mode, .force = true, .progress_fd = -1 };
	struct bdev *dev = slate_device(base->slate);
	struct fsck_result result;
	int code;

	must(fsck_run(dev, &opts, &result));
	code = result.exit_code;
	fsck_result_fini(&result);
	bdev_close(dev);
	return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct broken *base; /* made once, lives as long as the fuzzer */
	size_t before, broken;
	int code;

	if (!base)
		base = broken_new();
	before = slate_mark(base->slate);
	broken_patch(base, data, size);
	broken = slate_mark(base->slate);
	use(base, false);
	must(slate_mark(base->slate) != broken); /* who only reads writes nothing */
	use(base, true);
	slate_back(base->slate, broken);
	code = check(base, CHECK_YES);
	if (code == FSCK_OK || code == FSCK_REPAIRED) {
		must(check(base, CHECK_LOOK) != FSCK_OK);
		must(!use(base, true));
	}
	slate_back(base->slate, before);
	return 0;
}
