/* SPDX-License-Identifier: MIT */
/*
 * What a copied file gets besides its bytes.  See copy.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy.h"

#define OWNER (LIBFS_SET_UID | LIBFS_SET_GID)

static bool is_later(const struct timespec *time, time_t latest)
{
	return time->tv_sec > latest || (time->tv_sec == latest && time->tv_nsec > 0);
}

void copy_adjust(const struct copy_opts *opts, struct libfs_attr *attr)
{
	if (opts->all_root)
		attr->uid = attr->gid = 0;
	if (!opts->latest)
		return;
	if (is_later(&attr->mtime, opts->latest))
		attr->mtime = (struct timespec){ .tv_sec = opts->latest };
	attr->atime = attr->mtime;
}

static bool is_not_kept(int err)
{
	return err == -EOPNOTSUPP || err == -ENOSYS;
}

/* Who may not give a file away keeps it, and must not make it run as himself. */
static uint32_t mode_of_kept(const struct side *side, const struct libfs_attr *attr)
{
	bool kept = !side->image && geteuid() != 0 &&
		    (attr->uid != geteuid() || attr->gid != getegid());

	return kept ? attr->mode & ~(uint32_t)(S_ISUID | S_ISGID) : attr->mode;
}

int copy_give(struct side *side, const struct side_dir *dir, const char *name,
	      const struct libfs_attr *attr, uint32_t which, const struct xattrs *xattrs)
{
	struct libfs_attr rest = *attr;
	int lost = 0, err = 0;

	if (!xattrs->n)
		return which ? side->ops->set_attr(side, dir, name, attr, which) : 0;
	/* Another owner takes capabilities away, and a read-only file no attributes. */
	if (which & OWNER)
		err = side->ops->set_attr(side, dir, name, attr, which & OWNER);
	for (size_t i = 0; i < xattrs->n && !err; i++) {
		err = side->ops->set_xattr(side, dir, name, &xattrs->v[i]);
		if (is_not_kept(err)) {
			lost++;
			err = 0;
		}
	}
	rest.mode = mode_of_kept(side, attr);
	if (!err && (which & ~OWNER))
		err = side->ops->set_attr(side, dir, name, &rest, which & ~OWNER);
	return err ? err : lost;
}

void copy_say_bare(struct tool *tool, const struct copy_counts *counts)
{
	if (counts->bare)
		say_done(tool,
			 "extended attributes or ACLs of %" PRIu64
			 " files were left out: the target keeps none of their kind",
			 counts->bare);
}
