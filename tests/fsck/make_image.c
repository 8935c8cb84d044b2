/* SPDX-License-Identifier: MIT */
/*
 * Writes a disk made by hand into a file, for tests of the command line:
 *
 *	fsck_make_image FILE sound|unclean|leak|lossy|broken|held|newer
 */
#include "disk.h"

/* No checker is linked. */
const struct libfs_checker *libfs_checker_find(const char *name)
{
	(void)name;
	return NULL;
}

static void change(struct disk *disk, const char *how)
{
	if (strcmp(how, "leak") == 0)
		disk_take(disk, 12);
	if (strcmp(how, "leak") == 0 || strcmp(how, "unclean") == 0 || strcmp(how, "held") == 0)
		disk->super.state = XN_STATE_INUSE;
	if (strcmp(how, "lossy") == 0) {
		disk_map_set(disk, disk->roots[0].object, false);
		disk_settle(disk);
	}
	if (strcmp(how, "broken") == 0)
		disk_damage(disk, disk->roots[1].object, 7);
	if (strcmp(how, "held") == 0) {
		disk->super.holder_pid = 4711;
		snprintf(disk->super.holder_host, sizeof(disk->super.holder_host), "somewhere");
		snprintf(disk->super.holder_command, sizeof(disk->super.holder_command), "xn-fuse");
	}
	if (strcmp(how, "newer") == 0)
		disk->super.incompat |= 1ull << 40;
	disk_write(disk);
}

int main(int argc, char **argv)
{
	struct disk *disk;
	FILE *file;
	size_t len;
	uint8_t *bytes;
	bool ok;

	if (argc != 3)
		return 2;
	disk = disk_sound(512);
	change(disk, argv[2]);
	bytes = disk_bytes(disk->dev, &len);
	file = fopen(argv[1], "wb");
	ok = file && fwrite(bytes, 1, len, file) == len && fclose(file) == 0;
	free(bytes);
	disk_free(disk);
	return ok ? 0 : 1;
}
