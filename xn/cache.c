/* SPDX-License-Identifier: MIT */
/*
 * Frames: where cached bytes live.
 *
 *  (1) A pool holds the frames of one root and one kind (data or metadata); a
 *      frame never changes its pool, so what one root's sessions may map never
 *      shows another root's bytes.
 *  (2) A pool's memory is one memfd mapped twice: writable for the engine,
 *      read-only for sessions.  A stray store through the second faults.
 *  (3) Resident frames over all pools never exceed the limit: a frame that was
 *      touched counts until it is given back to the host, in use or not.
 *  (4) An object's frames are consecutive.
 *  (5) Looking for a frame costs the same in a large pool as in a small one: a bit
 *      for each word of 64 frames says whether one in it may do, and is cleared
 *      when it was found to lie.
 *  (6) Some frames are kept for xn_close(), which must give blocks that were never
 *      written a content before the objects that fill the cache can go.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORD_BITS      64u
#define RESERVE_FRAMES 16u

struct pool {
	LIST_ENTRY(pool) all;
	uint8_t *rw;
	const uint8_t *ro;
	uint32_t n_frames;
	uint32_t n_used, n_resident;
	uint32_t next; /* where the search goes on */
	uint64_t *used;
	uint64_t *resident;
	uint64_t *idle; /* a bit per word of the two: frames that are resident and not used */
};

int cache_init(struct cache *cache, uint64_t bytes)
{
	memset(cache, 0, sizeof(*cache));
	LIST_INIT(&cache->pools);
	if (bytes == 0)
		bytes = XN_CACHE_DEFAULT;
	if (bytes < XN_CACHE_MIN)
		bytes = XN_CACHE_MIN;
	cache->limit_frames = bytes / XN_BLOCK_SIZE;
	if (cache->limit_frames > UINT32_MAX / 2)
		return -EINVAL;
	cache->reserve_frames = RESERVE_FRAMES;
	return 0;
}

static bool bit_get(const uint64_t *map, uint32_t i)
{
	return map[i / WORD_BITS] >> (i % WORD_BITS) & 1;
}

static void bit_set(uint64_t *map, uint32_t i)
{
	map[i / WORD_BITS] |= 1ull << (i % WORD_BITS);
}

static void bit_clear(uint64_t *map, uint32_t i)
{
	map[i / WORD_BITS] &= ~(1ull << (i % WORD_BITS));
}

/* Map the memfd twice; the descriptor is not needed afterwards. */
static int pool_map(struct pool *pool)
{
	size_t len = (size_t)pool->n_frames * XN_BLOCK_SIZE;
	int fd = memfd_create("xn-cache", MFD_CLOEXEC);
	void *rw, *ro;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) < 0) {
		err = -errno;
		goto close_fd;
	}
	rw = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	ro = mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (rw == MAP_FAILED || ro == MAP_FAILED) {
		err = -ENOMEM;
		if (rw != MAP_FAILED)
			munmap(rw, len);
		if (ro != MAP_FAILED)
			munmap(ro, len);
		goto close_fd;
	}
	pool->rw = rw;
	pool->ro = ro;
close_fd:
	close(fd);
	return err;
}

int pool_create(struct cache *cache, struct pool **out)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	uint32_t words;
	int err = -ENOMEM;

	if (!pool)
		return -ENOMEM;
	pool->n_frames = (uint32_t)cache->limit_frames;
	words = (pool->n_frames + WORD_BITS - 1) / WORD_BITS;
	pool->used = calloc(words, sizeof(uint64_t));
	pool->resident = calloc(words, sizeof(uint64_t));
	pool->idle = calloc((words + WORD_BITS - 1) / WORD_BITS, sizeof(uint64_t));
	if (!pool->used || !pool->resident || !pool->idle)
		goto free_pool;
	err = pool_map(pool);
	if (err)
		goto free_pool;
	LIST_INSERT_HEAD(&cache->pools, pool, all);
	*out = pool;
	return 0;

free_pool:
	free(pool->used);
	free(pool->resident);
	free(pool->idle);
	free(pool);
	return err;
}

void pool_destroy(struct cache *cache, struct pool *pool)
{
	size_t len;

	if (!pool)
		return;
	len = (size_t)pool->n_frames * XN_BLOCK_SIZE;
	cache->resident_frames -= pool->n_resident;
	cache->used_frames -= pool->n_used;
	LIST_REMOVE(pool, all);
	munmap(pool->rw, len);
	munmap((void *)(uintptr_t)pool->ro, len);
	free(pool->used);
	free(pool->resident);
	free(pool->idle);
	free(pool);
}

/* The first word with an idle frame, from word `from` on; the number of words if there is none. */
static uint32_t idle_word(struct pool *pool, uint32_t from)
{
	uint32_t words = (pool->n_frames + WORD_BITS - 1) / WORD_BITS;

	while (from < words) {
		uint64_t left = pool->idle[from / WORD_BITS] >> (from % WORD_BITS);

		if (left == 0) {
			from = (from / WORD_BITS + 1) * WORD_BITS;
			continue;
		}
		from += (uint32_t)__builtin_ctzll(left);
		if (pool->resident[from] & ~pool->used[from])
			return from;
		bit_clear(pool->idle, from);
	}
	return words;
}

