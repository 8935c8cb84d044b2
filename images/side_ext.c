/* SPDX-License-Identifier: MIT */
/*
 * An ext file system as a side of a copy.  See side_ext.h.
 *
 *  (1) An open directory keeps its names sorted: libext2fs would look each up from
 *      the start.
 *  (2) A directory is listed once; a second time, through another entry, it is
 *      part of a circle.
 */
#include "side_ext.h"

#include <dirent.h>
#include <errno.h>
#include <ext2fs/ext2fs.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct ext {
	const char *name;
	ext2_filsys fs;
	ext2fs_inode_bitmap listed;
};

struct name {
	char *text;
	ext2_ino_t ino;
	uint8_t type; /* EXT2_FT_* */
};

struct dir {
	ext2_ino_t ino;
	struct name *names; /* sorted; NULL until they are asked for */
	size_t count, room;
	bool is_read;
	unsigned users;
};

/* Where a file has bytes. */
struct range {
	uint64_t start, end; /* blocks of the file */
};

struct file {
	ext2_file_t handle;
	struct range *ranges;
	size_t count, room;
	bool has_ranges, failed;
};

static struct ext *ext_of(const struct side *side)
{
	return side->state;
}

static struct dir *dir_of(const struct side_dir *dir)
{
	return (struct dir *)(uintptr_t)dir->id;
}

static struct file *file_of(const struct side_file *file)
{
	return (struct file *)(uintptr_t)file->id;
}

static int number(errcode_t code)
{
	if (code == 0)
		return 0;
	if (code > 0 && code < 256)
		return -(int)code;
	switch (code) {
	case EXT2_ET_NO_MEMORY: return -ENOMEM;
	case EXT2_ET_FILE_NOT_FOUND: return -ENOENT;
	case EXT2_ET_SHORT_READ: return -EIO;
	case EXT2_ET_BAD_MAGIC: return -EMEDIUMTYPE;
	case EXT2_ET_UNSUPP_FEATURE:
	case EXT2_ET_RO_UNSUPP_FEATURE: return -EOPNOTSUPP;
	default: return -EUCLEAN;
	}
}

/* ---- directories ---- */

struct reading {
	struct dir *dir;
	int err;
};

