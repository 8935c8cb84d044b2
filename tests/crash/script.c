/* SPDX-License-Identifier: MIT */
#include "script.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "slate.h"
#include "xn/bdev.h"

#define WORDS_MAX 6
#define BYTES_MAX (16u << 20) /* of a file: they are kept in memory, by version */

/* A path, taken apart. */
struct place {
	struct script_root *root;
	const char *path, *name;
	uint32_t node, dir; /* of the model */
	libfs_ino_t ino, dir_ino;
};

struct op {
	struct script *script;
	struct libfs_user user;
	char *word[WORDS_MAX];
	unsigned n;
	bool imagined; /* only the model sees it */
	struct place a, b;
};

static const struct libfs_ctx *ctx(struct op *op)
{
	return user_at(&op->user, op->script->op);
}

static uint64_t number(const struct op *op, unsigned i)
{
	return strtoull(op->word[i], NULL, 0);
}

/* ---- paths ---- */

/* Walk to the directory of the path; its number stays referenced. */
static int walk(struct op *op, struct place *place)
{
	struct libfs *fs = place->root->fs;
	libfs_ino_t ino = LIBFS_ROOT_INO;
	const char *at = place->path, *slash;

	while ((slash = strchr(at, '/'))) {
		struct libfs_attr attr;
		char word[LIBFS_NAME_MAX + 1];
		int err;

		snprintf(word, sizeof(word), "%.*s", (int)(slash - at), at);
		err = libfs_lookup(fs, ctx(op), ino, word, &attr);
		if (ino != LIBFS_ROOT_INO)
			libfs_forget(fs, ino, 1);
		if (err)
			return err;
		ino = attr.ino;
		at = slash + 1;
	}
	place->dir_ino = ino;
	return 0;
}

/* Find what a word names; it need not exist. */
static int place_get(struct op *op, const char *word, struct place *place)
{
	struct script *script = op->script;
	struct libfs_attr attr;
	int err;

	memset(place, 0, sizeof(*place));
	place->root = &script->root[0];
	place->node = MODEL_NONE;
	if (strncmp(word, "b:", 2) == 0) {
		if (script->n_roots < 2)
			return -EINVAL;
		place->root = &script->root[1];
		word += 2;
	}
	place->path = word;
	if (strcmp(word, "@") == 0) {
		place->root = &script->root[script->held_root];
		place->node = script->held_node;
		place->ino = script->held;
		return script->held ? 0 : -EBADF;
	}
	if (strcmp(word, "/") == 0) {
		place->node = 0;
		place->ino = LIBFS_ROOT_INO;
		return 0;
	}
	place->dir = model_parent(place->root->model, word, &place->name);
	if (op->imagined) {
		place->node = model_lookup(place->root->model, place->dir, place->name);
		return 0;
	}
	err = walk(op, place);
	if (err)
		return err;
	place->node = model_lookup(place->root->model, place->dir, place->name);
	err = libfs_lookup(place->root->fs, ctx(op), place->dir_ino, place->name, &attr);
	if (err == 0)
		place->ino = attr.ino;
	else if (err != -ENOENT)
		return err;
	return (err == 0) == (place->node != MODEL_NONE) ? 0 : -EBADMSG;
}

static void place_put(struct op *op, struct place *place)
{
	if (!place->root || !place->root->fs || !place->path || strcmp(place->path, "@") == 0 ||
	    op->script->closed)
		return;
	if (place->ino && place->ino != LIBFS_ROOT_INO)
		libfs_forget(place->root->fs, place->ino, 1);
	if (place->dir_ino && place->dir_ino != LIBFS_ROOT_INO)
		libfs_forget(place->root->fs, place->dir_ino, 1);
}

/* ---- operations on names ---- */

/* A new node has got its first name. */
static void made(struct op *op, const struct libfs_attr *attr, const char *target)
{
	struct place *p = target ? &op->b : &op->a;

	model_name(p->root->model, p->dir, p->name, model_make(p->root->model, attr, target));
	libfs_forget(p->root->fs, attr->ino, 1);
}

