/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/checks.h"

enum {
	CHECK_BESIDE_TOKENS = 32 /* in a unit, where a member's session is at its donors */
};

/* ---- beginning ---------------------------------------------------------------------------- */

static uint32_t largest_span(const struct trail *t)
{
	uint32_t most = 0;

	for (uint32_t i = 0; i < t->n_spans; i++)
		most = t->spans[i].n_tokens > most ? t->spans[i].n_tokens : most;
	return most;
}

bool scheduler_recheckers(struct scheduler *s, const struct trail *t, path_avoid_fn *avoid,
    const void *context, uint64_t now_us, struct path *out)
{
	const struct path_donors donors = {
	    .roster = s->roster, .now_us = now_us, .avoid = avoid, .context = context};
	const struct catalog_model *m = catalog_at(s->catalog, t->model);

	if (s->n_waiting > 0 || s->n_checks == CHECKS_MOST)
		return false;
	return path_find(&donors, t->model, m->sizes.n_layers, kv_pages(trail_positions(t) + 1),
	           out) == PATH_FOUND &&
	       largest_span(t) <= flight_most_tokens(s, out);
}

int scheduler_recheck(struct scheduler *s, uint64_t id, struct trail *t, const struct path *p,
    uint64_t now_us, struct error *err)
{
	const struct catalog_model *m = catalog_at(s->catalog, t->model);
	const struct session_request r = {.id = id, .kv_tokens = m->kv_tokens};
	struct path path = *p;
	struct session *session;
	int rc = session_new_check(&r, t, &m->sizes, now_us, &session, err);

	if (rc != AYNI_OK)
		return rc;
	path.checks = true;
	if (session_prepare(session, m->tokenizer) == AYNI_OK && binding_bind(s, session, &path))
		return AYNI_OK;
	session_free(session);
	return error_set(err, AYNI_ERR_MEMORY, "scheduler: no room for a check");
}

/* It keeps nobody waiting for long. */
uint32_t checks_tokens(const struct scheduler *s, const struct path *p)
{
	for (uint32_t k = 0; k < p->n_stages; k++) {
		const struct roster_donor *d = path_donor(s->roster, &p->stages[k]);

		if (d != NULL && d->sessions > d->checks)
			return CHECK_BESIDE_TOKENS;
	}
	return BATCH_TOKENS;
}

/* ---- ending ------------------------------------------------------------------------------- */

void check_lose(struct scheduler *s, struct session *check, const char *why, struct actions *q)
{
	binding_release(s, check);
	(void)binding_finish(s, check, FINISH_FAILED, why, q);
}

bool checks_give_way(struct scheduler *s, uint32_t model, struct actions *q)
{
	for (size_t i = s->n_bound; s->n_checks > 0 && i-- > 0;) {
		if (s->bound[i]->check == NULL || s->bound[i]->r.model != model)
			continue;
		check_lose(s, s->bound[i], "it gave way", q);
		return true;
	}
	return false;
}

static uint64_t ends_us(const struct session *s)
{
	return s->check != NULL ? s->arrived_us + CHECK_MOST_US : UINT64_MAX;
}

void checks_run(struct scheduler *s, uint64_t now_us, struct actions *q)
{
	for (size_t i = s->n_bound; s->n_checks > 0 && i-- > 0;) {
		if (ends_us(s->bound[i]) <= now_us)
			check_lose(s, s->bound[i], "it took too long", q);
	}
}

uint64_t checks_next_us(const struct scheduler *s)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; s->n_checks > 0 && i < s->n_bound; i++)
		next = ends_us(s->bound[i]) < next ? ends_us(s->bound[i]) : next;
	return next == UINT64_MAX ? 0 : next;
}
