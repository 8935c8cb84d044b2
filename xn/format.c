/* SPDX-License-Identifier: MIT */
/*
 * Disk bytes to checked values and back.
 *
 *  (1) A decode function first proves the sector (magic, checksum), then every
 *      field; it fills its result only when all of it is in range.
 *  (2) What an encode function writes, the decode function accepts, for every
 *      value whose numbers were in range: texts are cut and cleaned, limits
 *      beyond the largest disk become that.
 *  (3) Bytes that have no meaning are zero, and are refused when they are not,
 *      so that a later version may give them one.
 */
#include "xn/format.h"

#include <string.h>

#include "udf/udf.h"
#include "xn/error.h"

#define SUPER_CRC_AT offsetof(struct xn_super_disk, crc)

/* ---- sectors and texts ---- */

static uint32_t sector_crc(uint32_t seed, const void *sector, size_t crc_at)
{
	static const uint8_t zero[4];
	const uint8_t *bytes = sector;
	uint32_t crc;

	crc = udf_crc32c(seed, bytes, crc_at);
	crc = udf_crc32c(crc, zero, sizeof(zero));
	return udf_crc32c(crc, bytes + crc_at + 4, XN_SECTOR_SIZE - crc_at - 4);
}

static bool is_zero(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* A text of at most `size` bytes, the rest zeroes; `out` has one byte more. */
static bool text_decode(const char *disk, size_t size, char *out)
{
	size_t len = strnlen(disk, size);

	for (size_t i = 0; i < len; i++)
		if (is_control(disk[i]))
			return false;
	if (!is_zero(disk + len, size - len))
		return false;
	memcpy(out, disk, len);
	memset(out + len, 0, size + 1 - len);
	return true;
}

static void text_encode(const char *text, size_t size, char *disk)
{
	size_t len = strnlen(text, size);

	memset(disk, 0, size);
	for (size_t i = 0; i < len; i++)
		disk[i] = is_control(text[i]) ? '?' : text[i];
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

uint32_t xn_format_seed(const struct xn_super *super)
{
	return udf_crc32c(0, super->uuid, sizeof(super->uuid));
}

/* ---- where things are ---- */

/*
 * A last chunk of one or two blocks would hold nothing but its own map and the
 * copy of the superblock, in the same place: such a tail is left unused.
 */
static uint64_t without_stub(uint64_t block_count)
{
	uint64_t tail = block_count % XN_CHUNK_BLOCKS;

	return tail == 1 || tail == 2 ? block_count - tail : block_count;
}

unsigned xn_super_places(uint64_t block_count, uint64_t places[3])
{
	unsigned n = 0;

	block_count = without_stub(block_count);
	places[n++] = 0;
	if (block_count > XN_CHUNK_BLOCKS)
		places[n++] = XN_CHUNK_BLOCKS;
	places[n++] = block_count - 1;
	for (unsigned i = n; i < 3; i++)
		places[i] = 0;
	return n;
}

uint64_t xn_chunk_count(uint64_t block_count)
{
	block_count = without_stub(block_count);
	return block_count / XN_CHUNK_BLOCKS + (block_count % XN_CHUNK_BLOCKS != 0);
}

uint64_t xn_map_block(uint64_t chunk)
{
	return chunk * XN_CHUNK_BLOCKS + XN_MAP_OFFSET;
}

/* Is [start, start + count) inside the disk and free of superblocks and maps? */
static bool extent_may_be_used(const struct xn_super *super, uint64_t start, uint64_t count)
{
	uint64_t places[3];
	unsigned n = xn_super_places(super->block_count, places);
	uint64_t map;

	if (count == 0 || start == 0 || start >= super->block_count ||
	    count > super->block_count - start)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (places[i] >= start && places[i] - start < count)
			return false;
	map = xn_map_block(start / XN_CHUNK_BLOCKS);
	if (map < start)
		map += XN_CHUNK_BLOCKS;
	return map - start >= count;
}

bool xn_super_fixed(const struct xn_super *super, uint64_t start, uint64_t count)
{
	if (!extent_may_be_used(super, start, count))
		return true;
	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++) {
		if (super->catalogue[kind] - start < count || super->twin[kind] - start < count)
			return true;
	}
	return start < super->log_start + super->log_blocks && super->log_start < start + count;
}

void xn_super_layout(uint64_t block_count, struct xn_super *super)
{
	memset(super, 0, sizeof(*super));
	super->block_count = without_stub(block_count);
	super->state = XN_STATE_CLEAN;
	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++) {
		super->catalogue[kind] = 2 + kind;
		super->twin[kind] = 2 + XN_CAT_KINDS + kind;
	}
	super->log_start = 2 + 2 * XN_CAT_KINDS;
	super->log_blocks = at_most(super->block_count / 64, 256);
	super->incompat = XN_INCOMPAT_LOG;
}

