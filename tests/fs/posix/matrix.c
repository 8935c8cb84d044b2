/* SPDX-License-Identifier: MIT */
/*
 * The errors that every call with a path shares, asked of every such call: one
 * test for each pair.
 */
#include "px.h"

enum {
	FOLLOWS = 1, /* a symlink at the end is followed */
	MAKES = 2,   /* makes a name, which must not be there */
	CHANGES = 4, /* changes something: not on a read-only mount */
	WRITES = 8,  /* changes the directory of the name */
	XATTR = 16,
};

struct call {
	const char *name;
	int64_t (*ask)(struct px *p, const char *path);
	unsigned is;
};

#define CALL(id, expression)                              \
	static int64_t id(struct px *p, const char *path) \
	{                                                 \
		return expression;                        \
	}

static int64_t open_and_close(struct px *p, const char *path, int flags)
{
	int fd = px_open(p, path, flags, 0644);

	return fd < 0 ? fd : px_close(p, fd);
}

static int64_t list(struct px *p, const char *path)
{
	struct px_dir *dir;
	int err = px_opendir(p, path, &dir);

	if (!err)
		px_closedir(p, dir);
	return err;
}

static int64_t look(struct px *p, const char *path)
{
	struct stat st;

	return px_stat(p, path, &st);
}

static int64_t llook(struct px *p, const char *path)
{
	struct stat st;

	return px_lstat(p, path, &st);
}

static int64_t space(struct px *p, const char *path)
{
	struct statvfs st;

	return px_statvfs(p, path, &st);
}

static int64_t target(struct px *p, const char *path)
{
	char bytes[64];

	return px_readlink(p, path, bytes, sizeof(bytes));
}

static int64_t get_attribute(struct px *p, const char *path)
{
	char bytes[64];

	return px_getxattr(p, path, "user.x", bytes, sizeof(bytes));
}

CALL(open_read, open_and_close(p, path, O_RDONLY))
CALL(open_write, open_and_close(p, path, O_WRONLY))
CALL(open_create, open_and_close(p, path, O_WRONLY | O_CREAT | O_EXCL))
CALL(reach, px_access(p, path, F_OK))
CALL(mode, px_chmod(p, path, 0644))
CALL(give, px_chown(p, path, 0, 0))
CALL(lgive, px_lchown(p, path, 0, 0))
CALL(cut, px_truncate(p, path, 3))
CALL(touch, px_utimens(p, path, NULL))
CALL(ltouch, px_lutimens(p, path, NULL))
CALL(make_dir, px_mkdir(p, path, 0755))
CALL(make_fifo, px_mknod(p, path, S_IFIFO | 0644, 0))
CALL(make_file, px_mknod(p, path, S_IFREG | 0644, 0))
CALL(make_symlink, px_symlink(p, "target", path))
CALL(link_from, px_link(p, path, "there"))
CALL(link_to, px_link(p, "here", path))
CALL(remove_file, px_unlink(p, path))
CALL(remove_dir, px_rmdir(p, path))
CALL(rename_from, px_rename(p, path, "there"))
CALL(rename_to, px_rename(p, "here", path))
CALL(list_attributes, px_listxattr(p, path, NULL, 0))
CALL(set_attribute, px_setxattr(p, path, "user.x", "1", 1, 0))
CALL(remove_attribute, px_removexattr(p, path, "user.x"))

static const struct call calls[] = {
	{ "open", open_read, FOLLOWS },
	{ "open for writing", open_write, FOLLOWS | CHANGES },
	{ "open O_CREAT", open_create, MAKES | CHANGES | WRITES },
	{ "opendir", list, FOLLOWS },
	{ "stat", look, FOLLOWS },
	{ "lstat", llook, 0 },
	{ "statvfs", space, FOLLOWS },
	{ "access", reach, FOLLOWS },
	{ "chmod", mode, FOLLOWS | CHANGES },
	{ "chown", give, FOLLOWS | CHANGES },
	{ "lchown", lgive, CHANGES },
	{ "truncate", cut, FOLLOWS | CHANGES },
	{ "utimensat", touch, FOLLOWS | CHANGES },
	{ "utimensat NOFOLLOW", ltouch, CHANGES },
	{ "mkdir", make_dir, MAKES | CHANGES | WRITES },
	{ "mkfifo", make_fifo, MAKES | CHANGES | WRITES },
	{ "mknod", make_file, MAKES | CHANGES | WRITES },
	{ "symlink", make_symlink, MAKES | CHANGES | WRITES },
	{ "readlink", target, 0 },
	{ "link from", link_from, CHANGES },
	{ "link to", link_to, MAKES | CHANGES | WRITES },
	{ "unlink", remove_file, CHANGES | WRITES },
	{ "rmdir", remove_dir, CHANGES | WRITES },
	{ "rename from", rename_from, CHANGES | WRITES },
	{ "rename to", rename_to, CHANGES | WRITES },
	{ "getxattr", get_attribute, FOLLOWS | XATTR },
	{ "listxattr", list_attributes, FOLLOWS | XATTR },
	{ "setxattr", set_attribute, FOLLOWS | CHANGES | XATTR },
	{ "removexattr", remove_attribute, FOLLOWS | CHANGES | XATTR },
};

