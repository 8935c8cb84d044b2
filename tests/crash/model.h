/* SPDX-License-Identifier: MIT */
/*
 * What must, and what may, be there after a crash: every version of every name
 * and file, by the operation that made it, and since when which is durable.
 *
 *  (1) Version v is what operation v left (0: the beginning).  What may be seen
 *      after a crash is any version from the last durable one to that of the
 *      operation that had begun.
 *  (2) fsync of a file makes durable its bytes and attributes, every name that it
 *      ever had (also that it has it no more), and the names of the directories
 *      above.  fsync of a directory: also all its entries.  fdatasync: bytes and
 *      size.  sync: everything.
 *  (3) Who had a name all the time from the durable version on must have one.
 *  (4) A sector of a file is that of one version; the size lies between two that
 *      follow each other.
 *
 * Files are told apart by inode number and generation, which the model learns
 * from the file system it runs beside.
 */
#ifndef TESTS_CRASH_MODEL_H
#define TESTS_CRASH_MODEL_H

#include "look.h"

#define MODEL_NONE UINT32_MAX

struct model;

struct model *model_new(void);
void model_free(struct model *model);

/* Changes from here on belong to operation `op`; ascending. */
void model_begin(struct model *model, unsigned op);

/* The node that a path means now, or that a name in a directory means. */
uint32_t model_path(const struct model *model, const char *path);
/* The directory of a path's last word, and the word. */
uint32_t model_parent(const struct model *model, const char *path, const char **name);
uint32_t model_lookup(const struct model *model, uint32_t dir, const char *name);
libfs_ino_t model_ino(const struct model *model, uint32_t node);
uint32_t model_mode(const struct model *model, uint32_t node);
uint64_t model_size(const struct model *model, uint32_t node);
const uint8_t *model_data(const struct model *model, uint32_t node);
bool model_is_empty(const struct model *model, uint32_t dir);

/* What operations do. */
uint32_t model_make(struct model *model, const struct libfs_attr *attr, const char *target);
void model_name(struct model *model, uint32_t dir, const char *name, uint32_t node);
void model_mode_set(struct model *model, uint32_t node, uint32_t mode);
/* Writes (bytes NULL: zeroes) in [off, off + len), and the size afterwards. */
void model_write(struct model *model, uint32_t node, uint64_t off, const void *bytes, uint64_t len,
		 uint64_t size);

enum model_durable { MODEL_FSYNC, MODEL_FDATASYNC };
void model_fsync(struct model *model, uint32_t node, enum model_durable how);
void model_sync(struct model *model);

/*
 * Operations up to `ended` had ended when the power went, and up to `begun` had
 * begun before the newest write that is there.  NULL, or what is wrong.
 */
const char *model_judge(const struct model *model, const struct look *look, unsigned ended,
			unsigned begun, char text[256]);
/* Is exactly the newest version there? */
const char *model_same(const struct model *model, const struct look *look, char text[256]);

#endif