/* ---- superblock ---- */

static bool in_log(const struct xn_super *super, uint64_t block)
{
	return block >= super->log_start && block - super->log_start < super->log_blocks;
}

/* Catalogues, twins and log: all in chunk 0, none twice, none over XN's other blocks. */
static bool super_places_are_sound(const struct xn_super *super)
{
	uint64_t end = at_most(super->block_count, XN_CHUNK_BLOCKS);
	uint64_t blocks[2 * XN_CAT_KINDS];

	if (super->log_start < 2 || super->log_start >= end ||
	    super->log_blocks > end - super->log_start)
		return false;
	if (super->log_blocks && !extent_may_be_used(super, super->log_start, super->log_blocks))
		return false;
	memcpy(blocks, super->catalogue, sizeof(super->catalogue));
	memcpy(blocks + XN_CAT_KINDS, super->twin, sizeof(super->twin));
	for (unsigned i = 0; i < 2 * XN_CAT_KINDS; i++) {
		if (blocks[i] >= end || !extent_may_be_used(super, blocks[i], 1) ||
		    in_log(super, blocks[i]))
			return false;
		for (unsigned j = 0; j < i; j++)
			if (blocks[i] == blocks[j])
				return false;
	}
	return true;
}

static bool super_geometry_is_sound(const struct xn_super_disk *disk, const struct xn_super *super)
{
	if (le32_get(disk->block_size) != XN_BLOCK_SIZE ||
	    le32_get(disk->chunk_blocks) != XN_CHUNK_BLOCKS)
		return false;
	if (super->block_count < XN_BLOCKS_MIN || super->block_count > XN_BLOCKS_MAX ||
	    super->block_count != without_stub(super->block_count))
		return false;
	if (super->high_water > xn_chunk_count(super->block_count) ||
	    super->free_blocks > super->block_count)
		return false;
	return super_places_are_sound(super);
}

static bool super_status_is_sound(const struct xn_super_disk *disk, const struct xn_super *super)
{
	if (super->state != XN_STATE_CLEAN && super->state != XN_STATE_INUSE)
		return false;
	if (super->flags & ~(XN_SUPER_RECLAIM | XN_SUPER_DAMAGED))
		return false;
	/* A feature that forbids writing to those who do not know it may use reserved bytes. */
	return super->ro_compat || is_zero(disk->reserved, sizeof(disk->reserved));
}

static void super_get(const struct xn_super_disk *disk, struct xn_super *super)
{
	super->block_count = le64_get(disk->block_count);
	memcpy(super->uuid, disk->uuid, sizeof(super->uuid));
	super->compat = le64_get(disk->compat);
	super->incompat = le64_get(disk->incompat);
	super->ro_compat = le64_get(disk->ro_compat);
	super->generation = le64_get(disk->generation);
	super->mount_epoch = le64_get(disk->mount_epoch);
	super->state = le32_get(disk->state);
	super->flags = le32_get(disk->flags);
	super->high_water = le64_get(disk->high_water);
	super->free_blocks = le64_get(disk->free_blocks);
	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++) {
		super->catalogue[kind] = le64_get(disk->catalogue[kind]);
		super->twin[kind] = le64_get(disk->twin[kind]);
	}
	super->log_start = le64_get(disk->log_start);
	super->log_blocks = le64_get(disk->log_blocks);
	super->format_time = (int64_t)le64_get(disk->format_time);
	super->open_time = (int64_t)le64_get(disk->open_time);
	super->write_time = (int64_t)le64_get(disk->write_time);
	super->holder_pid = le64_get(disk->holder_pid);
}

static bool super_texts_get(const struct xn_super_disk *disk, struct xn_super *super)
{
	return text_decode(disk->label, sizeof(disk->label), super->label) &&
	       text_decode(disk->holder_host, sizeof(disk->holder_host), super->holder_host) &&
	       text_decode(disk->holder_command, sizeof(disk->holder_command),
			   super->holder_command);
}

