/* SPDX-License-Identifier: MIT */
/*
 * Values as text and as JSON.  See tool.h.
 */
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uuid/uuid.h>

const char *show_size(const struct tool *tool, uint64_t bytes, char text[SIZE_TEXT_MAX])
{
	return size_text(bytes, tool->bytes, text);
}

void show_uuid(const uint8_t uuid[16], char text[37])
{
	uuid_unparse_lower(uuid, text);
}

void show_time(struct timespec when, bool full, char text[64])
{
	struct tm tm;
	char zone[8];
	size_t len;

	if (!localtime_r(&when.tv_sec, &tm) ||
	    !(len = strftime(text, 40, "%Y-%m-%d %H:%M:%S", &tm))) {
		snprintf(text, 64, "@%lld", (long long)when.tv_sec);
		return;
	}
	if (full && strftime(zone, sizeof(zone), "%z", &tm))
		snprintf(text + len, 64 - len, ".%09ld %s", when.tv_nsec, zone);
}

static char kind_letter(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return '-';
	case S_IFDIR: return 'd';
	case S_IFLNK: return 'l';
	case S_IFCHR: return 'c';
	case S_IFBLK: return 'b';
	case S_IFIFO: return 'p';
	case S_IFSOCK: return 's';
	default: return '?';
	}
}

const char *show_kind(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "file";
	case S_IFDIR: return "directory";
	case S_IFLNK: return "symlink";
	case S_IFCHR: return "character device";
	case S_IFBLK: return "block device";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "socket";
	default: return "unknown";
	}
}

void show_mode(uint32_t mode, char text[11])
{
	static const char letters[] = "rwxrwxrwx";

	text[0] = kind_letter(mode);
	for (unsigned i = 0; i < 9; i++)
		text[1 + i] = mode & (0400u >> i) ? letters[i] : '-';
	if (mode & S_ISUID)
		text[3] = mode & 0100 ? 's' : 'S';
	if (mode & S_ISGID)
		text[6] = mode & 010 ? 's' : 'S';
	if (mode & S_ISVTX)
		text[9] = mode & 01 ? 't' : 'T';
	text[10] = '\0';
}

void show_name(FILE *out, const char *name)
{
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name, next = (unsigned char)name[1];

		if (c < 0x20 || c == 0x7f) {
			fprintf(out, "\\%03o", c);
		} else if (c == 0xc2 && next >= 0x80 && next < 0xa0) { /* C1 controls in UTF-8 */
			fprintf(out, "\\%03o\\%03o", c, next);
			name++;
		} else {
			fputc(c, out);
		}
	}
}

static const char *kind_colour(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return "\033[1;34m";
	case S_IFLNK: return "\033[1;36m";
	case S_IFREG: return mode & 0111 ? "\033[1;32m" : NULL;
	default: return "\033[1;33m";
	}
}

void show_name_of(const struct tool *tool, const char *name, uint32_t mode)
{
	const char *colour = tool->colour ? kind_colour(mode) : NULL;

	if (colour)
		fputs(colour, tool->out);
	show_name(tool->out, name);
	if (colour)
		fputs("\033[0m", tool->out);
}

/* ---- JSON ---- */

json_t *json_start(void)
{
	return json_pack("{s:i}", "version", 1);
}

void json_put_id(json_t *object, const char *key, uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, id);
	json_object_set_new(object, key, json_string(text));
}

/* By jansson's allocator: without memory it does what is done for the rest of the object. */
static char *json_memory(size_t size)
{
	json_malloc_t take;
	json_free_t give;

	json_get_alloc_funcs(&take, &give);
	return take(size);
}

static int put_hex(json_t *object, const char *key, const char *bytes)
{
	size_t len = strlen(bytes);
	char name[64], *hex = json_memory(2 * len + 1);
	int err;

	if (!hex)
		return -1;
	snprintf(name, sizeof(name), "%s_hex", key);
	hex[0] = '\0';
	for (size_t i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
	err = json_object_set_new(object, name, json_string(hex));
	free(hex);
	return err;
}

/* Without memory for both, there is neither. */
void json_put_bytes(json_t *object, const char *key, const char *bytes)
{
	json_t *text = json_string(bytes);
	char *readable;

	if (text) {
		json_object_set_new(object, key, text);
		return;
	}
	readable = json_memory(strlen(bytes) + 1);
	if (!readable)
		return;
	for (size_t i = 0; i <= strlen(bytes); i++)
		readable[i] = bytes[i] & 0x80 ? '?' : bytes[i];
	if (put_hex(object, key, bytes) == 0)
		json_object_set_new(object, key, json_string(readable));
	free(readable);
}

void json_put_time(json_t *object, const char *key, struct timespec when)
{
	struct tm tm;
	char text[64];
	size_t len;

	if (!gmtime_r(&when.tv_sec, &tm) ||
	    !(len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))) {
		json_object_set_new(object, key, json_null());
		return;
	}
	snprintf(text + len, sizeof(text) - len, ".%09ldZ", when.tv_nsec);
	json_object_set_new(object, key, json_string(text));
}

void json_print(struct tool *tool, json_t *object)
{
	if (json_dumpf(object, tool->out, JSON_INDENT(2) | JSON_PRESERVE_ORDER))
		say_failure(tool, "standard output", "it could not all be printed");
	fputc('\n', tool->out);
	json_decref(object);
}

void json_stream_start(struct json_stream *stream, struct tool *tool, json_t *head, const char *key)
{
	char *text = json_dumps(head, JSON_PRESERVE_ORDER);

	*stream = (struct json_stream){ .tool = tool };
	/* Everything but the closing brace, which json_stream_end() prints. */
	if (text)
		fprintf(tool->out, "%.*s, \"%s\": [", (int)strlen(text) - 1, text, key);
	free(text);
	json_decref(head);
}

void json_stream_item(struct json_stream *stream, json_t *item)
{
	fputs(stream->any ? ",\n  " : "\n  ", stream->tool->out);
	json_dumpf(item, stream->tool->out, JSON_PRESERVE_ORDER);
	json_decref(item);
	stream->any = true;
}

void json_stream_end(struct json_stream *stream)
{
	fputs(stream->any ? "\n]}\n" : "]}\n", stream->tool->out);
}
