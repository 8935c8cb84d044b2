/* SPDX-License-Identifier: MIT */
/*
 * xn-fuse, also called as mount.xn, mount.fuse.xn and umount.fuse.xn.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "mounts.h"
#include "options.h"
#include "serve.h"
#include "umount.h"

/* The kernel may still remember the attributes of a mount whose server died; opening it tells. */
static bool is_dead(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOTCONN;
	close(fd);
	return false;
}

static int find_dir(const char *name, char dir[PATH_MAX])
{
	struct stat st;

	if (!realpath(name, dir) || stat(dir, &st) < 0 || is_dead(dir)) {
		fprintf(stderr, "xn-fuse: %s: %s\n", name,
			errno == ENOTCONN ? "a mount whose server has died; unmount it first"
					  : strerror(errno));
		return EXIT_FAIL;
	}
	if (!S_ISDIR(st.st_mode)) {
		fprintf(stderr, "xn-fuse: %s: is not a directory\n", name);
		return EXIT_FAIL;
	}
	return EXIT_OK;
}

/* mount -o remount,...: the flags that the kernel keeps; the disk stays open as it is. */
static int remount(const struct options *options, const char *dir)
{
	struct mount_entry entry;

	if (mounts_find(dir, NULL, &entry)) {
		fprintf(stderr, "xn-fuse: %s: nothing is mounted there\n", dir);
		return EXIT_FAIL;
	}
	if (mount(NULL, dir, NULL, MS_REMOUNT | options->remount_flags, NULL) < 0) {
		fprintf(stderr, "xn-fuse: %s: cannot remount: %s\n", dir, strerror(errno));
		return errno == EPERM ? EXIT_USAGE : EXIT_FAIL;
	}
	return EXIT_OK;
}

static int run(const struct options *options)
{
	struct daemon daemon;
	char dir[PATH_MAX];
	int code = find_dir(options->dir, dir);

	if (code)
		return code;
	if (options->remount)
		return remount(options, dir);
	if (options->pretend)
		return EXIT_OK;
	daemon_init(&daemon);
	if (!options->foreground) {
		int err = daemon_fork(&daemon);

		if (err) {
			fprintf(stderr, "xn-fuse: cannot fork: %s\n", strerror(-err));
			return EXIT_SYS;
		}
	}
	return serve(options, dir, &daemon);
}

static bool called_as_umount(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strncmp(slash ? slash + 1 : path, "umount.", 7) == 0;
}

int main(int argc, char **argv)
{
	struct options options;
	int code;

	/* A closed pipe at the other end of our messages must not stop a server. */
	signal(SIGPIPE, SIG_IGN);
	if (called_as_umount(argv[0]))
		return umount_main(argc, argv);
	code = options_parse(argc, argv, &options);
	if (!code && !options.done)
		code = run(&options);
	options_fini(&options);
	return code;
}
