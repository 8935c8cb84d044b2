/* SPDX-License-Identifier: MIT */
/*
 * The copier when things fail, and when an image lies.
 *
 * Failures: the machine's files as a side whose n-th call fails, for every n.
 * Lies: a LibFS made here that tells names and trees that no honest one has.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd.h"
#include "copy.h"
#include "side.h"
#include "super.h"
#include "xn/bdev.h"

/* ---- what every test stands on ---- */

struct fixture {
	char dir[64];
	int dir_fd;
	char image[96]; /* its path, which stays the fixture's */
	struct tool tool;
	FILE *said;
	char *text; /* of `said`, after a flush */
	size_t text_len;
};

static void put_file(int dir, const char *path, const char *bytes)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
	close(fd);
}

static int fixture_open(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	assert_non_null(fx);
	strcpy(fx->dir, "/tmp/xn-copy-XXXXXX");
	assert_non_null(mkdtemp(fx->dir));
	fx->dir_fd = open(fx->dir, O_RDONLY | O_DIRECTORY);
	assert_true(fx->dir_fd >= 0);
	fx->said = open_memstream(&fx->text, &fx->text_len);
	tool_init(&fx->tool, stdout, stderr);
	fx->tool.err = fx->said;
	fx->tool.err_is_tty = false;
	*state = fx;
	return 0;
}

static int fixture_close(void **state)
{
	struct fixture *fx = *state;
	char command[96];

	fclose(fx->said);
	free(fx->text);
	close(fx->dir_fd);
	snprintf(command, sizeof(command), "rm -rf %s", fx->dir);
	assert_int_equal(system(command), 0);
	free(fx);
	return 0;
}

static const char *said(struct fixture *fx)
{
	fflush(fx->said);
	return fx->text;
}

static bool exists(const struct fixture *fx, const char *path)
{
	struct stat st;

	return fstatat(fx->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A small tree with one of each kind. */
static void given_tree(struct fixture *fx)
{
	int fd;

	assert_int_equal(mkdirat(fx->dir_fd, "from", 0755), 0);
	assert_int_equal(mkdirat(fx->dir_fd, "from/sub", 0755), 0);
	put_file(fx->dir_fd, "from/a", "first");
	put_file(fx->dir_fd, "from/sub/b", "second");
	assert_int_equal(linkat(fx->dir_fd, "from/a", fx->dir_fd, "from/sub/again", 0), 0);
	fd = openat(fx->dir_fd, "from/sub/b", O_RDONLY);
	assert_true(fd >= 0);
	(void)fsetxattr(fd, "user.note", "x", 1, 0); /* not every file system takes one */
	close(fd);
	assert_int_equal(symlinkat("a", fx->dir_fd, "from/link"), 0);
	assert_int_equal(mknodat(fx->dir_fd, "from/fifo", S_IFIFO | 0600, 0), 0);
}

static int copy_tree(struct fixture *fx, struct side *from, struct side *to)
{
	struct copy_opts opts = { .recursive = true, .preserve = true };
	struct side_dir dir = { .id = (uint64_t)fx->dir_fd };
	struct copy *copy;
	int err;

	assert_int_equal(copy_create(&fx->tool, from, to, &opts, &copy), 0);
	err = copy_file(copy, &(struct copy_end){ &dir, "from", "from" },
			&(struct copy_end){ &dir, "to", "to" });
	copy_destroy(copy);
	return err;
}

/* ---- a side that fails ---- */

struct faulty {
	struct side side; /* first: ops find the rest behind it */
	struct side below;
	unsigned calls, fail_at; /* the call that fails; 0: none */
	int error;
	int open_dirs, open_files, kept;
};

static struct faulty *faulty_of(struct side *side)
{
	return (struct faulty *)side;
}

/* -errno when this call is the one. */
static int tick(struct side *side)
{
	struct faulty *faulty = faulty_of(side);

	return ++faulty->calls == faulty->fail_at ? faulty->error : 0;
}

static int faulty_open_dir(struct side *side, const struct side_dir *parent, const char *name,
			   struct side_dir *out)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	if (!err)
		err = f->below.ops->open_dir(&f->below, parent, name, out);
	f->open_dirs += !err;
	return err;
}

static void faulty_close_dir(struct side *side, struct side_dir *dir)
{
	struct faulty *f = faulty_of(side);

	f->open_dirs--;
	f->below.ops->close_dir(&f->below, dir);
}

static int faulty_list(struct side *side, const struct side_dir *dir, struct entries *out)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->list(&f->below, dir, out);
}

