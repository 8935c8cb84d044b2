/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

static void complain(const char *kind, const char *subject, const char *format, va_list args)
{
	fprintf(stderr, "xn-tmpl: %s: %s", subject, kind);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

enum outcome refuse(const char *subject, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain("", subject, format, args);
	va_end(args);
	return REFUSED;
}

enum outcome trouble(const char *subject, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain("", subject, format, args);
	va_end(args);
	return TROUBLE;
}

void warn(const char *subject, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain("warning: ", subject, format, args);
	va_end(args);
}

void blob_fini(struct blob *blob)
{
	free(blob->bytes);
	blob->bytes = NULL;
	blob->len = 0;
}

/* Read to the end: sizes that a file system reports cannot be trusted for pipes and /proc. */
static enum outcome read_all(FILE *file, const char *path, struct blob *out)
{
	size_t cap = 0;

	for (;;) {
		if (out->len == cap) {
			uint8_t *bytes;

			cap = cap ? 2 * cap : 65536;
			bytes = cap > FILE_BYTES_MAX ? NULL : realloc(out->bytes, cap);
			if (!bytes)
				return trouble(path, "file is too large");
			out->bytes = bytes;
		}
		out->len += fread(out->bytes + out->len, 1, cap - out->len, file);
		if (ferror(file))
			return trouble(path, "%s", strerror(errno));
		if (feof(file))
			return DONE;
	}
}

enum outcome file_read(const char *path, struct blob *out)
{
	FILE *file = fopen(path, "rb");
	enum outcome err;

	memset(out, 0, sizeof(*out));
	if (!file)
		return trouble(path, "%s", strerror(errno));
	err = read_all(file, path, out);
	fclose(file);
	if (err)
		blob_fini(out);
	return err;
}

enum outcome file_write(const char *path, const void *bytes, size_t len)
{
	FILE *file = fopen(path, "wb");
	size_t written;

	if (!file)
		return trouble(path, "%s", strerror(errno));
	written = fwrite(bytes, 1, len, file);
	if (fclose(file) || written != len)
		return trouble(path, "%s", strerror(errno));
	return DONE;
}
