/* SPDX-License-Identifier: Apache-2.0 */
/* A donor that serves its first layers while the others are still on their way. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/network.h"
#include "tests/support/tiny_model.h"
#include "tests/support/wan.h"

enum { LINE_BYTES_PER_S = 1500000 }; /* all layers take ten seconds, the first one */

static struct network net;
static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

static char *ask(void)
{
	const char *args[] = {"chat", "--raw", "--quiet", "--pool", net.invite, "--max-tokens", "2",
	    "The first layers", NULL};

	if (network_run(&net, args, NULL, out, err) != 0)
		fail_msg("%s", err);
	return strdup(out);
}

static void the_first_layers_serve_while_the_others_are_fetched(void **state)
{
	static const char *const small[] = {"cores=1", "max_layers=1", "listen=none", NULL},
	                         *const rest[] = {"cores=1", "max_layers=7", "listen=none", NULL},
	                         *const late[] = {"cores=1", "listen=none", "name=late", NULL},
	                         *const pool[] = {"heartbeat_ms=2000", NULL};
	const struct tiny_model_options options = {.n_layers = 8, .d_model = 256, .d_ff = 256};
	char endpoint[NETWORK_PATH], invite[NETWORK_PATH];
	char *model = tiny_model_temporary(&options), *before, *after;
	struct wan *line;

	(void)state;
	network_start(&net, model, pool);
	network_donor(&net, 0, NULL, small); /* it comes first, and so has the first layer */
	network_wait_donors(&net, 1);
	network_donor(&net, 1, NULL, rest);
	network_wait_ready(&net);
	before = ask();
	assert_int_equal(kill(net.donors[0], SIGKILL), 0);
	(void)network_wait_end(net.donors[0]);
	net.donors[0] = 0;
	network_endpoint(&net, endpoint);
	line = wan_start(&(struct wan_options){.to = endpoint, .bytes_per_s = LINE_BYTES_PER_S});
	network_invite_through(&net, wan_endpoint(line), invite);
	network_donor(&net, 2, invite, late);
	after = ask();
	assert_string_equal(after, before);
	assert_int_equal(network_count_log(&net, "donor2", "layers 0 to 7 are ready"), 0);
	network_wait_status(&net, "\"state\":\"fetching\"");
	network_stop(&net);
	wan_stop(line);
	tiny_model_remove(model);
	free(before);
	free(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_layers_serve_while_the_others_are_fetched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
