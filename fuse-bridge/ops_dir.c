/* SPDX-License-Identifier: MIT */
/*
 * Requests about open directories.
 *
 *  (1) A listing never holds half an entry, and never leaves one out: what does
 *      not fit is asked for again by its cookie.
 *  (2) readdirplus gives the kernel one reference for each entry but "." and
 *      "..".  Those that did not fit, or whose reply did not arrive, go back.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge.h"

#define BATCH 16u

/* What FUSE adds to a name: header and padding; with attributes 128 bytes more. */
#define ENTRY_MIN      32u
#define ENTRY_PLUS_MIN 160u

struct listing {
	struct call *call;
	bool plus;
	char *bytes;
	size_t size, used;
	fuse_ino_t *given; /* references in the buffer */
	size_t n_given;
};

static int listing_init(struct listing *list, struct call *call, size_t size, bool plus)
{
	*list = (struct listing){ .call = call, .plus = plus, .size = size };
	list->bytes = size <= SCRATCH_SIZE ? bridge_scratch(call->bridge) : NULL;
	list->given = plus ? malloc((size / ENTRY_PLUS_MIN + 1) * sizeof(*list->given)) : NULL;
	if (list->bytes && (!plus || list->given))
		return 0;
	free(list->given);
	return -ENOMEM;
}

static void listing_fini(struct listing *list)
{
	free(list->given);
}

static bool is_dot(const struct libfs_dirent *dirent)
{
	return strcmp(dirent->name, ".") == 0 || strcmp(dirent->name, "..") == 0;
}

static int add_plain(struct listing *list, unsigned slot, const struct libfs_dirent *dirent)
{
	struct stat st = { .st_mode = DTTOIF(dirent->type) };
	fuse_ino_t node;
	size_t room = list->size - list->used, need;

	if (!node_encode(slot, dirent->ino, &node))
		return -EOVERFLOW;
	st.st_ino = node;
	need = fuse_add_direntry(list->call->req, list->bytes + list->used, room, dirent->name, &st,
				 (off_t)dirent->cookie);
	if (need > room)
		return -ENOBUFS;
	list->used += need;
	return 0;
}

static int add_plus(struct listing *list, unsigned slot, const struct libfs_dirent *dirent)
{
	struct fuse_entry_param entry = { .attr.st_mode = DTTOIF(dirent->type) };
	size_t room = list->size - list->used, need;
	struct call as = { .bridge = list->call->bridge, .slot = slot };
	fuse_ino_t node;

	if (!node_encode(slot, dirent->ino, &node))
		return -EOVERFLOW;
	if (is_dot(dirent))
		entry.attr.st_ino = node; /* entry.ino 0: shown, not counted */
	else if (!entry_fill(&as, &dirent->attr, &entry))
		return -EOVERFLOW;
	need = fuse_add_direntry_plus(list->call->req, list->bytes + list->used, room, dirent->name,
				      &entry, (off_t)dirent->cookie);
	if (need > room)
		return -ENOBUFS;
	list->used += need;
	if (entry.ino)
		list->given[list->n_given++] = entry.ino;
	return 0;
}

/* -ENOBUFS when it does not fit; then, as with any failure, its reference is given back (2). */
static int listing_add(struct listing *list, unsigned slot, const struct libfs_dirent *dirent)
{
	const struct bridge *bridge = list->call->bridge;
	int err;

	if (!list->plus)
		return add_plain(list, slot, dirent);
	err = add_plus(list, slot, dirent);
	if (err && !is_dot(dirent))
		libfs_forget(node_fs(bridge, slot), dirent->ino, 1);
	return err;
}

static size_t batch_size(const struct listing *list)
{
	size_t fits = (list->size - list->used) / (list->plus ? ENTRY_PLUS_MIN : ENTRY_MIN) + 1;

	return fits < BATCH ? fits : BATCH;
}

/* Fill the buffer from a LibFS; an error counts only while the buffer is empty. */
static int list_libfs(struct listing *list, uint64_t cookie)
{
	uint32_t flags = list->plus ? LIBFS_READDIR_PLUS : 0;
	struct libfs_dirent batch[BATCH];
	struct call *call = list->call;
	ssize_t n;
	int err = 0;

	while (!err) {
		do {
			n = libfs_readdir(call->fs, &call->who.libfs, call->ino, cookie, flags,
					  batch, batch_size(list));
		} while (call_again(call, n));
		if (n <= 0)
			return (int)n;
		for (ssize_t i = 0; i < n; i++) {
			if (!err)
				err = listing_add(list, call->slot, &batch[i]);
			else if (list->plus && !is_dot(&batch[i]))
				libfs_forget(call->fs, batch[i].ino, 1);
		}
		cookie = batch[n - 1].cookie;
	}
	return err;
}

/* One entry of the top directory: 0 and 1 are "." and "..", then the roots. */
static int top_entry(struct call *call, uint64_t index, bool plus, struct libfs_dirent *dirent)
{
	static const char *const dots[] = { ".", ".." };
	const struct bridge *bridge = call->bridge;
	const char *name = index < 2 ? dots[index] : bridge->roots[index - 2].name;

	*dirent = (struct libfs_dirent){
		.ino = LIBFS_ROOT_INO,
		.cookie = index + 1,
		.type = DT_DIR,
		.name_len = (uint32_t)strlen(name),
	};
	memcpy(dirent->name, name, dirent->name_len + 1);
	if (!plus || index < 2)
		return 0;
	return top_get_root(bridge, call, (unsigned)index - 1, &dirent->attr);
}

static int list_top(struct listing *list, uint64_t cookie)
{
	const struct bridge *bridge = list->call->bridge;

	for (uint64_t index = cookie; index < bridge->n_roots + 2; index++) {
		struct libfs_dirent dirent;
		unsigned slot = index < 2 ? 0 : (unsigned)index - 1;
		int err = top_entry(list->call, index, list->plus, &dirent);

		if (!err)
			err = listing_add(list, slot, &dirent);
		if (err)
			return err;
	}
	return 0;
}

static void list_directory(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, bool plus)
{
	struct listing list;
	struct call call;
	int err;

	if (!call_begin_any(&call, req, node))
		return;
	err = listing_init(&list, &call, size, plus);
	if (err) {
		reply_err(&call, err);
		return;
	}
	err = call.fs ? list_libfs(&list, (uint64_t)off) : list_top(&list, (uint64_t)off);
	if (err == -ENOBUFS && list.used == 0)
		err = -EINVAL; /* the buffer holds not even one: asked again it would never end */
	if (err && list.used == 0)
		reply_err(&call, err);
	else if (fuse_reply_buf(req, list.bytes, list.used)) {
		for (size_t i = 0; i < list.n_given; i++)
			node_forget(call.bridge, list.given[i], 1);
	}
	listing_fini(&list);
}

void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list_directory(req, node, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	(void)fi;
	list_directory(req, node, size, off, true);
}

/* Truth (6) of bridge.h; an old kernel wants an answer, and may keep what it reads. */
void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	const struct bridge *bridge = fuse_req_userdata(req);

	(void)node;
	fi->fh = 0;
	fi->keep_cache = 1;
	fi->cache_readdir = 1;
	if (bridge->no_open)
		fuse_reply_err(req, ENOSYS);
	else
		fuse_reply_open(req, fi);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t node, int data_only, struct fuse_file_info *fi)
{
	(void)fi;
	op_fsync(req, node, data_only, NULL);
}
