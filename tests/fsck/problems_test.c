/* SPDX-License-Identifier: MIT */
/*
 * Every problem of the table: a sound disk, broken in one place, is looked at,
 * preened and repaired, and then looked at again.
 */
#include "disk.h"
#include "fsck_types.h"

#include <errno.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- a LibFS whose checker does as it is told ---- */

static enum { FAKE_FINE, FAKE_FAILS, FAKE_DROPS } fake;

static const struct check_problem_row fake_row = { "fake/too-much", "record %u owns too much",
						   "Drop it?", CHECK_SAFE, false };

/* Record 7 of root "a" is dropped, and with it ten blocks. */
static int fake_check(struct check *check)
{
	uint8_t node[XN_BLOCK_SIZE];
	uint64_t object = check_root_object(check);
	int err;

	if (fake == FAKE_FAILS)
		return -EIO;
	err = check_read(check, object, 1, node);
	if (err || fake == FAKE_FINE)
		return err;
	if (node[64 + 7 * 16 + 12] == KIND_NONE)
		return 0;
	if (!check_problem(check, &fake_row, 7u))
		return 0;
	memset(node + 64 + 7 * 16, 0, 16);
	err = check_write(check, object, 1, node);
	check_ownership_changed(check);
	return err;
}

/* Only the first: what happens to the other nobody can help. */
static bool fake_image(unsigned index, struct check_image *out)
{
	if (index > 0)
		return false;
	*out = (struct check_image){ fsck_types_image[0], fsck_types_image_len[0] };
	return true;
}

struct node_record {
	le64_t start;
	le32_t count, kind;
};

/* A record that makes no sense goes when the whole object is mended. */
static void record_settle(struct node_record *record)
{
	uint32_t kind = le32_get(record->kind);

	if (kind > KIND_WIDE || le32_get(record->count) == 0)
		memset(record, 0, sizeof(*record));
}

static bool fake_mend(const struct check_damage *damage, uint8_t *bytes)
{
	struct node_record *records = (void *)(bytes + 64), *record = &records[damage->record];

	if (strcmp(damage->type, "test.node") != 0)
		return false;
	if (damage->what == CHECK_MEND_OBJECT) {
		memset(bytes, 0, 8);
		for (unsigned i = 0; i < 252; i++)
			record_settle(&records[i]);
	} else if (damage->what == CHECK_MEND_CUT) {
		memset(record, 0, sizeof(*record));
	} else {
		if (le64_get(record->start) != damage->start ||
		    le32_get(record->count) != damage->count)
			return false;
		record->start = le64_make(damage->to);
	}
	return true;
}

/* An object that begins so is what nobody would have written. */
static bool fake_doubt(const struct check_damage *damage, const uint8_t *bytes)
{
	return strcmp(damage->type, "test.node") == 0 && bytes[60] == 0xdd;
}

static bool doubting_mend(const struct check_damage *damage, uint8_t *bytes)
{
	if (damage->what == CHECK_MEND_OBJECT && strcmp(damage->type, "test.node") == 0)
		bytes[60] = 0;
	return fake_mend(damage, bytes);
}

static const struct libfs_checker fake_checker = {
	.check = fake_check, .mend = doubting_mend, .doubt = fake_doubt, .image = fake_image
};

static int no_check(struct check *check)
{
	(void)check;
	return 0;
}

static const struct libfs_checker mender = { .check = no_check, .mend = fake_mend };

const struct libfs_checker *libfs_checker_find(const char *name)
{
	return strcmp(name, "fake") == 0 ? &fake_checker : *name ? NULL : &mender;
}

/* ---- how to break a disk ---- */

static uint64_t object_of(const struct disk *disk, unsigned root)
{
	return disk->roots[root].object;
}

static void damage_primary(struct disk *disk)
{
	disk_fill(disk, 0x99, 0xee, 1);
}

static void damage_copy(struct disk *disk)
{
	disk_fill(disk, (disk->super.block_count - 1) * XN_BLOCK_SIZE + 0x20, 0xee, 1);
}

static void age_copy(struct disk *disk)
{
	disk->super.generation--;
	disk_write_super(disk, 1);
	disk->super.generation++;
}

static void age_primary(struct disk *disk)
{
	disk->super.generation++;
	disk_write_super(disk, 1);
}

static void say_too_big(struct disk *disk)
{
	disk->super.block_count += 1000;
	disk_settle(disk);
	disk->super.free_blocks += 1000;
	disk_write_super(disk, 0);
}

static void miscount_free(struct disk *disk)
{
	disk->super.free_blocks -= 3;
	disk_write_super(disk, 0);
	disk_write_super(disk, 1);
}

static void damage_log_tail(struct disk *disk)
{
	uint64_t end = (disk->super.log_start + disk->super.log_blocks) * XN_BLOCK_SIZE;

	disk_fill(disk, end - 100, 1, 1);
}

static void lose_log(struct disk *disk)
{
	disk_fill(disk, disk->super.log_start * XN_BLOCK_SIZE + 100, 1, 1);
	damage_log_tail(disk);
}

static uint64_t catalogue_at(const struct disk *disk, unsigned kind, unsigned side, unsigned sector)
{
	uint64_t block = side ? disk->super.twin[kind] : disk->super.catalogue[kind];

	return block * XN_BLOCK_SIZE + sector * XN_SECTOR_SIZE;
}

