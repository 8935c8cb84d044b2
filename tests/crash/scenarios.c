/* SPDX-License-Identifier: MIT */
#include "scenarios.h"

/* Bugs of other file systems, as CrashMonkey and xfstests keep them. */
const struct scenario scenarios_others_bugs[] = {
	{ "a name reused after its file was renamed",
	  "creat foo; append foo 5000; sync; rename foo bar; creat foo; fsync bar" },
	{ "a directory reused after its tree was renamed",
	  "mkdir A; creat A/foo; sync; rename A B; mkdir A; fsync A" },
	{ "a file under a directory just renamed",
	  "mkdir A; sync; rename A B; creat B/foo; fsync B/foo" },
	{ "a directory renamed, and both asked for",
	  "mkdir A; sync; rename A B; creat B/foo; fsync B/foo; fsync B" },
	{ "a file moved up, a sibling made",
	  "mkdir A; creat A/foo; sync; rename A/foo foo; creat bar; fsync /" },
	{ "a file moved down", "mkdir A; creat foo; sync; rename foo A/foo; fsync A; fsync A/foo" },
	{ "a moved file lost by the fsync of another",
	  "mkdir A; mkdir B; mkdir C; creat A/foo; link A/foo B/foo; creat B/bar; sync; "
	  "unlink B/foo; rename B/bar C/bar; fsync A/foo" },
	{ "a file in both parents",
	  "mkdir A; mkdir B; creat A/foo; creat B/x; sync; link A/foo A/bar; rename B/x A/x; "
	  "fsync A/foo" },
	{ "a file renamed over one that was durable",
	  "mkdir A; mkdir B; creat A/bar; append A/bar 5000; fsync A/bar; creat B/bar; "
	  "append B/bar 3000; rename B/bar A/bar; creat A/foo; fsync A/foo; fsync A" },
	{ "a chain of renames",
	  "mkdir A; mkdir A/C; sync; rename A/C B; creat B/bar; fsync B/bar; rename B/bar A/bar; "
	  "rename A B/A; fsync B/A/bar" },
	{ "a fifo renamed, its name linked",
	  "mknod foo; creat x; sync; rename foo bar; link x foo; fsync foo" },
	{ "a symlink renamed, its name linked",
	  "symlink far foo; creat x; sync; rename foo bar; link x foo; fsync x" },
	{ "a link that went again", "creat foo; link foo bar; sync; unlink bar; fsync foo" },
	{ "a link whose name is another file now",
	  "creat foo; sync; link foo bar; unlink bar; creat bar; fsync bar" },
	{ "two links, one asked for",
	  "creat foo; creat bar; sync; link foo foo1; link bar bar1; fsync bar" },
	{ "a link elsewhere", "creat foo; mkdir A; sync; link foo A/bar; fsync foo" },
	{ "links in two directories",
	  "mkdir A; mkdir B; creat A/foo; link A/foo B/foo; fsync A/foo; fsync B/foo" },
	{ "two links in one directory, one goes",
	  "mkdir A; creat foo; link foo A/foo; link foo A/bar; sync; unlink A/bar; fsync foo" },
	{ "a link takes the place of the name that was durable",
	  "mkdir A; creat A/bar; append A/bar 5000; sync; link A/bar bar; unlink A/bar; sync" },
	{ "a link takes the place of a name that another file gets",
	  "mkdir A; creat A/bar; append A/bar 5000; creat A/new; sync; link A/bar bar; "
	  "rename A/new A/bar; sync" },
	{ "a size after another's fsync",
	  "creat foo; append foo 5000; fsync foo; link foo bar; creat x; fsync x" },
	{ "an append after a link",
	  "creat foo; append foo 5000; sync; link foo bar; sync; append foo 5000; fsync foo" },
	{ "an extension of a buffer that was written directly",
	  "creat foo; append foo 3000; write foo 8192 4096; fsync foo" },
	{ "blocks past the end", "creat foo; append foo 5000; falloc foo keep 8192 8192; "
				 "fdatasync foo" },
	{ "a zeroed range that keeps the size",
	  "creat foo; append foo 12000; sync; falloc foo zero+keep 4000 6000; fsync foo" },
	{ "holes that overlap", "creat foo; append foo 20000; sync; falloc foo punch 3000 9000; "
				"falloc foo punch 8192 8192; fsync foo" },
	{ "a part of a page punched",
	  "creat foo; append foo 8192; sync; falloc foo punch 4196 100; fdatasync foo" },
	{ "cut, then grown: old bytes", "creat foo; append foo 5000; sync; trunc foo 2500; fsync "
					"foo; trunc foo 4000; fsync foo" },
	{ "cut, then appended: old bytes", "creat foo; append foo 5000; sync; trunc foo 2500; "
					   "fsync foo; append foo 1000; fsync foo" },
	{ "cut, then written behind the end: old bytes",
	  "creat foo; append foo 5000; sync; trunc foo 2500; fsync foo; write foo 3000 500; "
	  "fsync foo" },
	{ "cut to nothing and grown, without asking",
	  "creat foo; append foo 9000; sync; trunc foo 0; append foo 3000; trunc foo 9000; "
	  "fsync foo" },
	{ "a directory that counts its entries",
	  "mkdir A; creat A/foo; sync; creat A/bar; fsync A" },
	{ "new files of the root directory", "creat foo; creat bar; fsync /" },
	{ "a link below", "mkdir A; mkdir A/C; creat foo; sync; link foo A/C/foo; fsync A" },
	{ "a symlink and its parent", "mkdir A; sync; symlink far/away A/foo; fsync A" },
	{ "an unlinked file that is open, asked for",
	  "creat foo; append foo 5000; sync; hold foo; unlink foo; fsync @; drop; sync" },
	{ "an unlinked file, its directory asked for",
	  "mkdir A; creat A/foo; sync; unlink A/foo; fsync A" },
	{ "a mode", "creat foo; fsync foo; chmod foo 600; fsync foo" },
	{ "written, renamed, asked for",
	  "creat foo; append foo 9000; sync; write foo 0 9000; rename foo bar; fsync bar" },
	{ "written anew by rename",
	  "creat foo; append foo 9000; sync; creat new; append new 7000; fsync new; "
	  "rename new foo; fsync /" },
	{ "written anew by rename, without asking",
	  "creat foo; append foo 9000; sync; creat new; append new 7000; rename new foo; sync" },
	{ "a directory moved, its name a file's, moved again",
	  "mkdir A; mkdir A/B; sync; rename A/B B; creat A/B; rename B C; fsync A/B" },
	{ "a symlink made durable, then renamed",
	  "mkdir A; symlink far A/foo; fsync A; rename A/foo A/bar; fsync A" },
	{ "a new directory with a link in it",
	  "creat foo; sync; mkdir A; link foo A/foo; fsync /" },
	{ 0 },
};

