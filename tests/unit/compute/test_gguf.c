/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/gguf.h"
#include "tests/support/gguf_build.h"

#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- helpers ------------------------------------------------------------------------------- */

static const float numbers[64] = {1.5f, -2.0f, 0.25f};

/* A file with every kind of value and three tensors. */
static struct gguf_build *sample(uint32_t version)
{
	struct gguf_build *b = gguf_build_new(version);
	const char *const tokens[] = {"a", "", "\xc4\xa0x"};
	const float scores[] = {0.5f, -1.0f};
	const int32_t types[] = {1, -3};
	const double wide = 0.1;
	const int8_t minus = -7;

	gguf_build_string(b, "general.architecture", "llama");
	gguf_build_u32(b, "llama.block_count", 2);
	gguf_build_u64(b, "a.large", UINT64_MAX);
	gguf_build_f32(b, "a.float", 0.5f);
	gguf_build_raw(b, "a.double", GGUF_F64, &wide, sizeof wide);
	gguf_build_raw(b, "a.negative", GGUF_I8, &minus, sizeof minus);
	gguf_build_bool(b, "a.bool", true);
	gguf_build_string_array(b, "a.tokens", tokens, 3);
	gguf_build_f32_array(b, "a.scores", scores, 2);
	gguf_build_i32_array(b, "a.types", types, 2);
	gguf_build_tensor_f32(b, "z.weight", TENSOR_F32, 2, (uint64_t[]){4, 3}, numbers);
	gguf_build_tensor_f32(b, "q.weight", TENSOR_Q8_0, 1, (uint64_t[]){64}, numbers);
	gguf_build_tensor_f32(b, "h.weight", TENSOR_F16, 1, (uint64_t[]){5}, numbers);
	return b;
}

static struct gguf *parse_good(struct gguf_bytes f)
{
	struct error err = {0};
	struct gguf *g;
	int rc = gguf_parse(f.data, f.len, f.len, &g, &err);

	if (rc != AYNI_OK)
		fail_msg("%s", err.text);
	return g;
}

/* The file must be refused with `code` and a text that says `words`. */
static void expect_refusal(struct gguf_bytes f, int code, const char *words)
{
	struct error err = {0};
	struct gguf *g = NULL;
	int rc = gguf_parse(f.data, f.len, f.len, &g, &err);

	if (strstr(err.text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
	assert_int_equal(rc, code);
	assert_int_equal(err.code, code);
	assert_null(g);
	free(f.data);
}

/* Read everything that can be read; the sanitizers watch. */
static void walk(const struct gguf *g)
{
	char text[40];
	uint64_t sum = 0;

	for (size_t i = 0; i < gguf_n_keys(g); i++) {
		enum gguf_type type;
		const char *key = gguf_key_at(g, i, &type);
		struct span s;
		uint64_t u = 0;
		double d;
		bool yes;
		size_t len = 0;

		gguf_format_value(g, i, text, sizeof text);
		(void)gguf_get_u64(g, key, &u);
		(void)gguf_get_f64(g, key, &d);
		(void)gguf_get_bool(g, key, &yes);
		if (gguf_get_string(g, key, &s) == AYNI_OK)
			for (size_t j = 0; j < s.len; j++)
				sum += s.data[j];
		(void)gguf_get_array(g, key, &type, &len);
		for (size_t j = 0; j < len + 1; j++) {
			(void)gguf_array_u64(g, key, j, &u);
			(void)gguf_array_f64(g, key, j, &d);
			if (gguf_array_string(g, key, j, &s) == AYNI_OK)
				sum += s.len > 0 ? s.data[s.len - 1] : 0;
		}
		sum += u;
	}
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);
		const uint8_t *data = gguf_tensor_data(g, t);

		assert_ptr_equal(gguf_tensor_find(g, t->name), t);
		if (data != NULL)
			sum += data[0] + data[t->size_bytes - 1];
	}
	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)sum);
}

/* ---- good files ---------------------------------------------------------------------------- */

