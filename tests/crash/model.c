/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Numbers of operations, ascending. */
struct ops {
	unsigned *v, n;
};

struct version {
	unsigned op;
	uint32_t mode;
	uint64_t size;
	uint8_t *data;
};

struct node {
	uint64_t ino;
	uint32_t generation;
	char *target;
	struct version *versions;
	unsigned n;
	struct ops durable, data_durable;
};

struct meaning {
	unsigned op;
	uint32_t node; /* MODEL_NONE: no such name */
};

struct entry {
	uint32_t dir;
	char *name;
	struct meaning *meanings;
	unsigned n;
	struct ops durable;
};

struct model {
	unsigned op;
	struct node *nodes;
	struct entry *entries;
	uint32_t n_nodes, n_entries;
};

/* ---- versions ---- */

static void *grown(void *v, size_t n, size_t size)
{
	v = realloc(v, (n + 1) * size);
	assert(v);
	return v;
}

static void ops_add(struct ops *ops, unsigned op)
{
	if (ops->n && ops->v[ops->n - 1] == op)
		return;
	ops->v = grown(ops->v, ops->n, sizeof(*ops->v));
	ops->v[ops->n++] = op;
}

/* The last one not after `ended`; 0 when there is none, *any says so. */
static unsigned ops_last(const struct ops *ops, unsigned ended, bool *any)
{
	for (unsigned i = ops->n; i > 0; i--)
		if (ops->v[i - 1] <= ended) {
			*any = true;
			return ops->v[i - 1];
		}
	return 0;
}

static const struct version *version_now(const struct node *node)
{
	return &node->versions[node->n - 1];
}

/* A new version of this operation, that begins as the one before. */
static struct version *version_new(struct model *model, uint32_t id)
{
	struct node *node = &model->nodes[id];
	struct version *old, *v;

	if (node->n && node->versions[node->n - 1].op == model->op)
		return &node->versions[node->n - 1];
	node->versions = grown(node->versions, node->n, sizeof(*v));
	v = &node->versions[node->n++];
	*v = (struct version){ 0 };
	if (node->n > 1) {
		old = v - 1;
		*v = *old;
		v->data = NULL;
		if (old->data) {
			v->data = malloc(old->size + 1);
			assert(v->data);
			memcpy(v->data, old->data, old->size);
		}
	}
	v->op = model->op;
	return v;
}

void model_begin(struct model *model, unsigned op)
{
	assert(op >= model->op);
	model->op = op;
}

/* ---- finding ---- */

static struct entry *entry_find(const struct model *model, uint32_t dir, const char *name)
{
	for (uint32_t i = 0; i < model->n_entries; i++)
		if (model->entries[i].dir == dir && strcmp(model->entries[i].name, name) == 0)
			return &model->entries[i];
	return NULL;
}

static uint32_t entry_now(const struct entry *entry)
{
	return entry->meanings[entry->n - 1].node;
}

uint32_t model_lookup(const struct model *model, uint32_t dir, const char *name)
{
	const struct entry *entry = entry_find(model, dir, name);

	return entry ? entry_now(entry) : MODEL_NONE;
}

uint32_t model_parent(const struct model *model, const char *path, const char **name)
{
	uint32_t dir = 0;
	const char *slash;
	char word[LIBFS_NAME_MAX + 1];

	while ((slash = strchr(path, '/')) && dir != MODEL_NONE) {
		snprintf(word, sizeof(word), "%.*s", (int)(slash - path), path);
		dir = model_lookup(model, dir, word);
		path = slash + 1;
	}
	*name = path;
	return dir;
}

uint32_t model_path(const struct model *model, const char *path)
{
	const char *name;
	uint32_t dir;

	if (strcmp(path, "/") == 0)
		return 0;
	dir = model_parent(model, path, &name);
	return dir == MODEL_NONE ? MODEL_NONE : model_lookup(model, dir, name);
}

libfs_ino_t model_ino(const struct model *model, uint32_t node)
{
	return model->nodes[node].ino;
}

uint32_t model_mode(const struct model *model, uint32_t node)
{
	return version_now(&model->nodes[node])->mode;
}

uint64_t model_size(const struct model *model, uint32_t node)
{
	return version_now(&model->nodes[node])->size;
}

const uint8_t *model_data(const struct model *model, uint32_t node)
{
	return version_now(&model->nodes[node])->data;
}

bool model_is_empty(const struct model *model, uint32_t dir)
{
	for (uint32_t i = 0; i < model->n_entries; i++)
		if (model->entries[i].dir == dir && entry_now(&model->entries[i]) != MODEL_NONE)
			return false;
	return true;
}

/* ---- changing ---- */

