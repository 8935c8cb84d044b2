/* SPDX-License-Identifier: MIT */
/* The model is a test itself, and needs its memory. */
#include "model.h"
#include "no_memory.h"

#define PAUSED(type, name, parameters, arguments) \
	type __real_##name parameters;            \
	type __wrap_##name parameters;            \
	type __wrap_##name parameters             \
	{                                         \
		type result;                      \
                                                  \
		no_memory_pause();                \
		result = __real_##name arguments; \
		no_memory_resume();               \
		return result;                    \
	}
#define PAUSED_VOID(name, parameters, arguments) \
	void __real_##name parameters;           \
	void __wrap_##name parameters;           \
	void __wrap_##name parameters            \
	{                                        \
		no_memory_pause();               \
		__real_##name arguments;         \
		no_memory_resume();              \
	}

PAUSED(struct model *, model_new, (void), ())
PAUSED(uint32_t, model_make,
       (struct model * model, const struct libfs_attr *attr, const char *target),
       (model, attr, target))
PAUSED_VOID(model_name, (struct model * model, uint32_t dir, const char *name, uint32_t node),
	    (model, dir, name, node))
PAUSED_VOID(model_mode_set, (struct model * model, uint32_t node, uint32_t mode),
	    (model, node, mode))
PAUSED_VOID(model_write,
	    (struct model * model, uint32_t node, uint64_t off, const void *bytes, uint64_t len,
	     uint64_t size),
	    (model, node, off, bytes, len, size))
PAUSED_VOID(model_fsync, (struct model * model, uint32_t node, enum model_durable how),
	    (model, node, how))
PAUSED_VOID(model_sync, (struct model * model), (model))
