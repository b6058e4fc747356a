/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/model_pack.h"

#include <errno.h>
#include <sys/mman.h>

#include "compute/kernels/panels.h"

/* Pages of this size are asked for: with small ones each row's walk misses the page table cache. */
enum { HUGE_PAGE = 2 << 20 };

#define MATRIX(field) offsetof(struct layer_weights, field)

static const size_t matrices[] = {MATRIX(query), MATRIX(key), MATRIX(value), MATRIX(attention_out),
    MATRIX(query_a), MATRIX(query_b), MATRIX(latent), MATRIX(latent_key), MATRIX(latent_value),
    MATRIX(latent_both), MATRIX(ff_gate), MATRIX(ff_up), MATRIX(ff_down), MATRIX(router),
    MATRIX(expert_gate), MATRIX(expert_up), MATRIX(expert_down), MATRIX(shared_gate),
    MATRIX(shared_up), MATRIX(shared_down)};

enum { N_MATRICES = sizeof matrices / sizeof matrices[0] };

static bool is_packable(const struct matrix *m)
{
	return m->data != NULL && !m->panels && tensor_type_info(m->type)->quantised;
}

/* Room for a matrix's panels, so that each begins a cache line. */
static size_t room(const struct matrix *m)
{
	return is_packable(m) ? (panels_bytes(m) + 63) / 64 * 64 : 0;
}

struct pack_work {
	const struct matrix *from;
	uint8_t *to;
};

static void pack_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct pack_work *work = context;

	(void)thread;
	for (size_t i = first; i < end; i++)
		panel_pack(
		    work->from, (uint32_t)i, work->to + i * PANEL_ROWS * work->from->row_bytes);
}

/* Pack m at *to, and step on. */
static void pack_matrix(struct matrix *m, const struct gguf *g, struct team *team, uint8_t **to)
{
	struct pack_work work = {m, *to};

	if (!is_packable(m))
		return;
	*to += room(m);
	team_run(team, panels_of(m->n_rows), 1, pack_part, &work);
	gguf_give_back(g, m->data, m->n_rows * m->row_bytes);
	*m = matrix_in_panels(m, work.to);
}

/* The output's panels serve the embedding too where both are one tensor. An embedding alone stays
 * in the file: of each token only a row is read. */
static void pack_output(struct model *m, const struct gguf *g, struct team *team, uint8_t **to)
{
	bool tied = m->embedding.data == m->output.data;

	pack_matrix(&m->output, g, team, to);
	if (tied)
		m->embedding = m->output;
}

int model_pack_reserve(struct model *m, struct error *err)
{
	const size_t n_layers = m->layer_last - m->layer_first;
	size_t bytes = room(&m->output);
	void *at;

	for (size_t i = 0; i < n_layers; i++)
		for (size_t f = 0; f < N_MATRICES; f++)
			bytes += room(
			    (const struct matrix *)((const char *)&m->layers[i] + matrices[f]));
	if (bytes == 0)
		return AYNI_OK;
	bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return error_set(err, AYNI_ERR_MEMORY,
		    "model: no memory for %zu bytes of weights: %s", bytes, strerror(errno));
	(void)madvise(at, bytes, MADV_HUGEPAGE); /* a wish: it works without */
	m->packed = at;
	m->packed_bytes = bytes;
	return AYNI_OK;
}

void model_pack_layer(struct model *m, uint32_t layer, const struct gguf *g, struct team *team)
{
	char *weights = (char *)&m->layers[layer - m->layer_first];
	uint8_t *to;

	if (m->packed == NULL)
		return;
	to = (uint8_t *)m->packed + m->packed_used;
	for (size_t f = 0; f < N_MATRICES; f++)
		pack_matrix((struct matrix *)(weights + matrices[f]), g, team, &to);
	if (layer + 1 == m->sizes.n_layers)
		pack_output(m, g, team, &to);
	m->packed_used = (size_t)(to - (uint8_t *)m->packed);
}
