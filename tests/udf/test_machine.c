/* SPDX-License-Identifier: MIT */
/*
 * The interpreter as a machine: every fault at its slot, memory only where it
 * is mapped, frames, helpers, and fuel to the unit.
 */
#include "engine.h"

#define STACK_TOP (UDF_ADDR_STACK + 4096ull)

static const struct {
	enum udf_region_id id;
	uint64_t base;
} mapped[] = {
	{ UDF_REGION_META, UDF_ADDR_META },     { UDF_REGION_HDR, UDF_ADDR_HDR },
	{ UDF_REGION_NEW, UDF_ADDR_NEW },       { UDF_REGION_OWNER, UDF_ADDR_OWNER },
	{ UDF_REGION_RODATA, UDF_ADDR_RODATA }, { UDF_REGION_ARGS, UDF_ADDR_ARGS },
};
#define REGIONS (sizeof(mapped) / sizeof(mapped[0]))

static const struct {
	unsigned load, store, width;
} widths[] = { { 0x71, 0x72, 1 }, { 0x69, 0x6a, 2 }, { 0x61, 0x62, 4 }, { 0x79, 0x7a, 8 } };

/* ---- loads and stores ---- */

static struct program load_program(unsigned opcode, uint64_t address, int off)
{
	struct program p = { .n = 0 };

	put_lddw(&p, 1, address - (uint64_t)(int64_t)off);
	put(&p, opcode, 0, 1, off, 0);
	put_exit(&p);
	return p;
}

static struct program store_program(unsigned opcode, uint64_t address, int off)
{
	struct program p = { .n = 0 };

	put_lddw(&p, 1, address - (uint64_t)(int64_t)off);
	put(&p, opcode, 1, 0, off, 0x41);
	put_exit(&p);
	return p;
}

/* Each region by itself, of each small length: every access at and around its ends. */
static void an_access_lies_wholly_inside_one_region_or_faults(void **state)
{
	static const uint8_t bytes[16] = { 0 };

	(void)state;
	for (size_t r = 0; r < REGIONS; r++)
		for (uint32_t len = 0; len <= 12; len++)
			for (int64_t at = -10; at <= 14; at++)
				for (size_t w = 0; w < 4; w++) {
					struct udf_run run = plain_run();
					struct program p = load_program(
						widths[w].load, mapped[r].base + (uint64_t)at, 3);
					int inside = at >= 0 &&
						     at + (int64_t)widths[w].width <= (int64_t)len;

					run.region[mapped[r].id] = region_of(bytes, len);
					if (inside)
						assert_int_equal(engine_run(&p, &run), 0);
					else
						expect_fault(&p, run, UDF_FAULT_MEM, 2);
				}
}

static void the_stack_ends_where_it_ends(void **state)
{
	(void)state;
	for (int64_t at = -10; at <= 4106; at += at == 10 ? 4076 : 1)
		for (size_t w = 0; w < 4; w++) {
			uint64_t address = UDF_ADDR_STACK + (uint64_t)at;
			struct program load = load_program(widths[w].load, address, -1);
			struct program store = store_program(widths[w].store, address, 1);
			struct udf_run run = plain_run();

			if (at >= 0 && at + (int64_t)widths[w].width <= 4096) {
				assert_int_equal(engine_run(&load, &run), 0);
				assert_int_equal(run.result, 0);
				assert_int_equal(engine_run(&store, &run), 0);
			} else {
				expect_fault(&load, run, UDF_FAULT_MEM, 2);
				expect_fault(&store, run, UDF_FAULT_STORE, 2);
			}
		}
}

