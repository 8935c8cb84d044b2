/* SPDX-License-Identifier: MIT */
#include "medium.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xn/format.h"
#include "xn/log_format.h"

struct place {
	uint64_t start;
	uint32_t type, root;
};

struct reader {
	const uint8_t *bytes;
	uint64_t size;
	struct xn_super super;
	struct medium_types *types;
	struct medium_report *report;
	medium_visit *visit;
	void *context;
	bool remember;  /* what objects own, in `types` */
	uint8_t *used;  /* the maps of all chunks */
	uint8_t *owned; /* what has been met */
	uint64_t root_used;
	struct place *stack;
	size_t n, cap;
	struct shared *shared;
	size_t n_shared, cap_shared;
};

/* An object that counts its owners, and how many were met. */
struct shared {
	uint64_t start;
	uint32_t type, root;
	uint64_t met, said;
};

static bool wrong(struct reader *r, int truth, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool wrong(struct reader *r, int truth, const char *format, ...)
{
	va_list args;

	if (r->report->truth)
		return false;
	r->report->truth = truth;
	va_start(args, format);
	vsnprintf(r->report->text, sizeof(r->report->text), format, args);
	va_end(args);
	return false;
}

static const uint8_t *block_at(const struct reader *r, uint64_t block)
{
	return r->bytes + block * XN_BLOCK_SIZE;
}

static bool inside(const struct reader *r, uint64_t start, uint64_t count)
{
	return start > 0 && count > 0 && start < r->super.block_count &&
	       count <= r->super.block_count - start;
}

static bool bit(const uint8_t *map, uint64_t block)
{
	return map[block / 8] >> (block % 8) & 1;
}

/* Somebody owns these blocks; false: somebody else does, too. */
static bool own(struct reader *r, uint64_t start, uint64_t count, const char *who)
{
	if (!inside(r, start, count))
		return wrong(r, 4, "%s owns %llu blocks at %llu, outside the disk", who,
			     (unsigned long long)count, (unsigned long long)start);
	for (uint64_t b = start; b < start + count; b++) {
		if (bit(r->owned, b))
			return wrong(r, 4, "block %llu has a second owner, %s",
				     (unsigned long long)b, who);
		r->owned[b / 8] |= (uint8_t)(1u << (b % 8));
		if (!bit(r->used, b))
			return wrong(r, 5, "block %llu is owned by %s and free on the map",
				     (unsigned long long)b, who);
	}
	return true;
}

/* ---- superblock, maps, catalogues ---- */

static bool super_find(struct reader *r)
{
	uint64_t places[3], blocks = r->size / XN_BLOCK_SIZE;
	unsigned n = xn_super_places(blocks, places);
	bool found = false;

	for (unsigned i = 0; i < n; i++) {
		struct xn_super copy;

		if (xn_super_decode((const void *)block_at(r, places[i]), &copy))
			continue;
		if (!found || copy.generation > r->super.generation)
			r->super = copy;
		found = true;
	}
	return found ? true : wrong(r, 1, "no superblock");
}

static void maps_load(struct reader *r)
{
	uint64_t chunks = xn_chunk_count(r->super.block_count);

	r->used = malloc(chunks * XN_MAP_CHUNK_BYTES);
	r->owned = calloc(chunks, XN_MAP_CHUNK_BYTES);
	assert(r->used && r->owned);
	for (uint64_t i = 0; i < chunks; i++) {
		uint8_t *map = r->used + i * XN_MAP_CHUNK_BYTES;

		xn_map_fresh(&r->super, i, r->owned + i * XN_MAP_CHUNK_BYTES);
		if (i < r->super.high_water)
			xn_map_decode(&r->super, i, block_at(r, xn_map_block(i)), map);
		else
			memcpy(map, r->owned + i * XN_MAP_CHUNK_BYTES, XN_MAP_CHUNK_BYTES);
	}
}

/* The link of a chain's block: its own, or its twin's, whichever is valid and newer. */
static bool link_read(struct reader *r, uint32_t index, uint64_t self, uint64_t twin,
		      struct xn_cat_link *out)
{
	struct xn_cat_link a = { 0 }, b = { 0 };
	bool ok_a = inside(r, self, 1) && !xn_cat_link_decode(&r->super, block_at(r, self), &a);
	bool ok_b = inside(r, twin, 1) && !xn_cat_link_decode(&r->super, block_at(r, twin), &b);

	if (!ok_a && !ok_b)
		return wrong(r, 2, "catalogue block %u cannot be read", index);
	*out = ok_a && (!ok_b || a.seq >= b.seq) ? a : b;
	return true;
}

static bool type_add(struct reader *r, const struct xn_template_entry *entry)
{
	struct medium_types *types = r->types;
	uint32_t index = (uint32_t)entry->id - XN_TYPE_FIRST;
	const struct udf_info *info;

	if (!inside(r, entry->image_start, entry->image_blocks))
		return wrong(r, 2, "an image lies outside the disk");
	if (index >= types->n) {
		size_t n = index + 1;

		types->v = realloc(types->v, n * sizeof(*types->v));
		types->child = realloc(types->child, n * sizeof(*types->child));
		assert(types->v && types->child);
		memset(types->v + types->n, 0, (n - types->n) * sizeof(*types->v));
		types->n = n;
	}
	if (types->v[index])
		return true;
	if (udf_template_load(block_at(r, entry->image_start), entry->image_len, &types->v[index],
			      NULL))
		return wrong(r, 2, "the image of template %u is no template", index);
	info = udf_template_info(types->v[index]);
	for (uint32_t i = 0; i < info->n_child; i++)
		types->child[index][i] = (uint32_t)xn_template_child_type(entry, info->child[i]);
	return true;
}

static bool push(struct reader *r, struct place place)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 256;
		r->stack = realloc(r->stack, r->cap * sizeof(*r->stack));
		assert(r->stack);
	}
	r->stack[r->n++] = place;
	return true;
}

