/* SPDX-License-Identifier: MIT */
/*
 * simplefs itself: every kind of damage that its checker knows, made by hand on
 * a closed disk.  xn-fsck says the right thing, repairs what it may, and finds
 * nothing the second time; what a crash can leave is put right by mounting, too.
 */
#include "fs_fixture.h"

#include "fsck/fsck.h"

/* simplefs's own; it lies in its folder, not in an include folder. */
#include "format.h"

struct disk {
	struct fx *fx;
	uint64_t super;
	libfs_ino_t dir, sub, file, linked, longlink, shortlink;
};

/* ---- bytes on the closed disk ---- */

static void block_read(struct disk *d, uint64_t block, void *bytes)
{
	assert_ok(bdev_read(d->fx->mem, block * SFS_BLOCK, bytes, SFS_BLOCK));
}

static void block_write(struct disk *d, uint64_t block, const void *bytes)
{
	assert_ok(bdev_write(d->fx->mem, block * SFS_BLOCK, bytes, SFS_BLOCK, 0));
}

static uint64_t table_of(struct disk *d, libfs_ino_t ino)
{
	struct sfs_super_disk super;
	le64_t imap[SIMPLEFS_IMAP_SLOTS];

	block_read(d, d->super, &super);
	block_read(d, le64_get(super.imap[0]), imap);
	return le64_get(imap[(ino - 1) / SIMPLEFS_ITAB_INODES]);
}

static struct sfs_fields inode_read(struct disk *d, libfs_ino_t ino)
{
	struct sfs_inode_disk table[SIMPLEFS_ITAB_INODES];
	struct sfs_fields fields;

	block_read(d, table_of(d, ino), table);
	sfs_inode_decode(&table[(ino - 1) % SIMPLEFS_ITAB_INODES], &fields);
	return fields;
}

static void inode_write(struct disk *d, libfs_ino_t ino, const struct sfs_fields *fields)
{
	struct sfs_inode_disk table[SIMPLEFS_ITAB_INODES];

	block_read(d, table_of(d, ino), table);
	sfs_inode_encode(fields, &table[(ino - 1) % SIMPLEFS_ITAB_INODES]);
	block_write(d, table_of(d, ino), table);
}

static uint64_t dir_block(struct disk *d, libfs_ino_t dir)
{
	return inode_read(d, dir).direct[0];
}

/* The slot of a name in the first sector of a directory. */
static uint32_t slot_find(const uint8_t *sector, const char *name)
{
	struct sfs_slot slot;

	for (uint32_t off = 0; sfs_slot_decode(sector, off, &slot) > 0; off += slot.len)
		if (slot.ino && slot.name_len == strlen(name) &&
		    memcmp(slot.name, name, slot.name_len) == 0)
			return off;
	fail_msg("no name %s", name);
	return 0;
}

static void slot_poke(struct disk *d, libfs_ino_t dir, const char *name, uint32_t at, uint8_t byte)
{
	uint8_t block[SFS_BLOCK];

	block_read(d, dir_block(d, dir), block);
	block[slot_find(block, name) + at] = byte;
	block_write(d, dir_block(d, dir), block);
}

static void name_add(struct disk *d, libfs_ino_t dir, const char *name, libfs_ino_t ino)
{
	struct sfs_fields f = inode_read(d, ino);
	struct sfs_slot slot = {
		.ino = (uint32_t)ino,
		.birth = f.birth,
		.type = (uint8_t)SIMPLEFS_TYPE(f.mode),
		.name_len = (uint8_t)strlen(name),
		.name = name,
	};
	uint8_t block[SFS_BLOCK];
	uint32_t room;
	int off;

	block_read(d, dir_block(d, dir), block);
	off = sfs_sector_find_room(block, slot.name_len, &room);
	assert_true(off >= 0);
	sfs_sector_add(block, (uint32_t)off, room, &slot);
	block_write(d, dir_block(d, dir), block);
}

static void name_remove(struct disk *d, libfs_ino_t dir, const char *name)
{
	uint8_t block[SFS_BLOCK];

	block_read(d, dir_block(d, dir), block);
	sfs_sector_remove(block, slot_find(block, name));
	block_write(d, dir_block(d, dir), block);
}

#define INODE(d, number, change)                                 \
	do {                                                     \
		struct sfs_fields f = inode_read((d), (number)); \
		change;                                          \
		inode_write((d), (number), &f);                  \
	} while (0)

/* ---- the damages ---- */

