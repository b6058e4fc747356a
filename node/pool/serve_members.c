/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/pool_internal.h"

#include <stdlib.h>

#include "node/pool/turns.h"
#include "node/prompt.h"
#include "node/report.h"
#include "node/work.h"

static void send_finished(struct pool *p, struct peer *peer, struct msg_finished *f)
{
	struct message m = {.type = MSG_FINISHED};

	m.finished = *f;
	(void)peer_send(p, peer, &m, (struct span){0}, 0);
}

static enum finish_failure failure_of(enum ayni_error code)
{
	switch (code) {
	case AYNI_ERR_AGAIN:
		return FAILURE_BUSY;
	case AYNI_ERR_NOT_FOUND:
		return FAILURE_MODEL;
	case AYNI_ERR_ARGUMENT:
	case AYNI_ERR_FORMAT:
	case AYNI_ERR_LIMIT:
	case AYNI_ERR_UNSUPPORTED:
		return FAILURE_REQUEST;
	default:
		return FAILURE_OTHER;
	}
}

static void refuse_request(
    struct pool *p, struct peer *peer, uint64_t request, const struct error *why)
{
	struct msg_finished f = {
	    .request = request, .reason = FINISH_FAILED, .failure = failure_of(why->code)};

	(void)snprintf(f.text, sizeof f.text, "%s", why->text);
	send_finished(p, peer, &f);
}

/* ---- prompts to tokens -------------------------------------------------------------------- */

static int check_tokens(
    const struct catalog_model *m, const uint32_t *tokens, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		if (tokens[i] >= m->sizes.n_vocabulary)
			return error_set(err, AYNI_ERR_ARGUMENT, "token %u is not below %u",
			    tokens[i], m->sizes.n_vocabulary);
	}
	return AYNI_OK;
}

static int copy_tokens(const struct catalog_model *m, const struct msg_generate *g, uint32_t **ids,
    size_t *n, struct error *err)
{
	if (check_tokens(m, g->tokens, g->n_tokens, err) != AYNI_OK)
		return AYNI_ERR_ARGUMENT;
	*ids = reallocarray(NULL, g->n_tokens, sizeof **ids);
	if (*ids == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "the pool is out of memory");
	memcpy(*ids, g->tokens, g->n_tokens * sizeof **ids);
	*n = g->n_tokens;
	return AYNI_OK;
}

static int prompt_tokens(const struct catalog_model *m, const struct msg_generate *g,
    uint32_t **ids, size_t *n, struct error *err)
{
	if (g->n_turns > 0)
		return turns_encode(m, g, ids, n, err);
	if (g->tools != NULL)
		return error_set(err, AYNI_ERR_ARGUMENT, "tools are for a conversation");
	if (g->n_tokens > 0)
		return copy_tokens(m, g, ids, n, err);
	return prompt_encode_text(m->tokenizer, g->prompt, ids, n, err);
}

/* Behind a prompt that fits, what was drawn of an answer that broke off. */
static int append_drawn(const struct catalog_model *m, const struct msg_generate *g,
    struct session_request *r, struct error *err)
{
	uint32_t *tokens;
	int rc = check_tokens(m, g->drawn, g->n_drawn, err);

	if (rc != AYNI_OK || g->n_drawn == 0)
		return rc;
	tokens = reallocarray(NULL, r->n_tokens + g->n_drawn, sizeof *tokens);
	if (tokens == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "the pool is out of memory");
	if (r->n_tokens > 0)
		memcpy(tokens, r->tokens, r->n_tokens * sizeof *tokens);
	session_request_free(r);
	r->tokens = tokens;
	memcpy(tokens + r->n_tokens, g->drawn, g->n_drawn * sizeof *tokens);
	r->n_drawn = (uint32_t)g->n_drawn;
	return AYNI_OK;
}

