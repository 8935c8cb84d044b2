/* SPDX-License-Identifier: MIT */
/*
 * shell: the commands of this program on one image, line by line.
 *
 *  (1) Each line opens the image anew, so between two lines it is free for others.
 *  (2) Without --write a command that changes anything is refused before it begins.
 *      A tab completes commands, and paths inside the image.
 *  (3) Lines out of -c, a file or a pipe end at the first that fails, and the exit
 *      code says so; a person is told and goes on.
 */
#include <dirent.h>
#include <errno.h>
#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "complete.h"

#define WORDS_MAX     256
#define HISTORY_LINES 500

/* Which operands behind the image are paths inside it. */
enum inside {
	INSIDE_NONE,
	INSIDE_ALL,
	INSIDE_COLON, /* those that begin with one */
	INSIDE_FIRST,
	INSIDE_SECOND,
};

static const struct known {
	const char *name;
	enum inside inside;
	bool here; /* without operands: where we are */
} known[] = {
	{ "cat", INSIDE_ALL, false },       { "cp", INSIDE_COLON, false },
	{ "diff", INSIDE_COLON, false },    { "dump", INSIDE_NONE, false },
	{ "export", INSIDE_FIRST, false },  { "freefrag", INSIDE_NONE, false },
	{ "import", INSIDE_SECOND, false }, { "info", INSIDE_NONE, false },
	{ "layout", INSIDE_ALL, false },    { "ls", INSIDE_ALL, true },
	{ "mkdir", INSIDE_ALL, false },     { "mv", INSIDE_ALL, false },
	{ "owner", INSIDE_NONE, false },    { "rm", INSIDE_ALL, false },
	{ "root-set", INSIDE_NONE, false }, { "roots", INSIDE_NONE, false },
	{ "stat", INSIDE_ALL, false },      { "templates", INSIDE_NONE, false },
	{ "tree", INSIDE_ALL, true },
};

#define N_KNOWN (sizeof(known) / sizeof(known[0]))

static const char *const own[] = { "cd", "exit", "help", "pwd", "quit" };

#define N_OWN (sizeof(own) / sizeof(own[0]))

struct shell {
	struct tool *tool;
	const struct args *args;
	char *image;
	char *where; /* "/" or "/home/a" */
	bool may_write, is_over;
	int code; /* of the last line */
};

static const struct known *known_find(const char *name)
{
	for (size_t i = 0; i < N_KNOWN; i++)
		if (!strcmp(known[i].name, name))
			return &known[i];
	return NULL;
}

/* ---- paths ---- */

/* Append one component; ".." takes one away. */
static void path_step(char *path, const char *name, size_t len)
{
	size_t end = strlen(path);

	if (len == 0 || (len == 1 && name[0] == '.'))
		return;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		while (end > 1 && path[end - 1] != '/')
			end--;
		path[end > 1 ? end - 1 : 1] = '\0';
		return;
	}
	if (end > 1)
		path[end++] = '/';
	memcpy(path + end, name, len);
	path[end + len] = '\0';
}

/* From where we are; NULL without memory. */
static char *path_from(const char *where, const char *path)
{
	char *out = calloc(1, strlen(where) + strlen(path) + 3);

	if (!out)
		return NULL;
	strcpy(out, path[0] == '/' ? "/" : where);
	while (*path) {
		size_t len = strcspn(path, "/");

		path_step(out, path, len);
		path += len;
		path += *path == '/';
	}
	return out;
}

static bool operand_is_inside(enum inside inside, int index, const char *word)
{
	switch (inside) {
	case INSIDE_ALL: return true;
	case INSIDE_COLON: return word[0] == ':';
	case INSIDE_FIRST: return index == 1;
	case INSIDE_SECOND: return index == 2;
	default: return false;
	}
}

