/* SPDX-License-Identifier: MIT */
/*
 * Objects of C-FFS made sound again.  See libfs/check.h, mend.
 *
 *  (1) A sector whose checksum is wrong keeps its entries as far as they make sense
 *      one after the other; what follows the first that does not is lost.
 *  (2) A sector of the root object without the inode it is for gets an empty one.
 *  (3) Pointers go by whole extents.
 */
#include <string.h>

#include "cffs_templates.h"
#include "libfs/check.h"
#include "mend.h"
#include "slots.h"

#define LEVEL_MAX 3u

/* May these be the blocks of a file, on a disk of so many? */
static bool slot_is_possible(const struct cffs_slot *slot, uint64_t blocks)
{
	if (slot->class == CFFS_CLASS_NONE)
		return true;
	return slot->class < CFFS_CLASSES && slot->start != 0 && slot->count != 0 &&
	       slot->start < blocks && slot->count <= blocks - slot->start;
}

/* ---- sectors of directories ---- */

static bool type_exists(uint32_t mode)
{
	return (1u << (mode >> 12) & 0x1556u) != 0; /* fifo, chr, dir, blk, reg, lnk, sock */
}

static bool entry_is_possible(const struct cffs_entry *entry, uint64_t blocks)
{
	if (entry->kind != CFFS_KIND_INODE)
		return entry->kind == CFFS_KIND_LINK && entry->link_ino != 0;
	if (!type_exists(entry->a.mode) || entry->a.ino == 0)
		return false;
	for (uint32_t i = 0; i < entry->b.n_slots; i++)
		if (!slot_is_possible(&entry->b.slot[i], blocks))
			return false;
	return true;
}

/* Does it stand, with so many entries? */
static bool prefix_stands(const uint8_t sector[CFFS_SECTOR], unsigned n)
{
	uint8_t copy[CFFS_SECTOR];

	memcpy(copy, sector, sizeof(copy));
	copy[CFFS_S_ENTRIES] = (uint8_t)n;
	cffs_seal(copy);
	return cffs_sector_check(copy) == 0;
}

/* Keep the entries from the first on that make sense. */
static void sector_salvage(uint8_t sector[CFFS_SECTOR], uint64_t blocks)
{
	unsigned n = 0, said = sector[CFFS_S_ENTRIES], kept = 0;
	struct cffs_entry entry;
	uint32_t at = 0, end = CFFS_S_HEAD;

	le16_store(sector + CFFS_S_MAGIC, CFFS_DIR_MAGIC);
	sector[CFFS_S_FLAGS] = 0;
	while (n < 32 && prefix_stands(sector, n + 1))
		n++;
	if (n > said && said)
		n = said;
	sector[CFFS_S_ENTRIES] = (uint8_t)n;
	while (kept < n && cffs_sector_next(sector, &at, &entry) &&
	       entry_is_possible(&entry, blocks)) {
		kept++;
		end = at + cffs_entry_len(&entry);
	}
	if (!kept) {
		memset(sector, 0, CFFS_SECTOR);
		return;
	}
	sector[CFFS_S_ENTRIES] = (uint8_t)kept;
	memset(sector + end, 0, CFFS_SECTOR - end);
	cffs_sector_seal(sector);
}

/* Pointers that cannot be, under a checksum that is right. */
static void slots_settle(uint8_t sector[CFFS_SECTOR], uint64_t blocks)
{
	struct cffs_entry entry;
	bool changed = false;
	uint32_t at = 0;

	while (cffs_sector_next(sector, &at, &entry))
		for (uint32_t i = 0; entry.kind == CFFS_KIND_INODE && i < entry.b.n_slots; i++)
			if (!slot_is_possible(&entry.b.slot[i], blocks)) {
				memset(sector + at + CFFS_E_SLOTS + i * CFFS_SLOT_SIZE, 0,
				       CFFS_SLOT_SIZE);
				changed = true;
			}
	if (changed)
		cffs_sector_seal(sector);
}

static void dir_sector_mend(uint8_t sector[CFFS_SECTOR], uint64_t blocks)
{
	static const uint8_t never_used[CFFS_S_ENTRIES];
	int wrong;

	/* Never used, and says that it has entries: what it has is noise. */
	if (memcmp(sector, never_used, sizeof(never_used)) == 0)
		memset(sector, 0, CFFS_SECTOR);
	wrong = cffs_sector_check(sector);

	if (wrong == 8 && prefix_stands(sector, 0)) {
		uint8_t sealed[CFFS_SECTOR];

		memcpy(sealed, sector, sizeof(sealed));
		cffs_seal(sealed);
		if (memcmp(sealed, sector, sizeof(sealed)) == 0)
			wrong = 0; /* a name that cannot be said is the checker's business */
	}
	if (wrong)
		sector_salvage(sector, blocks);
	else
		slots_settle(sector, blocks);
}

