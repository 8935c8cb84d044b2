/* SPDX-License-Identifier: MIT */
/*
 * Several processes, each with a part of the workloads.
 *
 *  (1) A process has a file for what it prints and one for what came of it; both have no name.
 *  (2) One that dies has failed, and so has all of it.
 */
#include "crashtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct worker {
	pid_t pid;
	FILE *said, *result;
};

/* ---- below: in the process ---- */

static void text_write(FILE *out, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	fwrite(&len, sizeof(len), 1, out);
	fwrite(text, 1, len, out);
}

static void result_write(FILE *out, const struct crashtest *test)
{
	fwrite(&test->totals, sizeof(test->totals), 1, out);
	text_write(out, test->wrong_name);
	text_write(out, test->wrong_text);
	text_write(out, test->wrong_what);
}

/* ---- above ---- */

static char *text_read(FILE *in)
{
	size_t len = 0;
	char *text;

	if (fread(&len, sizeof(len), 1, in) != 1 || len == 0)
		return NULL;
	text = calloc(1, len + 1);
	if (text && fread(text, 1, len, in) != len)
		text[0] = '\0';
	return text;
}

static void result_read(FILE *in, struct crashtest *test)
{
	struct explorer_totals totals;
	char *name, *text, *what;

	rewind(in);
	if (fread(&totals, sizeof(totals), 1, in) != 1)
		return;
	explorer_totals_add(&test->totals, &totals);
	name = text_read(in);
	text = text_read(in);
	what = text_read(in);
	if (test->wrong_what || !what || !text || !name) {
		free(name);
		free(text);
		free(what);
		return;
	}
	test->wrong_name = name;
	test->wrong_text = text;
	test->wrong_what = what;
}

static void said_print(FILE *said)
{
	char bytes[4096];
	size_t n;

	rewind(said);
	while ((n = fread(bytes, 1, sizeof(bytes), said)) > 0)
		fwrite(bytes, 1, n, stdout);
	fflush(stdout);
}

static int ended(struct worker *worker, struct crashtest *test)
{
	int status;

	while (waitpid(worker->pid, &status, 0) < 0)
		if (errno != EINTR)
			return CRASHTEST_FAIL;
	said_print(worker->said);
	if (!WIFEXITED(status)) {
		fprintf(stderr, "xn-crashtest: a process was ended by signal %d\n",
			WTERMSIG(status));
		return CRASHTEST_FAIL;
	}
	if (WEXITSTATUS(status) == CRASHTEST_FINE)
		result_read(worker->result, test);
	return WEXITSTATUS(status);
}

static int begin(struct worker *worker, struct crashtest *test,
		 int (*run)(struct crashtest *test, char **words, int n), char **words, int n)
{
	int code;

	worker->said = tmpfile();
	worker->result = tmpfile();
	if (!worker->said || !worker->result)
		return -1;
	fflush(stdout);
	worker->pid = fork();
	if (worker->pid != 0)
		return worker->pid < 0 ? -1 : 0;
	if (dup2(fileno(worker->said), STDOUT_FILENO) < 0)
		_exit(CRASHTEST_FAIL);
	code = run(test, words, n);
	result_write(worker->result, test);
	if (fflush(stdout) || fflush(worker->result))
		code = CRASHTEST_FAIL;
	_exit(code);
}

int crashtest_workers(struct crashtest *test,
		      int (*run)(struct crashtest *test, char **words, int n), char **words, int n)
{
	struct worker *workers = calloc(test->jobs, sizeof(*workers));
	unsigned begun = 0;
	int code = CRASHTEST_FINE;

	for (; workers && begun < test->jobs; begun++) {
		test->job = begun;
		if (begin(&workers[begun], test, run, words, n))
			break;
	}
	if (begun < test->jobs) {
		fprintf(stderr, "xn-crashtest: a process cannot be made: %s\n", strerror(errno));
		code = CRASHTEST_FAIL;
	}
	for (unsigned i = 0; i < begun; i++) {
		int one = ended(&workers[i], test);

		code = one > code ? one : code;
	}
	for (unsigned i = 0; workers && i < test->jobs; i++) {
		if (workers[i].said)
			fclose(workers[i].said);
		if (workers[i].result)
			fclose(workers[i].result);
	}
	free(workers);
	return code;
}
