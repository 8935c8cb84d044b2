/* SPDX-License-Identifier: MIT */
/*
 * acl: a template's own word on who may do what.
 *
 *  (1) A run sees the object as it is and as it would be, who asks, when, and one
 *      record above: the one that owns the object or, below sticky templates
 *      (whose records carry no permission), their topmost one.
 *  (2) A fault denies.
 *  (3) Rights once given last as long as the binding that they were given for:
 *      who holds content bound for writing may say so (`under`), and what belongs
 *      to the same record is then judged as bound.  Looked up anew each time, so
 *      content that was moved elsewhere gives no right to where it was.
 *  (4) A run that approves with nothing there but the arguments would approve
 *      whatever else it were shown, and whatever stood where it did not look (udf_acl_blind).
 *      So it is not run again for arguments as long, and alike where it looked:
 *      to one who may all it need not be said about each object anew.
 *
 * With assertions on, every answer that is used is compared with a run.
 */
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int acl_record_find(struct xn *xn, xn_blk_t start, xn_blk_t block, uint32_t hint,
		    struct udf_budget *budget, struct acl_above *above)
{
	const struct udf_info *info = above->type->info;
	struct udf_extents list = { 0 };
	int err = XN_ENOTOWNER;

	for (uint32_t n = 0; n <= info->rec_count && err == XN_ENOTOWNER; n++) {
		uint32_t i = n == 0 ? hint : n - 1;

		if (i >= info->rec_count)
			continue; /* no hint */
		list.n = 0;
		if (owns_record(xn, above->type, start, above->bytes, i, budget, &list, NULL))
			break;
		for (size_t k = 0; k < list.n; k++) {
			if (block < list.v[k].start || block - list.v[k].start >= list.v[k].count)
				continue;
			above->record = i;
			above->via = list.v[k];
			err = 0;
		}
	}
	udf_extents_fini(&list);
	return err;
}

static bool has_many_owners(const struct entry *entry)
{
	return entry->type && entry->type->info->has[UDF_FN_REFCNT];
}

/* XN_ENOTCACHED: the ancestor's bytes are not here; who wants them has it bound. */
int acl_above_find(struct xn *xn, struct entry *entry, struct udf_budget *budget,
		   struct acl_above *out)
{
	struct entry *owner;
	int err;

	memset(out, 0, sizeof(*out));
	while (entry->owner && entry->owner->owner && !has_many_owners(entry) &&
	       (entry->owner->type->info->flags & UDF_TEMPLATE_STICKY))
		entry = entry->owner;
	owner = entry->owner;
	if (!owner || has_many_owners(entry))
		return 0;
	if (!(owner->flags & E_CACHED))
		return XN_ENOTCACHED;
	out->type = owner->type;
	out->bytes = entry_bytes(owner);
	err = acl_record_find(xn, owner->start, entry->start, entry->owner_record, budget, out);
	if (err)
		return err;
	entry->owner_record = out->record;
	out->entry = owner;
	return 0;
}

/* Fill in what a question about a registered object needs. */
int acl_about(struct xn *xn, struct entry *entry, struct udf_budget *budget,
	      struct acl_request *request, struct xn_refusal *why)
{
	int err = 0;

	request->type = entry->type;
	request->start = entry->start;
	if (!entry->type->info->has[UDF_FN_ACL])
		return 0;
	request->old_bytes = entry_bytes(entry);
	err = acl_above_find(xn, entry, budget, &request->above);
	return err ? refuse(why, err, entry->start, "acl needs the owner's record") : 0;
}

/* Does a question concern what the session holds bound? */
void acl_bound(struct acl_request *request, const struct entry *entry,
	       const struct acl_above *under)
{
	if (!under->entry)
		return;
	if (entry == under->entry) {
		request->bound = true;
		request->record = under->record;
	} else if ((request->type->info->flags & UDF_TEMPLATE_STICKY) &&
		   request->above.entry == under->entry) {
		request->bound = request->above.record == under->record;
	}
}

/* ---- what a function sees ---- */

#define ACL_ARGS_FEW 512u

