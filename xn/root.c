/* SPDX-License-Identifier: MIT */
/*
 * Roots: named objects, with an owner, a mode and a quota.
 *
 *  (1) A root's entry is written after its object is stable on disk, so a root
 *      never names anything but a sound object.
 *  (2) Everything that a root's objects own is charged to it, from the update
 *      that takes a block until the block is free again.
 *  (3) The counter on disk is an upper bound; it is exact on a clean disk.
 *  (4) A root is removed by its entry first.  When that is stable nothing on disk
 *      names its object any more, so XN may take the tree apart; nobody holds
 *      anything of it from then on.
 *  (5) A temporary root is in no catalogue: its blocks are free again when the disk is
 *      closed, and lost ones after a crash.
 *  (6) A scratch root is nothing but one more object at the top of another root's
 *      tree, which nothing on disk names.  So a move between the two is a move within
 *      one root, whatever hangs from what is moved.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct root *root_find(const struct xn *xn, const char *name)
{
	for (size_t i = 0; i < xn->n_roots; i++) {
		if (xn->roots[i]->present && !strcmp(xn->roots[i]->entry.name, name))
			return xn->roots[i];
	}
	return NULL;
}

struct root *root_by_id(const struct xn *xn, uint32_t id)
{
	if (id == 0 || id > xn->n_roots || !xn->roots[id - 1]->present)
		return NULL;
	return xn->roots[id - 1];
}

/* Whose quota, dirty pages and claims they are. */
struct root *root_paying(struct root *root)
{
	return root && root->scratch_of ? root->scratch_of : root;
}

void root_charge(struct root *root, uint64_t blocks)
{
	root->used += blocks;
	root->taken += blocks;
	root->account.principal->blocks += blocks;
	root->entry_changed = true;
}

/* After a crash the count may be too low until reclaim has set it right. */
void root_credit(struct root *root, uint64_t blocks)
{
	uint64_t counted = blocks < root->used ? blocks : root->used;

	root->used -= counted;
	root->account.principal->blocks -= counted;
	root->given += blocks;
	root->entry_changed = true;
}

int root_pool(struct xn *xn, struct root *root, bool metadata, struct pool **out)
{
	int err = 0;

	if (!root->pool[metadata])
		err = pool_create(&xn->cache, &root->pool[metadata]);
	*out = root->pool[metadata];
	return err;
}

static int root_append(struct xn *xn, const struct xn_root_entry *entry, struct root **out)
{
	struct root **roots = realloc(xn->roots, (xn->n_roots + 1) * sizeof(struct root *));
	struct root *root;

	if (!roots)
		return -ENOMEM;
	xn->roots = roots;
	root = calloc(1, sizeof(*root));
	if (!root)
		return -ENOMEM;
	root->slot = xn->n_roots;
	root->entry = *entry;
	root->used = entry->used;
	TAILQ_INIT(&root->dirty);
	if (principal_get(xn, entry->uid, &root->account.principal)) {
		free(root);
		return -ENOMEM;
	}
	roots[xn->n_roots++] = root;
	*out = root;
	return 0;
}

/* A root whose template is missing, or whose object cannot be there, is shown but not usable. */
static void root_settle(struct xn *xn, struct root *root)
{
	root->type = type_find(xn, (uint32_t)root->entry.type);
	root->present = root->entry.state == XN_ENTRY_USED && root->type != NULL;
	if (root->present && own_blocks_meet(xn, root->entry.object, root->type->blocks))
		root->present = false;
	if (root->entry.state == XN_ENTRY_USED && !root->present)
		xn->damaged = true;
}

int roots_load(struct xn *xn)
{
	uint64_t capacity = catalogue_capacity(xn, XN_CAT_ROOTS);

	for (uint64_t slot = 0; slot < capacity && slot < XN_ROOTS_MAX; slot++) {
		struct xn_root_entry entry = { 0 };
		uint8_t sector[XN_SECTOR_SIZE];
		struct root *root;
		int err = catalogue_read(xn, XN_CAT_ROOTS, slot, sector);

		if (err || xn_root_entry_decode(&xn->super, slot, sector, &entry))
			memset(&entry, 0, sizeof(entry));
		if (slot >= xn->catalogue[XN_CAT_ROOTS].n_slots)
			continue;
		while (xn->n_roots < slot) { /* slots passed over stay empty */
			struct xn_root_entry none = { 0 };

			err = root_append(xn, &none, &root);
			if (err)
				return err;
		}
		err = root_append(xn, &entry, &root);
		if (err)
			return err;
		root_settle(xn, root);
	}
	return 0;
}

