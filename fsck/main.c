/* SPDX-License-Identifier: MIT */
/*
 * xn-fsck: the command line of fsck.
 *
 *  (1) Exit codes are those of fsck(8).
 *  (2) A disk that somebody uses is not repaired; looking at it is allowed, with
 *      a warning.
 *  (3) A broken pipe or a signal ends the run at the next safe point.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fsck/fsck.h"
#include "report.h"
#include "undo.h"
#include "xn/bdev.h"
#include "xn/error.h"
#include "xn/format.h"

#ifndef XN_VERSION
#define XN_VERSION "unversioned"
#endif

#define LOCK_WAIT_MS 2000u /* a bridge that was just unmounted needs a moment */

static volatile sig_atomic_t stop; /* a handler has nowhere else to write to */

struct arguments {
	struct fsck_opts opts;
	const char *image;
	const char *undo, *replay; /* files */
	bool json;
	int mode_flags;     /* how many of -n -p -y were given */
	bool nobody_to_ask; /* none of them, and no terminal */
	int exit_code;      /* >= 0: nothing else to do */
};

static const char help[] =
	"Usage: xn-fsck [-n|-p|-y] [-f] [-v] [-C FD] [--json] [--undo FILE] IMAGE [/ROOT]\n"
	"       xn-fsck --undo-replay FILE IMAGE\n"
	"Check an XN disk and repair what can be repaired; or one root of it.\n"
	"\n"
	"  -n        look only, write nothing\n"
	"  -p, -a    repair what is safe without asking, for boot scripts\n"
	"  -y        repair everything that can be\n"
	"            none of these: ask on the terminal; without one, look only\n"
	"  -f        check a disk even if it is marked clean\n"
	"  -v        say more; problems with their codes\n"
	"  -C FD     write lines \"pass current max device\" to descriptor FD; 0 = a counter on\n"
	"            the terminal\n"
	"  --root NAME\n"
	"            only this root: what it owns, and its file system; the free map is not "
	"checked\n"
	"  --undo FILE\n"
	"            write down in FILE, which must not exist, what is overwritten\n"
	"  --undo-replay FILE\n"
	"            put back what such a FILE says; nothing else is done\n"
	"  --json    print one JSON object instead of sentences; needs -n, -p or -y\n"
	"  --help, --version\n"
	"\n"
	"Exit code, the sum of: 0 no problems, 1 problems repaired, 4 problems left,\n"
	"8 could not run, 16 wrong usage, 32 stopped by a signal.\n";

static int usage(const char *why)
{
	fprintf(stderr, "xn-fsck: %s\nTry 'xn-fsck --help'.\n", why);
	return FSCK_USAGE;
}

static void mode_set(struct arguments *args, enum check_mode mode)
{
	if (args->mode_flags == 0 || args->opts.mode != mode)
		args->mode_flags++;
	args->opts.mode = mode;
}

static int fd_parse(const char *text)
{
	char *end;
	long fd = strtol(text, &end, 10);

	if (end == text || *end || fd < 0 || fd > 1 << 20 ||
	    (fd > 0 && fcntl((int)fd, F_GETFD) < 0))
		return -1;
	return (int)fd;
}

static void option_take(struct arguments *args, int option)
{
	switch (option) {
	case 'n': mode_set(args, CHECK_LOOK); break;
	case 'p':
	case 'a': mode_set(args, CHECK_PREEN); break;
	case 'y': mode_set(args, CHECK_YES); break;
	case 'f': args->opts.force = true; break;
	case 'v': args->opts.verbose = true; break;
	case 'J': args->json = true; break;
	case 'R': args->opts.root = optarg; break;
	case 'U': args->undo = optarg; break;
	case 'B': args->replay = optarg; break;
	case 'C':
		args->opts.progress_fd = fd_parse(optarg);
		if (args->opts.progress_fd < 0)
			args->exit_code = usage("-C needs an open file descriptor");
		break;
	case 'H':
		fputs(help, stdout);
		args->exit_code = FSCK_OK;
		break;
	case 'V':
		puts("xn-fsck " XN_VERSION);
		args->exit_code = FSCK_OK;
		break;
	default: args->exit_code = FSCK_USAGE; break; /* getopt said why */
	}
}

/* "/NAME" is a root; no part smaller than that is checked by itself. */
static void part_take(struct arguments *args, const char *path)
{
	size_t len;

	path += strspn(path, "/");
	len = strcspn(path, "/");
	if (args->opts.root || args->replay)
		args->exit_code = usage("either --root, --undo-replay or a path");
	else if (len == 0 || path[len + strspn(path + len, "/")])
		args->exit_code = usage("a path is that of a whole root: /NAME");
	else if (path[len])
		args->exit_code = usage("no '/' behind the name of a root");
	else
		args->opts.root = path;
}