static void name_of_another_birth(struct disk *d)
{
	slot_poke(d, d->dir, "file", 8, 0xee);
}

static void name_of_no_inode(struct disk *d)
{
	slot_poke(d, d->dir, "file", 0, 0xee);
}

static void name_with_a_slash(struct disk *d)
{
	slot_poke(d, d->dir, "file", SFS_SLOT_HEADER + 1, '/');
}

static void name_with_a_zero(struct disk *d)
{
	slot_poke(d, d->dir, "file", SFS_SLOT_HEADER + 3, 0);
}

static void name_that_is_dots(struct disk *d)
{
	slot_poke(d, d->dir, "s", SFS_SLOT_HEADER, '.');
}

static void slot_of_no_length(struct disk *d)
{
	slot_poke(d, d->dir, "file", 4, 3);
}

static void slot_beyond_its_sector(struct disk *d)
{
	slot_poke(d, d->dir, "file", 5, 0x40);
}

static void slot_of_a_directory(struct disk *d)
{
	slot_poke(d, FX_ROOT, "dir", 4, 3);
}

static void type_in_the_name(struct disk *d)
{
	slot_poke(d, d->dir, "file", 7, SIMPLEFS_DIR);
}

static void two_entries_of_one_name(struct disk *d)
{
	name_add(d, d->dir, "file", d->linked);
	INODE(d, d->linked, f.nlink++);
}

static void two_names_of_a_directory(struct disk *d)
{
	name_add(d, FX_ROOT, "again", d->sub);
}

/* As a rename leaves it when the power goes between its two writes. */
static void half_a_rename_of_a_directory(struct disk *d)
{
	name_add(d, FX_ROOT, "moved", d->sub);
	INODE(d, d->sub, f.parent = FX_ROOT);
}

static void a_directory_below_itself(struct disk *d)
{
	name_add(d, d->sub, "loop", d->dir);
}

static void a_name_of_the_root(struct disk *d)
{
	name_add(d, d->dir, "rootloop", FX_ROOT);
}

static void a_ring_out_of_reach(struct disk *d)
{
	name_remove(d, FX_ROOT, "dir");
	name_add(d, d->sub, "dir", d->dir);
	INODE(d, d->dir, f.parent = (uint32_t)d->sub);
}

static void file_without_a_name(struct disk *d)
{
	name_remove(d, d->dir, "file");
}

static void removed_but_not_freed(struct disk *d)
{
	name_remove(d, d->dir, "file");
	INODE(d, d->file, f.nlink = 0);
}

static void directory_without_a_name(struct disk *d)
{
	name_remove(d, FX_ROOT, "dir");
}

static void too_few_links(struct disk *d)
{
	INODE(d, d->linked, f.nlink = 1);
}

static void too_many_links(struct disk *d)
{
	INODE(d, d->dir, f.nlink = 77);
}

static void wrong_parent(struct disk *d)
{
	INODE(d, d->sub, f.parent = 12345);
}

static void too_many_blocks(struct disk *d)
{
	INODE(d, d->file, f.blocks += 1000);
}

static void too_few_blocks(struct disk *d)
{
	INODE(d, d->file, f.blocks = 1);
}

static void blocks_past_the_end(struct disk *d)
{
	INODE(d, d->file, f.size = 5000);
}

static void pointers_past_the_end(struct disk *d)
{
	INODE(d, d->file, f.size = 20 * SFS_BLOCK);
}

static void time_out_of_range(struct disk *d)
{
	INODE(d, d->file, f.nsec[SFS_MTIME] = 1000000000u);
}

static void directory_of_half_a_block(struct disk *d)
{
	INODE(d, d->dir, f.size += 100);
}

static void size_of_a_fifo(struct disk *d)
{
	INODE(d, d->shortlink, f.mode = SIMPLEFS_FIFO << 12 | 0644);
}

static void type_that_is_none(struct disk *d)
{
	INODE(d, d->shortlink, f.mode = 3u << 12);
}

static void symlink_to_nothing(struct disk *d)
{
	INODE(d, d->shortlink, f.size = 0);
}

static void no_magic(struct disk *d)
{
	struct sfs_super_disk super;

	block_read(d, d->super, &super);
	super.magic = le64_make(0);
	block_write(d, d->super, &super);
}

static void no_root_directory(struct disk *d)
{
	INODE(d, FX_ROOT, f.mode = SIMPLEFS_REG << 12 | 0644);
}

enum repair { SAFE, LOSSY, NONE };

