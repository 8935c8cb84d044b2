/* SPDX-License-Identifier: MIT */
/*
 * Shares of the cache, and getting pages back.
 *
 *  (1) A page that cannot leave the cache is charged to one account: one that is not
 *      stable, or newer than the disk, to its root; one that is only bound, to the
 *      session that holds it.  All others may go at any time and are nobody's.
 *  (2) All accounts together stay below the cache; XN keeps a reserve for itself.
 *      The last part of what is left, `spare`, is only for accounts that hold
 *      little.  So whoever comes last can still bind, write and sync something.
 *  (3) Who holds more than an even share when another is refused is asked to give
 *      pages back.  The request can be read; what to give is the holder's choice.
 *  (4) When the time is over the pages are taken: bindings go stale, their
 *      session is told which; what is dirty is written, in the usual order.
 *      No byte is lost: what leaves the cache is on the disk, or nobody's.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

#define SPARE_PART  4u /* one in so many frames is kept for those who hold little */
#define ASSURED_MIN 8u
#define REAP_STEP   8u
#define ASK_MIN     8u /* ask for that many at once: evictions come in groups */

/* ---- accounts ---- */

/* It must stay: nothing on the disk stands for it. */
static bool entry_is_unsettled(const struct entry *entry)
{
	return (entry->flags & (E_DIRTY | E_WRITING | E_HELD)) || !(entry->flags & E_SOUND);
}

/* Who pays for the entry's bytes, if it has any. */
struct account *account_of(const struct entry *entry)
{
	if (entry->flags & E_DEAD)
		return NULL; /* it goes when the I/O in flight ends */
	if (entry_is_unsettled(entry))
		return &entry->root->account;
	if (!LIST_EMPTY(&entry->bindings))
		return &LIST_FIRST(&entry->bindings)->session->account;
	return NULL;
}

static void account_add(struct xn *xn, struct account *account, uint32_t frames)
{
	account->held += frames;
	account->principal->held += frames;
	xn->cache.held_frames += frames;
}

static void account_sub(struct xn *xn, struct account *account, uint32_t frames)
{
	account->held -= frames;
	account->principal->held -= frames;
	account->asked -= account->asked < frames ? account->asked : frames;
	xn->cache.held_frames -= frames;
}

void entry_charge(struct xn *xn, struct entry *entry)
{
	struct account *account = entry->frame.pool ? account_of(entry) : NULL;

	bool bound = entry->frame.pool && !LIST_EMPTY(&entry->bindings);

	if (bound != entry->counted_bound)
		xn->cache.bound_frames += bound ? entry->blocks : -(uint64_t)entry->blocks;
	entry->counted_bound = bound;
	if (entry->account == account)
		return;
	if (entry->account)
		account_sub(xn, entry->account, entry->blocks);
	if (account)
		account_add(xn, account, entry->blocks);
	entry->account = account;
}

/* ---- shares ---- */

static uint64_t frames_shared(const struct cache *cache)
{
	return cache->limit_frames - cache->reserve_frames;
}

/* What an account may always have, however much the others hold. */
static uint64_t frames_assured(const struct xn *xn)
{
	uint64_t each = frames_shared(&xn->cache) / SPARE_PART / (2 * (xn->n_sessions + 1));

	return each < ASSURED_MIN ? ASSURED_MIN : each;
}

/* Somebody holds more than an even share: ask. */
static void ask_back(struct xn *xn, uint64_t frames)
{
	struct account *most = NULL;
	struct xn_session *session;
	uint64_t holders = 1, even;

	LIST_FOREACH(session, &xn->sessions, all)
	{
		holders += session->account.held > 0;
		if (!most || session->account.held > most->held)
			most = &session->account;
	}
	for (size_t i = 0; i < xn->n_roots; i++) {
		struct account *account = &xn->roots[i]->account;

		holders += account->held > 0;
		if (!most || account->held > most->held)
			most = account;
	}
	even = frames_shared(&xn->cache) / holders;
	if (!most || most->held <= even)
		return;
	frames = frames < ASK_MIN ? ASK_MIN : frames;
	if (most->asked == 0)
		most->deadline = 0;
	if (most->asked < frames)
		most->asked = frames < most->held - even ? frames : most->held - even;
}

int share_refused(struct xn *xn, uint64_t frames)
{
	xn->stats.cache_refusals++;
	ask_back(xn, frames);
	return XN_ECACHEFULL;
}

/*
 * May the account hold `more` frames, of which `fresh` are not held by anybody yet, if
 * it and those who act with it hold `little`?  First writes of new blocks may go
 * a little further: what waits for them is held until they are done.
 */
static int share_ask(struct xn *xn, const struct account *account, uint64_t more, uint64_t fresh,
		     uint64_t little, bool first_write)
{
	uint64_t all = frames_shared(&xn->cache), held = xn->cache.held_frames + fresh;
	uint64_t spare = all / SPARE_PART / (first_write ? 2 : 1);
	const struct principal *principal = account->principal;

	if (more == 0)
		return 0;
	if (fresh && !allowance_left(principal->limit.cache_pages, principal->held, fresh))
		return XN_EALLOWANCE;
	if (held + spare <= all || (held <= all && little + more <= frames_assured(xn)))
		return 0;
	return share_refused(xn, more);
}

int share_check(struct xn *xn, struct account *account, uint64_t more, uint64_t fresh,
		bool first_write)
{
	return share_ask(xn, account, more, fresh, account->held, first_write);
}

/*
 * A frame for this entry, or a binding on it: would it be held?  Bound pages become
 * dirty ones without being asked for again, so the root's count too.
 */
