/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a LibFS and on a model in memory must end the same.
 *
 *	fs_model LIBFS [OPERATIONS [SEED [CACHE]]]
 *
 *  (1) The model is a tree of nodes with names, content, mode, owner and links;
 *      it knows the error of each operation.
 *  (2) After every operation the result is compared, now and then everything.
 *  (3) A failure prints the seed and the number of the operation.
 */
#include "suite.h"

#define NODES_MAX   400
#define NAMES       12 /* different names in a directory */
#define CONTENT_MAX (3u << 20)

#define N70 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define Y70 "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"

struct node {
	bool used, dir, lnk;
	uint32_t nlink;
	libfs_ino_t ino;
	int parent;       /* of a directory */
	int child[NAMES]; /* node + 1 */
	uint8_t *content;
	size_t size;
	uint32_t mode;
};

struct model {
	struct fx *fx;
	struct node nodes[NODES_MAX];
	uint64_t seed;
	uint64_t op;
};

static uint64_t below(struct model *m, uint64_t n)
{
	return chance(&m->seed) % n;
}

static void wrong(struct model *m, const char *what, long got, long want)
{
	fail_msg("operation %llu: %s gives %ld, the model says %ld", (unsigned long long)m->op,
		 what, got, want);
}

static void expect(struct model *m, const char *what, long got, long want)
{
	if (got != want)
		wrong(m, what, got, want);
}

static const char *name_of(int i)
{
	/* Of such lengths that sectors of any layout fill up and split. */
	static const char *const names[NAMES] = {
		"a",
		"bb",
		"some-name-of-middling-length",
		"ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
		"e.txt",
		(N70 N70 N70),
		"z",
		"Makefile",
		(Y70 Y70),
		"q1",
		"q2",
		"README",
	};

	return names[i];
}

/* ---- picking ---- */

static int pick(struct model *m, bool dir)
{
	for (int tries = 0; tries < 200; tries++) {
		int i = (int)below(m, NODES_MAX);

		if (m->nodes[i].used && m->nodes[i].dir == dir)
			return i;
	}
	return dir ? 0 : -1;
}

static int node_new(struct model *m)
{
	for (int i = 1; i < NODES_MAX; i++)
		if (!m->nodes[i].used) {
			m->nodes[i] = (struct node){ .used = true, .nlink = 1, .parent = -1 };
			return i;
		}
	return -1;
}

static void node_lose(struct model *m, int i)
{
	struct node *node = &m->nodes[i];

	node->nlink = node->dir ? 0 : node->nlink - 1;
	if (node->nlink)
		return;
	free(node->content);
	fx_forget(m->fx, node->ino);
	node->used = false;
}

static bool is_empty(const struct node *dir)
{
	for (int i = 0; i < NAMES; i++)
		if (dir->child[i])
			return false;
	return true;
}

static bool is_below(const struct model *m, int i, int top)
{
	for (; i != -1; i = m->nodes[i].parent)
		if (i == top)
			return true;
	return false;
}

/* A regular file, or NULL. */
static struct node *pick_file(struct model *m)
{
	int i = pick(m, false);

	return i < 0 || m->nodes[i].lnk ? NULL : &m->nodes[i];
}

/* ---- operations ---- */

static void op_make(struct model *m)
{
	int dir = pick(m, true), name = (int)below(m, NAMES), kind = (int)below(m, 8);
	struct node *d = &m->nodes[dir];
	struct libfs_attr a = { .ino = 0 };
	int got, i;

	i = d->child[name] ? -1 : node_new(m);
	if (i < 0 && !d->child[name])
		return;
	if (kind < 3)
		got = libfs_mkdir(m->fx->fs, fx_ctx(m->fx), d->ino, name_of(name), 0755, &a);
	else if (kind < 4)
		got = libfs_symlink(m->fx->fs, fx_ctx(m->fx), d->ino, name_of(name),
				    name_of((name + 1) % NAMES), &a);
	else
		got = libfs_create(m->fx->fs, fx_ctx(m->fx), d->ino, name_of(name), 0644, true, &a);
	expect(m, "make", got, d->child[name] ? -EEXIST : 0);
	if (got)
		return;
	m->nodes[i].dir = kind < 3;
	m->nodes[i].lnk = kind == 3;
	m->nodes[i].ino = a.ino;
	m->nodes[i].mode = a.mode;
	m->nodes[i].parent = kind < 3 ? dir : -1;
	d->child[name] = i + 1;
}

