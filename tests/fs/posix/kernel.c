/* SPDX-License-Identifier: MIT */
/* What programs do to a mount that never reaches a LibFS as such: maps, locks, running, handles. */
#include "px.h"

#include <dirent.h>
#include <endian.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#define PAGE 4096

static int make(struct px *p, const char *path, size_t size)
{
	int fd = (int)works(px_open(p, path, O_RDWR | O_CREAT | O_EXCL, 0644));

	works(px_ftruncate(p, fd, (off_t)size));
	return fd;
}

static char *map(int fd, size_t size, int protection, int kind)
{
	char *bytes = mmap(NULL, size, protection, kind, fd, 0);

	assert_ptr_not_equal(bytes, MAP_FAILED);
	return bytes;
}

/* The exit code of what a child does. */
static int child(int (*act)(const void *arg), const void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGBUS, SIG_DFL); /* the test harness catches it */
		_exit(act(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* ---- maps ---- */

static void maps_and_files_are_the_same_bytes(struct px *p)
{
	int fd = make(p, "f", 3 * PAGE + 10);
	char *bytes = map(fd, 3 * PAGE + 10, PROT_READ | PROT_WRITE, MAP_SHARED), got[16];

	memcpy(bytes + PAGE - 6, "across a page", 13);
	assert_int_equal(px_pread(p, fd, got, 13, PAGE - 6), 13);
	assert_memory_equal(got, "across a page", 13);
	assert_int_equal(px_pwrite(p, fd, "written", 7, 2 * PAGE), 7);
	assert_memory_equal(bytes + 2 * PAGE, "written", 7);
	bytes[3 * PAGE + 9] = 'z';
	assert_int_equal(msync(bytes, 3 * PAGE + 10, MS_SYNC), 0);
	assert_int_equal(munmap(bytes, 3 * PAGE + 10), 0);
	works(px_close(p, fd));
	assert_int_equal(px_status(p, "f").st_size, 3 * PAGE + 10);
}

static void what_a_map_wrote_is_there_after_close_and_drop(struct px *p)
{
	int fd = make(p, "f", 5 * PAGE);
	char *bytes = map(fd, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED), got[8];

	works(px_close(p, fd));
	for (int i = 0; i < 5; i++)
		memset(bytes + i * PAGE, 'a' + i, PAGE);
	assert_int_equal(munmap(bytes, 5 * PAGE), 0);
	fd = (int)works(px_open(p, "f", O_RDONLY, 0));
	works(px_fsync(p, fd));
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(px_pread(p, fd, got, 1, i * PAGE + 77), 1);
		assert_int_equal(got[0], 'a' + i);
	}
	works(px_close(p, fd));
}

static void a_write_by_map_moves_the_times(struct px *p)
{
	int fd = make(p, "f", PAGE);
	char *bytes = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	struct stat before, after;

	works(px_fsync(p, fd));
	before = px_status(p, "f");
	px_tick(p);
	bytes[5] = 'x';
	assert_int_equal(msync(bytes, PAGE, MS_SYNC), 0);
	munmap(bytes, PAGE);
	works(px_close(p, fd));
	after = px_status(p, "f");
	assert_int_equal(px_moved(&before, &after) & M, M);
}

static void a_private_map_changes_nothing(struct px *p)
{
	int fd;
	char *bytes;

	px_file(p, "f", "content", 0644);
	fd = (int)works(px_open(p, "f", O_RDONLY, 0));
	bytes = map(fd, 7, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	bytes[0] = 'C';
	munmap(bytes, 7);
	works(px_close(p, fd));
	px_holds(p, "f", "content");
}

static int touch_beyond(const void *arg)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	return ((const volatile char *)arg)[2 * PAGE];
}

static void a_map_beyond_the_end_is_a_bus_error(struct px *p)
{
	int fd = make(p, "f", 4 * PAGE);
	char *bytes = map(fd, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);

	memset(bytes, 'x', 4 * PAGE);
	works(px_ftruncate(p, fd, PAGE + 5));
	assert_int_equal(bytes[PAGE + 4], 'x');
	assert_int_equal(bytes[PAGE + 5], 0); /* the rest of the last page */
	assert_int_equal(child(touch_beyond, bytes), 1000 + SIGBUS);
	works(px_ftruncate(p, fd, 4 * PAGE));
	assert_int_equal(bytes[2 * PAGE], 0);
	munmap(bytes, 4 * PAGE);
	works(px_close(p, fd));
}

static void an_unlinked_map_lives_on(struct px *p)
{
	int fd = make(p, "f", PAGE);
	char *bytes = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);

	works(px_unlink(p, "f"));
	works(px_close(p, fd));
	memset(bytes, 'x', PAGE);
	assert_int_equal(msync(bytes, PAGE, MS_SYNC), 0);
	assert_int_equal(bytes[PAGE - 1], 'x');
	munmap(bytes, PAGE);
}

