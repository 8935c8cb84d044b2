/* SPDX-License-Identifier: MIT */
/*
 * C-FFS: directories, names, and who may do what by XN's own word.
 */
#include "fs_fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

#define CASE(function) cmocka_unit_test_setup_teardown(function, fx_setup, fx_teardown)

/* A second C-FFS on the disk, made with options of its own, in place of the first. */
static struct libfs *given_root(struct fx *fx, const char *options, uint32_t uid)
{
	struct libfs_mkfs_opts mkfs = {
		.root = "own", .options = options, .uid = uid, .now = fx_ctx(fx)->now
	};
	struct libfs_mount_opts mount = { .root = "own" };
	struct libfs *first = fx->fs;

	assert_ok(libfs_mkfs(fx->session, "cffs", &mkfs));
	assert_ok(libfs_mount(fx->session, &mount, &fx->fs));
	return first;
}

static void back_to(struct fx *fx, struct libfs *first)
{
	assert_ok(libfs_unmount(fx->fs));
	fx->fs = first;
}

static void without_embedding_names_are_links_and_all_else_is_the_same(void **state)
{
	struct fx *fx = *state;
	struct libfs *first = given_root(fx, "no-embed,no-group", 0);
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d");
	char name[32];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		fx_forget(fx, fx_file(fx, d, name, name));
	}
	assert_ok(fx_rename(fx, d, "file-1", FX_ROOT, "out"));
	assert_ok(fx_rename(fx, d, "file-2", d, "file-3"));
	assert_ok(fx_link(fx, fx_find(fx, d, "file-4"), FX_ROOT, "second"));
	assert_int_equal(fx_nlink(fx, fx_find(fx, FX_ROOT, "second")), 2);
	assert_content(fx, fx_find(fx, d, "file-3"), "file-2", 6);
	assert_ok(libfs_sync(fx->fs));
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "file-%d", i);
		assert_int_equal(fx_unlink(fx, d, name), i == 1 || i == 2 ? -ENOENT : 0);
	}
	assert_content(fx, fx_find(fx, FX_ROOT, "second"), "file-4", 6);
	assert_ok(fx_rmdir(fx, FX_ROOT, "d"));
	back_to(fx, first);
}

static void mkfs_refuses_options_that_it_does_not_know(void **state)
{
	struct fx *fx = *state;
	static const char *const wrong[] = { "embed", "no-embed,", "inline=161", "inline=x" };
	char why[128] = "";
	struct libfs_mkfs_opts mkfs = { .root = "own", .why = why, .why_size = sizeof(why) };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (i == 1)
			continue; /* a comma at the end does no harm */
		mkfs.options = wrong[i];
		assert_refused(libfs_mkfs(fx->session, "cffs", &mkfs), -EINVAL);
		assert_non_null(strstr(why, "no-embed"));
	}
}

/* ---- directories ---- */

static void a_directory_shrinks_when_its_names_go(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d");
	uint64_t full;
	char name[32];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		fx_forget(fx, fx_create(fx, d, name));
	}
	assert_int_equal(fx_count(fx, d), 3000);
	full = fx_attr(fx, d).blocks;
	for (int i = 100; i < 3000; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		assert_ok(fx_unlink(fx, d, name));
	}
	assert_ok(libfs_sync(fx->fs));
	assert_true(fx_attr(fx, d).blocks < full / 10);
	assert_int_equal(fx_count(fx, d), 100);
	fx_remount(fx);
	assert_int_equal(fx_count(fx, fx_find(fx, FX_ROOT, "d")), 100);
}

/* Blocks that are cut off may have left the cache: XN asks the template of what is freed. */
static void a_directory_shrinks_when_its_blocks_left_the_cache(void **state)
{
	static char piece[256 << 10];
	struct fx *fx = fx_new(&(struct fx_opts){ .libfs = "cffs", .cache = 1 << 20 });
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), big;
	char name[32];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		fx_forget(fx, fx_create(fx, d, name));
	}
	assert_ok(libfs_sync(fx->fs));
	for (int i = 10; i < 2000; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		assert_ok(fx_unlink(fx, d, name));
	}
	big = fx_create(fx, FX_ROOT, "big");
	for (uint64_t at = 0; at < 16; at++)
		fx_write(fx, big, at * sizeof(piece), piece, sizeof(piece));
	assert_ok(libfs_sync(fx->fs));
	assert_int_equal(fx_count(fx, d), 10);
	fx_fini(fx);
}

