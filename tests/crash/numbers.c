/* SPDX-License-Identifier: MIT */
#include "numbers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void grow(struct numbers *numbers)
{
	struct numbers bigger = { .cap = numbers->cap ? numbers->cap * 2 : 256 };

	bigger.keys = calloc(bigger.cap, sizeof(uint64_t));
	assert(bigger.keys);
	for (size_t i = 0; i < numbers->cap; i++)
		if (numbers->keys[i])
			numbers_add(&bigger, numbers->keys[i]);
	free(numbers->keys);
	*numbers = bigger;
}

/* Where it stands, or would stand. */
static uint64_t *place_of(const struct numbers *numbers, uint64_t key)
{
	size_t i = key & (numbers->cap - 1);

	while (numbers->keys[i] && numbers->keys[i] != key)
		i = (i + 1) & (numbers->cap - 1);
	return &numbers->keys[i];
}

bool numbers_has(const struct numbers *numbers, uint64_t key)
{
	key |= key == 0;
	return numbers->n > 0 && *place_of(numbers, key) == key;
}

bool numbers_add(struct numbers *numbers, uint64_t key)
{
	uint64_t *place;

	key |= key == 0;
	if (numbers->n * 2 >= numbers->cap)
		grow(numbers);
	place = place_of(numbers, key);
	if (*place)
		return false;
	*place = key;
	numbers->n++;
	return true;
}

void numbers_clear(struct numbers *numbers)
{
	if (numbers->n)
		memset(numbers->keys, 0, numbers->cap * sizeof(uint64_t));
	numbers->n = 0;
}

void numbers_fini(struct numbers *numbers)
{
	free(numbers->keys);
	*numbers = (struct numbers){ 0 };
}