uint32_t model_make(struct model *model, const struct libfs_attr *attr, const char *target)
{
	uint32_t id = model->n_nodes++;
	struct node *node;
	struct version *v;

	model->nodes = grown(model->nodes, id, sizeof(*node));
	node = &model->nodes[id];
	*node = (struct node){ .ino = attr->ino, .generation = attr->generation };
	if (target) {
		node->target = strdup(target);
		assert(node->target);
	}
	v = version_new(model, id);
	v->mode = attr->mode;
	v->size = target ? strlen(target) : 0;
	return id;
}

void model_name(struct model *model, uint32_t dir, const char *name, uint32_t node)
{
	struct entry *entry = entry_find(model, dir, name);

	if (!entry) {
		model->entries = grown(model->entries, model->n_entries, sizeof(*entry));
		entry = &model->entries[model->n_entries++];
		*entry = (struct entry){ .dir = dir, .name = strdup(name) };
		assert(entry->name);
		entry->meanings = grown(NULL, 0, sizeof(*entry->meanings));
		entry->meanings[entry->n++] = (struct meaning){ 0, MODEL_NONE };
	}
	entry->meanings = grown(entry->meanings, entry->n, sizeof(*entry->meanings));
	entry->meanings[entry->n++] = (struct meaning){ model->op, node };
}

void model_mode_set(struct model *model, uint32_t node, uint32_t mode)
{
	struct version *v = version_new(model, node);

	v->mode = (v->mode & S_IFMT) | mode;
}

void model_write(struct model *model, uint32_t id, uint64_t off, const void *bytes, uint64_t len,
		 uint64_t size)
{
	struct version *v = version_new(model, id);
	uint64_t room = size > v->size ? size : v->size;

	v->data = realloc(v->data, room + 1);
	assert(v->data && off + len <= room);
	if (room > v->size)
		memset(v->data + v->size, 0, room - v->size);
	if (bytes && len)
		memcpy(v->data + off, bytes, len);
	else if (len)
		memset(v->data + off, 0, len);
	v->size = size;
}

/* ---- durable ---- */

static void names_durable(struct model *model, uint32_t node, bool former, unsigned depth)
{
	assert(depth < 64);
	for (uint32_t i = 0; i < model->n_entries; i++) {
		struct entry *entry = &model->entries[i];
		bool named = entry_now(entry) == node;

		for (unsigned k = 0; former && k < entry->n; k++)
			named |= entry->meanings[k].node == node;
		if (!named)
			continue;
		ops_add(&entry->durable, model->op);
		if (entry->dir != 0)
			names_durable(model, entry->dir, false, depth + 1);
	}
}

void model_fsync(struct model *model, uint32_t id, enum model_durable how)
{
	struct node *node = &model->nodes[id];

	ops_add(&node->data_durable, model->op);
	if (how == MODEL_FDATASYNC)
		return;
	ops_add(&node->durable, model->op);
	names_durable(model, id, true, 0);
	if (!S_ISDIR(version_now(node)->mode))
		return;
	for (uint32_t i = 0; i < model->n_entries; i++)
		if (model->entries[i].dir == id)
			ops_add(&model->entries[i].durable, model->op);
}

void model_sync(struct model *model)
{
	for (uint32_t i = 0; i < model->n_nodes; i++) {
		ops_add(&model->nodes[i].durable, model->op);
		ops_add(&model->nodes[i].data_durable, model->op);
	}
	for (uint32_t i = 0; i < model->n_entries; i++)
		ops_add(&model->entries[i].durable, model->op);
}

/* ---- judging ---- */

struct judge {
	const struct model *model;
	const struct look *look;
	unsigned ended, begun;
	bool exact; /* all is durable */
	char *text;
	uint32_t *seen; /* place of each node in the look; MODEL_NONE: not there */
};

