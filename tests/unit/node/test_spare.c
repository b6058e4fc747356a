/* SPDX-License-Identifier: Apache-2.0 */
/* What a donor offers: sane figures on any machine, and what its settings say. */
#include "node/donor/spare.h"

#include <sched.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

/* Settings as they are when nobody says anything, with the slowest kernels: any machine has them.
 */
static struct donor_config settings(void)
{
	struct donor_config c;

	config_donor_defaults(&c);
	(void)snprintf(c.kernels, sizeof c.kernels, "scalar");
	return c;
}

static struct msg_offer measured(const struct donor_config *c)
{
	struct msg_offer o;
	struct error err = {0};

	memset(&o, 0xa5, sizeof o); /* nothing is left as it was */
	if (spare_measure(c, &o, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return o;
}

static uint32_t cores_here(void)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
	return (uint32_t)CPU_COUNT(&set);
}

static void kernels_are_found_by_name(void **state)
{
	(void)state;
	assert_non_null(spare_kernels("scalar"));
	assert_string_equal(spare_kernels("scalar")->name, "scalar");
	assert_ptr_equal(spare_kernels("auto"), kernels_best());
	assert_ptr_equal(spare_kernels(kernels_best()->name), kernels_best());
}

static void kernels_that_nobody_knows_are_none(void **state)
{
	static const char *const wrong[] = {"", "abacus", "Scalar", "scalar ", "auto2", "avx"};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_null(spare_kernels(wrong[i]));
}

static void an_offer_of_default_settings_is_sane(void **state)
{
	struct donor_config c = settings();
	struct msg_offer o = measured(&c);
	uint32_t cores = cores_here();

	(void)state;
	assert_int_equal(o.cores, cores > 1 ? cores - 1 : 1);
	assert_in_range(o.memory_bytes, 1 << 20, UINT64_C(1) << 50);
	assert_in_range(o.disk_bytes, 1 << 20, UINT64_C(1) << 50);
	assert_in_range(o.flop_per_s, 1000000, UINT64_C(1) << 50);
	assert_in_range(o.read_bytes_per_s, 1000000, UINT64_C(1) << 50);
	assert_int_equal(o.max_layers, 0);
	assert_string_equal(o.kernels, "scalar");
}

static void an_offer_says_the_speed_of_every_type_of_weights(void **state)
{
	struct donor_config c = settings();
	struct msg_offer o = measured(&c);
	size_t n = 0;

	(void)state;
	for (uint32_t type = 0; type < TENSOR_TYPE_END; type++) {
		if (tensor_type_info(type) == NULL)
			continue;
		assert_true(n < o.n_speeds);
		assert_int_equal(o.speeds[n].type, type);
		assert_in_range(o.speeds[n].read_bytes_per_s, 1000000, UINT64_C(1) << 50);
		assert_in_range(o.speeds[n].flop_per_s, 1000000, UINT64_C(1) << 50);
		n++;
	}
	assert_int_equal(o.n_speeds, n);
}

static void an_offer_names_the_kernels_that_auto_means(void **state)
{
	struct donor_config c = settings();
	struct msg_offer o;

	(void)state;
	(void)snprintf(c.kernels, sizeof c.kernels, "auto");
	o = measured(&c);
	assert_string_equal(o.kernels, kernels_best()->name);
}

static void settings_are_respected(void **state)
{
	struct donor_config c = settings();
	struct msg_offer o;

	(void)state;
	c.cores = 3;
	c.memory_mib = 700;
	c.disk_mib = 123;
	c.max_layers = 9;
	o = measured(&c);
	assert_int_equal(o.cores, 3);
	assert_int_equal(o.memory_bytes, UINT64_C(700) << 20);
	assert_int_equal(o.disk_bytes, UINT64_C(123) << 20);
	assert_int_equal(o.max_layers, 9);
}

static void kernels_that_this_machine_lacks_are_an_error_with_their_name(void **state)
{
	struct donor_config c = settings();
	struct error err = {0};
	struct msg_offer o;

	(void)state;
	(void)snprintf(c.kernels, sizeof c.kernels, "abacus");
	assert_int_equal(spare_measure(&c, &o, &err), AYNI_ERR_ARGUMENT);
	assert_non_null(strstr(err.text, "abacus"));
	assert_int_equal(spare_measure(&c, &o, NULL), AYNI_ERR_ARGUMENT);
}

static void kernels_whose_results_are_not_exact_are_refused(void **state)
{
	struct donor_config c = settings();
	struct error err = {0};
	struct msg_offer o;

	(void)state;
	assert_non_null(kernels_by_name("fast"));
	assert_null(spare_kernels("fast"));
	(void)snprintf(c.kernels, sizeof c.kernels, "fast");
	assert_int_equal(spare_measure(&c, &o, &err), AYNI_ERR_ARGUMENT);
	assert_non_null(
	    strstr(err.text, "kernels = fast: a donor's results are compared to the bit"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(kernels_are_found_by_name),
	    cmocka_unit_test(kernels_that_nobody_knows_are_none),
	    cmocka_unit_test(an_offer_of_default_settings_is_sane),
	    cmocka_unit_test(an_offer_says_the_speed_of_every_type_of_weights),
	    cmocka_unit_test(an_offer_names_the_kernels_that_auto_means),
	    cmocka_unit_test(settings_are_respected),
	    cmocka_unit_test(kernels_that_this_machine_lacks_are_an_error_with_their_name),
	    cmocka_unit_test(kernels_whose_results_are_not_exact_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
