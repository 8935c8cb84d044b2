/* SPDX-License-Identifier: MIT */
/*
 * Binding: a session gets at blocks by naming who owns them.
 *
 *  (1) Who binds names an owner it has bound, and the record of it; `owns` of
 *      that record must name the extent under that very type.
 *  (2) The owner's `acl` is asked once, here.  Under a template without `acl`, a
 *      binding gives no more access than the session has to the owner.
 *  (3) A block is registered under one owner.  If the disk says otherwise, both
 *      owners are marked damaged and nobody gets it.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- running a template's functions ---- */

static int fault_refuse(struct xn_refusal *why, const struct type *type, int result,
			const struct udf_fault *fault)
{
	int err;

	if (result != UDF_EFAULT)
		return result == UDF_ENOMEM ? -ENOMEM : -EINVAL;
	err = refuse(why, fault->code == UDF_FAULT_FUEL ? XN_EFUEL : XN_EFAULT, 0,
		     "%s of template %s faulted at slot %u in record %d: %s",
		     udf_function_name(fault->function), type->info->name, fault->slot,
		     (int)fault->record, udf_fault_text(fault->code));
	if (why) {
		why->record = fault->record;
		why->function = fault->function;
		why->fault = fault->code;
		why->slot = fault->slot;
		why->value = fault->value;
	}
	return err;
}

/* Local child numbers become global types, and every extent must be whole objects on the disk. */
static int extents_translate(const struct xn *xn, const struct type *type, struct udf_extents *list,
			     size_t from, struct xn_refusal *why)
{
	for (size_t i = from; i < list->n; i++) {
		struct udf_extent *extent = &list->v[i];
		const struct type *child;

		extent->child = type->child[extent->child];
		child = type_find(xn, extent->child);
		if (extent->start == 0 || extent->start + extent->count > xn->super.block_count)
			return refuse(why, -ERANGE, extent->start,
				      "a record names blocks outside the disk");
		if (child && extent->count % child->blocks)
			return refuse(why, XN_ETYPE, extent->start,
				      "an extent is no whole number of objects of %s",
				      child->info->name);
	}
	return 0;
}

int owns_record(struct xn *xn, const struct type *type, const uint8_t *object, uint32_t record,
		struct udf_budget *budget, struct udf_extents *out, struct xn_refusal *why)
{
	const struct udf_info *info = type->info;
	struct udf_fault fault = { 0 };
	size_t from = out->n;
	uint64_t fuel = budget->fuel;
	int result = udf_owns(type->tmpl, object + info->rec_off + (size_t)record * info->rec_size,
			      record, object, budget, out, NULL, &fault);

	xn->stats.owns_runs++;
	xn->stats.fuel_used += fuel - budget->fuel;
	if (result)
		return fault_refuse(why, type, result, &fault);
	return extents_translate(xn, type, out, from, why);
}

/*
 * All records.  `budget` NULL is for XN's own errands, which nobody's costly object
 * may keep from their end: each record may spend what a record may.
 */
int owns_object(struct xn *xn, const struct type *type, const uint8_t *object,
		struct udf_budget *budget, struct udf_extents *out, struct xn_refusal *why)
{
	const struct udf_info *info = type->info;
	int err = 0;

	if (!info->has[UDF_FN_OWNS])
		return 0;
	for (uint32_t i = 0; i < info->rec_count && !err; i++) {
		struct udf_budget own = UDF_BUDGET_FULL;

		err = owns_record(xn, type, object, i, budget ? budget : &own, out, why);
	}
	return err;
}

/* ---- acl ---- */

/* The record of `owner` that names `entry`, and the extent by which it does. */
static int owner_record(struct xn *xn, struct entry *entry, uint32_t *record,
			struct udf_extent *via, struct udf_budget *budget)
{
	struct entry *owner = entry->owner;
	const struct udf_info *info = owner->type->info;
	struct udf_extents list = { 0 };
	int err = XN_ENOTOWNER;

