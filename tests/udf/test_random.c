/* SPDX-License-Identifier: MIT */
/*
 * Random programs and mutated images: whatever they are, the machine refuses or
 * runs them, twice with the same outcome, and every fault is met on the way.
 *
 * XN_SEED and XN_ROUNDS change seed and number; the seed is printed.
 */
#include "engine.h"
#include "image_builder.h"

static uint64_t random_state;

static uint32_t random32(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}

static uint32_t below(uint32_t n)
{
	return random32() % n;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void start(const char *what)
{
	uint64_t seed = number_from("XN_SEED", 20261121);

	print_message("%s: XN_SEED=%llu\n", what, (unsigned long long)seed);
	random_state = seed * 0x9e3779b97f4a7c15ull + 1;
}

static uint64_t interesting(void)
{
	static const uint32_t bases[] = { UDF_ADDR_META,  UDF_ADDR_HDR,    UDF_ADDR_NEW,
					  UDF_ADDR_OWNER, UDF_ADDR_RODATA, UDF_ADDR_STACK,
					  UDF_ADDR_ARGS };

	switch (below(6)) {
	case 0: return below(256);
	case 1: return bases[below(7)] + below(64);
	case 2: return UDF_ADDR_STACK + below(4100);
	case 3: return 0 - (uint64_t)below(256);
	case 4: return (uint64_t)random32() << 32 | random32();
	default: return 1ull << below(64);
	}
}

/* ---- programs ---- */

static const uint8_t alu[] = { 0x00, 0x10, 0x20, 0x30, 0x40, 0x50,
			       0x60, 0x70, 0x90, 0xa0, 0xb0, 0xc0 };
static const uint8_t jumps[] = { 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0 };
static const uint8_t loads[] = { 0x61, 0x69, 0x71, 0x79, 0x81, 0x89, 0x91 };
static const uint8_t stores[] = { 0x62, 0x6a, 0x72, 0x7a, 0x63, 0x6b, 0x73, 0x7b };

static void put_alu(struct program *p)
{
	unsigned code = alu[below(sizeof(alu))], by_register = below(2), wide = below(2);
	int off = (code == 0x30 || code == 0x90) && below(2);

	if (code == 0xb0 && by_register && below(2))
		off = 8 << below(2);
	put(p, code | (wide ? 7 : 4) | (by_register ? 8 : 0), below(10),
	    by_register ? below(11) : 0, off, by_register ? 0 : (int64_t)interesting());
}

static void put_jump(struct program *p, size_t n)
{
	int64_t target = below((uint32_t)n), off = target - (int64_t)p->n - 1;
	unsigned by_register = below(2);

	if (off < 0 && below(2)) /* loops, but not everywhere */
		off = below(6);
	if (below(12) == 0)
		put(p, below(2) ? 0x05 : 0x06, 0, 0, 0, 0);
	else
		put(p, jumps[below(sizeof(jumps))] | (below(2) ? 5 : 6) | (by_register ? 8 : 0),
		    below(11), by_register ? below(11) : 0, (int)off,
		    by_register ? 0 : (int64_t)interesting());
}

static void put_memory(struct program *p)
{
	unsigned base = below(3) ? below(10) : 10;
	int off = base == 10 ? -8 - (int)below(504) : (int)below(40) - 8;

	if (below(3) == 0) {
		unsigned opcode = stores[below(sizeof(stores))];

		put(p, opcode, base, (opcode & 7) == 3 ? below(11) : 0, off,
		    (opcode & 7) == 2 ? (int64_t)interesting() : 0);
	} else {
		put(p, loads[below(sizeof(loads))], below(10), base, off, 0);
	}
}

static void put_anything(struct program *p)
{
	put(p, random32() & 255, below(16), below(16), (int)random32(), random32());
}

static void put_random(struct program *p, size_t n)
{
	switch (below(40)) {
	case 0: put(p, 0x85, 0, 0, 0, 1 + below(3)); break;
	case 1:
	case 2: put_emit(p, (int32_t)below(1000), (int32_t)below(3), (int32_t)below(5)); break;
	case 3: put(p, 0x85, 0, 1, 0, (int64_t)below((uint32_t)n) - (int64_t)p->n - 1); break;
	case 4: put_exit(p); break;
	case 5:
	case 6:
	case 7:
	case 8: put_lddw(p, below(10), interesting()); break;
	case 9: put(p, below(2) ? 0x84 : 0x87, below(10), 0, 0, 0); break;
	case 10: put(p, below(2) ? 0xd4 : 0xdc, below(10), 0, 0, 16 << below(3)); break;
	case 11:
		if (below(8) == 0) {
			put_anything(p);
			break;
		}
		/* fallthrough */
	case 12:
	case 13:
	case 14:
	case 15:
	case 16: put_jump(p, n); break;
	case 17:
	case 18:
	case 19:
	case 20:
	case 21:
	case 22:
	case 23: put_memory(p); break;
	default: put_alu(p); break;
	}
}

static void random_program(struct program *p)
{
	size_t n = 4 + below(below(4) ? 24 : 200);

	p->n = 0;
	while (p->n < n - 1)
		put_random(p, n);
	put_exit(p);
}

#define RECORD_BYTES 64u
#define HEADER_BYTES 16u

/* What a run may read, and what it notes of it. */
struct input {
	uint8_t record[RECORD_BYTES], header[HEADER_BYTES];
	uint8_t record_noted[RECORD_BYTES], header_noted[HEADER_BYTES];
};

struct outcome {
	int err;
	uint64_t result, fuel;
	struct udf_fault fault;
	size_t n;
	struct udf_extent v[8];
};

static void input_init(struct input *in)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0, 0, 0x10 };

	memset(in, 0, sizeof(*in));
	memcpy(in->record, bytes, sizeof(bytes));
	memcpy(in->header, bytes, sizeof(bytes));
}

