/* SPDX-License-Identifier: MIT */
/*
 * The table of commands.  See cli.h.
 */
#include <string.h>

#include "cmd.h"

#define INSIDE "PATHs begin with the root's name: /home/a/b."

static const struct opt cp_options[] = {
	{ 'r', "recursive", NULL, OPT_FLAG, "copy directories and what is in them" },
	{ 'p', "preserve", NULL, OPT_FLAG, "keep modes, owners, times and hard links" },
	{ 'a', "archive", NULL, OPT_FLAG, "both, -r and -p" },
	{ 0, "from", "OTHER", OPT_FILE, "the sources are inside the image OTHER" },
	{ 0 },
};

static const struct opt format_options[] = {
	{ 's', "size", "N", OPT_SIZE, "bytes, or with K, M, G or T; rounded down to 4 KiB" },
	{ 'L', "label", "TEXT", OPT_TEXT, "a name of at most 64 bytes" },
	{ 'U', "uuid", "UUID", OPT_UUID, "instead of a random one" },
	{ 0, "force", NULL, OPT_FLAG, "overwrite what is there" },
	{ 0 },
};

static const struct opt diff_options[] = {
	{ 0, "with", "OTHER", OPT_FILE, "B is inside the image OTHER" },
	{ 0, "contents", NULL, OPT_FLAG, "names, kinds, contents and links; nothing else" },
	{ 0 },
};

static const struct opt dump_options[] = {
	{ 0, "force", NULL, OPT_FLAG, "overwrite what is there" },
	{ 0 },
};

static const struct opt import_options[] = {
	{ 0, "from", "KIND", OPT_TEXT, "what SOURCE is: auto (default), dir, tar or ext" },
	{ 0, "all-root", NULL, OPT_FLAG, "everything belongs to 0:0, whoever owned it" },
	{ 0 },
};

static const struct opt export_options[] = {
	{ 0, "tar", NULL, OPT_FLAG, "write a tar archive, whatever TARGET is called" },
	{ 0, "force", NULL, OPT_FLAG, "overwrite the archive, or add to the directory" },
	{ 0 },
};

static const struct opt ls_options[] = {
	{ 'l', "long", NULL, OPT_FLAG, "mode, links, owner, size and time of each" },
	{ 'R', "recursive", NULL, OPT_FLAG, "and what is in the directories" },
	{ 0 },
};

static const struct opt map_options[] = {
	{ 'o', "output", "FILE", OPT_FILE, "the picture: a name that ends in .html or .svg" },
	{ 0, "by", "WHAT", OPT_TEXT, "colours: root (default), template, age or group" },
	{ 0, "order", "WHICH", OPT_TEXT, "of the blocks: row (default) or hilbert" },
	{ 0, "force", NULL, OPT_FLAG, "overwrite FILE" },
	{ 0 },
};

static const struct opt mkdir_options[] = {
	{ 'm', "mode", "MODE", OPT_MODE, "permission (default 755)" },
	{ 0 },
};

static const struct opt mkfs_options[] = {
	{ 'r', "root", "NAME", OPT_TEXT, "name of the new root (must be given)" },
	{ 't', "type", "TYPE", OPT_LIBFS, "the LibFS that keeps it" },
	{ 'd', "dir", "DIR", OPT_DIR, "fill it with what is in DIR" },
	{ 0, "tar", "FILE", OPT_FILE,
	  "fill it with what is in a tar archive; - reads standard input" },
	{ 0, "all-root", NULL, OPT_FLAG, "everything belongs to 0:0, whoever owned it" },
	{ 0, "quota", "N", OPT_SIZE, "it may use that much and no more" },
	{ 0, "uid", "ID", OPT_NUMBER, "owner of the root (default: DIR's, or you)" },
	{ 0, "gid", "ID", OPT_NUMBER, "group of the root" },
	{ 0, "mode", "MODE", OPT_MODE, "permission of the root (default: DIR's, or 755)" },
	{ 'U', "uuid", "UUID", OPT_UUID, "of the root, instead of a random one" },
	{ 'o', "options", "LIST", OPT_TEXT, "the LibFS's own: a=b,c" },
	{ 0 },
};