static int op_creat(struct op *op)
{
	struct libfs_attr attr;
	int err =
		libfs_create(op->a.root->fs, ctx(op), op->a.dir_ino, op->a.name, 0644, true, &attr);

	if (!err)
		made(op, &attr, NULL);
	return err;
}

static int op_mkdir(struct op *op)
{
	struct libfs_attr attr;
	int err = libfs_mkdir(op->a.root->fs, ctx(op), op->a.dir_ino, op->a.name, 0755, &attr);

	if (!err)
		made(op, &attr, NULL);
	return err;
}

static int op_mknod(struct op *op)
{
	struct libfs_attr attr;
	int err = libfs_mknod(op->a.root->fs, ctx(op), op->a.dir_ino, op->a.name, S_IFIFO | 0600, 0,
			      &attr);

	if (!err)
		made(op, &attr, NULL);
	return err;
}

static int op_symlink(struct op *op)
{
	struct libfs_attr attr;
	int err = libfs_symlink(op->b.root->fs, ctx(op), op->b.dir_ino, op->b.name, op->word[1],
				&attr);

	if (!err)
		made(op, &attr, op->word[1]);
	return err;
}

static int op_link(struct op *op)
{
	struct libfs_attr attr;
	int err = op->imagined ? 0
			       : libfs_link(op->a.root->fs, ctx(op), op->a.ino, op->b.dir_ino,
					    op->b.name, &attr);

	if (err)
		return err;
	if (!op->imagined)
		libfs_forget(op->a.root->fs, attr.ino, 1);
	model_name(op->a.root->model, op->b.dir, op->b.name, op->a.node);
	return 0;
}

static int op_unlink(struct op *op)
{
	int err =
		op->imagined ? 0 : libfs_unlink(op->a.root->fs, ctx(op), op->a.dir_ino, op->a.name);

	if (!err)
		model_name(op->a.root->model, op->a.dir, op->a.name, MODEL_NONE);
	return err;
}

static int op_rmdir(struct op *op)
{
	int err =
		op->imagined ? 0 : libfs_rmdir(op->a.root->fs, ctx(op), op->a.dir_ino, op->a.name);

	if (!err)
		model_name(op->a.root->model, op->a.dir, op->a.name, MODEL_NONE);
	return err;
}

static int op_rename(struct op *op)
{
	int err = op->imagined ? 0
			       : libfs_rename(op->a.root->fs, ctx(op), op->a.dir_ino, op->a.name,
					      op->b.dir_ino, op->b.name, 0);

	if (err || op->a.node == op->b.node)
		return err;
	model_name(op->a.root->model, op->b.dir, op->b.name, op->a.node);
	model_name(op->a.root->model, op->a.dir, op->a.name, MODEL_NONE);
	return 0;
}

/* ---- operations on bytes and attributes ---- */

static int write_at(struct op *op, uint64_t off, uint64_t len)
{
	/* What is imagined is what the operation before wrote. */
	unsigned seed = op->script->op - (op->imagined ? 1 : 0);
	uint64_t size = model_size(op->a.root->model, op->a.node);
	uint8_t *bytes;
	ssize_t n;

	if (off > BYTES_MAX || len > BYTES_MAX - off)
		return -EFBIG;
	bytes = malloc(len + 8);
	if (!bytes)
		return -ENOMEM;
	for (uint64_t i = 0; i < len; i += 8) {
		uint64_t word = hash_bytes(seed, &i, sizeof(i));

		memcpy(bytes + i, &word, sizeof(word));
	}
	n = op->imagined ? (ssize_t)len
			 : libfs_write(op->a.root->fs, ctx(op), op->a.ino, 0, off, bytes, len);
	if (n == (ssize_t)len)
		model_write(op->a.root->model, op->a.node, off, bytes, len,
			    off + len > size ? off + len : size);
	free(bytes);
	return n < 0 ? (int)n : (uint64_t)n == len ? 0 : -EIO;
}

