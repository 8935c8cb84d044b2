/* SPDX-License-Identifier: MIT */
/*
 * UNIX permissions enforced by templates alone: what each may do, and what mallory,
 * who has a session on the same disk and the table bound for writing, tries.
 */
#include "ufs.h"

#include <errno.h>
#include <time.h>

#define RW     (XN_READ | XN_WRITE)
#define SECRET 0x5ec4e7ull
#define SECOND 1000000000ll

static void untouched(struct ufs *fs, uint32_t ino, const struct u_inode *wanted, xn_blk_t block,
		      uint64_t word)
{
	uint64_t found = 0;

	assert_memory_equal(&fs->root.inode[ino], wanted, sizeof(*wanted));
	assert_ok(read_block(&fs->root, ino, block, &found));
	assert_int_equal(found, word);
}

/* ---- every operation, by everybody ---- */

static void the_mode_decides_for_owner_group_and_others(void **state)
{
	struct ufs *fs = *state;
	const struct user *who[] = { &fs->alice, &fs->bob, &fs->mallory, &fs->root };
	static const struct {
		unsigned mode;
		const char *reads, *writes; /* who may: alice, bob, mallory, root */
	} rows[] = {
		{ 0600, "a  r", "a  r" }, { 0640, "ab r", "a  r" }, { 0620, "a  r", "ab r" },
		{ 0604, "a mr", "a  r" }, { 0602, "a  r", "a mr" }, { 0000, "   r", "   r" },
		{ 0066, " bmr", " bmr" }, { 0606, "a mr", "a mr" }, { 0666, "abmr", "abmr" },
	};
	xn_blk_t block = given_file(fs, &fs->alice, 3, 0600, SECRET);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_ok(change_mode(&fs->alice, 3, rows[i].mode));
		for (size_t k = 0; k < 4; k++) {
			struct u_inode inode = inode_now(who[k], 3);
			int reads = rows[i].reads[k] == ' ' ? XN_EACL : 0;
			int writes = rows[i].writes[k] == ' ' ? XN_EACL : 0;
			xn_binding_t b;
			uint64_t word;

			assert_refused(read_block(who[k], 3, block, &word), reads);
			assert_refused(write_block(who[k], 3, block, k), writes);
			assert_refused(bind_block(who[k], fs->table, 3, block, XN_DATA, RW, &b),
				       reads ? reads : writes);
			inode.size++;
			assert_refused(set_inode(who[k], 3, &inode), writes);
		}
	}
}

static void only_the_owner_changes_who_may(void **state)
{
	struct ufs *fs = *state;
	struct u_inode inode;

	given_file(fs, &fs->alice, 3, 0666, SECRET);
	assert_refused(change_mode(&fs->mallory, 3, 0600), XN_EACL);
	assert_refused(change_mode(&fs->bob, 3, 0600), XN_EACL);
	assert_ok(change_mode(&fs->alice, 3, 0640));
	inode = inode_now(&fs->alice, 3);
	inode.uid = 66; /* nobody gives files away */
	assert_refused(set_inode(&fs->alice, 3, &inode), XN_EACL);
	inode.uid = 5;
	inode.gid = 60; /* a group that she is not in */
	assert_refused(set_inode(&fs->alice, 3, &inode), XN_EACL);
	assert_ok(set_inode(&fs->root, 3, &inode));
}

static void files_are_made_by_whom_they_belong_to(void **state)
{
	struct ufs *fs = *state;
	struct u_inode inode = { .uid = 5, .gid = 660, .mode = 0666 | U_IN_USE, .links = 1 };

	assert_refused(set_inode(&fs->mallory, 7, &inode), XN_EACL);
	inode.uid = 0;
	assert_refused(set_inode(&fs->mallory, 7, &inode), XN_EACL);
	inode.uid = 66;
	inode.gid = 50;
	assert_refused(set_inode(&fs->mallory, 7, &inode), XN_EACL);
	inode.gid = 660;
	assert_ok(set_inode(&fs->mallory, 7, &inode));
	inode = (struct u_inode){ 0 };
	assert_refused(set_inode(&fs->alice, 7, &inode), XN_EACL); /* and removed */
	assert_ok(set_inode(&fs->mallory, 7, &inode));
}

