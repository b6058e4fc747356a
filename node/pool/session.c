/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/session.h"

#include <stdlib.h>

#include "node/work.h"
#include "protocol/messages.h"

/* A copy of what is used, in so many bytes; the old ones are wiped. NULL: nothing changed. */
static void *move(void *old, size_t used, size_t bytes)
{
	void *data = malloc(bytes);

	if (data == NULL)
		return NULL;
	if (used > 0) {
		memcpy(data, old, used);
		explicit_bzero(old, used);
	}
	free(old);
	return data;
}

static int move_tokens(struct session *s, uint32_t capacity)
{
	uint32_t *tokens =
	    move(s->tokens, s->n_tokens * sizeof *tokens, (size_t)capacity * sizeof *tokens);

	if (tokens == NULL)
		return AYNI_ERR_MEMORY;
	s->tokens = tokens;
	s->capacity = capacity;
	return AYNI_OK;
}

void session_request_free(const struct session_request *r)
{
	if (r->tokens != NULL)
		explicit_bzero(r->tokens, (size_t)(r->n_tokens + r->n_drawn) * sizeof *r->tokens);
	free(r->tokens);
}

int session_new(
    const struct session_request *r, uint64_t now_us, struct session **out, struct error *err)
{
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL)
		goto err0;
	s->r = *r;
	s->r.tokens = NULL;
	s->tokens = r->tokens;
	s->n_tokens = r->n_tokens + r->n_drawn;
	s->r.sampling.answer_from = r->n_tokens;
	if (move_tokens(s, s->n_tokens) != AYNI_OK) /* they may have come with room to spare */
		goto err1;
	s->arrived_us = now_us;
	s->prefix.kind =
	    (uint8_t)r->wire; /* equal tokens have other keys and values in another type */
	*out = s;
	session_check(s);
	return AYNI_OK;

err1:
	free(s);
err0:
	session_request_free(r);
	return error_set(err, AYNI_ERR_MEMORY, "session: out of memory");
}

int session_new_check(const struct session_request *r, struct trail *t,
    const struct model_sizes *sizes, uint64_t now_us, struct session **out, struct error *err)
{
	struct session_request q = *r;
	struct check *c;
	int rc = check_new(t, sizes, &c, err);

	if (rc != AYNI_OK)
		return rc;
	q.model = t->model;
	q.wire = t->wire;
	q.n_vocabulary = sizes->n_vocabulary;
	q.n_tokens = c->n_positions;
	q.n_drawn = 0;
	q.max_tokens = 1;
	q.top = c->top;
	sampler_defaults(&q.sampling);
	q.tokens = calloc(q.n_tokens, sizeof *q.tokens);
	if (q.tokens == NULL || q.n_tokens >= q.kv_tokens) {
		free(q.tokens);
		check_free(c);
		return error_set(err, AYNI_ERR_MEMORY, "session: no room for a trail");
	}
	rc = session_new(&q, now_us, out, err);
	if (rc == AYNI_OK)
		(*out)->check = c;
	else
		check_free(c);
	return rc;
}

uint32_t session_most_tokens(const struct session *s)
{
	uint32_t room = s->r.kv_tokens - s->r.n_tokens;

	return s->r.max_tokens > 0 && s->r.max_tokens < room ? s->r.n_tokens + s->r.max_tokens
	                                                     : s->r.kv_tokens;
}

uint32_t session_pages(const struct session *s)
{
	return kv_pages(session_most_tokens(s));
}

/* What an answer that broke off said is known; what follows is not. */
static int read_so_far(const struct session *s, const struct tokenizer *t, struct reasoning **out)
{
	struct reasoning_text text;
	int rc = reasoning_new(t, s->tokens, s->r.n_tokens, s->r.plain, out);

	if (rc == AYNI_OK)
		reasoning_show(*out, s->r.tool_format);
	for (uint32_t i = s->r.n_tokens; rc == AYNI_OK && i < s->n_tokens; i++)
		rc = reasoning_feed(*out, s->tokens[i], &text);
	if (rc != AYNI_OK)
		reasoning_free(*out);
	return rc;
}

int session_prepare(struct session *s, const struct tokenizer *t)
{
	struct reasoning *text;

	if (s->text != NULL)
		return AYNI_OK;
	if (s->check != NULL)
		return move_tokens(s, session_most_tokens(s));
	if (s->r.logprobs > 0 && s->logprobs == NULL)
		s->logprobs = calloc(DRAFT_MAX + 1, sizeof *s->logprobs);
	if (s->r.logprobs > 0 && s->logprobs == NULL)
		return AYNI_ERR_MEMORY;
	if (read_so_far(s, t, &text) != AYNI_OK)
		return AYNI_ERR_MEMORY;
	if (move_tokens(s, session_most_tokens(s)) != AYNI_OK) {
		reasoning_free(text);
		return AYNI_ERR_MEMORY;
	}
	s->text = text;
	return AYNI_OK;
}