static int op_write(struct op *op)
{
	return write_at(op, number(op, 2), number(op, 3));
}

static int op_append(struct op *op)
{
	return write_at(op, model_size(op->a.root->model, op->a.node), number(op, 2));
}

static int op_trunc(struct op *op)
{
	struct libfs_attr attr = { .size = number(op, 2) };
	int err = attr.size > BYTES_MAX ? -EFBIG : 0;

	if (!err && !op->imagined)
		err = libfs_setattr(op->a.root->fs, ctx(op), op->a.ino, &attr, LIBFS_SET_SIZE,
				    NULL);

	if (!err)
		model_write(op->a.root->model, op->a.node, 0, NULL, 0, number(op, 2));
	return err;
}

static int op_chmod(struct op *op)
{
	uint32_t mode = (uint32_t)strtoul(op->word[2], NULL, 8);
	struct libfs_attr attr = { .mode = mode };
	int err = op->imagined ? 0
			       : libfs_setattr(op->a.root->fs, ctx(op), op->a.ino, &attr,
					       LIBFS_SET_MODE, NULL);

	if (!err)
		model_mode_set(op->a.root->model, op->a.node, mode);
	return err;
}

static int op_falloc(struct op *op)
{
	static const struct {
		const char *word;
		uint32_t mode;
		bool clears, grows;
	} modes[] = {
		{ "plain", 0, false, true },
		{ "keep", LIBFS_FALLOC_KEEP_SIZE, false, false },
		{ "zero", LIBFS_FALLOC_ZERO_RANGE, true, true },
		{ "zero+keep", LIBFS_FALLOC_ZERO_RANGE | LIBFS_FALLOC_KEEP_SIZE, true, false },
		{ "punch", LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_KEEP_SIZE, true, false },
	};
	uint64_t size = model_size(op->a.root->model, op->a.node), off = number(op, 3);
	uint64_t end = off + number(op, 4);
	unsigned i = 0, n = sizeof(modes) / sizeof(modes[0]);
	int err;

	while (i < n && strcmp(modes[i].word, op->word[2]) != 0)
		i++;
	if (i == n)
		return -EINVAL;
	if (off > BYTES_MAX || end > BYTES_MAX || end < off)
		return -EFBIG;
	err = op->imagined ? 0
			   : libfs_fallocate(op->a.root->fs, ctx(op), op->a.ino, modes[i].mode, off,
					     end - off);
	if (err)
		return err;
	if (modes[i].grows && end > size)
		size = end;
	if (end > size)
		end = size;
	model_write(op->a.root->model, op->a.node, off < end ? off : end, NULL,
		    modes[i].clears && off < end ? end - off : 0, size);
	return 0;
}

/* ---- holding, durability ---- */

static int op_hold(struct op *op)
{
	struct script *script = op->script;
	struct libfs_attr attr;
	int err;

	if (script->held)
		return -EBUSY;
	err = libfs_lookup(op->a.root->fs, ctx(op), op->a.dir_ino, op->a.name, &attr);
	if (!err)
		err = libfs_open(op->a.root->fs, ctx(op), attr.ino, O_RDWR, &script->handle);
	if (err)
		return err;
	script->held = attr.ino;
	script->held_node = op->a.node;
	script->held_root = (unsigned)(op->a.root - script->root);
	return 0;
}

static int op_drop(struct op *op)
{
	struct script *script = op->script;
	struct libfs *fs = script->root[script->held_root].fs;

	if (!script->held)
		return -EBADF;
	libfs_release(fs, script->held, script->handle);
	libfs_forget(fs, script->held, 1);
	script->held = 0;
	return 0;
}

