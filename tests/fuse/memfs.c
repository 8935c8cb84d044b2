/* SPDX-License-Identifier: MIT */
/*
 * A LibFS in memory that counts.  One lock, no permission beyond libfs_may():
 * what is tested is the bridge.  It finds everything by hashing, so that the
 * benches can take it for a file system that costs nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memfs.h"

#define SIZE_LIMIT (80u << 20)
#define BUCKETS    65536u

struct entry {
	struct entry *next, *before; /* by rising cookie */
	struct entry *chain;
	struct file *dir, *file;
	uint64_t cookie;
	char name[LIBFS_NAME_MAX + 1];
};

struct file {
	struct file *chain;
	struct libfs_attr attr;
	uint64_t references, handles;
	bool nameless;                /* never had a name: link() may give it one */
	struct entry *entries, *last; /* of a directory */
	struct file *parent;
	char *bytes; /* of a file, target of a link */
	size_t room;
};

struct memfs {
	struct libfs base;
	pthread_mutex_t lock;
	struct file *files[BUCKETS], *root;
	struct entry *names[BUCKETS];
	uint64_t next_ino, next_cookie;
};

static struct memfs *lock_fs(struct libfs *fs)
{
	struct memfs *mem = (struct memfs *)fs;

	pthread_mutex_lock(&mem->lock);
	return mem;
}

static int unlock_fs(struct memfs *mem, int result)
{
	pthread_mutex_unlock(&mem->lock);
	return result;
}

static _Noreturn void caught(const char *what, uint64_t ino)
{
	fprintf(stderr, "memfs: %s of file %llu\n", what, (unsigned long long)ino);
	abort();
}

/* ---- files ---- */

static struct file *file_find(struct memfs *mem, libfs_ino_t ino)
{
	struct file *file = mem->files[ino % BUCKETS];

	while (file && file->attr.ino != ino)
		file = file->chain;
	return file;
}

static struct file *file_new(struct memfs *mem, const struct libfs_ctx *ctx, uint32_t mode)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->attr = (struct libfs_attr){
		.ino = ++mem->next_ino,
		.generation = 7,
		.mode = mode,
		.nlink = S_ISDIR(mode) ? 2 : 1,
		.blksize = 4096,
	};
	if (ctx)
		file->attr.atime = file->attr.mtime = file->attr.ctime = ctx->now;
	file->chain = mem->files[file->attr.ino % BUCKETS];
	mem->files[file->attr.ino % BUCKETS] = file;
	return file;
}

/* Gone for good when nobody names, references or holds it. */
static void file_drop(struct memfs *mem, struct file *file)
{
	struct file **at = &mem->files[file->attr.ino % BUCKETS];

	if (file == mem->root || file->attr.nlink || file->references || file->handles)
		return;
	while (*at != file)
		at = &(*at)->chain;
	*at = file->chain;
	free(file->bytes);
	free(file);
}

static struct entry **bucket_of(struct memfs *mem, const struct file *dir, const char *name)
{
	uint64_t hash = dir->attr.ino;

	while (*name)
		hash = (hash ^ (unsigned char)*name++) * UINT64_C(0x100000001b3);
	return &mem->names[(hash ^ hash >> 32) % BUCKETS];
}

static struct entry *entry_find(struct memfs *mem, struct file *dir, const char *name)
{
	struct entry *entry = *bucket_of(mem, dir, name);

	while (entry && (entry->dir != dir || strcmp(entry->name, name) != 0))
		entry = entry->chain;
	return entry;
}

static int entry_add(struct memfs *mem, struct file *dir, const char *name, struct file *file)
{
	struct entry *entry = calloc(1, sizeof(*entry)), **bucket = bucket_of(mem, dir, name);

	if (!entry)
		return -ENOMEM;
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->dir = dir;
	entry->file = file;
	entry->cookie = ++mem->next_cookie + 2;
	entry->chain = *bucket;
	*bucket = entry;
	entry->before = dir->last;
	*(dir->last ? &dir->last->next : &dir->entries) = entry;
	dir->last = entry;
	if (S_ISDIR(file->attr.mode)) {
		file->parent = dir;
		dir->attr.nlink++;
	}
	return 0;
}

static void entry_remove(struct memfs *mem, struct file *dir, struct entry *entry)
{
	struct entry **at = bucket_of(mem, dir, entry->name);

	while (*at != entry)
		at = &(*at)->chain;
	*at = entry->chain;
	*(entry->before ? &entry->before->next : &dir->entries) = entry->next;
	*(entry->next ? &entry->next->before : &dir->last) = entry->before;
	if (S_ISDIR(entry->file->attr.mode))
		dir->attr.nlink--;
	free(entry);
}