static bool wrong(struct judge *j, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(struct judge *j, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(j->text, 256, format, args);
	va_end(args);
	return false;
}

/* Some name the node ever had, for people. */
static const char *called(const struct judge *j, uint32_t node)
{
	for (uint32_t i = 0; i < j->model->n_entries; i++)
		for (unsigned k = 0; k < j->model->entries[i].n; k++)
			if (j->model->entries[i].meanings[k].node == node)
				return j->model->entries[i].name;
	return node == 0 ? "/" : "?";
}

static bool nodes_match(struct judge *j)
{
	const struct model *model = j->model;

	for (uint32_t i = 0; i < model->n_nodes; i++)
		j->seen[i] = MODEL_NONE;
	for (uint32_t k = 0; k < j->look->n_nodes; k++) {
		const struct look_node *node = &j->look->nodes[k];
		uint32_t i = 0;

		while (i < model->n_nodes && (model->nodes[i].ino != node->ino ||
					      model->nodes[i].generation != node->generation))
			i++;
		if (i == model->n_nodes)
			return wrong(j, "R5: inode %llu, which nobody made",
				     (unsigned long long)node->ino);
		j->seen[i] = k;
	}
	return true;
}

/* Since which operation is it durable?  0 and *any unchanged: since the beginning, or never. */
static unsigned lower(const struct judge *j, const struct ops *durable, bool *any)
{
	if (!j->exact)
		return ops_last(durable, j->ended, any);
	*any = true;
	return j->model->op;
}

static unsigned upper(const struct judge *j, unsigned low)
{
	return j->begun > low ? j->begun : low;
}

/* May the entry mean `node` (MODEL_NONE: nothing)? */
static bool entry_may(const struct judge *j, const struct entry *entry, uint32_t node)
{
	bool any = false, may = false;
	unsigned low = lower(j, &entry->durable, &any), high = upper(j, low);

	for (unsigned k = 0; k < entry->n && entry->meanings[k].op <= high; k++) {
		if (entry->meanings[k].op <= low)
			may = false;
		may |= entry->meanings[k].node == node;
	}
	return may;
}

/* What the look shows under that name. */
static uint32_t entry_seen(const struct judge *j, const struct entry *entry)
{
	const struct look *look = j->look;

	for (uint32_t k = 0; k < look->n_entries; k++) {
		if (look->entries[k].dir != j->seen[entry->dir] ||
		    strcmp(look->entries[k].name, entry->name) != 0)
			continue;
		for (uint32_t i = 0; i < j->model->n_nodes; i++)
			if (j->seen[i] == look->entries[k].node)
				return i;
	}
	return MODEL_NONE;
}

static bool entries_judge(struct judge *j)
{
	for (uint32_t i = 0; i < j->model->n_entries; i++) {
		const struct entry *entry = &j->model->entries[i];
		uint32_t seen;

		if (j->seen[entry->dir] == MODEL_NONE)
			continue;
		seen = entry_seen(j, entry);
		if (!entry_may(j, entry, seen))
			return wrong(j, "R5: \"%s\" in \"%s\" is %s%s, which it may not be",
				     entry->name, called(j, entry->dir),
				     seen == MODEL_NONE ? "not there" : "file ",
				     seen == MODEL_NONE ? "" : called(j, seen));
	}
	return true;
}

/* Every name that is there was given once. */
static bool names_known(struct judge *j)
{
	for (uint32_t k = 0; k < j->look->n_entries; k++) {
		const struct look_entry *entry = &j->look->entries[k];
		bool known = false;

		for (uint32_t i = 0; i < j->model->n_entries && !known; i++)
			known = j->seen[j->model->entries[i].dir] == entry->dir &&
				strcmp(j->model->entries[i].name, entry->name) == 0;
		if (!known)
			return wrong(j, "R5: a name \"%s\", which nobody gave", entry->name);
	}
	return true;
}

/* How many names the node had after operation `op`. */
static unsigned names_after(const struct judge *j, uint32_t node, unsigned op)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < j->model->n_entries; i++) {
		const struct entry *entry = &j->model->entries[i];
		unsigned k = entry->n;

		while (k > 1 && entry->meanings[k - 1].op > op)
			k--;
		n += entry->meanings[k - 1].node == node;
	}
	return n;
}

static bool must_be_there(const struct judge *j, uint32_t node)
{
	bool any = false;
	unsigned low = lower(j, &j->model->nodes[node].durable, &any), high;

	for (uint32_t i = 0; i < j->model->n_entries; i++) {
		const struct entry *entry = &j->model->entries[i];
		bool here = false;
		unsigned op = lower(j, &entry->durable, &here), k = entry->n;

		while (k > 1 && entry->meanings[k - 1].op > op)
			k--;
		if (here && entry->meanings[k - 1].node == node) {
			any = true;
			low = op > low ? op : low;
		}
	}
	high = upper(j, low);
	for (unsigned op = low; op <= high && any; op++)
		any = names_after(j, node, op) > 0;
	return any;
}

/* The first version that may be seen. */
static unsigned first_version(const struct node *node, unsigned low)
{
	unsigned k = 0;

	while (k + 1 < node->n && node->versions[k + 1].op <= low)
		k++;
	return k;
}

