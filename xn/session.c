/* SPDX-License-Identifier: MIT */
/*
 * Sessions and their bindings.
 *
 *  (1) A binding handle is an index and a generation of its own session; one that
 *      was given back, or of another session, is XN_ESTALE.
 *  (2) Every binding hangs on the entry it pins: the object bound, or the owner
 *      of the data bound.
 *  (3) When blocks are freed, bindings on them become stale at once; their slot
 *      stays until the session gives it back.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_SLOT     UINT32_MAX
#define SLOTS_FIRST 64u
#define SLOTS_MAX   (1u << 24)

int xn_session_open(struct xn *xn, const struct xn_cred *cred, uint32_t flags,
		    struct xn_session **out)
{
	struct xn_session *session;
	int err;

	if (flags & ~XN_SESSION_ADMIN)
		return -EINVAL;
	session = calloc(1, sizeof(*session));
	if (!session)
		return -ENOMEM;
	session->xn = xn;
	session->cred = *cred; /* read once, used from here */
	session->flags = flags;
	if (session->cred.n_groups > XN_GROUPS_MAX) {
		free(session);
		return -EINVAL;
	}
	session->free_slot = NO_SLOT;
	LIST_INIT(&session->claims);
	LIST_INIT(&session->taken);
	pthread_mutex_lock(&xn->lock);
	err = principal_get(xn, session->cred.uid, &session->account.principal);
	if (!err) {
		LIST_INSERT_HEAD(&xn->sessions, session, all);
		xn->n_sessions++;
	}
	pthread_mutex_unlock(&xn->lock);
	if (err)
		free(session);
	else
		*out = session;
	return err;
}

/* Take a binding off its entry; the entry may go with it. */
static void binding_detach(struct xn *xn, struct binding *binding)
{
	struct entry *entry = binding->entry;

	if (!entry)
		return;
	LIST_REMOVE(binding, of_entry);
	binding->entry = NULL;
	entry->pins--;
	registry_release(xn, entry);
}

static void slot_free(struct xn_session *session, uint32_t index)
{
	struct binding_slot *slot = &session->slots[index];

	if (slot->binding->taken)
		LIST_REMOVE(slot->binding, of_entry);
	binding_detach(session->xn, slot->binding);
	session->account.principal->pins--;
	session->n_bindings--;
	free(slot->binding);
	slot->binding = NULL;
	slot->generation++;
	slot->next_free = session->free_slot;
	session->free_slot = index;
}

void xn_session_close(struct xn_session *session)
{
	struct xn *xn;

	if (!session)
		return;
	xn = session->xn;
	pthread_mutex_lock(&xn->lock);
	for (uint32_t i = 0; i < session->n_slots; i++) {
		if (session->slots[i].binding)
			slot_free(session, i);
	}
	claims_end_session(session);
	LIST_REMOVE(session, all);
	xn->n_sessions--;
	pthread_mutex_unlock(&xn->lock);
	free(session->slots);
	free(session);
}

struct xn *xn_session_disk(struct xn_session *session)
{
	return session->xn;
}

/* The session's own, or a copy of what the caller states: read once. */
int cred_choose(struct xn_session *session, const struct xn_cred *wanted, struct xn_cred *copy,
		const struct xn_cred **out)
{
	*out = &session->cred;
	if (!wanted)
		return 0;
	*copy = *wanted;
	*out = copy;
	if (copy->n_groups > XN_GROUPS_MAX)
		return -EINVAL;
	return session->flags & XN_SESSION_ADMIN ? 0 : XN_ECRED;
}

/* A clock that the caller could turn back would keep no date: it is stated like credentials. */
int64_t time_choose(const struct xn_session *session, int64_t wanted)
{
	return wanted && (session->flags & XN_SESSION_ADMIN) ? wanted : clock_now_ns();
}

/* ---- bindings ---- */

int binding_find(struct xn_session *session, xn_binding_t handle, struct binding **out)
{
	uint32_t index = (uint32_t)handle - 1;
	struct binding *binding;

	if (index >= session->n_slots)
		return XN_ESTALE;
	binding = session->slots[index].binding;
	if (!binding || session->slots[index].generation != (uint32_t)(handle >> 32))
		return XN_ESTALE;
	*out = binding;
	return binding->stale ? XN_ESTALE : 0;
}

