/* SPDX-License-Identifier: MIT */
/*
 * The validator refuses every program that breaks a rule, names the rule and
 * the slot, and accepts what keeps them all.
 */
#include "assembler.h"
#include "validate.h"

static const uint32_t owns_helpers = UDF_HELPER_BIT(1) | UDF_HELPER_BIT(2) | UDF_HELPER_BIT(3);

static int validate(const void *bytes, size_t len, struct udf_refusal *why)
{
	struct udf_program *program;
	int err = udf_program_create(bytes, len, owns_helpers, &program, why);

	if (!err)
		udf_program_destroy(program);
	return err;
}

static void expect_accepted(const struct program *p)
{
	struct udf_refusal why;

	if (validate(p->bytes, LEN(p), &why))
		fail_msg("refused: %s", why.text);
}

/* Refused at `slot`, the sentence beginning with the rule. */
static void expect_refused(const struct program *p, const char *rule, uint32_t slot)
{
	struct udf_refusal why = { 0 };
	int err = validate(p->bytes, LEN(p), &why);

	if (err != UDF_EPROGRAM || why.error != UDF_EPROGRAM || why.slot != slot ||
	    strncmp(why.text, rule, strlen(rule)) != 0)
		fail_msg("expected %s at slot %u; error %d at slot %u: %s", rule, slot, err,
			 why.slot, why.text);
	assert_int_equal(validate(p->bytes, LEN(p), NULL), UDF_EPROGRAM);
}

/* ---- V1 ---- */

static void a_program_has_1_to_4096_whole_slots(void **state)
{
	struct program p = { .n = 0 };
	struct udf_refusal why;

	(void)state;
	expect_refused(&p, "V1", 0);
	put_exit(&p);
	expect_accepted(&p);
	for (size_t len = 1; len < 8; len++)
		assert_int_equal(validate(p.bytes, len, &why), UDF_EPROGRAM);
	while (p.n < UDF_SLOTS_MAX)
		put_exit(&p);
	expect_accepted(&p);
	put_exit(&p);
	expect_refused(&p, "V1", 0);
}

/* ---- V2, V10: opcodes, written down from the tables of RFC 9669 ---- */

/* Variants of an opcode that are in scope, or none. */
static int opcode_in_scope(unsigned opcode)
{
	static const uint8_t others[] = { 0x05, 0x06, 0x18, 0x61, 0x62, 0x63, 0x69, 0x6a, 0x6b,
					  0x71, 0x72, 0x73, 0x79, 0x7a, 0x7b, 0x81, 0x84, 0x85,
					  0x87, 0x89, 0x91, 0x95, 0xd4, 0xd7, 0xdc };
	unsigned class = opcode & 7, operation = opcode >> 4;

	for (size_t i = 0; i < sizeof(others); i++)
		if (others[i] == opcode)
			return 1;
	if (class == 4 || class == 7) /* all but neg and end come as K and X */
		return operation <= 12 && operation != 8;
	if (class == 5 || class == 6) /* conditions */
		return (operation >= 1 && operation <= 7) || (operation >= 10 && operation <= 13);
	return 0;
}

/* An instruction with that opcode that is right if the opcode is. */
static void put_harmless(struct program *p, unsigned opcode)
{
	int is_end = opcode == 0xd4 || opcode == 0xdc || opcode == 0xd7;
	int is_memory = (opcode & 7) >= 1 && (opcode & 7) <= 3;

	if (opcode == 0x18)
		put_lddw(p, 1, 0);
	else
		put(p, opcode, 0, 0, is_memory ? -8 : 0, is_end ? 16 : opcode == 0x85 ? 2 : 0);
}

static void every_opcode_outside_the_set_is_refused(void **state)
{
	(void)state;
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		struct program p = { .n = 0 };

		put_harmless(&p, opcode);
		put_exit(&p);
		if (opcode_in_scope(opcode))
			expect_accepted(&p);
		else
			expect_refused(&p, "V2", 0);
	}
}

static void atomics_callx_and_legacy_loads_are_refused(void **state)
{
	static const uint8_t refused[] = { 0xc3, 0xdb, 0x8d, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50,
					   0x86, 0x96, 0x0d, 0x0e, 0x99, 0x8c, 0x8f, 0xdf, 0xe5 };

	(void)state;
	for (size_t i = 0; i < sizeof(refused); i++) {
		struct program p = { .n = 0 };

		put(&p, refused[i], 0, 0, 0, 0);
		put_exit(&p);
		expect_refused(&p, "V2", 0);
	}
}

