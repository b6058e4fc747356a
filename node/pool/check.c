/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/check.h"

#include <stdlib.h>

#include "node/work.h"
#include "protocol/identity.h"

static bool is_sound(const struct trail *t, const struct model_sizes *sizes)
{
	return t->n_spans > 0 && t->n_stages > 0 &&
	       t->stages[t->n_stages - 1].layers.last == sizes->n_layers;
}

int check_new(
    struct trail *t, const struct model_sizes *sizes, struct check **out, struct error *err)
{
	struct check *c;

	if (!is_sound(t, sizes))
		return error_set(err, AYNI_ERR_ARGUMENT, "check: nothing to compare");
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "check: out of memory");
	c->trail = trail_hold(t);
	c->d_model = sizes->d_model;
	c->n_layers = sizes->n_layers;
	c->top = 1;
	c->n_positions = trail_positions(t);
	for (uint32_t i = 0; i < t->n_spans; i++) {
		if (t->spans[i].n_logits > 0 && t->spans[i].top > c->top)
			c->top = t->spans[i].top;
	}
	*out = c;
	return AYNI_OK;
}

void check_free(struct check *c)
{
	if (c != NULL)
		trail_release(c->trail);
	free(c);
}

/* ---- feeding ------------------------------------------------------------------------------ */

static uint32_t next_span(const struct check *c)
{
	return c->group.first + c->group.run.n;
}

uint32_t check_least(const struct check *c)
{
	return c->trail->spans[next_span(c)].n_tokens;
}

const uint32_t *check_take(struct check *c, uint32_t most_tokens, struct unit_span *out)
{
	const struct trail *t = c->trail;
	const struct trail_span *first;

	assert(next_span(c) < t->n_spans);
	c->group = trail_group(t, next_span(c), most_tokens);
	first = &t->spans[c->group.first];
	*out = (struct unit_span){.position = first->position,
	    .n_tokens = c->group.run.n_tokens,
	    .n_logits = c->group.run.n_rows,
	    .wire = t->wire};
	return t->tokens + first->first_token;
}

bool check_next(struct check *c, uint32_t *position)
{
	if (c->differs || next_span(c) == c->trail->n_spans)
		return false;
	*position = c->trail->spans[next_span(c)].position;
	return true;
}

bool check_agrees(const struct check *c)
{
	return !c->differs && !c->missed && next_span(c) == c->trail->n_spans && c->last_compared;
}

/* ---- comparing ---------------------------------------------------------------------------- */

/* The parts of one span, whose rows these are. */
static void compare(struct check *c, uint32_t index, uint32_t layer, const uint8_t *rows)
{
	const struct trail_span *s = &c->trail->spans[index];
	const struct hash *known = trail_after(c->trail, s, layer - 1);
	struct unit_span span = {.position = s->position,
	    .n_tokens = s->n_tokens,
	    .n_logits = s->n_logits,
	    .wire = c->trail->wire};
	struct msg_work_unit u = {.n_spans = 1, .spans = &span, .top = s->top};
	struct work_part parts[WORK_PARTS_MAX];
	size_t n = work_parts(c->d_model, &u, layer == c->n_layers, parts);

	for (size_t i = 0; i < n && !c->differs; i++) {
		struct hash here;

		hash_bytes(rows, parts[i].bytes, &here);
		rows += parts[i].bytes;
		c->n_compared++;
		c->last_compared = c->last_compared || index + 1 == c->trail->n_spans;
		if (hash_equal(&here, &known[i]))
			continue;
		c->differs = true;
		c->span = index;
		c->layer = layer;
	}
}

void check_activations(struct check *c, uint32_t layer, const uint8_t *rows)
{
	size_t row_bytes = wire_row_bytes(c->trail->wire, c->d_model);

	assert(layer < c->n_layers);
	for (uint32_t i = c->group.first; i < next_span(c); i++) {
		compare(c, i, layer, rows);
		rows += c->trail->spans[i].n_tokens * row_bytes;
	}
}

/* As the trail's donors gave them: its units asked for fewer logits perhaps. */
static void compare_rows(struct check *c, uint32_t index, uint32_t top, const uint8_t *rows)
{
	const struct trail_span *s = &c->trail->spans[index];
	size_t row_bytes = logit_row_bytes(s->top);
	uint8_t *cut = calloc(s->n_logits, row_bytes);

	if (cut == NULL) {
		c->missed = true;
		return;
	}
	for (uint32_t i = 0; i < s->n_logits; i++)
		memcpy(cut + i * row_bytes, rows + i * logit_row_bytes(top), row_bytes);
	compare(c, index, c->n_layers, cut);
	free(cut);
}

void check_rows(struct check *c, uint32_t top, const uint8_t *rows)
{
	uint32_t tokens_left = c->group.run.n_tokens;

	assert(top >= c->top);
	for (uint32_t i = c->group.first; i < next_span(c); i++) {
		const struct trail_span *s = &c->trail->spans[i];

		tokens_left -= s->n_tokens;
		if (s->n_logits > 0)
			compare_rows(c, i, top,
			    rows + (c->group.run.n_rows - tokens_left - s->n_logits) *
			               logit_row_bytes(top));
	}
}
