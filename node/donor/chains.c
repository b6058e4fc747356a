/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/chains.h"

#include <stdlib.h>
#include <uthash.h>

/* Far more than there are; what was closed in units that were withdrawn may be left. */
enum { MOST_SESSIONS = 1 << 16 };

struct chain_session {
	uint64_t session;
	struct chain chain;
	UT_hash_handle hh;
};

static struct chain_session *find(const struct chains *c, uint64_t session)
{
	struct chain_session *s = NULL;

	HASH_FIND(hh, c->sessions, &session, sizeof session, s);
	return s;
}

static void forget(struct chains *c, struct chain_session *s)
{
	HASH_DEL(c->sessions, s); /* NOLINT(clang-analyzer-unix.Malloc): loses uthash's thread */
	chain_free(&s->chain);
	free(s);
}

static struct chain_session *find_or_add(struct chains *c, uint64_t session)
{
	struct chain_session *s = find(c, session);

	if (s != NULL || HASH_COUNT(c->sessions) >= MOST_SESSIONS)
		return s;
	s = calloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->session = session;
	HASH_ADD(hh, c->sessions, session, sizeof s->session, s);
	return s;
}

static int fork_sessions(struct chains *c, const struct msg_work_unit *u)
{
	for (size_t i = 0; i < u->n_spans; i++) {
		const struct unit_span *span = &u->spans[i];
		struct chain_session *from, *to;

		if (span->from == 0)
			continue;
		from = find(c, span->from);
		to = find_or_add(c, span->session);
		if (from == NULL || from == to)
			return AYNI_ERR_STATE;
		if (to == NULL || chain_fork(&to->chain, &from->chain, span->position) != AYNI_OK)
			return AYNI_ERR_MEMORY;
	}
	return AYNI_OK;
}

static int begin_sessions(struct chains *c, const struct chain_unit *u, uint32_t kv_type)
{
	struct hash start;

	chain_start(&u->work->model, u->layers, kv_type, &start);
	for (size_t i = 0; i < u->work->n_spans; i++) {
		const struct unit_span *span = &u->work->spans[i];
		struct chain_session *s;

		if (span->position > 0)
			continue;
		s = find_or_add(c, span->session);
		if (s == NULL)
			return AYNI_ERR_MEMORY;
		chain_begin(&s->chain, &start);
	}
	return AYNI_OK;
}

static int add_all(struct chains *c, const struct chain_unit *u, struct hash *out)
{
	struct chain_item items[WORK_PARTS_MAX];
	size_t n = chain_items(u, items);

	for (size_t i = 0; i < n; i++) {
		struct chain_session *s = find(c, u->work->spans[items[i].span].session);

		if (s == NULL)
			return AYNI_ERR_STATE;
		if (chain_add(&s->chain, &items[i]) != AYNI_OK)
			return AYNI_ERR_MEMORY;
		out[items[i].span] = s->chain.now;
	}
	return AYNI_OK;
}

int chains_ran(struct chains *c, const struct chain_unit *u, uint32_t kv_type,
    struct hash out[LIMIT_UNIT_SPANS])
{
	int rc = fork_sessions(c, u->work);

	for (size_t i = 0; i < u->work->n_closed; i++) {
		struct chain_session *s = find(c, u->work->closed[i]);

		if (s != NULL)
			forget(c, s);
	}
	if (rc == AYNI_OK)
		rc = begin_sessions(c, u, kv_type);
	if (rc == AYNI_OK)
		rc = add_all(c, u, out);
	if (rc != AYNI_OK)
		chains_failed(c, u->work);
	return rc;
}

void chains_failed(struct chains *c, const struct msg_work_unit *u)
{
	for (size_t i = 0; i < u->n_spans; i++) {
		struct chain_session *s = find(c, u->spans[i].session);

		if (s != NULL)
			forget(c, s);
	}
}

void chains_forget(struct chains *c)
{
	struct chain_session *s, *next;

	HASH_ITER(hh, c->sessions, s, next)
	forget(c, s);
}