void roots_fini(struct xn *xn)
{
	for (size_t i = 0; i < xn->n_roots; i++) {
		pool_destroy(&xn->cache, xn->roots[i]->pool[0]);
		pool_destroy(&xn->cache, xn->roots[i]->pool[1]);
		free(xn->roots[i]);
	}
	free(xn->roots);
}

static void info_fill(const struct root *root, struct xn_root_info *info)
{
	const struct xn_root_entry *entry = &root->entry;

	memset(info, 0, sizeof(*info));
	info->id = (uint32_t)root->slot + 1;
	memcpy(info->name, entry->name, sizeof(info->name));
	memcpy(info->libfs, entry->libfs, sizeof(info->libfs));
	info->object = entry->object;
	info->type = (uint32_t)entry->type;
	info->uid = entry->uid;
	info->gid = entry->gid;
	info->mode = entry->mode;
	info->flags = entry->flags;
	info->quota = entry->quota;
	info->reserve = entry->reserve;
	info->used = root->used;
	info->dirty = root->n_dirty;
	info->weight = entry->weight;
	memcpy(info->uuid, entry->uuid, sizeof(info->uuid));
	info->created_ns = entry->time;
	info->damaged = root->damaged;
}

/* Write the entry as it is now; without the lock. */
static int entry_store(struct xn *xn, const struct xn_root_entry *entry)
{
	uint8_t sector[XN_SECTOR_SIZE];
	uint64_t slot = entry->id - 1;
	int err = catalogue_reserve(xn, XN_CAT_ROOTS, slot);

	if (err)
		return err;
	xn_root_entry_encode(&xn->super, entry, sector);
	return catalogue_write(xn, XN_CAT_ROOTS, slot, sector);
}

/* The counters of roots that changed, at a clean close. */
int roots_write_changed(struct xn *xn)
{
	for (size_t i = 0; i < xn->n_roots; i++) {
		struct root *root = xn->roots[i];
		struct xn_root_entry entry;
		int err;

		if (!root->present || root->temporary || !root->entry_changed ||
		    root->used == root->entry.used)
			continue;
		root->entry.used = root->used;
		root->entry.seq++;
		entry = root->entry;
		pthread_mutex_unlock(&xn->lock);
		err = entry_store(xn, &entry);
		pthread_mutex_lock(&xn->lock);
		if (err)
			return err;
		root->entry_changed = false;
	}
	return 0;
}

/* ---- creating ---- */

/* The object in its initial state, stable on disk. */
static int object_store(struct xn *xn, const struct type *type, xn_blk_t near, xn_blk_t *object)
{
	size_t len = (size_t)type->blocks * XN_BLOCK_SIZE;
	uint8_t *bytes = calloc(1, len);
	int err = bytes ? take_own_blocks(xn, near, type->blocks, object) : -ENOMEM;

	if (!err) {
		udf_template_init(type->tmpl, bytes);
		err = device_write(xn, *object * XN_BLOCK_SIZE, bytes, len);
		if (!err)
			err = device_flush(xn);
		if (err)
			give_own_blocks(xn, *object, type->blocks);
	}
	free(bytes);
	return err;
}