static void damage_link(struct disk *disk)
{
	disk_fill(disk, catalogue_at(disk, XN_CAT_ROOTS, 0, 0) + 100, 1, 1);
}

static void damage_twin_entry(struct disk *disk)
{
	disk_fill(disk, catalogue_at(disk, XN_CAT_TEMPLATES, 1, 2) + 300, 1, 1);
}

static void age_twin_entry(struct disk *disk)
{
	disk->roots[0].seq++;
	disk->roots[0].mode = 0644;
	disk_write_root(disk, 0, 0);
}

static void age_primary_entry(struct disk *disk)
{
	disk->roots[1].seq++;
	disk_write_root(disk, 1, 1);
}

/* As after a crash while a root is made: the first copy is there, the twin not yet. */
static void half_create_root(struct disk *disk)
{
	disk_root(disk, "new", "");
	disk->roots[2].used = 1;
	disk->super.state = XN_STATE_INUSE;
	disk_settle(disk);
	disk_write(disk);
	disk_fill(disk, catalogue_at(disk, XN_CAT_ROOTS, 1, 3), 0, XN_SECTOR_SIZE);
}

static void lose_link(struct disk *disk)
{
	disk_fill(disk, catalogue_at(disk, XN_CAT_PRINCIPALS, 0, 0) + 9, 0xa5, 1);
	disk_fill(disk, catalogue_at(disk, XN_CAT_PRINCIPALS, 1, 0) + 9, 0xa5, 1);
}

static void lose_root(struct disk *disk)
{
	disk_fill(disk, catalogue_at(disk, XN_CAT_ROOTS, 0, 2), 0xa5, XN_SECTOR_SIZE);
	disk_fill(disk, catalogue_at(disk, XN_CAT_ROOTS, 1, 2), 0xa5, XN_SECTOR_SIZE);
}

static void lose_template(struct disk *disk)
{
	disk_fill(disk, catalogue_at(disk, XN_CAT_TEMPLATES, 0, 2), 0xa5, XN_SECTOR_SIZE);
	disk_fill(disk, catalogue_at(disk, XN_CAT_TEMPLATES, 1, 2), 0xa5, XN_SECTOR_SIZE);
}

/* The chain of roots goes on in two blocks; `self` may be somebody else's. */
static void chain_extend(struct disk *disk, uint64_t self, uint64_t twin)
{
	struct xn_cat_link first = { .kind = XN_CAT_ROOTS,
				     .seq = 2,
				     .self = disk->super.catalogue[XN_CAT_ROOTS],
				     .twin = disk->super.twin[XN_CAT_ROOTS],
				     .next = self,
				     .next_twin = twin };
	struct xn_cat_link second = {
		.kind = XN_CAT_ROOTS, .index = 1, .seq = 1, .self = self, .twin = twin
	};
	uint8_t sector[XN_SECTOR_SIZE];

	xn_cat_link_encode(&disk->super, &first, sector);
	disk_poke(disk, first.self * XN_BLOCK_SIZE, sector, sizeof(sector));
	disk_poke(disk, first.twin * XN_BLOCK_SIZE, sector, sizeof(sector));
	xn_cat_link_encode(&disk->super, &second, sector);
	disk_poke(disk, self * XN_BLOCK_SIZE, sector, sizeof(sector));
	disk_poke(disk, twin * XN_BLOCK_SIZE, sector, sizeof(sector));
}

static void chain_into_catalogue(struct disk *disk)
{
	chain_extend(disk, disk->super.catalogue[XN_CAT_TEMPLATES], disk_take(disk, 1));
}

static void overlap_images(struct disk *disk)
{
	disk->templates[1].image_start = disk->templates[0].image_start;
	disk_write_template(disk, 1, 0);
	disk_write_template(disk, 1, 1);
}

static void alter_image(struct disk *disk)
{
	disk_fill(disk, disk->templates[0].image_start * XN_BLOCK_SIZE + 200, 0x77, 1);
}

static void alter_other_image(struct disk *disk)
{
	disk_fill(disk, disk->templates[1].image_start * XN_BLOCK_SIZE + 200, 0x77, 1);
}

/* An image that has the right hash and is none. */
static void refuse_image(struct disk *disk)
{
	static const uint8_t sha256_of_zero[32] = {
		0x6e, 0x34, 0x0b, 0x9c, 0xff, 0xb3, 0x7a, 0x98, 0x9c, 0xa5, 0x44,
		0xe6, 0xbb, 0x78, 0x0a, 0x2c, 0x78, 0x90, 0x1d, 0x3f, 0xb3, 0x37,
		0x38, 0x76, 0x85, 0x11, 0xa3, 0x06, 0x17, 0xaf, 0xa0, 0x1d,
	};
	struct xn_template_entry *entry = &disk->templates[1];

	disk_fill(disk, entry->image_start * XN_BLOCK_SIZE, 0, 1);
	entry->image_len = 1;
	memcpy(entry->sha256, sha256_of_zero, 32);
	disk_write_template(disk, 1, 0);
	disk_write_template(disk, 1, 1);
}

static void rename_template(struct disk *disk)
{
	snprintf(disk->templates[0].name, sizeof(disk->templates[0].name), "other");
	disk_write_template(disk, 0, 0);
	disk_write_template(disk, 0, 1);
}

static void root_without_type(struct disk *disk)
{
	disk->roots[1].type = 999;
	disk_write_root(disk, 1, 0);
	disk_write_root(disk, 1, 1);
}