int xn_super_decode(const struct xn_super_disk *disk, struct xn_super *super)
{
	struct xn_super found;

	memset(&found, 0, sizeof(found));
	if (memcmp(disk->magic, XN_SUPER_MAGIC, sizeof(disk->magic)) != 0)
		return XN_EFOREIGN;
	if (le32_get(disk->crc) != sector_crc(0, disk, SUPER_CRC_AT))
		return XN_EDAMAGED;
	if (le32_get(disk->version) > XN_FORMAT_VERSION ||
	    (le64_get(disk->incompat) & ~XN_INCOMPAT_KNOWN))
		return XN_EVERSION;
	if (le32_get(disk->version) != XN_FORMAT_VERSION)
		return XN_EDAMAGED;
	super_get(disk, &found);
	if (!super_texts_get(disk, &found) || !super_geometry_is_sound(disk, &found) ||
	    !super_status_is_sound(disk, &found))
		return XN_EDAMAGED;
	*super = found;
	return 0;
}

void xn_super_encode(const struct xn_super *super, struct xn_super_disk *disk)
{
	memset(disk, 0, sizeof(*disk));
	memcpy(disk->magic, XN_SUPER_MAGIC, sizeof(disk->magic));
	disk->version = le32_make(XN_FORMAT_VERSION);
	disk->block_size = le32_make(XN_BLOCK_SIZE);
	disk->chunk_blocks = le32_make(XN_CHUNK_BLOCKS);
	disk->block_count = le64_make(super->block_count);
	memcpy(disk->uuid, super->uuid, sizeof(disk->uuid));
	text_encode(super->label, sizeof(disk->label), disk->label);
	disk->compat = le64_make(super->compat);
	disk->incompat = le64_make(super->incompat);
	disk->ro_compat = le64_make(super->ro_compat);
	disk->generation = le64_make(super->generation);
	disk->mount_epoch = le64_make(super->mount_epoch);
	disk->state = le32_make(super->state);
	disk->flags = le32_make(super->flags);
	disk->high_water = le64_make(super->high_water);
	disk->free_blocks = le64_make(super->free_blocks);
	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++) {
		disk->catalogue[kind] = le64_make(super->catalogue[kind]);
		disk->twin[kind] = le64_make(super->twin[kind]);
	}
	disk->log_start = le64_make(super->log_start);
	disk->log_blocks = le64_make(super->log_blocks);
	disk->format_time = le64_make((uint64_t)super->format_time);
	disk->open_time = le64_make((uint64_t)super->open_time);
	disk->write_time = le64_make((uint64_t)super->write_time);
	disk->holder_pid = le64_make(super->holder_pid);
	text_encode(super->holder_host, sizeof(disk->holder_host), disk->holder_host);
	text_encode(super->holder_command, sizeof(disk->holder_command), disk->holder_command);
	disk->crc = le32_make(sector_crc(0, disk, SUPER_CRC_AT));
}

/* ---- free map ---- */

static bool map_sector_is_sound(uint32_t seed, uint64_t chunk, uint32_t index,
				const struct xn_map_sector_disk *sector)
{
	return le32_get(sector->magic) == XN_MAP_MAGIC &&
	       le32_get(sector->crc) == sector_crc(seed, sector, 0) &&
	       le64_get(sector->chunk) == chunk && le32_get(sector->index) == index &&
	       is_zero(sector->reserved, sizeof(sector->reserved));
}

unsigned xn_map_decode(const struct xn_super *super, uint64_t chunk, const void *block,
		       uint8_t *bitmap)
{
	const struct xn_map_sector_disk *sectors = block;
	uint32_t seed = xn_format_seed(super);
	unsigned bad = 0;

	for (uint32_t i = 0; i < XN_BLOCK_SECTORS; i++, bitmap += sizeof(sectors->bits)) {
		if (map_sector_is_sound(seed, chunk, i, &sectors[i])) {
			memcpy(bitmap, sectors[i].bits, sizeof(sectors->bits));
		} else {
			memset(bitmap, 0xff, sizeof(sectors->bits));
			bad++;
		}
	}
	return bad;
}

