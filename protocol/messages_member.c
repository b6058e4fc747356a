/* SPDX-License-Identifier: Apache-2.0 */
/* Using the pool: Generate, Piece, Finished, Cancel. */
#include "protocol/messages_internal.h"

#include <float.h>

enum { GENERATE_TURNS_MAX = 256, TURN_ROLE_BYTES_MAX = 32, FINISHED_SHARES_MAX = 1024 };

/* ---- tokens ------------------------------------------------------------------------------- */

static void tokens_load(
    struct conversion *c, size_t n, const uint32_t *in, size_t *n_out, uint32_t **out)
{
	check_range(c, "tokens", n, 0, LIMIT_CONTEXT_TOKENS);
	*out = conversion_take(c, n, sizeof **out);
	if (*out == NULL)
		return;
	*n_out = n;
	if (n > 0)
		memcpy(*out, in, n * sizeof **out);
}

static void check_tokens(struct conversion *c, size_t n, const uint32_t *tokens)
{
	check_range(c, "tokens", n, 0, LIMIT_CONTEXT_TOKENS);
	for (size_t i = 0; c->code == AYNI_OK && i < n; i++)
		check_range(c, "tokens", tokens[i], 0, LIMIT_VOCABULARY - 1);
}

static char *copy_string(struct conversion *c, const char *in)
{
	size_t size = strlen(in) + 1;
	char *out = conversion_take(c, 1, size);

	if (out != NULL)
		memcpy(out, in, size);
	return out;
}

/* ---- Generate ----------------------------------------------------------------------------- */

static void turns_load(
    struct conversion *c, size_t n, Ayni__Turn *const *in, struct msg_generate *m)
{
	check_range(c, "turns", n, 0, GENERATE_TURNS_MAX);
	m->turns = conversion_take(c, n, sizeof *m->turns);
	if (m->turns == NULL)
		return;
	for (size_t i = 0; i < n; i++) {
		m->turns[i].role = copy_string(c, in[i]->role);
		m->turns[i].content = copy_string(c, in[i]->content);
		m->turns[i].tool_calls = copy_string(c, in[i]->tool_calls);
		m->turns[i].tool_call_id = copy_string(c, in[i]->tool_call_id);
		m->turns[i].name = copy_string(c, in[i]->name);
	}
	if (c->code == AYNI_OK)
		m->n_turns = n;
}

void load_sampling(const Ayni__Sampling *in, struct sampling *out)
{
	*out = (struct sampling){.temperature = in->temperature,
	    .top_p = in->top_p,
	    .min_p = in->min_p,
	    .repeat_penalty = in->repeat_penalty,
	    .frequency_penalty = in->frequency_penalty,
	    .presence_penalty = in->presence_penalty,
	    .top_k = in->top_k,
	    .repeat_last_n = in->repeat_last_n,
	    .seed = in->seed};
}

static void generate_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Generate *in = wire;
	struct msg_generate *m = &out->generate;

	m->request = in->request;
	load_line(c, "model", in->model, m->model, sizeof m->model);
	turns_load(c, in->n_turns, in->turns, m);
	if (in->prompt[0] != '\0')
		m->prompt = copy_string(c, in->prompt);
	tokens_load(c, in->n_tokens, in->tokens, &m->n_tokens, &m->tokens);
	if (in->sampling == NULL)
		conversion_fail(c, AYNI_ERR_FORMAT, "sampling", "is missing");
	else
		load_sampling(in->sampling, &m->sampling);
	m->max_tokens = in->max_tokens;
	m->top = in->top;
	m->ignore_end = in->ignore_end != 0;
	m->wire = in->wire;
	m->logprobs = in->logprobs;
	if (in->tools[0] != '\0')
		m->tools = copy_string(c, in->tools);
	tokens_load(c, in->n_drawn, in->drawn, &m->n_drawn, &m->drawn);
}

