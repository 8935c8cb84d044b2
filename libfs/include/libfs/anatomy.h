/* SPDX-License-Identifier: MIT */
/*
 * Where a LibFS keeps what, field by field, on a disk that nobody uses: for
 * those who break disks on purpose, who show what is in them, and who copy them
 * without what is in the files.
 *
 *  (1) Offline and without the engine: all is read through the function given.
 *  (2) The bytes are believed no more than is needed to step along a path; a
 *      walk over a broken disk ends.
 */
#ifndef LIBFS_ANATOMY_H
#define LIBFS_ANATOMY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct anatomy_disk {
	int (*read)(void *arg, uint64_t block, void *bytes); /* one block; 0 or -errno */
	void *arg;
	uint64_t root_object;
};

struct anatomy_place {
	uint64_t block;
	uint32_t offset, size; /* bytes of the block */
};

/* Receives one field of an object: where it lies, its name, its value as a person reads it. */
struct anatomy_text {
	void (*field)(void *arg, size_t offset, const char *name, const char *value);
	void *arg;
};

struct libfs_anatomy {
	/*
	 * PATH is below the root's directory ("a/b"; "" is that directory), FIELD one of
	 * the LibFS's own words; both are in its README.
	 *
	 * Fails with
	 *   -ENOENT  no such file, or it has no such part (a data block behind its end)
	 *   -EINVAL  no such field
	 *   -EIO, -ENOMEM
	 */
	int (*find)(const struct anatomy_disk *disk, const char *path, const char *field,
		    struct anatomy_place *out);
	/* Make the checksums right that cover the place, in the bytes of its block. */
	void (*seal)(const struct anatomy_place *place, uint8_t *bytes);
	/*
	 * The fields of an object of that template, whatever its bytes are.  False: nothing is
	 * known of such objects.
	 */
	bool (*to_text)(const char *type, const uint8_t *bytes, size_t len,
			const struct anatomy_text *text);
	/* What files hold and lies in the object's bytes becomes zeroes; checksums follow. */
	void (*scrub)(const char *type, uint8_t *bytes, size_t len);
};

/* The anatomy of the LibFS of that name; NULL: there is none. */
const struct libfs_anatomy *libfs_anatomy_find(const char *name);

#ifdef __cplusplus
}
#endif

#endif
