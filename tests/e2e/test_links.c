/* SPDX-License-Identifier: Apache-2.0 */
/* Donors behind slow lines, and what their pool finds out about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "node/loop.h"
#include "tests/support/network.h"
#include "tests/support/tiny_model.h"
#include "tests/support/wan.h"

enum { N_DONORS = 2, LINE_BYTES_PER_S = 1000000, MOST_BYTES_PER_S = 1500000, PROMPT = 200 };

static struct network net;
static struct wan *lines[N_DONORS];
static char *model;
static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

/* Wide layers of little weight: what is sent takes longer than what is computed. */
static void start(void)
{
	static const char *const pool[] = {"stages=2", "heartbeat_ms=2000", NULL},
	                         *const donor[] = {"cores=1", NULL};
	const struct tiny_model_options options = {.n_layers = 4,
	    .d_model = 1024,
	    .d_ff = 32,
	    .n_heads = 2,
	    .n_kv_heads = 1,
	    .d_head = 16,
	    .d_value = 16};

	model = tiny_model_temporary(&options);
	network_start(&net, model, pool);
	for (int i = 0; i < N_DONORS; i++) {
		char invite[NETWORK_PATH], *endpoint, *line;

		endpoint = network_read(&net, "pool/endpoint");
		line = strchr(endpoint, '\n');
		if (line != NULL)
			*line = '\0';
		lines[i] = wan_start(&(struct wan_options){
		    .to = endpoint, .delay_us = 5000, .bytes_per_s = LINE_BYTES_PER_S});
		network_invite_through(&net, wan_endpoint(lines[i]), invite);
		network_donor(&net, i, invite, donor);
		free(endpoint);
	}
	network_wait_ready(&net);
}

static void stop(void)
{
	network_stop(&net);
	for (int i = 0; i < N_DONORS; i++)
		wan_stop(lines[i]);
	tiny_model_remove(model);
}

static void each_link(json_int_t *bytes_per_s)
{
	const char *args[] = {"status", "--json", "--pool", net.invite, NULL};
	json_t *root, *donors;

	if (network_run(&net, args, NULL, out, err) != 0)
		fail_msg("%s", err);
	root = json_loads(out, 0, NULL);
	donors = json_object_get(root, "donors");
	assert_int_equal(json_array_size(donors), N_DONORS);
	for (size_t i = 0; i < N_DONORS; i++)
		bytes_per_s[i] = json_integer_value(
		    json_object_get(json_array_get(donors, i), "link_bytes_per_s"));
	json_decref(root);
	print_message(
	    "%lld and %lld bytes/s\n", (long long)bytes_per_s[0], (long long)bytes_per_s[1]);
}

static void a_line_is_found_no_faster_than_it_is(void **state)
{
	char prompt[PROMPT + 1];
	const char *args[] = {
	    "chat", "--raw", "--pool", net.invite, "--max-tokens", "20", prompt, NULL};
	json_int_t fetched[N_DONORS], used[N_DONORS];

	(void)state;
	memset(prompt, 'a', PROMPT);
	prompt[PROMPT] = '\0';
	start();
	each_link(fetched);
	if (network_run(&net, args, NULL, out, err) != 0)
		fail_msg("%s", err);
	each_link(used);
	for (int i = 0; i < N_DONORS; i++) {
		assert_in_range(fetched[i], 1, MOST_BYTES_PER_S);
		assert_in_range(used[i], 1, MOST_BYTES_PER_S);
	}
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_line_is_found_no_faster_than_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