/* ---- locks ---- */

static int try_flock(const void *arg)
{
	int fd = open(arg, O_RDWR);

	return flock(fd, LOCK_EX | LOCK_NB) ? errno : 0;
}

static int try_range(const void *arg)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = *(const off_t *)arg, .l_len = 10 };
	int fd = open("f", O_RDWR);

	return fcntl(fd, F_SETLK, &range) ? errno : 0;
}

static void whole_file_locks_exclude_others(struct px *p)
{
	int fd;

	px_file(p, "f", "content", 0644);
	fd = (int)works(px_open(p, "f", O_RDWR, 0));
	assert_int_equal(flock(fd, LOCK_SH), 0);
	assert_int_equal(child(try_flock, "f"), EWOULDBLOCK);
	assert_int_equal(flock(fd, LOCK_UN), 0);
	assert_int_equal(child(try_flock, "f"), 0);
	works(px_close(p, fd));
}

static void range_locks_exclude_others_from_the_range(struct px *p)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = 10, .l_len = 10 };
	off_t inside = 15, outside = 30;
	int fd;

	px_file(p, "f", "content", 0644);
	fd = (int)works(px_open(p, "f", O_RDWR, 0));
	assert_int_equal(fcntl(fd, F_SETLK, &range), 0);
	assert_int_equal(child(try_range, &inside), EAGAIN);
	assert_int_equal(child(try_range, &outside), 0);
	range.l_type = F_UNLCK;
	assert_int_equal(fcntl(fd, F_SETLK, &range), 0);
	assert_int_equal(child(try_range, &inside), 0);
	works(px_close(p, fd));
}

/* ---- running ---- */

static int run_it(const void *arg)
{
	execl(arg, arg, (char *)NULL);
	return errno;
}

static void programs_run_from_here(struct px *p)
{
	int from = open("/bin/true", O_RDONLY), fd = make(p, "prog", 0);
	struct stat st;

	assert_int_equal(fstat(from, &st), 0);
	while (sendfile(fd, from, NULL, 1 << 20) > 0)
		;
	close(from);
	works(px_close(p, fd));
	assert_int_equal(px_status(p, "prog").st_size, st.st_size);
	assert_int_equal(child(run_it, "./prog"), EACCES);
	works(px_chmod(p, "prog", 0755));
	assert_int_equal(child(run_it, "./prog"), 0);
	fd = (int)works(px_open(p, "prog", O_WRONLY, 0));
	assert_int_equal(child(run_it, "./prog"), ETXTBSY);
	works(px_close(p, fd));
	works(px_chmod(p, "prog", 0711)); /* who may not read it may run it */
	px_as(p, STRANGER, ELSEWISE);
	assert_int_equal(child(run_it, "./prog"), 0);
	px_as_root(p);
	works(px_chmod(p, "prog", 0766));
	px_as(p, STRANGER, ELSEWISE);
	assert_int_equal(child(run_it, "./prog"), EACCES);
}

/* ---- limits and pointers ---- */