/* Addresses where a careless check wraps around or looks at half of the bits. */
static void addresses_that_wrap_fault(void **state)
{
	static const uint64_t wild[] = {
		0,
		1,
		7,
		0xffff,
		UDF_ADDR_META - 1,
		0x100000000ull + UDF_ADDR_META,
		0x8000000000000000ull + UDF_ADDR_META,
		0xffffffff00000000ull + UDF_ADDR_STACK,
		UINT64_MAX,
		UINT64_MAX - 3,
		UINT64_MAX - 7,
		0x0c000000,
		0x24000000,
		0x2c000000,
		0x34000000,
		0x3c000000,
		0x44000000,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x4000000000000000ull + UDF_ADDR_STACK,
	};
	static const int offs[] = { 0, 1, -1, 7, -8, 32767, -32768 };
	static const uint8_t bytes[4096] = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++)
		for (size_t k = 0; k < sizeof(offs) / sizeof(offs[0]); k++)
			for (size_t w = 0; w < 4; w++) {
				struct udf_run run = plain_run();
				struct program load =
					load_program(widths[w].load, wild[i], offs[k]);
				struct program store =
					store_program(widths[w].store, wild[i], offs[k]);

				for (size_t r = 0; r < REGIONS; r++)
					run.region[mapped[r].id] = region_of(bytes, sizeof(bytes));
				expect_fault(&load, run, UDF_FAULT_MEM, 2);
				expect_fault(&store, run, UDF_FAULT_STORE, 2);
			}
}

static void stores_go_to_the_stack_only(void **state)
{
	static const uint8_t bytes[64] = { 0 };

	(void)state;
	for (size_t r = 0; r < REGIONS; r++)
		for (size_t w = 0; w < 4; w++) {
			struct udf_run run = plain_run();
			struct program p = store_program(widths[w].store, mapped[r].base + 8, 0);

			run.region[mapped[r].id] = region_of(bytes, sizeof(bytes));
			expect_fault(&p, run, UDF_FAULT_STORE, 2);
		}
}

/* stdw [r2 - 1] with r2 = 0: the address is 2^64 - 1 and the end wraps past 0. */
static void a_store_below_null_faults(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put(&p, 0x7a, 2, 0, -1, 7);
	put_exit(&p);
	expect_fault(&p, plain_run(), UDF_FAULT_STORE, 0);
}

static void a_fault_names_the_address(void **state)
{
	struct program p = load_program(0x79, 0x123456789abcdef0, 16);
	struct udf_run run = plain_run();

	(void)state;
	assert_int_equal(engine_run(&p, &run), UDF_EFAULT);
	assert_true(run.fault.value == 0x123456789abcdef0);
}

/* META is writable in xn-udf-vm only, and then within its bounds. */
static void a_writable_region_is_written_within_its_bounds(void **state)
{
	uint8_t bytes[9] = { 0 };
	struct udf_run run = plain_run();
	struct program p = store_program(0x7a, UDF_ADDR_META + 1, 0);

	(void)state;
	run.region[UDF_REGION_META] = (struct udf_region){ bytes, 9, true, NULL };
	assert_int_equal(engine_run(&p, &run), 0);
	assert_int_equal(bytes[0], 0);
	assert_int_equal(bytes[1], 0x41);
	p = store_program(0x7a, UDF_ADDR_META + 2, 0);
	expect_fault(&p, run, UDF_FAULT_STORE, 2);
	run.region[UDF_REGION_META].len = 4;
	p = store_program(0x7a, UDF_ADDR_META, 0);
	expect_fault(&p, run, UDF_FAULT_STORE, 2);
}

/* ---- what a program starts with ---- */

static void registers_start_as_arguments_and_zeroes(void **state)
{
	(void)state;
	for (unsigned reg = 0; reg <= 10; reg++) {
		struct udf_run run = plain_run();
		struct program p = { .n = 0 };
		uint64_t want = reg >= 1 && reg <= 5 ? 0x100ull * reg : 0;

		for (unsigned i = 0; i < 5; i++)
			run.arg[i] = 0x100ull * (i + 1);
		put(&p, 0xbf, 0, reg, 0, 0);
		put_exit(&p);
		assert_int_equal(engine_run(&p, &run), 0);
		assert_int_equal(run.result, reg == 10 ? STACK_TOP : want);
	}
}

