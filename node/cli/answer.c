/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/answer.h"

#include <stdlib.h>

enum { WAIT_MS = 500 };

void answer_free(struct answer *a)
{
	free(a->text);
	free(a->tokens);
	free(a->rows);
	free(a->finished.shares);
	*a = (struct answer){0};
}

/* Grow *data by n bytes, and `spare` more for a NUL. */
static bool grow(void *data, size_t len, size_t n, size_t spare)
{
	void **at = data;
	void *more = realloc(*at, len + n + spare);

	if (more == NULL)
		return false;
	*at = more;
	return true;
}

static int take_piece(struct answer *a, const struct message *m, struct error *err)
{
	const struct msg_piece *p = &m->piece;

	if (!grow(&a->text, a->text_len, p->text.len, 1) ||
	    !grow(
	        &a->tokens, a->n_tokens * sizeof *a->tokens, p->n_tokens * sizeof *a->tokens, 1) ||
	    !grow(&a->rows, a->rows_len, m->payload.len, 1))
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if (p->text.len > 0)
		memcpy(a->text + a->text_len, p->text.data, p->text.len);
	a->text_len += p->text.len;
	a->text[a->text_len] = '\0';
	if (p->n_tokens > 0)
		memcpy(a->tokens + a->n_tokens, p->tokens, p->n_tokens * sizeof *a->tokens);
	a->n_tokens += p->n_tokens;
	if (m->payload.len > 0)
		memcpy(a->rows + a->rows_len, m->payload.data, m->payload.len);
	a->rows_len += m->payload.len;
	a->n_rows += p->rows;
	return AYNI_OK;
}

static int take_end(struct answer *a, const struct msg_finished *f, struct error *err)
{
	a->finished = *f;
	a->finished.shares = NULL;
	if (f->reason == FINISH_FAILED)
		return error_set(err, AYNI_ERR_STATE, "%s", f->text);
	if (f->n_shares > 0) {
		a->finished.shares = reallocarray(NULL, f->n_shares, sizeof *f->shares);
		if (a->finished.shares == NULL)
			return error_set(err, AYNI_ERR_MEMORY, "out of memory");
		memcpy(a->finished.shares, f->shares, f->n_shares * sizeof *f->shares);
	}
	return AYNI_OK;
}

static int cancel_request(struct client *c, uint64_t request, struct error *err)
{
	struct message m = {.type = MSG_CANCEL};

	m.cancel.request = request;
	return client_send(c, &m, err);
}

static void notice(answer_fn *fn, void *context, const char *text)
{
	struct msg_piece piece = {0};

	if (fn == NULL)
		return;
	(void)snprintf(piece.notice, sizeof piece.notice, "%s", text);
	fn(context, &piece);
}

/*
 * The pool is lost, or has forgotten us. Whoever runs it now goes on behind the tokens that came:
 * the next is drawn by its place and by what stands before, so nothing else is different.
 */
static int go_on(struct client *c, struct msg_generate *g, answer_fn *fn, void *context,
    const volatile bool *stop, const struct answer *a, struct error *err)
{
	struct message m = {.type = MSG_GENERATE};
	struct error why = *err;
	int rc;

	if (a->n_rows > 0)
		return error_set(
		    err, AYNI_ERR_STATE, "%.150s; logits cannot be continued", why.text);
	notice(fn, context, why.text);
	rc = client_rejoin(c, stop, err);
	if (rc == AYNI_OK)
		rc = cancel_request(c, g->request, err); /* if it is not forgotten after all */
	g->request += UINT64_C(1) << 32;
	g->drawn = a->tokens;
	g->n_drawn = a->n_tokens;
	m.generate = *g;
	return rc == AYNI_OK ? client_send(c, &m, err) : rc;
}

/* All that was wanted has come, but not that this was the end. */
static bool is_whole(const struct answer *a, const struct msg_generate *g)
{
	return g->max_tokens > 0 && a->n_tokens >= g->max_tokens;
}

/* The request's next piece or its end. */
static int take_next(struct client *c, const struct msg_generate *g, answer_fn *fn, void *context,
    struct answer *out, bool *finished, struct error *err)
{
	const struct message *m;
	int rc = client_receive(c, WAIT_MS, &m, err);

	if (rc == AYNI_ERR_TIMEOUT)
		return AYNI_OK;
	if (rc == AYNI_OK && m->type == MSG_FINISHED && m->finished.request == g->request) {
		*finished = true;
		return take_end(out, &m->finished, err);
	}
	if (rc != AYNI_OK || m->type != MSG_PIECE || m->piece.request != g->request)
		return rc;
	rc = take_piece(out, m, err);
	if (rc == AYNI_OK && fn != NULL)
		fn(context, &m->piece);
	return rc;
}

int answer_get(struct client *c, const struct msg_generate *g, answer_fn *fn, void *context,
    const volatile bool *cancel, struct answer *out, struct error *err)
{
	struct message ask = {.type = MSG_GENERATE, .generate = *g};
	bool cancelled = false, finished = false;
	int rc;

	*out = (struct answer){0};
	rc = client_send(c, &ask, err);
	while (rc == AYNI_OK && !finished) {
		if (cancel != NULL && *cancel && !cancelled) {
			cancelled = true;
			rc = cancel_request(c, ask.generate.request, err);
			continue;
		}
		rc = take_next(c, &ask.generate, fn, context, out, &finished, err);
		if (rc != AYNI_ERR_IO)
			continue;
		out->times_lost++;
		out->finished.reason = cancelled ? FINISH_CANCELLED : FINISH_LENGTH;
		finished = cancelled || is_whole(out, g);
		rc = finished ? AYNI_OK : go_on(c, &ask.generate, fn, context, cancel, out, err);
	}
	if (rc == AYNI_OK && !grow(&out->text, out->text_len, 0, 1))
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if (rc == AYNI_OK)
		out->text[out->text_len] = '\0';
	return rc;
}