static int write_beyond_limit(const void *arg)
{
	struct rlimit limit = { 1000, 1000 };
	int fd = open(arg, O_RDWR);

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	if (pwrite(fd, "xxxx", 4, 998) != 2)
		return 1;
	if (pwrite(fd, "x", 1, 1000) != -1 || errno != EFBIG)
		return 2;
	if (ftruncate(fd, 1001) != -1 || errno != EFBIG)
		return 3;
	return ftruncate(fd, 500) ? 4 : 0;
}

static void the_limit_of_a_process_is_kept(struct px *p)
{
	works(px_close(p, make(p, "f", 0)));
	assert_int_equal(child(write_beyond_limit, "f"), 0);
	assert_int_equal(px_status(p, "f").st_size, 500);
}

static void wild_pointers_are_refused(struct px *p)
{
	char *wild = (char *)(uintptr_t)16;
	int fd = make(p, "f", 100);

	refused(px_open(p, wild, O_RDONLY, 0), EFAULT);
	refused(px_mkdir(p, wild, 0755), EFAULT);
	refused(px_unlink(p, wild), EFAULT);
	refused(px_rename(p, "f", wild), EFAULT);
	refused(px_symlink(p, wild, "s"), EFAULT);
	refused(px_read(p, fd, wild, 100), EFAULT);
	refused(px_write(p, fd, wild, 100), EFAULT);
	works(px_close(p, fd));
	assert_int_equal(px_status(p, "f").st_size, 100);
}

/* ---- other ways to move bytes ---- */

static void bytes_are_copied_between_files(struct px *p)
{
	int from = make(p, "from", 0), to = make(p, "to", 0);
	off_t in = 0, out = 5000;
	char *bytes = malloc(100000), *got = malloc(100000);

	for (int i = 0; i < 100000; i++)
		bytes[i] = (char)(i * 7 + i / 1000);
	assert_int_equal(px_write(p, from, bytes, 100000), 100000);
	while (in < 100000)
		assert_true(copy_file_range(from, &in, to, &out, (size_t)(100000 - in), 0) > 0);
	assert_int_equal(px_pread(p, to, got, 100000, 5000), 100000);
	assert_memory_equal(got, bytes, 100000);
	/* within one file as well, where they do not overlap */
	in = 0;
	out = 200000;
	while (in < 50000)
		assert_true(copy_file_range(from, &in, from, &out, (size_t)(50000 - in), 0) > 0);
	assert_int_equal(px_pread(p, from, got, 50000, 200000), 50000);
	assert_memory_equal(got, bytes, 50000);
	works(px_close(p, from));
	works(px_close(p, to));
	free(bytes);
	free(got);
}

static void direct_io_and_cached_io_see_one_file(struct px *p)
{
	int cached = make(p, "f", 16 * PAGE), direct = open("f", O_RDWR | O_DIRECT);
	char *block = NULL;

	assert_int_equal(posix_memalign((void **)&block, PAGE, 4 * PAGE), 0);
	assert_true(direct >= 0);
	memset(block, 'd', 4 * PAGE);
	assert_int_equal(pwrite(direct, block, 4 * PAGE, 4 * PAGE), 4 * PAGE);
	memset(block, 0, 4 * PAGE);
	assert_int_equal(px_pread(p, cached, block, 10, 5 * PAGE - 5), 10);
	assert_memory_equal(block, "dddddddddd", 10);
	assert_int_equal(px_pwrite(p, cached, "cached", 6, 6 * PAGE), 6);
	assert_int_equal(pread(direct, block, PAGE, 6 * PAGE), PAGE);
	assert_memory_equal(block, "cachedddd", 9);
	assert_int_equal(pread(direct, block, 4 * PAGE, 14 * PAGE), 2 * PAGE);
	close(direct);
	works(px_close(p, cached));
	free(block);
}

static void synchronous_writes_work(struct px *p)
{
	int a = open("a", O_RDWR | O_CREAT | O_SYNC, 0644);
	int b = open("b", O_RDWR | O_CREAT | O_DSYNC, 0644);

	assert_int_equal(px_write(p, a, "sync", 4), 4);
	assert_int_equal(px_write(p, b, "dsync", 5), 5);
	works(px_close(p, a));
	works(px_close(p, b));
	px_holds(p, "a", "sync");
	px_holds(p, "b", "dsync");
}

