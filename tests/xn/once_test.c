/* SPDX-License-Identifier: MIT */
/*
 * A request is read once: what its caller changes while XN is at work is not seen.
 * Functions that check a request change it as soon as they have looked.
 */
#include "xn_fixture.h"

#include "k_types.h"
#include "udf/udf.h"

int __real_udf_template_load(const void *image, size_t len, struct udf_template **out,
			     struct udf_refusal *why);
int __wrap_udf_template_load(const void *image, size_t len, struct udf_template **out,
			     struct udf_refusal *why);
bool __real_xn_root_name_ok(const char *name);
bool __wrap_xn_root_name_ok(const char *name);

/* Whose memory changes behind XN's back; NULL: nobody's. */
static struct xn_image *images;
static struct xn_root_spec *spec;

int __wrap_udf_template_load(const void *image, size_t len, struct udf_template **out,
			     struct udf_refusal *why)
{
	int err = __real_udf_template_load(image, len, out, why);

	if (images)
		memset((void *)(uintptr_t)images[0].bytes, 0x55, images[0].len);
	return err;
}

bool __wrap_xn_root_name_ok(const char *name)
{
	bool ok = __real_xn_root_name_ok(name);

	if (spec) {
		memset((char *)(uintptr_t)spec->name, 'x', 200);
		spec->type = 99999;
		spec->flags = 0;
	}
	return ok;
}

static void the_template_installed_is_the_one_that_was_checked(void **state)
{
	struct fixture *fx = *state;
	uint8_t *bytes = malloc(k_types_image_len[0]);
	struct xn_image image = { bytes, k_types_image_len[0] };
	uint8_t *stored = malloc(image.len);
	struct xn_disk_info info;
	uint32_t id;
	size_t len;

	assert_true(bytes && stored);
	assert_int_equal(k_types_count, 1);
	memcpy(bytes, k_types_image[0], image.len);
	images = &image;
	assert_ok(xn_template_install(fx->session, &image, 1, &id, NULL));
	images = NULL;
	assert_int_equal(bytes[0], 0x55);
	fixture_reopen(fx);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_false(info.damaged);
	assert_ok(xn_template_image(fx->xn, id, stored, image.len, &len));
	assert_int_equal(len, image.len);
	assert_memory_equal(stored, k_types_image[0], len);
	free(bytes);
	free(stored);
}

/* Not even its name is another; and who may only have a scratch root gets no other. */
static void the_root_made_is_the_one_that_was_checked(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 7, 0);
	char name[256] = "branch";
	struct xn_root_spec wanted = { .name = name,
				       .libfs = "test",
				       .type = fx->type[T_NODE],
				       .flags = XN_ROOT_SCRATCH,
				       .scratch_of = fx->root_id,
				       .uid = 7 };
	struct xn_root_info info, found;
	xn_binding_t binding;
	xn_blk_t object;

	assert_ok(xn_bind_root(user, "r", XN_READ | XN_WRITE, &binding, &object));
	spec = &wanted;
	assert_ok(xn_root_create(user, &wanted, &info));
	spec = NULL;
	assert_int_equal(name[0], 'x');
	assert_string_equal(info.name, "branch");
	assert_int_equal(info.flags, XN_ROOT_SCRATCH);
	assert_ok(xn_root_find(fx->xn, "branch", &found));
	assert_int_equal(found.type, fx->type[T_NODE]);
	xn_session_close(user);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_template_installed_is_the_one_that_was_checked),
		TEST(the_root_made_is_the_one_that_was_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
