/* SPDX-License-Identifier: MIT */
/*
 * The extended attributes of a file.  See xattrs.h.
 */
#include "xattrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 8u /* for what grows while it is read */

int xattrs_add(struct xattrs *list, const char *name, const void *value, size_t size)
{
	struct xattr *grown = realloc(list->v, (list->n + 1) * sizeof(*grown)), *xattr;

	if (!grown)
		return -ENOMEM;
	list->v = grown;
	xattr = &list->v[list->n];
	*xattr = (struct xattr){ strdup(name), malloc(size ? size : 1), size };
	if (!xattr->name || !xattr->value) {
		free(xattr->name);
		free(xattr->value);
		return -ENOMEM;
	}
	if (size)
		memcpy(xattr->value, value, size);
	list->n++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct xattr *)a)->name, ((const struct xattr *)b)->name);
}

void xattrs_sort(struct xattrs *list)
{
	if (list->n > 1)
		qsort(list->v, list->n, sizeof(*list->v), by_name);
}

void xattrs_free(struct xattrs *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->v[i].name);
		free(list->v[i].value);
	}
	free(list->v);
	*list = (struct xattrs){ 0 };
}

/* With one byte more than there is, which is zero. Returns the size. */
static ssize_t take(const struct xattr_source *from, const char *name, char **out)
{
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		ssize_t size =
			name ? from->get(from->arg, name, NULL, 0) : from->list(from->arg, NULL, 0);

		*out = NULL;
		if (size < 0 || (size == 0 && !name))
			return size;
		*out = calloc(1, (size_t)size + 1);
		if (!*out)
			return -ENOMEM;
		if (size > 0)
			size = name ? from->get(from->arg, name, *out, (size_t)size)
				    : from->list(from->arg, *out, (size_t)size);
		if (size >= 0)
			return size;
		free(*out);
		*out = NULL;
		if (size != -ERANGE)
			return size;
	}
	return -ERANGE;
}

static int read_one(const struct xattr_source *from, const char *name, struct xattrs *out)
{
	char *value;
	ssize_t size = take(from, name, &value);
	int err;

	if (size == -ENODATA)
		return 0;
	if (size < 0)
		return (int)size;
	err = xattrs_add(out, name, value, (size_t)size);
	free(value);
	return err;
}

int xattrs_read(const struct xattr_source *from, struct xattrs *out)
{
	char *names;
	ssize_t size = take(from, NULL, &names);
	int err = 0;

	*out = (struct xattrs){ 0 };
	if (size == -EOPNOTSUPP || size == -ENOSYS)
		return 0;
	if (size < 0)
		return (int)size;
	for (ssize_t at = 0; at < size && !err; at += (ssize_t)strlen(names + at) + 1)
		if (names[at])
			err = read_one(from, names + at, out);
	free(names);
	if (err)
		xattrs_free(out);
	else
		xattrs_sort(out);
	return err;
}
