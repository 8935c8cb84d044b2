/* SPDX-License-Identifier: MIT */
/*
 * The command line, under each of the names the program is called by.
 *
 *  (1) One table knows every -o word: what it means and what --help says.
 *  (2) A word that is in no table is refused by name, unless mount(8) said -s.
 *  (3) libfuse never sees a word that it does not know.
 */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bridge.h"
#include "libfs/host.h"
#include "options.h"

enum meaning {
	IGNORE,  /* generic words of mount(8) that mean nothing here */
	TO_FUSE, /* libfuse knows it */
	RO,
	RW,
	ROOT,
	CACHE,
	COMMIT,
	LOCK_WAIT,
	THREADS,
	SYNC,
	WRITEBACK,
	NO_WRITEBACK,
	NO_XATTR,
	PLAIN,
	OTHERS,
	KERNEL_CHECKS,
	FSNAME,
	SUBTYPE,
	RECORD,
	FSOPT,
	REMOUNT,
};

struct word {
	const char *text; /* up to '='; a last '*' stands for anything */
	enum meaning meaning;
	unsigned long ms_set, ms_clear; /* for a remount */
	const char *help;               /* NULL: not worth a line */
};

static const struct word words[] = {
	{ "root=", ROOT, 0, 0, "root=NAME          show this root alone, at DIR itself" },
	{ "ro", RO, MS_RDONLY, 0, "ro                 read-only: not one byte of IMAGE changes" },
	{ "cache=", CACHE, 0, 0, "cache=SIZE         memory for blocks (K, M, G; default 64M)" },
	{ "commit=", COMMIT, 0, 0, "commit=SECONDS     write back that often (default 1)" },
	{ "sync", SYNC, 0, 0,
	  "sync               every change is on the disk before it is answered" },
	{ "writeback_cache", WRITEBACK, 0, 0,
	  "writeback_cache    the kernel gathers small writes; a full disk is then told\n"
	  "                     by fsync, and by nothing else" },
	{ "no_writeback_cache", NO_WRITEBACK, 0, 0, NULL },
	{ "no_xattr", NO_XATTR, 0, 0,
	  "no_xattr           no extended attributes; spares a request at most writes" },
	{ "no_fuseblk", PLAIN, 0, 0,
	  "no_fuseblk         a block device too is mounted like a file: without sync(2)" },
	{ "lock_wait=", LOCK_WAIT, 0, 0,
	  "lock_wait=SECONDS  wait for a holder of IMAGE that is finishing (default 5)" },
	{ "max_threads=", THREADS, 0, 0,
	  "max_threads=N      requests served at once (default 10)" },
	{ "allow_other", OTHERS, 0, 0, "allow_other        other users may enter" },
	{ "allow_root", OTHERS, 0, 0, "allow_root         root may enter" },
	{ "auto_unmount", TO_FUSE, 0, 0, "auto_unmount       unmount should xn-fuse die" },
	{ "fsname=", FSNAME, 0, 0, "fsname=NAME        shown as the source (default IMAGE)" },
	{ "subtype=", SUBTYPE, 0, 0, "subtype=NAME       shown as fuse.NAME (default xn)" },
	{ "record=", RECORD, 0, 0,
	  "record=FILE        keep every write and flush in FILE, for xn crashtest --log" },
	{ "fsopt=", FSOPT, 0, 0,
	  "fsopt=WORD:WORD... for the LibFS of each root (cffs: through, inodes=N)" },
	{ "suid", TO_FUSE, 0, MS_NOSUID, NULL },
	{ "nosuid", TO_FUSE, MS_NOSUID, 0, NULL },
	{ "dev", TO_FUSE, 0, MS_NODEV, NULL },
	{ "nodev", TO_FUSE, MS_NODEV, 0, NULL },
	{ "exec", TO_FUSE, 0, MS_NOEXEC, NULL },
	{ "noexec", TO_FUSE, MS_NOEXEC, 0, NULL },
	{ "atime", TO_FUSE, 0, MS_NOATIME, NULL },
	{ "noatime", TO_FUSE, MS_NOATIME, 0, NULL },
	{ "nodiratime", TO_FUSE, MS_NODIRATIME, 0, NULL },
	{ "dirsync", TO_FUSE, 0, 0, NULL },
	{ "remount", REMOUNT, 0, 0, NULL },
	{ "rw", RW, 0, MS_RDONLY, NULL },
	{ "default_permissions", KERNEL_CHECKS, 0, 0,
	  "default_permissions  the kernel checks permission though root alone may enter" },
	{ "async", IGNORE, 0, 0, NULL },
	{ "relatime", IGNORE, MS_RELATIME, 0, NULL },
	{ "norelatime", IGNORE, 0, 0, NULL },
	{ "strictatime", IGNORE, MS_STRICTATIME, 0, NULL },
	{ "nostrictatime", IGNORE, 0, 0, NULL },
	{ "lazytime", IGNORE, 0, 0, NULL },
	{ "nolazytime", IGNORE, 0, 0, NULL },
	{ "diratime", IGNORE, 0, MS_NODIRATIME, NULL },
	{ "defaults", IGNORE, 0, 0, NULL },
	{ "auto", IGNORE, 0, 0, NULL },
	{ "noauto", IGNORE, 0, 0, NULL },
	{ "user", IGNORE, 0, 0, NULL },
	{ "nouser", IGNORE, 0, 0, NULL },
	{ "users", IGNORE, 0, 0, NULL },
	{ "owner", IGNORE, 0, 0, NULL },
	{ "group", IGNORE, 0, 0, NULL },
	{ "nofail", IGNORE, 0, 0, NULL },
	{ "_netdev", IGNORE, 0, 0, NULL },
	{ "nonempty", IGNORE, 0, 0, NULL },
	{ "silent", IGNORE, 0, 0, NULL },
	{ "loud", IGNORE, 0, 0, NULL },
	{ "user=*", IGNORE, 0, 0, NULL },
	{ "uhelper=*", IGNORE, 0, 0, NULL },
	{ "helper=*", IGNORE, 0, 0, NULL },
	{ "comment=*", IGNORE, 0, 0, NULL },
	{ "context=*", IGNORE, 0, 0, NULL },
	{ "fscontext=*", IGNORE, 0, 0, NULL },
	{ "defcontext=*", IGNORE, 0, 0, NULL },
	{ "rootcontext=*", IGNORE, 0, 0, NULL },
	{ "x-*", IGNORE, 0, 0, NULL },
	{ "X-*", IGNORE, 0, 0, NULL },
};
#define N_WORDS (sizeof(words) / sizeof(words[0]))

