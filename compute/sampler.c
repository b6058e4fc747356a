/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/sampler.h"

#include <math.h>

#include "compute/kernels/canon.h"

void sampler_defaults(struct sampler_settings *out)
{
	*out = (struct sampler_settings){
	    .temperature = 0.0f,
	    .top_k = 0,
	    .top_p = 1.0f,
	    .min_p = 0.0f,
	    .repeat_penalty = 1.0f,
	    .repeat_last_n = 64,
	    .seed = 0,
	};
}

/* Comparisons with NaN are false, so that NaN is always out of range. */
int sampler_check(const struct sampler_settings *s, struct error *err)
{
	if (!(s->temperature >= 0.0f && s->temperature <= 100.0f))
		return error_set(err, AYNI_ERR_ARGUMENT, "temperature must be 0 to 100");
	if (!(s->top_p > 0.0f && s->top_p <= 1.0f))
		return error_set(err, AYNI_ERR_ARGUMENT, "top_p must be above 0 and at most 1");
	if (!(s->min_p >= 0.0f && s->min_p <= 1.0f))
		return error_set(err, AYNI_ERR_ARGUMENT, "min_p must be 0 to 1");
	if (!(s->repeat_penalty >= 0.01f && s->repeat_penalty <= 100.0f))
		return error_set(err, AYNI_ERR_ARGUMENT, "repeat_penalty must be 0.01 to 100");
	if (!(fabsf(s->frequency_penalty) <= 100.0f && fabsf(s->presence_penalty) <= 100.0f))
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "frequency_penalty and presence_penalty must be -100 to 100");
	if (s->repeat_last_n > LIMIT_CONTEXT_TOKENS)
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "repeat_last_n must be 0 to %d", LIMIT_CONTEXT_TOKENS);
	if (s->top_k > LIMIT_VOCABULARY)
		return error_set(err, AYNI_ERR_ARGUMENT, "top_k must be 0 to %d", LIMIT_VOCABULARY);
	return AYNI_OK;
}

void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
	uint32_t k0 = key[0], k1 = key[1];

	for (int round = 0; round < 10; round++) {
		uint64_t a = (uint64_t)0xd2511f53u * c0;
		uint64_t b = (uint64_t)0xcd9e8d57u * c2;

		c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)b;
		c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)a;
		k0 += 0x9e3779b9u; /* golden ratio */
		k1 += 0xbb67ae85u; /* sqrt(3) - 1 */
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

/* In [0, 1), a multiple of 2^-24: each exact in binary32. */
static float uniform(uint64_t seed, uint64_t position)
{
	const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
	const uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), 0, 0};
	uint32_t out[4];

	philox4x32_10(counter, key, out);
	return (float)(out[0] >> 8) * 0x1p-24f;
}

/* Larger first, equal ones by smaller id. */
static bool goes_before(const struct logit *a, const struct logit *b)
{
	return a->value > b->value || (a->value == b->value && a->id < b->id);
}

static void sort_candidates(struct logit *c, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct logit moving = c[i];
		size_t k = i;

		for (; k > 0 && goes_before(&moving, &c[k - 1]); k--)
			c[k] = c[k - 1];
		c[k] = moving;
	}
}

/* Ids of candidates in an open-addressing table, so that the history is read once. */
enum { TABLE_SLOTS = 4 * SAMPLER_CANDIDATES };

static size_t table_slot(const struct logit *c, const uint16_t table[TABLE_SLOTS], uint32_t id)
{
	size_t slot = (id * 0x9e3779b1u) >> 22;

	while (table[slot] != 0 && c[table[slot] - 1].id != id)
		slot = (slot + 1) % TABLE_SLOTS;
	return slot;
}
_Static_assert(TABLE_SLOTS == 1 << 10, "table_slot takes the upper 10 of 32 bits");

/* How often each candidate is in the history from here on. */
static void count_in(const struct logit *c, const uint16_t table[TABLE_SLOTS], size_t n,
    const uint32_t *history, size_t first, size_t n_history, uint32_t *counts)
{
	memset(counts, 0, n * sizeof *counts);
	for (size_t i = first; i < n_history; i++) {
		uint16_t at = table[table_slot(c, table, history[i])];

		if (at != 0)
			counts[at - 1]++;
	}
}

