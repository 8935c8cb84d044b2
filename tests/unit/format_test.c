/* SPDX-License-Identifier: MIT */
/*
 * What xn/format.h promises: every structure survives the way to the disk and
 * back, and no sector with a wrong number in it is believed, even when its
 * checksum is right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "udf/udf.h"
#include "xn/error.h"
#include "xn/format.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- a generator whose numbers are the same everywhere ---- */

static uint64_t random_next(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t random_below(uint64_t *seed, uint64_t limit)
{
	return random_next(seed) % limit;
}

static void random_text(uint64_t *seed, char *text, size_t len_min, size_t len_max)
{
	size_t len = len_min + random_below(seed, len_max - len_min + 1);

	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + random_below(seed, 26));
	text[len] = '\0';
}

static void random_bytes(uint64_t *seed, uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)random_next(seed);
}

/* A place that is neither a superblock nor a map: in the middle of a chunk. */
static uint64_t random_block(uint64_t *seed, const struct xn_super *super)
{
	uint64_t whole = super->block_count / XN_CHUNK_BLOCKS;

	return random_below(seed, whole ? whole : 1) * XN_CHUNK_BLOCKS + 100 +
	       random_below(seed, 100);
}

/* ---- given ---- */

static const uint64_t sizes[] = {
	256,
	257,
	300,
	4096,
	XN_CHUNK_BLOCKS - 1,
	XN_CHUNK_BLOCKS,
	XN_CHUNK_BLOCKS + 3,
	XN_CHUNK_BLOCKS + 4,
	2 * XN_CHUNK_BLOCKS,
	2 * XN_CHUNK_BLOCKS + 3,
	1000 * XN_CHUNK_BLOCKS + 777,
	1ull << 32,
	(1ull << 40) + 12345,
	(1ull << 48) - 1,
	1ull << 48,
};

static struct xn_super given_super(uint64_t blocks)
{
	struct xn_super super;

	xn_super_layout(blocks, &super);
	for (unsigned i = 0; i < 16; i++)
		super.uuid[i] = (uint8_t)(0xa0 + i);
	snprintf(super.label, sizeof(super.label), "test");
	return super;
}

static struct xn_super random_super(uint64_t *seed)
{
	struct xn_super super = given_super(sizes[random_below(seed, ARRAY_LEN(sizes))]);

	random_bytes(seed, super.uuid, sizeof(super.uuid));
	random_text(seed, super.label, 0, 64);
	super.compat = random_next(seed);
	super.ro_compat = random_next(seed);
	super.generation = random_next(seed);
	super.mount_epoch = random_next(seed);
	super.state = XN_STATE_CLEAN + (uint32_t)random_below(seed, 2);
	super.flags = (uint32_t)random_below(seed, 4);
	super.high_water = random_below(seed, xn_chunk_count(super.block_count) + 1);
	super.free_blocks = random_below(seed, super.block_count + 1);
	super.format_time = (int64_t)random_next(seed);
	super.open_time = (int64_t)random_next(seed);
	super.write_time = (int64_t)random_next(seed);
	super.holder_pid = random_next(seed);
	random_text(seed, super.holder_host, 0, 64);
	random_text(seed, super.holder_command, 0, 32);
	return super;
}

static struct xn_template_entry random_template(uint64_t *seed, const struct xn_super *super)
{
	struct xn_template_entry entry = { .state = XN_ENTRY_USED };

	entry.seq = random_next(seed);
	entry.id = XN_TYPE_FIRST + random_below(seed, 1000);
	entry.flags = (uint32_t)random_next(seed);
	entry.time = (int64_t)random_next(seed);
	entry.image_start = random_block(seed, super);
	entry.image_len = 1 + (uint32_t)random_below(seed, UDF_IMAGE_MAX);
	entry.image_blocks = (entry.image_len + 4095) / 4096;
	random_bytes(seed, entry.sha256, sizeof(entry.sha256));
	entry.batch_index = (uint32_t)random_below(seed, entry.id - XN_TYPE_FIRST + 1);
	entry.batch_first = entry.id - entry.batch_index;
	entry.batch_count = entry.batch_index + 1 + (uint32_t)random_below(seed, 1000);
	entry.installer = (uint32_t)random_next(seed);
	random_text(seed, entry.name, 1, 63);
	return entry;
}

static struct xn_root_entry random_root(uint64_t *seed, const struct xn_super *super)
{
	struct xn_root_entry entry = { .state = XN_ENTRY_USED };

	entry.seq = random_next(seed);
	entry.id = 1 + random_below(seed, XN_ROOTS_MAX);
	entry.flags = (uint32_t)random_next(seed);
	entry.time = (int64_t)random_next(seed);
	entry.object = random_block(seed, super);
	entry.type = XN_TYPE_FIRST + random_below(seed, XN_TEMPLATES_MAX);
	entry.quota = random_below(seed, XN_BLOCKS_MAX + 1);
	entry.reserve = random_below(seed, XN_BLOCKS_MAX + 1);
	entry.used = random_below(seed, XN_BLOCKS_MAX + 1);
	entry.uid = (uint32_t)random_next(seed);
	entry.gid = (uint32_t)random_next(seed);
	entry.mode = (uint32_t)random_below(seed, 0x10000);
	entry.weight = (uint32_t)random_next(seed);
	random_text(seed, entry.name, 1, 63);
	random_text(seed, entry.libfs, 0, 32);
	random_bytes(seed, entry.uuid, sizeof(entry.uuid));
	return entry;
}

static struct xn_principal_entry random_principal(uint64_t *seed)
{
	struct xn_principal_entry entry = { .state = XN_ENTRY_USED };