static void help(void)
{
	printf("usage: xn-fuse IMAGE DIR [-f] [-d] [-o LIST]\n"
	       "       mount.xn IMAGE DIR [-sfnvN] [-o LIST]     (called by mount -t xn)\n"
	       "       umount.fuse.xn DIR [-flv]                 (called by umount)\n"
	       "\n"
	       "Shows the files of an XN disk at DIR: every root as a directory of its own,\n"
	       "or one root alone with -o root=NAME.  Returns when the files can be used; a\n"
	       "process in the background serves them until DIR is unmounted.\n"
	       "\n"
	       "  -f           stay in the foreground\n"
	       "  -d           tell every request (stays in the foreground)\n"
	       "  -h, --help   this text\n"
	       "  -V, --version\n"
	       "\n"
	       "Words of -o, separated by commas:\n");
	for (size_t i = 0; i < N_WORDS; i++) {
		if (words[i].help)
			printf("  %s\n", words[i].help);
	}
	printf("The generic words of mount(8) are accepted as well.\n"
	       "\n"
	       "Exit code: 0 mounted (with -f: ended, all written); 1 wrong usage;\n"
	       "2 system error; 32 not mounted, or not ended cleanly.\n");
}

/* ---- values ---- */

static int set_text(char **text, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

/* "64M" */
static int parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned shift = 0;
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (end == text || errno || text[0] == '-')
		return -EINVAL;
	if (*end) {
		unit = strchr(units, *end & ~0x20);
		if (!unit || end[1])
			return -EINVAL;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (*out > UINT64_MAX >> shift)
		return -EINVAL;
	*out <<= shift;
	return 0;
}

/* "5", "0.25"; at most a day. */
static int parse_seconds(const char *text, uint32_t *ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0 && seconds <= 86400))
		return -EINVAL;
	*ms = (uint32_t)(seconds * 1000 + 0.5);
	return 0;
}

