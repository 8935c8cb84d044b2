/* SPDX-License-Identifier: MIT */
/*
 * Running the functions of a template: what each kind is given, what its result
 * means, what a failure leaves behind, and what an operation may spend.
 */
#include "image_builder.h"

#define OBJECT 512u

/* A template with `p` as one function; 62 records of 8 bytes behind a header of 16. */
static struct udf_template *template_with(enum udf_function fn, const struct program *p,
					  uint32_t max_emit)
{
	struct recipe recipe = { .name = "t",
				 .obj_size = OBJECT,
				 .hdr_len = 16,
				 .rec_off = 16,
				 .rec_size = 8,
				 .rec_count = 62,
				 .max_emit = max_emit,
				 .rodata = "constant",
				 .rodata_len = 8,
				 .child = { UDF_CHILD_ID_SELF } };
	static struct image image;

	recipe.fn[fn] = p;
	image_build(&image, &recipe);
	return image_load(&image);
}

static struct program pointers(void)
{
	struct program p = { .n = 0 };

	put_pointer_owns(&p);
	return p;
}

static void set64(uint8_t *object, size_t at, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		object[at + i] = (uint8_t)(value >> (8 * i));
}

/* `return rN` and nothing else. */
static struct program returns_register(unsigned reg)
{
	struct program p = { .n = 0 };

	put(&p, 0xbf, 0, reg, 0, 0);
	put_exit(&p);
	return p;
}

/* ---- what each kind is given ---- */

static void refcnt_is_given_its_record_index_and_header(void **state)
{
	const uint64_t want[] = { 0, UDF_ADDR_META, 8, 17, UDF_ADDR_HDR, 16 };
	uint8_t object[OBJECT] = { 0 };

	(void)state;
	for (unsigned reg = 0; reg <= 5; reg++) {
		struct program p = returns_register(reg);
		struct udf_template *tmpl = template_with(UDF_FN_REFCNT, &p, 0);
		struct udf_budget budget = UDF_BUDGET_FULL;
		struct udf_fault fault;
		uint32_t count = 12345;

		assert_int_equal(udf_refcnt(tmpl, object + 16, 17, object, &budget, &count, &fault),
				 0);
		assert_int_equal(count, want[reg]);
		udf_template_destroy(tmpl);
	}
}

static void check_is_given_the_object_and_its_first_block(void **state)
{
	const uint64_t want[] = { 0, UDF_ADDR_META, OBJECT, 0x123456789abc, 0, 0 };
	uint8_t object[OBJECT] = { 0 };

	(void)state;
	for (unsigned reg = 0; reg <= 5; reg++) {
		struct program p = returns_register(reg);
		struct udf_template *tmpl = template_with(UDF_FN_CHECK, &p, 0);
		struct udf_budget budget = UDF_BUDGET_FULL;
		struct udf_fault fault;
		uint64_t damage = 1;

		assert_int_equal(udf_check(tmpl, object, 0x123456789abc, &budget, &damage, &fault),
				 0);
		assert_true(damage == want[reg]);
		udf_template_destroy(tmpl);
	}
}

/* acl: r0 = (the value of `reg` equals `want`) */
static void acl_is_given_both_objects_and_the_arguments(void **state)
{
	const uint64_t want[] = { 0, UDF_ADDR_META, OBJECT, UDF_ADDR_NEW, UDF_ADDR_ARGS, 24 };
	uint8_t object[OBJECT] = { 0 };

	(void)state;
	for (unsigned reg = 1; reg <= 5; reg++) {
		struct udf_acl_input input = { object, object, NULL, 0, object, 24 };
		struct program p = { .n = 0 };
		struct udf_template *tmpl;
		struct udf_budget budget = UDF_BUDGET_FULL;
		struct udf_fault fault;

		put_mov(&p, 0, 1);
		put(&p, 0x15, reg, 0, 1, (int64_t)want[reg]);
		put_mov(&p, 0, 0);
		put_exit(&p);
		tmpl = template_with(UDF_FN_ACL, &p, 0);
		assert_int_equal(udf_acl(tmpl, &input, &budget, &fault), 1);
		input.args_len = 25;
		assert_int_equal(udf_acl(tmpl, &input, &budget, &fault), reg == 5 ? 0 : 1);
		udf_template_destroy(tmpl);
	}
}

