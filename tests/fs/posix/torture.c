/* SPDX-License-Identifier: MIT */
/*
 * Many at work on the same few names, with everything that can be done to names and
 * bytes:
 *
 *	posix_torture_... LIBFS DIR|- OPERATIONS THREADS SEED
 *
 *  (1) Each call may succeed or be refused for what another has done; any other
 *      error is a failure.
 *  (2) Whoever writes into a file writes the same words: each is a hash of the
 *      file's number and the place.  So a word of a file is that hash or zero, at any
 *      moment; anything else is another file's.
 *  (3) Afterwards the tree agrees with itself: each file has as many links as names,
 *      each directory two and one for each below; all of it can be removed.
 */
#include "px.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <pthread.h>

#define DIRS  4u
#define NAMES 7u
#define SIZE  (96u << 10)
#define PIECE 8192u

struct worker {
	pthread_t thread;
	struct px *p;
	uint64_t seed;
	unsigned operations;
	bool failed;
};

/* ---- chance ---- */

static uint64_t draw(struct worker *w, uint64_t below)
{
	return chance(&w->seed) % below;
}

/* Up to three directories and a name; directories and files share some names. */
static const char *choose_path(struct worker *w, char *path)
{
	size_t at = 0;

	for (uint64_t depth = draw(w, 4); depth > 0; depth--)
		at += (size_t)sprintf(path + at, "d%u/", (unsigned)draw(w, DIRS));
	if (draw(w, 3) == 0)
		sprintf(path + at, "d%u", (unsigned)draw(w, DIRS));
	else
		sprintf(path + at, "n%u%s", (unsigned)draw(w, NAMES),
			draw(w, 8) ? "" : "-with-a-longer-name-that-fills-its-directory-sooner");
	return path;
}

/* ---- judging ---- */

/* What others' doings explain. */
static bool explained(int64_t result)
{
	static const int fine[] = { ENOENT, EEXIST, ENOTDIR, EISDIR,  ENOTEMPTY,
				    EINVAL, ELOOP,  EPERM,   ENODATA, EOPNOTSUPP,
				    ENXIO,  ESTALE, EMLINK,  ENODEV,  ENOSPC };

	if (result >= 0)
		return true;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (result == -fine[i])
			return true;
	return false;
}

static void judge(struct worker *w, const char *what, const char *path, int64_t result)
{
	if (explained(result))
		return;
	print_error("%s %s: %s\n", what, path, strerror((int)-result));
	w->failed = true;
}

/* ---- bytes ---- */

static uint64_t word(uint64_t ino, uint64_t place)
{
	uint64_t seed = ino << 20 ^ place;

	return chance(&seed);
}

static void fill(uint64_t *words, uint64_t ino, uint64_t off, size_t len)
{
	for (size_t i = 0; i < len / 8; i++)
		words[i] = word(ino, off / 8 + i);
}

static void check_words(struct worker *w, const char *path, const uint64_t *words, uint64_t ino,
			uint64_t off, size_t len)
{
	for (size_t i = 0; i < len / 8; i++)
		if (words[i] != 0 && words[i] != word(ino, off / 8 + i)) {
			print_error("%s (%llu) at %llu: another file's bytes\n", path,
				    (unsigned long long)ino, (unsigned long long)off + i * 8);
			w->failed = true;
			return;
		}
}