static struct arguments arguments_parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "root", required_argument, NULL, 'R' },
		{ "undo", required_argument, NULL, 'U' },
		{ "undo-replay", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'H' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct arguments args = {
		.opts = { .mode = CHECK_ASK, .progress_fd = -1, .stop = &stop },
		.exit_code = -1,
	};
	int option;

	while (args.exit_code < 0 &&
	       (option = getopt_long(argc, argv, "npayfvC:", options, NULL)) != -1)
		option_take(&args, option);
	if (args.exit_code >= 0)
		return args;
	if (optind == argc || argc - optind > 2 ||
	    (argc - optind == 2 && argv[optind + 1][0] != '/'))
		args.exit_code = usage(optind == argc ? "which image?" : "one image at a time");
	else if (args.mode_flags > 1)
		args.exit_code = usage("only one of -n, -p and -y");
	else if (args.json && args.mode_flags == 0)
		args.exit_code = usage("--json needs -n, -p or -y");
	else if (args.replay && (args.mode_flags || args.undo || args.opts.root))
		args.exit_code = usage("--undo-replay does nothing else");
	else
		args.image = argv[optind];
	if (args.image && argc - optind == 2)
		part_take(&args, argv[optind + 1]);
	return args;
}

static int fail(const struct arguments *args, const char *why)
{
	struct fsck_result result = { .exit_code = FSCK_FAILED };

	snprintf(result.why, sizeof(result.why), "%s", why);
	if (args->json)
		report_json(stdout, args->image, &result);
	fprintf(stderr, "xn-fsck: %s: %s\n", args->image, why);
	return FSCK_FAILED;
}

/* Who uses the disk, from its superblock. */
static void holder_text(struct bdev *dev, char *text, size_t size)
{
	struct xn_super_disk disk;
	struct xn_super super;

	if (bdev_read(dev, 0, &disk, sizeof(disk)) || xn_super_decode(&disk, &super) ||
	    super.holder_pid == 0)
		snprintf(text, size, "in use by another process");
	else
		snprintf(text, size, "in use by %s (process %" PRIu64 " on %s)",
			 *super.holder_command ? super.holder_command : "a program",
			 super.holder_pid, *super.holder_host ? super.holder_host : "this host");
}

/* 0: go on.  FSCK_FAILED: somebody uses it. */
static int lock_take(const struct arguments *args, struct bdev *dev, bool look)
{
	char holder[200];
	int err = bdev_lock(dev, !look, LOCK_WAIT_MS);

	if (!err)
		return 0;
	if (err != -EBUSY)
		return fail(args, xn_strerror(err));
	holder_text(dev, holder, sizeof(holder));
	if (!look || args->nobody_to_ask)
		return fail(args, holder);
	fprintf(stderr, "xn-fsck: warning: %s is %s; what follows may be wrong\n", args->image,
		holder);
	return 0;
}

/* The check itself, on a device that is locked. */
static int device_check(struct arguments *args, struct bdev *dev)
{
	struct fsck_result result;
	int err = fsck_run(dev, &args->opts, &result), code = result.exit_code;

	if (args->json)
		report_json(stdout, args->image, &result);
	else if (err)
		fprintf(stderr, "xn-fsck: %s: %s\n", args->image, result.why);
	fsck_result_fini(&result);
	return code;
}

static int check_with_undo(struct arguments *args, struct bdev *dev)
{
	struct bdev *undo;
	int err = undo_create(args->undo, dev, &undo), code;

	if (err) {
		fprintf(stderr, "xn-fsck: %s: %s\n", args->undo, strerror(-err));
		return FSCK_FAILED;
	}
	code = device_check(args, undo);
	bdev_close(undo);
	return code;
}

static int replay(const struct arguments *args, struct bdev *dev)
{
	char why[512];

	return undo_replay(args->replay, dev, why, sizeof(why)) ? fail(args, why) : FSCK_REPAIRED;
}

static int check_image(struct arguments *args)
{
	bool look = args->opts.mode == CHECK_LOOK && !args->replay;
	struct bdev *dev;
	int err = bdev_open(args->image, look ? BDEV_OPEN_RDONLY : BDEV_OPEN_RDWR, 0, &dev), code;

	if (err)
		return fail(args, xn_strerror(err));
	code = lock_take(args, dev, look);
	if (!code && args->replay)
		code = replay(args, dev);
	else if (!code && args->undo && !look)
		code = check_with_undo(args, dev);
	else if (!code)
		code = device_check(args, dev);
	bdev_close(dev);
	return code;
}

static void stop_handler(int number)
{
	(void)number;
	stop = 1;
}

static void signals_set(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = stop_handler;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

int main(int argc, char **argv)
{
	struct arguments args = arguments_parse(argc, argv);
	int code;

	if (args.exit_code >= 0)
		return args.exit_code;
	if (args.opts.mode == CHECK_ASK && !args.replay &&
	    (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
		args.nobody_to_ask = true; /* then every answer is no */
		args.opts.mode = CHECK_LOOK;
	}
	signals_set();
	args.opts.in = stdin;
	args.opts.out = args.json ? NULL : stdout;
	code = check_image(&args);
	if (args.nobody_to_ask && code == FSCK_LEFT)
		fprintf(stderr,
			"xn-fsck: %s: nothing was repaired: asking needs a terminal; give -p or "
			"-y\n",
			args.image);
	if (fflush(stdout) && code == FSCK_OK)
		code = FSCK_FAILED;
	return code;
}
