/* SPDX-License-Identifier: MIT */
/*
 * Every operation of RFC 9669 in scope does what the RFC says.
 *
 * The expectation is computed here in another way than the machine computes
 * it: in 128 bits, division by repeated subtraction of shifted divisors, shifts
 * by repeated doubling and halving, byte order by taking numbers apart.
 */
#include "engine.h"

typedef unsigned __int128 u128;

static const uint64_t edge[] = {
	0,
	1,
	2,
	3,
	7,
	8,
	15,
	16,
	31,
	32,
	33,
	63,
	64,
	65,
	0x7f,
	0x80,
	0xff,
	0x100,
	0x7fff,
	0x8000,
	0xffff,
	0x10000,
	0x7fffffff,
	0x80000000,
	0x80000001,
	0xffffffff,
	0x100000000,
	0x1ffffffff,
	0x0123456789abcdef,
	0x7fffffffffffffff,
	0x8000000000000000,
	0x8000000000000001,
	0xffffffff00000000,
	0xffffffff7fffffff,
	0xffffffff80000000,
	0xfffffffffffffffe,
	0xffffffffffffffff,
};
#define EDGES (sizeof(edge) / sizeof(edge[0]))

/* ---- the other evaluator ---- */

static uint64_t power(unsigned n)
{
	uint64_t p = 1;

	while (n--)
		p += p;
	return p;
}

static uint64_t low(u128 value, unsigned bits)
{
	return (uint64_t)(value % ((u128)1 << bits));
}

static int is_negative(uint64_t v, unsigned bits)
{
	return low(v, bits) >= power(bits - 1);
}

/* Magnitude of a two's complement number. */
static uint64_t magnitude(uint64_t v, unsigned bits)
{
	return is_negative(v, bits) ? low(((u128)1 << bits) - low(v, bits), bits) : low(v, bits);
}

static uint64_t negate(uint64_t v, unsigned bits)
{
	return low(((u128)1 << bits) - low(v, bits), bits);
}

/* Schoolbook: quotient and remainder, divisor not 0. */
static uint64_t divide(uint64_t a, uint64_t b, uint64_t *rest)
{
	u128 left = a;
	uint64_t quotient = 0;

	for (int k = 63; k >= 0; k--) {
		u128 part = (u128)b << k;

		if (part <= left) {
			left -= part;
			quotient += power((unsigned)k);
		}
	}
	*rest = (uint64_t)left;
	return quotient;
}

static uint64_t want_add(uint64_t a, uint64_t b, unsigned bits)
{
	return low((u128)a + b, bits);
}

static uint64_t want_sub(uint64_t a, uint64_t b, unsigned bits)
{
	return low((u128)a + negate(b, bits), bits);
}

static uint64_t want_mul(uint64_t a, uint64_t b, unsigned bits)
{
	uint64_t sum = 0;

	for (unsigned k = 0; k < bits; k++)
		if ((uint64_t)(b / power(k)) % 2)
			sum = low((u128)sum + ((u128)low(a, bits) << k), bits);
	return sum;
}

static uint64_t want_div(uint64_t a, uint64_t b, unsigned bits)
{
	uint64_t rest;

	return low(b, bits) ? divide(low(a, bits), low(b, bits), &rest) : 0;
}

static uint64_t want_mod(uint64_t a, uint64_t b, unsigned bits)
{
	uint64_t rest = low(a, bits);

	if (low(b, bits))
		divide(low(a, bits), low(b, bits), &rest);
	return rest;
}

static uint64_t want_sdiv(uint64_t a, uint64_t b, unsigned bits)
{
	uint64_t rest, quotient;

	if (!low(b, bits))
		return 0;
	quotient = divide(magnitude(a, bits), magnitude(b, bits), &rest);
	if (is_negative(a, bits) != is_negative(b, bits))
		quotient = negate(quotient, bits);
	return low(quotient, bits);
}

static uint64_t want_smod(uint64_t a, uint64_t b, unsigned bits)
{
	uint64_t rest;

	if (!low(b, bits))
		return low(a, bits);
	divide(magnitude(a, bits), magnitude(b, bits), &rest);
	return is_negative(a, bits) ? negate(rest, bits) : rest;
}

