/* SPDX-License-Identifier: MIT */
/*
 * Installing templates, and finding them.
 */
#include "xn_fixture.h"

#include <errno.h>

#include "t_types.h"

static struct xn_image image_of(unsigned k)
{
	return (struct xn_image){ t_types_image[k], t_types_image_len[k] };
}

static void the_same_batch_is_found_not_installed_again(void **state)
{
	struct fixture *fx = *state;
	uint64_t before = free_blocks(fx);
	uint32_t type[T_CHILDREN];

	install_types(fx->session, type);
	for (unsigned i = 0; i < T_CHILDREN; i++)
		assert_int_equal(type[i], fx->type[i]);
	assert_int_equal(free_blocks(fx), before);
	fixture_reopen(fx);
	install_types(fx->session, type);
	for (unsigned i = 0; i < T_CHILDREN; i++)
		assert_int_equal(type[i], fx->type[i]);
}

static void a_part_of_a_batch_is_another_batch(void **state)
{
	struct fixture *fx = *state;
	struct xn_image image = image_of(t_types_t_hostile);
	struct xn_template_info info;
	uint32_t id, again;

	assert_ok(xn_template_install(fx->session, &image, 1, &id, NULL));
	assert_int_not_equal(id, fx->type[T_HOSTILE]);
	assert_ok(xn_template_install(fx->session, &image, 1, &again, NULL));
	assert_int_equal(id, again);
	assert_ok(xn_template_info(fx->xn, id, &info));
	assert_int_equal(info.batch_first, id);
	assert_int_equal(info.batch_count, 1);
	assert_ok(xn_template_find(fx->xn, "t.hostile", &again));
	assert_int_equal(again, id); /* the newest of that name */
}

static void children_are_resolved(void **state)
{
	struct fixture *fx = *state;
	uint32_t type;

	for (unsigned i = 0; i < T_CHILDREN; i++) {
		assert_ok(xn_template_child(fx->xn, fx->type[T_NODE], i, &type));
		assert_int_equal(type, fx->type[i]); /* itself, and others of the batch */
		assert_ok(xn_template_child(fx->xn, fx->type[T_PAIR], i, &type));
		assert_int_equal(type, fx->type[i]);
	}
	assert_refused(xn_template_child(fx->xn, fx->type[T_NODE], T_CHILDREN, &type), -ERANGE);
	assert_refused(xn_template_child(fx->xn, 9999, 0, &type), XN_ENOTEMPLATE);
}

static void templates_are_told_as_they_are(void **state)
{
	struct fixture *fx = *state;
	struct xn_template_info info;
	uint8_t bytes[UDF_IMAGE_MAX];
	uint32_t id = 0;
	unsigned n = 0;
	size_t len;

	assert_ok(xn_template_info(fx->xn, fx->type[T_PAIR], &info));
	assert_string_equal(info.name, "t.pair");
	assert_int_equal(info.obj_size, 8192);
	assert_int_equal(info.rec_size, 8);
	assert_int_equal(info.rec_count, T_PAIR_RECORDS);
	assert_int_equal(info.image_len, t_types_image_len[t_types_t_pair]);
	assert_int_equal(info.batch_count, t_types_count);
	assert_int_equal(info.installer, 0);
	assert_ok(xn_template_image(fx->xn, fx->type[T_PAIR], bytes, sizeof(bytes), &len));
	assert_int_equal(len, info.image_len);
	assert_memory_equal(bytes, t_types_image[t_types_t_pair], len);
	memset(bytes, 0, sizeof(bytes));
	assert_ok(xn_template_image(fx->xn, fx->type[T_PAIR], bytes, 10, &len));
	assert_int_equal(len, info.image_len);
	assert_int_equal(bytes[10], 0);
	for (info.id = 0; xn_template_next(fx->xn, info.id, &info) == 0; n++) {
		assert_true(info.id > id);
		id = info.id;
	}
	assert_int_equal(n, t_types_count);
	assert_refused(xn_template_info(fx->xn, 3, &info), XN_ENOTEMPLATE);
	assert_refused(xn_template_find(fx->xn, "t.nosuch", &id), XN_ENOTEMPLATE);
	assert_refused(xn_template_image(fx->xn, 3, bytes, 1, &len), XN_ENOTEMPLATE);
}

static void templates_survive_a_crash_right_after(void **state)
{
	struct fixture *fx = *state;
	struct xn_image image = image_of(t_types_t_hostile);
	struct xn_template_info info;
	uint32_t id;

	fixture_watch(fx, 6);
	assert_ok(xn_template_install(fx->session, &image, 1, &id, NULL));
	crashdev_hook_set(fx->medium, NULL, NULL);
	fixture_crash(fx, 1);
	assert_ok(xn_template_info(fx->xn, id, &info));
	assert_string_equal(info.name, "t.hostile");
}