	if (!(owner->flags & E_CACHED))
		return XN_ENOTCACHED;
	for (uint32_t n = 0; n <= info->rec_count && err == XN_ENOTOWNER; n++) {
		uint32_t i = n == 0 ? entry->owner_record : n - 1;

		if (i >= info->rec_count)
			continue; /* no hint */
		list.n = 0;
		if (owns_record(xn, owner->type, entry_bytes(owner), i, budget, &list, NULL))
			break;
		for (size_t k = 0; k < list.n; k++) {
			if (entry->start < list.v[k].start ||
			    entry->start >= list.v[k].start + list.v[k].count)
				continue;
			*record = entry->owner_record = i;
			*via = list.v[k];
			err = 0;
		}
	}
	udf_extents_fini(&list);
	return err;
}

struct acl_args {
	uint8_t *bytes;
	uint32_t len;
};

static uint32_t local_child(const struct type *type, uint32_t global)
{
	for (uint32_t i = 0; type && i < type->info->n_child; i++) {
		if (type->child[i] == global)
			return i;
	}
	return UDF_RECORD_NONE;
}

static void acl_extents(uint8_t *at, const struct udf_extents *list, const struct type *type)
{
	for (size_t i = 0; list && i < list->n; i++) {
		struct udf_acl_extent one = { list->v[i].start, list->v[i].count,
					      local_child(type, list->v[i].child), 0 };

		memcpy(at + i * sizeof(one), &one, sizeof(one));
	}
}

/* Lay the request out as UDFs see it (struct udf_acl_args and its arrays). */
static int acl_args_build(const struct acl_request *request, const struct udf_extent *via,
			  const struct type *owner_type, struct acl_args *out)
{
	const struct entry *entry = request->entry;
	uint32_t n_added = request->added ? (uint32_t)request->added->n : 0;
	uint32_t n_removed = request->removed ? (uint32_t)request->removed->n : 0;
	struct udf_acl_args args = { .version = UDF_ACL_ARGS_VERSION, .op = request->op };
	uint32_t at = sizeof(args);

	args.now_ns = request->now_ns;
	args.uid = request->cred->uid;
	args.gid = request->cred->gid;
	args.record = request->record;
	args.bound = request->bound;
	args.self = (struct udf_acl_extent){ entry->start, entry->blocks,
					     local_child(owner_type, entry->type->id), 0 };
	args.via = (struct udf_acl_extent){ via->start, via->count,
					    local_child(owner_type, via->child), 0 };
	args.n_groups = request->cred->n_groups;
	args.groups_off = at;
	at += args.n_groups * (uint32_t)sizeof(uint32_t);
	args.n_mods = (uint32_t)request->n_mods;
	args.mods_off = at;
	at += args.n_mods * (uint32_t)sizeof(struct udf_acl_mod);
	args.n_added = n_added;
	args.added_off = at;
	at += n_added * (uint32_t)sizeof(struct udf_acl_extent);
	args.n_removed = n_removed;
	args.removed_off = at;
	at += n_removed * (uint32_t)sizeof(struct udf_acl_extent);
	args.len = at;

	out->bytes = calloc(1, at);
	if (!out->bytes)
		return -ENOMEM;
	out->len = at;
	memcpy(out->bytes, &args, sizeof(args));
	memcpy(out->bytes + args.groups_off, request->cred->groups,
	       args.n_groups * sizeof(uint32_t));
	for (uint32_t i = 0; i < args.n_mods; i++) {
		struct udf_acl_mod mod = { request->mods[i]->offset, request->mods[i]->len };

		memcpy(out->bytes + args.mods_off + i * sizeof(mod), &mod, sizeof(mod));
	}
	acl_extents(out->bytes + args.added_off, request->added, entry->type);
	acl_extents(out->bytes + args.removed_off, request->removed, entry->type);
	return 0;
}

/* What OWNER shows: the record above, or above the topmost sticky ancestor. */
static int acl_owner(struct xn *xn, struct entry *entry, struct udf_budget *budget,
		     struct udf_acl_input *input, struct udf_extent *via,
		     const struct type **owner_type)
{
	uint32_t record;
	int err;

	if (!entry->owner)
		return 0;
	while (entry->owner->owner && (entry->owner->type->info->flags & UDF_TEMPLATE_STICKY))
		entry = entry->owner;
	err = owner_record(xn, entry, &record, via, budget);
	if (err)
		return err;
	*owner_type = entry->owner->type;
	input->owner = entry_bytes(entry->owner) + (*owner_type)->info->rec_off +
		       (size_t)record * (*owner_type)->info->rec_size;
	input->owner_len = (*owner_type)->info->rec_size;
	return 0;
}

