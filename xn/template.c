/* SPDX-License-Identifier: MIT */
/*
 * Templates: installing them, and the types they make.
 *
 *  (1) An installed template never changes; its image lies in blocks of XN's own
 *      that no call writes.
 *  (2) An id is a slot of the catalogue plus 16, so it never depends on the order
 *      in which images are loaded and is never used again.
 *  (3) Templates installed together are there together: on loading, a batch with
 *      a missing member does not exist.
 *  (4) A batch is removed together, and only when nobody uses it.  Its entries go
 *      first; what a crash leaves of them is finished by the next opening.
 *  (5) What is loaded from disk is checked as if it came from a stranger, and its
 *      SHA-256 must be the one recorded.
 */
#include "internal.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

struct type *type_find(const struct xn *xn, uint32_t id)
{
	if (id < XN_TYPE_FIRST || id - XN_TYPE_FIRST >= xn->n_types)
		return NULL;
	return xn->types[id - XN_TYPE_FIRST];
}

static void type_destroy(struct type *type)
{
	if (!type)
		return;
	udf_template_destroy(type->tmpl);
	free(type);
}

void types_fini(struct xn *xn)
{
	for (size_t i = 0; i < xn->n_types; i++)
		type_destroy(xn->types[i]);
	while (xn->types_gone) {
		struct type *next = xn->types_gone->next_gone;

		type_destroy(xn->types_gone);
		xn->types_gone = next;
	}
	free(xn->types);
	free(xn->stray);
}

static void image_sha256(const void *bytes, size_t len, uint8_t digest[32])
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, len, bytes);
	sha256_digest(&ctx, SHA256_DIGEST_SIZE, digest);
}

/* Make room for `count` types. */
static int types_reserve(struct xn *xn, size_t count)
{
	struct type **types;

	if (count <= xn->n_types)
		return 0;
	types = realloc(xn->types, count * sizeof(*types));
	if (!types)
		return -ENOMEM;
	memset(types + xn->n_types, 0, (count - xn->n_types) * sizeof(*types));
	xn->types = types;
	xn->n_types = count;
	return 0;
}

static int type_create(const struct xn_template_entry *entry, const void *image, struct type **out,
		       struct udf_refusal *why)
{
	struct type *type = calloc(1, sizeof(*type));
	int err;

	if (!type)
		return -ENOMEM;
	type->entry = *entry;
	type->id = (uint32_t)entry->id;
	err = udf_template_load(image, entry->image_len, &type->tmpl, why);
	if (err) {
		free(type);
		return err == UDF_ENOMEM ? -ENOMEM : XN_ETEMPLATE;
	}
	type->info = udf_template_info(type->tmpl);
	type->blocks = (type->info->obj_size + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE;
	for (uint32_t i = 0; i < type->info->n_child; i++)
		type->child[i] = (uint32_t)xn_template_child_type(entry, type->info->child[i]);
	*out = type;
	return 0;
}

/* ---- loading ---- */

static int type_load(struct xn *xn, const struct xn_template_entry *entry)
{
	uint8_t *image = malloc((size_t)entry->image_blocks * XN_BLOCK_SIZE);
	uint8_t digest[32];
	struct type *type;
	int err = image ? io_read_blocks(xn, entry->image_start, entry->image_blocks, image)
			: -ENOMEM;

	if (!err) {
		image_sha256(image, entry->image_len, digest);
		if (memcmp(digest, entry->sha256, sizeof(digest)))
			err = XN_EDAMAGED;
	}
	if (!err)
		err = type_create(entry, image, &type, NULL);
	if (!err)
		xn->types[entry->id - XN_TYPE_FIRST] = type;
	free(image);
	return err;
}

/* A type whose batch is not whole, or whose children are not there, is no type. */
static bool type_is_whole(const struct xn *xn, const struct type *type)
{
	for (uint32_t i = 0; i < type->entry.batch_count; i++) {
		const struct type *member = type_find(xn, (uint32_t)type->entry.batch_first + i);

		if (!member || member->entry.batch_first != type->entry.batch_first ||
		    member->entry.batch_count != type->entry.batch_count)
			return false;
	}
	for (uint32_t i = 0; i < type->info->n_child; i++) {
		if (type->child[i] > XN_RESERVED && !type_find(xn, type->child[i]))
			return false;
	}
	return true;
}

/* The entry stays, and so its image stays XN's: nobody else may have those blocks. */
static int stray_add(struct xn *xn, const struct xn_template_entry *entry)
{
	struct xn_template_entry *stray = realloc(xn->stray, (xn->n_stray + 1) * sizeof(*stray));

	if (!stray)
		return -ENOMEM;
	xn->stray = stray;
	stray[xn->n_stray++] = *entry;
	return 0;
}

static int types_drop_broken(struct xn *xn)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < xn->n_types; i++) {
			struct type *type = xn->types[i];

			if (!type || type_is_whole(xn, type))
				continue;
			if (stray_add(xn, &type->entry))
				return -ENOMEM;
			type_destroy(type);
			xn->types[i] = NULL;
			again = true;
		}
	}
	return 0;
}

