/* SPDX-License-Identifier: MIT */
/*
 * Out of an archive.  See tar.h.
 *
 *  (1) Directories get their attributes when all is in place: deepest first.
 *  (2) An entry that comes twice is the later one; a directory stays one.
 */
#include "tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "tar_acl.h"

#define READ_SIZE (256u << 10)
#define KEPT      (LIBFS_SET_MODE | LIBFS_SET_UID | LIBFS_SET_GID | LIBFS_SET_ATIME | LIBFS_SET_MTIME)

/* A directory that waits for its attributes. */
struct later {
	char *path;
	struct libfs_attr attr;
	struct xattrs xattrs;
};

struct untar {
	struct tool *tool;
	const char *name, *path;
	struct archive *archive;
	struct side *to;
	const struct side_dir *top;
	const struct copy_opts *opts;
	struct copy_counts *counts;
	struct later *later;
	size_t n_later, room_later;
	/* The directory of the last entry, which is most likely that of the next, too. */
	char *last_path;
	struct side_dir last;
	int first_error;
	bool stop;
};

/* Where an entry belongs: an open directory (in `untar`) and a name. */
struct spot {
	const struct side_dir *dir;
	char name[LIBFS_NAME_MAX + 1];
};

/* ---- talking ---- */

static int remember(struct untar *untar, int err)
{
	if (!untar->first_error)
		untar->first_error = err;
	return err;
}

static int complain_entry(struct untar *untar, const char *entry, const char *sentence, int err)
{
	say_failure(untar->tool, untar->name, "%s: %s", entry, sentence);
	return remember(untar, err);
}

/* The target refused. */
static int complain_to(struct untar *untar, const char *entry, int err)
{
	char *path = path_join(untar->path, entry);
	int number = xn_errno(err);

	untar->stop = number == ENOSPC || number == EDQUOT || number == EROFS || number == EIO;
	image_complain(untar->to->image, path ? path : entry, err);
	free(path);
	return remember(untar, err);
}

/* ---- places ---- */

static void last_close(struct untar *untar)
{
	if (untar->last_path)
		untar->to->ops->close_dir(untar->to, &untar->last);
	free(untar->last_path);
	untar->last_path = NULL;
}

static int enter(struct untar *untar, const struct side_dir *in, const char *name,
		 struct side_dir *out)
{
	struct libfs_attr attr = { .mode = S_IFDIR | 0755 };
	int err = untar->to->ops->open_dir(untar->to, in, name, out);

	if (err != -ENOENT)
		return err;
	err = untar->to->ops->make(untar->to, in, name, &attr, NULL);
	if (!err)
		err = untar->to->ops->set_attr(untar->to, in, name, &attr, LIBFS_SET_MODE);
	if (!err)
		untar->counts->directories++;
	return err ? err : untar->to->ops->open_dir(untar->to, in, name, out);
}

/* Open the directory `path` (without a slash at its ends), making what is not there. */
static int last_open(struct untar *untar, const char *path)
{
	struct side_dir dir, inner;
	int err;

	if (untar->last_path && !strcmp(untar->last_path, path))
		return 0;
	last_close(untar);
	err = untar->to->ops->open_dir(untar->to, untar->top, ".", &dir);
	for (const char *at = path; *at && !err;) {
		char name[LIBFS_NAME_MAX + 1];
		size_t len = strcspn(at, "/");

		memcpy(name, at, len); /* path_clean() saw that it fits */
		name[len] = '\0';
		at += len + (at[len] == '/');
		err = enter(untar, &dir, name, &inner);
		untar->to->ops->close_dir(untar->to, &dir);
		if (!err)
			dir = inner;
	}
	if (err)
		return err;
	untar->last_path = strdup(path);
	untar->last = dir;
	if (untar->last_path)
		return 0;
	untar->to->ops->close_dir(untar->to, &dir);
	return -ENOMEM;
}

/*
 * "./a//b/" becomes "a/b", the top "".  NULL: without memory, or (*bad) it has a
 * component that is no name.
 */