struct bad_slot {
	const char *rule;
	unsigned opcode, dst, src;
	int off;
	int64_t imm;
};

static void expect_slots_refused(const struct bad_slot *bad, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct program p = { .n = 0 };

		put_mov(&p, 0, 0);
		put(&p, bad[i].opcode, bad[i].dst, bad[i].src, bad[i].off, bad[i].imm);
		put(&p, 0, 0, 0, 0, 0); /* for lddw */
		put_exit(&p);
		expect_refused(&p, bad[i].rule, 1);
	}
}

#define EXPECT_SLOTS_REFUSED(table) expect_slots_refused(table, sizeof(table) / sizeof((table)[0]))

static void sub_codes_that_rfc_9669_does_not_define_are_refused(void **state)
{
	static const struct bad_slot bad[] = {
		{ "V10", 0xd4, 0, 0, 0, 0 }, /* byte order without width */
		{ "V10", 0xd4, 0, 0, 0, 8 },     { "V10", 0xd4, 0, 0, 0, 24 },
		{ "V10", 0xdc, 0, 0, 0, 128 },   { "V10", 0xd7, 0, 0, 0, -16 },
		{ "V10", 0xdc, 0, 0, 0, 0x110 }, /* 16 in the low byte only */
		{ "V10", 0xd7, 0, 0, 0, 48 },    { "V10", 0x37, 0, 0, 2, 1 }, /* div */
		{ "V10", 0x3f, 0, 1, -1, 0 },    { "V10", 0x94, 0, 0, 3, 1 },
		{ "V10", 0x3f, 0, 1, 257, 0 },   { "V10", 0xbf, 0, 1, 1, 0 }, /* movsx */
		{ "V10", 0xbf, 0, 1, 24, 0 },    { "V10", 0xbf, 0, 1, 64, 0 },
		{ "V10", 0xbc, 0, 1, 32, 0 },    { "V10", 0xbf, 0, 1, 264, 0 },
		{ "V10", 0xb7, 0, 0, 8, 0 },     { "V10", 0xb4, 0, 0, 16, 0 },
		{ "V10", 0x0f, 0, 1, 1, 0 },     { "V10", 0x67, 0, 0, 1, 0 },
		{ "V10", 0x85, 0, 2, 0, 1 },     { "V10", 0x85, 0, 10, 0, 1 }, /* call by BTF id */
		{ "V10", 0x18, 0, 1, 0, 1 },     { "V10", 0x18, 0, 6, 0, 1 },  /* lddw of a map */
	};

	(void)state;
	EXPECT_SLOTS_REFUSED(bad);
}

/* ---- V3 ---- */

static void fields_that_are_not_used_must_be_zero(void **state)
{
	static const struct bad_slot bad[] = {
		{ "V3", 0x07, 0, 1, 0, 1 },  { "V3", 0x0f, 0, 1, 0, 1 },   /* add */
		{ "V3", 0x37, 0, 1, 0, 1 },  { "V3", 0x3f, 0, 1, 0, 1 },   /* div */
		{ "V3", 0xbf, 0, 1, 8, 1 },  { "V3", 0xb7, 0, 1, 0, 1 },   /* mov */
		{ "V3", 0x84, 0, 1, 0, 0 },  { "V3", 0x87, 0, 0, 0, 1 },   /* neg */
		{ "V3", 0xd4, 0, 1, 0, 16 }, { "V3", 0xdc, 0, 0, 1, 16 },  /* end */
		{ "V3", 0xd7, 0, 3, 0, 32 }, { "V3", 0x18, 0, 0, 1, 0 },   /* lddw */
		{ "V3", 0x61, 0, 1, 0, 1 },  { "V3", 0x91, 0, 1, 0, -1 },  /* loads */
		{ "V3", 0x72, 0, 1, 0, 1 },  { "V3", 0x7b, 10, 1, -8, 1 }, /* stores */
		{ "V3", 0x05, 1, 0, 0, 0 },  { "V3", 0x05, 0, 1, 0, 0 },   /* ja */
		{ "V3", 0x05, 0, 0, 0, 1 },  { "V3", 0x06, 0, 0, 1, 0 },
		{ "V3", 0x06, 1, 0, 0, 0 },  { "V3", 0x06, 0, 1, 0, 0 },
		{ "V3", 0x15, 0, 1, 0, 0 },  { "V3", 0x1d, 0, 1, 0, 1 }, /* jumps */
		{ "V3", 0x16, 0, 1, 0, 0 },  { "V3", 0x1e, 0, 1, 0, 1 },
		{ "V3", 0x85, 1, 0, 0, 2 },  { "V3", 0x85, 0, 0, 1, 2 }, /* calls */
		{ "V3", 0x85, 1, 1, 0, 0 },  { "V3", 0x85, 0, 1, 1, 0 },
		{ "V3", 0x95, 1, 0, 0, 0 },  { "V3", 0x95, 0, 1, 0, 0 }, /* exit */
		{ "V3", 0x95, 0, 0, 1, 0 },  { "V3", 0x95, 0, 0, 0, 1 },
	};

	(void)state;
	EXPECT_SLOTS_REFUSED(bad);
}

