/* SPDX-License-Identifier: MIT */
/*
 * Writes files, fsyncs each with its directory, and only then says so:
 *
 *   fuse_durable DIR ROUND      prints "NAME SHA256" line by line, until it is stopped
 *
 * Every third file is written under another name and renamed, every third
 * overwritten in place before the fsync.  Every seventh time an earlier one is removed: "NAME ?"
 * before, "NAME -" when the directory is fsynced.
 */
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE_MAX_BYTES 20000u

static size_t contents(uint32_t seed, uint8_t *bytes)
{
	size_t size = seed % SIZE_MAX_BYTES;

	for (size_t i = 0; i < size; i++) {
		seed = seed * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(seed >> 24);
	}
	return size;
}

static int write_file(int dir, const char *name, const uint8_t *bytes, size_t size)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT, 0644);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || ftruncate(fd, (off_t)size) ||
	    fsync(fd))
		return -1;
	return close(fd);
}

static int make(int dir, const char *name, uint32_t number, const uint8_t *bytes, size_t size)
{
	static const uint8_t other[5000];

	if (number % 3 == 1) {
		if (write_file(dir, "temporary", bytes, size) ||
		    renameat(dir, "temporary", dir, name))
			return -1;
	} else {
		if (number % 3 == 2 && write_file(dir, name, other, sizeof(other)))
			return -1;
		if (write_file(dir, name, bytes, size))
			return -1;
	}
	return fsync(dir);
}

static int tell(const char *name, const uint8_t *bytes, size_t size)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx sha;

	sha256_init(&sha);
	sha256_update(&sha, size, bytes);
	sha256_digest(&sha, sizeof(digest), digest);
	printf("%s ", name);
	for (size_t i = 0; i < sizeof(digest); i++)
		printf("%02x", digest[i]);
	printf("\n");
	return fflush(stdout);
}

static int lose(int dir, const char *name)
{
	printf("%s ?\n", name);
	if (fflush(stdout) || unlinkat(dir, name, 0) || fsync(dir))
		return -1;
	printf("%s -\n", name);
	return fflush(stdout);
}

int main(int argc, char **argv)
{
	static uint8_t bytes[SIZE_MAX_BYTES];
	uint32_t round = argc == 3 ? (uint32_t)atoi(argv[2]) : 0;
	int dir = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;

	if (dir < 0)
		return 2;
	for (uint32_t number = 0;; number++) {
		size_t size = contents(round * 7919u + number * 104729u, bytes);
		char name[40];

		snprintf(name, sizeof(name), "durable-%u-%u", round, number);
		if (make(dir, name, number, bytes, size) || tell(name, bytes, size))
			return 1;
		snprintf(name, sizeof(name), "durable-%u-%u", round, number / 2);
		if (number % 7 == 6 && lose(dir, name))
			return 1;
	}
}