	entry.seq = random_next(seed);
	entry.id = 1 + random_below(seed, XN_ROOTS_MAX);
	entry.flags = (uint32_t)random_next(seed);
	entry.time = (int64_t)random_next(seed);
	entry.uid = (uint32_t)random_next(seed);
	entry.blocks = random_below(seed, XN_BLOCKS_MAX + 1);
	entry.templates = random_below(seed, XN_TEMPLATES_MAX + 1);
	entry.roots = random_below(seed, XN_ROOTS_MAX + 1);
	entry.cache_pages = random_below(seed, XN_BLOCKS_MAX + 1);
	entry.pins = random_below(seed, XN_BLOCKS_MAX + 1);
	entry.pending = random_below(seed, XN_BLOCKS_MAX + 1);
	return entry;
}

/* ---- broken fields: a byte pattern over a good sector, its checksum made good again ---- */

struct broken_field {
	const char *what;
	uint32_t offset, len; /* len 8 or 4 or 1: a little-endian number of that many bytes */
	uint64_t value;
};

static void put_le(uint8_t *bytes, uint32_t len, uint64_t value)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
}

/* The checksum as FORMAT.md words it, on its own: CRC-32C with the crc field as 0. */
static void seal(uint8_t *sector, uint32_t seed, uint32_t crc_at)
{
	put_le(sector + crc_at, 4, 0);
	put_le(sector + crc_at, 4, udf_crc32c(seed, sector, XN_SECTOR_SIZE));
}

static void break_field(uint8_t *sector, const struct broken_field *field, uint32_t seed,
			uint32_t crc_at)
{
	put_le(sector + field->offset, field->len, field->value);
	seal(sector, seed, crc_at);
}

#define assert_refused(call, error, what)                                                    \
	do {                                                                                 \
		int refused_err = (call);                                                    \
		if (refused_err != (error))                                                  \
			fail_msg("%s: %s instead of %s", (what), xn_error_name(refused_err), \
				 xn_error_name(error));                                      \
	} while (0)

/* ---- superblock ---- */

static void a_superblock_survives_the_disk(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct xn_super in = random_super(&seed), out;
		struct xn_super_disk disk;

		memset(&out, 0x55, sizeof(out));
		xn_super_encode(&in, &disk);
		assert_int_equal(xn_super_decode(&disk, &out), 0);
		assert_int_equal(in.block_count, out.block_count);
		assert_memory_equal(in.uuid, out.uuid, 16);
		assert_string_equal(in.label, out.label);
		assert_int_equal(in.compat, out.compat);
		assert_int_equal(in.ro_compat, out.ro_compat);
		assert_int_equal(in.generation, out.generation);
		assert_int_equal(in.mount_epoch, out.mount_epoch);
		assert_int_equal(in.state, out.state);
		assert_int_equal(in.flags, out.flags);
		assert_int_equal(in.high_water, out.high_water);
		assert_int_equal(in.free_blocks, out.free_blocks);
		assert_memory_equal(in.catalogue, out.catalogue, sizeof(in.catalogue));
		assert_memory_equal(in.twin, out.twin, sizeof(in.twin));
		assert_int_equal(in.log_start, out.log_start);
		assert_int_equal(in.log_blocks, out.log_blocks);
		assert_int_equal(in.format_time, out.format_time);
		assert_int_equal(in.open_time, out.open_time);
		assert_int_equal(in.write_time, out.write_time);
		assert_int_equal(in.holder_pid, out.holder_pid);
		assert_string_equal(in.holder_host, out.holder_host);
		assert_string_equal(in.holder_command, out.holder_command);
	}
}

static const struct broken_field broken_super[] = {
	{ "version 0", 0x0c, 4, 0 },
	{ "block size", 0x10, 4, 512 },
	{ "chunk size", 0x14, 4, 8192 },
	{ "too few blocks", 0x18, 8, 255 },
	{ "too many blocks", 0x18, 8, (1ull << 48) + 1 },
	{ "a stub of one block", 0x18, 8, 16385 },
	{ "a stub of two blocks", 0x18, 8, 5 * 16384 + 2 },
	{ "all bits of block_count", 0x18, 8, UINT64_MAX },
	{ "control character in the label", 0x31, 1, 27 },
	{ "bytes after the label's end", 0x30 + 60, 1, 'x' },
	{ "state 0", 0x98, 4, 0 },
	{ "state 3", 0x98, 4, 3 },
	{ "unknown flag", 0x9c, 4, 4 },
	{ "high water beyond the end", 0xa0, 8, 4 },
	{ "more free than there are", 0xa8, 8, 3 * 16384 + 1 },
	{ "catalogue at block 0", 0xb0, 8, 0 },
	{ "catalogue on the map", 0xb0, 8, 1 },
	{ "catalogue outside chunk 0", 0xb8, 8, 16400 },
	{ "catalogue outside the disk", 0xc0, 8, UINT64_MAX },
	{ "two catalogues in one place", 0xb8, 8, 2 },
	{ "catalogue in the log", 0xb0, 8, 9 },
	{ "twin at block 0", 0xc8, 8, 0 },
	{ "twin on its catalogue", 0xc8, 8, 2 },
	{ "twin on the copy in chunk 1", 0xd0, 8, 16384 },
	{ "log at block 0", 0xe0, 8, 0 },
	{ "log over the catalogues", 0xe0, 8, 5 },
	{ "log beyond the disk", 0xe0, 8, UINT64_MAX - 3 },
	{ "log too long", 0xe8, 8, 16384 },
	{ "log length overflows", 0xe8, 8, UINT64_MAX },
	{ "control character in the host", 0x110, 1, '\n' },
	{ "bytes after the host's end", 0x14f, 1, 'x' },
	{ "control character in the command", 0x150, 1, 127 },
	{ "bytes after the command's end", 0x16f, 1, 'x' },
	{ "reserved bytes", 0x170, 1, 1 },
	{ "last reserved byte", 0x1ff, 1, 1 },
};