static void act_open(struct worker *w, const char *path, int fd)
{
	uint64_t words[PIECE / 8], off = draw(w, SIZE / 8) * 8;
	size_t len = (draw(w, PIECE / 8) + 1) * 8;
	struct stat st;
	ssize_t n;

	if (px_fstat(w->p, fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	switch (draw(w, 8)) {
	case 0:
	case 1:
	case 2:
		fill(words, st.st_ino, off, len);
		judge(w, "write", path, px_pwrite(w->p, fd, words, len, (off_t)off));
		break;
	case 3:
	case 4:
		n = px_pread(w->p, fd, words, len, (off_t)off);
		judge(w, "read", path, n);
		if (n > 0)
			check_words(w, path, words, st.st_ino, off, (size_t)n);
		break;
	case 5: judge(w, "ftruncate", path, px_ftruncate(w->p, fd, (off_t)off)); break;
	case 6:
		judge(w, "fallocate", path,
		      px_fallocate(w->p, fd,
				   draw(w, 2) ? 0 : FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)off, (off_t)len));
		break;
	case 7:
		if (draw(w, 8) == 0)
			judge(w, "fsync", path, px_fsync(w->p, fd));
		break;
	}
}

static void use_file(struct worker *w, const char *path)
{
	int flags = O_RDWR | O_NONBLOCK | (draw(w, 2) ? O_CREAT : 0);
	int fd = px_open(w->p, path, flags | (draw(w, 16) ? 0 : O_EXCL), 0666);

	judge(w, "open", path, fd);
	if (fd < 0)
		return;
	for (uint64_t n = draw(w, 4); n > 0; n--)
		act_open(w, path, fd);
	if (draw(w, 16) == 0) /* it goes on without a name */
		judge(w, "unlink", path, px_unlink(w->p, path));
	act_open(w, path, fd);
	judge(w, "close", path, px_close(w->p, fd));
}

/* ---- names ---- */

static void list(struct worker *w, const char *path)
{
	struct px_entry entry;
	struct px_dir *dir;
	struct stat st;
	char below[512];
	int got = px_opendir(w->p, path, &dir);

	judge(w, "opendir", path, got);
	if (got < 0)
		return;
	while ((got = px_readdir(w->p, dir, &entry)) == 1) {
		snprintf(below, sizeof(below), "%s/%s", path, entry.name);
		judge(w, "lstat", below, px_lstat(w->p, below, &st));
	}
	judge(w, "readdir", path, got);
	px_closedir(w->p, dir);
}

/* As rm -rf does, whatever others do meanwhile. */
static void prune(struct worker *w, const char *path)
{
	struct px_entry entry;
	struct px_dir *dir;
	char below[512];
	int got = px_opendir(w->p, path, &dir);

	judge(w, "opendir", path, got);
	if (got < 0)
		return;
	while (!w->failed && (got = px_readdir(w->p, dir, &entry)) == 1) {
		if (strcmp(entry.name, ".") == 0 || strcmp(entry.name, "..") == 0)
			continue;
		if (snprintf(below, sizeof(below), "%s/%s", path, entry.name) >= (int)sizeof(below))
			continue;
		if (entry.type == DT_DIR)
			prune(w, below);
		judge(w, "remove", below,
		      entry.type == DT_DIR ? px_rmdir(w->p, below) : px_unlink(w->p, below));
	}
	judge(w, "readdir", path, got);
	px_closedir(w->p, dir);
}

static void change_attributes(struct worker *w, const char *path)
{
	static const struct timespec times[2] = { { 1, 2 }, { 3, 4 } };
	char value[300];

	switch (draw(w, 6)) {
	case 0: judge(w, "chmod", path, px_chmod(w->p, path, 0777)); break;
	case 1: judge(w, "chown", path, px_lchown(w->p, path, (uid_t)draw(w, 9), 7)); break;
	case 2: judge(w, "utimens", path, px_lutimens(w->p, path, times)); break;
	case 3:
		judge(w, "truncate", path, px_truncate(w->p, path, (off_t)draw(w, SIZE / 8) * 8));
		break;
	case 4:
		memset(value, 'v', sizeof(value));
		judge(w, "setxattr", path,
		      px_setxattr(w->p, path, "user.x", value, draw(w, sizeof(value)), 0));
		break;
	case 5: judge(w, "removexattr", path, px_removexattr(w->p, path, "user.x")); break;
	}
}

static void act(struct worker *w)
{
	char path[256], other[256], target[64];
	struct stat st;

	choose_path(w, path);
	choose_path(w, other);
	switch (draw(w, 22)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4: use_file(w, path); break;
	case 5:
	case 6:
	case 7: judge(w, "mkdir", path, px_mkdir(w->p, path, 0777)); break;
	case 8: judge(w, "rmdir", path, px_rmdir(w->p, path)); break;
	case 9:
	case 10: judge(w, "unlink", path, px_unlink(w->p, path)); break;
	case 11:
	case 12:
	case 13:
	case 14: judge(w, "rename", path, px_rename(w->p, path, other)); break;
	case 15:
		judge(w, "renameat2", path,
		      px_rename2(w->p, path, other, 1 + (unsigned)draw(w, 2)));
		break;
	case 16:
	case 17: judge(w, "link", path, px_link(w->p, path, other)); break;
	case 18:
		judge(w, "symlink", path, px_symlink(w->p, other, path));
		judge(w, "readlink", path, px_readlink(w->p, path, target, sizeof(target)));
		break;
	case 19: judge(w, "mknod", path, px_mknod(w->p, path, S_IFIFO | 0666, 0)); break;
	case 20: change_attributes(w, path); break;
	case 21:
		judge(w, "lstat", path, px_lstat(w->p, path, &st));
		list(w, draw(w, 2) ? path : ".");
		if (draw(w, 12) == 0)
			prune(w, path);
		break;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < w->operations && !w->failed; i++)
		act(w);
	return NULL;
}

/* ---- afterwards ---- */

/* Files with several names: how many names were met. */
#define FILES_MAX 16384u
struct census {
	struct worker *w;
	ino_t ino[FILES_MAX];
	nlink_t links[FILES_MAX], names[FILES_MAX];
	size_t count, dirs;
};

static void count_file(struct census *c, const char *path, const struct stat *st)
{
	size_t i = 0;

	while (i < c->count && c->ino[i] != st->st_ino)
		i++;
	if (i == FILES_MAX)
		fail_msg("too many files");
	if (i == c->count) {
		c->ino[c->count] = st->st_ino;
		c->links[c->count++] = st->st_nlink;
	}
	c->names[i]++;
	if (c->links[i] != st->st_nlink)
		fail_msg("%s has %lu links, by another name %lu", path, (unsigned long)st->st_nlink,
			 (unsigned long)c->links[i]);
}

static void check_contents(struct census *c, const char *path, const struct stat *st)
{
	static const size_t len = PIECE;
	uint64_t words[PIECE / 8];
	int fd = (int)works(px_open(c->w->p, path, O_RDONLY, 0));

	for (off_t off = 0; off < st->st_size; off += (off_t)len) {
		ssize_t n = works(px_pread(c->w->p, fd, words, len, off));

		check_words(c->w, path, words, st->st_ino, (uint64_t)off, (size_t)n);
	}
	works(px_close(c->w->p, fd));
}

static void walk(struct census *c, const char *path)
{
	struct px_entry entry;
	struct px_dir *dir;
	nlink_t below = 0;
	char name[1024];
	struct stat st;

	works(px_opendir(c->w->p, path, &dir));
	while (works(px_readdir(c->w->p, dir, &entry))) {
		if (strcmp(entry.name, ".") == 0 || strcmp(entry.name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry.name);
		st = px_status(c->w->p, name);
		assert_int_equal(entry.ino, st.st_ino);
		assert_int_equal(entry.type, IFTODT(st.st_mode));
		if (S_ISDIR(st.st_mode)) {
			below++;
			walk(c, name);
			continue;
		}
		count_file(c, name, &st);
		if (S_ISREG(st.st_mode))
			check_contents(c, name, &st);
	}
	px_closedir(c->w->p, dir);
	c->dirs++;
	st = px_status(c->w->p, path);
	if (st.st_nlink != 2 + below)
		fail_msg("%s has %lu links, not %lu", path, (unsigned long)st.st_nlink,
			 (unsigned long)(2 + below));
}

static void clear(struct px *p, const char *path)
{
	struct px_entry entry;
	struct px_dir *dir;
	char name[1024];

	works(px_opendir(p, path, &dir));
	while (works(px_readdir(p, dir, &entry))) {
		if (strcmp(entry.name, ".") == 0 || strcmp(entry.name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry.name);
		if (entry.type == DT_DIR) {
			clear(p, name);
			works(px_rmdir(p, name));
		} else {
			works(px_unlink(p, name));
		}
	}
	px_closedir(p, dir);
	assert_int_equal(px_count(p, path), 0);
}

static void take_census(struct worker *w)
{
	struct census *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->w = w;
	walk(c, ".");
	for (size_t i = 0; i < c->count; i++)
		if (c->names[i] != c->links[i])
			fail_msg("file %llu has %lu links and %lu names",
				 (unsigned long long)c->ino[i], (unsigned long)c->links[i],
				 (unsigned long)c->names[i]);
	print_message("%zu files, %zu directories in the end\n", c->count, c->dirs);
	free(c);
}

/* ---- the run ---- */

struct wish {
	const char *what, *where;
	unsigned operations, threads;
	uint64_t seed;
};

static void the_tree_agrees_with_itself(void **state)
{
	const struct wish *wish = *state;
	struct worker *w = calloc(wish->threads, sizeof(*w));
	struct px *p = px_begin(wish->what, wish->where);
	bool failed = false;

	assert_non_null(w);
	px_umask(p, 0);
	for (unsigned i = 0; i < wish->threads; i++) {
		w[i].p = px_fork(p);
		w[i].seed = wish->seed * 1000 + i;
		w[i].operations = wish->operations / wish->threads;
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < wish->threads; i++) {
		pthread_join(w[i].thread, NULL);
		failed |= w[i].failed;
	}
	take_census(&w[0]);
	px_readonly(p, true); /* and so it is on the disk */
	take_census(&w[0]);
	px_readonly(p, false);
	clear(p, ".");
	for (unsigned i = 0; i < wish->threads; i++) {
		failed |= w[i].failed;
		px_exit(w[i].p);
	}
	px_end(p);
	free(w);
	if (failed)
		fail_msg("seed %llu", (unsigned long long)wish->seed);
}

int main(int argc, char **argv)
{
	struct wish wish = { .operations = 0 };
	char *where;
	int failed;
	struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(the_tree_agrees_with_itself, &wish),
	};

	if (argc != 6) {
		fprintf(stderr, "usage: %s LIBFS DIR|- OPERATIONS THREADS SEED\n", argv[0]);
		return 2;
	}
	wish.what = argv[1];
	where = strcmp(argv[2], "-") == 0 ? NULL : realpath(argv[2], NULL);
	wish.where = where;
	wish.operations = (unsigned)strtoul(argv[3], NULL, 0);
	wish.threads = (unsigned)strtoul(argv[4], NULL, 0);
	wish.seed = strtoull(argv[5], NULL, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(where);
	return failed;
}
