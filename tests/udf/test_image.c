/* SPDX-License-Identifier: MIT */
/*
 * The loader accepts exactly one encoding of a template and refuses everything
 * else with a sentence, whatever field is wrong.
 */
#include "image_builder.h"

static struct program pointer_owns, constant, rejecting;
static const uint8_t init_bytes[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 9, 8, 7 };
static const uint8_t rodata_bytes[13] = "hello, world";

/* An image that has every section: header of 16, 62 pointers, all five functions. */
static struct recipe full_recipe(void)
{
	return (struct recipe){
		.name = "test.full",
		.flags = UDF_TEMPLATE_STICKY,
		.obj_size = 512,
		.hdr_len = 16,
		.rec_off = 16,
		.rec_size = 8,
		.rec_count = 62,
		.max_emit = 4,
		.child = { UDF_CHILD_ID_SELF, 77, UDF_CHILD_ID_BATCH + 3 },
		.rodata = rodata_bytes,
		.rodata_len = sizeof(rodata_bytes),
		.fn = { &pointer_owns, &constant, &constant, &constant, &constant },
		.init = init_bytes,
		.init_len = 11,
	};
}

static int make_programs(void **state)
{
	(void)state;
	put_pointer_owns(&pointer_owns);
	put_mov(&constant, 0, 1);
	put_exit(&constant);
	put_mov(&rejecting, 0, 5);
	put_exit(&rejecting);
	return 0;
}

static void expect_refused(const struct image *image, int error, const char *words)
{
	struct udf_template *tmpl = (struct udf_template *)image; /* must stay untouched */
	struct udf_refusal why;
	int err = udf_template_load(image->bytes, image->len, &tmpl, &why);

	if (err != error || why.error != error || !strstr(why.text, words))
		fail_msg("expected %s with '%s'; got %s: %s", udf_error_name(error), words,
			 udf_error_name(err), why.text);
	assert_ptr_equal(tmpl, image);
	assert_int_equal(udf_template_load(image->bytes, image->len, &tmpl, NULL), error);
}

static void a_sound_image_loads_and_tells_what_it_declares(void **state)
{
	struct recipe recipe = full_recipe();
	static struct image image;
	const struct udf_info *info;
	struct udf_template *tmpl;
	uint8_t object[512];

	(void)state;
	image_build(&image, &recipe);
	tmpl = image_load(&image);
	info = udf_template_info(tmpl);
	assert_string_equal(info->name, "test.full");
	assert_int_equal(info->abi_major, 1);
	assert_int_equal(info->abi_minor, 0);
	assert_int_equal(info->flags, UDF_TEMPLATE_STICKY);
	assert_int_equal(info->obj_size, 512);
	assert_int_equal(info->hdr_len, 16);
	assert_int_equal(info->rec_off, 16);
	assert_int_equal(info->rec_size, 8);
	assert_int_equal(info->rec_count, 62);
	assert_int_equal(info->max_emit, 4);
	assert_int_equal(info->n_child, 5);
	assert_true(info->child[0] == 0 && info->child[1] == 1 && info->child[3] == 77);
	assert_true(info->child[2] == UDF_CHILD_ID_SELF);
	assert_true(info->child[4] == UDF_CHILD_ID_BATCH + 3);
	for (unsigned fn = 0; fn < UDF_FN_COUNT; fn++) {
		assert_true(info->has[fn]);
		assert_int_equal(info->fuel[fn], 1 << 18);
	}
	assert_int_equal(info->init_len, 11);
	assert_int_equal(info->image_len, image.len);
	assert_memory_equal(info->image, image.bytes, image.len);
	assert_ptr_not_equal(info->image, image.bytes);
	udf_template_init(tmpl, object);
	assert_memory_equal(object, init_bytes, 16);
	for (unsigned i = 16; i < 512; i++)
		assert_int_equal(object[i], 0);
	udf_template_destroy(tmpl);
}

static void the_least_template_is_an_object_of_raw_bytes(void **state)
{
	struct recipe recipe = { .name = "x", .obj_size = 512 };
	static struct image image;
	struct udf_template *tmpl;

	(void)state;
	image_build(&image, &recipe);
	assert_int_equal(image.len, 0x110);
	tmpl = image_load(&image);
	assert_false(udf_template_info(tmpl)->has[UDF_FN_OWNS]);
	udf_template_destroy(tmpl);
}

