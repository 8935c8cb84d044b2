/* SPDX-License-Identifier: MIT */
/*
 * The small-file benchmark of the C-FFS paper, in process: 10,000 files of 1 KiB in 100
 * directories are created, read cold, looked at (stat, cold), overwritten and unlinked, with a
 * sync behind each; and what that asks of the device, for every combination of embedded inodes,
 * explicit grouping and delayed writes; and ext4 on a loop device through system calls.
 *
 *	bench_small [--quick] [--files N] [--dirs N] [--bytes N] [--only cffs|ext4] [--libfs NAME]
 *		    [--drive atlas1996|sata7200|nvme] [--way 1..8]
 *
 * --way runs one of the eight alone, for those who count instructions.
 * Requests are counted as if the device took 64 KiB, or 1 MiB, at most; "disk s" is what that
 * drive would have taken (the 1996 one, unless asked).  Time is that of the process, the device
 * being memory.  The kernel's requests are those of /sys/block; comparing
 * with it needs root and loop devices, and is left out without them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "count.h"
#include "libfs/libfs.h"
#include "xn/bdev.h"
#include "xn/xn.h"

#define MUST(call)                                                                    \
	do {                                                                          \
		int must_ = (int)(call);                                              \
		if (must_ < 0) {                                                      \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
				xn_error_name(must_));                                \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

enum phase { CREATE, READ, STAT, OVERWRITE, UNLINK, PHASES };
static const char *const phase_names[PHASES] = { "create", "cold read", "cold stat", "overwrite",
						 "unlink" };

struct shape {
	unsigned files, dirs;
	size_t bytes;
	const char *libfs;
	const struct bdev_model *drive;
};

struct result {
	struct counts counts;
	double ns_per_file, disk_s;
};

static double now_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static void name_of(char name[16], char kind, unsigned i)
{
	snprintf(name, 16, "%c%05u", kind, i);
}

/* ---- in process ---- */

struct bench {
	const struct shape *shape;
	struct bdev *dev, *model;
	struct xn *xn;
	struct xn_session *session;
	struct libfs *fs;
	struct xn_cred cred;
	struct libfs_ctx ctx;
	char *buffer;
};

static void bench_open(struct bench *b, const char *mount_options)
{
	struct xn_open_opts open = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV,
				     .cache_bytes = 256ull << 20 };
	struct libfs_mount_opts mount = { .root = "bench", .options = mount_options };

	MUST(xn_open_dev(b->dev, &open, &b->xn));
	MUST(xn_session_open(b->xn, &b->cred, XN_SESSION_ADMIN, &b->session));
	MUST(libfs_mount(b->session, &mount, &b->fs));
}

static void bench_close(struct bench *b)
{
	MUST(libfs_unmount(b->fs));
	xn_session_close(b->session);
	MUST(xn_close(b->xn));
}

static void bench_make(struct bench *b, const char *mkfs_options)
{
	struct xn_format_opts format = { .label = "bench" };
	struct xn_open_opts open = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	struct libfs_mkfs_opts mkfs = { .root = "bench",
					.options = mkfs_options,
					.now = { 1700000000, 0 } };
	struct bdev *mem;

	MUST(bdev_mem_create(1ull << 30, &mem));
	MUST(bdev_model_create(mem, b->shape->drive, &b->model));
	MUST(count_create(b->model, &b->dev));
	MUST(xn_format(b->dev, &format));
	MUST(xn_open_dev(b->dev, &open, &b->xn));
	MUST(xn_session_open(b->xn, &b->cred, XN_SESSION_ADMIN, &b->session));
	MUST(libfs_mkfs(b->session, b->shape->libfs, &mkfs));
	xn_session_close(b->session);
	MUST(xn_close(b->xn));
}

static libfs_ino_t find(struct bench *b, libfs_ino_t dir, const char *name)
{
	struct libfs_attr attr;

	MUST(libfs_lookup(b->fs, &b->ctx, dir, name, &attr));
	return attr.ino;
}

static void write_file(struct bench *b, libfs_ino_t ino)
{
	uint64_t handle;

	MUST(libfs_open(b->fs, &b->ctx, ino, O_WRONLY, &handle));
	MUST(libfs_write(b->fs, &b->ctx, ino, handle, 0, b->buffer, b->shape->bytes));
	libfs_release(b->fs, ino, handle);
}

