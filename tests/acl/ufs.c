/* SPDX-License-Identifier: MIT */
#include "ufs.h"

#include "u_types.h"

#define RW (XN_READ | XN_WRITE)

static void user_begin(struct ufs *fs, struct user *user, uint32_t uid, uint32_t gid,
		       uint32_t further)
{
	struct xn_cred cred = { uid, gid, further != 0, { further } };
	const void *bytes;
	xn_binding_t b;
	size_t len;

	*user = (struct user){ .fx = fs->fx, .uid = uid, .gid = gid };
	assert_ok(xn_session_open(fs->fx->xn, &cred, uid ? 0 : XN_SESSION_ADMIN, &user->session));
	assert_ok(xn_bind_root(user->session, "u", RW | XN_READIN, &b, &user->table));
	assert_ok(xn_map(user->session, b, &bytes, &len));
	user->inode = bytes;
}

int ufs_setup(void **state)
{
	struct ufs *fs = calloc(1, sizeof(*fs));
	struct xn_root_spec spec = { .name = "u", .libfs = "test", .mode = 0666, .now_ns = 1 };
	struct xn_image images[u_types_count];
	uint32_t ids[u_types_count];
	struct xn_root_info info;

	assert_non_null(fs);
	fs->fx = fixture_new(FIXTURE_BLOCKS, 8u << 20);
	for (unsigned i = 0; i < u_types_count; i++)
		images[i] = (struct xn_image){ u_types_image[i], u_types_image_len[i] };
	assert_ok(xn_template_install(fs->fx->session, images, u_types_count, ids, NULL));
	spec.type = fs->table_type = ids[u_types_u_table];
	fs->type[U_DATA] = XN_DATA;
	fs->type[U_RESERVED] = XN_RESERVED;
	fs->type[U_INDEX] = ids[u_types_u_index];
	fs->type[U_VAULT] = ids[u_types_u_vault];
	assert_ok(xn_root_create(fs->fx->session, &spec, &info));
	user_begin(fs, &fs->root, 0, 0, 0);
	user_begin(fs, &fs->alice, 5, 50, 0);
	user_begin(fs, &fs->bob, 6, 60, 50);
	user_begin(fs, &fs->mallory, 66, 660, 0);
	fs->table = fs->root.table;
	*state = fs;
	return 0;
}

int ufs_teardown(void **state)
{
	struct ufs *fs = *state;

	xn_session_close(fs->root.session);
	xn_session_close(fs->alice.session);
	xn_session_close(fs->bob.session);
	xn_session_close(fs->mallory.session);
	/* Data that tests left unwritten is written as zeroes by closing. */
	fixture_free(fs->fx);
	free(fs);
	return 0;
}

struct u_inode inode_now(const struct user *user, uint32_t ino)
{
	return user->inode[ino];
}

void request_inode(struct request *rq, const struct user *user, uint32_t ino,
		   const struct u_inode *inode)
{
	request_edit(rq, user->table, ino * U_INODE_SIZE, inode, sizeof(*inode));
}

int set_inode(const struct user *user, uint32_t ino, const struct u_inode *inode)
{
	struct request rq;

	request_begin(&rq);
	request_inode(&rq, user, ino, inode);
	return request_run(&rq, user->session);
}

int make_file(const struct user *user, uint32_t ino, unsigned mode)
{
	struct u_inode inode = {
		.uid = user->uid, .gid = user->gid, .mode = mode | U_IN_USE, .links = 1
	};

	return set_inode(user, ino, &inode);
}

int change_mode(const struct user *user, uint32_t ino, unsigned mode)
{
	struct u_inode inode = inode_now(user, ino);

	inode.mode = mode | U_IN_USE;
	return set_inode(user, ino, &inode);
}

int take_block(const struct user *user, const struct ufs *fs, uint32_t ino, uint32_t slot,
	       enum u_child child, xn_blk_t *block)
{
	struct u_inode inode = inode_now(user, ino);
	struct request rq;

	*block = given_free(user->fx, 1);
	if (slot < U_DIRECT)
		inode.block[slot] = U_POINTER(*block, child);
	else
		inode.index = U_POINTER(*block, child);
	request_begin(&rq);
	request_inode(&rq, user, ino, &inode);
	request_alloc(&rq, *block, 1, fs->type[child]);
	return request_run(&rq, user->session);
}

int bind_block(const struct user *user, xn_blk_t owner, uint32_t record, xn_blk_t block,
	       uint32_t type, uint32_t access, xn_binding_t *binding)
{
	return try_bind(user->fx, user->session, owner, record, block, 1, type, access, binding);
}

int read_block(const struct user *user, uint32_t ino, xn_blk_t block, uint64_t *word)
{
	struct stamp stamp = { 0 };
	xn_binding_t b;
	int err = bind_block(user, user->table, ino, block, XN_DATA, XN_READ, &b);

	if (err)
		return err;
	err = xn_read(user->session, b, 0, &stamp, sizeof(stamp));
	*word = stamp.number;
	assert_ok(xn_unbind(user->session, b));
	return err;
}

int write_block(const struct user *user, uint32_t ino, xn_blk_t block, uint64_t word)
{
	uint8_t page[XN_BLOCK];
	xn_binding_t b;
	int err = bind_block(user, user->table, ino, block, XN_DATA, XN_WRITE, &b);

	if (err)
		return err;
	stamp_fill(page, block, user->table, word);
	err = xn_write(user->session, b, 0, page, sizeof(page));
	assert_ok(xn_unbind(user->session, b));
	return err;
}

xn_blk_t given_file(struct ufs *fs, const struct user *user, uint32_t ino, unsigned mode,
		    uint64_t word)
{
	xn_blk_t block;

	assert_ok(make_file(user, ino, 0600));
	assert_ok(take_block(user, fs, ino, 0, U_DATA, &block));
	assert_ok(write_block(user, ino, block, word));
	assert_ok(change_mode(user, ino, mode));
	return block;
}