static struct outcome run_once(const struct udf_program *program, struct input *in)
{
	static const uint8_t rodata[33] = { 9, 8, 7 };
	struct udf_extents out = { 0 };
	struct udf_run run = { .program = program,
			       .fuel = 5000,
			       .emits = 8,
			       .n_child = 4,
			       .out = &out,
			       .arg = { UDF_ADDR_META, RECORD_BYTES, 3, UDF_ADDR_HDR,
					HEADER_BYTES } };
	struct outcome outcome;

	memset(&outcome, 0, sizeof(outcome));
	run.region[UDF_REGION_META] = region_of(in->record, RECORD_BYTES);
	run.region[UDF_REGION_META].noted = in->record_noted;
	run.region[UDF_REGION_HDR] = region_of(in->header, HEADER_BYTES);
	run.region[UDF_REGION_HDR].noted = in->header_noted;
	run.region[UDF_REGION_RODATA] = region_of(rodata, sizeof(rodata));
	outcome.err = udf_interp(&run);
	outcome.result = outcome.err ? 0 : run.result;
	outcome.fuel = run.fuel;
	outcome.fault.code = run.fault.code;
	outcome.fault.slot = run.fault.slot;
	outcome.n = out.n;
	assert_true(out.n <= 8);
	if (out.n)
		memcpy(outcome.v, out.v, out.n * sizeof(out.v[0]));
	udf_extents_fini(&out);
	return outcome;
}

static void assert_alike(const struct outcome *a, const struct outcome *b)
{
	assert_int_equal(a->err, b->err);
	assert_int_equal(a->fault.code, b->fault.code);
	assert_int_equal(a->fault.slot, b->fault.slot);
	assert_true(a->result == b->result && a->fuel == b->fuel && a->n == b->n);
	for (size_t i = 0; i < a->n; i++)
		assert_true(a->v[i].start == b->v[i].start && a->v[i].count == b->v[i].count &&
			    a->v[i].child == b->v[i].child);
}

