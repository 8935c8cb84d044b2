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
	int err = owns_record(xn, owner->type, owner->start, entry_bytes(owner), request->record,
			      budget, &list, request->why);

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
	xn_blk_t start = request->extent.start;
	struct entry *entry = registry_find(&xn->registry, start);
	struct entry *across;

	if (entry) {
		if (entry->type != type || entry->root != owner->root ||
		    (entry->owner != owner && !type_is_counted(type)))
			return conflict(xn, owner, entry->owner, request->why, entry->start);
		if (type_is_counted(type))
			owner_learn(entry, owner, request->record);
	} else {
		across = registry_across(&xn->registry, start, type->blocks);
		if (across || !freemap_all_in_use(xn, start, type->blocks))
			return conflict(xn, owner, across ? entry_claimant(across) : NULL,
					request->why, start);
		entry = registry_add(xn, start, type, owner->root, owner);
		if (!entry)
			return -ENOMEM;
	}
	if (entry->owner == owner)
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
	struct xn_cred stated;
	struct acl_request ask = { .record = request->record };
	struct entry *entry = owner;
	int err;

	err = cred_choose(session, request->cred, &stated, &ask.cred);
	if (!err)
		err = extent_check(xn, &request->extent, type);
	if (!err)
		err = owner_check(session, request, owner);
	if (!err)
		err = owner_names(xn, request, owner, &budget);
	if (!err && own_blocks_meet(xn, request->extent.start, request->extent.count))
		err = conflict(xn, owner, NULL, request->why, request->extent.start);
	if (err)
		return err;
	if (owner->type->info->has[UDF_FN_ACL])
		ask.now_ns = time_choose(session, request->now_ns);
	err = acl_about(xn, owner, &budget, &ask, request->why);
	for (uint32_t bit = XN_READ; bit <= XN_WRITE; bit <<= 1) {
		ask.op = bit == XN_READ ? UDF_ACL_READ : UDF_ACL_WRITE;
		if (!err && (access & bit))
			err = acl_ask(xn, &ask, &budget, request->why);
	}
	if (err)
		return err;
	if (type)
		err = object_entry(xn, request, type, owner, &entry);
	if (!err && type && (access & XN_WRITE) && (entry->flags & E_DAMAGED))
		err = refuse(request->why, XN_EOBJDAMAGED, entry->start, "the object is damaged");
	if (!err)
		err = binding_add(session, entry, type == NULL, request->extent, request->record,
				  access, binding);
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
	session->stats.binds++;
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
	struct entry *entry, *across;
	struct xn_extent extent;
	int err;

	if (!root)
		return XN_ENOROOT;
	if (!root_allows(root, &session->cred, access))
		return XN_EACL;
	entry = registry_find(&xn->registry, root->entry.object);
	if (entry && (entry->type != root->type || entry->owner))
		return conflict(xn, entry, entry->owner, NULL, entry->start);
	across = entry ? NULL
		       : registry_across(&xn->registry, root->entry.object, root->type->blocks);
	if (across)
		return conflict(xn, entry_claimant(across), NULL, NULL, across->start);
	if (!entry)
		entry = registry_add(xn, root->entry.object, root->type, root_paying(root), NULL);
	if (!entry)
		return -ENOMEM;
	if (root->temporary) {
		entry->flags &= ~(uint32_t)E_REACH;
		entry->flags |= E_EXEMPT;
	}
	if ((access & XN_WRITE) && ((entry->flags & E_DAMAGED) || root->damaged)) {
		registry_release(xn, entry);
		return XN_EOBJDAMAGED;
	}
	extent = (struct xn_extent){ entry->start, entry->blocks, entry->type->id, 0 };
	err = binding_add(session, entry, false, extent, NO_RECORD, access & (XN_READ | XN_WRITE),
			  binding);
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
	session->stats.binds++;
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
	else if (!err && !(binding->access & XN_READ))
		err = XN_ENOTBOUND;
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
