/* SPDX-License-Identifier: MIT */
/*
 * Blocks set aside: claims of sessions, and reserves of roots.
 *
 *  (1) What is set aside is free: the sum of all claims and reserves never exceeds
 *      the free blocks.  So an update that takes no more than was claimed finds
 *      the space.
 *  (2) An update spends the claims of its session on its root first.  What it takes
 *      beyond them must be free and set aside for nobody.
 *  (3) A reserve is for updates that say XN_FREEING, and for them only when nothing
 *      else is left.  What comes free fills up reserves before anything else.
 *  (4) A claim counts against the quota like a block in use; the last `reserve`
 *      blocks of a quota are for XN_FREEING, too.
 *  (5) A claim ends with its session and with its root.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

struct claim {
	LIST_ENTRY(claim) of_session;
	struct root *root;
	uint64_t blocks;
};

static uint64_t at_least_zero(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Free, and set aside for nobody. */
uint64_t claims_room(const struct xn *xn)
{
	return at_least_zero(xn->freemap.free_blocks, xn->freemap.set_aside);
}

static struct claim *claim_find(const struct xn_session *session, const struct root *root)
{
	struct claim *claim;

	LIST_FOREACH(claim, &session->claims, of_session)
	{
		if (claim->root == root)
			return claim;
	}
	return NULL;
}

static void claim_shrink(struct xn *xn, struct claim *claim, uint64_t blocks)
{
	claim->blocks -= blocks;
	claim->root->claimed -= blocks;
	claim->root->account.principal->claimed -= blocks;
	xn->freemap.set_aside -= blocks;
}

static void claim_end(struct xn *xn, struct claim *claim)
{
	claim_shrink(xn, claim, claim->blocks);
	LIST_REMOVE(claim, of_session);
	free(claim);
}

void claims_end_session(struct xn_session *session)
{
	while (!LIST_EMPTY(&session->claims))
		claim_end(session->xn, LIST_FIRST(&session->claims));
	reserves_fill(session->xn);
}

/* ---- reserves ---- */

static void reserve_wait(struct xn *xn, struct root *root)
{
	bool wants = root->present && root->reserved < root->entry.reserve;

	if (wants && !root->waits_reserve)
		LIST_INSERT_HEAD(&xn->reserve_waits, root, reserve_wait);
	if (!wants && root->waits_reserve)
		LIST_REMOVE(root, reserve_wait);
	root->waits_reserve = wants;
}

/* Blocks became free, or were no longer claimed. */
void reserves_fill(struct xn *xn)
{
	struct root *root, *next;

	for (root = LIST_FIRST(&xn->reserve_waits); root && claims_room(xn) > 0; root = next) {
		uint64_t wanted = root->entry.reserve - root->reserved;
		uint64_t room = claims_room(xn);
		uint64_t blocks = wanted < room ? wanted : room;

		next = LIST_NEXT(root, reserve_wait);
		root->reserved += blocks;
		xn->freemap.set_aside += blocks;
		reserve_wait(xn, root);
	}
}

/* The root's entry says another reserve than before, or the root is gone. */
void reserve_settle(struct xn *xn, struct root *root)
{
	uint64_t wanted = root->present ? root->entry.reserve : 0;
	uint64_t less = at_least_zero(root->reserved, wanted);

	root->reserved -= less;
	xn->freemap.set_aside -= less;
	reserve_wait(xn, root);
	reserves_fill(xn);
}

void claims_end_root(struct xn *xn, struct root *root)
{
	struct xn_session *session;

	LIST_FOREACH(session, &xn->sessions, all)
	{
		struct claim *claim = claim_find(session, root);

		if (claim)
			claim_end(xn, claim);
	}
	reserve_settle(xn, root);
}

/* ---- what updates take ---- */

/* Blocks that the root may still have in use or claimed. */
static uint64_t quota_left(const struct root *root, bool freeing)
{
	uint64_t quota = root->entry.quota;

	if (quota == 0)
		return UINT64_MAX;
	if (!freeing)
		quota = at_least_zero(quota, root->entry.reserve);
	return at_least_zero(quota, root->used + root->claimed);
}

/* Does the owner's allowance bear `more` blocks in use or claimed? */
static bool allowance_bears(const struct root *root, uint64_t more)
{
	const struct principal *owner = root->account.principal;

	return more == 0 ||
	       allowance_left(owner->limit.blocks, owner->blocks + owner->claimed, more);
}

/* Of `blocks`, those that no claim of the session covers. */
static uint64_t beyond_claims(const struct xn_session *session, const struct root *root,
			      uint64_t blocks)
{
	const struct claim *claim = claim_find(session, root);

	return at_least_zero(blocks, claim ? claim->blocks : 0);
}