void check_sampling(struct conversion *c, const struct sampling *s)
{
	check_float(c, "sampling.temperature", s->temperature, 0, FLT_MAX);
	check_float(c, "sampling.top_p", s->top_p, 0, 1);
	check_float(c, "sampling.min_p", s->min_p, 0, 1);
	check_float(c, "sampling.repeat_penalty", s->repeat_penalty, 0, FLT_MAX);
	check_float(c, "sampling.frequency_penalty", s->frequency_penalty, -100, 100);
	check_float(c, "sampling.presence_penalty", s->presence_penalty, -100, 100);
	check_range(c, "sampling.repeat_last_n", s->repeat_last_n, 0, LIMIT_CONTEXT_TOKENS);
}

/* JSON, which whoever reads it checks. */
static void check_json(struct conversion *c, const char *field, const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;

	check_range(c, field, len, 0, LIMIT_TOOLS_BYTES);
	if (len > 0)
		check_utf8(c, field, text, len);
}

static void check_short_line(struct conversion *c, const char *field, const char *text)
{
	if (text != NULL)
		check_line(c, field, text, TEXT_SHORT);
}

static void check_turns(struct conversion *c, size_t n, const struct turn *turns)
{
	check_range(c, "turns", n, 0, GENERATE_TURNS_MAX);
	for (size_t i = 0; c->code == AYNI_OK && i < n; i++) {
		size_t role_len = strlen(turns[i].role);

		check_range(c, "turns.role", role_len, 1, TURN_ROLE_BYTES_MAX);
		if (!text_is_line(turns[i].role, role_len))
			conversion_fail(
			    c, AYNI_ERR_FORMAT, "turns.role", "is not one line of UTF-8");
		check_utf8(c, "turns.content", turns[i].content, strlen(turns[i].content));
		check_json(c, "turns.tool_calls", turns[i].tool_calls);
		check_short_line(c, "turns.tool_call_id", turns[i].tool_call_id);
		check_short_line(c, "turns.name", turns[i].name);
	}
}

static void generate_check(struct conversion *c, const struct message *in)
{
	const struct msg_generate *m = &in->generate;
	bool has_prompt = m->prompt != NULL && m->prompt[0] != '\0';

	check_line(c, "model", m->model, sizeof m->model);
	if ((m->n_turns > 0) + has_prompt + (m->n_tokens > 0) != 1)
		conversion_fail(c, AYNI_ERR_FORMAT, "turns, prompt, tokens", "one must be given");
	check_turns(c, m->n_turns, m->turns);
	if (has_prompt)
		check_utf8(c, "prompt", m->prompt, strlen(m->prompt));
	check_tokens(c, m->n_tokens, m->tokens);
	check_tokens(c, m->n_drawn, m->drawn);
	check_sampling(c, &m->sampling);
	check_range(c, "max_tokens", m->max_tokens, 0, LIMIT_CONTEXT_TOKENS);
	check_range(c, "top", m->top, 0, LIMIT_VOCABULARY);
	check_range(c, "wire", m->wire, 0, LIMIT_WIRE_TYPES - 1);
	check_range(c, "logprobs", m->logprobs, 0, 1 + LOGPROB_ALTERNATIVES_MAX);
	check_json(c, "tools", m->tools);
}

Ayni__Sampling *store_sampling(struct conversion *c, const struct sampling *in)
{
	Ayni__Sampling *out = wire_new(c, &ayni__sampling__descriptor);

	if (out == NULL)
		return NULL;
	out->temperature = in->temperature;
	out->top_k = in->top_k;
	out->top_p = in->top_p;
	out->min_p = in->min_p;
	out->repeat_penalty = in->repeat_penalty;
	out->frequency_penalty = in->frequency_penalty;
	out->presence_penalty = in->presence_penalty;
	out->repeat_last_n = in->repeat_last_n;
	out->seed = in->seed;
	return out;
}