static void same_names(struct disk *disk)
{
	snprintf(disk->roots[1].name, sizeof(disk->roots[1].name), "a");
	disk_write_root(disk, 1, 0);
	disk_write_root(disk, 1, 1);
}

static void miscount_root(struct disk *disk)
{
	disk->roots[0].used = 5;
	disk_write_root(disk, 0, 0);
	disk_write_root(disk, 0, 1);
}

static void same_principals(struct disk *disk)
{
	uint8_t sector[XN_SECTOR_SIZE];

	disk->principal.id = 2;
	xn_principal_entry_encode(&disk->super, &disk->principal, sector);
	disk_poke(disk, catalogue_at(disk, XN_CAT_PRINCIPALS, 0, 2), sector, sizeof(sector));
	disk_poke(disk, catalogue_at(disk, XN_CAT_PRINCIPALS, 1, 2), sector, sizeof(sector));
}

static void damage_object(struct disk *disk)
{
	disk_damage(disk, object_of(disk, 0), 42);
}

static void fault_check(struct disk *disk)
{
	disk_damage(disk, object_of(disk, 0), DAMAGE_FAULT);
}

static void fault_owns(struct disk *disk)
{
	disk_point(disk, object_of(disk, 0), 9, 0, 0, KIND_MALFORMED);
}

static void emit_nothing(struct disk *disk)
{
	disk_point(disk, object_of(disk, 0), 9, 100, 0, KIND_DATA);
}

static void emit_unknown_child(struct disk *disk)
{
	disk_point(disk, object_of(disk, 0), 9, 2000, 1, 60);
}

static void point_outside(struct disk *disk)
{
	disk_point(disk, object_of(disk, 1), 9, disk->super.block_count - 1, 2, KIND_DATA);
}

static void point_far_outside(struct disk *disk)
{
	disk_point(disk, object_of(disk, 1), 9, (1ull << 48) - 1, 1, KIND_NODE);
}

static void point_at_zero(struct disk *disk)
{
	disk_point(disk, object_of(disk, 1), 9, 0, 1, KIND_DATA);
}

static void point_at_map(struct disk *disk)
{
	disk_point(disk, object_of(disk, 1), 9, 1, 1, KIND_DATA);
}

static void point_at_log(struct disk *disk)
{
	disk_point(disk, object_of(disk, 1), 9, disk->super.log_start + 2, 1, KIND_NODE);
}

static void point_at_last_copy(struct disk *disk)
{
	disk_point(disk, object_of(disk, 1), 9, disk->super.block_count - 3, 3, KIND_DATA);
}

static void point_at_image(struct disk *disk)
{
	disk_point(disk, object_of(disk, 1), 9, disk->templates[0].image_start, 1, KIND_DATA);
}

static void own_a_root(struct disk *disk)
{
	disk_point(disk, object_of(disk, 1), 9, object_of(disk, 0), 1, KIND_NODE);
}

static void own_itself(struct disk *disk)
{
	disk_point(disk, object_of(disk, 1), 9, object_of(disk, 1), 1, KIND_NODE);
}

static void own_twice(struct disk *disk)
{
	uint64_t data = disk_take(disk, 4);

	disk_write_map(disk, 0);
	disk_point(disk, object_of(disk, 1), 9, data, 4, KIND_DATA);
	disk_point(disk, object_of(disk, 1), 10, data + 3, 1, KIND_DATA);
}

static void doubt_object(struct disk *disk)
{
	disk_fill(disk, object_of(disk, 0) * XN_BLOCK_SIZE + 60, 0xdd, 1);
}

static void reserve_twice(struct disk *disk)
{
	uint64_t data = disk_take(disk, 4);

	disk_write_map(disk, 0);
	disk_point(disk, object_of(disk, 1), 9, data, 4, KIND_DATA);
	disk_point(disk, object_of(disk, 1), 10, data + 3, 1, KIND_RESERVED);
}

static void share_root_object(struct disk *disk)
{
	disk->roots[1].object = disk->roots[0].object;
	disk_write_root(disk, 1, 0);
	disk_write_root(disk, 1, 1);
}

static void misfit(struct disk *disk)
{
	uint64_t wide = disk_take(disk, 3);

	disk_write_map(disk, 0);
	disk_point(disk, object_of(disk, 1), 9, wide, 3, KIND_WIDE);
}

static void damage_map(struct disk *disk)
{
	disk_fill(disk, XN_BLOCK_SIZE + 512 + 400, 0x3c, 4);
}

static void damage_all_maps(struct disk *disk)
{
	disk_fill(disk, XN_BLOCK_SIZE, 0, XN_BLOCK_SIZE);
}

static void leak_unclean(struct disk *disk)
{
	disk_take(disk, 20);
	disk->super.state = XN_STATE_INUSE;
	disk_write_map(disk, 0);
	disk_write_super(disk, 0);
	disk_write_super(disk, 1);
}

static void leak_clean(struct disk *disk)
{
	disk_take(disk, 20);
	disk_settle(disk);
	disk_write(disk);
}

static void leak_and_fault(struct disk *disk)
{
	leak_unclean(disk);
	root_without_type(disk);
}

static void free_owned(struct disk *disk)
{
	disk_map_set(disk, object_of(disk, 1), false);
	disk_settle(disk);
	disk_write(disk);
}

