/* SPDX-License-Identifier: MIT */
/* Names: lookup, create, mkdir, mknod, symlink, link, unlink, rmdir, readdir. */
#include "suite.h"

#include <dirent.h>

static char *name_of(size_t len)
{
	char *name = malloc(len + 1);

	assert_non_null(name);
	memset(name, 'n', len);
	name[len] = '\0';
	return name;
}

static void a_new_file_system_has_an_empty_root_directory(void **state)
{
	struct fx *fx = *state;
	struct libfs_attr attr = fx_attr(fx, FX_ROOT);

	assert_names(fx, FX_ROOT, "");
	assert_int_equal(attr.ino, FX_ROOT);
	assert_int_equal(attr.mode, S_IFDIR | 0755);
	assert_int_equal(attr.nlink, 2);
}

static void what_was_created_can_be_looked_up(void **state)
{
	struct fx *fx = *state;
	struct libfs_attr made, found;

	assert_ok(libfs_create(fx->fs, fx_ctx(fx), FX_ROOT, "f", 0640, true, &made));
	assert_ok(libfs_lookup(fx->fs, fx_ctx(fx), FX_ROOT, "f", &found));
	assert_int_equal(found.ino, made.ino);
	assert_int_equal(found.generation, made.generation);
	assert_int_equal(found.mode, S_IFREG | 0640);
	assert_int_equal(found.nlink, 1);
	assert_int_equal(found.size, 0);
	assert_int_equal(found.blocks, 0);
}

/* Every operation that takes a name, and every name that is none. */
static void names_that_are_none_are_refused(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t file = fx_create(fx, FX_ROOT, "file");
	char *too_long = name_of(256), *longest = name_of(255);
	const struct {
		const char *name;
		int lookup, make, unlink, rmdir, rename;
	} rows[] = {
		{ "", -ENOENT, -ENOENT, -ENOENT, -ENOENT, -ENOENT },
		{ "a/b", -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL },
		{ "/", -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL },
		{ too_long, -ENAMETOOLONG, -ENAMETOOLONG, -ENAMETOOLONG, -ENAMETOOLONG,
		  -ENAMETOOLONG },
		{ ".", 0, -EEXIST, -EISDIR, -EINVAL, -EBUSY },
		{ "..", 0, -EEXIST, -EISDIR, -ENOTEMPTY, -EBUSY },
		{ "absent", -ENOENT, 1, -ENOENT, -ENOENT, -ENOENT },
		{ longest, -ENOENT, 1, -ENOENT, -ENOENT, -ENOENT },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *name = rows[i].name;
		struct libfs_attr a;

		assert_refused(fx_lookup(fx, FX_ROOT, name), rows[i].lookup);
		assert_refused(fx_unlink(fx, FX_ROOT, name), rows[i].unlink);
		assert_refused(fx_rmdir(fx, FX_ROOT, name), rows[i].rmdir);
		assert_refused(fx_rename(fx, FX_ROOT, name, FX_ROOT, "to"), rows[i].rename);
		if (rows[i].make == 1)
			continue;
		assert_refused(fx_rename(fx, FX_ROOT, "file", FX_ROOT, name), rows[i].rename);
		assert_refused(libfs_create(fx->fs, fx_ctx(fx), FX_ROOT, name, 0644, true, &a),
			       rows[i].make);
		assert_refused(libfs_mkdir(fx->fs, fx_ctx(fx), FX_ROOT, name, 0755, &a),
			       rows[i].make);
		assert_refused(libfs_mknod(fx->fs, fx_ctx(fx), FX_ROOT, name, S_IFIFO, 0, &a),
			       rows[i].make);
		assert_refused(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, name, "t", &a),
			       rows[i].make);
		assert_refused(fx_link(fx, file, FX_ROOT, name), rows[i].make);
	}
	assert_names(fx, FX_ROOT, "file");
	free(too_long);
	free(longest);
}

static void names_of_every_length_up_to_255_work(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t inos[256];

	for (size_t len = 1; len <= 255; len++) {
		char *name = name_of(len);

		inos[len] = fx_create(fx, FX_ROOT, name);
		free(name);
	}
	fx_remount(fx);
	for (size_t len = 1; len <= 255; len++) {
		char *name = name_of(len);

		assert_int_equal(fx_find(fx, FX_ROOT, name), inos[len]);
		assert_ok(fx_unlink(fx, FX_ROOT, name));
		assert_refused(fx_lookup(fx, FX_ROOT, name), -ENOENT);
		free(name);
	}
	assert_names(fx, FX_ROOT, "");
}