int acl_ask(struct xn *xn, const struct acl_request *request, struct udf_budget *budget,
	    struct xn_refusal *why)
{
	struct entry *entry = request->entry;
	const struct type *type = entry->type, *owner_type = NULL;
	struct udf_acl_input input = { 0 };
	struct udf_extent via = { 0 };
	struct acl_args args = { 0 };
	struct udf_fault fault = { 0 };
	int err;

	if (!type->info->has[UDF_FN_ACL])
		return 0;
	err = acl_owner(xn, entry, budget, &input, &via, &owner_type);
	if (err)
		return refuse(why, err, entry->owner->start, "acl needs the owner's record");
	err = acl_args_build(request, &via, owner_type, &args);
	if (err)
		return err;
	input.old_object = entry_bytes(entry);
	input.new_object = request->new_bytes ? request->new_bytes : input.old_object;
	input.args = args.bytes;
	input.args_len = args.len;
	xn->stats.acl_runs++;
	err = udf_acl(type->tmpl, &input, budget, &fault);
	free(args.bytes);
	if (err == 1)
		return 0;
	return refuse(why, XN_EACL, entry->start, "acl of template %s %s", type->info->name,
		      err == 0 ? "denies it" : "faulted, which denies it");
}

/* ---- binding ---- */

/* Does one of the extents, or several that adjoin, cover `want` under its type? */
static bool extents_cover(struct udf_extents *list, const struct xn_extent *want,
			  uint64_t disk_blocks)
{
	if (udf_extents_normalise(list, disk_blocks))
		return false;
	for (size_t i = 0; i < list->n; i++) {
		const struct udf_extent *have = &list->v[i];

		if (have->child == want->type && have->start <= want->start &&
		    want->start + want->count <= have->start + have->count)
			return true;
	}
	return false;
}

static int extent_check(const struct xn *xn, const struct xn_extent *extent,
			const struct type *type)
{
	if (extent->count == 0 || extent->start == 0 || extent->reserved != 0)
		return -EINVAL;
	if (!disk_holds(xn, extent->start, extent->count))
		return -ERANGE;
	if (extent->type == XN_DATA)
		return 0;
	if (!type || extent->count != type->blocks)
		return XN_ETYPE;
	return 0;
}

/* Who asks, for what, of whom. */
static int owner_check(struct xn_session *session, const struct xn_bind_request *request,
		       struct entry *owner)
{
	const struct udf_info *info;
	uint32_t access = request->access & (XN_READ | XN_WRITE);

	if (!owner || !owner->type || !session_holds(session, owner, XN_READ))
		return refuse(request->why, XN_ENOTBOUND, request->owner,
			      "the owner is not bound by this session");
	if (!(owner->flags & E_CACHED))
		return refuse(request->why, XN_ENOTCACHED, request->owner,
			      "the owner's bytes are not read in");
	info = owner->type->info;
	if (!info->has[UDF_FN_ACL] && !session_holds(session, owner, access))
		return refuse(request->why, XN_ENOTBOUND, request->owner,
			      "the owner is not bound for this access");
	if ((access & XN_WRITE) && ((owner->flags & E_DAMAGED) || owner->root->damaged))
		return refuse(request->why, XN_EOBJDAMAGED, request->owner,
			      "the owner is damaged and read-only");
	if (request->record >= info->rec_count)
		return refuse(request->why, -ERANGE, request->owner, "the owner has %u records",
			      info->rec_count);
	return 0;
}

static int owner_names(struct xn *xn, const struct xn_bind_request *request, struct entry *owner,
		       struct udf_budget *budget)
{
	struct udf_extents list = { 0 };
	int err = owns_record(xn, owner->type, entry_bytes(owner), request->record, budget, &list,
			      request->why);

