/* SPDX-License-Identifier: MIT */
/*
 * The command line, under each of the names the program is called by.
 */
#ifndef FUSE_BRIDGE_OPTIONS_H
#define FUSE_BRIDGE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes, those of mount(8). */
#define EXIT_OK    0
#define EXIT_USAGE 1  /* wrong words, or no right to do it */
#define EXIT_SYS   2  /* out of memory, cannot fork */
#define EXIT_FAIL  32 /* not mounted, or not ended cleanly */

struct options {
	const char *image, *dir;
	char *root;       /* one root, or NULL for all */
	char *record;     /* a file for every write and flush, or NULL */
	char *fs_options; /* for the LibFS, "a,b", or NULL */
	char *fsname, *subtype;
	char *fuse; /* what libfuse shall hear, "a,b" */
	bool foreground, debug, verbose;
	bool helper;  /* called by mount(8) */
	bool pretend; /* mount -f: check only */
	bool sloppy;  /* mount -s: unknown options are no error */
	bool rdonly, sync, writeback;
	bool no_xattr;      /* as if no LibFS had extended attributes */
	bool plain;         /* never as fuseblk */
	bool others;        /* other users than the one who mounts may enter */
	bool kernel_checks; /* the kernel checks permission (default_permissions) */
	bool remount;
	unsigned long remount_flags, remount_clear; /* MS_* to set and to clear */
	uint64_t cache_bytes;                       /* 0 = default */
	uint32_t commit_ms, lock_ms, max_threads;
	bool done; /* --help or --version has been answered */
};

/* Returns EXIT_OK or EXIT_USAGE (and has said why). */
int options_parse(int argc, char **argv, struct options *options);
void options_fini(struct options *options);

#endif