static void sockets_and_fifos_connect_processes(struct px *p)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "sock" };
	int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0),
	    peer;
	char byte;

	assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_true(S_ISSOCK(px_status(p, "sock").st_mode));
	assert_int_equal(bind(client, (struct sockaddr *)&address, sizeof(address)), -1);
	assert_int_equal(errno, EADDRINUSE);
	assert_int_equal(listen(server, 1), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	peer = accept(server, NULL, NULL);
	assert_int_equal(write(client, "x", 1), 1);
	assert_int_equal(read(peer, &byte, 1), 1);
	close(peer);
	close(client);
	close(server);
	works(px_unlink(p, "sock"));
}

/* ---- where one is ---- */

static void ways_that_begin_at_a_descriptor(struct px *p)
{
	struct stat st;
	int dir, fd;

	works(px_mkdir(p, "d", 0755));
	dir = (int)works(px_open(p, "d", O_RDONLY | O_DIRECTORY, 0));
	fd = openat(dir, "f", O_RDWR | O_CREAT, 0644);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(mkdirat(dir, "e", 0755), 0);
	assert_int_equal(symlinkat("f", dir, "s"), 0);
	assert_int_equal(linkat(dir, "f", dir, "g", 0), 0);
	assert_int_equal(renameat(dir, "g", dir, "e/h"), 0);
	assert_int_equal(fstatat(dir, "e/h", &st, 0), 0);
	assert_int_equal(st.st_nlink, 2);
	works(px_rename(p, "d", "moved")); /* it is the directory, not its name */
	assert_int_equal(unlinkat(dir, "e/h", 0), 0);
	assert_int_equal(unlinkat(dir, "e", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(dir, "s", 0), 0);
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_nlink, 1);
	works(px_close(p, dir));
	fd = (int)works(px_open(p, "moved/f", O_RDONLY, 0));
	assert_int_equal(openat(fd, "x", O_RDONLY), -1);
	assert_int_equal(errno, ENOTDIR);
	works(px_close(p, fd));
}

static void the_working_directory_follows_a_rename(struct px *p)
{
	char before[PAGE], inside[PAGE];

	assert_non_null(getcwd(before, sizeof(before)));
	works(px_mkdir(p, "a", 0755));
	works(px_mkdir(p, "a/b", 0755));
	assert_int_equal(chdir("a/b"), 0);
	works(px_rename(p, "../../a", "../../c"));
	assert_non_null(getcwd(inside, sizeof(inside)));
	assert_string_equal(inside + strlen(before), "/c/b");
	works(px_rmdir(p, "../../c/b"));
	assert_null(getcwd(inside, sizeof(inside)));
	assert_int_equal(errno, ENOENT);
	refused(px_mkdir(p, "x", 0755), ENOENT);
	assert_int_equal(chdir(before), 0);
}

static void another_file_system_is_elsewhere(struct px *p)
{
	px_file(p, "f", "content", 0644);
	refused(px_link(p, "f", "/tmp/posix-suite-elsewhere"), EXDEV);
	refused(px_rename(p, "f", "/tmp/posix-suite-elsewhere"), EXDEV);
	refused(px_link(p, "/proc/version", "g"), EXDEV);
	refused(px_rename(p, "/proc/version", "g"), EXDEV);
	px_holds(p, "f", "content");
}

static void birth_times_are_told_or_left_out(struct px *p)
{
	struct statx st;

	px_file(p, "f", "content", 0644);
	assert_int_equal(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &st), 0);
	assert_int_equal(st.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	assert_int_equal(st.stx_size, 7);
	if (st.stx_mask & STATX_BTIME)
		assert_true(st.stx_btime.tv_sec > 1000000000);
}

/* ---- others at work ---- */

struct churn {
	const char *dir;
	volatile bool stop;
	int failed;
};

