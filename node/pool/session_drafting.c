/* SPDX-License-Identifier: Apache-2.0 */
/* Guesses of a session's next tokens, as a small model makes them elsewhere. */
#include "node/pool/session.h"

uint32_t session_room_for_guesses(const struct session *s, uint32_t most)
{
	uint32_t left = session_most_tokens(s) - s->n_tokens - 1; /* one is drawn behind the last */

	if (s->r.top > 0)
		return 0;
	return most < left ? most : left;
}

uint32_t session_wants_drafted(const struct session *s, uint32_t most)
{
	uint32_t length = draft_length(&s->drafting.draft);

	most = session_room_for_guesses(s, most);
	return length < most ? length : most;
}

void session_ask(struct session *s, uint64_t until_us)
{
	assert(s->state == SESSION_READY && !s->drafting.out);
	s->drafting.out = true;
	s->drafting.asked_at = s->n_tokens;
	s->drafting.until_us = until_us;
}

void session_wait_no_more(struct session *s)
{
	s->drafting.until_us = 0;
}

bool session_drafted(struct session *s, uint32_t at, const uint32_t *tokens, uint32_t n)
{
	struct session_drafting *d = &s->drafting;
	uint32_t most = session_room_for_guesses(s, n);

	d->out = false;
	if (d->until_us == 0 || d->asked_at != at || s->n_tokens != at)
		return false;
	d->until_us = 0;
	while (d->n < most && tokens[d->n] < s->r.n_vocabulary) {
		s->tokens[at + d->n] = tokens[d->n];
		d->n++;
	}
	session_check(s);
	return true;
}

void session_count_guesses(const struct session *s, uint64_t *guessed, uint64_t *right)
{
	*guessed = s->draft.guessed + s->drafting.draft.guessed;
	*right = s->draft.right + s->drafting.draft.right;
}
