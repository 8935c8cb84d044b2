/* SPDX-License-Identifier: MIT */
/*
 * C-FFS's format: entries, sectors, slots.  See format.h.
 */
#include "format.h"

#include <string.h>

#define HEAD     CFFS_S_HEAD
#define PLACES   32u          /* slots of a sector: five bits of a cookie */
#define EPOCH    2147483648ll /* times count from 1901-12-13 20:45:52 UTC */
#define NSEC     1000000000ull
#define TIME_MAX (UINT64_MAX / NSEC - 1)

/* ---- slots and times ---- */

void cffs_slot_encode(const struct cffs_slot *slot, uint8_t bytes[CFFS_SLOT_SIZE])
{
	le64_store(bytes, slot->start | (uint64_t)slot->class << 48);
	le64_store(bytes + 8, slot->logical | (uint64_t)slot->count << 40);
}

void cffs_slot_decode(const uint8_t bytes[CFFS_SLOT_SIZE], struct cffs_slot *slot)
{
	uint64_t a = le64_load(bytes), b = le64_load(bytes + 8);

	slot->start = a & ((1ull << 48) - 1);
	slot->class = (uint32_t)(a >> 48);
	slot->logical = b & (CFFS_BLOCKS_MAX - 1);
	slot->count = (uint32_t)(b >> 40);
}

static uint64_t time_encode(struct timespec t)
{
	if (t.tv_sec < -EPOCH)
		return 0;
	if ((uint64_t)(t.tv_sec + EPOCH) > TIME_MAX)
		return TIME_MAX * NSEC;
	return (uint64_t)(t.tv_sec + EPOCH) * NSEC + (uint64_t)t.tv_nsec;
}

static struct timespec time_decode(uint64_t value)
{
	return (struct timespec){ .tv_sec = (time_t)(value / NSEC) - EPOCH,
				  .tv_nsec = (long)(value % NSEC) };
}

/* ---- entries ---- */

static uint32_t round8(uint32_t len)
{
	return (len + 7) & ~7u;
}

uint32_t cffs_entry_len(const struct cffs_entry *entry)
{
	if (entry->kind == CFFS_KIND_LINK)
		return round8(CFFS_LINK_NAME + entry->name_len);
	return round8(CFFS_E_SLOTS + entry->b.n_slots * CFFS_SLOT_SIZE + entry->xattr_len +
		      entry->b.inline_len + entry->name_len);
}

static bool is_device(uint32_t mode)
{
	return (mode & 0170000) == 0020000 || (mode & 0170000) == 0060000;
}

static void inode_encode(const struct cffs_entry *entry, uint8_t *e)
{
	const struct cffs_attr *a = &entry->a;
	uint8_t *at = e + CFFS_E_SLOTS;

	e[CFFS_E_N_SLOTS] = entry->b.n_slots;
	le16_store(e + CFFS_E_INLINE, entry->b.inline_len);
	le64_store(e + CFFS_E_INO, a->ino);
	le32_store(e + CFFS_E_GEN, a->generation);
	le16_store(e + CFFS_E_MODE, a->mode);
	le16_store(e + CFFS_E_XATTR, entry->xattr_len);
	le32_store(e + CFFS_E_UID, a->uid);
	le32_store(e + CFFS_E_GID, a->gid);
	le32_store(e + CFFS_E_NLINK, a->nlink);
	le32_store(e + CFFS_E_FLAGS, a->flags);
	le64_store(e + CFFS_E_SIZE, is_device(a->mode) ? a->rdev : entry->b.size);
	le64_store(e + CFFS_E_ATIME, time_encode(a->atime));
	le64_store(e + CFFS_E_MTIME, time_encode(a->mtime));
	le64_store(e + CFFS_E_CTIME, time_encode(a->ctime));
	le64_store(e + CFFS_E_BTIME, time_encode(a->btime));
	le64_store(e + CFFS_E_BLOCKS, entry->b.blocks);
	for (uint32_t i = 0; i < entry->b.n_slots; i++, at += CFFS_SLOT_SIZE)
		cffs_slot_encode(&entry->b.slot[i], at);
	if (entry->xattr_len)
		memcpy(at, entry->xattr, entry->xattr_len);
	at += entry->xattr_len;
	memcpy(at, entry->b.inline_data, entry->b.inline_len);
	at += entry->b.inline_len;
	memcpy(at, entry->name, entry->name_len);
}

