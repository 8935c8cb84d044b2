/* SPDX-License-Identifier: MIT */
/*
 * What every LibFS does around its root: make it, find its types again, count
 * its space, and help when XN says "not now".
 *
 *  (1) Nothing here knows a format: templates, names and ids come in.
 *  (2) Who waits for space or cache waits for what is on its way: it is written,
 *      and what was freed is taken apart.  If nothing is, there is no use in trying.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libfs/libfs.h"
#include "xn/xn.h"

#define REAP_BUDGET    256  /* objects between two looks at the rest */
#define RECLAIM_BUDGET 1024 /* blocks of what a crash left */

void libfs_say(char *why, size_t size, const char *format, ...)
{
	va_list args;

	if (!why || !size)
		return;
	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
}

/* ---- mkfs ---- */

static int root_create(struct xn_session *session, const struct libfs_root_plan *plan,
		       uint32_t type, struct xn_root_info *root)
{
	const struct libfs_mkfs_opts *opts = plan->opts;
	struct xn_root_spec spec = {
		.name = opts->root,
		.libfs = plan->libfs,
		.type = type,
		.uid = opts->uid,
		.gid = opts->gid,
		.mode = 0600,
		.quota = opts->quota,
		.now_ns = opts->now.tv_sec * 1000000000ll + opts->now.tv_nsec,
	};

	memcpy(spec.uuid, opts->uuid, sizeof(spec.uuid));
	return xn_root_create(session, &spec, root);
}

int libfs_root_make(struct xn_session *session, const struct libfs_root_plan *plan,
		    struct xn_root_info *root)
{
	struct xn_image images[LIBFS_TEMPLATES_MAX];
	uint32_t ids[LIBFS_TEMPLATES_MAX];
	struct xn_refusal refusal = { 0 };
	int err;

	if (plan->n_images > LIBFS_TEMPLATES_MAX || plan->top >= plan->n_images)
		return -EINVAL;
	for (unsigned i = 0; i < plan->n_images; i++)
		images[i] = (struct xn_image){ .bytes = plan->images[i], .len = plan->lens[i] };
	err = xn_template_install(session, images, plan->n_images, ids, &refusal);
	if (!err)
		err = root_create(session, plan, ids[plan->top], root);
	if (err)
		libfs_say(plan->opts->why, plan->opts->why_size, "%s",
			  refusal.text[0] ? refusal.text : xn_strerror(err));
	return err;
}

/* ---- mount ---- */

int libfs_root_types(struct xn *xn, const struct xn_root_info *root, const char *top, uint32_t n,
		     uint32_t *types)
{
	struct xn_template_info info;
	int err = xn_template_info(xn, root->type, &info);

	if (err)
		return err;
	if (strcmp(info.name, top) != 0 || info.batch_count != n)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++)
		types[i] = info.batch_first + i;
	return 0;
}

int libfs_space(struct xn_session *session, uint32_t root, struct libfs_statfs *out)
{
	struct xn_space space;
	struct xn_disk_info info;
	int err = xn_space(session, root, &space);

	if (!err)
		err = xn_disk_info(xn_session_disk(session), &info);
	if (err)
		return err;
	*out = (struct libfs_statfs){
		.block_size = XN_BLOCK,
		.blocks = space.quota ? space.quota : space.total,
		.blocks_free =
			space.quota ? space.quota - space.used : space.free + space.will_free,
		.blocks_available = space.available,
		.name_max = LIBFS_NAME_MAX,
	};
	if (space.quota && space.used > space.quota)
		out->blocks_free = 0;
	memcpy(&out->fsid, info.uuid, sizeof(out->fsid));
	out->fsid ^= root;
	return 0;
}

/* ---- when XN says: not now ---- */

/*
 * A sync may find blocks that an operation under way has allocated and not written yet; it writes
 * what it can, and that is what is needed.
 */
static bool went_on(int err)
{
	return err == 0 || err == XN_ETAINTED;
}

bool libfs_make_room(struct xn_session *session, uint32_t root)
{
	int64_t left;

	/* Pages of subtrees that wait to be taken apart stay, and a sync writes none of them. */
	do {
		if (!went_on(xn_sync(session, root)))
			return false;
		left = xn_reap(session, REAP_BUDGET);
	} while (left > 0);
	return left == 0;
}

/* Of all roots, if the session may: what a neighbour has freed is space, too. */
static int sync_everything(struct xn_session *session, uint32_t root)
{
	int err = xn_sync(session, 0);

	return err == XN_ECRED ? xn_sync(session, root) : err;
}

/* A subtree cut off in memory, ours or a neighbour's, shows only as something dirty. */
static bool space_is_coming(struct xn_session *session, uint32_t root)
{
	struct xn_stats stats;
	struct xn_space space;

	xn_stats(xn_session_disk(session), &stats);
	return stats.cache_dirty_pages > 0 || stats.reap_queue > 0 ||
	       (xn_space(session, root, &space) == 0 && space.will_free > 0);
}

bool libfs_reclaim(struct xn_session *session, uint32_t root)
{
	int64_t left;
	int err;

	if (!space_is_coming(session, root))
		return false;
	do {
		if (!went_on(sync_everything(session, root)))
			return false;
		left = xn_reap(session, REAP_BUDGET);
	} while (left > 0);
	if (left < 0)
		return false;
	err = sync_everything(session, root);
	(void)xn_reclaim(session, RECLAIM_BUDGET, NULL); /* what the log, or a crash, keeps */
	return went_on(err);
}

int libfs_reap_all(struct xn_session *session)
{
	int64_t left;

	do
		left = xn_reap(session, REAP_BUDGET);
	while (left > 0);
	return (int)left;
}