/* What was said is as private as the tokens. */
static void text_free(struct session_text *t)
{
	if (t->data != NULL)
		explicit_bzero(t->data, t->capacity);
	free(t->data);
}

void session_free(struct session *s)
{
	if (s == NULL)
		return;
	explicit_bzero(s->tokens, s->capacity * sizeof *s->tokens);
	free(s->tokens);
	reasoning_free(s->text);
	text_free(&s->answer);
	text_free(&s->thoughts);
	if (s->logprobs != NULL)
		explicit_bzero(s->logprobs, (DRAFT_MAX + 1) * sizeof *s->logprobs);
	free(s->logprobs);
	prefix_free(&s->prefix);
	trail_release(s->trail);
	check_free(s->check);
	free(s->shares);
	free(s);
}

/* Drawing the best token needs one candidate, anything else the sampler's full view. */
static uint32_t candidates_wanted(const struct session *s)
{
	bool greedy = s->r.sampling.temperature <= 0 && !sampler_looks_back(&s->r.sampling);
	uint32_t n = greedy ? 1 : SAMPLER_CANDIDATES;

	return n < s->r.n_vocabulary ? n : s->r.n_vocabulary;
}

/* What is told of a row beside what is drawn may take more of them. */
static uint32_t candidates_read(const struct session *s)
{
	uint32_t n = candidates_wanted(s), told = s->r.logprobs > 0 ? s->r.logprobs - 1 : 0;

	if (told > s->r.n_vocabulary)
		told = s->r.n_vocabulary;
	return told > n ? told : n;
}
static_assert((int)LOGPROB_ALTERNATIVES_MAX <= (int)SAMPLER_CANDIDATES, "one room for both");

uint32_t session_top(const struct session *s)
{
	uint32_t n = candidates_read(s);

	return s->r.top > n ? s->r.top : n;
}

bool session_decodes(const struct session *s)
{
	return s->n_fed + 1 == s->n_tokens;
}

static uint32_t guess(struct session *s, uint32_t most)
{
	most = session_room_for_guesses(s, most);
	if (s->drafting.n > 0) /* they are there already */
		return s->drafting.n < most ? s->drafting.n : most;
	return draft_guess(&s->draft, s->tokens, s->n_tokens, s->tokens + s->n_tokens, most);
}

/* Which way the span goes that was just made up. */
static void choose_way(struct session *s)
{
	struct session_drafting *d = &s->drafting;

	d->rode = d->n > 0 && s->n_guessed > 0;
	if (d->asked_at == s->n_tokens)
		d->way = WAY_DRAFTED; /* whatever came of it */
	else
		d->way = s->n_guessed > 0 ? WAY_OTHER : WAY_ALONE;
	d->n = 0;
	d->until_us = 0;
}

static void take_group(struct session *s, uint32_t chunk, struct unit_span *out)
{
	const uint32_t *tokens = check_take(s->check, chunk, out);

	out->session = s->r.id;
	memcpy(s->tokens + out->position, tokens, out->n_tokens * sizeof *tokens);
	s->n_fed = out->position;
}

void session_take_span(struct session *s, uint32_t chunk, uint32_t guesses, struct unit_span *out)
{
	uint32_t n = s->n_tokens - s->n_fed;
	uint32_t end;

	assert(s->state == SESSION_READY);
	if (s->check != NULL) {
		take_group(s, chunk, out);
		s->state = SESSION_FLYING;
		return;
	}
	n = n < chunk ? n : chunk;
	end = s->n_fed + n;
	*out = (struct unit_span){.session = s->r.id,
	    .position = s->n_fed,
	    .n_tokens = n,
	    .from = s->from,
	    .wire = s->r.wire};
	if (s->r.top > 0 && s->n_reported < end)
		out->n_logits = end - (s->n_reported > s->n_fed ? s->n_reported : s->n_fed);
	else if (end == s->n_tokens)
		out->n_logits = 1;
	if (end == s->n_tokens) {
		s->n_guessed = guess(s, guesses);
		out->n_tokens += s->n_guessed;
		out->n_logits += s->n_guessed;
		choose_way(s);
	}
	s->state = SESSION_FLYING;
	session_check(s);
}

bool session_foresees(struct session *s, uint32_t guesses)
{
	return guess(s, guesses) > 0;
}

bool session_runs_ahead(const struct session *s, uint32_t steps)
{
	return s->r.top == 0 && !sampler_looks_back(&s->r.sampling) &&
	       s->n_tokens + steps < session_most_tokens(s);
}

void session_fly_on(struct session *s)
{
	assert(s->state == SESSION_READY && session_decodes(s));
	choose_way(s);
	s->state = SESSION_FLYING;
}