/* Can a function of that kind load one byte at that address? */
static int can_read(enum udf_function fn, uint64_t address)
{
	static const uint8_t bytes[OBJECT] = { 0 };
	struct udf_acl_input input = { bytes, bytes, bytes, 40, bytes, 24 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_fault fault;
	struct program p = { .n = 0 };
	struct udf_template *tmpl;
	uint64_t wide;
	uint32_t count;
	int err;

	put_lddw(&p, 6, address);
	put(&p, 0x71, 0, 6, 0, 0);
	put_mov(&p, 0, 0);
	put_exit(&p);
	tmpl = template_with(fn, &p, 1);
	switch (fn) {
	case UDF_FN_REFCNT:
		err = udf_refcnt(tmpl, bytes + 16, 0, bytes, &budget, &count, &fault);
		break;
	case UDF_FN_SIZE: err = udf_size(tmpl, bytes, &budget, &wide, &fault); break;
	case UDF_FN_ACL: err = udf_acl(tmpl, &input, &budget, &fault); break;
	default: err = udf_check(tmpl, bytes, 0, &budget, &wide, &fault); break;
	}
	if (err)
		assert_int_equal(fault.code, UDF_FAULT_MEM);
	udf_template_destroy(tmpl);
	return !err;
}

static void each_kind_sees_its_own_regions_and_no_others(void **state)
{
	static const struct {
		uint64_t address;
		int refcnt, size, acl, check;
	} probes[] = {
		{ UDF_ADDR_META, 1, 1, 1, 1 },       { UDF_ADDR_META + 7, 1, 1, 1, 1 },
		{ UDF_ADDR_META + 8, 0, 1, 1, 1 }, /* the next record is out of reach */
		{ UDF_ADDR_META + 511, 0, 1, 1, 1 }, { UDF_ADDR_META + 512, 0, 0, 0, 0 },
		{ UDF_ADDR_HDR, 1, 0, 0, 0 },        { UDF_ADDR_HDR + 15, 1, 0, 0, 0 },
		{ UDF_ADDR_HDR + 16, 0, 0, 0, 0 },   { UDF_ADDR_NEW, 0, 0, 1, 0 },
		{ UDF_ADDR_NEW + 511, 0, 0, 1, 0 },  { UDF_ADDR_NEW + 512, 0, 0, 0, 0 },
		{ UDF_ADDR_OWNER, 0, 0, 1, 0 },      { UDF_ADDR_OWNER + 39, 0, 0, 1, 0 },
		{ UDF_ADDR_OWNER + 40, 0, 0, 0, 0 }, { UDF_ADDR_ARGS + 23, 0, 0, 1, 0 },
		{ UDF_ADDR_ARGS + 24, 0, 0, 0, 0 },  { UDF_ADDR_RODATA, 1, 1, 1, 1 },
		{ UDF_ADDR_RODATA + 7, 1, 1, 1, 1 }, { UDF_ADDR_RODATA + 8, 0, 0, 0, 0 },
		{ UDF_ADDR_STACK, 1, 1, 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		assert_int_equal(can_read(UDF_FN_REFCNT, probes[i].address), probes[i].refcnt);
		assert_int_equal(can_read(UDF_FN_SIZE, probes[i].address), probes[i].size);
		assert_int_equal(can_read(UDF_FN_ACL, probes[i].address), probes[i].acl);
		assert_int_equal(can_read(UDF_FN_CHECK, probes[i].address), probes[i].check);
	}
}

/* The right record, the right constants, the right header: `owns` emits what it finds there. */
static void owns_reads_its_record_the_header_and_constants(void **state)
{
	struct program p = { .n = 0 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_extents out = { 0 };
	uint8_t object[OBJECT] = { 0 };
	struct udf_template *tmpl;
	struct udf_fault fault;

	(void)state;
	put(&p, 0x79, 1, 1, 0, 0);  /* 0: r1 = record */
	put(&p, 0x15, 1, 0, 6, 0);  /* 1: 0 owns nothing */
	put(&p, 0x71, 2, 4, 15, 0); /* 2: r2 = header[15] */
	put(&p, 0x0f, 2, 3, 0, 0);  /* 3: + index */
	put_lddw(&p, 6, UDF_ADDR_RODATA);
	put_mov(&p, 3, 2);
	put(&p, 0x85, 0, 0, 0, 1); /* 7: emit(record, header + index, 2) */
	put_mov(&p, 0, 0);
	put_exit(&p);
	tmpl = template_with(UDF_FN_OWNS, &p, 1);
	set64(object, 16 + 8 * 5, 900);
	object[15] = 30;
	assert_int_equal(
		udf_owns(tmpl, object + 16 + 8 * 5, 5, object, &budget, &out, NULL, &fault), 0);
	assert_int_equal(out.n, 1);
	assert_true(out.v[0].start == 900 && out.v[0].count == 35 && out.v[0].child == 2);
	udf_extents_fini(&out);
	udf_template_destroy(tmpl);
}

/* ---- results ---- */

static void owns_of_an_object_is_that_of_its_records_in_order(void **state)
{
	struct program p = pointers();
	struct udf_template *tmpl = template_with(UDF_FN_OWNS, &p, 1);
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_extents out = { 0 };
	uint8_t object[OBJECT] = { 0 };
	struct udf_fault fault;

	(void)state;
	for (unsigned i = 0; i < 62; i += 3)
		set64(object, 16 + 8 * i, 1000 - i);
	assert_int_equal(udf_owns_object(tmpl, object, &budget, &out, &fault), 0);
	assert_int_equal(out.n, 21);
	for (unsigned i = 0; i < 21; i++)
		assert_int_equal(out.v[i].start, 1000 - 3 * i);
	assert_int_equal(budget.emits, UDF_OP_EMITS_MAX - 21);
	udf_extents_fini(&out);
	udf_template_destroy(tmpl);
}

static void what_is_absent_has_a_neutral_answer(void **state)
{
	struct recipe recipe = { .name = "raw", .obj_size = OBJECT };
	static struct image image;
	struct udf_template *tmpl;
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_acl_input input = { 0 };
	struct udf_extents out = { 0 };
	uint8_t object[OBJECT] = { 0 };
	uint8_t noted[OBJECT] = { 0 };
	struct udf_read_set reads = { noted, noted };
	uint64_t value = 9;
	uint32_t count;

	(void)state;
	image_build(&image, &recipe);
	tmpl = image_load(&image);
	assert_int_equal(udf_owns(tmpl, object, 0, NULL, &budget, &out, &reads, NULL), 0);
	assert_int_equal(udf_owns_object(tmpl, object, &budget, &out, NULL), 0);
	assert_int_equal(out.n, 0);
	assert_null(memchr(noted, 0xff, sizeof(noted)));
	assert_int_equal(udf_refcnt(tmpl, object, 0, NULL, &budget, &count, NULL), UDF_EABSENT);
	assert_int_equal(udf_size(tmpl, object, &budget, &value, NULL), UDF_EABSENT);
	assert_int_equal(udf_acl(tmpl, &input, &budget, NULL), 1);
	assert_int_equal(udf_check(tmpl, object, 0, &budget, &value, NULL), 0);
	assert_true(value == 0);
	udf_template_destroy(tmpl);
}

static void records_that_are_not_there_are_refused(void **state)
{
	struct program p = pointers(), zero = returns_register(0);
	struct udf_template *tmpl = template_with(UDF_FN_OWNS, &p, 1);
	struct udf_template *counted = template_with(UDF_FN_REFCNT, &zero, 0);
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_extents out = { 0 };
	uint8_t object[OBJECT] = { 0 };
	uint32_t count;

	(void)state;
	assert_int_equal(udf_owns(tmpl, object, 62, object, &budget, &out, NULL, NULL), UDF_EINVAL);
	assert_int_equal(udf_owns(tmpl, object, UINT32_MAX, object, &budget, &out, NULL, NULL),
			 UDF_EINVAL);
	assert_int_equal(udf_refcnt(counted, object, 62, object, &budget, &count, NULL),
			 UDF_EINVAL);
	udf_template_destroy(tmpl);
	udf_template_destroy(counted);
}

static void owns_that_returns_anything_but_0_is_malformed(void **state)
{
	struct program p = { .n = 0 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_extents out = { 0 };
	uint8_t object[OBJECT] = { 0 };
	struct udf_template *tmpl;
	struct udf_fault fault;

	(void)state;
	put(&p, 0x79, 0, 1, 0, 0);
	put_exit(&p); /* slot 1: the record is the result */
	tmpl = template_with(UDF_FN_OWNS, &p, 1);
	set64(object, 16, 0x100000000);
	assert_int_equal(udf_owns(tmpl, object + 16, 3, object, &budget, &out, NULL, &fault),
			 UDF_EFAULT);
	assert_int_equal(fault.code, UDF_FAULT_MALFORMED);
	assert_int_equal(fault.function, UDF_FN_OWNS);
	assert_int_equal(fault.slot, 1);
	assert_int_equal(fault.record, 3);
	assert_true(fault.value == 0x100000000);
	assert_int_equal(udf_owns(tmpl, object + 16, 3, object, &budget, &out, NULL, NULL),
			 UDF_EFAULT);
	udf_template_destroy(tmpl);
}

/* Programs that return what META begins with. */
static struct program returns_first_word(void)
{
	struct program p = { .n = 0 };

	put(&p, 0x79, 0, 1, 0, 0);
	put_exit(&p);
	return p;
}

static void results_out_of_range_fault(void **state)
{
	static const struct {
		enum udf_function fn;
		uint64_t good, bad;
	} cases[] = { { UDF_FN_REFCNT, UINT32_MAX, 1ull << 32 },
		      { UDF_FN_SIZE, OBJECT, OBJECT + 1 },
		      { UDF_FN_ACL, 1, 2 } };

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		uint64_t word = i % 2 ? cases[i / 2].bad : cases[i / 2].good, value = 77;
		struct program p = returns_first_word();
		struct udf_template *tmpl = template_with(cases[i / 2].fn, &p, 0);
		struct udf_budget budget = UDF_BUDGET_FULL;
		uint8_t object[OBJECT] = { 0 };
		struct udf_acl_input input = { object, object, NULL, 0, object, 8 };
		struct udf_fault fault = { 0 };
		uint32_t count = 77;
		int err;

		set64(object, 0, word);
		if (cases[i / 2].fn == UDF_FN_REFCNT)
			err = udf_refcnt(tmpl, object, 0, object, &budget, &count, &fault);
		else if (cases[i / 2].fn == UDF_FN_SIZE)
			err = udf_size(tmpl, object, &budget, &value, &fault);
		else
			err = udf_acl(tmpl, &input, &budget, &fault);
		assert_int_equal(err, i % 2 ? UDF_EFAULT : cases[i / 2].fn == UDF_FN_ACL ? 1 : 0);
		if (i % 2) {
			assert_int_equal(fault.code, UDF_FAULT_ARG);
			assert_int_equal(fault.function, cases[i / 2].fn);
			assert_true(fault.value == word && value == 77 && count == 77);
		}
		udf_template_destroy(tmpl);
	}
}

static void acl_denies_with_0(void **state)
{
	struct program p = returns_first_word();
	struct udf_template *tmpl = template_with(UDF_FN_ACL, &p, 0);
	struct udf_budget budget = UDF_BUDGET_FULL;
	uint8_t object[OBJECT] = { 0 };
	struct udf_acl_input input = { object, object, NULL, 0, object, 8 };

	(void)state;
	assert_int_equal(udf_acl(tmpl, &input, &budget, NULL), 0);
	input.owner_len = UDF_OBJECT_MAX + 1;
	assert_int_equal(udf_acl(tmpl, &input, &budget, NULL), UDF_EINVAL);
	input.owner_len = 0;
	input.args_len = UDF_ACL_ARGS_MAX + 1;
	assert_int_equal(udf_acl(tmpl, &input, &budget, NULL), UDF_EINVAL);
	udf_template_destroy(tmpl);
}

static void an_owner_of_a_root_is_not_there(void **state)
{
	struct program p = { .n = 0 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	uint8_t object[OBJECT] = { 0 };
	struct udf_acl_input input = { object, object, NULL, 40, object, 8 };
	struct udf_template *tmpl;
	struct udf_fault fault;

	(void)state;
	put_lddw(&p, 1, UDF_ADDR_OWNER);
	put(&p, 0x71, 0, 1, 0, 0);
	put_exit(&p);
	tmpl = template_with(UDF_FN_ACL, &p, 0);
	assert_int_equal(udf_acl(tmpl, &input, &budget, &fault), UDF_EFAULT);
	assert_int_equal(fault.code, UDF_FAULT_MEM);
	assert_int_equal(fault.record, UDF_RECORD_NONE);
	udf_template_destroy(tmpl);
}

/* ---- failures leave nothing behind ---- */

/* Emits one extent, then faults if the record says so. */
static struct program emits_then_faults(void)
{
	struct program p = { .n = 0 };

	put(&p, 0x79, 6, 1, 0, 0);
	put(&p, 0x15, 6, 0, 5, 0);
	put_emit(&p, 7, 1, 0);
	put(&p, 0x79, 0, 6, 0, 0); /* slot 6: the record is an address */
	put_mov(&p, 0, 0);
	put_exit(&p);
	return p;
}

static void a_run_that_faults_takes_back_what_it_emitted(void **state)
{
	struct program p = emits_then_faults();
	struct udf_template *tmpl = template_with(UDF_FN_OWNS, &p, 4);
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_extents out = { 0 };
	uint8_t object[OBJECT] = { 0 };
	struct udf_fault fault;

	(void)state;
	udf_extents_add(&out, (struct udf_extent){ 1, 1, 0, 42 });
	set64(object, 16, 0x666);
	assert_int_equal(udf_owns(tmpl, object + 16, 0, object, &budget, &out, NULL, &fault),
			 UDF_EFAULT);
	assert_int_equal(out.n, 1);
	assert_int_equal(out.v[0].tag, 42);
	assert_int_equal(fault.slot, 6);
	assert_true(fault.value == 0x666);

	set64(object, 16, UDF_ADDR_META); /* record 0 is fine, record 9 faults: nothing stays */
	set64(object, 16 + 8 * 9, 0x667);
	assert_int_equal(udf_owns_object(tmpl, object, &budget, &out, &fault), UDF_EFAULT);
	assert_int_equal(fault.record, 9);
	assert_int_equal(out.n, 1);
	udf_extents_fini(&out);
	udf_template_destroy(tmpl);
}

/* ---- budgets ---- */

static void max_emit_bounds_a_run(void **state)
{
	struct program p = { .n = 0 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	struct udf_extents out = { 0 };
	uint8_t object[OBJECT] = { 0 };
	struct udf_template *tmpl;
	struct udf_fault fault;

	(void)state;
	put(&p, 0x79, 6, 1, 0, 0);  /* 0: r6 = how many */
	put(&p, 0x15, 6, 0, 6, 0);  /* 1 */
	put_emit(&p, 7, 1, 0);      /* 2 to 5 */
	put(&p, 0x07, 6, 0, 0, -1); /* 6 */
	put(&p, 0x55, 6, 0, -6, 0); /* 7: again from 2 */
	put_mov(&p, 0, 0);
	put_exit(&p);
	tmpl = template_with(UDF_FN_OWNS, &p, 5);
	set64(object, 16, 5);
	assert_int_equal(udf_owns(tmpl, object + 16, 0, object, &budget, &out, NULL, &fault), 0);
	assert_int_equal(out.n, 5);
	set64(object, 16, 6);
	assert_int_equal(udf_owns(tmpl, object + 16, 0, object, &budget, &out, NULL, &fault),
			 UDF_EFAULT);
	assert_int_equal(fault.code, UDF_FAULT_EMIT);
	assert_int_equal(out.n, 5);

	budget = (struct udf_budget){ 1000, 7 }; /* the operation's own bound, shared by runs */
	set64(object, 16, 4);
	assert_int_equal(udf_owns(tmpl, object + 16, 0, object, &budget, &out, NULL, &fault), 0);
	assert_int_equal(budget.emits, 3);
	assert_int_equal(budget.fuel, 1000 - p.n - 3 * 6);
	assert_int_equal(udf_owns(tmpl, object + 16, 0, object, &budget, &out, NULL, &fault),
			 UDF_EFAULT);
	assert_int_equal(fault.code, UDF_FAULT_EMIT);
	assert_int_equal(budget.emits, 0);
	udf_extents_fini(&out);
	udf_template_destroy(tmpl);
}

/* A loop of 51 rounds, 2 units each but the first, and 4 for the length of the program. */
static void fuel_is_shared_by_all_runs_of_an_operation(void **state)
{
	struct program p = { .n = 0 };
	struct udf_budget budget = { 258, 0 };
	uint8_t object[OBJECT] = { 0 };
	struct udf_template *tmpl;
	struct udf_fault fault;
	uint64_t damage;

	(void)state;
	put_mov(&p, 1, 51);
	put(&p, 0x07, 1, 0, 0, -1);
	put(&p, 0x55, 1, 0, -2, 0);
	put_exit(&p);
	tmpl = template_with(UDF_FN_CHECK, &p, 0);
	assert_int_equal(udf_check(tmpl, object, 0, &budget, &damage, &fault), 0);
	assert_int_equal(budget.fuel, 154);
	assert_int_equal(udf_check(tmpl, object, 0, &budget, &damage, &fault), 0);
	assert_int_equal(budget.fuel, 50);
	assert_int_equal(udf_check(tmpl, object, 0, &budget, &damage, &fault), UDF_EFAULT);
	assert_int_equal(fault.code, UDF_FAULT_FUEL);
	assert_int_equal(fault.slot, 2);
	assert_int_equal(budget.fuel, 0);
	udf_template_destroy(tmpl);
}

static void a_template_s_own_fuel_bounds_each_run(void **state)
{
	struct program p = { .n = 0 };
	struct recipe recipe = { .name = "t", .obj_size = OBJECT, .fuel = 100 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	uint8_t object[OBJECT] = { 0 };
	static struct image image;
	struct udf_template *tmpl;
	struct udf_fault fault;
	uint64_t damage;

	(void)state;
	put(&p, 0x79, 1, 1, 0, 0);
	put(&p, 0x07, 1, 0, 0, -1);
	put(&p, 0x55, 1, 0, -2, 0);
	put_exit(&p);
	recipe.fn[UDF_FN_CHECK] = &p;
	image_build(&image, &recipe);
	tmpl = image_load(&image);
	object[0] = 51;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(udf_check(tmpl, object, 0, &budget, &damage, &fault), 0);
	assert_int_equal(budget.fuel, UDF_OP_FUEL_MAX - 3 * (100 + p.n));
	object[0] = 52;
	assert_int_equal(udf_check(tmpl, object, 0, &budget, &damage, &fault), UDF_EFAULT);
	assert_int_equal(fault.code, UDF_FAULT_FUEL);
	udf_template_destroy(tmpl);
}

/* ---- the read set ---- */

static void a_run_s_read_set_is_what_it_read(void **state)
{
	struct program p = { .n = 0 };
	struct recipe recipe = { .name = "whole",
				 .obj_size = 8192,
				 .rec_size = 8000,
				 .rec_count = 1,
				 .rec_off = 192,
				 .hdr_len = 100,
				 .max_emit = 1 };
	struct udf_budget budget = UDF_BUDGET_FULL;
	static uint8_t object[8192], record[8000], header[100];
	struct udf_read_set reads = { record, header };
	struct udf_extents out = { 0 };
	static struct image image;
	struct udf_template *tmpl;

	(void)state;
	put(&p, 0x79, 6, 1, 3, 0);    /* 3..10 */
	put(&p, 0x71, 6, 1, 7999, 0); /* the last */
	put(&p, 0x61, 6, 4, 96, 0);   /* 96..99 of the header */
	put_exit(&p);
	recipe.fn[UDF_FN_OWNS] = &p;
	image_build(&image, &recipe);
	tmpl = image_load(&image);
	assert_int_equal(udf_owns(tmpl, object, 0, object, &budget, &out, &reads, NULL), 0);
	for (unsigned i = 0; i < sizeof(record); i++)
		assert_int_equal(record[i], (i >= 3 && i <= 10) || i == 7999 ? 0xff : 0);
	for (unsigned i = 0; i < sizeof(header); i++)
		assert_int_equal(header[i], i >= 96 ? 0xff : 0);
	reads.header = NULL; /* nobody asks */
	assert_int_equal(udf_owns(tmpl, object, 0, object, &budget, &out, &reads, NULL), 0);
	udf_template_destroy(tmpl);
}

/* ---- names ---- */

static void everything_has_a_name(void **state)
{
	(void)state;
	for (int fn = 0; fn < UDF_FN_COUNT; fn++)
		assert_string_not_equal(udf_function_name(fn), "?");
	assert_string_equal(udf_function_name(UDF_FN_COUNT), "?");
	for (int err = UDF_ERANGE; err <= UDF_EIMAGE; err++) {
		assert_memory_equal(udf_error_name(err), "UDF_E", 5);
		assert_string_not_equal(udf_error_text(err), "unknown error of the UDF machine");
	}
	assert_string_equal(udf_error_name(0), "UDF_OK");
	assert_string_equal(udf_error_name(-1), "UDF_?");
	for (int code = UDF_FAULT_NONE; code <= UDF_FAULT_MALFORMED; code++) {
		assert_string_not_equal(udf_fault_name(code), "?");
		assert_string_not_equal(udf_fault_text(code), "unknown fault");
	}
	assert_string_equal(udf_fault_name(UDF_FAULT_MALFORMED + 1), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refcnt_is_given_its_record_index_and_header),
		cmocka_unit_test(check_is_given_the_object_and_its_first_block),
		cmocka_unit_test(acl_is_given_both_objects_and_the_arguments),
		cmocka_unit_test(each_kind_sees_its_own_regions_and_no_others),
		cmocka_unit_test(owns_reads_its_record_the_header_and_constants),
		cmocka_unit_test(owns_of_an_object_is_that_of_its_records_in_order),
		cmocka_unit_test(what_is_absent_has_a_neutral_answer),
		cmocka_unit_test(records_that_are_not_there_are_refused),
		cmocka_unit_test(owns_that_returns_anything_but_0_is_malformed),
		cmocka_unit_test(results_out_of_range_fault),
		cmocka_unit_test(acl_denies_with_0),
		cmocka_unit_test(an_owner_of_a_root_is_not_there),
		cmocka_unit_test(a_run_that_faults_takes_back_what_it_emitted),
		cmocka_unit_test(max_emit_bounds_a_run),
		cmocka_unit_test(fuel_is_shared_by_all_runs_of_an_operation),
		cmocka_unit_test(a_template_s_own_fuel_bounds_each_run),
		cmocka_unit_test(a_run_s_read_set_is_what_it_read),
		cmocka_unit_test(everything_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
