/* SPDX-License-Identifier: MIT */
/*
 * A side of a copy: the files of this machine, those of an image, or those of an
 * ext2, ext3 or ext4 file system in a file (side_ext.h), which is only read.
 *
 * One copier works on any two sides; that is how files go in, out and between
 * roots, and how a new root is filled.
 *
 *  (1) Files are named by an open directory and one name in it, so nothing that
 *      changes along a path meanwhile leads elsewhere.
 *  (2) No function follows a symbolic link.
 *  (3) struct libfs_attr is the neutral form of what stat says.
 *  (4) All return 0, a stated value, or -errno.
 */
#ifndef IMAGES_SIDE_H
#define IMAGES_SIDE_H

#include "image.h"
#include "xattrs.h"

struct side_dir {
	struct libfs *fs; /* image: NULL is the top, where the roots are */
	uint64_t id;      /* descriptor, or inode with a reference */
};

struct side_file {
	struct libfs *fs;
	uint64_t id;
	uint64_t handle;
};

/* A file that may get further names. */
struct side_link {
	struct side_dir dir; /* machine: where it was made; borrowed */
	char *path;          /* machine: from `dir` on */
	uint64_t ino;        /* image: with a reference */
};

struct side;

struct side_ops {
	int (*open_dir)(struct side *side, const struct side_dir *parent, const char *name,
			struct side_dir *out);
	void (*close_dir)(struct side *side, struct side_dir *dir);
	int (*list)(struct side *side, const struct side_dir *dir, struct entries *out);
	int (*look)(struct side *side, const struct side_dir *dir, const char *name,
		    struct libfs_attr *out);
	/* NUL-terminated. */
	int (*read_link)(struct side *side, const struct side_dir *dir, const char *name,
			 char target[LIBFS_SYMLINK_MAX + 1]);

	int (*open_file)(struct side *side, const struct side_dir *dir, const char *name,
			 struct side_file *out);
	/* A new file, or an old one made empty; readable by its owner only until set_attr. */
	int (*create_file)(struct side *side, const struct side_dir *dir, const char *name,
			   struct side_file *out);
	ssize_t (*read)(struct side *side, struct side_file *file, uint64_t offset, void *buffer,
			size_t len);
	ssize_t (*write)(struct side *side, struct side_file *file, uint64_t offset,
			 const void *bytes, size_t len);
	/* SEEK_DATA, SEEK_HOLE. */
	off_t (*seek)(struct side *side, struct side_file *file, uint64_t offset, int whence);
	int (*set_size)(struct side *side, struct side_file *file, uint64_t size);
	int (*close_file)(struct side *side, struct side_file *file);

	/* A directory, device, fifo or socket (by attr->mode), or a link to `target`. */
	int (*make)(struct side *side, const struct side_dir *dir, const char *name,
		    const struct libfs_attr *attr, const char *target);
	/* Owner, permission and, with LIBFS_SET_MTIME, the times. */
	int (*set_attr)(struct side *side, const struct side_dir *dir, const char *name,
			const struct libfs_attr *attr, uint32_t which);
	/* The same of an open file; images only. */
	int (*set_file_attr)(struct side *side, struct side_file *file,
			     const struct libfs_attr *attr, uint32_t which);
	/* Extended attributes: all, sorted; none where they are not known.  A link's own. */
	int (*get_xattrs)(struct side *side, const struct side_dir *dir, const char *name,
			  struct xattrs *out);
	/* -EOPNOTSUPP, -ENOSYS: such are not kept here */
	int (*set_xattr)(struct side *side, const struct side_dir *dir, const char *name,
			 const struct xattr *xattr);
	int (*remove)(struct side *side, const struct side_dir *dir, const char *name, bool is_dir);

	/* Remember a file just made, for link(). `path` leads to it from `base`. */
	int (*keep)(struct side *side, const struct side_dir *base, const char *path,
		    const struct side_dir *dir, const char *name, struct side_link *out);
	int (*link)(struct side *side, const struct side_link *old, const struct side_dir *dir,
		    const char *name);
	void (*drop)(struct side *side, struct side_link *link);
};

struct side {
	const struct side_ops *ops;
	struct image *image; /* NULL: another */
	const char *name;    /* of what its paths are in, for messages; NULL: nothing */
	void *state;         /* its own */
};

struct side side_of_machine(void);
struct side side_of_image(struct image *image);

/*
 * The directory and the name in it that a path stands for; the directory is the
 * caller's to close.  "." stands for the directory itself.  The name need not exist.
 */
int side_machine_split(const char *path, struct side_dir *dir, char name[LIBFS_NAME_MAX + 1]);
int side_image_split(struct image *image, const char *path, bool follow, struct side_dir *dir,
		     char name[LIBFS_NAME_MAX + 1]);

#endif
