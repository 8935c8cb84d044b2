/* SPDX-License-Identifier: MIT */
/*
 * A UNIX file system as small as one can be, for BPF and for the host: a table of
 * inodes, index blocks below them, and vaults (objects that say themselves whose
 * they are).  Everybody may have the table bound for writing; `acl` alone decides.
 */
#ifndef TESTS_ACL_U_H
#define TESTS_ACL_U_H

enum u_child { U_DATA = 0, U_RESERVED = 1, U_INDEX = 2, U_VAULT = 3, U_CHILDREN };

#define U_INODES      32u
#define U_INODE_SIZE  128u
#define U_DIRECT      6u
#define U_INDEX_SLOTS 504u
#define U_VAULT_AT    64u
#define U_VAULT_SLOTS 500u

/* A pointer: the block, and the child in the top byte. */
#define U_POINTER(block, child) ((unsigned long long)(block) | (unsigned long long)(child) << 56)
#define U_BLOCK(pointer)        ((pointer)&0xffffffffffffull)
#define U_CHILD(pointer)        ((pointer) >> 56)

/* One record of u.table. */
struct u_inode {
	unsigned uid, gid;
	unsigned mode; /* rwxrwxrwx and U_IN_USE; 0: free */
	unsigned links;
	long long expires_ns; /* from then on nobody but uid 0 gets in; 0: never */
	unsigned long long size, mtime_ns;
	unsigned long long block[U_DIRECT];
	unsigned long long index; /* an index block, or a vault */
	unsigned long long spare[4];
};

#define U_IN_USE 0x8000u

/* The first bytes of u.vault. */
struct u_vault {
	unsigned uid, mode;
};

#endif