/* ---- one wrong field at a time ---- */

static const struct broken {
	size_t at;
	unsigned width;
	uint64_t value;
	const char *words;
} fields[] = {
	{ AT_MAGIC, 1, 'x', "magic" },
	{ AT_MAGIC + 6, 1, '\n', "magic" }, /* as a text-mode copy would do */
	{ AT_MAJOR, 2, 0, "ABI" },
	{ AT_MAJOR, 2, 2, "ABI" },
	{ AT_MINOR, 2, 1, "ABI" },
	{ AT_FLAGS, 4, 2, "flags" },
	{ AT_FLAGS, 4, 0x80000001, "flags" },
	{ AT_NAME, 1, 0, "name" },
	{ AT_NAME, 1, ' ', "name" },
	{ AT_NAME, 1, 0x7f, "name" },
	{ AT_NAME, 1, 0xc3, "name" },
	{ AT_NAME + 3, 1, '\n', "name" },
	{ AT_NAME + 40, 1, 'x', "name" }, /* something after the end */
	{ AT_NAME + 63, 1, 'x', "name" },
	{ AT_OBJ_SIZE, 4, 511, "obj_size" },
	{ AT_OBJ_SIZE, 4, 0, "obj_size" },
	{ AT_OBJ_SIZE, 4, 65537, "obj_size" },
	{ AT_OBJ_SIZE, 4, UINT32_MAX, "obj_size" },
	{ AT_HDR_LEN, 4, 17, "hdr_len" },
	{ AT_HDR_LEN, 4, UINT32_MAX, "hdr_len" },
	{ AT_REC_OFF, 4, 17, "beyond" },
	{ AT_REC_OFF, 4, UINT32_MAX, "beyond" },
	{ AT_REC_OFF, 4, 15, "hdr_len" },
	{ AT_REC_SIZE, 4, 9, "beyond" },
	{ AT_REC_SIZE, 4, 0, "contradict" },
	{ AT_REC_SIZE, 4, UINT32_MAX, "beyond" },
	{ AT_REC_SIZE, 4, 0x80000000, "beyond" }, /* times 62 wraps in 32 bits */
	{ AT_REC_COUNT, 4, 0, "contradict" },
	{ AT_REC_COUNT, 4, 63, "beyond" },
	{ AT_REC_COUNT, 4, 8193, "rec_count" },
	{ AT_REC_COUNT, 4, UINT32_MAX, "rec_count" },
	{ AT_MAX_EMIT, 4, 0, "max_emit" },
	{ AT_MAX_EMIT, 4, 4097, "max_emit" },
	{ AT_FUEL, 4, 0, "fuel" },
	{ AT_FUEL + 4, 4, (1 << 20) + 1, "fuel" },
	{ AT_FUEL + 16, 4, UINT32_MAX, "fuel" },
	{ AT_N_CHILD, 4, 0, "n_child" },
	{ AT_N_CHILD, 4, 1, "n_child" },
	{ AT_N_CHILD, 4, 65, "n_child" },
	{ AT_N_CHILD, 4, 0x20000000, "n_child" }, /* times 8 is 0 */
	{ AT_N_CHILD, 4, 4, "rodata" },           /* one less: the next section is misplaced */
	{ AT_CHILD_OFF, 4, 0, "child table" },
	{ AT_CHILD_OFF, 4, 0x108, "child table" },
	{ AT_CHILD_OFF, 4, UINT32_MAX, "child table" },
	{ AT_RODATA_OFF, 4, 0, "rodata" },
	{ AT_RODATA_OFF, 4, 0x100, "rodata" }, /* overlap */
	{ AT_RODATA_LEN, 4, 0, "rodata" },
	{ AT_RODATA_LEN, 4, UINT32_MAX, "rodata" },
	{ AT_FN, 4, 0x100, "owns" },
	{ AT_FN, 4, UINT32_MAX, "owns" },
	{ AT_FN + 4, 4, UINT32_MAX, "owns" },
	{ AT_FN + 4, 4, 0x100000, "owns" },
	{ AT_FN + 4, 4, 0xfffffff8, "owns" },
	{ AT_FN + 12, 4, 0xffffffff, "refcnt" },
	{ AT_FN + 16, 4, 0, "size" },
	{ AT_FN + 24, 4, 0x10, "acl" },
	{ AT_FN + 32, 4, 1, "check" },
	{ AT_INIT_OFF, 4, 0, "init" },
	{ AT_INIT_LEN, 4, 513, "init" },
	{ AT_INIT_LEN, 4, UINT32_MAX, "init" },
	{ AT_INIT_LEN, 4, 12, "init" }, /* ends in a zero */
	{ AT_INIT_LEN, 4, 8, "follow" },
	{ AT_RESERVED, 1, 1, "reserved" },
	{ AT_RESERVED + 59, 1, 1, "reserved" },
	{ AT_SECTIONS, 8, 1, "child 0" },
	{ AT_SECTIONS + 8, 8, 0, "child 1" },
	{ AT_SECTIONS + 16, 8, 0, "same" },
	{ AT_SECTIONS + 16, 8, 1, "same" },
	{ AT_SECTIONS + 24, 8, UDF_CHILD_ID_SELF, "same" },
	{ AT_SECTIONS + 32, 8, 77, "same" },
	{ AT_SECTIONS + 32, 8, UDF_CHILD_ID_BATCH + 65536, "child 4" },
	{ AT_SECTIONS + 32, 8, UDF_CHILD_ID_SELF - 1, "child 4" },
};