static int spec_check(struct xn *xn, const struct xn_root_spec *spec, struct type **type)
{
	int err;

	if (!xn->writable)
		return XN_EREADONLY;
	if (!spec->name || !xn_root_name_ok(spec->name) || !spec->libfs ||
	    strlen(spec->libfs) == 0 || strlen(spec->libfs) > 31)
		return -EINVAL;
	if (spec->flags & ~(XN_ROOT_TEMPORARY | XN_ROOT_SCRATCH))
		return -EINVAL;
	if (!(spec->flags & XN_ROOT_SCRATCH) != !spec->scratch_of)
		return -EINVAL;
	if ((spec->flags & XN_ROOT_SCRATCH) && (spec->quota || spec->reserve))
		return -EINVAL;
	if (spec->weight > XN_WEIGHT_MAX)
		return -EINVAL;
	if (spec->reserve > XN_BLOCKS_MAX || (spec->quota && spec->reserve > spec->quota))
		return -EINVAL;
	pthread_mutex_lock(&xn->lock);
	*type = type_find(xn, spec->type);
	if (!*type || claims_room(xn) < (*type)->blocks + spec->reserve) {
		pthread_mutex_unlock(&xn->lock);
		return *type ? XN_ENOSPACE : XN_ENOTEMPLATE;
	}
	err = allowance_root(xn, spec->uid, (*type)->blocks);
	if (err) {
		pthread_mutex_unlock(&xn->lock);
		return err;
	}
	for (size_t i = 0; i < xn->n_roots; i++) {
		if (xn->roots[i]->entry.state == XN_ENTRY_USED &&
		    !strcmp(xn->roots[i]->entry.name, spec->name)) {
			pthread_mutex_unlock(&xn->lock);
			return XN_EROOTEXISTS;
		}
	}
	pthread_mutex_unlock(&xn->lock);
	return xn->n_roots < XN_ROOTS_MAX ? 0 : XN_EFULLCATALOGUE;
}

static int entry_from_spec(const struct xn *xn, const struct xn_root_spec *spec,
			   struct xn_root_entry *entry)
{
	static const uint8_t none[16];

	memset(entry, 0, sizeof(*entry));
	entry->seq = 1;
	entry->id = xn->n_roots + 1;
	entry->state = XN_ENTRY_USED;
	entry->time = spec->now_ns ? spec->now_ns : disk_now_ns(xn);
	entry->flags = spec->flags;
	entry->type = spec->type;
	entry->quota = spec->quota;
	entry->reserve = spec->reserve;
	entry->uid = spec->uid;
	entry->gid = spec->gid;
	entry->mode = spec->mode & 07777;
	entry->weight = spec->weight ? spec->weight : 1;
	memcpy(entry->name, spec->name, strlen(spec->name));
	memcpy(entry->libfs, spec->libfs, strlen(spec->libfs));
	memcpy(entry->uuid, spec->uuid, sizeof(entry->uuid));
	if (!memcmp(entry->uuid, none, sizeof(none)) && getrandom(entry->uuid, 16, 0) != 16)
		return -EIO;
	return 0;
}

/* ---- temporary roots ---- */

/* The object in its initial state; that it is stable nobody needs. */
static int object_place(struct xn *xn, const struct type *type, xn_blk_t near, xn_blk_t *object)
{
	size_t len = (size_t)type->blocks * XN_BLOCK_SIZE;
	uint8_t *bytes = calloc(1, len);
	struct xn_extent found;
	int err = bytes ? 0 : -ENOMEM;

	pthread_mutex_lock(&xn->lock);
	if (!err)
		err = freemap_find(xn, near, type->blocks, 1, &found);
	if (!err && (found.count < type->blocks || claims_room(xn) < type->blocks))
		err = XN_ENOSPACE;
	if (!err)
		freemap_take(xn, found.start, found.count, false);
	pthread_mutex_unlock(&xn->lock);
	if (!err) {
		*object = found.start;
		udf_template_init(type->tmpl, bytes);
		err = device_write(xn, found.start * XN_BLOCK_SIZE, bytes, len);
		if (err)
			give_own_blocks(xn, found.start, found.count);
	}
	free(bytes);
	return err;
}

/* A scratch root that is gone leaves nothing that points at it: its slot serves again. */
static struct root *scratch_slot(struct xn *xn)
{
	for (size_t i = 0; i < xn->n_roots; i++) {
		if (xn->roots[i]->scratch_of && !xn->roots[i]->present)
			return xn->roots[i];
	}
	return NULL;
}