/* `rename to` makes or replaces: for it a name that is missing is fine. */
static bool wants_it_there(const struct call *call)
{
	return !(call->is & MAKES) && call->ask != rename_to;
}

/* ---- the sentences ---- */

static void component_is_a_file(struct px *p, const struct call *call)
{
	px_file(p, "here", "", 0644);
	px_file(p, "file", "", 0644);
	refused(call->ask(p, "file/below"), ENOTDIR);
	refused(call->ask(p, "file/below/it"), ENOTDIR);
	px_make(p, "fifo", "fifo");
	refused(call->ask(p, "fifo/below"), ENOTDIR);
}

static void component_is_missing(struct px *p, const struct call *call)
{
	px_file(p, "here", "", 0644);
	refused(call->ask(p, "missing/below"), ENOENT);
	works(px_symlink(p, "missing", "dangling"));
	refused(call->ask(p, "dangling/below"), ENOENT);
}

static void nothing_is_named(struct px *p, const struct call *call)
{
	px_file(p, "here", "", 0644);
	refused(call->ask(p, ""), ENOENT);
}

static void name_is_missing(struct px *p, const struct call *call)
{
	if (!wants_it_there(call))
		return;
	refused(call->ask(p, "missing"), ENOENT);
	works(px_mkdir(p, "dir", 0755));
	refused(call->ask(p, "dir/missing"), ENOENT);
	if (!(call->is & FOLLOWS))
		return;
	works(px_symlink(p, "missing", "dangling"));
	refused(call->ask(p, "dangling"), ENOENT);
}

static void name_has_256_bytes(struct px *p, const struct call *call)
{
	char name[300], path[320];

	px_file(p, "here", "", 0644);
	refused(call->ask(p, px_long(name, 256, 'n')), ENAMETOOLONG);
	snprintf(path, sizeof(path), "%s/below", name);
	refused(call->ask(p, path), ENAMETOOLONG);
	px_holds(p, "here", "");
}

/* What the call is about, so that it works; false when there is none. */
static bool prepare(struct px *p, const struct call *call, const char *path)
{
	if (!wants_it_there(call))
		return true;
	if (call->ask == list || call->ask == remove_dir)
		works(px_mkdir(p, path, 0755));
	else if (call->ask == target)
		works(px_symlink(p, "target", path));
	else
		px_file(p, path, "content", 0644);
	if (!(call->is & XATTR))
		return true;
	if (!px_can(p, PX_XATTR))
		return false;
	works(px_setxattr(p, path, "user.x", "1", 1, 0));
	return true;
}

static void name_has_255_bytes(struct px *p, const struct call *call)
{
	char name[300];

	px_file(p, "here", "", 0644);
	if (prepare(p, call, px_long(name, 255, 'n')))
		works(call->ask(p, name));
}

/* "d/../d/../.../name" of exactly so many bytes. */
static const char *long_path(char *path, size_t len, const char *name)
{
	size_t at = 0, rest = strlen(name);

	while (len - at - rest >= 5) {
		memcpy(path + at, "d/../", 5);
		at += 5;
	}
	while (at + rest < len)
		path[at] = at ? '/' : '.', at++;
	memcpy(path + at, name, rest + 1);
	return path;
}

static void path_has_4095_bytes(struct px *p, const struct call *call)
{
	char path[5000];

	px_file(p, "here", "", 0644);
	works(px_mkdir(p, "d", 0755));
	if (prepare(p, call, "it"))
		works(call->ask(p, long_path(path, 4095, "it")));
	refused(call->ask(p, long_path(path, 4096, "it")), ENAMETOOLONG);
}

static void symlinks_go_in_circles(struct px *p, const struct call *call)
{
	px_file(p, "here", "", 0644);
	works(px_symlink(p, "b", "a"));
	works(px_symlink(p, "a", "b"));
	refused(call->ask(p, "a/below"), ELOOP);
	if (call->is & FOLLOWS)
		refused(call->ask(p, "b"), ELOOP);
}

