/* SPDX-License-Identifier: MIT */
/*
 * Hints in blocks; see hints.h.
 */
#include "hints.h"

#include <string.h>

#define HEAD_BUCKETS CFFS_RAW_HEAD

/* ---- SipHash-2-4 (Aumasson, Bernstein 2012): who names files cannot fill one bucket ---- */

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_rounds(struct sip *s, unsigned n)
{
	while (n--) {
		s->v0 += s->v1;
		s->v1 = rotl(s->v1, 13) ^ s->v0;
		s->v0 = rotl(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotl(s->v1, 17) ^ s->v2;
		s->v2 = rotl(s->v2, 32);
	}
}

static void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_rounds(s, 2);
	s->v0 ^= word;
}

uint32_t cffs_name_hash(const uint8_t seed[16], const char *name, size_t len)
{
	uint64_t k0 = le64_load(seed), k1 = le64_load(seed + 8), hash;
	struct sip s = { k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull,
			 k0 ^ 0x6c7967656e657261ull, k1 ^ 0x7465646279746573ull };
	uint8_t last[8] = { 0 };

	for (size_t left = len; left >= 8; left -= 8, name += 8)
		sip_word(&s, le64_load((const uint8_t *)name));
	memcpy(last, name, len % 8);
	last[7] = (uint8_t)len;
	sip_word(&s, le64_load(last));
	s.v2 ^= 0xff;
	sip_rounds(&s, 4);
	hash = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
	return (uint32_t)(hash ^ hash >> 32);
}

/* ---- linear hashing (Litwin 1980) ---- */

static uint32_t level_size(uint32_t buckets)
{
	return 1u << (31 - (uint32_t)__builtin_clz(buckets));
}

uint32_t cffs_bucket_split(uint32_t buckets)
{
	return buckets - level_size(buckets);
}

uint32_t cffs_bucket_of(uint32_t hash, uint32_t buckets)
{
	uint32_t size = level_size(buckets), bucket = hash & (2 * size - 1);

	return bucket < buckets ? bucket : hash & (size - 1);
}

/* ---- hints ---- */

#define R_USED 7u /* of a sector of hints: how many of them */

static const uint8_t *place_of(const uint8_t *block, uint32_t i)
{
	return block + i / CFFS_HINTS_SECTOR * CFFS_SECTOR + CFFS_RAW_HEAD +
	       i % CFFS_HINTS_SECTOR * sizeof(struct cffs_hint);
}

void cffs_hint_get(const uint8_t block[CFFS_BLOCK], uint32_t i, struct cffs_hint *hint)
{
	const uint8_t *p = place_of(block, i);

	hint->hash = le32_load(p);
	hint->at = le32_load(p + 4);
}

bool cffs_hint_next(const uint8_t block[CFFS_BLOCK], uint32_t hash, uint32_t *i,
		    struct cffs_hint *hint)
{
	while (*i < CFFS_HINTS) {
		const uint8_t *p = place_of(block, (*i)++);

		hint->hash = le32_load(p);
		hint->at = le32_load(p + 4);
		if (hint->hash == hash && hint->at)
			return true;
	}
	return false;
}

static uint8_t *find(uint8_t *sector, const struct cffs_hint *hint)
{
	uint8_t *p = sector + CFFS_RAW_HEAD;

	for (uint32_t i = 0; i < CFFS_HINTS_SECTOR; i++, p += sizeof(*hint))
		if (le32_load(p) == hint->hash && le32_load(p + 4) == hint->at)
			return p;
	return NULL;
}

int cffs_hint_sector(const uint8_t block[CFFS_BLOCK], const struct cffs_hint *hint)
{
	struct cffs_hint other;
	uint32_t i = 0;

	while (cffs_hint_next(block, hint->hash, &i, &other))
		if (other.at == hint->at)
			return (int)((i - 1) / CFFS_HINTS_SECTOR);
	return -1;
}

int cffs_hint_room(const uint8_t block[CFFS_BLOCK], uint32_t hash)
{
	uint32_t first = hash >> 29;

	for (uint32_t i = 0; i < CFFS_SECTORS; i++) {
		uint32_t sector = (first + i) % CFFS_SECTORS;

		if (block[sector * CFFS_SECTOR + R_USED] < CFFS_HINTS_SECTOR)
			return (int)sector;
	}
	return -1;
}

uint32_t cffs_hints_used(const uint8_t block[CFFS_BLOCK])
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < CFFS_SECTORS; i++)
		used += block[i * CFFS_SECTOR + R_USED];
	return used;
}

static void raw_init(uint8_t *sector, uint64_t ino)
{
	sector[CFFS_R_MAGIC] = CFFS_RAW_MAGIC & 0xff;
	sector[CFFS_R_MAGIC + 1] = CFFS_RAW_MAGIC >> 8;
	sector[CFFS_R_KIND] = CFFS_CLASS_INDEX;
	for (uint32_t i = 0; i < 8; i++)
		sector[CFFS_R_INO + i] = (uint8_t)(ino >> 8 * i);
}

bool cffs_hint_add(uint8_t sector[CFFS_SECTOR], uint64_t ino, const struct cffs_hint *hint)
{
	static const struct cffs_hint none;
	uint8_t *p;

	if (sector[R_USED] == 0)
		memset(sector, 0, CFFS_SECTOR);
	p = sector[R_USED] < CFFS_HINTS_SECTOR ? find(sector, &none) : NULL;
	if (!p)
		return false;
	raw_init(sector, ino);
	le32_store(p, hint->hash);
	le32_store(p + 4, hint->at);
	sector[R_USED]++;
	cffs_seal(sector);
	return true;
}

bool cffs_hint_remove(uint8_t sector[CFFS_SECTOR], const struct cffs_hint *hint)
{
	uint8_t *p = hint->at ? find(sector, hint) : NULL;

	if (!p)
		return false;
	memset(p, 0, sizeof(*hint));
	sector[R_USED]--;
	cffs_seal(sector);
	return true;
}

/* ---- the head ---- */

void cffs_head_encode(uint8_t sector[CFFS_SECTOR], uint64_t ino, uint32_t buckets)
{
	memset(sector, 0, CFFS_SECTOR);
	raw_init(sector, ino);
	le32_store(sector + HEAD_BUCKETS, buckets);
	cffs_seal(sector);
}

uint32_t cffs_head_decode(const uint8_t sector[CFFS_SECTOR], uint64_t ino)
{
	if (sector[CFFS_R_MAGIC] != (CFFS_RAW_MAGIC & 0xff) ||
	    sector[CFFS_R_MAGIC + 1] != CFFS_RAW_MAGIC >> 8 ||
	    sector[CFFS_R_KIND] != CFFS_CLASS_INDEX || le64_load(sector + CFFS_R_INO) != ino)
		return 0;
	return le32_load(sector + HEAD_BUCKETS);
}