static int op_fsync(struct op *op)
{
	int err = libfs_fsync(op->a.root->fs, op->a.ino, false);

	if (!err)
		model_fsync(op->a.root->model, op->a.node, MODEL_FSYNC);
	return err;
}

static int op_fdatasync(struct op *op)
{
	int err = libfs_fsync(op->a.root->fs, op->a.ino, true);

	if (!err)
		model_fsync(op->a.root->model, op->a.node, MODEL_FDATASYNC);
	return err;
}

static int op_sync(struct op *op)
{
	int err = 0;

	for (unsigned i = 0; i < op->script->n_roots && !err; i++) {
		err = libfs_sync(op->script->root[i].fs);
		if (!err)
			model_sync(op->script->root[i].model);
	}
	return err;
}

static int op_close(struct op *op)
{
	struct script *script = op->script;
	int err = script->held ? op_drop(op) : 0;

	script->closed = true;
	for (unsigned i = 0; i < script->n_roots; i++) {
		int unmounted = libfs_unmount(script->root[i].fs);

		err = err ? err : unmounted;
		script->root[i].fs = NULL;
	}
	xn_session_close(script->session);
	if (!err)
		err = xn_close(script->xn);
	else
		xn_abandon(script->xn);
	for (unsigned i = 0; i < script->n_roots && !err; i++)
		model_sync(script->root[i].model);
	return err;
}

/* ---- roots ---- */

static int op_mkfs(struct op *op)
{
	struct libfs_mkfs_opts opts = { .root = op->word[1], .now = ctx(op)->now };

	memset(opts.uuid, op->word[1][0], sizeof(opts.uuid));
	return libfs_mkfs(op->script->session, op->script->libfs, &opts);
}

static int op_quota(struct op *op)
{
	return xn_root_set_quota(op->script->session, op->word[1], number(op, 2));
}

/* ---- running ---- */

/* IMAGINABLE: the model can tell what it does without asking the LibFS. */
enum { A_IS = 1, A_NAMED = 2, B_NAMED = 4, IMAGINABLE = 8 };

static const struct verb {
	const char *word;
	unsigned paths; /* how many of the first words are paths; 2 = both, 3 = only the second */
	unsigned words;
	unsigned needs; /* what they mean is there, and they have a name to change */
	int (*run)(struct op *op);
} verbs[] = {
	{ "creat", 1, 2, A_NAMED, op_creat },
	{ "mkdir", 1, 2, A_NAMED, op_mkdir },
	{ "mknod", 1, 2, A_NAMED, op_mknod },
	{ "symlink", 3, 3, B_NAMED, op_symlink },
	{ "link", 2, 3, IMAGINABLE | A_IS | B_NAMED, op_link },
	{ "unlink", 1, 2, IMAGINABLE | A_IS | A_NAMED, op_unlink },
	{ "rmdir", 1, 2, IMAGINABLE | A_IS | A_NAMED, op_rmdir },
	{ "rename", 2, 3, IMAGINABLE | A_IS | A_NAMED | B_NAMED, op_rename },
	{ "write", 1, 4, IMAGINABLE | A_IS, op_write },
	{ "append", 1, 3, IMAGINABLE | A_IS, op_append },
	{ "trunc", 1, 3, IMAGINABLE | A_IS, op_trunc },
	{ "chmod", 1, 3, IMAGINABLE | A_IS, op_chmod },
	{ "falloc", 1, 5, IMAGINABLE | A_IS, op_falloc },
	{ "hold", 1, 2, A_IS | A_NAMED, op_hold },
	{ "drop", 0, 1, 0, op_drop },
	{ "fsync", 1, 2, A_IS, op_fsync },
	{ "fdatasync", 1, 2, A_IS, op_fdatasync },
	{ "sync", 0, 1, 0, op_sync },
	{ "close", 0, 1, 0, op_close },
	{ "mkfs", 0, 2, 0, op_mkfs },
	{ "quota", 0, 3, 0, op_quota },
};