/* ---- V4 ---- */

static void registers_above_10_are_refused_wherever_they_are_named(void **state)
{
	static const uint8_t with_dst[] = { 0x07, 0x0f, 0x87, 0xd4, 0x18, 0x61,
					    0x72, 0x73, 0x15, 0x1d, 0x16, 0x1e };
	static const uint8_t with_src[] = { 0x0f, 0xbf, 0x61, 0x81, 0x73, 0x1d, 0x1e };

	(void)state;
	for (unsigned reg = 11; reg < 16; reg++) {
		for (size_t i = 0; i < sizeof(with_dst); i++) {
			struct bad_slot bad = { "V4", with_dst[i], reg,
						0,    0,           with_dst[i] == 0xd4 ? 16 : 0 };

			expect_slots_refused(&bad, 1);
		}
		for (size_t i = 0; i < sizeof(with_src); i++) {
			struct bad_slot bad = { "V4", with_src[i], 0, reg, 0, 0 };

			expect_slots_refused(&bad, 1);
		}
	}
}

static void the_frame_pointer_is_never_written(void **state)
{
	static const struct bad_slot bad[] = {
		{ "V4", 0x07, 10, 0, 0, 8 },   { "V4", 0x0f, 10, 1, 0, 0 },
		{ "V4", 0xbf, 10, 1, 0, 0 },   { "V4", 0xbf, 10, 1, 8, 0 },
		{ "V4", 0x87, 10, 0, 0, 0 },   { "V4", 0xdc, 10, 0, 0, 64 },
		{ "V4", 0x18, 10, 0, 0, 0 },   { "V4", 0x79, 10, 1, 0, 0 },
		{ "V4", 0x91, 10, 10, -8, 0 }, { "V4", 0xb4, 10, 0, 0, 0 },
	};

	(void)state;
	EXPECT_SLOTS_REFUSED(bad);
}

/* ---- V5 ---- */

static void lddw_needs_a_plain_second_slot(void **state)
{
	static const uint8_t second[][4] = {
		{ 0x95, 0, 0, 0 }, { 0x18, 0, 0, 0 }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 }, { 0, 0, 0, 1 }
	};
	struct program p = { .n = 0 };

	(void)state;
	put_mov(&p, 0, 0);
	put(&p, 0x18, 0, 0, 0, 0);
	expect_refused(&p, "V5", 1);
	for (size_t i = 0; i < 5; i++) {
		p.n = 2;
		put(&p, second[i][0], second[i][1], second[i][2], second[i][3], 0);
		put_exit(&p);
		expect_refused(&p, "V5", 2);
	}
}

static void a_second_slot_by_itself_is_no_instruction(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put(&p, 0, 0, 0, 0, 0);
	put_exit(&p);
	expect_refused(&p, "V2", 0);
}

/* ---- V6 ---- */

static void targets_outside_the_program_are_refused(void **state)
{
	static const uint8_t opcodes[] = { 0x05, 0x06, 0x15, 0x1d, 0x16, 0x1e, 0xc5, 0xde, 0x85 };
	static const int64_t far[] = { 2, 3, 100, 32767, -3, -4, -32768 };

	(void)state;
	for (size_t i = 0; i < sizeof(opcodes); i++)
		for (size_t k = 0; k < sizeof(far) / sizeof(far[0]); k++) {
			int by_imm = opcodes[i] == 0x06 || opcodes[i] == 0x85;
			struct program p = { .n = 0 };

			put_mov(&p, 0, 0);
			put(&p, opcodes[i], 0, opcodes[i] == 0x85 ? 1 : 0, by_imm ? 0 : (int)far[k],
			    by_imm ? far[k] : 0);
			put_mov(&p, 0, 0);
			put_exit(&p); /* n = 4: the farthest targets inside are -2 and +1 */
			expect_refused(&p, "V6", 1);
		}
}