/* At every moment of installing a batch: all of it is there, or none can be used. */
static void a_batch_is_there_whole_or_not_at_all(void **state)
{
	(void)state;
	for (uint64_t nth = 1; nth < 60; nth += 2) {
		struct fixture *fx = fixture_new(1024, XN_CACHE_MIN);
		struct bdev_fault fault = {
			.kind = BDEV_FAULT_UNKNOWN, .ops = 1u << BDEV_WRITE, .nth = nth, .seed = nth
		};
		struct xn_image images[3] = { image_of(t_types_t_hostile),
					      image_of(t_types_t_hostile),
					      image_of(t_types_t_hostile) };
		struct xn_template_info info;
		uint32_t ids[3], id = 0, found = 0;
		uint64_t fired;
		int err;

		bdev_fault_arm(fx->dev, &fault);
		err = xn_template_install(fx->session, images, 3, ids, NULL);
		fired = bdev_fault_disarm(fx->dev);
		assert_refused(err, fired ? XN_EUNKNOWN : 0);
		fixture_crash(fx, nth);
		for (info.id = 0; xn_template_next(fx->xn, id, &info) == 0; id = info.id)
			found += info.id > fx->type[T_HOSTILE];
		assert_true(found == 0 || found == 3);
		assert_ok(xn_template_install(fx->session, images, 3, ids, NULL));
		assert_true(ids[0] > fx->type[T_HOSTILE]); /* no number is used twice */
		fixture_free(fx);
		if (!fired)
			return;
	}
}

static void images_of_nonsense_are_refused(void **state)
{
	struct fixture *fx = *state;
	size_t len = t_types_image_len[t_types_t_node];
	uint8_t *bytes = malloc(len);
	struct xn_refusal why = { 0 };
	struct xn_image image = { bytes, len };
	uint64_t before = free_blocks(fx), seed = 9;
	uint32_t id;

	assert_non_null(bytes);
	for (unsigned i = 0; i < 300; i++) {
		memcpy(bytes, t_types_image[t_types_t_node], len);
		bytes[chance(&seed) % len] ^= (uint8_t)(1u << chance(&seed) % 8);
		assert_refused(xn_template_install(fx->session, &image, 1, &id, &why),
			       XN_ETEMPLATE);
		assert_true(why.text[0] != '\0');
	}
	memcpy(bytes, t_types_image[t_types_t_node], len);
	image.len = len - 1;
	assert_refused(xn_template_install(fx->session, &image, 1, &id, &why), XN_ETEMPLATE);
	image.len = 0;
	assert_refused(xn_template_install(fx->session, &image, 1, &id, &why), XN_ETEMPLATE);
	image.len = UDF_IMAGE_MAX + 1;
	assert_refused(xn_template_install(fx->session, &image, 1, &id, &why), XN_ETEMPLATE);
	image = (struct xn_image){ NULL, 100 };
	assert_refused(xn_template_install(fx->session, &image, 1, &id, &why), XN_ETEMPLATE);
	assert_refused(xn_template_install(fx->session, &image, 0, &id, &why), -EINVAL);
	assert_int_equal(free_blocks(fx), before);
	free(bytes);
}

/* t.node's children are its batch; alone it names templates that nobody brought. */
static void children_that_are_not_there_are_refused(void **state)
{
	struct fixture *fx = *state;
	struct xn_image image = image_of(t_types_t_node);
	struct xn_refusal why = { 0 };
	uint32_t id;

	assert_refused(xn_template_install(fx->session, &image, 1, &id, &why), XN_ENOTEMPLATE);
	assert_non_null(strstr(why.text, "t.node"));
}

static void a_read_only_disk_finds_but_does_not_install(void **state)
{
	struct fixture *fx = *state;
	struct xn_image image = image_of(t_types_t_hostile);
	uint32_t type[T_CHILDREN], id;

	fixture_close(fx);
	fixture_open_as(fx, XN_OPEN_RDONLY);
	install_types(fx->session, type);
	assert_int_equal(type[T_NODE], fx->type[T_NODE]);
	assert_refused(xn_template_install(fx->session, &image, 1, &id, NULL), XN_EREADONLY);
}

static void a_full_disk_installs_nothing(void **state)
{
	struct fixture *fx = *state;
	struct xn_image image = image_of(t_types_t_hostile);
	struct xn_extent found;
	uint32_t id, record = 0;

	while (xn_find_free(fx->session, 0, 200, 1, &found) == 0) {
		struct request rq;

		request_begin(&rq);
		request_word(&rq, fx->root, 8 * record++,
			     T_POINTER(found.start, found.count, T_RESERVED));
		request_alloc(&rq, found.start, found.count, XN_RESERVED);
		assert_ok(request_run(&rq, fx->session));
	}
	assert_refused(xn_template_install(fx->session, &image, 1, &id, NULL), XN_ENOSPACE);
}

