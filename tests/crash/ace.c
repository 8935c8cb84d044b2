/* SPDX-License-Identifier: MIT */
#include "ace.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FOO, A_FOO, BAR, A_BAR, FILES, DIR_A = FILES, DIR_B, ROOT, NAMES };

static const char *const names[NAMES] = { "foo", "A/foo", "bar", "A/bar", "A", "B", "/" };

enum kind {
	CREAT,
	MKDIR,
	FALLOC,
	WRITE,
	LINK,
	UNLINK,
	RENAME,
	RENAME_DIR,
	TRUNC,
	SYMLINK,
	MKNOD,
	RMDIR,
	RENAME_OVER,
	RENAME_DIR_OVER,
	CHMOD,
	UNLINK_OPEN,
	WRITE_LINKED,
};

struct operation {
	enum kind kind;
	uint8_t a, b;
	uint8_t variant, where;
};

#define OPERATIONS_MAX 128
#define FILES_MAX      250 /* made in one workload */

/* What there is; files that are links of each other have one number. */
struct world {
	char *text;
	size_t len;
	bool there[NAMES];
	uint8_t file[FILES];
	uint32_t size[FILES_MAX];
	uint8_t n_files;
	bool settled;
};

struct walk {
	struct operation operations[OPERATIONS_MAX];
	unsigned n_operations, length;
	ace_visit *visit;
	void *arg;
	uint64_t index;
	int result;
};

/* ---- the operations ---- */

static void add(struct walk *w, enum kind kind, unsigned a, unsigned b, unsigned variant,
		unsigned where)
{
	assert(w->n_operations < OPERATIONS_MAX);
	w->operations[w->n_operations++] = (struct operation){ kind, (uint8_t)a, (uint8_t)b,
							       (uint8_t)variant, (uint8_t)where };
}

static void add_pairs(struct walk *w, enum kind kind)
{
	for (unsigned a = 0; a < FILES; a++)
		for (unsigned b = BAR; b <= A_BAR; b++)
			if (a != b)
				add(w, kind, a, b, 0, 0);
}

static void operations_make(struct walk *w)
{
	add(w, MKDIR, DIR_A, 0, 0, 0);
	for (unsigned f = FOO; f <= A_FOO; f++) {
		add(w, CREAT, f, 0, 0, 0);
		for (unsigned where = 0; where < 3; where++) {
			add(w, WRITE, f, 0, 0, where);
			for (unsigned mode = 0; mode < 5; mode++)
				add(w, FALLOC, f, 0, mode, where);
		}
		add(w, TRUNC, f, 0, 0, 0);
		add(w, TRUNC, f, 0, 1, 0);
		add(w, SYMLINK, f, 0, 0, 0);
		add(w, MKNOD, f, 0, 0, 0);
		add(w, CHMOD, f, 0, 0, 0);
		add(w, UNLINK_OPEN, f, 0, 0, 0);
		add(w, WRITE_LINKED, f, f == FOO ? A_BAR : BAR, 0, 0);
	}
	for (unsigned f = 0; f < FILES; f++)
		add(w, UNLINK, f, 0, 0, 0);
	add_pairs(w, LINK);
	add_pairs(w, RENAME);
	add_pairs(w, RENAME_OVER);
	add(w, RENAME_DIR, DIR_A, DIR_B, 0, 0);
	add(w, RENAME_DIR_OVER, DIR_A, DIR_B, 0, 0);
	add(w, RMDIR, DIR_A, 0, 0, 0);
	add(w, RMDIR, DIR_B, 0, 0, 0);
}

unsigned ace_operations(void)
{
	struct walk w = { .n_operations = 0 };

	operations_make(&w);
	return w.n_operations;
}

/* ---- text, and what it does to the world ---- */

static void say(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct world *world, const char *format, ...)
{
	va_list args;

	if (world->len)
		world->len +=
			(size_t)snprintf(world->text + world->len, ACE_TEXT_MAX - world->len, "; ");
	va_start(args, format);
	world->len += (size_t)vsnprintf(world->text + world->len, ACE_TEXT_MAX - world->len, format,
					args);
	va_end(args);
	assert(world->len < ACE_TEXT_MAX);
}