	if (!err && !extents_cover(&list, &request->extent, xn->super.block_count))
		err = refuse(request->why, XN_ENOTOWNER, request->extent.start,
			     "record %u does not own %llu blocks of type %u there", request->record,
			     (unsigned long long)request->extent.count, request->extent.type);
	udf_extents_fini(&list);
	return err;
}

/* Two owners claim a block: neither is believed. */
static int conflict(struct xn *xn, struct entry *a, struct entry *b, struct xn_refusal *why,
		    xn_blk_t block)
{
	entry_damage(xn, a);
	if (b)
		entry_damage(xn, b);
	return refuse(why, XN_EOBJDAMAGED, block, "the block belongs to two owners, or to none");
}

static int object_entry(struct xn *xn, const struct xn_bind_request *request, struct type *type,
			struct entry *owner, struct entry **out)
{
	struct entry *entry = registry_find(&xn->registry, request->extent.start);

	if (entry) {
		if (entry->type != type || entry->owner != owner)
			return conflict(xn, owner, entry->owner, request->why, entry->start);
	} else {
		if (freemap_chunk(xn, request->extent.start / XN_CHUNK_BLOCKS) &&
		    !freemap_in_use(xn, request->extent.start))
			return conflict(xn, owner, NULL, request->why, request->extent.start);
		entry = registry_add(xn, request->extent.start, type, owner->root, owner);
		if (!entry)
			return -ENOMEM;
	}
	entry->owner_record = request->record;
	*out = entry;
	return 0;
}

static int bind_locked(struct xn_session *session, const struct xn_bind_request *request,
		       xn_binding_t *binding)
{
	struct xn *xn = session->xn;
	struct entry *owner = registry_find(&xn->registry, request->owner);
	struct type *type = type_find(xn, request->extent.type);
	uint32_t access = request->access & (XN_READ | XN_WRITE);
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct acl_request ask = { .entry = owner, .record = request->record };
	struct entry *entry = owner;
	int err;

	err = cred_choose(session, request->cred, &ask.cred);
	if (!err)
		err = extent_check(xn, &request->extent, type);
	if (!err)
		err = owner_check(session, request, owner);
	if (!err)
		err = owner_names(xn, request, owner, &budget);
	if (err)
		return err;
	ask.now_ns = request->now_ns;
	for (uint32_t bit = XN_READ; bit <= XN_WRITE; bit <<= 1) {
		ask.op = bit == XN_READ ? UDF_ACL_READ : UDF_ACL_WRITE;
		if (access & bit)
			err = acl_ask(xn, &ask, &budget, request->why);
		if (err)
			return err;
	}
	if (type)
		err = object_entry(xn, request, type, owner, &entry);
	if (!err && type && (access & XN_WRITE) && (entry->flags & E_DAMAGED))
		err = refuse(request->why, XN_EOBJDAMAGED, entry->start, "the object is damaged");
	if (!err)
		err = binding_add(session, entry, type == NULL, request->extent, access, binding);
	if (err && type && entry && entry != owner)
		registry_release(xn, entry);
	return err;
}

static int access_check(const struct xn *xn, uint32_t access)
{
	if (access & ~(XN_READ | XN_WRITE | XN_READIN) || !(access & (XN_READ | XN_WRITE)))
		return -EINVAL;
	if ((access & XN_WRITE) && !xn->writable)
		return XN_EREADONLY;
	return 0;
}

/* The second half of a bind with XN_READIN; a failure takes the binding back. */
static int bind_readin(struct xn_session *session, xn_binding_t handle, uint64_t count)
{
	int err = xn_readin(session, handle, 0, count);

	if (err)
		xn_unbind(session, handle);
	return err;
}