/* All that the context holds was drawn before the answer broke off: only its end was not heard. */
static bool is_full(const struct catalog_model *m, const struct session_request *r)
{
	return r->n_drawn > 0 && r->n_tokens < m->kv_tokens &&
	       r->n_drawn >= m->kv_tokens - r->n_tokens;
}

static void finish_full(struct pool *p, struct peer *peer, const struct session_request *r)
{
	struct msg_finished f = {.request = r->request,
	    .reason = FINISH_CONTEXT,
	    .prompt_tokens = r->n_tokens,
	    .answer_tokens = r->n_drawn};

	send_finished(p, peer, &f);
}

/* What the log will call it, before anything of the answer. */
static void send_name(struct pool *p, struct peer *peer, uint64_t request, uint64_t session)
{
	struct message m = {.type = MSG_PIECE};

	m.piece.request = request;
	books_name(p->books, session, &m.piece.session);
	(void)peer_send(p, peer, &m, (struct span){0}, 0);
}

/* ---- requests ----------------------------------------------------------------------------- */

static int submit(
    struct pool *p, struct peer *peer, const struct msg_generate *g, struct error *err)
{
	struct session_request r = {.peer = peer->number,
	    .request = g->request,
	    .sampling = work_settings(&g->sampling),
	    .max_tokens = g->max_tokens,
	    .ignore_end = g->ignore_end,
	    .logprobs = g->logprobs,
	    .wire = (enum wire_type)g->wire,
	    .plain = g->n_turns == 0};
	const struct catalog_model *m;
	size_t n = 0;
	int rc;

	if (p->stop_at_us != 0)
		return error_set(err, AYNI_ERR_AGAIN, "the pool is stopping");
	rc = sampler_check(&r.sampling, err);
	if (rc == AYNI_OK)
		rc = catalog_find(p->catalog, g->model, &r.model, err);
	if (rc != AYNI_OK)
		return rc;
	m = catalog_at(p->catalog, r.model);
	rc = prompt_tokens(m, g, &r.tokens, &n, err);
	if (rc == AYNI_OK && n > m->kv_tokens)
		n = m->kv_tokens; /* as good as any number that does not fit */
	r.n_tokens = (uint32_t)n;
	if (rc == AYNI_OK)
		rc = append_drawn(m, g, &r, err);
	if (rc == AYNI_OK && is_full(m, &r)) {
		session_request_free(&r);
		finish_full(p, peer, &r);
		return AYNI_OK;
	}
	if (rc == AYNI_OK)
		rc = registry_session_add(
		    p->registry, &peer->channel.peer, &m->id, loop_wall_ms(), &r.id, err);
	if (rc != AYNI_OK) {
		session_request_free(&r);
		return rc;
	}
	r.kv_tokens = m->kv_tokens;
	r.n_vocabulary = m->sizes.n_vocabulary;
	r.top = g->top < r.n_vocabulary ? g->top : r.n_vocabulary;
	r.tool_format = g->tools != NULL ? m->tool_format : TOOL_FORMAT_NONE;
	rc = scheduler_submit(p->scheduler, &r, loop_now_us(), err);
	if (rc == AYNI_OK)
		send_name(p, peer, g->request, r.id);
	else
		(void)registry_session_end(
		    p->registry, r.id, r.n_tokens, 0, FINISH_FAILED, loop_wall_ms(), NULL);
	return rc;
}

void member_message(struct pool *p, struct peer *peer, const struct message *m)
{
	struct error err = {0};

	switch (m->type) {
	case MSG_GENERATE:
		if (submit(p, peer, &m->generate, &err) != AYNI_OK)
			refuse_request(p, peer, m->generate.request, &err);
		break;
	case MSG_CANCEL:
		scheduler_cancel(p->scheduler, peer->number, &m->cancel.request, &p->actions);
		break;
	case MSG_STATUS_QUERY:
		status_send(p, peer);
		break;
	case MSG_RECEIPTS_QUERY:
		receipts_send(p, peer, &m->receipts_query);
		break;
	case MSG_HEARTBEAT:
		break;
	default:
		peer_refuse(p, peer, REFUSAL_TYPE, "not a message for a member to send");
		break;
	}
	pool_advance(p);
}