/* ---- below an inode ---- */

/* alice's file 3: inode, index, index, data. */
static void given_deep_file(struct ufs *fs, unsigned mode, xn_blk_t at[3])
{
	struct u_inode inode;
	struct request rq;
	uint8_t page[XN_BLOCK];
	xn_binding_t b[3];

	assert_ok(make_file(&fs->alice, 3, 0600));
	inode = inode_now(&fs->alice, 3);
	at[0] = given_free(fs->fx, 3);
	at[1] = at[0] + 1;
	at[2] = at[0] + 2;
	inode.index = U_POINTER(at[0], U_INDEX);
	request_begin(&rq);
	request_inode(&rq, &fs->alice, 3, &inode);
	request_word(&rq, at[0], 8, U_POINTER(at[1], U_INDEX));
	request_word(&rq, at[1], 16, U_POINTER(at[2], U_DATA));
	request_alloc(&rq, at[0], 2, fs->type[U_INDEX]);
	request_alloc(&rq, at[2], 1, XN_DATA);
	assert_ok(request_run(&rq, fs->alice.session));
	assert_ok(bind_block(&fs->alice, fs->table, 3, at[0], fs->type[U_INDEX], RW | XN_READIN,
			     &b[0]));
	assert_ok(
		bind_block(&fs->alice, at[0], 1, at[1], fs->type[U_INDEX], RW | XN_READIN, &b[1]));
	assert_ok(bind_block(&fs->alice, at[1], 2, at[2], XN_DATA, RW, &b[2]));
	stamp_fill(page, at[2], at[1], SECRET);
	assert_ok(xn_write(fs->alice.session, b[2], 0, page, sizeof(page)));
	for (unsigned i = 0; i < 3; i++)
		assert_ok(xn_unbind(fs->alice.session, b[i]));
	assert_ok(change_mode(&fs->alice, 3, mode));
}

static void index_blocks_obey_the_inode_however_deep(void **state)
{
	struct ufs *fs = *state;
	struct request rq;
	xn_blk_t at[3], more;
	xn_binding_t b;

	given_deep_file(fs, 0666, at);
	assert_ok(bind_block(&fs->mallory, fs->table, 3, at[0], fs->type[U_INDEX], RW | XN_READIN,
			     &b));
	assert_ok(bind_block(&fs->mallory, at[0], 1, at[1], fs->type[U_INDEX], RW | XN_READIN, &b));
	assert_ok(change_mode(&fs->alice, 3, 0644));
	/* What was open stays open, to look at and to write; nothing new is opened. */
	assert_ok(bind_block(&fs->mallory, at[1], 2, at[2], XN_DATA, XN_READ, &b));
	assert_refused(bind_block(&fs->mallory, at[1], 2, at[2], XN_DATA, XN_WRITE, &b), XN_EACL);
	more = given_free(fs->fx, 1);
	request_begin(&rq);
	request_word(&rq, at[1], 24, U_POINTER(more, U_DATA));
	request_alloc(&rq, more, 1, XN_DATA);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	request_begin(&rq);
	request_word(&rq, at[1], 16, 0);
	request_free(&rq, at[2], 1, XN_DATA);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	request_begin(&rq);
	request_word(&rq, at[1], 4032, 1); /* raw bytes are judged, too */
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	assert_ok(change_mode(&fs->alice, 3, 0600));
	assert_refused(bind_block(&fs->mallory, at[1], 2, at[2], XN_DATA, XN_READ, &b), XN_EACL);
}