static const struct opt mount_options[] = {
	{ 'r', "read-only", NULL, OPT_FLAG, "change nothing" },
	{ 'f', "foreground", NULL, OPT_FLAG, "stay in the foreground" },
	{ 0, "root", "NAME", OPT_TEXT, "show this root alone" },
	{ 'o', "options", "LIST", OPT_TEXT, "as `xn-fuse -o` takes them" },
	{ 0 },
};

static const struct opt probe_options[] = {
	{ 'o', "output", "FORMAT", OPT_TEXT, "as blkid prints it: full, value, export or udev" },
	{ 's', "match-tag", "TAG", OPT_TEXT, "only this one: LABEL, UUID, VERSION, TYPE, ..." },
	{ 0, "export", NULL, OPT_FLAG, "the same as -o udev" },
	{ 0 },
};

static const struct opt rm_options[] = {
	{ 'r', "recursive", NULL, OPT_FLAG, "remove directories and what is in them" },
	{ 0 },
};

static const struct opt root_remove_options[] = {
	{ 0, "force", NULL, OPT_FLAG, "also when there is something in it" },
	{ 0 },
};

static const struct opt root_set_options[] = {
	{ 0, "quota", "N", OPT_SIZE, "it may use that much and no more; 0 = no limit" },
	{ 0, "reserve", "N", OPT_SIZE, "of this, kept for what frees (removing, truncating)" },
	{ 0, "weight", "N", OPT_NUMBER, "share of the device when roots compete, 1 to 1000" },
	{ 0 },
};

static const struct opt allowance_options[] = {
	{ 0, "blocks", "N", OPT_SIZE, "space in all roots that the user owns" },
	{ 0, "roots", "N", OPT_NUMBER, "roots that the user owns" },
	{ 0, "templates", "N", OPT_NUMBER, "templates that the user installed" },
	{ 0, "cache", "N", OPT_SIZE, "cache that the user's roots and sessions hold" },
	{ 0, "pins", "N", OPT_NUMBER, "bindings of the user's sessions" },
	{ 0, "pending", "N", OPT_NUMBER, "removed trees left to XN" },
	{ 0 },
};

static const struct opt shell_options[] = {
	{ 'c', "command", "LINE", OPT_TEXT, "run this line; may be given again" },
	{ 'f', "file", "FILE", OPT_FILE, "run the lines of FILE" },
	{ 'w', "write", NULL, OPT_FLAG, "allow commands that change the image" },
	{ 0 },
};

static const struct opt tune_options[] = {
	{ 'L', "label", "TEXT", OPT_TEXT, "a name of at most 64 bytes; \"\" takes it away" },
	{ 0 },
};

static const struct opt umount_options[] = {
	{ 't', "timeout", "SECONDS", OPT_NUMBER, "wait that long for the image (default 30)" },
	{ 0 },
};

