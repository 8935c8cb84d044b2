/* SPDX-License-Identifier: MIT */
/*
 * Where simplefs keeps what, as plain numbers: for the templates, which are
 * compiled for another machine, and for format.h, which proves that its
 * structures say the same.
 */
#ifndef SIMPLEFS_LAYOUT_H
#define SIMPLEFS_LAYOUT_H

#define SIMPLEFS_BLOCK 4096

/* simplefs.super: parameters (raw bytes), then pointers to inode maps. */
#define SIMPLEFS_MAGIC       0x7366656c706d6973 /* the bytes "simplefs" */
#define SIMPLEFS_VERSION     1
#define SIMPLEFS_SUPER_RAW   512
#define SIMPLEFS_SUPER_SLOTS 448

/* simplefs.imap: pointers to inode tables. */
#define SIMPLEFS_IMAP_SLOTS 512

/* simplefs.itab: inodes; two of them share a sector. */
#define SIMPLEFS_INODE_SIZE  256
#define SIMPLEFS_ITAB_INODES 16
#define SIMPLEFS_MODE        0 /* bytes into an inode */
#define SIMPLEFS_SIZE        24
#define SIMPLEFS_DIRECT      104
#define SIMPLEFS_IND         200

#define SIMPLEFS_N_DIRECT 12
#define SIMPLEFS_N_IND    3
#define SIMPLEFS_INLINE   120 /* a symlink's target up to this length lies where the pointers do */

/* simplefs.ind1: pointers to data, a sector of them is one record; ind2, ind3: one each. */
#define SIMPLEFS_IND_SLOTS   512
#define SIMPLEFS_IND1_RECORD 64 /* pointers */

/* Children, in every template that has them. */
#define SIMPLEFS_CHILD_BELOW 2 /* the only child: imap, itab, ind1 or ind2 */
#define SIMPLEFS_CHILD_IND1  2 /* of itab */
#define SIMPLEFS_CHILD_IND2  3
#define SIMPLEFS_CHILD_IND3  4

/* File types, the top bits of a mode. */
#define SIMPLEFS_TYPE(mode) ((mode) >> 12)
#define SIMPLEFS_FIFO       1
#define SIMPLEFS_CHR        2
#define SIMPLEFS_DIR        4
#define SIMPLEFS_BLK        6
#define SIMPLEFS_REG        8
#define SIMPLEFS_LNK        10
#define SIMPLEFS_SOCK       12

#endif