void xn_map_encode(const struct xn_super *super, uint64_t chunk, const uint8_t *bitmap, void *block)
{
	struct xn_map_sector_disk *sectors = block;
	uint32_t seed = xn_format_seed(super);

	for (uint32_t i = 0; i < XN_BLOCK_SECTORS; i++, bitmap += sizeof(sectors->bits)) {
		struct xn_map_sector_disk *sector = &sectors[i];

		memset(sector, 0, sizeof(*sector));
		sector->magic = le32_make(XN_MAP_MAGIC);
		sector->chunk = le64_make(chunk);
		sector->index = le32_make(i);
		memcpy(sector->bits, bitmap, sizeof(sector->bits));
		sector->crc = le32_make(sector_crc(seed, sector, 0));
	}
}

/* Set the bits of those blocks of [start, start + count) that lie in `chunk`. */
static void bitmap_mark(uint8_t *bitmap, uint64_t chunk, uint64_t start, uint64_t count)
{
	uint64_t first = chunk * XN_CHUNK_BLOCKS;
	uint64_t from = start > first ? start - first : 0;
	uint64_t to = start + count > first ? start + count - first : 0;

	to = at_most(to, XN_CHUNK_BLOCKS);
	while (from < to) {
		if (from % 8 == 0 && to - from >= 8) {
			memset(bitmap + from / 8, 0xff, (to - from) / 8);
			from += (to - from) / 8 * 8;
		} else {
			bitmap[from / 8] |= (uint8_t)(1u << (from % 8));
			from++;
		}
	}
}

void xn_map_fresh(const struct xn_super *super, uint64_t chunk, uint8_t *bitmap)
{
	uint64_t end = (chunk + 1) * XN_CHUNK_BLOCKS;
	uint64_t places[3];
	unsigned n = xn_super_places(super->block_count, places);

	memset(bitmap, 0, XN_MAP_CHUNK_BYTES);
	bitmap_mark(bitmap, chunk, xn_map_block(chunk), 1);
	for (unsigned i = 0; i < n; i++)
		bitmap_mark(bitmap, chunk, places[i], 1);
	if (super->block_count < end)
		bitmap_mark(bitmap, chunk, super->block_count, end - super->block_count);
	if (chunk != 0)
		return;
	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++) {
		bitmap_mark(bitmap, chunk, super->catalogue[kind], 1);
		bitmap_mark(bitmap, chunk, super->twin[kind], 1);
	}
	bitmap_mark(bitmap, chunk, super->log_start, super->log_blocks);
}

/* ---- catalogues ---- */

/* Entries that a catalogue may have; there are as many principals as roots at most. */
static uint64_t slots_max(uint32_t kind)
{
	return kind == XN_CAT_TEMPLATES ? XN_TEMPLATES_MAX : XN_ROOTS_MAX;
}

/* Ends and beginnings agree, and no block is named twice. */
static bool link_is_sound(const struct xn_super *super, const struct xn_cat_link *link)
{
	uint64_t chain_max;

	if (link->kind >= XN_CAT_KINDS)
		return false;
	chain_max = (slots_max(link->kind) + XN_CAT_ENTRIES_BLOCK - 1) / XN_CAT_ENTRIES_BLOCK;
	if (link->index >= chain_max || link->self == link->twin)
		return false;
	if (!extent_may_be_used(super, link->self, 1) || !extent_may_be_used(super, link->twin, 1))
		return false;
	if (link->index == 0 &&
	    (link->self != super->catalogue[link->kind] || link->twin != super->twin[link->kind]))
		return false;
	if (link->next == 0 && link->next_twin == 0)
		return true;
	if (link->index + 1 >= chain_max || link->next == link->next_twin)
		return false;
	if (link->next == link->self || link->next == link->twin || link->next_twin == link->self ||
	    link->next_twin == link->twin)
		return false;
	return extent_may_be_used(super, link->next, 1) &&
	       extent_may_be_used(super, link->next_twin, 1);
}

int xn_cat_link_decode(const struct xn_super *super, const void *sector, struct xn_cat_link *link)
{
	const struct xn_cat_link_disk *disk = sector;
	struct xn_cat_link found;

	if (le32_get(disk->magic) != XN_CAT_MAGIC ||
	    le32_get(disk->crc) != sector_crc(xn_format_seed(super), disk, 0) ||
	    !is_zero(disk->reserved, sizeof(disk->reserved)))
		return XN_EDAMAGED;
	memset(&found, 0, sizeof(found));
	found.kind = le32_get(disk->kind);
	found.index = le32_get(disk->index);
	found.seq = le64_get(disk->seq);
	found.self = le64_get(disk->self);
	found.twin = le64_get(disk->twin);
	found.next = le64_get(disk->next);
	found.next_twin = le64_get(disk->next_twin);
	if (!link_is_sound(super, &found))
		return XN_EDAMAGED;
	*link = found;
	return 0;
}

