/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/answer.h"

#include <stdlib.h>

#include "node/request.h"
#include "protocol/identity.h"

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

static int take_piece(
    struct answer *a, struct request *r, const struct message *m, struct error *err)
{
	const struct msg_piece *p = &m->piece;

	if (!grow(&a->text, a->text_len, p->text.len, 1) ||
	    !grow(&a->rows, a->rows_len, m->payload.len, 1))
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if (p->text.len > 0)
		memcpy(a->text + a->text_len, p->text.data, p->text.len);
	a->text_len += p->text.len;
	a->text[a->text_len] = '\0';
	if (m->payload.len > 0)
		memcpy(a->rows + a->rows_len, m->payload.data, m->payload.len);
	a->rows_len += m->payload.len;
	a->n_rows += p->rows;
	return request_take(r, p, err);
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

static void notice(answer_fn *fn, void *context, const char *text)
{
	struct msg_piece piece = {0};

	if (fn == NULL)
		return;
	(void)snprintf(piece.notice, sizeof piece.notice, "%s", text);
	fn(context, &piece);
}

/* The pool is lost, or has forgotten us: wait for it, and ask for the rest. */
static int go_on(struct client *c, struct request *r, answer_fn *fn, void *context,
    const volatile bool *stop, struct error *err)
{
	int rc;

	notice(fn, context, err->text);
	rc = request_lost(r, err);
	if (rc == AYNI_OK)
		rc = client_rejoin(c, stop, err);
	return rc == AYNI_OK ? request_go_on(r, c, err) : rc;
}

static void notice_doubt(answer_fn *fn, void *context, const struct msg_doubt *d)
{
	char text[TEXT_LONG], session[PSEUDONYM_CHARS];

	pseudonym_to_text(&d->session, session);
	(void)snprintf(text, sizeof text,
	    "an earlier answer is DOUBTFUL: a donor of it was found lying (%.40s, session %s)",
	    d->donor_name[0] != '\0' ? d->donor_name : "one that left", session);
	notice(fn, context, text);
}

/* The request's next piece or its end. */
static int take_next(struct client *c, struct request *r, answer_fn *fn, void *context,
    struct answer *out, bool *finished, struct error *err)
{
	const struct message *m;
	int rc = client_receive(c, WAIT_MS, &m, err);

	if (rc == AYNI_ERR_TIMEOUT)
		return AYNI_OK;
	if (rc == AYNI_OK && m->type == MSG_DOUBT)
		notice_doubt(fn, context, &m->doubt);
	if (rc != AYNI_OK || !request_is_of(r, m))
		return rc;
	if (m->type == MSG_FINISHED) {
		*finished = true;
		return take_end(out, &m->finished, err);
	}
	rc = take_piece(out, r, m, err);
	if (rc == AYNI_OK && fn != NULL)
		fn(context, &m->piece);
	return rc;
}

/* What was drawn is the answer's from now on. */
static void keep_tokens(struct answer *a, struct request *r)
{
	a->tokens = r->generate.drawn;
	a->n_tokens = r->generate.n_drawn;
	r->generate.drawn = NULL;
	request_free(r);
}

int answer_get(struct client *c, const struct msg_generate *g, answer_fn *fn, void *context,
    const volatile bool *cancel, struct answer *out, struct error *err)
{
	bool cancelled = false, finished = false;
	struct request r;
	int rc;

	*out = (struct answer){0};
	rc = request_start(&r, g, c, err);
	while (rc == AYNI_OK && !finished) {
		if (cancel != NULL && *cancel && !cancelled) {
			cancelled = true;
			rc = request_cancel(&r, c, err);
			continue;
		}
		rc = take_next(c, &r, fn, context, out, &finished, err);
		if (rc != AYNI_ERR_IO)
			continue;
		out->times_lost++;
		out->finished.reason = cancelled ? FINISH_CANCELLED : FINISH_LENGTH;
		finished = cancelled || request_is_whole(&r);
		rc = finished ? AYNI_OK : go_on(c, &r, fn, context, cancel, err);
		if (rc != AYNI_OK && cancel != NULL &&
		    *cancel) { /* waited for the pool no longer */
			out->finished.reason = FINISH_CANCELLED;
			finished = true;
			rc = AYNI_OK;
		}
	}
	keep_tokens(out, &r);
	if (rc == AYNI_OK && !grow(&out->text, out->text_len, 0, 1))
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	if (rc == AYNI_OK)
		out->text[out->text_len] = '\0';
	return rc;
}