struct acl_args {
	uint8_t *bytes; /* `few`, if they are enough */
	uint32_t len;
	uint8_t few[ACL_ARGS_FEW];
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
static int acl_args_build(const struct acl_request *request, struct acl_args *out)
{
	const struct acl_above *above = &request->above;
	const struct type *type = request->type;
	uint32_t n_added = request->added ? (uint32_t)request->added->n : 0;
	uint32_t n_removed = request->removed ? (uint32_t)request->removed->n : 0;
	struct udf_acl_args args = { .version = UDF_ACL_ARGS_VERSION, .op = request->op };
	uint32_t at = sizeof(args);

	args.now_ns = request->now_ns;
	args.uid = request->cred->uid;
	args.gid = request->cred->gid;
	args.record = request->record;
	args.bound = request->bound;
	args.self = (struct udf_acl_extent){ request->start, type->blocks,
					     local_child(above->type, type->id), 0 };
	args.via = (struct udf_acl_extent){ above->via.start, above->via.count,
					    local_child(above->type, above->via.child), 0 };
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

	out->bytes = at <= ACL_ARGS_FEW ? out->few : malloc(at);
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
	acl_extents(out->bytes + args.added_off, request->added, type);
	acl_extents(out->bytes + args.removed_off, request->removed, type);
	return 0;
}

/* ---- approvals that need not be asked for again ---- */

#define KNOWN_SLOTS 16u /* a power of two */
#define KNOWN_WORDS (ACL_ARGS_FEW / sizeof(uint64_t))
#define PATIENCE    256u /* who looked at more than the arguments will do so again */

struct approval {
	const struct type *type; /* NULL: nothing is known; types live as long as the disk */
	uint32_t len;            /* of the arguments */
	uint32_t wait;           /* do not look for a new one the next so many times */
	uint32_t n;
	uint64_t fuel;
	struct known_word word[KNOWN_WORDS];
};

struct known_acl {
	struct approval slot[KNOWN_SLOTS];
};

struct known_acl *known_acl_create(void)
{
	return calloc(1, sizeof(struct known_acl));
}

static struct approval *approval_place(const struct xn *xn, const struct type *type,
				       const struct acl_args *args)
{
	if (!xn->known_acl || args->bytes != args->few)
		return NULL;
	return &xn->known_acl->slot[(type->id + args->len / 8) & (KNOWN_SLOTS - 1)];
}

static bool approval_is(const struct approval *known, const struct type *type,
			const struct acl_args *args, const struct udf_budget *budget)
{
	return known->type == type && known->len == args->len && known->fuel <= budget->fuel &&
	       words_are(known->word, known->n, args->bytes);
}

/* Is it approved whatever the objects are?  What is not, is asked again with the objects. */
static bool approval_learn(struct approval *known, const struct type *type,
			   const struct acl_args *args, struct udf_budget *budget)
{
	struct udf_budget left = *budget;
	uint8_t noted[ACL_ARGS_FEW];

	if (known->wait > 0) {
		known->wait--;
		return false;
	}
	memset(noted, 0, args->len);
	if (udf_acl_blind(type->tmpl, args->bytes, args->len, noted, &left) != 1) {
		known->wait = PATIENCE;
		return false;
	}
	known->type = type;
	known->len = args->len;
	known->fuel = budget->fuel - left.fuel;
	known->n = words_learn(known->word, KNOWN_WORDS, args->bytes, noted, args->len);
	*budget = left;
	return true;
}

static int ask(struct xn *xn, const struct type *type, const struct udf_acl_input *input,
	       const struct acl_args *args, struct udf_budget *budget)
{
	struct approval *known = approval_place(xn, type, args);
	struct udf_fault fault;

	if (known && approval_is(known, type, args, budget)) {
		struct udf_budget full = UDF_BUDGET_FULL;

		(void)full; /* without assertions */
		assert(udf_acl(type->tmpl, input, &full, NULL) == 1);
		budget->fuel -= known->fuel;
		xn->stats.acl_known++;
		return 1;
	}
	xn->stats.acl_runs++;
	if (known && approval_learn(known, type, args, budget))
		return 1;
	return udf_acl(type->tmpl, input, budget, &fault);
}

int acl_ask(struct xn *xn, const struct acl_request *request, struct udf_budget *budget,
	    struct xn_refusal *why)
{
	const struct acl_above *above = &request->above;
	const struct udf_info *info = request->type->info;
	struct udf_acl_input input = { .old_object = request->old_bytes,
				       .new_object = request->new_bytes };
	struct acl_args args;
	int err;

	if (!info->has[UDF_FN_ACL])
		return 0;
	err = acl_args_build(request, &args);
	if (err)
		return err;
	if (!input.new_object)
		input.new_object = input.old_object;
	if (above->type) {
		input.owner_len = above->type->info->rec_size;
		input.owner = above->bytes + above->type->info->rec_off +
			      (size_t)above->record * input.owner_len;
	}
	input.args = args.bytes;
	input.args_len = args.len;
	err = ask(xn, request->type, &input, &args, budget);
	if (args.bytes != args.few)
		free(args.bytes);
	if (err == 1)
		return 0;
	return refuse(why, XN_EACL, request->start, "acl of template %s %s", info->name,
		      err == 0 ? "denies it" : "faulted, which denies it");
}