static bool in_a(unsigned name)
{
	return name == A_FOO || name == A_BAR;
}

static void need_parent(struct world *world, unsigned name)
{
	if (!in_a(name) || world->there[DIR_A])
		return;
	say(world, "mkdir A");
	world->there[DIR_A] = true;
}

static void file_new(struct world *world, unsigned name)
{
	assert(world->n_files < FILES_MAX);
	world->there[name] = true;
	world->file[name] = world->n_files++;
	world->size[world->file[name]] = 0;
}

static void need_file(struct world *world, unsigned name)
{
	need_parent(world, name);
	if (world->there[name])
		return;
	say(world, "creat %s", names[name]);
	file_new(world, name);
}

static uint32_t *size_of(struct world *world, unsigned name)
{
	return &world->size[world->file[name]];
}

static void need_bytes(struct world *world, unsigned name)
{
	need_file(world, name);
	if (*size_of(world, name))
		return;
	say(world, "append %s 32768", names[name]);
	*size_of(world, name) = 32768;
}

static void need_no_file(struct world *world, unsigned name)
{
	need_parent(world, name);
	if (world->there[name])
		say(world, "unlink %s", names[name]);
	world->there[name] = false;
}

static void need_empty(struct world *world, unsigned dir)
{
	for (unsigned f = 0; f < FILES && dir == DIR_A; f++)
		if (in_a(f) && world->there[f])
			need_no_file(world, f);
}

static void need_dir(struct world *world, unsigned dir)
{
	if (!world->there[dir])
		say(world, "mkdir %s", names[dir]);
	world->there[dir] = true;
}

static void need_no_dir(struct world *world, unsigned dir)
{
	if (!world->there[dir])
		return;
	need_empty(world, dir);
	say(world, "rmdir %s", names[dir]);
	world->there[dir] = false;
}

static void settle(struct world *world)
{
	if (world->settled && world->len)
		say(world, "sync");
}

/* ---- doing one ---- */

static void do_write(struct world *world, unsigned name, unsigned where)
{
	uint32_t *size = size_of(world, name), off = where == 1 ? 0 : *size - 2000;

	if (where == 0) {
		say(world, "append %s 32768", names[name]);
		*size += 32768;
		return;
	}
	say(world, "write %s %u 5000", names[name], off);
	if (off + 5000 > *size)
		*size = off + 5000;
}

static void do_falloc(struct world *world, unsigned name, unsigned mode, unsigned where)
{
	static const char *const modes[] = { "zero", "zero+keep", "punch", "keep", "plain" };
	uint32_t *size = size_of(world, name);
	uint32_t off = where == 0 ? *size : where == 1 ? 0 : *size - 2000;
	uint32_t len = where == 0 ? 32768 : 5000;

	say(world, "falloc %s %s %u %u", names[name], modes[mode], off, len);
	if ((mode == 0 || mode == 4) && off + len > *size)
		*size = off + len;
}

static void do_move(struct world *world, unsigned from, unsigned to)
{
	say(world, "rename %s %s", names[from], names[to]);
	/* Two names of one file: nothing happens, says POSIX. */
	if (to < FILES && world->there[to] && world->file[to] == world->file[from])
		return;
	world->there[to] = true;
	world->there[from] = false;
	if (to < FILES)
		world->file[to] = world->file[from];
	/* The names below A are not followed to B. */
	for (unsigned f = 0; f < FILES && from == DIR_A; f++)
		world->there[f] &= !in_a(f);
}

/* What was in B before A takes its place is not followed either: B is fresh. */
static void need_fresh_b(struct world *world)
{
	if (world->there[DIR_B]) {
		say(world, "rename B old%u", (unsigned)world->len);
		world->there[DIR_B] = false;
	}
}

static void do_link(struct world *world, unsigned from, unsigned to)
{
	say(world, "link %s %s", names[from], names[to]);
	world->there[to] = true;
	world->file[to] = world->file[from];
}

static void do_unlink_open(struct world *world, unsigned name)
{
	say(world, "hold %s; unlink %s; write @ 0 5000; fsync @; drop", names[name], names[name]);
	world->there[name] = false;
}