/* Dirty the C stack below, then look at every byte of the guest's. */
static void every_frame_starts_as_zeroes(void **state)
{
	struct program dirty = { .n = 0 }, sum = { .n = 0 };

	(void)state;
	put_lddw(&dirty, 1, UDF_ADDR_STACK);
	put(&dirty, 0x7a, 1, 0, 0, -1);                  /* 2: *(u64 *)r1 = -1 */
	put(&dirty, 0x07, 1, 0, 0, 8);                   /* 3: r1 += 8 */
	put(&dirty, 0xa5, 1, 0, -3, (int64_t)STACK_TOP); /* 4: if r1 < top goto 2 */
	put_exit(&dirty);
	put_lddw(&sum, 1, UDF_ADDR_STACK);
	put(&sum, 0x79, 2, 1, 0, 0);
	put(&sum, 0x4f, 0, 2, 0, 0);
	put(&sum, 0x07, 1, 0, 0, 8);
	put(&sum, 0xa5, 1, 0, -4, (int64_t)STACK_TOP);
	put_exit(&sum);
	for (unsigned i = 0; i < 3; i++) {
		engine_result(&dirty);
		assert_int_equal(engine_result(&sum), 0);
	}
}

/* The same by r10, which compilers use most: of a frame at each depth, before anything is stored. */
static void every_frame_starts_as_zeroes_by_r10(void **state)
{
	struct program dirty = { .n = 0 };

	(void)state;
	put_lddw(&dirty, 1, UDF_ADDR_STACK);
	put(&dirty, 0x7a, 1, 0, 0, -1);
	put(&dirty, 0x07, 1, 0, 0, 8);
	put(&dirty, 0xa5, 1, 0, -3, (int64_t)STACK_TOP);
	put_exit(&dirty);
	for (unsigned depth = 0; depth < UDF_STACK_FRAMES; depth++) {
		struct program sum = { .n = 0 };

		for (unsigned d = 0; d < depth; d++) { /* each calls what follows it */
			put(&sum, 0x85, 0, 1, 0, 1);
			put_exit(&sum);
		}
		for (int off = -512; off < 0; off += 8) {
			put(&sum, 0x79, 2, 10, (int16_t)off, 0);
			put(&sum, 0x4f, 0, 2, 0, 0);
			put(&sum, 0x7b, 10, 2, (int16_t)off, 0);
		}
		put_exit(&sum);
		engine_result(&dirty);
		assert_int_equal(engine_result(&sum), 0);
	}
}

/* Zeroing a frame late must not undo what was stored in a neighbour. */
static void late_zeroing_keeps_what_was_stored(void **state)
{
	(void)state;
	for (uint64_t at = 0; at + 8 <= 4096; at += 8) {
		struct program p = { .n = 0 };

		put_lddw(&p, 1, UDF_ADDR_STACK + at);
		put(&p, 0x7a, 1, 0, 0, 77);
		put_lddw(&p, 2, UDF_ADDR_STACK);
		put(&p, 0x79, 3, 2, 0, 0);
		put(&p, 0x79, 0, 1, 0, 0);
		put_exit(&p);
		assert_int_equal(engine_result(&p), 77);
	}
}

/* A load that begins in one frame and ends in the next is inside the stack. */
static void frames_have_no_gaps(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put_lddw(&p, 1, UDF_ADDR_STACK + 2048);
	put(&p, 0x7a, 1, 0, 0, -1);
	put(&p, 0x79, 0, 1, -4, 0);
	put_exit(&p);
	assert_true(engine_result(&p) == 0xffffffff00000000);
}

/* ---- local calls ---- */

/* Recursion `depth` calls deep: r1 counts down. */
static struct program recursion(int depth)
{
	struct program p = { .n = 0 };

	put_mov(&p, 1, depth);      /* 0 */
	put(&p, 0x85, 0, 1, 0, 1);  /* 1: call 3 */
	put_exit(&p);               /* 2 */
	put(&p, 0x07, 1, 0, 0, -1); /* 3: r1 -= 1 */
	put(&p, 0x15, 1, 0, 1, 0);  /* 4: if r1 == 0 goto 6 */
	put(&p, 0x85, 0, 1, 0, -3); /* 5: call 3 */
	put(&p, 0x07, 0, 0, 0, 1);  /* 6: r0 += 1 */
	put_exit(&p);               /* 7 */
	return p;
}

static void eight_frames_and_no_more(void **state)
{
	(void)state;
	for (int depth = 1; depth <= 7; depth++) {
		struct program p = recursion(depth);

		assert_int_equal(engine_result(&p), depth);
	}
	for (int depth = 8; depth <= 10; depth++) {
		struct program p = recursion(depth);

		expect_fault(&p, plain_run(), UDF_FAULT_DEPTH, 5);
	}
}