static void check_sample(uint32_t version)
{
	struct gguf_bytes f = gguf_build_finish(sample(version));
	struct gguf *g = parse_good(f);
	struct span s;
	uint64_t u;
	double d;
	bool yes = false;

	assert_int_equal(gguf_version(g), version);
	assert_int_equal(gguf_file_bytes(g), f.len);
	assert_int_equal(gguf_n_keys(g), 10);
	assert_string_equal(gguf_key_at(g, 1, NULL), "llama.block_count");
	assert_null(gguf_key_at(g, 10, NULL));
	assert_int_equal(gguf_get_string(g, "general.architecture", &s), AYNI_OK);
	assert_int_equal(s.len, 5);
	assert_memory_equal(s.data, "llama", 5);
	assert_int_equal(gguf_get_u64(g, "llama.block_count", &u), AYNI_OK);
	assert_int_equal(u, 2);
	assert_int_equal(gguf_get_u64(g, "a.large", &u), AYNI_OK);
	assert_true(u == UINT64_MAX);
	assert_int_equal(gguf_get_f64(g, "a.double", &d), AYNI_OK);
	assert_true(d == 0.1);
	assert_int_equal(gguf_get_f64(g, "a.negative", &d), AYNI_OK);
	assert_true(d == -7.0);
	assert_int_equal(gguf_get_bool(g, "a.bool", &yes), AYNI_OK);
	assert_true(yes);

	const struct gguf_tensor *t = gguf_tensor_find(g, "z.weight");

	assert_non_null(t);
	assert_ptr_equal(t, gguf_tensor_at(g, 0));
	assert_int_equal(t->n_dims, 2);
	assert_int_equal(t->dims[0], 4);
	assert_int_equal(t->dims[1], 3);
	assert_int_equal(t->dims[2], 1);
	assert_int_equal(t->size_bytes, 48);
	assert_int_equal(t->offset, gguf_head_bytes(g));
	assert_memory_equal(gguf_tensor_data(g, t), numbers, 48);
	assert_int_equal(gguf_tensor_find(g, "q.weight")->size_bytes, 68);
	assert_int_equal(gguf_tensor_find(g, "h.weight")->offset % 32, 0);
	assert_null(gguf_tensor_find(g, "no.weight"));
	assert_null(gguf_tensor_at(g, 3));
	gguf_free(g);
	free(f.data);
}

static void reads_versions_2_and_3(void **state)
{
	(void)state;
	check_sample(2);
	check_sample(3);
}

static void reads_arrays_by_index(void **state)
{
	struct gguf_bytes f = gguf_build_finish(sample(3));
	struct gguf *g = parse_good(f);
	enum gguf_type type;
	size_t len;
	struct span s;
	uint64_t u;
	double d;

	(void)state;
	assert_int_equal(gguf_get_array(g, "a.tokens", &type, &len), AYNI_OK);
	assert_int_equal(type, GGUF_STRING);
	assert_int_equal(len, 3);
	assert_int_equal(gguf_array_string(g, "a.tokens", 2, &s), AYNI_OK);
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.data, "\xc4\xa0x", 3);
	assert_int_equal(gguf_array_string(g, "a.tokens", 1, &s), AYNI_OK);
	assert_int_equal(s.len, 0);
	assert_int_equal(gguf_array_string(g, "a.tokens", 3, &s), AYNI_ERR_NOT_FOUND);
	assert_int_equal(gguf_array_string(g, "a.scores", 0, &s), AYNI_ERR_FORMAT);
	assert_int_equal(gguf_array_f64(g, "a.scores", 1, &d), AYNI_OK);
	assert_true(d == -1.0);
	assert_int_equal(gguf_array_u64(g, "a.types", 0, &u), AYNI_OK);
	assert_int_equal(u, 1);
	assert_int_equal(gguf_array_u64(g, "a.types", 1, &u), AYNI_ERR_FORMAT);
	assert_int_equal(gguf_array_u64(g, "a.tokens", 0, &u), AYNI_ERR_FORMAT);
	gguf_free(g);
	free(f.data);
}