static Ayni__Turn *store_turn(struct conversion *c, const struct turn *in)
{
	Ayni__Turn *out = wire_new(c, &ayni__turn__descriptor);

	if (out == NULL)
		return NULL;
	out->role = store_line(in->role);
	out->content = store_line(in->content);
	if (in->tool_calls != NULL)
		out->tool_calls = store_line(in->tool_calls);
	if (in->tool_call_id != NULL)
		out->tool_call_id = store_line(in->tool_call_id);
	if (in->name != NULL)
		out->name = store_line(in->name);
	return out;
}

static void *generate_store(struct conversion *c, const struct message *in)
{
	const struct msg_generate *m = &in->generate;
	Ayni__Generate *out = wire_new(c, &ayni__generate__descriptor);

	if (out == NULL)
		return NULL;
	out->request = m->request;
	out->model = store_line(m->model);
	out->turns = conversion_take(c, m->n_turns, sizeof *out->turns);
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_turns; i++)
		out->turns[out->n_turns++] = store_turn(c, &m->turns[i]);
	if (m->tools != NULL)
		out->tools = store_line(m->tools);
	if (m->prompt != NULL)
		out->prompt = store_line(m->prompt);
	out->n_tokens = m->n_tokens;
	out->tokens = m->tokens;
	out->sampling = store_sampling(c, &m->sampling);
	out->max_tokens = m->max_tokens;
	out->top = m->top;
	out->ignore_end = m->ignore_end;
	out->wire = m->wire;
	out->logprobs = m->logprobs;
	out->n_drawn = m->n_drawn;
	out->drawn = m->drawn;
	return out;
}

const struct codec codec_generate = {.name = "generate",
    .type = &ayni__generate__descriptor,
    .load = generate_load,
    .check = generate_check,
    .store = generate_store};

/* ---- Piece -------------------------------------------------------------------------------- */

static void piece_text_load(
    struct conversion *c, const char *name, ProtobufCBinaryData in, struct bytes *out)
{
	out->data = conversion_take(c, in.len, 1);
	if (out->data != NULL) {
		out->len = in.len;
		load_bytes(c, name, in, out->data, in.len);
	}
}

static void candidates_load(
    struct conversion *c, const Ayni__TokenLogprob *in, struct token_logprob *out)
{
	out->candidates = conversion_take(c, in->n_candidates, sizeof *out->candidates);
	if (out->candidates == NULL)
		return;
	out->n_candidates = in->n_candidates;
	for (size_t i = 0; i < in->n_candidates; i++) {
		const Ayni__Candidate *each = in->candidates[i];

		piece_text_load(c, "logprobs.text", each->text, &out->candidates[i].text);
		out->candidates[i].logprob = each->logprob;
	}
}

static void logprobs_load(
    struct conversion *c, size_t n, Ayni__TokenLogprob *const *in, struct msg_piece *m)
{
	check_range(c, "logprobs", n, 0, LOGPROBS_MAX);
	m->logprobs = conversion_take(c, n, sizeof *m->logprobs);
	if (m->logprobs == NULL)
		return;
	m->n_logprobs = n;
	for (size_t i = 0; i < n; i++) {
		check_range(c, "logprobs.part", in[i]->part, TOKEN_OF_ANSWER, TOKEN_OF_NEXT);
		m->logprobs[i].part = (enum token_part)in[i]->part;
		m->logprobs[i].text_bytes = in[i]->text_bytes;
		candidates_load(c, in[i], &m->logprobs[i]);
	}
}

static void piece_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Piece *in = wire;
	struct msg_piece *m = &out->piece;

	m->request = in->request;
	piece_text_load(c, "text", in->text, &m->text);
	piece_text_load(c, "reasoning", in->reasoning, &m->reasoning);
	tokens_load(c, in->n_tokens, in->tokens, &m->n_tokens, &m->tokens);
	logprobs_load(c, in->n_logprobs, in->logprobs, m);
	m->tool_format = in->tool_format;
	m->rows = in->rows;
	load_bytes(c, "payload_hash", in->payload_hash, m->payload_hash.bytes, HASH_BYTES);
	load_line(c, "notice", in->notice, m->notice, sizeof m->notice);
	load_pseudonym(c, in->session, &m->session);
	check_line(c, "notice", m->notice, sizeof m->notice);
}

