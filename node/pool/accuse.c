/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/accuse.h"

#include <stdlib.h>

#include "protocol/evidence.h"
#include "protocol/identity.h"
#include "protocol/messages.h"

static_assert((int)EVIDENCE_PART_ROWS == (int)WORK_PART_TOKENS, "parts are of one page");

/* The list being made. */
struct list {
	size_t n, room;
	struct evidence_part *parts;
	struct hash *after; /* room x n_after */
	size_t n_after;
	size_t wrong; /* index of the accused part */
};

/* ---- parts -------------------------------------------------------------------------------- */

static void add_part(struct list *l, const struct chain_item *item)
{
	struct hash *after = l->after + l->n * l->n_after;

	for (size_t i = 0; i < l->n_after; i++)
		after[i] = item->after[i * item->stride];
	l->parts[l->n++] = (struct evidence_part){.position = item->position,
	    .n_rows = item->n_rows,
	    .n_logits = item->n_logits,
	    .top = item->top,
	    .input = item->input,
	    .output = item->output,
	    .after = after};
}

/* Those of one span, as the chain of the stage has them. */
static void add_span(struct list *l, const struct accusation *a, uint32_t index)
{
	const struct trail *t = a->trail;
	const struct trail_span *s = &t->spans[index];
	struct layer_range layers = t->stages[a->stage].layers;
	struct unit_span span = {.position = s->position,
	    .n_tokens = s->n_tokens,
	    .n_logits = s->n_logits,
	    .wire = t->wire};
	struct msg_work_unit u = {.n_spans = 1, .spans = &span, .top = s->top};
	struct hash tokens[WORK_PARTS_MAX];
	uint8_t bytes[LIMIT_UNIT_TOKENS * 4];
	struct chain_item items[WORK_PARTS_MAX];
	struct chain_unit unit = {.work = &u,
	    .layers = layers,
	    .logits = layers.last == t->n_layers,
	    .inputs = tokens,
	    .after = trail_after(t, s, layers.first),
	    .outputs = trail_after(t, s, layers.last - 1)};
	size_t n;

	if (layers.first == 0) {
		payload_put_u32(bytes, t->tokens + s->first_token, s->n_tokens);
		chain_inputs(a->d_model, 0, &u, bytes, tokens);
	} else {
		unit.inputs = trail_after(t, s, layers.first - 1);
	}
	n = chain_items(&unit, items);
	for (size_t i = 0; i < n; i++) {
		if (index == a->span && items[i].position <= a->position)
			l->wrong = l->n; /* the last of them has it */
		add_part(l, &items[i]);
	}
}

static int list_parts(const struct accusation *a, struct list *l, struct error *err)
{
	const struct trail *t = a->trail;
	struct layer_range layers = t->stages[a->stage].layers;

	l->n_after = layers.last - layers.first - 1;
	for (uint32_t i = 0; i < t->n_spans; i++)
		l->room += trail_parts(t, &t->spans[i], 0 /* of activations */);
	if (t->n_layers == 1)
		l->room = t->n_tokens; /* at most */
	if (l->room > EVIDENCE_PARTS_MAX)
		return error_set(err, AYNI_ERR_LIMIT, "evidence: %zu parts are too many", l->room);
	l->parts = calloc(l->room + 1, sizeof *l->parts);
	l->after = calloc(l->room + 1, l->n_after * sizeof *l->after + 1);
	if (l->parts == NULL || l->after == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "evidence: out of memory");
	for (uint32_t i = 0; i < t->n_spans; i++)
		add_span(l, a, i);
	return AYNI_OK;
}

/* ---- rows --------------------------------------------------------------------------------- */

/* Of all parts up to the wrong one: parts are in the order of the trail's tokens. */
static int take_rows(
    const struct accusation *a, const struct list *l, uint8_t **out, struct span *rows)
{
	size_t n = 0;

	for (size_t i = 0; i <= l->wrong; i++)
		n += l->parts[i].n_rows;
	if (a->layer > 0) {
		*rows = (struct span){a->rows, n * wire_row_bytes(a->trail->wire, a->d_model)};
		return AYNI_OK;
	}
	*out = malloc(n * 4 + 1);
	if (*out == NULL)
		return AYNI_ERR_MEMORY;
	payload_put_u32(*out, a->trail->tokens, n);
	*rows = (struct span){*out, n * 4};
	return AYNI_OK;
}

int accuse(const struct accusation *a, uint8_t **out, size_t *len, struct error *err)
{
	const struct trail_stage *stage = &a->trail->stages[a->stage];
	const struct statement *s = stage->statement;
	struct evidence e = {.manifest = a->manifest,
	    .layers = stage->layers,
	    .kv_type = a->kv_type,
	    .wire = (uint32_t)a->trail->wire,
	    .layer = a->layer};
	struct list l = {0};
	uint8_t *tokens = NULL;
	int rc;

	if (s == NULL || a->manifest.len == 0)
		return error_set(err, AYNI_ERR_NOT_FOUND,
		    "evidence: nothing is there that the donor signed for all of it");
	rc = list_parts(a, &l, err);
	if (rc == AYNI_OK && take_rows(a, &l, &tokens, &e.rows) != AYNI_OK)
		rc = error_set(err, AYNI_ERR_MEMORY, "evidence: out of memory");
	if (rc == AYNI_OK) {
		e.n_parts = l.n;
		e.parts = l.parts;
		e.part = (uint32_t)l.wrong;
		e.envelope = (struct span){s->envelope, sizeof s->envelope};
		e.header = (struct span){s->header, s->header_len};
		rc = evidence_encode(&e, out, len, err);
	}
	free(tokens);
	free(l.parts);
	free(l.after);
	return rc;
}