static void names_are_bytes_and_differ_by_any_of_them(void **state)
{
	struct fx *fx = *state;
	static const char *const names[] = { "a",   "A",   "a ",  " a", "\xff", "\xc3\xa4",
					     "a\n", "...", "..a", ".a", "a.",   "\x01" };
	libfs_ino_t inos[12];

	for (size_t i = 0; i < 12; i++)
		inos[i] = fx_create(fx, FX_ROOT, names[i]);
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(fx_find(fx, FX_ROOT, names[i]), inos[i]);
}

static void what_exists_cannot_be_made_again(void **state)
{
	struct fx *fx = *state;
	static const char *const there[] = { "file", "dir", "link", "fifo" };
	libfs_ino_t file = fx_create(fx, FX_ROOT, "file");
	struct libfs_attr a;

	fx_mkdir(fx, FX_ROOT, "dir");
	assert_ok(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, "link", "t", &a));
	assert_ok(libfs_mknod(fx->fs, fx_ctx(fx), FX_ROOT, "fifo", S_IFIFO | 0600, 0, &a));
	for (size_t i = 0; i < 4; i++) {
		assert_refused(libfs_create(fx->fs, fx_ctx(fx), FX_ROOT, there[i], 0, true, &a),
			       -EEXIST);
		assert_refused(libfs_mkdir(fx->fs, fx_ctx(fx), FX_ROOT, there[i], 0, &a), -EEXIST);
		assert_refused(libfs_mknod(fx->fs, fx_ctx(fx), FX_ROOT, there[i], S_IFIFO, 0, &a),
			       -EEXIST);
		assert_refused(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, there[i], "t", &a),
			       -EEXIST);
		assert_refused(fx_link(fx, file, FX_ROOT, there[i]), -EEXIST);
	}
	assert_names(fx, FX_ROOT, "dir fifo file link");
}

static void create_without_exclusive_finds_the_file_that_is_there(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t file = fx_file(fx, FX_ROOT, "f", "content");
	struct libfs_attr attr;

	assert_ok(libfs_create(fx->fs, fx_ctx(fx), FX_ROOT, "f", 0777, false, &attr));
	assert_int_equal(attr.ino, file);
	assert_int_equal(attr.mode, S_IFREG | 0644);
	assert_int_equal(attr.size, 7);
	fx_mkdir(fx, FX_ROOT, "d");
	assert_refused(libfs_create(fx->fs, fx_ctx(fx), FX_ROOT, "d", 0777, false, &attr), -EISDIR);
	assert_ok(libfs_create(fx->fs, fx_ctx(fx), FX_ROOT, "new", 0600, false, &attr));
	assert_names(fx, FX_ROOT, "d f new");
}

static void only_directories_hold_names(void **state)
{
	struct fx *fx = *state;
	struct libfs_dirent entry;
	libfs_ino_t not_dir[3];
	struct libfs_attr a;

	not_dir[0] = fx_file(fx, FX_ROOT, "file", "x");
	assert_ok(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, "link", ".", &a));
	not_dir[1] = a.ino;
	assert_ok(libfs_mknod(fx->fs, fx_ctx(fx), FX_ROOT, "fifo", S_IFIFO | 0600, 0, &a));
	not_dir[2] = a.ino;
	for (size_t i = 0; i < 3; i++) {
		libfs_ino_t d = not_dir[i];

		assert_refused(fx_lookup(fx, d, "n"), -ENOTDIR);
		assert_refused(libfs_create(fx->fs, fx_ctx(fx), d, "n", 0, true, &a), -ENOTDIR);
		assert_refused(libfs_mkdir(fx->fs, fx_ctx(fx), d, "n", 0, &a), -ENOTDIR);
		assert_refused(libfs_mknod(fx->fs, fx_ctx(fx), d, "n", S_IFIFO, 0, &a), -ENOTDIR);
		assert_refused(libfs_symlink(fx->fs, fx_ctx(fx), d, "n", "t", &a), -ENOTDIR);
		assert_refused(fx_link(fx, not_dir[0], d, "n"), -ENOTDIR);
		assert_refused(fx_unlink(fx, d, "n"), -ENOTDIR);
		assert_refused(fx_rmdir(fx, d, "n"), -ENOTDIR);
		assert_refused(fx_rename(fx, d, "n", FX_ROOT, "m"), -ENOTDIR);
		assert_refused(fx_rename(fx, FX_ROOT, "file", d, "m"), -ENOTDIR);
		assert_int_equal(libfs_readdir(fx->fs, fx_ctx(fx), d, 0, 0, &entry, 1), -ENOTDIR);
	}
}