static void free_xns_own(struct disk *disk)
{
	disk_map_set(disk, disk->super.log_start, false);
	disk_settle(disk);
	disk_write(disk);
}

static void forget_chunk(struct disk *disk)
{
	uint64_t block = 2 * XN_CHUNK_BLOCKS + 50;

	disk_map_set(disk, block, true);
	disk_settle(disk);
	disk->super.high_water = 2;
	disk_point(disk, object_of(disk, 1), 9, block, 1, KIND_DATA);
	disk->roots[1].used++;
	disk_write(disk);
	disk_fill(disk, xn_map_block(2) * XN_BLOCK_SIZE, 0, XN_BLOCK_SIZE);
}

static void make_checker_fail(struct disk *disk)
{
	(void)disk;
	fake = FAKE_FAILS;
}

/* ---- the table ---- */

struct scenario {
	const char *what;
	const char *code;
	void (*make)(struct disk *disk);
	uint64_t blocks; /* 0: 4096 */
	bool helpless;   /* nobody can repair it here */
};

static const struct scenario scenarios[] = {
	{ "superblock with a flipped byte", "super/primary-damaged", damage_primary, 0, false },
	{ "the same on three chunks", "super/primary-damaged", damage_primary, 3 * 16384, false },
	{ "copy of another disk", "super/copy-damaged", damage_copy, 0, false },
	{ "copy from before", "super/copy-old", age_copy, 0, false },
	{ "superblock from before", "super/copy-old", age_primary, 0, false },
	{ "superblock of a larger disk", "super/truncated", say_too_big, 0, false },
	{ "wrong count of free blocks", "super/free-count", miscount_free, 0, false },
	{ "log tail damaged", "log/tail-damaged", damage_log_tail, 0, false },
	{ "both log tails damaged", "log/lost", lose_log, 0, false },
	{ "link damaged on one side", "catalogue/sector-damaged", damage_link, 0, false },
	{ "entry damaged in the twin", "catalogue/sector-damaged", damage_twin_entry, 0, false },
	{ "twin from before", "catalogue/sector-old", age_twin_entry, 0, false },
	{ "twin newer", "catalogue/sector-old", age_primary_entry, 0, false },
	{ "root half made", "catalogue/sector-old", half_create_root, 0, false },
	{ "link lost on both sides", "catalogue/link-lost", lose_link, 0, false },
	{ "root lost on both sides", "catalogue/entry-lost", lose_root, 0, false },
	{ "chain runs into another", "catalogue/block-shared", chain_into_catalogue, 0, false },
	{ "two images in one place", "template/image-shared", overlap_images, 0, false },
	{ "image altered", "template/hash", alter_image, 0, false },
	{ "image altered that nobody has", "template/hash", alter_other_image, 0, true },
	{ "image that is none", "template/refused", refuse_image, 0, false },
	{ "template under another name", "template/name", rename_template, 0, false },
	{ "child type lost", "template/child", lose_template, 0, false },
	{ "batch not whole", "template/batch", lose_template, 0, false },
	{ "type not installed", "root/type", root_without_type, 0, false },
	{ "two roots of one name", "root/name-twice", same_names, 0, false },
	{ "root charged too little", "root/used", miscount_root, 0, false },
	{ "two allowances", "principal/twice", same_principals, 0, false },
	{ "check says no", "object/damaged", damage_object, 0, false },
	{ "check faults", "object/check-fault", fault_check, 0, false },
	{ "owns says malformed", "object/owns-fault", fault_owns, 0, false },
	{ "owns emits an empty extent", "object/owns-fault", emit_nothing, 0, false },
	{ "owns emits an unknown child", "object/owns-fault", emit_unknown_child, 0, false },
	{ "extent beyond the end", "extent/outside", point_outside, 0, false },
	{ "extent at the end of all disks", "extent/outside", point_far_outside, 0, false },
	{ "extent at block 0", "extent/outside", point_at_zero, 0, false },
	{ "extent over a map", "extent/xn-own", point_at_map, 0, false },
	{ "extent over the log", "extent/xn-own", point_at_log, 0, false },
	{ "extent over a superblock", "extent/xn-own", point_at_last_copy, 0, false },
	{ "extent over an image", "extent/xn-own", point_at_image, 0, false },
	{ "a root inside another", "extent/anothers", own_a_root, 0, false },
	{ "an object that owns itself", "extent/anothers", own_itself, 0, false },
	{ "data owned twice", "extent/owned-twice", own_twice, 0, false },
	{ "reserved for two", "extent/anothers", reserve_twice, 0, false },
	{ "two roots, one object", "extent/anothers", share_root_object, 0, true },
	{ "an object nobody would have written", "object/doubted", doubt_object, 0, false },
	{ "type lost", "extent/type", lose_template, 0, false },
	{ "half an object", "extent/misfit", misfit, 0, false },
	{ "map sector damaged", "map/sector-damaged", damage_map, 0, false },
	{ "map block zeroed", "map/sector-damaged", damage_all_maps, 0, false },
	{ "leak after a crash", "map/leak", leak_unclean, 0, false },
	{ "leak on a clean disk", "map/leak-clean", leak_clean, 0, false },
	{ "leak and a fault", "map/leak-kept", leak_and_fault, 0, false },
	{ "owned block free", "map/free-but-owned", free_owned, 0, false },
	{ "XN's own block free", "map/free-but-owned", free_xns_own, 0, false },
	{ "chunk never used", "map/beyond-high-water", forget_chunk, 3 * 16384, false },
	{ "checker gives up", "libfs/failed", make_checker_fail, 0, false },
};

