/* SPDX-License-Identifier: MIT */
/*
 * The copier.  See copy.h.
 */
#include "copy.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "xcp.h"

#define PIECE       (1u << 20)
#define PROGRESS_MS 100
#define KEPT_OWNER  (LIBFS_SET_MODE | LIBFS_SET_UID | LIBFS_SET_GID)
#define KEPT_TIMES  (LIBFS_SET_ATIME | LIBFS_SET_MTIME)

/* A file of the source that has more names than one, and what it became. */
struct twin {
	struct side *to;
	const struct libfs *fs;
	uint64_t ino;
	uint32_t generation;
	struct side_link link;
};

struct copy {
	struct tool *tool;
	struct side *from, *to;
	struct copy_opts opts;
	struct copy_counts counts;
	struct side_dir base;    /* where the paths to twins begin */
	size_t base_len;         /* of the path of `base` in messages */
	void *twins;             /* tree of struct twin */
	struct libfs_attr *made; /* directories of the destination, from the top down */
	unsigned depth;
	bool stop;
	int first_error;
	struct timespec shown;
	char *piece;
	struct xcp *xcp; /* from image to image, else NULL */
};

static void moved(void *arg, const struct xcp_job *job);

int copy_create(struct tool *tool, struct side *from, struct side *to, const struct copy_opts *opts,
		struct copy **out)
{
	struct copy *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	copy->piece = malloc(PIECE);
	copy->made = calloc(DEPTH_MAX, sizeof(*copy->made));
	copy->tool = tool;
	copy->from = from;
	copy->to = to;
	copy->opts = *opts;
	if (!copy->piece || !copy->made ||
	    (from->image && to->image && xcp_create(from, to, moved, copy, &copy->xcp))) {
		copy_destroy(copy);
		return -ENOMEM;
	}
	*out = copy;
	return 0;
}

static void twin_destroy(void *node)
{
	struct twin *twin = node;

	twin->to->ops->drop(twin->to, &twin->link);
	free(twin);
}

void copy_destroy(struct copy *copy)
{
	if (copy->xcp)
		xcp_destroy(copy->xcp);
	tdestroy(copy->twins, twin_destroy);
	free(copy->made);
	free(copy->piece);
	free(copy);
}

const struct copy_counts *copy_counted(const struct copy *copy)
{
	return &copy->counts;
}

/* ---- talking ---- */

static int complain(struct copy *copy, struct side *side, const char *path, int error)
{
	if (side->image)
		image_complain(side->image, path, error);
	else if (side->name)
		say_failure(copy->tool, side->name, "%s: %s", path, xn_strerror(error));
	else
		say_error(copy->tool, path, error, NULL);
	if (!copy->first_error)
		copy->first_error = error;
	return error;
}

/* The destination refused: nothing more will fit there either. */
static int complain_to(struct copy *copy, const char *path, int error)
{
	int number = xn_errno(error);

	copy->stop = number == ENOSPC || number == EDQUOT || number == EROFS || number == EIO;
	return complain(copy, copy->to, path, error);
}

static int complain_about(struct copy *copy, struct side *side, const char *path,
			  const char *sentence)
{
	if (side->name)
		say_failure(copy->tool, side->name, "%s: %s", path, sentence);
	else
		say_failure(copy->tool, path, "%s", sentence);
	if (!copy->first_error)
		copy->first_error = -EINVAL;
	return -EINVAL;
}

static void show_progress(struct copy *copy)
{
	struct timespec now;
	char size[SIZE_TEXT_MAX];
	int64_t passed;

	if (!copy->tool->err_is_tty)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	passed = (now.tv_sec - copy->shown.tv_sec) * 1000 +
		 (now.tv_nsec - copy->shown.tv_nsec) / 1000000;
	if (passed < PROGRESS_MS)
		return;
	copy->shown = now;
	say_progress(copy->tool, "%" PRIu64 " files, %s", copy->counts.files,
		     size_text(copy->counts.bytes, false, size));
}

/* ---- bytes ---- */

