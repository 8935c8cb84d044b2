/* SPDX-License-Identifier: MIT */
/*
 * What users of the little file system do, each through a session of their own.
 */
#ifndef TESTS_ACL_UFS_H
#define TESTS_ACL_UFS_H

#include "u.h"
#include "xn_fixture.h"

struct user {
	struct fixture *fx;
	struct xn_session *session;
	uint32_t uid, gid;
	xn_blk_t table;
	const struct u_inode *inode; /* the table, mapped */
};

struct ufs {
	struct fixture *fx;
	uint32_t type[U_CHILDREN], table_type;
	xn_blk_t table;
	struct user root, alice, bob, mallory; /* bob is in alice's group */
};

int ufs_setup(void **state);
int ufs_teardown(void **state);

/* Bytes of an inode as the table holds them. */
struct u_inode inode_now(const struct user *user, uint32_t ino);
/* An update of inodes, then: what it takes and gives up is stated by the caller. */
void request_inode(struct request *rq, const struct user *user, uint32_t ino,
		   const struct u_inode *inode);
/* Set one inode, nothing taken or given up. */
int set_inode(const struct user *user, uint32_t ino, const struct u_inode *inode);
int make_file(const struct user *user, uint32_t ino, unsigned mode);
int change_mode(const struct user *user, uint32_t ino, unsigned mode);

/* Give a file a block; as what is allocated, of the given child. */
int take_block(const struct user *user, const struct ufs *fs, uint32_t ino, uint32_t slot,
	       enum u_child child, xn_blk_t *block);
int bind_block(const struct user *user, xn_blk_t owner, uint32_t record, xn_blk_t block,
	       uint32_t type, uint32_t access, xn_binding_t *binding);
/* Read or write a whole data block under an inode: the errors of xn_bind() or of the access. */
int read_block(const struct user *user, uint32_t ino, xn_blk_t block, uint64_t *word);
int write_block(const struct user *user, uint32_t ino, xn_blk_t block, uint64_t word);

/* A file of alice's with one written block. */
xn_blk_t given_file(struct ufs *fs, const struct user *user, uint32_t ino, unsigned mode,
		    uint64_t word);

#endif