static char *path_clean(const char *path, bool *bad)
{
	char *clean = calloc(1, strlen(path) + 1), *end = clean;
	unsigned depth = 0;

	*bad = false;
	while (clean && *path) {
		size_t len = strcspn(path, "/");

		if (len > 0 && !(len == 1 && path[0] == '.')) {
			*bad |= !name_is_safe(path, len) || ++depth > DEPTH_MAX;
			if (end > clean)
				*end++ = '/';
			memcpy(end, path, len);
			end += len;
		}
		path += len;
		path += *path == '/';
	}
	if (!*bad)
		return clean;
	free(clean);
	return NULL;
}

/* `path` is clean and not the top. */
static int spot_find(struct untar *untar, const char *path, struct spot *spot)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash ? strndup(path, (size_t)(slash - path)) : strdup("");
	int err = parent ? last_open(untar, parent) : -ENOMEM;

	free(parent);
	spot->dir = &untar->last;
	strcpy(spot->name, slash ? slash + 1 : path);
	return err;
}

/* What stands there goes, but for a directory where one is to be. */
static int spot_clear(struct untar *untar, const struct spot *spot, bool is_dir, bool *is_there)
{
	struct libfs_attr there;
	int err = untar->to->ops->look(untar->to, spot->dir, spot->name, &there);

	*is_there = !err && is_dir && S_ISDIR(there.mode);
	if (err == -ENOENT)
		return 0;
	if (err || *is_there)
		return err;
	if (S_ISDIR(there.mode))
		return -EISDIR;
	return untar->to->ops->remove(untar->to, spot->dir, spot->name, false);
}

/* ---- entries ---- */

static void attr_of(const struct untar *untar, struct archive_entry *entry, struct libfs_attr *attr)
{
	*attr = (struct libfs_attr){
		.mode = archive_entry_mode(entry),
		.uid = (uint32_t)archive_entry_uid(entry),
		.gid = (uint32_t)archive_entry_gid(entry),
		.rdev = archive_entry_rdev(entry),
		.size = archive_entry_size_is_set(entry) ? (uint64_t)archive_entry_size(entry) : 0,
		.mtime = { .tv_sec = archive_entry_mtime(entry),
			   .tv_nsec = archive_entry_mtime_nsec(entry) },
	};
	attr->atime = attr->mtime;
	copy_adjust(untar->opts, attr);
}

