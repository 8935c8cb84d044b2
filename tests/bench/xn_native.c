/* SPDX-License-Identifier: MIT */
/*
 * `owns` of t.node, t.pair and t.head in C, in place of the machine (see CMakeLists.txt).
 */
#include <string.h>

#include "record.h"
#include "udf/udf.h"

int __wrap_udf_owns(const struct udf_template *tmpl, const void *record, uint32_t index,
		    const void *header, struct udf_budget *budget, struct udf_extents *out,
		    const struct udf_read_set *read_set, struct udf_fault *fault);

int __wrap_udf_owns(const struct udf_template *tmpl, const void *record, uint32_t index,
		    const void *header, struct udf_budget *budget, struct udf_extents *out,
		    const struct udf_read_set *read_set, struct udf_fault *fault)
{
	uint64_t pointer, add = 0;

	(void)index, (void)budget, (void)read_set, (void)fault;
	memcpy(&pointer, record, sizeof(pointer));
	if (udf_template_info(tmpl)->hdr_len)
		memcpy(&add, header, sizeof(add));
	if (!pointer)
		return 0;
	return udf_extents_add(out, (struct udf_extent){ T_START(pointer) + add, T_COUNT(pointer),
							 (uint32_t)T_CHILD(pointer), 0 });
}
