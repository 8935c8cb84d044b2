/* SPDX-License-Identifier: MIT */
/*
 * Runs: which regions a function sees, what it may spend, what its result means.
 *
 *  (1) A run that fails leaves the caller's list as it was.
 *  (2) What a run spent is taken from the caller's budget, also when it failed: its fuel and
 *      the length of its program, so an operation executes at most twice its budget.
 */
#include <string.h>

#include "image.h"
#include "interp.h"

/* The engine only reads what is mapped this way: no region but xn-udf-vm's is ever writable. */
static void map(struct udf_run *run, enum udf_region_id id, const void *bytes, uint32_t len)
{
	run->region[id].bytes = (uint8_t *)(uintptr_t)bytes;
	run->region[id].len = bytes ? len : 0;
}

static void run_begin(struct udf_run *run, const struct udf_template *tmpl, enum udf_function fn,
		      const void *meta, uint32_t meta_len)
{
	memset(run, 0, sizeof(*run));
	run->program = tmpl->program[fn];
	run->fault.function = fn;
	run->fault.record = UDF_RECORD_NONE;
	run->n_child = tmpl->info.n_child;
	map(run, UDF_REGION_META, meta, meta_len);
	map(run, UDF_REGION_RODATA, tmpl->rodata, tmpl->rodata_len);
	run->arg[0] = UDF_ADDR_META;
	run->arg[1] = meta_len;
}

static void run_begin_record(struct udf_run *run, const struct udf_template *tmpl,
			     enum udf_function fn, const void *record, uint32_t index,
			     const void *header)
{
	const struct udf_info *info = &tmpl->info;

	run_begin(run, tmpl, fn, record, info->rec_size);
	run->fault.record = index;
	run->arg[2] = index;
	if (info->hdr_len) {
		map(run, UDF_REGION_HDR, header, info->hdr_len);
		run->arg[3] = UDF_ADDR_HDR;
		run->arg[4] = info->hdr_len;
	}
}

static int bad_result(struct udf_run *run, enum udf_fault_code code)
{
	run->fault.code = code;
	run->fault.value = run->result;
	return UDF_EFAULT;
}

/*
 * Run within both the template's fuel and the operation's.  The operation pays the program's length
 * besides: going forward is free within a run, and an operation may cause many.
 */
static int run_spend(struct udf_run *run, const struct udf_template *tmpl,
		     struct udf_budget *budget)
{
	uint32_t fuel = tmpl->info.fuel[run->fault.function];
	int err;

	if (run->program->n_slots > budget->fuel) {
		budget->fuel = 0;
		run->fault.code = UDF_FAULT_FUEL;
		return UDF_EFAULT;
	}
	budget->fuel -= run->program->n_slots;
	if (fuel > budget->fuel)
		fuel = (uint32_t)budget->fuel;
	run->fuel = fuel;
	err = udf_interp(run);
	budget->fuel -= fuel - run->fuel;
	return err;
}

static int run_end(const struct udf_run *run, int err, struct udf_fault *fault)
{
	if (err == UDF_EFAULT && fault)
		*fault = run->fault;
	return err;
}

int udf_owns(const struct udf_template *tmpl, const void *record, uint32_t index,
	     const void *header, struct udf_budget *budget, struct udf_extents *out,
	     const struct udf_read_set *read_set, struct udf_fault *fault)
{
	const struct udf_info *info = &tmpl->info;
	const size_t had = out->n;
	struct udf_run run;
	uint32_t emits;
	int err;

	if (!tmpl->program[UDF_FN_OWNS])
		return 0;
	if (index >= info->rec_count)
		return UDF_EINVAL;
	run_begin_record(&run, tmpl, UDF_FN_OWNS, record, index, header);
	emits = info->max_emit < budget->emits ? info->max_emit : (uint32_t)budget->emits;
	run.emits = emits;
	run.out = out;
	if (read_set) {
		run.region[UDF_REGION_META].noted = read_set->record;
		run.region[UDF_REGION_HDR].noted = read_set->header;
	}
	err = run_spend(&run, tmpl, budget);
	budget->emits -= emits - run.emits;
	if (!err && run.result)
		err = bad_result(&run, UDF_FAULT_MALFORMED);
	if (err)
		out->n = had;
	return run_end(&run, err, fault);
}

int udf_owns_object(const struct udf_template *tmpl, const void *object, struct udf_budget *budget,
		    struct udf_extents *out, struct udf_fault *fault)
{
	const struct udf_info *info = &tmpl->info;
	const uint8_t *record = (const uint8_t *)object + info->rec_off;
	const size_t had = out->n;