static void callee_saved_registers_come_back_and_others_do_not(void **state)
{
	(void)state;
	for (unsigned reg = 0; reg <= 9; reg++) {
		struct program p = { .n = 0 };

		for (unsigned r = 0; r <= 9; r++)
			put_mov(&p, r, (int32_t)r + 100); /* 0..9 */
		put(&p, 0x85, 0, 1, 0, 2);                /* 10: call 13 */
		put(&p, 0xbf, 0, reg, 0, 0);              /* 11 */
		put_exit(&p);                             /* 12 */
		for (unsigned r = 0; r <= 9; r++)
			put_mov(&p, r, (int32_t)r + 200);
		put_exit(&p);
		assert_int_equal(engine_result(&p), reg >= 6 ? reg + 100 : reg + 200);
	}
}

static void a_callee_sees_its_caller_s_registers(void **state)
{
	(void)state;
	for (unsigned reg = 0; reg <= 10; reg++) {
		struct program p = { .n = 0 };

		for (unsigned r = 0; r <= 9; r++)
			put_mov(&p, r, (int32_t)r + 100);
		put(&p, 0x85, 0, 1, 0, 1);
		put_exit(&p);
		put(&p, 0xbf, 0, reg, 0, 0);
		put_exit(&p);
		assert_int_equal(engine_result(&p), reg == 10 ? STACK_TOP - 512 : reg + 100);
	}
}

static void r10_of_every_depth_is_512_lower(void **state)
{
	for (int depth = 1; depth <= 7; depth++) {
		struct program p = recursion(depth);

		(void)state;
		p.n = 6;
		put(&p, 0xbf, 0, 10, 0, 0); /* 6: r0 = r10, outermost wins */
		put_exit(&p);
		assert_int_equal(engine_result(&p), STACK_TOP - 512);
		p.n = 4;
		put(&p, 0x15, 1, 0, 2, 0); /* 4: if r1 == 0 goto 7 */
		put(&p, 0x85, 0, 1, 0, -3);
		put_exit(&p);
		put(&p, 0xbf, 0, 10, 0, 0); /* 7: innermost */
		put_exit(&p);
		assert_int_equal(engine_result(&p), STACK_TOP - 512 * (uint64_t)depth);
	}
}

/* A second call finds the frame as the first one left it: the spec zeroes once per run. */
static void a_frame_keeps_what_an_earlier_call_left(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put(&p, 0x85, 0, 1, 0, 2);   /* 0: call 3 */
	put(&p, 0x85, 0, 1, 0, 1);   /* 1: call 3 */
	put_exit(&p);                /* 2 */
	put(&p, 0x79, 0, 10, -8, 0); /* 3: r0 = *(r10 - 8) */
	put(&p, 0x07, 0, 0, 0, 1);   /* 4 */
	put(&p, 0x7b, 10, 0, -8, 0); /* 5 */
	put_exit(&p);
	assert_int_equal(engine_result(&p), 2);
}

/* Callers may hand out pointers into their frame. */
static void a_callee_may_write_through_a_pointer_to_its_caller_s_frame(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put(&p, 0xbf, 1, 10, 0, 0);
	put(&p, 0x07, 1, 0, 0, -16);
	put(&p, 0x85, 0, 1, 0, 2); /* 2: call 5 */
	put(&p, 0x79, 0, 10, -16, 0);
	put_exit(&p);
	put(&p, 0x7a, 1, 0, 0, 99);
	put_exit(&p);
	assert_int_equal(engine_result(&p), 99);
}

/* ---- helpers ---- */

static void emit_appends_in_order_and_returns_0(void **state)
{
	struct udf_extents out = { 0 };
	struct udf_run run = plain_run();
	struct program p = { .n = 0 };

	(void)state;
	put_mov(&p, 0, 55);
	put_emit(&p, 10, 2, 3);
	put_emit(&p, 5, 1, 0);
	put_exit(&p);
	run.out = &out;
	assert_int_equal(engine_run(&p, &run), 0);
	assert_int_equal(run.result, 0);
	assert_int_equal(out.n, 2);
	assert_int_equal(out.v[0].start, 10);
	assert_int_equal(out.v[0].count, 2);
	assert_int_equal(out.v[0].child, 3);
	assert_int_equal(out.v[1].start, 5);
	udf_extents_fini(&out);
}