/* Whatever happens meanwhile: what was there all the time is seen once. */
static void a_reader_sees_once_what_stays(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d");
	struct libfs_dirent entry;
	uint64_t cookie = 0;
	unsigned seen[200] = { 0 }, turn = 0;
	char name[32];

	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "%s-%d", i % 2 ? "goes" : "stays", i / 2);
		fx_forget(fx, fx_create(fx, d, name));
	}
	while (libfs_readdir(fx->fs, fx_ctx(fx), d, cookie, 0, &entry, 1) > 0) {
		unsigned i;

		cookie = entry.cookie;
		if (sscanf(entry.name, "stays-%u", &i) == 1 && i < 200)
			seen[i]++;
		snprintf(name, sizeof(name), "goes-%u", turn % 200);
		(void)fx_unlink(fx, d, name);
		snprintf(name, sizeof(name), "a-new-and-longer-name-%u", turn++);
		fx_forget(fx, fx_create(fx, d, name));
		if (turn > 5000)
			break;
	}
	for (int i = 0; i < 200; i++)
		assert_int_equal(seen[i], 1);
}

static void a_number_finds_its_file_after_a_remount(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), e = fx_mkdir(fx, d, "e");
	libfs_ino_t f = fx_file(fx, e, "f", "found");
	struct libfs_attr was = fx_attr(fx, f), now;

	fx_remount(fx);
	assert_refused(libfs_find(fx->fs, f, was.generation + 1, &now), -ESTALE);
	assert_refused(libfs_find(fx->fs, f + 1000000, was.generation, &now), -ESTALE);
	assert_ok(libfs_find(fx->fs, f, was.generation, &now));
	assert_content(fx, f, "found", 5);
	assert_ok(fx_unlink(fx, e, "f"));
	fx_forget(fx, f);
	fx_remount(fx);
	assert_refused(libfs_find(fx->fs, f, was.generation, &now), -ESTALE);
}

static void numbers_are_not_used_twice_by_mounts_in_one_opening(void **state)
{
	struct fx *fx = *state;
	struct libfs_mount_opts mount = { .root = "test" };
	libfs_ino_t first = fx_create(fx, FX_ROOT, "first"), second;

	fx_forget(fx, first);
	assert_ok(fx_unlink(fx, FX_ROOT, "first"));
	assert_ok(libfs_unmount(fx->fs));
	assert_ok(libfs_mount(fx->session, &mount, &fx->fs));
	second = fx_create(fx, FX_ROOT, "second");
	assert_true(second > first);
}

/* The inode of a file with one name lies at that name, whatever it was before. */
static void the_last_name_gets_its_inode_back(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), f = fx_file(fx, d, "f", "content");
	struct libfs_attr was = fx_attr(fx, f);
	uint64_t before;

	fx_create(fx, FX_ROOT, "other");
	fx_settle(fx);
	before = fx_free_blocks(fx);
	assert_ok(fx_link(fx, f, FX_ROOT, "g"));
	assert_ok(fx_unlink(fx, d, "f"));
	fx_settle(fx);
	assert_true(fx_free_blocks(fx) < before); /* where inodes with several names lie */
	assert_int_equal(fx_find(fx, FX_ROOT, "g"), f);
	fx_settle(fx);
	assert_int_equal(fx_free_blocks(fx), before);
	assert_content(fx, f, "content", 7);
	assert_int_equal(fx_attr(fx, f).generation, was.generation);
	fx_remount(fx);
	assert_content(fx, fx_find(fx, FX_ROOT, "g"), "content", 7);
}

/* ---- attributes that do not fit the entry ---- */

static void attributes_of_any_size_come_back(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "data");
	static char big[40000], got[40000];
	uint64_t before;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 31 + i / 256);
	assert_ok(libfs_setxattr(fx->fs, fx_ctx(fx), f, "user.small", "s", 1, 0));
	fx_settle(fx);
	before = fx_free_blocks(fx);
	assert_ok(libfs_setxattr(fx->fs, fx_ctx(fx), f, "user.big", big, sizeof(big), 0));
	assert_refused(libfs_setxattr(fx->fs, fx_ctx(fx), f, "user.big", "", 0, LIBFS_XATTR_CREATE),
		       -EEXIST);
	fx_remount(fx);
	assert_int_equal(libfs_getxattr(fx->fs, fx_ctx(fx), f, "user.big", got, sizeof(got)),
			 sizeof(big));
	assert_memory_equal(big, got, sizeof(big));
	assert_int_equal(libfs_getxattr(fx->fs, fx_ctx(fx), f, "user.small", got, sizeof(got)), 1);
	assert_content(fx, f, "data", 4);
	assert_ok(libfs_removexattr(fx->fs, fx_ctx(fx), f, "user.big"));
	fx_settle(fx);
	assert_int_equal(fx_free_blocks(fx), before);
}