static void a_superblock_with_a_wrong_field_is_refused(void **state)
{
	struct xn_super super = given_super(3 * XN_CHUNK_BLOCKS), out;
	struct xn_super_disk good, bad;

	(void)state;
	xn_super_encode(&super, &good);
	for (size_t i = 0; i < ARRAY_LEN(broken_super); i++) {
		bad = good;
		break_field((uint8_t *)&bad, &broken_super[i], 0, 8);
		assert_refused(xn_super_decode(&bad, &out), XN_EDAMAGED, broken_super[i].what);
	}
}

static void a_foreign_or_newer_superblock_is_told_from_a_damaged_one(void **state)
{
	static const struct broken_field newer[] = {
		{ "version", 0x0c, 4, XN_FORMAT_VERSION + 1 },
		{ "first unknown incompat bit", 0x78, 8, (XN_INCOMPAT_KNOWN << 1) | 1 },
		{ "last incompat bit", 0x78, 8, 1ull << 63 },
	};
	static const struct broken_field tolerated[] = {
		{ "compat bits", 0x70, 8, UINT64_MAX },
		{ "ro_compat bits", 0x80, 8, UINT64_MAX },
	};
	struct xn_super super = given_super(256), out;
	struct xn_super_disk good, bad;

	(void)state;
	xn_super_encode(&super, &good);
	for (unsigned i = 0; i < 8; i++) {
		bad = good;
		bad.magic[i] ^= 1;
		seal((uint8_t *)&bad, 0, 8);
		assert_int_equal(xn_super_decode(&bad, &out), XN_EFOREIGN);
	}
	memset(&bad, 0, sizeof(bad));
	assert_int_equal(xn_super_decode(&bad, &out), XN_EFOREIGN);
	for (size_t i = 0; i < ARRAY_LEN(newer); i++) {
		bad = good;
		break_field((uint8_t *)&bad, &newer[i], 0, 8);
		assert_refused(xn_super_decode(&bad, &out), XN_EVERSION, newer[i].what);
	}
	for (size_t i = 0; i < ARRAY_LEN(tolerated); i++) {
		bad = good;
		break_field((uint8_t *)&bad, &tolerated[i], 0, 8);
		assert_refused(xn_super_decode(&bad, &out), 0, tolerated[i].what);
	}
}

static void a_feature_that_forbids_writing_may_use_reserved_bytes(void **state)
{
	struct xn_super super = given_super(256), out;
	struct xn_super_disk disk;

	(void)state;
	super.ro_compat = 1;
	xn_super_encode(&super, &disk);
	disk.reserved[7] = 9;
	seal((uint8_t *)&disk, 0, 8);
	assert_int_equal(xn_super_decode(&disk, &out), 0);
	assert_int_equal(out.ro_compat, 1);
}

static void a_refused_sector_leaves_the_result_alone(void **state)
{
	struct xn_super super = given_super(256), out, before;
	struct xn_super_disk disk;

	(void)state;
	xn_super_encode(&super, &disk);
	disk.state = le32_make(7);
	seal((uint8_t *)&disk, 0, 8);
	memset(&out, 0x5a, sizeof(out));
	before = out;
	assert_int_equal(xn_super_decode(&disk, &out), XN_EDAMAGED);
	assert_memory_equal(&out, &before, sizeof(out));
}

static void hostile_texts_are_cleaned_when_written(void **state)
{
	struct xn_super super = given_super(256), out;
	struct xn_super_disk disk;

	(void)state;
	memcpy(super.label, "a\033[2Jb\nc", 9);
	memset(super.holder_command, '\a', 32);
	super.holder_command[32] = '\0';
	xn_super_encode(&super, &disk);
	assert_int_equal(xn_super_decode(&disk, &out), 0);
	assert_string_equal(out.label, "a?[2Jb?c");
	assert_string_equal(out.holder_command, "????????????????????????????????");
}

/* ---- where things are ---- */

static void superblocks_and_maps_never_share_a_place(void **state)
{
	(void)state;
	for (uint64_t tail = 0; tail < 40; tail++)
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			struct xn_super super;
			uint64_t places[3], asked = sizes[i] + tail;
			unsigned n;

			if (asked > XN_BLOCKS_MAX)
				continue;
			xn_super_layout(asked, &super);
			assert_true(super.block_count <= asked && asked - super.block_count <= 2);
			n = xn_super_places(super.block_count, places);
			assert_true(n == 2 || n == 3);
			assert_int_equal(places[0], 0);
			assert_int_equal(places[n - 1], super.block_count - 1);
			for (unsigned k = 0; k < n; k++) {
				assert_true(places[k] % XN_CHUNK_BLOCKS != XN_MAP_OFFSET);
				assert_true(k == 0 || places[k] > places[k - 1]);
			}
			if (super.block_count > XN_CHUNK_BLOCKS)
				assert_int_equal(places[1], XN_CHUNK_BLOCKS);
		}
}

static void copies_are_found_from_the_size_of_the_device_alone(void **state)
{
	(void)state;
	for (uint64_t blocks = 3 * XN_CHUNK_BLOCKS - 5; blocks < 3 * XN_CHUNK_BLOCKS + 5;
	     blocks++) {
		struct xn_super super;
		uint64_t by_device[3], by_super[3];
		unsigned n;

		xn_super_layout(blocks, &super);
		n = xn_super_places(blocks, by_device);
		assert_int_equal(n, xn_super_places(super.block_count, by_super));
		assert_memory_equal(by_device, by_super, sizeof(by_device));
	}
}

static void a_fresh_layout_decodes_at_every_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct xn_super super = given_super(sizes[i]), out;
		struct xn_super_disk disk;

		assert_int_equal(super.block_count, sizes[i]);
		assert_int_equal(super.log_start, 8);
		assert_int_equal(super.log_blocks, sizes[i] / 64 < 256 ? sizes[i] / 64 : 256);
		xn_super_encode(&super, &disk);
		assert_int_equal(xn_super_decode(&disk, &out), 0);
	}
}

