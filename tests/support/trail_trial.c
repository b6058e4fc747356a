/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/trail_trial.h"

#include <stdlib.h>

#include "protocol/messages.h"

static void advance(struct trail_stage *stage, const struct trail_feed *f, bool last)
{
	struct msg_work_unit u = {
	    .n_spans = 1, .spans = (struct unit_span *)&f->span, .top = f->top};
	size_t n = work_n_parts(&u), n_items;
	struct chain_item items[WORK_PARTS_MAX];
	struct hash inputs[WORK_PARTS_MAX], start;
	uint8_t tokens[LIMIT_UNIT_TOKENS * 4];
	struct chain_unit unit = {.work = &u,
	    .layers = stage->layers,
	    .logits = last,
	    .inputs = inputs,
	    .after = f->hashes + stage->layers.first * n,
	    .outputs = f->hashes + (stage->layers.last - 1) * n};

	payload_put_u32(tokens, f->tokens, f->span.n_tokens);
	chain_inputs(1, 0, &u, tokens, inputs);
	if (stage->layers.first > 0)
		unit.inputs = f->hashes + (stage->layers.first - 1) * n;
	chain_start(&f->model, stage->layers, f->kv_type, &start);
	if (f->span.position == 0)
		chain_begin(&stage->chain, &start);
	n_items = chain_items(&unit, items);
	for (size_t i = 0; i < n_items; i++)
		assert(chain_add(&stage->chain, &items[i]) == AYNI_OK);
}

void trail_trial_add(struct trail *t, const struct trail_feed *f)
{
	trail_add(t, &f->span, f->top, f->tokens, f->hashes);
	for (uint32_t k = 0; k < t->n_stages; k++)
		advance(&t->stages[k], f, k + 1 == t->n_stages);
}
