/* SPDX-License-Identifier: MIT */
/*
 * Questions to a mounted XN disk, by ioctl(2) on any open file or directory of
 * the mount.  None changes anything.
 *
 *   XN_IOC_FILE      which disk and root the file lives in, and under which number
 *   XN_IOC_EXTENTS   where the file's bytes lie on the disk
 *   XN_IOC_OWNER     whose a block of the disk is (root only: it walks the disk)
 *   XN_IOC_TEMPLATE  the templates of the disk, one by one
 *
 * All fail with ENOTTY on what is no XN mount.
 */
#ifndef LIBFS_IOCTL_H
#define LIBFS_IOCTL_H

#include <linux/types.h>
#include <sys/ioctl.h>

struct xn_ioc_file {
	__u8 disk[16]; /* its UUID */
	char root[64]; /* empty: the top directory */
	char libfs[32];
	__u32 root_id;
	__u32 generation;
	__u64 ino; /* the root's own number: st_ino also tells which root */
};

#define XN_IOC_EXTENTS_MAX 64
struct xn_ioc_extent {
	__u64 offset, len; /* bytes of the file */
	__u64 place;       /* byte of the disk; ~0: inline, or not placed yet */
	__u32 flags;       /* 1: reserved, reads as zeroes */
	__u32 reserved;
};
struct xn_ioc_extents {
	__u64 offset, len; /* in: which bytes; len 0 = to the end */
	__u32 count;       /* out */
	__u32 reserved;
	struct xn_ioc_extent extents[XN_IOC_EXTENTS_MAX];
};

struct xn_ioc_owner {
	__u64 block;   /* in: of 4096 bytes */
	__u32 root_id; /* out: 0 = no root owns it */
	__u32 type;    /* out: id of the template of the object that names it; 0 = the root does */
	__u64 object;  /* out: that object's first block */
	__u32 record;  /* out: its record */
	__u32 depth;   /* out: steps from the root's object */
	__u64 start, count; /* out: the extent named there */
	__u32 is_data;      /* out */
	__u32 reserved;
};

struct xn_ioc_template {
	__u32 id; /* in: the one before (0 = the first); out: this one */
	__u32 object_size;
	__u32 record_size;
	__u32 record_count;
	char name[64];
	__u8 sha256[32];
};

#define XN_IOC_FILE     _IOR('X', 0xe0, struct xn_ioc_file)
#define XN_IOC_EXTENTS  _IOWR('X', 0xe1, struct xn_ioc_extents)
#define XN_IOC_OWNER    _IOWR('X', 0xe2, struct xn_ioc_owner)
#define XN_IOC_TEMPLATE _IOWR('X', 0xe3, struct xn_ioc_template) /* ENOENT: there are no more */

#endif
