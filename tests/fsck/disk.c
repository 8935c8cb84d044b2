/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include <nettle/sha2.h>

#include "fsck_types.h" /* the images of types.bpf.c */

#define TIME 1700000000000000000

uint64_t disk_take(struct disk *disk, uint64_t count)
{
	uint64_t start = disk->next;

	disk->next += count;
	for (uint64_t i = 0; i < count; i++)
		disk_map_set(disk, start + i, true);
	return start;
}

void disk_map_set(struct disk *disk, uint64_t block, bool used)
{
	uint8_t *byte = &disk->map[block / XN_CHUNK_BLOCKS][block % XN_CHUNK_BLOCKS / 8];
	uint8_t bit = (uint8_t)(1u << (block % 8));

	*byte = (uint8_t)(used ? *byte | bit : *byte & ~bit);
}

bool disk_map_get(const struct disk *disk, uint64_t block)
{
	return disk->map[block / XN_CHUNK_BLOCKS][block % XN_CHUNK_BLOCKS / 8] >> (block % 8) & 1;
}

static void template_make(struct disk *disk, unsigned index)
{
	struct xn_template_entry *entry = &disk->templates[index];
	uint32_t len = (uint32_t)fsck_types_image_len[index];
	struct sha256_ctx ctx;

	entry->seq = 1;
	entry->id = XN_TYPE_FIRST + index;
	entry->state = XN_ENTRY_USED;
	entry->time = TIME;
	entry->image_len = len;
	entry->image_blocks = (len + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE;
	entry->image_start = disk_take(disk, entry->image_blocks);
	entry->batch_first = XN_TYPE_FIRST;
	entry->batch_count = 2;
	entry->batch_index = index;
	snprintf(entry->name, sizeof(entry->name), "%s", index ? "test.wide" : "test.node");
	sha256_init(&ctx);
	sha256_update(&ctx, len, fsck_types_image[index]);
	sha256_digest(&ctx, 32, entry->sha256);
	disk_poke(disk, entry->image_start * XN_BLOCK_SIZE, fsck_types_image[index], len);
}

struct disk *disk_new(uint64_t blocks)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	if (!blocks)
		blocks = 4096;
	assert_non_null(disk);
	assert_ok(bdev_mem_create(blocks * XN_BLOCK_SIZE, &disk->dev));
	xn_super_layout(blocks, &disk->super);
	for (unsigned i = 0; i < 16; i++)
		disk->super.uuid[i] = (uint8_t)(0x11 * i + 1);
	snprintf(disk->super.label, sizeof(disk->super.label), "hand-made");
	disk->super.generation = 7;
	disk->super.mount_epoch = 3;
	disk->super.format_time = disk->super.write_time = TIME;
	disk->super.high_water = xn_chunk_count(blocks);
	assert_true(disk->super.high_water <= DISK_CHUNKS_MAX);
	for (uint64_t chunk = 0; chunk < disk->super.high_water; chunk++)
		xn_map_fresh(&disk->super, chunk, disk->map[chunk]);
	disk->next = disk->super.log_start + disk->super.log_blocks;
	template_make(disk, 0);
	template_make(disk, 1);
	disk->principal = (struct xn_principal_entry){
		.seq = 1, .id = 1, .state = XN_ENTRY_USED, .time = TIME, .uid = 1000
	};
	return disk;
}

void disk_free(struct disk *disk)
{
	bdev_close(disk->dev);
	free(disk);
}

uint64_t disk_object(struct disk *disk, uint32_t type)
{
	return disk_take(disk, type == TYPE_WIDE ? 2 : 1);
}

uint64_t disk_root(struct disk *disk, const char *name, const char *libfs)
{
	struct xn_root_entry *root = &disk->roots[disk->n_roots++];

	root->seq = 1;
	root->id = disk->n_roots;
	root->state = XN_ENTRY_USED;
	root->time = TIME;
	root->object = disk_object(disk, TYPE_NODE);
	root->type = TYPE_NODE;
	root->mode = 0600;
	snprintf(root->name, sizeof(root->name), "%s", name);
	snprintf(root->libfs, sizeof(root->libfs), "%s", libfs);
	return root->object;
}