static int faulty_look(struct side *side, const struct side_dir *dir, const char *name,
		       struct libfs_attr *out)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->look(&f->below, dir, name, out);
}

static int faulty_read_link(struct side *side, const struct side_dir *dir, const char *name,
			    char target[LIBFS_SYMLINK_MAX + 1])
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->read_link(&f->below, dir, name, target);
}

static int faulty_open_file(struct side *side, const struct side_dir *dir, const char *name,
			    struct side_file *out)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	if (!err)
		err = f->below.ops->open_file(&f->below, dir, name, out);
	f->open_files += !err;
	return err;
}

static int faulty_create_file(struct side *side, const struct side_dir *dir, const char *name,
			      struct side_file *out)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	if (!err)
		err = f->below.ops->create_file(&f->below, dir, name, out);
	f->open_files += !err;
	return err;
}

static ssize_t faulty_read(struct side *side, struct side_file *file, uint64_t offset, void *buffer,
			   size_t len)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->read(&f->below, file, offset, buffer, len);
}

/* At most three bytes at once: nobody may count on more. */
static ssize_t faulty_write(struct side *side, struct side_file *file, uint64_t offset,
			    const void *bytes, size_t len)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->write(&f->below, file, offset, bytes, len < 3 ? len : 3);
}

/* Never counted: a side that cannot tell holes is no failure. */
static off_t faulty_seek(struct side *side, struct side_file *file, uint64_t offset, int whence)
{
	struct faulty *f = faulty_of(side);

	return f->below.ops->seek(&f->below, file, offset, whence);
}

static int faulty_set_size(struct side *side, struct side_file *file, uint64_t size)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->set_size(&f->below, file, size);
}

static int faulty_close_file(struct side *side, struct side_file *file)
{
	struct faulty *f = faulty_of(side);
	int close_err = f->below.ops->close_file(&f->below, file);

	f->open_files--;
	return close_err;
}

static int faulty_make(struct side *side, const struct side_dir *dir, const char *name,
		       const struct libfs_attr *attr, const char *target)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->make(&f->below, dir, name, attr, target);
}

static int faulty_set_attr(struct side *side, const struct side_dir *dir, const char *name,
			   const struct libfs_attr *attr, uint32_t which)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->set_attr(&f->below, dir, name, attr, which);
}

static int faulty_get_xattrs(struct side *side, const struct side_dir *dir, const char *name,
			     struct xattrs *out)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->get_xattrs(&f->below, dir, name, out);
}

static int faulty_set_xattr(struct side *side, const struct side_dir *dir, const char *name,
			    const struct xattr *xattr)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->set_xattr(&f->below, dir, name, xattr);
}

static int faulty_remove(struct side *side, const struct side_dir *dir, const char *name,
			 bool is_dir)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->remove(&f->below, dir, name, is_dir);
}

static int faulty_keep(struct side *side, const struct side_dir *base, const char *path,
		       const struct side_dir *dir, const char *name, struct side_link *out)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	if (!err)
		err = f->below.ops->keep(&f->below, base, path, dir, name, out);
	f->kept += !err;
	return err;
}

static int faulty_link(struct side *side, const struct side_link *old, const struct side_dir *dir,
		       const char *name)
{
	struct faulty *f = faulty_of(side);
	int err = tick(side);

	return err ? err : f->below.ops->link(&f->below, old, dir, name);
}

static void faulty_drop(struct side *side, struct side_link *link)
{
	struct faulty *f = faulty_of(side);

	f->kept--;
	f->below.ops->drop(&f->below, link);
}

static struct faulty faulty_side(unsigned fail_at, int error)
{
	static const struct side_ops ops = {
		.open_dir = faulty_open_dir,
		.close_dir = faulty_close_dir,
		.list = faulty_list,
		.look = faulty_look,
		.read_link = faulty_read_link,
		.open_file = faulty_open_file,
		.create_file = faulty_create_file,
		.read = faulty_read,
		.write = faulty_write,
		.seek = faulty_seek,
		.set_size = faulty_set_size,
		.close_file = faulty_close_file,
		.make = faulty_make,
		.set_attr = faulty_set_attr,
		.get_xattrs = faulty_get_xattrs,
		.set_xattr = faulty_set_xattr,
		.remove = faulty_remove,
		.keep = faulty_keep,
		.link = faulty_link,
		.drop = faulty_drop,
	};

