/* SPDX-License-Identifier: MIT */
/*
 * Principals: users, and what all that is theirs may take together.
 *
 *  (1) Every user who has a session or a root has a principal in memory that
 *      counts; one with an allowance has an entry in the catalogue besides.
 *  (2) Blocks and roots are charged to the owner of the root, templates to who
 *      installed them, bindings to the session that holds them, cached pages to
 *      whom share.c says, subtrees that wait to be reaped to the root's owner.
 *  (3) An allowance below what is used takes nothing away; it refuses more.
 *  (4) Nobody is exempt; a limit of 0 is none.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_SLOT UINT64_MAX

/* Found, or made; they stay until the disk is closed. */
int principal_get(struct xn *xn, uint32_t uid, struct principal **out)
{
	struct principal *principal;

	LIST_FOREACH(principal, &xn->principals, all)
	{
		if (principal->uid == uid)
			break;
	}
	if (!principal) {
		principal = calloc(1, sizeof(*principal));
		if (!principal)
			return -ENOMEM;
		principal->uid = uid;
		principal->slot = NO_SLOT;
		LIST_INSERT_HEAD(&xn->principals, principal, all);
	}
	*out = principal;
	return 0;
}

static void limit_from_entry(struct principal *principal, const struct xn_principal_entry *entry)
{
	principal->seq = entry->seq;
	principal->limit = (struct xn_allowance){ .blocks = entry->blocks,
						  .templates = entry->templates,
						  .roots = entry->roots,
						  .cache_pages = entry->cache_pages,
						  .pins = entry->pins,
						  .pending = entry->pending };
}

int principals_load(struct xn *xn)
{
	uint64_t capacity = catalogue_capacity(xn, XN_CAT_PRINCIPALS);

	for (uint64_t slot = 0; slot < capacity && slot < XN_ROOTS_MAX; slot++) {
		struct xn_principal_entry entry;
		struct principal *principal;
		uint8_t sector[XN_SECTOR_SIZE];
		int err = catalogue_read(xn, XN_CAT_PRINCIPALS, slot, sector);

		if (err || xn_principal_entry_decode(&xn->super, slot, sector, &entry) ||
		    entry.state != XN_ENTRY_USED)
			continue;
		err = principal_get(xn, entry.uid, &principal);
		if (err)
			return err;
		if (principal->slot != NO_SLOT)
			continue; /* a second one for the same user: the first counts */
		principal->slot = slot;
		limit_from_entry(principal, &entry);
	}
	return 0;
}

void principals_fini(struct xn *xn)
{
	while (!LIST_EMPTY(&xn->principals)) {
		struct principal *principal = LIST_FIRST(&xn->principals);

		LIST_REMOVE(principal, all);
		free(principal);
	}
}

/* After opening: what the roots were found to have. */
void principals_count(struct xn *xn)
{
	struct principal *principal;

	LIST_FOREACH(principal, &xn->principals, all)
	{
		principal->blocks = 0;
	}
	for (size_t i = 0; i < xn->n_roots; i++)
		xn->roots[i]->account.principal->blocks += xn->roots[i]->used;
}

static uint64_t roots_of(const struct xn *xn, uint32_t uid)
{
	uint64_t n = 0;

	for (size_t i = 0; i < xn->n_roots; i++)
		n += xn->roots[i]->entry.state == XN_ENTRY_USED && xn->roots[i]->entry.uid == uid;
	return n;
}

static uint64_t templates_of(const struct xn *xn, uint32_t uid)
{
	uint64_t n = 0;

	for (size_t i = 0; i < xn->n_types; i++)
		n += xn->types[i] && xn->types[i]->entry.installer == uid;
	return n;
}

bool allowance_left(uint64_t limit, uint64_t used, uint64_t more)
{
	return limit == 0 || (used <= limit && more <= limit - used);
}

int allowance_root(struct xn *xn, uint32_t uid, uint64_t blocks)
{
	struct principal *principal;
	int err = principal_get(xn, uid, &principal);

	if (err)
		return err;
	if (!allowance_left(principal->limit.roots, roots_of(xn, uid), 1) ||
	    !allowance_left(principal->limit.blocks, principal->blocks, blocks))
		return XN_EALLOWANCE;
	return 0;
}

