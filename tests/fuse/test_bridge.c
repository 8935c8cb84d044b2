/* SPDX-License-Identifier: MIT */
/*
 * The parts of the bridge that need no kernel: node numbers, the command line,
 * the table of mounts.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bridge.h"
#include "mounts.h"
#include "options.h"

/* ---- nodes ---- */

static void a_node_number_gives_back_its_slot_and_inode(void **state)
{
	static const uint64_t inos[] = { 1, 2, 12345, (UINT64_C(1) << 48) - 1 };
	static const unsigned slots[] = { 0, 1, 2, NODE_SLOTS_MAX };
	fuse_ino_t node;

	(void)state;
	for (size_t s = 0; s < 4; s++) {
		for (size_t i = 0; i < 4; i++) {
			assert_true(node_encode(slots[s], inos[i], &node));
			assert_int_equal(node_slot(node), slots[s]);
			assert_int_equal(node_ino(node), inos[i]);
		}
	}
	assert_true(node_encode(0, LIBFS_ROOT_INO, &node));
	assert_int_equal(node, FUSE_ROOT_ID);
}

static void numbers_that_do_not_fit_are_refused(void **state)
{
	fuse_ino_t node;

	(void)state;
	assert_false(node_encode(0, 0, &node));
	assert_false(node_encode(0, UINT64_C(1) << 48, &node));
	assert_false(node_encode(NODE_SLOTS_MAX + 1, 1, &node));
}

static void a_slot_names_its_own_instance_and_no_other(void **state)
{
	struct libfs first, second;
	struct bridge_root roots[] = { { "a", 1, &first }, { "b", 2, &second } };
	struct bridge bridge = { .roots = roots, .n_roots = 2, .many = true };

	(void)state;
	assert_null(node_fs(&bridge, 0));
	assert_ptr_equal(node_fs(&bridge, 1), &first);
	assert_ptr_equal(node_fs(&bridge, 2), &second);
	assert_null(node_fs(&bridge, 3));
	assert_null(node_fs(&bridge, NODE_SLOTS_MAX));
	assert_true(node_is_top(&bridge, FUSE_ROOT_ID));
	bridge.many = false;
	assert_ptr_equal(node_fs(&bridge, 0), &first);
	assert_null(node_fs(&bridge, 1));
	assert_false(node_is_top(&bridge, FUSE_ROOT_ID));
}

/* ---- the command line ---- */

/* Words up to a NULL; the sentence of a refusal is not wanted here. */
static int parse(struct options *options, const char *program, const char *words)
{
	char *argv[16] = { strdup(program) }, *copy = strdup(words), *save;
	int argc = 1, code;

	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	optind = 0;
	code = options_parse(argc, argv, options);
	free(argv[0]);
	if (code) {
		options_fini(options);
		*options = (struct options){ 0 };
	}
	free(copy);
	return code;
}

static void words_mean_what_the_help_says(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, "xn-fuse",
			       "/i /d -f -o root=home,ro -o cache=2M,commit=0.25,lock_wait=3 "
			       "-o max_threads=7,no_writeback_cache,allow_other"),
			 EXIT_OK);
	assert_string_equal(options.root, "home");
	assert_true(options.rdonly && options.foreground && !options.writeback);
	assert_int_equal(options.cache_bytes, 2 << 20);
	assert_int_equal(options.commit_ms, 250);
	assert_int_equal(options.lock_ms, 3000);
	assert_int_equal(options.max_threads, 7);
	assert_string_equal(options.fuse, "allow_other");
	assert_string_equal(options.subtype, "xn");
	options_fini(&options);

	assert_int_equal(parse(&options, "xn-fuse", "/i /d -o ro,sync,rw"), EXIT_OK);
	assert_true(!options.rdonly && options.sync && !options.foreground);
	options_fini(&options);
	assert_int_equal(parse(&options, "xn-fuse", "-d /i /d"), EXIT_OK);
	assert_true(options.debug && options.foreground);
	options_fini(&options);
}

