/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guesses of a small model, where the text itself has none: asked for when a session's token is
 * drawn, if that gained more lately than going without (gain.h), and waited for not long. An answer
 * that is late leaves the session to go on without; until it has come, no other is asked for.
 */
#include "node/pool/scheduler_internal.h"

/* Each session of a unit may have its part of GUESS_TOKENS. */
static uint32_t room(const struct scheduler *s, const struct session *session)
{
	uint32_t each = GUESS_TOKENS / flight_most_spans(&s->paths[session->path]);
	uint32_t most = each > 0 ? each - 1 : 0;

	if ((s->limits.drafted_models >> session->r.model & 1) == 0)
		return 0;
	return most < s->limits.draft_tokens ? most : s->limits.draft_tokens;
}

bool drafts_want(const struct scheduler *s, const struct session *session)
{
	return !session->drafting.out && gain_next(&session->drafting.gain) == WAY_DRAFTED &&
	       session_wants_drafted(session, room(s, session)) > 0;
}

static void ask(struct session *session, uint32_t most, uint64_t until_us, struct actions *q)
{
	struct action *a = actions_add(q, ACTION_DRAFT);

	if (a == NULL)
		return;
	a->draft = (struct action_draft){session, most, until_us};
	session->drafting.told = true;
	if (most > 0)
		session_ask(session, until_us);
	else
		session->drafting.out = true;
}

/* Its prompt is read by the small model while the donors read it, unless that is known to be in
 * vain. */
static void tell(const struct scheduler *s, struct session *session, struct actions *q)
{
	if (!session->drafting.told && !gain_is_lost(&session->drafting.gain) &&
	    session_wants_drafted(session, room(s, session)) > 0)
		ask(session, 0, 0, q);
}

static uint64_t patience_us(const struct session *session)
{
	uint64_t us = DRAFT_WAIT_TOKENS * gain_alone_us(&session->drafting.gain);

	return us > 0 && us < DRAFT_WAIT_US ? us : DRAFT_WAIT_US;
}

void drafts_run(struct scheduler *s, uint64_t now_us, struct actions *q)
{
	for (size_t i = 0; s->limits.drafted_models != 0 && i < s->n_bound; i++) {
		struct session *session = s->bound[i];

		if (session->state != SESSION_READY)
			continue;
		if (session->drafting.until_us != 0 && session->drafting.until_us <= now_us)
			session_wait_no_more(session);
		tell(s, session, q);
		if (session_decodes(session) && session->drafting.asked_at != session->n_tokens &&
		    drafts_want(s, session) && path_responds(&s->paths[session->path], s->roster) &&
		    !session_foresees(session, s->limits.draft_tokens))
			ask(session, session_wants_drafted(session, room(s, session)),
			    now_us + patience_us(session), q);
	}
}

uint64_t drafts_next_us(const struct scheduler *s)
{
	uint64_t next = 0;

	for (size_t i = 0; i < s->n_bound; i++) {
		uint64_t until = s->bound[i]->drafting.until_us;

		if (until != 0 && (next == 0 || until < next))
			next = until;
	}
	return next;
}

void scheduler_drafted(
    struct scheduler *s, uint64_t session, uint32_t at, const uint32_t *tokens, uint32_t n)
{
	for (size_t i = 0; i < binding_sessions(s); i++) {
		struct session *asked = binding_session(s, i);

		if (asked->r.id == session)
			(void)session_drafted(asked, at, tokens, n);
	}
}
