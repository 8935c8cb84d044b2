/* SPDX-License-Identifier: MIT */
/* chmod(2), chown(2), set-id bits. */
#include "px.h"

#define N(rows)  (sizeof(rows) / sizeof((rows)[0]))
#define SAME_UID ((uid_t)-1)
#define SAME_GID ((gid_t)-1)

static bool is_symlink(const char *type)
{
	return strcmp(type, "symlink") == 0;
}

static void drop(struct px *p, const char *type, const char *path)
{
	works(strcmp(type, "dir") == 0 ? px_rmdir(p, path) : px_unlink(p, path));
}

static void twelve_bits_change_on_every_type(struct px *p)
{
	static const mode_t modes[] = {
		0, 0111, 0222, 0444, 0777, 01000, 02000, 04000, 07777, 0644
	};

	for (const char *const *type = px_types; *type; type++) {
		mode_t kind;

		if (is_symlink(*type))
			continue;
		px_make(p, *type, *type);
		kind = px_status(p, *type).st_mode & S_IFMT;
		for (size_t i = 0; i < N(modes); i++) {
			works(px_chmod(p, *type, modes[i]));
			assert_int_equal(px_status(p, *type).st_mode, kind | modes[i]);
		}
	}
}

static void chmod_follows_symlinks(struct px *p)
{
	px_file(p, "f", "", 0644);
	works(px_symlink(p, "f", "s"));
	works(px_chmod(p, "s", 0600));
	assert_int_equal(px_mode(p, "f"), 0600);
	assert_int_equal(px_mode(p, "s"), 0777);
}

static void only_the_owner_and_root_change_modes(struct px *p)
{
	for (const char *const *type = px_types; *type; type++) {
		struct stat before, after;

		if (is_symlink(*type))
			continue;
		px_as_root(p);
		px_make(p, *type, *type);
		works(px_chown(p, *type, OWNER, GROUP));
		works(px_chmod(p, *type, 0666));
		before = px_status(p, *type);
		px_tick(p);
		px_as(p, MEMBER, GROUP);
		refused(px_chmod(p, *type, 0600), EPERM);
		px_as(p, STRANGER, ELSEWISE);
		refused(px_chmod(p, *type, 0600), EPERM);
		after = px_status(p, *type);
		assert_int_equal(after.st_mode, before.st_mode);
		assert_int_equal(px_moved(&before, &after), 0);
		px_as(p, OWNER, GROUP);
		works(px_chmod(p, *type, 0600));
		assert_int_equal(px_mode(p, *type), 0600);
	}
}

static void chmod_by_descriptor_is_the_same(struct px *p)
{
	int fd;

	px_file_for(p, "f", OWNER, GROUP, 0644);
	fd = (int)works(px_open(p, "f", O_RDONLY, 0));
	px_as(p, STRANGER, ELSEWISE);
	refused(px_fchmod(p, fd, 0600), EPERM);
	refused(px_fchown(p, fd, STRANGER, ELSEWISE), EPERM);
	px_as(p, OWNER, GROUP);
	works(px_fchmod(p, fd, 0751));
	px_as_root(p);
	works(px_fchown(p, fd, 5, 6));
	works(px_close(p, fd));
	assert_int_equal(px_mode(p, "f"), 0751);
	assert_int_equal(px_status(p, "f").st_uid, 5);
}

static void set_gid_is_for_members(struct px *p)
{
	static const gid_t groups[] = { EXTRA };

	px_file_for(p, "f", OWNER, EXTRA, 0755);
	px_dir_for(p, "d", OWNER, EXTRA, 0755);
	px_as(p, OWNER, GROUP);
	works(px_chmod(p, "f", 02755));
	assert_int_equal(px_mode(p, "f"), 0755);
	works(px_chmod(p, "d", 02755));
	assert_int_equal(px_mode(p, "d"), 0755);
	works(px_chmod(p, "f", 04755));
	assert_int_equal(px_mode(p, "f"), 04755);
	px_as_groups(p, OWNER, GROUP, groups, 1);
	works(px_chmod(p, "f", 02755));
	assert_int_equal(px_mode(p, "f"), 02755);
}