/* Bit by bit, from truth tables. */
static uint64_t bitwise(uint64_t a, uint64_t b, unsigned bits, unsigned table)
{
	uint64_t out = 0;

	for (unsigned k = 0; k < bits; k++) {
		unsigned pair = (unsigned)(a / power(k) % 2 * 2 + b / power(k) % 2);

		if (table >> pair & 1)
			out += power(k);
	}
	return out;
}

static uint64_t want_or(uint64_t a, uint64_t b, unsigned bits)
{
	return bitwise(a, b, bits, 0xe);
}

static uint64_t want_and(uint64_t a, uint64_t b, unsigned bits)
{
	return bitwise(a, b, bits, 0x8);
}

static uint64_t want_xor(uint64_t a, uint64_t b, unsigned bits)
{
	return bitwise(a, b, bits, 0x6);
}

static uint64_t want_mov(uint64_t a, uint64_t b, unsigned bits)
{
	(void)a;
	return low(b, bits);
}

static uint64_t want_lsh(uint64_t a, uint64_t b, unsigned bits)
{
	for (unsigned n = (unsigned)(b % bits); n; n--)
		a = low((u128)a + a, bits);
	return low(a, bits);
}

static uint64_t want_rsh(uint64_t a, uint64_t b, unsigned bits)
{
	a = low(a, bits);
	for (unsigned n = (unsigned)(b % bits); n; n--)
		a /= 2;
	return a;
}

static uint64_t want_arsh(uint64_t a, uint64_t b, unsigned bits)
{
	int negative = is_negative(a, bits);

	a = low(a, bits);
	for (unsigned n = (unsigned)(b % bits); n; n--)
		a = a / 2 + (negative ? power(bits - 1) : 0);
	return a;
}

static const struct binary {
	const char *name;
	unsigned code; /* the operation's nibble, 0x?0 */
	int off;
	uint64_t (*want)(uint64_t a, uint64_t b, unsigned bits);
} binaries[] = {
	{ "add", 0x00, 0, want_add }, { "sub", 0x10, 0, want_sub },   { "mul", 0x20, 0, want_mul },
	{ "div", 0x30, 0, want_div }, { "sdiv", 0x30, 1, want_sdiv }, { "or", 0x40, 0, want_or },
	{ "and", 0x50, 0, want_and }, { "lsh", 0x60, 0, want_lsh },   { "rsh", 0x70, 0, want_rsh },
	{ "mod", 0x90, 0, want_mod }, { "smod", 0x90, 1, want_smod }, { "xor", 0xa0, 0, want_xor },
	{ "mov", 0xb0, 0, want_mov }, { "arsh", 0xc0, 0, want_arsh },
};

#define EACH(item, array)                                  \
	for (const __typeof__((array)[0]) *item = (array); \
	     item < (array) + sizeof(array) / sizeof((array)[0]); item++)

static void expect_equal(uint64_t got, uint64_t want, const char *name, unsigned bits, uint64_t a,
			 uint64_t b)
{
	if (got != want)
		fail_msg("%s%u(%llx, %llx) = %llx, expected %llx", name, bits,
			 (unsigned long long)a, (unsigned long long)b, (unsigned long long)got,
			 (unsigned long long)want);
}

static void check_register_form(const struct binary *op, unsigned bits, uint64_t a, uint64_t b)
{
	struct program p = { .n = 0 };

	put_lddw(&p, 3, a);
	put_lddw(&p, 7, b);
	put(&p, op->code | (bits == 64 ? 0x0f : 0x0c), 3, 7, op->off, 0);
	put(&p, 0xbf, 0, 3, 0, 0);
	put_exit(&p);
	expect_equal(engine_result(&p), op->want(a, b, bits), op->name, bits, a, b);
}

static void check_immediate_form(const struct binary *op, unsigned bits, uint64_t a, int32_t imm)
{
	uint64_t b = (uint64_t)(int64_t)imm;
	struct program p = { .n = 0 };

	put_lddw(&p, 9, a);
	put(&p, op->code | (bits == 64 ? 0x07 : 0x04), 9, 0, op->off, imm);
	put(&p, 0xbf, 0, 9, 0, 0);
	put_exit(&p);
	expect_equal(engine_result(&p), op->want(a, b, bits), op->name, bits, a, b);
}

