/* SPDX-License-Identifier: MIT */
#include "xn_fixture.h"

#include "fsck/fsck.h"
#include "t_types.h"

/* ---- disk ---- */

void install_types(struct xn_session *session, uint32_t type[T_CHILDREN])
{
	struct xn_image images[t_types_count];
	struct xn_refusal why = { 0 };
	uint32_t ids[t_types_count];
	int err;

	for (unsigned i = 0; i < t_types_count; i++)
		images[i] = (struct xn_image){ t_types_image[i], t_types_image_len[i] };
	err = xn_template_install(session, images, t_types_count, ids, &why);
	if (err)
		print_error("%s\n", why.text);
	assert_ok(err);
	type[T_DATA] = XN_DATA;
	type[T_RESERVED] = XN_RESERVED;
	for (unsigned i = 0; i < t_types_count; i++)
		type[T_NODE + i] = ids[i];
}

void fixture_open(struct fixture *fx)
{
	fixture_open_as(fx, XN_OPEN_RDWR);
}

void fixture_open_as(struct fixture *fx, uint32_t flags)
{
	uint32_t access = XN_READ | XN_READIN | (flags & XN_OPEN_RDWR ? XN_WRITE : 0);
	char why[200] = "";
	struct xn_open_opts opts = { .flags = flags | XN_OPEN_BORROW_DEV,
				     .cache_bytes = fx->cache_bytes,
				     .why = why,
				     .why_size = sizeof(why) };
	struct xn_cred cred = { 0 };
	int err;

	bdev_check_reset(fx->rules);
	err = xn_open_dev(fx->dev, &opts, &fx->xn);
	if (err)
		print_error("%s\n", why);
	assert_ok(err);
	assert_ok(xn_session_open(fx->xn, &cred, XN_SESSION_ADMIN, &fx->session));
	fx->root_binding = 0;
	if (!fx->root)
		return;
	err = xn_bind_root(fx->session, "r", access, &fx->root_binding, &fx->root);
	if (err == XN_EOBJDAMAGED && fx->expect_damage)
		err = xn_bind_root(fx->session, "r", XN_READ | XN_READIN, &fx->root_binding,
				   &fx->root);
	assert_ok(err);
}

void fixture_poke(struct fixture *fx, xn_blk_t block, uint32_t offset, const void *bytes,
		  size_t len)
{
	memcpy(crashdev_now(fx->medium) + block * XN_BLOCK + offset, bytes, len);
	/* Stable, too. */
	assert_ok(bdev_write(fx->medium, block * XN_BLOCK,
			     crashdev_now(fx->medium) + block * XN_BLOCK, XN_BLOCK, 0));
	assert_ok(bdev_flush(fx->medium));
}

struct fixture *fixture_new(uint64_t blocks, uint64_t cache_bytes)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	struct xn_format_opts format = { .label = "test", .force = true };
	struct xn_root_spec spec = {
		.name = "r", .libfs = "test", .mode = 0666, .now_ns = 1, .reserve = 0
	};
	struct xn_root_info info;

	assert_non_null(fx);
	fx->cache_bytes = cache_bytes;
	assert_ok(crashdev_create(blocks * XN_BLOCK, &fx->medium));
	assert_ok(bdev_check_create(fx->medium, &fx->rules));
	assert_ok(bdev_fault_create(fx->rules, &fx->dev));
	assert_ok(xn_format(fx->dev, &format));
	fixture_open(fx);
	install_types(fx->session, fx->type);
	spec.type = fx->type[T_NODE];
	assert_ok(xn_root_create(fx->session, &spec, &info));
	fx->root_id = info.id;
	assert_ok(xn_bind_root(fx->session, "r", XN_READ | XN_WRITE | XN_READIN, &fx->root_binding,
			       &fx->root));
	return fx;
}

void fixture_check(struct fixture *fx)
{
	char text[200] = "";

	if (xn_self_check(fx->xn, text, sizeof(text)))
		fail_msg("%s", text);
}

/* The roots of these tests are nobody's whose checker fsck could call. */
const struct libfs_checker *libfs_checker_find(const char *name)
{
	(void)name;
	return NULL;
}

