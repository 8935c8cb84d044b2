/* SPDX-License-Identifier: MIT */
/*
 * POSIX ACLs as extended attributes, judged beside a second opinion: what the standard says, word by
 * word, over lists made by chance.  A LibFS without ACLs refuses them.
 */
#include "suite.h"

#define ACCESS  "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 16, OTHER = 32 };

struct ace {
	unsigned tag, may;
	uint32_t id;
};

struct acl {
	struct ace v[16];
	size_t n;
	uint8_t bytes[4 + 16 * 8];
	size_t size;
};

static void add(struct acl *acl, unsigned tag, unsigned may, uint32_t id)
{
	uint8_t *p = acl->bytes + 4 + 8 * acl->n;

	acl->v[acl->n++] = (struct ace){ tag, may, id };
	memcpy(acl->bytes, "\2\0\0\0", 4);
	p[0] = (uint8_t)tag;
	p[1] = 0;
	p[2] = (uint8_t)may;
	p[3] = 0;
	for (unsigned i = 0; i < 4; i++)
		p[4 + i] = (uint8_t)(id >> 8 * i);
	acl->size = 4 + 8 * acl->n;
}

static const struct ace *one(const struct acl *acl, unsigned tag)
{
	for (size_t i = 0; i < acl->n; i++)
		if (acl->v[i].tag == tag)
			return &acl->v[i];
	return NULL;
}

/* Users 101 to 104, groups 201 to 204. */
static struct acl some_acl(uint64_t *seed)
{
	struct acl acl = { .n = 0 };
	unsigned users = chance(seed) % 3, groups = chance(seed) % 3;

	add(&acl, USER_OBJ, chance(seed) % 8, UINT32_MAX);
	for (unsigned i = 0; i < users; i++)
		add(&acl, USER, chance(seed) % 8, 101 + 2 * i + chance(seed) % 2);
	add(&acl, GROUP_OBJ, chance(seed) % 8, UINT32_MAX);
	for (unsigned i = 0; i < groups; i++)
		add(&acl, GROUP, chance(seed) % 8, 201 + 2 * i + chance(seed) % 2);
	if (users || groups || chance(seed) % 4 == 0)
		add(&acl, MASK, chance(seed) % 8, UINT32_MAX);
	add(&acl, OTHER, chance(seed) % 8, UINT32_MAX);
	return acl;
}

static bool is_in(const struct xn_cred *cred, uint32_t gid)
{
	for (uint32_t i = 0; i < cred->n_groups; i++)
		if (cred->groups[i] == gid)
			return true;
	return cred->gid == gid;
}

/* 1003.1e, 23.1.5: the file belongs to 100:200. */
static bool may(const struct acl *acl, const struct xn_cred *cred, unsigned want)
{
	unsigned most = one(acl, MASK) ? one(acl, MASK)->may : 7;
	bool member = false;

	if (cred->uid == 100)
		return (one(acl, USER_OBJ)->may & want) == want;
	for (size_t i = 0; i < acl->n; i++)
		if (acl->v[i].tag == USER && acl->v[i].id == cred->uid)
			return (acl->v[i].may & most & want) == want;
	for (size_t i = 0; i < acl->n; i++) {
		const struct ace *ace = &acl->v[i];

		if (!(ace->tag == GROUP_OBJ && is_in(cred, 200)) &&
		    !(ace->tag == GROUP && is_in(cred, ace->id)))
			continue;
		if ((ace->may & most & want) == want)
			return true;
		member = true;
	}
	return !member && (one(acl, OTHER)->may & want) == want;
}

static uint32_t mode_of(const struct acl *acl)
{
	const struct ace *group = one(acl, MASK) ? one(acl, MASK) : one(acl, GROUP_OBJ);

	return one(acl, USER_OBJ)->may << 6 | group->may << 3 | one(acl, OTHER)->may;
}

static int put(struct fx *fx, libfs_ino_t ino, const char *name, const struct acl *acl)
{
	return libfs_setxattr(fx->fs, fx_ctx(fx), ino, name, acl->bytes, acl->size, 0);
}

static void skip_without(struct fx *fx)
{
	struct acl acl = { .n = 0 };
	int err;

	add(&acl, USER_OBJ, 7, UINT32_MAX);
	add(&acl, GROUP_OBJ, 5, UINT32_MAX);
	add(&acl, OTHER, 5, UINT32_MAX);
	err = put(fx, FX_ROOT, ACCESS, &acl);
	if (err == -EOPNOTSUPP || err == -ENOSYS)
		skip();
	assert_ok(err);
}

static void ask_everybody(struct fx *fx, libfs_ino_t ino, const struct acl *acl, uint64_t *seed)
{
	for (uint32_t uid = 100; uid <= 105; uid++) {
		uint32_t gid = 199 + chance(seed) % 6;

		for (unsigned want = 1; want < 8; want++) {
			const struct libfs_ctx *ctx = fx_as(fx, uid, gid);
			int wanted = may(acl, ctx->cred, want) ? 0 : -EACCES;
			int got = libfs_access(fx->fs, ctx, ino, want);

			if (got != wanted)
				fail_msg("%u:%u may %u: %d, not %d", uid, gid, want, got, wanted);
		}
	}
}

