/* SPDX-License-Identifier: MIT */
/*
 * Completion of words in the shell.  See complete.h.
 *
 *  (1) Looking for names changes nothing and says nothing: an image that cannot be
 *      opened now has none.
 *  (2) What is inserted is quoted so that the shell reads it as the name.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "complete.h"

static size_t common_length(const struct entries *list)
{
	size_t len = strlen(list->entry[0].name);

	for (size_t i = 1; i < list->count; i++) {
		size_t same = 0;

		while (same < len && list->entry[0].name[same] == list->entry[i].name[same])
			same++;
		len = same;
	}
	return len;
}

/* `end`: what follows the name, 0 = nothing.  A control character cannot be typed, so it ends it. */
static char *quoted(const char *text, size_t len, char end)
{
	char *out = malloc(2 * len + 2), *at = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
			end = '\0';
			break;
		}
		if (strchr(" \\\"'#", text[i]))
			*at++ = '\\';
		*at++ = text[i];
	}
	if (end)
		*at++ = end;
	*at = '\0';
	return out;
}

int complete_list(struct entries *list, const char *name, struct completion *out)
{
	size_t len = strlen(name), kept = 0;
	char end = '\0';

	for (size_t i = 0; i < list->count; i++) {
		if (strncmp(list->entry[i].name, name, len) == 0)
			list->entry[kept++] = list->entry[i];
		else
			free(list->entry[i].name);
	}
	list->count = kept;
	*out = (struct completion){ .found = *list };
	*list = (struct entries){ 0 };
	if (kept == 1)
		end = out->found.entry[0].type == DT_DIR ? '/' : ' ';
	out->insert =
		kept ? quoted(out->found.entry[0].name + len, common_length(&out->found) - len, end)
		     : strdup("");
	if (out->insert)
		return 0;
	completion_free(out);
	return -ENOMEM;
}

static int list_place(struct image *image, const char *path, struct entries *list)
{
	struct place place;
	int err = image_find(image, path, PLACE_FOLLOW, &place);

	if (err)
		return err;
	err = place_is_dir(&place) ? entries_read(image, place.fs, place.attr.ino, list) : -ENOTDIR;
	place_put(&place);
	return err;
}

int complete_path(const char *name, const char *path, const char *begin, struct completion *out)
{
	struct entries list = { 0 };
	struct image *image;
	struct tool mute;
	FILE *nowhere = fopen("/dev/null", "w");
	int err;

	*out = (struct completion){ 0 };
	if (!nowhere)
		return -errno;
	tool_init(&mute, nowhere, nowhere);
	err = image_open(&mute, name, 0, &image);
	if (!err) {
		err = list_place(image, path, &list);
		image_close(image);
	}
	if (!err)
		err = complete_list(&list, begin, out);
	entries_free(&list);
	fclose(nowhere);
	return err;
}

void completion_free(struct completion *completion)
{
	entries_free(&completion->found);
	free(completion->insert);
	completion->insert = NULL;
}