static void numbers_that_name_no_file_are_stale(void **state)
{
	struct fx *fx = *state;
	static const libfs_ino_t none[] = { 0, 2, 12345, 1ull << 31, 1ull << 32, UINT64_MAX };
	struct libfs_dirent entry;
	struct libfs_attr a;
	uint64_t handle;
	char byte = 0;

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		libfs_ino_t n = none[i];

		assert_refused(libfs_getattr(fx->fs, fx_ctx(fx), n, &a), -ESTALE);
		assert_refused(fx_truncate(fx, n, 0), -ESTALE);
		assert_refused(fx_lookup(fx, n, "x"), -ESTALE);
		assert_refused(libfs_open(fx->fs, fx_ctx(fx), n, O_RDONLY, &handle), -ESTALE);
		assert_refused(libfs_find(fx->fs, n, 0, &a), -ESTALE);
		assert_refused(libfs_access(fx->fs, fx_ctx(fx), n, 0), -ESTALE);
		assert_refused(fx_link(fx, n, FX_ROOT, "x"), -ESTALE);
		assert_int_equal(libfs_read(fx->fs, fx_ctx(fx), n, 0, 0, &byte, 1), -ESTALE);
		assert_int_equal(libfs_write(fx->fs, fx_ctx(fx), n, 0, 0, &byte, 1), -ESTALE);
		assert_int_equal(libfs_readlink(fx->fs, fx_ctx(fx), n, &byte, 1), -ESTALE);
		assert_int_equal(libfs_readdir(fx->fs, fx_ctx(fx), n, 0, 0, &entry, 1), -ESTALE);
		libfs_forget(fx->fs, n, 1);
		libfs_release(fx->fs, n, 0);
	}
}

static void a_file_is_found_by_number_and_generation(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t ino = fx_file(fx, FX_ROOT, "f", "x");
	struct libfs_attr old = fx_attr(fx, ino), a;

	assert_ok(libfs_find(fx->fs, ino, old.generation, &a));
	assert_int_equal(a.ino, ino);
	fx_forget(fx, ino);
	assert_refused(libfs_find(fx->fs, ino, old.generation + 1, &a), -ESTALE);
	fx_forget(fx, ino);
	assert_ok(fx_unlink(fx, FX_ROOT, "f"));
	assert_refused(libfs_find(fx->fs, ino, old.generation, &a), -ESTALE);
	/* Whoever gets the number gets another generation. */
	for (int i = 0; i < 50; i++) {
		char name[16];

		snprintf(name, sizeof(name), "g%d", i);
		assert_ok(libfs_create(fx->fs, fx_ctx(fx), FX_ROOT, name, 0644, true, &a));
		assert_false(a.ino == ino && a.generation == old.generation);
	}
	assert_refused(libfs_find(fx->fs, ino, old.generation, &a), -ESTALE);
}

static void generations_differ_across_mounts(void **state)
{
	struct fx *fx = *state;
	uint32_t seen[20];

	for (int i = 0; i < 20; i++) {
		libfs_ino_t ino = fx_create(fx, FX_ROOT, "f");

		seen[i] = fx_attr(fx, ino).generation;
		for (int k = 0; k < i; k++)
			assert_int_not_equal(seen[k], seen[i]);
		fx_forget(fx, ino);
		assert_ok(fx_unlink(fx, FX_ROOT, "f"));
		if (i % 3 == 0)
			fx_remount(fx);
	}
}

static void special_files_keep_what_they_are(void **state)
{
	struct fx *fx = *state;
	static const struct {
		const char *name;
		uint32_t mode;
		uint64_t rdev;
		int want;
	} rows[] = {
		{ "fifo", S_IFIFO | 0600, 0, 0 },
		{ "sock", S_IFSOCK | 0700, 0, 0 },
		{ "chr", S_IFCHR | 0620, 0x0501, 0 },
		{ "blk", S_IFBLK | 0660, 0xfff00123456ull, 0 },
		{ "reg", S_IFREG | 0444, 0, 0 },
		{ "plain", 0644, 0, 0 },
		{ "dir", S_IFDIR | 0755, 0, -EPERM },
		{ "lnk", S_IFLNK | 0777, 0, -EINVAL },
		{ "odd", 0170000, 0, -EINVAL },
	};
	struct libfs_attr a;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_refused(libfs_mknod(fx->fs, fx_ctx(fx), FX_ROOT, rows[i].name, rows[i].mode,
					   rows[i].rdev, &a),
			       rows[i].want);
	fx_remount(fx);
	for (size_t i = 0; i < 6; i++) {
		a = fx_attr(fx, fx_find(fx, FX_ROOT, rows[i].name));
		assert_int_equal(a.mode, rows[i].mode | (rows[i].mode & S_IFMT ? 0 : S_IFREG));
		assert_int_equal(a.rdev, rows[i].rdev);
		assert_int_equal(a.nlink, 1);
		assert_ok(fx_unlink(fx, FX_ROOT, rows[i].name));
	}
}

