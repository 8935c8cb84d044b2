/* SPDX-License-Identifier: MIT */
/*
 * Into an archive.  See tar.h.
 */
#include "tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "tar_acl.h"

#define PIECE (1u << 20)

/* A file with further names, and the first of them. */
struct twin {
	const struct libfs *fs;
	uint64_t ino;
	uint32_t generation;
	char *path;
};

struct tar {
	struct tool *tool;
	const char *name;
	struct archive *archive;
	struct side *from;
	const char *top; /* what the directory is called in messages */
	struct copy_counts *counts;
	void *twins; /* tree of struct twin */
	char *piece, *zeroes;
	int first_error;
	bool stop; /* the archive cannot be written on */
};

static int twin_compare(const void *left, const void *right)
{
	const struct twin *a = left, *b = right;

	if (a->fs != b->fs)
		return (uintptr_t)a->fs < (uintptr_t)b->fs ? -1 : 1;
	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return (a->generation > b->generation) - (a->generation < b->generation);
}

static void twin_destroy(void *node)
{
	struct twin *twin = node;

	free(twin->path);
	free(twin);
}

/* The path of the name that was written first; NULL: this is the first, or without memory. */
static const char *twin_path(struct tar *tar, const struct side_dir *dir,
			     const struct libfs_attr *attr, const char *path)
{
	struct twin key = { .fs = dir->fs, .ino = attr->ino, .generation = attr->generation };
	struct twin *twin;
	void *node;

	if (attr->nlink < 2 || S_ISDIR(attr->mode))
		return NULL;
	node = tfind(&key, &tar->twins, twin_compare);
	if (node)
		return (*(struct twin **)node)->path;
	twin = calloc(1, sizeof(*twin));
	if (!twin)
		return NULL;
	*twin = key;
	twin->path = strdup(path);
	if (!twin->path || !tsearch(twin, &tar->twins, twin_compare))
		twin_destroy(twin);
	return NULL;
}

/* ---- talking ---- */

static int complain(struct tar *tar, const char *path, int err)
{
	char *whole = path_join(tar->top, path);

	image_complain(tar->from->image, whole ? whole : path, err);
	free(whole);
	if (!tar->first_error)
		tar->first_error = err;
	return err;
}

static int complain_archive(struct tar *tar, const char *path)
{
	int err = archive_errno(tar->archive) > 0 ? -archive_errno(tar->archive) : -EIO;

	tar->stop = true;
	say_failure(tar->tool, tar->name, "%s%s%s", path, path[0] ? ": " : "",
		    archive_error_string(tar->archive));
	if (!tar->first_error)
		tar->first_error = err;
	return err;
}

/* ---- bytes ---- */

static bool put(struct tar *tar, const char *bytes, size_t len)
{
	return archive_write_data(tar->archive, bytes, len) == (la_ssize_t)len;
}

/* Bytes [start, end) of the file, or zeroes.  1: the archive failed. */
static int put_range(struct tar *tar, struct side_file *file, uint64_t start, uint64_t end)
{
	while (start < end) {
		size_t want = end - start < PIECE ? (size_t)(end - start) : PIECE;
		ssize_t got = file ? tar->from->ops->read(tar->from, file, start, tar->piece, want)
				   : (ssize_t)want;

		if (got <= 0)
			return got ? (int)got : -EIO;
		if (!put(tar, file ? tar->piece : tar->zeroes, (size_t)got))
			return 1;
		start += (uint64_t)got;
		if (file)
			tar->counts->bytes += (uint64_t)got;
		say_progress(tar->tool, "%" PRIu64 " files", tar->counts->files);
	}
	return 0;
}

/* The next stretch of data behind `at`, as entered into the archive's header. */
static bool next_data(struct tar *tar, struct side_file *file, uint64_t at, uint64_t size,
		      uint64_t *start, uint64_t *end)
{
	off_t data = tar->from->ops->seek(tar->from, file, at, SEEK_DATA), hole;

	*start = data >= 0 ? (uint64_t)data : at;
	*end = size;
	if (at >= size || data == -ENXIO || *start >= size)
		return false;
	if (data < 0)
		return true;
	hole = tar->from->ops->seek(tar->from, file, *start, SEEK_HOLE);
	if (hole > (off_t)*start && (uint64_t)hole < size)
		*end = (uint64_t)hole;
	return true;
}

static void say_holes(struct tar *tar, struct archive_entry *entry, struct side_file *file,
		      uint64_t size)
{
	uint64_t at = 0, start, end;

	while (next_data(tar, file, at, size, &start, &end)) {
		if (start == 0 && end == size)
			return;
		archive_entry_sparse_add_entry(entry, (la_int64_t)start, (la_int64_t)(end - start));
		at = end;
	}
	if (size && !archive_entry_sparse_count(entry)) /* nothing but a hole */
		archive_entry_sparse_add_entry(entry, 0, 0);
}