static void bad_extents_fault(void **state)
{
	static const struct {
		uint64_t start, count, child;
		int bad;
	} cases[] = {
		{ 1, 0, 0, 1 },
		{ 0, 1, 3, 0 },
		{ 0, 1, 4, 1 },
		{ 0, 1, 0x100000000, 1 }, /* a child that fits when cut to 32 bits */
		{ 0, 1, UINT64_MAX, 1 },
		{ 0, 1ull << 48, 0, 0 },
		{ 0, (1ull << 48) + 1, 0, 1 },
		{ 1, 1ull << 48, 0, 1 },
		{ (1ull << 48) - 1, 1, 0, 0 },
		{ 1ull << 48, 1, 0, 1 },
		{ UINT64_MAX, 1, 0, 1 },
		{ UINT64_MAX, 2, 0, 1 },
		{ 1, UINT64_MAX, 0, 1 },
		{ 0x8000000000000000, 0x8000000000000000, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct udf_run run = plain_run();
		struct program p = { .n = 0 };

		put_lddw(&p, 1, cases[i].start);
		put_lddw(&p, 2, cases[i].count);
		put_lddw(&p, 3, cases[i].child);
		put(&p, 0x85, 0, 0, 0, 1);
		put_exit(&p);
		if (cases[i].bad)
			expect_fault(&p, run, UDF_FAULT_EMIT, 6);
		else
			assert_int_equal(engine_run(&p, &run), 0);
	}
}

static void emitting_more_than_allowed_faults(void **state)
{
	struct udf_run run = plain_run();
	struct program p = { .n = 0 };

	(void)state;
	put_emit(&p, 1, 1, 0); /* slots 0 to 3 */
	put_emit(&p, 2, 1, 0); /* 4 to 7 */
	put_exit(&p);
	run.emits = 2;
	assert_int_equal(engine_run(&p, &run), 0);
	assert_int_equal(run.emits, 0);
	run = plain_run();
	run.emits = 1;
	expect_fault(&p, run, UDF_FAULT_EMIT, 7);
}

static void helpers_leave_r1_to_r9_alone(void **state)
{
	static const uint8_t bytes[8] = { 1 };

	(void)state;
	for (int helper = 1; helper <= 3; helper++)
		for (unsigned reg = 1; reg <= 9; reg++) {
			struct udf_run run = plain_run();
			struct program p = { .n = 0 };
			uint64_t arg[10] = { 0, 1, 1, 1, 4, 5, 6, 7, 8, 9 };

			if (helper > 1)
				arg[1] = UDF_ADDR_META;
			if (helper == 3)
				arg[2] = UDF_ADDR_META;
			run.region[UDF_REGION_META] = region_of(bytes, sizeof(bytes));
			for (unsigned r = 1; r <= 9; r++)
				put_lddw(&p, r, arg[r]);
			put(&p, 0x85, 0, 0, 0, helper);
			put(&p, 0xbf, 0, reg, 0, 0);
			put_exit(&p);
			assert_int_equal(engine_run(&p, &run), 0);
			assert_int_equal(run.result, arg[reg]);
		}
}

static struct program helper_program(int number, uint64_t a, uint64_t b, uint64_t c)
{
	struct program p = { .n = 0 };

	put_lddw(&p, 1, a);
	put_lddw(&p, 2, b);
	put_lddw(&p, 3, c);
	put(&p, 0x85, 0, 0, 0, number);
	put_exit(&p);
	return p;
}

static void crc32c_of_guest_memory(void **state)
{
	struct udf_run run = plain_run();
	struct program p = helper_program(2, UDF_ADDR_RODATA, 9, 0xabcd00000000);

	(void)state;
	run.region[UDF_REGION_RODATA] = region_of("123456789", 9);
	assert_int_equal(engine_run(&p, &run), 0);
	assert_int_equal(run.result, 0xe3069283); /* the seed's high half does not count */
	p = helper_program(2, UDF_ADDR_RODATA + 4, 5, udf_crc32c(0, "1234", 4));
	assert_int_equal(engine_run(&p, &run), 0);
	assert_int_equal(run.result, 0xe3069283);
	p = helper_program(2, UDF_ADDR_STACK, 4096, 0);
	assert_int_equal(engine_run(&p, &run), 0);
}

static void bytes_equal_compares_any_two_places(void **state)
{
	struct udf_run run = plain_run();
	struct program p = helper_program(3, UDF_ADDR_META, UDF_ADDR_RODATA + 1, 3);

	(void)state;
	run.region[UDF_REGION_META] = region_of("abcX", 4);
	run.region[UDF_REGION_RODATA] = region_of("-abcY", 5);
	assert_int_equal(engine_run(&p, &run), 0);
	assert_int_equal(run.result, 1);
	p = helper_program(3, UDF_ADDR_META, UDF_ADDR_RODATA + 1, 4);
	assert_int_equal(engine_run(&p, &run), 0);
	assert_int_equal(run.result, 0);
	p = helper_program(3, UDF_ADDR_META + 4, UDF_ADDR_RODATA + 5, 0); /* the very ends */
	assert_int_equal(engine_run(&p, &run), 0);
	assert_int_equal(run.result, 1);
	p = helper_program(3, UDF_ADDR_STACK, UDF_ADDR_STACK + 3584, 512);
	assert_int_equal(engine_run(&p, &run), 0);
	assert_int_equal(run.result, 1);
}

static void helper_ranges_lie_inside_one_region(void **state)
{
	static const struct {
		uint64_t at, len;
	} bad[] = {
		{ UDF_ADDR_META, 65 },
		{ UDF_ADDR_META + 64, 1 },
		{ UDF_ADDR_META + 65, 0 },
		{ UDF_ADDR_META - 1, 2 },
		{ 0, 0 },
		{ 0, 1 },
		{ UDF_ADDR_HDR, 0 },
		{ UINT64_MAX, 1 },
		{ UDF_ADDR_META, UINT64_MAX },
		{ UDF_ADDR_META + 1, UINT64_MAX },
		{ UDF_ADDR_META, 1ull << 32 },
		{ UDF_ADDR_STACK + 1, 4096 },
		{ UDF_ADDR_STACK, UINT64_MAX },
		{ UDF_ADDR_META + 32, 0 - (uint64_t)32 },
	};
	static const uint8_t bytes[64] = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct udf_run run = plain_run();
		struct program p = helper_program(2, bad[i].at, bad[i].len, 0);

		run.region[UDF_REGION_META] = region_of(bytes, sizeof(bytes));
		run.region[UDF_REGION_HDR] =
			region_of(bytes, 0); /* not there, not even for 0 bytes */
		expect_fault(&p, run, UDF_FAULT_ARG, 6);
		p = helper_program(3, bad[i].at, UDF_ADDR_META, bad[i].len);
		expect_fault(&p, run, UDF_FAULT_ARG, 6);
		p = helper_program(3, UDF_ADDR_META, bad[i].at, bad[i].len);
		expect_fault(&p, run, UDF_FAULT_ARG, 6);
	}
}

