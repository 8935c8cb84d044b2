/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C: the answers of RFC 3720 B.4, a bit-by-bit twin, and no difference
 * between the CPU's instruction and the tables.
 */
#include "assembler.h"

uint32_t udf_crc32c_portable(uint32_t crc, const void *bytes, size_t len);

static uint32_t bit_by_bit(uint32_t crc, const uint8_t *bytes, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (unsigned k = 0; k < 8; k++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

static void known_answers(void **state)
{
	uint8_t bytes[32];

	(void)state;
	assert_int_equal(udf_crc32c(0, "", 0), 0);
	assert_int_equal(udf_crc32c(0, "123456789", 9), 0xe3069283);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(udf_crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(udf_crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(udf_crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(31 - i);
	assert_int_equal(udf_crc32c(0, bytes, sizeof(bytes)), 0x113fdb5c);
}

/* One-byte messages in every position of a word visit every entry of the tables. */
static void every_length_alignment_and_table_entry(void **state)
{
	uint8_t bytes[64];

	(void)state;
	for (unsigned value = 0; value < 256; value++)
		for (unsigned at = 0; at < 8; at++) {
			memset(bytes, 0, 8);
			bytes[at] = (uint8_t)value;
			assert_int_equal(udf_crc32c_portable(0, bytes, 8), bit_by_bit(0, bytes, 8));
		}
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 151 + 13);
	for (size_t from = 0; from < 16; from++)
		for (size_t len = 0; len <= sizeof(bytes) - from; len++) {
			uint32_t want = bit_by_bit(0x1234, bytes + from, len);

			assert_int_equal(udf_crc32c(0x1234, bytes + from, len), want);
			assert_int_equal(udf_crc32c_portable(0x1234, bytes + from, len), want);
		}
}

static void sums_can_be_chained(void **state)
{
	static const char text[] = "a checksum in two parts is the checksum of the whole";

	(void)state;
	for (size_t cut = 0; cut <= sizeof(text); cut++)
		assert_int_equal(
			udf_crc32c(udf_crc32c(0, text, cut), text + cut, sizeof(text) - cut),
			udf_crc32c(0, text, sizeof(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers),
		cmocka_unit_test(every_length_alignment_and_table_entry),
		cmocka_unit_test(sums_can_be_chained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
