/* SPDX-License-Identifier: MIT */
/* Template images as C, for a LibFS that carries its own templates. */
#ifndef UDF_TOOL_EMBED_H
#define UDF_TOOL_EMBED_H

#include "pack.h"

/* Write PATH (which ends in ".c") and the header beside it; udf/template.cmake lists the names. */
enum outcome embed_write(const struct pack_batch *batch, const char *path);

#endif