const char *fsck_complaint(struct bdev *dev, char *text, size_t size)
{
	struct fsck_opts opts = { .mode = CHECK_LOOK, .force = true, .progress_fd = -1 };
	struct fsck_result result;
	const char *complaint = NULL;

	if (fsck_run(dev, &opts, &result))
		return "fsck cannot run";
	for (size_t i = 0; i < result.n_findings && !complaint; i++) {
		const struct fsck_finding *finding = &result.findings[i];

		if (finding->trace && !result.was_clean)
			continue;
		snprintf(text, size, "fsck: %s: %s", finding->code, finding->text);
		complaint = text;
	}
	if (!complaint && (result.exit_code & FSCK_FAILED)) {
		snprintf(text, size, "fsck: %s", result.why);
		complaint = text;
	}
	fsck_result_fini(&result);
	return complaint;
}

void fixture_check_rules(struct fixture *fx)
{
	const char *text;

	if (bdev_check_violations(fx->rules, &text) && !fx->expect_damage)
		fail_msg("the order of writes: %s", text);
}

void fixture_check_medium(struct fixture *fx)
{
	struct medium_report report;
	const char *complaint;
	char text[400];

	if (medium_check(crashdev_now(fx->medium), crashdev_size(fx->medium), NULL, stamps_visit,
			 NULL, &report))
		fail_msg("on the disk: truth %d: %s", report.truth, report.text);
	complaint = fsck_complaint(fx->medium, text, sizeof(text));
	if (complaint)
		fail_msg("%s", complaint);
}

void fixture_close(struct fixture *fx)
{
	fixture_check(fx);
	assert_ok(xn_close(fx->xn));
	fx->xn = NULL;
	fixture_check_rules(fx);
}

void fixture_reopen(struct fixture *fx)
{
	fixture_close(fx);
	if (!fx->expect_damage)
		fixture_check_medium(fx);
	fixture_open(fx);
}

void fixture_crash(struct fixture *fx, uint64_t seed)
{
	xn_abandon(fx->xn);
	fixture_check_rules(fx);
	crashdev_crash(fx->medium, seed);
	fixture_open(fx);
	fixture_reclaim(fx);
}

void fixture_reclaim(struct fixture *fx)
{
	struct xn_disk_info info;
	int more;

	do
		more = xn_reclaim(fx->session, 3, NULL);
	while (more > 0);
	assert_ok(more);
	assert_ok(xn_disk_info(fx->xn, &info));
	assert_false(info.reclaimable || info.free_estimated);
}

void fixture_free(struct fixture *fx)
{
	if (fx->xn)
		fixture_reopen(fx);
	if (fx->xn)
		fixture_close(fx);
	fixture_check_rules(fx);
	if (!fx->expect_damage)
		fixture_check_medium(fx);
	bdev_close(fx->dev);
	free(fx);
}

int fixture_setup(void **state)
{
	*state = fixture_new(FIXTURE_BLOCKS, 8u << 20);
	return 0;
}

int fixture_setup_small_cache(void **state)
{
	*state = fixture_new(FIXTURE_BLOCKS, XN_CACHE_MIN);
	return 0;
}

int fixture_teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

/* ---- crash states ---- */

static void check_state(struct bdev *medium, uint64_t seed)
{
	const uint8_t *bytes = crashdev_state_begin(medium, seed);
	struct medium_report report;
	int truth = medium_check(bytes, crashdev_size(medium), NULL, stamps_visit, NULL, &report);

	crashdev_state_end(medium);
	if (truth)
		fail_msg("crash state %llu: truth %d: %s", (unsigned long long)seed, truth,
			 report.text);
}

void fixture_check_crashes(struct fixture *fx, unsigned n)
{
	for (uint64_t seed = 0; seed < n + 2; seed++)
		check_state(fx->medium, seed);
}

static void watch_hook(void *context, struct bdev *dev, enum bdev_op op)
{
	unsigned n = (unsigned)(uintptr_t)context;
	uint64_t at = crashdev_writes(dev) * 1000;

	(void)op;
	check_state(dev, 0);
	check_state(dev, 1);
	for (unsigned i = 0; i < n; i++)
		check_state(dev, at + 2 + i);
}

void fixture_watch(struct fixture *fx, unsigned n)
{
	crashdev_hook_set(fx->medium, watch_hook, (void *)(uintptr_t)n);
}

/* ---- requests ---- */

void request_begin(struct request *rq)
{
	memset(&rq->update, 0, sizeof(rq->update));
	memset(&rq->why, 0, sizeof(rq->why));
	rq->update.edits = rq->edits;
	rq->update.allocs = rq->allocs;
	rq->update.frees = rq->frees;
	rq->update.expects = rq->expects;
	rq->update.why = &rq->why;
}

void request_edit(struct request *rq, xn_blk_t object, uint32_t offset, const void *bytes,
		  uint32_t len)
{
	rq->edits[rq->update.n_edits++] = (struct xn_edit){ object, offset, len, bytes };
}

