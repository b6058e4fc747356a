/* SPDX-License-Identifier: Apache-2.0 */
/* Donors that reach each other: results and chunks of the model go without the pool in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/network.h"
#include "tests/support/tiny_model.h"
#include "tests/support/wan.h"

#define DEMO_MODEL "configs/models/ayni-demo.gguf"
#define HANDED     ", handed on"

enum { SLOW_BYTES_PER_S = 200000 };

static const char *const pool_settings[] = {"stages=2", "log=debug", NULL};
static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

static void ask(struct network *n)
{
	const char *args[] = {"chat", "--quiet", "--pool", n->invite, "What is 27 + 48?", NULL};

	if (network_run(n, args, NULL, out, err) != 0)
		fail_msg("%s", err);
	assert_string_equal(out, "27 + 48 = 75\n");
}

static void start(struct network *n, const char *first, const char *second)
{
	network_start(n, DEMO_MODEL, pool_settings);
	network_donor(n, 0, NULL, (const char *const[]){"cores=1", first, NULL});
	network_donor(n, 1, NULL, (const char *const[]){"cores=1", second, NULL});
	network_wait_ready(n);
	ask(n);
}

static void donors_of_a_path_hand_over_directly(void **state)
{
	struct network n;
	const char *args[] = {"status", "--pool", n.invite, NULL};

	(void)state;
	start(&n, "listen=auto", "listen=auto");
	network_wait_status(&n, "\"direct\":true");
	ask(&n);
	network_wait_log(&n, "pool", HANDED, 1);
	assert_int_equal(network_run(&n, args, NULL, out, err), 0);
	assert_non_null(strstr(out, ", hands over directly\n"));
	network_stop(&n);
}

static void one_that_can_be_reached_is_enough(void **state)
{
	struct network n;

	(void)state;
	start(&n, "announce=127.0.0.1:1", "listen=auto"); /* nobody listens there */
	network_wait_status(&n, "\"direct\":true");
	ask(&n);
	network_wait_log(&n, "pool", HANDED, 1);
	network_stop(&n);
}

static void who_does_not_listen_gets_all_from_the_pool(void **state)
{
	struct network n;

	(void)state;
	start(&n, "listen=none", "listen=auto");
	network_wait_log(&n, "pool", "does not reach", 1);
	ask(&n);
	assert_int_equal(network_count_log(&n, "pool", HANDED), 0);
	network_stop(&n);
}

/* Its line to the pool is slow, so that most comes from those that hold the layers. */
static void a_donor_fetches_layers_from_others_too(void **state)
{
	char pool[NETWORK_PATH], invite[NETWORK_PATH];
	struct network n;
	struct wan *line;

	(void)state;
	start(&n, "listen=auto", "listen=auto");
	network_endpoint(&n, pool);
	line = wan_start(&(struct wan_options){.to = pool, .bytes_per_s = SLOW_BYTES_PER_S});
	network_invite_through(&n, wan_endpoint(line), invite);
	network_donor(&n, 2, invite, (const char *const[]){"cores=1", NULL});
	network_wait_log(&n, "donor2", "chunks came from other donors", 1);
	network_wait_donors(&n, 3);
	ask(&n);
	network_stop(&n);
	wan_stop(line);
}

static void who_does_not_seed_gives_nothing(void **state)
{
	struct network n;

	(void)state;
	start(&n, "seed_kib_s=0", "seed_kib_s=0");
	network_donor(&n, 2, NULL, (const char *const[]){"cores=1", NULL});
	network_wait_donors(&n, 3);
	assert_int_equal(network_count_log(&n, "donor2", "chunks came from other donors"), 0);
	network_stop(&n);
}

static void settings_that_cannot_be_are_named(void **state)
{
	static const char *const wrong[][2] = {
	    {"announce=home.example:7412", "announce = home.example:7412: ADDRESS:PORT is wanted"},
	    {"listen=0.0.0.0:7412", "say with announce = ADDRESS:PORT which of them"},
	    {"listen=nowhere", "is not of the form tcp://host:port"},
	};
	struct network n;

	(void)state;
	network_start(&n, DEMO_MODEL, NULL);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		const char *args[] = {"donate", "--pool", n.invite, "--set", wrong[i][0], NULL};

		assert_int_equal(network_run(&n, args, NULL, out, err), 2);
		if (strstr(err, wrong[i][1]) == NULL)
			fail_msg("%s", err);
	}
	network_stop(&n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(donors_of_a_path_hand_over_directly),
	    cmocka_unit_test(one_that_can_be_reached_is_enough),
	    cmocka_unit_test(who_does_not_listen_gets_all_from_the_pool),
	    cmocka_unit_test(a_donor_fetches_layers_from_others_too),
	    cmocka_unit_test(who_does_not_seed_gives_nothing),
	    cmocka_unit_test(settings_that_cannot_be_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