/* "a" becomes "/home/a", ":a" becomes ":/home/a". */
static char *operand_place(const struct shell *shell, const char *word)
{
	bool colon = word[0] == ':';
	char *path = path_from(shell->where, word + colon), *out = NULL;

	if (path && colon && asprintf(&out, ":%s", path) < 0)
		out = NULL;
	if (!colon)
		return path;
	free(path);
	return out;
}

/* ---- commands of its own ---- */

static int go(struct shell *shell, const char *to)
{
	char *path = path_from(shell->where, to);
	struct image *image;
	struct place place;
	int err;

	if (!path)
		return say_error(shell->tool, to, -ENOMEM, NULL);
	if (image_open(shell->tool, shell->image, 0, &image)) {
		free(path);
		return EXIT_FAIL;
	}
	err = image_find(image, path, PLACE_FOLLOW, &place);
	if (!err) {
		if (!place_is_dir(&place))
			err = -ENOTDIR;
		place_put(&place);
	}
	if (err)
		image_complain(image, path, err);
	err = image_close(image) || err;
	if (!err) {
		free(shell->where);
		shell->where = path;
		return EXIT_OK;
	}
	free(path);
	return EXIT_FAIL;
}

static int help(struct shell *shell, int n_words, const char **words)
{
	const struct cmd *cmd = n_words > 1 ? command_find(words[1]) : NULL;

	if (cmd) {
		help_command(cmd, shell->tool->out);
		return EXIT_OK;
	}
	fputs("cd PATH, pwd, help [COMMAND], quit; and these, without the image's name:\n",
	      shell->tool->out);
	for (size_t i = 0; i < N_KNOWN; i++) {
		cmd = command_find(known[i].name);
		if (cmd && (shell->may_write || !(cmd->flags & CMD_WRITES)))
			fprintf(shell->tool->out, "  %-11s %s\n", cmd->name, cmd->about);
	}
	fprintf(shell->tool->out, "Paths inside the image begin where you are.%s\n",
		shell->may_write ? "" : "  Nothing can be changed; `xn shell -w` allows it.");
	return EXIT_OK;
}

/* -1: it is none of them. */
static int run_own(struct shell *shell, int n_words, const char **words)
{
	if (!strcmp(words[0], "quit") || !strcmp(words[0], "exit")) {
		shell->is_over = true;
		return EXIT_OK;
	}
	if (!strcmp(words[0], "pwd")) {
		show_name(shell->tool->out, shell->where);
		fputc('\n', shell->tool->out);
		return EXIT_OK;
	}
	if (!strcmp(words[0], "cd"))
		return go(shell, n_words > 1 ? words[1] : "/");
	if (!strcmp(words[0], "help"))
		return help(shell, n_words, words);
	return -1;
}

/* ---- the others ---- */

static int run_placed(struct shell *shell, const struct known *what, struct args *args)
{
	char *made[WORDS_MAX + 2] = { NULL };
	int code = -1;

	if (what->here && args->n_operands == 1)
		args->operands[args->n_operands++] = shell->where;
	for (int i = 1; i < args->n_operands && code < 0; i++) {
		if (!operand_is_inside(what->inside, i, args->operands[i]))
			continue;
		made[i] = operand_place(shell, args->operands[i]);
		if (made[i])
			args->operands[i] = made[i];
		else
			code = say_error(shell->tool, args->operands[i], -ENOMEM, NULL);
	}
	if (code < 0) {
		code = tool_run(shell->tool, args);
		say_progress(shell->tool, NULL);
	}
	for (int i = 0; i < WORDS_MAX + 2; i++)
		free(made[i]);
	return code;
}