/* The words come from people: what makes no sense is refused, and never reaches a LibFS. */
static int needs_check(const struct op *op, const struct verb *verb)
{
	if ((verb->needs & A_IS) && op->a.node == MODEL_NONE)
		return -ENOENT;
	if (((verb->needs & A_NAMED) && !op->a.name) || ((verb->needs & B_NAMED) && !op->b.name))
		return -EINVAL;
	return verb->paths == 2 && op->a.root != op->b.root ? -EXDEV : 0;
}

static const struct verb *verb_find(const char *word)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].word, word) == 0)
			return &verbs[i];
	return NULL;
}

/* The operation's words stand in the log, so that equal logs come of equal workloads. */
static void mark(const struct op *op, char side)
{
	struct script *script = op->script;
	char text[2048];
	size_t len = (size_t)snprintf(text, sizeof(text), "%c %u", side, script->op);
	int err;

	for (unsigned i = 0; i < op->n && len < sizeof(text) && side == 'b'; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %s", op->word[i]);
	err = bdev_recorder_mark(script->recorder, text);
	assert(!err);
	(void)err;
}

static int op_run(struct op *op, const struct verb *verb)
{
	struct script *script = op->script;
	int err = 0;

	for (unsigned i = 0; i < script->n_roots; i++)
		model_begin(script->root[i].model, script->op);
	if (verb->paths && verb->paths != 3)
		err = place_get(op, op->word[1], &op->a);
	if (!err && verb->paths >= 2)
		err = place_get(op, op->word[2], &op->b);
	if (!err)
		err = needs_check(op, verb);
	if (!err) {
		mark(op, 'b');
		err = verb->run(op);
		mark(op, 'e');
	}
	place_put(op, &op->a);
	place_put(op, &op->b);
	if (err != -EOPNOTSUPP && err != -ENOSYS)
		return err;
	script->unsupported++;
	return 0;
}

static void words_split(struct op *op, char *line)
{
	char *rest = line, *word;

	while ((word = strsep(&rest, " ")))
		if (*word && op->n < WORDS_MAX)
			op->word[op->n++] = word;
}

static int line_run(struct script *script, char *line)
{
	struct op op = { .script = script };
	const struct verb *verb;

	words_split(&op, line);
	if (op.n == 0)
		return 0;
	verb = verb_find(op.word[0]);
	if (!verb || op.n != verb->words || script->closed)
		return -EINVAL;
	if (script->op + 1 == SCRIPT_OPS_MAX)
		return -E2BIG;
	script->op++;
	return op_run(&op, verb);
}

int script_run(struct script *script, const char *text, char why[256])
{
	char *copy = strdup(text), *rest = copy, *line;
	int err = 0;

	assert(copy);
	while (!err && (line = strsep(&rest, ";"))) {
		char shown[128];

		snprintf(shown, sizeof(shown), "%s", line);
		err = line_run(script, line);
		if (err)
			snprintf(script->failed, sizeof(script->failed), "%s", shown);
		if (err)
			snprintf(why, 256, "operation %u, \"%s\": %s", script->op, shown,
				 xn_error_name(err));
	}
	free(copy);
	return err;
}

void script_imagine(struct script *script, const char *line)
{
	struct op op = { .script = script, .imagined = true };
	char *copy = strdup(line);
	const struct verb *verb;

	assert(copy);
	words_split(&op, copy);
	verb = op.n ? verb_find(op.word[0]) : NULL;
	if (!verb || !(verb->needs & IMAGINABLE) || op.n != verb->words)
		goto out;
	script->op++;
	for (unsigned i = 0; i < script->n_roots; i++)
		model_begin(script->root[i].model, script->op);
	if (!place_get(&op, op.word[1], &op.a) &&
	    (verb->paths < 2 || !place_get(&op, op.word[2], &op.b)) && !needs_check(&op, verb))
		verb->run(&op);
out:
	free(copy);
}
