/* SPDX-License-Identifier: MIT */
/* Media that take no less than 4096 bytes at once: structures of one sector live there, too. */
#include <errno.h>
#include <string.h>

#include "coarsedev.h"
#include "xn_fixture.h"

#define RW (XN_READ | XN_WRITE)

static struct bdev *given_medium(void)
{
	struct bdev *below, *dev;

	assert_ok(bdev_mem_create(8u << 20, &below));
	assert_ok(coarsedev_create(below, &dev));
	return dev;
}

static void parts_of_blocks_are_read_and_written(void **state)
{
	struct bdev *dev = given_medium();
	uint8_t bytes[6 * BDEV_SECTOR], got[3 * XN_BLOCK], wanted[3 * XN_BLOCK];

	(void)state;
	memset(wanted, 0x11, sizeof(wanted));
	assert_ok(bdev_write(dev, 0, wanted, sizeof(wanted), 0));
	for (unsigned from = 0; from < 17; from++) {
		for (unsigned n = 1; n <= 6; n++) {
			memset(bytes, (int)(from * 8 + n), sizeof(bytes));
			memcpy(wanted + from * BDEV_SECTOR, bytes, n * BDEV_SECTOR);
			assert_ok(bdev_write(dev, from * BDEV_SECTOR, bytes, n * BDEV_SECTOR, 0));
			assert_ok(bdev_read(dev, 0, got, sizeof(got)));
			assert_memory_equal(got, wanted, sizeof(got));
			assert_ok(bdev_read(dev, from * BDEV_SECTOR, got, n * BDEV_SECTOR));
			assert_memory_equal(got, bytes, n * BDEV_SECTOR);
		}
	}
	assert_refused(bdev_write(dev, 1, bytes, BDEV_SECTOR, 0), -EINVAL);
	assert_refused(bdev_write(dev, (8u << 20) - BDEV_SECTOR, bytes, 2 * BDEV_SECTOR, 0),
		       -EINVAL);
	bdev_close(dev);
}

static void open_on(struct fixture *fx, struct bdev *dev, uint32_t flags)
{
	struct xn_open_opts opts = { .flags = flags | XN_OPEN_BORROW_DEV };
	struct xn_cred cred = { 0 };

	assert_ok(xn_open_dev(dev, &opts, &fx->xn));
	assert_ok(xn_session_open(fx->xn, &cred, XN_SESSION_ADMIN, &fx->session));
}

static uint64_t root_word(struct fixture *fx)
{
	const void *bytes;
	uint64_t word;
	size_t len;

	assert_ok(
		xn_bind_root(fx->session, "r", XN_READ | XN_READIN, &fx->root_binding, &fx->root));
	assert_ok(xn_map(fx->session, fx->root_binding, &bytes, &len));
	memcpy(&word, (const uint8_t *)bytes + T_NODE_RAW, sizeof(word));
	return word;
}

/* Format, catalogues, log, replay, checkpoint: all that writes single sectors. */
static void a_disk_lives_on_such_a_medium(void **state)
{
	struct bdev *dev = given_medium();
	struct xn_format_opts format = { .label = "coarse" };
	struct xn_root_spec spec = { .name = "r", .libfs = "test", .mode = 0666 };
	struct xn_root_info info;
	struct fixture fx = { .dev = dev };
	struct request rq;
	char text[400];
	xn_blk_t node;

	(void)state;
	assert_ok(xn_format(dev, &format));
	open_on(&fx, dev, XN_OPEN_RDWR);
	install_types(fx.session, fx.type);
	spec.type = fx.type[T_NODE];
	assert_ok(xn_root_create(fx.session, &spec, &info));
	assert_ok(xn_bind_root(fx.session, "r", RW | XN_READIN, &fx.root_binding, &fx.root));
	node = given_node(&fx, fx.root, 0, NULL);
	assert_ok(xn_sync(fx.session, 0));
	for (uint64_t i = 1; i <= 40; i++) {
		request_begin(&rq);
		rq.update.flags = XN_ATOMIC;
		request_word(&rq, fx.root, T_NODE_RAW, i);
		request_word(&rq, node, T_NODE_RAW, i);
		assert_ok(request_run(&rq, fx.session));
		assert_ok(xn_sync(fx.session, 0));
	}
	xn_abandon(fx.xn);
	open_on(&fx, dev, XN_OPEN_RDONLY);
	assert_int_equal(root_word(&fx), 40);
	assert_ok(xn_close(fx.xn));
	open_on(&fx, dev, XN_OPEN_RDWR);
	assert_int_equal(root_word(&fx), 40);
	assert_ok(xn_close(fx.xn));
	assert_null(fsck_complaint(dev, text, sizeof(text)));
	bdev_close(dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_of_blocks_are_read_and_written),
		cmocka_unit_test(a_disk_lives_on_such_a_medium),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