static bool walk_root(struct reader *r, const struct xn_root_entry *entry);

static bool entry_use(struct reader *r, uint32_t kind, uint64_t slot, const uint8_t *sector)
{
	struct xn_template_entry tmpl;
	struct xn_root_entry root;

	if (kind == XN_CAT_TEMPLATES && !xn_template_entry_decode(&r->super, slot, sector, &tmpl))
		return tmpl.state != XN_ENTRY_USED ||
		       (type_add(r, &tmpl) &&
			own(r, tmpl.image_start, tmpl.image_blocks, "a template"));
	if (kind == XN_CAT_ROOTS && !xn_root_entry_decode(&r->super, slot, sector, &root))
		return root.state != XN_ENTRY_USED || walk_root(r, &root);
	return true;
}

static uint64_t sector_seq(struct reader *r, uint32_t kind, uint64_t slot, const uint8_t *sector)
{
	struct xn_template_entry tmpl;
	struct xn_root_entry root;

	if (kind == XN_CAT_TEMPLATES)
		return xn_template_entry_decode(&r->super, slot, sector, &tmpl) ? 0 : tmpl.seq + 1;
	return xn_root_entry_decode(&r->super, slot, sector, &root) ? 0 : root.seq + 1;
}

static bool chain_walk(struct reader *r, uint32_t kind)
{
	uint64_t self = r->super.catalogue[kind], twin = r->super.twin[kind], slot = 0;

	for (uint32_t index = 0; self; index++) {
		struct xn_cat_link link = { 0 };

		if (!link_read(r, index, self, twin, &link))
			return false;
		if (index > 0 &&
		    (!own(r, self, 1, "a catalogue") || !own(r, twin, 1, "a catalogue's twin")))
			return false;
		for (unsigned k = 0; k < XN_CAT_ENTRIES_BLOCK && kind != XN_CAT_PRINCIPALS; k++) {
			const uint8_t *a = block_at(r, self) + (1 + k) * XN_SECTOR_SIZE;
			const uint8_t *b = block_at(r, twin) + (1 + k) * XN_SECTOR_SIZE;
			uint64_t seq_a = sector_seq(r, kind, slot, a);
			uint64_t seq_b = sector_seq(r, kind, slot, b);

			if (!entry_use(r, kind, slot, seq_b > seq_a ? b : a))
				return false;
			slot++;
		}
		self = link.next;
		twin = link.next_twin;
	}
	return true;
}