int allowance_templates(struct xn *xn, uint32_t uid, uint32_t count)
{
	struct principal *principal;
	int err = principal_get(xn, uid, &principal);

	if (err)
		return err;
	return allowance_left(principal->limit.templates, templates_of(xn, uid), count)
		       ? 0
		       : XN_EALLOWANCE;
}

/* ---- public ---- */

static int entry_write(struct xn *xn, uint32_t uid, uint64_t slot, uint64_t seq,
		       const struct xn_allowance *allowance)
{
	struct xn_principal_entry entry = { .seq = seq,
					    .id = slot + 1,
					    .state = XN_ENTRY_USED,
					    .time = disk_now_ns(xn),
					    .uid = uid,
					    .blocks = allowance->blocks,
					    .templates = allowance->templates,
					    .roots = allowance->roots,
					    .cache_pages = allowance->cache_pages,
					    .pins = allowance->pins,
					    .pending = allowance->pending };
	uint8_t sector[XN_SECTOR_SIZE];
	int err;

	if (slot >= XN_ROOTS_MAX)
		return XN_EFULLCATALOGUE;
	err = catalogue_reserve(xn, XN_CAT_PRINCIPALS, slot);
	if (err)
		return err;
	xn_principal_entry_encode(&xn->super, &entry, sector);
	return catalogue_write(xn, XN_CAT_PRINCIPALS, slot, sector);
}

static int allowance_set_admin(struct xn *xn, uint32_t uid, const struct xn_allowance *allowance)
{
	struct principal *principal;
	uint64_t slot, seq;
	int err;

	pthread_mutex_lock(&xn->lock);
	err = principal_get(xn, uid, &principal);
	if (!err) {
		slot = principal->slot;
		seq = ++principal->seq;
	}
	pthread_mutex_unlock(&xn->lock);
	if (err)
		return err;
	if (slot == NO_SLOT)
		slot = xn->catalogue[XN_CAT_PRINCIPALS].n_slots;
	err = entry_write(xn, uid, slot, seq, allowance);
	if (err)
		return err;
	pthread_mutex_lock(&xn->lock);
	principal->slot = slot;
	principal->limit = *allowance;
	pthread_mutex_unlock(&xn->lock);
	return 0;
}

int xn_allowance_set(struct xn_session *session, uint32_t uid, const struct xn_allowance *limit)
{
	struct xn_allowance allowance = *limit; /* read once */
	struct xn *xn = session->xn;
	int err;

	if (!(session->flags & XN_SESSION_ADMIN))
		return XN_ECRED;
	if (!xn->writable)
		return XN_EREADONLY;
	if (allowance.blocks > XN_BLOCKS_MAX || allowance.templates > XN_TEMPLATES_MAX ||
	    allowance.roots > XN_ROOTS_MAX || allowance.cache_pages > XN_BLOCKS_MAX ||
	    allowance.pins > XN_BLOCKS_MAX || allowance.pending > XN_BLOCKS_MAX)
		return -ERANGE;
	pthread_mutex_lock(&xn->admin);
	err = allowance_set_admin(xn, uid, &allowance);
	pthread_mutex_unlock(&xn->admin);
	return err;
}

int xn_allowance_get(struct xn_session *session, uint32_t uid, struct xn_allowance *limit,
		     struct xn_allowance *used)
{
	struct xn *xn = session->xn;
	struct principal *principal;
	int err;

	if (!(session->flags & XN_SESSION_ADMIN) && session->cred.uid != uid)
		return XN_ECRED;
	pthread_mutex_lock(&xn->lock);
	err = principal_get(xn, uid, &principal);
	if (!err && limit)
		*limit = principal->limit;
	if (!err && used)
		*used = (struct xn_allowance){ .blocks = principal->blocks,
					       .templates = templates_of(xn, uid),
					       .roots = roots_of(xn, uid),
					       .cache_pages = principal->held,
					       .pins = principal->pins,
					       .pending = principal->pending };
	pthread_mutex_unlock(&xn->lock);
	return err;
}
