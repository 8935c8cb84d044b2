/* SPDX-License-Identifier: MIT */
/*
 * Asks a mount the questions of libfs/ioctl.h and prints the answers:
 *
 *   fuse_ask file|extents|templates PATH
 *   fuse_ask owner PATH BLOCK
 *
 * Exit code: 0, or the errno.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libfs/ioctl.h"

static int file(int fd)
{
	struct xn_ioc_file answer;

	if (ioctl(fd, XN_IOC_FILE, &answer))
		return errno;
	printf("root=%s id=%u libfs=%s ino=%llu generation=%u disk=%02x%02x\n", answer.root,
	       answer.root_id, answer.libfs, (unsigned long long)answer.ino, answer.generation,
	       answer.disk[0], answer.disk[1]);
	return 0;
}

static int extents(int fd)
{
	struct xn_ioc_extents answer = { .offset = 0 };

	if (ioctl(fd, XN_IOC_EXTENTS, &answer))
		return errno;
	for (unsigned i = 0; i < answer.count; i++)
		printf("%llu %llu %lld\n", (unsigned long long)answer.extents[i].offset,
		       (unsigned long long)answer.extents[i].len,
		       (long long)answer.extents[i].place);
	return 0;
}

static int templates(int fd)
{
	struct xn_ioc_template answer = { .id = 0 };

	while (ioctl(fd, XN_IOC_TEMPLATE, &answer) == 0)
		printf("%u %s %u\n", answer.id, answer.name, answer.object_size);
	return errno == ENOENT ? 0 : errno;
}

static int owner(int fd, const char *block)
{
	struct xn_ioc_owner answer = { .block = strtoull(block, NULL, 10) };

	if (ioctl(fd, XN_IOC_OWNER, &answer))
		return errno;
	printf("root=%u type=%u object=%llu record=%u start=%llu count=%llu data=%u\n",
	       answer.root_id, answer.type, (unsigned long long)answer.object, answer.record,
	       (unsigned long long)answer.start, (unsigned long long)answer.count, answer.is_data);
	return 0;
}

int main(int argc, char **argv)
{
	int fd = argc > 2 ? open(argv[2], O_RDONLY) : -1;

	if (fd < 0)
		return argc > 2 ? errno : 2;
	if (strcmp(argv[1], "file") == 0)
		return file(fd);
	if (strcmp(argv[1], "extents") == 0)
		return extents(fd);
	if (strcmp(argv[1], "templates") == 0)
		return templates(fd);
	return owner(fd, argc > 3 ? argv[3] : "0");
}