void request_word(struct request *rq, xn_blk_t object, uint32_t offset, uint64_t word)
{
	uint64_t *place = &rq->words[rq->update.n_edits];

	*place = word;
	request_edit(rq, object, offset, place, sizeof(*place));
}

void request_alloc(struct request *rq, xn_blk_t start, uint64_t count, uint32_t type)
{
	rq->allocs[rq->update.n_allocs++] = (struct xn_extent){ start, count, type, 0 };
}

void request_free(struct request *rq, xn_blk_t start, uint64_t count, uint32_t type)
{
	rq->frees[rq->update.n_frees++] = (struct xn_extent){ start, count, type, 0 };
}

void request_expect(struct request *rq, xn_blk_t object, uint64_t version)
{
	rq->expects[rq->update.n_expects++] = (struct xn_expect){ object, version };
}

void request_move(struct request *rq, xn_blk_t from, uint32_t record, xn_blk_t to,
		  uint32_t to_record, uint64_t pointer)
{
	request_begin(rq);
	request_word(rq, from, record * 8, 0);
	request_word(rq, to, to_record * 8, pointer);
}

int request_run(struct request *rq, struct xn_session *session)
{
	return xn_update(session, &rq->update);
}

void expect_request_refused(struct fixture *fx, struct request *rq, int wanted, const char *file,
			    int line)
{
	struct xn_disk_info before, after;
	int err;

	assert_ok(xn_disk_info(fx->xn, &before));
	err = request_run(rq, fx->session);
	if (err != wanted)
		print_error("refusal: %s\n", rq->why.text);
	expect_result(err, wanted, "request", file, line);
	assert_int_equal(rq->why.error, wanted);
	assert_true(rq->why.text[0] != '\0');
	assert_ok(xn_disk_info(fx->xn, &after));
	assert_int_equal(after.free_blocks, before.free_blocks);
	assert_int_equal(after.will_free, before.will_free);
	fixture_check(fx);
}

/* ---- steps ---- */

xn_blk_t given_free(struct fixture *fx, uint64_t count)
{
	struct xn_extent found;

	assert_ok(xn_find_free(fx->session, 0, count, 1, &found));
	assert_int_equal(found.count, count);
	return found.start;
}

xn_blk_t given_child(struct fixture *fx, xn_blk_t owner, uint32_t record, uint64_t count,
		     enum t_child child)
{
	xn_blk_t start = given_free(fx, count);
	struct request rq;
	int err;

	request_begin(&rq);
	request_word(&rq, owner, record * 8, T_POINTER(start, count, child));
	request_alloc(&rq, start, count, fx->type[child]);
	err = request_run(&rq, fx->session);
	if (err)
		print_error("%s\n", rq.why.text);
	assert_ok(err);
	return start;
}

void given_no_child(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_blk_t start,
		    uint64_t count, enum t_child child)
{
	struct request rq;
	int err;

	request_begin(&rq);
	request_word(&rq, owner, record * 8, 0);
	request_free(&rq, start, count, fx->type[child]);
	err = request_run(&rq, fx->session);
	if (err)
		print_error("%s\n", rq.why.text);
	assert_ok(err);
}

int try_bind(struct fixture *fx, struct xn_session *session, xn_blk_t owner, uint32_t record,
	     xn_blk_t start, uint64_t count, uint32_t type, uint32_t access, xn_binding_t *binding)
{
	struct xn_bind_request request = { .owner = owner,
					   .record = record,
					   .access = access,
					   .extent = { start, count, type, 0 } };

	(void)fx;
	return xn_bind(session, &request, binding);
}

xn_binding_t given_bound(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_blk_t start,
			 uint64_t count, enum t_child child, uint32_t access)
{
	xn_binding_t binding = 0;

	assert_ok(try_bind(fx, fx->session, owner, record, start, count, fx->type[child], access,
			   &binding));
	return binding;
}

xn_blk_t given_node(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_binding_t *binding)
{
	xn_blk_t node = given_child(fx, owner, record, 1, T_NODE);
	xn_binding_t bound =
		given_bound(fx, owner, record, node, 1, T_NODE, XN_READ | XN_WRITE | XN_READIN);

	if (binding)
		*binding = bound;
	return node;
}