static int copy_range(struct copy *copy, const struct copy_end *from, struct side_file *in,
		      const struct copy_end *to, struct side_file *out, uint64_t start,
		      uint64_t end)
{
	while (start < end && !copy->stop) {
		size_t want = end - start < PIECE ? (size_t)(end - start) : PIECE;
		ssize_t got = copy->from->ops->read(copy->from, in, start, copy->piece, want);
		ssize_t put = 0;

		if (got < 0)
			return complain(copy, copy->from, from->path, (int)got);
		if (got == 0) /* it became shorter meanwhile */
			return 0;
		for (ssize_t done = 0; done < got; done += put) {
			put = copy->to->ops->write(copy->to, out, start + (uint64_t)done,
						   copy->piece + done, (size_t)(got - done));
			if (put <= 0)
				return complain_to(copy, to->path, put ? (int)put : -ENOSPC);
		}
		start += (uint64_t)got;
		copy->counts.bytes += (uint64_t)got;
		show_progress(copy);
	}
	return 0;
}

/* The next stretch of data at or behind `offset`; false when only a hole is left. */
static bool next_data(struct copy *copy, struct side_file *in, uint64_t offset, uint64_t size,
		      uint64_t *start, uint64_t *end)
{
	off_t data = copy->from->ops->seek(copy->from, in, offset, SEEK_DATA), hole;

	*start = offset;
	*end = size;
	if (offset >= size || data == -ENXIO)
		return false;
	if (data < 0) /* it cannot tell: all is data */
		return true;
	if ((uint64_t)data >= size)
		return false;
	*start = (uint64_t)data < offset ? offset : (uint64_t)data;
	hole = copy->from->ops->seek(copy->from, in, *start, SEEK_HOLE);
	if (hole > (off_t)*start && (uint64_t)hole < size)
		*end = (uint64_t)hole;
	return true;
}

static int copy_bytes(struct copy *copy, const struct copy_end *from, struct side_file *in,
		      const struct copy_end *to, struct side_file *out, uint64_t size)
{
	uint64_t offset = 0, start, end;
	int err;

	while (!copy->stop && next_data(copy, in, offset, size, &start, &end)) {
		err = copy_range(copy, from, in, to, out, start, end);
		if (err)
			return err;
		offset = end;
	}
	err = copy->to->ops->set_size(copy->to, out, size);
	return err ? complain_to(copy, to->path, err) : 0;
}

/* ---- attributes ---- */

/* What the copy of a file with `attr` shall have; returns which of it. */
static uint32_t attr_of_copy(const struct copy *copy, struct libfs_attr *attr)
{
	if (copy->opts.preserve) {
		copy_adjust(&copy->opts, attr);
		return KEPT_OWNER | KEPT_TIMES;
	}
	attr->mode &= ~copy->opts.umask & ~(uint32_t)(S_ISUID | S_ISGID);
	attr->uid = copy->opts.uid;
	attr->gid = copy->opts.gid;
	return copy->to->image ? KEPT_OWNER : LIBFS_SET_MODE;
}

static int give_attr(struct copy *copy, const struct copy_end *from, const struct copy_end *to,
		     const struct libfs_attr *as)
{
	struct xattrs xattrs = { 0 };
	struct libfs_attr attr = *as;
	uint32_t which = attr_of_copy(copy, &attr);
	int err = 0;

	if (copy->xcp && S_ISREG(as->mode)) /* gives them itself, in the end */
		which = 0;
	if (copy->opts.preserve)
		err = copy->from->ops->get_xattrs(copy->from, from->dir, from->name, &xattrs);
	if (err)
		return complain(copy, copy->from, from->path, err);
	err = copy_give(copy->to, to->dir, to->name, &attr, which, &xattrs);
	xattrs_free(&xattrs);
	copy->counts.bare += err > 0;
	return err < 0 ? complain_to(copy, to->path, err) : 0;
}

/* ---- further names ---- */

static int twin_compare(const void *left, const void *right)
{
	const struct twin *a = left, *b = right;

	if (a->fs != b->fs)
		return (uintptr_t)a->fs < (uintptr_t)b->fs ? -1 : 1;
	if (a->generation != b->generation)
		return a->generation < b->generation ? -1 : 1;
	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return 0;
}

