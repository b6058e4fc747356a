/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That decoding takes no memory once it runs. The program's own allocator counts and passes on to
 * the C library's; a sanitizer has one of its own, and then nothing is counted.
 */
#include "compute/layers.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/tiny_model.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1
#else
#define COUNTS_ALLOCATIONS 0
#endif

static atomic_uint n_allocations;

#if COUNTS_ALLOCATIONS
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

void *malloc(size_t size)
{
	atomic_fetch_add(&n_allocations, 1);
	return __libc_malloc(size);
}

void *calloc(size_t nmemb, size_t size)
{
	atomic_fetch_add(&n_allocations, 1);
	return __libc_calloc(nmemb, size);
}

void *realloc(void *ptr, size_t size)
{
	atomic_fetch_add(&n_allocations, 1);
	return __libc_realloc(ptr, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	atomic_fetch_add(&n_allocations, 1);
	return __libc_memalign(alignment, size);
}

/* What makes a cache's addresses usable. */
int mprotect(void *addr, size_t len, int prot)
{
	atomic_fetch_add(&n_allocations, 1);
	return (int)syscall(SYS_mprotect, addr, len, prot);
}
#endif

enum { N_PROMPT = 5, N_STEPS = 20, N_SESSIONS = 2 };

struct run {
	struct team *team;
	struct gguf *gguf;
	struct model *model;
	struct layers *layers;
	struct kv *sessions[N_SESSIONS];
	float *activations, *logits;
};

static void open_run(struct run *r, enum tensor_type type)
{
	const struct tiny_model_options options = {.n_layers = 2,
	    .d_model = 64,
	    .d_ff = 96,
	    .n_heads = 8,
	    .n_kv_heads = 2,
	    .d_head = 24,
	    .d_value = 20,
	    .d_rope = 16,
	    .type = type,
	    .seed = 3};
	const struct kernels *k = kernels_best();
	char *path = tiny_model_temporary(&options);

	assert_non_null(path);
	assert_int_equal(team_new(2, &r->team, NULL), AYNI_OK);
	assert_int_equal(gguf_open(path, &r->gguf, NULL), AYNI_OK);
	tiny_model_remove(path);
	assert_int_equal(model_load_for(r->gguf, 0, 2, k, r->team, &r->model, NULL), AYNI_OK);
	assert_int_equal(layers_new(r->model, k, r->team, 16, &r->layers, NULL), AYNI_OK);
	for (int i = 0; i < N_SESSIONS; i++)
		assert_int_equal(kv_new(r->model, 64, KV_F16, &r->sessions[i], NULL), AYNI_OK);
	r->activations = calloc(16, 64 * sizeof(float));
	r->logits = calloc(N_SESSIONS, TINY_MODEL_VOCABULARY * sizeof(float));
	assert_non_null(r->activations);
	assert_non_null(r->logits);
}

static void close_run(struct run *r)
{
	free(r->activations);
	free(r->logits);
	for (int i = 0; i < N_SESSIONS; i++)
		kv_free(r->sessions[i]);
	layers_free(r->layers);
	model_free(r->model);
	gguf_free(r->gguf);
	team_free(r->team);
}

static int step(struct run *r, uint32_t position, uint32_t n_tokens)
{
	static const uint32_t tokens[N_SESSIONS * N_PROMPT] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
	struct layers_span spans[N_SESSIONS];

	for (int i = 0; i < N_SESSIONS; i++)
		spans[i] = (struct layers_span){r->sessions[i], position, n_tokens, 1};
	return layers_run(r->layers, spans, N_SESSIONS, tokens, r->activations, r->logits, NULL);
}

static void decoding_allocates_nothing(void **state)
{
	const enum tensor_type types[] = {TENSOR_F16, TENSOR_Q8_0, TENSOR_Q4_0};

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct run r;
		unsigned before;

		open_run(&r, types[i]);
		before = atomic_load(&n_allocations);
		assert_int_equal(step(&r, 0, N_PROMPT), AYNI_OK);
		if (COUNTS_ALLOCATIONS) /* the caches begin */
			assert_true(atomic_load(&n_allocations) > before);
		before = atomic_load(&n_allocations);
		for (uint32_t n = 0; n < N_STEPS; n++)
			assert_int_equal(step(&r, N_PROMPT + n, 1), AYNI_OK);
		assert_int_equal(atomic_load(&n_allocations), before);
		close_run(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(decoding_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