static void arithmetic_agrees_with_schoolbook_arithmetic(void **state)
{
	(void)state;
	EACH(op, binaries)
	for (size_t i = 0; i < EDGES; i++)
		for (size_t k = 0; k < EDGES; k++)
			for (unsigned bits = 32; bits <= 64; bits += 32) {
				check_register_form(op, bits, edge[i], edge[k]);
				check_immediate_form(op, bits, edge[i], (int32_t)edge[k]);
			}
}

static void an_operand_may_be_its_own_result(void **state)
{
	(void)state;
	EACH(op, binaries)
	for (size_t i = 0; i < EDGES; i++)
		for (unsigned bits = 32; bits <= 64; bits += 32) {
			struct program p = { .n = 0 };

			put_lddw(&p, 0, edge[i]);
			put(&p, op->code | (bits == 64 ? 0x0f : 0x0c), 0, 0, op->off, 0);
			put_exit(&p);
			expect_equal(engine_result(&p), op->want(edge[i], edge[i], bits), op->name,
				     bits, edge[i], edge[i]);
		}
}

/* Operands at every pair of registers; all others, and the source, keep their values. */
static void only_the_destination_changes(void **state)
{
	const uint64_t base = 0x1111111111111111;

	(void)state;
	EACH(op, binaries)
	for (unsigned dst = 0; dst < 10; dst++)
		for (unsigned src = 0; src < 10; src++)
			for (unsigned seen = 1; seen < 10; seen++) {
				struct program p = { .n = 0 };
				uint64_t want = base * seen;

				for (unsigned r = 0; r < 10; r++)
					put_lddw(&p, r, base * r);
				put(&p, op->code | 0x0f, dst, src, op->off, 0);
				put(&p, 0xbf, 0, seen, 0, 0);
				put_exit(&p);
				if (seen == dst)
					want = op->want(base * dst, base * src, 64);
				assert_int_equal(engine_result(&p), want);
			}
}

/* ---- one operand ---- */

static uint64_t reversed(uint64_t v, unsigned bits)
{
	uint64_t out = 0;

	for (unsigned k = 0; k < bits; k += 8)
		out += v / power(k) % 256 * power(bits - 8 - k);
	return out;
}

static uint64_t sign_extended(uint64_t v, unsigned from, unsigned to)
{
	uint64_t value = low(v, from);

	return is_negative(v, from) ? low((u128)value + ((u128)1 << to) - power(from), to) : value;
}

static uint64_t run_unary(unsigned opcode, int off, int64_t imm, uint64_t a)
{
	struct program p = { .n = 0 };

	put_lddw(&p, 6, a);
	put(&p, opcode, 6, 0, off, imm);
	put(&p, 0xbf, 0, 6, 0, 0);
	put_exit(&p);
	return engine_result(&p);
}

static uint64_t run_movsx(unsigned opcode, int off, uint64_t a)
{
	struct program p = { .n = 0 };

	put_lddw(&p, 2, a);
	put_lddw(&p, 0, 0x5555555555555555);
	put(&p, opcode, 0, 2, off, 0);
	put_exit(&p);
	return engine_result(&p);
}

static void negation_is_two_s_complement(void **state)
{
	(void)state;
	for (size_t i = 0; i < EDGES; i++) {
		assert_int_equal(run_unary(0x84, 0, 0, edge[i]), negate(edge[i], 32));
		assert_int_equal(run_unary(0x87, 0, 0, edge[i]), negate(edge[i], 64));
	}
}

static void byte_order_conversions_keep_only_their_width(void **state)
{
	(void)state;
	for (size_t i = 0; i < EDGES; i++)
		for (unsigned bits = 16; bits <= 64; bits *= 2) {
			assert_int_equal(run_unary(0xd4, 0, bits, edge[i]), low(edge[i], bits));
			assert_int_equal(run_unary(0xdc, 0, bits, edge[i]),
					 reversed(edge[i], bits));
			assert_int_equal(run_unary(0xd7, 0, bits, edge[i]),
					 reversed(edge[i], bits));
		}
}

static void sign_extending_moves_fill_the_width(void **state)
{
	(void)state;
	for (size_t i = 0; i < EDGES; i++) {
		for (unsigned from = 8; from <= 32; from *= 2)
			assert_int_equal(run_movsx(0xbf, (int)from, edge[i]),
					 sign_extended(edge[i], from, 64));
		for (unsigned from = 8; from <= 16; from *= 2)
			assert_int_equal(run_movsx(0xbc, (int)from, edge[i]),
					 sign_extended(edge[i], from, 32));
	}
}

