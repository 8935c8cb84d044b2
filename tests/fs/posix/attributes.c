/* SPDX-License-Identifier: MIT */
/* Extended attributes; a LibFS without them says so to every call. */
#include "px.h"

#include <sys/xattr.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static void without_them_every_call_says_so(struct px *p)
{
	char value[8];

	if (px_can(p, PX_XATTR))
		return;
	px_file(p, "f", "", 0644);
	refused(px_setxattr(p, "f", "user.a", "1", 1, 0), EOPNOTSUPP);
	refused(px_getxattr(p, "f", "user.a", value, 8), EOPNOTSUPP);
	refused(px_removexattr(p, "f", "user.a"), EOPNOTSUPP);
}

static bool can(struct px *p)
{
	if (px_can(p, PX_XATTR))
		px_file(p, "f", "content", 0644);
	return px_can(p, PX_XATTR);
}

static void has(struct px *p, const char *path, const char *name, const char *value)
{
	char got[256];

	assert_int_equal(px_getxattr(p, path, name, got, sizeof(got)), strlen(value));
	assert_memory_equal(got, value, strlen(value));
}

static void set(struct px *p, const char *path, const char *name, const char *value)
{
	works(px_setxattr(p, path, name, value, strlen(value), 0));
}

static void what_is_set_is_got(struct px *p)
{
	if (!can(p))
		return;
	works(px_mkdir(p, "d", 0755));
	set(p, "f", "user.a", "one");
	set(p, "f", "user.b", "");
	set(p, "d", "user.a", "of the directory");
	has(p, "f", "user.a", "one");
	has(p, "f", "user.b", "");
	has(p, "d", "user.a", "of the directory");
	set(p, "f", "user.a", "a longer value than before");
	has(p, "f", "user.a", "a longer value than before");
	set(p, "f", "user.a", "short");
	has(p, "f", "user.a", "short");
	px_holds(p, "f", "content");
}

static void create_and_replace_insist(struct px *p)
{
	if (!can(p))
		return;
	refused(px_setxattr(p, "f", "user.a", "1", 1, XATTR_REPLACE), ENODATA);
	works(px_setxattr(p, "f", "user.a", "1", 1, XATTR_CREATE));
	refused(px_setxattr(p, "f", "user.a", "2", 1, XATTR_CREATE), EEXIST);
	has(p, "f", "user.a", "1");
	works(px_setxattr(p, "f", "user.a", "3", 1, XATTR_REPLACE));
	has(p, "f", "user.a", "3");
}

static void what_is_removed_is_gone(struct px *p)
{
	char value[8];

	if (!can(p))
		return;
	set(p, "f", "user.a", "1");
	set(p, "f", "user.b", "2");
	works(px_removexattr(p, "f", "user.a"));
	refused(px_getxattr(p, "f", "user.a", value, 8), ENODATA);
	refused(px_removexattr(p, "f", "user.a"), ENODATA);
	has(p, "f", "user.b", "2");
	works(px_removexattr(p, "f", "user.b"));
	assert_int_equal(px_listxattr(p, "f", NULL, 0), 0);
}

static void a_buffer_that_is_too_small_is_refused(struct px *p)
{
	char value[8];

	if (!can(p))
		return;
	set(p, "f", "user.a", "0123456789");
	assert_int_equal(px_getxattr(p, "f", "user.a", NULL, 0), 10);
	refused(px_getxattr(p, "f", "user.a", value, 8), ERANGE);
	assert_true(px_listxattr(p, "f", NULL, 0) >= 7);
	refused(px_listxattr(p, "f", value, 3), ERANGE);
}

static void all_names_are_listed(struct px *p)
{
	char list[4096], name[32];
	ssize_t len;
	unsigned found = 0;

	if (!can(p))
		return;
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user.name%d", i);
		set(p, "f", name, name);
	}
	len = works(px_listxattr(p, "f", list, sizeof(list)));
	for (char *at = list; at < list + len; at += strlen(at) + 1)
		found += strncmp(at, "user.name", 9) == 0;
	assert_int_equal(found, 20);
	assert_int_equal(px_listxattr(p, "f", NULL, 0), len);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user.name%d", i);
		has(p, "f", name, name);
	}
}

static void values_are_any_bytes(struct px *p)
{
	unsigned char value[256], got[256];

	if (!can(p))
		return;
	for (int i = 0; i < 256; i++)
		value[i] = (unsigned char)(255 - i);
	works(px_setxattr(p, "f", "user.bytes", value, 256, 0));
	assert_int_equal(px_getxattr(p, "f", "user.bytes", got, 256), 256);
	assert_memory_equal(got, value, 256);
}

static void names_may_have_255_bytes(struct px *p)
{
	char name[300] = "user.";

	if (!can(p))
		return;
	px_long(name + 5, 250, 'n');
	set(p, "f", name, "1");
	has(p, "f", name, "1");
	works(px_removexattr(p, "f", name));
	px_long(name + 5, 251, 'n');
	refused(px_setxattr(p, "f", name, "1", 1, 0), ERANGE);
}