/* By a medium that fails (faults_test.c, unreadable_test.c), or by a LibFS that mends (cases/). */
static const char *const elsewhere[] = {
	"object/unreadable",        "map/unreadable",
	"template/unreadable",      "object/miscounted", /* tests/xn/counted_test.c */
	"extent/doubted",           "extent/stale",
	"log/unreadable",           "catalogue/entry-idle",
	"catalogue/template-known", "catalogue/allowance-lost",
};

static struct disk *disk_broken(const struct scenario *scenario)
{
	struct disk *disk = disk_sound(scenario->blocks);

	fake = FAKE_FINE;
	scenario->make(disk);
	return disk;
}

static enum check_safety safety_of(const struct scenario *scenario)
{
	const char *code = scenario->code;

	if (scenario->helpless)
		return CHECK_REPORT_ONLY;
	for (size_t i = 0; fsck_problem_row(i); i++)
		if (strcmp(fsck_problem_row(i)->code, code) == 0)
			return fsck_problem_row(i)->safety;
	fail_msg("no problem is called %s", code);
	return CHECK_SAFE;
}

static void assert_found(const struct scenario *scenario, const struct fsck_result *result)
{
	if (!result_has(result, scenario->code)) {
		result_print(result);
		fail_msg("%s: no %s", scenario->what, scenario->code);
	}
}

static void assert_exit(const struct scenario *scenario, const struct fsck_result *result, int code)
{
	if (result->exit_code != code) {
		result_print(result);
		fail_msg("%s: exit %d, not %d", scenario->what, result->exit_code, code);
	}
}

static bool same_findings(const struct fsck_result *a, const struct fsck_result *b)
{
	if (a->n_findings != b->n_findings)
		return false;
	for (size_t i = 0; i < a->n_findings; i++)
		if (strcmp(a->findings[i].code, b->findings[i].code) != 0 ||
		    strcmp(a->findings[i].text, b->findings[i].text) != 0 ||
		    strcmp(a->findings[i].root, b->findings[i].root) != 0)
			return false;
	return true;
}

static void looking_finds_each_problem_and_writes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
		struct disk *disk = disk_broken(&scenarios[i]);
		size_t len;
		uint8_t *before = disk_bytes(disk->dev, &len), *after;
		struct fsck_result first = disk_fsck(disk, CHECK_LOOK);
		struct fsck_result second = disk_fsck(disk, CHECK_LOOK);

		assert_found(&scenarios[i], &first);
		assert_exit(&scenarios[i], &first, FSCK_LEFT);
		assert_true(same_findings(&first, &second));
		after = disk_bytes(disk->dev, &len);
		assert_memory_equal(before, after, len);
		free(before);
		free(after);
		fsck_result_fini(&first);
		fsck_result_fini(&second);
		disk_free(disk);
	}
}

static void what_can_be_repaired_is_gone_in_the_second_run(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
		struct disk *disk;
		struct fsck_result result;

		if (safety_of(&scenarios[i]) == CHECK_REPORT_ONLY)
			continue;
		disk = disk_broken(&scenarios[i]);
		result = disk_fsck(disk, CHECK_YES);
		assert_found(&scenarios[i], &result);
		assert_exit(&scenarios[i], &result, FSCK_REPAIRED);
		assert_true(result.modified);
		fsck_result_fini(&result);
		assert_clean(disk);
		disk_free(disk);
	}
}

static void preening_repairs_what_is_safe_and_leaves_the_rest(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
		enum check_safety safety = safety_of(&scenarios[i]);
		struct disk *disk = disk_broken(&scenarios[i]);
		struct fsck_result result = disk_fsck(disk, CHECK_PREEN);

		assert_found(&scenarios[i], &result);
		if (safety == CHECK_SAFE) {
			assert_exit(&scenarios[i], &result, FSCK_REPAIRED);
			assert_clean(disk);
		} else {
			assert_int_equal(result.exit_code & FSCK_LEFT, FSCK_LEFT);
		}
		fsck_result_fini(&result);
		if (safety == CHECK_LOSSY) {
			result = disk_fsck(disk, CHECK_YES);
			assert_exit(&scenarios[i], &result, FSCK_REPAIRED);
			fsck_result_fini(&result);
			assert_clean(disk);
		}
		disk_free(disk);
	}
}

static void what_cannot_be_repaired_is_reported_again_and_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
		struct disk *disk;
		struct fsck_result first, second, third;

		if (safety_of(&scenarios[i]) != CHECK_REPORT_ONLY)
			continue;
		disk = disk_broken(&scenarios[i]);
		first = disk_fsck(disk, CHECK_YES);
		second = disk_fsck(disk, CHECK_YES);
		third = disk_fsck(disk, CHECK_YES);
		assert_found(&scenarios[i], &first);
		assert_int_equal(first.exit_code & FSCK_LEFT, FSCK_LEFT);
		assert_found(&scenarios[i], &second);
		assert_exit(&scenarios[i], &second, FSCK_LEFT);
		assert_exit(&scenarios[i], &third, FSCK_LEFT);
		assert_true(same_findings(&second, &third));
		assert_false(third.modified); /* the mark was set before */
		fsck_result_fini(&first);
		fsck_result_fini(&second);
		fsck_result_fini(&third);
		disk_free(disk);
	}
}