static int put_bytes(struct tar *tar, struct side_file *file, uint64_t size)
{
	uint64_t at = 0, start, end;
	int err = 0;

	while (!err && next_data(tar, file, at, size, &start, &end)) {
		err = put_range(tar, NULL, at, start);
		if (!err)
			err = put_range(tar, file, start, end);
		at = end;
	}
	return err ? err : put_range(tar, NULL, at, size);
}

/* ---- files ---- */

static int xattrs_put(struct tar *tar, struct archive_entry *entry, const struct side_dir *dir,
		      const char *name)
{
	struct xattrs xattrs;
	int err = tar->from->ops->get_xattrs(tar->from, dir, name, &xattrs);

	if (err)
		return err;
	for (size_t i = 0; i < xattrs.n; i++)
		if (!tar_acl_put(entry, &xattrs.v[i]))
			archive_entry_xattr_add_entry(entry, xattrs.v[i].name, xattrs.v[i].value,
						      xattrs.v[i].size);
	xattrs_free(&xattrs);
	return 0;
}

static void attr_put(struct archive_entry *entry, const struct libfs_attr *attr, const char *path)
{
	archive_entry_set_pathname(entry, path);
	archive_entry_set_mode(entry, attr->mode);
	archive_entry_set_uid(entry, attr->uid);
	archive_entry_set_gid(entry, attr->gid);
	archive_entry_set_mtime(entry, attr->mtime.tv_sec, attr->mtime.tv_nsec);
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))
		archive_entry_set_rdev(entry, attr->rdev);
	archive_entry_set_size(entry, S_ISREG(attr->mode) ? (la_int64_t)attr->size : 0);
}

static bool put_header(struct tar *tar, struct archive_entry *entry, const char *path)
{
	if (archive_write_header(tar->archive, entry) >= ARCHIVE_WARN)
		return true;
	complain_archive(tar, path);
	return false;
}

static int put_file(struct tar *tar, struct archive_entry *entry, const struct side_dir *dir,
		    const char *name, const char *path, uint64_t size)
{
	struct side_file file;
	int err = tar->from->ops->open_file(tar->from, dir, name, &file);

	if (err)
		return complain(tar, path, err);
	say_holes(tar, entry, &file, size);
	if (put_header(tar, entry, path)) {
		err = put_bytes(tar, &file, size);
		if (err < 0)
			complain(tar, path, err); /* what is missing of the entry becomes zeroes */
		else if (err || archive_write_finish_entry(tar->archive) < ARCHIVE_WARN)
			complain_archive(tar, path);
		else
			tar->counts->files++;
	}
	tar->from->ops->close_file(tar->from, &file);
	return 0;
}

static int put_other(struct tar *tar, struct archive_entry *entry, const struct side_dir *dir,
		     const char *name, const char *path, const struct libfs_attr *attr)
{
	char target[LIBFS_SYMLINK_MAX + 1];
	int err = 0;

	if (S_ISLNK(attr->mode)) {
		err = tar->from->ops->read_link(tar->from, dir, name, target);
		if (err)
			return complain(tar, path, err);
		archive_entry_set_symlink(entry, target);
	}
	if (put_header(tar, entry, path)) {
		tar->counts->directories += S_ISDIR(attr->mode);
		tar->counts->others += !S_ISDIR(attr->mode);
	}
	return 0;
}

static void put_entry(struct tar *tar, const struct side_dir *dir, const char *name,
		      const char *path, const struct libfs_attr *attr)
{
	struct archive_entry *entry = archive_entry_new();
	const char *first = twin_path(tar, dir, attr, path);
	int err = entry ? 0 : -ENOMEM;

	if (!err) { /* an ACL changes the mode that is there already */
		attr_put(entry, attr, path);
		err = xattrs_put(tar, entry, dir, name);
	}
	if (err) {
		complain(tar, path, err);
	} else if (S_ISSOCK(attr->mode)) {
		say_failure(tar->tool, tar->name, "%s: tar has no sockets; it is left out", path);
		tar->first_error = tar->first_error ? tar->first_error : -EINVAL;
	} else {
		if (first) {
			archive_entry_set_hardlink(entry, first);
			archive_entry_set_size(entry, 0);
			tar->counts->others += put_header(tar, entry, path);
		} else if (S_ISREG(attr->mode)) {
			put_file(tar, entry, dir, name, path, attr->size);
		} else {
			put_other(tar, entry, dir, name, path, attr);
		}
	}
	archive_entry_free(entry);
}