	return (struct faulty){ .side = { .ops = &ops },
				.below = side_of_machine(),
				.fail_at = fail_at,
				.error = error };
}

static void assert_balanced(const struct faulty *faulty)
{
	assert_int_equal(faulty->open_dirs, 0);
	assert_int_equal(faulty->open_files, 0);
	assert_int_equal(faulty->kept, 0);
}

static void remove_copy(struct fixture *fx)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf %s/to", fx->dir);
	assert_int_equal(system(command), 0);
}

static void a_copy_through_small_writes_is_whole(void **state)
{
	struct fixture *fx = *state;
	struct faulty from = faulty_side(0, 0), to = faulty_side(0, 0);
	struct stat a, again;
	char bytes[16] = "";
	int fd;

	given_tree(fx);
	assert_int_equal(copy_tree(fx, &from.side, &to.side), 0);
	assert_string_equal(said(fx), "");
	fd = openat(fx->dir_fd, "to/sub/b", O_RDONLY);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), 6);
	close(fd);
	assert_string_equal(bytes, "second");
	assert_int_equal(fstatat(fx->dir_fd, "to/a", &a, 0), 0);
	assert_int_equal(fstatat(fx->dir_fd, "to/sub/again", &again, 0), 0);
	assert_int_equal(a.st_ino, again.st_ino);
	assert_balanced(&from);
	assert_balanced(&to);
}

/* Fail the first call of one side, then the second, until a run meets none. */
static void sweep(struct fixture *fx, bool source, int error)
{
	bool fired = true;

	given_tree(fx);
	for (unsigned nth = 1; fired; nth++) {
		struct faulty from = faulty_side(source ? nth : 0, error);
		struct faulty to = faulty_side(source ? 0 : nth, error);
		unsigned before = fx->tool.failures;
		int err = copy_tree(fx, &from.side, &to.side);

		fired = (source ? from : to).calls >= nth;
		assert_int_equal(err, fired ? error : 0);
		assert_int_equal(fx->tool.failures > before, fired);
		assert_balanced(&from);
		assert_balanced(&to);
		remove_copy(fx);
		assert_true(nth < 1000);
	}
}

static void every_failure_of_the_source_is_said_and_leaks_nothing(void **state)
{
	sweep(*state, true, -EACCES);
}

static void every_failure_of_the_destination_is_said_and_leaks_nothing(void **state)
{
	sweep(*state, false, -ENAMETOOLONG);
}

static void a_full_destination_is_said_at_every_call(void **state)
{
	sweep(*state, false, -ENOSPC);
}

/* The first to fail is "a", which has its twin below "sub". */
static void one_unreadable_file_does_not_keep_the_others(void **state)
{
	struct fixture *fx = *state;
	struct faulty from = faulty_side(0, -EACCES), to = faulty_side(0, 0);
	int err = 0;

	given_tree(fx);
	for (unsigned nth = 1; !strstr(said(fx), "from/a: "); nth++) {
		remove_copy(fx);
		from = faulty_side(nth, -EACCES);
		err = copy_tree(fx, &from.side, &to.side);
		assert_true(nth < 100);
	}
	assert_int_equal(err, -EACCES);
	assert_false(exists(fx, "to/a"));
	assert_true(exists(fx, "to/fifo"));
	assert_true(exists(fx, "to/link"));
	assert_true(exists(fx, "to/sub/again"));
	assert_true(exists(fx, "to/sub/b"));
}

static void a_full_destination_ends_the_copy(void **state)
{
	struct fixture *fx = *state;
	struct faulty from = faulty_side(0, 0), to = faulty_side(0, 0);

	given_tree(fx);
	for (unsigned nth = 1; !strstr(said(fx), "to/a: No space left"); nth++) {
		remove_copy(fx);
		to = faulty_side(nth, -ENOSPC);
		assert_int_equal(copy_tree(fx, &from.side, &to.side), -ENOSPC);
		assert_true(nth < 100);
	}
	assert_false(exists(fx, "to/fifo"));
	assert_false(exists(fx, "to/sub"));
}

/* ---- a LibFS that lies ---- */

