/* SPDX-License-Identifier: MIT */
/*
 * C-FFS in words.  See anatomy_text.h.
 *
 *  (1) Nothing is decoded of a sector that cffs_sector_check() refuses.
 */
#include "anatomy_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "format.h"

static void say(const struct anatomy_text *text, size_t offset, const char *name,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(const struct anatomy_text *text, size_t offset, const char *name,
		const char *format, ...)
{
	char value[768];
	va_list list;

	va_start(list, format);
	vsnprintf(value, sizeof(value), format, list);
	va_end(list);
	text->field(text->arg, offset, name, value);
}

static void say_slot(const struct anatomy_text *text, size_t offset, const struct cffs_slot *slot)
{
	static const char *const classes[CFFS_CLASSES] = { "nothing",   "data", "unwritten",
							   "directory", "node", "index",
							   "attributes" };

	if (slot->class != CFFS_CLASS_NONE)
		say(text, offset, "  extent",
		    "%s: blocks %" PRIu64 " to %" PRIu64 ", of the file from block %" PRIu64 " on",
		    slot->class < CFFS_CLASSES ? classes[slot->class] : "?", slot->start,
		    slot->start + (slot->count ? slot->count - 1 : 0), slot->logical);
}

static void say_inode(const struct anatomy_text *text, size_t at, const struct cffs_entry *entry)
{
	const struct cffs_attr *a = &entry->a;

	say(text, at, "inode",
	    "%" PRIu64 " \"%.*s\", slot %u, mode %06" PRIo32 ", %" PRIu32 " links, owner %" PRIu32
	    ":%" PRIu32 ", size %" PRIu64 ", %" PRIu64
	    " blocks, %u bytes inline, %u of attributes, "
	    "mtime %lld.%09ld%s",
	    a->ino, (int)entry->name_len, entry->name, entry->slot, a->mode, a->nlink, a->uid,
	    a->gid, entry->b.size, entry->b.blocks, entry->b.inline_len, entry->xattr_len,
	    (long long)a->mtime.tv_sec, a->mtime.tv_nsec,
	    a->flags & CFFS_F_ORPHAN ? ", orphan" : "");
	for (uint32_t i = 0; i < entry->b.n_slots && i < CFFS_BODY_SLOTS; i++)
		say_slot(text, at, &entry->b.slot[i]);
}

static void say_entry(const struct anatomy_text *text, size_t at, const struct cffs_entry *entry)
{
	if (entry->kind == CFFS_KIND_INODE)
		say_inode(text, at, entry);
	else if (entry->kind == CFFS_KIND_LINK)
		say(text, at, "link",
		    "\"%.*s\", slot %u, to inode %" PRIu64 " at block %u, sector %u",
		    (int)entry->name_len, entry->name, entry->slot, entry->link_ino,
		    entry->link_place / CFFS_SECTORS, entry->link_place % CFFS_SECTORS);
	else
		say(text, at, "parameters", "of the file system");
}

static void say_sector(const struct anatomy_text *text, const uint8_t *sector, size_t base)
{
	struct cffs_entry entry;
	le64_t dir;
	le32_t place;
	uint32_t at = 0;
	int wrong = cffs_sector_check(sector);
	char name[32];

	snprintf(name, sizeof(name), "sector %zu", base / CFFS_SECTOR);
	if (wrong) {
		say(text, base, name, "is refused by its check (%d)", wrong);
		return;
	}
	memcpy(&dir, sector + CFFS_S_DIR, sizeof(dir));
	memcpy(&place, sector + CFFS_S_PLACE, sizeof(place));
	say(text, base, name, "of directory %" PRIu64 ", its block %" PRIu32 ", %u entries",
	    le64_get(dir), le32_get(place) / CFFS_SECTORS, sector[CFFS_S_ENTRIES]);
	while (cffs_sector_next(sector, &at, &entry))
		say_entry(text, base + at, &entry);
}

static void say_node(const struct anatomy_text *text, const uint8_t *bytes, size_t len)
{
	for (size_t at = 0; at + CFFS_SLOT_SIZE <= len; at += CFFS_SLOT_SIZE) {
		struct cffs_slot slot;

		if (at % CFFS_SECTOR == 0) {
			say(text, at, "sector", "level %u, %u used", bytes[at + CFFS_X_LEVEL],
			    bytes[at + CFFS_X_USED]);
			continue;
		}
		cffs_slot_decode(bytes + at, &slot);
		say_slot(text, at, &slot);
	}
}

bool cffs_to_text(const char *type, const uint8_t *bytes, size_t len,
		  const struct anatomy_text *text)
{
	if (!strcmp(type, "cffs.dir")) {
		for (size_t at = 0; at + CFFS_SECTOR <= len; at += CFFS_SECTOR)
			say_sector(text, bytes + at, at);
		return true;
	}
	if (!strcmp(type, "cffs.ext")) {
		say_node(text, bytes, len);
		return true;
	}
	return false;
}

static void scrub_sector(uint8_t *sector)
{
	struct cffs_entry entry;
	bool changed = false;
	uint32_t at = 0;

	if (cffs_sector_check(sector))
		return;
	while (cffs_sector_next(sector, &at, &entry)) {
		if (entry.kind != CFFS_KIND_INODE || !entry.b.inline_len || !S_ISREG(entry.a.mode))
			continue;
		/* The bytes lie behind the attributes. */
		memset(sector + (entry.xattr - sector) + entry.xattr_len, 0, entry.b.inline_len);
		changed = true;
	}
	if (changed)
		cffs_sector_seal(sector);
}

void cffs_scrub(const char *type, uint8_t *bytes, size_t len)
{
	if (strcmp(type, "cffs.dir") != 0)
		return;
	for (size_t at = 0; at + CFFS_SECTOR <= len; at += CFFS_SECTOR)
		scrub_sector(bytes + at);
}