void cffs_system_sector(uint64_t ino, uint8_t sector[CFFS_SECTOR])
{
	struct cffs_entry entry = {
		.kind = CFFS_KIND_INODE,
		.name = "",
		.a = { .ino = ino,
		       .generation = 1,
		       .mode = ino == CFFS_INO_ROOT ? 0040755 : 0040700,
		       .nlink = 2 },
		.b = { .n_slots = CFFS_SLOTS_MAX },
	};

	memset(sector, 0, CFFS_SECTOR);
	cffs_sector_init(sector, 0, (uint32_t)ino);
	cffs_sector_add(sector, &entry);
	cffs_sector_seal(sector);
}

void cffs_params_anew(const uint8_t uuid[16], uint8_t sector[CFFS_SECTOR])
{
	struct cffs_params params = { .version = CFFS_VERSION, .inline_max = CFFS_INLINE_FILE };

	memcpy(params.uuid, uuid, sizeof(params.uuid));
	cffs_params_encode(&params, sector);
}

static void root_mend(const struct check_damage *damage, uint8_t *bytes)
{
	struct cffs_params params;

	if (cffs_sector_check(bytes) || !cffs_params_decode(bytes, &params))
		cffs_params_anew(damage->root_uuid, bytes);
	for (uint64_t ino = CFFS_INO_ROOT; ino <= CFFS_INO_ODIR; ino++) {
		uint8_t *sector = bytes + ino * CFFS_SECTOR;
		struct cffs_entry entry;
		uint32_t at = 0;

		dir_sector_mend(sector, damage->blocks);
		if (!cffs_sector_next(sector, &at, &entry) || entry.kind != CFFS_KIND_INODE ||
		    entry.a.ino != ino || entry.a.mode >> 12 != 4)
			cffs_system_sector(ino, sector);
	}
	for (uint32_t s = CFFS_INO_ODIR + 1; s < CFFS_SECTORS; s++)
		dir_sector_mend(bytes + s * CFFS_SECTOR, damage->blocks);
}

static bool dir_mend(const struct check_damage *damage, uint8_t *bytes)
{
	if (damage->object == damage->root)
		root_mend(damage, bytes);
	for (uint32_t s = 0; damage->object != damage->root && s < CFFS_SECTORS; s++)
		dir_sector_mend(bytes + s * CFFS_SECTOR, damage->blocks);
	return true;
}

/* ---- extents ---- */

static bool sector_is_sound(const uint8_t *sector, uint32_t magic)
{
	uint8_t sealed[CFFS_SECTOR];

	memcpy(sealed, sector, sizeof(sealed));
	le16_store(sealed + CFFS_X_MAGIC, magic);
	cffs_seal(sealed);
	return memcmp(sealed, sector, sizeof(sealed)) == 0;
}

static bool sector_is_new(const uint8_t *sector)
{
	return (sector[0] | sector[1] | sector[2] | sector[3] | sector[4] | sector[5]) == 0;
}

static bool slot_fits(const struct cffs_slot *slot, unsigned level, uint64_t blocks)
{
	return slot_is_possible(slot, blocks) &&
	       (slot->class == CFFS_CLASS_NONE ||
		(slot->class == CFFS_CLASS_NODE) == (level > 0)) &&
	       slot->logical + slot->count <= CFFS_BLOCKS_MAX;
}

/* Of a sector that may be noise: all that fits, or nothing when most does not. */
static unsigned node_sector_settle(uint8_t *sector, const uint8_t *like, uint64_t blocks)
{
	unsigned good = 0, bad = 0, level = like[CFFS_X_LEVEL];
	struct cffs_slot slot;

	for (uint32_t k = 1; k <= CFFS_EXT_SLOTS; k++) {
		uint8_t *at = sector + (size_t)k * CFFS_SLOT_SIZE;

		cffs_slot_decode(at, &slot);
		if (!slot_fits(&slot, level, blocks)) {
			memset(at, 0, CFFS_SLOT_SIZE);
			bad++;
		} else {
			good += slot.class != CFFS_CLASS_NONE;
		}
	}
	if (bad > good) {
		memset(sector, 0, CFFS_SECTOR);
		good = 0;
	}
	memcpy(sector + CFFS_X_INO, like + CFFS_X_INO, 8);
	le16_store(sector + CFFS_X_MAGIC, CFFS_EXT_MAGIC);
	sector[CFFS_X_LEVEL] = (uint8_t)level;
	sector[CFFS_X_USED] = (uint8_t)good;
	cffs_seal(sector);
	return good;
}