static void far_targets_by_immediate_do_not_wrap(void **state)
{
	static const int64_t far[] = { INT32_MAX, INT32_MIN, 0x10000, -0x10000, 4096 };

	(void)state;
	for (size_t k = 0; k < sizeof(far) / sizeof(far[0]); k++)
		for (unsigned call = 0; call < 2; call++) {
			struct program p = { .n = 0 };

			put(&p, call ? 0x85 : 0x06, 0, call, 0, far[k]);
			put_exit(&p);
			expect_refused(&p, "V6", 0);
		}
}

static void the_middle_of_a_lddw_is_no_target(void **state)
{
	static const uint8_t opcodes[] = { 0x05, 0x06, 0x15, 0x1e, 0x85 };

	(void)state;
	for (size_t i = 0; i < sizeof(opcodes); i++) {
		int by_imm = opcodes[i] == 0x06 || opcodes[i] == 0x85;
		struct program p = { .n = 0 };

		put(&p, opcodes[i], 0, opcodes[i] == 0x85 ? 1 : 0, by_imm ? 0 : 1, by_imm ? 1 : 0);
		put_lddw(&p, 0, 0x9500000095);
		put_exit(&p);
		expect_refused(&p, "V6", 0);
	}
}

/* ---- V7 ---- */

static void control_cannot_fall_off_a_function(void **state)
{
	static const uint8_t last[] = { 0xb7, 0x15, 0x1d, 0x16, 0x61, 0x73, 0x85 };

	(void)state;
	for (size_t i = 0; i < sizeof(last); i++) {
		struct program p = { .n = 0 };

		put_exit(&p);
		put(&p, last[i], 0, 0, (last[i] & 7) == 5 || (last[i] & 7) == 6 ? -1 : 0, 0);
		if (last[i] == 0x85)
			p.bytes[p.n * 8 - 4] = 2; /* helper 2, off 0 */
		if (last[i] == 0x85)
			p.bytes[p.n * 8 - 6] = p.bytes[p.n * 8 - 5] = 0;
		expect_refused(&p, "V7", 1);
	}
}

static void a_lddw_cannot_end_a_function(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put_exit(&p);
	put_lddw(&p, 0, 0x95);
	expect_refused(&p, "V7", 2);
}

static void an_unconditional_jump_may_end_a_function(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put(&p, 0x05, 0, 0, 1, 0);
	put_exit(&p);
	put(&p, 0x05, 0, 0, -2, 0);
	expect_accepted(&p);
	p.n = 2;
	put(&p, 0x06, 0, 0, 0, -2);
	expect_accepted(&p);
}

/* 0: call 3; 1: (filler) 2: exit | 3: r0 = 1; 4: (filler) 5: exit */
static struct program two_functions(void)
{
	struct program p = { .n = 0 };

	put(&p, 0x85, 0, 1, 0, 2);
	put_mov(&p, 1, 0);
	put_exit(&p);
	put_mov(&p, 0, 1);
	put_mov(&p, 1, 0);
	put_exit(&p);
	return p;
}

static void replace(struct program *p, size_t slot, unsigned opcode, int off, int64_t imm)
{
	size_t n = p->n;

	p->n = slot;
	put(p, opcode, 0, 0, off, imm);
	p->n = n;
}

static void no_jump_crosses_into_another_function(void **state)
{
	struct program p = two_functions();

	(void)state;
	expect_accepted(&p);
	replace(&p, 1, 0x05, 1, 0); /* into the callee's start */
	expect_refused(&p, "V7", 1);
	replace(&p, 1, 0x15, 2, 0); /* into its middle */
	expect_refused(&p, "V7", 1);
	replace(&p, 1, 0x06, 0, 3);
	expect_refused(&p, "V7", 1);
	p = two_functions();
	replace(&p, 4, 0x05, -3, 0); /* back into the caller */
	expect_refused(&p, "V7", 4);
	replace(&p, 4, 0x1e, -5, 0);
	expect_refused(&p, "V7", 4);
}

static void no_function_falls_through_into_the_next(void **state)
{
	struct program p = two_functions();

	(void)state;
	replace(&p, 2, 0xb7, 0, 0);
	expect_refused(&p, "V7", 2);
	replace(&p, 2, 0x15, -2, 0);
	expect_refused(&p, "V7", 2);
	replace(&p, 2, 0x05, -2, 0);
	expect_accepted(&p);
}