struct liar {
	struct libfs libfs; /* first */
	const char *name;   /* the one entry of every directory */
	uint32_t name_len;
	uint32_t mode; /* of it */
};

static int liar_getattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			struct libfs_attr *out)
{
	const struct liar *liar = (struct liar *)fs;

	(void)ctx;
	*out = (struct libfs_attr){ .ino = ino, .nlink = 1, .mode = liar->mode, .size = 5 };
	if (ino == LIBFS_ROOT_INO)
		out->mode = S_IFDIR | 0755;
	return 0;
}

/* Every name is there, each an inode of its own. */
static int liar_lookup(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		       const char *name, struct libfs_attr *out)
{
	(void)name;
	return liar_getattr(fs, ctx, dir + 1, out);
}

static void liar_forget(struct libfs *fs, libfs_ino_t ino, uint64_t count)
{
	(void)fs;
	(void)ino;
	(void)count;
}

static ssize_t liar_readdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
			    uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max)
{
	const struct liar *liar = (struct liar *)fs;

	(void)ctx;
	(void)flags;
	if (cookie || !max)
		return 0;
	out->ino = dir + 1;
	out->cookie = 1;
	out->type = DT_UNKNOWN;
	out->name_len = liar->name_len;
	memcpy(out->name, liar->name, liar->name_len < 255 ? liar->name_len : 255);
	return 1;
}

static ssize_t liar_readlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			     char *target, size_t size)
{
	(void)fs;
	(void)ctx;
	(void)ino;
	memset(target, 'x', size);
	return (ssize_t)size + 100;
}

static const struct libfs_ops liar_ops = {
	.getattr = liar_getattr,
	.lookup = liar_lookup,
	.forget = liar_forget,
	.readdir = liar_readdir,
	.readlink = liar_readlink,
};
static const struct libfs_type liar_type = { .name = "liar", .ops = &liar_ops };

static struct liar given_liar(const char *name, uint32_t len, uint32_t mode)
{
	return (struct liar){
		.libfs = { .type = &liar_type }, .name = name, .name_len = len, .mode = mode
	};
}

/* An image to say failures of; what is in it does not matter. */
static struct image *given_image(struct fixture *fx)
{
	struct xn_format_opts opts = { 0 };
	struct image *image;
	struct bdev *dev;

	snprintf(fx->image, sizeof(fx->image), "%s/disk.img", fx->dir);
	assert_int_equal(bdev_open(fx->image, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, 4 << 20, &dev), 0);
	assert_int_equal(xn_format(dev, &opts), 0);
	bdev_close(dev);
	assert_int_equal(image_open(&fx->tool, fx->image, 0, &image), 0);
	return image;
}

/* Copy what the liar shows to "to".  Returns the copier's answer. */
static int copy_lies(struct fixture *fx, struct liar *liar)
{
	struct image *image = given_image(fx);
	struct side from = side_of_image(image), to = side_of_machine();
	struct side_dir in = { .fs = &liar->libfs, .id = LIBFS_ROOT_INO };
	struct side_dir out = { .id = (uint64_t)fx->dir_fd };
	struct copy_opts opts = { .recursive = true };
	struct copy *copy;
	int err;

	assert_int_equal(copy_create(&fx->tool, &from, &to, &opts, &copy), 0);
	err = copy_file(copy, &(struct copy_end){ &in, ".", "/liar" },
			&(struct copy_end){ &out, "to", "to" });
	copy_destroy(copy);
	assert_int_equal(image_close(image), 0);
	return err;
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
	static const struct {
		const char *name;
		uint32_t len;
	} lies[] = {
		{ "../evil", 7 },      { "/tmp/evil", 9 }, { "a/b", 3 },    { "", 0 },
		{ "nul\0inside", 10 }, { "/", 1 },         { "xxxx", 256 }, { "xxxx", UINT32_MAX },
	};
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		char name[256] = { 0 };
		struct liar liar = given_liar(name, lies[i].len, S_IFREG | 0644);

		memcpy(name, lies[i].name, lies[i].len < 16 ? lies[i].len : 4);
		assert_int_equal(copy_lies(fx, &liar), -EUCLEAN);
		assert_true(exists(fx, "to"));
		assert_false(exists(fx, "evil"));
		assert_int_equal(unlinkat(fx->dir_fd, "to", AT_REMOVEDIR), 0);
		assert_int_equal(unlinkat(fx->dir_fd, "disk.img", 0), 0);
	}
}