static void device_nodes_are_for_the_superuser(void **state)
{
	struct fx *fx = *state;
	struct libfs_attr a;

	assert_ok(fx_chmod(fx, FX_ROOT, 0777));
	assert_refused(libfs_mknod(fx->fs, fx_as(fx, 7, 7), FX_ROOT, "c", S_IFCHR | 0600, 5, &a),
		       -EPERM);
	assert_refused(libfs_mknod(fx->fs, fx_as(fx, 7, 7), FX_ROOT, "b", S_IFBLK | 0600, 5, &a),
		       -EPERM);
	assert_ok(libfs_mknod(fx->fs, fx_as(fx, 7, 7), FX_ROOT, "p", S_IFIFO | 0600, 5, &a));
	assert_ok(libfs_mknod(fx->fs, fx_as(fx, 7, 7), FX_ROOT, "s", S_IFSOCK | 0600, 5, &a));
}

static void the_umask_takes_bits_away(void **state)
{
	struct fx *fx = *state;
	struct libfs_ctx ctx = *fx_ctx(fx);
	struct libfs_attr a;

	ctx.umask = 027;
	assert_ok(libfs_create(fx->fs, &ctx, FX_ROOT, "f", 0777, true, &a));
	assert_int_equal(a.mode, S_IFREG | 0750);
	assert_ok(libfs_mkdir(fx->fs, &ctx, FX_ROOT, "d", 01777, &a));
	assert_int_equal(a.mode, S_IFDIR | 01750);
	assert_ok(libfs_mknod(fx->fs, &ctx, FX_ROOT, "p", S_IFIFO | 0666, 0, &a));
	assert_int_equal(a.mode, S_IFIFO | 0640);
	assert_ok(libfs_symlink(fx->fs, &ctx, FX_ROOT, "l", "t", &a));
	assert_int_equal(a.mode, S_IFLNK | 0777);
}

static void symlinks_of_every_length_read_back(void **state)
{
	struct fx *fx = *state;
	char target[LIBFS_SYMLINK_MAX + 2], got[LIBFS_SYMLINK_MAX + 2], name[16];
	static const size_t lengths[] = { 1,   2,   59,  60,  61,  100,  119,  120, 121,
					  122, 255, 256, 511, 512, 1000, 4094, 4095 };
	struct libfs_attr a;

	for (size_t i = 0; i < sizeof(target); i++)
		target[i] = (char)('a' + i % 23);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char kept = target[lengths[i]];

		target[lengths[i]] = '\0';
		snprintf(name, sizeof(name), "l%zu", lengths[i]);
		assert_ok(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, name, target, &a));
		assert_int_equal(a.size, lengths[i]);
		target[lengths[i]] = kept;
	}
	fx_remount(fx);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		libfs_ino_t ino;

		snprintf(name, sizeof(name), "l%zu", lengths[i]);
		ino = fx_find(fx, FX_ROOT, name);
		assert_int_equal(libfs_readlink(fx->fs, fx_ctx(fx), ino, got, sizeof(got)),
				 lengths[i]);
		assert_memory_equal(got, target, lengths[i]);
		assert_int_equal(libfs_readlink(fx->fs, fx_ctx(fx), ino, got, 1), 1);
		assert_ok(fx_unlink(fx, FX_ROOT, name));
	}
	target[4096] = '\0';
	assert_refused(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, "l", target, &a), -ENAMETOOLONG);
	assert_refused(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, "l", "", &a), -ENOENT);
}

static void readlink_is_for_symlinks(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t file = fx_create(fx, FX_ROOT, "f");
	char target[8];

	assert_int_equal(libfs_readlink(fx->fs, fx_ctx(fx), file, target, 8), -EINVAL);
	assert_int_equal(libfs_readlink(fx->fs, fx_ctx(fx), FX_ROOT, target, 8), -EINVAL);
}

