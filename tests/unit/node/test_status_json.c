/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/status_json.h"
#include "tests/support/sample_messages.h"

static void says_what_a_pool_says_of_its_models_and_donors(void **state)
{
	struct status_stage path[2] = {{.layers = {0, 4}, .donor_name = "ana", .token_us = 15000},
	    {.layers = {4, 6}, .donor_name = "bo", .token_us = 5000, .direct = true}};
	struct layer_range missing[] = {{6, 8}};
	struct status_model model = {.name = "demo",
	    .n_layers = 8,
	    .n_missing = 1,
	    .missing = missing,
	    .n_stages = 2,
	    .path = path,
	    .tokens = 77};
	struct status_donor donor = {
	    .name = "ana", .state = "ready", .layer_last = 4, .units = 3, .model = 1, .lies = 2};
	struct msg_status s = {
	    .pool_name = "p", .n_models = 1, .models = &model, .n_donors = 1, .donors = &donor};
	json_t *o;
	int first, last, tokens, direct, donors_model, lies, right;
	const char *name;
	double speed;

	(void)state;
	s.refusals.by_reason[REFUSAL_REPLAY] = 4;
	s.checks_right = 9;
	o = status_json(&s);
	assert_non_null(o);
	assert_int_equal(
	    json_unpack(o, "{s:[{s:[[ii]],s:F,s:i,s:[{s:s},{s:b}]}],s:[{s:i,s:i}],s:{s:i}}",
	        "models", "missing", &first, &last, "tokens_per_s", &speed, "tokens", &tokens,
	        "path", "name", &name, "direct", &direct, "donors", "model", &donors_model, "lies",
	        &lies, "rechecks", "right", &right),
	    0);
	assert_int_equal(first, 6);
	assert_int_equal(last, 8);
	assert_int_equal(tokens, 77);
	assert_string_equal(name, "ana");
	assert_true(direct);
	assert_int_equal(donors_model, 1);
	assert_int_equal(lies, 2);
	assert_int_equal(right, 9);
	assert_true(speed > 49.999 && speed < 50.001);
	assert_int_equal(json_object_size(json_object_get(o, "refusals")), 1);
	json_decref(o);
}

static void says_all_that_a_message_may_hold(void **state)
{
	struct sample s;
	json_t *o;

	(void)state;
	sample_make(&s, MSG_STATUS, SAMPLE_FULL);
	o = status_json(&s.message.status);
	assert_int_equal(json_array_size(json_object_get(o, "donors")), s.message.status.n_donors);
	assert_int_equal(json_array_size(json_object_get(o, "models")), s.message.status.n_models);
	json_decref(o);
	sample_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(says_what_a_pool_says_of_its_models_and_donors),
	    cmocka_unit_test(says_all_that_a_message_may_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
