/* SPDX-License-Identifier: MIT */
/*
 * Objects of simplefs made sound again.  See libfs/check.h, mend.
 *
 *  (1) Nothing here has a checksum, so noise is told by what it says: an inode by
 *      several fields that cannot be, pointers by most of a sector that lead
 *      nowhere.
 *  (2) One wrong field is no noise: the checker and the walk see to that.
 */
#include <string.h>

#include "format.h"
#include "libfs/check.h"
#include "mend.h"
#include "simplefs_templates.h"

#define NOISE        3u /* so many impossible things in one inode */
#define SECTOR_SLOTS (SFS_SECTOR / 8u)

static bool is_type(const struct check_damage *damage, const char *name)
{
	return strcmp(damage->type, name) == 0;
}

/* Where an object of that type has pointers; false: it is a table of inodes. */
static bool pointers_of(const struct check_damage *damage, uint32_t *first)
{
	*first = is_type(damage, "simplefs.super") ? SIMPLEFS_SUPER_RAW : 0;
	return !is_type(damage, "simplefs.itab");
}

/* ---- noise ---- */

static bool type_exists(uint32_t mode)
{
	return mode < 0x10000 && (1u << SIMPLEFS_TYPE(mode) & 0x1556u) != 0;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static bool inode_is_noise(const struct sfs_inode_disk *inode, uint64_t blocks)
{
	struct sfs_fields f;
	unsigned wrong = 0;

	sfs_inode_decode(inode, &f);
	if (f.mode == 0)
		return false; /* free: it owns nothing */
	wrong += !type_exists(f.mode);
	wrong += le32_get(inode->flags) != 0;
	wrong += !is_zero(inode->reserved, sizeof(inode->reserved));
	wrong += f.size > SFS_FILE_MAX;
	wrong += f.parent >= SFS_INODES_MAX;
	for (unsigned i = 0; i < SFS_TIMES; i++)
		wrong += f.nsec[i] >= 1000000000u;
	for (unsigned i = 0; i < SIMPLEFS_N_DIRECT && sfs_has_pointers(f.mode, f.size); i++)
		wrong += f.direct[i] >= blocks;
	return wrong >= NOISE;
}

static bool sector_is_noise(const uint8_t *sector, uint64_t blocks)
{
	unsigned good = 0, bad = 0;

	for (uint32_t i = 0; i < SECTOR_SLOTS; i++) {
		uint64_t pointer = le64_load(sector + 8 * i);

		good += pointer && pointer < blocks;
		bad += pointer >= blocks;
	}
	return bad >= NOISE && bad > good;
}

bool sfs_doubt(const struct check_damage *damage, const uint8_t *bytes)
{
	const struct sfs_inode_disk *inodes = (const void *)bytes;
	uint32_t first;

	if (!pointers_of(damage, &first)) {
		for (uint32_t i = 0; i < SIMPLEFS_ITAB_INODES; i++)
			if (inode_is_noise(&inodes[i], damage->blocks))
				return true;
		return false;
	}
	for (uint32_t at = first; at < SFS_BLOCK; at += SFS_SECTOR)
		if (sector_is_noise(bytes + at, damage->blocks))
			return true;
	return false;
}

/* As the template sees it, which looks at sixteen bits of the mode. */
static bool has_pointers(const struct sfs_fields *f)
{
	return sfs_has_pointers(f->mode & 0xffff, f->size);
}

static void pointer_settle(const struct check_damage *damage, uint8_t *at)
{
	if (le64_load(at) >= damage->blocks)
		le64_store(at, 0);
}

/* An inode as a whole, or just those of its pointers that lead nowhere. */
static void inode_settle(const struct check_damage *damage, struct sfs_inode_disk *inode)
{
	struct sfs_fields f;

	if (inode_is_noise(inode, damage->blocks))
		memset(inode, 0, sizeof(*inode));
	sfs_inode_decode(inode, &f);
	if (!has_pointers(&f))
		return;
	for (unsigned i = 0; i < SIMPLEFS_N_DIRECT; i++)
		pointer_settle(damage, inode->direct[i].b);
	for (unsigned i = 0; i < SIMPLEFS_N_IND; i++)
		pointer_settle(damage, inode->ind[i].b);
}

/* What its first sector says is known, but for the time. */
static void header_settle(const struct check_damage *damage, uint8_t *bytes)
{
	struct sfs_super_disk *super = (void *)bytes;

	if (le64_get(super->magic) == SIMPLEFS_MAGIC &&
	    le32_get(super->version) == SIMPLEFS_VERSION)
		return;
	memset(bytes, 0, SIMPLEFS_SUPER_RAW);
	super->magic = le64_make(SIMPLEFS_MAGIC);
	super->version = le32_make(SIMPLEFS_VERSION);
	memcpy(super->uuid, damage->root_uuid, sizeof(super->uuid));
}

/* What is noise becomes empty.  False: then nothing would be left of it. */
static bool noise_clear(const struct check_damage *damage, uint8_t *bytes)
{
	struct sfs_inode_disk *inodes = (void *)bytes;
	uint32_t first;

	if (!pointers_of(damage, &first)) {
		for (uint32_t i = 0; i < SIMPLEFS_ITAB_INODES; i++)
			inode_settle(damage, &inodes[i]);
		return true;
	}
	if (first)
		header_settle(damage, bytes);
	for (uint32_t at = first; at < SFS_BLOCK; at += SFS_SECTOR)
		if (sector_is_noise(bytes + at, damage->blocks))
			memset(bytes + at, 0, SFS_SECTOR);
	for (uint32_t at = first; at < SFS_BLOCK; at += 8)
		pointer_settle(damage, bytes + at);
	return first || !is_zero(bytes, SFS_BLOCK);
}

/* ---- pointers ---- */

/* The pointers of one record, as `owns` reads them: where neighbours on disk are one extent. */
struct record {
	uint8_t *at[SIMPLEFS_IND1_RECORD];
	unsigned n;
	bool merges[SIMPLEFS_IND1_RECORD]; /* with the one before it */
};

static void record_add(struct record *record, uint8_t *at, bool may_merge)
{
	uint64_t pointer = le64_load(at);

	record->merges[record->n] = may_merge && record->n && pointer > 1 &&
				    le64_load(record->at[record->n - 1]) + 1 == pointer;
	record->at[record->n++] = at;
}

static void inode_record(struct sfs_inode_disk *inode, struct record *record)
{
	struct sfs_fields f;

	sfs_inode_decode(inode, &f);
	if (!has_pointers(&f))
		return;
	for (unsigned i = 0; i < SIMPLEFS_N_DIRECT; i++)
		record_add(record, (uint8_t *)&inode->direct[i], i > 0);
	for (unsigned i = 0; i < SIMPLEFS_N_IND; i++)
		record_add(record, (uint8_t *)&inode->ind[i], false);
}

static void record_find(const struct check_damage *damage, uint8_t *bytes, struct record *record)
{
	uint32_t first, each = is_type(damage, "simplefs.ind1") ? SIMPLEFS_IND1_RECORD : 1;

	record->n = 0;
	if (!pointers_of(damage, &first)) {
		if (damage->record < SIMPLEFS_ITAB_INODES)
			inode_record((struct sfs_inode_disk *)(void *)bytes + damage->record,
				     record);
		return;
	}
	for (uint32_t i = 0; i < each; i++) {
		size_t at = first + ((size_t)damage->record * each + i) * 8;

		if (at < SFS_BLOCK)
			record_add(record, bytes + at, i > 0);
	}
}

static bool pointers_change(const struct check_damage *damage, uint8_t *bytes)
{
	struct record record;
	uint64_t n = 0;
	int nth = -1;

	record_find(damage, bytes, &record);
	for (unsigned i = 0; i < record.n; i++) {
		uint64_t pointer = le64_load(record.at[i]);

		nth += pointer && !record.merges[i];
		if (!pointer || nth != (int)damage->nth || pointer < damage->start ||
		    pointer - damage->start >= damage->count)
			continue;
		le64_store(record.at[i], damage->what == CHECK_MEND_CUT
						 ? 0
						 : damage->to + (pointer - damage->start));
		n++;
	}
	return damage->what == CHECK_MEND_CUT ? n > 0 : n == damage->count;
}

/* ---- all ---- */

bool sfs_mend(const struct check_damage *damage, uint8_t *bytes)
{
	if (strncmp(damage->type, "simplefs.", 9) != 0)
		return false;
	return damage->what == CHECK_MEND_OBJECT ? noise_clear(damage, bytes)
						 : pointers_change(damage, bytes);
}

bool sfs_image(unsigned index, struct check_image *out)
{
	if (index >= simplefs_templates_count)
		return false;
	*out = (struct check_image){ simplefs_templates_image[index],
				     simplefs_templates_image_len[index] };
	return true;
}
