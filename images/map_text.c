/* SPDX-License-Identifier: MIT */
/*
 * Names as text of a page or drawing.  See map.h.
 *
 *  (1) A name out of an image may be any bytes; what comes out is UTF-8 without
 *      control characters, and can end no string, element or comment.
 */
#include <stdint.h>
#include <string.h>

#include "map.h"

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Bytes of the UTF-8 character that begins here; 0: there is none, or a control character. */
static size_t character(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	if (c[0] < 0x80)
		return c[0] >= 0x20 && c[0] != 0x7f;
	if (c[0] >= 0xc2 && c[0] < 0xe0 && is_tail(c[1]))
		return c[0] == 0xc2 && c[1] < 0xa0 ? 0 : 2;
	if ((c[0] & 0xf0) == 0xe0 && is_tail(c[1]) && is_tail(c[2]) &&
	    !(c[0] == 0xe0 && c[1] < 0xa0) && !(c[0] == 0xed && c[1] >= 0xa0) &&
	    !(c[0] == 0xef && c[1] == 0xbf && c[2] >= 0xbe))
		return 3;
	if (c[0] >= 0xf0 && c[0] < 0xf5 && is_tail(c[1]) && is_tail(c[2]) && is_tail(c[3]) &&
	    !(c[0] == 0xf0 && c[1] < 0x90) && !(c[0] == 0xf4 && c[1] >= 0x90))
		return 4;
	return 0;
}

static const char *entity(char c)
{
	switch (c) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '"': return "&quot;";
	case '\'': return "&#39;";
	default: return NULL;
	}
}

void map_put_text(FILE *out, const char *text)
{
	while (*text) {
		size_t len = character(text);

		if (!len)
			fprintf(out, "\\x%02x", (unsigned char)*text++);
		else if (entity(*text))
			fputs(entity(*text++), out);
		else {
			fwrite(text, 1, len, out);
			text += len;
		}
	}
}

void map_put_json(FILE *out, const char *text)
{
	fputc('"', out);
	while (*text) {
		size_t len = character(text);

		if (!len)
			fprintf(out, "\\\\x%02x", (unsigned char)*text++);
		else if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text++);
		else {
			fwrite(text, 1, len, out);
			text += len;
		}
	}
	fputc('"', out);
}
