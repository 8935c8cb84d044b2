/* SPDX-License-Identifier: MIT */
/*
 * Bytes at random: reads, writes, copies, truncates, punches, zeroes, allocates and
 * seeks in a few files at once, and compares with a model in memory.
 *
 *	fs_fsx LIBFS [OPERATIONS [SEED [CACHE_BYTES]]]
 *
 * A file is a row of zones that may lie far apart: the model has the zones only,
 * what is between them is a hole for ever.  Operations that the LibFS answers with
 * EOPNOTSUPP are counted and named at the end.  A failure prints the last ones, and
 * the seed.
 */
#include "suite.h"

#define ZONE  (64u << 10)
#define ZONES 6u
#define FILES 4u
#define MODEL (ZONE * ZONES)
#define LOG   24u

enum kind {
	READ,
	WRITE,
	APPEND,
	TRUNCATE,
	ALLOC,
	KEEP,
	PUNCH,
	ZERO,
	ZERO_KEEP,
	DATA,
	HOLE,
	COPY,
	SYNC,
	REMAKE,
	KINDS
};

static const struct {
	const char *name;
	unsigned weight;
} kinds[KINDS] = {
	[READ] = { "read", 28 },          [WRITE] = { "write", 28 },
	[APPEND] = { "append", 8 },       [TRUNCATE] = { "truncate", 8 },
	[ALLOC] = { "allocate", 3 },      [KEEP] = { "keep-size", 3 },
	[PUNCH] = { "punch", 7 },         [ZERO] = { "zero", 3 },
	[ZERO_KEEP] = { "zero-keep", 3 }, [DATA] = { "seek-data", 4 },
	[HOLE] = { "seek-hole", 3 },      [COPY] = { "copy", 3 },
	[SYNC] = { "fsync", 1 },          [REMAKE] = { "remake", 1 },
};

/* Where zones begin. */
static const uint64_t dense[ZONES] = { 0, ZONE, 2 * ZONE, 3 * ZONE, 4 * ZONE, 5 * ZONE };
static const uint64_t sparse[ZONES] = { 0,          1u << 20,    (5ull << 20) + 4096,
					1ull << 30, 40ull << 30, 400ull << 30 };

struct file {
	char name[8];
	libfs_ino_t ino;
	const uint64_t *base;
	uint64_t size;
	uint8_t *bytes; /* of the zones, one behind the other; zero past the size */
};

struct op {
	enum kind kind;
	unsigned file;
	uint64_t off, len;
};

struct run {
	struct fx *fx;
	uint64_t seed, start_seed, number;
	struct file file[FILES];
	struct op log[LOG];
	uint64_t unsupported[KINDS];
	uint8_t buffer[ZONE];
};

/* ---- complaining ---- */

static void complain(struct run *run, const char *what, int64_t got, int64_t want)
{
	uint64_t from = run->number > LOG ? run->number - LOG : 0;

	for (uint64_t i = from; i <= run->number; i++) {
		const struct op *op = &run->log[i % LOG];

		print_error("%8llu: %-10s %s  %#llx, %#llx\n", (unsigned long long)i,
			    kinds[op->kind].name, run->file[op->file].name,
			    (unsigned long long)op->off, (unsigned long long)op->len);
	}
	fail_msg("seed %llu, operation %llu: %s: %lld, expected %lld",
		 (unsigned long long)run->start_seed, (unsigned long long)run->number, what,
		 (long long)got, (long long)want);
}

static void expect(struct run *run, const char *what, int64_t got, int64_t want)
{
	if (got != want)
		complain(run, what, got, want);
}

static void same_bytes(struct run *run, const uint8_t *got, const uint8_t *want, uint64_t off,
		       size_t len)
{
	size_t i = 0;

	if (memcmp(got, want, len) == 0)
		return;
	while (got[i] == want[i])
		i++;
	print_error("the byte at %#llx differs\n", (unsigned long long)(off + i));
	complain(run, "a byte", got[i], want[i]);
}