static int find_dir(struct memfs *mem, libfs_ino_t ino, struct file **dir)
{
	*dir = file_find(mem, ino);
	if (!*dir)
		return -ESTALE;
	return S_ISDIR((*dir)->attr.mode) ? 0 : -ENOTDIR;
}

static void give(struct file *file, struct libfs_attr *out)
{
	file->references++;
	*out = file->attr;
}

/* ---- names ---- */

static int mem_lookup(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		      const char *name, struct libfs_attr *out)
{
	struct memfs *mem = lock_fs(fs);
	struct entry *entry;
	struct file *dir;
	int err = find_dir(mem, ino, &dir);

	if (!err)
		err = libfs_may(&dir->attr, ctx->cred, LIBFS_MAY_EXEC);
	if (err)
		return unlock_fs(mem, err);
	if (strcmp(name, "..") == 0) {
		give(dir->parent ? dir->parent : dir, out);
		return unlock_fs(mem, 0);
	}
	entry = entry_find(mem, dir, name);
	if (entry)
		give(entry->file, out);
	return unlock_fs(mem, entry ? 0 : -ENOENT);
}

static void mem_forget(struct libfs *fs, libfs_ino_t ino, uint64_t count)
{
	struct memfs *mem = lock_fs(fs);
	struct file *file = file_find(mem, ino);

	if (!file || file->references < count)
		caught("more given back than was given", ino);
	file->references -= count;
	file_drop(mem, file);
	unlock_fs(mem, 0);
}

static int mem_find(struct libfs *fs, libfs_ino_t ino, uint32_t generation, struct libfs_attr *out)
{
	struct memfs *mem = lock_fs(fs);
	struct file *file = file_find(mem, ino);

	if (!file || file->attr.generation != generation)
		return unlock_fs(mem, -ESTALE);
	give(file, out);
	return unlock_fs(mem, 0);
}

static int make(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, const char *name,
		uint32_t mode, uint64_t rdev, const char *target, struct libfs_attr *out)
{
	struct memfs *mem = lock_fs(fs);
	struct file *dir, *file;
	int err = find_dir(mem, ino, &dir);

	if (!err)
		err = libfs_may(&dir->attr, ctx->cred, LIBFS_MAY_WRITE | LIBFS_MAY_EXEC);
	if (!err && entry_find(mem, dir, name))
		err = -EEXIST;
	if (err)
		return unlock_fs(mem, err);
	file = file_new(mem, ctx, S_ISLNK(mode) ? mode : mode & ~ctx->umask);
	if (!file || entry_add(mem, dir, name, file))
		abort();
	file->attr.rdev = rdev;
	memcpy(&file->attr.uid, ctx->cred, 2 * sizeof(uint32_t)); /* uid, gid lead a xn_cred */
	if (target) {
		file->bytes = strdup(target);
		file->attr.size = strlen(target);
	}
	dir->attr.mtime = dir->attr.ctime = ctx->now;
	give(file, out);
	return unlock_fs(mem, 0);
}

static int mem_create(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		      const char *name, uint32_t mode, bool exclusive, struct libfs_attr *out)
{
	int err = make(fs, ctx, dir, name, S_IFREG | (mode & 07777), 0, NULL, out);

	return err == -EEXIST && !exclusive ? mem_lookup(fs, ctx, dir, name, out) : err;
}

static int mem_mkdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		     const char *name, uint32_t mode, struct libfs_attr *out)
{
	return make(fs, ctx, dir, name, S_IFDIR | (mode & 07777), 0, NULL, out);
}

static int mem_mknod(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		     const char *name, uint32_t mode, uint64_t rdev, struct libfs_attr *out)
{
	return make(fs, ctx, dir, name, mode, rdev, NULL, out);
}

static int mem_symlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		       const char *name, const char *target, struct libfs_attr *out)
{
	return make(fs, ctx, dir, name, S_IFLNK | 0777, 0, target, out);
}

static int mem_link(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		    libfs_ino_t dir_ino, const char *name, struct libfs_attr *out)
{
	struct memfs *mem = lock_fs(fs);
	struct file *dir, *file = file_find(mem, ino);
	int err = find_dir(mem, dir_ino, &dir);

	(void)ctx;
	if (!err && (!file || (file->attr.nlink == 0 && !file->nameless)))
		err = -ENOENT;
	if (!err && entry_find(mem, dir, name))
		err = -EEXIST;
	if (!err)
		err = entry_add(mem, dir, name, file);
	if (err)
		return unlock_fs(mem, err);
	file->attr.nlink++;
	file->nameless = false;
	give(file, out);
	return unlock_fs(mem, 0);
}