/* Give a run of idle frames that begins in that word back to the host, `want` at most. */
static uint64_t word_punch(struct cache *cache, struct pool *pool, uint32_t word, uint64_t want)
{
	uint64_t idle = pool->resident[word] & ~pool->used[word];
	uint32_t from = word * WORD_BITS + (uint32_t)__builtin_ctzll(idle), i = from;

	while (i < pool->n_frames && i - from < want && bit_get(pool->resident, i) &&
	       !bit_get(pool->used, i))
		bit_clear(pool->resident, i++);
	madvise(pool->rw + (size_t)from * XN_BLOCK_SIZE, (size_t)(i - from) * XN_BLOCK_SIZE,
		MADV_REMOVE);
	pool->n_resident -= i - from;
	cache->resident_frames -= i - from;
	return i - from;
}

/* Give a pool's unused resident frames back to the host until `want` are. */
static void pool_punch(struct cache *cache, struct pool *pool, uint64_t want)
{
	uint32_t word = 0;

	while (want > 0 && pool->n_resident > pool->n_used) {
		word = idle_word(pool, word);
		if (word >= (pool->n_frames + WORD_BITS - 1) / WORD_BITS)
			return;
		want -= word_punch(cache, pool, word, want);
	}
}

/* Make `count` frames resident-able under the limit by punching idle ones elsewhere. */
static bool cache_room(struct cache *cache, uint32_t count)
{
	struct pool *pool;

	LIST_FOREACH(pool, &cache->pools, all)
	{
		uint64_t over = cache->resident_frames + count;

		if (over <= cache->limit_frames)
			return true;
		pool_punch(cache, pool, over - cache->limit_frames);
	}
	return cache->resident_frames + count <= cache->limit_frames;
}

static bool run_is_free(const struct pool *pool, uint32_t at, uint32_t count, uint32_t *fresh)
{
	*fresh = 0;
	for (uint32_t i = at; i < at + count; i++) {
		if (bit_get(pool->used, i))
			return false;
		*fresh += !bit_get(pool->resident, i);
	}
	return true;
}

/* Any frame that is resident and idle. */
static bool pool_find_idle(struct pool *pool, uint32_t *at)
{
	uint32_t words = (pool->n_frames + WORD_BITS - 1) / WORD_BITS;
	uint32_t word = idle_word(pool, pool->next / WORD_BITS);

	if (word >= words)
		word = idle_word(pool, 0);
	if (word >= words)
		return false;
	*at = word * WORD_BITS +
	      (uint32_t)__builtin_ctzll(pool->resident[word] & ~pool->used[word]);
	return true;
}

/* The next free run of `count` frames, resident ones only if so asked. */
static bool pool_find(struct pool *pool, uint32_t count, bool resident, uint32_t *at)
{
	uint32_t tried = 0, i = pool->next;

	while (tried < pool->n_frames) {
		uint32_t fresh;

		if (i + count > pool->n_frames) {
			tried += pool->n_frames - i;
			i = 0;
			continue;
		}
		if (i % WORD_BITS == 0 &&
		    (pool->used[i / WORD_BITS] == ~0ull ||
		     (resident &&
		      (pool->resident[i / WORD_BITS] & ~pool->used[i / WORD_BITS]) == 0 &&
		      count == 1))) {
			tried += WORD_BITS;
			i += WORD_BITS;
			if (i >= pool->n_frames)
				i = 0;
			continue;
		}
		if (run_is_free(pool, i, count, &fresh) && (!resident || fresh == 0)) {
			*at = i;
			return true;
		}
		tried++;
		i++;
	}
	return false;
}

bool cache_take(struct cache *cache, struct pool *pool, uint32_t count, struct frame *out)
{
	uint32_t at, fresh = 0;

	if (cache->used_frames + count + cache->reserve_frames > cache->limit_frames)
		return false;
	if (pool->n_resident - pool->n_used < count ||
	    !(count == 1 ? pool_find_idle(pool, &at) : pool_find(pool, count, true, &at))) {
		if (!cache_room(cache, count) || !pool_find(pool, count, false, &at))
			return false;
	}
	for (uint32_t i = at; i < at + count; i++) {
		bit_set(pool->used, i);
		if (!bit_get(pool->resident, i)) {
			bit_set(pool->resident, i);
			fresh++;
		}
	}
	pool->n_used += count;
	pool->n_resident += fresh;
	cache->used_frames += count;
	cache->resident_frames += fresh;
	pool->next = at + count < pool->n_frames ? at + count : 0;
	*out = (struct frame){ pool, at, count };
	return true;
}

void cache_give(struct cache *cache, struct frame *frame)
{
	struct pool *pool = frame->pool;

	if (!pool)
		return;
	for (uint32_t i = frame->index; i < frame->index + frame->count; i++) {
		bit_clear(pool->used, i);
		bit_set(pool->idle, i / WORD_BITS);
	}
	pool->n_used -= frame->count;
	cache->used_frames -= frame->count;
	pool->next = frame->index;
	*frame = (struct frame){ 0 };
}

uint8_t *frame_bytes(const struct frame *frame)
{
	return frame->pool->rw + (size_t)frame->index * XN_BLOCK_SIZE;
}

const uint8_t *frame_view(const struct frame *frame)
{
	return frame->pool->ro + (size_t)frame->index * XN_BLOCK_SIZE;
}