static const struct damage {
	void (*make)(struct disk *d);
	const char *code; /* that must be among what is found */
	enum repair repair;
	bool keeps_file; /* "dir/file" has its bytes, under that name, afterwards */
} damages[] = {
	{ name_of_another_birth, "simplefs/dangling-name", SAFE, false },
	{ name_of_no_inode, "simplefs/dangling-name", SAFE, false },
	{ type_in_the_name, "simplefs/wrong-type", SAFE, true },
	{ two_names_of_a_directory, "simplefs/second-name", SAFE, true },
	{ half_a_rename_of_a_directory, "simplefs/second-name", SAFE, true },
	{ a_directory_below_itself, "simplefs/second-name", SAFE, true },
	{ a_name_of_the_root, "simplefs/second-name", SAFE, true },
	{ a_ring_out_of_reach, "simplefs/orphan", SAFE, false },
	{ file_without_a_name, "simplefs/orphan", SAFE, false },
	{ removed_but_not_freed, "simplefs/orphan", SAFE, false },
	{ directory_without_a_name, "simplefs/orphan", SAFE, false },
	{ too_few_links, "simplefs/link-count", SAFE, true },
	{ too_many_links, "simplefs/link-count", SAFE, true },
	{ wrong_parent, "simplefs/wrong-parent", SAFE, true },
	{ too_many_blocks, "simplefs/block-count", SAFE, true },
	{ too_few_blocks, "simplefs/block-count", SAFE, true },
	{ blocks_past_the_end, "simplefs/past-end", SAFE, false },
	{ pointers_past_the_end, "simplefs/past-end", SAFE, false },
	{ name_with_a_slash, "simplefs/bad-name", LOSSY, false },
	{ name_with_a_zero, "simplefs/bad-name", LOSSY, false },
	{ name_that_is_dots, "simplefs/bad-name", LOSSY, true },
	{ slot_of_no_length, "simplefs/bad-slot", LOSSY, false },
	{ slot_beyond_its_sector, "simplefs/bad-slot", LOSSY, false },
	{ slot_of_a_directory, "simplefs/bad-slot", LOSSY, false },
	{ two_entries_of_one_name, "simplefs/duplicate-name", LOSSY, true },
	{ time_out_of_range, "simplefs/bad-time", LOSSY, true },
	{ directory_of_half_a_block, "simplefs/bad-size", LOSSY, true },
	{ size_of_a_fifo, "simplefs/bad-size", LOSSY, true },
	{ type_that_is_none, "simplefs/bad-type", LOSSY, true },
	{ symlink_to_nothing, "simplefs/bad-symlink", LOSSY, true },
	{ no_magic, "simplefs/magic", LOSSY, false },
	{ no_root_directory, "simplefs/no-root-directory", LOSSY, false },
};

#define N_DAMAGES (sizeof(damages) / sizeof(damages[0]))

/* ---- the disk they are done to ---- */

static uint8_t *content(void)
{
	uint8_t *bytes = malloc(500000);
	uint64_t seed = 77;

	assert_non_null(bytes);
	for (size_t i = 0; i < 500000; i++)
		bytes[i] = (uint8_t)(chance(&seed) >> 5);
	return bytes;
}