void disk_point(struct disk *disk, uint64_t node, unsigned index, uint64_t start, uint32_t count,
		uint32_t kind)
{
	struct {
		le64_t start;
		le32_t count, kind;
	} record = { le64_make(start), le32_make(count), le32_make(kind) };

	assert_true(index < 252);
	disk_poke(disk, node * XN_BLOCK_SIZE + 64 + 16 * index, &record, sizeof(record));
}

void disk_wide_point(struct disk *disk, uint64_t wide, unsigned index, uint64_t block)
{
	le64_t record = le64_make(block);

	disk_poke(disk, wide * XN_BLOCK_SIZE + 8 * index, &record, sizeof(record));
}

void disk_damage(struct disk *disk, uint64_t node, uint64_t code)
{
	le64_t damage = le64_make(code);

	disk_poke(disk, node * XN_BLOCK_SIZE, &damage, sizeof(damage));
}

void disk_settle(struct disk *disk)
{
	disk->super.free_blocks = 0;
	for (uint64_t chunk = 0; chunk < disk->super.high_water; chunk++)
		for (unsigned i = 0; i < XN_MAP_CHUNK_BYTES; i++)
			disk->super.free_blocks +=
				8u - (unsigned)__builtin_popcount(disk->map[chunk][i]);
}

void disk_write_super(struct disk *disk, unsigned place)
{
	struct xn_super_disk bytes;
	uint64_t places[3];

	assert_true(place < xn_super_places(disk->super.block_count, places));
	xn_super_encode(&disk->super, &bytes);
	disk_poke(disk, places[place] * XN_BLOCK_SIZE, &bytes, sizeof(bytes));
}

void disk_write_map(struct disk *disk, unsigned chunk)
{
	uint8_t block[XN_BLOCK_SIZE];

	xn_map_encode(&disk->super, chunk, disk->map[chunk], block);
	disk_poke(disk, xn_map_block(chunk) * XN_BLOCK_SIZE, block, sizeof(block));
}

static void entry_poke(struct disk *disk, unsigned kind, unsigned index, unsigned side,
		       const void *sector)
{
	uint64_t block = side ? disk->super.twin[kind] : disk->super.catalogue[kind];

	assert_true(index < XN_CAT_ENTRIES_BLOCK);
	disk_poke(disk, block * XN_BLOCK_SIZE + (1 + index) * XN_SECTOR_SIZE, sector,
		  XN_SECTOR_SIZE);
}

void disk_write_template(struct disk *disk, unsigned index, unsigned side)
{
	uint8_t sector[XN_SECTOR_SIZE];

	xn_template_entry_encode(&disk->super, &disk->templates[index], sector);
	entry_poke(disk, XN_CAT_TEMPLATES, index, side, sector);
}

void disk_write_root(struct disk *disk, unsigned index, unsigned side)
{
	uint8_t sector[XN_SECTOR_SIZE];

	xn_root_entry_encode(&disk->super, &disk->roots[index], sector);
	entry_poke(disk, XN_CAT_ROOTS, index, side, sector);
}

static void write_links(struct disk *disk, unsigned side)
{
	uint8_t sector[XN_SECTOR_SIZE];

	for (uint32_t kind = 0; kind < XN_CAT_KINDS; kind++) {
		struct xn_cat_link link = { .kind = kind,
					    .seq = 1,
					    .self = disk->super.catalogue[kind],
					    .twin = disk->super.twin[kind] };

		xn_cat_link_encode(&disk->super, &link, sector);
		disk_poke(disk, (side ? link.twin : link.self) * XN_BLOCK_SIZE, sector,
			  sizeof(sector));
	}
}

void disk_write(struct disk *disk)
{
	uint8_t sector[XN_SECTOR_SIZE];
	uint64_t places[3];

	for (unsigned side = 0; side < 2; side++) {
		write_links(disk, side);
		for (unsigned i = 0; i < 2; i++)
			disk_write_template(disk, i, side);
		for (unsigned i = 0; i < disk->n_roots; i++)
			disk_write_root(disk, i, side);
		xn_principal_entry_encode(&disk->super, &disk->principal, sector);
		entry_poke(disk, XN_CAT_PRINCIPALS, 0, side, sector);
	}
	for (unsigned chunk = 0; chunk < disk->super.high_water; chunk++)
		disk_write_map(disk, chunk);
	for (unsigned i = 0; i < xn_super_places(disk->super.block_count, places); i++)
		disk_write_super(disk, i);
}