/* ---- links ---- */

static void hard_links_are_names_of_one_file(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d");
	libfs_ino_t file = fx_file(fx, FX_ROOT, "a", "one");

	assert_ok(fx_link(fx, file, FX_ROOT, "b"));
	assert_ok(fx_link(fx, file, dir, "c"));
	assert_int_equal(fx_nlink(fx, file), 3);
	assert_int_equal(fx_find(fx, dir, "c"), file);
	fx_write(fx, fx_find(fx, FX_ROOT, "b"), 0, "two", 3);
	assert_content(fx, fx_find(fx, dir, "c"), "two", 3);
	assert_ok(fx_unlink(fx, FX_ROOT, "a"));
	assert_int_equal(fx_nlink(fx, file), 2);
	fx_remount(fx);
	assert_int_equal(fx_nlink(fx, file), 2);
	assert_ok(fx_unlink(fx, FX_ROOT, "b"));
	assert_content(fx, fx_find(fx, fx_find(fx, FX_ROOT, "d"), "c"), "two", 3);
	assert_int_equal(fx_nlink(fx, file), 1);
}

static void three_thousand_links_come_and_go(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t file = fx_create(fx, FX_ROOT, "f");
	char name[16];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		assert_ok(fx_link(fx, file, FX_ROOT, name));
	}
	assert_int_equal(fx_nlink(fx, file), 3001);
	assert_ok(fx_unlink(fx, FX_ROOT, "l1234"));
	assert_ok(fx_link(fx, file, FX_ROOT, "l1234"));
	fx_remount(fx);
	assert_int_equal(fx_nlink(fx, file), 3001);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		assert_ok(fx_unlink(fx, FX_ROOT, name));
	}
	assert_int_equal(fx_nlink(fx, file), 1);
	assert_names(fx, FX_ROOT, "f");
}

static void directories_and_removed_files_get_no_links(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dir = fx_mkdir(fx, FX_ROOT, "d"), file = fx_create(fx, FX_ROOT, "f");

	assert_refused(fx_link(fx, dir, FX_ROOT, "e"), -EPERM);
	assert_refused(fx_link(fx, FX_ROOT, dir, "r"), -EPERM);
	assert_ok(fx_unlink(fx, FX_ROOT, "f"));
	assert_refused(fx_link(fx, file, FX_ROOT, "g"), -ENOENT);
	assert_names(fx, FX_ROOT, "d");
}

static void any_kind_of_file_can_be_linked(void **state)
{
	struct fx *fx = *state;
	struct libfs_attr a;

	assert_ok(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, "l", "t", &a));
	assert_ok(fx_link(fx, a.ino, FX_ROOT, "l2"));
	assert_int_equal(fx_nlink(fx, a.ino), 2);
	assert_ok(libfs_mknod(fx->fs, fx_ctx(fx), FX_ROOT, "p", S_IFIFO | 0600, 0, &a));
	assert_ok(fx_link(fx, a.ino, FX_ROOT, "p2"));
	assert_int_equal(fx_nlink(fx, a.ino), 2);
}

/* ---- removing ---- */

static void unlink_is_for_files_and_rmdir_for_directories(void **state)
{
	struct fx *fx = *state;
	struct libfs_attr a;

	fx_mkdir(fx, FX_ROOT, "d");
	fx_create(fx, FX_ROOT, "f");
	assert_ok(libfs_symlink(fx->fs, fx_ctx(fx), FX_ROOT, "l", "d", &a));
	assert_refused(fx_unlink(fx, FX_ROOT, "d"), -EISDIR);
	assert_refused(fx_rmdir(fx, FX_ROOT, "f"), -ENOTDIR);
	assert_refused(fx_rmdir(fx, FX_ROOT, "l"), -ENOTDIR);
	assert_names(fx, FX_ROOT, "d f l");
	assert_ok(fx_unlink(fx, FX_ROOT, "l"));
	assert_ok(fx_unlink(fx, FX_ROOT, "f"));
	assert_ok(fx_rmdir(fx, FX_ROOT, "d"));
	assert_names(fx, FX_ROOT, "");
}