static bool has_twins(const struct copy *copy, const struct libfs_attr *attr)
{
	return copy->opts.preserve && attr->nlink > 1 && !S_ISDIR(attr->mode);
}

static struct twin *twin_find(const struct copy *copy, const struct copy_end *from,
			      const struct libfs_attr *attr)
{
	struct twin key = { .fs = from->dir->fs, .ino = attr->ino, .generation = attr->generation };
	void *node;

	if (!has_twins(copy, attr))
		return NULL;
	node = tfind(&key, &copy->twins, twin_compare);
	return node ? *(struct twin **)node : NULL;
}

static int twin_add(struct copy *copy, const struct copy_end *from, const struct copy_end *to,
		    const struct libfs_attr *attr)
{
	struct twin *twin;
	int err;

	if (!has_twins(copy, attr))
		return 0;
	twin = calloc(1, sizeof(*twin));
	if (!twin)
		return complain(copy, copy->to, to->path, -ENOMEM);
	*twin = (struct twin){ .to = copy->to,
			       .fs = from->dir->fs,
			       .ino = attr->ino,
			       .generation = attr->generation };
	err = copy->to->ops->keep(copy->to, &copy->base, to->path + copy->base_len, to->dir,
				  to->name, &twin->link);
	if (err) {
		free(twin);
		return complain(copy, copy->to, to->path, err);
	}
	if (!tsearch(twin, &copy->twins, twin_compare)) {
		twin_destroy(twin);
		return complain(copy, copy->to, to->path, -ENOMEM);
	}
	return 0;
}

/* ---- one file ---- */

/* Are both the same file?  Only files of one image can be: the two sides are it and the machine. */
static bool is_same(const struct copy *copy, const struct side_dir *from,
		    const struct libfs_attr *a, const struct side_dir *to,
		    const struct libfs_attr *b)
{
	return copy->from->image == copy->to->image && from->fs == to->fs && from->fs &&
	       a->ino == b->ino;
}

/*
 * Make room for something that is no directory: what stands there goes, but for
 * a regular file that is to be overwritten.
 */
static int clear_place(struct copy *copy, const struct copy_end *from, const struct copy_end *to,
		       const struct libfs_attr *attr, bool overwrite)
{
	struct libfs_attr there;
	int err = copy->to->ops->look(copy->to, to->dir, to->name, &there);

	if (err == -ENOENT)
		return 0;
	if (!err && is_same(copy, from->dir, attr, to->dir, &there))
		return complain_about(copy, copy->from, from->path,
				      "a file cannot be copied over itself");
	if (!err && S_ISDIR(there.mode))
		err = -EISDIR;
	if (!err && !(overwrite && S_ISREG(there.mode)))
		err = copy->to->ops->remove(copy->to, to->dir, to->name, false);
	return err ? complain_to(copy, to->path, err) : 0;
}

/* What became of a file that was moved later. */
static void moved(void *arg, const struct xcp_job *job)
{
	struct copy *copy = arg;

	copy->counts.bytes += job->bytes;
	if (!job->error)
		copy->counts.files++;
	else if (job->from_failed)
		complain(copy, copy->from, job->from_path, job->error);
	else
		complain_to(copy, job->to_path, job->error);
	show_progress(copy);
}

/* Open on both ends: its bytes and attributes follow.  Takes `in` and `out`. */
static int move_later(struct copy *copy, const struct copy_end *from, const struct side_file *in,
		      const struct copy_end *to, const struct side_file *out,
		      const struct libfs_attr *attr)
{
	struct xcp_job job = {
		.from = *in,
		.to = *out,
		.from_path = strdup(from->path),
		.to_path = strdup(to->path),
		.size = attr->size,
		.attr = *attr,
	};

	if (!job.from_path || !job.to_path) {
		free(job.from_path);
		free(job.to_path);
		copy->from->ops->close_file(copy->from, &job.from);
		copy->to->ops->close_file(copy->to, &job.to);
		return complain(copy, copy->to, to->path, -ENOMEM);
	}
	job.which = attr_of_copy(copy, &job.attr);
	xcp_add(copy->xcp, &job);
	return 0;
}

