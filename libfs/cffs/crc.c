/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C (Castagnoli), as XN's udf helper computes it: by instruction where the
 * processor has one, by table elsewhere.
 */
#include "format.h"

#include <string.h>

static uint32_t step(uint32_t crc, uint8_t byte)
{
	crc ^= byte;
	for (unsigned bit = 0; bit < 8; bit++)
		crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	return crc;
}

static uint32_t crc_plain(uint32_t crc, const uint8_t *p, size_t len)
{
	while (len--)
		crc = step(crc, *p++);
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t crc, const uint8_t *p,
							  size_t len)
{
	uint64_t wide = crc;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	for (; len; len--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}
#endif

uint32_t cffs_crc(const void *bytes, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc_sse(UINT32_MAX, bytes, len);
#endif
	return ~crc_plain(UINT32_MAX, bytes, len);
}