void session_rewind(struct session *s)
{
	assert(s->state == SESSION_READY || s->state == SESSION_FLYING);
	s->n_fed = s->n_guessed = s->drafting.n = 0;
	s->drafting.until_us = 0;
	s->drafting.timed = false;
	s->from = 0;
	s->state = SESSION_WAITING;
	session_check(s);
}

void session_bind(struct session *s, uint32_t path)
{
	assert(s->state == SESSION_WAITING && (s->text != NULL || s->check != NULL));
	s->path = path;
	s->wait_until_us = 0;
	s->told = false;
	s->state = SESSION_READY;
	session_check(s);
}

void session_begin_with(struct session *s, uint64_t from, uint32_t n)
{
	assert(s->state == SESSION_READY && s->n_fed == 0 && n > 0);
	s->from = from;
	s->n_fed = n;
	session_check(s);
}

void session_begin_alone(struct session *s)
{
	assert(s->state == SESSION_READY && s->from != 0);
	s->from = 0;
	s->n_fed = s->drafting.n = 0;
	s->drafting.until_us = 0;
}

/* Always from this session's own number of candidates, whatever the batch, or who is told of them,
 * asked for. */
static uint32_t draw(
    const struct session *s, const struct logit_rows *rows, uint32_t row, struct logprobs *told)
{
	struct logit candidates[SAMPLER_CANDIDATES];
	uint32_t n = candidates_read(s), token;
	float lse;

	logit_row_read(rows->data + row * logit_row_bytes(rows->top), n, candidates, &lse);
	token = sampler_draw(
	    &s->r.sampling, candidates, candidates_wanted(s), lse, s->tokens, s->n_tokens);
	if (told != NULL)
		logprobs_of(candidates, n, lse, token, s->r.logprobs - 1, told);
	return token;
}

static void finish(struct session *s, struct session_step *out, enum finish_reason reason)
{
	out->finished = true;
	out->reason = reason;
	s->state = SESSION_DONE;
}

static int text_add(struct session_text *t, struct span more)
{
	if (more.len > t->capacity - t->len) {
		size_t capacity = 2 * t->capacity + more.len;
		uint8_t *data = move(t->data, t->capacity, capacity);

		if (data == NULL)
			return AYNI_ERR_MEMORY;
		t->data = data;
		t->capacity = capacity;
	}
	if (more.len > 0)
		memcpy(t->data + t->len, more.data, more.len);
	t->len += more.len;
	return AYNI_OK;
}

static enum token_part part_of(enum reasoning_part part)
{
	switch (part) {
	case REASONING_ANSWER:
		return TOKEN_OF_ANSWER;
	case REASONING_APART:
		return TOKEN_OF_REASONING;
	case REASONING_OPEN:
		break;
	}
	return TOKEN_OF_NEXT;
}

static int say(struct session *s, uint32_t token, struct logprobs *told)
{
	struct reasoning_text more;
	int rc = reasoning_feed(s->text, token, &more);

	if (told != NULL) {
		told->part = part_of(more.part);
		told->text_bytes = (uint32_t)more.answer.len;
	}
	if (rc == AYNI_OK)
		rc = text_add(&s->answer, more.answer);
	return rc == AYNI_OK ? text_add(&s->thoughts, more.reasoning) : rc;
}

static int take_token(struct session *s, const struct tokenizer *t, uint32_t token,
    struct logprobs *told, struct session_step *out)
{
	if (tokenizer_is_end(t, token) && !s->r.ignore_end) {
		finish(s, out, FINISH_END);
		return AYNI_OK;
	}
	s->tokens[s->n_tokens++] = token;
	s->replays = 0;
	out->n_drawn++;
	if (s->r.max_tokens > 0 && s->n_tokens - s->r.n_tokens >= s->r.max_tokens)
		finish(s, out, FINISH_LENGTH);
	else if (s->n_tokens == s->r.kv_tokens)
		finish(s, out, FINISH_CONTEXT);
	return say(s, token, told);
}

/* Draw from the last row; then, as long as what was drawn had been guessed, from the guess's own.
 */
static int draw_all(struct session *s, const struct logit_rows *rows, const struct tokenizer *t,
    struct session_step *out)
{
	uint32_t guessed = s->n_guessed, right = 0;
	int rc;

	s->n_guessed = 0;
	s->answer.len = s->thoughts.len = 0;
	out->drawn = s->tokens + s->n_tokens;
	out->logprobs = s->logprobs;
	for (;;) {
		struct logprobs *told = s->logprobs != NULL ? &s->logprobs[out->n_drawn] : NULL;
		uint32_t token = draw(s, rows, rows->n_rows - 1 - guessed + right, told);
		bool known = right < guessed && token == s->tokens[s->n_tokens];

		rc = take_token(s, t, token, told, out);
		right += known;
		if (rc != AYNI_OK || out->finished || !known)
			break;
	}
	draft_learn(s->drafting.rode ? &s->drafting.draft : &s->draft, guessed, right);
	s->n_fed += right < out->n_drawn ? right : out->n_drawn;
	out->text.answer = (struct span){s->answer.data, s->answer.len};
	out->text.reasoning = (struct span){s->thoughts.data, s->thoughts.len};
	return rc;
}

