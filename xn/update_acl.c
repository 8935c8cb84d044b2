/* SPDX-License-Identifier: MIT */
/*
 * What the templates of an update's objects say to it.
 *
 *  (1) Every object whose bytes change is judged by its own `acl`.
 *  (2) A new object that the update also edits is judged as if it had been made
 *      first and edited afterwards: from its initial image, under the record that
 *      will own it.  So who makes an object gains nothing over who changes one.
 */
#include "update.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MODS_MAX 64u

/* The record above a new object: in an object of this update, or above it. */
static int fresh_above(struct plan *plan, xn_blk_t block, struct acl_above *out)
{
	struct change *taker = plan_taker(plan, block);
	const uint8_t *bytes;

	memset(out, 0, sizeof(*out));
	for (;;) {
		if (!taker)
			return XN_EOWNS; /* plan_rings() saw that somebody takes it */
		if (!taker->fresh && taker->entry->owner &&
		    (taker->type->info->flags & UDF_TEMPLATE_STICKY))
			return acl_above_find(plan->xn, taker->entry, &plan->budget, out);
		if (!taker->fresh || !(taker->type->info->flags & UDF_TEMPLATE_STICKY))
			break;
		block = taker->edits->object;
		taker = plan_taker(plan, block);
	}
	bytes = change_bytes(plan, taker);
	if (!bytes)
		return -ENOMEM;
	out->type = taker->type;
	out->bytes = bytes;
	out->entry = taker->entry;
	return acl_record_find(plan->xn, taker->edits->object, block, NO_RECORD, &plan->budget,
			       out);
}

static int fresh_ask(struct plan *plan, const struct change *change, struct acl_request *ask)
{
	uint8_t *initial = malloc(change->type->info->obj_size);
	int err;

	if (!initial)
		return -ENOMEM;
	udf_template_init(change->type->tmpl, initial);
	ask->old_bytes = initial;
	err = fresh_above(plan, change->edits->object, &ask->above);
	if (!err) {
		acl_bound(ask, NULL, &plan->under);
		err = acl_ask(plan->xn, ask, &plan->budget, plan->update.why);
	}
	free(initial);
	return err;
}

static int change_ask(struct plan *plan, const struct change *change)
{
	const struct xn_edit *mods[MODS_MAX];
	struct acl_request ask = { .op = UDF_ACL_UPDATE,
				   .type = change->type,
				   .start = change->edits->object,
				   .new_bytes = change->bytes,
				   .record = NO_RECORD,
				   .cred = plan->cred,
				   .now_ns = time_choose(plan->session, plan->update.now_ns),
				   .mods = mods,
				   .n_mods = change->n_edits,
				   .added = &change->added,
				   .removed = &change->removed };
	int err;

	if (change->n_edits > MODS_MAX)
		return XN_ETOOBIG;
	for (uint32_t k = 0; k < change->n_edits; k++)
		mods[k] = &change->edits[k];
	if (change->fresh)
		return fresh_ask(plan, change, &ask);
	err = acl_about(plan->xn, change->entry, &plan->budget, &ask, plan->update.why);
	if (err)
		return err;
	acl_bound(&ask, change->entry, &plan->under);
	return acl_ask(plan->xn, &ask, &plan->budget, plan->update.why);
}

/* The record by whose permission the session holds the content that it names. */
static int under_find(struct plan *plan)
{
	struct binding *binding;
	struct entry *owner;
	struct acl_above found;
	int err;

	if (!plan->update.under)
		return 0;
	err = binding_find(plan->session, plan->update.under, &binding);
	if (err)
		return refuse(plan->update.why, err, 0, "the binding that gives the right is gone");
	if (!(binding->access & XN_WRITE))
		return refuse(plan->update.why, XN_ENOTBOUND, binding->extent.start,
			      "the binding that gives the right is not one for writing");
	owner = binding->data ? binding->entry : binding->entry->owner;
	if (!owner)
		return 0; /* a root's object is nobody's content */
	if (owner->owner && (owner->type->info->flags & UDF_TEMPLATE_STICKY))
		return acl_above_find(plan->xn, owner, &plan->budget, &plan->under);
	if (!(owner->flags & E_CACHED))
		return XN_ENOTCACHED;
	found = (struct acl_above){ .type = owner->type, .bytes = entry_bytes(owner) };
	err = acl_record_find(plan->xn, owner->start, binding->extent.start, binding->record,
			      &plan->budget, &found);
	if (err)
		return err;
	found.entry = owner;
	plan->under = found;
	return 0;
}

int plan_acl_check(struct plan *plan)
{
	int err = under_find(plan);

	for (uint32_t i = 0; i < plan->n_changes && !err; i++) {
		if (plan->changes[i].type->info->has[UDF_FN_ACL])
			err = change_ask(plan, &plan->changes[i]);
	}
	return err;
}