/* ---- chown ---- */

static void root_gives_every_type_to_anybody(struct px *p)
{
	static const uint32_t ids[] = { 0, 1, 65534, 65535, 65536, 0x7fffffff, 0xfffffffeu };

	for (const char *const *type = px_types; *type; type++) {
		px_make(p, *type, *type);
		for (size_t i = 0; i < N(ids); i++) {
			works(px_lchown(p, *type, ids[i], ids[N(ids) - 1 - i]));
			assert_int_equal(px_status(p, *type).st_uid, ids[i]);
			assert_int_equal(px_status(p, *type).st_gid, ids[N(ids) - 1 - i]);
		}
		works(px_lchown(p, *type, 5, SAME_GID));
		works(px_lchown(p, *type, SAME_UID, 6));
		assert_int_equal(px_status(p, *type).st_uid, 5);
		assert_int_equal(px_status(p, *type).st_gid, 6);
	}
}

static void chown_follows_symlinks_and_lchown_does_not(struct px *p)
{
	px_file(p, "f", "", 0644);
	works(px_symlink(p, "f", "s"));
	works(px_chown(p, "s", 5, 6));
	assert_int_equal(px_status(p, "f").st_uid, 5);
	assert_int_equal(px_status(p, "s").st_uid, 0);
	works(px_lchown(p, "s", 7, 8));
	assert_int_equal(px_status(p, "f").st_uid, 5);
	assert_int_equal(px_status(p, "s").st_uid, 7);
	assert_int_equal(px_status(p, "s").st_gid, 8);
}

static void owners_give_files_to_their_own_groups_only(struct px *p)
{
	static const gid_t extra[] = { EXTRA };
	static const struct {
		uid_t asks, uid;
		gid_t gid;
		int want;
	} rows[] = {
		{ OWNER, SAME_UID, GROUP, 0 },        { OWNER, OWNER, EXTRA, 0 },
		{ OWNER, SAME_UID, EXTRA, 0 },        { OWNER, OWNER, SAME_GID, 0 },
		{ OWNER, SAME_UID, ELSEWISE, EPERM }, { OWNER, MEMBER, SAME_GID, EPERM },
		{ OWNER, 0, SAME_GID, EPERM },        { OWNER, MEMBER, GROUP, EPERM },
		{ OWNER, SAME_UID, 0, EPERM },        { MEMBER, SAME_UID, GROUP, EPERM },
		{ MEMBER, MEMBER, SAME_GID, EPERM },  { MEMBER, SAME_UID, EXTRA, EPERM },
		{ MEMBER, SAME_UID, SAME_GID, 0 },
	};

	for (const char *const *type = px_types; *type; type++) {
		px_as_root(p);
		px_make(p, *type, *type);
		for (size_t i = 0; i < N(rows); i++) {
			struct stat st;

			px_as_root(p);
			works(px_lchown(p, *type, OWNER, GROUP));
			px_as_groups(p, rows[i].asks, GROUP, extra, 1);
			refused(px_lchown(p, *type, rows[i].uid, rows[i].gid), rows[i].want);
			st = px_status(p, *type);
			assert_int_equal(st.st_uid, OWNER);
			assert_int_equal(st.st_gid, rows[i].want || rows[i].gid == SAME_GID
							    ? GROUP
							    : rows[i].gid);
		}
	}
}

static void a_refused_chown_moves_no_time(struct px *p)
{
	struct stat before, after;

	px_file_for(p, "f", OWNER, GROUP, 0644);
	before = px_status(p, "f");
	px_tick(p);
	px_as(p, STRANGER, ELSEWISE);
	refused(px_chown(p, "f", STRANGER, SAME_GID), EPERM);
	refused(px_chown(p, "f", SAME_UID, ELSEWISE), EPERM);
	after = px_status(p, "f");
	assert_int_equal(px_moved(&before, &after), 0);
}

/* ---- set-id bits ---- */

