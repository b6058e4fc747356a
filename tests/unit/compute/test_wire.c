/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "compute/wire.h"

enum { D = 70 }; /* two blocks of 32, and a rest */

static void fill(float *row, float size)
{
	uint32_t random = 1;

	for (size_t i = 0; i < D; i++) {
		random = random * 1664525 + 1013904223;
		row[i] = size * ((float)(random >> 8) / (1 << 23) - 1);
	}
}

static void a_row_arrives_as_rounding_says(void **state)
{
	(void)state;
	for (int type = 0; type < WIRE_TYPE_END; type++) {
		for (float size = 1e-42f; size < 1e38f; size *= 37) {
			float sent[D], rounded[D], arrived[D];
			uint8_t bytes[D * 4];

			fill(sent, size);
			memcpy(rounded, sent, sizeof sent);
			wire_encode((enum wire_type)type, sent, D, bytes);
			wire_decode((enum wire_type)type, bytes, D, arrived);
			wire_round((enum wire_type)type, rounded, D);
			assert_memory_equal(arrived, rounded, sizeof arrived);
		}
	}
}

static void rows_have_the_sizes_that_are_said(void **state)
{
	(void)state;
	assert_int_equal(wire_row_bytes(WIRE_F32, D), 4 * D);
	assert_int_equal(wire_row_bytes(WIRE_F16, D), 2 * D);
	assert_int_equal(wire_row_bytes(WIRE_Q8, D), D + 3 * 4);
	assert_int_equal(wire_row_bytes(WIRE_Q8, 64), 64 + 2 * 4);
}

static void f32_is_exact_and_the_others_nearly(void **state)
{
	static const float most[WIRE_TYPE_END] = {0, 1.0f / 2048, 1.0f / 254};
	float sent[D], arrived[D];

	(void)state;
	fill(sent, 3);
	for (int type = 0; type < WIRE_TYPE_END; type++) {
		memcpy(arrived, sent, sizeof sent);
		wire_round((enum wire_type)type, arrived, D);
		for (size_t i = 0; i < D; i++)
			assert_true(fabsf(arrived[i] - sent[i]) <= 3.001f * most[type]);
	}
}

static void bytes_are_little_endian(void **state)
{
	const float row[] = {1.0f, -127.0f};
	uint8_t bytes[8];

	(void)state;
	wire_encode(WIRE_F32, row, 2, bytes);
	assert_memory_equal(bytes, "\0\0\x80\x3f\0\0\xfe\xc2", 8);
	wire_encode(WIRE_F16, row, 2, bytes);
	assert_memory_equal(bytes, "\x00\x3c\xf0\xd7", 4);
	wire_encode(WIRE_Q8, row, 2, bytes);
	assert_memory_equal(bytes, "\0\0\x80\x3f\x01\x81", 6);
}

static void what_is_past_the_range_of_f16_becomes_its_largest_number(void **state)
{
	float row[] = {70000.0f, -1e30f, 65504.0f};

	(void)state;
	wire_round(WIRE_F16, row, 3);
	assert_true(row[0] == 65504.0f && row[1] == -65504.0f && row[2] == 65504.0f);
}

static void what_is_not_finite_stays_so(void **state)
{
	const float odd[] = {INFINITY, -INFINITY, NAN};

	(void)state;
	for (int type = 0; type < WIRE_TYPE_END; type++) {
		for (int k = 0; k < 3; k++) {
			float row[D];

			fill(row, 1);
			row[40] = odd[k];
			wire_round((enum wire_type)type, row, D);
			assert_true(!isfinite(row[40]) && isfinite(row[0]));
		}
	}
}

static void zeros_stay_zeros(void **state)
{
	float row[D] = {0};

	(void)state;
	for (int type = 0; type < WIRE_TYPE_END; type++) {
		wire_round((enum wire_type)type, row, D);
		for (size_t i = 0; i < D; i++)
			assert_true(row[i] == 0);
	}
}

static void types_are_found_by_their_names_alone(void **state)
{
	enum wire_type type;

	(void)state;
	for (int i = 0; i < WIRE_TYPE_END; i++) {
		assert_true(wire_type_find(wire_type_name((enum wire_type)i), &type));
		assert_int_equal(type, i);
	}
	assert_false(wire_type_find("f64", &type));
	assert_false(wire_type_find("", &type));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_row_arrives_as_rounding_says),
	    cmocka_unit_test(rows_have_the_sizes_that_are_said),
	    cmocka_unit_test(f32_is_exact_and_the_others_nearly),
	    cmocka_unit_test(bytes_are_little_endian),
	    cmocka_unit_test(what_is_past_the_range_of_f16_becomes_its_largest_number),
	    cmocka_unit_test(what_is_not_finite_stays_so),
	    cmocka_unit_test(zeros_stay_zeros),
	    cmocka_unit_test(types_are_found_by_their_names_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