/* A disk that is left with problems is not taken for a clean one, even without -f. */
static void a_disk_left_with_problems_is_checked_again_without_force(void **state)
{
	struct fsck_opts opts = { .mode = CHECK_PREEN, .progress_fd = -1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
		struct disk *disk;
		struct fsck_result result;

		if (safety_of(&scenarios[i]) != CHECK_REPORT_ONLY ||
		    scenarios[i].make == say_too_big)
			continue;
		disk = disk_broken(&scenarios[i]);
		result = disk_fsck(disk, CHECK_PREEN);
		fsck_result_fini(&result);
		assert_ok(fsck_run(disk->dev, &opts, &result));
		assert_false(result.skipped);
		assert_found(&scenarios[i], &result);
		fsck_result_fini(&result);
		disk_free(disk);
	}
}

static void every_problem_of_the_table_is_provoked(void **state)
{
	(void)state;
	for (size_t i = 0; fsck_problem_row(i); i++) {
		const char *code = fsck_problem_row(i)->code;
		bool provoked = false;

		for (size_t k = 0; k < ARRAY_LEN(scenarios); k++)
			provoked |= strcmp(scenarios[k].code, code) == 0;
		for (size_t k = 0; k < ARRAY_LEN(elsewhere); k++)
			provoked |= strcmp(elsewhere[k], code) == 0;
		if (!provoked)
			fail_msg("nothing provokes %s", code);
	}
}

/* ---- stories that the table cannot tell ---- */

static void nothing_is_freed_while_something_could_not_be_understood(void **state)
{
	struct disk *disk = disk_sound(0);
	struct fsck_result result;
	uint8_t before[XN_BLOCK_SIZE], after[XN_BLOCK_SIZE];

	(void)state;
	leak_and_fault(disk);
	disk_read(disk, XN_BLOCK_SIZE, before, sizeof(before));
	result = disk_fsck(disk, CHECK_YES);
	assert_true(result_has(&result, "map/leak-kept"));
	assert_false(result.complete);
	disk_read(disk, XN_BLOCK_SIZE, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(after));
	fsck_result_fini(&result);
	disk_free(disk);
}

/* ... but what has an owner is still protected. */
static void owned_blocks_are_marked_even_when_something_was_not_understood(void **state)
{
	struct disk *disk = disk_sound(0);
	uint64_t lost = object_of(disk, 0);
	struct fsck_result result;
	uint8_t block[XN_BLOCK_SIZE];

	(void)state;
	leak_and_fault(disk);
	disk_map_set(disk, lost, false);
	disk_write_map(disk, 0);
	result = disk_fsck(disk, CHECK_YES);
	assert_int_equal(result.exit_code, FSCK_LEFT | FSCK_REPAIRED);
	fsck_result_fini(&result);
	disk_read(disk, XN_BLOCK_SIZE, block, sizeof(block));
	assert_int_equal(xn_map_decode(&disk->super, 0, block, disk->map[0]), 0);
	assert_true(disk_map_get(disk, lost));
	disk_free(disk);
}

/* As a crash leaves it between the entries: no problem, no type, and the images stay XN's. */
static void a_batch_half_installed_is_no_type(void **state)
{
	struct disk *disk = disk_new(0);
	struct fsck_result result;

	(void)state;
	disk->super.state = XN_STATE_INUSE;
	disk_map_set(disk, disk->templates[1].image_start, false); /* its entry never came */
	disk_settle(disk);
	disk_write(disk);
	for (unsigned side = 0; side < 2; side++)
		disk_fill(disk, catalogue_at(disk, XN_CAT_TEMPLATES, side, 2), 0, XN_SECTOR_SIZE);
	result = disk_fsck(disk, CHECK_PREEN);
	assert_int_equal(result.exit_code, FSCK_OK);
	assert_int_equal(result.templates, 0);
	fsck_result_fini(&result);
	assert_clean(disk);

	disk_root(disk, "a", ""); /* nobody can have made that root */
	disk->roots[0].used = 1;
	disk_settle(disk);
	for (unsigned side = 0; side < 2; side++)
		disk_write_root(disk, 0, side);
	disk_write_map(disk, 0);
	disk_write_super(disk, 0);
	result = disk_fsck(disk, CHECK_YES);
	assert_true(result_has(&result, "root/type"));
	assert_int_equal(result.exit_code & FSCK_LEFT, FSCK_LEFT);
	fsck_result_fini(&result);
	disk_free(disk);
}

static void a_chain_of_several_blocks_is_followed(void **state)
{
	struct disk *disk = disk_sound(0);
	uint64_t self = disk_take(disk, 1), twin = disk_take(disk, 1);
	uint8_t sector[XN_SECTOR_SIZE];
	struct xn_root_entry root = disk->roots[1];
	struct fsck_result result;

	(void)state;
	root.id = 9; /* slot 8: second entry of the second block */
	root.object = disk_object(disk, TYPE_NODE);
	root.used = 1;
	snprintf(root.name, sizeof(root.name), "ninth");
	disk_settle(disk);
	disk_write(disk);
	chain_extend(disk, self, twin);
	xn_root_entry_encode(&disk->super, &root, sector);
	disk_poke(disk, self * XN_BLOCK_SIZE + 2 * XN_SECTOR_SIZE, sector, sizeof(sector));
	disk_poke(disk, twin * XN_BLOCK_SIZE + 2 * XN_SECTOR_SIZE, sector, sizeof(sector));
	assert_clean(disk);
	result = disk_fsck(disk, CHECK_LOOK);
	assert_int_equal(result.roots, 3);
	fsck_result_fini(&result);
	disk_free(disk);
}