static void *churn(void *arg)
{
	struct churn *c = arg;
	char a[64], b[64];

	for (unsigned i = 0; !c->stop && !c->failed; i++) {
		int fd;

		snprintf(a, sizeof(a), "%s/coming-%u", c->dir, i % 50);
		snprintf(b, sizeof(b), "%s/going-%u", c->dir, i % 50);
		fd = open(a, O_WRONLY | O_CREAT, 0644);
		c->failed |= fd < 0;
		close(fd);
		c->failed |= rename(a, b) != 0;
		if (i % 3 == 0)
			c->failed |= unlink(b) != 0;
	}
	return NULL;
}

static void listing_while_others_work_shows_what_stays_once(struct px *p)
{
	enum { COUNT = 300, ROUNDS = 15 };
	struct churn c = { .dir = "d" };
	pthread_t thread;
	char path[64];

	works(px_mkdir(p, "d", 0755));
	for (int i = 0; i < COUNT; i++) {
		snprintf(path, sizeof(path), "d/stays-%d", i);
		px_file(p, path, "", 0644);
	}
	assert_int_equal(pthread_create(&thread, NULL, churn, &c), 0);
	for (int round = 0; round < ROUNDS; round++) {
		unsigned char seen[COUNT] = { 0 };
		DIR *stream = opendir("d");
		struct dirent *entry;
		int i;

		while ((entry = readdir(stream)))
			if (sscanf(entry->d_name, "stays-%d", &i) == 1)
				seen[i]++;
		closedir(stream);
		for (i = 0; i < COUNT; i++)
			if (seen[i] != 1) {
				c.stop = true;
				pthread_join(thread, NULL);
				fail_msg("round %d: entry %d was listed %d times", round, i,
					 seen[i]);
			}
	}
	c.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(c.failed, 0);
}

struct appender {
	pthread_t thread;
	char letter;
};

#define PIECES 300

static void *append(void *arg)
{
	struct appender *a = arg;
	char piece[37];
	int fd = open("log", O_WRONLY | O_APPEND);

	memset(piece, a->letter, sizeof(piece));
	for (int i = 0; i < PIECES; i++)
		if (write(fd, piece, sizeof(piece)) != sizeof(piece))
			a->letter = 0;
	close(fd);
	return NULL;
}