static void every_chunk_has_its_map_inside_the_disk(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t chunks = xn_chunk_count(sizes[i]);

		assert_true(xn_map_block(chunks - 1) < sizes[i]);
		assert_true(chunks * XN_CHUNK_BLOCKS >= sizes[i]);
		assert_true((chunks - 1) * XN_CHUNK_BLOCKS < sizes[i]);
	}
	assert_int_equal(xn_map_block(0), 1);
	assert_int_equal(xn_map_block(3), 3 * 16384 + 1);
}

static bool bit(const uint8_t *bitmap, uint64_t index)
{
	return bitmap[index / 8] >> (index % 8) & 1;
}

/* The definition, block by block, against the computed bitmap. */
static bool belongs_to_xn(const struct xn_super *super, uint64_t block)
{
	uint64_t places[3];
	unsigned n = xn_super_places(super->block_count, places);

	for (unsigned i = 0; i < n; i++)
		if (places[i] == block)
			return true;
	for (unsigned kind = 0; kind < XN_CAT_KINDS; kind++)
		if (super->catalogue[kind] == block || super->twin[kind] == block)
			return true;
	if (block >= super->log_start && block < super->log_start + super->log_blocks)
		return true;
	return block % XN_CHUNK_BLOCKS == XN_MAP_OFFSET || block >= super->block_count;
}

static void a_fresh_map_holds_exactly_what_is_xns_own(void **state)
{
	static uint8_t bitmap[XN_MAP_CHUNK_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct xn_super super = given_super(sizes[i]);
		uint64_t last = xn_chunk_count(sizes[i]) - 1;
		uint64_t chunks[] = { 0, last ? 1 : 0, last / 2, last };

		for (size_t k = 0; k < ARRAY_LEN(chunks); k++) {
			xn_map_fresh(&super, chunks[k], bitmap);
			for (uint64_t b = 0; b < XN_CHUNK_BLOCKS; b++)
				if (bit(bitmap, b) !=
				    belongs_to_xn(&super, chunks[k] * XN_CHUNK_BLOCKS + b))
					fail_msg("size %ju chunk %ju block %ju",
						 (uintmax_t)sizes[i], (uintmax_t)chunks[k],
						 (uintmax_t)b);
		}
	}
}

/* ---- free map ---- */

static void a_map_survives_the_disk(void **state)
{
	static uint8_t in[XN_MAP_CHUNK_BYTES], out[XN_MAP_CHUNK_BYTES], block[XN_BLOCK_SIZE];
	struct xn_super super = given_super(1ull << 40);
	uint64_t seed = 2;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		uint64_t chunk = random_below(&seed, xn_chunk_count(super.block_count));

		random_bytes(&seed, in, sizeof(in));
		xn_map_encode(&super, chunk, in, block);
		assert_int_equal(xn_map_decode(&super, chunk, block, out), 0);
		assert_memory_equal(in, out, sizeof(in));
	}
}

static const struct broken_field broken_map[] = {
	{ "magic", 4, 4, 0 },       { "chunk", 8, 8, 6 },
	{ "index", 0x10, 4, 4 },    { "index beyond the block", 0x10, 4, 8 },
	{ "reserved", 0x14, 1, 1 }, { "last reserved", 0xff, 1, 1 },
};

static void a_wrong_map_sector_reads_as_all_in_use_and_its_neighbours_do_not(void **state)
{
	static uint8_t bitmap[XN_MAP_CHUNK_BYTES], block[XN_BLOCK_SIZE], zero[256], ones[256];
	struct xn_super super = given_super(1ull << 30);
	const uint32_t seed = xn_format_seed(&super);

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (size_t i = 0; i < ARRAY_LEN(broken_map); i++) {
		memset(bitmap, 0, sizeof(bitmap));
		xn_map_encode(&super, 5, bitmap, block);
		break_field(block + 3 * 512, &broken_map[i], seed, 0);
		assert_int_equal(xn_map_decode(&super, 5, block, bitmap), 1);
		for (unsigned sector = 0; sector < 8; sector++)
			assert_memory_equal(bitmap + 256 * sector, sector == 3 ? ones : zero, 256);
	}
}

/* Half of a sector from before, half from after: what a device may never do, and is caught. */
static void a_torn_map_sector_reads_as_all_in_use(void **state)
{
	static uint8_t before[XN_BLOCK_SIZE], after[XN_BLOCK_SIZE], torn[XN_BLOCK_SIZE];
	static uint8_t bitmap[XN_MAP_CHUNK_BYTES];
	struct xn_super super = given_super(4096);
	uint64_t seed = 3;

	(void)state;
	random_bytes(&seed, bitmap, sizeof(bitmap));
	xn_map_encode(&super, 0, bitmap, before);
	random_bytes(&seed, bitmap, sizeof(bitmap));
	xn_map_encode(&super, 0, bitmap, after);
	for (unsigned cut = 8; cut < 512; cut += 8) {
		memcpy(torn, before, sizeof(torn));
		memcpy(torn + 1024, after + 1024, cut);
		if (memcmp(torn + 1024, after + 1024, 512) == 0 ||
		    memcmp(torn + 1024, before + 1024, 512) == 0)
			continue;
		assert_int_equal(xn_map_decode(&super, 0, torn, bitmap), 1);
		for (unsigned i = 512; i < 768; i++)
			assert_int_equal(bitmap[i], 0xff);
	}
}

static void a_map_moved_to_another_chunk_or_another_disk_reads_as_all_in_use(void **state)
{
	static uint8_t bitmap[XN_MAP_CHUNK_BYTES], block[XN_BLOCK_SIZE];
	struct xn_super super = given_super(1ull << 30), other = super;

	(void)state;
	memset(bitmap, 0, sizeof(bitmap));
	xn_map_encode(&super, 5, bitmap, block);
	assert_int_equal(xn_map_decode(&super, 6, block, bitmap), 8);
	other.uuid[15] ^= 1;
	assert_int_equal(xn_map_decode(&other, 5, block, bitmap), 8);
	assert_int_equal(bitmap[0], 0xff);
}