struct disk *disk_sound(uint64_t blocks)
{
	struct disk *disk = disk_new(blocks);
	uint64_t a = disk_root(disk, "a", "fake"), b = disk_root(disk, "b", "");
	uint64_t node = disk_object(disk, TYPE_NODE), pair = disk_take(disk, 2);
	uint64_t wide = disk_object(disk, TYPE_WIDE);

	disk_point(disk, a, 0, node, 1, KIND_NODE);
	disk_point(disk, a, 7, disk_take(disk, 10), 10, KIND_DATA);
	disk_point(disk, a, 251, disk_take(disk, 3), 3, KIND_RESERVED);
	disk_point(disk, node, 100, pair, 2, KIND_NODE); /* two objects in one extent */
	disk_point(disk, node, 101, wide, 2, KIND_WIDE);
	disk_point(disk, pair, 0, disk_take(disk, 1), 1, KIND_DATA);
	disk_wide_point(disk, wide, 1023, disk_take(disk, 1));
	disk->roots[0].used = 1 + 1 + 10 + 3 + 2 + 2 + 1 + 1;
	disk_point(disk, b, 3, disk_take(disk, 1), 1, KIND_DATA);
	disk->roots[1].used = 2;
	disk_settle(disk);
	disk_write(disk);
	return disk;
}

void disk_read(struct disk *disk, uint64_t offset, void *bytes, size_t len)
{
	uint64_t start = offset / 512 * 512, end = (offset + len + 511) / 512 * 512;
	uint8_t *around = malloc(end - start);

	assert_non_null(around);
	assert_ok(bdev_read(disk->dev, start, around, end - start));
	memcpy(bytes, around + (offset - start), len);
	free(around);
}

void disk_poke(struct disk *disk, uint64_t offset, const void *bytes, size_t len)
{
	uint64_t start = offset / 512 * 512, end = (offset + len + 511) / 512 * 512;
	uint8_t *around = malloc(end - start);

	assert_non_null(around);
	assert_ok(bdev_read(disk->dev, start, around, end - start));
	memcpy(around + (offset - start), bytes, len);
	assert_ok(bdev_write(disk->dev, start, around, end - start, 0));
	free(around);
}

void disk_fill(struct disk *disk, uint64_t offset, uint8_t byte, size_t len)
{
	uint8_t *bytes = malloc(len);

	assert_non_null(bytes);
	memset(bytes, byte, len);
	disk_poke(disk, offset, bytes, len);
	free(bytes);
}

uint8_t *disk_bytes(struct bdev *dev, size_t *len)
{
	struct bdev_info info;
	uint8_t *bytes;

	bdev_info(dev, &info);
	*len = info.size;
	bytes = malloc(info.size);
	assert_non_null(bytes);
	assert_ok(bdev_read(dev, 0, bytes, info.size));
	return bytes;
}

struct fsck_result disk_fsck(struct disk *disk, enum check_mode mode)
{
	struct fsck_opts opts = { .mode = mode, .force = true, .progress_fd = -1 };
	struct fsck_result result;

	assert_ok(fsck_run(disk->dev, &opts, &result));
	return result;
}

bool result_has(const struct fsck_result *result, const char *code)
{
	for (size_t i = 0; i < result->n_findings; i++)
		if (strcmp(result->findings[i].code, code) == 0)
			return true;
	return false;
}

void result_print(const struct fsck_result *result)
{
	print_error("exit %d, %zu found, %zu left %s\n", result->exit_code, result->found,
		    result->left, result->why);
	for (size_t i = 0; i < result->n_findings; i++)
		print_error("  %s [%s] %s%s\n", result->findings[i].code, result->findings[i].root,
			    result->findings[i].text,
			    result->findings[i].repaired ? " (repaired)" : "");
}

void assert_clean(struct disk *disk)
{
	struct fsck_result result = disk_fsck(disk, CHECK_LOOK);

	if (result.exit_code || result.found || !result.complete) {
		result_print(&result);
		fail_msg("the disk is not clean");
	}
	fsck_result_fini(&result);
}