/* With the lock; the object's blocks are taken. */
static int temporary_enter(struct xn *xn, const struct xn_root_spec *spec,
			   struct xn_root_entry *entry, struct root **out)
{
	struct root *paying = root_paying(root_by_id(xn, spec->scratch_of));
	struct root *root = spec->scratch_of ? scratch_slot(xn) : NULL;
	int err = 0;

	if (spec->scratch_of && !paying)
		return XN_ENOROOT;
	if (root) {
		entry->id = root->slot + 1;
		root->entry = *entry;
	} else {
		err = root_append(xn, entry, &root);
	}
	if (err)
		return err;
	root->temporary = true;
	root->used = 0;
	root->type = type_find(xn, spec->type);
	root->scratch_of = paying;
	root->present = true;
	if (paying)
		paying->n_scratch++;
	root_charge(root_paying(root), root->type->blocks);
	reserve_settle(xn, root);
	*out = root;
	return 0;
}

/* May the session make a scratch root for that one? */
static int scratch_check(struct xn_session *session, const struct xn_root_spec *spec,
			 const struct type *type)
{
	struct xn *xn = session->xn;
	struct root *root;
	int err = 0;

	if (!spec->scratch_of)
		return 0;
	pthread_mutex_lock(&xn->lock);
	root = root_by_id(xn, spec->scratch_of);
	if (!root || root->temporary)
		err = XN_ENOROOT;
	else
		err = claims_check(session, root, type->blocks, false, NULL);
	pthread_mutex_unlock(&xn->lock);
	return err;
}

static int temporary_create(struct xn_session *session, const struct xn_root_spec *spec,
			    struct xn_root_info *info)
{
	struct xn *xn = session->xn;
	struct xn_root_entry entry;
	struct type *type;
	struct root *root;
	int err = spec_check(xn, spec, &type);

	if (!err)
		err = scratch_check(session, spec, type);
	if (!err)
		err = entry_from_spec(xn, spec, &entry);
	if (!err)
		err = object_place(xn, type, spec->near, &entry.object);
	if (err)
		return err;
	pthread_mutex_lock(&xn->lock);
	err = temporary_enter(xn, spec, &entry, &root);
	if (!err && info)
		info_fill(root, info);
	pthread_mutex_unlock(&xn->lock);
	if (err)
		give_own_blocks(xn, entry.object, type->blocks);
	return err;
}

static int root_create_admin(struct xn *xn, const struct xn_root_spec *spec,
			     struct xn_root_info *info)
{
	struct xn_root_entry entry;
	struct root *root;
	struct type *type;
	int err = spec_check(xn, spec, &type);

	if (!err)
		err = entry_from_spec(xn, spec, &entry);
	if (!err)
		err = object_store(xn, type, spec->near, &entry.object);
	if (err)
		return err;
	entry.used = type->blocks;
	err = catalogue_reserve(xn, XN_CAT_ROOTS, entry.id - 1);
	if (err) {
		give_own_blocks(xn, entry.object, type->blocks);
		return err;
	}
	err = entry_store(xn, &entry);
	if (err)
		return own_blocks_doubtful(xn, err);
	pthread_mutex_lock(&xn->lock);
	err = root_append(xn, &entry, &root);
	if (!err) {
		root->account.principal->blocks += root->used;
		root_settle(xn, root);
		reserve_settle(xn, root);
		if (info)
			info_fill(root, info);
	}
	pthread_mutex_unlock(&xn->lock);
	return err;
}

/* Who may write on a root's object may have a scratch root for it. */
static bool scratch_allowed(struct xn_session *session, const struct xn_root_spec *spec)
{
	struct xn *xn = session->xn;
	const struct entry *entry;
	const struct root *root;
	bool allowed = false;

	if (!(spec->flags & XN_ROOT_SCRATCH) || spec->uid != session->cred.uid)
		return false;
	pthread_mutex_lock(&xn->lock);
	root = root_by_id(xn, spec->scratch_of);
	entry = root ? registry_find(&xn->registry, root->entry.object) : NULL;
	if (entry && entry->root == root)
		allowed = session_holds(session, entry, XN_WRITE);
	pthread_mutex_unlock(&xn->lock);
	return allowed;
}