static void disk_init(struct disk *d)
{
	struct fx_opts opts = { .libfs = "simplefs", .size = 8 << 20 };
	char target[1000];
	uint8_t *bytes = content();
	struct libfs_attr a;
	struct xn_root_info root;

	memset(target, 't', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	d->fx = fx_new(&opts);
	d->dir = fx_mkdir(d->fx, FX_ROOT, "dir");
	d->file = fx_create(d->fx, d->dir, "file");
	fx_write(d->fx, d->file, 0, bytes, 500000);
	d->sub = fx_mkdir(d->fx, d->dir, "sub");
	fx_file(d->fx, d->sub, "inner", "inner");
	d->linked = fx_file(d->fx, FX_ROOT, "one", "linked");
	assert_ok(fx_link(d->fx, d->linked, d->sub, "two"));
	assert_ok(libfs_symlink(d->fx->fs, fx_ctx(d->fx), d->dir, "long", target, &a));
	d->longlink = a.ino;
	assert_ok(libfs_symlink(d->fx->fs, fx_ctx(d->fx), d->dir, "s", "short", &a));
	d->shortlink = a.ino;
	assert_ok(xn_root_find(d->fx->xn, "test", &root));
	d->super = root.object;
	fx_close(d->fx);
	free(bytes);
}

static void check_file(struct disk *d, const struct damage *damage)
{
	uint8_t *bytes = content();

	if (damage->keeps_file) {
		libfs_ino_t dir = fx_find(d->fx, FX_ROOT, "dir");

		assert_content(d->fx, fx_find(d->fx, dir, "file"), bytes, 500000);
	}
	free(bytes);
}

/* Exit code; *seen: was that code among the findings, and none of XN's own? */
static int look(struct disk *d, int mode, const char *code, bool *seen)
{
	struct fsck_opts opts = { .mode = mode, .force = true, .progress_fd = -1 };
	struct fsck_result result;
	int exit_code;

	*seen = false;
	assert_ok(fsck_run(d->fx->mem, &opts, &result));
	for (size_t i = 0; i < result.n_findings; i++)
		*seen |= strcmp(result.findings[i].code, code) == 0;
	exit_code = result.exit_code;
	fsck_result_fini(&result);
	return exit_code;
}

static void the_checker_finds_and_repairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_DAMAGES; i++) {
		const struct damage *damage = &damages[i];
		struct disk d;
		bool seen;
		int code;

		disk_init(&d);
		damage->make(&d);
		code = look(&d, CHECK_LOOK, damage->code, &seen);
		if (!seen || code != FSCK_LEFT) {
			fx_fsck(d.fx, CHECK_LOOK, false);
			fail_msg("damage %zu: exit code %d, %s %sfound", i, code, damage->code,
				 seen ? "" : "not ");
		}
		code = look(&d, CHECK_PREEN, damage->code, &seen);
		if (code != (damage->repair == SAFE ? FSCK_REPAIRED : FSCK_LEFT) &&
		    code != (FSCK_REPAIRED | FSCK_LEFT))
			fail_msg("damage %zu: -p gives %d", i, code);
		if (damage->repair == SAFE && (code & FSCK_LEFT))
			fail_msg("damage %zu: -p leaves it", i);
		if (damage->repair == LOSSY)
			look(&d, CHECK_YES, damage->code, &seen);
		if (damage->repair != NONE) {
			/* A name cut off, or an inode cleared, may leave more to do, once. */
			look(&d, CHECK_YES, damage->code, &seen);
			code = fx_fsck(d.fx, CHECK_LOOK, false);
			if (code != FSCK_OK)
				fail_msg("damage %zu: still %d after repair", i, code);
			fx_open(d.fx);
			fx_mount(d.fx, 0);
			check_file(&d, damage);
		}
		fx_close_anyhow(d.fx);
		bdev_close(d.fx->dev);
		free(d.fx);
	}
}

/* Names that were lost with their sector: every file is kept and named again. */
static void files_of_a_damaged_directory_are_found_again(void **state)
{
	uint8_t *bytes = content();

	(void)state;
	for (int i = 0; i < 2; i++) {
		char name[32];
		struct disk d;
		libfs_ino_t dir;
		bool seen;

		disk_init(&d);
		if (i == 0)
			slot_of_no_length(&d);
		else
			slot_of_a_directory(&d);
		look(&d, CHECK_PREEN, "simplefs/unreachable", &seen);
		assert_true(seen);
		look(&d, CHECK_YES, "simplefs/lost", &seen);
		assert_true(seen);
		assert_int_equal(fx_fsck(d.fx, CHECK_LOOK, false), FSCK_OK);
		fx_open(d.fx);
		fx_mount(d.fx, 0);
		/* The directory itself was lost, with all in it; or only names in it. */
		dir = fx_find(d.fx, FX_ROOT, "lost+found");
		snprintf(name, sizeof(name), "#%u", (unsigned)d.dir);
		dir = i ? fx_find(d.fx, dir, name) : dir;
		snprintf(name, sizeof(name), i ? "file" : "#%u", (unsigned)d.file);
		assert_content(d.fx, fx_find(d.fx, dir, name), bytes, 500000);
		snprintf(name, sizeof(name), i ? "sub" : "#%u", (unsigned)d.sub);
		assert_content(d.fx, fx_find(d.fx, fx_find(d.fx, dir, name), "inner"), "inner", 5);
		assert_int_equal(fx_find(d.fx, d.sub, ".."), dir);
		fx_fini(d.fx);
	}
	free(bytes);
}

/* What -p may repair, a mount after an unclean stop puts right as well. */
static void mounting_after_a_crash_repairs_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_DAMAGES; i++) {
		struct disk d;

		if (damages[i].repair != SAFE)
			continue;
		disk_init(&d);
		damages[i].make(&d);
		fx_open(d.fx);
		fx_crash(d.fx, false);
		check_file(&d, &damages[i]);
		fx_fini(d.fx);
	}
}