/* What this kind of store could get wrong: space that changes hands, levels of indexes, closing. */
const struct scenario scenarios_own_risks[] = {
	{ "blocks of a removed file for a new one",
	  "creat foo; append foo 20000; sync; unlink foo; creat bar; append bar 20000; fsync bar" },
	{ "blocks cut off for a new file", "creat foo; append foo 20000; sync; trunc foo 0; creat "
					   "bar; append bar 20000; fsync bar" },
	{ "blocks of a hole for a new file",
	  "creat foo; append foo 20000; sync; falloc foo punch 4096 12288; creat bar; "
	  "append bar 12288; fsync bar; sync" },
	{ "an inode taken again",
	  "creat foo; append foo 100; sync; unlink foo; sync; creat bar; fsync bar; unlink bar; "
	  "creat foo; sync" },
	{ "a file that gets its first index",
	  "creat foo; append foo 49152; sync; append foo 4096; fsync foo" },
	{ "a file with an index from the start", "creat foo; write foo 0 57344; fsync foo" },
	{ "an index written before the inode that counts its blocks",
	  "mkdir A; creat foo; append foo 65536; sync; creat A/bar; append foo 5000; sync" },
	{ "a far block behind two indexes",
	  "creat foo; append foo 100; sync; write foo 3000000 100; fsync foo; trunc foo 50; sync" },
	{ "an indexed file removed", "creat foo; append foo 65536; sync; unlink foo; sync; creat "
				     "bar; append bar 65536; sync" },
	{ "another name of a file renamed, the file asked for",
	  "creat foo; link foo bar; sync; rename bar baz; fsync baz" },
	{ "an extent behind the end of a file that has many",
	  "creat foo; write foo 0 100; write foo 8192 100; write foo 16384 100; "
	  "write foo 24576 100; write foo 32768 100; write foo 40960 100; write foo 49152 100; "
	  "write foo 57344 100; write foo 65536 100; write foo 73728 100; write foo 81920 4096; "
	  "sync; append foo 4000; fsync foo; append foo 9000; sync" },
	{ "a file that was cut inside a block, and grows after a crash",
	  "creat foo; append foo 9000; sync; trunc foo 5000; fsync foo" },
	{ "a file whose longer end a crash took back, and that grows then",
	  "creat foo; append foo 9000; sync; append foo 3000; sync" },
	{ "a file whose longer end takes blocks, that a crash took back",
	  "creat foo; append foo 9000; sync; append foo 9000; sync" },
	{ "a file that was cut, and then stays open",
	  "creat foo; append foo 9000; fsync foo; trunc foo 1000; append foo 300; fsync foo" },
	{ "blocks set aside that become part of the file, and fdatasync",
	  "creat foo; append foo 32768; sync; falloc foo keep 32768 32768; fsync foo; "
	  "falloc foo plain 32768 32768; fdatasync foo" },
	{ "bytes beside the inode are zeroed, and fdatasync",
	  "creat foo; append foo 100; sync; falloc foo punch 10 50; fdatasync foo; "
	  "falloc foo zero 50 100; fdatasync foo" },
	{ "a disk left cleanly", "mkdir A; creat A/foo; append A/foo 9000; close" },
	{ "a disk left cleanly after removing",
	  "mkdir A; creat A/foo; append A/foo 20000; sync; unlink A/foo; rmdir A; close" },
	{ "a disk left cleanly, with a file removed while open",
	  "creat foo; append foo 20000; sync; hold foo; unlink foo; write @ 0 5000; close" },
	{ "a tree moved below another, twice",
	  "mkdir A; mkdir B; mkdir A/C; creat A/C/foo; sync; rename A/C B/C; sync; "
	  "rename B/C A/D; fsync A/D" },
	{ "a directory renamed over an empty one",
	  "mkdir A; creat A/foo; mkdir B; sync; rename A B; fsync B" },
	{ "a long symlink",
	  "mkdir A; sync; symlink "
	  "0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"
	  "0123456789/0123456789/0123456789/0123456789/0123456789/0123456789 A/foo; fsync A/foo; "
	  "rename A/foo bar; sync" },
	{ 0 },
};