static void a_directory_goes_only_when_it_is_empty(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), e = fx_mkdir(fx, d, "e");

	fx_create(fx, e, "f");
	assert_refused(fx_rmdir(fx, FX_ROOT, "d"), -ENOTEMPTY);
	assert_refused(fx_rmdir(fx, d, "e"), -ENOTEMPTY);
	assert_ok(fx_unlink(fx, e, "f"));
	assert_ok(fx_rmdir(fx, d, "e"));
	assert_ok(fx_rmdir(fx, FX_ROOT, "d"));
}

static void directories_count_their_subdirectories(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), e;

	assert_int_equal(fx_nlink(fx, FX_ROOT), 3);
	assert_int_equal(fx_nlink(fx, d), 2);
	e = fx_mkdir(fx, d, "e");
	fx_mkdir(fx, d, "g");
	fx_create(fx, d, "f");
	assert_int_equal(fx_nlink(fx, d), 4);
	assert_int_equal(fx_nlink(fx, e), 2);
	assert_int_equal(fx_nlink(fx, FX_ROOT), 3);
	assert_ok(fx_rmdir(fx, d, "g"));
	assert_int_equal(fx_nlink(fx, d), 3);
	fx_remount(fx);
	assert_int_equal(fx_nlink(fx, d), 3);
}

static void a_removed_directory_takes_no_new_names(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), f = fx_create(fx, FX_ROOT, "f");
	struct libfs_dirent entries[4];
	struct libfs_attr a;
	ssize_t n;

	assert_ok(fx_rmdir(fx, FX_ROOT, "d"));
	assert_int_equal(fx_nlink(fx, d), 0);
	assert_refused(libfs_create(fx->fs, fx_ctx(fx), d, "n", 0644, true, &a), -ENOENT);
	assert_refused(libfs_mkdir(fx->fs, fx_ctx(fx), d, "n", 0755, &a), -ENOENT);
	assert_refused(fx_link(fx, f, d, "n"), -ENOENT);
	assert_refused(fx_rename(fx, FX_ROOT, "f", d, "n"), -ENOENT);
	n = libfs_readdir(fx->fs, fx_ctx(fx), d, 0, 0, entries, 4);
	assert_true(n == 0 || n == 2);
}

static void removed_files_live_while_they_are_known_or_open(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t ino = fx_file(fx, FX_ROOT, "f", "still here");
	struct libfs_attr a;
	uint64_t handle;

	assert_ok(libfs_open(fx->fs, fx_ctx(fx), ino, O_RDWR, &handle));
	assert_ok(fx_unlink(fx, FX_ROOT, "f"));
	assert_int_equal(fx_nlink(fx, ino), 0);
	assert_content(fx, ino, "still here", 10);
	fx_forget(fx, ino);
	assert_content(fx, ino, "still here", 10);
	fx_write(fx, ino, 10, ", and growing", 13);
	assert_content(fx, ino, "still here, and growing", 23);
	assert_ok(fx_chmod(fx, ino, 0600));
	libfs_release(fx->fs, ino, handle);
	assert_refused(libfs_getattr(fx->fs, fx_ctx(fx), ino, &a), -ESTALE);
}

static void removed_files_that_nobody_gave_back_go_with_the_mount(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t kept = fx_create(fx, FX_ROOT, "kept");
	char *big = calloc(1, 1u << 20);

	for (int i = 0; i < 40; i++) {
		libfs_ino_t ino = fx_create(fx, FX_ROOT, "f");

		fx_write(fx, ino, 0, big, 1u << 20);
		assert_ok(fx_unlink(fx, FX_ROOT, "f"));
		if (i % 2)
			fx_forget(fx, ino);
	}
	free(big);
	fx_remount(fx);
	assert_int_equal(fx_find(fx, FX_ROOT, "kept"), kept);
}

/* ---- readdir ---- */

static void fill_dir(struct fx *fx, libfs_ino_t dir, int n)
{
	char name[64];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "entry-%04d-%.*s", i, i % 30,
			 "..............................");
		fx_forget(fx, fx_create(fx, dir, name));
	}
}

static int number_of(const char *name)
{
	return strncmp(name, "entry-", 6) == 0 ? atoi(name + 6) : -1;
}