/* ---- trees ---- */

static const struct udf_template *type_of(const struct reader *r, uint32_t type)
{
	return type >= XN_TYPE_FIRST && type - XN_TYPE_FIRST < r->types->n
		       ? r->types->v[type - XN_TYPE_FIRST]
		       : NULL;
}

static uint32_t type_blocks(const struct udf_template *tmpl)
{
	return (udf_template_info(tmpl)->obj_size + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE;
}

static bool tell(struct reader *r, const struct medium_item *item)
{
	const char *text = r->visit ? r->visit(r->context, item) : NULL;

	return text ? wrong(r, 6, "%llu blocks at %llu, record %u of %llu: %s",
			    (unsigned long long)item->count, (unsigned long long)item->start,
			    item->record, (unsigned long long)item->owner, text)
		    : true;
}

static bool is_counted(const struct udf_template *tmpl)
{
	return tmpl && udf_template_info(tmpl)->has[UDF_FN_REFCNT];
}

/* One more owner of a counted object; false: the first, or something else has it. */
static bool shared_met(struct reader *r, uint64_t start, uint32_t type, uint32_t root)
{
	const struct udf_template *tmpl = type_of(r, type);
	const uint8_t *bytes = block_at(r, start);
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_fault fault;
	uint32_t said = 0;

	for (size_t i = 0; i < r->n_shared; i++) {
		struct shared *shared = &r->shared[i];

		if (shared->start != start || shared->type != type || shared->root != root)
			continue;
		shared->met++;
		return true;
	}
	if (r->n_shared == r->cap_shared) {
		r->cap_shared = r->cap_shared ? r->cap_shared * 2 : 64;
		r->shared = realloc(r->shared, r->cap_shared * sizeof(*r->shared));
		assert(r->shared);
	}
	if (udf_refcnt(tmpl, bytes + udf_template_info(tmpl)->rec_off, 0, bytes, &budget, &said,
		       &fault))
		wrong(r, 3, "refcnt of object %llu faults", (unsigned long long)start);
	r->shared[r->n_shared++] = (struct shared){ start, type, root, 1, said };
	return false;
}

static bool shared_judge(struct reader *r)
{
	for (size_t i = 0; i < r->n_shared; i++) {
		const struct shared *shared = &r->shared[i];

		if (shared->met != shared->said)
			return wrong(r, 8, "object %llu says it has %llu owners, there are %llu",
				     (unsigned long long)shared->start,
				     (unsigned long long)shared->said,
				     (unsigned long long)shared->met);
	}
	return true;
}

static bool extent_met(struct reader *r, const struct place *at, uint32_t record,
		       const struct udf_extent *e)
{
	uint32_t global = r->types->child[at->type - XN_TYPE_FIRST][e->child];
	const struct udf_template *tmpl = type_of(r, global);
	struct medium_item item = { at->root, at->start, at->type, record,
				    e->start, e->count,  global,   NULL };
	char who[48];

	snprintf(who, sizeof(who), "record %u of object %llu", record,
		 (unsigned long long)at->start);
	if (is_counted(tmpl) && inside(r, e->start, e->count) && e->count == type_blocks(tmpl) &&
	    shared_met(r, e->start, global, at->root))
		return true;
	if (!own(r, e->start, e->count, who))
		return false;
	item.bytes = block_at(r, e->start);
	r->root_used += e->count;
	r->report->owned += e->count;
	if (!tell(r, &item))
		return false;
	if (global != XN_TYPE_DATA && global != XN_TYPE_RESERVED && !tmpl)
		return wrong(r, 2, "%s names an unknown type", who);
	for (uint64_t k = 0; tmpl && k < e->count; k += type_blocks(tmpl))
		push(r, (struct place){ e->start + k, global, at->root });
	return true;
}

/* What `owns` emitted of one content of an object: it depends on nothing else. */
struct medium_owned {
	uint64_t key;
	size_t n;
	struct medium_record_extent {
		uint32_t record;
		struct udf_extent extent;
	} v[];
};

#define OWNED_PLACES (1u << 16)

/* Four lanes, as fast as memory. */
static uint64_t object_key(const struct place *at, const uint8_t *object, uint32_t len)
{
	uint64_t lane[4] = { at->type, len, 0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu };
	uint32_t from = 0;

	for (; from + sizeof(lane) <= len; from += sizeof(lane))
		for (unsigned i = 0; i < 4; i++) {
			uint64_t word;

			memcpy(&word, object + from + i * sizeof(word), sizeof(word));
			lane[i] = (lane[i] ^ word) * 0x9fb21c651e98df25u;
			lane[i] ^= lane[i] >> 29;
		}
	for (; from < len; from++)
		lane[0] = (lane[0] ^ object[from]) * 0x9fb21c651e98df25u;
	for (unsigned i = 1; i < 4; i++)
		lane[0] = (lane[0] ^ lane[i] ^ lane[i] >> 31) * 0x9fb21c651e98df25u;
	return lane[0] ^ lane[0] >> 32;
}

static struct medium_owned **owned_place(struct medium_types *types, uint64_t key)
{
	if (!types->owned)
		types->owned = calloc(OWNED_PLACES, sizeof(struct medium_owned *));
	assert(types->owned);
	return &types->owned[key % OWNED_PLACES];
}

static void owned_add(struct medium_owned **owned, size_t *cap, uint32_t record,
		      const struct udf_extents *list)
{
	size_t n = *owned ? (*owned)->n : 0, want = n + list->n;

	if (!*owned || want > *cap) {
		*cap = want * 2 + 16;
		*owned = realloc(*owned, sizeof(**owned) + *cap * sizeof((*owned)->v[0]));
		assert(*owned);
	}
	(*owned)->n = want;
	for (size_t i = 0; i < list->n; i++)
		(*owned)->v[n + i] = (struct medium_record_extent){ record, list->v[i] };
}

/* NULL: a record faults. */
static struct medium_owned *owned_run(struct reader *r, const struct place *at)
{
	const struct udf_template *tmpl = type_of(r, at->type);
	const struct udf_info *info = udf_template_info(tmpl);
	const uint8_t *object = block_at(r, at->start);
	struct udf_extents list = { 0 };
	struct medium_owned *owned = NULL;
	size_t cap = 0;
	bool good = true;

	owned_add(&owned, &cap, 0, &list);
	for (uint32_t i = 0; i < info->rec_count && good; i++) {
		struct udf_budget budget = UDF_BUDGET_FULL;
		struct udf_fault fault;
		const uint8_t *record = object + info->rec_off + (size_t)i * info->rec_size;

		list.n = 0;
		if (udf_owns(tmpl, record, i, object, &budget, &list, NULL, &fault))
			good = wrong(r, 3, "owns of record %u of object %llu faults: %s", i,
				     (unsigned long long)at->start, udf_fault_text(fault.code));
		owned_add(&owned, &cap, i, &list);
	}
	udf_extents_fini(&list);
	if (good)
		return owned;
	free(owned);
	return NULL;
}

static bool owned_walk(struct reader *r, const struct place *at, const struct medium_owned *owned)
{
	bool good = owned != NULL;

	for (size_t i = 0; good && i < owned->n; i++)
		good = extent_met(r, at, owned->v[i].record, &owned->v[i].extent);
	return good;
}

static bool object_walk(struct reader *r, const struct place *at)
{
	const struct udf_info *info = udf_template_info(type_of(r, at->type));
	struct medium_owned *once = NULL, **place = &once;
	uint64_t key = 0;
	bool good;

	r->report->objects++;
	if (r->remember) {
		key = object_key(at, block_at(r, at->start), info->obj_size);
		place = owned_place(r->types, key);
	}
	if (!*place || (*place)->key != key) {
		free(*place);
		*place = owned_run(r, at);
		if (*place)
			(*place)->key = key;
	}
	good = owned_walk(r, at, *place);
	free(once);
	return good;
}

static bool walk_root(struct reader *r, const struct xn_root_entry *entry)
{
	const struct udf_template *tmpl = type_of(r, (uint32_t)entry->type);
	struct medium_item item = { (uint32_t)entry->id, 0, 0, UDF_RECORD_NONE,
				    entry->object,       0, 0, NULL };

	if (!tmpl)
		return wrong(r, 2, "root %s has no type", entry->name);
	item.count = type_blocks(tmpl);
	item.type = (uint32_t)entry->type;
	if (!own(r, entry->object, item.count, "a root"))
		return false;
	item.bytes = block_at(r, entry->object);
	r->root_used = item.count;
	r->report->owned += item.count;
	if (!tell(r, &item))
		return false;
	push(r, (struct place){ entry->object, (uint32_t)entry->type, (uint32_t)entry->id });
	while (r->n > 0) {
		struct place at = r->stack[--r->n];

		if (!object_walk(r, &at))
			return false;
	}
	if (r->report->clean && r->root_used != entry->used)
		return wrong(r, 7, "root %s uses %llu blocks, its entry says %llu", entry->name,
			     (unsigned long long)r->root_used, (unsigned long long)entry->used);
	return true;
}

static bool whole_map(struct reader *r)
{
	uint64_t free_blocks = 0;

	for (uint64_t b = 0; b < r->super.block_count; b++) {
		if (!bit(r->used, b))
			free_blocks++;
		else if (!bit(r->owned, b))
			r->report->leaked++;
		if (r->report->clean && !r->report->damaged && bit(r->used, b) && !bit(r->owned, b))
			return wrong(r, 7, "block %llu is in use and nobody owns it",
				     (unsigned long long)b);
	}
	if (r->report->clean && free_blocks != r->super.free_blocks)
		return wrong(r, 7, "%llu blocks are free, the superblock says %llu",
			     (unsigned long long)free_blocks,
			     (unsigned long long)r->super.free_blocks);
	return true;
}

/* ---- the intent log ---- */

/* A sector as it was before the log was carried out. */
struct undo {
	uint8_t *at;
	uint8_t old[XN_SECTOR_SIZE];
};

struct undo_list {
	uint8_t *disk;
	struct undo *v;
	size_t n, cap;
};

static void sector_put(void *arg, uint64_t offset, const uint8_t *bytes)
{
	struct undo_list *undo = arg;
	uint8_t *at = undo->disk + offset;

	if (undo->n == undo->cap) {
		undo->cap = undo->cap ? undo->cap * 2 : 64;
		undo->v = realloc(undo->v, undo->cap * sizeof(*undo->v));
		assert(undo->v);
	}
	undo->v[undo->n].at = at;
	memcpy(undo->v[undo->n++].old, at, XN_SECTOR_SIZE);
	memcpy(at, bytes, XN_SECTOR_SIZE);
}

static void claim_put(const struct reader *r, uint64_t block, medium_put *put, void *arg)
{
	uint64_t chunk = block / XN_CHUNK_BLOCKS, place = xn_map_block(chunk) * XN_BLOCK_SIZE;
	uint8_t map[XN_MAP_CHUNK_BYTES], encoded[XN_BLOCK_SIZE];

	xn_map_decode(&r->super, chunk, r->bytes + place, map);
	if (bit(map, block % XN_CHUNK_BLOCKS))
		return;
	map[block % XN_CHUNK_BLOCKS / 8] |= (uint8_t)(1u << (block % 8));
	xn_map_encode(&r->super, chunk, map, encoded);
	for (uint32_t i = 0; i < XN_BLOCK_SECTORS; i++)
		put(arg, place + i * XN_SECTOR_SIZE, encoded + i * XN_SECTOR_SIZE);
}

/* What the next opening would do first: `put` has it on `bytes` before it returns. */
static void log_carry_out(struct reader *r, medium_put *put, void *arg)
{
	struct xn_log_reader log;
	struct xn_log_record record;

	if (xn_log_reader_init(&log, &r->super, block_at(r, r->super.log_start),
			       r->super.log_blocks * XN_BLOCK_SIZE)) {
		wrong(r, 1, "both tails of the intent log are damaged");
		return;
	}
	while (xn_log_reader_next(&log, &record)) {
		for (uint32_t i = 0; i < record.n_claims; i++) {
			struct xn_log_claim claim = xn_log_record_claim(&record, i);

			for (uint64_t b = 0; b < claim.count; b++)
				claim_put(r, claim.start + b, put, arg);
		}
		for (uint32_t i = 0; i < record.n_homes; i++)
			put(arg, xn_log_record_home(&record, i) * XN_SECTOR_SIZE,
			    record.payload + (size_t)i * XN_SECTOR_SIZE);
	}
}

static void log_undo(struct undo_list *undo)
{
	while (undo->n > 0) {
		undo->n--;
		memcpy(undo->v[undo->n].at, undo->v[undo->n].old, XN_SECTOR_SIZE);
	}
	free(undo->v);
}

void medium_log_each(const uint8_t *bytes, uint64_t size, medium_put *put, void *arg)
{
	struct medium_report report = { 0 };
	struct reader r = { .bytes = bytes, .size = size, .report = &report };

	if (super_find(&r))
		log_carry_out(&r, put, arg);
}

void medium_log_settle(uint8_t *bytes, uint64_t size)
{
	struct undo_list undo = { .disk = bytes };

	medium_log_each(bytes, size, sector_put, &undo);
	free(undo.v);
}

int medium_check(const uint8_t *bytes, uint64_t size, struct medium_types *types,
		 medium_visit *visit, void *context, struct medium_report *report)
{
	struct undo_list undo = { .disk = (uint8_t *)(uintptr_t)bytes };
	struct medium_types own_types = { 0 };
	struct reader r = { .bytes = bytes,
			    .size = size,
			    .types = types ? types : &own_types,
			    .remember = types != NULL,
			    .report = report,
			    .visit = visit,
			    .context = context };

	memset(report, 0, sizeof(*report));
	if (super_find(&r)) {
		report->clean =
			r.super.state == XN_STATE_CLEAN && !(r.super.flags & XN_SUPER_RECLAIM);
		report->damaged = r.super.flags & XN_SUPER_DAMAGED;
		log_carry_out(&r, sector_put, &undo);
		maps_load(&r);
		if (chain_walk(&r, XN_CAT_TEMPLATES) && chain_walk(&r, XN_CAT_ROOTS) &&
		    chain_walk(&r, XN_CAT_PRINCIPALS))
			(void)(shared_judge(&r) && whole_map(&r));
	}
	log_undo(&undo);
	free(r.used);
	free(r.owned);
	free(r.shared);
	free(r.stack);
	medium_types_fini(&own_types);
	return report->truth;
}

void medium_types_fini(struct medium_types *types)
{
	for (size_t i = 0; i < types->n; i++)
		udf_template_destroy(types->v[i]);
	for (size_t i = 0; types->owned && i < OWNED_PLACES; i++)
		free(types->owned[i]);
	free(types->owned);
	free(types->v);
	free(types->child);
	*types = (struct medium_types){ 0 };
}

int medium_check_dev(struct bdev *dev, medium_visit *visit, void *context,
		     struct medium_report *report)
{
	struct bdev_info info;
	uint8_t *bytes;

	bdev_info(dev, &info);
	bytes = malloc(info.size);
	assert(bytes);
	if (bdev_read(dev, 0, bytes, info.size)) {
		memset(report, 0, sizeof(*report));
		report->truth = 1;
	} else {
		medium_check(bytes, info.size, NULL, visit, context, report);
	}
	free(bytes);
	return report->truth;
}