static void every_wrong_field_is_refused(void **state)
{
	struct recipe recipe = full_recipe();
	static struct image sound, image;

	(void)state;
	image_build(&sound, &recipe);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		image = sound;
		image_put(&image, fields[i].at, fields[i].value, fields[i].width);
		image_put(&image, AT_CRC, image_crc(&image), 4);
		expect_refused(&image, UDF_EIMAGE, fields[i].words);
	}
}

/* No byte of the image is idle: whichever changes, the checksum says so. */
static void every_flipped_bit_is_noticed(void **state)
{
	struct recipe recipe = full_recipe();
	static struct image image;

	(void)state;
	image_build(&image, &recipe);
	for (size_t bit = 0; bit < image.len * 8; bit++) {
		image.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		expect_refused(&image, UDF_EIMAGE, "");
		image.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void wrong_lengths_are_refused(void **state)
{
	struct recipe recipe = full_recipe();
	static struct image sound, image;

	(void)state;
	image_build(&sound, &recipe);
	for (size_t len = 0; len < sound.len; len++) { /* truncated */
		image = sound;
		image.len = len;
		expect_refused(&image, UDF_EIMAGE, "");
		image_seal(&image);
		expect_refused(&image, UDF_EIMAGE, "");
	}
	image = sound; /* something after the end */
	image.len += 8;
	image_seal(&image);
	expect_refused(&image, UDF_EIMAGE, "follow");
	image.len = UDF_IMAGE_MAX + 8;
	image_seal(&image);
	expect_refused(&image, UDF_EIMAGE, "65");
}

static void padding_holds_zeroes(void **state)
{
	struct recipe recipe = full_recipe();
	static struct image sound, image;
	size_t rodata, init;

	(void)state;
	image_build(&sound, &recipe);
	rodata = image_get32(&sound, AT_RODATA_OFF);
	init = image_get32(&sound, AT_INIT_OFF);
	for (size_t at = rodata + 13; at < rodata + 16; at++) {
		image = sound;
		image.bytes[at] = 1;
		image_seal(&image);
		expect_refused(&image, UDF_EIMAGE, "padding after rodata");
	}
	for (size_t at = init + 11; at < init + 16; at++) {
		image = sound;
		image.bytes[at] = 1;
		image_seal(&image);
		expect_refused(&image, UDF_EIMAGE, "padding after init");
	}
}

static void rodata_is_limited(void **state)
{
	static uint8_t big[UDF_RODATA_MAX + 8];
	struct recipe recipe = full_recipe();
	static struct image image;
	struct udf_template *tmpl;

	(void)state;
	recipe.rodata = big;
	recipe.rodata_len = UDF_RODATA_MAX;
	image_build(&image, &recipe);
	tmpl = image_load(&image);
	udf_template_destroy(tmpl);
	recipe.rodata_len++;
	image_build(&image, &recipe);
	expect_refused(&image, UDF_EIMAGE, "rodata");
}

static void an_image_of_the_greatest_size_loads(void **state)
{
	static struct program longest;
	static uint8_t init[UDF_IMAGE_MAX];
	struct recipe recipe = { .name = "big", .obj_size = UDF_OBJECT_MAX };
	static struct image image;
	struct udf_template *tmpl;

	(void)state;
	while (longest.n < UDF_SLOTS_MAX)
		put_exit(&longest);
	recipe.fn[UDF_FN_SIZE] = &longest;
	recipe.init = init;
	memset(init, 1, sizeof(init));
	recipe.init_len = UDF_IMAGE_MAX - 0x110 - LEN(&longest);
	image_build(&image, &recipe);
	assert_int_equal(image.len, UDF_IMAGE_MAX);
	tmpl = image_load(&image);
	udf_template_destroy(tmpl);
	recipe.init_len++;
	image_build(&image, &recipe);
	expect_refused(&image, UDF_EIMAGE, "65");
}

static void records_may_fill_the_object_and_no_more(void **state)
{
	struct recipe recipe = full_recipe();
	static struct image image;
	struct udf_template *tmpl;

	(void)state;
	recipe.init_len = 0;
	recipe.hdr_len = recipe.rec_off = 0;
	recipe.obj_size = UDF_OBJECT_MAX;
	recipe.rec_count = UDF_RECORDS_MAX;
	image_build(&image, &recipe);
	tmpl = image_load(&image);
	udf_template_destroy(tmpl);
	recipe.rec_off = 1;
	image_build(&image, &recipe);
	expect_refused(&image, UDF_EIMAGE, "beyond");
}

static void owns_needs_records_and_only_then_fuel(void **state)
{
	struct recipe recipe = { .name = "x", .obj_size = 512, .max_emit = 1 };
	static struct image image;

	(void)state;
	recipe.fn[UDF_FN_OWNS] = &constant;
	image_build(&image, &recipe);
	expect_refused(&image, UDF_EIMAGE, "without records");
	recipe.fn[UDF_FN_OWNS] = NULL;
	recipe.fn[UDF_FN_REFCNT] = &constant;
	image_build(&image, &recipe);
	expect_refused(&image, UDF_EIMAGE, "without records");
	recipe.fn[UDF_FN_REFCNT] = NULL;
	image_build(&image, &recipe);
	image_put(&image, AT_FUEL + 8, 1, 4); /* fuel for an absent function */
	image_seal(&image);
	expect_refused(&image, UDF_EIMAGE, "fuel");
	image_build(&image, &recipe);
	image_put(&image, AT_MAX_EMIT, 1, 4);
	image_seal(&image);
	expect_refused(&image, UDF_EIMAGE, "max_emit");
	image_build(&image, &recipe);
	image_put(&image, AT_FN, 0x110, 4); /* a place for what is not there */
	image_seal(&image);
	expect_refused(&image, UDF_EIMAGE, "owns");
}

/* ---- programs and the initial object ---- */

static void a_bad_program_is_refused_with_its_function_and_slot(void **state)
{
	struct program bad = { .n = 0 };
	static struct image image;
	struct udf_template *tmpl;
	struct udf_refusal why;

	(void)state;
	put_mov(&bad, 0, 0);
	put(&bad, 0x85, 0, 0, 0, 1); /* emit, which only owns has */
	put_exit(&bad);
	for (unsigned fn = UDF_FN_REFCNT; fn < UDF_FN_COUNT; fn++) {
		struct recipe recipe = full_recipe();

		recipe.fn[fn] = &bad;
		image_build(&image, &recipe);
		assert_int_equal(udf_template_load(image.bytes, image.len, &tmpl, &why),
				 UDF_EPROGRAM);
		assert_int_equal(why.function, fn);
		assert_int_equal(why.slot, 1);
		assert_memory_equal(why.text, "V9", 2);
	}
}

static void code_is_made_of_whole_slots(void **state)
{
	struct recipe recipe = full_recipe();
	static struct image image;
	uint32_t off;

	(void)state;
	image_build(&image, &recipe);
	off = image_get32(&image, AT_FN + 32);
	image_put(&image, AT_FN + 36, 12,
		  4); /* two slots, cut in the middle of the exit's zeroes */
	memset(image.bytes + off + 12, 0, 4);
	image_seal(&image);
	expect_refused(&image, UDF_EPROGRAM, "V1");
}

static void the_initial_object_owns_nothing(void **state)
{
	static const uint8_t owning[32] = { [24] = 200 };
	struct recipe recipe = full_recipe();
	static struct image image;

	(void)state;
	recipe.init = owning;
	recipe.init_len = 25; /* record 1 */
	image_build(&image, &recipe);
	expect_refused(&image, UDF_EFAULT, "owns 1 extents");
}

static void owns_must_not_fault_on_the_initial_object(void **state)
{
	struct recipe recipe = full_recipe();
	struct program p = { .n = 0 };
	static struct image image;
	struct udf_template *tmpl;
	struct udf_refusal why;

	(void)state;
	put(&p, 0x15, 3, 0, 2, 40); /* record 40 reads a null pointer */
	put_mov(&p, 0, 0);
	put_exit(&p);
	put(&p, 0x79, 0, 0, 0, 0); /* slot 3 */
	put_exit(&p);
	recipe.fn[UDF_FN_OWNS] = &p;
	image_build(&image, &recipe);
	assert_int_equal(udf_template_load(image.bytes, image.len, &tmpl, &why), UDF_EFAULT);
	assert_int_equal(why.function, UDF_FN_OWNS);
	assert_int_equal(why.slot, 3);
	assert_non_null(strstr(why.text, "record 40"));
	recipe.fn[UDF_FN_OWNS] = &rejecting;
	image_build(&image, &recipe);
	expect_refused(&image, UDF_EFAULT, "malformed");
}

/* 8,192 records that each burn 2^18 exceed what one install may spend. */
static void installing_has_a_budget(void **state)
{
	struct recipe recipe = full_recipe();
	struct program p = { .n = 0 };
	static struct image image;

	(void)state;
	put_mov(&p, 1, 100000);
	put(&p, 0x07, 1, 0, 0, -1);
	put(&p, 0x55, 1, 0, -2, 0);
	put_mov(&p, 0, 0);
	put_exit(&p);
	recipe.fn[UDF_FN_OWNS] = &p;
	recipe.rec_count = 20;
	image_build(&image, &recipe);
	udf_template_destroy(image_load(&image)); /* 20 times 200,000 is within 2^22 */
	recipe.rec_count = 21;
	image_build(&image, &recipe);
	expect_refused(&image, UDF_EFAULT, "out of fuel");
}

/* Going forward costs a run nothing, but there may be many: an operation pays their lengths. */
static void so_many_runs_of_long_programs_exceed_it(void **state)
{
	struct recipe recipe = full_recipe();
	struct program p = { .n = 0 };
	static struct image image;

	(void)state;
	while (p.n < 1023)
		put_mov(&p, 0, 0);
	put_exit(&p);
	recipe.obj_size = UDF_OBJECT_MAX;
	recipe.hdr_len = recipe.rec_off = 0;
	recipe.fn[UDF_FN_OWNS] = &p;
	recipe.rec_count = 4096;
	image_build(&image, &recipe);
	udf_template_destroy(image_load(&image)); /* 4,096 times 1,024 is 2^22 */
	recipe.rec_count = 4097;
	image_build(&image, &recipe);
	expect_refused(&image, UDF_EFAULT, "out of fuel");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_image_loads_and_tells_what_it_declares),
		cmocka_unit_test(the_least_template_is_an_object_of_raw_bytes),
		cmocka_unit_test(every_wrong_field_is_refused),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(wrong_lengths_are_refused),
		cmocka_unit_test(padding_holds_zeroes),
		cmocka_unit_test(rodata_is_limited),
		cmocka_unit_test(an_image_of_the_greatest_size_loads),
		cmocka_unit_test(records_may_fill_the_object_and_no_more),
		cmocka_unit_test(owns_needs_records_and_only_then_fuel),
		cmocka_unit_test(a_bad_program_is_refused_with_its_function_and_slot),
		cmocka_unit_test(code_is_made_of_whole_slots),
		cmocka_unit_test(the_initial_object_owns_nothing),
		cmocka_unit_test(owns_must_not_fault_on_the_initial_object),
		cmocka_unit_test(installing_has_a_budget),
		cmocka_unit_test(so_many_runs_of_long_programs_exceed_it),
	};

	return cmocka_run_group_tests(tests, make_programs, NULL);
}