int types_load(struct xn *xn)
{
	uint64_t capacity = catalogue_capacity(xn, XN_CAT_TEMPLATES);

	for (uint64_t slot = 0; slot < capacity && slot < XN_TEMPLATES_MAX; slot++) {
		struct xn_template_entry entry;
		uint8_t sector[XN_SECTOR_SIZE];
		int err = catalogue_read(xn, XN_CAT_TEMPLATES, slot, sector);

		if (err || xn_template_entry_decode(&xn->super, slot, sector, &entry)) {
			xn->types_unread = true;
			continue;
		}
		if (entry.state != XN_ENTRY_USED)
			continue;
		err = types_reserve(xn, slot + 1);
		if (err)
			return err;
		err = type_load(xn, &entry);
		if (err == -ENOMEM)
			return err;
		if (err && stray_add(xn, &entry))
			return -ENOMEM;
		if (err)
			xn->damaged = xn->types_unread = true;
	}
	return types_drop_broken(xn);
}

/* ---- installing ---- */

struct install {
	struct xn *xn;
	const struct xn_image *images;
	uint32_t count;
	struct xn_template_entry *entries;
	struct type **types;
	struct xn_refusal *why;
};

/* The same images, in the same order, installed together before? */
static bool batch_find(const struct install *in, uint32_t *first)
{
	for (size_t i = 0; i < in->xn->n_types; i++) {
		const struct type *type = in->xn->types[i];
		uint32_t k = 0;

		if (!type || type->entry.batch_index != 0 || type->entry.batch_count != in->count)
			continue;
		while (k < in->count && type_find(in->xn, type->id + k) &&
		       !memcmp(type_find(in->xn, type->id + k)->entry.sha256, in->entries[k].sha256,
			       32))
			k++;
		if (k == in->count) {
			*first = type->id;
			return true;
		}
	}
	return false;
}

static int children_check(const struct install *in, uint32_t k)
{
	const struct type *type = in->types[k];

	for (uint32_t i = 0; i < type->info->n_child; i++) {
		uint64_t id = type->info->child[i];
		uint32_t global = type->child[i];

		if (id >= UDF_CHILD_ID_BATCH && id != UDF_CHILD_ID_SELF &&
		    id - UDF_CHILD_ID_BATCH >= in->count)
			return refuse(in->why, XN_ENOTEMPLATE, 0,
				      "child %u of template %s is not in the batch", i,
				      type->info->name);
		if (id < UDF_CHILD_ID_BATCH && global > XN_RESERVED && !type_find(in->xn, global))
			return refuse(in->why, XN_ENOTEMPLATE, 0,
				      "child %u of template %s is not installed", i,
				      type->info->name);
		if (id < UDF_CHILD_ID_BATCH && id > UINT32_MAX)
			return refuse(in->why, XN_ENOTEMPLATE, 0, "child id is out of range");
	}
	return 0;
}