/* `e` has room for cffs_entry_len() bytes. */
static void entry_encode(const struct cffs_entry *entry, uint8_t *e)
{
	uint32_t len = cffs_entry_len(entry);

	memset(e, 0, len);
	le16_store(e + CFFS_E_LEN, len);
	e[CFFS_E_KIND] = entry->kind;
	e[CFFS_E_SLOT] = entry->slot;
	e[CFFS_E_NAME_LEN] = entry->name_len;
	if (entry->kind == CFFS_KIND_INODE) {
		inode_encode(entry, e);
		return;
	}
	e[CFFS_E_N_SLOTS] = entry->dtype;
	le64_store(e + CFFS_E_INO, entry->link_ino);
	le32_store(e + CFFS_LINK_PLACE, entry->link_place);
	memcpy(e + CFFS_LINK_NAME, entry->name, entry->name_len);
}

static void inode_decode(const uint8_t *e, struct cffs_entry *entry)
{
	struct cffs_attr *a = &entry->a;
	const uint8_t *at = e + CFFS_E_SLOTS;
	uint64_t size = le64_load(e + CFFS_E_SIZE);

	a->ino = le64_load(e + CFFS_E_INO);
	a->generation = le32_load(e + CFFS_E_GEN);
	a->mode = le16_load(e + CFFS_E_MODE);
	a->uid = le32_load(e + CFFS_E_UID);
	a->gid = le32_load(e + CFFS_E_GID);
	a->nlink = le32_load(e + CFFS_E_NLINK);
	a->flags = le32_load(e + CFFS_E_FLAGS);
	a->rdev = is_device(a->mode) ? size : 0;
	a->atime = time_decode(le64_load(e + CFFS_E_ATIME));
	a->mtime = time_decode(le64_load(e + CFFS_E_MTIME));
	a->ctime = time_decode(le64_load(e + CFFS_E_CTIME));
	a->btime = time_decode(le64_load(e + CFFS_E_BTIME));
	entry->b.size = is_device(a->mode) ? 0 : size;
	entry->b.blocks = le64_load(e + CFFS_E_BLOCKS);
	entry->b.n_slots = e[CFFS_E_N_SLOTS];
	entry->b.inline_len = e[CFFS_E_INLINE];
	for (uint32_t i = 0; i < entry->b.n_slots; i++, at += CFFS_SLOT_SIZE)
		cffs_slot_decode(at, &entry->b.slot[i]);
	entry->xattr_len = le16_load(e + CFFS_E_XATTR);
	entry->xattr = at;
	at += entry->xattr_len;
	memcpy(entry->b.inline_data, at, entry->b.inline_len);
	entry->name = (const char *)at + entry->b.inline_len;
}

void cffs_entry_decode(const uint8_t sector[CFFS_SECTOR], uint32_t at, struct cffs_entry *entry)
{
	const uint8_t *e = sector + at;

	entry->kind = e[CFFS_E_KIND];
	entry->slot = e[CFFS_E_SLOT];
	entry->name_len = e[CFFS_E_NAME_LEN];
	if (entry->kind == CFFS_KIND_INODE) {
		inode_decode(e, entry);
		return;
	}
	entry->dtype = e[CFFS_E_N_SLOTS];
	entry->link_ino = le64_load(e + CFFS_E_INO);
	entry->link_place = le32_load(e + CFFS_LINK_PLACE);
	entry->name = (const char *)e + CFFS_LINK_NAME;
}

/* ---- sectors ---- */

static bool never_used(const uint8_t *sector)
{
	return le32_load(sector) == 0 && le16_load(sector + CFFS_S_MAGIC) == 0;
}

/* Where the name of an entry lies, counted from the entry; 0: what it says does not fit. */
static uint32_t name_at(const uint8_t *e)
{
	uint32_t len = le16_load(e), at = CFFS_LINK_NAME;

	if (e[CFFS_E_KIND] == CFFS_KIND_INODE) {
		if (len < CFFS_E_SLOTS || le16_load(e + CFFS_E_INLINE) > CFFS_INLINE_MAX ||
		    e[CFFS_E_N_SLOTS] == 0 || e[CFFS_E_N_SLOTS] > CFFS_BODY_SLOTS)
			return 0;
		at = CFFS_E_SLOTS + e[CFFS_E_N_SLOTS] * CFFS_SLOT_SIZE +
		     le16_load(e + CFFS_E_XATTR) + le16_load(e + CFFS_E_INLINE);
	}
	return round8(at + e[CFFS_E_NAME_LEN]) == len ? at : 0;
}