/* ---- fuel ---- */

/* With exactly `need` it runs and nothing is left; with one less it faults at `slot`. */
static void expect_price(const struct program *p, struct udf_run run, uint64_t need, uint32_t slot)
{
	struct udf_run exact = run;

	exact.fuel = need;
	assert_int_equal(engine_run(p, &exact), 0);
	assert_int_equal(exact.fuel, 0);
	if (!need)
		return;
	run.fuel = need - 1;
	expect_fault(p, run, UDF_FAULT_FUEL, slot);
}

static void forward_code_costs_nothing(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		put(&p, 0x05, 0, 0, 0, 0);
	put_exit(&p);
	expect_price(&p, plain_run(), 0, 0);
}

/* A body of `body` slots, `times` times: each taken jump back costs body + 1. */
static void a_taken_jump_back_costs_its_distance(void **state)
{
	(void)state;
	for (unsigned body = 1; body < 20; body++)
		for (int times = 1; times < 6; times++) {
			struct program p = { .n = 0 };

			put_mov(&p, 1, times);
			for (unsigned i = 1; i < body; i++)
				put(&p, 0x07, 2, 0, 0, 1);
			put(&p, 0x07, 1, 0, 0, -1);
			put(&p, 0x55, 1, 0, -(int)body - 1, 0);
			put_exit(&p);
			expect_price(&p, plain_run(), (uint64_t)(times - 1) * (body + 1), body + 1);
		}
}