static void a_name_without_its_inode_is_not_there(void **state)
{
	struct disk d;
	struct libfs_dirent entries[10];
	libfs_ino_t made;
	ssize_t n;

	(void)state;
	disk_init(&d);
	name_of_another_birth(&d);
	fx_open(d.fx);
	fx_mount(d.fx, 0);
	assert_refused(fx_lookup(d.fx, d.dir, "file"), -ENOENT);
	n = libfs_readdir(d.fx->fs, fx_ctx(d.fx), d.dir, 0, LIBFS_READDIR_PLUS, entries, 10);
	assert_int_equal(n, 5);
	assert_refused(fx_unlink(d.fx, d.dir, "file"), -ENOENT);
	made = fx_file(d.fx, d.dir, "file", "another");
	assert_content(d.fx, fx_find(d.fx, d.dir, "file"), "another", 7);
	assert_ok(fx_unlink(d.fx, d.dir, "file"));
	fx_forget(d.fx, made);
	assert_refused(fx_lookup(d.fx, d.dir, "file"), -ENOENT);
	fx_close_anyhow(d.fx);
	assert_int_equal(fx_fsck(d.fx, CHECK_PREEN, true), FSCK_REPAIRED);
	assert_int_equal(fx_fsck(d.fx, CHECK_LOOK, false), FSCK_OK);
	fx_open(d.fx);
	fx_fini(d.fx);
}

static void what_is_no_simplefs_is_not_mounted(void **state)
{
	char why[200] = "";
	struct libfs_mount_opts opts = { .root = "test", .why = why, .why_size = sizeof(why) };
	struct libfs *fs;
	struct disk d;

	(void)state;
	disk_init(&d);
	no_magic(&d);
	fx_open(d.fx);
	assert_refused(libfs_mount(d.fx->session, &opts, &fs), -EINVAL);
	assert_non_null(strstr(why, "never made"));
	fx_close_anyhow(d.fx);
	bdev_close(d.fx->dev);
	free(d.fx);
}

/* Bytes at random in every block of metadata and directories: named errors at worst. */
static void nothing_on_the_disk_makes_it_crash(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct libfs_mount_opts opts = { .root = "test" };
		uint8_t block[SFS_BLOCK];
		uint64_t victims[4], victim;
		struct disk d;

		disk_init(&d);
		victims[0] = table_of(&d, 1);
		victims[1] = dir_block(&d, d.dir);
		victims[2] = dir_block(&d, FX_ROOT);
		victims[3] = inode_read(&d, d.file).ind[0];
		victim = victims[chance(&seed) % 4];
		block_read(&d, victim, block);
		for (uint64_t n = chance(&seed) % 6 + 1; n; n--)
			block[chance(&seed) % SFS_BLOCK / (round % 2 ? 1 : 4)] =
				(uint8_t)chance(&seed);
		block_write(&d, victim, block);
		fx_fsck(d.fx, CHECK_LOOK, true);
		fx_open(d.fx);
		if (libfs_mount(d.fx->session, &opts, &d.fx->fs) == 0) {
			struct libfs_dirent entries[20];
			struct libfs_attr a;
			uint8_t bytes[1000];

			libfs_readdir(d.fx->fs, fx_ctx(d.fx), FX_ROOT, 0, 0, entries, 20);
			libfs_readdir(d.fx->fs, fx_ctx(d.fx), d.dir, 0, 0, entries, 20);
			libfs_read(d.fx->fs, fx_ctx(d.fx), d.file, 0, 50000, bytes, 1000);
			libfs_create(d.fx->fs, fx_ctx(d.fx), d.dir, "new", 0644, true, &a);
			fx_unlink(d.fx, d.dir, "file");
			fx_rename(d.fx, d.dir, "sub", FX_ROOT, "sub2");
		}
		fx_close_anyhow(d.fx);
		fx_fsck(d.fx, CHECK_YES, true);
		fx_fsck(d.fx, CHECK_YES, true);
		bdev_close(d.fx->dev);
		free(d.fx);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checker_finds_and_repairs),
		cmocka_unit_test(files_of_a_damaged_directory_are_found_again),
		cmocka_unit_test(mounting_after_a_crash_repairs_the_same),
		cmocka_unit_test(a_name_without_its_inode_is_not_there),
		cmocka_unit_test(what_is_no_simplefs_is_not_mounted),
		cmocka_unit_test(nothing_on_the_disk_makes_it_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