static void getters_tell_missing_keys_from_wrong_types(void **state)
{
	struct gguf_bytes f = gguf_build_finish(sample(3));
	struct gguf *g = parse_good(f);
	struct span s;
	uint64_t u;
	double d;
	bool yes;

	(void)state;
	assert_int_equal(gguf_get_u64(g, "nothing", &u), AYNI_ERR_NOT_FOUND);
	assert_int_equal(gguf_get_string(g, "nothing", &s), AYNI_ERR_NOT_FOUND);
	assert_int_equal(gguf_get_u64(g, "a.negative", &u), AYNI_ERR_FORMAT);
	assert_int_equal(gguf_get_u64(g, "a.float", &u), AYNI_ERR_FORMAT);
	assert_int_equal(gguf_get_u64(g, "a.bool", &u), AYNI_ERR_FORMAT);
	assert_int_equal(gguf_get_f64(g, "a.large", &d), AYNI_ERR_FORMAT);
	assert_int_equal(gguf_get_bool(g, "llama.block_count", &yes), AYNI_ERR_FORMAT);
	assert_int_equal(gguf_get_string(g, "a.tokens", &s), AYNI_ERR_FORMAT);
	assert_int_equal(gguf_array_u64(g, "a.large", 0, &u), AYNI_ERR_FORMAT);
	gguf_free(g);
	free(f.data);
}

static void formats_values_for_people(void **state)
{
	struct gguf_build *b = gguf_build_new(3);
	const char *const tokens[] = {"a", "b"};
	char long_text[200];
	char text[160];

	(void)state;
	memset(long_text, 'x', sizeof long_text);
	long_text[sizeof long_text - 1] = '\0';
	gguf_build_string(b, "name", "bad \x1b[2J\n");
	gguf_build_string(b, "long", long_text);
	gguf_build_string_array(b, "tokens", tokens, 2);
	gguf_build_f32(b, "eps", 1e-5f);
	gguf_build_bool(b, "yes", true);

	struct gguf_bytes f = gguf_build_finish(b);
	struct gguf *g = parse_good(f);

	gguf_format_value(g, 0, text, sizeof text);
	assert_string_equal(text, "bad .[2J.");
	gguf_format_value(g, 1, text, sizeof text);
	assert_int_equal(strlen(text), 83);
	assert_string_equal(text + 80, "...");
	gguf_format_value(g, 2, text, sizeof text);
	assert_string_equal(text, "[2 strings]");
	gguf_format_value(g, 3, text, sizeof text);
	assert_string_equal(text, "1e-05");
	gguf_format_value(g, 4, text, sizeof text);
	assert_string_equal(text, "true");
	gguf_format_value(g, 4, text, 3);
	assert_string_equal(text, "tr");
	gguf_format_value(g, 99, text, sizeof text);
	assert_string_equal(text, "");
	gguf_free(g);
	free(f.data);
}