static int run_command(struct shell *shell, int n_words, const char **words)
{
	const struct known *what = known_find(words[0]);
	const struct cmd *cmd = what ? command_find(words[0]) : NULL;
	char *argv[WORDS_MAX + 2] = { shell->image }, why[512];
	struct args args;

	if (!cmd)
		return say_failure(shell->tool, words[0],
				   "it is no command here; `help` lists them");
	if ((cmd->flags & CMD_WRITES) && !shell->may_write && strcmp(cmd->name, "export") != 0 &&
	    strcmp(cmd->name, "cp") != 0)
		return say_failure(shell->tool, words[0],
				   "it changes the image; `xn shell -w` allows that");
	for (int i = 1; i < n_words; i++)
		argv[i] = (char *)(uintptr_t)words[i];
	if (args_parse(cmd, n_words, argv, &args, why, sizeof(why)))
		return say_usage(shell->tool, cmd, "%s", why);
	if (args_flag(&args, "help")) {
		help_command(cmd, shell->tool->out);
		return EXIT_OK;
	}
	/* cp changes only what its last word names. */
	if (!shell->may_write && !strcmp(cmd->name, "cp") &&
	    args.operands[args.n_operands - 1][0] == ':')
		return say_failure(shell->tool, words[0],
				   "it changes the image; `xn shell -w` allows that");
	return run_placed(shell, what, &args);
}

static void run_words(struct shell *shell, int n_words, const char **words)
{
	unsigned failures = shell->tool->failures;

	if (n_words == 0 || words[0][0] == '#')
		return;
	if (n_words > WORDS_MAX) {
		shell->code = say_failure(shell->tool, words[0], "more than %d words", WORDS_MAX);
		return;
	}
	shell->code = run_own(shell, n_words, words);
	if (shell->code < 0)
		shell->code = run_command(shell, n_words, words);
	if (shell->tool->failures != failures && shell->code == EXIT_OK)
		shell->code = EXIT_FAIL;
	/* What one command failed at is not the next one's. */
	shell->tool->failures = 0;
	fflush(shell->tool->out);
}

static void run_line(struct shell *shell, const char *line)
{
	Tokenizer *words = tok_init(NULL);
	const char **argv;
	int argc, got;

	if (!words) {
		shell->code = say_error(shell->tool, "shell", -ENOMEM, NULL);
		return;
	}
	got = tok_str(words, line, &argc, &argv);
	if (got)
		shell->code =
			say_failure(shell->tool, "shell", "a quotation is not closed: %s", line);
	else
		run_words(shell, argc, argv);
	tok_end(words);
}

/* ---- where lines come from ---- */

/* Until the end, or the first that fails. */
static void run_file(struct shell *shell, FILE *file)
{
	char *line = NULL;
	size_t room = 0;

	while (!shell->is_over && shell->code == EXIT_OK && getline(&line, &room, file) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		run_line(shell, line);
	}
	free(line);
}

static void run_named(struct shell *shell, const char *name)
{
	FILE *file = fopen(name, "r");

	if (!file) {
		shell->code = say_error(shell->tool, name, -errno, NULL);
		return;
	}
	run_file(shell, file);
	fclose(file);
}

static char *prompt(EditLine *edit)
{
	static char text[] = "xn> ";

	(void)edit;
	return text;
}

static unsigned char show_found(const struct shell *shell, const struct completion *found)
{
	fputc('\n', shell->tool->out);
	for (size_t i = 0; i < found->found.count; i++) {
		show_name(shell->tool->out, found->found.entry[i].name);
		fputs(found->found.entry[i].type == DT_DIR ? "/\n" : "\n", shell->tool->out);
	}
	fflush(shell->tool->out);
	return CC_REDISPLAY;
}

/* The names that the word before the cursor may become. */
static int complete_word(struct shell *shell, const char *word, bool first,
			 struct completion *found)
{
	const char *inner = word + (word[0] == ':'), *slash = strrchr(inner, '/');
	struct entries list = { 0 };
	char *dir, *place;
	int err = 0;

	if (!first) {
		dir = strndup(inner, slash ? (size_t)(slash - inner) + 1 : 0);
		place = dir ? path_from(shell->where, dir) : NULL;
		err = place ? complete_path(shell->image, place, slash ? slash + 1 : inner, found)
			    : -ENOMEM;
		free(dir);
		free(place);
		return err;
	}
	for (size_t i = 0; i < N_OWN && !err; i++)
		err = entries_add(&list, own[i], strlen(own[i]), DT_REG);
	for (size_t i = 0; i < N_KNOWN && !err; i++)
		err = entries_add(&list, known[i].name, strlen(known[i].name), DT_REG);
	if (!err)
		err = complete_list(&list, word, found);
	entries_free(&list);
	return err;
}