xn_blk_t given_data(struct fixture *fx, xn_blk_t owner, uint32_t record, uint64_t number,
		    xn_binding_t *binding)
{
	xn_blk_t block = given_child(fx, owner, record, 1, T_DATA);
	xn_binding_t bound = given_bound(fx, owner, record, block, 1, T_DATA, XN_READ | XN_WRITE);
	uint8_t bytes[XN_BLOCK];

	stamp_fill(bytes, block, owner, number);
	assert_ok(xn_write(fx->session, bound, 0, bytes, sizeof(bytes)));
	if (binding)
		*binding = bound;
	else
		assert_ok(xn_unbind(fx->session, bound));
	return block;
}

xn_blk_t given_zeroes(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_binding_t *binding)
{
	static const uint8_t zeroes[XN_BLOCK];
	xn_binding_t bound;
	xn_blk_t data = given_data(fx, owner, record, 1, &bound);

	assert_ok(xn_write(fx->session, bound, 0, zeroes, sizeof(zeroes)));
	if (binding)
		*binding = bound;
	return data;
}

void given_written(struct fixture *fx, xn_blk_t owner, uint32_t record, xn_blk_t data)
{
	static const uint8_t zeroes[XN_BLOCK];
	xn_binding_t bound = given_bound(fx, owner, record, data, 1, T_DATA, XN_WRITE);

	assert_ok(xn_write(fx->session, bound, 0, zeroes, sizeof(zeroes)));
	assert_ok(xn_unbind(fx->session, bound));
}

struct xn_session *given_session(struct fixture *fx, uint32_t uid, uint32_t flags)
{
	struct xn_cred cred = { .uid = uid, .gid = uid };
	struct xn_session *session;

	assert_ok(xn_session_open(fx->xn, &cred, flags, &session));
	return session;
}

uint64_t free_blocks(struct fixture *fx)
{
	struct xn_disk_info info;

	assert_ok(xn_disk_info(fx->xn, &info));
	return info.free_blocks;
}

struct xn_stats stats_of(struct fixture *fx)
{
	struct xn_stats stats;

	xn_stats(fx->xn, &stats);
	return stats;
}

uint64_t bound_word(struct fixture *fx, xn_binding_t bound, uint32_t offset)
{
	const void *bytes;
	uint64_t word;
	size_t len;

	assert_ok(xn_map(fx->session, bound, &bytes, &len));
	memcpy(&word, (const uint8_t *)bytes + offset, sizeof(word));
	return word;
}

uint64_t node_word(struct fixture *fx, uint32_t record, xn_blk_t node, uint32_t offset)
{
	xn_binding_t bound =
		given_bound(fx, fx->root, record, node, 1, T_NODE, XN_READ | XN_READIN);
	uint64_t word = bound_word(fx, bound, offset);

	assert_ok(xn_unbind(fx->session, bound));
	return word;
}

/* ---- stamps ---- */

void stamp_fill(uint8_t *block, xn_blk_t at, xn_blk_t owner, uint64_t number)
{
	struct stamp stamp = { STAMP_MAGIC, at, owner, number };

	for (uint32_t i = 0; i < XN_BLOCK; i += BDEV_SECTOR) {
		memset(block + i, (int)(number & 0x7f), BDEV_SECTOR);
		memcpy(block + i, &stamp, sizeof(stamp));
	}
}

bool stamp_is(const uint8_t *block, xn_blk_t at, xn_blk_t owner, uint64_t number)
{
	uint8_t wanted[XN_BLOCK];

	stamp_fill(wanted, at, owner, number);
	return !memcmp(block, wanted, sizeof(wanted));
}

static bool block_is_zero(const uint8_t *block)
{
	for (uint32_t i = 0; i < XN_BLOCK; i++) {
		if (block[i])
			return false;
	}
	return true;
}

static const char *block_visit(const uint8_t *block, xn_blk_t at, xn_blk_t owner)
{
	for (uint32_t i = 0; i < XN_BLOCK; i += BDEV_SECTOR) {
		struct stamp stamp;

		memcpy(&stamp, block + i, sizeof(stamp));
		if (stamp.magic != STAMP_MAGIC)
			return block_is_zero(block) ? NULL : "data that nobody wrote";
		if (stamp.block != at)
			return "data of another block";
		if (stamp.owner != owner)
			return "data that another owner wrote";
	}
	return NULL;
}

const char *stamps_visit(void *context, const struct medium_item *item)
{
	const char *text = NULL;

	(void)context;
	for (uint64_t i = 0; item->type == XN_DATA && i < item->count && !text; i++)
		text = block_visit(item->bytes + i * XN_BLOCK, item->start + i, item->owner);
	return text;
}
