/* SPDX-License-Identifier: MIT */
/*
 * Every disk of a run has the same templates, and most of its objects are as they were a moment ago:
 * what udf says of equal bytes is asked once.  Linked in front of udf (--wrap).
 *
 *  (1) An answer is udf's own: given when it was asked first, and given again with the fuel that it
 *      took then.  Refusals and faults are not remembered.
 *  (2) The one state that nobody passes: those who ask are XN and xn-fsck, as they are.
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "slate.h"
#include "udf/udf.h"

#define TEMPLATES_MAX 64u
#define OWNED_PLACES  (1u << 16)

struct loaded {
	struct udf_template *tmpl;
	void *image;
	size_t len;
};

/* What `owns` emits of one content of an object. */
struct owned {
	uint64_t key;
	struct udf_budget spent;
	size_t n;
	struct udf_extent v[];
};

static struct {
	pthread_mutex_t lock;
	struct loaded loaded[TEMPLATES_MAX];
	unsigned n_loaded;
	struct owned *owned[OWNED_PLACES];
} memo = { .lock = PTHREAD_MUTEX_INITIALIZER };

int __real_udf_template_load(const void *image, size_t len, struct udf_template **out,
			     struct udf_refusal *why);
int __wrap_udf_template_load(const void *image, size_t len, struct udf_template **out,
			     struct udf_refusal *why);
void __real_udf_template_destroy(struct udf_template *tmpl);
void __wrap_udf_template_destroy(struct udf_template *tmpl);
int __real_udf_owns_object(const struct udf_template *tmpl, const void *object,
			   struct udf_budget *budget, struct udf_extents *out,
			   struct udf_fault *fault);
int __wrap_udf_owns_object(const struct udf_template *tmpl, const void *object,
			   struct udf_budget *budget, struct udf_extents *out,
			   struct udf_fault *fault);

/* ---- templates ---- */

static struct udf_template *loaded_find(const void *image, size_t len)
{
	for (unsigned i = 0; i < memo.n_loaded; i++)
		if (memo.loaded[i].len == len && !memcmp(memo.loaded[i].image, image, len))
			return memo.loaded[i].tmpl;
	return NULL;
}

static void loaded_add(struct udf_template *tmpl, const void *image, size_t len)
{
	struct loaded *loaded = &memo.loaded[memo.n_loaded];

	if (memo.n_loaded == TEMPLATES_MAX)
		return; /* its owner destroys it */
	*loaded = (struct loaded){ tmpl, malloc(len), len };
	assert(loaded->image);
	memcpy(loaded->image, image, len);
	memo.n_loaded++;
}

static bool is_kept(const struct udf_template *tmpl)
{
	for (unsigned i = 0; i < memo.n_loaded; i++)
		if (memo.loaded[i].tmpl == tmpl)
			return true;
	return false;
}

int __wrap_udf_template_load(const void *image, size_t len, struct udf_template **out,
			     struct udf_refusal *why)
{
	int err;

	pthread_mutex_lock(&memo.lock);
	*out = loaded_find(image, len);
	pthread_mutex_unlock(&memo.lock);
	if (*out)
		return 0;
	err = __real_udf_template_load(image, len, out, why); /* which runs `owns` itself */
	if (err)
		return err;
	pthread_mutex_lock(&memo.lock);
	loaded_add(*out, image, len);
	pthread_mutex_unlock(&memo.lock);
	return 0;
}

void __wrap_udf_template_destroy(struct udf_template *tmpl)
{
	bool kept;

	pthread_mutex_lock(&memo.lock);
	kept = is_kept(tmpl);
	pthread_mutex_unlock(&memo.lock);
	if (!kept)
		__real_udf_template_destroy(tmpl);
}

/* ---- whole objects ---- */

static int owned_give(const struct owned *owned, struct udf_budget *budget, struct udf_extents *out)
{
	const size_t had = out->n;
	int err = 0;

	for (size_t i = 0; i < owned->n && !err; i++)
		err = udf_extents_add(out, owned->v[i]);
	if (err) {
		out->n = had;
		return err;
	}
	budget->fuel -= owned->spent.fuel;
	budget->emits -= owned->spent.emits;
	return 0;
}

/* What was added to `out` since it had `had`. */
static void owned_keep(struct owned **place, uint64_t key, struct udf_budget spent,
		       const struct udf_extents *out, size_t had)
{
	size_t n = out->n - had;

	free(*place);
	*place = malloc(sizeof(**place) + n * sizeof((*place)->v[0]));
	assert(*place);
	**place = (struct owned){ .key = key, .spent = spent, .n = n };
	if (n)
		memcpy((*place)->v, out->v + had, n * sizeof(out->v[0]));
}

int __wrap_udf_owns_object(const struct udf_template *tmpl, const void *object,
			   struct udf_budget *budget, struct udf_extents *out,
			   struct udf_fault *fault)
{
	uint64_t key =
		hash_bytes((uint64_t)(uintptr_t)tmpl, object, udf_template_info(tmpl)->obj_size);
	struct owned **place = &memo.owned[key % OWNED_PLACES];
	struct udf_budget before = *budget;
	const size_t had = out->n;
	int err;

	pthread_mutex_lock(&memo.lock);
	if (*place && (*place)->key == key && (*place)->spent.fuel <= budget->fuel &&
	    (*place)->spent.emits <= budget->emits) {
		err = owned_give(*place, budget, out);
	} else {
		err = __real_udf_owns_object(tmpl, object, budget, out, fault);
		if (!err && is_kept(tmpl))
			owned_keep(place, key,
				   (struct udf_budget){ before.fuel - budget->fuel,
							before.emits - budget->emits },
				   out, had);
	}
	pthread_mutex_unlock(&memo.lock);
	return err;
}