static void an_index_is_freed_by_who_may_write_the_file(void **state)
{
	struct ufs *fs = *state;
	struct u_inode inode;
	struct request rq;
	xn_blk_t at[3];
	xn_binding_t b;

	given_deep_file(fs, 0644, at);
	inode = inode_now(&fs->alice, 3);
	inode.index = 0;
	assert_ok(bind_block(&fs->mallory, fs->table, 3, at[0], fs->type[U_INDEX],
			     XN_READ | XN_READIN, &b));
	request_begin(&rq);
	rq.update.flags = XN_REAP;
	request_inode(&rq, &fs->mallory, 3, &inode);
	request_free(&rq, at[0], 1, fs->type[U_INDEX]);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	assert_ok(request_run(&rq, fs->alice.session));
}

static void new_objects_are_judged_before_they_are(void **state)
{
	struct ufs *fs = *state;
	struct u_vault vault = { .uid = 5, .mode = 0600 };
	struct u_inode inode;
	struct request rq;
	xn_blk_t block = given_free(fs->fx, 3);

	assert_ok(make_file(&fs->mallory, 9, 0600));
	inode = inode_now(&fs->mallory, 9);
	inode.index = U_POINTER(block, U_VAULT);
	request_begin(&rq);
	request_inode(&rq, &fs->mallory, 9, &inode);
	request_edit(&rq, block, 0, &vault, sizeof(vault));
	request_alloc(&rq, block, 1, fs->type[U_VAULT]);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL); /* alice's: a lie */
	vault.uid = 0;
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	/* Hidden one level deeper, below an index that is new as well. */
	inode.index = U_POINTER(block + 1, U_INDEX);
	request_begin(&rq);
	request_inode(&rq, &fs->mallory, 9, &inode);
	request_word(&rq, block + 1, 0, U_POINTER(block, U_VAULT));
	request_edit(&rq, block, 0, &vault, sizeof(vault));
	request_alloc(&rq, block, 1, fs->type[U_VAULT]);
	request_alloc(&rq, block + 1, 1, fs->type[U_INDEX]);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	vault.uid = 66;
	assert_ok(request_run(&rq, fs->mallory.session));
}

static void a_new_index_below_anothers_inode_is_refused(void **state)
{
	struct ufs *fs = *state;
	struct u_inode inode;
	struct request rq;
	xn_blk_t block = given_free(fs->fx, 2);

	given_file(fs, &fs->alice, 3, 0644, SECRET);
	inode = inode_now(&fs->alice, 3);
	inode.index = U_POINTER(block, U_INDEX);
	request_begin(&rq);
	request_inode(&rq, &fs->mallory, 3, &inode);
	request_word(&rq, block, 0, U_POINTER(block + 1, U_DATA));
	request_alloc(&rq, block, 1, fs->type[U_INDEX]);
	request_alloc(&rq, block + 1, 1, XN_DATA);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	assert_ok(request_run(&rq, fs->alice.session));
}

/* ---- what mallory tries ---- */

static void nobody_writes_rights_into_a_record(void **state)
{
	struct ufs *fs = *state;
	xn_blk_t block = given_file(fs, &fs->alice, 3, 0600, SECRET);
	struct u_inode before = inode_now(&fs->alice, 3), lie[6], mine;

	assert_ok(make_file(&fs->mallory, 4, 0600));
	for (unsigned i = 0; i < 6; i++)
		lie[i] = before;
	lie[0].uid = 66;
	lie[1].mode |= 0666;
	lie[2].gid = 660;
	lie[3].expires_ns = 1;
	lie[4].size = 1 << 20;
	memset(&lie[5], 0, sizeof(lie[5]));
	for (unsigned i = 0; i < 6; i++) {
		struct request rq;

		request_begin(&rq);
		request_inode(&rq, &fs->mallory, 3, &lie[i]);
		if (i == 5)
			request_free(&rq, block, 1, XN_DATA);
		assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
		/* Beside an edit that is her right, and as one run of bytes over both records. */
		mine = inode_now(&fs->mallory, 4);
		mine.size++;
		request_inode(&rq, &fs->mallory, 4, &mine);
		assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
		untouched(fs, 3, &before, block, SECRET);
	}
	{
		struct u_inode both[2] = { lie[0], inode_now(&fs->mallory, 4) };
		struct request rq;

		request_begin(&rq);
		request_edit(&rq, fs->table, 3 * U_INODE_SIZE, both, sizeof(both));
		assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
		/* The same bytes again change nothing, and so harm nobody. */
		both[0] = before;
		assert_ok(request_run(&rq, fs->mallory.session));
		/* One byte of a record is judged like all of it. */
		request_begin(&rq);
		request_edit(&rq, fs->table, 3 * U_INODE_SIZE, &fs->mallory.uid, 1);
		assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	}
	untouched(fs, 3, &before, block, SECRET);
}

