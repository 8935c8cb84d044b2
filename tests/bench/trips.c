/* SPDX-License-Identifier: MIT */
/*
 * What a round trip through FUSE costs with each way of placing the threads
 * that serve:
 *
 *   bench_trips [TRIPS]
 *
 * Mounts a file system that answers at once (or, at the name "slow", after 200
 * microseconds of sleep, as a disk would), and lets 1, 2 and 4 clients ask.
 * One row per policy: microseconds per trip, and in brackets the processor
 * time of server and clients together.
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"

#define SLOW_INO 2u

struct way {
	const char *name;
	bool libfuse; /* its own loop */
	struct crew_policy policy;
};

static const struct way ways[] = {
	{ "libfuse, 1 thread", true, { .threads = 1 } },
	{ "libfuse, 10 threads", true, { .threads = 10 } },
	{ "1 seat", false, { .threads = 10, .seats = 1 } },
	{ "2 seats", false, { .threads = 10, .seats = 2 } },
	{ "adaptive", false, { .threads = 10 } },
	{ "adaptive, spin 20 us", false, { .threads = 10, .spin_us = 20 } },
	{ "adaptive, spin 50 us", false, { .threads = 10, .spin_us = 50 } },
	{ "adaptive, spin 100 us", false, { .threads = 10, .spin_us = 100 } },
	{ "adaptive, follow", false, { .threads = 10, .follow = true } },
	{ "adaptive, both", false, { .threads = 10, .spin_us = 50, .follow = true } },
	{ "1 seat, both", false, { .threads = 10, .seats = 1, .spin_us = 50, .follow = true } },
};
#define N_WAYS (sizeof(ways) / sizeof(ways[0]))

/* ---- the file system ---- */

static void node_attr(fuse_ino_t node, struct stat *st)
{
	*st = (struct stat){ .st_ino = node, .st_nlink = 1, .st_mode = S_IFREG | 0444 };
	if (node == FUSE_ROOT_ID)
		st->st_mode = S_IFDIR | 0555;
}

static void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	node_attr(node, &st);
	fuse_reply_attr(req, &st, 1000.0);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .ino = SLOW_INO,
					  .attr_timeout = 1000.0,
					  .entry_timeout = 1000.0 };

	(void)parent;
	if (strcmp(name, "slow") != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	node_attr(SLOW_INO, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void op_statfs(fuse_req_t req, fuse_ino_t node)
{
	if (node == SLOW_INO)
		usleep(200);
	fuse_reply_statfs(req, &(struct statvfs){ .f_bsize = 4096 });
}

static const struct fuse_lowlevel_ops ops = {
	.getattr = op_getattr,
	.lookup = op_lookup,
	.statfs = op_statfs,
};

/* ---- the server ---- */

static void serve(void *arg, struct fuse_in_header *request, size_t size)
{
	fuse_session_process_buf(arg, &(struct fuse_buf){ .mem = request, .size = size });
}

static int run_crew(struct fuse_session *session, const struct crew_policy *policy)
{
	struct crew *crew;
	int err = crew_create(fuse_session_fd(session), (1 << 20) + 4096, policy, serve, session,
			      &crew);

	if (err)
		return err;
	err = crew_run(crew);
	crew_destroy(crew);
	return err;
}

static int run_libfuse(struct fuse_session *session, unsigned threads)
{
	struct fuse_loop_config *config;
	int err;

	if (threads == 1)
		return fuse_session_loop(session);
	config = fuse_loop_cfg_create();
	fuse_loop_cfg_set_max_threads(config, threads);
	fuse_loop_cfg_set_idle_threads(config, threads);
	err = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return err;
}

/* Mount and serve until somebody unmounts. */
static _Noreturn void server(const struct way *way, const char *dir)
{
	char name[] = "bench_trips", *argv[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session = fuse_session_new(&args, &ops, sizeof(ops), NULL);

	if (!session || fuse_session_mount(session, dir))
		_exit(1);
	if (way->libfuse)
		run_libfuse(session, way->policy.threads);
	else
		run_crew(session, &way->policy);
	fuse_session_unmount(session);
	_exit(0);
}

/* ---- the clients ---- */

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Of all children that have ended. */
static double processor_time(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/* Of another process, by its stat: words 14 and 15. */
static double processor_time_of(pid_t pid)
{
	unsigned long user = 0, kernel = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		   &kernel) != 2)
		user = kernel = 0;
	fclose(file);
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static _Noreturn void client(const char *path, unsigned trips)
{
	struct statvfs space;

	for (unsigned i = 0; i < trips; i++) {
		if (statvfs(path, &space))
			_exit(1);
	}
	_exit(0);
}

static void measure(const char *path, pid_t server_pid, unsigned clients, unsigned trips)
{
	double processor = processor_time() + processor_time_of(server_pid), began = now(), took;
	pid_t pids[8];

	for (unsigned i = 0; i < clients; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			client(path, trips / clients);
	}
	for (unsigned i = 0; i < clients; i++)
		waitpid(pids[i], NULL, 0);
	took = now() - began;
	processor = processor_time() + processor_time_of(server_pid) - processor;
	printf("  %6.1f (%5.1f)", took / trips * 1e6, processor / trips * 1e6);
	fflush(stdout);
}

static bool wait_for_mount(const char *dir)
{
	struct statvfs space;

	for (unsigned i = 0; i < 500; i++) {
		if (statvfs(dir, &space) == 0 && space.f_blocks == 0 && space.f_bsize == 4096 &&
		    space.f_namemax == 0)
			return true;
		usleep(10000);
	}
	return false;
}

static int row(const struct way *way, const char *dir, unsigned trips)
{
	char slow[4096];
	pid_t pid = fork();

	if (pid == 0)
		server(way, dir);
	if (!wait_for_mount(dir)) {
		fprintf(stderr, "bench_trips: cannot mount at %s\n", dir);
		return 1;
	}
	snprintf(slow, sizeof(slow), "%s/slow", dir);
	printf("%-22s", way->name);
	for (unsigned clients = 1; clients <= 4; clients *= 2)
		measure(dir, pid, clients, trips);
	measure(slow, pid, 4, trips / 10 + 4);
	printf("\n");
	umount2(dir, MNT_DETACH);
	waitpid(pid, NULL, 0);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned trips = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;
	char dir[] = "/tmp/bench_trips.XXXXXX";
	int code = 0;

	/* In a namespace of its own a mount cannot be left behind. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    access("/dev/fuse", R_OK | W_OK) || !mkdtemp(dir)) {
		printf("SKIP: needs root and /dev/fuse\n");
		return 77;
	}
	printf("microseconds per trip (and of processor time), %u trips\n", trips);
	printf("%-22s  %14s  %14s  %14s  %14s\n", "", "1 client", "2 clients", "4 clients",
	       "4, slow");
	for (size_t i = 0; !code && i < N_WAYS; i++)
		code = row(&ways[i], dir, trips);
	rmdir(dir);
	return code;
}