/* ---- XN's word: acl ---- */

struct other {
	struct xn_session *session;
	xn_blk_t root, dir;
	xn_binding_t binding;
	uint32_t dir_type;
};

/* User 1000, whose root and top directory it is, gets at the top directory's block. */
static void given_other(struct fx *fx, struct other *o)
{
	struct xn_cred cred = { .uid = 1000, .gid = 1000 };
	struct xn_root_info info;
	xn_binding_t root;
	const void *bytes;
	struct cffs_entry entry;
	uint32_t at = 0;
	size_t len;
	struct xn_bind_request request = { .access = XN_READ | XN_WRITE | XN_READIN,
					   .record = CFFS_INO_ROOT };

	assert_ok(xn_root_find(fx->xn, "own", &info));
	o->dir_type = info.type;
	assert_ok(xn_session_open(fx->xn, &cred, 0, &o->session));
	assert_ok(xn_bind_root(o->session, "own", XN_READ | XN_WRITE | XN_READIN, &root, &o->root));
	assert_ok(xn_map(o->session, root, &bytes, &len));
	assert_true(cffs_sector_next((const uint8_t *)bytes + CFFS_INO_ROOT * CFFS_SECTOR, &at,
				     &entry));
	o->dir = entry.b.slot[0].start;
	request.owner = o->root;
	request.extent = (struct xn_extent){ .start = o->dir, .count = 1, .type = o->dir_type };
	assert_ok(xn_bind(o->session, &request, &o->binding));
}

/* The sector of the top directory with that name, and its entry. */
static uint32_t given_entry(struct other *o, const char *name, uint8_t sector[CFFS_SECTOR],
			    uint32_t *at, struct cffs_entry *entry)
{
	const void *bytes;
	size_t len;

	assert_ok(xn_map(o->session, o->binding, &bytes, &len));
	for (uint32_t s = 0; s < CFFS_SECTORS; s++) {
		memcpy(sector, (const uint8_t *)bytes + s * CFFS_SECTOR, CFFS_SECTOR);
		*at = cffs_sector_find_name(sector, name, (uint8_t)strlen(name));
		if (!*at)
			continue;
		cffs_entry_decode(sector, *at, entry);
		return s;
	}
	fail();
	return 0;
}

static int change_sector(struct other *o, uint32_t s, uint8_t sector[CFFS_SECTOR])
{
	struct xn_edit edit = { .object = o->dir, .offset = s * CFFS_SECTOR, .len = CFFS_SECTOR };
	struct xn_update update = { .edits = &edit, .n_edits = 1 };

	cffs_sector_seal(sector);
	edit.bytes = sector;
	return xn_update(o->session, &update);
}

static void xn_itself_keeps_others_from_what_is_not_theirs(void **state)
{
	struct fx *fx = *state;
	struct libfs *first = given_root(fx, NULL, 1000);
	char page[4000] = "secret";
	libfs_ino_t f = fx_create(fx, FX_ROOT, "private");
	struct xn_bind_request request = { .access = XN_READ };
	uint8_t sector[CFFS_SECTOR];
	struct cffs_entry entry;
	struct other o;
	xn_binding_t b;
	uint32_t s, at;

	fx_write(fx, f, 0, page, sizeof(page));
	assert_ok(fx_chmod(fx, f, 0600));
	assert_ok(libfs_sync(fx->fs));
	given_other(fx, &o);
	s = given_entry(&o, "private", sector, &at, &entry);
	request.owner = o.dir;
	request.record = s;
	request.extent = (struct xn_extent){ .start = entry.b.slot[0].start, .count = 1 };
	assert_refused(xn_bind(o.session, &request, &b), XN_EACL);
	entry.a.mode |= 0004; /* not the owner's hand */
	assert_true(cffs_sector_replace(sector, at, &entry));
	assert_refused(change_sector(&o, s, sector), XN_EACL);
	entry.a.mode &= ~0004u;
	entry.a.uid = 1000;
	assert_true(cffs_sector_replace(sector, at, &entry));
	assert_refused(change_sector(&o, s, sector), XN_EACL);
	assert_ok(fx_chmod(fx, f, 0644));
	assert_ok(libfs_sync(fx->fs));
	assert_ok(xn_bind(o.session, &request, &b));
	request.access = XN_WRITE;
	assert_refused(xn_bind(o.session, &request, &b), XN_EACL);
	xn_session_close(o.session);
	back_to(fx, first);
}

