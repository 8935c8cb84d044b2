/* SPDX-License-Identifier: MIT */
/*
 * Disk bytes to host numbers and back.  Knows nothing of XN: the file system and
 * its checker share it.
 */
#include <string.h>

#include "format.h"

bool sfs_is_inline(uint32_t mode, uint64_t size)
{
	return SIMPLEFS_TYPE(mode) == SIMPLEFS_LNK && size <= SIMPLEFS_INLINE;
}

bool sfs_has_pointers(uint32_t mode, uint64_t size)
{
	switch (SIMPLEFS_TYPE(mode)) {
	case SIMPLEFS_REG:
	case SIMPLEFS_DIR: return true;
	case SIMPLEFS_LNK: return size > SIMPLEFS_INLINE;
	default: return false;
	}
}

void sfs_inode_decode(const struct sfs_inode_disk *disk, struct sfs_fields *fields)
{
	memset(fields, 0, sizeof(*fields));
	fields->mode = le32_get(disk->mode);
	fields->nlink = le32_get(disk->nlink);
	fields->birth = le64_get(disk->birth);
	fields->uid = le32_get(disk->uid);
	fields->gid = le32_get(disk->gid);
	fields->size = le64_get(disk->size);
	fields->blocks = le64_get(disk->blocks);
	fields->rdev = le64_get(disk->rdev);
	fields->parent = le32_get(disk->parent);
	for (unsigned i = 0; i < SFS_TIMES; i++) {
		fields->sec[i] = (int64_t)le64_get(disk->sec[i]);
		fields->nsec[i] = le32_get(disk->nsec[i]);
	}
	if (sfs_has_pointers(fields->mode, fields->size)) {
		for (unsigned i = 0; i < SIMPLEFS_N_DIRECT; i++)
			fields->direct[i] = le64_get(disk->direct[i]);
		for (unsigned i = 0; i < SIMPLEFS_N_IND; i++)
			fields->ind[i] = le64_get(disk->ind[i]);
	} else if (sfs_is_inline(fields->mode, fields->size)) {
		memcpy(fields->target, disk->target, fields->size);
	}
}

void sfs_inode_encode(const struct sfs_fields *fields, struct sfs_inode_disk *disk)
{
	memset(disk, 0, sizeof(*disk));
	disk->mode = le32_make(fields->mode);
	disk->nlink = le32_make(fields->nlink);
	disk->birth = le64_make(fields->birth);
	disk->uid = le32_make(fields->uid);
	disk->gid = le32_make(fields->gid);
	disk->size = le64_make(fields->size);
	disk->blocks = le64_make(fields->blocks);
	disk->rdev = le64_make(fields->rdev);
	disk->parent = le32_make(fields->parent);
	for (unsigned i = 0; i < SFS_TIMES; i++) {
		disk->sec[i] = le64_make((uint64_t)fields->sec[i]);
		disk->nsec[i] = le32_make(fields->nsec[i]);
	}
	if (sfs_has_pointers(fields->mode, fields->size)) {
		for (unsigned i = 0; i < SIMPLEFS_N_DIRECT; i++)
			disk->direct[i] = le64_make(fields->direct[i]);
		for (unsigned i = 0; i < SIMPLEFS_N_IND; i++)
			disk->ind[i] = le64_make(fields->ind[i]);
	} else if (sfs_is_inline(fields->mode, fields->size)) {
		memcpy(disk->target, fields->target, fields->size);
	}
}

/* Bytes of a slot for a name of that length. */
static uint32_t slot_size(uint32_t name_len)
{
	return (SFS_SLOT_HEADER + name_len + 7) & ~7u;
}

int sfs_slot_decode(const uint8_t sector[SFS_SECTOR], uint32_t off, struct sfs_slot *slot)
{
	struct sfs_slot_disk disk;

	if (off >= SFS_SECTOR)
		return 0;
	if (off % 8 || off + SFS_SLOT_HEADER > SFS_SECTOR)
		return -1;
	memcpy(&disk, sector + off, sizeof(disk));
	slot->off = off;
	slot->len = le16_get(disk.len);
	slot->ino = le32_get(disk.ino);
	slot->birth = le64_get(disk.birth);
	slot->type = disk.type;
	slot->name_len = disk.name_len;
	slot->name = (const char *)sector + off + SFS_SLOT_HEADER;
	if (slot->len == 0 && slot->ino == 0)
		slot->len = SFS_SECTOR - off;
	if (slot->len < SFS_SLOT_HEADER || slot->len % 8 || slot->len > SFS_SECTOR - off)
		return -1;
	if (slot->ino && (slot->name_len == 0 || slot_size(slot->name_len) > slot->len))
		return -1;
	return 1;
}

int sfs_sector_find_room(const uint8_t sector[SFS_SECTOR], uint32_t name_len, uint32_t *room)
{
	uint32_t need = slot_size(name_len), start = 0, free = 0;
	struct sfs_slot slot;

	for (uint32_t off = 0; sfs_slot_decode(sector, off, &slot) > 0; off += slot.len) {
		if (slot.ino) {
			free = 0;
			continue;
		}
		if (!free)
			start = off;
		free += slot.len;
		if (free >= need) {
			*room = free;
			return (int)start;
		}
	}
	return -1;
}

static void slot_put(uint8_t *sector, const struct sfs_slot *slot)
{
	struct sfs_slot_disk disk = {
		.ino = le32_make(slot->ino),
		.len = le16_make((uint16_t)slot->len),
		.name_len = slot->name_len,
		.type = slot->type,
		.birth = le64_make(slot->birth),
	};

	memset(sector + slot->off, 0, slot->len);
	memcpy(sector + slot->off, &disk, sizeof(disk));
	if (slot->name_len)
		memcpy(sector + slot->off + SFS_SLOT_HEADER, slot->name, slot->name_len);
}

/* A rest too small for a header stays with the new slot. */
void sfs_sector_add(uint8_t sector[SFS_SECTOR], uint32_t off, uint32_t room,
		    const struct sfs_slot *slot)
{
	struct sfs_slot used = *slot, rest = { 0 };

	used.off = off;
	used.len = slot_size(slot->name_len);
	rest.off = off + used.len;
	rest.len = room - used.len;
	if (rest.len < SFS_SLOT_HEADER)
		used.len = room;
	else
		slot_put(sector, &rest);
	slot_put(sector, &used);
}

void sfs_sector_remove(uint8_t sector[SFS_SECTOR], uint32_t off)
{
	struct sfs_slot slot;

	if (sfs_slot_decode(sector, off, &slot) > 0)
		slot_put(sector, &(struct sfs_slot){ .off = off, .len = slot.len });
}
