/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/cases.h"

#include <strings.h>

#define LLAMA "llama-3.2-1b"
#define LITE  "deepseek-v2-lite"

enum { SHORT = 128, LONG = 8192, PROMPT = 512, TOGETHER = 16 };

const struct bench_case bench_cases[] = {
    {LLAMA, TENSOR_Q8_0, PHASE_DECODE, 1, SHORT, KV_F16, true, false},
    {LLAMA, TENSOR_Q8_0, PHASE_DECODE, 1, LONG, KV_F16, false, false},
    {LLAMA, TENSOR_Q8_0, PHASE_PREFILL, 1, PROMPT, KV_F16, false, false},
    {LLAMA, TENSOR_Q4_0, PHASE_DECODE, 1, SHORT, KV_F16, true, false},
    {LLAMA, TENSOR_Q4_0, PHASE_DECODE, 1, LONG, KV_F16, true, false},
    {LLAMA, TENSOR_Q4_0, PHASE_DECODE, 1, LONG, KV_INT8, false, false},
    {LLAMA, TENSOR_Q4_0, PHASE_DECODE, TOGETHER, SHORT, KV_F16, true, false},
    {LLAMA, TENSOR_Q4_0, PHASE_PREFILL, 1, PROMPT, KV_F16, true, true},
    {LLAMA, TENSOR_Q4_K, PHASE_DECODE, 1, SHORT, KV_F16, false, false},
    {LLAMA, TENSOR_Q4_K, PHASE_PREFILL, 1, PROMPT, KV_F16, false, false},
    {LLAMA, TENSOR_Q6_K, PHASE_DECODE, 1, SHORT, KV_F16, false, false},
    {LLAMA, TENSOR_Q6_K, PHASE_PREFILL, 1, PROMPT, KV_F16, false, false},
    {LITE, TENSOR_Q4_0, PHASE_DECODE, 1, SHORT, KV_F16, false, false},
    {LITE, TENSOR_Q4_0, PHASE_DECODE, 1, LONG, KV_F16, false, false},
    {LITE, TENSOR_Q4_0, PHASE_PREFILL, 1, PROMPT, KV_F16, false, false},
};
const size_t bench_n_cases = sizeof bench_cases / sizeof bench_cases[0];

const struct bench_case bench_file_cases[] = {
    {NULL, TENSOR_TYPE_END, PHASE_DECODE, 1, SHORT, KV_F16, true, false},
    {NULL, TENSOR_TYPE_END, PHASE_DECODE, 1, LONG, KV_F16, false, false},
    {NULL, TENSOR_TYPE_END, PHASE_DECODE, TOGETHER, SHORT, KV_F16, false, false},
    {NULL, TENSOR_TYPE_END, PHASE_PREFILL, 1, PROMPT, KV_F16, true, true},
};
const size_t bench_n_file_cases = sizeof bench_file_cases / sizeof bench_file_cases[0];

static const struct {
	enum phase phase;
	const char *name;
} phases[] = {{PHASE_PREFILL, "prefill"}, {PHASE_DECODE, "decode"}, {PHASE_LOAD, "load"},
    {PHASE_PRODUCTS, "products"}};

enum { N_PHASES = sizeof phases / sizeof phases[0] };

/* Whatever the phase. */
static bool fits(const struct bench_filter *f, const struct bench_case *c)
{
	return (!f->quick || c->quick) &&
	       (f->geometry == NULL || c->geometry == NULL ||
	           strcmp(f->geometry, c->geometry) == 0) &&
	       (f->type == TENSOR_TYPE_END || c->type == TENSOR_TYPE_END || f->type == c->type);
}

bool bench_wants(const struct bench_filter *f, const struct bench_case *c)
{
	return fits(f, c) && (f->phases & (unsigned)c->phase) != 0;
}

bool bench_wants_fast(const struct bench_filter *f, const struct bench_case *c)
{
	return c->fast && !f->quick && bench_wants(f, c);
}

bool bench_wants_model(const struct bench_filter *f, const struct bench_case *c)
{
	return fits(f, c) && (f->phases & ((unsigned)c->phase | PHASE_LOAD)) != 0;
}

const char *phase_name(enum phase phase)
{
	for (size_t i = 0; i < N_PHASES; i++)
		if (phases[i].phase == phase)
			return phases[i].name;
	return "";
}

unsigned phase_find(const char *name)
{
	for (size_t i = 0; i < N_PHASES; i++)
		if (strcmp(phases[i].name, name) == 0)
			return phases[i].phase;
	return 0;
}

enum tensor_type tensor_type_find(const char *name)
{
	for (uint32_t raw = 0; raw < TENSOR_TYPE_END; raw++)
		if (tensor_type_info(raw) != NULL &&
		    strcasecmp(tensor_type_info(raw)->name, name) == 0)
			return (enum tensor_type)raw;
	return TENSOR_TYPE_END;
}