static void every_kind_of_jump_pays(void **state)
{
	/* the jump at slot 3 goes back 2 slots if taken; then r9 makes it leave by slot 1 */
	static const struct {
		unsigned opcode;
		int64_t imm;
	} jumps[] = {
		{ 0x05, 0 }, { 0x06, -3 }, { 0x15, 0 }, { 0x16, 0 }, { 0x1d, 0 }, { 0x1e, 0 }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		struct program p = { .n = 0 };

		put(&p, 0x07, 9, 0, 0, 1); /* 0: r9 = 1 */
		put(&p, 0x15, 9, 0, 2, 2); /* 1: if r9 == 2 goto 4 */
		put(&p, 0x07, 9, 0, 0, 1); /* 2: r9 += 1 */
		put(&p, jumps[i].opcode, 0, 0, jumps[i].opcode == 0x06 ? 0 : -3, jumps[i].imm);
		put_exit(&p); /* 4 */
		expect_price(&p, plain_run(), 3, 3);
	}
}

static void an_endless_loop_runs_dry(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put(&p, 0x05, 0, 0, -1, 0);
	put_exit(&p);
	expect_fault(&p, plain_run(), UDF_FAULT_FUEL, 0);
}

static void a_local_call_costs_the_callee_s_length(void **state)
{
	(void)state;
	for (unsigned len = 1; len < 40; len++) {
		struct program p = { .n = 0 };

		put(&p, 0x85, 0, 1, 0, 2); /* 0: call 3 */
		put(&p, 0x85, 0, 1, 0, 1); /* 1: call 3 */
		put_exit(&p);
		for (unsigned i = 1; i < len; i++)
			put_mov(&p, 0, 1);
		put_exit(&p);
		expect_price(&p, plain_run(), 2 * len, 1);
	}
}

/* 2,000 calls of a 2,000-slot callee are 4 million instructions and must be paid as such. */
static void many_calls_of_a_long_callee_run_dry(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		put(&p, 0x85, 0, 1, 0, (int64_t)2000 - i);
	put_exit(&p);
	for (unsigned i = 0; i < 1999; i++)
		put_mov(&p, 0, 1);
	put_exit(&p);
	expect_fault(&p, plain_run(), UDF_FAULT_FUEL, UDF_FUEL_MAX / 2000);
}

static void helpers_cost_what_they_read(void **state)
{
	static const uint8_t bytes[64] = { 0 };

	(void)state;
	for (uint64_t len = 0; len <= 64; len++) {
		struct udf_run run = plain_run();
		struct program p = helper_program(2, UDF_ADDR_META, len, 0);

		run.region[UDF_REGION_META] = region_of(bytes, sizeof(bytes));
		expect_price(&p, run, len / 8 + 1, 6);
		p = helper_program(3, UDF_ADDR_META, UDF_ADDR_META, len);
		expect_price(&p, run, len / 8 + 1, 6);
	}
}

/* Where two faults are due, the order is fixed: depth before fuel, argument before fuel. */
static void faults_have_an_order(void **state)
{
	struct program p = recursion(8);
	struct udf_run run = plain_run();

	(void)state;
	run.fuel = 7 * 5; /* exactly the seven calls that are allowed */
	expect_fault(&p, run, UDF_FAULT_DEPTH, 5);
	run.fuel--;
	expect_fault(&p, run, UDF_FAULT_FUEL, 5);
	p = helper_program(2, 0, 8, 0);
	run.fuel = 0;
	expect_fault(&p, run, UDF_FAULT_ARG, 6);
}

/* ---- the read set ---- */

/* Does a run note just the bytes from `from` to below `end`, and what it was told to? */
static bool notes(const struct program *p, const void *bytes, size_t len, size_t from, size_t end)
{
	static uint8_t noted[4096];
	struct udf_run run = plain_run();

	memset(noted, 0, sizeof(noted));
	run.region[UDF_REGION_META] = region_of(bytes, len);
	run.region[UDF_REGION_META].noted = noted;
	assert_int_equal(engine_run(p, &run), 0);
	for (size_t i = 0; i < len; i++) {
		if (noted[i] != (i >= from && i < end ? 0xff : 0))
			return false;
	}
	return true;
}