static int parse_threads(const char *text, uint32_t *out)
{
	uint64_t n;

	if (parse_size(text, &n) || n < 1 || n > 1000)
		return -EINVAL;
	*out = (uint32_t)n;
	return 0;
}

/* ---- the words of -o ---- */

static const struct word *word_find(const char *text)
{
	for (size_t i = 0; i < N_WORDS; i++) {
		size_t len = strlen(words[i].text);
		char last = words[i].text[len - 1];

		if (last == '*' && strncmp(text, words[i].text, len - 1) == 0)
			return &words[i];
		if (last == '=' && strncmp(text, words[i].text, len) == 0)
			return &words[i];
		if (strcmp(text, words[i].text) == 0)
			return &words[i];
	}
	return NULL;
}

/* libfuse's option parser keeps lists in the form that it will read. */
static int tell_fuse(struct options *options, const char *text)
{
	return fuse_opt_add_opt_escaped(&options->fuse, text) ? -ENOMEM : 0;
}

/* What stands between commas here cannot have commas itself. */
static int set_fs_options(struct options *options, const char *value)
{
	int err = *value ? set_text(&options->fs_options, value) : -EINVAL;

	for (char *at = err ? NULL : options->fs_options; at && *at; at++)
		*at = *at == ':' ? ',' : *at;
	return err;
}

static int word_apply(struct options *options, const struct word *word, const char *text)
{
	const char *value = strchr(text, '=') ? strchr(text, '=') + 1 : "";

	options->remount_flags = (options->remount_flags & ~word->ms_clear) | word->ms_set;
	options->remount_clear = (options->remount_clear & ~word->ms_set) | word->ms_clear;
	switch (word->meaning) {
	case IGNORE: return 0;
	case TO_FUSE: return tell_fuse(options, text);
	case RO: options->rdonly = true; return 0;
	case RW: options->rdonly = false; return 0;
	case ROOT: return *value ? set_text(&options->root, value) : -EINVAL;
	case CACHE: return parse_size(value, &options->cache_bytes);
	case COMMIT: return parse_seconds(value, &options->commit_ms);
	case LOCK_WAIT: return parse_seconds(value, &options->lock_ms);
	case THREADS: return parse_threads(value, &options->max_threads);
	case SYNC: options->sync = true; return 0;
	case WRITEBACK: options->writeback = true; return 0;
	case NO_WRITEBACK: options->writeback = false; return 0;
	case NO_XATTR: options->no_xattr = true; return 0;
	case PLAIN: options->plain = true; return 0;
	case OTHERS: options->others = true; return tell_fuse(options, text);
	case KERNEL_CHECKS: options->kernel_checks = true; return 0;
	case FSNAME: return set_text(&options->fsname, value);
	case SUBTYPE: return set_text(&options->subtype, value);
	case FSOPT: return set_fs_options(options, value);
	case RECORD: return *value ? set_text(&options->record, value) : -EINVAL;
	case REMOUNT: options->remount = true; return 0;
	}
	return -EINVAL;
}

static int word_parse(struct options *options, const char *text)
{
	const struct word *word = word_find(text);
	int err;

	if (*text == '\0')
		return EXIT_OK;
	if (!word && options->sloppy)
		return EXIT_OK;
	if (!word) {
		fprintf(stderr, "xn-fuse: unknown option -o %s\n", text);
		return EXIT_USAGE;
	}
	err = word_apply(options, word, text);
	if (err)
		fprintf(stderr, "xn-fuse: -o %s: %s\n", text,
			err == -ENOMEM ? "out of memory" : "the value makes no sense");
	return err ? EXIT_USAGE : EXIT_OK;
}