static void one_file(struct bench *b, enum phase phase, libfs_ino_t dir, const char *name)
{
	struct libfs_attr attr;
	uint64_t handle;

	b->ctx.now.tv_nsec++;
	if (phase == UNLINK) {
		MUST(libfs_unlink(b->fs, &b->ctx, dir, name));
		return;
	}
	if (phase == CREATE)
		MUST(libfs_create(b->fs, &b->ctx, dir, name, 0644, true, &attr));
	else
		attr.ino = find(b, dir, name);
	if (phase == CREATE || phase == OVERWRITE)
		write_file(b, attr.ino);
	if (phase == READ) {
		MUST(libfs_open(b->fs, &b->ctx, attr.ino, O_RDONLY, &handle));
		MUST(libfs_read(b->fs, &b->ctx, attr.ino, handle, 0, b->buffer, b->shape->bytes));
		libfs_release(b->fs, attr.ino, handle);
	}
	if (phase == STAT)
		MUST(libfs_getattr(b->fs, &b->ctx, attr.ino, &attr));
	libfs_forget(b->fs, attr.ino, 1);
}

static void all_files(struct bench *b, enum phase phase)
{
	const struct shape *shape = b->shape;
	char name[16];

	for (unsigned d = 0; d < shape->dirs; d++) {
		libfs_ino_t dir;

		name_of(name, 'd', d);
		if (phase == CREATE) {
			struct libfs_attr attr;

			MUST(libfs_mkdir(b->fs, &b->ctx, LIBFS_ROOT_INO, name, 0755, &attr));
			dir = attr.ino;
		} else {
			dir = find(b, LIBFS_ROOT_INO, name);
		}
		for (unsigned f = d; f < shape->files; f += shape->dirs) {
			char file[16];

			name_of(file, 'f', f);
			one_file(b, phase, dir, file);
		}
		libfs_forget(b->fs, dir, 1);
	}
	MUST(libfs_sync(b->fs));
}

static void run_libfs(const struct shape *shape, const char *mkfs, const char *mount,
		      struct result results[PHASES])
{
	struct bench b = { .shape = shape,
			   .ctx = { .now = { 1700000000, 0 }, .umask = 022 },
			   .buffer = calloc(1, shape->bytes) };
	struct bdev_model_result disk;
	struct counts idle;

	if (!b.buffer)
		exit(1);
	b.ctx.cred = &b.cred;
	memset(b.buffer, 'x', shape->bytes);
	bench_make(&b, mkfs);
	bench_open(&b, mount);
	for (enum phase phase = CREATE; phase < PHASES; phase++) {
		double start;

		if (phase == READ || phase == STAT) {
			bench_close(&b);
			bench_open(&b, mount);
		}
		count_take(b.dev, &idle);
		bdev_model_reset(b.model);
		start = now_ns();
		all_files(&b, phase);
		results[phase].ns_per_file = (now_ns() - start) / shape->files;
		count_take(b.dev, &results[phase].counts);
		bdev_model_result(b.model, &disk);
		results[phase].disk_s = (double)disk.time_ns / 1e9;
	}
	bench_close(&b);
	bdev_close(b.dev);
	free(b.buffer);
}

/* ---- the kernel ---- */

struct kernel {
	char image[64], mnt[72], loop[32];
};

static int sh(const char *format, const char *a, const char *b)
{
	char command[512];

	snprintf(command, sizeof(command), format, a, b);
	return system(command);
}

/* "reads merged sectors ms writes merged sectors ms ... flushes ms" */
static void kernel_counts(const struct kernel *k, struct counts *counts)
{
	unsigned long long v[17] = { 0 };
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/%s/stat", k->loop + 5);
	file = fopen(path, "re");
	if (!file)
		return;
	for (unsigned i = 0; i < 17 && fscanf(file, "%llu", &v[i]) == 1; i++)
		;
	fclose(file);
	*counts = (struct counts){ .reads = v[0],
				   .read_sectors = v[2],
				   .writes = v[4],
				   .written_sectors = v[6],
				   .flushes = v[15] };
}

static bool kernel_begin(struct kernel *k)
{
	FILE *out;
	char command[256];

	strcpy(k->image, "/tmp/bench-small-XXXXXX");
	if (geteuid() != 0 || access("/dev/loop-control", W_OK) || !mkdtemp(k->image))
		return false;
	snprintf(k->mnt, sizeof(k->mnt), "%s/mnt", k->image);
	mkdir(k->mnt, 0755);
	snprintf(command, sizeof(command),
		 "cd %s && truncate -s 1G ext4.img && mkfs.ext4 -q -F ext4.img 2>/dev/null && "
		 "losetup --show -f ext4.img 2>/dev/null",
		 k->image);
	out = popen(command, "r");
	if (!out || !fgets(k->loop, sizeof(k->loop), out))
		k->loop[0] = '\0';
	if (out)
		pclose(out);
	k->loop[strcspn(k->loop, "\n")] = '\0';
	return k->loop[0] && mount(k->loop, k->mnt, "ext4", 0, NULL) == 0;
}

