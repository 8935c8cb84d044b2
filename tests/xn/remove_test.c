/* SPDX-License-Identifier: MIT */
/*
 * Roots and templates that go again.
 */
#include "xn_fixture.h"

#include "t_types.h"

#define RW (XN_READ | XN_WRITE)

/* A second root "other" with a small tree; returns its object. */
static xn_blk_t given_other(struct fixture *fx, enum t_child type, xn_binding_t *binding)
{
	struct xn_root_spec spec = {
		.name = "other", .libfs = "test", .type = fx->type[type], .mode = 0600
	};
	xn_blk_t object;

	assert_ok(xn_root_create(fx->session, &spec, NULL));
	assert_ok(xn_bind_root(fx->session, "other", RW | XN_READIN, binding, &object));
	return object;
}

static void given_tree(struct fixture *fx, xn_blk_t object)
{
	xn_blk_t node = given_node(fx, object, 0, NULL);

	for (uint32_t i = 0; i < 10; i++)
		given_data(fx, node, i, i + 1, NULL);
	given_child(fx, object, 1, 6, T_PAIR);
	given_child(fx, object, 2, 5, T_RESERVED);
}

static int find_other(struct fixture *fx)
{
	struct xn_root_info info;

	return xn_root_find(fx->xn, "other", &info);
}

static void a_removed_root_gives_all_its_blocks_back(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);

	for (unsigned synced = 0; synced < 2; synced++) {
		xn_binding_t binding;
		xn_blk_t object = given_other(fx, T_NODE, &binding);

		given_tree(fx, object);
		if (synced)
			assert_ok(xn_sync(fx->session, 0));
		assert_ok(xn_root_remove(fx->session, "other"));
		assert_refused(find_other(fx), XN_ENOROOT);
		assert_true(free_blocks(fx) < before); /* nobody took it apart yet */
		assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
		assert_int_equal(free_blocks(fx), before);
		fixture_check(fx);
	}
	fixture_reopen(fx);
	assert_refused(find_other(fx), XN_ENOROOT);
	assert_int_equal(free_blocks(fx), before);
}

static void closing_takes_a_removed_root_apart(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	xn_binding_t binding;

	given_tree(fx, given_other(fx, T_NODE, &binding));
	assert_ok(xn_root_remove(fx->session, "other"));
	fixture_reopen(fx); /* the medium is checked, too */
	assert_int_equal(free_blocks(fx), before);
}

static void nobody_holds_anything_of_a_removed_root(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 0, XN_SESSION_ADMIN);
	xn_binding_t top, node, data, theirs, again;
	xn_blk_t object = given_other(fx, T_NODE, &top), block;
	uint8_t page[XN_BLOCK];
	struct request rq;
	const void *bytes;
	size_t len;

	block = given_node(fx, object, 0, &node);
	given_data(fx, block, 0, 1, &data);
	assert_ok(xn_bind_root(user, "other", RW | XN_READIN, &theirs, &block));
	assert_ok(xn_root_remove(fx->session, "other"));
	assert_refused(xn_map(fx->session, top, &bytes, &len), XN_ESTALE);
	assert_refused(xn_map(fx->session, node, &bytes, &len), XN_ESTALE);
	assert_refused(xn_map(user, theirs, &bytes, &len), XN_ESTALE);
	assert_refused(xn_read(fx->session, data, 0, page, 1), XN_ESTALE);
	assert_refused(xn_write(fx->session, data, 0, page, sizeof(page)), XN_ESTALE);
	assert_refused(xn_bind_root(fx->session, "other", RW, &again, &block), XN_ENOROOT);
	request_begin(&rq);
	request_word(&rq, object, 8, T_POINTER(given_free(fx, 1), 1, T_RESERVED));
	request_alloc(&rq, T_START(rq.words[0]), 1, XN_RESERVED);
	assert_request_refused(fx, &rq, XN_ENOTBOUND);
	assert_ok(xn_unbind(fx->session, top)); /* a stale one is given back as ever */
	assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
	assert_ok(xn_unbind(fx->session, node));
	assert_ok(xn_unbind(user, theirs));
	xn_session_close(user);
}