/* An image rotten on disk is no template, and says so; what is of that type cannot be bound. */
static void an_image_damaged_on_disk_is_not_believed(void **state)
{
	struct fixture *fx = *state;
	struct xn_template_entry entry;
	struct xn_template_info info;
	struct xn_disk_info disk;
	uint8_t byte = 0xff;

	fixture_close(fx);
	{
		struct xn_super super;
		const uint8_t *medium = crashdev_now(fx->medium);
		const uint8_t *sector;

		assert_ok(xn_super_decode((const void *)medium, &super));
		sector = medium + super.catalogue[XN_CAT_TEMPLATES] * XN_BLOCK + XN_SECTOR_SIZE;
		assert_ok(xn_template_entry_decode(&super, 0, sector, &entry));
	}
	fixture_poke(fx, entry.image_start, entry.image_len - 1, &byte, 1);
	fx->expect_damage = true;
	fx->root = 0; /* its type is gone, with its batch */
	fixture_open(fx);
	assert_refused(xn_template_info(fx->xn, fx->type[T_NODE], &info), XN_ENOTEMPLATE);
	assert_ok(xn_disk_info(fx->xn, &disk));
	assert_true(disk.damaged);
}

/* The i-th block of the chain, and its twin next to it; round the second chunk's map. */
static xn_blk_t chain_place(uint64_t i)
{
	return 1000 + 2 * i < XN_CHUNK_BLOCKS ? 1000 + 2 * i : 1100 + 2 * i;
}

/* Write a chain of catalogue blocks that has room for every template there may be. */
static void given_longest_catalogue(struct bdev *dev)
{
	uint64_t n = XN_TEMPLATES_MAX / XN_CAT_ENTRIES_BLOCK + 1;
	uint8_t block[XN_BLOCK];
	struct xn_super_disk disk;
	struct xn_super super;

	assert_ok(bdev_read(dev, 0, &disk, sizeof(disk)));
	assert_ok(xn_super_decode(&disk, &super));
	for (uint64_t i = 0; i < n; i++) {
		struct xn_cat_link link = {
			.kind = XN_CAT_TEMPLATES,
			.index = (uint32_t)i,
			.seq = 2,
			.self = i ? chain_place(i) : super.catalogue[XN_CAT_TEMPLATES],
			.twin = i ? chain_place(i) + 1 : super.twin[XN_CAT_TEMPLATES],
			.next = i + 1 < n ? chain_place(i + 1) : 0,
			.next_twin = i + 1 < n ? chain_place(i + 1) + 1 : 0,
		};

		memset(block, 0, sizeof(block));
		xn_cat_link_encode(&super, &link, block);
		if (i + 1 == n) /* the last slot was used, for what nobody can read now */
			memset(block + (1 + (XN_TEMPLATES_MAX - 1) % XN_CAT_ENTRIES_BLOCK) *
					       XN_SECTOR_SIZE,
			       0x55, XN_SECTOR_SIZE);
		assert_ok(bdev_write(dev, link.self * XN_BLOCK, block, sizeof(block), 0));
		assert_ok(bdev_write(dev, link.twin * XN_BLOCK, block, sizeof(block), 0));
	}
}

static void a_full_catalogue_takes_no_more(void **state)
{
	struct xn_open_opts opts = { .flags = XN_OPEN_RDWR | XN_OPEN_BORROW_DEV };
	struct xn_format_opts format = { .label = "full" };
	struct xn_image image = image_of(t_types_t_hostile);
	struct xn_refusal why = { 0 };
	struct xn_session *session;
	struct xn_cred cred = { 0 };
	struct bdev *dev;
	struct xn *xn;
	uint32_t id;

	(void)state;
	assert_ok(bdev_mem_create(32768 * (uint64_t)XN_BLOCK, &dev));
	assert_ok(xn_format(dev, &format));
	given_longest_catalogue(dev);
	assert_ok(xn_open_dev(dev, &opts, &xn));
	assert_ok(xn_session_open(xn, &cred, XN_SESSION_ADMIN, &session));
	assert_refused(xn_template_install(session, &image, 1, &id, &why), XN_EFULLCATALOGUE);
	assert_true(why.text[0] != '\0');
	xn_abandon(xn);
	bdev_close(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_batch_is_found_not_installed_again),
		TEST(a_part_of_a_batch_is_another_batch),
		TEST(children_are_resolved),
		TEST(templates_are_told_as_they_are),
		TEST(templates_survive_a_crash_right_after),
		cmocka_unit_test(a_batch_is_there_whole_or_not_at_all),
		TEST(images_of_nonsense_are_refused),
		TEST(children_that_are_not_there_are_refused),
		TEST(a_read_only_disk_finds_but_does_not_install),
		TEST(a_full_disk_installs_nothing),
		TEST(an_image_damaged_on_disk_is_not_believed),
		cmocka_unit_test(a_full_catalogue_takes_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