static void kernel_end(struct kernel *k)
{
	umount2(k->mnt, MNT_DETACH);
	if (k->loop[0])
		sh("losetup -d %s 2>/dev/null%s", k->loop, "");
	if (k->image[0] == '/' && !strstr(k->image, "XXXXXX"))
		sh("rm -rf %s%s", k->image, "");
}

static void kernel_file(const struct shape *shape, enum phase phase, const char *path, char *buffer)
{
	struct stat st;
	int fd;

	if (phase == UNLINK) {
		MUST(unlink(path));
		return;
	}
	if (phase == STAT) {
		MUST(stat(path, &st));
		return;
	}
	fd = open(path,
		  phase == CREATE ? O_CREAT | O_WRONLY
		  : phase == READ ? O_RDONLY
				  : O_WRONLY,
		  0644);
	MUST(fd);
	MUST(phase == READ ? read(fd, buffer, shape->bytes) : write(fd, buffer, shape->bytes));
	close(fd);
}

static void kernel_phase(const struct shape *shape, const struct kernel *k, enum phase phase,
			 char *buffer)
{
	char path[128], dir[16], name[16];
	int fd;

	for (unsigned d = 0; d < shape->dirs; d++) {
		name_of(dir, 'd', d);
		snprintf(path, sizeof(path), "%s/%s", k->mnt, dir);
		if (phase == CREATE)
			MUST(mkdir(path, 0755));
		for (unsigned f = d; f < shape->files; f += shape->dirs) {
			name_of(name, 'f', f);
			snprintf(path, sizeof(path), "%s/%s/%s", k->mnt, dir, name);
			kernel_file(shape, phase, path, buffer);
		}
	}
	fd = open(k->mnt, O_RDONLY | O_DIRECTORY);
	MUST(syncfs(fd));
	close(fd);
}

static bool run_kernel(const struct shape *shape, struct result results[PHASES])
{
	struct kernel k = { .loop = "" };
	char *buffer = calloc(1, shape->bytes);
	bool ok = buffer && kernel_begin(&k);

	for (enum phase phase = CREATE; ok && phase < PHASES; phase++) {
		struct counts before = { 0 }, after = { 0 };
		struct counts *c = &results[phase].counts;
		double start;

		if (phase == READ || phase == STAT) {
			MUST(umount(k.mnt));
			MUST(mount(k.loop, k.mnt, "ext4", 0, NULL));
		}
		kernel_counts(&k, &before);
		start = now_ns();
		kernel_phase(shape, &k, phase, buffer);
		results[phase].ns_per_file = (now_ns() - start) / shape->files;
		kernel_counts(&k, &after);
		c->reads = after.reads - before.reads;
		c->writes = after.writes - before.writes;
		c->flushes = after.flushes - before.flushes;
		c->read_sectors = after.read_sectors - before.read_sectors;
		c->written_sectors = after.written_sectors - before.written_sectors;
		c->requests[0] = c->requests[1] = c->reads + c->writes;
	}
	kernel_end(&k);
	free(buffer);
	return ok;
}

/* ---- the table ---- */

/* What the goal is about: stat is not among it. */
static struct result sum_of(const struct result results[PHASES])
{
	struct result sum = { .ns_per_file = 0 };

	for (enum phase p = CREATE; p < PHASES; p++) {
		const struct counts *c = &results[p].counts;

		if (p == STAT)
			continue;
		for (unsigned i = 0; i < COUNT_CAPS; i++)
			sum.counts.requests[i] += c->requests[i];
		sum.counts.flushes += c->flushes;
		sum.counts.read_sectors += c->read_sectors;
		sum.counts.written_sectors += c->written_sectors;
		sum.ns_per_file += results[p].ns_per_file;
		sum.disk_s += results[p].disk_s;
	}
	return sum;
}

static void print_row(const char *what, const struct result *r)
{
	printf("  %-10s %9llu %9llu %10llu %10llu %8llu %10.2f %8.2f\n", what,
	       (unsigned long long)r->counts.requests[0], (unsigned long long)r->counts.requests[1],
	       (unsigned long long)r->counts.read_sectors,
	       (unsigned long long)r->counts.written_sectors, (unsigned long long)r->counts.flushes,
	       r->ns_per_file / 1000, r->disk_s);
}

static struct result print_table(const char *title, const struct result results[PHASES])
{
	struct result sum = sum_of(results);

	printf("\n%s\n  %-10s %9s %9s %10s %10s %8s %10s %8s\n", title, "phase", "req 64K",
	       "req 1M", "sect read", "sect writ", "flushes", "us/file", "disk s");
	for (enum phase p = CREATE; p < PHASES; p++)
		print_row(phase_names[p], &results[p]);
	print_row("sum", &sum);
	return sum;
}