static void just_the_bytes_that_were_read_are_noted(void **state)
{
	static const uint8_t bytes[4096] = { 0 };
	static const struct {
		uint8_t opcode, size;
	} loads[] = { { 0x71, 1 }, { 0x69, 2 }, { 0x61, 4 }, { 0x79, 8 },
		      { 0x91, 1 }, { 0x89, 2 }, { 0x81, 4 } };

	(void)state;
	for (size_t k = 0; k < sizeof(loads) / sizeof(loads[0]); k++) {
		for (uint64_t at = 0; at + loads[k].size <= 4096; at += 1 + at / 32) {
			struct program p = load_program(loads[k].opcode, UDF_ADDR_META + at, 0);

			assert_true(notes(&p, bytes, sizeof(bytes), at, at + loads[k].size));
		}
	}
}

static void helpers_note_what_they_read(void **state)
{
	static const uint8_t bytes[4096] = { 0 };
	struct program p = helper_program(2, UDF_ADDR_META + 100, 100, 0);

	(void)state;
	assert_true(notes(&p, bytes, 4096, 100, 200));
	p = helper_program(3, UDF_ADDR_META + 4093, UDF_ADDR_META + 4094, 2);
	assert_true(notes(&p, bytes, 4096, 4093, 4096));
	p = helper_program(2, UDF_ADDR_META, 0, 0);
	assert_true(notes(&p, bytes, 4096, 0, 0));
}

static void what_is_not_the_region_leaves_no_trace(void **state)
{
	static const uint8_t bytes[64] = { 0 };
	struct program p = load_program(0x79, STACK_TOP - 8, 0);

	(void)state;
	assert_true(notes(&p, bytes, 64, 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_access_lies_wholly_inside_one_region_or_faults),
		cmocka_unit_test(the_stack_ends_where_it_ends),
		cmocka_unit_test(addresses_that_wrap_fault),
		cmocka_unit_test(stores_go_to_the_stack_only),
		cmocka_unit_test(a_store_below_null_faults),
		cmocka_unit_test(a_fault_names_the_address),
		cmocka_unit_test(a_writable_region_is_written_within_its_bounds),
		cmocka_unit_test(registers_start_as_arguments_and_zeroes),
		cmocka_unit_test(every_frame_starts_as_zeroes),
		cmocka_unit_test(every_frame_starts_as_zeroes_by_r10),
		cmocka_unit_test(late_zeroing_keeps_what_was_stored),
		cmocka_unit_test(frames_have_no_gaps),
		cmocka_unit_test(eight_frames_and_no_more),
		cmocka_unit_test(callee_saved_registers_come_back_and_others_do_not),
		cmocka_unit_test(a_callee_sees_its_caller_s_registers),
		cmocka_unit_test(r10_of_every_depth_is_512_lower),
		cmocka_unit_test(a_frame_keeps_what_an_earlier_call_left),
		cmocka_unit_test(a_callee_may_write_through_a_pointer_to_its_caller_s_frame),
		cmocka_unit_test(emit_appends_in_order_and_returns_0),
		cmocka_unit_test(bad_extents_fault),
		cmocka_unit_test(emitting_more_than_allowed_faults),
		cmocka_unit_test(helpers_leave_r1_to_r9_alone),
		cmocka_unit_test(crc32c_of_guest_memory),
		cmocka_unit_test(bytes_equal_compares_any_two_places),
		cmocka_unit_test(helper_ranges_lie_inside_one_region),
		cmocka_unit_test(forward_code_costs_nothing),
		cmocka_unit_test(a_taken_jump_back_costs_its_distance),
		cmocka_unit_test(every_kind_of_jump_pays),
		cmocka_unit_test(an_endless_loop_runs_dry),
		cmocka_unit_test(a_local_call_costs_the_callee_s_length),
		cmocka_unit_test(many_calls_of_a_long_callee_run_dry),
		cmocka_unit_test(helpers_cost_what_they_read),
		cmocka_unit_test(faults_have_an_order),
		cmocka_unit_test(just_the_bytes_that_were_read_are_noted),
		cmocka_unit_test(helpers_note_what_they_read),
		cmocka_unit_test(what_is_not_the_region_leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