/* Give the entries ids, load every image as a stranger's. */
static int install_prepare(struct install *in, uint32_t installer)
{
	uint64_t slot = in->xn->catalogue[XN_CAT_TEMPLATES].n_slots;

	if (slot + in->count > XN_TEMPLATES_MAX)
		return refuse(in->why, XN_EFULLCATALOGUE, 0, "no template slots are left");
	for (uint32_t i = 0; i < in->count; i++) {
		struct xn_template_entry *entry = &in->entries[i];
		struct udf_refusal refusal = { 0 };
		int err;

		entry->seq = 1;
		entry->id = slot + i + XN_TYPE_FIRST;
		entry->state = XN_ENTRY_USED;
		entry->time = disk_now_ns(in->xn);
		entry->image_len = (uint32_t)in->images[i].len;
		entry->image_blocks = (entry->image_len + XN_BLOCK_SIZE - 1) / XN_BLOCK_SIZE;
		entry->batch_first = slot + XN_TYPE_FIRST;
		entry->batch_count = in->count;
		entry->batch_index = i;
		entry->installer = installer;
		err = type_create(entry, in->images[i].bytes, &in->types[i], &refusal);
		if (err)
			return refuse(in->why, err, 0, "template %u of the batch: %s", i,
				      refusal.text[0] ? refusal.text : xn_strerror(err));
		memcpy(entry->name, in->types[i]->info->name, sizeof(in->types[i]->info->name));
	}
	for (uint32_t i = 0; i < in->count; i++) {
		int err = children_check(in, i);

		if (err)
			return err;
	}
	return 0;
}

static int image_store(struct install *in, uint32_t i)
{
	struct xn_template_entry *entry = &in->entries[i];
	size_t len = (size_t)entry->image_blocks * XN_BLOCK_SIZE;
	uint8_t *bytes = calloc(1, len);
	int err = bytes ? take_own_blocks(in->xn, in->xn->super.log_start, entry->image_blocks,
					  &entry->image_start)
			: -ENOMEM;

	if (!err) {
		memcpy(bytes, in->images[i].bytes, in->images[i].len);
		err = device_write(in->xn, entry->image_start * XN_BLOCK_SIZE, bytes, len);
		if (err)
			give_own_blocks(in->xn, entry->image_start, entry->image_blocks);
	}
	free(bytes);
	return err;
}

/* All images, and places in the catalogue: stable, and named by nothing yet. */
static int images_store(struct install *in)
{
	uint64_t last = in->entries[in->count - 1].id - XN_TYPE_FIRST;
	uint32_t n = 0;
	int err = 0;

	while (n < in->count && !err) {
		err = image_store(in, n);
		n += !err;
	}
	if (!err)
		err = device_flush(in->xn);
	if (!err)
		err = catalogue_reserve(in->xn, XN_CAT_TEMPLATES, last);
	while (err && n-- > 0)
		give_own_blocks(in->xn, in->entries[n].image_start, in->entries[n].image_blocks);
	return err;
}

static int install_store(struct install *in)
{
	struct xn *xn = in->xn;
	int err = images_store(in);

	if (err)
		return err;
	for (uint32_t i = 0; i < in->count && !err; i++) {
		uint64_t slot = in->entries[i].id - XN_TYPE_FIRST;
		uint8_t sector[XN_SECTOR_SIZE];

		in->types[i]->entry = in->entries[i];
		xn_template_entry_encode(&xn->super, &in->entries[i], sector);
		err = catalogue_write(xn, XN_CAT_TEMPLATES, slot, sector);
	}
	return err ? own_blocks_doubtful(xn, err) : 0;
}

/* From here on sessions find the types. */
static int install_publish(struct install *in)
{
	struct xn *xn = in->xn;
	uint32_t last = (uint32_t)in->entries[in->count - 1].id - XN_TYPE_FIRST;
	int err;

	pthread_mutex_lock(&xn->lock);
	err = types_reserve(xn, last + 1);
	for (uint32_t i = 0; i < in->count && !err; i++) {
		xn->types[in->entries[i].id - XN_TYPE_FIRST] = in->types[i];
		in->types[i] = NULL;
	}
	pthread_mutex_unlock(&xn->lock);
	return err;
}

static int install_locked(struct install *in, struct xn_session *session, uint32_t *ids)
{
	uint32_t first;
	int err;

	for (uint32_t i = 0; i < in->count; i++)
		image_sha256(in->images[i].bytes, in->images[i].len, in->entries[i].sha256);
	if (!batch_find(in, &first)) {
		if (!in->xn->writable)
			return refuse(in->why, XN_EREADONLY, 0, "the disk is open read-only");
		pthread_mutex_lock(&in->xn->lock);
		err = allowance_templates(in->xn, session->cred.uid, in->count);
		pthread_mutex_unlock(&in->xn->lock);
		if (err)
			return refuse(in->why, err, 0, "user %u may not have that many templates",
				      session->cred.uid);
		err = install_prepare(in, session->cred.uid);
		if (!err)
			err = install_store(in);
		if (!err)
			err = install_publish(in);
		if (err)
			return err;
		first = (uint32_t)in->entries[0].batch_first;
	}
	for (uint32_t i = 0; i < in->count; i++)
		ids[i] = first + i;
	return 0;
}