/* ---- catalogues ---- */

static void a_link_survives_the_disk(void **state)
{
	uint64_t seed = 4;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct xn_super super = random_super(&seed);
		struct xn_cat_link in = { 0 }, out;
		uint8_t sector[512];

		in.kind = (uint32_t)random_below(&seed, 3);
		in.index = (uint32_t)random_below(&seed, 9000);
		in.seq = random_next(&seed);
		in.self = in.index ? 100 : super.catalogue[in.kind];
		in.twin = in.index ? 101 : super.twin[in.kind];
		if (random_below(&seed, 2)) {
			in.next = 102 + random_below(&seed, 50);
			in.next_twin = in.next + 1;
		}
		xn_cat_link_encode(&super, &in, sector);
		assert_int_equal(xn_cat_link_decode(&super, sector, &out), 0);
		assert_memory_equal(&in, &out, sizeof(in));
	}
}

static const struct broken_field broken_link[] = {
	{ "magic", 4, 4, XN_ROOT_MAGIC },
	{ "kind", 8, 4, 3 },
	{ "another kind", 8, 4, 1 },
	{ "index beyond the longest chain", 0x0c, 4, (1u << 20) / 7 + 1 },
	{ "index beyond this chain", 0x0c, 4, 65536 / 7 + 1 },
	{ "self 0", 0x18, 8, 0 },
	{ "self elsewhere", 0x18, 8, 77 },
	{ "self outside the disk", 0x18, 8, 1ull << 47 },
	{ "twin 0", 0x20, 8, 0 },
	{ "twin is self", 0x20, 8, 2 },
	{ "twin elsewhere", 0x20, 8, 77 },
	{ "next 0 and a next twin", 0x28, 8, 0 },
	{ "next twin 0 and a next", 0x30, 8, 0 },
	{ "next is next twin", 0x28, 8, 201 },
	{ "next is self", 0x28, 8, 2 },
	{ "next is twin", 0x28, 8, 5 },
	{ "next twin is self", 0x30, 8, 2 },
	{ "next is a map", 0x28, 8, 16385 },
	{ "next is a superblock", 0x28, 8, 16384 },
	{ "next outside the disk", 0x28, 8, 3 * 16384 },
	{ "next twin outside the disk", 0x30, 8, UINT64_MAX },
	{ "reserved", 0x38, 1, 1 },
	{ "last reserved", 0x1ff, 1, 1 },
};

static void a_link_with_a_wrong_field_is_refused(void **state)
{
	struct xn_super super = given_super(3 * XN_CHUNK_BLOCKS), other = super;
	struct xn_cat_link link = { 0, 0, 9, 2, 5, 200, 201 }, out;
	uint8_t sector[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(broken_link); i++) {
		xn_cat_link_encode(&super, &link, sector);
		assert_int_equal(xn_cat_link_decode(&super, sector, &out), 0);
		break_field(sector, &broken_link[i], xn_format_seed(&super), 0);
		assert_refused(xn_cat_link_decode(&super, sector, &out), XN_EDAMAGED,
			       broken_link[i].what);
	}
	xn_cat_link_encode(&super, &link, sector);
	other.uuid[0] ^= 1;
	assert_int_equal(xn_cat_link_decode(&other, sector, &out), XN_EDAMAGED);
	memset(sector, 0, sizeof(sector));
	assert_int_equal(xn_cat_link_decode(&super, sector, &out), XN_EDAMAGED);
}

static void a_template_entry_survives_the_disk(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct xn_super super = random_super(&seed);
		struct xn_template_entry in = random_template(&seed, &super), out;
		uint8_t sector[512];

		memset(&out, 0x55, sizeof(out));
		xn_template_entry_encode(&super, &in, sector);
		assert_int_equal(xn_template_entry_decode(&super, in.id - 16, sector, &out), 0);
		assert_int_equal(in.seq, out.seq);
		assert_int_equal(in.id, out.id);
		assert_int_equal(in.state, out.state);
		assert_int_equal(in.flags, out.flags);
		assert_int_equal(in.time, out.time);
		assert_int_equal(in.image_start, out.image_start);
		assert_int_equal(in.image_blocks, out.image_blocks);
		assert_int_equal(in.image_len, out.image_len);
		assert_memory_equal(in.sha256, out.sha256, 32);
		assert_int_equal(in.batch_first, out.batch_first);
		assert_int_equal(in.batch_count, out.batch_count);
		assert_int_equal(in.batch_index, out.batch_index);
		assert_int_equal(in.installer, out.installer);
		assert_string_equal(in.name, out.name);
		/* In another slot it is somebody else. */
		assert_int_equal(xn_template_entry_decode(&super, in.id - 15, sector, &out),
				 XN_EDAMAGED);
	}
}

static void a_root_entry_survives_the_disk(void **state)
{
	uint64_t seed = 6;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct xn_super super = random_super(&seed);
		struct xn_root_entry in = random_root(&seed, &super), out;
		uint8_t sector[512];

		memset(&out, 0x55, sizeof(out));
		xn_root_entry_encode(&super, &in, sector);
		assert_int_equal(xn_root_entry_decode(&super, in.id - 1, sector, &out), 0);
		assert_int_equal(in.seq, out.seq);
		assert_int_equal(in.id, out.id);
		assert_int_equal(in.state, out.state);
		assert_int_equal(in.flags, out.flags);
		assert_int_equal(in.time, out.time);
		assert_int_equal(in.object, out.object);
		assert_int_equal(in.type, out.type);
		assert_int_equal(in.quota, out.quota);
		assert_int_equal(in.reserve, out.reserve);
		assert_int_equal(in.used, out.used);
		assert_int_equal(in.uid, out.uid);
		assert_int_equal(in.gid, out.gid);
		assert_int_equal(in.mode, out.mode);
		assert_int_equal(in.weight, out.weight);
		assert_string_equal(in.name, out.name);
		assert_string_equal(in.libfs, out.libfs);
		assert_memory_equal(in.uuid, out.uuid, 16);
		assert_int_equal(xn_root_entry_decode(&super, in.id, sector, &out), XN_EDAMAGED);
	}
}

