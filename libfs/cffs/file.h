/* SPDX-License-Identifier: MIT */
/*
 * What file.c, run.c, read.c, write.c and falloc.c share; file.c has the truths.  All are called
 * with inode->lock held, for writing if they write.
 */
#ifndef CFFS_FILE_H
#define CFFS_FILE_H

#include "internal.h"

#define BLK        CFFS_BLOCK
#define SIZE_MAX_B (CFFS_BLOCKS_MAX * BLK)
#define RANGES     16u

struct cffs_range {
	uint64_t first, last; /* blocks [first, last) of the file */
};

struct cffs_file {
	uint32_t n_dirty;
	struct cffs_range dirty[RANGES]; /* written since the last fsync */
	bool entry_due;  /* fdatasync needs the entry, too: size or blocks changed */
	bool tail_cut;   /* bytes past the end were zeroed, and the disk may not know yet */
	bool end_looked; /* no data block lies wholly past the end */
};

static inline uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t blocks_up(uint64_t bytes)
{
	return bytes / BLK + (bytes % BLK != 0);
}

/* ---- file.c ---- */

/* What is kept of it, made if need be; NULL: no memory. */
struct cffs_file *cffs_file_of(struct cffs_inode *inode);
/* Blocks [first, last) were written. */
void cffs_file_note(struct cffs_file *file, uint64_t first, uint64_t last);
/* It has extents; else its bytes are in its entry, or it has none. */
bool cffs_is_mapped(const struct cffs_inode *inode);
void cffs_set_size(struct cffs *fs, struct cffs_inode *inode, uint64_t size);
/* Times and mode, as a write leaves them. */
void cffs_touch_changed(struct cffs *fs, struct cffs_inode *inode, const struct libfs_ctx *ctx);
/* cffs_inode_write() of a body, as often as it takes. */
int cffs_body_write(struct cffs *fs, struct cffs_inode *inode, const struct cffs_body *body);
/* 0; -EISDIR, -EINVAL: it has no bytes to read or write. */
int cffs_io_check(const struct cffs_inode *inode);

/* ---- run.c ---- */

int cffs_run_bind(struct cffs *fs, const struct cffs_run *run, xn_binding_t *binding);
void cffs_run_put(struct cffs *fs, struct cffs_run *run);
int cffs_run_read(struct cffs *fs, const struct cffs_run *run, uint64_t skip, void *to,
		  uint64_t len);
int cffs_run_write(struct cffs *fs, const struct cffs_run *run, uint64_t skip, const void *from,
		   uint64_t len);
/* Over blocks that have bytes; `to_end`: nothing of the file lies behind. */
int cffs_run_overwrite(struct cffs *fs, const struct cffs_run *run, uint64_t skip,
		       const uint8_t *from, uint64_t len, bool to_end);
/* Into blocks that have none yet. */
int cffs_run_write_new(struct cffs *fs, const struct cffs_run *run, uint64_t skip,
		       const uint8_t *from, uint64_t len);
/* Bytes of the run, which begins with the block of `off`, that a request of `len` at `off` gets. */
static inline uint64_t cffs_run_bytes(const struct cffs_run *run, uint64_t off, uint64_t len)
{
	return min64(run->count * BLK - off % BLK, len);
}

/* ---- read.c ---- */

int cffs_read_mapped(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint8_t *to,
		     uint64_t len);

/* ---- write.c ---- */

/* Fill a hole at `logical` with 1 to `want` blocks, which *run tells. */
int cffs_take_blocks(struct cffs *fs, struct cffs_inode *inode, uint32_t class, uint64_t logical,
		     uint64_t want, struct cffs_run *run);
/* Bytes in the entry get a block. */
int cffs_leave_inline(struct cffs *fs, struct cffs_inode *inode);
/* The end is about to move up to `to`, and bytes to be written from `off` on. */
int cffs_end_uncover(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint64_t to);
/* Zeroes over [off, end) where there is data. */
int cffs_zero_data(struct cffs *fs, struct cffs_inode *inode, uint64_t off, uint64_t end);

#endif
