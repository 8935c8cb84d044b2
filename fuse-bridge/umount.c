/* SPDX-License-Identifier: MIT */
/*
 * umount.fuse.xn: unmount, and return when the image may be used again.
 *
 * The kernel lets umount return while the process behind a FUSE mount still
 * writes its last blocks.  Whoever then copies the image copies half of it; so
 * we wait until the lock on the image is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mounts.h"
#include "options.h"
#include "umount.h"

#define WAIT_MS 60000u
#define POLL_MS 20u

struct wish {
	const char *what;
	bool lazy, force, verbose;
};

static int parse(int argc, char **argv, struct wish *wish)
{
	int letter;

	while ((letter = getopt(argc, argv, "flnrvN:t:")) != -1) {
		switch (letter) {
		case 'f': wish->force = true; break;
		case 'l': wish->lazy = true; break;
		case 'v': wish->verbose = true; break;
		case 'n':
		case 'r':
		case 'N':
		case 't': break;
		default: return EXIT_USAGE;
		}
	}
	if (argc - optind != 1) {
		fprintf(stderr, "usage: umount.fuse.xn DIR [-flv]\n");
		return EXIT_USAGE;
	}
	wish->what = argv[optind];
	return EXIT_OK;
}

/* By directory, or by image. */
static int find(const char *what, struct mount_entry *entry)
{
	char path[PATH_MAX];

	if (!realpath(what, path))
		snprintf(path, sizeof(path), "%s", what); /* a dead mount has no real path */
	if (mounts_find(path, NULL, entry) == 0)
		return 0;
	if (mounts_find(NULL, what, entry) == 0)
		return 0;
	return mounts_find(NULL, path, entry);
}

static int run_fusermount(const char *dir, bool lazy)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (lazy)
			execlp("fusermount3", "fusermount3", "-u", "-z", "--", dir, (char *)NULL);
		else
			execlp("fusermount3", "fusermount3", "-u", "--", dir, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

int umount_dir(const char *dir, bool lazy, bool force)
{
	int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0) | (force ? MNT_FORCE : 0);

	if (umount2(dir, flags) == 0)
		return 0;
	return errno == EPERM ? run_fusermount(dir, lazy) : -errno;
}

/* Does a writer hold the image?  What is no file of this machine cannot be asked. */
static bool image_is_held(const char *image)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct stat st;
	bool held = false;
	int fd;

	if (stat(image, &st) < 0)
		return false;
	fd = open(image, O_RDONLY | O_CLOEXEC | (S_ISBLK(st.st_mode) ? O_EXCL : 0));
	if (fd < 0)
		return errno == EBUSY;
	if (fcntl(fd, F_OFD_GETLK, &lock) == 0)
		held = lock.l_type != F_UNLCK;
	close(fd);
	return held;
}

/* false: still held after WAIT_MS. */
static bool wait_until_free(const char *image)
{
	const struct timespec nap = { .tv_nsec = POLL_MS * 1000000 };

	for (unsigned waited = 0; image_is_held(image); waited += POLL_MS) {
		if (waited >= WAIT_MS)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

int umount_main(int argc, char **argv)
{
	struct wish wish = { .what = NULL };
	struct mount_entry entry;
	int code = parse(argc, argv, &wish);
	int err;

	if (code)
		return code;
	if (find(wish.what, &entry)) {
		fprintf(stderr, "umount.fuse.xn: %s: nothing is mounted there\n", wish.what);
		return EXIT_FAIL;
	}
	if (strncmp(entry.type, "fuse", 4) != 0) {
		fprintf(stderr, "umount.fuse.xn: %s: of type %s, not an XN disk\n", wish.what,
			entry.type);
		return EXIT_USAGE;
	}
	err = umount_dir(entry.dir, wish.lazy, wish.force);
	if (err) {
		fprintf(stderr, "umount.fuse.xn: %s: %s\n", entry.dir, strerror(-err));
		return err == -EPERM ? EXIT_USAGE : EXIT_FAIL;
	}
	/* Of a read-only mount nothing is left to write, and other readers may stay. */
	if (wish.lazy || entry.rdonly)
		return EXIT_OK;
	if (!wait_until_free(entry.source)) {
		fprintf(stderr,
			"umount.fuse.xn: %s is unmounted, but %s is still held after %u seconds\n",
			entry.dir, entry.source, WAIT_MS / 1000);
		return EXIT_FAIL;
	}
	if (wish.verbose)
		printf("%s: unmounted, %s is free\n", entry.dir, entry.source);
	return EXIT_OK;
}
