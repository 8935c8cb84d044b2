/* SPDX-License-Identifier: MIT */
/*
 * What a session may ask about writing: what could be written now, and what an
 * object waits for.
 *
 *  (1) A session hears only of roots of which it has something bound (an
 *      administrator of any), and of what an object waits for only if it may read
 *      that object or its owner.
 */
#include "internal.h"

/* Does the session hold anything of that root? */
static bool session_sees(const struct xn_session *session, const struct root *root)
{
	for (uint32_t i = 0; i < session->n_slots; i++) {
		const struct binding *binding = session->slots[i].binding;

		if (binding && binding->entry && binding->entry->root == root)
			return true;
	}
	return false;
}

static uint32_t list_root(struct xn *xn, struct root *root, struct xn_extent *out, uint32_t max)
{
	struct entry *entry;
	uint32_t n = 0;

	TAILQ_FOREACH(entry, &root->dirty, dirty)
	{
		if (n == max)
			break;
		if ((order_writable(xn, entry) || log_ready(xn, entry)) && !order_reaped(entry))
			out[n++] = (struct xn_extent){ entry->start, entry->blocks,
						       entry->type ? entry->type->id : XN_DATA, 0 };
	}
	return n;
}

int xn_list_writeable(struct xn_session *session, uint32_t root_id, struct xn_extent *out,
		      uint32_t max)
{
	struct xn *xn = session->xn;
	struct root *one;
	uint32_t n = 0;
	int err = 0;

	pthread_mutex_lock(&xn->lock);
	one = root_paying(root_by_id(xn, root_id));
	if (root_id && !one)
		err = XN_ENOROOT;
	else if (one && !(session->flags & XN_SESSION_ADMIN) && !session_sees(session, one))
		err = XN_ENOTBOUND;
	for (size_t i = 0; i < xn->n_roots && !err; i++) {
		struct root *root = xn->roots[i];

		if (one ? root == one : root->present && session_sees(session, root))
			n += list_root(xn, root, out + n, max - n);
	}
	pthread_mutex_unlock(&xn->lock);
	return err ? err : (int)n;
}

/* What an object waits for by xn_after(). */
static int blockers_after(struct entry *entry, struct xn_extent *out, uint32_t max)
{
	struct after *after;
	uint32_t n = 0;

	LIST_FOREACH(after, &entry->waits, of_object)
	{
		const struct entry *prior = after->prior;

		if (n < max)
			out[n] = (struct xn_extent){ prior->start, prior->blocks,
						     prior->type ? prior->type->id : XN_DATA, 0 };
		n++;
	}
	return (int)n;
}

/* Unsound blocks among those that an object's newest bytes name. */
static int blockers_of(struct xn *xn, struct entry *entry, struct xn_extent *out, uint32_t max)
{
	struct udf_extents owned = { 0 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	int n = blockers_after(entry, out, max);
	int err = owns_object(xn, entry->type, entry->start, entry_bytes(entry), &budget, &owned,
			      NULL);

	for (size_t i = 0; i < owned.n && !err; i++) {
		struct udf_extent *extent = &owned.v[i];

		for (uint64_t b = extent->start; b < extent->start + extent->count; b++) {
			struct entry *child = registry_find(&xn->registry, b);

			if (!freemap_unwritten(xn, b) && (!child || (child->flags & E_SOUND)))
				continue;
			if ((uint32_t)n < max)
				out[n] = (struct xn_extent){ b, child ? child->blocks : 1,
							     extent->child, 0 };
			n++;
		}
	}
	udf_extents_fini(&owned);
	return err ? err : n;
}

int xn_blockers(struct xn_session *session, xn_blk_t block, struct xn_extent *out, uint32_t max)
{
	struct xn *xn = session->xn;
	struct entry *entry;
	int n = 0;

	pthread_mutex_lock(&xn->lock);
	entry = registry_find(&xn->registry, block);
	if (!entry || !(entry->flags & E_CACHED))
		n = XN_ENOTCACHED;
	else if (!session_reaches(session, entry))
		n = XN_ENOTBOUND;
	else if (entry->type && entry->unsound > 0)
		n = blockers_of(xn, entry, out, max);
	pthread_mutex_unlock(&xn->lock);
	return n;
}