static void the_name_is_free_and_the_id_is_spent(void **state)
{
	struct fixture *fx = *state;
	struct xn_root_info first, second;
	xn_binding_t binding;

	given_other(fx, T_NODE, &binding);
	assert_ok(xn_root_find(fx->xn, "other", &first));
	assert_ok(xn_root_remove(fx->session, "other"));
	assert_refused(xn_sync(fx->session, first.id), XN_ENOROOT);
	given_other(fx, T_NODE, &binding);
	assert_ok(xn_root_find(fx->xn, "other", &second));
	assert_int_equal(second.id, first.id + 1);
	assert_ok(xn_root_remove(fx->session, "other"));
	fixture_reopen(fx);
	given_other(fx, T_NODE, &binding);
	assert_ok(xn_root_find(fx->xn, "other", &first));
	assert_int_equal(first.id, second.id + 1);
}

static void only_administrators_remove_roots_that_are_there(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *user = given_session(fx, 3, 0);

	assert_refused(xn_root_remove(user, "r"), XN_ECRED);
	assert_refused(xn_root_remove(fx->session, "nosuch"), XN_ENOROOT);
	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_refused(xn_root_remove(fx->session, "r"), XN_EREADONLY);
}

/* Of an object that was never written: what mkfs leaves when it is cut short. */
static void a_root_without_a_file_system_is_removed(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	struct xn_root_spec spec = {
		.name = "other", .libfs = "test", .type = fx->type[T_HEAD], .mode = 0600
	};

	assert_ok(xn_root_create(fx->session, &spec, NULL));
	fixture_crash(fx, 1);
	assert_ok(xn_root_remove(fx->session, "other"));
	assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
	assert_int_equal(free_blocks(fx), before);
}

/* Every state that a crash may leave obeys the law, and has the root whole or not at all. */
static void a_crash_leaves_the_root_whole_or_gone(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 12; seed++) {
		struct fixture *fx = fixture_new(1024, XN_CACHE_MIN);
		uint64_t before = free_blocks(fx);
		xn_binding_t binding;
		xn_blk_t object = given_other(fx, T_NODE, &binding);

		given_tree(fx, object);
		assert_ok(xn_sync(fx->session, 0));
		fixture_watch(fx, 3);
		assert_ok(xn_root_remove(fx->session, "other"));
		if (seed % 2)
			assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
		given_tree(fx, fx->root); /* takes the blocks that are free by now */
		if (seed % 3)
			assert_ok(xn_sync(fx->session, 0));
		crashdev_hook_set(fx->medium, NULL, NULL);
		fixture_crash(fx, seed);
		assert_refused(find_other(fx), XN_ENOROOT); /* it was removed for good */
		assert_true(free_blocks(fx) <= before);
		fixture_free(fx);
	}
}

static void a_failed_removal_leaves_the_root_there(void **state)
{
	(void)state;
	for (uint64_t nth = 1;; nth++) {
		struct fixture *fx = fixture_new(1024, XN_CACHE_MIN);
		struct bdev_fault fault = { .kind = BDEV_FAULT_FAIL,
					    .ops = 1u << BDEV_WRITE,
					    .nth = nth };
		xn_binding_t binding;
		xn_blk_t object = given_other(fx, T_NODE, &binding);
		int err;

		given_tree(fx, object);
		assert_ok(xn_sync(fx->session, 0));
		bdev_fault_arm(fx->dev, &fault);
		err = xn_root_remove(fx->session, "other");
		bdev_fault_disarm(fx->dev);
		if (err) {
			assert_int_equal(err, XN_EIO);
			assert_ok(find_other(fx));
			given_data(fx, object, 5, 7, NULL); /* bindings are good still */
			assert_ok(xn_sync(fx->session, 0));
		}
		fixture_crash(fx, 1);
		assert_int_equal(find_other(fx), err ? 0 : XN_ENOROOT);
		fixture_free(fx);
		if (nth > 3)
			return;
	}
}

/* Blocks of the old root that are dirty, in flight, or wait, while its name is taken anew. */
static void roots_come_and_go_for_long(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);

	for (unsigned round = 0; round < 40; round++) {
		xn_binding_t binding;
		xn_blk_t object = given_other(fx, T_NODE, &binding);

		given_tree(fx, object);
		if (round % 3 == 1)
			assert_ok(xn_sync(fx->session, 0));
		assert_ok(xn_root_remove(fx->session, "other"));
		if (round % 4 == 3)
			assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
		fixture_check(fx);
	}
	assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
	assert_ok(xn_sync(fx->session, 0));
	assert_in_range(free_blocks(fx), before - 20, before); /* the catalogue grew */
}

