/* SPDX-License-Identifier: MIT */
#include "xn_fixture.h"

static void a_tree_of_everything_survives_closing(void **state)
{
	struct fixture *fx = *state;
	xn_blk_t node = given_node(fx, fx->root, 0, NULL);

	fixture_watch(fx, 4);
	given_data(fx, node, 0, 7, NULL);
	given_child(fx, fx->root, 1, 2, T_PAIR);
	assert_ok(xn_sync(fx->session, fx->root_id));
	fixture_reopen(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_tree_of_everything_survives_closing,
						fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
