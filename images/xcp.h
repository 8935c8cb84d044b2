/* SPDX-License-Identifier: MIT */
/*
 * The bytes of many files, from image to image, in the order of the disk.
 *
 *  (1) Files are gathered, open on both ends; then all are read in the order in
 *      which their bytes lie on the disk, and large ones get their space first.
 *  (2) Several threads do it, so that one reads while another writes.  Inside one
 *      root the LibFS moves the bytes itself.
 *  (3) Holes stay holes.  Attributes are given last.
 */
#ifndef IMAGES_XCP_H
#define IMAGES_XCP_H

#include "side.h"

struct xcp;

struct xcp_job {
	struct side_file from, to; /* xcp's, to close */
	char *from_path, *to_path; /* xcp's, to free */
	uint64_t size, place;
	struct libfs_attr attr; /* of the copy, in the end */
	uint32_t which;
	uint64_t bytes; /* copied */
	int error;
	bool from_failed; /* or the copy did */
};

/* Told of each file when it is done, in the caller's thread; `error` as in the job. */
typedef void xcp_done(void *arg, const struct xcp_job *job);

/* -ENOMEM */
int xcp_create(struct side *from, struct side *to, xcp_done *done, void *arg, struct xcp **out);
/* Takes what the job holds; may do what has been gathered. */
void xcp_add(struct xcp *xcp, const struct xcp_job *job);
/* Do what has been gathered. */
void xcp_flush(struct xcp *xcp);
void xcp_destroy(struct xcp *xcp);

#endif