static void an_entry_that_makes_no_sense_is_refused(void **state)
{
	struct fx *fx = *state;
	struct libfs *first = given_root(fx, NULL, 1000);
	uint8_t sector[CFFS_SECTOR];
	struct cffs_entry entry;
	struct other o;
	uint32_t s, at;

	fx_create(fx, FX_ROOT, "f");
	assert_ok(libfs_sync(fx->fs));
	given_other(fx, &o);
	s = given_entry(&o, "f", sector, &at, &entry);
	sector[at + CFFS_E_N_SLOTS] = CFFS_SLOTS_MAX + 1;
	assert_refused(change_sector(&o, s, sector), XN_EFAULT);
	given_entry(&o, "f", sector, &at, &entry);
	sector[at + CFFS_E_NAME_LEN] = 200;
	assert_refused(change_sector(&o, s, sector), XN_EFAULT);
	given_entry(&o, "f", sector, &at, &entry);
	sector[at] = 0;
	assert_refused(change_sector(&o, s, sector), XN_EFAULT);
	xn_session_close(o.session);
	back_to(fx, first);
}

/* ---- the format ---- */

static void every_sector_that_lost_a_bit_is_noticed(void **state)
{
	uint8_t sector[CFFS_SECTOR] = { 0 };
	struct cffs_entry entry = {
		.kind = CFFS_KIND_LINK, .name = "a-name", .name_len = 6, .link_ino = 77
	};

	(void)state;
	assert_int_equal(cffs_sector_check(sector), 0);
	cffs_sector_init(sector, 5, 8);
	assert_true(cffs_sector_add(sector, &entry));
	cffs_sector_seal(sector);
	assert_int_equal(cffs_sector_check(sector), 0);
	for (unsigned bit = 0; bit < CFFS_SECTOR * 8; bit++) {
		sector[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(cffs_sector_check(sector), 0);
		sector[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void entries_come_back_as_they_were(void **state)
{
	static const char name[] = "0123456789abcdef";
	struct cffs_entry in = { .kind = CFFS_KIND_INODE, .slot = 3, .name = name, .name_len = 16 };
	uint8_t sector[CFFS_SECTOR] = { 0 };
	struct cffs_entry out;
	uint32_t at = 0;

	(void)state;
	in.a = (struct cffs_attr){ .ino = 1ull << 40 | 9,
				   .generation = 7,
				   .mode = 0100644,
				   .uid = 70000,
				   .gid = 80000,
				   .nlink = 1,
				   .mtime = { 7000000000, 123456789 },
				   .atime = { -5, 999999999 } };
	in.b = (struct cffs_body){ .size = 1ull << 43, .blocks = 99, .n_slots = 2 };
	in.b.slot[1] = (struct cffs_slot){ 1ull << 47, (1ull << 40) - 5, 4, CFFS_CLASS_UNWR };
	cffs_sector_init(sector, 1, 1);
	assert_true(cffs_sector_add(sector, &in));
	cffs_sector_seal(sector);
	assert_int_equal(cffs_sector_check(sector), 0);
	assert_true(cffs_sector_next(sector, &at, &out));
	assert_memory_equal(&in.a, &out.a, sizeof(in.a));
	assert_memory_equal(&in.b.slot, &out.b.slot, 2 * sizeof(struct cffs_slot));
	assert_true(out.b.size == in.b.size && out.b.blocks == 99 && out.slot == 3);
	assert_int_equal(out.name_len, 16);
	assert_memory_equal(out.name, name, 16);
	assert_false(cffs_sector_next(sector, &at, &out));
}

/* ---- files without a name ---- */

static libfs_ino_t unnamed_file(struct fx *fx, libfs_ino_t dir, const char *content)
{
	struct libfs_attr a;

	assert_ok(libfs_tmpfile(fx->fs, fx_ctx(fx), dir, 0640, &a));
	assert_int_equal(a.nlink, 0);
	assert_int_equal(a.mode, S_IFREG | 0640);
	fx_write(fx, a.ino, 0, content, strlen(content));
	return a.ino;
}

static void a_file_without_a_name_may_get_one(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), one, two;
	static char large[100000];

	memset(large, 'x', sizeof(large) - 1);
	one = unnamed_file(fx, d, "small");
	two = unnamed_file(fx, d, large);
	assert_names(fx, d, "");
	assert_int_equal(fx_link(fx, one, FX_ROOT, "d"), -EEXIST);
	assert_ok(fx_link(fx, one, d, "one"));
	assert_int_equal(fx_nlink(fx, one), 1);
	assert_ok(libfs_sync(fx->fs));
	assert_ok(fx_link(fx, two, d, "two"));
	assert_ok(fx_link(fx, two, FX_ROOT, "second"));
	assert_ok(fx_unlink(fx, d, "one"));
	/* Who had a name, and lost it, gets none. */
	assert_int_equal(fx_link(fx, one, d, "one"), -ENOENT);
	fx_remount(fx);
	d = fx_find(fx, FX_ROOT, "d");
	assert_names(fx, d, "two");
	assert_content(fx, fx_find(fx, FX_ROOT, "second"), large, sizeof(large) - 1);
}

static void a_file_without_a_name_goes_with_its_last_user(void **state)
{
	struct fx *fx = *state;
	uint64_t before;
	static char large[200000];

	memset(large, 'y', sizeof(large) - 1);
	fx_forget(fx, unnamed_file(fx, FX_ROOT, large));
	fx_settle(fx);
	before = fx_free_blocks(fx);
	fx_forget(fx, unnamed_file(fx, FX_ROOT, large));
	fx_settle(fx);
	assert_int_equal(fx_free_blocks(fx), before);
	/* A crash frees it, too. */
	unnamed_file(fx, FX_ROOT, large);
	assert_ok(libfs_sync(fx->fs));
	fx_crash(fx, false);
	fx_settle(fx);
	assert_int_equal(fx_free_blocks(fx), before);
	assert_int_equal(libfs_tmpfile(fx->fs, fx_as(fx, 1000, 1000), FX_ROOT, 0600,
				       &(struct libfs_attr){ 0 }),
			 -EACCES);
}

/* ---- memory ---- */

/* Names that the host should forget, until there are no more; it does not, or does. */
static size_t surplus(struct fx *fx, bool obey)
{
	struct libfs_surplus names[16];
	size_t total = 0;
	ssize_t n;

	while (total < 4000 && (n = libfs_surplus(fx->fs, names, 16)) > 0) {
		total += (size_t)n;
		for (ssize_t i = 0; obey && i < n; i++) {
			libfs_ino_t ino = fx_find(fx, names[i].dir, names[i].name);

			fx_forget(fx, ino); /* what was looked up just now */
			fx_forget(fx, ino);
		}
	}
	return total;
}

static void what_is_too_much_is_offered_to_the_host(void **state)
{
	struct fx *fx = *state;
	struct libfs_mount_opts mount = { .root = "test", .options = "inodes=1024" };
	libfs_ino_t d;
	char name[32], why[128];

	assert_ok(libfs_unmount(fx->fs));
	mount.options = "inodes=1023";
	mount.why = why;
	mount.why_size = sizeof(why);
	assert_refused(libfs_mount(fx->session, &mount, &fx->fs), -EINVAL);
	assert_non_null(strstr(why, "inodes=N"));
	mount.options = "inodes=1024,delayed";
	assert_ok(libfs_mount(fx->session, &mount, &fx->fs));
	d = fx_mkdir(fx, FX_ROOT, "d");
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		fx_create(fx, d, name);
	}
	/* Who does not obey is asked for one after the other, again and again. */
	assert_true(surplus(fx, false) >= 4000);
	assert_in_range(surplus(fx, true), 1900, 3000);
	assert_int_equal(surplus(fx, true), 0);
	assert_int_equal(fx_count(fx, d), 3000);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		CASE(without_embedding_names_are_links_and_all_else_is_the_same),
		CASE(mkfs_refuses_options_that_it_does_not_know),
		CASE(a_directory_shrinks_when_its_names_go),
		CASE(a_reader_sees_once_what_stays),
		CASE(a_number_finds_its_file_after_a_remount),
		CASE(numbers_are_not_used_twice_by_mounts_in_one_opening),
		CASE(the_last_name_gets_its_inode_back),
		CASE(attributes_of_any_size_come_back),
		CASE(xn_itself_keeps_others_from_what_is_not_theirs),
		CASE(an_entry_that_makes_no_sense_is_refused),
		CASE(a_file_without_a_name_may_get_one),
		CASE(a_file_without_a_name_goes_with_its_last_user),
		CASE(what_is_too_much_is_offered_to_the_host),
		cmocka_unit_test(a_directory_shrinks_when_its_blocks_left_the_cache),
		cmocka_unit_test(every_sector_that_lost_a_bit_is_noticed),
		cmocka_unit_test(entries_come_back_as_they_were),
	};

	for (size_t i = 0; i + 3 < sizeof(tests) / sizeof(tests[0]); i++)
		tests[i].initial_state = (void *)(uintptr_t) "cffs";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