static int take_out(struct libfs *fs, libfs_ino_t ino, const char *name, bool want_dir)
{
	struct memfs *mem = lock_fs(fs);
	struct entry *entry;
	struct file *dir, *file;
	int err = find_dir(mem, ino, &dir);

	if (err)
		return unlock_fs(mem, err);
	entry = entry_find(mem, dir, name);
	if (!entry)
		return unlock_fs(mem, -ENOENT);
	file = entry->file;
	if (want_dir != !!S_ISDIR(file->attr.mode))
		return unlock_fs(mem, want_dir ? -ENOTDIR : -EISDIR);
	if (file->entries)
		return unlock_fs(mem, -ENOTEMPTY);
	entry_remove(mem, dir, entry);
	file->attr.nlink -= want_dir ? 2 : 1;
	file_drop(mem, file);
	return unlock_fs(mem, 0);
}

static int mem_unlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		      const char *name)
{
	(void)ctx;
	return take_out(fs, dir, name, false);
}

static int mem_rmdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t dir,
		     const char *name)
{
	(void)ctx;
	return take_out(fs, dir, name, true);
}

/* Enough of it for the bridge: a victim is simply removed, empty or not asked. */
static int mem_rename(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t from_ino,
		      const char *from, libfs_ino_t to_ino, const char *to, uint32_t flags)
{
	struct memfs *mem = lock_fs(fs);
	struct entry *entry, *victim;
	struct file *from_dir, *to_dir, *file, *dead = NULL;
	int err = find_dir(mem, from_ino, &from_dir);

	(void)ctx;
	if (!err)
		err = find_dir(mem, to_ino, &to_dir);
	if (err)
		return unlock_fs(mem, err);
	entry = entry_find(mem, from_dir, from);
	victim = entry_find(mem, to_dir, to);
	if (!entry || flags & ~LIBFS_RENAME_NOREPLACE)
		return unlock_fs(mem, entry ? -EINVAL : -ENOENT);
	if (victim && flags & LIBFS_RENAME_NOREPLACE)
		return unlock_fs(mem, -EEXIST);
	if (victim == entry)
		return unlock_fs(mem, 0);
	file = entry->file;
	if (victim) {
		dead = victim->file;
		dead->attr.nlink -= S_ISDIR(dead->attr.mode) ? 2 : 1;
		entry_remove(mem, to_dir, victim);
	}
	entry_remove(mem, from_dir, entry);
	if (entry_add(mem, to_dir, to, file))
		abort();
	if (dead)
		file_drop(mem, dead);
	return unlock_fs(mem, 0);
}

static ssize_t mem_readlink(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			    char *target, size_t size)
{
	struct memfs *mem = lock_fs(fs);
	struct file *file = file_find(mem, ino);
	size_t len;

	(void)ctx;
	if (!file || !S_ISLNK(file->attr.mode))
		return unlock_fs(mem, -EINVAL);
	len = file->attr.size < size ? file->attr.size : size;
	memcpy(target, file->bytes, len);
	return unlock_fs(mem, (int)len);
}

static void dirent_fill(struct libfs_dirent *out, struct file *file, const char *name,
			uint64_t cookie, bool plus)
{
	out->ino = file->attr.ino;
	out->cookie = cookie;
	out->type = IFTODT(file->attr.mode);
	out->name_len = (uint32_t)strlen(name);
	memcpy(out->name, name, out->name_len + 1);
	if (plus)
		give(file, &out->attr);
}

static ssize_t mem_readdir(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			   uint64_t cookie, uint32_t flags, struct libfs_dirent *out, size_t max)
{
	struct memfs *mem = lock_fs(fs);
	struct file *dir;
	size_t n = 0;
	int err = find_dir(mem, ino, &dir);

	(void)ctx;
	if (err)
		return unlock_fs(mem, err);
	if (cookie < 1 && n < max)
		dirent_fill(&out[n++], dir, ".", 1, false);
	if (cookie < 2 && n < max)
		dirent_fill(&out[n++], dir->parent ? dir->parent : dir, "..", 2, false);
	for (struct entry *entry = dir->entries; entry && n < max; entry = entry->next) {
		if (entry->cookie > cookie)
			dirent_fill(&out[n++], entry->file, entry->name, entry->cookie,
				    flags & LIBFS_READDIR_PLUS);
	}
	return unlock_fs(mem, (int)n);
}