static void what_a_checker_gives_up_is_freed_in_the_same_run(void **state)
{
	struct disk *disk = disk_sound(0);
	struct fsck_result result;

	(void)state;
	fake = FAKE_DROPS;
	result = disk_fsck(disk, CHECK_PREEN);
	assert_true(result_has(&result, "fake/too-much"));
	assert_true(result_has(&result, "map/leak-clean"));
	assert_true(result_has(&result, "root/used"));
	assert_int_equal(result.exit_code, FSCK_REPAIRED);
	assert_string_equal(result.findings[0].root, "a");
	fsck_result_fini(&result);
	assert_clean(disk);
	disk_free(disk);
}

static void a_checker_that_is_told_no_changes_nothing(void **state)
{
	struct disk *disk = disk_sound(0);
	struct fsck_result result;
	size_t len;
	uint8_t *before = disk_bytes(disk->dev, &len), *after;

	(void)state;
	fake = FAKE_DROPS;
	result = disk_fsck(disk, CHECK_LOOK);
	assert_int_equal(result.exit_code, FSCK_LEFT);
	assert_int_equal(result.n_findings, 1);
	after = disk_bytes(disk->dev, &len);
	assert_memory_equal(before, after, len);
	free(before);
	free(after);
	fsck_result_fini(&result);
	disk_free(disk);
}

/* ---- answers ---- */

static struct fsck_result fsck_answered(struct disk *disk, const char *answers, char *said,
					size_t size)
{
	struct fsck_opts opts = { .mode = CHECK_ASK, .force = true, .progress_fd = -1 };
	struct fsck_result result;

	opts.in = fmemopen((void *)(uintptr_t)answers, strlen(answers), "r");
	opts.out = fmemopen(said, size, "w");
	assert_non_null(opts.in);
	assert_non_null(opts.out);
	assert_ok(fsck_run(disk->dev, &opts, &result));
	fclose(opts.in);
	fclose(opts.out);
	return result;
}

static struct disk *disk_with_two_problems(void)
{
	struct disk *disk = disk_sound(0);

	fake = FAKE_FINE;
	miscount_root(disk);
	damage_link(disk);
	return disk;
}

static void a_person_decides_problem_by_problem(void **state)
{
	static const struct {
		const char *answers;
		int exit_code;
		size_t left;
	} rows[] = {
		{ "y\ny\n", FSCK_REPAIRED, 0 },
		{ "yes\nno\n", FSCK_REPAIRED | FSCK_LEFT, 1 },
		{ "n\nn\n", FSCK_LEFT, 2 },
		{ "\n\n", FSCK_LEFT, 2 },
		{ "a\n", FSCK_REPAIRED, 0 },
		{ "what?\ny\nn\n", FSCK_REPAIRED | FSCK_LEFT, 1 },
		{ "y\nq\n", FSCK_REPAIRED | FSCK_LEFT | FSCK_STOPPED, 1 },
		{ "no", FSCK_LEFT, 2 },
		{ "1\n2\n3\n4\n5\n6\n7\n", FSCK_LEFT, 2 },
	};
	static char said[8192];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct disk *disk = disk_with_two_problems();
		bool stopped;
		struct fsck_result result =
			fsck_answered(disk, rows[i].answers, said, sizeof(said));

		if (result.exit_code != rows[i].exit_code || result.left != rows[i].left) {
			result_print(&result);
			fail_msg("answers %s: exit %d", rows[i].answers, result.exit_code);
		}
		assert_non_null(strstr(said, "Restore it from there?"));
		/* Stopped in the middle it is in use, and counts are then not expected to be right. */
		stopped = result.exit_code & FSCK_STOPPED;
		fsck_result_fini(&result);
		result = disk_fsck(disk, CHECK_YES);
		assert_int_equal(result.found, stopped ? 0 : rows[i].left);
		fsck_result_fini(&result);
		assert_clean(disk);
		disk_free(disk);
	}
}

static void no_to_everything_changes_not_a_byte(void **state)
{
	struct disk *disk = disk_with_two_problems();
	static char said[8192];
	size_t len;
	uint8_t *before = disk_bytes(disk->dev, &len), *after;
	struct fsck_result result = fsck_answered(disk, "n\nn\n", said, sizeof(said));

	(void)state;
	after = disk_bytes(disk->dev, &len);
	assert_memory_equal(before, after, len);
	assert_false(result.modified);
	free(before);
	free(after);
	fsck_result_fini(&result);
	disk_free(disk);
}

/* ---- stopping ---- */

static void a_signal_stops_and_leaves_a_consistent_disk(void **state)
{
	struct disk *disk = disk_with_two_problems();
	volatile sig_atomic_t stop = 1;
	struct fsck_opts opts = {
		.mode = CHECK_YES, .force = true, .progress_fd = -1, .stop = &stop
	};
	struct fsck_result result;

	(void)state;
	assert_ok(fsck_run(disk->dev, &opts, &result));
	assert_int_equal(result.exit_code & FSCK_STOPPED, FSCK_STOPPED);
	assert_false(result.modified);
	fsck_result_fini(&result);
	stop = 0;
	assert_ok(fsck_run(disk->dev, &opts, &result));
	assert_int_equal(result.exit_code, FSCK_REPAIRED);
	fsck_result_fini(&result);
	assert_clean(disk);
	disk_free(disk);
}