static void another_path_to_a_block_is_none(void **state)
{
	struct ufs *fs = *state;
	xn_blk_t block = given_file(fs, &fs->alice, 3, 0600, SECRET);
	struct u_inode before = inode_now(&fs->alice, 3), mine;
	struct xn_extent extent = { block, 1, XN_DATA, 0 };
	struct request rq;
	xn_binding_t b;

	assert_ok(make_file(&fs->mallory, 2, 0666));
	/* By a record of her own that does not name it. */
	assert_refused(bind_block(&fs->mallory, fs->table, 2, block, XN_DATA, RW, &b),
		       XN_ENOTOWNER);
	assert_refused(bind_block(&fs->mallory, fs->table, 3, block, fs->type[U_INDEX], RW, &b),
		       XN_ENOTOWNER);
	/* By a record that is made to. */
	mine = inode_now(&fs->mallory, 4);
	mine.block[0] = U_POINTER(block, U_DATA);
	assert_refused(set_inode(&fs->mallory, 2, &mine), XN_EOWNS);
	request_begin(&rq);
	request_inode(&rq, &fs->mallory, 2, &mine);
	rq.allocs[rq.update.n_allocs++] = extent;
	assert_refused(request_run(&rq, fs->mallory.session), XN_ENOTFREE);
	/* By moving it there, which changes alice's record, too. */
	{
		struct u_inode hers = before;

		hers.block[0] = 0;
		request_begin(&rq);
		request_inode(&rq, &fs->mallory, 3, &hers);
		request_inode(&rq, &fs->mallory, 2, &mine);
		assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	}
	/* By an index block that names it. */
	mine = inode_now(&fs->mallory, 4);
	mine.index = U_POINTER(given_free(fs->fx, 1), U_INDEX);
	request_begin(&rq);
	request_inode(&rq, &fs->mallory, 2, &mine);
	request_word(&rq, U_BLOCK(mine.index), 0, U_POINTER(block, U_DATA));
	request_alloc(&rq, U_BLOCK(mine.index), 1, fs->type[U_INDEX]);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EOWNS);
	/* By another root of the same disk. */
	assert_refused(bind_block(&fs->mallory, fs->fx->root, 0, block, XN_DATA, RW, &b),
		       XN_ENOTBOUND);
	untouched(fs, 3, &before, block, SECRET);
}