static int slots_grow(struct xn_session *session)
{
	uint32_t n = session->n_slots ? session->n_slots * 2 : SLOTS_FIRST;
	struct binding_slot *slots;

	if (n > SLOTS_MAX)
		return XN_ETOOBIG;
	slots = realloc(session->slots, n * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (uint32_t i = n; i > session->n_slots; i--) {
		slots[i - 1] = (struct binding_slot){ NULL, 0, session->free_slot };
		session->free_slot = i - 1;
	}
	session->slots = slots;
	session->n_slots = n;
	return 0;
}

int binding_add(struct xn_session *session, struct entry *entry, bool data, struct xn_extent extent,
		uint32_t record, uint32_t access, xn_binding_t *handle)
{
	struct principal *principal = session->account.principal;
	struct binding_slot *slot;
	struct binding *binding;
	int err = entry->frame.pool ? share_check_entry(session->xn, entry, session) : 0;

	if (!allowance_left(principal->limit.pins, principal->pins, 1))
		err = XN_EALLOWANCE;
	if (!err && session->free_slot == NO_SLOT)
		err = slots_grow(session);
	if (err)
		return err;
	binding = calloc(1, sizeof(*binding));
	if (!binding)
		return -ENOMEM;
	principal->pins++;
	session->n_bindings++;
	binding->index = session->free_slot;
	slot = &session->slots[binding->index];
	session->free_slot = slot->next_free;
	slot->binding = binding;
	binding->session = session;
	binding->generation = slot->generation;
	binding->access = access;
	binding->data = data;
	binding->record = record;
	binding->entry = entry;
	binding->extent = extent;
	if (LIST_EMPTY(&entry->bindings)) /* who came first pays, see share.c */
		LIST_INSERT_HEAD(&entry->bindings, binding, of_entry);
	else
		LIST_INSERT_AFTER(LIST_FIRST(&entry->bindings), binding, of_entry);
	entry->pins++;
	entry_charge(session->xn, entry);
	*handle = (xn_binding_t)binding->generation << 32 | (binding->index + 1);
	return 0;
}

bool session_holds(const struct xn_session *session, const struct entry *entry, uint32_t access)
{
	const struct binding *binding;

	LIST_FOREACH(binding, &entry->bindings, of_entry)
	{
		if (binding->session == session && !binding->data && !binding->stale &&
		    (binding->access & access) == access)
			return true;
	}
	return false;
}

bool session_reaches(const struct xn_session *session, const struct entry *entry)
{
	return session_holds(session, entry, XN_READ) ||
	       (entry->owner && session_holds(session, entry->owner, XN_READ));
}

/* Is it the root's, or under the root's object when that is another's scratch? */
static bool entry_is_of(const struct entry *entry, const struct root *root)
{
	if (!root->scratch_of)
		return entry->root == root;
	while (entry->owner)
		entry = entry->owner;
	return entry->start == root->entry.object;
}

/* The root was removed: all that the session holds of it is stale, and pinned no more. */
void session_forget_root(struct xn_session *session, const struct root *root)
{
	for (uint32_t i = 0; i < session->n_slots; i++) {
		struct binding *binding = session->slots[i].binding;

		if (!binding || !binding->entry || !entry_is_of(binding->entry, root))
			continue;
		binding->stale = true;
		binding_detach(session->xn, binding);
	}
}

static bool extents_meet(const struct xn_extent *a, xn_blk_t start, uint64_t count)
{
	return a->start < start + count && start < a->start + a->count;
}

/* Data bindings on blocks that the owner gave up. */
void bindings_revoke(struct entry *owner, bool data, xn_blk_t start, uint64_t count)
{
	struct binding *binding;

	LIST_FOREACH(binding, &owner->bindings, of_entry)
	{
		if (binding->data == data && extents_meet(&binding->extent, start, count))
			binding->stale = true;
	}
}

/* The entry dies: nobody holds it any more. */
void entry_unbind_all(struct entry *entry)
{
	struct binding *binding = LIST_FIRST(&entry->bindings);
	struct xn *xn = binding ? binding->session->xn : NULL;

	while ((binding = LIST_FIRST(&entry->bindings)) != NULL) {
		binding->stale = true;
		LIST_REMOVE(binding, of_entry);
		binding->entry = NULL;
		entry->pins--;
	}
	if (xn)
		entry_charge(xn, entry); /* not to a session that may end before the entry does */
}

int xn_unbind(struct xn_session *session, xn_binding_t handle)
{
	struct binding *binding = NULL;
	int err;

	pthread_mutex_lock(&session->xn->lock);
	err = binding_find(session, handle, &binding);
	if (!err || (binding && binding->stale)) {
		slot_free(session, (uint32_t)handle - 1);
		err = 0;
	}
	pthread_mutex_unlock(&session->xn->lock);
	return err;
}

int xn_session_stats(struct xn_session *session, struct xn_session_stats *stats)
{
	pthread_mutex_lock(&session->xn->lock);
	*stats = session->stats;
	stats->bindings = session->n_bindings;
	stats->held_pages = session->account.held;
	pthread_mutex_unlock(&session->xn->lock);
	return 0;
}