static int xattrs_of(struct archive_entry *entry, struct xattrs *out)
{
	const char *name;
	const void *value;
	size_t size;
	int err = 0;

	*out = (struct xattrs){ 0 };
	archive_entry_xattr_reset(entry);
	while (!err && archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
		err = xattrs_add(out, name, value, size);
	if (!err)
		err = tar_acl_take(entry, out);
	if (err)
		xattrs_free(out);
	return err;
}

/* Takes the attributes. */
static int put_off(struct untar *untar, const char *path, const struct libfs_attr *attr,
		   struct xattrs *xattrs)
{
	struct later *later;

	if (untar->n_later == untar->room_later) {
		size_t room = untar->room_later ? 2 * untar->room_later : 64;

		later = realloc(untar->later, room * sizeof(*later));
		if (!later)
			return -ENOMEM;
		untar->later = later;
		untar->room_later = room;
	}
	later = &untar->later[untar->n_later];
	*later = (struct later){ strdup(path), *attr, *xattrs };
	if (!later->path)
		return -ENOMEM;
	*xattrs = (struct xattrs){ 0 };
	untar->n_later++;
	return 0;
}

static int give(struct untar *untar, const struct spot *spot, const struct libfs_attr *attr,
		const struct xattrs *xattrs)
{
	int lost = copy_give(untar->to, spot->dir, spot->name, attr, KEPT, xattrs);

	untar->counts->bare += lost > 0;
	return lost < 0 ? lost : 0;
}

static int write_all(struct untar *untar, struct side_file *file, const char *bytes, size_t len,
		     uint64_t offset)
{
	while (len > 0) {
		ssize_t put = untar->to->ops->write(untar->to, file, offset, bytes, len);

		if (put <= 0)
			return put ? (int)put : -ENOSPC;
		bytes += put;
		offset += (uint64_t)put;
		len -= (size_t)put;
		untar->counts->bytes += (uint64_t)put;
	}
	return 0;
}

/* *broken tells that the archive is to blame. */
static int write_data(struct untar *untar, struct side_file *file, uint64_t size, bool *broken)
{
	const void *bytes;
	la_int64_t offset;
	size_t len;
	int got, err = 0;

	while (!err && (got = archive_read_data_block(untar->archive, &bytes, &len, &offset)) !=
			       ARCHIVE_EOF) {
		if (got < ARCHIVE_WARN) {
			*broken = true;
			return -EIO;
		}
		err = write_all(untar, file, bytes, len, (uint64_t)offset);
		say_progress(untar->tool, "%" PRIu64 " files", untar->counts->files);
	}
	return err ? err : untar->to->ops->set_size(untar->to, file, size);
}

static int make_file(struct untar *untar, const struct spot *spot, const struct libfs_attr *attr,
		     bool *broken)
{
	struct side_file file;
	int err = untar->to->ops->create_file(untar->to, spot->dir, spot->name, &file), close_err;

	if (err)
		return err;
	err = write_data(untar, &file, attr->size, broken);
	close_err = untar->to->ops->close_file(untar->to, &file);
	if (!err)
		untar->counts->files++;
	return err ? err : close_err;
}

static int make_other(struct untar *untar, struct archive_entry *entry, const struct spot *spot,
		      const struct libfs_attr *attr)
{
	const char *target = archive_entry_symlink(entry);
	int err;

	if (S_ISLNK(attr->mode) && (!target || !target[0]))
		return -EINVAL;
	err = untar->to->ops->make(untar->to, spot->dir, spot->name, attr, target);
	if (!err)
		untar->counts->others++;
	return err;
}

static int make_entry(struct untar *untar, struct archive_entry *entry, const char *path,
		      const struct libfs_attr *attr, struct xattrs *xattrs, bool *broken)
{
	bool is_dir = S_ISDIR(attr->mode), is_there;
	struct libfs_attr fresh = { .mode = S_IFDIR | 0700 };
	struct spot spot;
	int err;

	if (is_dir && !path[0]) /* the top itself */
		return put_off(untar, path, attr, xattrs);
	err = spot_find(untar, path, &spot);
	if (!err)
		err = spot_clear(untar, &spot, is_dir, &is_there);
	if (err)
		return err;
	if (is_dir) {
		if (!is_there) {
			err = untar->to->ops->make(untar->to, spot.dir, spot.name, &fresh, NULL);
			untar->counts->directories += !err;
		}
		return err ? err : put_off(untar, path, attr, xattrs);
	}
	err = S_ISREG(attr->mode) ? make_file(untar, &spot, attr, broken)
				  : make_other(untar, entry, &spot, attr);
	return err ? err : give(untar, &spot, attr, xattrs);
}

/* A further name of what stands at `old`. */
static int make_link(struct untar *untar, const char *old, const char *path)
{
	struct side_link link;
	struct spot from, to;
	bool is_there;
	int err = spot_find(untar, old, &from);

	if (!err)
		err = untar->to->ops->keep(untar->to, untar->top, old, from.dir, from.name, &link);
	if (err)
		return err;
	err = spot_find(untar, path, &to);
	if (!err)
		err = strcmp(old, path) ? spot_clear(untar, &to, false, &is_there) : -EINVAL;
	if (!err)
		err = untar->to->ops->link(untar->to, &link, to.dir, to.name);
	untar->to->ops->drop(untar->to, &link);
	if (!err)
		untar->counts->others++;
	return err;
}

static bool is_known_kind(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK: return true;
	default: return false;
	}
}

static int take_entry(struct untar *untar, struct archive_entry *entry, const char *path)
{
	const char *hard = archive_entry_hardlink(entry);
	struct xattrs xattrs = { 0 };
	struct libfs_attr attr;
	bool bad = false, broken = false;
	char *old;
	int err;

	if (hard) {
		old = path_clean(hard, &bad);
		if (!old)
			return complain_entry(untar, path, "it links to what is no path", -EINVAL);
		err = old[0] && path[0] ? make_link(untar, old, path) : -EINVAL;
		free(old);
		return err ? complain_to(untar, path, err) : 0;
	}
	attr_of(untar, entry, &attr);
	if (!is_known_kind(attr.mode) || (!path[0] && !S_ISDIR(attr.mode)))
		return complain_entry(untar, path, "it is of a kind that is not known", -EINVAL);
	err = xattrs_of(entry, &xattrs);
	attr.mode = tar_acl_mode(&xattrs, attr.mode);
	if (!err)
		err = make_entry(untar, entry, path, &attr, &xattrs, &broken);
	xattrs_free(&xattrs);
	if (broken)
		return complain_entry(untar, path, "its bytes cannot be read out of the archive",
				      err);
	return err ? complain_to(untar, path, err) : 0;
}

