/* SPDX-License-Identifier: MIT */
#include "px.h"

#include <dirent.h>
#include <sys/sysmacros.h>

/* ---- assertions ---- */

int64_t px_works(int64_t got, const char *call, const char *file, int line)
{
	if (got >= 0)
		return got;
	print_error("%s: %s\n", call, strerror((int)-got));
	_fail(file, line);
	return -1;
}

void px_refused(int64_t got, int code, const char *call, const char *file, int line)
{
	if (got == -code)
		return;
	print_error("%s: %s, expected: %s\n", call, got < 0 ? strerror((int)-got) : "it works",
		    code ? strerror(code) : "it works");
	_fail(file, line);
}

/* ---- making ---- */

void px_file(struct px *p, const char *path, const char *content, mode_t mode)
{
	size_t len = strlen(content);
	int fd = (int)works(px_open(p, path, O_WRONLY | O_CREAT | O_EXCL, mode));

	if (len)
		assert_int_equal(px_write(p, fd, content, len), len);
	works(px_fchmod(p, fd, mode));
	works(px_close(p, fd));
}

void px_dir_of(struct px *p, const char *path, mode_t mode)
{
	works(px_mkdir(p, path, mode));
	works(px_chmod(p, path, mode));
}

void px_file_for(struct px *p, const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	px_file(p, path, "content", mode);
	works(px_chown(p, path, uid, gid));
	works(px_chmod(p, path, mode));
}

void px_dir_for(struct px *p, const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	px_dir_of(p, path, mode);
	works(px_chown(p, path, uid, gid));
	works(px_chmod(p, path, mode));
}

const char *const px_types[] = {
	"file", "dir", "fifo", "socket", "block", "char", "symlink", NULL
};

void px_make(struct px *p, const char *type, const char *path)
{
	switch (type[0] == 's' ? type[1] : type[0] == 'f' ? type[2] : type[0]) {
	case 'l': px_file(p, path, "content", 0644); break;
	case 'd': works(px_mkdir(p, path, 0755)); break;
	case 'f': works(px_mknod(p, path, S_IFIFO | 0644, 0)); break;
	case 'o': works(px_mknod(p, path, S_IFSOCK | 0644, 0)); break;
	case 'b': works(px_mknod(p, path, S_IFBLK | 0644, makedev(7, 99))); break;
	case 'c': works(px_mknod(p, path, S_IFCHR | 0644, makedev(1, 3))); break;
	case 'y': works(px_symlink(p, "nowhere", path)); break;
	default: fail_msg("no type %s", type);
	}
}

const char *px_long(char *buffer, size_t len, char fill)
{
	memset(buffer, fill, len);
	buffer[len] = '\0';
	return buffer;
}

/* ---- looking ---- */

struct stat px_status(struct px *p, const char *path)
{
	struct stat st;

	memset(&st, 0, sizeof(st));
	if (px_lstat(p, path, &st) < 0)
		fail_msg("%s cannot be looked at", path);
	return st;
}

mode_t px_mode(struct px *p, const char *path)
{
	return px_status(p, path).st_mode & 07777;
}

void px_holds(struct px *p, const char *path, const char *content)
{
	char bytes[4096];
	int fd = (int)works(px_open(p, path, O_RDONLY, 0));
	ssize_t n = works(px_read(p, fd, bytes, sizeof(bytes) - 1));

	works(px_close(p, fd));
	bytes[n] = '\0';
	assert_string_equal(bytes, content);
}

void px_gone(struct px *p, const char *path)
{
	struct stat st;

	refused(px_lstat(p, path, &st), ENOENT);
}

size_t px_count(struct px *p, const char *path)
{
	struct px_entry entry;
	struct px_dir *dir;
	size_t n = 0;

	works(px_opendir(p, path, &dir));
	while (works(px_readdir(p, dir, &entry)))
		n += strcmp(entry.name, ".") != 0 && strcmp(entry.name, "..") != 0;
	px_closedir(p, dir);
	return n;
}

static bool same(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

unsigned px_moved(const struct stat *before, const struct stat *after)
{
	return (same(before->st_atim, after->st_atim) ? 0 : A) |
	       (same(before->st_mtim, after->st_mtim) ? 0 : M) |
	       (same(before->st_ctim, after->st_ctim) ? 0 : C);
}