/* Bytes where `noted` is 0 become others. */
static bool change_the_rest(uint8_t *bytes, const uint8_t *noted, size_t len)
{
	bool changed = false;

	for (size_t i = 0; i < len; i++) {
		assert_true(noted[i] == 0 || noted[i] == 0xff);
		if (noted[i])
			continue;
		bytes[i] = (uint8_t)(bytes[i] + 1 + below(255));
		changed = true;
	}
	return changed;
}

/* What was not noted may be anything: the run is the same, and notes the same. */
static bool the_rest_is_nothing(const struct udf_program *program, const struct input *in,
				const struct outcome *first)
{
	bool some = false;

	for (unsigned i = 0; i < 3; i++) {
		struct input other = *in;
		struct outcome again;

		some = change_the_rest(other.record, in->record_noted, RECORD_BYTES);
		some |= change_the_rest(other.header, in->header_noted, HEADER_BYTES);
		memset(other.record_noted, 0, RECORD_BYTES);
		memset(other.header_noted, 0, HEADER_BYTES);
		again = run_once(program, &other);
		assert_alike(first, &again);
		assert_memory_equal(other.record_noted, in->record_noted, RECORD_BYTES);
		assert_memory_equal(other.header_noted, in->header_noted, HEADER_BYTES);
	}
	return some;
}

static void random_programs_run_twice_alike_and_meet_every_fault(void **state)
{
	uint64_t rounds = number_from("XN_ROUNDS", 40000), accepted = 0, finished = 0;
	uint64_t met[UDF_FAULT_MALFORMED + 1] = { 0 }, partly = 0;
	static struct program p;

	(void)state;
	start("programs");
	for (uint64_t round = 0; round < rounds; round++) {
		struct udf_program *program;
		struct outcome first, second;
		struct input in;

		random_program(&p);
		if (udf_program_create(p.bytes, LEN(&p), ALL_HELPERS, &program, NULL))
			continue;
		accepted++;
		input_init(&in);
		first = run_once(program, &in);
		second = run_once(program, &in);
		assert_alike(&first, &second);
		partly += the_rest_is_nothing(program, &in, &first) &&
			  memchr(in.record_noted, 0xff, RECORD_BYTES);
		udf_program_destroy(program);
		finished += !first.err;
		met[first.fault.code]++;
	}
	print_message(
		"%llu programs, %llu accepted, %llu finished, %llu read a part; MEM %llu STORE "
		"%llu FUEL %llu EMIT %llu DEPTH %llu ARG %llu\n",
		(unsigned long long)rounds, (unsigned long long)accepted,
		(unsigned long long)finished, (unsigned long long)partly,
		(unsigned long long)met[UDF_FAULT_MEM], (unsigned long long)met[UDF_FAULT_STORE],
		(unsigned long long)met[UDF_FAULT_FUEL], (unsigned long long)met[UDF_FAULT_EMIT],
		(unsigned long long)met[UDF_FAULT_DEPTH], (unsigned long long)met[UDF_FAULT_ARG]);
	if (rounds < 20000)
		return;
	assert_true(accepted > rounds / 10 && finished > rounds / 100 && partly > rounds / 100);
	for (unsigned code = UDF_FAULT_MEM; code <= UDF_FAULT_ARG; code++)
		assert_true(met[code] > 0);
}

/* Bytes without any sense at all: nearly all are refused, none may harm. */
static void noise_is_refused_or_harmless(void **state)
{
	uint64_t rounds = number_from("XN_ROUNDS", 40000);
	static struct program p;
	static struct input in;

	(void)state;
	start("noise");
	for (uint64_t round = 0; round < rounds; round++) {
		struct udf_program *program;
		size_t len = below(256);

		for (size_t i = 0; i < len; i++)
			p.bytes[i] = (uint8_t)random32();
		if (udf_program_create(p.bytes, len, ALL_HELPERS, &program, NULL))
			continue;
		run_once(program, &in);
		udf_program_destroy(program);
	}
}

/* ---- images ---- */

/* A random program that the validator accepts for that kind. */
static void valid_program(struct program *p, enum udf_function fn)
{
	struct udf_program *program;

	do {
		random_program(p);
	} while (udf_program_create(p->bytes, LEN(p), udf_helpers_of(fn), &program, NULL));
	udf_program_destroy(program);
}