int xn_bind(struct xn_session *session, const struct xn_bind_request *caller, xn_binding_t *binding)
{
	struct xn_bind_request request = *caller; /* read once, used from here */
	struct xn *xn = session->xn;
	int err = access_check(xn, request.access);

	if (err)
		return refuse(request.why, err, request.extent.start, "access is not possible");
	pthread_mutex_lock(&xn->lock);
	xn->stats.binds++;
	err = bind_locked(session, &request, binding);
	pthread_mutex_unlock(&xn->lock);
	if (!err && (request.access & XN_READIN))
		err = bind_readin(session, *binding, request.extent.count);
	if (err && request.why && request.why->error != err)
		refuse(request.why, err, request.extent.start, "%s", xn_strerror(err));
	return err;
}

/* Root modes are as files': owner, group, other; uid 0 may always. */
static bool root_allows(const struct root *root, const struct xn_cred *cred, uint32_t access)
{
	uint32_t bits = root->entry.mode & 7;
	uint32_t want = ((access & XN_READ) ? 4 : 0) | ((access & XN_WRITE) ? 2 : 0);

	if (cred->uid == 0)
		return true;
	if (cred->uid == root->entry.uid) {
		bits = root->entry.mode >> 6 & 7;
	} else {
		bool member = cred->gid == root->entry.gid;

		for (uint32_t i = 0; i < cred->n_groups; i++)
			member |= cred->groups[i] == root->entry.gid;
		if (member)
			bits = root->entry.mode >> 3 & 7;
	}
	return (bits & want) == want;
}

static int bind_root_locked(struct xn_session *session, const char *name, uint32_t access,
			    xn_binding_t *binding, xn_blk_t *object)
{
	struct xn *xn = session->xn;
	struct root *root = root_find(xn, name);
	struct entry *entry;
	struct xn_extent extent;
	int err;

	if (!root)
		return XN_ENOROOT;
	if (!root_allows(root, &session->cred, access))
		return XN_EACL;
	entry = registry_find(&xn->registry, root->entry.object);
	if (entry && (entry->type != root->type || entry->owner))
		return conflict(xn, entry, entry->owner, NULL, entry->start);
	if (!entry)
		entry = registry_add(xn, root->entry.object, root->type, root, NULL);
	if (!entry)
		return -ENOMEM;
	if ((access & XN_WRITE) && ((entry->flags & E_DAMAGED) || root->damaged)) {
		registry_release(xn, entry);
		return XN_EOBJDAMAGED;
	}
	extent = (struct xn_extent){ entry->start, entry->blocks, entry->type->id, 0 };
	err = binding_add(session, entry, false, extent, access & (XN_READ | XN_WRITE), binding);
	if (err)
		registry_release(xn, entry);
	else
		*object = entry->start;
	return err;
}

int xn_bind_root(struct xn_session *session, const char *name, uint32_t access,
		 xn_binding_t *binding, xn_blk_t *object)
{
	struct xn *xn = session->xn;
	int err = access_check(xn, access);

	if (err)
		return err;
	pthread_mutex_lock(&xn->lock);
	xn->stats.binds++;
	err = bind_root_locked(session, name, access, binding, object);
	pthread_mutex_unlock(&xn->lock);
	if (!err && (access & XN_READIN))
		err = bind_readin(session, *binding, 1);
	return err;
}

int xn_map(struct xn_session *session, xn_binding_t handle, const void **bytes, size_t *len)
{
	struct xn *xn = session->xn;
	struct binding *binding;
	int err;

	pthread_mutex_lock(&xn->lock);
	err = binding_find(session, handle, &binding);
	if (!err && binding->data)
		err = XN_ETYPE;
	else if (!err && !(binding->entry->flags & E_CACHED))
		err = XN_ENOTCACHED;
	if (!err) {
		*bytes = frame_view(&binding->entry->frame);
		*len = binding->entry->type->info->obj_size;
		entry_touch(xn, binding->entry);
		xn->stats.cache_hits++;
	}
	pthread_mutex_unlock(&xn->lock);
	return err;
}

int xn_version(struct xn_session *session, xn_binding_t handle, uint64_t *version)
{
	struct binding *binding;
	int err;

	pthread_mutex_lock(&session->xn->lock);
	err = binding_find(session, handle, &binding);
	if (!err && binding->data)
		err = XN_ETYPE;
	if (!err)
		*version = binding->entry->version;
	pthread_mutex_unlock(&session->xn->lock);
	return err;
}
