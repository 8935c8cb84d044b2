/* SPDX-License-Identifier: MIT */
/*
 * An image that a command works on, and the places inside it.
 *
 *  (1) The first component of a path inside an image is a root; each root is
 *      mounted when it is first named and unmounted when the image is closed.
 *  (2) Whoever may open the image may do everything in it: calls are made as
 *      uid 0, owners of new files are set by those who make them.
 *  (3) Paths are walked by libfs/walk.h, as libxnfs does.
 */
#ifndef IMAGES_IMAGE_H
#define IMAGES_IMAGE_H

#include "libfs/libfs.h"
#include "libfs/walk.h"
#include <stdbool.h>
#include <stdint.h>
#include "xn/xn.h"

#include "tool.h"

struct image;

#define IMAGE_WRITE 1u

/*
 * Open; `name` must stay.  On failure the sentence is said and -errno or an XN
 * error returned.
 */
int image_open(struct tool *tool, const char *name, unsigned flags, struct image **out);
/* Unmount and close; says what fails.  Returns 0 or the first error. */
int image_close(struct image *image);

/*
 * Ask `work` twice: once of the image opened read-only with `really` unset, so
 * that what can be refused is refused before a byte changes, then for writing.
 * `work` says its own failures and returns 0 or a negative number.
 */
typedef int image_work(struct image *image, bool really, void *argument);
int image_change(struct tool *tool, const char *name, image_work *work, void *argument);

const char *image_name(const struct image *image);
struct tool *image_tool(const struct image *image);
struct xn *image_disk(const struct image *image);
struct xn_session *image_session(const struct image *image);
/* Who asks; time as of opening (SOURCE_DATE_EPOCH, where set). */
const struct libfs_ctx *image_ctx(const struct image *image);
/* Is it that of SOURCE_DATE_EPOCH: shall one input make one image, bit for bit? */
bool image_time_is_fixed(const struct image *image);

/* The mount of a root; fails as host_mount_root() does, the sentence is kept for image_complain(). */
int image_mount(struct image *image, const char *root, struct libfs **out);

/* Keep a better sentence for this error until image_complain() says it.  Returns `error`. */
int image_explain(struct image *image, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Say that something failed at a path inside: "xn: disk.img:/home/a: ...". Returns `error`. */
int image_complain(struct image *image, const char *path, int error);

/* place_find() in this image; a sentence is kept for image_complain(). */
int image_find(struct image *image, const char *path, unsigned flags, struct place *place);

/* ---- directories ---- */

struct dir_entry {
	char *name;
	uint32_t type; /* DT_* */
};

struct entries {
	struct dir_entry *entry;
	size_t count, room;
};

/* The names of a directory (or the roots, with fs NULL), sorted by bytes, without "." and "..". */
int entries_read(struct image *image, struct libfs *fs, libfs_ino_t dir, struct entries *out);
int entries_add(struct entries *list, const char *name, size_t len, uint32_t type);
void entries_sort(struct entries *list);
void entries_free(struct entries *list);

/* May a name out of an image be used as a file name of this machine? */
bool name_is_safe(const char *name, size_t len);

#endif