static void random_recipe(struct recipe *recipe, struct program *programs, uint8_t *bytes)
{
	memset(recipe, 0, sizeof(*recipe));
	recipe->name = "random";
	recipe->obj_size = 512;
	recipe->rec_size = 8;
	recipe->rec_count = 1 + below(16);
	recipe->rec_off = recipe->hdr_len = below(2) ? 16 : 0;
	recipe->max_emit = 4;
	recipe->fuel = 2000;
	recipe->child[0] = UDF_CHILD_ID_SELF;
	recipe->rodata = bytes;
	recipe->rodata_len = below(40);
	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++) {
		programs[fn].n = 0;
		if (fn == UDF_FN_OWNS)
			put_pointer_owns(&programs[fn]);
		else
			valid_program(&programs[fn], fn);
		if (fn == UDF_FN_OWNS || below(2))
			recipe->fn[fn] = &programs[fn];
	}
}

static void mutate(struct image *image)
{
	for (uint32_t changes = 1 + below(4); changes; changes--) {
		size_t at = below(2) ? below(AT_SECTIONS) : below((uint32_t)image->len | 1);

		switch (below(4)) {
		case 0: image->bytes[at] ^= (uint8_t)(1 << below(8)); break;
		case 1: image->bytes[at] = (uint8_t)random32(); break;
		case 2:
			at = AT_OBJ_SIZE + 4 * below((AT_RESERVED - AT_OBJ_SIZE) / 4);
			image_put(image, at, below(2) ? interesting() : below(600), 4);
			break;
		default: image->len = below(8) ? image->len : 8 * below(200); break;
		}
	}
	if (below(16))
		image_put(image, AT_CRC, image_crc(image), 4);
}

static void run_everything(const struct udf_template *tmpl, const uint8_t *bytes)
{
	const struct udf_info *info = udf_template_info(tmpl);
	struct udf_budget budget = { 50000, 1000 };
	struct udf_acl_input input = { bytes, bytes + 8, bytes, 24, bytes, 40 };
	struct udf_extents out = { 0 };
	static uint8_t record[UDF_OBJECT_MAX], header[UDF_OBJECT_MAX];
	const struct udf_read_set reads = { record, header };
	uint64_t wide;
	uint32_t count;

	udf_owns_object(tmpl, bytes, &budget, &out, NULL);
	udf_owns(tmpl, bytes, below(20), bytes, &budget, &out, &reads, NULL);
	if (info->rec_count)
		udf_refcnt(tmpl, bytes, below(info->rec_count), bytes, &budget, &count, NULL);
	udf_size(tmpl, bytes, &budget, &wide, NULL);
	udf_acl(tmpl, &input, &budget, NULL);
	udf_check(tmpl, bytes, 5, &budget, &wide, NULL);
	udf_extents_fini(&out);
}

static void mutated_images_are_refused_or_run(void **state)
{
	uint64_t rounds = number_from("XN_ROUNDS", 20000), loaded = 0;
	static struct program programs[UDF_FN_COUNT];
	static uint8_t bytes[UDF_OBJECT_MAX + 64];
	static struct image image;
	struct recipe recipe;

	(void)state;
	start("images");
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)random32();
	for (uint64_t round = 0; round < rounds; round++) {
		struct udf_template *tmpl;

		random_recipe(&recipe, programs, bytes);
		image_build(&image, &recipe);
		if (below(8))
			mutate(&image);
		if (udf_template_load(image.bytes, image.len, &tmpl, NULL))
			continue;
		loaded++;
		run_everything(tmpl, bytes);
		udf_template_destroy(tmpl);
	}
	print_message("%llu images, %llu loaded\n", (unsigned long long)rounds,
		      (unsigned long long)loaded);
	assert_true(rounds < 1000 || loaded > rounds / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_programs_run_twice_alike_and_meet_every_fault),
		cmocka_unit_test(noise_is_refused_or_harmless),
		cmocka_unit_test(mutated_images_are_refused_or_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