int share_check_entry(struct xn *xn, const struct entry *entry, struct xn_session *session)
{
	struct account *account = session ? &session->account : account_of(entry);
	uint64_t little = entry->root->account.held;

	if (!account || entry->account)
		return 0;
	if (account != &entry->root->account)
		little += account->held;
	return share_ask(xn, account, entry->blocks, entry->blocks, little, false);
}

/* ---- revocation ---- */

/* Does the session hold anything of that root for writing? */
static bool session_writes(const struct xn_session *session, const struct root *root)
{
	for (uint32_t i = 0; i < session->n_slots; i++) {
		const struct binding *binding = session->slots[i].binding;

		if (binding && binding->entry && binding->entry->root == root &&
		    (binding->access & XN_WRITE))
			return true;
	}
	return false;
}

static void tell(struct account *account, uint32_t root, struct xn_revocation *out)
{
	*out = (struct xn_revocation){ .root = root,
				       .pages = account->asked,
				       .deadline_ns = account->deadline,
				       .taken = account->taken };
	account->taken = 0;
}

int xn_revocation(struct xn_session *session, struct xn_revocation *out)
{
	struct xn *xn = session->xn;
	int found = 0;

	pthread_mutex_lock(&xn->lock);
	if (session->account.asked || session->account.taken) {
		tell(&session->account, 0, out);
		found = 1;
	}
	for (size_t i = 0; i < xn->n_roots && !found; i++) {
		struct root *root = xn->roots[i];

		if (!(root->account.asked || root->account.taken) || !session_writes(session, root))
			continue;
		tell(&root->account, (uint32_t)root->slot + 1, out);
		found = 1;
	}
	pthread_mutex_unlock(&xn->lock);
	return found;
}

int xn_taken(struct xn_session *session, xn_binding_t *out, uint32_t max)
{
	uint32_t n = 0;

	pthread_mutex_lock(&session->xn->lock);
	while (n < max && !LIST_EMPTY(&session->taken)) {
		struct binding *binding = LIST_FIRST(&session->taken);

		LIST_REMOVE(binding, of_entry);
		binding->taken = false;
		out[n++] = (xn_binding_t)binding->generation << 32 | (binding->index + 1);
	}
	pthread_mutex_unlock(&session->xn->lock);
	return (int)n;
}

/* Take every binding that the session has on the entry. */
static void entry_take(struct xn_session *session, struct entry *entry)
{
	struct binding *binding, *next;

	for (binding = LIST_FIRST(&entry->bindings); binding; binding = next) {
		next = LIST_NEXT(binding, of_entry);
		if (binding->session != session)
			continue;
		LIST_REMOVE(binding, of_entry);
		binding->stale = binding->taken = true;
		binding->entry = NULL;
		LIST_INSERT_HEAD(&session->taken, binding, of_entry);
		entry->pins--;
	}
}

/* Bound pages, those first under which nothing is registered. */
static void take_bound(struct xn *xn, struct xn_session *session)
{
	struct account *account = &session->account;

	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t i = session->n_slots; i > 0 && account->asked > 0; i--) {
			struct binding *binding = session->slots[i - 1].binding;
			struct entry *entry = binding ? binding->entry : NULL;

			if (!entry || entry->account != account || (round == 0 && entry->refs > 0))
				continue;
			account->taken += entry->blocks;
			entry_take(session, entry);
			registry_release(xn, entry);
		}
	}
	account->asked = 0;
}

/* Pages of subtrees that nobody owns any more, which no sync writes, until that is enough. */
static int take_reaped(struct xn *xn, struct root *root, uint64_t until)
{
	int64_t left = 1;

	while (left > 0 && root->account.held > until)
		left = reap_some(xn, REAP_STEP);
	return left < 0 ? (int)left : 0;
}

/* What is not stable is made so; blocks that nobody ever wrote get zeroes for that. */
static int take_unsettled(struct xn *xn, struct root *root)
{
	uint64_t before = root->account.held, asked = root->account.asked;
	int err = sync_root(xn, root);

	if (err == XN_ETAINTED) {
		err = zero_unwritten(xn, root);
		if (err >= 0)
			err = sync_root(xn, root);
	}
	if (!err)
		err = take_reaped(xn, root, before > asked ? before - asked : 0);
	if (before > root->account.held)
		root->account.taken += before - root->account.held;
	root->account.asked = 0;
	return err;
}

/* Is the account's time over?  It begins when the host comes by for the first time. */
static bool account_is_overdue(struct account *account, int64_t now_ns)
{
	if (account->asked == 0)
		return false;
	if (account->deadline == 0)
		account->deadline = now_ns + XN_REVOKE_GRACE_NS;
	return now_ns >= account->deadline;
}

int xn_revoke_overdue(struct xn_session *session, int64_t now_ns)
{
	struct xn *xn = session->xn;
	struct xn_session *holder;
	int taken = 0, err = 0;

	if (!(session->flags & XN_SESSION_ADMIN))
		return XN_ECRED;
	pthread_mutex_lock(&xn->lock);
	LIST_FOREACH(holder, &xn->sessions, all)
	{
		if (!account_is_overdue(&holder->account, now_ns))
			continue;
		take_bound(xn, holder);
		taken++;
	}
	for (size_t i = 0; i < xn->n_roots && !err; i++) {
		struct root *root = xn->roots[i];

		if (!account_is_overdue(&root->account, now_ns))
			continue;
		err = xn->writable ? take_unsettled(xn, root) : 0;
		taken++;
	}
	pthread_mutex_unlock(&xn->lock);
	return err ? err : taken;
}