static void a_call_may_be_recursive_and_backward(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put(&p, 0x85, 0, 1, 0, -1); /* itself */
	put_exit(&p);
	expect_accepted(&p);
}

/* ---- V8 ---- */

static void accesses_by_the_frame_pointer_stay_in_the_frame(void **state)
{
	static const struct {
		unsigned opcode, width, load;
	} access[] = { { 0x71, 1, 1 }, { 0x69, 2, 1 }, { 0x61, 4, 1 }, { 0x79, 8, 1 },
		       { 0x91, 1, 1 }, { 0x89, 2, 1 }, { 0x81, 4, 1 }, { 0x72, 1, 0 },
		       { 0x6a, 2, 0 }, { 0x62, 4, 0 }, { 0x7a, 8, 0 }, { 0x73, 1, 0 },
		       { 0x6b, 2, 0 }, { 0x63, 4, 0 }, { 0x7b, 8, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(access) / sizeof(access[0]); i++)
		for (int off = -520; off <= 8; off++) {
			struct program p = { .n = 0 };
			int inside = off >= -512 && off + (int)access[i].width <= 0;

			put(&p, access[i].opcode, access[i].load ? 0 : 10, access[i].load ? 10 : 0,
			    off, 0);
			put_exit(&p);
			if (inside)
				expect_accepted(&p);
			else
				expect_refused(&p, "V8", 0);
		}
}

static void only_the_base_register_makes_it_a_frame_access(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put(&p, 0x7b, 1, 10, 8, 0); /* *(u64 *)(r1 + 8) = r10 */
	put(&p, 0x79, 0, 1, 1000, 0);
	put_exit(&p);
	expect_accepted(&p);
}

/* ---- V9 ---- */

static void helpers_are_those_of_the_function_kind(void **state)
{
	struct udf_program *program;

	(void)state;
	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++)
		for (int64_t number = -2; number < 70; number++) {
			int allowed =
				number == 2 || number == 3 || (number == 1 && fn == UDF_FN_OWNS);
			struct program p = { .n = 0 };
			struct udf_refusal why;
			int err;

			put(&p, 0x85, 0, 0, 0, number);
			put_exit(&p);
			err = udf_program_create(p.bytes, LEN(&p), udf_helpers_of(fn), &program,
						 &why);
			assert_int_equal(err, allowed ? 0 : UDF_EPROGRAM);
			if (allowed)
				udf_program_destroy(program);
			else
				assert_memory_equal(why.text, "V9", 2);
		}
}

/* ---- V11 ---- */

static void code_that_is_never_reached_is_checked_as_well(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put_exit(&p);
	put_mov(&p, 0, 1);
	put_exit(&p);
	expect_accepted(&p);
	replace(&p, 1, 0xff, 0, 0);
	expect_refused(&p, "V2", 1);
	replace(&p, 1, 0x05, 100, 0);
	expect_refused(&p, "V6", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_has_1_to_4096_whole_slots),
		cmocka_unit_test(every_opcode_outside_the_set_is_refused),
		cmocka_unit_test(atomics_callx_and_legacy_loads_are_refused),
		cmocka_unit_test(sub_codes_that_rfc_9669_does_not_define_are_refused),
		cmocka_unit_test(fields_that_are_not_used_must_be_zero),
		cmocka_unit_test(registers_above_10_are_refused_wherever_they_are_named),
		cmocka_unit_test(the_frame_pointer_is_never_written),
		cmocka_unit_test(lddw_needs_a_plain_second_slot),
		cmocka_unit_test(a_second_slot_by_itself_is_no_instruction),
		cmocka_unit_test(targets_outside_the_program_are_refused),
		cmocka_unit_test(far_targets_by_immediate_do_not_wrap),
		cmocka_unit_test(the_middle_of_a_lddw_is_no_target),
		cmocka_unit_test(control_cannot_fall_off_a_function),
		cmocka_unit_test(a_lddw_cannot_end_a_function),
		cmocka_unit_test(an_unconditional_jump_may_end_a_function),
		cmocka_unit_test(no_jump_crosses_into_another_function),
		cmocka_unit_test(no_function_falls_through_into_the_next),
		cmocka_unit_test(a_call_may_be_recursive_and_backward),
		cmocka_unit_test(accesses_by_the_frame_pointer_stay_in_the_frame),
		cmocka_unit_test(only_the_base_register_makes_it_a_frame_access),
		cmocka_unit_test(helpers_are_those_of_the_function_kind),
		cmocka_unit_test(code_that_is_never_reached_is_checked_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