/* ---- attributes ---- */

static int mem_getattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       struct libfs_attr *out)
{
	struct memfs *mem = lock_fs(fs);
	struct file *file = file_find(mem, ino);

	(void)ctx;
	if (file)
		*out = file->attr;
	return unlock_fs(mem, file ? 0 : -ESTALE);
}

static void resize(struct file *file, uint64_t size)
{
	if (size > file->room) {
		file->bytes = realloc(file->bytes, size);
		if (!file->bytes)
			abort();
		file->room = size;
	}
	if (size > file->attr.size)
		memset(file->bytes + file->attr.size, 0, size - file->attr.size);
	file->attr.size = size;
	file->attr.blocks = (size + 4095) / 4096 * 8;
}

static int mem_setattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       const struct libfs_attr *asked, uint32_t which, struct libfs_attr *out)
{
	struct memfs *mem = lock_fs(fs);
	struct file *file = file_find(mem, ino);
	struct libfs_attr attr = *asked;
	int err;

	if (!file)
		return unlock_fs(mem, -ESTALE);
	err = libfs_setattr_prepare(&file->attr, ctx, &attr, &which);
	if (err)
		return unlock_fs(mem, err);
	if (which & LIBFS_SET_SIZE && attr.size > SIZE_LIMIT)
		return unlock_fs(mem, -EFBIG);
	if (which & LIBFS_SET_SIZE)
		resize(file, attr.size);
	if (which & LIBFS_SET_MODE)
		file->attr.mode = (file->attr.mode & S_IFMT) | (attr.mode & 07777);
	if (which & LIBFS_SET_UID)
		file->attr.uid = attr.uid;
	if (which & LIBFS_SET_GID)
		file->attr.gid = attr.gid;
	if (which & (LIBFS_SET_ATIME | LIBFS_SET_ATIME_NOW))
		file->attr.atime = which & LIBFS_SET_ATIME ? attr.atime : ctx->now;
	if (which & (LIBFS_SET_MTIME | LIBFS_SET_MTIME_NOW))
		file->attr.mtime = which & LIBFS_SET_MTIME ? attr.mtime : ctx->now;
	file->attr.ctime = which & LIBFS_SET_CTIME ? attr.ctime : ctx->now;
	*out = file->attr;
	return unlock_fs(mem, 0);
}

/* ---- open files ---- */

static int mem_open(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino, uint32_t flags,
		    uint64_t *handle)
{
	static const uint32_t mask[] = { LIBFS_MAY_READ, LIBFS_MAY_WRITE,
					 LIBFS_MAY_READ | LIBFS_MAY_WRITE, 0 };
	struct memfs *mem = lock_fs(fs);
	struct file *file = file_find(mem, ino);
	int err = file ? libfs_may(&file->attr, ctx->cred, mask[flags & O_ACCMODE]) : -ESTALE;

	if (!err) {
		file->handles++;
		*handle = ino * 3;
	}
	return unlock_fs(mem, err);
}

static void mem_release(struct libfs *fs, libfs_ino_t ino, uint64_t handle)
{
	struct memfs *mem = lock_fs(fs);
	struct file *file = file_find(mem, ino);

	if (!file || file->handles == 0 || handle != ino * 3)
		caught("handle closed that was not open", ino);
	file->handles--;
	file_drop(mem, file);
	unlock_fs(mem, 0);
}

static bool may_use(const struct file *file, uint64_t handle)
{
	if (handle == LIBFS_NO_HANDLE)
		return file->references > 0;
	return file->handles > 0 && handle == file->attr.ino * 3;
}

static ssize_t mem_read(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			uint64_t handle, uint64_t offset, void *buffer, size_t len)
{
	struct memfs *mem = lock_fs(fs);
	struct file *file = file_find(mem, ino);

	(void)ctx;
	if (!file || !may_use(file, handle))
		caught("read by one who neither holds a reference nor has opened it", ino);
	if (offset >= file->attr.size)
		return unlock_fs(mem, 0);
	if (len > file->attr.size - offset)
		len = file->attr.size - offset;
	memcpy(buffer, file->bytes + offset, len);
	return unlock_fs(mem, (int)len);
}