static void lddw_loads_all_64_bits(void **state)
{
	(void)state;
	for (size_t i = 0; i < EDGES; i++) {
		struct program p = { .n = 0 };

		put_lddw(&p, 0, edge[i]);
		put_exit(&p);
		assert_int_equal(engine_result(&p), edge[i]);
	}
}

/* ---- jumps ---- */

/* Order of two numbers as integers: -1, 0, 1. */
static int order(uint64_t a, uint64_t b, unsigned bits, int is_signed)
{
	a = low(a, bits);
	b = low(b, bits);
	if (is_signed) { /* moving zero to the middle turns one order into the other */
		a = low((u128)a + power(bits - 1), bits);
		b = low((u128)b + power(bits - 1), bits);
	}
	return a < b ? -1 : a > b;
}

static const struct condition {
	const char *name;
	unsigned code;
	int is_signed;
	unsigned when; /* bit 0: below, bit 1: equal, bit 2: above; 8: any common bit */
} conditions[] = {
	{ "jeq", 0x10, 0, 2 },  { "jgt", 0x20, 0, 4 },  { "jge", 0x30, 0, 6 },
	{ "jset", 0x40, 0, 8 }, { "jne", 0x50, 0, 5 },  { "jsgt", 0x60, 1, 4 },
	{ "jsge", 0x70, 1, 6 }, { "jlt", 0xa0, 0, 1 },  { "jle", 0xb0, 0, 3 },
	{ "jslt", 0xc0, 1, 1 }, { "jsle", 0xd0, 1, 3 },
};

static int want_jump(const struct condition *c, uint64_t a, uint64_t b, unsigned bits)
{
	if (c->when == 8)
		return want_and(a, b, bits) != 0;
	return c->when >> (order(a, b, bits, c->is_signed) + 1) & 1;
}

/* r0 tells whether the jump was taken; it skips a lddw, so two slots. */
static uint64_t run_jump(unsigned opcode, uint64_t a, uint64_t b, int by_register, int32_t imm)
{
	struct program p = { .n = 0 };

	put_lddw(&p, 4, a);
	put_lddw(&p, 5, b);
	put_mov(&p, 0, 1);
	put(&p, opcode, 4, by_register ? 5 : 0, 2, by_register ? 0 : imm);
	put_lddw(&p, 0, 0);
	put_exit(&p);
	return engine_result(&p);
}

static void jumps_compare_in_their_width_and_sign(void **state)
{
	(void)state;
	EACH(c, conditions)
	for (size_t i = 0; i < EDGES; i++)
		for (size_t k = 0; k < EDGES; k++) {
			uint64_t a = edge[i], b = edge[k];
			int32_t imm = (int32_t)b;
			uint64_t wide = (uint64_t)(int64_t)imm;

			expect_equal(run_jump(c->code | 0x0d, a, b, 1, 0),
				     (uint64_t)want_jump(c, a, b, 64), c->name, 64, a, b);
			expect_equal(run_jump(c->code | 0x0e, a, b, 1, 0),
				     (uint64_t)want_jump(c, a, b, 32), c->name, 32, a, b);
			expect_equal(run_jump(c->code | 0x05, a, b, 0, imm),
				     (uint64_t)want_jump(c, a, wide, 64), c->name, 64, a, wide);
			expect_equal(run_jump(c->code | 0x06, a, b, 0, imm),
				     (uint64_t)want_jump(c, a, wide, 32), c->name, 32, a, wide);
		}
}

static void unconditional_jumps_reach_forward_and_back(void **state)
{
	static const unsigned opcode[] = { 0x05, 0x06 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct program p = { .n = 0 };
		int far = opcode[i] == 0x06;

		put(&p, opcode[i], 0, 0, far ? 0 : 2, far ? 2 : 0);   /* 0 -> 3 */
		put_mov(&p, 0, 7);                                    /* 1 */
		put_exit(&p);                                         /* 2 */
		put(&p, opcode[i], 0, 0, far ? 0 : -3, far ? -3 : 0); /* 3 -> 1 */
		assert_int_equal(engine_result(&p), 7);
	}
}

