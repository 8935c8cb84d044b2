/* SPDX-License-Identifier: MIT */
/*
 * One inode's fields against each other.  See check_inode.h.
 */
#include "check_inode.h"

#include "libfs/check.h"
#include "xn/endian.h"

#define ROW(id, code, sentence, question) \
	const struct check_problem_row id = { "cffs/" code, sentence, question, CHECK_LOSSY, false }

ROW(cffs_bad_type_row, "bad-type", "inode %llu has mode %o, which is no type of file",
    "Make it a file, or a directory?");
ROW(cffs_bad_size_row, "bad-size", "inode %llu has a size of %llu, which it cannot have",
    "Set it to one that it can?");
ROW(cffs_bad_flags_row, "bad-flags", "inode %llu has flags %x, which say nothing", "Clear them?");
ROW(cffs_bad_xattrs_row, "bad-xattrs", "inode %llu: its attributes make no sense",
    "Keep those that do?");

#define TYPE(mode)  ((mode) >> 12)
#define DIRECTORY   4u
#define REGULAR     8u
#define SYMLINK     10u
#define TARGET_MAX  4095u
#define SIZE_MAX_   (CFFS_BLOCKS_MAX * CFFS_BLOCK)
#define XATTR_HEAD  4u
#define FAMILIES    5u
#define FLAGS_KNOWN (CFFS_F_ORPHAN | 2u) /* 2: reserved */

static bool type_exists(uint32_t mode)
{
	return (1u << TYPE(mode) & 0x1556u) != 0; /* fifo, chr, dir, blk, reg, lnk, sock */
}

static bool type_settle(struct check *check, struct cffs_entry *entry)
{
	bool is_dir = false;

	if (type_exists(entry->a.mode) ||
	    !check_problem(check, &cffs_bad_type_row, (unsigned long long)entry->a.ino,
			   entry->a.mode))
		return false;
	for (uint32_t i = 0; i < entry->b.n_slots; i++)
		is_dir |= entry->b.slot[i].class == CFFS_CLASS_DIR;
	entry->a.mode = (entry->a.mode & 07777) | (is_dir ? DIRECTORY : REGULAR) << 12;
	return true;
}

static uint64_t size_possible(const struct cffs_entry *entry, uint64_t end)
{
	uint64_t size = entry->b.size;

	switch (TYPE(entry->a.mode)) {
	case DIRECTORY:
		/* Blocks behind it are no problem: a crash leaves some, and mounting finds them. */
		return size % CFFS_BLOCK || size > SIZE_MAX_ ? end * CFFS_BLOCK : size;
	case SYMLINK:
		if (entry->b.inline_len)
			return entry->b.inline_len;
		return size > TARGET_MAX ? TARGET_MAX : size;
	case REGULAR:
		if (entry->b.inline_len)
			return entry->b.inline_len;
		return size > SIZE_MAX_ ? end * CFFS_BLOCK : size;
	default: return 0;
	}
}

static bool size_settle(struct check *check, struct cffs_entry *entry, uint64_t end)
{
	uint64_t size = size_possible(entry, end);
	bool no_target = TYPE(entry->a.mode) == SYMLINK && size == 0;

	if ((size == entry->b.size && !no_target) ||
	    !check_problem(check, &cffs_bad_size_row, (unsigned long long)entry->a.ino,
			   (unsigned long long)entry->b.size))
		return false;
	entry->b.size = size;
	if (no_target) /* a link to nothing cannot be; an empty file can */
		entry->a.mode = (entry->a.mode & 07777) | REGULAR << 12;
	return true;
}

static bool flags_settle(struct check *check, struct cffs_entry *entry)
{
	uint32_t flags = entry->a.flags & FLAGS_KNOWN;

	if (entry->name_len)
		flags &= ~CFFS_F_ORPHAN;
	if (flags == entry->a.flags ||
	    !check_problem(check, &cffs_bad_flags_row, (unsigned long long)entry->a.ino,
			   entry->a.flags))
		return false;
	entry->a.flags = flags;
	return true;
}

size_t cffs_xattrs_sound(const uint8_t *bytes, size_t len)
{
	size_t at = 0;

	while (at + XATTR_HEAD <= len && bytes[at]) {
		size_t next = at + XATTR_HEAD + (bytes[at] - 1u) +
			      (size_t)(bytes[at + 2] | bytes[at + 3] << 8);

		if (bytes[at + 1] == 0 || bytes[at + 1] > FAMILIES || next > len)
			break;
		at = next;
	}
	return at;
}

static bool xattrs_settle(struct check *check, struct cffs_entry *entry)
{
	size_t sound = cffs_xattrs_sound(entry->xattr, entry->xattr_len);

	if (sound == entry->xattr_len ||
	    !check_problem(check, &cffs_bad_xattrs_row, (unsigned long long)entry->a.ino))
		return false;
	entry->xattr_len = (uint16_t)sound;
	return true;
}

bool cffs_inode_settle(struct check *check, struct cffs_entry *entry, uint64_t end)
{
	bool changed = type_settle(check, entry);

	changed |= size_settle(check, entry, end);
	changed |= flags_settle(check, entry);
	return changed | xattrs_settle(check, entry);
}
