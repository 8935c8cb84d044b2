/* SPDX-License-Identifier: MIT */
/*
 * mount, umount, fsck, crashtest: other programs, found beside this one or in PATH.
 *
 *  (1) What is run inherits the caller's place: its exit code is ours.
 *  (2) umount returns when the image can be opened again.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd.h"
#include "super.h"
#include "xn/bdev.h"

/* A program beside this one; NULL: leave it to PATH. */
static char *beside(const char *program)
{
	char self[4096], *slash, *path;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (len < 0)
		return NULL;
	self[len] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	path = path_join(self, program);
	if (path && access(path, X_OK)) {
		free(path);
		path = NULL;
	}
	return path;
}

/* Become another program.  Returns only when that fails. */
static int become(struct tool *tool, char **argv)
{
	char *path = beside(argv[0]);

	fflush(tool->out);
	signal(SIGPIPE, SIG_DFL);
	if (path)
		execv(path, argv);
	else
		execvp(argv[0], argv);
	say_failure(tool, argv[0], "cannot be run: %s", strerror(errno));
	free(path);
	return EXIT_FAIL;
}

/* Run a program and wait for it.  Its exit code, or EXIT_FAIL. */
static int run(struct tool *tool, char **argv)
{
	int status;
	pid_t pid;

	fflush(tool->out);
	pid = fork();
	if (pid < 0)
		return say_error(tool, argv[0], -errno, NULL);
	if (pid == 0)
		_exit(become(tool, argv) == EXIT_OK ? EXIT_OK : 127);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return say_error(tool, argv[0], -errno, NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAIL;
}

/* Another program, with all words that follow the command. */
static int hand_over(struct tool *tool, const struct args *args, const char *program)
{
	char **argv = calloc((size_t)args->n_operands + 2, sizeof(*argv));
	int code;

	if (!argv)
		return say_error(tool, program, -ENOMEM, NULL);
	argv[0] = (char *)(uintptr_t)program;
	memcpy(argv + 1, args->operands, (size_t)args->n_operands * sizeof(*argv));
	code = become(tool, argv);
	free(argv);
	return code;
}

int cmd_fsck(struct tool *tool, const struct args *args)
{
	return hand_over(tool, args, "xn-fsck");
}

int cmd_crashtest(struct tool *tool, const struct args *args)
{
	return hand_over(tool, args, "xn-crashtest");
}

int cmd_mount(struct tool *tool, const struct args *args)
{
	const char *options = args_text(args, "options", NULL);
	const char *root = args_text(args, "root", NULL);
	char *argv[8] = { (char *)"xn-fuse", args->operands[0], args->operands[1] }, *list;
	unsigned n = 3;
	int code;

	if (root && strchr(root, ','))
		return say_failure(tool, args->operands[0], "no root is called \"%s\"", root);
	if (asprintf(&list, "%s%s%s%s%s", args_flag(args, "read-only") ? "ro," : "",
		     root ? "root=" : "", root ? root : "", root ? "," : "",
		     options ? options : "") < 0)
		return say_error(tool, "xn-fuse", -ENOMEM, NULL);
	if (args_flag(args, "foreground"))
		argv[n++] = (char *)"-f";
	if (*list) {
		size_t len = strlen(list);

		if (list[len - 1] == ',')
			list[len - 1] = '\0';
		argv[n++] = (char *)"-o";
		argv[n++] = list;
	}
	code = become(tool, argv);
	free(list);
	return code;
}

/* ---- umount ---- */

struct mounted {
	char dir[4096], source[4096];
};

/* /proc writes blanks and the like as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++, to++) {
		unsigned code;

		if (text[0] == '\\' && sscanf(text + 1, "%3o", &code) == 1) {
			*to = (char)code;
			text += 3;
		} else {
			*to = *text;
		}
	}
	*to = '\0';
}

/*
 * One line of mountinfo: "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw".
 */
static bool parse_mount(const char *line, struct mounted *mounted)
{
	const char *rest = strstr(line, " - ");
	char type[64];

	if (!rest || sscanf(line, "%*s %*s %*s %*s %4095s", mounted->dir) != 1 ||
	    sscanf(rest + 3, "%63s %4095s", type, mounted->source) != 2)
		return false;
	unescape(mounted->dir);
	unescape(mounted->source);
	return !strcmp(type, "fuse.xn") || !strncmp(type, "fuse.xn-", 8);
}

/* The newest mount whose directory or image is `path`. */
static bool find_mount(const char *path, struct mounted *found)
{
	FILE *table = fopen("/proc/self/mountinfo", "re");
	char *real = realpath(path, NULL), *line = NULL;
	struct mounted mounted;
	bool any = false;
	size_t room = 0;

	if (!real && path[0] == '/') /* a dead mount cannot be looked at */
		real = strdup(path);
	while (table && real && getline(&line, &room, table) > 0) {
		if (!parse_mount(line, &mounted) ||
		    (strcmp(mounted.dir, real) != 0 && strcmp(mounted.source, real) != 0))
			continue;
		*found = mounted;
		any = true;
	}
	free(line);
	free(real);
	if (table)
		fclose(table);
	return any;
}

static int wait_until_free(struct tool *tool, const char *image, uint64_t seconds)
{
	struct bdev *dev;
	int err = bdev_open(image, BDEV_OPEN_RDONLY, 0, &dev);

	if (err) /* gone, or not ours to read: nothing to wait for */
		return EXIT_OK;
	err = bdev_lock(dev, false, (uint32_t)(seconds * 1000));
	bdev_close(dev);
	if (err == -EBUSY)
		return say_failure(tool, image, "unmounted, but still in use after %" PRIu64 " s",
				   seconds);
	return EXIT_OK;
}

int cmd_umount(struct tool *tool, const struct args *args)
{
	uint64_t seconds = args_number(args, "timeout", 30);
	struct mounted mounted;
	char *argv[] = { (char *)"fusermount3", (char *)"-u", mounted.dir, NULL };
	int code;

	if (seconds > 1000000)
		seconds = 1000000;
	if (!find_mount(args->operands[0], &mounted))
		return say_failure(tool, args->operands[0], "no XN disk is mounted there");
	code = run(tool, argv);
	if (code != EXIT_OK)
		return EXIT_FAIL;
	return wait_until_free(tool, mounted.source, seconds);
}
