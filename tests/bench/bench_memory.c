/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of donors: a pool serves a model of 16 layers (about 0.9 GB, Q8_0, random weights)
 * over four real donors on loopback, each of which holds four layers. Each donor's memory, daemon
 * and computing process together, is sampled from its start to the end of a session; the highest is
 * compared with the bytes of its layers and of its KV cache. The goal is at most 10 % more. Pages
 * that several processes share count in equal parts (Pss of /proc/PID/smaps_rollup).
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "compute/gguf_write.h"
#include "compute/kv.h"
#include "compute/model.h"
#include "tests/support/network.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

enum {
	N_LAYERS = 16,
	N_DONORS = 4,
	D_MODEL = 2048,
	D_FF = 8192,
	N_HEADS = 32,
	N_KV_HEADS = 8,
	CONTEXT = 512,
	PROMPT = 400 /* tokens: the tiny model's vocabulary has one for each byte */
};

static uint64_t state = 1;

/* Random blocks, with scales that keep activations small. */
static void fill(uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i + sizeof state <= n; i += sizeof state) {
		state ^= state << 13; /* xorshift64 (Marsaglia 2003) */
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(bytes + i, &state, sizeof state);
	}
	for (size_t i = 0; i + sizeof(struct block_q8_0) <= n; i += sizeof(struct block_q8_0)) {
		const uint16_t scale = 0x0800; /* 2^-13 */

		memcpy(bytes + i, &scale, sizeof scale);
	}
}

static void add(
    struct gguf_head *h, const char *name, uint64_t columns, uint64_t rows, enum tensor_type type)
{
	struct gguf_tensor t = {
	    .name = name, .n_dims = rows > 1 ? 2 : 1, .dims = {columns, rows, 1, 1}};

	assert_int_equal(gguf_head_add_tensor(h, &t, type, NULL), AYNI_OK);
}

static void add_layer(struct gguf_head *h, unsigned layer)
{
	const uint64_t d_kv = D_MODEL / N_HEADS * N_KV_HEADS;
	const struct {
		const char *name;
		uint64_t columns, rows;
	} tensors[] = {{"attn_norm", D_MODEL, 1}, {"attn_q", D_MODEL, D_MODEL},
	    {"attn_k", D_MODEL, d_kv}, {"attn_v", D_MODEL, d_kv}, {"attn_output", D_MODEL, D_MODEL},
	    {"ffn_norm", D_MODEL, 1}, {"ffn_gate", D_MODEL, D_FF}, {"ffn_up", D_MODEL, D_FF},
	    {"ffn_down", D_FF, D_MODEL}};

	for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
		char name[64];

		(void)snprintf(name, sizeof name, "blk.%u.%s.weight", layer, tensors[i].name);
		add(h, name, tensors[i].columns, tensors[i].rows,
		    tensors[i].rows > 1 ? TENSOR_Q8_0 : TENSOR_F32);
	}
}

static void add_keys(struct gguf_head *h, const struct gguf *tiny)
{
	static const struct {
		const char *key;
		uint32_t value;
	} sizes[] = {{"llama.block_count", N_LAYERS}, {"llama.embedding_length", D_MODEL},
	    {"llama.feed_forward_length", D_FF}, {"llama.attention.head_count", N_HEADS},
	    {"llama.attention.head_count_kv", N_KV_HEADS}, {"llama.context_length", CONTEXT},
	    {"llama.rope.dimension_count", D_MODEL / N_HEADS}};
	enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

	for (size_t i = 0; i < gguf_n_keys(tiny); i++) {
		const char *key = gguf_key_at(tiny, i, NULL);
		bool own = false;

		for (size_t k = 0; k < N_SIZES; k++)
			own = own || strcmp(key, sizes[k].key) == 0;
		if (!own)
			assert_int_equal(gguf_head_copy_key(h, tiny, key), AYNI_OK);
	}
	for (size_t k = 0; k < N_SIZES; k++)
		(void)gguf_head_set_u32(h, sizes[k].key, sizes[k].value);
}

static void write_tensors(const struct gguf_head *h, const struct gguf *head, FILE *f)
{
	for (size_t i = 0; i < gguf_n_tensors(head); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(head, i);
		uint8_t *bytes = malloc((size_t)t->size_bytes);
		const float one = 1.0f;

		assert_non_null(bytes);
		fill(bytes, (size_t)t->size_bytes);
		for (size_t k = 0; t->type == TENSOR_F32 && k < t->size_bytes; k += sizeof one)
			memcpy(bytes + k, &one, sizeof one);
		assert_int_equal(fseeko(f, (off_t)gguf_head_tensor_offset(h, i), SEEK_SET), 0);
		assert_int_equal(fwrite(bytes, 1, (size_t)t->size_bytes, f), t->size_bytes);
		free(bytes);
	}
}