/* What cannot be told for want of memory is left out. */
static void add_logprobs(struct pool *p, const struct action_piece *a, struct msg_piece *out)
{
	const struct tokenizer *t = catalog_at(p->catalog, a->session->r.model)->tokenizer;

	if (a->logprobs != NULL)
		(void)logprobs_tell(t, a->logprobs, a->n_drawn, out);
}

void member_send_piece(struct pool *p, const struct action_piece *a)
{
	struct peer *peer = peer_by_number(p, a->session->r.peer);
	struct message m = {.type = MSG_PIECE};
	uint32_t drawn[DRAFT_MAX + 1];

	p->tokens_drawn[a->session->r.model] += a->n_drawn;
	if (peer == NULL)
		return;
	m.piece.request = a->session->r.request;
	m.piece.text = (struct bytes){(uint8_t *)a->text, a->text_len};
	if (a->reasoning_len > 0)
		m.piece.reasoning =
		    (struct bytes){(uint8_t *)a->text + a->text_len, a->reasoning_len};
	memcpy(drawn, a->drawn, sizeof drawn);
	m.piece.n_tokens = a->n_drawn;
	m.piece.tokens = drawn;
	add_logprobs(p, a, &m.piece);
	m.piece.tool_format = a->session->r.tool_format;
	m.piece.rows = a->n_rows;
	memcpy(m.piece.notice, a->notice, sizeof m.piece.notice);
	(void)peer_send(p, peer, &m, (struct span){a->rows, a->rows_len}, 0);
	logprobs_free(&m.piece);
}

void member_send_finish(struct pool *p, const struct action_finish *a, enum verification v)
{
	const struct session *s = a->session;
	struct peer *peer = peer_by_number(p, s->r.peer);
	struct error err = {0};
	struct msg_finished f = {.request = s->r.request,
	    .reason = a->reason,
	    .failure = a->failure,
	    .prompt_tokens = s->r.n_tokens,
	    .answer_tokens = s->n_tokens - s->r.n_tokens,
	    .prefill_us = s->first_us > 0 ? s->first_us - s->arrived_us : 0,
	    .decode_us = s->last_us - s->first_us,
	    .reused_tokens = s->n_reused,
	    .verification = v,
	    .n_shares = s->n_shares,
	    .shares = s->shares};

	session_count_guesses(s, &f.guessed, &f.guessed_right);
	books_name(p->books, s->r.id, &f.session);
	p->requests_done++;
	memcpy(f.text, a->text, sizeof f.text);
	if (p->stop_at_us != 0 && f.reason == FINISH_FAILED)
		f.failure = FAILURE_BUSY;
	if (registry_session_end(p->registry, s->r.id, f.prompt_tokens, f.answer_tokens,
	        (int)a->reason, loop_wall_ms(), &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
	if (peer != NULL)
		send_finished(p, peer, &f);
}

void member_send_doubt(
    struct pool *p, const struct doubt *d, const struct public_key *donor, const char *reason)
{
	struct peer *peer = peer_by_number(p, d->peer);
	struct message m = {.type = MSG_DOUBT};
	int slot = roster_find(p->roster, donor);

	if (peer == NULL)
		return;
	m.doubt.request = d->request;
	m.doubt.session = d->session;
	m.doubt.donor = *donor;
	if (slot != ROSTER_NONE)
		memcpy(m.doubt.donor_name, roster_get(p->roster, slot)->name,
		    sizeof m.doubt.donor_name);
	(void)snprintf(m.doubt.reason, sizeof m.doubt.reason, "%s", reason);
	(void)peer_send(p, peer, &m, (struct span){0}, 0);
}