static void a_list_says_who_may(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t ino = fx_create(fx, FX_ROOT, "f");
	uint64_t seed = 7;

	skip_without(fx);
	assert_ok(fx_chown(fx, ino, 100, 200));
	fx->user.cred.n_groups = 1;
	for (unsigned i = 0; i < 300; i++) {
		struct acl acl = some_acl(&seed);

		fx->user.cred.groups[0] = 200 + chance(&seed) % 6;
		assert_ok(put(fx, ino, ACCESS, &acl));
		assert_int_equal(fx_attr(fx, ino).mode & 0777, mode_of(&acl));
		ask_everybody(fx, ino, &acl, &seed);
		if (i % 50 == 0) {
			fx_remount(fx);
			ino = fx_find(fx, FX_ROOT, "f");
			ask_everybody(fx, ino, &acl, &seed);
		}
	}
	fx->user.cred.n_groups = 0;
}

/* chmod changes owner, mask (or the group) and others; a list no richer than a mode is none. */
static void a_mode_and_a_list_follow_each_other(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t ino = fx_create(fx, FX_ROOT, "f");
	uint8_t got[200];
	uint64_t seed = 8;

	skip_without(fx);
	for (unsigned i = 0; i < 200; i++) {
		struct acl acl = some_acl(&seed);
		uint32_t mode = (uint32_t)(chance(&seed) % 01000);
		ssize_t n;

		assert_ok(put(fx, ino, ACCESS, &acl));
		assert_ok(fx_chmod(fx, ino, mode));
		n = libfs_getxattr(fx->fs, fx_ctx(fx), ino, ACCESS, got, sizeof(got));
		if (acl.n == 3) {
			assert_int_equal(n, -ENODATA);
			continue;
		}
		assert_int_equal(n, acl.size);
		for (size_t k = 0; k < acl.n; k++) {
			unsigned tag = acl.v[k].tag, want = acl.v[k].may;

			if (tag == USER_OBJ)
				want = mode >> 6;
			else if (tag == OTHER)
				want = mode & 7;
			else if (tag == (one(&acl, MASK) ? MASK : GROUP_OBJ))
				want = mode >> 3 & 7;
			assert_int_equal(got[4 + 8 * k], tag);
			assert_int_equal(got[6 + 8 * k], want);
		}
	}
}

static void what_is_made_inherits(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	uint64_t seed = 9;
	uint8_t got[200];

	skip_without(fx);
	for (unsigned i = 0; i < 60; i++) {
		struct acl acl = some_acl(&seed);
		uint32_t mode = (uint32_t)(chance(&seed) % 01000);
		struct libfs_attr file, sub;
		char name[16];

		assert_ok(put(fx, dir, DEFAULT, &acl));
		snprintf(name, sizeof(name), "f%u", i);
		assert_ok(libfs_create(fx->fs, fx_ctx(fx), dir, name, mode, true, &file));
		assert_int_equal(file.mode & 0777, mode_of(&acl) & mode);
		snprintf(name, sizeof(name), "d%u", i);
		assert_ok(libfs_mkdir(fx->fs, fx_ctx(fx), dir, name, mode, &sub));
		assert_int_equal(sub.mode & 0777, mode_of(&acl) & mode);
		assert_int_equal(
			libfs_getxattr(fx->fs, fx_ctx(fx), sub.ino, DEFAULT, got, sizeof(got)),
			acl.size);
		assert_memory_equal(got, acl.bytes, acl.size);
		assert_int_equal(
			libfs_getxattr(fx->fs, fx_ctx(fx), file.ino, DEFAULT, got, sizeof(got)),
			-ENODATA);
	}
}

static void lists_that_make_no_sense_are_refused(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t ino = fx_create(fx, FX_ROOT, "f");
	uint32_t mode;
	uint64_t seed = 10;

	skip_without(fx);
	mode = fx_attr(fx, ino).mode;
	for (unsigned i = 0; i < 400; i++) {
		struct acl acl = some_acl(&seed);
		size_t k = chance(&seed) % acl.n;

		switch (i % 8) {
		case 0: acl.size -= 1 + chance(&seed) % 7; break;
		case 1: acl.bytes[chance(&seed) % 4] ^= 0x40; break;
		case 2: acl.bytes[4 + 8 * k] = 3; break;     /* two tags at once */
		case 3: acl.bytes[4 + 8 * k + 2] = 8; break; /* more than rwx */
		case 4: acl.bytes[4 + 8 * k + 3] = 1; break;
		case 5: acl.bytes[4] = OTHER; break; /* out of order */
		case 6: acl.size = 4; break;         /* nothing in it */
		case 7: acl.size -= 8; break;        /* without others */
		}
		if (i % 8 == 6) /* an empty list stands for none at all */
			continue;
		assert_refused(put(fx, ino, ACCESS, &acl), -EINVAL);
	}
	assert_int_equal(fx_attr(fx, ino).mode, mode);
	assert_refused(put(fx, ino, DEFAULT, &(struct acl){ .size = 4, .bytes = { 2 } }), -EACCES);
}

static const struct CMUnitTest cases[] = {
	CASE(a_list_says_who_may),
	CASE(a_mode_and_a_list_follow_each_other),
	CASE(what_is_made_inherits),
	CASE(lists_that_make_no_sense_are_refused),
};

SUITE(acls_suite, cases);