static void check_logprobs(struct conversion *c, size_t n, const struct token_logprob *logprobs)
{
	check_range(c, "logprobs", n, 0, LOGPROBS_MAX);
	for (size_t i = 0; c->code == AYNI_OK && i < n; i++) {
		const struct token_logprob *t = &logprobs[i];

		check_range(
		    c, "logprobs.candidates", t->n_candidates, 1, 1 + LOGPROB_ALTERNATIVES_MAX);
		check_range(c, "logprobs.part", t->part, TOKEN_OF_ANSWER, TOKEN_OF_NEXT);
		check_range(c, "logprobs.text_bytes", t->text_bytes, 0, LIMIT_HEADER_BYTES);
		for (size_t k = 0; c->code == AYNI_OK && k < t->n_candidates; k++) {
			check_range(
			    c, "logprobs.text", t->candidates[k].text.len, 0, LOGPROB_TEXT_BYTES);
			check_float(
			    c, "logprobs.logprob", t->candidates[k].logprob, LOGPROB_NONE, 0);
		}
	}
}

static void piece_check(struct conversion *c, const struct message *in)
{
	const struct msg_piece *m = &in->piece;

	check_utf8(c, "text", (const char *)m->text.data, m->text.len);
	check_utf8(c, "reasoning", (const char *)m->reasoning.data, m->reasoning.len);
	check_tokens(c, m->n_tokens, m->tokens);
	check_logprobs(c, m->n_logprobs, m->logprobs);
	check_range(c, "tool_format", m->tool_format, 0, LIMIT_TOOL_FORMATS - 1);
	check_range(c, "rows", m->rows, 0, LIMIT_CONTEXT_TOKENS);
}

static Ayni__Candidate *candidate_store(struct conversion *c, const struct token_candidate *in)
{
	Ayni__Candidate *out = wire_new(c, &ayni__candidate__descriptor);

	if (out == NULL)
		return NULL;
	out->text = store_bytes(in->text.data, in->text.len);
	out->logprob = in->logprob;
	return out;
}

static Ayni__TokenLogprob *logprob_store(struct conversion *c, const struct token_logprob *in)
{
	Ayni__TokenLogprob *out = wire_new(c, &ayni__token_logprob__descriptor);

	if (out == NULL)
		return NULL;
	out->part = in->part;
	out->text_bytes = in->text_bytes;
	out->candidates = conversion_take(c, in->n_candidates, sizeof *out->candidates);
	for (size_t i = 0; c->code == AYNI_OK && i < in->n_candidates; i++)
		out->candidates[out->n_candidates++] = candidate_store(c, &in->candidates[i]);
	return out;
}

static void *piece_store(struct conversion *c, const struct message *in)
{
	const struct msg_piece *m = &in->piece;
	Ayni__Piece *out = wire_new(c, &ayni__piece__descriptor);

	if (out == NULL)
		return NULL;
	out->request = m->request;
	out->text = store_bytes(m->text.data, m->text.len);
	out->reasoning = store_bytes(m->reasoning.data, m->reasoning.len);
	out->n_tokens = m->n_tokens;
	out->tokens = m->tokens;
	out->logprobs = conversion_take(c, m->n_logprobs, sizeof *out->logprobs);
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_logprobs; i++)
		out->logprobs[out->n_logprobs++] = logprob_store(c, &m->logprobs[i]);
	out->tool_format = m->tool_format;
	out->rows = m->rows;
	out->payload_hash = store_bytes(m->payload_hash.bytes, HASH_BYTES);
	out->notice = store_text(c, m->notice, sizeof m->notice);
	out->session = store_pseudonym(&m->session);
	return out;
}