static void readdir_shows_every_name_once_whatever_the_step(void **state)
{
	struct fx *fx = *state;
	static const size_t steps[] = { 1, 2, 3, 7, 100, 1000 };
	struct libfs_dirent *entries = calloc(1000, sizeof(*entries));

	fill_dir(fx, FX_ROOT, 300);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		uint8_t seen[300] = { 0 };
		uint64_t cookie = 0;
		int dots = 0, total = 0;
		ssize_t n;

		while ((n = libfs_readdir(fx->fs, fx_ctx(fx), FX_ROOT, cookie, 0, entries,
					  steps[i])) > 0) {
			assert_true((size_t)n <= steps[i]);
			for (ssize_t k = 0; k < n; k++, total++) {
				int number = number_of(entries[k].name);

				assert_int_equal(entries[k].name_len, strlen(entries[k].name));
				assert_int_equal(entries[k].type, number < 0 ? DT_DIR : DT_REG);
				dots += number < 0;
				if (number >= 0)
					assert_int_equal(seen[number]++, 0);
			}
			cookie = entries[n - 1].cookie;
		}
		assert_int_equal(n, 0);
		assert_int_equal(dots, 2);
		assert_int_equal(total, 302);
	}
	free(entries);
}

static void dots_name_the_directory_and_its_parent(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d"), e = fx_mkdir(fx, d, "e");
	const struct {
		libfs_ino_t dir, parent;
	} rows[] = { { FX_ROOT, FX_ROOT }, { d, FX_ROOT }, { e, d } };

	for (size_t i = 0; i < 3; i++) {
		struct libfs_dirent dots[2];

		assert_int_equal(libfs_readdir(fx->fs, fx_ctx(fx), rows[i].dir, 0, 0, dots, 2), 2);
		assert_string_equal(dots[0].name, ".");
		assert_int_equal(dots[0].ino, rows[i].dir);
		assert_string_equal(dots[1].name, "..");
		assert_int_equal(dots[1].ino, rows[i].parent);
		assert_int_equal(fx_find(fx, rows[i].dir, "."), rows[i].dir);
		assert_int_equal(fx_find(fx, rows[i].dir, ".."), rows[i].parent);
	}
}

/* What was there from the first call to the last appears exactly once. */
static void readdir_survives_changes_between_its_calls(void **state)
{
	struct fx *fx = *state;
	struct libfs_dirent entries[10];
	uint8_t seen[400] = { 0 };
	uint64_t cookie = 0, seed = 1;
	char name[64];
	int rounds = 0;
	ssize_t n;

	fill_dir(fx, FX_ROOT, 400);
	while ((n = libfs_readdir(fx->fs, fx_ctx(fx), FX_ROOT, cookie, 0, entries, 10)) > 0) {
		for (ssize_t k = 0; k < n; k++) {
			int number = number_of(entries[k].name);

			if (number >= 0 && number % 2 == 0)
				assert_int_equal(seen[number]++, 0);
		}
		cookie = entries[n - 1].cookie;
		rounds++;
		/* Not for ever, or the reader never gets to the end. */
		for (int i = 0; i < 5 && rounds < 80; i++) {
			int odd = (int)(chance(&seed) % 200) * 2 + 1;

			snprintf(name, sizeof(name), "entry-%04d-%.*s", odd, odd % 30,
				 "..............................");
			fx_unlink(fx, FX_ROOT, name);
			snprintf(name, sizeof(name), "new-%llu", (unsigned long long)chance(&seed));
			fx_forget(fx, fx_create(fx, FX_ROOT, name));
		}
	}
	for (int i = 0; i < 400; i += 2)
		assert_int_equal(seen[i], 1);
}

static void readdir_plus_gives_attributes_and_references(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d");
	libfs_ino_t f = fx_file(fx, FX_ROOT, "f", "12345");
	struct libfs_dirent entries[8];
	struct libfs_attr a;
	ssize_t n;

	fx_forget(fx, d);
	fx_forget(fx, f);
	n = libfs_readdir(fx->fs, fx_ctx(fx), FX_ROOT, 0, LIBFS_READDIR_PLUS, entries, 8);
	assert_int_equal(n, 4);
	for (ssize_t i = 0; i < n; i++) {
		a = fx_attr(fx, entries[i].ino);
		assert_int_equal(entries[i].attr.ino, entries[i].ino);
		assert_int_equal(entries[i].attr.mode, a.mode);
		assert_int_equal(entries[i].attr.size, a.size);
		assert_int_equal(entries[i].attr.generation, a.generation);
	}
	/* The reference it gave keeps the removed file. */
	assert_ok(fx_unlink(fx, FX_ROOT, "f"));
	assert_content(fx, f, "12345", 5);
	fx_forget(fx, f);
	assert_refused(libfs_getattr(fx->fs, fx_ctx(fx), f, &a), -ESTALE);
}

