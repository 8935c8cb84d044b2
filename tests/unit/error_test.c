/* SPDX-License-Identifier: MIT */
#include "expect.h"

#include <errno.h>
#include <limits.h>

#include "xn/bdev.h"
#include "xn/endian.h"

struct row {
	int error;
	int number;
	const char *name, *text;
};

static const struct row rows[] = {
#define X(name, number, text) { name, number, #name, text },
	XN_ERRORS(X)
#undef X
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void every_error_has_its_name_sentence_and_errno(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		assert_string_equal(xn_error_name(rows[i].error), rows[i].name);
		assert_string_equal(xn_strerror(rows[i].error), rows[i].text);
		assert_int_equal(xn_errno(rows[i].error), rows[i].number);
	}
}

/* They count down without a gap and stay clear of errno, so none is taken for another. */
static void errors_are_distinct_from_each_other_and_from_errno(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		assert_int_equal(rows[i].error, -2001 - (int)i);
}

static void an_errno_keeps_its_own_name_and_number(void **state)
{
	(void)state;
	assert_string_equal(xn_error_name(-ENOSPC), "ENOSPC");
	assert_string_equal(xn_strerror(-ENOENT), "No such file or directory");
	assert_int_equal(xn_errno(-ENOSYS), ENOSYS);
}

static void success_is_not_an_error(void **state)
{
	(void)state;
	assert_string_equal(xn_error_name(0), "OK");
	assert_string_equal(xn_strerror(17), "success");
	assert_int_equal(xn_errno(0), 0);
	assert_int_equal(xn_errno(17), 0);
}

static void a_number_nobody_knows_still_has_an_answer(void **state)
{
	static const int strange[] = { -3999, -4096, -100000, INT_MIN };

	(void)state;
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		assert_string_equal(xn_error_name(strange[i]), "unknown error");
		assert_string_equal(xn_strerror(strange[i]), "unknown error");
		assert_int_equal(xn_errno(strange[i]), EIO);
	}
}

static void disk_numbers_are_little_endian_at_any_address(void **state)
{
	uint8_t bytes[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };
	le16_t two;
	le32_t four;
	le64_t eight;

	(void)state;
	memcpy(&two, bytes + 1, 2);
	memcpy(&four, bytes + 1, 4);
	memcpy(&eight, bytes + 1, 8);
	assert_int_equal(le16_get(two), 0x0201);
	assert_int_equal(le32_get(four), 0x04030201);
	assert_int_equal(le64_get(eight), 0x0807060504030201);
	assert_int_equal(_Alignof(le64_t), 1);

	for (int bit = 0; bit < 64; bit++) {
		uint64_t value = 1ull << bit | 1;

		assert_int_equal(le16_get(le16_make((uint16_t)value)), (uint16_t)value);
		assert_int_equal(le32_get(le32_make((uint32_t)value)), (uint32_t)value);
		assert_int_equal(le64_get(le64_make(value)), value);
	}
	eight = le64_make(0x0807060504030201);
	assert_memory_equal(&eight, bytes + 1, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_its_name_sentence_and_errno),
		cmocka_unit_test(errors_are_distinct_from_each_other_and_from_errno),
		cmocka_unit_test(an_errno_keeps_its_own_name_and_number),
		cmocka_unit_test(success_is_not_an_error),
		cmocka_unit_test(a_number_nobody_knows_still_has_an_answer),
		cmocka_unit_test(disk_numbers_are_little_endian_at_any_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