static void a_circle_of_directories_ends(void **state)
{
	struct fixture *fx = *state;
	struct liar liar = given_liar("d", 1, S_IFDIR | 0755);
	int err = copy_lies(fx, &liar);

	assert_true(err == -ELOOP || err == -EMFILE);
	assert_true(exists(fx, "to/d/d/d/d/d/d/d/d"));
}

static void a_link_longer_than_any_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct liar liar = given_liar("link", 4, S_IFLNK | 0777);

	assert_true(copy_lies(fx, &liar) < 0);
	assert_false(exists(fx, "to/link"));
}

static void what_a_libfs_cannot_do_is_said(void **state)
{
	struct fixture *fx = *state;
	struct liar liar = given_liar("file", 4, S_IFREG | 0644);

	assert_int_equal(copy_lies(fx, &liar), -ENOSYS);
	assert_non_null(strstr(said(fx), "/liar/file: "));
}

/* ---- what a device holds ---- */

static void only_what_is_empty_counts_as_empty(void **state)
{
	struct fixture *fx = *state;
	struct found found;
	struct bdev *dev;
	char path[96], text[FOUND_TEXT_MAX];

	snprintf(path, sizeof(path), "%s/device", fx->dir);
	assert_int_equal(bdev_open(path, BDEV_OPEN_RDWR | BDEV_OPEN_CREATE, 4 << 20, &dev), 0);
	assert_int_equal(found_look(path, dev, &found), 0);
	assert_int_equal(bdev_write(dev, 512 * 1024, "\1", 1, 0), -EINVAL);
	put_file(fx->dir_fd, "device", "x");
	bdev_close(dev);
	assert_int_equal(truncate(path, 4 << 20), 0);
	assert_int_equal(bdev_open(path, BDEV_OPEN_RDONLY, 0, &dev), 0);
	assert_int_equal(found_look(path, dev, &found), 1);
	assert_true(found.is_data);
	assert_false(found.is_xn);
	found_text(&found, text);
	assert_string_equal(text, "data of a kind that is not known");
	bdev_close(dev);
}

static void the_newest_superblock_counts(void **state)
{
	struct fixture *fx = *state;
	struct xn_format_opts opts = { .label = "old" };
	struct xn_super super, found;
	struct xn_super_disk disk;
	uint64_t places[3];
	unsigned copies, n;
	struct bdev *dev;

	(void)fx;
	assert_int_equal(bdev_mem_create(128 << 20, &dev), 0);
	assert_int_equal(found_super(dev, &found, NULL), XN_EFOREIGN);
	assert_int_equal(xn_format(dev, &opts), 0);
	assert_int_equal(found_super(dev, &super, &copies), 0);
	n = xn_super_places(super.block_count, places);
	assert_int_equal(copies, n);
	super.generation += 5;
	strcpy(super.label, "new");
	xn_super_encode(&super, &disk);
	assert_int_equal(bdev_write(dev, places[n - 1] * XN_BLOCK, &disk, sizeof(disk), 0), 0);
	assert_int_equal(found_super(dev, &found, &copies), 0);
	assert_string_equal(found.label, "new");
	/* A damaged copy is passed over. */
	disk.label[0] ^= 1;
	assert_int_equal(bdev_write(dev, places[n - 1] * XN_BLOCK, &disk, sizeof(disk), 0), 0);
	assert_int_equal(found_super(dev, &found, &copies), 0);
	assert_string_equal(found.label, "old");
	assert_int_equal(copies, n - 1);
	bdev_close(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_copy_through_small_writes_is_whole),
		TEST(every_failure_of_the_source_is_said_and_leaks_nothing),
		TEST(every_failure_of_the_destination_is_said_and_leaks_nothing),
		TEST(a_full_destination_is_said_at_every_call),
		TEST(one_unreadable_file_does_not_keep_the_others),
		TEST(a_full_destination_ends_the_copy),
		TEST(names_that_lead_elsewhere_are_refused),
		TEST(a_circle_of_directories_ends),
		TEST(a_link_longer_than_any_is_refused),
		TEST(what_a_libfs_cannot_do_is_said),
		TEST(only_what_is_empty_counts_as_empty),
		TEST(the_newest_superblock_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
