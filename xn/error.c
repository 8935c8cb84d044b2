/* SPDX-License-Identifier: MIT */
/*
 * The error table as text.
 */
#include "xn/error.h"

#include <errno.h>
#include <string.h>

struct named_error {
	int error;
	int number;
	const char *name;
	const char *text;
};

static const struct named_error named_errors[] = {
#define X(name, number, text) { name, number, #name, text },
	XN_ERRORS(X)
#undef X
};

static const struct named_error *named_error_find(int error)
{
	size_t count = sizeof(named_errors) / sizeof(named_errors[0]);

	for (size_t i = 0; i < count; i++)
		if (named_errors[i].error == error)
			return &named_errors[i];
	return NULL;
}

/* A value that could be -errno; INT_MIN has no positive twin. */
static int is_errno(int error)
{
	return error < 0 && error > -4096;
}

const char *xn_error_name(int error)
{
	const struct named_error *named = named_error_find(error);
	const char *name = NULL;

	if (named)
		return named->name;
	if (error >= 0)
		return "OK";
	if (is_errno(error))
		name = strerrorname_np(-error);
	return name ? name : "unknown error";
}

const char *xn_strerror(int error)
{
	const struct named_error *named = named_error_find(error);
	const char *text = NULL;

	if (named)
		return named->text;
	if (error >= 0)
		return "success";
	if (is_errno(error))
		text = strerrordesc_np(-error);
	return text ? text : "unknown error";
}

int xn_errno(int error)
{
	const struct named_error *named = named_error_find(error);

	if (named)
		return named->number;
	if (error >= 0)
		return 0;
	return is_errno(error) && strerrorname_np(-error) ? -error : EIO;
}