static void images_free(struct xn_image *images, uint32_t count)
{
	for (uint32_t i = 0; images && i < count; i++)
		free((void *)(uintptr_t)images[i].bytes);
	free(images);
}

/* The one time that the caller's images are read: what is checked and stored is this copy. */
static int images_copy(const struct xn_image *images, uint32_t count, struct xn_image **out,
		       struct xn_refusal *why)
{
	struct xn_image *copies = calloc(count, sizeof(*copies));

	*out = copies;
	for (uint32_t i = 0; copies && i < count; i++) {
		const struct xn_image image = images[i];
		void *bytes;

		if (!image.bytes || image.len == 0 || image.len > UDF_IMAGE_MAX)
			return refuse(why, XN_ETEMPLATE, 0, "image %u has an impossible size", i);
		bytes = malloc(image.len);
		if (!bytes)
			return -ENOMEM;
		memcpy(bytes, image.bytes, image.len);
		copies[i] = (struct xn_image){ bytes, image.len };
	}
	return copies ? 0 : -ENOMEM;
}

int xn_template_install(struct xn_session *session, const struct xn_image *images, uint32_t count,
			uint32_t *ids, struct xn_refusal *why)
{
	struct install in = { .xn = session->xn, .count = count, .why = why };
	struct xn_image *copies;
	int err;

	if (count == 0 || count > UDF_CHILDREN_MAX)
		return refuse(why, -EINVAL, 0, "a batch has 1 to %u templates", UDF_CHILDREN_MAX);
	err = images_copy(images, count, &copies, why);
	in.images = copies;
	in.entries = calloc(count, sizeof(*in.entries));
	in.types = calloc(count, sizeof(struct type *));
	if (!err && (!in.entries || !in.types))
		err = -ENOMEM;
	if (!err) {
		pthread_mutex_lock(&session->xn->admin);
		err = install_locked(&in, session, ids);
		pthread_mutex_unlock(&session->xn->admin);
	}
	for (uint32_t i = 0; in.types && i < count; i++)
		type_destroy(in.types[i]);
	free(in.types);
	free(in.entries);
	images_free(copies, count);
	return err;
}

/* ---- removing ---- */

/* The templates that were installed together: ids `first` and on. */
struct batch {
	struct xn *xn;
	uint32_t first, count;
	struct xn_refusal *why;
};

static bool batch_has(const struct batch *batch, uint64_t id)
{
	return id >= batch->first && id - batch->first < batch->count;
}

static const char *batch_name(const struct batch *batch, uint64_t id)
{
	return type_find(batch->xn, (uint32_t)id)->info->name;
}

/* A root has the type, or another template has it as a child. */
static int uses_named(const struct batch *batch)
{
	struct xn *xn = batch->xn;

	for (size_t i = 0; i < xn->n_roots; i++) {
		const struct xn_root_entry *entry = &xn->roots[i]->entry;

		if (entry->state == XN_ENTRY_USED && batch_has(batch, entry->type))
			return refuse(batch->why, XN_EINUSE, entry->object,
				      "root %s is of template %s", entry->name,
				      batch_name(batch, entry->type));
	}
	for (size_t i = 0; i < xn->n_types; i++) {
		const struct type *type = xn->types[i];

		for (uint32_t k = 0; type && k < type->info->n_child; k++) {
			if (!batch_has(batch, type->id) && batch_has(batch, type->child[k]))
				return refuse(batch->why, XN_EINUSE, 0,
					      "template %s may own objects of template %s",
					      type->info->name, batch_name(batch, type->child[k]));
		}
	}
	return 0;
}

static bool waits_to_be_reaped(const struct batch *batch, const struct will_free *list)
{
	for (; list; list = list->next) {
		if (list->reap && batch_has(batch, list->reap->id))
			return true;
	}
	return false;
}