static const struct cmd table[] = {
	{ "format", "IMAGE --size N [-L LABEL] [-U UUID] [--force]", "make an empty XN disk",
	  "Makes the file when it does not exist, and changes its size when it does.  A block\n"
	  "device keeps its own size.  Whatever the target holds already is named and left alone\n"
	  "unless --force is given; then its signatures are erased first.  SOURCE_DATE_EPOCH\n"
	  "sets the time of formatting.",
	  CMD_WRITES, 1, 1, format_options, cmd_format },
	{ "mkfs", "IMAGE --root NAME [--type TYPE] [-d DIR | --tar FILE]",
	  "make a root with a file system",
	  "The disk keeps any number of roots, which share its space.  With -d the root is filled\n"
	  "from a directory, with --tar from an archive (gzip, bzip2, xz, zstd and lz4, too):\n"
	  "modes, owners, times, extended attributes, ACLs, links, devices and holes stay as they\n"
	  "are.  Names go in sorted order.  When SOURCE_DATE_EPOCH is set and the UUIDs of disk\n"
	  "and root are given, one source always makes the same bytes: no time is later than\n"
	  "that, and when a file was read last does not count.",
	  CMD_WRITES, 1, 1, mkfs_options, cmd_mkfs },
	{ "info", "IMAGE", "what a disk says about itself", NULL, CMD_READS, 1, 1, NULL, cmd_info },
	{ "roots", "IMAGE", "list the roots", NULL, CMD_READS, 1, 1, NULL, cmd_roots },
	{ "root-remove", "IMAGE NAME [--force]", "remove a root and all that is in it",
	  "A root that holds anything is named, with what it takes, and left alone unless --force\n"
	  "is given.  One whose making was cut short holds nothing.  Its space is free afterwards.",
	  CMD_WRITES, 2, 2, root_remove_options, cmd_root_remove },
	{ "root-set", "IMAGE NAME [--quota N] [--reserve N] [--weight N]", "change a root's limits",
	  NULL, CMD_WRITES, 2, 2, root_set_options, cmd_root_set },
	{ "tune", "IMAGE -L LABEL", "give a disk another label",
	  "`xn root-set` changes the limits of a root, `xn resize` the size.  The UUID is in "
	  "every\n"
	  "structure of XN's own and stays.",
	  CMD_WRITES, 1, 1, tune_options, cmd_tune },
	{ "allowance", "IMAGE UID [--blocks N] [--roots N] ...", "what a user may take, and takes",
	  "With options, changes those limits; 0 takes a limit away.  Without, shows all.",
	  CMD_READS, 2, 2, allowance_options, cmd_allowance },
	{ "template-install", "IMAGE FILE...", "install templates",
	  "FILEs as xn-tmpl makes them are checked and installed together, so that they may name\n"
	  "each other.  Those that are there already, alike, are found instead.",
	  CMD_WRITES, 2, -1, NULL, cmd_template_install },
	{ "template-remove", "IMAGE ID", "remove templates that nobody uses",
	  "ID is a number out of `xn templates`; those installed together with it go, too.  What "
	  "a\n"
	  "root or another template uses stays.",
	  CMD_WRITES, 2, 2, NULL, cmd_template_remove },
	{ "resize", "IMAGE SIZE", "make a disk larger or smaller",
	  "SIZE is in bytes, or with K, M, G or T.  The file follows; of a block device, only as\n"
	  "much is used.  A disk becomes smaller when nothing in use is cut off: what is in the\n"
	  "way is named.",
	  CMD_WRITES, 2, 2, NULL, cmd_resize },
	{ "templates", "IMAGE", "list the templates that formats have installed", NULL, CMD_READS,
	  1, 1, NULL, cmd_templates },
	{ "ls", "IMAGE [PATH...]", "list directories", "Without a PATH, the roots.  " INSIDE,
	  CMD_READS, 1, -1, ls_options, cmd_ls },
	{ "tree", "IMAGE [PATH]", "draw a directory and what is below it", INSIDE, CMD_READS, 1, 2,
	  NULL, cmd_tree },
	{ "cat", "IMAGE PATH...", "print files", INSIDE, 0, 2, -1, NULL, cmd_cat },
	{ "stat", "IMAGE PATH...", "everything about files",
	  "Symbolic links at the end of a PATH are not followed.  " INSIDE, CMD_READS, 2, -1, NULL,
	  cmd_stat },
	{ "cp", "IMAGE SOURCE... TARGET", "copy files in, out and between",
	  "A path that begins with a colon is inside the image, any other is a file of this\n"
	  "machine (\"./:x\" for a file called \":x\"):\n\n"
	  "  xn cp disk.img notes.txt :/home/notes.txt      in\n"
	  "  xn cp disk.img -a ./project :/home             in, whole\n"
	  "  xn cp disk.img -a :/home/project ./back        out\n"
	  "  xn cp disk.img -a :/home/project :/work        between roots\n"
	  "  xn cp disk.img --from old.img -a :/home :/home between images\n\n"
	  "A TARGET that is a directory takes the SOURCEs under their names.  Without -r links\n"
	  "are followed, with it they are copied.  Holes stay holes.",
	  CMD_WRITES, 3, -1, cp_options, cmd_cp },
	{ "import", "IMAGE SOURCE PATH [--from KIND] [--all-root]",
	  "fill a directory with a tree from elsewhere",
	  "SOURCE is a directory, a tar archive (- reads standard input; compressed or not), or "
	  "an\n"
	  "ext2, ext3 or ext4 file system in a file or on a device, which needs no mount.  What "
	  "is\n"
	  "in it goes into the directory PATH, which also gets the attributes of its top.  An\n"
	  "empty lost+found there is passed over.  " INSIDE,
	  CMD_WRITES, 3, 3, import_options, cmd_import },
	{ "export", "IMAGE PATH TARGET [--tar] [--force]", "copy a directory out, whole",
	  "TARGET is a directory that is empty or not there yet, or an archive if it ends in "
	  ".tar,\n"
	  ".tar.gz, .tgz, .tar.bz2, .tar.xz, .tar.zst or .tar.lz4, or is - (standard output).\n"
	  "Modes, owners, times, extended attributes, ACLs, links, devices and holes are kept.\n"
	  "One tree makes one archive, bit for bit.  " INSIDE,
	  CMD_WRITES, 3, 3, export_options, cmd_export },
	{ "diff", "IMAGE A B [--with OTHER] [--contents]", "compare two trees or files",
	  "A path that begins with a colon is inside the image, any other is a file of this\n"
	  "machine:\n\n"
	  "  xn diff disk.img :/home ./project              with a directory\n"
	  "  xn diff disk.img :/home :/work                 two roots\n"
	  "  xn diff disk.img --with old.img :/home :/home  two images\n\n"
	  "Each difference is a line: path, what differs, A's and B's.  Exit code 0: the same, 1:\n"
	  "not, 2: it could not be found out.",
	  CMD_READS, 3, 3, diff_options, cmd_diff },
	{ "layout", "IMAGE PATH...", "where the bytes of files lie",
	  "A line for each extent: byte of the file, bytes, block of the disk, blocks.  Pieces "
	  "are\n"
	  "extents that do not follow each other on the disk.  Links are not followed.  " INSIDE,
	  CMD_READS, 2, -1, NULL, cmd_layout },
	{ "freefrag", "IMAGE", "how the free space is cut up",
	  "The runs of free blocks: shortest, longest, average, and how many there are of each\n"
	  "size.  A run from 4 KiB is 4 KiB long, one from 8 KiB is shorter than 16 KiB, and so "
	  "on.",
	  CMD_READS, 1, 1, NULL, cmd_freefrag },
	{ "mkdir", "IMAGE PATH...", "make directories", INSIDE, CMD_WRITES, 2, -1, mkdir_options,
	  cmd_mkdir },
	{ "rm", "IMAGE PATH...", "remove files and directories", INSIDE, CMD_WRITES, 2, -1,
	  rm_options, cmd_rm },
	{ "mv", "IMAGE FROM TO", "rename or move inside one root",
	  "What stands at TO is replaced; a directory there takes FROM under its name.\n" INSIDE,
	  CMD_WRITES, 3, 3, NULL, cmd_mv },
	{ "owner", "IMAGE BLOCK", "who owns a block, and by which pointers",
	  "Prints the chain from the root's object to the record that names the block; for what\n"
	  "no root owns, what it is: superblock, map, catalogue, log, template image, or free.",
	  CMD_READS, 2, 2, NULL, cmd_owner },
	{ "map", "IMAGE -o map.html|map.svg [--by WHAT] [--order WHICH]",
	  "a picture of the whole disk",
	  "Draws who has each block.  The page (below 1 MB, fetches nothing) shows rows or a\n"
	  "Hilbert curve, coloured by root, template, age of the file, or group (its directory);\n"
	  "block, owner and path where the pointer is; free runs by length; and for each "
	  "directory\n"
	  "where it lies and how many seeks it takes to read it with its files.  A drawing (.svg)\n"
	  "stands still.  Cells stand for more than one block where there are more than a "
	  "million.\n"
	  "--json prints the figures, with or without a picture.",
	  CMD_READS, 1, 1, map_options, cmd_map },
	{ "dump", "IMAGE BLOCK", "an object or block in words and in hex",
	  "An object of a root is shown whole: its fields, where its LibFS can tell them, what it\n"
	  "owns, as its template tells, and its bytes as they are on the disk.",
	  CMD_READS, 2, 2, NULL, cmd_dump },
	{ "metadump", "IMAGE DUMP [--force]", "copy a disk without what is in its files",
	  "For reports of bugs: XN's own blocks, the objects of all roots and their directories,\n"
	  "compressed.  Bytes of files are left out, also those that lie in inodes.  Names, "
	  "targets\n"
	  "of links and extended attributes are in it.",
	  CMD_WRITES, 2, 2, dump_options, cmd_metadump },
	{ "restore", "DUMP IMAGE [--force]", "make a disk of a dump again",
	  "A sparse file on which everything is as it was, but that files are full of zeroes.",
	  CMD_WRITES, 2, 2, dump_options, cmd_restore },
	{ "shell", "IMAGE [-w] [-c LINE]... [-f FILE]...",
	  "these commands on one image, line by line",
	  "Lines are commands without the image's name: `cd home`, `ls -l`, `dump 300`; `help` "
	  "lists\n"
	  "them.  Paths inside the image begin where `cd` led; a tab completes them.  Each line\n"
	  "opens the image anew.  Lines that are given, or come through a pipe, end at the first\n"
	  "that fails.",
	  0, 1, 1, shell_options, cmd_shell },
	{ "mount", "IMAGE DIR [-r] [-f] [--root NAME] [-o LIST]", "mount through FUSE (xn-fuse)",
	  "Without --root every root appears as a directory of DIR.", 0, 2, 2, mount_options,
	  cmd_mount },
	{ "umount", "DIR|IMAGE [-t SECONDS]", "unmount, and wait until the image is free", NULL, 0,
	  1, 1, umount_options, cmd_umount },
	{ "fsck", "[-n|-p|-y] [-f] [-v] [-C FD] [--json] [--root NAME] [--undo FILE] IMAGE",
	  "check and repair (xn-fsck)",
	  "Everything after `fsck` goes to xn-fsck, whose exit codes are those of fsck(8).",
	  CMD_RAW, 0, -1, NULL, cmd_fsck },
	{ "break", "IMAGE RECIPE", "make a disk by a recipe, and break it in named ways",
	  "For tests of what checks and repairs.  RECIPE is a text in the language of\n"
	  "xn-recipe(5), or - for standard input.  Whatever IMAGE holds is changed without a\n"
	  "question: that is the purpose.",
	  CMD_WRITES, 2, 2, NULL, cmd_break },
	{ "crashtest", "[OPTIONS] TYPE [WORKLOAD...] | --log LOG IMAGE",
	  "what may a power cut leave of a LibFS (xn-crashtest)",
	  "Everything after `crashtest` goes to xn-crashtest, whose exit codes are 0: every state\n"
	  "was right, 1: one was not, 2: it could not be done, 3: usage.",
	  CMD_RAW, 0, -1, NULL, cmd_crashtest },
	{ "probe", "FILE", "is it an XN disk?",
	  "Looks without opening it as a disk; works while it is in use.  Exit code 1: it is\n"
	  "something else, which is named.  With -o, formats and exit codes are those of blkid "
	  "-p:\n"
	  "2 when it is something else.  -s may be given several times.",
	  CMD_READS, 1, 1, probe_options, cmd_probe },
	{ "completion", "bash", "print what a shell needs to complete commands", NULL, 0, 1, 1,
	  NULL, cmd_completion },
	{ "help", "[COMMAND]", "this help, or a command's", NULL, 0, 0, 1, NULL, cmd_help },
	{ 0 },
};

