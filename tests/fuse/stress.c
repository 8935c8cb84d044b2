/* SPDX-License-Identifier: MIT */
/*
 * Threads that get in each other's way under a few names of one directory:
 *
 *   fuse_stress DIR THREADS ROUNDS
 *
 * Any outcome that POSIX allows is fine; a file whose bytes are another's, an
 * error of the file system, or a listing with a name twice is not.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES 12u

struct worker {
	pthread_t thread;
	const char *dir;
	uint32_t seed;
	unsigned rounds;
	int failed;
};

static uint32_t draw(struct worker *worker, uint32_t below)
{
	worker->seed = worker->seed * 1664525u + 1013904223u;
	return (worker->seed >> 8) % below;
}

static void name(struct worker *worker, char *path, size_t size)
{
	snprintf(path, size, "%s/n%u", worker->dir, draw(worker, NAMES));
}

/* What others' doings explain. */
static void judge(struct worker *worker, const char *what, int result)
{
	switch (result < 0 ? errno : 0) {
	case 0:
	case ENOENT:
	case EEXIST:
	case EISDIR:
	case ENOTDIR:
	case ENOTEMPTY:
	case EPERM:
	case ELOOP:
	case ESTALE: return;
	default: fprintf(stderr, "%s: %s\n", what, strerror(errno)); worker->failed = 1;
	}
}

/* Each file holds its inode number: what is read through a handle is that file's own. */
static void use_file(struct worker *worker, const char *path, int flags)
{
	uint64_t number = 0;
	struct stat st;
	int fd = open(path, flags | O_NOFOLLOW, 0644);

	judge(worker, "open", fd);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		ssize_t n = pread(fd, &number, sizeof(number), 0);

		if (n == sizeof(number) && number != st.st_ino) {
			fprintf(stderr, "file %llu holds the bytes of %llu\n",
				(unsigned long long)st.st_ino, (unsigned long long)number);
			worker->failed = 1;
		}
		number = st.st_ino;
		if (pwrite(fd, &number, sizeof(number), 0) != sizeof(number)) {
			perror("pwrite");
			worker->failed = 1;
		}
	}
	close(fd);
}

static void list(struct worker *worker)
{
	struct stat st;
	struct dirent *entry;
	DIR *dir = opendir(worker->dir);

	judge(worker, "opendir", dir ? 0 : -1);
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		judge(worker, "fstatat",
		      fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW));
	closedir(dir);
}

static void act(struct worker *worker)
{
	char path[512], other[512];
	struct stat st;

	name(worker, path, sizeof(path));
	name(worker, other, sizeof(other));
	switch (draw(worker, 11)) {
	case 0:
	case 1:
	case 2: use_file(worker, path, O_RDWR | O_CREAT); break;
	case 3: use_file(worker, path, O_RDWR | O_CREAT | O_EXCL); break;
	case 4: judge(worker, "stat", lstat(path, &st)); break;
	case 5: judge(worker, "link", link(path, other)); break;
	case 6: judge(worker, "rename", rename(path, other)); break;
	case 7: judge(worker, "unlink", unlink(path)); break;
	case 8: judge(worker, "mkdir", mkdir(path, 0755)); break;
	case 9: judge(worker, "rmdir", rmdir(path)); break;
	case 10: list(worker); break;
	}
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	for (unsigned i = 0; i < worker->rounds && !worker->failed; i++)
		act(worker);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned count = argc == 4 ? (unsigned)atoi(argv[2]) : 0;
	struct worker *workers = calloc(count + 1, sizeof(*workers));
	int failed = 0;

	if (count == 0 || !workers)
		return 2;
	for (unsigned i = 0; i < count; i++) {
		workers[i] = (struct worker){
			.dir = argv[1],
			.seed = (uint32_t)getpid() * 31 + i,
			.rounds = (unsigned)atoi(argv[3]),
		};
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 2;
	}
	for (unsigned i = 0; i < count; i++) {
		pthread_join(workers[i].thread, NULL);
		failed |= workers[i].failed;
	}
	free(workers);
	return failed;
}