static void op_remove(struct model *m)
{
	int dir = pick(m, true), name = (int)below(m, NAMES);
	struct node *d = &m->nodes[dir];
	int i = d->child[name] - 1, want = 0;
	bool rmdir = below(m, 2);

	if (i < 0)
		want = -ENOENT;
	else if (rmdir)
		want = !m->nodes[i].dir ? -ENOTDIR : is_empty(&m->nodes[i]) ? 0 : -ENOTEMPTY;
	else
		want = m->nodes[i].dir ? -EISDIR : 0;
	expect(m, "remove",
	       rmdir ? fx_rmdir(m->fx, d->ino, name_of(name))
		     : fx_unlink(m->fx, d->ino, name_of(name)),
	       want);
	if (want)
		return;
	d->child[name] = 0;
	node_lose(m, i);
}

static void op_link(struct model *m)
{
	int file = pick(m, false), dir = pick(m, true), name = (int)below(m, NAMES);
	struct node *d = &m->nodes[dir];

	if (file < 0)
		return;
	expect(m, "link", fx_link(m->fx, m->nodes[file].ino, d->ino, name_of(name)),
	       d->child[name] ? -EEXIST : 0);
	if (d->child[name])
		return;
	d->child[name] = file + 1;
	m->nodes[file].nlink++;
}

static int rename_error(struct model *m, int from, int to, int i, int t)
{
	if (i < 0)
		return -ENOENT;
	if (t == i)
		return 0;
	if (m->nodes[i].dir && from != to && is_below(m, to, i))
		return -EINVAL;
	if (t < 0)
		return 0;
	if (m->nodes[i].dir)
		return !m->nodes[t].dir ? -ENOTDIR : is_empty(&m->nodes[t]) ? 0 : -ENOTEMPTY;
	return m->nodes[t].dir ? -EISDIR : 0;
}

static void op_rename(struct model *m)
{
	int from = pick(m, true), to = below(m, 2) ? from : pick(m, true);
	int name = (int)below(m, NAMES), new = (int)below(m, NAMES);
	struct node *a = &m->nodes[from], *b = &m->nodes[to];
	int i = a->child[name] - 1, t = b->child[new] - 1;
	int want = rename_error(m, from, to, i, t);

	expect(m, "rename", fx_rename(m->fx, a->ino, name_of(name), b->ino, name_of(new)), want);
	if (want || t == i)
		return;
	a->child[name] = 0;
	b->child[new] = i + 1;
	if (m->nodes[i].dir)
		m->nodes[i].parent = to;
	if (t >= 0)
		node_lose(m, t);
}

static size_t some_offset(struct model *m, const struct node *node)
{
	switch (below(m, 4)) {
	case 0: return below(m, CONTENT_MAX - 70000);
	case 1: return node->size < CONTENT_MAX - 70000 ? node->size : 0;
	case 2: return below(m, 16) * 4096;
	default: return below(m, 60000);
	}
}

static void content_size(struct node *node, size_t size)
{
	if (!node->content) {
		node->content = calloc(1, CONTENT_MAX);
		assert_non_null(node->content);
	}
	if (size < node->size)
		memset(node->content + size, 0, node->size - size);
	node->size = size;
}

static void op_write(struct model *m)
{
	struct node *node = pick_file(m);
	size_t off, len = below(m, 3) ? below(m, 9000) + 1 : below(m, 65536) + 1;

	if (!node)
		return;
	off = some_offset(m, node);
	content_size(node, node->size > off + len ? node->size : off + len);
	for (size_t k = 0; k < len; k++)
		node->content[off + k] = (uint8_t)(chance(&m->seed) >> 20);
	expect(m, "write",
	       libfs_write(m->fx->fs, fx_ctx(m->fx), node->ino, 0, off, node->content + off, len),
	       (long)len);
}

static void op_resize(struct model *m)
{
	struct node *node = pick_file(m);
	size_t size;

	if (!node)
		return;
	size = below(m, 3) ? some_offset(m, node) : 0;
	expect(m, "truncate", fx_truncate(m->fx, node->ino, size), 0);
	content_size(node, size);
}

static void op_punch(struct model *m)
{
	struct node *node = pick_file(m);
	int got;
	size_t off, len = below(m, 100000) + 1;

	if (!node || !node->size)
		return;
	off = some_offset(m, node);
	got = libfs_fallocate(m->fx->fs, fx_ctx(m->fx), node->ino,
			      LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_KEEP_SIZE, off, len);
	if (got == -EOPNOTSUPP)
		return;
	expect(m, "punch", got, 0);
	if (off < node->size)
		memset(node->content + off, 0, off + len < node->size ? len : node->size - off);
}

static void op_chmod(struct model *m)
{
	int i = pick(m, below(m, 2));
	uint32_t mode = (uint32_t)below(m, 010000);

	if (i < 0)
		return;
	m->nodes[i].mode = (m->nodes[i].mode & S_IFMT) | mode;
	expect(m, "chmod", fx_chmod(m->fx, m->nodes[i].ino, m->nodes[i].mode), 0);
}

