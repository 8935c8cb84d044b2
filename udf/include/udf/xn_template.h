/* SPDX-License-Identifier: MIT */
/*
 * What an author states about a template, as xn-tmpl finds it in the section
 * "xn/tmpl.NAME" of an object file.  Only the author's compiler and xn-tmpl know
 * it; XN sees the template image made from it.
 */
#ifndef UDF_XN_TEMPLATE_H
#define UDF_XN_TEMPLATE_H

#include "udf/abi.h"

#define XN_CHILD_FIRST 2u /* children 0 and 1 are DATA and RESERVED */
#define XN_CHILD_NAMES 62

#define XN_STICKY 1u /* flag: my records carry no permission, acl sees my owner's record */

struct xn_template {
	char name[64];                  /* empty: NAME of the section */
	udf_u32 flags;                  /* XN_STICKY or 0 */
	udf_u32 obj_size;               /* bytes, 512 to 65536 */
	udf_u32 hdr_len;                /* bytes at the start that every record sees, <= rec_off */
	udf_u32 rec_off;                /* first record */
	udf_u32 rec_size;               /* bytes of each */
	udf_u32 rec_count;              /* 0: no records, the object owns nothing */
	udf_u32 max_emit;               /* extents per run of owns; 0: 64 */
	udf_u32 fuel[5];                /* owns, refcnt, size, acl, check; 0: 2^18 */
	char child[XN_CHILD_NAMES][64]; /* children 2, 3, ...; the first empty name ends the list */
};

#endif
