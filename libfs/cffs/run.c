/* SPDX-License-Identifier: MIT */
/*
 * One run of a file's blocks: bytes between it and memory.
 *
 *  (1) A block that is new is written whole, with zeroes around what was given.
 *  (2) The last block is written whole, too, if it has nothing behind what is written:
 *      so its old bytes need not be read.
 */
#include "file.h"

#include <string.h>

int cffs_run_bind(struct cffs *fs, const struct cffs_run *run, xn_binding_t *binding)
{
	struct xn_bind_request request = {
		.owner = run->owner->object,
		.record = run->record,
		.access = fs->access,
		.extent = { .start = run->start, .count = run->count, .type = XN_DATA },
	};

	return xn_bind(fs->libfs.session, &request, binding);
}

void cffs_run_put(struct cffs *fs, struct cffs_run *run)
{
	if (run->owner)
		cffs_hold_put(fs, run->owner);
	run->owner = NULL;
}

int cffs_run_read(struct cffs *fs, const struct cffs_run *run, uint64_t skip, void *to,
		  uint64_t len)
{
	xn_binding_t binding;
	unsigned tries = 0;
	int err = cffs_run_bind(fs, run, &binding);

	if (err)
		return err;
	do
		err = xn_read(fs->libfs.session, binding, skip, to, len);
	while (err && cffs_retry(fs, err, &tries));
	xn_unbind(fs->libfs.session, binding);
	return err;
}

static int bound_write(struct cffs *fs, xn_binding_t binding, uint64_t at, const uint8_t *from,
		       uint64_t len)
{
	uint64_t most = XN_WRITE_MAX;
	unsigned tries = 0;
	int err = 0;

	while (len > 0 && !err) {
		uint64_t n = min64(len, most - at % BLK);

		err = xn_write(fs->libfs.session, binding, at, from, n);
		if (err == XN_ECACHEFULL && n > BLK) {
			most = (n / 2 + BLK - 1) / BLK * BLK; /* the cache may be that small */
			err = 0;
			continue;
		}
		if (err && cffs_retry(fs, err, &tries)) {
			err = 0;
			continue;
		}
		tries = 0;
		at += n;
		from += n;
		len -= n;
	}
	return err;
}

int cffs_run_write(struct cffs *fs, const struct cffs_run *run, uint64_t skip, const void *from,
		   uint64_t len)
{
	xn_binding_t binding;
	int err = cffs_run_bind(fs, run, &binding);

	if (err)
		return err;
	err = bound_write(fs, binding, skip, from, len);
	xn_unbind(fs->libfs.session, binding);
	return err;
}

/* One block of zeroes with `len` bytes at `skip`. */
static int write_padded(struct cffs *fs, xn_binding_t binding, uint64_t block, uint64_t skip,
			const uint8_t *from, uint64_t len)
{
	uint8_t bytes[BLK];

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes + skip, from, len);
	return bound_write(fs, binding, block * BLK, bytes, BLK);
}

/*
 * Over blocks that have bytes already.  When the last of them has none behind the write, it is
 * written whole: its old bytes need not be read.
 */
int cffs_run_overwrite(struct cffs *fs, const struct cffs_run *run, uint64_t skip,
		       const uint8_t *from, uint64_t len, bool to_end)
{
	uint64_t end = skip + len, last = end / BLK, tail = end % BLK;
	xn_binding_t binding;
	int err = cffs_run_bind(fs, run, &binding);

	if (err)
		return err;
	if (!to_end || tail == 0 || tail > len || (last == 0 && skip > 0))
		tail = 0;
	err = bound_write(fs, binding, skip, from, len - tail);
	if (!err && tail)
		err = write_padded(fs, binding, last, 0, from + len - tail, tail);
	xn_unbind(fs->libfs.session, binding);
	return err;
}

/* New blocks are written whole: zeroes around what was given. */
int cffs_run_write_new(struct cffs *fs, const struct cffs_run *run, uint64_t skip,
		       const uint8_t *from, uint64_t len)
{
	uint64_t end = skip + len, at = 0;
	xn_binding_t binding;
	int err = cffs_run_bind(fs, run, &binding);

	if (err)
		return err;
	if (skip || end < BLK) {
		uint64_t n = min64(len, BLK - skip);

		err = write_padded(fs, binding, 0, skip, from, n);
		from += n;
		at = 1;
	}
	if (!err && end / BLK > at) {
		err = bound_write(fs, binding, at * BLK, from, (end / BLK - at) * BLK);
		from += (end / BLK - at) * BLK;
		at = end / BLK;
	}
	if (!err && at * BLK < end)
		err = write_padded(fs, binding, at, 0, from, end - at * BLK);
	xn_unbind(fs->libfs.session, binding);
	return err;
}