static void a_principal_entry_survives_the_disk(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct xn_super super = random_super(&seed);
		struct xn_principal_entry in = random_principal(&seed), out;
		uint8_t sector[512];

		memset(&out, 0x55, sizeof(out));
		xn_principal_entry_encode(&super, &in, sector);
		assert_int_equal(xn_principal_entry_decode(&super, in.id - 1, sector, &out), 0);
		assert_int_equal(in.seq, out.seq);
		assert_int_equal(in.id, out.id);
		assert_int_equal(in.state, out.state);
		assert_int_equal(in.flags, out.flags);
		assert_int_equal(in.time, out.time);
		assert_int_equal(in.uid, out.uid);
		assert_int_equal(in.blocks, out.blocks);
		assert_int_equal(in.templates, out.templates);
		assert_int_equal(in.roots, out.roots);
		assert_int_equal(in.cache_pages, out.cache_pages);
		assert_int_equal(in.pins, out.pins);
		assert_int_equal(in.pending, out.pending);
		assert_int_equal(xn_principal_entry_decode(&super, in.id, sector, &out),
				 XN_EDAMAGED);
	}
}

static const struct broken_field broken_head[] = {
	{ "magic", 4, 4, XN_CAT_MAGIC },
	{ "id of another slot", 0x10, 8, 3 },
	{ "id with high bits", 0x10, 8, 1ull << 40 },
	{ "state free in a written sector", 0x18, 4, 0 },
	{ "state unknown", 0x18, 4, 3 },
};

static const struct broken_field broken_template[] = {
	{ "image at block 0", 0x28, 8, 0 },
	{ "image over the map", 0x28, 8, 16384 - 1 },
	{ "image over a superblock", 0x28, 8, 16384 },
	{ "image over the last superblock", 0x28, 8, 3 * 16384 - 2 },
	{ "image outside the disk", 0x28, 8, 3 * 16384 },
	{ "image start overflows", 0x28, 8, UINT64_MAX },
	{ "no image blocks", 0x30, 4, 0 },
	{ "too few image blocks", 0x30, 4, 1 },
	{ "too many image blocks", 0x30, 4, 3 },
	{ "no image bytes", 0x34, 4, 0 },
	{ "image longer than an image may be", 0x34, 4, UDF_IMAGE_MAX + 1 },
	{ "batch before the first id", 0x58, 8, 15 },
	{ "batch of somebody else", 0x58, 8, 20 },
	{ "batch of none", 0x60, 4, 0 },
	{ "batch longer than the catalogue", 0x60, 4, 65537 },
	{ "index beyond the batch", 0x64, 4, 2 },
	{ "index of another", 0x64, 4, 0 },
	{ "spare", 0x6c, 4, 1 },
	{ "no name", 0x70, 1, 0 },
	{ "control character in the name", 0x71, 1, 9 },
	{ "bytes after the name's end", 0xaf, 1, 'x' },
	{ "reserved", 0xb0, 1, 1 },
	{ "last reserved", 0x1ff, 1, 1 },
};

static const struct broken_field broken_root[] = {
	{ "object at block 0", 0x28, 8, 0 },
	{ "object on a map", 0x28, 8, 16385 },
	{ "object on a superblock", 0x28, 8, 16384 },
	{ "object outside the disk", 0x28, 8, 3 * 16384 },
	{ "type DATA", 0x30, 8, 0 },
	{ "type below the first template", 0x30, 8, 15 },
	{ "type beyond the last template", 0x30, 8, 16 + 65536 },
	{ "type with high bits", 0x30, 8, 1ull << 32 | 16 },
	{ "quota", 0x38, 8, (1ull << 48) + 1 },
	{ "reserve", 0x40, 8, UINT64_MAX },
	{ "used", 0x48, 8, 1ull << 63 },
	{ "mode", 0x58, 4, 0x10000 },
	{ "no name", 0x60, 1, 0 },
	{ "slash in the name", 0x60, 1, '/' },
	{ "control character in the name", 0x60, 1, 1 },
	{ "bytes after the name's end", 0x9e, 1, 'x' },
	{ "control character in the LibFS", 0xa0, 1, 8 },
	{ "bytes after the LibFS's end", 0xbf, 1, 'x' },
	{ "reserved", 0xd0, 1, 1 },
	{ "last reserved", 0x1ff, 1, 1 },
};

static const struct broken_field broken_principal[] = {
	{ "spare", 0x2c, 4, 1 },
	{ "blocks", 0x30, 8, (1ull << 48) + 1 },
	{ "templates", 0x38, 8, 65537 },
	{ "roots", 0x40, 8, (1u << 20) + 1 },
	{ "cache pages", 0x48, 8, UINT64_MAX },
	{ "pins", 0x50, 8, XN_BLOCKS_MAX + 1 },
	{ "pending", 0x58, 8, XN_BLOCKS_MAX + 1 },
	{ "reserved", 0x60, 1, 1 },
	{ "last reserved", 0x1ff, 1, 1 },
};

static int decode_template(const struct xn_super *super, uint64_t slot, const void *sector)
{
	struct xn_template_entry entry;

	return xn_template_entry_decode(super, slot, sector, &entry);
}