static int take_name(ext2_ino_t dir, int entry, struct ext2_dir_entry *dirent, int offset,
		     int block_size, char *buffer, void *arg)
{
	struct reading *reading = arg;
	struct dir *into = reading->dir;
	size_t len = (size_t)ext2fs_dirent_name_len(dirent);
	struct name *name;

	(void)dir;
	(void)offset;
	(void)block_size;
	(void)buffer;
	(void)entry;
	if (!dirent->inode ||
	    (dirent->name[0] == '.' && (len == 1 || (len == 2 && dirent->name[1] == '.'))))
		return 0;
	if (!name_is_safe(dirent->name, len)) {
		reading->err = -EUCLEAN;
		return DIRENT_ABORT;
	}
	if (into->count == into->room) {
		size_t room = into->room ? 2 * into->room : 32;

		name = realloc(into->names, room * sizeof(*name));
		if (!name) {
			reading->err = -ENOMEM;
			return DIRENT_ABORT;
		}
		into->names = name;
		into->room = room;
	}
	name = &into->names[into->count];
	*name = (struct name){ strndup(dirent->name, len), dirent->inode,
			       (uint8_t)ext2fs_dirent_file_type(dirent) };
	if (!name->text) {
		reading->err = -ENOMEM;
		return DIRENT_ABORT;
	}
	into->count++;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static int dir_read(struct ext *ext, struct dir *dir)
{
	struct reading reading = { .dir = dir };
	errcode_t code;

	if (dir->is_read)
		return 0;
	if (ext2fs_test_inode_bitmap2(ext->listed, dir->ino))
		return -EUCLEAN;
	ext2fs_mark_inode_bitmap2(ext->listed, dir->ino);
	code = ext2fs_dir_iterate2(ext->fs, dir->ino, 0, NULL, take_name, &reading);
	if (code || reading.err)
		return reading.err ? reading.err : number(code);
	if (dir->count)
		qsort(dir->names, dir->count, sizeof(*dir->names), by_text);
	dir->is_read = true;
	return 0;
}

static int find(struct ext *ext, const struct side_dir *in, const char *name, ext2_ino_t *ino)
{
	struct name key = { .text = (char *)(uintptr_t)name }, *found;
	struct dir *dir = dir_of(in);
	int err;

	*ino = dir->ino;
	if (!strcmp(name, "."))
		return 0;
	err = dir_read(ext, dir);
	if (err)
		return err;
	found = dir->count ? bsearch(&key, dir->names, dir->count, sizeof(key), by_text) : NULL;
	if (!found)
		return -ENOENT;
	*ino = found->ino;
	return *ino <= ext->fs->super->s_inodes_count ? 0 : -EUCLEAN;
}

static int read_inode(struct ext *ext, ext2_ino_t ino, struct ext2_inode_large *inode)
{
	memset(inode, 0, sizeof(*inode));
	return number(
		ext2fs_read_inode_full(ext->fs, ino, (struct ext2_inode *)inode, sizeof(*inode)));
}

static void ext_close_dir(struct side *side, struct side_dir *in)
{
	struct dir *dir = dir_of(in);

	(void)side;
	if (--dir->users > 0)
		return;
	for (size_t i = 0; i < dir->count; i++)
		free(dir->names[i].text);
	free(dir->names);
	free(dir);
}

static int dir_open(ext2_ino_t ino, struct side_dir *out)
{
	struct dir *dir = calloc(1, sizeof(*dir));

	if (!dir)
		return -ENOMEM;
	dir->ino = ino;
	dir->users = 1;
	*out = (struct side_dir){ .id = (uint64_t)(uintptr_t)dir };
	return 0;
}

static int ext_open_dir(struct side *side, const struct side_dir *parent, const char *name,
			struct side_dir *out)
{
	struct ext2_inode_large inode;
	ext2_ino_t ino;
	int err;

	if (!strcmp(name, ".")) {
		dir_of(parent)->users++;
		*out = *parent;
		return 0;
	}
	err = find(ext_of(side), parent, name, &ino);
	if (!err)
		err = read_inode(ext_of(side), ino, &inode);
	if (!err && !LINUX_S_ISDIR(inode.i_mode))
		err = -ENOTDIR;
	return err ? err : dir_open(ino, out);
}

static int ext_list(struct side *side, const struct side_dir *in, struct entries *out)
{
	static const uint32_t types[] = { DT_UNKNOWN, DT_REG,  DT_DIR,  DT_CHR,
					  DT_BLK,     DT_FIFO, DT_SOCK, DT_LNK };
	struct dir *dir = dir_of(in);
	int err = dir_read(ext_of(side), dir);

	*out = (struct entries){ 0 };
	for (size_t i = 0; i < dir->count && !err; i++) {
		const struct name *name = &dir->names[i];

		err = entries_add(out, name->text, strlen(name->text),
				  name->type < 8 ? types[name->type] : DT_UNKNOWN);
	}
	if (err)
		entries_free(out);
	return err;
}

/* ---- attributes ---- */

static struct timespec time_of(uint32_t seconds, uint32_t extra)
{
	return (struct timespec){ .tv_sec = (int32_t)seconds + ((int64_t)(extra & 3) << 32),
				  .tv_nsec = extra >> 2 < 1000000000 ? extra >> 2 : 0 };
}

static uint64_t rdev_of(const struct ext2_inode_large *inode)
{
	uint32_t old = inode->i_block[0], new = inode->i_block[1];

	if (!LINUX_S_ISCHR(inode->i_mode) && !LINUX_S_ISBLK(inode->i_mode))
		return 0;
	if (old)
		return makedev(old >> 8 & 0xff, old & 0xff);
	return makedev((new & 0xfff00) >> 8, (new & 0xff) | (new >> 12 & 0xfff00));
}

static int ext_look(struct side *side, const struct side_dir *dir, const char *name,
		    struct libfs_attr *out)
{
	struct ext *ext = ext_of(side);
	struct ext2_inode_large inode;
	ext2_ino_t ino;
	int err = find(ext, dir, name, &ino);

	if (!err)
		err = read_inode(ext, ino, &inode);
	if (err)
		return err;
	*out = (struct libfs_attr){
		.ino = ino,
		.mode = inode.i_mode,
		.nlink = inode.i_links_count,
		.uid = inode_uid(inode),
		.gid = inode_gid(inode),
		.rdev = rdev_of(&inode),
		.size = EXT2_I_SIZE((struct ext2_inode *)&inode),
		.blocks = ext2fs_inode_i_blocks(ext->fs, (struct ext2_inode *)&inode) / 512,
		.atime = time_of(inode.i_atime, inode.i_atime_extra),
		.mtime = time_of(inode.i_mtime, inode.i_mtime_extra),
		.ctime = time_of(inode.i_ctime, inode.i_ctime_extra),
	};
	if (!inode.i_mode || !inode.i_links_count)
		return -EUCLEAN;
	return 0;
}

struct taking {
	struct ext2_xattr_handle *handle;
	struct xattrs *out;
	int err;
};

/* Taken by name once more: ACLs come in another form than they are kept in. */
static int take_xattr(char *name, char *raw, size_t raw_size, void *arg)
{
	struct taking *taking = arg;
	void *value = NULL;
	size_t size;
	errcode_t code;

	(void)raw;
	(void)raw_size;
	if (!strcmp(name, "system.data")) /* bytes of a small file, which reading it gives */
		return 0;
	code = ext2fs_xattr_get(taking->handle, name, &value, &size);
	taking->err = code ? number(code) : xattrs_add(taking->out, name, value, size);
	ext2fs_free_mem(&value);
	return taking->err ? XATTR_ABORT : 0;
}

static int ext_get_xattrs(struct side *side, const struct side_dir *dir, const char *name,
			  struct xattrs *out)
{
	struct ext *ext = ext_of(side);
	struct taking taking = { .out = out };
	ext2_ino_t ino;
	errcode_t code;
	int err = find(ext, dir, name, &ino);

	*out = (struct xattrs){ 0 };
	if (err)
		return err;
	code = ext2fs_xattrs_open(ext->fs, ino, &taking.handle);
	if (code)
		return number(code);
	code = ext2fs_xattrs_read(taking.handle);
	if (!code)
		code = ext2fs_xattrs_iterate(taking.handle, take_xattr, &taking);
	ext2fs_xattrs_close(&taking.handle);
	err = taking.err ? taking.err : number(code);
	if (err)
		xattrs_free(out);
	else
		xattrs_sort(out);
	return err;
}

/* ---- bytes ---- */

static int file_open(struct ext *ext, ext2_ino_t ino, struct file **out)
{
	struct file *file = calloc(1, sizeof(*file));
	errcode_t code;

	if (!file)
		return -ENOMEM;
	code = ext2fs_file_open(ext->fs, ino, 0, &file->handle);
	if (code) {
		free(file);
		return number(code);
	}
	*out = file;
	return 0;
}

static int file_close(struct file *file)
{
	errcode_t code = ext2fs_file_close(file->handle);

	free(file->ranges);
	free(file);
	return number(code);
}

static ssize_t file_read(struct file *file, uint64_t offset, void *buffer, size_t len)
{
	unsigned got = 0;
	errcode_t code = ext2fs_file_llseek(file->handle, offset, EXT2_SEEK_SET, NULL);

	if (!code)
		code = ext2fs_file_read(file->handle, buffer,
					(unsigned)(len < (1u << 30) ? len : 1u << 30), &got);
	return code ? number(code) : (ssize_t)got;
}

static int ext_read_link(struct side *side, const struct side_dir *dir, const char *name,
			 char target[LIBFS_SYMLINK_MAX + 1])
{
	struct ext *ext = ext_of(side);
	struct ext2_inode_large inode;
	struct file *file;
	uint64_t size;
	ext2_ino_t ino;
	ssize_t got;
	int err = find(ext, dir, name, &ino);

	if (!err)
		err = read_inode(ext, ino, &inode);
	if (err)
		return err;
	size = EXT2_I_SIZE((struct ext2_inode *)&inode);
	if (size > LIBFS_SYMLINK_MAX)
		return -ENAMETOOLONG;
	memset(target, 0, LIBFS_SYMLINK_MAX + 1);
	if (ext2fs_is_fast_symlink((struct ext2_inode *)&inode)) {
		memcpy(target, inode.i_block, size < sizeof(inode.i_block) ? size : 0);
		return target[0] ? 0 : -EUCLEAN;
	}
	err = file_open(ext, ino, &file);
	if (err)
		return err;
	got = file_read(file, 0, target, size);
	file_close(file);
	return got < 0 ? (int)got : (uint64_t)got == size && size ? 0 : -EUCLEAN;
}

static int ext_open_file(struct side *side, const struct side_dir *dir, const char *name,
			 struct side_file *out)
{
	struct file *file;
	ext2_ino_t ino;
	int err = find(ext_of(side), dir, name, &ino);

	if (!err)
		err = file_open(ext_of(side), ino, &file);
	if (!err)
		*out = (struct side_file){ .id = (uint64_t)(uintptr_t)file };
	return err;
}

static ssize_t ext_read(struct side *side, struct side_file *file, uint64_t offset, void *buffer,
			size_t len)
{
	(void)side;
	return file_read(file_of(file), offset, buffer, len);
}

static int ext_close_file(struct side *side, struct side_file *file)
{
	(void)side;
	return file_close(file_of(file));
}

static int take_block(ext2_filsys fs, blk64_t *block, e2_blkcnt_t at, blk64_t ref, int ref_offset,
		      void *arg)
{
	struct file *file = arg;
	struct range *last = file->count ? &file->ranges[file->count - 1] : NULL;

	(void)fs;
	(void)block;
	(void)ref;
	(void)ref_offset;
	if (at < 0)
		return 0;
	if (last && last->end == (uint64_t)at) {
		last->end++;
		return 0;
	}
	if (!file->ranges || file->count == file->room) {
		size_t room = file->room ? 2 * file->room : 8;

		last = realloc(file->ranges, room * sizeof(*last));
		if (!last) {
			file->failed = true;
			return BLOCK_ABORT;
		}
		file->ranges = last;
		file->room = room;
	}
	file->ranges[file->count++] = (struct range){ (uint64_t)at, (uint64_t)at + 1 };
	return 0;
}

/* False when it cannot be told. */
static bool ranges_read(struct ext *ext, struct file *file)
{
	errcode_t code;

	if (file->has_ranges || file->failed)
		return !file->failed;
	code = ext2fs_block_iterate3(ext->fs, ext2fs_file_get_inode_num(file->handle),
				     BLOCK_FLAG_DATA_ONLY | BLOCK_FLAG_READ_ONLY, NULL, take_block,
				     file);
	file->failed |= code != 0;
	file->has_ranges = !file->failed;
	return file->has_ranges;
}

static off_t ext_seek(struct side *side, struct side_file *in, uint64_t offset, int whence)
{
	struct ext *ext = ext_of(side);
	struct file *file = file_of(in);
	uint64_t size = ext->fs->blocksize;

	if (!ranges_read(ext, file))
		return -EINVAL;
	for (size_t i = 0; i < file->count; i++) {
		uint64_t start = file->ranges[i].start * size, end = file->ranges[i].end * size;

		if (offset >= end)
			continue;
		if (whence == SEEK_DATA)
			return (off_t)(offset < start ? start : offset);
		return (off_t)(offset < start ? offset : end);
	}
	return whence == SEEK_DATA ? -ENXIO : (off_t)offset;
}

/* ---- what is not done ---- */

static void ext_drop(struct side *side, struct side_link *link)
{
	(void)side;
	(void)link;
}

struct side side_of_ext(struct ext *ext)
{
	/* Nothing else is asked of the side that is read. */
	static const struct side_ops ops = {
		.open_dir = ext_open_dir,
		.close_dir = ext_close_dir,
		.list = ext_list,
		.look = ext_look,
		.read_link = ext_read_link,
		.open_file = ext_open_file,
		.read = ext_read,
		.seek = ext_seek,
		.close_file = ext_close_file,
		.get_xattrs = ext_get_xattrs,
		.drop = ext_drop,
	};

	return (struct side){ .ops = &ops, .name = ext->name, .state = ext };
}

/* ---- the whole ---- */

static int refuse(char *why, size_t why_size, const char *sentence, int err)
{
	snprintf(why, why_size, "%s", sentence);
	return err;
}

static int check(const struct ext *ext, char *why, size_t why_size)
{
	struct ext2_super_block *super = ext->fs->super;

	if (ext2fs_has_feature_journal_needs_recovery(super))
		return refuse(why, why_size,
			      "its journal was not replayed, so its files may be old; run e2fsck",
			      -EUCLEAN);
	if (ext2fs_has_feature_encrypt(super))
		return refuse(why, why_size, "it may have encrypted files, which nobody can copy",
			      -EOPNOTSUPP);
	return 0;
}

int ext_open(const char *name, char *why, size_t why_size, struct ext **out)
{
	struct ext *ext = calloc(1, sizeof(*ext));
	errcode_t code;
	int err;

	why[0] = '\0';
	if (!ext)
		return -ENOMEM;
	ext->name = name;
	code = ext2fs_open(name, EXT2_FLAG_64BITS | EXT2_FLAG_THREADS, 0, 0, unix_io_manager,
			   &ext->fs);
	if (code) {
		free(ext);
		if (code == EXT2_ET_BAD_MAGIC)
			return refuse(why, why_size, "it holds no ext2, ext3 or ext4 file system",
				      -EMEDIUMTYPE);
		if (number(code) == -EUCLEAN)
			return refuse(why, why_size, "its ext superblock is damaged; run e2fsck",
				      -EUCLEAN);
		return number(code);
	}
	err = check(ext, why, why_size);
	if (!err)
		err = number(ext2fs_allocate_inode_bitmap(ext->fs, "listed", &ext->listed));
	if (err) {
		ext_close(ext);
		return err;
	}
	*out = ext;
	return 0;
}

void ext_close(struct ext *ext)
{
	if (ext->listed)
		ext2fs_free_inode_bitmap(ext->listed);
	ext2fs_free(ext->fs);
	free(ext);
}

/* mke2fs makes one; only with something in it is it anybody's. */
static int lost_found_pass(struct ext *ext, struct dir *top)
{
	struct side_dir in = { .id = (uint64_t)(uintptr_t)top }, inner;
	struct side side = side_of_ext(ext);
	struct dir *lost;
	int err = ext_open_dir(&side, &in, "lost+found", &inner);

	if (err)
		return err == -ENOENT || err == -ENOTDIR ? 0 : err;
	lost = dir_of(&inner);
	err = dir_read(ext, lost);
	ext2fs_unmark_inode_bitmap2(ext->listed, lost->ino);
	for (size_t i = 0; i < top->count && !err && !lost->count; i++) {
		if (strcmp(top->names[i].text, "lost+found") != 0)
			continue;
		free(top->names[i].text);
		top->count--;
		memmove(&top->names[i], &top->names[i + 1], (top->count - i) * sizeof(*top->names));
		break;
	}
	ext_close_dir(&side, &inner);
	return err;
}

int ext_top(struct ext *ext, struct side_dir *out)
{
	struct side side = side_of_ext(ext);
	int err = dir_open(EXT2_ROOT_INO, out);

	if (err)
		return err;
	err = dir_read(ext, dir_of(out));
	if (!err)
		err = lost_found_pass(ext, dir_of(out));
	if (err)
		ext_close_dir(&side, out);
	return err;
}