/* What no root reaches any more is still looked at through its type. */
static int uses_left(const struct batch *batch)
{
	const struct registry *registry = &batch->xn->registry;
	bool used = false;

	for (const struct reap_item *item = batch->xn->reap_head; item; item = item->next)
		used |= batch_has(batch, item->type->id);
	for (size_t i = 0; i < registry->n_buckets; i++) {
		const struct entry *entry = registry->buckets[i];

		for (; entry; entry = entry->hash_next)
			used |= (entry->type && batch_has(batch, entry->type->id)) ||
				waits_to_be_reaped(batch, entry->will_free);
	}
	return used ? refuse(batch->why, XN_EINUSE, 0, "removed objects of it are not reaped yet")
		    : 0;
}

static int remove_check(struct batch *batch, const struct xn_session *session, uint32_t id)
{
	struct xn *xn = batch->xn;
	const struct type *type = type_find(xn, id);
	int err;

	if (!xn->writable)
		return refuse(batch->why, XN_EREADONLY, 0, "the disk is open read-only");
	if (!type)
		return refuse(batch->why, XN_ENOTEMPLATE, 0, "there is no template %u", id);
	if (!(session->flags & XN_SESSION_ADMIN) && session->cred.uid != type->entry.installer)
		return refuse(batch->why, XN_ECRED, 0, "template %u was installed by user %u", id,
			      type->entry.installer);
	if (xn->types_unread)
		return refuse(batch->why, XN_EDAMAGED, 0,
			      "a template that cannot be read may name it");
	batch->first = (uint32_t)type->entry.batch_first;
	batch->count = type->entry.batch_count;
	err = uses_named(batch);
	return err ? err : uses_left(batch);
}

static int entry_remove(struct xn *xn, const struct xn_template_entry *entry)
{
	struct xn_template_entry removed = { .seq = entry->seq + 1,
					     .id = entry->id,
					     .state = XN_ENTRY_REMOVED,
					     .time = entry->time };
	uint8_t sector[XN_SECTOR_SIZE];

	xn_template_entry_encode(&xn->super, &removed, sector);
	return catalogue_write(xn, XN_CAT_TEMPLATES, entry->id - XN_TYPE_FIRST, sector);
}

/* From here on nobody finds them, whatever the disk will say. */
static void batch_hide(const struct batch *batch)
{
	struct xn *xn = batch->xn;

	for (uint32_t i = 0; i < batch->count; i++) {
		struct type *type = xn->types[batch->first + i - XN_TYPE_FIRST];

		xn->types[batch->first + i - XN_TYPE_FIRST] = NULL;
		type->next_gone = xn->types_gone;
		xn->types_gone = type;
	}
}

static int remove_locked(struct batch *batch, const struct xn_session *session, uint32_t id)
{
	struct xn *xn = batch->xn;
	struct type *type;
	int err;

	pthread_mutex_lock(&xn->lock);
	err = remove_check(batch, session, id);
	if (!err)
		batch_hide(batch);
	pthread_mutex_unlock(&xn->lock);
	if (err)
		return err;
	type = xn->types_gone; /* the batch, backwards; only we change the list */
	for (uint32_t i = 0; i < batch->count && !err; i++, type = type->next_gone)
		err = entry_remove(xn, &type->entry);
	if (err)
		return own_blocks_doubtful(xn, err);
	type = xn->types_gone;
	for (uint32_t i = 0; i < batch->count; i++, type = type->next_gone)
		give_own_blocks(xn, type->entry.image_start, type->entry.image_blocks);
	return 0;
}

int xn_template_remove(struct xn_session *session, uint32_t id, struct xn_refusal *why)
{
	struct batch batch = { .xn = session->xn, .why = why };
	int err;

	pthread_mutex_lock(&session->xn->admin);
	err = remove_locked(&batch, session, id);
	pthread_mutex_unlock(&session->xn->admin);
	if (err && why && why->error != err)
		refuse(why, err, 0, "%s", xn_strerror(err));
	return err;
}