static void words_that_make_no_sense_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"/i",
		"/i /d /e",
		"/i /d -o nonsense",
		"/i /d -o root=",
		"/i /d -o root",
		"/i /d -o cache=",
		"/i /d -o cache=1Q",
		"/i /d -o cache=1KK",
		"/i /d -o cache=-1",
		"/i /d -o cache=99999999999999T",
		"/i /d -o commit=x",
		"/i /d -o commit=nan",
		"/i /d -o commit=1e9",
		"/i /d -o max_threads=0",
		"/i /d -o max_threads=1001",
		"/i /d -s",
		"/i /d -o",
	};
	struct options options;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(&options, "xn-fuse", bad[i]), EXIT_USAGE);
}

static void generic_words_of_mount_are_swallowed(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, "xn-fuse",
			       "/i /d -o rw,relatime,strictatime,lazytime,nofail,_netdev,auto,"
			       "noauto,user,user=me,users,defaults,x-a,x-systemd.automount=1,"
			       "X-b=c,comment=d,context=e:f,nonempty,async,default_permissions"),
			 EXIT_OK);
	assert_null(options.fuse);
	options_fini(&options);
}

static void mount_calls_us_with_letters_of_its_own(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, "/sbin/mount.xn", "/i /d -s -f -n -v -o odd,ro"), EXIT_OK);
	assert_true(options.helper && options.pretend && options.sloppy && options.verbose);
	assert_true(options.rdonly && !options.foreground);
	if (geteuid() == 0)
		assert_string_equal(options.fuse, "allow_other,suid,dev");
	options_fini(&options);
	assert_int_equal(parse(&options, "mount.fuse.xn", "/i /d -o odd"), EXIT_USAGE);
	assert_int_equal(parse(&options, "mount.xn", "/i /d -o remount,ro,nosuid,rw,noexec"),
			 EXIT_OK);
	assert_true(options.remount);
	assert_int_equal(options.remount_flags, MS_NOSUID | MS_NOEXEC);
	options_fini(&options);
}

static void the_source_is_named_from_everywhere(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, "xn-fuse", "/a/../i /d"), EXIT_OK);
	assert_string_equal(options.fsname, "/a/../i"); /* exactly as given */
	options_fini(&options);
	assert_int_equal(parse(&options, "xn-fuse", "i /d"), EXIT_OK);
	assert_true(options.fsname[0] == '/' && strlen(options.fsname) > 2);
	options_fini(&options);
	assert_int_equal(parse(&options, "xn-fuse", "nbd://host/x /d"), EXIT_OK);
	assert_string_equal(options.fsname, "nbd://host/x");
	options_fini(&options);
	assert_int_equal(parse(&options, "xn-fuse", "i /d -o fsname=a\\,b\\\\c"), EXIT_OK);
	assert_string_equal(options.fsname, "a,b\\c");
	options_fini(&options);
}

/* ---- the table of mounts ---- */

static void mounts_are_found_by_directory_and_by_source(void **state)
{
	struct mount_entry entry, same;

	(void)state;
	assert_int_equal(mounts_find("/proc", NULL, &entry), 0);
	assert_string_equal(entry.type, "proc");
	assert_int_equal(mounts_find(NULL, entry.source, &same), 0);
	assert_string_equal(same.source, entry.source);
	assert_int_equal(mounts_find("/proc", "no such source", &same), -ENOENT);
	assert_int_equal(mounts_find("/no/such/place", NULL, &same), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_number_gives_back_its_slot_and_inode),
		cmocka_unit_test(numbers_that_do_not_fit_are_refused),
		cmocka_unit_test(a_slot_names_its_own_instance_and_no_other),
		cmocka_unit_test(words_mean_what_the_help_says),
		cmocka_unit_test(words_that_make_no_sense_are_refused),
		cmocka_unit_test(generic_words_of_mount_are_swallowed),
		cmocka_unit_test(mount_calls_us_with_letters_of_its_own),
		cmocka_unit_test(the_source_is_named_from_everywhere),
		cmocka_unit_test(mounts_are_found_by_directory_and_by_source),
	};

	return cmocka_run_group_tests_name("bridge", tests, NULL, NULL);
}