static void what_is_open_stays_open_and_nothing_more(void **state)
{
	struct ufs *fs = *state;
	xn_blk_t block = given_file(fs, &fs->alice, 3, 0666, SECRET), more;
	struct u_inode inode;
	xn_binding_t reads, writes;
	uint8_t page[XN_BLOCK];
	struct stamp stamp;
	struct request rq;

	assert_ok(bind_block(&fs->bob, fs->table, 3, block, XN_DATA, XN_READ, &reads));
	assert_ok(bind_block(&fs->bob, fs->table, 3, block, XN_DATA, XN_WRITE, &writes));
	assert_ok(change_mode(&fs->alice, 3, 0600));
	assert_ok(xn_read(fs->bob.session, reads, 0, &stamp, sizeof(stamp)));
	assert_int_equal(stamp.number, SECRET);
	stamp_fill(page, block, fs->table, 7);
	assert_ok(xn_write(fs->bob.session, writes, 0, page, sizeof(page)));
	assert_refused(xn_read(fs->bob.session, writes, 0, page, sizeof(page)), XN_ENOTBOUND);
	assert_refused(xn_write(fs->bob.session, reads, 0, page, sizeof(page)), XN_ENOTBOUND);
	assert_refused(read_block(&fs->bob, 3, block, &stamp.number), XN_EACL);
	/* It may grow by right of what is open for writing, and only so. */
	more = given_free(fs->fx, 1);
	inode = inode_now(&fs->bob, 3);
	inode.size = 2 * XN_BLOCK;
	inode.block[1] = U_POINTER(more, U_DATA);
	request_begin(&rq);
	request_inode(&rq, &fs->bob, 3, &inode);
	request_alloc(&rq, more, 1, XN_DATA);
	assert_refused(request_run(&rq, fs->bob.session), XN_EACL);
	rq.update.under = reads;
	assert_refused(request_run(&rq, fs->bob.session), XN_ENOTBOUND);
	rq.update.under = writes;
	assert_ok(request_run(&rq, fs->bob.session));
	/* Whose it is cannot be changed under it. */
	inode.mode |= 0666;
	request_begin(&rq);
	rq.update.under = writes;
	request_inode(&rq, &fs->bob, 3, &inode);
	assert_refused(request_run(&rq, fs->bob.session), XN_EACL);
	/* A block that was freed is nobody's to write, however it was opened. */
	inode = inode_now(&fs->alice, 3);
	inode.block[0] = 0;
	request_begin(&rq);
	request_inode(&rq, &fs->alice, 3, &inode);
	request_free(&rq, block, 1, XN_DATA);
	assert_ok(request_run(&rq, fs->alice.session));
	assert_refused(xn_write(fs->bob.session, writes, 0, page, sizeof(page)), XN_ESTALE);
	inode.size = 5;
	request_begin(&rq);
	rq.update.under = writes;
	request_inode(&rq, &fs->bob, 3, &inode);
	assert_refused(request_run(&rq, fs->bob.session), XN_ESTALE);
}

static void a_binding_gives_no_right_to_another_file(void **state)
{
	struct ufs *fs = *state;
	struct u_inode hers, mine, empty = { 0 };
	xn_blk_t block = given_file(fs, &fs->mallory, 4, 0600, 1);
	xn_binding_t writes;
	struct request rq;

	given_file(fs, &fs->alice, 5, 0600, SECRET);
	assert_ok(bind_block(&fs->mallory, fs->table, 4, block, XN_DATA, XN_WRITE, &writes));
	hers = inode_now(&fs->mallory, 5);
	hers.size = 99;
	request_begin(&rq);
	rq.update.under = writes;
	request_inode(&rq, &fs->mallory, 5, &hers);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	/* Nor to who got the inode's place: she moves the block away, gives the place back,
	 * and alice takes it.  (Two records of one sector: the move needs no log.) */
	assert_ok(make_file(&fs->mallory, 6, 0600));
	mine = inode_now(&fs->mallory, 6);
	mine.block[0] = U_POINTER(block, U_DATA);
	request_begin(&rq);
	request_inode(&rq, &fs->mallory, 4, &empty);
	request_inode(&rq, &fs->mallory, 6, &mine);
	assert_ok(request_run(&rq, fs->mallory.session));
	assert_ok(make_file(&fs->alice, 4, 0600));
	hers = inode_now(&fs->mallory, 4);
	hers.size = 99;
	request_begin(&rq);
	rq.update.under = writes;
	request_inode(&rq, &fs->mallory, 4, &hers);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	/* A handle of somebody else's session is none. */
	hers = inode_now(&fs->bob, 6);
	hers.size = 99;
	request_begin(&rq);
	rq.update.under = writes;
	request_inode(&rq, &fs->bob, 6, &hers);
	assert_refused(request_run(&rq, fs->bob.session), XN_ESTALE);
}