bool cffs_node_settle(uint8_t bytes[CFFS_BLOCK], uint64_t blocks)
{
	uint8_t like[CFFS_SECTOR] = { 0 };
	unsigned good = 0;

	/* What the node is, a sector says whose checksum is right; the last resort is the first one. */
	memcpy(like, bytes, sizeof(like));
	for (uint32_t s = 0; s < CFFS_SECTORS; s++) {
		const uint8_t *sector = bytes + s * CFFS_SECTOR;

		if (sector_is_new(sector) || !sector_is_sound(sector, CFFS_EXT_MAGIC))
			continue;
		memcpy(like, sector, sizeof(like));
		break;
	}
	if (like[CFFS_X_LEVEL] > LEVEL_MAX)
		return false;
	for (uint32_t s = 0; s < CFFS_SECTORS; s++)
		good += node_sector_settle(bytes + s * CFFS_SECTOR, like, blocks);
	return good > 0;
}

static bool raw_mend(uint8_t *bytes)
{
	for (uint32_t s = 0; s < CFFS_SECTORS; s++)
		if (!sector_is_sound(bytes + s * CFFS_SECTOR, CFFS_RAW_MAGIC))
			memset(bytes + s * CFFS_SECTOR, 0, CFFS_SECTOR);
	return true;
}

/* ---- pointers ---- */

/* One slot cut or moved, which the damage names; false: it cannot be done. */
static bool slot_change(const struct check_damage *damage, uint8_t *at)
{
	struct cffs_slot slot;

	if (damage->what == CHECK_MEND_CUT) {
		memset(at, 0, CFFS_SLOT_SIZE);
		return true;
	}
	cffs_slot_decode(at, &slot);
	if (slot.start != damage->start || slot.count != damage->count)
		return false;
	slot.start = damage->to;
	cffs_slot_encode(&slot, at);
	return true;
}

/* A record is a sector; `owns` emits its slots in order, but for the empty ones. */
static bool dir_pointers(const struct check_damage *damage, uint8_t *bytes)
{
	uint8_t *sector = bytes + (size_t)damage->record * CFFS_SECTOR;
	struct cffs_entry entry;
	uint32_t at = 0, nth = 0;
	int wrong = damage->record < CFFS_SECTORS ? cffs_sector_check(sector) : 1;

	if (wrong && wrong != 8)
		return false;
	while (cffs_sector_next(sector, &at, &entry)) {
		uint8_t *slots = sector + at + CFFS_E_SLOTS;

		for (uint32_t i = 0; entry.kind == CFFS_KIND_INODE && i < entry.b.n_slots; i++) {
			if (entry.b.slot[i].class == CFFS_CLASS_NONE || nth++ != damage->nth)
				continue;
			if (!slot_change(damage, slots + i * CFFS_SLOT_SIZE))
				return false;
			cffs_sector_seal(sector);
			return true;
		}
	}
	return false;
}

/* A record is a slot. */
static bool node_pointers(const struct check_damage *damage, uint8_t *bytes)
{
	if (damage->record >= CFFS_EXT_RECORDS || damage->record % (CFFS_EXT_SLOTS + 1) == 0 ||
	    !slot_change(damage, bytes + (size_t)damage->record * CFFS_SLOT_SIZE))
		return false;
	cffs_seal(bytes + damage->record / (CFFS_EXT_SLOTS + 1) * CFFS_SECTOR);
	return true;
}

/* ---- all ---- */

bool cffs_mend(const struct check_damage *damage, uint8_t *bytes)
{
	bool dir = strcmp(damage->type, "cffs.dir") == 0,
	     ext = strcmp(damage->type, "cffs.ext") == 0;

	if (damage->what != CHECK_MEND_OBJECT)
		return dir ? dir_pointers(damage, bytes) : ext && node_pointers(damage, bytes);
	if (dir)
		return dir_mend(damage, bytes);
	if (ext)
		return cffs_node_settle(bytes, damage->blocks);
	return strcmp(damage->type, "cffs.raw") == 0 && raw_mend(bytes);
}

bool cffs_image(unsigned index, struct check_image *out)
{
	if (index >= cffs_templates_count)
		return false;
	*out = (struct check_image){ cffs_templates_image[index], cffs_templates_image_len[index] };
	return true;
}