/* A loop whose first slot is slot 0 runs it again and nothing else. */
static void a_jump_to_slot_0_is_a_jump_like_any_other(void **state)
{
	struct program p = { .n = 0 };

	(void)state;
	put(&p, 0x07, 0, 0, 0, 1);   /* r0 += 1 */
	put(&p, 0xa5, 0, 0, -2, 10); /* if r0 < 10 goto 0 */
	put_exit(&p);
	assert_int_equal(engine_result(&p), 10);
}

/* ---- memory ---- */

static void fill(uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(i * 37 + 0x81);
}

static uint64_t gathered(const uint8_t *bytes, unsigned width)
{
	uint64_t v = 0;

	for (unsigned k = 0; k < width; k++)
		v += bytes[k] * power(8 * k);
	return v;
}

static void loads_gather_little_endian_bytes_at_any_alignment(void **state)
{
	static const struct {
		unsigned opcode, width, is_signed;
	} loads[] = { { 0x71, 1, 0 }, { 0x69, 2, 0 }, { 0x61, 4, 0 }, { 0x79, 8, 0 },
		      { 0x91, 1, 1 }, { 0x89, 2, 1 }, { 0x81, 4, 1 } };
	uint8_t bytes[64];

	(void)state;
	fill(bytes, sizeof(bytes));
	EACH(load, loads)
	for (unsigned at = 0; at + load->width <= sizeof(bytes); at++) {
		struct udf_run run = plain_run();
		struct program p = { .n = 0 };
		uint64_t want = gathered(bytes + at, load->width);

		run.region[UDF_REGION_META] = region_of(bytes, sizeof(bytes));
		put_lddw(&p, 8, UDF_ADDR_META + 20);
		put(&p, load->opcode, 0, 8, (int)at - 20, 0);
		put_exit(&p);
		assert_int_equal(engine_run(&p, &run), 0);
		if (load->is_signed)
			want = sign_extended(want, load->width * 8, 64);
		assert_int_equal(run.result, want);
	}
}

/* Store, then look at the bytes before, within and after. */
static void stores_change_exactly_their_width(void **state)
{
	static const struct {
		unsigned by_register, by_immediate, width;
	} stores[] = { { 0x73, 0x72, 1 }, { 0x6b, 0x6a, 2 }, { 0x63, 0x62, 4 }, { 0x7b, 0x7a, 8 } };
	const uint64_t value = 0xfedcba9876543210;
	const int32_t imm = -0x76543211;

	(void)state;
	EACH(store, stores)
	for (int at = -32; at + (int)store->width <= -8; at++)
		for (int seen = -40; seen < 0; seen++)
			for (unsigned form = 0; form < 2; form++) {
				uint64_t stored = form ? (uint64_t)(int64_t)imm : value;
				struct program p = { .n = 0 };
				uint64_t want = 0x5a;

				for (int fill_at = -40; fill_at < 0; fill_at++)
					put(&p, 0x72, 10, 0, fill_at, 0x5a);
				put_lddw(&p, 1, value);
				if (form)
					put(&p, store->by_immediate, 10, 0, at, imm);
				else
					put(&p, store->by_register, 10, 1, at, 0);
				put(&p, 0x71, 0, 10, seen, 0);
				put_exit(&p);
				if (seen >= at && seen < at + (int)store->width)
					want = stored / power(8 * (unsigned)(seen - at)) % 256;
				assert_int_equal(engine_result(&p), want);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arithmetic_agrees_with_schoolbook_arithmetic),
		cmocka_unit_test(an_operand_may_be_its_own_result),
		cmocka_unit_test(only_the_destination_changes),
		cmocka_unit_test(negation_is_two_s_complement),
		cmocka_unit_test(byte_order_conversions_keep_only_their_width),
		cmocka_unit_test(sign_extending_moves_fill_the_width),
		cmocka_unit_test(lddw_loads_all_64_bits),
		cmocka_unit_test(jumps_compare_in_their_width_and_sign),
		cmocka_unit_test(unconditional_jumps_reach_forward_and_back),
		cmocka_unit_test(a_jump_to_slot_0_is_a_jump_like_any_other),
		cmocka_unit_test(loads_gather_little_endian_bytes_at_any_alignment),
		cmocka_unit_test(stores_change_exactly_their_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
