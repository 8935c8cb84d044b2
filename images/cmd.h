/* SPDX-License-Identifier: MIT */
/*
 * The commands, one function each; they return an exit code.  What they take is
 * in the table of commands.c.
 */
#ifndef IMAGES_CMD_H
#define IMAGES_CMD_H

#include "image.h"
#include "tool.h"

int cmd_allowance(struct tool *tool, const struct args *args);
int cmd_break(struct tool *tool, const struct args *args);
int cmd_cat(struct tool *tool, const struct args *args);
int cmd_completion(struct tool *tool, const struct args *args);
int cmd_cp(struct tool *tool, const struct args *args);
int cmd_diff(struct tool *tool, const struct args *args);
int cmd_dump(struct tool *tool, const struct args *args);
int cmd_export(struct tool *tool, const struct args *args);
int cmd_format(struct tool *tool, const struct args *args);
int cmd_crashtest(struct tool *tool, const struct args *args);
int cmd_freefrag(struct tool *tool, const struct args *args);
int cmd_fsck(struct tool *tool, const struct args *args);
int cmd_help(struct tool *tool, const struct args *args);
int cmd_import(struct tool *tool, const struct args *args);
int cmd_info(struct tool *tool, const struct args *args);
int cmd_layout(struct tool *tool, const struct args *args);
int cmd_ls(struct tool *tool, const struct args *args);
int cmd_map(struct tool *tool, const struct args *args);
int cmd_metadump(struct tool *tool, const struct args *args);
int cmd_mkdir(struct tool *tool, const struct args *args);
int cmd_mkfs(struct tool *tool, const struct args *args);
int cmd_mount(struct tool *tool, const struct args *args);
int cmd_mv(struct tool *tool, const struct args *args);
int cmd_owner(struct tool *tool, const struct args *args);
int cmd_probe(struct tool *tool, const struct args *args);
int cmd_resize(struct tool *tool, const struct args *args);
int cmd_restore(struct tool *tool, const struct args *args);
int cmd_rm(struct tool *tool, const struct args *args);
int cmd_root_remove(struct tool *tool, const struct args *args);
int cmd_root_set(struct tool *tool, const struct args *args);
int cmd_roots(struct tool *tool, const struct args *args);
int cmd_shell(struct tool *tool, const struct args *args);
int cmd_stat(struct tool *tool, const struct args *args);
int cmd_template_remove(struct tool *tool, const struct args *args);
int cmd_template_install(struct tool *tool, const struct args *args);
int cmd_templates(struct tool *tool, const struct args *args);
int cmd_tree(struct tool *tool, const struct args *args);
int cmd_tune(struct tool *tool, const struct args *args);
int cmd_umount(struct tool *tool, const struct args *args);

/* mkfs.xn, which is a program of its own. */
const struct cmd *command_mkfs_xn(void);

/* Directories deeper than this are not followed: a damaged disk may have circles. */
#define DEPTH_MAX 1000u

/* A file's attributes as members of a JSON object. */
void json_put_attr(json_t *object, const struct libfs_attr *attr);
/* A link's target, NUL-terminated; empty when it cannot be read. */
void read_target(struct image *image, struct libfs *fs, libfs_ino_t ino,
		 char target[LIBFS_SYMLINK_MAX + 1]);
/* "data", or a template's name. */
void type_name(struct image *image, uint32_t type, char name[80]);
/* "dir" and "name" joined with one slash; NULL without memory. */
char *path_join(const char *dir, const char *name);

#endif
