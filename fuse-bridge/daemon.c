/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "bridge.h"
#include "daemon.h"
#include "options.h"

void daemon_init(struct daemon *daemon)
{
	*daemon = (struct daemon){ .parent = -1 };
}

/* Wait for a byte (usable), or for the end of the child. */
static _Noreturn void parent_wait(int from_child, pid_t child)
{
	char byte;
	ssize_t n;
	int status;

	do {
		n = read(from_child, &byte, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		_exit(EXIT_OK);
	if (waitpid(child, &status, 0) == child && WIFEXITED(status))
		_exit(WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAIL);
	fprintf(stderr, "xn-fuse: died before the mount could be used\n");
	_exit(EXIT_SYS);
}

int daemon_fork(struct daemon *daemon)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		int err = -errno;

		close(ends[0]);
		close(ends[1]);
		return err;
	}
	if (pid > 0) {
		close(ends[1]);
		parent_wait(ends[0], pid);
	}
	close(ends[0]);
	daemon->parent = ends[1];
	setsid();
	return 0;
}

static void log_to_syslog(enum fuse_log_level level, const char *format, va_list args)
{
	vsyslog((int)level, format, args); /* libfuse's levels are syslog's */
}

void daemon_ready(struct daemon *daemon)
{
	int null;

	if (daemon->parent < 0)
		return;
	openlog("xn-fuse", LOG_PID, LOG_DAEMON);
	fuse_set_log_func(log_to_syslog);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		for (int fd = 0; fd <= 2; fd++)
			dup2(null, fd);
		if (null > 2)
			close(null);
	}
	if (chdir("/") < 0)
		syslog(LOG_NOTICE, "stays in the directory where it was started");
	daemon->background = true;
	/* Who started us was interrupted and believes that nothing was mounted: so be it. */
	if (write(daemon->parent, "", 1) != 1)
		kill(getpid(), SIGTERM);
	close(daemon->parent);
	daemon->parent = -1;
}

void speak(const struct daemon *daemon, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (daemon->background)
		syslog(LOG_ERR, "%s", text);
	else
		fprintf(stderr, "xn-fuse: %s\n", text);
}