static void an_old_record_is_not_played_again(void **state)
{
	struct ufs *fs = *state;
	xn_blk_t block = given_file(fs, &fs->mallory, 4, 0600, 1);
	struct u_inode old = inode_now(&fs->mallory, 4), open_once, hers;
	struct u_inode empty = old;
	struct request rq;

	/* Her old record names a block that is alice's by now. */
	empty.block[0] = 0;
	request_begin(&rq);
	request_inode(&rq, &fs->mallory, 4, &empty);
	request_free(&rq, block, 1, XN_DATA);
	assert_ok(request_run(&rq, fs->mallory.session));
	assert_refused(xn_sync(fs->fx->session, 0), 0);
	assert_ok(make_file(&fs->alice, 3, 0600));
	hers = inode_now(&fs->alice, 3);
	hers.block[0] = U_POINTER(block, U_DATA);
	request_begin(&rq);
	request_inode(&rq, &fs->alice, 3, &hers);
	request_alloc(&rq, block, 1, XN_DATA);
	assert_ok(request_run(&rq, fs->alice.session));
	assert_ok(write_block(&fs->alice, 3, block, SECRET));
	assert_refused(set_inode(&fs->mallory, 4, &old), XN_EOWNS);
	request_begin(&rq);
	request_inode(&rq, &fs->mallory, 4, &old);
	request_alloc(&rq, block, 1, XN_DATA);
	assert_refused(request_run(&rq, fs->mallory.session), XN_ENOTFREE);
	/* alice's own record from when it was open to all, kept by mallory. */
	assert_ok(change_mode(&fs->alice, 3, 0666));
	open_once = inode_now(&fs->mallory, 3);
	assert_ok(change_mode(&fs->alice, 3, 0600));
	assert_refused(set_inode(&fs->mallory, 3, &open_once), XN_EACL);
	hers = inode_now(&fs->alice, 3);
	untouched(fs, 3, &hers, block, SECRET);
}

static void nobody_gives_back_what_is_not_theirs(void **state)
{
	struct ufs *fs = *state;
	xn_blk_t block = given_file(fs, &fs->alice, 3, 0600, SECRET);
	struct u_inode before = inode_now(&fs->alice, 3), after = before, mine;
	struct request rq;

	after.block[0] = 0;
	assert_ok(make_file(&fs->mallory, 4, 0600));
	request_begin(&rq);
	request_inode(&rq, &fs->mallory, 3, &after);
	request_free(&rq, block, 1, XN_DATA);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EACL);
	mine = inode_now(&fs->mallory, 4);
	mine.size = 1;
	request_begin(&rq);
	request_inode(&rq, &fs->mallory, 4, &mine);
	request_free(&rq, block, 1, XN_DATA);
	assert_refused(request_run(&rq, fs->mallory.session), XN_EOWNS);
	untouched(fs, 3, &before, block, SECRET);
}

/* ---- who and when ---- */

static void credentials_are_the_sessions_own(void **state)
{
	struct ufs *fs = *state;
	xn_blk_t block = given_file(fs, &fs->alice, 3, 0600, SECRET);
	struct xn_cred alice = { .uid = 5, .gid = 50 }, mallory = { .uid = 66, .gid = 660 };
	struct xn_bind_request bind = { .owner = fs->table,
					.record = 3,
					.access = XN_READ,
					.extent = { block, 1, XN_DATA, 0 },
					.cred = &alice };
	struct u_inode inode = inode_now(&fs->alice, 3);
	struct request rq;
	xn_binding_t b;

	assert_refused(xn_bind(fs->mallory.session, &bind, &b), XN_ECRED);
	inode.size = 8;
	request_begin(&rq);
	rq.update.cred = &alice;
	request_inode(&rq, &fs->mallory, 3, &inode);
	assert_refused(request_run(&rq, fs->mallory.session), XN_ECRED);
	/* A host states for whom it asks, and is judged as that one. */
	assert_ok(xn_bind(fs->root.session, &bind, &b));
	assert_ok(request_run(&rq, fs->root.session));
	bind.cred = rq.update.cred = &mallory;
	assert_refused(xn_bind(fs->root.session, &bind, &b), XN_EACL);
	inode.size = 9;
	assert_refused(request_run(&rq, fs->root.session), XN_EACL);
}