const struct codec codec_piece = {.name = "piece",
    .type = &ayni__piece__descriptor,
    .payload_limit = LIMIT_PAYLOAD_BYTES,
    .load = piece_load,
    .check = piece_check,
    .store = piece_store};

/* ---- Finished ----------------------------------------------------------------------------- */

static void shares_load(
    struct conversion *c, size_t n, Ayni__Share *const *in, struct msg_finished *m)
{
	check_range(c, "shares", n, 0, FINISHED_SHARES_MAX);
	m->shares = conversion_take(c, n, sizeof *m->shares);
	if (m->shares == NULL)
		return;
	m->n_shares = n;
	for (size_t i = 0; i < n; i++) {
		struct share *share = &m->shares[i];

		load_bytes(c, "shares.donor", in[i]->donor, share->donor.bytes, PUBLIC_KEY_BYTES);
		load_line(c, "shares.donor_name", in[i]->donor_name, share->donor_name,
		    sizeof share->donor_name);
		share->layer_first = in[i]->layer_first;
		share->layer_last = in[i]->layer_last;
		share->units = in[i]->units;
	}
}

static void finished_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Finished *in = wire;
	struct msg_finished *m = &out->finished;

	check_range(c, "reason", in->reason, FINISH_END, FINISH_FAILED);
	check_range(c, "failure", in->failure, FAILURE_OTHER, FAILURE_REQUEST);
	m->request = in->request;
	m->reason = (enum finish_reason)in->reason;
	m->failure = (enum finish_failure)in->failure;
	load_line(c, "text", in->text, m->text, sizeof m->text);
	check_line(c, "text", m->text, sizeof m->text);
	m->prompt_tokens = in->prompt_tokens;
	m->answer_tokens = in->answer_tokens;
	m->prefill_us = in->prefill_us;
	m->decode_us = in->decode_us;
	m->guessed = in->guessed;
	m->reused_tokens = in->reused_tokens;
	check_range(c, "verification", in->verification, VERIFICATION_NONE, VERIFICATION_WRONG);
	m->verification = (enum verification)in->verification;
	m->guessed_right = in->guessed_right;
	load_pseudonym(c, in->session, &m->session);
	shares_load(c, in->n_shares, in->shares, m);
}

static void finished_check(struct conversion *c, const struct message *in)
{
	const struct msg_finished *m = &in->finished;

	check_range(c, "reason", m->reason, FINISH_END, FINISH_FAILED);
	check_range(c, "failure", m->failure, FAILURE_OTHER,
	    m->reason == FINISH_FAILED ? FAILURE_REQUEST : FAILURE_OTHER);
	check_range(c, "prompt_tokens", m->prompt_tokens, 0, LIMIT_CONTEXT_TOKENS);
	check_range(c, "answer_tokens", m->answer_tokens, 0, LIMIT_CONTEXT_TOKENS);
	check_range(c, "prefill_us", m->prefill_us, 0, INT64_MAX);
	check_range(c, "decode_us", m->decode_us, 0, INT64_MAX);
	check_range(c, "reused_tokens", m->reused_tokens, 0, LIMIT_CONTEXT_TOKENS);
	check_range(c, "verification", m->verification, VERIFICATION_NONE, VERIFICATION_WRONG);
	check_range(c, "guessed_right", m->guessed_right, 0, m->guessed);
	check_range(c, "shares", m->n_shares, 0, FINISHED_SHARES_MAX);
	for (size_t i = 0; c->code == AYNI_OK && i < m->n_shares; i++) {
		const struct share *share = &m->shares[i];

		check_line(c, "shares.donor_name", share->donor_name, sizeof share->donor_name);
		check_layers(c, share->layer_first, share->layer_last, false);
	}
}