/* At most size - 1 bytes; a longer text stays longer than any that is allowed. */
static const char *text_read(char *to, size_t size, const char *from)
{
	if (!from)
		return NULL;
	strncpy(to, from, size - 1);
	to[size - 1] = '\0';
	return to;
}

int xn_root_create(struct xn_session *session, const struct xn_root_spec *caller,
		   struct xn_root_info *info)
{
	struct xn *xn = session->xn;
	struct xn_root_spec spec = *caller; /* read once, used from here */
	char name[sizeof(((struct xn_root_entry *)0)->name) + 1];
	char libfs[sizeof(((struct xn_root_entry *)0)->libfs) + 1];
	int err;

	spec.name = text_read(name, sizeof(name), spec.name);
	spec.libfs = text_read(libfs, sizeof(libfs), spec.libfs);
	if (!(session->flags & XN_SESSION_ADMIN) && !scratch_allowed(session, &spec))
		return XN_ECRED;
	pthread_mutex_lock(&xn->admin);
	err = spec.flags & (XN_ROOT_TEMPORARY | XN_ROOT_SCRATCH)
		      ? temporary_create(session, &spec, info)
		      : root_create_admin(xn, &spec, info);
	pthread_mutex_unlock(&xn->admin);
	return err;
}

/* Administrators change a number of a root's entry. */
enum root_number { ROOT_QUOTA, ROOT_RESERVE, ROOT_WEIGHT };

static int number_set(struct xn *xn, struct root *root, enum root_number which, uint64_t value)
{
	struct xn_root_entry *entry = &root->entry;
	uint64_t quota = which == ROOT_QUOTA ? value : entry->quota;
	uint64_t reserve = which == ROOT_RESERVE ? value : entry->reserve;

	if (root->scratch_of || value > XN_BLOCKS_MAX || (quota && reserve > quota))
		return -EINVAL;
	if (which == ROOT_WEIGHT && (value == 0 || value > XN_WEIGHT_MAX))
		return -EINVAL;
	if (which == ROOT_RESERVE && value > root->reserved &&
	    value - root->reserved > claims_room(xn))
		return XN_ENOSPACE;
	if (which == ROOT_WEIGHT)
		entry->weight = (uint32_t)value;
	entry->quota = quota;
	entry->reserve = reserve;
	entry->seq++;
	reserve_settle(xn, root);
	return 0;
}

static int root_set(struct xn_session *session, const char *name, enum root_number which,
		    uint64_t value)
{
	struct xn *xn = session->xn;
	struct xn_root_entry entry;
	struct root *root;
	int err;

	if (!(session->flags & XN_SESSION_ADMIN))
		return XN_ECRED;
	if (!xn->writable)
		return XN_EREADONLY;
	pthread_mutex_lock(&xn->admin);
	pthread_mutex_lock(&xn->lock);
	root = root_find(xn, name);
	err = root ? number_set(xn, root, which, value) : XN_ENOROOT;
	if (!err)
		entry = root->entry;
	pthread_mutex_unlock(&xn->lock);
	if (!err && !root->temporary)
		err = entry_store(xn, &entry);
	pthread_mutex_unlock(&xn->admin);
	return err;
}

int xn_root_set_quota(struct xn_session *session, const char *name, uint64_t quota)
{
	return root_set(session, name, ROOT_QUOTA, quota);
}

int xn_root_set_reserve(struct xn_session *session, const char *name, uint64_t reserve)
{
	return root_set(session, name, ROOT_RESERVE, reserve);
}

int xn_root_set_weight(struct xn_session *session, const char *name, uint32_t weight)
{
	return root_set(session, name, ROOT_WEIGHT, weight);
}

/* ---- removing ---- */