void xn_cat_link_encode(const struct xn_super *super, const struct xn_cat_link *link, void *sector)
{
	struct xn_cat_link_disk *disk = sector;

	memset(disk, 0, sizeof(*disk));
	disk->magic = le32_make(XN_CAT_MAGIC);
	disk->kind = le32_make(link->kind);
	disk->index = le32_make(link->index);
	disk->seq = le64_make(link->seq);
	disk->self = le64_make(link->self);
	disk->twin = le64_make(link->twin);
	disk->next = le64_make(link->next);
	disk->next_twin = le64_make(link->next_twin);
	disk->crc = le32_make(sector_crc(xn_format_seed(super), disk, 0));
}

/* What a catalogue expects of the head of the entry in one slot. */
struct head_rule {
	uint32_t magic;
	uint64_t slots;
	uint64_t first_id;
};

static const struct head_rule template_rule = { XN_TEMPLATE_MAGIC, XN_TEMPLATES_MAX,
						XN_TYPE_FIRST };
static const struct head_rule root_rule = { XN_ROOT_MAGIC, XN_ROOTS_MAX, 1 };
static const struct head_rule principal_rule = { XN_PRINCIPAL_MAGIC, XN_ROOTS_MAX, 1 };

struct head {
	uint64_t seq, id;
	uint32_t state, flags;
	int64_t time;
};

/*
 * Prove a sector to be the entry of that slot.  State FREE for zeroes; the
 * payload of a REMOVED entry is proven to be zeroes.
 */
static int head_decode(const struct xn_super *super, const struct head_rule *rule, uint64_t slot,
		       const void *sector, struct head *head)
{
	const struct xn_entry_head_disk *disk = sector;

	memset(head, 0, sizeof(*head));
	if (slot >= rule->slots)
		return XN_EDAMAGED;
	if (is_zero(sector, XN_SECTOR_SIZE))
		return 0;
	if (le32_get(disk->magic) != rule->magic ||
	    le32_get(disk->crc) != sector_crc(xn_format_seed(super), sector, 0))
		return XN_EDAMAGED;
	head->seq = le64_get(disk->seq);
	head->id = le64_get(disk->id);
	head->state = le32_get(disk->state);
	head->flags = le32_get(disk->flags);
	head->time = (int64_t)le64_get(disk->time);
	if (head->id != slot + rule->first_id)
		return XN_EDAMAGED;
	if (head->state == XN_ENTRY_USED)
		return 0;
	if (head->state == XN_ENTRY_REMOVED && is_zero(disk + 1, XN_SECTOR_SIZE - sizeof(*disk)))
		return 0;
	return XN_EDAMAGED;
}

/* Of an entry that is not in use nothing but the head is written; of a free one not even that. */
static void head_encode(const struct xn_super *super, uint32_t magic, const struct head *head,
			struct xn_entry_head_disk *disk)
{
	if (head->state != XN_ENTRY_USED)
		memset(disk + 1, 0, XN_SECTOR_SIZE - sizeof(*disk));
	memset(disk, 0, sizeof(*disk));
	if (head->state == XN_ENTRY_FREE)
		return;
	disk->magic = le32_make(magic);
	disk->seq = le64_make(head->seq);
	disk->id = le64_make(head->id);
	disk->state = le32_make(head->state);
	disk->flags = le32_make(head->flags);
	disk->time = le64_make((uint64_t)head->time);
	disk->crc = le32_make(sector_crc(xn_format_seed(super), disk, 0));
}

#define HEAD_OF(entry)                                                                   \
	{                                                                                \
		(entry)->seq, (entry)->id, (entry)->state, (entry)->flags, (entry)->time \
	}

#define HEAD_INTO(entry, head)                  \
	do {                                    \
		(entry)->seq = (head)->seq;     \
		(entry)->id = (head)->id;       \
		(entry)->state = (head)->state; \
		(entry)->flags = (head)->flags; \
		(entry)->time = (head)->time;   \
	} while (0)