static void an_owners_chown_clears_set_id_bits(struct px *p)
{
	static const gid_t extra[] = { EXTRA };

	for (const char *const *type = px_types; *type; type++) {
		if (is_symlink(*type))
			continue;
		px_as_root(p);
		px_make(p, *type, "x");
		works(px_chown(p, "x", OWNER, GROUP));
		works(px_chmod(p, "x", 06555));
		px_as_groups(p, OWNER, GROUP, extra, 1);
		works(px_chown(p, "x", OWNER, EXTRA));
		assert_int_equal(px_mode(p, "x"), strcmp(*type, "dir") == 0 ? 06555 : 0555);
		px_as_root(p);
		works(px_chmod(p, "x", 06555));
		px_as_groups(p, OWNER, GROUP, extra, 1);
		works(px_chown(p, "x", SAME_UID, GROUP));
		assert_int_equal(px_mode(p, "x"), strcmp(*type, "dir") == 0 ? 06555 : 0555);
		px_as_root(p);
		drop(p, *type, "x");
	}
}

static void roots_chown_clears_them_on_files(struct px *p)
{
	px_file(p, "f", "", 0755);
	works(px_chmod(p, "f", 06755));
	works(px_chown(p, "f", OWNER, GROUP));
	assert_int_equal(px_mode(p, "f"), 0755);
	works(px_chmod(p, "f", 02745)); /* no group execution: it means locking, and stays */
	works(px_chown(p, "f", 5, 6));
	assert_int_equal(px_mode(p, "f"), 02745);
	px_dir_of(p, "d", 06755);
	works(px_chown(p, "d", OWNER, GROUP));
	assert_int_equal(px_mode(p, "d"), 06755);
}

static void a_write_by_anybody_but_root_clears_them(struct px *p)
{
	static const struct {
		uid_t asks;
		mode_t before, after;
	} rows[] = {
		{ STRANGER, 06777, 0777 },
		{ STRANGER, 04777, 0777 },
		{ STRANGER, 02777, 0777 },
		{ OWNER, 06777, 0777 },
		{ 0, 06777, 06777 },
		/* what its group may not run: only members keep it */
		{ STRANGER, 02666, 0666 },
		{ STRANGER, 06706, 0706 },
		{ OWNER, 06666, 02666 },
		{ 0, 06666, 06666 },
	};

	for (size_t i = 0; i < N(rows); i++)
		for (int how = 0; how < 3; how++) {
			int fd;

			px_as_root(p);
			px_file_for(p, "f", OWNER, GROUP, rows[i].before);
			px_as(p, rows[i].asks, rows[i].asks == OWNER ? GROUP : ELSEWISE);
			if (how == 0)
				works(px_truncate(p, "f", 3));
			fd = (int)works(px_open(p, "f", O_WRONLY, 0));
			if (how == 1)
				assert_int_equal(px_write(p, fd, "x", 1), 1);
			if (how == 2)
				works(px_ftruncate(p, fd, 1));
			works(px_close(p, fd));
			if (px_mode(p, "f") != rows[i].after)
				fail_msg("row %zu, way %d: %o", i, how, px_mode(p, "f"));
			px_as_root(p);
			works(px_unlink(p, "f"));
		}
}

static void set_gid_directories_hand_their_group_down(struct px *p)
{
	px_dir_for(p, "d", OWNER, GROUP, 02777);
	px_as(p, STRANGER, ELSEWISE);
	px_file(p, "d/f", "", 0644);
	works(px_mkdir(p, "d/e", 0755));
	works(px_symlink(p, "t", "d/s"));
	works(px_mknod(p, "d/q", S_IFIFO | 0644, 0));
	assert_int_equal(px_status(p, "d/f").st_gid, GROUP);
	assert_int_equal(px_status(p, "d/e").st_gid, GROUP);
	assert_int_equal(px_status(p, "d/s").st_gid, GROUP);
	assert_int_equal(px_status(p, "d/q").st_gid, GROUP);
	assert_int_equal(px_status(p, "d/f").st_uid, STRANGER);
	assert_int_equal(px_mode(p, "d/f"), 0644);
	assert_int_equal(px_mode(p, "d/e"), 02755);
	works(px_mkdir(p, "d/e/deeper", 0700));
	assert_int_equal(px_status(p, "d/e/deeper").st_gid, GROUP);
	px_as_root(p);
	works(px_mkdir(p, "plain", 0755));
	works(px_mkdir(p, "plain/e", 0755));
	assert_int_equal(px_mode(p, "plain/e"), 0755);
}

