/* SPDX-License-Identifier: MIT */
/*
 * Where C-FFS keeps what, as plain numbers: for the templates, which are
 * compiled for another machine, and for format.c, which proves that its
 * structures say the same.  README.md draws it.
 */
#ifndef CFFS_LAYOUT_H
#define CFFS_LAYOUT_H

#define CFFS_BLOCK   4096
#define CFFS_SECTOR  512
#define CFFS_SECTORS 8 /* of a block */

/* A sector of cffs.dir: header, then entries one behind the other. */
#define CFFS_DIR_MAGIC 0xcf51
#define CFFS_S_CRC     0 /* CRC-32C of bytes 4..511 */
#define CFFS_S_MAGIC   4
#define CFFS_S_ENTRIES 6
#define CFFS_S_FLAGS   7
#define CFFS_S_DIR     8  /* number of the directory */
#define CFFS_S_PLACE   16 /* block of the directory * 8 + sector */
#define CFFS_S_STAMP   20
#define CFFS_S_HEAD    24

/* An entry's first bytes are alike in every kind. */
#define CFFS_E_LEN      0 /* multiple of 8 */
#define CFFS_E_KIND     2
#define CFFS_E_SLOT     3 /* place in the cookie, fixed for life */
#define CFFS_E_NAME_LEN 4
#define CFFS_E_N_SLOTS  5 /* inode: extents in it;  link: DT_* of the file */
#define CFFS_E_INLINE   6 /* inode: bytes of data in it */
#define CFFS_E_INO      8
#define CFFS_E_GEN      16
#define CFFS_E_MODE     20
#define CFFS_E_XATTR    22 /* bytes of attributes in it */
#define CFFS_E_UID      24
#define CFFS_E_GID      28
#define CFFS_E_NLINK    32
#define CFFS_E_FLAGS    36
#define CFFS_E_SIZE     40
#define CFFS_E_ATIME    48
#define CFFS_E_MTIME    56
#define CFFS_E_CTIME    64
#define CFFS_E_BTIME    72
#define CFFS_E_BLOCKS   80
#define CFFS_E_SLOTS    88 /* then attributes, data, name */
#define CFFS_LINK_PLACE 20 /* link: where in the directory of external inodes */
#define CFFS_LINK_NAME  24

#define CFFS_KIND_INODE  1
#define CFFS_KIND_LINK   2
#define CFFS_KIND_PARAMS 3

/* A slot: start in 48 bits, class above; logical block in 40 bits, count above. */
#define CFFS_SLOT_SIZE    16
#define CFFS_SLOTS_MAX    4
#define CFFS_INLINE_BYTES 160 /* of data in an entry, at most */
#define CFFS_CLASS_NONE   0
#define CFFS_CLASS_DATA   1
#define CFFS_CLASS_UNWR   2 /* owned, not written: reads as zeroes */
#define CFFS_CLASS_DIR    3 /* blocks of a directory */
#define CFFS_CLASS_NODE   4 /* extent node; covers the file from `logical` on */
#define CFFS_CLASS_INDEX  5 /* raw: a directory's index */
#define CFFS_CLASS_XATTR  6 /* raw: extended attributes */
#define CFFS_CLASSES      7

/* Children of cffs.dir and cffs.ext (0 and 1 are DATA and RESERVED). */
#define CFFS_CHILD_DIR 2
#define CFFS_CHILD_EXT 3
#define CFFS_CHILD_RAW 4

/* cffs.ext: 8 sectors of a header and 31 slots. */
#define CFFS_EXT_MAGIC   0xcf52
#define CFFS_EXT_SLOTS   31 /* of a sector */
#define CFFS_EXT_RECORDS 256
#define CFFS_X_CRC       0
#define CFFS_X_MAGIC     4
#define CFFS_X_USED      6
#define CFFS_X_LEVEL     7
#define CFFS_X_INO       8

/* cffs.raw: 8 sectors of a header and bytes. */
#define CFFS_RAW_MAGIC 0xcf53
#define CFFS_RAW_HEAD  16
#define CFFS_R_CRC     0
#define CFFS_R_MAGIC   4
#define CFFS_R_KIND    6
#define CFFS_R_INO     8

#endif
