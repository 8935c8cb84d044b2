/* SPDX-License-Identifier: MIT */
/*
 * Opens a file and a directory by handles of a tree that the kernel has
 * forgotten, as an NFS server does after its client was away:
 *
 *   fuse_handles DIR make|open      make: DIR/a/b/file and DIR/handles; open: by them
 *
 * The kernel then asks the bridge for "." by number and for ".." up to the top.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct handle {
	struct file_handle fixed;
	unsigned char room[128];
};

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static struct handle handle_of(const char *path)
{
	struct handle handle = { .fixed.handle_bytes = sizeof(handle.room) };
	int mount_id;

	if (name_to_handle_at(AT_FDCWD, path, &handle.fixed, &mount_id, 0))
		die(path);
	return handle;
}

static void make(void)
{
	struct handle handles[3];
	int fd;

	if (mkdir("a", 0755) || mkdir("a/b", 0755))
		die("mkdir");
	fd = open("a/b/file", O_WRONLY | O_CREAT, 0644);
	if (write(fd, "found", 5) != 5 || fsync(fd) || close(fd))
		die("write");
	handles[0] = handle_of("a/b/file");
	handles[1] = handle_of("a/b");
	handles[2] = handle_of("a/b/file");
	fd = open("handles", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (write(fd, handles, sizeof(handles)) != sizeof(handles) || close(fd))
		die("handles");
}

/*
 * A removed file is gone for its handle, too.  Not at once: the kernel sends RELEASE behind
 * close()'s back and holds the file until it is answered.
 */
static void removed(int top, struct handle *handle)
{
	for (unsigned tries = 0; tries < 500; tries++) {
		int fd = open_by_handle_at(top, &handle->fixed, O_RDONLY);

		if (fd < 0 && errno == ESTALE)
			return;
		if (fd < 0)
			die("a removed file's handle");
		close(fd);
		usleep(10000);
	}
	fprintf(stderr, "a removed file's handle still opens it\n");
	exit(1);
}

static void open_them(void)
{
	struct handle handles[3];
	char text[5], path[4096], link[64];
	int top = open(".", O_RDONLY | O_DIRECTORY);
	int fd = open("handles", O_RDONLY);
	ssize_t n;

	if (read(fd, handles, sizeof(handles)) != sizeof(handles))
		die("handles");
	close(fd);
	fd = open_by_handle_at(top, &handles[0].fixed, O_RDONLY);
	if (fd < 0 || read(fd, text, 5) != 5 || memcmp(text, "found", 5) != 0)
		die("the file by its handle");
	close(fd);
	/* A directory gets its whole path back, so ".." was answered. */
	fd = open_by_handle_at(top, &handles[1].fixed, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		die("the directory by its handle");
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	if (n < 4 || strcmp(path + n - 4, "/a/b") != 0) {
		fprintf(stderr, "the directory's path is %s\n", path);
		exit(1);
	}
	close(fd);
	if (unlink("a/b/file") || rmdir("a/b") || rmdir("a") || unlink("handles"))
		die("unlink");
	removed(top, &handles[2]);
}

int main(int argc, char **argv)
{
	if (argc != 3 || chdir(argv[1]) < 0)
		return 2;
	if (strcmp(argv[2], "make") == 0)
		make();
	else
		open_them();
	return 0;
}
