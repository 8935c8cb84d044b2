/* SPDX-License-Identifier: MIT */
/*
 * A LibFS of any kind on a disk in memory, for tests that say what happens to
 * files.
 *
 *  (1) Below the disk sit a fault injector, disarmed, and the checking device.
 *  (2) Every end (fx_close, fx_remount, fx_fini) unmounts, closes, asserts that no
 *      write broke the rules of order, runs xn-fsck and asserts that it finds
 *      nothing: a test need not say so.
 *  (3) Each call of fx_ctx() is a moment later than the one before.
 *  (4) Files are named by the directory's number and a name, as libfs.h does.
 *      What a helper looked up or made stays referenced until fx_forget() or the
 *      end.
 */
#ifndef TESTS_FS_FIXTURE_H
#define TESTS_FS_FIXTURE_H

#include "expect.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libfs/libfs.h"
#include "xn/bdev.h"
#include "xn/xn.h"

#define FX_ROOT LIBFS_ROOT_INO

struct fx_opts {
	const char *libfs;
	uint64_t size;  /* bytes of the disk; 0: 64 MiB */
	uint64_t cache; /* bytes of XN's cache; 0: XN's default */
	uint64_t quota; /* blocks */
};

struct fx_user {
	struct xn_cred cred;
	struct libfs_ctx ctx;
};

struct fx {
	struct fx_opts opts;
	struct bdev *mem;   /* the medium */
	struct bdev *rules; /* the checking device on it */
	struct bdev *dev;   /* the fault injector on that */
	struct xn *xn;
	struct xn_session *session;
	struct libfs *fs;
	struct fx_user root, user;
	int64_t now; /* seconds */
};

struct fx *fx_new(const struct fx_opts *opts);
/* As cmocka likes it: the initial state is the name of the LibFS. */
int fx_setup(void **state);
int fx_teardown(void **state);

void fx_open(struct fx *fx);
void fx_mount(struct fx *fx, uint32_t flags); /* LIBFS_MOUNT_* */
/* Unmount, close, check; nothing is open then. */
void fx_close(struct fx *fx);
void fx_remount(struct fx *fx);
/* The same without asking what came of it. */
void fx_close_anyhow(struct fx *fx);
/* Close, and free everything. */
void fx_fini(struct fx *fx);

/*
 * The power goes: what is on the medium now is the disk from here on.  With
 * `repair`, xn-fsck -p runs first and must leave nothing.
 */
void fx_crash(struct fx *fx, bool repair);
/* The same with a medium made elsewhere, which the fixture takes over. */
void fx_crash_to(struct fx *fx, struct bdev *medium, bool repair);
/* Run fsck on the medium (nothing may be open): exit code, findings printed when `quiet` is not. */
int fx_fsck(struct fx *fx, int mode, bool quiet);
void fx_assert_sound(struct fx *fx); /* xn_self_check while open */
void fx_assert_order(struct fx *fx); /* no write broke the rules so far */

/* Who asks: root; or a user, until the next call of fx_as(). */
const struct libfs_ctx *fx_ctx(struct fx *fx);
const struct libfs_ctx *fx_as(struct fx *fx, uint32_t uid, uint32_t gid);

/* These assert success and return the number. */
libfs_ino_t fx_mkdir(struct fx *fx, libfs_ino_t dir, const char *name);
libfs_ino_t fx_create(struct fx *fx, libfs_ino_t dir, const char *name);
libfs_ino_t fx_file(struct fx *fx, libfs_ino_t dir, const char *name, const char *content);
libfs_ino_t fx_find(struct fx *fx, libfs_ino_t dir, const char *name);
void fx_write(struct fx *fx, libfs_ino_t ino, uint64_t off, const void *bytes, size_t len);
void fx_forget(struct fx *fx, libfs_ino_t ino);

/* These return what the LibFS says. */
int fx_lookup(struct fx *fx, libfs_ino_t dir, const char *name); /* keeps no reference */
int fx_unlink(struct fx *fx, libfs_ino_t dir, const char *name);
int fx_rmdir(struct fx *fx, libfs_ino_t dir, const char *name);
int fx_rename(struct fx *fx, libfs_ino_t from, const char *name, libfs_ino_t to,
	      const char *new_name);
int fx_link(struct fx *fx, libfs_ino_t ino, libfs_ino_t dir, const char *name);
int fx_truncate(struct fx *fx, libfs_ino_t ino, uint64_t size);
int fx_chmod(struct fx *fx, libfs_ino_t ino, uint32_t mode);
int fx_chown(struct fx *fx, libfs_ino_t ino, uint32_t uid, uint32_t gid);

struct libfs_attr fx_attr(struct fx *fx, libfs_ino_t ino);
uint64_t fx_size(struct fx *fx, libfs_ino_t ino);
uint32_t fx_nlink(struct fx *fx, libfs_ino_t ino);
uint64_t fx_free_blocks(struct fx *fx);
/* Everything written back and every removed file taken apart. */
void fx_settle(struct fx *fx);

void assert_content(struct fx *fx, libfs_ino_t ino, const void *bytes, size_t len);
void assert_zeroes(struct fx *fx, libfs_ino_t ino, uint64_t off, size_t len);
/* Names but "." and ".." in order of strcmp, joined by blanks. */
void assert_names(struct fx *fx, libfs_ino_t dir, const char *names);

/* Names of a directory, without "." and "..". */
size_t fx_count(struct fx *fx, libfs_ino_t dir);
/*
 * The medium as a crash at that moment may have left it: `base`, and of what was recorded since
 * all that is stable, with none, all, some, or torn pieces of the rest.
 */
struct bdev *fx_crashed(struct bdev *base, const struct bdev *recorder, size_t moment,
			uint64_t *seed);

#endif