	if (!tmpl->program[UDF_FN_OWNS])
		return 0;
	for (uint32_t i = 0; i < info->rec_count; i++, record += info->rec_size) {
		int err = udf_owns(tmpl, record, i, object, budget, out, NULL, fault);

		if (err) {
			out->n = had;
			return err;
		}
	}
	return 0;
}

int udf_refcnt(const struct udf_template *tmpl, const void *record, uint32_t index,
	       const void *header, struct udf_budget *budget, uint32_t *count,
	       struct udf_fault *fault)
{
	struct udf_run run;
	int err;

	if (!tmpl->program[UDF_FN_REFCNT])
		return UDF_EABSENT;
	if (index >= tmpl->info.rec_count)
		return UDF_EINVAL;
	run_begin_record(&run, tmpl, UDF_FN_REFCNT, record, index, header);
	err = run_spend(&run, tmpl, budget);
	if (!err && run.result > UINT32_MAX)
		err = bad_result(&run, UDF_FAULT_ARG);
	if (!err)
		*count = (uint32_t)run.result;
	return run_end(&run, err, fault);
}

int udf_size(const struct udf_template *tmpl, const void *object, struct udf_budget *budget,
	     uint64_t *bytes, struct udf_fault *fault)
{
	struct udf_run run;
	int err;

	if (!tmpl->program[UDF_FN_SIZE])
		return UDF_EABSENT;
	run_begin(&run, tmpl, UDF_FN_SIZE, object, tmpl->info.obj_size);
	err = run_spend(&run, tmpl, budget);
	if (!err && run.result > tmpl->info.obj_size)
		err = bad_result(&run, UDF_FAULT_ARG);
	if (!err)
		*bytes = run.result;
	return run_end(&run, err, fault);
}

static int acl_run(const struct udf_template *tmpl, const struct udf_acl_input *input,
		   uint8_t *noted, struct udf_budget *budget, struct udf_fault *fault)
{
	const uint32_t obj_size = tmpl->info.obj_size;
	struct udf_run run;
	int err;

	run_begin(&run, tmpl, UDF_FN_ACL, input->old_object, obj_size);
	map(&run, UDF_REGION_NEW, input->new_object, obj_size);
	map(&run, UDF_REGION_OWNER, input->owner, input->owner_len);
	map(&run, UDF_REGION_ARGS, input->args, input->args_len);
	run.region[UDF_REGION_ARGS].noted = noted;
	run.arg[2] = UDF_ADDR_NEW;
	run.arg[3] = UDF_ADDR_ARGS;
	run.arg[4] = input->args_len;
	err = run_spend(&run, tmpl, budget);
	if (!err && run.result > 1)
		err = bad_result(&run, UDF_FAULT_ARG);
	return err ? run_end(&run, err, fault) : (int)run.result;
}

int udf_acl(const struct udf_template *tmpl, const struct udf_acl_input *input,
	    struct udf_budget *budget, struct udf_fault *fault)
{
	if (!tmpl->program[UDF_FN_ACL])
		return 1;
	if (input->owner_len > UDF_OBJECT_MAX || input->args_len > UDF_ACL_ARGS_MAX)
		return UDF_EINVAL;
	return acl_run(tmpl, input, NULL, budget, fault);
}

int udf_acl_blind(const struct udf_template *tmpl, const void *args, uint32_t args_len,
		  uint8_t *noted, struct udf_budget *budget)
{
	struct udf_acl_input input = { .args = args, .args_len = args_len };

	if (!tmpl->program[UDF_FN_ACL])
		return 1;
	if (args_len > UDF_ACL_ARGS_MAX)
		return UDF_EINVAL;
	return acl_run(tmpl, &input, noted, budget, NULL);
}

int udf_check(const struct udf_template *tmpl, const void *object, uint64_t first_block,
	      struct udf_budget *budget, uint64_t *damage, struct udf_fault *fault)
{
	struct udf_run run;
	int err;

	*damage = 0;
	if (!tmpl->program[UDF_FN_CHECK])
		return 0;
	run_begin(&run, tmpl, UDF_FN_CHECK, object, tmpl->info.obj_size);
	run.arg[2] = first_block;
	err = run_spend(&run, tmpl, budget);
	if (!err)
		*damage = run.result;
	return run_end(&run, err, fault);
}