static void prepare(struct world *world, const struct operation *op)
{
	switch (op->kind) {
	case CREAT:
	case SYMLINK:
	case MKNOD: need_no_file(world, op->a); break;
	case MKDIR: need_no_dir(world, op->a); break;
	case WRITE: (op->where ? need_bytes : need_file)(world, op->a); break;
	case FALLOC:
	case TRUNC: need_bytes(world, op->a); break;
	case LINK:
	case RENAME:
	case WRITE_LINKED:
		need_file(world, op->a);
		need_no_file(world, op->b);
		break;
	case RENAME_OVER:
		need_bytes(world, op->a);
		need_bytes(world, op->b);
		break;
	case UNLINK:
	case CHMOD:
	case UNLINK_OPEN: need_file(world, op->a); break;
	case RENAME_DIR:
		need_dir(world, DIR_A);
		need_fresh_b(world);
		break;
	case RENAME_DIR_OVER:
		need_dir(world, DIR_A);
		need_fresh_b(world);
		need_dir(world, DIR_B);
		break;
	case RMDIR:
		if (op->a == DIR_B)
			need_fresh_b(world);
		need_empty(world, op->a);
		need_dir(world, op->a);
		break;
	}
	settle(world);
}

static void perform(struct world *world, const struct operation *op)
{
	switch (op->kind) {
	case CREAT:
		say(world, "creat %s", names[op->a]);
		file_new(world, op->a);
		break;
	case MKDIR: need_dir(world, op->a); break;
	case FALLOC: do_falloc(world, op->a, op->variant, op->where); break;
	case WRITE: do_write(world, op->a, op->where); break;
	case LINK: do_link(world, op->a, op->b); break;
	case UNLINK:
		say(world, "unlink %s", names[op->a]);
		world->there[op->a] = false;
		break;
	case RENAME:
	case RENAME_OVER:
	case RENAME_DIR:
	case RENAME_DIR_OVER: do_move(world, op->a, op->b); break;
	case TRUNC:
		*size_of(world, op->a) = op->variant ? 2500 : 0;
		say(world, "trunc %s %u", names[op->a], *size_of(world, op->a));
		break;
	case SYMLINK: say(world, "symlink over/there %s", names[op->a]); break;
	case MKNOD: say(world, "mknod %s", names[op->a]); break;
	case RMDIR:
		say(world, "rmdir %s", names[op->a]);
		world->there[op->a] = false;
		break;
	case CHMOD: say(world, "chmod %s 600", names[op->a]); break;
	case UNLINK_OPEN: do_unlink_open(world, op->a); break;
	case WRITE_LINKED:
		do_link(world, op->a, op->b);
		say(world, "append %s 5000", names[op->b]);
		*size_of(world, op->b) += 5000;
		break;
	}
	/* A special file keeps its name only until durability was asked for. */
	if (op->kind == SYMLINK || op->kind == MKNOD)
		world->there[op->a] = true;
}

static void afterwards(struct world *world, const struct operation *op)
{
	if (op->kind != SYMLINK && op->kind != MKNOD)
		return;
	say(world, "unlink %s", names[op->a]);
	world->there[op->a] = false;
}

/* ---- durability ---- */

static void note(bool related[NAMES], unsigned name)
{
	static const uint8_t sibling[] = { BAR, A_BAR, FOO, A_FOO, DIR_B, DIR_A, ROOT };

	related[name] = true;
	related[sibling[name]] = true;
	related[in_a(name) ? DIR_A : ROOT] = true;
}

static bool has_bytes(const struct operation *op)
{
	return op->kind == WRITE || op->kind == FALLOC || op->kind == TRUNC;
}

/* The k-th way of asking; false: there is none so high.  The last operation is always asked for. */
static bool ask(struct world *world, const struct operation *op, unsigned k, bool last)
{
	bool related[NAMES] = { false };

	note(related, op->a);
	if (op->kind == LINK || op->kind == WRITE_LINKED || op->kind >= RENAME)
		if (op->b)
			note(related, op->b);
	world->there[ROOT] = true;
	for (unsigned name = 0; name < NAMES; name++) {
		if (!related[name] || !world->there[name])
			continue;
		if (k-- == 0) {
			say(world, "fsync %s", names[name]);
			return true;
		}
	}
	if (k-- == 0) {
		say(world, "sync");
		return true;
	}
	if (has_bytes(op) && k-- == 0) {
		say(world, "fdatasync %s", names[op->a]);
		return true;
	}
	return !last && k == 0;
}