static int entry_check(const uint8_t *e, uint32_t room, uint32_t *slots)
{
	uint32_t len = le16_load(e), at;

	if (len < CFFS_LINK_NAME || len % 8 || len > room)
		return 4;
	if (e[CFFS_E_SLOT] >= PLACES || (*slots & 1u << e[CFFS_E_SLOT]))
		return 5;
	*slots |= 1u << e[CFFS_E_SLOT];
	if (e[CFFS_E_KIND] == CFFS_KIND_PARAMS)
		return 0;
	if (e[CFFS_E_KIND] != CFFS_KIND_INODE && e[CFFS_E_KIND] != CFFS_KIND_LINK)
		return 6;
	at = name_at(e);
	if (!at)
		return 7;
	for (uint32_t i = 0; i < e[CFFS_E_NAME_LEN]; i++)
		if (e[at + i] == '/' || e[at + i] == '\0')
			return 8;
	return 0;
}

int cffs_sector_check(const uint8_t sector[CFFS_SECTOR])
{
	uint32_t at = HEAD, slots = 0;

	if (never_used(sector))
		return 0;
	if (le16_load(sector + CFFS_S_MAGIC) != CFFS_DIR_MAGIC)
		return 1;
	if (le32_load(sector) != cffs_crc(sector + 4, CFFS_SECTOR - 4))
		return 2;
	for (uint32_t left = sector[CFFS_S_ENTRIES]; left > 0; left--) {
		int wrong = at > CFFS_SECTOR - CFFS_LINK_NAME
				    ? 3
				    : entry_check(sector + at, CFFS_SECTOR - at, &slots);

		if (wrong)
			return wrong;
		at += le16_load(sector + at);
	}
	return 0;
}

static uint32_t used_end(const uint8_t *sector)
{
	uint32_t at = HEAD;

	for (uint32_t left = sector[CFFS_S_ENTRIES]; left > 0; left--)
		at += le16_load(sector + at);
	return at;
}

bool cffs_sector_next(const uint8_t sector[CFFS_SECTOR], uint32_t *at, struct cffs_entry *entry)
{
	uint32_t next = *at ? *at + le16_load(sector + *at) : HEAD;

	if (sector[CFFS_S_ENTRIES] == 0 || next >= used_end(sector))
		return false;
	*at = next;
	cffs_entry_decode(sector, next, entry);
	return true;
}

uint32_t cffs_sector_find_slot(const uint8_t sector[CFFS_SECTOR], uint8_t slot)
{
	uint32_t at = HEAD;

	for (uint32_t left = sector[CFFS_S_ENTRIES]; left > 0; left--) {
		if (sector[at + CFFS_E_SLOT] == slot)
			return at;
		at += le16_load(sector + at);
	}
	return 0;
}

uint32_t cffs_sector_find_name(const uint8_t sector[CFFS_SECTOR], const char *name,
			       uint8_t name_len)
{
	uint32_t at = HEAD;

	for (uint32_t left = sector[CFFS_S_ENTRIES]; left > 0; left--) {
		const uint8_t *e = sector + at;

		if (e[CFFS_E_NAME_LEN] == name_len && e[CFFS_E_KIND] != CFFS_KIND_PARAMS &&
		    memcmp(e + name_at(e), name, name_len) == 0)
			return at;
		at += le16_load(e);
	}
	return 0;
}

static uint32_t places_taken(const uint8_t *sector)
{
	uint32_t at = HEAD, taken = 0;

	for (uint32_t left = sector[CFFS_S_ENTRIES]; left > 0; left--) {
		taken |= 1u << sector[at + CFFS_E_SLOT];
		at += le16_load(sector + at);
	}
	return taken;
}

int cffs_sector_free_slot(const uint8_t sector[CFFS_SECTOR])
{
	uint32_t taken = places_taken(sector);

	return taken == UINT32_MAX ? -1 : __builtin_ctz(~taken);
}

uint32_t cffs_sector_room(const uint8_t sector[CFFS_SECTOR])
{
	return CFFS_SECTOR - used_end(sector);
}