int claims_check(const struct xn_session *session, const struct root *root, uint64_t blocks,
		 bool freeing, struct xn_refusal *why)
{
	struct xn *xn = session->xn;
	uint64_t more = beyond_claims(session, root, blocks);
	int err = 0;

	if (more > 0 && more > quota_left(root, freeing))
		err = refuse(why, XN_EQUOTA, 0, "root %s has a quota of %llu blocks",
			     root->entry.name, (unsigned long long)root->entry.quota);
	else if (!allowance_bears(root, more))
		err = refuse(why, XN_EALLOWANCE, 0,
			     "the owner of root %s, user %u, has no more blocks", root->entry.name,
			     root->entry.uid);
	else if (more > claims_room(xn) + (freeing ? root->reserved : 0))
		err = refuse(why, XN_ENOSPACE, 0, "what is free is set aside for others");
	return err;
}

/* What claims_check() allowed happens; before the blocks leave the free map. */
void claims_spend(struct xn_session *session, struct root *root, uint64_t blocks)
{
	struct xn *xn = session->xn;
	struct claim *claim = claim_find(session, root);
	uint64_t more = beyond_claims(session, root, blocks);
	uint64_t reserved = at_least_zero(more, claims_room(xn));

	if (claim)
		claim_shrink(xn, claim, blocks - more);
	root->reserved -= reserved;
	xn->freemap.set_aside -= reserved;
	if (reserved)
		reserve_wait(xn, root);
}

/* ---- public ---- */

/* Who may change something in the root may claim space for it. */
static bool may_claim(const struct xn_session *session, const struct root *root)
{
	const struct entry *entry = registry_find(&session->xn->registry, root->entry.object);

	return (session->flags & XN_SESSION_ADMIN) ||
	       (entry && entry->root == root && session_holds(session, entry, XN_WRITE));
}

static int claim_more(struct xn_session *session, struct root *root, uint64_t blocks)
{
	struct xn *xn = session->xn;
	struct claim *claim = claim_find(session, root);

	if (blocks > quota_left(root, false))
		return XN_EQUOTA;
	if (!allowance_bears(root, blocks))
		return XN_EALLOWANCE;
	if (blocks > claims_room(xn))
		return XN_ENOSPACE;
	if (!claim) {
		claim = calloc(1, sizeof(*claim));
		if (!claim)
			return -ENOMEM;
		claim->root = root;
		LIST_INSERT_HEAD(&session->claims, claim, of_session);
	}
	claim->blocks += blocks;
	root->claimed += blocks;
	root->account.principal->claimed += blocks;
	xn->freemap.set_aside += blocks;
	return 0;
}

static int claim_less(struct xn_session *session, struct root *root, uint64_t blocks)
{
	struct claim *claim = claim_find(session, root);

	if (!claim || blocks > claim->blocks)
		return -ERANGE;
	claim_shrink(session->xn, claim, blocks);
	if (claim->blocks == 0)
		claim_end(session->xn, claim);
	reserves_fill(session->xn);
	return 0;
}

int xn_claim(struct xn_session *session, uint32_t root_id, int64_t blocks)
{
	struct xn *xn = session->xn;
	struct root *root;
	int err = 0;

	pthread_mutex_lock(&xn->lock);
	root = root_paying(root_by_id(xn, root_id));
	if (!root)
		err = XN_ENOROOT;
	else if (!xn->writable)
		err = XN_EREADONLY;
	else if (!may_claim(session, root))
		err = XN_ENOTBOUND;
	else if (blocks < 0)
		err = claim_less(session, root, -(uint64_t)blocks);
	else if (blocks > 0)
		err = claim_more(session, root, (uint64_t)blocks);
	pthread_mutex_unlock(&xn->lock);
	return err;
}

int xn_space(struct xn_session *session, uint32_t root_id, struct xn_space *space)
{
	struct xn *xn = session->xn;
	const struct claim *claim;
	const struct root *root;
	uint64_t left;

	pthread_mutex_lock(&xn->lock);
	root = root_paying(root_by_id(xn, root_id));
	if (root) {
		claim = claim_find(session, root);
		left = quota_left(root, false);
		*space = (struct xn_space){ .total = xn->super.block_count,
					    .free = xn->freemap.free_blocks,
					    .will_free = xn->freemap.will_free,
					    .quota = root->entry.quota,
					    .used = root->used,
					    .reserve = root->reserved,
					    .claimed = root->claimed,
					    .mine = claim ? claim->blocks : 0,
					    .available = claims_room(xn) };
		space->available = left < space->available ? left : space->available;
	}
	pthread_mutex_unlock(&xn->lock);
	return root ? 0 : XN_ENOROOT;
}