/* ---- templates ---- */

static struct xn_image image_of(unsigned k)
{
	return (struct xn_image){ t_types_image[k], t_types_image_len[k] };
}

static uint32_t given_template(struct xn_session *session)
{
	struct xn_image image = image_of(t_types_t_hostile);
	uint32_t id;

	assert_ok(xn_template_install(session, &image, 1, &id, NULL));
	return id;
}

static void a_template_that_nobody_uses_is_removed(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	uint32_t id = given_template(fx->session), again;
	struct xn_template_info info;

	assert_true(free_blocks(fx) < before);
	assert_ok(xn_template_remove(fx->session, id, NULL));
	assert_int_equal(free_blocks(fx), before);
	assert_refused(xn_template_info(fx->xn, id, &info), XN_ENOTEMPLATE);
	assert_refused(xn_template_remove(fx->session, id, NULL), XN_ENOTEMPLATE);
	again = given_template(fx->session);
	assert_int_equal(again, id + 1); /* ids are spent */
	fixture_reopen(fx);              /* its blocks' map is not read yet */
	assert_ok(xn_template_remove(fx->session, again, NULL));
	assert_int_equal(free_blocks(fx), before);
	fixture_reopen(fx);
	assert_int_equal(given_template(fx->session), id + 2);
}

static void assert_in_use(struct fixture *fx, uint32_t id, const char *by)
{
	struct xn_refusal why = { 0 };

	assert_refused(xn_template_remove(fx->session, id, &why), XN_EINUSE);
	if (!strstr(why.text, by))
		fail_msg("\"%s\" does not say \"%s\"", why.text, by);
}

static void a_template_in_use_stays(void **state)
{
	struct fixture *fx = *state;
	struct xn_template_info info;
	uint32_t id = given_template(fx->session);
	struct xn_root_spec spec = { .name = "other", .libfs = "test", .type = id, .mode = 0600 };

	assert_in_use(fx, fx->type[T_NODE], "root r is of template t.node");
	assert_in_use(fx, fx->type[T_PAIR], "root r"); /* its batch is */
	assert_ok(xn_root_create(fx->session, &spec, NULL));
	assert_in_use(fx, id, "root other is of template t.hostile");
	assert_ok(xn_root_remove(fx->session, "other"));
	assert_in_use(fx, id, "not reaped yet");
	assert_int_equal(xn_reap(fx->session, UINT64_MAX), 0);
	assert_ok(xn_template_remove(fx->session, id, NULL));
	assert_ok(xn_template_info(fx->xn, fx->type[T_NODE], &info));
}

/* Let child T_HOSTILE of an image be the installed template `id`. */
static void image_set_child(uint8_t *bytes, size_t len, uint64_t id)
{
	uint32_t child_off, crc = 0;

	memcpy(&child_off, bytes + 0x88, sizeof(child_off));
	memcpy(bytes + child_off + 8 * T_HOSTILE, &id, sizeof(id));
	memcpy(bytes + 0x10, &crc, sizeof(crc));
	crc = udf_crc32c(0, bytes, len);
	memcpy(bytes + 0x10, &crc, sizeof(crc));
}

static void a_child_of_another_template_stays(void **state)
{
	struct fixture *fx = *state;
	struct xn_image images[t_types_count];
	uint32_t leaf = given_template(fx->session), ids[t_types_count];
	uint8_t bytes[UDF_IMAGE_MAX];

	for (unsigned i = 0; i < t_types_count; i++)
		images[i] = image_of(i);
	memcpy(bytes, images[t_types_t_pair].bytes, images[t_types_t_pair].len);
	images[t_types_t_pair].bytes = bytes;
	image_set_child(bytes, images[t_types_t_pair].len, leaf);
	assert_ok(xn_template_install(fx->session, images, t_types_count, ids, NULL));
	assert_in_use(fx, leaf, "t.pair may own objects of template t.hostile");
	assert_ok(xn_template_remove(fx->session, ids[0], NULL));
	assert_ok(xn_template_remove(fx->session, leaf, NULL));
}