/* Nothing on disk names the root's object any more, and the entry says so for good. */
static void root_gone(struct xn *xn, struct root *root)
{
	struct root *paying = root_paying(root);
	xn_blk_t object = root->entry.object;
	struct xn_session *session;
	struct entry *entry;

	for (size_t i = 0; i < xn->n_roots && root->n_scratch; i++) {
		if (xn->roots[i]->present && xn->roots[i]->scratch_of == root)
			root_gone(xn, xn->roots[i]);
	}
	LIST_FOREACH(session, &xn->sessions, all)
	{
		session_forget_root(session, root);
	}
	root->entry.state = XN_ENTRY_REMOVED;
	root->present = false;
	if (root->scratch_of)
		paying->n_scratch--;
	claims_end_root(xn, root);
	entry = registry_find(&xn->registry, object);
	if (entry && entry->root == paying)
		order_orphan(xn, entry);
	paying->account.principal->pending++;
	reap_add(xn, paying, root->type, object);
}

/* At the end of the opening: what was never to survive it. */
void roots_end_temporary(struct xn *xn)
{
	for (size_t i = 0; i < xn->n_roots; i++) {
		if (xn->roots[i]->present && xn->roots[i]->temporary)
			root_gone(xn, xn->roots[i]);
	}
}

/* A removal that failed may have reached the disk: say with a higher number that it did not. */
static int root_stays(struct xn *xn, struct root *root, int err)
{
	struct xn_root_entry entry;

	pthread_mutex_lock(&xn->lock);
	root->entry.seq += 2;
	entry = root->entry;
	pthread_mutex_unlock(&xn->lock);
	if (entry_store(xn, &entry))
		own_blocks_doubtful(xn, err);
	return err;
}

static int root_remove_admin(struct xn *xn, const char *name)
{
	struct xn_root_entry removed = { .state = XN_ENTRY_REMOVED };
	struct root *root;
	int err;

	pthread_mutex_lock(&xn->lock);
	root = root_find(xn, name);
	if (root) {
		removed.id = root->entry.id;
		removed.seq = root->entry.seq + 1;
		removed.time = root->entry.time;
	}
	pthread_mutex_unlock(&xn->lock);
	if (!root)
		return XN_ENOROOT;
	err = root->temporary ? 0 : entry_store(xn, &removed);
	if (err)
		return root_stays(xn, root, err);
	pthread_mutex_lock(&xn->lock);
	root_gone(xn, root);
	pthread_mutex_unlock(&xn->lock);
	return 0;
}

int xn_root_remove(struct xn_session *session, const char *name)
{
	struct xn *xn = session->xn;
	int err;

	if (!(session->flags & XN_SESSION_ADMIN))
		return XN_ECRED;
	if (!xn->writable)
		return XN_EREADONLY;
	pthread_mutex_lock(&xn->admin);
	err = root_remove_admin(xn, name);
	pthread_mutex_unlock(&xn->admin);
	return err;
}

/* ---- looking ---- */

int xn_root_find(struct xn *xn, const char *name, struct xn_root_info *info)
{
	struct root *root;

	pthread_mutex_lock(&xn->lock);
	root = root_find(xn, name);
	if (root)
		info_fill(root, info);
	pthread_mutex_unlock(&xn->lock);
	return root ? 0 : XN_ENOROOT;
}

int xn_root_next(struct xn *xn, uint32_t after, struct xn_root_info *info)
{
	int err = XN_ENOROOT;

	pthread_mutex_lock(&xn->lock);
	for (size_t i = after; i < xn->n_roots && err; i++) {
		if (!xn->roots[i]->present)
			continue;
		info_fill(xn->roots[i], info);
		err = 0;
	}
	pthread_mutex_unlock(&xn->lock);
	return err;
}

int xn_root_stats(struct xn *xn, uint32_t id, struct xn_root_stats *stats)
{
	const struct root *root;

	pthread_mutex_lock(&xn->lock);
	root = root_paying(root_by_id(xn, id));
	if (root) {
		*stats = root->stats;
		stats->used = root->used;
		stats->claimed = root->claimed;
		stats->reserved = root->reserved;
		stats->dirty_pages = root->n_dirty;
		stats->held_pages = root->account.held;
		stats->waiting = root->n_read_waits + root->n_sync_waits;
	}
	pthread_mutex_unlock(&xn->lock);
	return root ? 0 : XN_ENOROOT;
}
