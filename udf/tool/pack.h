/* SPDX-License-Identifier: MIT */
/*
 * Packing: the templates of some object files become template images.
 *
 *  (1) A template and its functions are in one object file.
 *  (2) The batch is the list of templates in the order in which they must be
 *      installed; BATCH + k in an image is the k-th of it.
 *  (3) Every image made here was accepted by XN's own loader.
 */
#ifndef UDF_TOOL_PACK_H
#define UDF_TOOL_PACK_H

#include "object.h"
#include "udf/udf.h"
#include "udf/xn_template.h"

struct pack_template {
	const struct elf_file *elf;
	const char *name; /* NAME of section xn/tmpl.NAME */
	struct xn_template descriptor;
	struct blob image;
};

struct pack_batch {
	struct pack_template *v;
	size_t n;
};

enum outcome pack_collect(const struct elf_file *elf, size_t n_elf, struct pack_batch *out);

/* Bring the batch into the order of a comma-separated list that names each template once. */
enum outcome pack_order(struct pack_batch *batch, const char *order);

/* Link and check every template of the batch. */
enum outcome pack_images(struct pack_batch *batch);
void pack_fini(struct pack_batch *batch);

#endif
