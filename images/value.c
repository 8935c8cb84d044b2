/* SPDX-License-Identifier: MIT */
/*
 * Sizes and numbers as people write them.
 *
 *  (1) Nothing is guessed: trailing text, signs, empty strings and values that
 *      do not fit are refused.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int number_parse(const char *text, unsigned base, uint64_t limit, uint64_t *out)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		unsigned digit = (unsigned)*text - '0';

		if (*text < '0' || digit >= base)
			return -EINVAL;
		if (value > (limit - digit) / base || limit < digit)
			return -ERANGE;
		value = value * base + digit;
	}
	*out = value;
	return 0;
}

/* Bits to shift by for K, M, G, T; -1 when the text is no such unit. */
static int unit_shift(const char *unit)
{
	static const char letters[] = "KMGT";
	const char *found;

	if (!*unit || !strcmp(unit, "B"))
		return 0;
	found = strchr(letters, *unit >= 'a' ? *unit - 'a' + 'A' : *unit);
	if (!found)
		return -1;
	if (unit[1] && strcmp(unit + 1, "iB") != 0)
		return -1;
	return 10 * (int)(found - letters + 1);
}

int size_parse(const char *text, uint64_t *bytes)
{
	size_t digits = strspn(text, "0123456789");
	int shift = unit_shift(text + digits);
	char number[24];
	uint64_t value;
	int err;

	if (!digits || shift < 0)
		return -EINVAL;
	if (digits >= sizeof(number))
		return -ERANGE;
	memcpy(number, text, digits);
	number[digits] = '\0';
	err = number_parse(number, 10, UINT64_MAX >> shift, &value);
	if (err)
		return err;
	*bytes = value << shift;
	return 0;
}

const char *size_text(uint64_t bytes, bool exact, char text[SIZE_TEXT_MAX])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned unit = 0;
	uint64_t tenths;

	if (exact || bytes < 1024) {
		snprintf(text, SIZE_TEXT_MAX, exact ? "%" PRIu64 : "%" PRIu64 " B", bytes);
		return text;
	}
	while (unit < 5 && bytes >> (10 * (unit + 2)))
		unit++;
	/* Round down: a disk is never said to hold more than it does. */
	tenths = (bytes >> (10 * unit)) * 10 / 1024;
	if (tenths % 10 == 0 || tenths >= 1000)
		snprintf(text, SIZE_TEXT_MAX, "%" PRIu64 " %s", tenths / 10, units[unit]);
	else
		snprintf(text, SIZE_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10,
			 tenths % 10, units[unit]);
	return text;
}
