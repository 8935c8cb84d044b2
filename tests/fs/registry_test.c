/* SPDX-License-Identifier: MIT */
/* Which LibFSes are found: built in, from shared objects, and what is refused. */
#include "fs_fixture.h"

#include "libfs/check.h"

static void path_is(const char *path)
{
	assert_int_equal(setenv("XN_LIBFS_PATH", path, 1), 0);
}

static void simplefs_is_built_in(void **state)
{
	const struct libfs_type *type = NULL;
	bool listed = false;

	(void)state;
	for (unsigned i = 0; libfs_builtin(i); i++)
		listed |= strcmp(libfs_builtin(i)->name, "simplefs") == 0;
	assert_true(listed);
	assert_null(libfs_builtin(1000));
	assert_ok(libfs_find_type("simplefs", &type));
	assert_string_equal(type->name, "simplefs");
	assert_true(type->about[0] != '\0');
	assert_ptr_equal(type->checker, libfs_checker_find("simplefs"));
	assert_null(libfs_checker_find("nosuchfs"));
}

static void one_built_in_is_the_default(void **state)
{
	const struct libfs_type *type;
	unsigned marked = 0;

	(void)state;
	for (unsigned i = 0; (type = libfs_builtin(i)); i++)
		marked += (type->features & LIBFS_IS_DEFAULT) != 0;
	assert_int_equal(marked, 1);
	assert_true(libfs_default()->features & LIBFS_IS_DEFAULT);
	assert_string_equal(libfs_default()->name, "cffs");
}

static void names_from_a_disk_cannot_leave_the_folders(void **state)
{
	static const char *const bad[] = { "",         "../simplefs",
					   "a/b",      "Simplefs",
					   "a.so",     "with blank",
					   "\xc3\xa4", "a-name-that-is-far-too-long-to-be-one" };
	const struct libfs_type *type;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_refused(libfs_find_type(bad[i], &type), -EINVAL);
		assert_null(type);
	}
}

static void a_shared_object_is_found_by_its_name(void **state)
{
	const struct libfs_type *type, *again;

	(void)state;
	path_is("/nonexistent::" PLUGIN_DIR ":/tmp");
	assert_ok(libfs_find_type("hello", &type));
	assert_string_equal(type->name, "hello");
	assert_ok(libfs_find_type("hello", &again));
	assert_ptr_equal(type, again);
	path_is("/nonexistent");
	assert_refused(libfs_find_type("hello", &type), -ENOENT);
}

static void what_is_no_libfs_is_refused(void **state)
{
	const struct libfs_type *type;

	(void)state;
	path_is(PLUGIN_DIR);
	assert_refused(libfs_find_type("text", &type), -ELIBBAD);
	assert_refused(libfs_find_type("liar", &type), -ELIBBAD);
	assert_null(type);
	assert_refused(libfs_find_type("absent", &type), -ENOENT);
}

static void why_a_type_is_not_found_is_said(void **state)
{
	const struct libfs_type *type;
	char why[512];

	(void)state;
	path_is(PLUGIN_DIR);
	assert_refused(libfs_find_type_why("text", &type, why, sizeof(why)), -ELIBBAD);
	assert_non_null(strstr(why, "\"text\" cannot be loaded: "));
	assert_refused(libfs_find_type_why("liar", &type, why, sizeof(why)), -ELIBBAD);
	assert_non_null(strstr(why, "is no LibFS called \"liar\""));
	assert_refused(libfs_find_type_why("absent", &type, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "no LibFS is called \"absent\"; there are: cffs, simplefs"));
	assert_refused(libfs_find_type_why("../text", &type, why, sizeof(why)), -EINVAL);
	assert_refused(libfs_find_type_why("text", &type, NULL, 0), -ELIBBAD);
}

/* A root that records it is mounted by it. */
static void a_root_of_a_shared_object_can_be_mounted(void **state)
{
	struct fx_opts opts = { .libfs = "simplefs" };
	struct fx *fx = fx_new(&opts);
	struct libfs_mount_opts mount = { .root = "greeting" };
	struct xn_root_spec spec = { .name = "greeting", .libfs = "hello", .mode = 0600 };
	struct xn_root_info root;
	struct libfs_attr a;
	struct libfs *fs;
	char why[200] = "";

	(void)state;
	assert_ok(xn_root_find(fx->xn, "test", &root));
	spec.type = root.type;
	assert_ok(xn_root_create(fx->session, &spec, &root));
	path_is(PLUGIN_DIR);
	assert_ok(libfs_mount(fx->session, &mount, &fs));
	assert_ok(libfs_getattr(fs, fx_ctx(fx), LIBFS_ROOT_INO, &a));
	assert_int_equal(a.mode, S_IFDIR | 0555);
	assert_refused(libfs_sync(fs), -ENOSYS);
	assert_ok(libfs_unmount(fs));
	path_is("/nonexistent");
	mount.why = why;
	mount.why_size = sizeof(why);
	assert_refused(libfs_mount(fx->session, &mount, &fs), -ENOENT);
	assert_non_null(strstr(why, "hello"));
	fx_fini(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(simplefs_is_built_in),
		cmocka_unit_test(one_built_in_is_the_default),
		cmocka_unit_test(names_from_a_disk_cannot_leave_the_folders),
		cmocka_unit_test(a_shared_object_is_found_by_its_name),
		cmocka_unit_test(what_is_no_libfs_is_refused),
		cmocka_unit_test(why_a_type_is_not_found_is_said),
		cmocka_unit_test(a_root_of_a_shared_object_can_be_mounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