/* ---- the model ---- */

static bool is_zero(const uint8_t *bytes, uint64_t len)
{
	return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/* The first place of the model at or behind offset `off` of the file. */
static uint64_t place_of(const struct file *file, uint64_t off)
{
	for (unsigned z = 0; z < ZONES; z++)
		if (off < file->base[z] + ZONE)
			return off < file->base[z] ? (uint64_t)z * ZONE
						   : z * ZONE + (off - file->base[z]);
	return MODEL;
}

static void model_zero(struct file *file, uint64_t from, uint64_t to)
{
	uint64_t a = place_of(file, from), b = place_of(file, to);

	memset(file->bytes + a, 0, b - a);
}

static void model_grow(struct file *file, uint64_t size)
{
	if (size > file->size)
		file->size = size;
}

/* ---- the operations ---- */

static void check_range(struct run *run, const struct file *file, uint64_t off, uint64_t len)
{
	uint64_t left = off < file->size ? file->size - off : 0, want = len < left ? len : left;

	expect(run, "bytes read",
	       libfs_read(run->fx->fs, fx_ctx(run->fx), file->ino, 0, off, run->buffer, len),
	       (int64_t)want);
	same_bytes(run, run->buffer, file->bytes + place_of(file, off), off, want);
}

static void check_file(struct run *run, const struct file *file)
{
	expect(run, "size", (int64_t)fx_size(run->fx, file->ino), (int64_t)file->size);
	for (unsigned z = 0; z < ZONES; z++)
		check_range(run, file, file->base[z], ZONE);
}

static void do_write(struct run *run, struct file *file, uint64_t off, uint64_t len)
{
	uint8_t byte = (uint8_t)chance(&run->seed);

	for (uint64_t i = 0; i < len; i += 8) {
		uint64_t word = (run->number << 16 | i >> 3) ^ byte * 0x0101010101010101ull;

		memcpy(run->buffer + i, &word, len - i < 8 ? len - i : 8);
	}
	expect(run, "bytes written",
	       libfs_write(run->fx->fs, fx_ctx(run->fx), file->ino, 0, off, run->buffer, len),
	       (int64_t)len);
	memcpy(file->bytes + place_of(file, off), run->buffer, len);
	model_grow(file, off + len);
}

static void do_truncate(struct run *run, struct file *file, uint64_t size)
{
	expect(run, "truncate", fx_truncate(run->fx, file->ino, size), 0);
	if (size < file->size)
		model_zero(file, size, UINT64_MAX);
	file->size = size;
	if (size == 0)
		expect(run, "blocks of an empty file", (int64_t)fx_attr(run->fx, file->ino).blocks,
		       0);
}

static void do_falloc(struct run *run, struct file *file, enum kind kind, uint64_t off,
		      uint64_t len)
{
	static const uint32_t modes[KINDS] = {
		[KEEP] = LIBFS_FALLOC_KEEP_SIZE,
		[PUNCH] = LIBFS_FALLOC_PUNCH_HOLE | LIBFS_FALLOC_KEEP_SIZE,
		[ZERO] = LIBFS_FALLOC_ZERO_RANGE,
		[ZERO_KEEP] = LIBFS_FALLOC_ZERO_RANGE | LIBFS_FALLOC_KEEP_SIZE,
	};
	int got = libfs_fallocate(run->fx->fs, fx_ctx(run->fx), file->ino, modes[kind], off, len);

	if (got == -EOPNOTSUPP) {
		run->unsupported[kind]++;
		return;
	}
	expect(run, "fallocate", got, 0);
	if (kind != ALLOC && kind != KEEP)
		model_zero(file, off, off + len);
	if (kind == ALLOC || kind == ZERO)
		model_grow(file, off + len);
}

/* What is skipped as a hole is zeroes; what is called a hole begins with them. */
static void do_seek(struct run *run, const struct file *file, enum kind kind, uint64_t off)
{
	int64_t got = libfs_seek(run->fx->fs, fx_ctx(run->fx), file->ino, off,
				 kind == DATA ? SEEK_DATA : SEEK_HOLE);
	uint64_t from = place_of(file, off), to = place_of(file, file->size);

	if (off >= file->size) {
		expect(run, "seek behind the end", got, -ENXIO);
		return;
	}
	if (kind == DATA && got != -ENXIO)
		to = place_of(file, (uint64_t)got);
	if (kind == DATA && !is_zero(file->bytes + from, to - from))
		complain(run, "seek skipped data", got, (int64_t)off);
	if (got == -ENXIO && kind == DATA)
		return;
	if (got < (int64_t)off || (uint64_t)got > file->size)
		complain(run, "seek went out of the file", got, (int64_t)off);
	if (kind == HOLE && (uint64_t)got < file->size) {
		from = place_of(file, (uint64_t)got);
		to = place_of(file, ((uint64_t)got | 4095) + 1);
		if (!is_zero(file->bytes + from, to - from))
			complain(run, "a hole has data", got, (int64_t)off);
	}
}

/* From elsewhere in the row of files, as much as there is. */
static void do_copy(struct run *run, struct file *to, uint64_t off, uint64_t len)
{
	const struct file *from = &run->file[chance(&run->seed) % FILES];
	uint64_t at = place_of(to, off), source = chance(&run->seed) % ZONES * ZONE;
	uint64_t from_off = from->base[source / ZONE], left;

	left = from_off < from->size ? from->size - from_off : 0;
	if (from == to && source / ZONE == at / ZONE)
		return;
	expect(run, "bytes copied",
	       libfs_copy_range(run->fx->fs, fx_ctx(run->fx), from->ino, from_off, to->ino, off,
				len),
	       (int64_t)(len < left ? len : left));
	len = len < left ? len : left;
	memcpy(to->bytes + at, from->bytes + source, len);
	if (len)
		model_grow(to, off + len);
}

static void do_remake(struct run *run, struct file *file)
{
	fx_forget(run->fx, file->ino);
	expect(run, "unlink", fx_unlink(run->fx, FX_ROOT, file->name), 0);
	file->ino = fx_create(run->fx, FX_ROOT, file->name);
	file->size = 0;
	memset(file->bytes, 0, MODEL);
}

/* ---- choosing ---- */

static enum kind choose_kind(uint64_t *seed)
{
	unsigned sum = 0, at;

	for (unsigned i = 0; i < KINDS; i++)
		sum += kinds[i].weight;
	at = (unsigned)(chance(seed) % sum);
	for (unsigned i = 0;; i++) {
		if (at < kinds[i].weight)
			return i;
		at -= kinds[i].weight;
	}
}

/* Mostly short, often at the edges of blocks. */
static uint64_t choose_len(uint64_t *seed, uint64_t max)
{
	uint64_t dice = chance(seed), len = 1 + (dice >> 8) % (1u << (dice % 17));

	if (dice >> 60 < 5)
		len = (len + 4095) / 4096 * 4096;
	return len < max ? len : max;
}

static uint64_t choose_at(uint64_t *seed)
{
	uint64_t dice = chance(seed), at = (dice >> 8) % ZONE;

	if (dice % 4 == 0)
		at = at / 4096 * 4096;
	if (dice % 16 == 1 && at / 4096)
		at = at / 4096 * 4096 - 1;
	return at;
}

static struct op choose(struct run *run)
{
	struct op op = { .kind = choose_kind(&run->seed), .file = chance(&run->seed) % FILES };
	const struct file *file = &run->file[op.file];
	uint64_t at = choose_at(&run->seed);
	unsigned zone = (unsigned)(chance(&run->seed) % ZONES);

	/* Most of the life of a file is near its start. */
	zone = zone * (unsigned)(chance(&run->seed) % ZONES) / (ZONES - 1);
	if (op.kind == APPEND && file->size) {
		uint64_t place = place_of(file, file->size - 1) + 1;

		zone = place < MODEL ? (unsigned)(place / ZONE) : 0;
		at = place < MODEL ? place % ZONE : 0;
	}
	if (op.kind == TRUNCATE && chance(&run->seed) % 8 == 0)
		zone = 0, at = 0;
	op.off = file->base[zone] + at;
	op.len = choose_len(&run->seed, ZONE - at);
	if (op.kind == PUNCH && chance(&run->seed) % 4 == 0)
		op.len += file->base[zone + chance(&run->seed) % (ZONES - zone)] - file->base[zone];
	return op;
}

static void step(struct run *run)
{
	struct op op = run->log[run->number % LOG] = choose(run);
	struct file *file = &run->file[op.file];

	switch (op.kind) {
	case READ: check_range(run, file, op.off, op.len); break;
	case WRITE:
	case APPEND: do_write(run, file, op.off, op.len); break;
	case TRUNCATE: do_truncate(run, file, op.off); break;
	case DATA:
	case HOLE: do_seek(run, file, op.kind, op.off); break;
	case COPY: do_copy(run, file, op.off, op.len); break;
	case SYNC: expect(run, "fsync", libfs_fsync(run->fx->fs, file->ino, op.off & 1), 0); break;
	case REMAKE:
		if (op.off % 8 == 0)
			do_remake(run, file);
		break;
	default: do_falloc(run, file, op.kind, op.off, op.len);
	}
}

/* ---- the run ---- */

static void remount(struct run *run)
{
	for (unsigned i = 0; i < FILES; i++)
		check_file(run, &run->file[i]);
	fx_remount(run->fx);
	for (unsigned i = 0; i < FILES; i++) {
		run->file[i].ino = fx_find(run->fx, FX_ROOT, run->file[i].name);
		check_file(run, &run->file[i]);
	}
}

struct wish {
	const char *libfs;
	uint64_t operations, seed, cache;
};

static struct run *run_create(const struct wish *wish)
{
	struct fx_opts opts = { .libfs = wish->libfs, .cache = wish->cache };
	struct run *run = calloc(1, sizeof(*run));

	assert_non_null(run);
	run->fx = fx_new(&opts);
	run->seed = run->start_seed = wish->seed;
	for (unsigned i = 0; i < FILES; i++) {
		struct file *file = &run->file[i];

		snprintf(file->name, sizeof(file->name), "file%u", i);
		file->base = i % 2 ? sparse : dense;
		file->bytes = calloc(1, MODEL);
		assert_non_null(file->bytes);
		file->ino = fx_create(run->fx, FX_ROOT, file->name);
	}
	return run;
}

static void bytes_stay_what_was_written(void **state)
{
	const struct wish *wish = *state;
	struct run *run = run_create(wish);
	uint64_t life = wish->operations / 20 + 1;

	for (; run->number < wish->operations; run->number++) {
		step(run);
		if (run->number % 512 == 0)
			check_file(run, &run->file[run->number / 512 % FILES]);
		if (run->number % life == life - 1)
			remount(run);
	}
	for (unsigned i = 0; i < KINDS; i++)
		if (run->unsupported[i])
			printf("%s: %s does not offer it (%llu times)\n", kinds[i].name,
			       wish->libfs, (unsigned long long)run->unsupported[i]);
	fx_fini(run->fx);
	for (unsigned i = 0; i < FILES; i++)
		free(run->file[i].bytes);
	free(run);
}

int main(int argc, char **argv)
{
	struct wish wish = {
		.libfs = argc > 1 ? argv[1] : "",
		.operations = argc > 2 ? strtoull(argv[2], NULL, 0) : 20000,
		.seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1,
		.cache = argc > 4 ? strtoull(argv[4], NULL, 0) : 0,
	};
	struct CMUnitTest tests[] = { cmocka_unit_test_prestate(bytes_stay_what_was_written,
								&wish) };

	if (argc < 2) {
		fprintf(stderr, "usage: fs_fsx LIBFS [OPERATIONS [SEED [CACHE_BYTES]]]\n");
		return 2;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