const struct cmd *commands(void)
{
	return table;
}

const struct cmd *command_find(const char *name)
{
	for (const struct cmd *cmd = table; cmd->name; cmd++)
		if (!strcmp(cmd->name, name))
			return cmd;
	return NULL;
}

const struct cmd *command_alone(const char *program)
{
	const char *slash = strrchr(program, '/');

	return strcmp(slash ? slash + 1 : program, "mkfs.xn") == 0 ? command_mkfs_xn() : NULL;
}

const char *command_prefix(const struct cmd *cmd)
{
	return cmd->flags & CMD_ALONE ? "" : "xn ";
}

int cmd_completion(struct tool *tool, const struct args *args)
{
	if (strcmp(args->operands[0], "bash") != 0)
		return say_usage(tool, args->cmd, "only for bash");
	completion_bash(tool->out);
	return EXIT_OK;
}

int cmd_help(struct tool *tool, const struct args *args)
{
	const struct cmd *cmd;

	if (!args->n_operands) {
		help_overview(tool->out);
		return EXIT_OK;
	}
	cmd = command_find(args->operands[0]);
	if (!cmd)
		return say_usage(tool, NULL, "there is no command \"%s\"", args->operands[0]);
	help_command(cmd, tool->out);
	return EXIT_OK;
}