static void setting_moves_the_change_time(struct px *p)
{
	struct stat before, after;

	if (!can(p))
		return;
	before = px_status(p, "f");
	px_tick(p);
	set(p, "f", "user.a", "1");
	after = px_status(p, "f");
	assert_int_equal(px_moved(&before, &after), C);
	before = after;
	px_tick(p);
	has(p, "f", "user.a", "1");
	after = px_status(p, "f");
	assert_int_equal(px_moved(&before, &after), 0);
	works(px_removexattr(p, "f", "user.a"));
	after = px_status(p, "f");
	assert_int_equal(px_moved(&before, &after), C);
}

static void they_stay_with_the_file(struct px *p)
{
	if (!can(p))
		return;
	works(px_mkdir(p, "d", 0755));
	set(p, "f", "user.a", "one");
	set(p, "d", "user.d", "two");
	works(px_link(p, "f", "g"));
	has(p, "g", "user.a", "one");
	works(px_rename(p, "f", "d/f"));
	works(px_unlink(p, "g"));
	works(px_truncate(p, "d/f", 0));
	px_readonly(p, true);
	has(p, "d/f", "user.a", "one");
	has(p, "d", "user.d", "two");
	px_readonly(p, false);
	works(px_unlink(p, "d/f"));
	px_file(p, "d/f", "", 0644);
	assert_int_equal(px_listxattr(p, "d/f", NULL, 0), 0);
}

static void user_attributes_follow_the_mode(struct px *p)
{
	char value[8];

	if (!can(p))
		return;
	set(p, "f", "user.a", "1");
	works(px_chown(p, "f", OWNER, GROUP));
	works(px_chmod(p, "f", 0640));
	px_as(p, MEMBER, GROUP);
	has(p, "f", "user.a", "1");
	refused(px_setxattr(p, "f", "user.a", "2", 1, 0), EACCES);
	refused(px_removexattr(p, "f", "user.a"), EACCES);
	px_as(p, STRANGER, ELSEWISE);
	refused(px_getxattr(p, "f", "user.a", value, 8), EACCES);
	refused(px_setxattr(p, "f", "user.a", "2", 1, 0), EACCES);
	px_as_root(p);
	works(px_chmod(p, "f", 0666));
	px_as(p, STRANGER, ELSEWISE);
	set(p, "f", "user.a", "3");
}

static void user_attributes_are_for_files_and_directories(struct px *p)
{
	if (!can(p))
		return;
	px_make(p, "fifo", "q");
	px_make(p, "char", "c");
	refused(px_setxattr(p, "q", "user.a", "1", 1, 0), EPERM);
	refused(px_setxattr(p, "c", "user.a", "1", 1, 0), EPERM);
}

static void trusted_attributes_are_roots(struct px *p)
{
	char value[8];

	if (!can(p))
		return;
	set(p, "f", "trusted.a", "1");
	has(p, "f", "trusted.a", "1");
	works(px_chown(p, "f", OWNER, GROUP));
	px_as(p, OWNER, GROUP);
	refused(px_setxattr(p, "f", "trusted.a", "2", 1, 0), EPERM);
	refused(px_getxattr(p, "f", "trusted.a", value, 8), ENODATA);
}

static void unknown_kinds_are_refused(struct px *p)
{
	if (!can(p))
		return;
	refused(px_setxattr(p, "f", "nokind", "1", 1, 0), EOPNOTSUPP);
	refused(px_setxattr(p, "f", "strange.a", "1", 1, 0), EOPNOTSUPP);
}

static void many_and_big_ones_work_or_are_refused_whole(struct px *p)
{
	char *value = malloc(70000), *got = malloc(70000), name[32];
	static const size_t lens[] = { 100, 400, 1000, 2000, 3900, 10000, 60000, 65536 };

	if (!can(p)) {
		free(value);
		free(got);
		return;
	}
	memset(value, 'v', 70000);
	for (size_t i = 0; i < N(lens); i++) {
		int err;

		snprintf(name, sizeof(name), "user.big%zu", i);
		err = px_setxattr(p, "f", name, value, lens[i], 0);
		if (err == -ENOSPC) {
			refused(px_getxattr(p, "f", name, got, 70000), ENODATA);
			assert_true(lens[i] > 100);
			continue;
		}
		works(err);
		assert_int_equal(px_getxattr(p, "f", name, got, 70000), lens[i]);
		assert_memory_equal(got, value, lens[i]);
	}
	refused(px_setxattr(p, "f", "user.huge", value, 65537, 0), E2BIG);
	px_holds(p, "f", "content");
	free(value);
	free(got);
}

static const struct px_case cases[] = {
	PX(without_them_every_call_says_so),
	PX(what_is_set_is_got),
	PX(create_and_replace_insist),
	PX(what_is_removed_is_gone),
	PX(a_buffer_that_is_too_small_is_refused),
	PX(all_names_are_listed),
	PX(values_are_any_bytes),
	PX(names_may_have_255_bytes),
	PX(setting_moves_the_change_time),
	PX(they_stay_with_the_file),
	PX(user_attributes_follow_the_mode),
	PX(user_attributes_are_for_files_and_directories),
	PX(trusted_attributes_are_roots),
	PX(unknown_kinds_are_refused),
	PX(many_and_big_ones_work_or_are_refused_whole),
};

PX_SUITE(attributes, cases);