static void *finished_store(struct conversion *c, const struct message *in)
{
	const struct msg_finished *m = &in->finished;
	Ayni__Finished *out = wire_new(c, &ayni__finished__descriptor);

	if (out == NULL)
		return NULL;
	out->request = m->request;
	out->reason = m->reason;
	out->failure = m->failure;
	out->text = store_text(c, m->text, sizeof m->text);
	out->prompt_tokens = m->prompt_tokens;
	out->answer_tokens = m->answer_tokens;
	out->prefill_us = m->prefill_us;
	out->decode_us = m->decode_us;
	out->guessed = m->guessed;
	out->reused_tokens = m->reused_tokens;
	out->verification = m->verification;
	out->guessed_right = m->guessed_right;
	out->session = store_pseudonym(&m->session);
	out->shares = conversion_take(c, m->n_shares, sizeof *out->shares);
	if (out->shares == NULL)
		return NULL;
	for (size_t i = 0; i < m->n_shares; i++) {
		Ayni__Share *share = wire_new(c, &ayni__share__descriptor);

		if (share == NULL)
			return NULL;
		share->donor = store_bytes(m->shares[i].donor.bytes, PUBLIC_KEY_BYTES);
		share->donor_name = store_line(m->shares[i].donor_name);
		share->layer_first = m->shares[i].layer_first;
		share->layer_last = m->shares[i].layer_last;
		share->units = m->shares[i].units;
		out->shares[out->n_shares++] = share;
	}
	return out;
}

const struct codec codec_finished = {.name = "finished",
    .type = &ayni__finished__descriptor,
    .load = finished_load,
    .check = finished_check,
    .store = finished_store};

/* ---- Doubt -------------------------------------------------------------------------------- */

static void doubt_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Doubt *in = wire;
	struct msg_doubt *m = &out->doubt;

	m->request = in->request;
	load_pseudonym(c, in->session, &m->session);
	load_bytes(c, "donor", in->donor, m->donor.bytes, PUBLIC_KEY_BYTES);
	load_line(c, "donor_name", in->donor_name, m->donor_name, sizeof m->donor_name);
	load_line(c, "reason", in->reason, m->reason, sizeof m->reason);
	check_line(c, "reason", m->reason, sizeof m->reason);
}

static void doubt_check(struct conversion *c, const struct message *in)
{
	if (!pseudonym_is_set(&in->doubt.session))
		conversion_fail(c, AYNI_ERR_FORMAT, "session", "is missing");
	check_line(c, "donor_name", in->doubt.donor_name, sizeof in->doubt.donor_name);
}

static void *doubt_store(struct conversion *c, const struct message *in)
{
	const struct msg_doubt *m = &in->doubt;
	Ayni__Doubt *out = wire_new(c, &ayni__doubt__descriptor);

	if (out == NULL)
		return NULL;
	out->request = m->request;
	out->session = store_pseudonym(&m->session);
	out->donor = store_bytes(m->donor.bytes, PUBLIC_KEY_BYTES);
	out->donor_name = store_line(m->donor_name);
	out->reason = store_text(c, m->reason, sizeof m->reason);
	return out;
}

const struct codec codec_doubt = {.name = "doubt",
    .type = &ayni__doubt__descriptor,
    .load = doubt_load,
    .check = doubt_check,
    .store = doubt_store};

/* ---- Cancel ------------------------------------------------------------------------------- */

static void cancel_load(struct conversion *c, const void *wire, struct message *out)
{
	const Ayni__Cancel *in = wire;

	(void)c;
	out->cancel.request = in->request;
}

static void cancel_check(struct conversion *c, const struct message *m)
{
	(void)c; /* every value is one that can be */
	(void)m;
}

static void *cancel_store(struct conversion *c, const struct message *in)
{
	Ayni__Cancel *out = wire_new(c, &ayni__cancel__descriptor);

	if (out != NULL)
		out->request = in->cancel.request;
	return out;
}

const struct codec codec_cancel = {.name = "cancel",
    .type = &ayni__cancel__descriptor,
    .load = cancel_load,
    .check = cancel_check,
    .store = cancel_store};