static void a_directory_may_not_be_searched(struct px *p, const struct call *call)
{
	px_file_for(p, "here", STRANGER, ELSEWISE, 0644);
	px_dir_for(p, "closed", OWNER, GROUP, 0777);
	works(px_mkdir(p, "closed/open", 0777));
	works(px_chmod(p, "closed/open", 0777));
	if (wants_it_there(call))
		prepare(p, call, "closed/open/it");
	works(px_chmod(p, "closed", 0776));
	px_as(p, STRANGER, ELSEWISE);
	refused(call->ask(p, "closed/open/it"), EACCES);
	refused(call->ask(p, "closed/it"), EACCES);
	px_as_root(p);
	if (!(call->is & XATTR) || px_can(p, PX_XATTR))
		works(call->ask(p, "closed/open/it"));
}

static void the_directory_may_not_be_written(struct px *p, const struct call *call)
{
	if (!(call->is & WRITES))
		return;
	px_file_for(p, "here", STRANGER, ELSEWISE, 0644);
	px_dir_for(p, "fixed", OWNER, GROUP, 0775);
	prepare(p, call, "fixed/it");
	if (call->ask == rename_to) /* also over something */
		px_file_for(p, "fixed/it", STRANGER, ELSEWISE, 0644);
	px_as(p, STRANGER, ELSEWISE);
	refused(call->ask(p, "fixed/it"), EACCES);
	px_as(p, MEMBER, GROUP);
	if (call->ask == link_to) /* hard links to others' files: the kernel may be stricter */
		px_as_root(p);
	works(call->ask(p, "fixed/it"));
}

static void the_name_exists(struct px *p, const struct call *call)
{
	if (!(call->is & MAKES))
		return;
	px_file(p, "here", "", 0644);
	for (const char *const *type = px_types; *type; type++) {
		px_make(p, *type, *type);
		refused(call->ask(p, *type), EEXIST);
	}
	refused(call->ask(p, "."), EEXIST);
	refused(call->ask(p, "dir/.."), EEXIST);
}

static void nothing_changes_read_only(struct px *p, const struct call *call)
{
	struct stat before, after;

	if (!(call->is & CHANGES))
		return;
	px_file(p, "here", "", 0644);
	if (!prepare(p, call, "it"))
		return;
	before = px_status(p, "here");
	px_readonly(p, true);
	refused(call->ask(p, "it"), EROFS);
	after = px_status(p, "here");
	assert_int_equal(px_moved(&before, &after), 0);
	px_readonly(p, false);
	works(call->ask(p, "it"));
}

static const struct {
	const char *says;
	void (*ask)(struct px *p, const struct call *call);
	unsigned only; /* for calls that are one of these */
} sentences[] = {
	{ "a component is no directory: ENOTDIR", component_is_a_file, 0 },
	{ "a component is missing: ENOENT", component_is_missing, 0 },
	{ "the path is empty: ENOENT", nothing_is_named, 0 },
	{ "the name is missing: ENOENT", name_is_missing, 0 },
	{ "a name of 256 bytes: ENAMETOOLONG", name_has_256_bytes, 0 },
	{ "a name of 255 bytes works", name_has_255_bytes, 0 },
	{ "a path of 4095 bytes works, 4096 do not", path_has_4095_bytes, 0 },
	{ "symlinks in circles: ELOOP", symlinks_go_in_circles, 0 },
	{ "no right to search: EACCES", a_directory_may_not_be_searched, 0 },
	{ "no right to write the directory: EACCES", the_directory_may_not_be_written, WRITES },
	{ "the name exists: EEXIST", the_name_exists, MAKES },
	{ "read-only: EROFS", nothing_changes_read_only, CHANGES },
};

struct pair {
	const struct call *call;
	void (*ask)(struct px *p, const struct call *call);
};

#define N_CALLS     (sizeof(calls) / sizeof(calls[0]))
#define N_SENTENCES (sizeof(sentences) / sizeof(sentences[0]))

static void run_pair(struct px *p, const void *index)
{
	size_t i = (size_t)index;

	sentences[i % N_SENTENCES].ask(p, &calls[i / N_SENTENCES]);
}

size_t px_matrix(struct px_matrix *out, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < N_CALLS * N_SENTENCES && n < max; i++) {
		const struct call *call = &calls[i / N_SENTENCES];
		unsigned only = sentences[i % N_SENTENCES].only;

		if (only && !(call->is & only))
			continue;
		if (sentences[i % N_SENTENCES].ask == name_is_missing && !wants_it_there(call))
			continue;
		out[n] = (struct px_matrix){ .run = run_pair, .call = (const void *)i };
		snprintf(out[n++].name, sizeof(out->name), "%s: %s", call->name,
			 sentences[i % N_SENTENCES].says);
	}
	return n;
}
