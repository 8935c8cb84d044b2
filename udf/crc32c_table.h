/* SPDX-License-Identifier: MIT */
/*
 * crc32c_table[k][b]: the CRC-32C (polynomial 0x82f63b78, reflected) of byte b
 * followed by k zero bytes.
 *
 * The sum is linear: the entry of b is that of b's bits, xored.  So the eight
 * entries of single bits are written down and the compiler makes the rest;
 * tests/udf compares all of them with a bit-by-bit sum.
 */
#ifndef UDF_PRIVATE_CRC32C_TABLE_H
#define UDF_PRIVATE_CRC32C_TABLE_H

#include <stdint.h>

#define CRC_BIT(b, n, value) ((b) >> (n)&1 ? (value) : 0u)

#define CRC_1(b, e0, e1, e2, e3, e4, e5, e6, e7)                                         \
	(CRC_BIT(b, 0, e0) ^ CRC_BIT(b, 1, e1) ^ CRC_BIT(b, 2, e2) ^ CRC_BIT(b, 3, e3) ^ \
	 CRC_BIT(b, 4, e4) ^ CRC_BIT(b, 5, e5) ^ CRC_BIT(b, 6, e6) ^ CRC_BIT(b, 7, e7))
#define CRC_4(b, ...)                                                                    \
	CRC_1(b, __VA_ARGS__), CRC_1((b) + 1, __VA_ARGS__), CRC_1((b) + 2, __VA_ARGS__), \
		CRC_1((b) + 3, __VA_ARGS__)
#define CRC_16(b, ...)                                                                   \
	CRC_4(b, __VA_ARGS__), CRC_4((b) + 4, __VA_ARGS__), CRC_4((b) + 8, __VA_ARGS__), \
		CRC_4((b) + 12, __VA_ARGS__)
#define CRC_64(b, ...)                                                                        \
	CRC_16(b, __VA_ARGS__), CRC_16((b) + 16, __VA_ARGS__), CRC_16((b) + 32, __VA_ARGS__), \
		CRC_16((b) + 48, __VA_ARGS__)
#define CRC_256(...)                                                                       \
	{                                                                                  \
		CRC_64(0, __VA_ARGS__), CRC_64(64, __VA_ARGS__), CRC_64(128, __VA_ARGS__), \
			CRC_64(192, __VA_ARGS__)                                           \
	}

static const uint32_t crc32c_table[8][256] = {
	CRC_256(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu,
		0x417b1dbcu, 0x82f63b78u),
	CRC_256(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u,
		0xff17c604u, 0xfbc3faf9u),
	CRC_256(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u,
		0xc76580d9u, 0x8b277743u),
	CRC_256(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu,
		0xaba65fe7u, 0x52a0c93fu),
	CRC_256(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, 0x1ba8b557u,
		0x37516aaeu, 0x6ea2d55cu),
	CRC_256(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, 0x85f4168du,
		0x0e045bebu, 0x1c08b7d6u),
	CRC_256(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, 0x3d5b83bdu,
		0x7ab7077au, 0xf56e0ef4u),
	CRC_256(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, 0x0d006599u,
		0x1a00cb32u, 0x34019664u),
};

#endif
