/* SPDX-License-Identifier: MIT */
/* Templates that use whatever a template may use; commands.sh runs them. */
#include "udf/xn_udf.h"

/* ---- pointers: constants, functions of .text that call each other ---- */

struct pointers {
	udf_u64 block[512];
};

static const udf_u32 weight[8] = { 3, 1, 4, 1, 5, 9, 2, 6 };

XN_NOINLINE udf_u64 scaled(udf_u64 x)
{
	return x * weight[x & 7];
}

XN_NOINLINE udf_u64 twice(udf_u64 x)
{
	return scaled(x) + scaled(x + 1);
}

XN_TEMPLATE(good_pointers) = {
	.name = "good.pointers",
	.flags = XN_STICKY,
	.obj_size = sizeof(struct pointers),
	.rec_size = 8,
	.rec_count = 512,
	.max_emit = 1,
	.fuel = { 1000 },
	.child = { "good_names", "SELF", "id:1f" },
};

XN_OWNS(good_pointers)(const udf_u64 *record, udf_u64 record_size, udf_u64 index)
{
	if (*record)
		xn_emit(*record, 1 + (index == 511), index % 5);
	return *record == 666;
}

XN_CHECK(good_pointers)(const struct pointers *object, udf_u64 size, udf_u64 first_block)
{
	return twice(object->block[0]) + first_block;
}

XN_SIZE(good_pointers)(const struct pointers *object, udf_u64 size)
{
	udf_u64 used = 0;

	for (udf_u64 i = 0; i < 512; i++)
		if (object->block[i])
			used = 8 * (i + 1);
	return used;
}

XN_REFCNT(good_pointers)(const udf_u64 *record, udf_u64 record_size, udf_u64 index)
{
	return *record * 2 + index;
}

/* ---- names: an initial object, strings, acl ---- */

struct names {
	char magic[8];
	udf_u32 owner, mode;
	char name[30][16];
	char rest[16];
};

XN_TEMPLATE(good_names) = { .obj_size = sizeof(struct names), .rec_size = 480, .rec_count = 1 };

XN_INIT(good_names) struct names good_names_first = { .magic = "NAMES", .mode = 0755 };

XN_CHECK(good_names)(const struct names *object, udf_u64 size)
{
	static const char magic[8] = "NAMES";

	if (!xn_bytes_equal(object->magic, magic, sizeof(magic)))
		return 1;
	if (!xn_is_zero(object->rest, sizeof(object->rest)))
		return 2;
	return xn_find_byte(object->name[0], 16, 0) == 16 ? 3 : 0;
}

XN_ACL(good_names)
(const struct names *object, udf_u64 size, const struct names *proposed,
 const struct udf_acl_args *args)
{
	if (args->uid == 0 || args->uid == object->owner)
		return 1;
	if (args->op == UDF_ACL_UPDATE && xn_acl_touches(args, 8, 8))
		return 0;
	return object->mode & 2 && xn_acl_in_group(args, 100);
}