static void names_from_the_disk_are_no_commands_to_the_terminal(void **state)
{
	static const struct check_problem_row row = { "x/y", "name %s", "", CHECK_REPORT_ONLY,
						      false };
	struct disk *disk = disk_sound(0);
	struct check_opts opts = { .mode = CHECK_LOOK, .progress_fd = -1 };
	struct check *check;

	(void)state;
	assert_ok(check_create(disk->dev, &opts, &check));
	check_problem(check, &row, "a\033[2Jb\r\n");
	assert_string_equal(check_finding(check, 0)->text, "name a?[2Jb??");
	check_destroy(check);
	disk_free(disk);
}

static void a_checker_reads_and_writes_only_what_its_root_owns(void **state)
{
	struct disk *disk = disk_sound(0);
	struct check_opts opts = { .mode = CHECK_YES, .progress_fd = -1 };
	static uint8_t owned[512], bytes[2 * XN_BLOCK_SIZE];
	struct check *check;

	(void)state;
	memset(owned, 0, sizeof(owned));
	owned[300 / 8] |= 1u << (300 % 8);
	assert_ok(check_create(disk->dev, &opts, &check));
	assert_refused(check_read(check, 300, 1, bytes), -ERANGE);
	check_set_root(check, "a", 300, owned, 4096);
	assert_ok(check_read(check, 300, 1, bytes));
	assert_ok(check_write(check, 300, 1, bytes));
	assert_refused(check_read(check, 300, 2, bytes), -ERANGE);
	assert_refused(check_read(check, 300, 0, bytes), -ERANGE);
	assert_refused(check_write(check, 299, 2, bytes), -ERANGE);
	assert_refused(check_read(check, UINT64_MAX, 2, bytes), -ERANGE);
	assert_refused(check_read(check, 1ull << 60, 1, bytes), -ERANGE);
	check_cancel(check);
	assert_refused(check_read(check, 300, 1, bytes), -EINTR);
	check_destroy(check);
	disk_free(disk);
}

/* A hostile disk may have more problems than anybody reads. */
static void findings_are_bounded_and_all_are_counted(void **state)
{
	static const struct check_problem_row row = { "x/y", "number %u", "", CHECK_REPORT_ONLY,
						      false };
	struct disk *disk = disk_new(256);
	struct check_opts opts = { .mode = CHECK_LOOK, .progress_fd = -1 };
	struct check *check;

	(void)state;
	assert_ok(check_create(disk->dev, &opts, &check));
	for (unsigned i = 0; i < CHECK_FINDINGS_MAX + 100; i++)
		check_problem(check, &row, i);
	assert_int_equal(check_finding_count(check), CHECK_FINDINGS_MAX);
	assert_int_equal(check_found_count(check), CHECK_FINDINGS_MAX + 100);
	assert_int_equal(check_left_count(check), CHECK_FINDINGS_MAX + 100);
	assert_null(check_finding(check, CHECK_FINDINGS_MAX));
	check_destroy(check);
	disk_free(disk);
}

/* No test inherits what another told the fake checker. */
static int fake_reset(void **state)
{
	(void)state;
	fake = FAKE_FINE;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(looking_finds_each_problem_and_writes_nothing, fake_reset),
		cmocka_unit_test_setup(what_can_be_repaired_is_gone_in_the_second_run, fake_reset),
		cmocka_unit_test_setup(preening_repairs_what_is_safe_and_leaves_the_rest,
				       fake_reset),
		cmocka_unit_test_setup(what_cannot_be_repaired_is_reported_again_and_again,
				       fake_reset),
		cmocka_unit_test_setup(a_disk_left_with_problems_is_checked_again_without_force,
				       fake_reset),
		cmocka_unit_test_setup(every_problem_of_the_table_is_provoked, fake_reset),
		cmocka_unit_test_setup(nothing_is_freed_while_something_could_not_be_understood,
				       fake_reset),
		cmocka_unit_test_setup(
			owned_blocks_are_marked_even_when_something_was_not_understood, fake_reset),
		cmocka_unit_test_setup(a_batch_half_installed_is_no_type, fake_reset),
		cmocka_unit_test_setup(a_chain_of_several_blocks_is_followed, fake_reset),
		cmocka_unit_test_setup(what_a_checker_gives_up_is_freed_in_the_same_run,
				       fake_reset),
		cmocka_unit_test_setup(a_checker_that_is_told_no_changes_nothing, fake_reset),
		cmocka_unit_test_setup(a_person_decides_problem_by_problem, fake_reset),
		cmocka_unit_test_setup(no_to_everything_changes_not_a_byte, fake_reset),
		cmocka_unit_test_setup(a_signal_stops_and_leaves_a_consistent_disk, fake_reset),
		cmocka_unit_test_setup(names_from_the_disk_are_no_commands_to_the_terminal,
				       fake_reset),
		cmocka_unit_test_setup(a_checker_reads_and_writes_only_what_its_root_owns,
				       fake_reset),
		cmocka_unit_test_setup(findings_are_bounded_and_all_are_counted, fake_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
