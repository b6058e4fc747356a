/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/doubts.h"

#include <stdlib.h>

struct answer {
	struct doubt doubt;
	uint64_t number; /* in order of their ends, from 1; 0: free */
	size_t n_donors;
	struct public_key *donors; /* owned */
};

struct doubts {
	uint64_t last_number;
	struct answer answers[DOUBTS_MOST];
};

int doubts_new(struct doubts **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	if (*out == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "doubts: out of memory");
	return AYNI_OK;
}

static void forget(struct answer *a)
{
	free(a->donors);
	*a = (struct answer){0};
}

void doubts_free(struct doubts *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < DOUBTS_MOST; i++)
		forget(&d->answers[i]);
	free(d);
}

static bool is_older(const struct answer *a, const struct answer *than)
{
	return than == NULL || a->number < than->number;
}

/* A free one; or the oldest, of this member if it has many. */
static struct answer *make_room(struct doubts *d, uint32_t peer)
{
	struct answer *oldest = NULL, *own = NULL;
	size_t n_own = 0;

	for (size_t i = 0; i < DOUBTS_MOST; i++) {
		struct answer *a = &d->answers[i];

		oldest = is_older(a, oldest) ? a : oldest;
		if (a->number == 0 || a->doubt.peer != peer)
			continue;
		n_own++;
		own = is_older(a, own) ? a : own;
	}
	return n_own >= DOUBTS_A_MEMBER ? own : oldest;
}

static bool is_by(const struct answer *a, const struct public_key *donor)
{
	for (size_t i = 0; i < a->n_donors; i++) {
		if (public_key_equal(&a->donors[i], donor))
			return true;
	}
	return false;
}

void doubts_add(
    struct doubts *d, const struct doubt *answer, const struct share *shares, size_t n_shares)
{
	struct answer *a = make_room(d, answer->peer);

	forget(a);
	if (n_shares == 0)
		return;
	n_shares = n_shares < DOUBTS_DONORS ? n_shares : DOUBTS_DONORS;
	a->donors = calloc(n_shares, sizeof *a->donors);
	if (a->donors == NULL)
		return;
	a->doubt = *answer;
	a->number = ++d->last_number;
	for (size_t i = 0; i < n_shares; i++) {
		if (!is_by(a, &shares[i].donor))
			a->donors[a->n_donors++] = shares[i].donor;
	}
}

static bool take(struct answer *a, struct doubt *out)
{
	*out = a->doubt;
	forget(a);
	return true;
}

bool doubts_take(struct doubts *d, const struct public_key *donor, struct doubt *out)
{
	for (size_t i = 0; i < DOUBTS_MOST; i++) {
		if (is_by(&d->answers[i], donor))
			return take(&d->answers[i], out);
	}
	return false;
}

bool doubts_take_session(struct doubts *d, const struct pseudonym *session, struct doubt *out)
{
	for (size_t i = 0; i < DOUBTS_MOST; i++) {
		struct answer *a = &d->answers[i];

		if (a->number != 0 && pseudonym_equal(&a->doubt.session, session))
			return take(a, out);
	}
	return false;
}

void doubts_forget(struct doubts *d, uint32_t peer)
{
	for (size_t i = 0; i < DOUBTS_MOST; i++) {
		if (d->answers[i].number != 0 && d->answers[i].doubt.peer == peer)
			forget(&d->answers[i]);
	}
}