static void put_dir(struct tar *tar, const struct side_dir *dir, const char *path, unsigned depth);

static void put_child(struct tar *tar, const struct side_dir *dir, const char *name,
		      const char *path, unsigned depth)
{
	struct libfs_attr attr;
	struct side_dir inner;
	int err = tar->from->ops->look(tar->from, dir, name, &attr);

	if (err) {
		complain(tar, path, err);
		return;
	}
	put_entry(tar, dir, name, path, &attr);
	if (!S_ISDIR(attr.mode) || tar->stop)
		return;
	err = tar->from->ops->open_dir(tar->from, dir, name, &inner);
	if (err) {
		complain(tar, path, err);
		return;
	}
	put_dir(tar, &inner, path, depth + 1);
	tar->from->ops->close_dir(tar->from, &inner);
}

static void put_dir(struct tar *tar, const struct side_dir *dir, const char *path, unsigned depth)
{
	struct entries list;
	int err = depth < DEPTH_MAX ? tar->from->ops->list(tar->from, dir, &list) : -ELOOP;

	if (err) {
		complain(tar, path, err);
		return;
	}
	for (size_t i = 0; i < list.count && !tar->stop; i++) {
		char *child = path_join(path, list.entry[i].name);

		if (child)
			put_child(tar, dir, list.entry[i].name, child, depth);
		else
			complain(tar, path, -ENOMEM);
		free(child);
	}
	entries_free(&list);
}

/* ---- the whole ---- */

static bool ends(const char *name, const char *ending)
{
	size_t len = strlen(name), tail = strlen(ending);

	return len > tail && !strcmp(name + len - tail, ending);
}

static const struct {
	const char *ending;
	int (*filter)(struct archive *archive);
} endings[] = {
	{ ".tar", NULL },
	{ ".tar.gz", archive_write_add_filter_gzip },
	{ ".tgz", archive_write_add_filter_gzip },
	{ ".tar.bz2", archive_write_add_filter_bzip2 },
	{ ".tar.xz", archive_write_add_filter_xz },
	{ ".txz", archive_write_add_filter_xz },
	{ ".tar.zst", archive_write_add_filter_zstd },
	{ ".tar.lz4", archive_write_add_filter_lz4 },
};

#define N_ENDINGS (sizeof(endings) / sizeof(endings[0]))

bool tar_is_name(const char *name)
{
	for (size_t i = 0; i < N_ENDINGS; i++)
		if (ends(name, endings[i].ending))
			return true;
	return !strcmp(name, "-");
}

static int archive_create(int fd, const char *name, struct archive **out)
{
	struct archive *archive = archive_write_new();

	*out = archive;
	if (!archive)
		return -ENOMEM;
	archive_write_set_format_pax(archive);
	for (size_t i = 0; i < N_ENDINGS; i++)
		if (ends(name, endings[i].ending) && endings[i].filter)
			endings[i].filter(archive);
	archive_write_set_filter_option(archive, "gzip", "timestamp", NULL);
	/* No padding to the size of a tape's blocks. */
	archive_write_set_bytes_in_last_block(archive, 1);
	return archive_write_open_fd(archive, fd) == ARCHIVE_OK ? 0 : -EIO;
}

static void put_top(struct tar *tar, const struct side_dir *dir)
{
	struct libfs_attr attr;
	int err = tar->from->ops->look(tar->from, dir, ".", &attr);

	if (err) {
		complain(tar, ".", err);
		return;
	}
	put_entry(tar, dir, ".", ".", &attr);
	put_dir(tar, dir, ".", 0);
}

int tar_out(struct tool *tool, int fd, const char *name, struct side *from,
	    const struct side_dir *dir, const char *path, struct copy_counts *counts)
{
	struct tar tar = { .tool = tool,
			   .name = name,
			   .from = from,
			   .top = path,
			   .counts = counts,
			   .piece = malloc(PIECE),
			   .zeroes = calloc(1, PIECE) };
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = (locale_t)0;
	int err = tar.piece && tar.zeroes ? archive_create(fd, name, &tar.archive) : -ENOMEM;

	if (utf8)
		before = uselocale(utf8);
	if (err) {
		say_error(tool, name, err, NULL);
	} else {
		put_top(&tar, dir);
		if (!tar.stop && archive_write_close(tar.archive) != ARCHIVE_OK)
			complain_archive(&tar, "");
		err = tar.first_error;
	}
	archive_write_free(tar.archive);
	if (utf8) {
		uselocale(before);
		freelocale(utf8);
	}
	tdestroy(tar.twins, twin_destroy);
	free(tar.piece);
	free(tar.zeroes);
	say_progress(tool, NULL);
	return err;
}
