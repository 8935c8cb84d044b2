/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embed.h"

#define BYTES_PER_LINE 16

static void write_names(FILE *file, const struct pack_batch *batch, const char *base)
{
	fprintf(file, "const unsigned char *const %s_image[] = {\n", base);
	for (size_t i = 0; i < batch->n; i++)
		fprintf(file, "\t%s_tmpl,\n", batch->v[i].name);
	fprintf(file, "};\n\nconst size_t %s_image_len[] = {\n", base);
	for (size_t i = 0; i < batch->n; i++)
		fprintf(file, "\t%zu,\n", batch->v[i].image.len);
	fprintf(file, "};\n\nconst char *const %s_name[] = {\n", base);
	for (size_t i = 0; i < batch->n; i++)
		fprintf(file, "\t\"%s\",\n", batch->v[i].name);
	fprintf(file, "};\n");
}

static void write_source(FILE *file, const struct pack_batch *batch, const char *base)
{
	fprintf(file,
		"/* SPDX-License-Identifier: MIT */\n"
		"/* Made by xn-tmpl build; do not edit. */\n#include \"%s.h\"\n\n",
		base);
	for (size_t i = 0; i < batch->n; i++) {
		const struct pack_template *tmpl = &batch->v[i];

		fprintf(file, "const unsigned char %s_tmpl[] = {", tmpl->name);
		for (size_t k = 0; k < tmpl->image.len; k++)
			fprintf(file, "%s0x%02x,", k % BYTES_PER_LINE ? " " : "\n\t",
				tmpl->image.bytes[k]);
		fprintf(file, "\n};\nconst size_t %s_tmpl_len = sizeof(%s_tmpl);\n\n", tmpl->name,
			tmpl->name);
	}
	write_names(file, batch, base);
}

static void write_header(FILE *file, const struct pack_batch *batch, const char *base)
{
	fprintf(file,
		"/* SPDX-License-Identifier: MIT */\n"
		"/* Made by xn-tmpl build; do not edit.  Install %s_image[] in this order. */\n"
		"#ifndef XN_TEMPLATES_%s_H\n#define XN_TEMPLATES_%s_H\n\n#include <stddef.h>\n\n",
		base, base, base);
	for (size_t i = 0; i < batch->n; i++)
		fprintf(file,
			"extern const unsigned char %s_tmpl[];\n"
			"extern const size_t %s_tmpl_len;\n",
			batch->v[i].name, batch->v[i].name);
	fprintf(file, "\nenum {\n");
	for (size_t i = 0; i < batch->n; i++)
		fprintf(file, "\t%s_%s = %zu,\n", base, batch->v[i].name, i);
	fprintf(file,
		"\t%s_count = %zu,\n};\n\n"
		"extern const unsigned char *const %s_image[%s_count];\n"
		"extern const size_t %s_image_len[%s_count];\n"
		"extern const char *const %s_name[%s_count];\n\n#endif\n",
		base, batch->n, base, base, base, base, base, base);
}

static enum outcome write_with(const char *path, const struct pack_batch *batch, const char *base,
			       void (*write)(FILE *, const struct pack_batch *, const char *))
{
	FILE *file = fopen(path, "w");
	int bad;

	if (!file)
		return trouble(path, "%s", strerror(errno));
	write(file, batch, base);
	bad = ferror(file);
	return fclose(file) || bad ? trouble(path, "%s", strerror(errno)) : DONE;
}

enum outcome embed_write(const struct pack_batch *batch, const char *path)
{
	size_t len = strlen(path);
	const char *slash = strrchr(path, '/');
	char *header, *base;
	enum outcome err;

	if (len < 3 || strcmp(path + len - 2, ".c") != 0)
		return trouble(path, "the name after --c must end in .c");
	header = strdup(path);
	base = strdup(slash ? slash + 1 : path);
	if (!header || !base) {
		err = trouble(path, "out of memory");
		goto out;
	}
	header[len - 1] = 'h';
	base[strlen(base) - 2] = '\0';
	for (char *c = base; *c; c++)
		if (*c == '-' || *c == '.')
			*c = '_';
	err = write_with(header, batch, base, write_header);
	if (!err)
		err = write_with(path, batch, base, write_source);
out:
	free(header);
	free(base);
	return err;
}