static void print_ratio(const char *what, const struct result *r, const struct result *best)
{
	printf("  %-36s %8llu %7.1f   %8llu %7.1f   %8.2f %7.1f\n", what,
	       (unsigned long long)r->counts.requests[0],
	       (double)r->counts.requests[0] / (double)best->counts.requests[0],
	       (unsigned long long)r->counts.requests[1],
	       (double)r->counts.requests[1] / (double)best->counts.requests[1], r->disk_s,
	       r->disk_s / best->disk_s);
}

/* ---- eight ways ---- */

#define WAYS 8u

static void way_options(unsigned way, char mkfs[32], const char **mount, char title[64])
{
	bool embed = !(way & 1), group = !(way & 2), delayed = !(way & 4);

	snprintf(mkfs, 32, "%s%s%s", embed ? "" : "no-embed", !embed && !group ? "," : "",
		 group ? "" : "no-group");
	*mount = delayed ? "" : "through";
	snprintf(title, 64, "%s, %s, %s", embed ? "embedded" : "not embedded",
		 group ? "grouped" : "not grouped", delayed ? "delayed" : "through");
}

static void run_way(const struct shape *shape, unsigned way)
{
	struct result results[PHASES];
	char mkfs[32], title[64];
	const char *mount;

	way_options(way, mkfs, &mount, title);
	run_libfs(shape, mkfs, mount, results);
	print_table(title, results);
}

static struct result run_ways(const struct shape *shape)
{
	struct result sums[WAYS], results[PHASES];
	char mkfs[32], title[64];
	const char *mount;

	for (unsigned way = 0; way < WAYS; way++) {
		way_options(way, mkfs, &mount, title);
		run_libfs(shape, mkfs, mount, results);
		sums[way] = print_table(title, results);
		fflush(stdout);
	}
	printf("\nwithout stat, and how many times the first\n  %-36s %16s   %16s   %16s\n", "",
	       "requests 64 KiB", "requests 1 MiB", "disk s");
	for (unsigned way = 0; way < WAYS; way++) {
		way_options(way, mkfs, &mount, title);
		print_ratio(title, &sums[way], &sums[0]);
	}
	return sums[0];
}

static void run_one(const struct shape *shape)
{
	struct result results[PHASES];

	run_libfs(shape, "", "", results);
	print_table(shape->libfs, results);
}

static void compare_kernel(const struct shape *shape)
{
	struct result ours[PHASES], theirs[PHASES] = { 0 };

	if (!run_kernel(shape, theirs)) {
		printf("\next4: left out, it needs root, mkfs.ext4 and loop devices\n");
		return;
	}
	run_libfs(shape, "", "", ours);
	print_table("ext4 on a loop device, through system calls", theirs);
	print_table("cffs, in process", ours);
	printf("\ntime of ext4 by time of cffs\n");
	for (enum phase p = CREATE; p < PHASES; p++)
		printf("  %-10s %6.1f\n", phase_names[p],
		       theirs[p].ns_per_file / ours[p].ns_per_file);
}

int main(int argc, char **argv)
{
	struct shape shape = { 10000, 100, 1024, "cffs", bdev_model_find("atlas1996") };
	const char *only = "";
	unsigned way = 0;

	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--quick"))
			shape = (struct shape){ 400, 8, 1024, shape.libfs, shape.drive };
		else if (!strcmp(argv[i], "--files"))
			shape.files = (unsigned)atoi(value), i++;
		else if (!strcmp(argv[i], "--dirs"))
			shape.dirs = (unsigned)atoi(value), i++;
		else if (!strcmp(argv[i], "--bytes"))
			shape.bytes = (size_t)atol(value), i++;
		else if (!strcmp(argv[i], "--only"))
			only = value, i++;
		else if (!strcmp(argv[i], "--libfs"))
			shape.libfs = value, i++;
		else if (!strcmp(argv[i], "--drive"))
			shape.drive = bdev_model_find(value), i++;
		else if (!strcmp(argv[i], "--way"))
			way = (unsigned)atoi(value), i++;
		else
			return fprintf(stderr, "bench_small: what is \"%s\"?\n", argv[i]), 2;
	}
	if (!shape.files || !shape.dirs || !shape.bytes || !shape.drive || way > WAYS)
		return fprintf(stderr, "bench_small: nothing to do\n"), 2;
	printf("%u files of %zu bytes in %u directories\n", shape.files, shape.bytes, shape.dirs);
	if (strcmp(shape.libfs, "cffs") != 0)
		run_one(&shape);
	else if (way)
		run_way(&shape, way - 1);
	else if (strcmp(only, "ext4") != 0)
		run_ways(&shape);
	if (strcmp(shape.libfs, "cffs") == 0 && !way && strcmp(only, "cffs") != 0)
		compare_kernel(&shape);
	return 0;
}