static ssize_t mem_write(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			 uint64_t handle, uint64_t offset, const void *bytes, size_t len)
{
	struct memfs *mem = lock_fs(fs);
	struct file *file = file_find(mem, ino);

	if (!file || !may_use(file, handle))
		caught("write by one who neither holds a reference nor has opened it", ino);
	if (offset + len > SIZE_LIMIT)
		return unlock_fs(mem, -EFBIG);
	if (offset + len > file->attr.size)
		resize(file, offset + len);
	memcpy(file->bytes + offset, bytes, len);
	file->attr.mtime = file->attr.ctime = ctx->now;
	return unlock_fs(mem, (int)len);
}

/* None, but it might have: the kernel asks it as it asks any other. */
static ssize_t mem_getxattr(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
			    const char *name, void *value, size_t size)
{
	(void)fs, (void)ctx, (void)ino, (void)name, (void)value, (void)size;
	return -ENODATA;
}

static int mem_tmpfile(struct libfs *fs, const struct libfs_ctx *ctx, libfs_ino_t ino,
		       uint32_t mode, struct libfs_attr *out)
{
	struct memfs *mem = lock_fs(fs);
	struct file *dir, *file = NULL;
	int err = find_dir(mem, ino, &dir);

	if (!err)
		file = file_new(mem, ctx, S_IFREG | (mode & 07777 & ~ctx->umask));
	if (!err && !file)
		err = -ENOMEM;
	if (!err) {
		file->attr.nlink = 0;
		file->nameless = true;
		give(file, out);
	}
	return unlock_fs(mem, err);
}

static int mem_fsync(struct libfs *fs, libfs_ino_t ino, bool data_only)
{
	(void)fs, (void)ino, (void)data_only;
	return 0;
}

static int mem_sync(struct libfs *fs)
{
	(void)fs;
	return 0;
}

/* The books can be read through a mount: files, references out, handles open. */
static int mem_statfs(struct libfs *fs, struct libfs_statfs *out)
{
	struct memfs_books books;

	memfs_books(fs, &books);
	*out = (struct libfs_statfs){
		.block_size = 4096,
		.blocks = UINT32_MAX,
		.blocks_free = books.handles,
		.files = books.files,
		.files_free = books.references,
		.name_max = LIBFS_NAME_MAX,
	};
	return 0;
}

static int mem_unmount(struct libfs *fs)
{
	memfs_destroy(fs);
	return 0;
}

static const struct libfs_ops mem_ops = {
	.unmount = mem_unmount,
	.lookup = mem_lookup,
	.forget = mem_forget,
	.find = mem_find,
	.getattr = mem_getattr,
	.setattr = mem_setattr,
	.create = mem_create,
	.mkdir = mem_mkdir,
	.mknod = mem_mknod,
	.symlink = mem_symlink,
	.link = mem_link,
	.unlink = mem_unlink,
	.rmdir = mem_rmdir,
	.rename = mem_rename,
	.readlink = mem_readlink,
	.readdir = mem_readdir,
	.open = mem_open,
	.release = mem_release,
	.read = mem_read,
	.write = mem_write,
	.fsync = mem_fsync,
	.sync = mem_sync,
	.statfs = mem_statfs,
	.getxattr = mem_getxattr,
	.tmpfile = mem_tmpfile,
};

const struct libfs_type memfs_type = {
	.name = "memfs",
	.about = "files in memory, with exact books",
	.version = 1,
	.ops = &mem_ops,
};

int memfs_create(struct libfs **out)
{
	struct memfs *mem = calloc(1, sizeof(*mem));

	if (!mem)
		return -ENOMEM;
	mem->base.type = &memfs_type;
	pthread_mutex_init(&mem->lock, NULL);
	mem->root = file_new(mem, NULL, S_IFDIR | 0755);
	*out = &mem->base;
	return mem->root ? 0 : -ENOMEM;
}

static void files_free(struct file *file)
{
	while (file) {
		struct file *chain = file->chain;

		while (file->entries) {
			struct entry *entry = file->entries;

			file->entries = entry->next;
			free(entry);
		}
		free(file->bytes);
		free(file);
		file = chain;
	}
}

void memfs_destroy(struct libfs *fs)
{
	struct memfs *mem = (struct memfs *)fs;

	for (unsigned i = 0; i < BUCKETS; i++)
		files_free(mem->files[i]);
	pthread_mutex_destroy(&mem->lock);
	free(mem);
}

void memfs_books(struct libfs *fs, struct memfs_books *books)
{
	struct memfs *mem = lock_fs(fs);

	*books = (struct memfs_books){ 0 };
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct file *file = mem->files[i]; file; file = file->chain) {
			books->files++;
			books->handles += file->handles;
			books->references += file == mem->root ? 0 : file->references;
		}
	}
	unlock_fs(mem, 0);
}