static bool attributes_judge(struct judge *j, const struct node *node, uint32_t id,
			     const struct look_node *seen)
{
	bool any = false, mode = false;
	unsigned low = lower(j, &node->durable, &any), high;

	if (low < node->versions[0].op)
		low = node->versions[0].op;
	high = upper(j, low);
	for (unsigned k = first_version(node, low); k < node->n && node->versions[k].op <= high;
	     k++)
		mode |= node->versions[k].mode == seen->mode;
	if (!mode)
		return wrong(j, "R5: \"%s\" has mode %o", called(j, id), seen->mode);
	if (node->target && (!seen->target || strcmp(node->target, seen->target) != 0))
		return wrong(j, "R5: symlink \"%s\" leads to \"%s\"", called(j, id),
			     seen->target ? seen->target : "");
	return true;
}

/* Is the sector, cut at `len` bytes, that of this version? */
static bool sector_is(const struct version *v, size_t index, uint64_t len, uint64_t hash)
{
	uint64_t off = index * (uint64_t)LOOK_SECTOR, have = v->size > off ? v->size - off : 0;

	if (have > len)
		have = len;
	return sector_hash_of(have ? v->data + off : (const uint8_t *)"", have) == hash;
}

static bool data_judge(struct judge *j, const struct node *node, uint32_t id,
		       const struct look_node *seen)
{
	bool any = false, size = false;
	unsigned low = lower(j, &node->data_durable, &any), first, last, high;

	if (low < node->versions[0].op)
		low = node->versions[0].op;
	high = upper(j, low);
	first = last = first_version(node, low);
	while (last + 1 < node->n && node->versions[last + 1].op <= high)
		last++;
	for (unsigned k = first; k <= last; k++) {
		uint64_t a = node->versions[k].size;
		uint64_t b = k < last ? node->versions[k + 1].size : a;

		size |= a < b ? seen->size >= a && seen->size <= b
			      : seen->size >= b && seen->size <= a;
	}
	if (!size)
		return wrong(j, "R5: \"%s\" has %llu bytes; durable are %llu", called(j, id),
			     (unsigned long long)seen->size,
			     (unsigned long long)node->versions[first].size);
	for (size_t i = 0; i < seen->n_sectors; i++) {
		bool good = false;

		for (unsigned k = first; k <= last && !good; k++)
			good = sector_is(&node->versions[k], i, seen->size - i * LOOK_SECTOR,
					 seen->sectors[i]);
		if (!good)
			return wrong(
				j,
				"%s: sector %zu of \"%s\" (%llu bytes) holds what it never held%s",
				seen->canary ? "R4" : "R7", i, called(j, id),
				(unsigned long long)seen->size,
				seen->canary ? ", a stranger's bytes" : " since it was durable");
	}
	return true;
}

static bool node_judge(struct judge *j, uint32_t id)
{
	const struct node *node = &j->model->nodes[id];
	const struct look_node *seen;

	if (j->seen[id] == MODEL_NONE)
		return must_be_there(j, id) ? wrong(j, "R6: \"%s\" is nowhere", called(j, id))
					    : true;
	seen = &j->look->nodes[j->seen[id]];
	if (!attributes_judge(j, node, id, seen))
		return false;
	return S_ISREG(seen->mode) ? data_judge(j, node, id, seen) : true;
}

static const char *judge(struct judge *j)
{
	bool good;

	if (j->look->error[0]) {
		snprintf(j->text, 256, "R1: %s", j->look->error);
		return j->text;
	}
	j->seen = malloc(j->model->n_nodes * sizeof(*j->seen));
	assert(j->seen);
	good = nodes_match(j) && names_known(j);
	for (uint32_t i = 0; i < j->model->n_nodes && good; i++)
		good = node_judge(j, i);
	good = good && entries_judge(j);
	free(j->seen);
	return good ? NULL : j->text;
}

const char *model_judge(const struct model *model, const struct look *look, unsigned ended,
			unsigned begun, char text[256])
{
	struct judge j = {
		.model = model, .look = look, .ended = ended, .begun = begun, .text = text
	};

	return judge(&j);
}

const char *model_same(const struct model *model, const struct look *look, char text[256])
{
	struct judge j = { .model = model,
			   .look = look,
			   .ended = model->op,
			   .begun = model->op,
			   .exact = true,
			   .text = text };

	return judge(&j);
}

/* ---- life ---- */

struct model *model_new(void)
{
	struct model *model = calloc(1, sizeof(*model));

	assert(model);
	return model;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	for (uint32_t i = 0; i < model->n_nodes; i++) {
		struct node *node = &model->nodes[i];

		for (unsigned k = 0; k < node->n; k++)
			free(node->versions[k].data);
		free(node->versions);
		free(node->target);
		free(node->durable.v);
		free(node->data_durable.v);
	}
	for (uint32_t i = 0; i < model->n_entries; i++) {
		free(model->entries[i].name);
		free(model->entries[i].meanings);
		free(model->entries[i].durable.v);
	}
	free(model->nodes);
	free(model->entries);
	free(model);
}