static int copy_regular(struct copy *copy, const struct copy_end *from, const struct copy_end *to,
			const struct libfs_attr *attr)
{
	struct side_file in, out;
	int err, close_err;

	err = copy->from->ops->open_file(copy->from, from->dir, from->name, &in);
	if (err)
		return complain(copy, copy->from, from->path, err);
	err = copy->to->ops->create_file(copy->to, to->dir, to->name, &out);
	if (err) {
		complain_to(copy, to->path, err);
		goto close_in;
	}
	if (copy->xcp)
		return move_later(copy, from, &in, to, &out, attr);
	err = copy_bytes(copy, from, &in, to, &out, attr->size);
	close_err = copy->to->ops->close_file(copy->to, &out);
	if (!err && close_err)
		err = complain_to(copy, to->path, close_err);
	if (!err)
		copy->counts.files++;
close_in:
	copy->from->ops->close_file(copy->from, &in);
	return err;
}

/* A symbolic link, device, fifo or socket. */
static int copy_special(struct copy *copy, const struct copy_end *from, const struct copy_end *to,
			const struct libfs_attr *attr)
{
	char target[LIBFS_SYMLINK_MAX + 1] = "";
	int err = 0;

	if (S_ISLNK(attr->mode))
		err = copy->from->ops->read_link(copy->from, from->dir, from->name, target);
	if (err)
		return complain(copy, copy->from, from->path, err);
	err = copy->to->ops->make(copy->to, to->dir, to->name, attr, target);
	if (err)
		return complain_to(copy, to->path, err);
	copy->counts.others++;
	return 0;
}

static int copy_twin(struct copy *copy, const struct twin *twin, const struct copy_end *to)
{
	int err = copy->to->ops->link(copy->to, &twin->link, to->dir, to->name);
	if (err)
		return complain_to(copy, to->path, err);
	copy->counts.others++;
	return 0;
}

static int copy_plain(struct copy *copy, const struct copy_end *from, const struct copy_end *to,
		      const struct libfs_attr *attr)
{
	const struct twin *twin = twin_find(copy, from, attr);
	int err;

	if (!S_ISREG(attr->mode) && !S_ISLNK(attr->mode) && !copy->opts.recursive)
		return complain_about(copy, copy->from, from->path,
				      "it is no regular file; -r copies it as what it is");
	err = clear_place(copy, from, to, attr, S_ISREG(attr->mode) && !twin);
	if (err)
		return err;
	if (twin)
		return copy_twin(copy, twin, to);
	err = S_ISREG(attr->mode) ? copy_regular(copy, from, to, attr)
				  : copy_special(copy, from, to, attr);
	if (!err)
		err = give_attr(copy, from, to, attr);
	return err ? err : twin_add(copy, from, to, attr);
}

/* ---- directories ---- */

static bool is_inside_itself(const struct copy *copy, const struct side_dir *from,
			     const struct libfs_attr *attr, const struct side_dir *to)
{
	for (unsigned i = 0; i < copy->depth; i++)
		if (is_same(copy, from, attr, to, &copy->made[i]))
			return true;
	return false;
}

/* Make the directory, or find that it is there. */
static int make_dir(struct copy *copy, const struct copy_end *to, struct libfs_attr *made,
		    bool *is_new)
{
	struct libfs_attr want = { .mode = S_IFDIR | 0700 };
	int err = copy->to->ops->look(copy->to, to->dir, to->name, made);

	*is_new = err == -ENOENT;
	if (*is_new) {
		err = copy->to->ops->make(copy->to, to->dir, to->name, &want, NULL);
		if (!err)
			err = copy->to->ops->look(copy->to, to->dir, to->name, made);
	} else if (!err && !S_ISDIR(made->mode)) {
		err = -ENOTDIR;
	}
	return err ? complain_to(copy, to->path, err) : 0;
}

static int copy_child(struct copy *copy, const struct copy_end *from, const struct side_dir *in,
		      const struct copy_end *to, const struct side_dir *out, const char *name)
{
	char *from_path = path_join(from->path, name), *to_path = path_join(to->path, name);
	int err;

	if (from_path && to_path)
		err = copy_file(copy, &(struct copy_end){ in, name, from_path },
				&(struct copy_end){ out, name, to_path });
	else
		err = complain(copy, copy->from, from->path, -ENOMEM);
	free(from_path);
	free(to_path);
	return err;
}

