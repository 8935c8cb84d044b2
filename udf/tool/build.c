/* SPDX-License-Identifier: MIT */
/* xn-tmpl build: object files to template images. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "embed.h"
#include "pack.h"

struct build {
	const char *out, *c_path, *order;
	struct elf_file *elf;
	size_t n_elf;
	struct pack_batch batch;
};

static bool is_directory(const char *path)
{
	size_t len = strlen(path);
	struct stat st;

	return (len && path[len - 1] == '/') || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

static enum outcome write_images(const struct build *build)
{
	enum outcome err = DONE;

	if (!is_directory(build->out)) {
		if (build->batch.n != 1)
			return trouble(build->out,
				       "%zu templates need a directory (end its name in /)",
				       build->batch.n);
		return file_write(build->out, build->batch.v[0].image.bytes,
				  build->batch.v[0].image.len);
	}
	mkdir(build->out, 0777); /* what fails here fails below, with a reason */
	for (size_t i = 0; i < build->batch.n && !err; i++) {
		const struct pack_template *tmpl = &build->batch.v[i];
		char path[PATH_MAX];

		if (snprintf(path, sizeof(path), "%s/%s.tmpl", build->out, tmpl->name) >=
		    (int)sizeof(path))
			return trouble(build->out, "name is too long");
		err = file_write(path, tmpl->image.bytes, tmpl->image.len);
	}
	return err;
}

static enum outcome open_objects(struct build *build, int argc, char **argv)
{
	build->elf = calloc((size_t)argc, sizeof(*build->elf));
	if (!build->elf)
		return trouble("build", "out of memory");
	for (int i = 0; i < argc; i++) {
		enum outcome err = elf_open(argv[i], &build->elf[i]);

		if (err)
			return err;
		build->n_elf++;
	}
	return DONE;
}

static enum outcome build_all(struct build *build, int argc, char **argv)
{
	enum outcome err = open_objects(build, argc, argv);

	if (!err)
		err = pack_collect(build->elf, build->n_elf, &build->batch);
	if (!err && build->order)
		err = pack_order(&build->batch, build->order);
	if (!err)
		err = pack_images(&build->batch);
	if (!err)
		err = write_images(build);
	if (!err && build->c_path)
		err = embed_write(&build->batch, build->c_path);
	return err;
}

enum outcome command_build(int argc, char **argv)
{
	static const struct option options[] = { { "output", required_argument, NULL, 'o' },
						 { "c", required_argument, NULL, 'c' },
						 { "order", required_argument, NULL, 'r' },
						 { NULL, 0, NULL, 0 } };
	struct build build = { 0 };
	enum outcome err;
	int option;

	while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (option == 'o')
			build.out = optarg;
		else if (option == 'c')
			build.c_path = optarg;
		else if (option == 'r')
			build.order = optarg;
		else
			return TROUBLE;
	}
	if (!build.out || optind == argc)
		return trouble("build", "usage: xn-tmpl build OBJECT... -o OUT [--c FILE.c] "
					"[--order NAME,...]");
	err = build_all(&build, argc - optind, argv + optind);
	pack_fini(&build.batch);
	for (size_t i = 0; i < build.n_elf; i++)
		elf_fini(&build.elf[i]);
	free(build.elf);
	return err;
}