static void a_file_made_there_keeps_set_gid_for_members_only(struct px *p)
{
	static const gid_t extra[] = { GROUP };

	px_dir_for(p, "d", OWNER, GROUP, 02777);
	px_umask(p, 0);
	px_as(p, STRANGER, ELSEWISE);
	works(px_close(p, (int)works(px_open(p, "d/f", O_WRONLY | O_CREAT, 02755))));
	assert_int_equal(px_mode(p, "d/f"), 0755);
	px_as(p, MEMBER, GROUP);
	works(px_close(p, (int)works(px_open(p, "d/g", O_WRONLY | O_CREAT, 02755))));
	assert_int_equal(px_mode(p, "d/g"), 02755);
	px_as_groups(p, STRANGER, ELSEWISE, extra, 1);
	works(px_close(p, (int)works(px_open(p, "d/h", O_WRONLY | O_CREAT, 02755))));
	assert_int_equal(px_mode(p, "d/h"), 02755);
}

/* user::7 user:MEMBER:rw group::7 mask::7 other::5, as the kernel hands it over. */
static void give_acl(struct px *p, const char *path)
{
	static const uint16_t rows[][2] = { { 1, 7 }, { 2, 6 }, { 4, 7 }, { 16, 7 }, { 32, 5 } };
	uint8_t acl[4 + N(rows) * 8] = { 2 };

	for (size_t i = 0; i < N(rows); i++) {
		uint8_t *row = acl + 4 + i * 8;

		memset(row, 0xff, 8);
		row[0] = (uint8_t)rows[i][0];
		row[2] = (uint8_t)rows[i][1];
		row[1] = row[3] = 0;
		if (rows[i][0] == 2) {
			memset(row + 4, 0, 4);
			row[4] = MEMBER & 0xff;
			row[5] = MEMBER >> 8;
		}
	}
	works(px_setxattr(p, path, "system.posix_acl_access", acl, sizeof(acl), 0));
}

static void an_acl_leaves_set_gid_to_members_only(struct px *p)
{
	static const gid_t extra[] = { GROUP };

	if (!px_can(p, PX_XATTR))
		return;
	px_file_for(p, "f", STRANGER, GROUP, 02775);
	px_as_groups(p, STRANGER, ELSEWISE, extra, 1);
	give_acl(p, "f");
	assert_int_equal(px_mode(p, "f"), 02775);
	px_as(p, STRANGER, ELSEWISE);
	give_acl(p, "f");
	assert_int_equal(px_mode(p, "f"), 0775);
}

/* Their inodes lie close together and stay where they are. */
static void files_with_many_names_get_acls(struct px *p)
{
	char name[16], other[16];

	if (!px_can(p, PX_XATTR))
		return;
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		snprintf(other, sizeof(other), "g%d", i);
		px_file(p, name, "", 0644);
		works(px_link(p, name, other));
	}
	for (int i = 0; i < 40; i++) {
		snprintf(other, sizeof(other), "g%d", i);
		give_acl(p, other);
		works(px_setxattr(p, other, "user.a", "value", 5, 0));
	}
}

static const struct px_case cases[] = {
	PX(twelve_bits_change_on_every_type),
	PX(chmod_follows_symlinks),
	PX(only_the_owner_and_root_change_modes),
	PX(chmod_by_descriptor_is_the_same),
	PX(set_gid_is_for_members),
	PX(root_gives_every_type_to_anybody),
	PX(chown_follows_symlinks_and_lchown_does_not),
	PX(owners_give_files_to_their_own_groups_only),
	PX(a_refused_chown_moves_no_time),
	PX(an_owners_chown_clears_set_id_bits),
	PX(roots_chown_clears_them_on_files),
	PX(a_write_by_anybody_but_root_clears_them),
	PX(set_gid_directories_hand_their_group_down),
	PX(a_file_made_there_keeps_set_gid_for_members_only),
	PX(an_acl_leaves_set_gid_to_members_only),
	PX(files_with_many_names_get_acls),
};

PX_SUITE(owners, cases);