/* Split at commas; a backslash takes the next character as it is. */
static int list_parse(struct options *options, const char *list)
{
	char *text = malloc(strlen(list) + 1);
	size_t len = 0;
	int code = EXIT_OK;

	if (!text)
		return EXIT_USAGE;
	for (const char *at = list;; at++) {
		if (*at == '\\' && at[1]) {
			text[len++] = *++at;
		} else if (*at && *at != ',') {
			text[len++] = *at;
		} else {
			text[len] = '\0';
			len = 0;
			code = word_parse(options, text);
			if (code || !*at)
				break;
		}
	}
	free(text);
	return code;
}

/* ---- the letters ---- */

static int letters_parse(int argc, char **argv, struct options *options, char ***lists)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	/* mount(8) calls its helpers with letters of another meaning. */
	const char *letters = options->helper ? "sfnvN:t:o:hV" : "fdvo:hV";
	int letter;

	while ((letter = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		switch (letter) {
		case 'f':
			*(options->helper ? &options->pretend : &options->foreground) = true;
			break;
		case 'd': options->debug = options->foreground = true; break;
		case 's': options->sloppy = true; break;
		case 'v': options->verbose = true; break;
		case 'o': *(*lists)++ = optarg; break;
		case 'h':
			help();
			options->done = true;
			return EXIT_OK;
		case 'V':
			printf("xn-fuse %s\n", XN_VERSION);
			options->done = true;
			return EXIT_OK;
		case 'n':
		case 'N':
		case 't': break;
		default: fprintf(stderr, "try xn-fuse --help\n"); return EXIT_USAGE;
		}
	}
	return EXIT_OK;
}

static int places_parse(int argc, char **argv, struct options *options)
{
	if (argc - optind != 2) {
		fprintf(stderr, "xn-fuse: %s\ntry xn-fuse --help\n",
			argc - optind < 2 ? "an image and a directory are needed"
					  : "more than an image and a directory");
		return EXIT_USAGE;
	}
	options->image = argv[optind];
	options->dir = argv[optind + 1];
	return EXIT_OK;
}

static bool called_by_mount(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strncmp(slash ? slash + 1 : path, "mount.", 6) == 0;
}

/*
 * What an administrator expects of a mount that looks like any other; words of
 * the user that come later win.
 */
static int helper_defaults(struct options *options)
{
	if (!options->helper || geteuid() != 0)
		return 0;
	if (tell_fuse(options, "allow_other"))
		return -ENOMEM;
	options->others = true;
	return tell_fuse(options, "suid") || tell_fuse(options, "dev") ? -ENOMEM : 0;
}

/* What mount and df show.  An image named from here is named from everywhere. */
static int default_names(struct options *options)
{
	char here[4096];
	int n;

	if (!options->subtype && set_text(&options->subtype, "xn"))
		return -ENOMEM;
	if (options->fsname)
		return 0;
	if (options->image[0] == '/' || strchr(options->image, ':') || !getcwd(here, sizeof(here)))
		return set_text(&options->fsname, options->image);
	n = asprintf(&options->fsname, "%s/%s", here, options->image);
	return n < 0 ? -ENOMEM : 0;
}

int options_parse(int argc, char **argv, struct options *options)
{
	char **lists = calloc((size_t)argc + 1, sizeof(*lists));
	char **end = lists;
	int code;

	*options = (struct options){
		.commit_ms = HOST_SYNC_MS_DEFAULT,
		.lock_ms = HOST_LOCK_MS_DEFAULT,
		.max_threads = 10,
		.helper = called_by_mount(argv[0]),
	};
	if (!lists)
		return EXIT_SYS;
	code = letters_parse(argc, argv, options, &end);
	if (!code && !options->done)
		code = places_parse(argc, argv, options);
	if (!code && !options->done && helper_defaults(options))
		code = EXIT_SYS;
	for (char **list = lists; !code && !options->done && list < end; list++)
		code = list_parse(options, *list);
	/* Where only root enters, there is nothing to check, and much to ask in order to check. */
	if (options->others || geteuid() != 0)
		options->kernel_checks = true;
	if (!code && !options->done && default_names(options))
		code = EXIT_SYS;
	free(lists);
	return code;
}

void options_fini(struct options *options)
{
	free(options->root);
	free(options->fsname);
	free(options->subtype);
	free(options->record);
	free(options->fs_options);
	free(options->fuse);
}
