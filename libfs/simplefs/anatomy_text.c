/* SPDX-License-Identifier: MIT */
/*
 * simplefs in words.  See anatomy_text.h.
 */
#include "anatomy_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "format.h"

static void say(const struct anatomy_text *text, size_t offset, const char *name,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(const struct anatomy_text *text, size_t offset, const char *name,
		const char *format, ...)
{
	char value[512];
	va_list list;

	va_start(list, format);
	vsnprintf(value, sizeof(value), format, list);
	va_end(list);
	text->field(text->arg, offset, name, value);
}

/* The pointers that are set, of a row of them. */
static void say_pointers(const struct anatomy_text *text, const uint8_t *bytes, size_t offset,
			 uint32_t count, const char *to)
{
	char name[48];

	for (uint32_t i = 0; i < count; i++) {
		size_t at = offset + i * sizeof(le64_t);
		uint64_t block = le64_load(bytes + at);

		if (!block)
			continue;
		snprintf(name, sizeof(name), "%s %" PRIu32, to, i);
		say(text, at, name, "block %" PRIu64, block);
	}
}

static void say_super(const struct anatomy_text *text, const uint8_t *bytes)
{
	const struct sfs_super_disk *super = (const void *)bytes;

	say(text, offsetof(struct sfs_super_disk, magic), "magic", "%s",
	    le64_get(super->magic) == SIMPLEFS_MAGIC ? "good" : "wrong");
	say(text, offsetof(struct sfs_super_disk, version), "version", "%" PRIu32,
	    le32_get(super->version));
	say(text, offsetof(struct sfs_super_disk, created), "created", "%" PRIu64 " s after 1970",
	    le64_get(super->created));
	say_pointers(text, bytes, SIMPLEFS_SUPER_RAW, SIMPLEFS_SUPER_SLOTS, "inode map");
}

static void say_inode(const struct anatomy_text *text, const uint8_t *bytes, uint32_t index)
{
	size_t at = (size_t)index * SIMPLEFS_INODE_SIZE;
	struct sfs_fields fields;
	char name[48];

	sfs_inode_decode((const void *)(bytes + at), &fields);
	if (!fields.mode)
		return;
	snprintf(name, sizeof(name), "inode %" PRIu32, index);
	say(text, at, name,
	    "mode %06" PRIo32 ", %" PRIu32 " links, owner %" PRIu32 ":%" PRIu32 ", size %" PRIu64
	    ", %" PRIu64 " blocks, birth %" PRIu64 ", mtime %" PRId64 ".%09" PRIu32,
	    fields.mode, fields.nlink, fields.uid, fields.gid, fields.size, fields.blocks,
	    fields.birth, fields.sec[SFS_MTIME], fields.nsec[SFS_MTIME]);
	if (sfs_is_inline(fields.mode, fields.size)) {
		say(text, at + SIMPLEFS_DIRECT, "target", "%s", fields.target);
	} else if (sfs_has_pointers(fields.mode, fields.size)) {
		say_pointers(text, bytes, at + SIMPLEFS_DIRECT, SIMPLEFS_N_DIRECT, "direct");
		say_pointers(text, bytes, at + SIMPLEFS_IND, SIMPLEFS_N_IND, "indirect");
	}
}

bool simplefs_to_text(const char *type, const uint8_t *bytes, size_t len,
		      const struct anatomy_text *text)
{
	if (len < SFS_BLOCK)
		return false;
	if (!strcmp(type, "simplefs.super"))
		say_super(text, bytes);
	else if (!strcmp(type, "simplefs.imap"))
		say_pointers(text, bytes, 0, SIMPLEFS_IMAP_SLOTS, "inode table");
	else if (!strcmp(type, "simplefs.itab"))
		for (uint32_t i = 0; i < SIMPLEFS_ITAB_INODES; i++)
			say_inode(text, bytes, i);
	else if (!strncmp(type, "simplefs.ind", 12))
		say_pointers(text, bytes, 0, SIMPLEFS_IND_SLOTS, "pointer");
	else
		return false;
	return true;
}

/* What files hold lies in blocks of their own; only targets of links are in an inode. */
void simplefs_scrub(const char *type, uint8_t *bytes, size_t len)
{
	(void)type;
	(void)bytes;
	(void)len;
}