static void op_read(struct model *m)
{
	struct node *node = pick_file(m);
	uint8_t bytes[40000];
	size_t off, want;

	if (!node)
		return;
	off = some_offset(m, node);
	want = off >= node->size ? 0 : node->size - off;
	if (want > sizeof(bytes))
		want = sizeof(bytes);
	expect(m, "read",
	       libfs_read(m->fx->fs, fx_ctx(m->fx), node->ino, 0, off, bytes, sizeof(bytes)),
	       (long)want);
	if (want && memcmp(bytes, node->content + off, want) != 0)
		wrong(m, "the content read", 0, 0);
}

/* ---- comparing ---- */

static void compare_node(struct model *m, int i)
{
	struct node *node = &m->nodes[i];
	struct libfs_attr a = fx_attr(m->fx, node->ino);
	uint32_t nlink = node->nlink;

	if (node->dir) {
		nlink = 2;
		for (int k = 0; k < NAMES; k++)
			nlink += node->child[k] && m->nodes[node->child[k] - 1].dir;
	}
	expect(m, "nlink", a.nlink, nlink);
	expect(m, "mode", a.mode, node->mode);
	if (!node->dir && !node->lnk) {
		expect(m, "size", (long)a.size, (long)node->size);
		if (node->size)
			assert_content(m->fx, node->ino, node->content, node->size);
	}
}

static void compare_dir(struct model *m, int dir)
{
	struct node *d = &m->nodes[dir];
	struct libfs_dirent entries[NAMES + 3];
	int n = 2;

	for (int k = 0; k < NAMES; k++) {
		struct libfs_attr a;
		int got = libfs_lookup(m->fx->fs, fx_ctx(m->fx), d->ino, name_of(k), &a);

		expect(m, "lookup", got, d->child[k] ? 0 : -ENOENT);
		if (got)
			continue;
		n++;
		expect(m, "inode", (long)a.ino, (long)m->nodes[d->child[k] - 1].ino);
		fx_forget(m->fx, a.ino);
	}
	expect(m, "readdir",
	       libfs_readdir(m->fx->fs, fx_ctx(m->fx), d->ino, 0, 0, entries, NAMES + 3), n);
}

static void compare_all(struct model *m)
{
	for (int i = 0; i < NODES_MAX; i++) {
		if (!m->nodes[i].used)
			continue;
		compare_node(m, i);
		if (m->nodes[i].dir)
			compare_dir(m, i);
	}
	fx_assert_sound(m->fx);
}

/* Numbers stay over a remount, references do not. */
static void remount(struct model *m)
{
	struct libfs_attr a;

	compare_all(m);
	fx_remount(m->fx);
	for (int i = 0; i < NODES_MAX; i++)
		for (int k = 0; k < NAMES && m->nodes[i].used && m->nodes[i].dir; k++) {
			if (!m->nodes[i].child[k])
				continue;
			expect(m, "lookup after mount",
			       libfs_lookup(m->fx->fs, fx_ctx(m->fx), m->nodes[i].ino, name_of(k),
					    &a),
			       0);
		}
	compare_all(m);
}

static void step(struct model *m)
{
	static void (*const ops[])(struct model *) = {
		op_make,  op_make,  op_make,  op_remove, op_remove, op_link,  op_rename, op_rename,
		op_write, op_write, op_write, op_resize, op_punch,  op_chmod, op_read,   op_read,
	};

	ops[below(m, sizeof(ops) / sizeof(ops[0]))](m);
	if (below(m, 500) == 0)
		assert_ok(libfs_sync(m->fx->fs));
	if (below(m, 1000) == 0)
		compare_all(m);
	if (below(m, 4000) == 0)
		remount(m);
}

static struct {
	const char *libfs;
	uint64_t operations, seed, cache;
} arguments;

static void the_model_and_the_file_system_agree(void **state)
{
	struct fx_opts opts = {
		.libfs = arguments.libfs,
		.size = 1ull << 30,
		.cache = arguments.cache,
	};
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	assert_non_null(m);
	m->fx = fx_new(&opts);
	m->seed = arguments.seed;
	m->nodes[0] = (struct node){
		.used = true,
		.dir = true,
		.nlink = 1,
		.ino = FX_ROOT,
		.parent = -1,
		.mode = S_IFDIR | 0755,
	};
	print_message("seed %llu, %llu operations\n", (unsigned long long)m->seed,
		      (unsigned long long)arguments.operations);
	for (m->op = 0; m->op < arguments.operations; m->op++)
		step(m);
	remount(m);
	fx_fini(m->fx);
	for (int i = 0; i < NODES_MAX; i++)
		if (m->nodes[i].used)
			free(m->nodes[i].content);
	free(m);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_model_and_the_file_system_agree) };

	if (argc < 2)
		return 2;
	arguments.libfs = argv[1];
	arguments.operations = argc > 2 ? strtoull(argv[2], NULL, 0) : 20000;
	arguments.seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
	arguments.cache = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
