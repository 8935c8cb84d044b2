/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mounts.h"

/* The kernel writes blank, tab, newline and backslash as \ooo. */
static void unescape(char *text)
{
	char *to = text;

	while (*text) {
		unsigned value;

		if (text[0] == '\\' && sscanf(text + 1, "%3o", &value) == 1) {
			*to++ = (char)value;
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" */
static bool parse_line(char *line, struct mount_entry *entry)
{
	char *tail = strstr(line, " - ");
	char options[16];

	if (!tail)
		return false;
	if (sscanf(line, "%*u %*u %u:%u %*s %4095s %15[^, ]", &entry->major, &entry->minor,
		   entry->dir, options) != 4)
		return false;
	entry->rdonly = strcmp(options, "ro") == 0;
	if (sscanf(tail + 3, "%63s %4095s", entry->type, entry->source) != 2)
		return false;
	unescape(entry->dir);
	unescape(entry->source);
	return true;
}

int mounts_find(const char *dir, const char *source, struct mount_entry *out)
{
	FILE *table = fopen("/proc/self/mountinfo", "re");
	struct mount_entry *entry = malloc(sizeof(*entry));
	char *line = NULL;
	size_t size = 0;
	int err = -ENOENT;

	if (!table || !entry) {
		err = -errno;
		goto out;
	}
	while (getline(&line, &size, table) > 0) {
		if (!parse_line(line, entry))
			continue;
		if (dir && strcmp(entry->dir, dir) != 0)
			continue;
		if (source && strcmp(entry->source, source) != 0)
			continue;
		*out = *entry; /* later lines lie on top */
		err = 0;
	}
out:
	free(line);
	free(entry);
	if (table)
		fclose(table);
	return err;
}
