/* SPDX-License-Identifier: MIT */
/* Files read and written whole, and how the programs complain. */
#ifndef UDF_TOOL_FILE_H
#define UDF_TOOL_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Exit codes of xn-tmpl; functions of the tool return them, too. */
enum outcome {
	DONE = 0,
	REFUSED = 1, /* the input is at fault */
	TROUBLE = 2, /* usage, or the world: no such file, disk full, no memory */
};

struct blob {
	uint8_t *bytes;
	size_t len;
};

#define FILE_BYTES_MAX ((size_t)64 << 20)

enum outcome file_read(const char *path, struct blob *out);
enum outcome file_write(const char *path, const void *bytes, size_t len);
void blob_fini(struct blob *blob);

/* "xn-tmpl: SUBJECT: sentence"; return the outcome for convenience. */
__attribute__((format(printf, 2, 3))) enum outcome refuse(const char *subject, const char *format,
							  ...);
__attribute__((format(printf, 2, 3))) enum outcome trouble(const char *subject, const char *format,
							   ...);
__attribute__((format(printf, 2, 3))) void warn(const char *subject, const char *format, ...);

#endif