static void opens_a_file_from_disk(void **state)
{
	char path[] = "/tmp/ayni-test-gguf-XXXXXX";
	struct error err = {0};
	struct gguf *g;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(gguf_open(path, &g, &err), AYNI_ERR_FORMAT); /* empty */
	gguf_build_write(sample(3), path);
	assert_int_equal(gguf_open(path, &g, &err), AYNI_OK);
	assert_int_equal(gguf_n_tensors(g), 3);
	walk(g);
	gguf_free(g);
	assert_int_equal(gguf_open_fd(fd, "model", &g, &err), AYNI_OK);
	gguf_free(g);
	close(fd);
	unlink(path);
	assert_int_equal(gguf_open(path, &g, &err), AYNI_ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(gguf_open("/tmp", &g, &err), AYNI_ERR_ARGUMENT);
}

static void parses_a_head_without_its_data(void **state)
{
	struct gguf_bytes f = gguf_build_finish(sample(3));
	struct gguf *whole = parse_good(f);
	size_t head = (size_t)gguf_head_bytes(whole);
	struct gguf *g;

	(void)state;
	assert_int_equal(gguf_parse(f.data, head, f.len, &g, NULL), AYNI_OK);
	assert_int_equal(gguf_head_bytes(g), head);
	assert_null(gguf_tensor_data(g, gguf_tensor_at(g, 0)));
	gguf_free(g);
	assert_int_equal(gguf_parse(f.data, head + 48, f.len, &g, NULL), AYNI_OK);
	assert_non_null(gguf_tensor_data(g, gguf_tensor_at(g, 0)));
	assert_null(gguf_tensor_data(g, gguf_tensor_at(g, 1)));
	gguf_free(g);
	assert_int_equal(gguf_parse(f.data, f.len, f.len - 1, &g, NULL), AYNI_ERR_ARGUMENT);
	gguf_free(whole);
	free(f.data);
}

static void keeps_a_tensor_of_unknown_type(void **state)
{
	struct gguf_build *b = gguf_build_new(3);

	(void)state;
	gguf_build_tensor(b, "new.weight", 63, 1, (uint64_t[]){256}, numbers, 64);
	gguf_build_tensor(b, "far.weight", 4000000000U, 1, (uint64_t[]){256}, numbers, 64);

	struct gguf_bytes f = gguf_build_finish(b);
	struct gguf *g = parse_good(f);

	assert_int_equal(gguf_tensor_at(g, 0)->raw_type, 63);
	assert_int_equal(gguf_tensor_at(g, 0)->type, TENSOR_TYPE_END);
	assert_int_equal(gguf_tensor_at(g, 0)->size_bytes, 0);
	assert_int_equal(gguf_tensor_at(g, 1)->raw_type, 4000000000U);
	assert_null(gguf_tensor_data(g, gguf_tensor_at(g, 0)));
	gguf_free(g);
	free(f.data);
}

static void takes_alignment_from_its_key(void **state)
{
	struct gguf_build *b = gguf_build_new(3);

	(void)state;
	gguf_build_u32(b, "general.alignment", 8);
	gguf_build_tensor_f32(b, "t", TENSOR_F32, 1, (uint64_t[]){2}, numbers);

	struct gguf_bytes f = gguf_build_finish(b); /* pads to 32, of which 8 is a divisor */
	struct gguf *g = parse_good(f);

	assert_int_equal(gguf_head_bytes(g) % 8, 0);
	assert_true(gguf_head_bytes(g) + 8 <= f.len);
	gguf_free(g);
	free(f.data);
}

/* ---- damage -------------------------------------------------------------------------------- */

static struct gguf_bytes patched(struct gguf_bytes f, size_t at, const void *bytes, size_t n)
{
	assert_true(at + n <= f.len);
	memcpy(f.data + at, bytes, n);
	return f;
}

static void refuses_other_magic_and_versions(void **state)
{
	(void)state;
	expect_refusal(patched(gguf_build_finish(sample(3)), 0, "GGML", 4), AYNI_ERR_FORMAT,
	    "not a GGUF file");
	expect_refusal(gguf_build_finish(sample(1)), AYNI_ERR_UNSUPPORTED, "version 1");
	expect_refusal(gguf_build_finish(sample(4)), AYNI_ERR_UNSUPPORTED, "version 4");
	expect_refusal(gguf_build_finish(sample(0x03000000)), AYNI_ERR_UNSUPPORTED, "big-endian");
}

static void refuses_counts_that_the_file_cannot_hold(void **state)
{
	const uint64_t counts[] = {1000, GGUF_MAX_METADATA, UINT64_C(1) << 40, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		expect_refusal(patched(gguf_build_finish(sample(3)), 8, &counts[i], 8),
		    AYNI_ERR_LIMIT, "tensors claimed");
		expect_refusal(patched(gguf_build_finish(sample(3)), 16, &counts[i], 8),
		    AYNI_ERR_LIMIT, "keys claimed");
	}
}

/* A file of one key with the given type number and value bytes. */
static struct gguf_bytes one_value(uint32_t type, const void *value, size_t n_bytes)
{
	struct gguf_build *b = gguf_build_new(3);

	gguf_build_raw(b, "key", type, value, n_bytes);
	return gguf_build_finish(b);
}

struct array_head {
	uint32_t type;
	uint64_t len;
	uint64_t room;
} __attribute__((packed));

static void refuses_damaged_values(void **state)
{
	const struct array_head huge = {GGUF_U64, UINT64_C(1) << 61, 0};
	const struct array_head huge_strings = {GGUF_STRING, UINT64_MAX, 0};
	const struct array_head nested = {GGUF_ARRAY, 1, 0};
	const struct array_head unknown = {13, 1, 0};
	const struct array_head long_string = {GGUF_STRING, 1, UINT64_MAX};
	const uint64_t length = UINT64_MAX - 4;
	const uint8_t two = 2;

	(void)state;
	expect_refusal(one_value(GGUF_ARRAY, &huge, sizeof huge), AYNI_ERR_FORMAT, "key claims");
	expect_refusal(one_value(GGUF_ARRAY, &huge_strings, sizeof huge_strings), AYNI_ERR_FORMAT,
	    "key claims");
	expect_refusal(
	    one_value(GGUF_ARRAY, &nested, sizeof nested), AYNI_ERR_UNSUPPORTED, "array of arrays");
	expect_refusal(
	    one_value(GGUF_ARRAY, &unknown, sizeof unknown), AYNI_ERR_FORMAT, "unknown type");
	expect_refusal(one_value(GGUF_ARRAY, &long_string, sizeof long_string), AYNI_ERR_FORMAT,
	    "ends inside key");
	expect_refusal(
	    one_value(GGUF_STRING, &length, sizeof length), AYNI_ERR_FORMAT, "ends inside key");
	expect_refusal(one_value(GGUF_BOOL, &two, 1), AYNI_ERR_FORMAT, "boolean");
	expect_refusal(one_value(13, &length, 8), AYNI_ERR_FORMAT, "unknown value type 13");
}

static void refuses_bad_names(void **state)
{
	struct gguf_build *b;
	char name[GGUF_MAX_NAME_BYTES + 1];

	(void)state;
	memset(name, 'n', sizeof name);
	name[GGUF_MAX_NAME_BYTES] = '\0';
	b = gguf_build_new(3);
	gguf_build_u32(b, name, 1);
	expect_refusal(gguf_build_finish(b), AYNI_ERR_LIMIT, "128 characters");
	b = gguf_build_new(3);
	gguf_build_u32(b, "", 1);
	expect_refusal(gguf_build_finish(b), AYNI_ERR_LIMIT, "0 characters");
	b = gguf_build_new(3);
	gguf_build_tensor_f32(b, "bad\nname", TENSOR_F32, 1, (uint64_t[]){1}, numbers);
	expect_refusal(gguf_build_finish(b), AYNI_ERR_FORMAT, "printable");
	b = gguf_build_new(3);
	name[GGUF_MAX_NAME_BYTES - 1] = '\0';
	gguf_build_u32(b, name, 1);

	struct gguf_bytes f = gguf_build_finish(b);
	struct gguf *g = parse_good(f);

	assert_string_equal(gguf_key_at(g, 0, NULL), name);
	gguf_free(g);
	free(f.data);
}

static void refuses_names_that_stand_twice(void **state)
{
	struct gguf_build *b = gguf_build_new(3);

	(void)state;
	gguf_build_u32(b, "twice", 1);
	gguf_build_u32(b, "other", 1);
	gguf_build_u32(b, "twice", 1);
	expect_refusal(gguf_build_finish(b), AYNI_ERR_FORMAT, "key twice stands twice");
	b = gguf_build_new(3);
	gguf_build_tensor_f32(b, "t", TENSOR_F32, 1, (uint64_t[]){1}, numbers);
	gguf_build_tensor_f32(b, "t", TENSOR_F32, 1, (uint64_t[]){1}, numbers);
	expect_refusal(gguf_build_finish(b), AYNI_ERR_FORMAT, "tensor t stands twice");
}

static void refuses_bad_alignment(void **state)
{
	const uint32_t bad[] = {0, 1, 4, 24, 33, 1 << 17, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct gguf_build *b = gguf_build_new(3);

		gguf_build_u32(b, "general.alignment", bad[i]);
		expect_refusal(gguf_build_finish(b), AYNI_ERR_FORMAT, "general.alignment");
	}
	struct gguf_build *b = gguf_build_new(3);

	gguf_build_string(b, "general.alignment", "32");
	expect_refusal(gguf_build_finish(b), AYNI_ERR_FORMAT, "general.alignment");
}

static struct gguf_bytes one_tensor(uint32_t raw_type, uint32_t n_dims, const uint64_t *dims)
{
	struct gguf_build *b = gguf_build_new(3);

	gguf_build_tensor(b, "t", raw_type, n_dims, dims, numbers, sizeof numbers);
	return gguf_build_finish(b);
}

static void refuses_shapes_that_cannot_be(void **state)
{
	const uint64_t zero[] = {0};
	const uint64_t huge[] = {UINT64_C(1) << 32, UINT64_C(1) << 31, 2};
	const uint64_t wide[] = {UINT64_C(1) << 62};
	const uint64_t odd[] = {33};
	const uint64_t five[] = {1, 1, 1, 1, 1};

	(void)state;
	expect_refusal(one_tensor(TENSOR_F32, 1, zero), AYNI_ERR_FORMAT, "shape that cannot be");
	expect_refusal(one_tensor(TENSOR_F32, 3, huge), AYNI_ERR_FORMAT, "shape that cannot be");
	expect_refusal(one_tensor(TENSOR_F32, 1, wide), AYNI_ERR_LIMIT, "tensor t");
	expect_refusal(one_tensor(TENSOR_Q8_0, 1, odd), AYNI_ERR_FORMAT, "rows of 33 elements");
	expect_refusal(one_tensor(TENSOR_F32, 0, five), AYNI_ERR_FORMAT, "0 dimensions");
	expect_refusal(one_tensor(TENSOR_F32, 5, five), AYNI_ERR_FORMAT, "5 dimensions");
}

static void refuses_a_tensor_past_the_end_of_the_file(void **state)
{
	const uint64_t dims[] = {80}; /* 320 bytes where 256 are */
	struct gguf_bytes f;

	(void)state;
	expect_refusal(
	    one_tensor(TENSOR_F32, 1, dims), AYNI_ERR_FORMAT, "tensor t ends 64 bytes past");
	/* The offset is the last field of the only tensor: name, n_dims, one dim, type before it.
	 */
	const size_t at = 24 + 8 + 1 + 4 + 8 + 4;
	const uint64_t unaligned = 16;
	const uint64_t far = UINT64_MAX - 31;

	f = one_tensor(TENSOR_F32, 1, (uint64_t[]){4});
	expect_refusal(patched(f, at, &unaligned, 8), AYNI_ERR_FORMAT, "not a multiple of 32");
	f = one_tensor(TENSOR_F32, 1, (uint64_t[]){4});
	expect_refusal(patched(f, at, &far, 8), AYNI_ERR_FORMAT, "past any possible file");
}

static void refuses_every_shorter_file(void **state)
{
	struct gguf_bytes f = gguf_build_finish(sample(3));
	struct error err;
	struct gguf *g;

	(void)state;
	for (size_t len = 0; len < f.len; len++) {
		uint8_t *part = malloc(len > 0 ? len : 1); /* so that the sanitizer sees its end */

		assert_non_null(part);
		memcpy(part, f.data, len);
		memset(&err, 0, sizeof err);
		assert_true(gguf_parse(part, len, len, &g, &err) < 0);
		assert_true(strlen(err.text) > 0);
		free(part);
	}
	free(f.data);
}

/* Parse damaged bytes and, if they still open, read all of it. */
static bool opens(struct gguf_bytes f)
{
	struct gguf *g;

	if (gguf_parse(f.data, f.len, f.len, &g, NULL) != AYNI_OK)
		return false;
	walk(g);
	gguf_free(g);
	return true;
}

static void survives_every_damaged_byte(void **state)
{
	struct gguf_bytes f = gguf_build_finish(sample(3));
	size_t n_opened = 0;

	(void)state;
	for (size_t i = 0; i < f.len; i++) {
		const uint8_t before = f.data[i];
		const uint8_t values[] = {0x00, 0x7f, 0x80, 0xff};

		for (int bit = 0; bit < 8; bit++) {
			f.data[i] = (uint8_t)(before ^ 1U << bit);
			n_opened += opens(f);
		}
		for (size_t k = 0; k < sizeof values; k++) {
			f.data[i] = values[k];
			n_opened += opens(f);
		}
		f.data[i] = before;
	}
	assert_in_range(n_opened, 1, f.len * 12 - 1);
	free(f.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_versions_2_and_3),
	    cmocka_unit_test(reads_arrays_by_index),
	    cmocka_unit_test(getters_tell_missing_keys_from_wrong_types),
	    cmocka_unit_test(formats_values_for_people),
	    cmocka_unit_test(opens_a_file_from_disk),
	    cmocka_unit_test(parses_a_head_without_its_data),
	    cmocka_unit_test(keeps_a_tensor_of_unknown_type),
	    cmocka_unit_test(takes_alignment_from_its_key),
	    cmocka_unit_test(refuses_other_magic_and_versions),
	    cmocka_unit_test(refuses_counts_that_the_file_cannot_hold),
	    cmocka_unit_test(refuses_damaged_values),
	    cmocka_unit_test(refuses_bad_names),
	    cmocka_unit_test(refuses_names_that_stand_twice),
	    cmocka_unit_test(refuses_bad_alignment),
	    cmocka_unit_test(refuses_shapes_that_cannot_be),
	    cmocka_unit_test(refuses_a_tensor_past_the_end_of_the_file),
	    cmocka_unit_test(refuses_every_shorter_file),
	    cmocka_unit_test(survives_every_damaged_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
