/* SPDX-License-Identifier: MIT */
/*
 * Any disk, and a command that looks at it: the first byte chooses the command, the rest are patches
 * (broken.h).  It ends, and it changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broken.h"
#include "tool_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 8u
/* In a command: paths of the broken disk and of the sound one, and of files that take anything. */
#define DISK  "DISK"
#define SOUND "SOUND"
#define HTML  "HTML"
#define SVG   "SVG"

static const char *const commands[][WORDS_MAX] = {
	{ "export", DISK, "/cffs", "-" },
	{ "export", DISK, "/simplefs", "-" },
	{ "map", DISK, "--json" },
	{ "map", DISK, "-o", HTML, "--force" },
	{ "map", DISK, "-o", SVG, "--force", "--by", "age" },
	{ "tree", DISK, "/" },
	{ "ls", DISK, "/cffs/dir", "-l", "--json" },
	{ "ls", DISK, "/simplefs", "-l" },
	{ "info", DISK },
	{ "info", DISK, "--json" },
	{ "stat", DISK, "/cffs/dir/large", "--json" },
	{ "layout", DISK, "/cffs/dir/large" },
	{ "layout", DISK, "/simplefs/dir/large" },
	{ "cat", DISK, "/simplefs/dir/small" },
	{ "cat", DISK, "/cffs/dir/small" },
	{ "diff", DISK, "/cffs", "/cffs", "--with", SOUND, "--contents" },
	{ "dump", DISK, "0" },
	{ "dump", DISK, "20" },
	{ "dump", DISK, "30" },
	{ "dump", DISK, "40" },
	{ "owner", DISK, "30" },
	{ "owner", DISK, "60" },
	{ "freefrag", DISK },
	{ "roots", DISK },
	{ "templates", DISK },
	{ "metadump", DISK, "/dev/null", "--force" },
	{ "probe", DISK },
};

static char disk[TOOL_PATH_MAX], sound[TOOL_PATH_MAX], folder[] = "/tmp/fuzz-tools-XXXXXX",
						       html[64], svg[64];

/* Pictures are known by the ends of their names. */
static void folder_remove(void)
{
	unlink(html);
	unlink(svg);
	rmdir(folder);
}

static void folder_make(void)
{
	if (!mkdtemp(folder))
		abort();
	snprintf(html, sizeof(html), "%s/x.html", folder);
	snprintf(svg, sizeof(svg), "%s/x.svg", folder);
	if (symlink("/dev/null", html) || symlink("/dev/null", svg))
		abort();
	atexit(folder_remove);
}

static const char *word_mean(const char *word)
{
	static const char *const means[][2] = {
		{ DISK, disk }, { SOUND, sound }, { HTML, html }, { SVG, svg }
	};

	for (size_t i = 0; i < sizeof(means) / sizeof(means[0]); i++)
		if (strcmp(word, means[i][0]) == 0)
			return means[i][1];
	return word;
}

static void run(const char *const command[WORDS_MAX])
{
	const char *words[WORDS_MAX + 1] = { 0 };

	for (size_t i = 0; i < WORDS_MAX && command[i]; i++)
		words[i] = word_mean(command[i]);
	tool_command(words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct broken *base;
	static int file;
	const uint8_t *bytes;
	size_t before;
	void *now;

	if (!base) {
		base = broken_new();
		tool_file_fill(tool_file(sound), slate_bytes(base->slate), BROKEN_BYTES);
		file = tool_file(disk);
		folder_make();
	}
	if (size == 0)
		return 0;
	before = slate_mark(base->slate);
	broken_patch(base, data + 1, size - 1);
	bytes = slate_bytes(base->slate);
	tool_file_fill(file, bytes, BROKEN_BYTES);
	run(commands[data[0] % (sizeof(commands) / sizeof(commands[0]))]);
	now = mmap(NULL, BROKEN_BYTES, PROT_READ, MAP_SHARED, file, 0);
	if (now == MAP_FAILED || memcmp(now, bytes, BROKEN_BYTES) != 0)
		abort();
	munmap(now, BROKEN_BYTES);
	slate_back(base->slate, before);
	return 0;
}