/* Divides a positive logit, multiplies a negative one (Keskar et al. 2019), once a token. */
static float against_repeating(const struct sampler_settings *s, float value)
{
	return value > 0.0f ? value / s->repeat_penalty : value * s->repeat_penalty;
}

static void penalise(const struct sampler_settings *s, struct logit *c, size_t n,
    const uint32_t *history, size_t n_history)
{
	uint16_t table[TABLE_SLOTS] = {0};
	uint32_t counts[SAMPLER_CANDIDATES];
	size_t last_n = s->repeat_last_n < n_history ? s->repeat_last_n : n_history;

	for (size_t i = 0; i < n; i++)
		table[table_slot(c, table, c[i].id)] = (uint16_t)(i + 1);
	count_in(c, table, n, history, n_history - last_n, n_history, counts);
	for (size_t i = 0; i < n; i++)
		if (counts[i] > 0)
			c[i].value = against_repeating(s, c[i].value);
	count_in(c, table, n, history, s->answer_from, n_history, counts);
	for (size_t i = 0; i < n; i++)
		if (counts[i] > 0)
			c[i].value -= s->frequency_penalty * (float)counts[i] + s->presence_penalty;
	sort_candidates(c, n);
}

bool sampler_looks_back(const struct sampler_settings *s)
{
	return s->repeat_penalty != 1.0f || s->frequency_penalty != 0.0f ||
	       s->presence_penalty != 0.0f;
}

/* Weights against the first, which gets 1. Then those under min_p times the best go. */
static size_t weigh(
    const struct sampler_settings *s, const struct logit *c, size_t n, float *weights)
{
	size_t kept = 0;

	while (kept < n) {
		weights[kept] = canon_exp((c[kept].value - c[0].value) / s->temperature);
		if (!(weights[kept] > 0.0f && weights[kept] >= s->min_p))
			break;
		kept++;
	}
	return kept;
}

static float sum_in_order(const float *weights, size_t n)
{
	float sum = 0.0f;

	for (size_t i = 0; i < n; i++)
		sum += weights[i];
	return sum;
}

/*
 * The mass that top_p is a share of: the weights kept; or, where nothing has been changed or cut
 * yet, the whole row's, which the lse tells. A wrong lse can only keep more candidates.
 */
static float mass(const struct sampler_settings *s, float sum, float best, float lse)
{
	float row;

	if (s->temperature != 1.0f || sampler_looks_back(s) || s->top_k != 0 || s->min_p != 0.0f)
		return sum;
	row = canon_exp(lse - best);
	return row > sum ? row : sum;
}

/* The fewest first candidates whose weights reach top_p of the mass; at least one. */
static size_t cut_top_p(float top_p, const float *weights, size_t n, float all)
{
	float sum = 0.0f;

	if (top_p >= 1.0f)
		return n;
	for (size_t i = 0; i < n; i++) {
		sum += weights[i];
		if (sum >= top_p * all)
			return i + 1;
	}
	return n;
}

uint32_t sampler_draw(const struct sampler_settings *s, const struct logit *candidates, size_t n,
    float lse, const uint32_t *history, size_t n_history)
{
	struct logit c[SAMPLER_CANDIDATES];
	float weights[SAMPLER_CANDIDATES];
	float target, sum = 0.0f;

	assert(n > 0);
	if (n > SAMPLER_CANDIDATES)
		n = SAMPLER_CANDIDATES;
	memcpy(c, candidates, n * sizeof *c);
	for (size_t i = 0; i < n; i++)
		if (isnan(c[i].value)) /* would have no place in the order */
			c[i].value = -INFINITY;
	if (sampler_looks_back(s))
		penalise(s, c, n, history, n_history);
	else
		sort_candidates(c, n);
	if (s->top_k > 0 && s->top_k < n)
		n = s->top_k;
	if (s->temperature == 0.0f || !isfinite(c[0].value))
		return c[0].id;
	n = weigh(s, c, n, weights);
	assert(n > 0); /* the best weighs 1 */
	n = cut_top_p(s->top_p, weights, n, mass(s, sum_in_order(weights, n), c[0].value, lse));
	target = uniform(s->seed, n_history) * sum_in_order(weights, n);
	for (size_t i = 0; i < n; i++) {
		sum += weights[i];
		if (sum > target)
			return c[i].id;
	}
	return c[n - 1].id;
}