static bool template_is_sound(const struct xn_super *super, const struct xn_template_entry *entry)
{
	if (entry->image_len == 0 || entry->image_len > UDF_IMAGE_MAX)
		return false;
	if (entry->image_blocks != (entry->image_len + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE ||
	    !extent_may_be_used(super, entry->image_start, entry->image_blocks))
		return false;
	if (entry->batch_count == 0 || entry->batch_count > XN_TEMPLATES_MAX ||
	    entry->batch_index >= entry->batch_count)
		return false;
	if (entry->batch_first < XN_TYPE_FIRST ||
	    entry->batch_first > XN_TYPE_FIRST + XN_TEMPLATES_MAX - entry->batch_count ||
	    entry->batch_first + entry->batch_index != entry->id)
		return false;
	return entry->name[0] != '\0' && strlen(entry->name) <= UDF_NAME_MAX;
}

int xn_template_entry_decode(const struct xn_super *super, uint64_t slot, const void *sector,
			     struct xn_template_entry *entry)
{
	const struct xn_template_entry_disk *disk = sector;
	struct xn_template_entry found;
	struct head head;

	memset(&found, 0, sizeof(found));
	if (head_decode(super, &template_rule, slot, sector, &head))
		return XN_EDAMAGED;
	HEAD_INTO(&found, &head);
	if (head.state == XN_ENTRY_USED) {
		found.image_start = le64_get(disk->image_start);
		found.image_blocks = le32_get(disk->image_blocks);
		found.image_len = le32_get(disk->image_len);
		memcpy(found.sha256, disk->sha256, sizeof(found.sha256));
		found.batch_first = le64_get(disk->batch_first);
		found.batch_count = le32_get(disk->batch_count);
		found.batch_index = le32_get(disk->batch_index);
		found.installer = le32_get(disk->installer);
		if (!text_decode(disk->name, sizeof(disk->name), found.name) ||
		    !template_is_sound(super, &found) || le32_get(disk->spare) ||
		    !is_zero(disk->reserved, sizeof(disk->reserved)))
			return XN_EDAMAGED;
	}
	*entry = found;
	return 0;
}

void xn_template_entry_encode(const struct xn_super *super, const struct xn_template_entry *entry,
			      void *sector)
{
	struct xn_template_entry_disk *disk = sector;
	struct head head = HEAD_OF(entry);

	memset(disk, 0, sizeof(*disk));
	disk->image_start = le64_make(entry->image_start);
	disk->image_blocks = le32_make(entry->image_blocks);
	disk->image_len = le32_make(entry->image_len);
	memcpy(disk->sha256, entry->sha256, sizeof(disk->sha256));
	disk->batch_first = le64_make(entry->batch_first);
	disk->batch_count = le32_make(entry->batch_count);
	disk->batch_index = le32_make(entry->batch_index);
	disk->installer = le32_make(entry->installer);
	text_encode(entry->name, sizeof(disk->name), disk->name);
	head_encode(super, XN_TEMPLATE_MAGIC, &head, &disk->head);
}

static bool root_is_sound(const struct xn_super *super, const struct xn_root_entry *entry)
{
	return extent_may_be_used(super, entry->object, 1) && entry->type >= XN_TYPE_FIRST &&
	       entry->type < XN_TYPE_FIRST + XN_TEMPLATES_MAX && entry->quota <= XN_BLOCKS_MAX &&
	       entry->reserve <= XN_BLOCKS_MAX && entry->used <= XN_BLOCKS_MAX &&
	       entry->mode <= 0xffff && xn_root_name_ok(entry->name);
}

int xn_root_entry_decode(const struct xn_super *super, uint64_t slot, const void *sector,
			 struct xn_root_entry *entry)
{
	const struct xn_root_entry_disk *disk = sector;
	struct xn_root_entry found;
	struct head head;

	memset(&found, 0, sizeof(found));
	if (head_decode(super, &root_rule, slot, sector, &head))
		return XN_EDAMAGED;
	HEAD_INTO(&found, &head);
	if (head.state == XN_ENTRY_USED) {
		found.object = le64_get(disk->object);
		found.type = le64_get(disk->type);
		found.quota = le64_get(disk->quota);
		found.reserve = le64_get(disk->reserve);
		found.used = le64_get(disk->used);
		found.uid = le32_get(disk->uid);
		found.gid = le32_get(disk->gid);
		found.mode = le32_get(disk->mode);
		found.weight = le32_get(disk->weight);
		memcpy(found.uuid, disk->uuid, sizeof(found.uuid));
		if (!text_decode(disk->name, sizeof(disk->name), found.name) ||
		    !text_decode(disk->libfs, sizeof(disk->libfs), found.libfs) ||
		    !root_is_sound(super, &found) ||
		    !is_zero(disk->reserved, sizeof(disk->reserved)))
			return XN_EDAMAGED;
	}
	*entry = found;
	return 0;
}

void xn_root_entry_encode(const struct xn_super *super, const struct xn_root_entry *entry,
			  void *sector)
{
	struct xn_root_entry_disk *disk = sector;
	struct head head = HEAD_OF(entry);

	memset(disk, 0, sizeof(*disk));
	disk->object = le64_make(entry->object);
	disk->type = le64_make(entry->type);
	disk->quota = le64_make(at_most(entry->quota, XN_BLOCKS_MAX));
	disk->reserve = le64_make(at_most(entry->reserve, XN_BLOCKS_MAX));
	disk->used = le64_make(at_most(entry->used, XN_BLOCKS_MAX));
	disk->uid = le32_make(entry->uid);
	disk->gid = le32_make(entry->gid);
	disk->mode = le32_make(entry->mode);
	disk->weight = le32_make(entry->weight);
	text_encode(entry->name, sizeof(disk->name), disk->name);
	text_encode(entry->libfs, sizeof(disk->libfs), disk->libfs);
	memcpy(disk->uuid, entry->uuid, sizeof(disk->uuid));
	head_encode(super, XN_ROOT_MAGIC, &head, &disk->head);
}

int xn_principal_entry_decode(const struct xn_super *super, uint64_t slot, const void *sector,
			      struct xn_principal_entry *entry)
{
	const struct xn_principal_entry_disk *disk = sector;
	struct xn_principal_entry found;
	struct head head;

	memset(&found, 0, sizeof(found));
	if (head_decode(super, &principal_rule, slot, sector, &head))
		return XN_EDAMAGED;
	HEAD_INTO(&found, &head);
	if (head.state == XN_ENTRY_USED) {
		found.uid = le32_get(disk->uid);
		found.blocks = le64_get(disk->blocks);
		found.templates = le64_get(disk->templates);
		found.roots = le64_get(disk->roots);
		found.cache_pages = le64_get(disk->cache_pages);
		found.pins = le64_get(disk->pins);
		found.pending = le64_get(disk->pending);
		if (found.blocks > XN_BLOCKS_MAX || found.templates > XN_TEMPLATES_MAX ||
		    found.roots > XN_ROOTS_MAX || found.cache_pages > XN_BLOCKS_MAX ||
		    found.pins > XN_BLOCKS_MAX || found.pending > XN_BLOCKS_MAX ||
		    le32_get(disk->spare) || !is_zero(disk->reserved, sizeof(disk->reserved)))
			return XN_EDAMAGED;
	}
	*entry = found;
	return 0;
}

void xn_principal_entry_encode(const struct xn_super *super, const struct xn_principal_entry *entry,
			       void *sector)
{
	struct xn_principal_entry_disk *disk = sector;
	struct head head = HEAD_OF(entry);

	memset(disk, 0, sizeof(*disk));
	disk->uid = le32_make(entry->uid);
	disk->blocks = le64_make(at_most(entry->blocks, XN_BLOCKS_MAX));
	disk->templates = le64_make(at_most(entry->templates, XN_TEMPLATES_MAX));
	disk->roots = le64_make(at_most(entry->roots, XN_ROOTS_MAX));
	disk->cache_pages = le64_make(at_most(entry->cache_pages, XN_BLOCKS_MAX));
	disk->pins = le64_make(at_most(entry->pins, XN_BLOCKS_MAX));
	disk->pending = le64_make(at_most(entry->pending, XN_BLOCKS_MAX));
	head_encode(super, XN_PRINCIPAL_MAGIC, &head, &disk->head);
}

uint64_t xn_template_child_type(const struct xn_template_entry *entry, uint64_t child_id)
{
	if (child_id == UDF_CHILD_ID_SELF)
		return entry->id;
	if (child_id < UDF_CHILD_ID_BATCH)
		return child_id;
	if (child_id - UDF_CHILD_ID_BATCH >= entry->batch_count)
		return UINT64_MAX;
	return entry->batch_first + (child_id - UDF_CHILD_ID_BATCH);
}

bool xn_root_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > 63 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] == '/' || is_control(name[i]))
			return false;
	return true;
}