static int decode_root(const struct xn_super *super, uint64_t slot, const void *sector)
{
	struct xn_root_entry entry;

	return xn_root_entry_decode(super, slot, sector, &entry);
}

static int decode_principal(const struct xn_super *super, uint64_t slot, const void *sector)
{
	struct xn_principal_entry entry;

	return xn_principal_entry_decode(super, slot, sector, &entry);
}

typedef int (*decode_fn)(const struct xn_super *super, uint64_t slot, const void *sector);

static void each_broken_field_is_refused(const struct xn_super *super, uint64_t slot,
					 const uint8_t *good, decode_fn decode,
					 const struct broken_field *rows, size_t n)
{
	uint8_t bad[512];

	assert_int_equal(decode(super, slot, good), 0);
	for (size_t i = 0; i < n; i++) {
		memcpy(bad, good, sizeof(bad));
		break_field(bad, &rows[i], xn_format_seed(super), 0);
		assert_refused(decode(super, slot, bad), XN_EDAMAGED, rows[i].what);
	}
}

/* Any single flipped bit of a sector is noticed. */
static void each_flipped_bit_is_noticed(const struct xn_super *super, uint64_t slot,
					const uint8_t *good, decode_fn decode)
{
	uint8_t bad[512];

	memcpy(bad, good, sizeof(bad));
	for (unsigned i = 0; i < 8 * 512; i++) {
		bad[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_int_equal(decode(super, slot, bad), XN_EDAMAGED);
		bad[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
}

static void an_entry_with_a_wrong_field_is_refused(void **state)
{
	struct xn_super super = given_super(3 * XN_CHUNK_BLOCKS);
	struct xn_template_entry tmpl = { .seq = 1,
					  .id = 17,
					  .state = 1,
					  .image_start = 300,
					  .image_blocks = 2,
					  .image_len = 5000,
					  .batch_first = 16,
					  .batch_count = 2,
					  .batch_index = 1,
					  .name = "t" };
	struct xn_root_entry root = { .seq = 1,
				      .id = 1,
				      .state = 1,
				      .object = 300,
				      .type = 16,
				      .name = "r",
				      .libfs = "none" };
	struct xn_principal_entry principal = { .seq = 1, .id = 1, .state = 1, .uid = 1000 };
	uint8_t sector[512];

	(void)state;
	xn_template_entry_encode(&super, &tmpl, sector);
	each_broken_field_is_refused(&super, 1, sector, decode_template, broken_head,
				     ARRAY_LEN(broken_head));
	each_broken_field_is_refused(&super, 1, sector, decode_template, broken_template,
				     ARRAY_LEN(broken_template));
	each_flipped_bit_is_noticed(&super, 1, sector, decode_template);

	xn_root_entry_encode(&super, &root, sector);
	each_broken_field_is_refused(&super, 0, sector, decode_root, broken_head,
				     ARRAY_LEN(broken_head));
	each_broken_field_is_refused(&super, 0, sector, decode_root, broken_root,
				     ARRAY_LEN(broken_root));
	each_flipped_bit_is_noticed(&super, 0, sector, decode_root);

	xn_principal_entry_encode(&super, &principal, sector);
	each_broken_field_is_refused(&super, 0, sector, decode_principal, broken_head,
				     ARRAY_LEN(broken_head));
	each_broken_field_is_refused(&super, 0, sector, decode_principal, broken_principal,
				     ARRAY_LEN(broken_principal));
	each_flipped_bit_is_noticed(&super, 0, sector, decode_principal);
}

static void entries_of_another_disk_are_refused(void **state)
{
	struct xn_super super = given_super(4096), other = super;
	uint64_t seed = 8;
	uint8_t sector[512];

	(void)state;
	other.uuid[3] ^= 0x10;
	assert_int_not_equal(xn_format_seed(&super), xn_format_seed(&other));
	for (unsigned i = 0; i < 100; i++) {
		struct xn_template_entry tmpl = random_template(&seed, &super);
		struct xn_root_entry root = random_root(&seed, &super);
		struct xn_principal_entry principal = random_principal(&seed);

		xn_template_entry_encode(&other, &tmpl, sector);
		assert_int_equal(decode_template(&super, tmpl.id - 16, sector), XN_EDAMAGED);
		xn_root_entry_encode(&other, &root, sector);
		assert_int_equal(decode_root(&super, root.id - 1, sector), XN_EDAMAGED);
		xn_principal_entry_encode(&other, &principal, sector);
		assert_int_equal(decode_principal(&super, principal.id - 1, sector), XN_EDAMAGED);
	}
}

static void a_zero_sector_is_a_free_entry_and_a_removed_one_stays_spent(void **state)
{
	struct xn_super super = given_super(4096);
	uint64_t seed = 9;
	struct xn_root_entry root = random_root(&seed, &super), out;
	uint8_t sector[512], zero[512] = { 0 };

	(void)state;
	assert_int_equal(xn_root_entry_decode(&super, 4, zero, &out), 0);
	assert_int_equal(out.state, XN_ENTRY_FREE);
	assert_int_equal(decode_template(&super, 4, zero), 0);
	assert_int_equal(decode_principal(&super, 4, zero), 0);

	root.state = XN_ENTRY_FREE;
	xn_root_entry_encode(&super, &root, sector);
	assert_memory_equal(sector, zero, 512);

	root.state = XN_ENTRY_REMOVED;
	xn_root_entry_encode(&super, &root, sector);
	assert_int_equal(xn_root_entry_decode(&super, root.id - 1, sector, &out), 0);
	assert_int_equal(out.state, XN_ENTRY_REMOVED);
	assert_int_equal(out.id, root.id);
	assert_int_equal(out.object, 0);
	sector[0x28] = 1;
	seal(sector, xn_format_seed(&super), 0);
	assert_int_equal(decode_root(&super, root.id - 1, sector), XN_EDAMAGED);
}

static void slots_beyond_a_catalogue_are_refused(void **state)
{
	struct xn_super super = given_super(4096);
	uint8_t zero[512] = { 0 };

	(void)state;
	assert_int_equal(decode_template(&super, XN_TEMPLATES_MAX, zero), XN_EDAMAGED);
	assert_int_equal(decode_root(&super, XN_ROOTS_MAX, zero), XN_EDAMAGED);
	assert_int_equal(decode_principal(&super, UINT64_MAX, zero), XN_EDAMAGED);
}

static void limits_beyond_the_largest_disk_are_written_as_that(void **state)
{
	struct xn_super super = given_super(4096);
	uint64_t seed = 10;
	struct xn_root_entry in = random_root(&seed, &super), out;
	uint8_t sector[512];

	(void)state;
	in.quota = UINT64_MAX;
	xn_root_entry_encode(&super, &in, sector);
	assert_int_equal(xn_root_entry_decode(&super, in.id - 1, sector, &out), 0);
	assert_int_equal(out.quota, XN_BLOCKS_MAX);
}

static void random_sectors_are_never_believed(void **state)
{
	struct xn_super super = given_super(4096), out;
	struct xn_cat_link link;
	uint8_t sector[512];
	uint64_t seed = 11;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		random_bytes(&seed, sector, sizeof(sector));
		assert_int_not_equal(xn_super_decode((void *)sector, &out), 0);
		assert_int_not_equal(xn_cat_link_decode(&super, sector, &link), 0);
		assert_int_not_equal(decode_template(&super, i % 100, sector), 0);
		assert_int_not_equal(decode_root(&super, i % 100, sector), 0);
		assert_int_not_equal(decode_principal(&super, i % 100, sector), 0);
	}
}

/* ---- types and names ---- */

static void a_child_id_means_an_installed_type(void **state)
{
	struct xn_template_entry entry = {
		.id = 22, .batch_first = 20, .batch_count = 4, .batch_index = 2
	};

	(void)state;
	assert_int_equal(xn_template_child_type(&entry, 0), 0);
	assert_int_equal(xn_template_child_type(&entry, 1), 1);
	assert_int_equal(xn_template_child_type(&entry, 17), 17);
	assert_int_equal(xn_template_child_type(&entry, UDF_CHILD_ID_SELF), 22);
	assert_int_equal(xn_template_child_type(&entry, UDF_CHILD_ID_BATCH), 20);
	assert_int_equal(xn_template_child_type(&entry, UDF_CHILD_ID_BATCH + 3), 23);
	assert_int_equal(xn_template_child_type(&entry, UDF_CHILD_ID_BATCH + 4), UINT64_MAX);
	assert_int_equal(xn_template_child_type(&entry, UDF_CHILD_ID_SELF - 1), UINT64_MAX);
}

static void root_names_are_short_and_printable(void **state)
{
	char name[80];

	(void)state;
	assert_true(xn_root_name_ok("a"));
	assert_true(xn_root_name_ok("home dir"));
	assert_true(xn_root_name_ok("..."));
	assert_true(xn_root_name_ok("gr\xc3\xbc\xc3\x9f"
				    "e"));
	assert_false(xn_root_name_ok(""));
	assert_false(xn_root_name_ok("."));
	assert_false(xn_root_name_ok(".."));
	assert_false(xn_root_name_ok("a/b"));
	assert_false(xn_root_name_ok("a\nb"));
	assert_false(xn_root_name_ok("a\x7f"));
	memset(name, 'n', sizeof(name));
	name[63] = '\0';
	assert_true(xn_root_name_ok(name));
	name[63] = 'n';
	name[64] = '\0';
	assert_false(xn_root_name_ok(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_superblock_survives_the_disk),
		cmocka_unit_test(a_superblock_with_a_wrong_field_is_refused),
		cmocka_unit_test(a_foreign_or_newer_superblock_is_told_from_a_damaged_one),
		cmocka_unit_test(a_feature_that_forbids_writing_may_use_reserved_bytes),
		cmocka_unit_test(a_refused_sector_leaves_the_result_alone),
		cmocka_unit_test(hostile_texts_are_cleaned_when_written),
		cmocka_unit_test(superblocks_and_maps_never_share_a_place),
		cmocka_unit_test(copies_are_found_from_the_size_of_the_device_alone),
		cmocka_unit_test(a_fresh_layout_decodes_at_every_size),
		cmocka_unit_test(every_chunk_has_its_map_inside_the_disk),
		cmocka_unit_test(a_fresh_map_holds_exactly_what_is_xns_own),
		cmocka_unit_test(a_map_survives_the_disk),
		cmocka_unit_test(a_wrong_map_sector_reads_as_all_in_use_and_its_neighbours_do_not),
		cmocka_unit_test(a_torn_map_sector_reads_as_all_in_use),
		cmocka_unit_test(a_map_moved_to_another_chunk_or_another_disk_reads_as_all_in_use),
		cmocka_unit_test(a_link_survives_the_disk),
		cmocka_unit_test(a_link_with_a_wrong_field_is_refused),
		cmocka_unit_test(a_template_entry_survives_the_disk),
		cmocka_unit_test(a_root_entry_survives_the_disk),
		cmocka_unit_test(a_principal_entry_survives_the_disk),
		cmocka_unit_test(an_entry_with_a_wrong_field_is_refused),
		cmocka_unit_test(entries_of_another_disk_are_refused),
		cmocka_unit_test(a_zero_sector_is_a_free_entry_and_a_removed_one_stays_spent),
		cmocka_unit_test(slots_beyond_a_catalogue_are_refused),
		cmocka_unit_test(limits_beyond_the_largest_disk_are_written_as_that),
		cmocka_unit_test(random_sectors_are_never_believed),
		cmocka_unit_test(a_child_id_means_an_installed_type),
		cmocka_unit_test(root_names_are_short_and_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