/* A word that ends in the line's middle is not completed: what is inserted would stand in it. */
static unsigned char complete(EditLine *edit, int key)
{
	const LineInfo *line = el_line(edit);
	char *text = strndup(line->buffer, (size_t)(line->cursor - line->buffer));
	unsigned char answer = CC_ERROR;
	struct completion found;
	Tokenizer *words = text ? tok_init(NULL) : NULL;
	struct shell *shell;
	const char **argv;
	int argc = 0;

	(void)key;
	if (words && el_get(edit, EL_CLIENTDATA, &shell) == 0 &&
	    tok_str(words, text, &argc, &argv) == 0) {
		bool fresh = !*text || line->cursor[-1] == ' ';
		const char *word = fresh || argc == 0 ? "" : argv[argc - 1];

		if (complete_word(shell, word, argc == (fresh ? 0 : 1), &found) == 0) {
			if (found.insert[0] && el_insertstr(edit, found.insert) == 0)
				answer = CC_REFRESH;
			else if (found.found.count > 1)
				answer = show_found(shell, &found);
			completion_free(&found);
		}
	}
	if (words)
		tok_end(words);
	free(text);
	return answer;
}

static void run_terminal(struct shell *shell)
{
	EditLine *edit = el_init("xn", stdin, shell->tool->out, shell->tool->err);
	History *lines = history_init();
	HistEvent event;
	const char *line;
	int len;

	if (!edit || !lines) {
		shell->code = say_error(shell->tool, "shell", -ENOMEM, NULL);
	} else {
		history(lines, &event, H_SETSIZE, HISTORY_LINES);
		el_set(edit, EL_PROMPT, prompt);
		el_set(edit, EL_EDITOR, "emacs");
		el_set(edit, EL_HIST, history, lines);
		el_set(edit, EL_CLIENTDATA, shell);
		el_set(edit, EL_ADDFN, "xn-complete", "complete a command or a path", complete);
		el_set(edit, EL_BIND, "^I", "xn-complete", NULL);
		el_source(edit, NULL);
		while (!shell->is_over && (line = el_gets(edit, &len)) && len > 0) {
			history(lines, &event, H_ENTER, line);
			run_line(shell, line);
			shell->code = EXIT_OK;
		}
	}
	if (lines)
		history_end(lines);
	if (edit)
		el_end(edit);
}

/* The words of -c and -f, in the order given. */
static bool run_given(struct shell *shell)
{
	bool any = false;

	for (unsigned i = 0; i < shell->args->n_given; i++) {
		const struct arg *arg = &shell->args->given[i];
		bool is_line = !strcmp(arg->opt->name, "command");

		if (!is_line && strcmp(arg->opt->name, "file") != 0)
			continue;
		any = true;
		if (shell->is_over || shell->code != EXIT_OK)
			break;
		if (is_line)
			run_line(shell, arg->text);
		else
			run_named(shell, arg->text);
	}
	return any;
}

int cmd_shell(struct tool *tool, const struct args *args)
{
	struct shell shell = { .tool = tool,
			       .args = args,
			       .image = args->operands[0],
			       .where = strdup("/"),
			       .may_write = args_flag(args, "write") };
	struct image *image;

	if (!shell.where)
		return say_error(tool, "shell", -ENOMEM, NULL);
	if (image_open(tool, shell.image, 0, &image) == 0 && image_close(image) == 0) {
		bool given = run_given(&shell);

		if (!given && isatty(STDIN_FILENO))
			run_terminal(&shell);
		else if (!given)
			run_file(&shell, stdin);
	} else {
		shell.code = EXIT_FAIL;
	}
	free(shell.where);
	return shell.code;
}
