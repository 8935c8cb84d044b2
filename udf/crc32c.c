/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C: eight table look-ups per eight bytes, or the CPU's own instruction
 * where there is one.  Which of the two is asked of the CPU at each call (one
 * load and one test), so nothing is remembered between calls.
 */
#include <endian.h>
#include <string.h>

#include "udf/udf.h"

#include "crc32c_table.h"

static uint32_t crc_portable(uint32_t crc, const uint8_t *p, size_t len)
{
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		word = le64toh(word) ^ crc;
		crc = 0;
		for (unsigned i = 0; i < 8; i++)
			crc ^= crc32c_table[7 - i][(word >> (8 * i)) & 255];
	}
	for (; len; p++, len--)
		crc = crc >> 8 ^ crc32c_table[0][(crc ^ *p) & 255];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p,
							    size_t len)
{
	uint64_t wide = crc;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	for (; len; p++, len--)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}
#endif

uint32_t udf_crc32c_portable(uint32_t crc, const void *bytes, size_t len);

/* For tests: the result must not depend on the CPU. */
uint32_t udf_crc32c_portable(uint32_t crc, const void *bytes, size_t len)
{
	return ~crc_portable(~crc, bytes, len);
}

uint32_t udf_crc32c(uint32_t crc, const void *bytes, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc_sse42(~crc, bytes, len);
#endif
	return ~crc_portable(~crc, bytes, len);
}