static void appenders_lose_nothing_of_each_other(struct px *p)
{
	struct appender a[4];
	char piece[37];
	int fd, counts[4] = { 0 };

	px_file(p, "log", "", 0644);
	for (int i = 0; i < 4; i++) {
		a[i].letter = (char)('a' + i);
		assert_int_equal(pthread_create(&a[i].thread, NULL, append, &a[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(a[i].thread, NULL);
	fd = (int)works(px_open(p, "log", O_RDONLY, 0));
	for (int i = 0; i < 4 * PIECES; i++) {
		assert_int_equal(px_read(p, fd, piece, sizeof(piece)), sizeof(piece));
		for (size_t k = 1; k < sizeof(piece); k++)
			assert_int_equal(piece[k], piece[0]);
		counts[piece[0] - 'a']++;
	}
	works(px_close(p, fd));
	for (int i = 0; i < 4; i++)
		assert_int_equal(counts[i], PIECES);
}

static int race_for(void)
{
	int won = 0;
	char path[32];

	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "race-%d", i);
		won += open(path, O_WRONLY | O_CREAT | O_EXCL, 0644) >= 0;
		snprintf(path, sizeof(path), "race-d%d", i);
		won += mkdir(path, 0755) == 0;
	}
	return won;
}

static void exclusive_creation_has_one_winner(struct px *p)
{
	int total = 0, status;
	pid_t pids[3];

	for (int i = 0; i < 3; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(race_for());
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		total += WEXITSTATUS(status);
	}
	assert_int_equal(total, 200);
	assert_int_equal(px_count(p, "."), 200);
}

static void *replace(void *arg)
{
	struct churn *c = arg;

	for (unsigned i = 0; !c->stop && !c->failed; i++) {
		int fd = open("new", O_WRONLY | O_CREAT | O_TRUNC, 0644);

		c->failed |= write(fd, "whole file", 10) != 10;
		close(fd);
		c->failed |= rename("new", "file") != 0;
	}
	return NULL;
}

static void a_name_that_is_replaced_is_never_missing(struct px *p)
{
	struct churn c = { .dir = "." };
	pthread_t thread;
	bool missing = false;
	char bytes[16];

	px_file(p, "file", "whole file", 0644);
	assert_int_equal(pthread_create(&thread, NULL, replace, &c), 0);
	for (int i = 0; i < 1500 && !missing; i++) {
		int fd = open("file", O_RDONLY);

		missing = fd < 0 || read(fd, bytes, sizeof(bytes)) != 10;
		close(fd);
	}
	c.stop = true;
	pthread_join(thread, NULL);
	assert_false(missing);
	assert_int_equal(c.failed, 0);
}

/* Who may write a program does not get what it may do; and no write fails because of that. */
static void a_program_loses_its_capabilities(struct px *p)
{
	const struct vfs_cap_data some = {
		.magic_etc = htole32(VFS_CAP_REVISION_2),
		.data = { { .permitted = htole32(1u << CAP_CHOWN) } },
	};
	char bytes[64];

	if (!px_can(p, PX_XATTR))
		return;
	for (int how = 0; how < 3; how++) {
		int fd;

		px_as_root(p);
		px_file_for(p, "f", OWNER, ELSEWISE, 0777);
		works(px_setxattr(p, "f", "security.capability", &some, XATTR_CAPS_SZ_2, 0));
		px_as(p, how == 2 ? OWNER : STRANGER, how == 2 ? GROUP : ELSEWISE);
		refused(px_removexattr(p, "f", "security.capability"), EPERM);
		fd = (int)works(px_open(p, "f", O_WRONLY, 0));
		if (how == 0)
			assert_int_equal(px_write(p, fd, "x", 1), 1);
		if (how == 1)
			works(px_ftruncate(p, fd, 1));
		if (how == 2)
			works(px_fchown(p, fd, OWNER, GROUP));
		works(px_close(p, fd));
		px_as_root(p);
		refused(px_getxattr(p, "f", "security.capability", bytes, sizeof(bytes)), ENODATA);
		works(px_unlink(p, "f"));
	}
}

static const struct px_case cases[] = {
	PX_MOUNT(maps_and_files_are_the_same_bytes),
	PX_MOUNT(what_a_map_wrote_is_there_after_close_and_drop),
	PX_MOUNT(a_write_by_map_moves_the_times),
	PX_MOUNT(a_private_map_changes_nothing),
	PX_MOUNT(a_map_beyond_the_end_is_a_bus_error),
	PX_MOUNT(an_unlinked_map_lives_on),
	PX_MOUNT(whole_file_locks_exclude_others),
	PX_MOUNT(range_locks_exclude_others_from_the_range),
	PX_MOUNT(programs_run_from_here),
	PX_MOUNT(the_limit_of_a_process_is_kept),
	PX_MOUNT(wild_pointers_are_refused),
	PX_MOUNT(bytes_are_copied_between_files),
	PX_MOUNT(direct_io_and_cached_io_see_one_file),
	PX_MOUNT(synchronous_writes_work),
	PX_MOUNT(sockets_and_fifos_connect_processes),
	PX_MOUNT(ways_that_begin_at_a_descriptor),
	PX_MOUNT(the_working_directory_follows_a_rename),
	PX_MOUNT(another_file_system_is_elsewhere),
	PX_MOUNT(birth_times_are_told_or_left_out),
	PX_MOUNT(listing_while_others_work_shows_what_stays_once),
	PX_MOUNT(appenders_lose_nothing_of_each_other),
	PX_MOUNT(exclusive_creation_has_one_winner),
	PX_MOUNT(a_name_that_is_replaced_is_never_missing),
	PX_MOUNT(a_program_loses_its_capabilities),
};

PX_SUITE(kernel, cases);