static void a_thousand_names_come_and_go_and_come_again(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t d = fx_mkdir(fx, FX_ROOT, "d");
	char name[64];

	for (int round = 0; round < 2; round++) {
		fill_dir(fx, d, 1000);
		for (int i = 0; i < 1000; i++) {
			snprintf(name, sizeof(name), "entry-%04d-%.*s", i, i % 30,
				 "..............................");
			assert_ok(fx_lookup(fx, d, name));
			assert_ok(fx_unlink(fx, d, name));
		}
		assert_names(fx, d, "");
	}
	assert_ok(fx_rmdir(fx, FX_ROOT, "d"));
}

static void a_deep_tree_can_be_built_and_removed(void **state)
{
	struct fx *fx = *state;
	libfs_ino_t dirs[200];

	dirs[0] = FX_ROOT;
	for (int i = 1; i < 200; i++)
		dirs[i] = fx_mkdir(fx, dirs[i - 1], "deeper");
	fx_remount(fx);
	assert_int_equal(fx_find(fx, dirs[199], ".."), dirs[198]);
	for (int i = 199; i > 0; i--)
		assert_ok(fx_rmdir(fx, dirs[i - 1], "deeper"));
	assert_names(fx, FX_ROOT, "");
}

static void directories_notice_when_their_names_change(void **state)
{
	struct fx *fx = *state;
	struct libfs_attr before, after;

#define NOTICED(call)                                                  \
	do {                                                           \
		before = fx_attr(fx, FX_ROOT);                         \
		call;                                                  \
		after = fx_attr(fx, FX_ROOT);                          \
		assert_true(after.mtime.tv_sec > before.mtime.tv_sec); \
		assert_true(after.ctime.tv_sec > before.ctime.tv_sec); \
	} while (0)
	NOTICED(fx_create(fx, FX_ROOT, "f"));
	NOTICED(fx_mkdir(fx, FX_ROOT, "d"));
	NOTICED(fx_link(fx, fx_find(fx, FX_ROOT, "f"), FX_ROOT, "g"));
	NOTICED(fx_rename(fx, FX_ROOT, "g", FX_ROOT, "h"));
	NOTICED(fx_rename(fx, FX_ROOT, "h", fx_find(fx, FX_ROOT, "d"), "h"));
	NOTICED(fx_rename(fx, fx_find(fx, FX_ROOT, "d"), "h", FX_ROOT, "i"));
	NOTICED(fx_unlink(fx, FX_ROOT, "i"));
	NOTICED(fx_rmdir(fx, FX_ROOT, "d"));
#undef NOTICED
}

static const struct CMUnitTest tests[] = {
	CASE(a_new_file_system_has_an_empty_root_directory),
	CASE(what_was_created_can_be_looked_up),
	CASE(names_that_are_none_are_refused),
	CASE(names_of_every_length_up_to_255_work),
	CASE(names_are_bytes_and_differ_by_any_of_them),
	CASE(what_exists_cannot_be_made_again),
	CASE(create_without_exclusive_finds_the_file_that_is_there),
	CASE(only_directories_hold_names),
	CASE(numbers_that_name_no_file_are_stale),
	CASE(a_file_is_found_by_number_and_generation),
	CASE(generations_differ_across_mounts),
	CASE(special_files_keep_what_they_are),
	CASE(device_nodes_are_for_the_superuser),
	CASE(the_umask_takes_bits_away),
	CASE(symlinks_of_every_length_read_back),
	CASE(readlink_is_for_symlinks),
	CASE(hard_links_are_names_of_one_file),
	CASE(three_thousand_links_come_and_go),
	CASE(directories_and_removed_files_get_no_links),
	CASE(any_kind_of_file_can_be_linked),
	CASE(unlink_is_for_files_and_rmdir_for_directories),
	CASE(a_directory_goes_only_when_it_is_empty),
	CASE(directories_count_their_subdirectories),
	CASE(a_removed_directory_takes_no_new_names),
	CASE(removed_files_live_while_they_are_known_or_open),
	CASE(removed_files_that_nobody_gave_back_go_with_the_mount),
	CASE(readdir_shows_every_name_once_whatever_the_step),
	CASE(dots_name_the_directory_and_its_parent),
	CASE(readdir_survives_changes_between_its_calls),
	CASE(readdir_plus_gives_attributes_and_references),
	CASE(a_thousand_names_come_and_go_and_come_again),
	CASE(a_deep_tree_can_be_built_and_removed),
	CASE(directories_notice_when_their_names_change),
};

SUITE(names_suite, tests);