static void extend(struct walk *w, const struct world *before, unsigned depth)
{
	char *text = before->text;

	/* Text behind `len` of a world is another's. */
	for (unsigned i = 0; i < w->n_operations && !w->result; i++)
		for (unsigned k = 0;; k++) {
			struct world world = *before;
			bool last = depth + 1 == w->length;

			prepare(&world, &w->operations[i]);
			perform(&world, &w->operations[i]);
			if (!ask(&world, &w->operations[i], k, last) || w->result)
				break;
			if (!last) {
				afterwards(&world, &w->operations[i]);
				extend(w, &world, depth + 1);
				text[before->len] = '\0';
				continue;
			}
			if (w->visit)
				w->result = w->visit(w->arg, w->index, text);
			w->index++;
		}
}

uint64_t ace_each(unsigned length, bool settled, ace_visit *visit, void *arg)
{
	char text[ACE_TEXT_MAX] = "";
	struct world world = { .text = text, .settled = settled };
	struct walk w = { .length = length, .visit = visit, .arg = arg };

	assert(length >= 1 && length <= 2);
	operations_make(&w);
	extend(&w, &world, 0);
	return w.index;
}

/* ---- by chance ---- */

static uint64_t chance(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

void ace_random(uint64_t seed, unsigned length, bool held, char text[ACE_TEXT_MAX])
{
	struct world world = { .text = text };
	struct walk w = { .length = length };

	text[0] = '\0';
	operations_make(&w);
	for (unsigned i = 0; i < length && world.len < ACE_TEXT_MAX - 512; i++) {
		const struct operation *op = &w.operations[chance(&seed) % w.n_operations];

		if (op->kind == UNLINK_OPEN && !held)
			continue;
		prepare(&world, op);
		perform(&world, op);
		/* One in three is asked for; a way that there is not asks for nothing. */
		if (chance(&seed) % 3 == 0)
			ask(&world, op, (unsigned)(chance(&seed) % 6), false);
		afterwards(&world, op);
	}
	say(&world, "sync");
}

/* One operation's text, up to the semicolon; NULL at the end. */
static const char *next_operation(const char *from, char *word, size_t size)
{
	const char *end = strchr(from, ';');
	size_t len = end ? (size_t)(end - from) : strlen(from);

	while (len && *from == ' ') {
		from++;
		len--;
	}
	if (len == 0)
		return NULL;
	snprintf(word, size, "%.*s", (int)len, from);
	return end ? end + 1 : from + len;
}

/* The same operation in root "b". */
static void in_b(const char *operation, char *text, size_t size)
{
	char verb[16], first[64] = "", rest[64] = "";
	bool both, none;

	sscanf(operation, "%15s %63s %63[^;]", verb, first, rest);
	none = !first[0];
	both = strcmp(verb, "link") == 0 || strcmp(verb, "rename") == 0;
	if (strcmp(verb, "symlink") == 0)
		snprintf(text, size, "%s %s b:%s", verb, first, rest);
	else
		snprintf(text, size, "%s%s%s%s%s%s", verb, none ? "" : " b:", first,
			 rest[0] ? " " : "", both ? "b:" : "", rest);
}

void ace_interleave(uint64_t seed, const char *a, const char *b, char text[2 * ACE_TEXT_MAX])
{
	char one[160], other[160];
	size_t len = 0;

	text[0] = '\0';
	while (a || b) {
		bool second = !a || (b && (chance(&seed) & 1));
		const char **from = second ? &b : &a;

		*from = next_operation(*from, one, sizeof(one));
		if (!*from)
			continue;
		if (second)
			in_b(one, other, sizeof(other));
		len += (size_t)snprintf(text + len, 2 * ACE_TEXT_MAX - len, "%s%s", len ? "; " : "",
					second ? other : one);
	}
}