static void learn_gain(struct session *s, const struct session_step *out, uint64_t now_us)
{
	if (s->drafting.timed)
		gain_learn(&s->drafting.gain, s->drafting.way, now_us - s->last_us, out->n_drawn);
	s->drafting.timed = true;
	s->first_us = s->first_us > 0 ? s->first_us : now_us;
	s->last_us = now_us;
}

/* It goes on until all is fed, or something is not as the trail has it. */
static void take_rows(struct session *s, const struct logit_rows *rows, struct session_step *out)
{
	check_rows(s->check, rows->top, rows->data);
	s->state = SESSION_READY;
	if (check_next(s->check, &s->n_fed))
		session_check(s);
	else
		finish(s, out, FINISH_END);
}

int session_logits(struct session *s, const struct unit_span *span, const struct logit_rows *rows,
    const struct tokenizer *t, uint64_t now_us, struct session_step *out)
{
	uint32_t end = span->position + span->n_tokens - s->n_guessed;
	int rc = AYNI_OK;

	assert(s->state == SESSION_FLYING && s->n_fed == span->position);
	assert(rows->n_rows == span->n_logits);
	*out = (struct session_step){0};
	if (s->check != NULL) {
		take_rows(s, rows, out);
		return AYNI_OK;
	}
	s->n_reused = s->from != 0 ? span->position : s->n_reused;
	s->from = 0;
	s->n_fed = end;
	s->state = SESSION_READY;
	if (s->r.top > 0 && end > s->n_reported) {
		out->n_rows =
		    end - s->n_reported < rows->n_rows ? end - s->n_reported : rows->n_rows;
		out->rows_first = rows->n_rows - out->n_rows;
		s->n_reported = end;
	}
	if (end == s->n_tokens) {
		rc = draw_all(s, rows, t, out);
		learn_gain(s, out, now_us);
	}
	session_check(s);
	return rc;
}

int session_rest(struct session *s, struct reasoning_text *out)
{
	assert(s->state == SESSION_DONE);
	return reasoning_finish(s->text, out);
}

void session_end(struct session *s)
{
	s->state = SESSION_DONE;
}

int session_share(
    struct session *s, const struct public_key *donor, const char *name, struct layer_range layers)
{
	struct share *shares;

	for (size_t i = 0; i < s->n_shares; i++) {
		struct share *h = &s->shares[i];

		if (public_key_equal(&h->donor, donor) && h->layer_first == layers.first &&
		    h->layer_last == layers.last) {
			h->units++;
			return AYNI_OK;
		}
	}
	if (s->n_shares == LIMIT_LAYERS)
		return AYNI_ERR_LIMIT;
	shares = reallocarray(s->shares, s->n_shares + 1, sizeof *shares);
	if (shares == NULL)
		return AYNI_ERR_MEMORY;
	s->shares = shares;
	shares[s->n_shares] = (struct share){
	    .donor = *donor, .layer_first = layers.first, .layer_last = layers.last, .units = 1};
	(void)snprintf(shares[s->n_shares].donor_name, TEXT_SHORT, "%s", name);
	s->n_shares++;
	return AYNI_OK;
}

void session_check(const struct session *s)
{
	assert(s->r.n_tokens > 0 && s->r.n_tokens <= s->n_tokens);
	assert(s->n_tokens <= s->capacity && s->capacity <= s->r.kv_tokens);
	assert(s->n_fed <= s->n_tokens && s->n_reported <= s->n_tokens);
	assert(s->n_guessed == 0 || s->state == SESSION_FLYING || s->state == SESSION_DONE);
	assert(s->n_guessed <= s->capacity - s->n_tokens);
	assert((s->state != SESSION_READY && s->state != SESSION_FLYING) ||
	       s->capacity == session_most_tokens(s));
	assert(s->state == SESSION_DONE || s->n_tokens < s->r.kv_tokens);
	assert(s->drafting.n == 0 || (s->state == SESSION_READY && s->n_guessed == 0) ||
	       s->state == SESSION_DONE);
	assert(s->drafting.n < s->capacity - s->n_tokens || s->drafting.n == 0);
	assert(s->drafting.until_us == 0 || s->state == SESSION_READY || s->state == SESSION_DONE);
	assert(s->state != SESSION_WAITING || s->n_fed == 0);
	assert(s->state != SESSION_READY || s->n_fed < s->n_tokens);
}