static void who_installed_it_may_remove_it(void **state)
{
	struct fixture *fx = *state;
	struct xn_session *owner = given_session(fx, 8, 0), *other = given_session(fx, 9, 0);
	uint32_t id = given_template(owner);

	assert_refused(xn_template_remove(other, id, NULL), XN_ECRED);
	assert_ok(xn_template_remove(owner, id, NULL));
	id = given_template(owner);
	assert_ok(xn_template_remove(fx->session, id, NULL));
	id = given_template(owner);
	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	assert_refused(xn_template_remove(fx->session, id, NULL), XN_EREADONLY);
}

/* A whole batch under way, and the power goes at every write: all of it goes, or none. */
static void a_batch_is_removed_whole_or_not_at_all(void **state)
{
	(void)state;
	for (uint64_t nth = 1; nth < 50; nth += 3) {
		struct fixture *fx = fixture_new(1024, XN_CACHE_MIN);
		struct bdev_fault fault = { .kind = BDEV_FAULT_UNKNOWN,
					    .ops = 1u << BDEV_WRITE,
					    .nth = nth };
		struct xn_image images[t_types_count];
		uint32_t ids[t_types_count], there = 0;
		struct xn_template_info info;
		uint64_t with, size = 0;
		int err;

		for (unsigned i = 0; i < t_types_count; i++) /* the same, the other way round */
			images[i] = image_of(t_types_count - 1 - i);
		for (unsigned i = 0; i < t_types_count; i++)
			size += (images[i].len + XN_BLOCK - 1) / XN_BLOCK;
		assert_ok(xn_template_install(fx->session, images, t_types_count, ids, NULL));
		with = free_blocks(fx);
		bdev_fault_arm(fx->dev, &fault);
		err = xn_template_remove(fx->session, ids[2], NULL);
		bdev_fault_disarm(fx->dev);
		assert_true(err == 0 || err == XN_EUNKNOWN);
		fixture_crash(fx, nth % 2);
		for (unsigned i = 0; i < t_types_count; i++)
			there += xn_template_info(fx->xn, ids[i], &info) == 0;
		assert_true(there == t_types_count || there == 0);
		assert_true(err != 0 || there == 0);
		/* What was begun is finished: no image is kept for nobody. */
		assert_int_equal(free_blocks(fx), there ? with : with + size);
		fixture_free(fx);
	}
}

static void an_unreadable_template_may_name_any(void **state)
{
	struct fixture *fx = *state;
	uint32_t id = given_template(fx->session);
	struct xn_template_entry entry;
	struct xn_super super;
	const uint8_t *sector;
	uint8_t byte = 0xff;

	fixture_close(fx);
	assert_ok(xn_super_decode((const void *)crashdev_now(fx->medium), &super));
	sector = crashdev_now(fx->medium) + super.catalogue[XN_CAT_TEMPLATES] * XN_BLOCK +
		 XN_SECTOR_SIZE;
	assert_ok(xn_template_entry_decode(&super, 0, sector, &entry));
	fixture_poke(fx, entry.image_start, entry.image_len - 1, &byte, 1);
	fx->expect_damage = true;
	fx->root = 0;
	fixture_open(fx);
	assert_refused(xn_template_remove(fx->session, id, NULL), XN_EDAMAGED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_removed_root_gives_all_its_blocks_back),
		TEST(closing_takes_a_removed_root_apart),
		TEST(nobody_holds_anything_of_a_removed_root),
		TEST(the_name_is_free_and_the_id_is_spent),
		TEST(only_administrators_remove_roots_that_are_there),
		TEST(a_root_without_a_file_system_is_removed),
		cmocka_unit_test(a_crash_leaves_the_root_whole_or_gone),
		cmocka_unit_test(a_failed_removal_leaves_the_root_there),
		TEST(roots_come_and_go_for_long),
		TEST(a_template_that_nobody_uses_is_removed),
		TEST(a_template_in_use_stays),
		TEST(a_child_of_another_template_stays),
		TEST(who_installed_it_may_remove_it),
		cmocka_unit_test(a_batch_is_removed_whole_or_not_at_all),
		TEST(an_unreadable_template_may_name_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
