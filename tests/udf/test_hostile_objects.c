/* SPDX-License-Identifier: MIT */
/*
 * Object files that were tampered with: xn-tmpl refuses them or makes a template
 * that the loader accepts.  Nothing else may happen, which sanitizers see to.
 *
 * The argument is a sound object file.  XN_SEED and XN_ROUNDS as in test_random.
 */
#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include "assembler.h"
#include "pack.h"

static struct blob sound;
static uint64_t random_state;

static uint32_t below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % n;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Build the templates of the bytes given as if they were a file. */
static enum outcome build(const uint8_t *bytes, size_t len)
{
	char path[] = "/tmp/xn-hostile-XXXXXX";
	struct pack_batch batch = { 0 };
	struct elf_file elf;
	int fd = mkstemp(path);
	enum outcome err;

	assert_true(fd >= 0);
	assert_true(write(fd, bytes, len) == (ssize_t)len);
	close(fd);
	err = elf_open(path, &elf);
	unlink(path);
	if (err)
		return err;
	err = pack_collect(&elf, 1, &batch);
	if (!err)
		err = pack_images(&batch);
	pack_fini(&batch);
	elf_fini(&elf);
	return err;
}

/* What the tool says about thousands of broken files is not worth reading. */
static int silence(void)
{
	int saved = dup(2), null = open("/dev/null", O_WRONLY);

	dup2(null, 2);
	close(null);
	return saved;
}

static void speak(int saved)
{
	dup2(saved, 2);
	close(saved);
}

static uint64_t odd_number(void)
{
	static const uint64_t odd[] = {
		0,          1,          7,          8,          0x7fffffff,
		0x80000000, 0xffffffff, 0xffffff00, UINT64_MAX, UINT64_MAX - 7,
		1ull << 63, 0x10000
	};

	return below(2) ? odd[below(sizeof(odd) / sizeof(odd[0]))] : below(4096);
}

/* Somewhere in the ELF header, a section header, a symbol or a relocation; or anywhere. */
static size_t a_place(const uint8_t *bytes, size_t len)
{
	Elf64_Ehdr header;
	Elf64_Shdr section;
	size_t at;

	memcpy(&header, sound.bytes, sizeof(header));
	at = header.e_shoff + sizeof(section) * below(header.e_shnum);
	memcpy(&section, sound.bytes + at, sizeof(section));
	(void)bytes;
	switch (below(5)) {
	case 0: return below(sizeof(header));
	case 1:
	case 2: return at + below(sizeof(section));
	case 3: return section.sh_size ? section.sh_offset + below((uint32_t)section.sh_size) : at;
	default: return below((uint32_t)len);
	}
}

static size_t tamper(uint8_t *bytes, size_t len)
{
	for (uint32_t changes = 1 + below(3); changes; changes--) {
		size_t at = a_place(bytes, len), width = 1u << below(4);
		uint64_t value = odd_number();

		if (at + width > len)
			continue;
		if (below(2))
			bytes[at] ^= (uint8_t)(1 << below(8));
		else
			memcpy(bytes + (at & ~(width - 1)), &value, width);
	}
	return below(20) ? len : below((uint32_t)len + 1);
}

static void tampered_objects_are_refused_or_built(void **state)
{
	uint64_t rounds = number_from("XN_ROUNDS", 10000), seed = number_from("XN_SEED", 20261121);
	uint64_t outcomes[3] = { 0 };
	uint8_t *bytes = malloc(sound.len);
	int saved;

	(void)state;
	assert_non_null(bytes);
	random_state = seed * 0x9e3779b97f4a7c15ull + 1;
	print_message("XN_SEED=%llu\n", (unsigned long long)seed);
	saved = silence();
	for (uint64_t round = 0; round < rounds; round++) {
		memcpy(bytes, sound.bytes, sound.len);
		outcomes[build(bytes, tamper(bytes, sound.len))]++;
	}
	speak(saved);
	free(bytes);
	print_message("%llu built, %llu refused\n", (unsigned long long)outcomes[DONE],
		      (unsigned long long)outcomes[REFUSED]);
	assert_int_equal(outcomes[TROUBLE], 0);
	assert_true(outcomes[DONE] > 0 && outcomes[REFUSED] > 0);
}

static void every_truncation_is_refused(void **state)
{
	int saved = silence();
	size_t built = 0;

	(void)state;
	for (size_t len = 0; len < sound.len; len += 1 + len / 64)
		built += build(sound.bytes, len) != REFUSED;
	speak(saved);
	assert_int_equal(built, 0);
	assert_int_equal(build(sound.bytes, sound.len), DONE);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(tampered_objects_are_refused_or_built),
	};
	int failed;

	if (argc != 2 || file_read(argv[1], &sound))
		return 2;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	blob_fini(&sound);
	return failed;
}
