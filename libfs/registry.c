/* SPDX-License-Identifier: MIT */
/*
 * Which LibFSes there are: those built in, and those found as shared objects.
 *
 *  (1) A name comes from a disk, so it is checked before it becomes part of a
 *      path: it cannot leave the directories searched.
 *  (2) A shared object that was loaded stays loaded; the system keeps count, so
 *      there is no table here and no lock.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libfs/libfs.h"

#ifndef LIBFS_DIR
#define LIBFS_DIR "/usr/local/lib/xn"
#endif

extern const struct libfs_type cffs_type, simplefs_type;

static const struct libfs_type *const builtins[] = { &cffs_type, &simplefs_type };

const struct libfs_type *libfs_builtin(unsigned index)
{
	return index < sizeof(builtins) / sizeof(builtins[0]) ? builtins[index] : NULL;
}

const struct libfs_type *libfs_default(void)
{
	const struct libfs_type *type;

	for (unsigned i = 0; (type = libfs_builtin(i)); i++)
		if (type->features & LIBFS_IS_DEFAULT)
			return type;
	return builtins[0];
}

static bool name_is_good(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < 32 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

struct reason {
	char *text;
	size_t size;
};

/* -ENOENT when the directory has no such file. */
static int load_from(const char *dir, size_t dir_len, const char *name,
		     const struct libfs_type **out, const struct reason *why)
{
	const struct libfs_type *type;
	char path[4096];
	void *object;
	int n = snprintf(path, sizeof(path), "%.*s/xn-libfs-%s.so", (int)dir_len, dir, name);

	if (dir_len == 0 || n < 0 || (size_t)n >= sizeof(path) || access(path, F_OK) != 0)
		return -ENOENT;
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!object) {
		libfs_say(why->text, why->size, "the LibFS \"%s\" cannot be loaded: %s", name,
			  dlerror());
		return -ELIBBAD;
	}
	type = dlsym(object, "libfs_plugin");
	if (!type || !type->name || !type->ops || strcmp(type->name, name) != 0) {
		libfs_say(why->text, why->size, "%s is no LibFS called \"%s\": %s", path, name,
			  type && type->name ? type->name : "it has no libfs_plugin");
		dlclose(object);
		return -ELIBBAD;
	}
	*out = type;
	return 0;
}

static int load(const char *name, const struct libfs_type **out, const struct reason *why)
{
	const char *path = getenv("XN_LIBFS_PATH");

	while (path && *path) {
		size_t len = strcspn(path, ":");
		int err = load_from(path, len, name, out, why);

		if (err != -ENOENT)
			return err;
		path += len;
		path += *path == ':';
	}
	return load_from(LIBFS_DIR, strlen(LIBFS_DIR), name, out, why);
}

static void say_known(const char *name, const struct reason *why)
{
	const struct libfs_type *type;
	char known[256] = "";

	for (unsigned i = 0; (type = libfs_builtin(i)); i++) {
		size_t len = strlen(known);

		snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "", type->name);
	}
	libfs_say(why->text, why->size, "no LibFS is called \"%s\"; there are: %s", name, known);
}

int libfs_find_type_why(const char *name, const struct libfs_type **out, char *why, size_t why_size)
{
	const struct reason reason = { why, why_size };
	const struct libfs_type *type;
	int err;

	*out = NULL;
	for (unsigned i = 0; (type = libfs_builtin(i)) != NULL; i++)
		if (strcmp(type->name, name) == 0) {
			*out = type;
			return 0;
		}
	err = name_is_good(name) ? load(name, out, &reason) : -EINVAL;
	if (err == -ENOENT || err == -EINVAL)
		say_known(name, &reason);
	return err;
}

int libfs_find_type(const char *name, const struct libfs_type **out)
{
	return libfs_find_type_why(name, out, NULL, 0);
}