static void write_model(const char *path)
{
	struct gguf_head *h;
	struct gguf *tiny, *head;
	struct span bytes;
	size_t len;
	uint8_t *tiny_bytes = tiny_model_bytes(NULL, &len);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(gguf_parse(tiny_bytes, len, len, &tiny, NULL), AYNI_OK);
	assert_int_equal(gguf_head_new(&h, NULL), AYNI_OK);
	add_keys(h, tiny);
	add(h, "token_embd.weight", D_MODEL, TINY_MODEL_VOCABULARY, TENSOR_Q8_0);
	for (unsigned l = 0; l < N_LAYERS; l++)
		add_layer(h, l);
	add(h, "output_norm.weight", D_MODEL, 1, TENSOR_F32);
	add(h, "output.weight", D_MODEL, TINY_MODEL_VOCABULARY, TENSOR_Q8_0);
	assert_int_equal(gguf_head_finish(h, &bytes, NULL), AYNI_OK);
	assert_int_equal(fwrite(bytes.data, 1, bytes.len, f), bytes.len);
	assert_int_equal(
	    gguf_parse(bytes.data, bytes.len, gguf_head_file_bytes(h), &head, NULL), AYNI_OK);
	write_tensors(h, head, f);
	assert_int_equal(fclose(f), 0);
	gguf_free(head);
	gguf_free(tiny);
	gguf_head_free(h);
	free(tiny_bytes);
}

/* ---- measuring --------------------------------------------------------------------------------
 */

static uint64_t memory_bytes(pid_t pid)
{
	char path[64], line[128];
	unsigned long long kib = 0;
	FILE *f;

	(void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, "Pss:", 4) == 0)
			kib = strtoull(line + 4, NULL, 10);
	if (f != NULL)
		(void)fclose(f);
	return (uint64_t)kib << 10;
}

struct sampling {
	const struct network *n;
	atomic_bool stop;
	uint64_t peak[N_DONORS];
};

static void *sample(void *context)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	struct sampling *s = context;

	while (!atomic_load(&s->stop)) {
		for (int i = 0; i < N_DONORS; i++) {
			pid_t child = network_child(s->n->donors[i]);
			uint64_t now = memory_bytes(s->n->donors[i]);

			now += child > 0 ? memory_bytes(child) : 0;
			s->peak[i] = now > s->peak[i] ? now : s->peak[i];
		}
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

static uint64_t layers_bytes(const struct gguf *g, const struct model_sizes *s, unsigned donor)
{
	uint32_t first = donor * N_LAYERS / N_DONORS, end = (donor + 1) * N_LAYERS / N_DONORS;
	uint64_t bytes = 0;

	for (size_t i = 0; i < gguf_n_tensors(g); i++)
		if (model_range_needs(g, s, first, end, gguf_tensor_at(g, i)))
			bytes += gguf_tensor_at(g, i)->size_bytes;
	return bytes;
}

static void report_donors(const struct sampling *sampled, const struct gguf *g, uint32_t tokens)
{
	struct model_sizes s;
	double worst = 0.0;

	assert_int_equal(model_sizes_read(g, &s, NULL), AYNI_OK);
	for (unsigned i = 0; i < N_DONORS; i++) {
		/* Ranges may be handed out in another order; all but the ends' are alike. */
		uint64_t weights = layers_bytes(g, &s, 1);
		uint64_t kv = kv_bytes_per_token(&s, KV_F16, N_LAYERS / N_DONORS) * tokens;
		double ratio = (double)sampled->peak[i] / (double)(weights + kv);

		worst = ratio > worst ? ratio : worst;
		printf("donor %u: %.1f MiB at most; layers %.1f MiB, KV %.1f MiB: %.3f of them\n",
		    i, (double)sampled->peak[i] / (1 << 20), (double)weights / (1 << 20),
		    (double)kv / (1 << 20), ratio);
	}
	printf("the worst donor takes %.1f %% more than its layers and KV cache\n",
	    (worst - 1.0) * 100.0);
}

static void memory_of_donors(void **unused)
{
	static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
	const char *const settings[] = {"stages=4", "kv_tokens=512", "recheck=none", NULL};
	char prompt[PROMPT + 1];
	struct network n;
	struct sampling sampled = {.n = &n};
	struct scratch folder;
	pthread_t sampler;
	struct gguf *g;
	char path[1100];

	(void)unused;
	scratch_make(&folder);
	(void)snprintf(path, sizeof path, "%s", scratch_path(&folder, "model.gguf"));
	write_model(path);
	assert_int_equal(gguf_open(path, &g, NULL), AYNI_OK);
	network_start(&n, path, settings);
	for (int i = 0; i < N_DONORS; i++)
		network_donor(
		    &n, i, NULL, (const char *const[]){"memory_mib=1024", "cores=1", NULL});
	assert_int_equal(pthread_create(&sampler, NULL, sample, &sampled), 0);
	network_wait_ready(&n);
	memset(prompt, 'x', PROMPT);
	prompt[PROMPT] = '\0';
	if (network_run(&n,
	        (const char *const[]){"chat", "--pool", n.invite, "--raw", "-n", "8", prompt, NULL},
	        NULL, out, err) != 0)
		fail_msg("%s", err);
	atomic_store(&sampled.stop, true);
	assert_int_equal(pthread_join(sampler, NULL), 0);
	report_donors(&sampled, g, PROMPT + 8);
	network_stop(&n);
	gguf_free(g);
	scratch_remove(&folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(memory_of_donors)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