/* ---- the whole ---- */

static void later_do(struct untar *untar)
{
	while (untar->n_later > 0) {
		struct later *later = &untar->later[--untar->n_later];
		struct spot spot = { .dir = untar->top, .name = "." };
		int err = later->path[0] ? spot_find(untar, later->path, &spot) : 0;

		if (!err)
			err = give(untar, &spot, &later->attr, &later->xattrs);
		if (err && !untar->stop)
			complain_to(untar, later->path, err);
		free(later->path);
		xattrs_free(&later->xattrs);
	}
	free(untar->later);
	last_close(untar);
}

static int take_all(struct untar *untar)
{
	struct archive_entry *entry;
	int got = ARCHIVE_OK;

	while (!untar->stop &&
	       (got = archive_read_next_header(untar->archive, &entry)) >= ARCHIVE_WARN &&
	       got != ARCHIVE_EOF) {
		const char *name = archive_entry_pathname(entry);
		bool bad = true;
		char *path = name ? path_clean(name, &bad) : NULL;

		if (path)
			take_entry(untar, entry, path);
		else
			complain_entry(untar, name ? name : "?",
				       bad ? "it leads out of the directory, or is no path"
					   : "out of memory",
				       -EINVAL);
		free(path);
	}
	if (untar->stop || got == ARCHIVE_EOF)
		return 0;
	say_failure(untar->tool, untar->name, "the archive cannot be read on: %s",
		    archive_error_string(untar->archive));
	return remember(untar, -EIO);
}

/* Only what is inside the process: other filters would start programs. */
static int archive_open(const char *name, struct archive **out)
{
	struct archive *archive = archive_read_new();

	*out = archive;
	if (!archive)
		return -ENOMEM;
	archive_read_support_format_tar(archive);
	archive_read_support_format_gnutar(archive);
	archive_read_support_filter_gzip(archive);
	archive_read_support_filter_bzip2(archive);
	archive_read_support_filter_xz(archive);
	archive_read_support_filter_zstd(archive);
	archive_read_support_filter_lz4(archive);
	if ((!strcmp(name, "-")
		     ? archive_read_open_fd(archive, 0, READ_SIZE)
		     : archive_read_open_filename(archive, name, READ_SIZE)) == ARCHIVE_OK)
		return 0;
	return archive_errno(archive) > 0 ? -archive_errno(archive) : -EIO;
}

bool tar_is(const char *name, bool empty_too)
{
	struct archive_entry *entry;
	struct archive *archive;
	bool is = false;
	int got;

	if (archive_open(name, &archive) == 0) {
		got = archive_read_next_header(archive, &entry);
		is = got == ARCHIVE_EOF ? empty_too : got >= ARCHIVE_WARN;
	}
	archive_read_free(archive);
	return is;
}

int tar_in(struct tool *tool, const char *name, struct side *to, const struct side_dir *dir,
	   const char *path, const struct copy_opts *opts, struct copy_counts *counts)
{
	struct untar untar = { .tool = tool,
			       .name = name,
			       .path = path,
			       .to = to,
			       .top = dir,
			       .opts = opts,
			       .counts = counts };
	/* Names are bytes; libarchive wants to know which letters they are. */
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = (locale_t)0;
	int err;

	if (utf8)
		before = uselocale(utf8);
	err = archive_open(name, &untar.archive);
	if (err) {
		say_error(tool, name, err, NULL);
	} else {
		take_all(&untar);
		later_do(&untar);
		err = untar.first_error;
	}
	archive_read_free(untar.archive);
	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
	say_progress(tool, NULL);
	return err;
}