static int copy_entries(struct copy *copy, const struct copy_end *from, const struct side_dir *in,
			const struct copy_end *to, const struct side_dir *out)
{
	struct entries list;
	int err = copy->from->ops->list(copy->from, in, &list);

	if (err)
		return complain(copy, copy->from, from->path, err);
	for (size_t i = 0; i < list.count && !copy->stop; i++)
		copy_child(copy, from, in, to, out, list.entry[i].name);
	entries_free(&list);
	return 0;
}

/* Open both directories and copy what is in the one. */
static int copy_inside(struct copy *copy, const struct copy_end *from, const struct copy_end *to)
{
	struct side_dir in, out;
	int err = copy->from->ops->open_dir(copy->from, from->dir, from->name, &in);

	if (err)
		return complain(copy, copy->from, from->path, err);
	err = copy->to->ops->open_dir(copy->to, to->dir, to->name, &out);
	if (err) {
		complain_to(copy, to->path, err);
	} else {
		err = copy_entries(copy, from, &in, to, &out);
		copy->to->ops->close_dir(copy->to, &out);
	}
	copy->from->ops->close_dir(copy->from, &in);
	return err;
}

static int copy_dir(struct copy *copy, const struct copy_end *from, const struct copy_end *to,
		    const struct libfs_attr *attr)
{
	struct libfs_attr made;
	bool is_new;
	int err;

	if (!copy->opts.recursive)
		return complain_about(copy, copy->from, from->path,
				      "it is a directory; -r copies directories");
	if (copy->depth == DEPTH_MAX)
		return complain(copy, copy->from, from->path, -ELOOP);
	err = make_dir(copy, to, &made, &is_new);
	if (err)
		return err;
	copy->made[copy->depth++] = made;
	if (is_inside_itself(copy, from->dir, attr, to->dir))
		err = complain_about(copy, copy->from, from->path,
				     "a directory cannot be copied into itself");
	else
		err = copy_inside(copy, from, to);
	copy->depth--;
	copy->counts.directories++;
	/* Last: what was put in changed its times, and it may now become read-only. */
	if (!err && (is_new || copy->opts.preserve))
		err = give_attr(copy, from, to, attr);
	return err;
}

static int copy_any(struct copy *copy, const struct copy_end *from, const struct copy_end *to)
{
	struct libfs_attr attr;
	int err = copy->from->ops->look(copy->from, from->dir, from->name, &attr);

	if (err)
		return complain(copy, copy->from, from->path, err);
	show_progress(copy);
	if (S_ISDIR(attr.mode))
		return copy_dir(copy, from, to, &attr);
	return copy_plain(copy, from, to, &attr);
}

/* Where paths to twins begin: behind the path of the directory that is copied to. */
static void set_base(struct copy *copy, const struct copy_end *to)
{
	size_t len = strlen(to->path), name = strlen(to->name);

	copy->base = *to->dir;
	if (strcmp(to->name, ".") != 0)
		copy->base_len = len >= name ? len - name : 0;
	else
		copy->base_len = len && to->path[len - 1] == '/' ? len : len + 1;
}

int copy_file(struct copy *copy, const struct copy_end *from, const struct copy_end *to)
{
	if (copy->depth == 0)
		set_base(copy, to);
	copy_any(copy, from, to);
	if (copy->depth == 0 && copy->xcp)
		xcp_flush(copy->xcp);
	return copy->first_error;
}

int copy_contents(struct copy *copy, const struct copy_end *from, const struct copy_end *to)
{
	struct libfs_attr made;
	int err = copy->to->ops->look(copy->to, to->dir, to->name, &made);

	if (err)
		return complain_to(copy, to->path, err);
	copy->made[copy->depth++] = made;
	set_base(copy, to);
	copy_inside(copy, from, to);
	copy->depth--;
	if (copy->depth == 0 && copy->xcp)
		xcp_flush(copy->xcp);
	return copy->first_error;
}