void cffs_sector_init(uint8_t sector[CFFS_SECTOR], uint64_t dir, uint32_t place)
{
	if (!never_used(sector))
		return;
	memset(sector, 0, CFFS_SECTOR);
	le16_store(sector + CFFS_S_MAGIC, CFFS_DIR_MAGIC);
	le64_store(sector + CFFS_S_DIR, dir);
	le32_store(sector + CFFS_S_PLACE, place);
}

bool cffs_sector_add(uint8_t sector[CFFS_SECTOR], const struct cffs_entry *entry)
{
	uint32_t at = used_end(sector);

	if (cffs_entry_len(entry) > CFFS_SECTOR - at)
		return false;
	entry_encode(entry, sector + at);
	sector[CFFS_S_ENTRIES]++;
	return true;
}

void cffs_sector_remove(uint8_t sector[CFFS_SECTOR], uint32_t at)
{
	uint32_t len = le16_load(sector + at), end = used_end(sector);

	memmove(sector + at, sector + at + len, end - at - len);
	memset(sector + end - len, 0, len);
	sector[CFFS_S_ENTRIES]--;
}

bool cffs_sector_replace(uint8_t sector[CFFS_SECTOR], uint32_t at, const struct cffs_entry *entry)
{
	uint32_t old = le16_load(sector + at), new = cffs_entry_len(entry);
	uint8_t fresh[CFFS_SECTOR];

	if (new > old + cffs_sector_room(sector))
		return false;
	entry_encode(entry, fresh); /* the name may lie in the entry itself */
	if (new == old) {
		memcpy(sector + at, fresh, new);
		return true;
	}
	cffs_sector_remove(sector, at);
	memcpy(sector + used_end(sector), fresh, new);
	sector[CFFS_S_ENTRIES]++;
	return true;
}

void cffs_sector_seal(uint8_t sector[CFFS_SECTOR])
{
	le32_store(sector + CFFS_S_STAMP, le32_load(sector + CFFS_S_STAMP) + 1);
	cffs_seal(sector);
}

/* ---- parameters ---- */

enum {
	P_VERSION = 8,
	P_OPTIONS = 12,
	P_COMPAT = 16,
	P_INCOMPAT = 24,
	P_RO_COMPAT = 32,
	P_CREATED = 40,
	P_INLINE = 48,
	P_UUID = 52,
	P_INO_LIMIT = 72,
	P_LEN = 80,
};

void cffs_params_encode(const struct cffs_params *params, uint8_t sector[CFFS_SECTOR])
{
	uint8_t *e = sector + HEAD;

	memset(sector, 0, CFFS_SECTOR);
	cffs_sector_init(sector, 0, 0);
	le16_store(e + CFFS_E_LEN, P_LEN);
	e[CFFS_E_KIND] = CFFS_KIND_PARAMS;
	le32_store(e + P_VERSION, params->version);
	le32_store(e + P_OPTIONS, params->options);
	le64_store(e + P_COMPAT, params->compat);
	le64_store(e + P_INCOMPAT, params->incompat);
	le64_store(e + P_RO_COMPAT, params->ro_compat);
	le64_store(e + P_CREATED, params->created);
	le32_store(e + P_INLINE, params->inline_max);
	le64_store(e + P_INO_LIMIT, params->ino_limit);
	memcpy(e + P_UUID, params->uuid, sizeof(params->uuid));
	sector[CFFS_S_ENTRIES] = 1;
	cffs_sector_seal(sector);
}

bool cffs_params_decode(const uint8_t sector[CFFS_SECTOR], struct cffs_params *params)
{
	const uint8_t *e = sector + HEAD;

	if (sector[CFFS_S_ENTRIES] != 1 || e[CFFS_E_KIND] != CFFS_KIND_PARAMS ||
	    le16_load(e) < P_LEN)
		return false;
	params->version = le32_load(e + P_VERSION);
	params->options = le32_load(e + P_OPTIONS);
	params->compat = le64_load(e + P_COMPAT);
	params->incompat = le64_load(e + P_INCOMPAT);
	params->ro_compat = le64_load(e + P_RO_COMPAT);
	params->created = le64_load(e + P_CREATED);
	params->inline_max = le32_load(e + P_INLINE);
	params->ino_limit = le64_load(e + P_INO_LIMIT);
	memcpy(params->uuid, e + P_UUID, sizeof(params->uuid));
	return true;
}