/* Was a member of the batch removed already? */
static int batch_is_dying(struct xn *xn, const struct xn_template_entry *entry)
{
	for (uint32_t i = 0; i < entry->batch_count; i++) {
		uint64_t slot = entry->batch_first + i - XN_TYPE_FIRST;
		struct xn_template_entry member;
		uint8_t sector[XN_SECTOR_SIZE];
		int err;

		if (slot >= catalogue_capacity(xn, XN_CAT_TEMPLATES))
			return 0;
		err = catalogue_read(xn, XN_CAT_TEMPLATES, slot, sector);
		if (err == XN_EIO)
			return err;
		if (!err && !xn_template_entry_decode(&xn->super, slot, sector, &member) &&
		    member.state == XN_ENTRY_REMOVED)
			return 1;
	}
	return 0;
}

/* The entries that a crash left of a batch that was being removed; reclaim frees the images. */
int types_finish_removal(struct xn *xn)
{
	size_t kept = 0;
	int err = 0;

	for (size_t i = 0; i < xn->n_stray; i++) {
		int dying = err ? 0 : batch_is_dying(xn, &xn->stray[i]);

		if (dying == 1) {
			pthread_mutex_unlock(&xn->lock);
			err = entry_remove(xn, &xn->stray[i]);
			pthread_mutex_lock(&xn->lock);
		}
		if (dying < 0)
			err = dying;
		if (dying != 1 || err)
			xn->stray[kept++] = xn->stray[i];
	}
	xn->n_stray = kept;
	return err;
}

/* ---- looking ---- */

static void info_fill(const struct type *type, struct xn_template_info *info)
{
	const struct udf_info *udf = type->info;

	memset(info, 0, sizeof(*info));
	info->id = type->id;
	info->batch_first = (uint32_t)type->entry.batch_first;
	info->batch_count = type->entry.batch_count;
	memcpy(info->name, udf->name, sizeof(info->name));
	memcpy(info->sha256, type->entry.sha256, sizeof(info->sha256));
	info->obj_size = udf->obj_size;
	info->hdr_len = udf->hdr_len;
	info->rec_off = udf->rec_off;
	info->rec_size = udf->rec_size;
	info->rec_count = udf->rec_count;
	info->image_len = udf->image_len;
	info->installer = type->entry.installer;
}

int xn_template_info(struct xn *xn, uint32_t id, struct xn_template_info *info)
{
	const struct type *type;

	pthread_mutex_lock(&xn->lock);
	type = type_find(xn, id);
	if (type)
		info_fill(type, info);
	pthread_mutex_unlock(&xn->lock);
	return type ? 0 : XN_ENOTEMPLATE;
}

int xn_template_find(struct xn *xn, const char *name, uint32_t *id)
{
	int err = XN_ENOTEMPLATE;

	pthread_mutex_lock(&xn->lock);
	for (size_t i = xn->n_types; i > 0 && err; i--) {
		const struct type *type = xn->types[i - 1];

		if (!type || strcmp(type->info->name, name))
			continue;
		*id = type->id;
		err = 0;
	}
	pthread_mutex_unlock(&xn->lock);
	return err;
}

int xn_template_next(struct xn *xn, uint32_t after, struct xn_template_info *info)
{
	int err = XN_ENOTEMPLATE;

	pthread_mutex_lock(&xn->lock);
	for (size_t i = after < XN_TYPE_FIRST ? 0 : after + 1 - XN_TYPE_FIRST;
	     i < xn->n_types && err; i++) {
		if (!xn->types[i])
			continue;
		info_fill(xn->types[i], info);
		err = 0;
	}
	pthread_mutex_unlock(&xn->lock);
	return err;
}

int xn_template_image(struct xn *xn, uint32_t id, void *bytes, size_t size, size_t *len)
{
	const struct type *type;

	pthread_mutex_lock(&xn->lock);
	type = type_find(xn, id);
	if (type) {
		*len = type->info->image_len;
		memcpy(bytes, type->info->image, size < *len ? size : *len);
	}
	pthread_mutex_unlock(&xn->lock);
	return type ? 0 : XN_ENOTEMPLATE;
}

int xn_template_child(struct xn *xn, uint32_t id, uint32_t child, uint32_t *out)
{
	const struct type *type;
	int err = 0;

	pthread_mutex_lock(&xn->lock);
	type = type_find(xn, id);
	if (!type)
		err = XN_ENOTEMPLATE;
	else if (child >= type->info->n_child)
		err = -ERANGE;
	else
		*out = type->child[child];
	pthread_mutex_unlock(&xn->lock);
	return err;
}
