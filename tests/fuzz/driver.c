/* SPDX-License-Identifier: MIT */
/*
 * A harness without libFuzzer, for builds of every day: the kept inputs, each as it is and with bytes
 * changed by chance, and some made of nothing.
 *
 *	HARNESS CORPUS-FOLDER [COUNT]
 *
 * COUNT (or XN_FUZZ_COUNT) is how many changed inputs to try; with XN_FUZZ_SAY, each is named.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX  4096u
#define INPUTS_MAX 1024u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t bytes[INPUT_MAX];
	size_t size;
};

static uint64_t chance(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static size_t corpus_read(const char *folder, struct input *inputs)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t n = 0;

	while (dir && n < INPUTS_MAX && (entry = readdir(dir))) {
		char path[4096];
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		inputs[n].size = fread(inputs[n].bytes, 1, INPUT_MAX, file);
		n++;
		fclose(file);
	}
	if (dir)
		closedir(dir);
	return n;
}

/* The order of names in a folder is anybody's guess, and a run should be the same each time. */
static int by_bytes(const void *a, const void *b)
{
	const struct input *x = a, *y = b;

	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return memcmp(x->bytes, y->bytes, x->size);
}

static void change(struct input *input, uint64_t *seed)
{
	for (unsigned k = 1 + (unsigned)(chance(seed) % 4); k > 0; k--) {
		size_t at = input->size ? chance(seed) % input->size : 0;

		switch (chance(seed) % 4) {
		case 0:
			if (input->size)
				input->bytes[at] = (uint8_t)chance(seed);
			break;
		case 1:
			if (input->size)
				input->bytes[at] ^= (uint8_t)(1u << chance(seed) % 8);
			break;
		case 2: input->size -= input->size ? chance(seed) % input->size / 2 : 0; break;
		default:
			for (unsigned i = 0; i < 8 && input->size < INPUT_MAX; i++)
				input->bytes[input->size++] = (uint8_t)chance(seed);
		}
	}
}

static void run(const struct input *input, const char *what, size_t number)
{
	if (getenv("XN_FUZZ_SAY"))
		fprintf(stderr, "%s %zu, %zu bytes\n", what, number, input->size);
	LLVMFuzzerTestOneInput(input->bytes, input->size);
}

int main(int argc, char **argv)
{
	const char *told = argc > 2 ? argv[2] : getenv("XN_FUZZ_COUNT");
	size_t count = told ? strtoul(told, NULL, 0) : 300;
	struct input *inputs = calloc(INPUTS_MAX, sizeof(*inputs)), now;
	uint64_t seed = 1;
	size_t n;

	if (!inputs || argc < 2)
		return 2;
	n = corpus_read(argv[1], inputs);
	if (n)
		qsort(inputs, n, sizeof(*inputs), by_bytes);
	for (size_t i = 0; i < n; i++)
		run(&inputs[i], "kept", i);
	for (size_t i = 0; i < count; i++) {
		now = n ? inputs[chance(&seed) % n] : (struct input){ .size = 0 };
		if (!n)
			change(&now, &seed);
		change(&now, &seed);
		run(&now, "changed", i);
	}
	printf("%zu kept inputs, %zu changed ones\n", n, count);
	free(inputs);
	return n == 0;
}
