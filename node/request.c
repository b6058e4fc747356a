/* SPDX-License-Identifier: Apache-2.0 */
#include "node/request.h"

#include <stdlib.h>

static int ask(const struct request *r, struct client *c, struct error *err)
{
	struct message m = {.type = MSG_GENERATE, .generate = r->generate};

	return client_send(c, &m, err);
}

int request_start(
    struct request *r, const struct msg_generate *g, struct client *c, struct error *err)
{
	*r = (struct request){.generate = *g};
	r->generate.drawn = NULL;
	r->generate.n_drawn = 0;
	return ask(r, c, err);
}

void request_free(struct request *r)
{
	free(r->generate.drawn);
	*r = (struct request){0};
}

bool request_is_of(const struct request *r, const struct message *m)
{
	return (m->type == MSG_PIECE && m->piece.request == r->generate.request) ||
	       (m->type == MSG_FINISHED && m->finished.request == r->generate.request);
}

int request_take(struct request *r, const struct msg_piece *p, struct error *err)
{
	struct msg_generate *g = &r->generate;
	uint32_t *drawn;

	r->has_rows |= p->rows > 0;
	if (p->n_tokens == 0)
		return AYNI_OK;
	drawn = reallocarray(g->drawn, g->n_drawn + p->n_tokens, sizeof *drawn);
	if (drawn == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	g->drawn = drawn;
	memcpy(drawn + g->n_drawn, p->tokens, p->n_tokens * sizeof *drawn);
	g->n_drawn += p->n_tokens;
	return AYNI_OK;
}

bool request_is_whole(const struct request *r)
{
	return r->generate.max_tokens > 0 && r->generate.n_drawn >= r->generate.max_tokens;
}

int request_cancel(const struct request *r, struct client *c, struct error *err)
{
	struct message m = {.type = MSG_CANCEL};

	m.cancel.request = r->generate.request;
	return client_send(c, &m, err);
}

int request_lost(const struct request *r, struct error *err)
{
	return r->has_rows ? error_set(err, AYNI_ERR_STATE,
	                         "the pool was lost on the way; logits cannot be continued")
	                   : AYNI_OK;
}

int request_go_on(struct request *r, struct client *c, struct error *err)
{
	int rc = request_cancel(r, c, err); /* if it is not forgotten after all */

	r->generate.request += UINT64_C(1) << 32;
	return rc == AYNI_OK ? ask(r, c, err) : rc;
}