static int64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	return at.tv_sec * SECOND + at.tv_nsec;
}

static void a_date_of_expiry_is_kept(void **state)
{
	struct ufs *fs = *state;
	xn_blk_t block = given_file(fs, &fs->alice, 3, 0666, SECRET);
	struct xn_cred bob = { .uid = 6, .gid = 60 };
	struct xn_bind_request bind = { .owner = fs->table,
					.record = 3,
					.access = XN_READ,
					.extent = { block, 1, XN_DATA, 0 } };
	struct u_inode inode = inode_now(&fs->alice, 3);
	struct request rq;
	xn_binding_t b;
	uint64_t word;

	inode.expires_ns = now() + 3600 * SECOND;
	assert_ok(set_inode(&fs->alice, 3, &inode));
	assert_ok(read_block(&fs->bob, 3, block, &word));
	/* For a host the time is what it states. */
	bind.cred = &bob;
	bind.now_ns = inode.expires_ns - 1;
	assert_ok(xn_bind(fs->root.session, &bind, &b));
	bind.now_ns = inode.expires_ns;
	assert_refused(xn_bind(fs->root.session, &bind, &b), XN_EACL);
	inode.expires_ns = now() - SECOND;
	assert_ok(set_inode(&fs->root, 3, &inode));
	assert_refused(read_block(&fs->bob, 3, block, &word), XN_EACL);
	assert_ok(read_block(&fs->root, 3, block, &word));
	/* Others cannot turn the clock back. */
	bind.cred = NULL;
	bind.now_ns = inode.expires_ns - SECOND;
	assert_refused(xn_bind(fs->bob.session, &bind, &b), XN_EACL);
	inode.size++;
	request_begin(&rq);
	rq.update.now_ns = inode.expires_ns - SECOND;
	request_inode(&rq, &fs->bob, 3, &inode);
	assert_refused(request_run(&rq, fs->bob.session), XN_EACL);
	rq.update.cred = &bob;
	assert_ok(request_run(&rq, fs->root.session));
}

static void what_is_bound_for_writing_alone_is_not_read(void **state)
{
	struct ufs *fs = *state;
	xn_blk_t at[3];
	const void *bytes;
	xn_binding_t b;
	size_t len;

	given_deep_file(fs, 0622, at);
	assert_ok(bind_block(&fs->mallory, fs->table, 3, at[0], fs->type[U_INDEX],
			     XN_WRITE | XN_READIN, &b));
	assert_refused(xn_map(fs->mallory.session, b, &bytes, &len), XN_ENOTBOUND);
	assert_refused(bind_block(&fs->mallory, at[0], 1, at[1], fs->type[U_INDEX], XN_WRITE, &b),
		       XN_ENOTBOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, ufs_setup, ufs_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_mode_decides_for_owner_group_and_others),
		TEST(only_the_owner_changes_who_may),
		TEST(files_are_made_by_whom_they_belong_to),
		TEST(index_blocks_obey_the_inode_however_deep),
		TEST(an_index_is_freed_by_who_may_write_the_file),
		TEST(new_objects_are_judged_before_they_are),
		TEST(a_new_index_below_anothers_inode_is_refused),
		TEST(nobody_writes_rights_into_a_record),
		TEST(another_path_to_a_block_is_none),
		TEST(what_is_open_stays_open_and_nothing_more),
		TEST(a_binding_gives_no_right_to_another_file),
		TEST(an_old_record_is_not_played_again),
		TEST(nobody_gives_back_what_is_not_theirs),
		TEST(credentials_are_the_sessions_own),
		TEST(a_date_of_expiry_is_kept),
		TEST(what_is_bound_for_writing_alone_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
