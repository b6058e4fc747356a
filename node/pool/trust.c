/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/trust.h"

#include <stdlib.h>

#include <uthash.h>

#include "protocol/receipt.h"

struct entry {
	struct trust_record r;
	bool unsaved;
	UT_hash_handle hh;
};

struct trust {
	uint8_t secret[DERIVED_KEY_BYTES];
	double floor;
	bool any_unsaved;
	struct entry *by_key; /* owned */
};

#define BIT(s) (1u << (s))
#define DAY_MS UINT64_C(86400000)

static_assert((int)TRUST_NEW == (int)STANDING_NEW && (int)TRUST_BANNED == (int)STANDING_BANNED &&
                  (int)TRUST_STATE_END == (int)STANDING_STATE_END,
    "in the log they have the same numbers");

/* allowed[from] = set of states that may follow */
static const unsigned allowed[TRUST_STATE_END] = {
    [TRUST_NEW] = BIT(TRUST_NEW) | BIT(TRUST_TRUSTED) | BIT(TRUST_QUARANTINED),
    [TRUST_PROBATION] =
        BIT(TRUST_PROBATION) | BIT(TRUST_TRUSTED) | BIT(TRUST_QUARANTINED) | BIT(TRUST_BANNED),
    [TRUST_TRUSTED] =
        BIT(TRUST_TRUSTED) | BIT(TRUST_PROBATION) | BIT(TRUST_QUARANTINED) | BIT(TRUST_BANNED),
    [TRUST_QUARANTINED] = BIT(TRUST_PROBATION),
    [TRUST_BANNED] = 0,
};

int trust_new(const uint8_t secret[DERIVED_KEY_BYTES], uint32_t floor_permille, struct trust **out,
    struct error *err)
{
	struct trust *t = calloc(1, sizeof *t);

	if (t == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "trust: out of memory");
	memcpy(t->secret, secret, sizeof t->secret);
	t->floor = (double)floor_permille / 1000;
	*out = t;
	return AYNI_OK;
}

void trust_free(struct trust *t)
{
	struct entry *e, *next;

	if (t == NULL)
		return;
	HASH_ITER(hh, t->by_key, e, next)
	{
		HASH_DEL(t->by_key, e);
		free(e);
	}
	explicit_bzero(t->secret, sizeof t->secret);
	free(t);
}

static struct entry *find(const struct trust *t, const struct public_key *donor)
{
	struct entry *e;

	HASH_FIND(hh, t->by_key, donor, sizeof *donor, e);
	return e;
}

static bool can_be(const struct trust_record *r)
{
	if (r->right > r->verified)
		return false;
	switch (r->state) {
	case TRUST_NEW:
		return r->lies == 0 && r->right < TRUST_PROOF_UNITS;
	case TRUST_PROBATION:
		return r->right < TRUST_PROOF_UNITS;
	case TRUST_TRUSTED:
		return r->right >= TRUST_PROOF_UNITS;
	case TRUST_QUARANTINED:
	case TRUST_BANNED:
		return r->lies > 0 && r->right == 0;
	case TRUST_STATE_END:
		break;
	}
	return false;
}

int trust_put(struct trust *t, const struct trust_record *r)
{
	struct entry *e = find(t, &r->donor);

	if (!can_be(r))
		return AYNI_ERR_FORMAT;
	if (e == NULL) {
		if (HASH_COUNT(t->by_key) >= TRUST_MAX_DONORS)
			return AYNI_ERR_LIMIT;
		e = calloc(1, sizeof *e);
		if (e == NULL)
			return AYNI_ERR_MEMORY;
		e->r.donor = r->donor;
		HASH_ADD(hh, t->by_key, r.donor, sizeof e->r.donor, e);
	}
	e->r = *r;
	return AYNI_OK;
}

const struct trust_record *trust_find(const struct trust *t, const struct public_key *donor)
{
	const struct entry *e = find(t, donor);

	return e != NULL ? &e->r : NULL;
}

/* ---- events ------------------------------------------------------------------------------- */

static enum trust_state after_right(const struct trust_record *r, uint64_t right)
{
	if (r->state == TRUST_QUARANTINED || r->state == TRUST_BANNED)
		return TRUST_STATE_END; /* it has nothing to be right with */
	return right >= TRUST_PROOF_UNITS ? TRUST_TRUSTED : r->state;
}

/* TRUST_STATE_END: not now. */
static enum trust_state after(const struct trust_record *r, enum trust_event event, uint64_t right)
{
	switch (event) {
	case TRUST_WAS_RIGHT:
		return after_right(r, right);
	case TRUST_WAS_SILENT:
		return r->state == TRUST_TRUSTED ? TRUST_PROBATION : r->state;
	case TRUST_LIED:
		return r->lies > 0 ? TRUST_BANNED : TRUST_QUARANTINED;
	case TRUST_PARDONED:
		return r->state == TRUST_QUARANTINED ? TRUST_PROBATION : TRUST_STATE_END;
	case TRUST_EVENT_END:
		break;
	}
	return TRUST_STATE_END;
}

static int step(struct trust_record *r, enum trust_event event, uint64_t units, uint64_t now_ms,
    struct trust_change *change)
{
	uint64_t right = event == TRUST_WAS_RIGHT ? r->right + units : 0;
	enum trust_state to = after(r, event, right);

	if (to == TRUST_STATE_END || (allowed[r->state] & BIT(to)) == 0)
		return AYNI_ERR_STATE;
	*change = (struct trust_change){r->state, to};
	r->state = to;
	r->right = right;
	r->verified += event == TRUST_WAS_RIGHT ? units : 0;
	r->lies += event == TRUST_LIED;
	r->seen_ms = now_ms;
	trust_check(r);
	return AYNI_OK;
}

int trust_step(struct trust *t, const struct public_key *donor, enum trust_event event,
    uint64_t units, uint64_t now_ms, struct trust_change *change)
{
	struct entry *e = find(t, donor);

	int rc = e != NULL ? step(&e->r, event, units, now_ms, change) : AYNI_ERR_NOT_FOUND;

	if (rc == AYNI_OK)
		e->unsaved = t->any_unsaved = true;
	return rc;
}

const struct trust_record *trust_unsaved(struct trust *t)
{
	struct entry *e, *next;

	if (!t->any_unsaved)
		return NULL;
	HASH_ITER(hh, t->by_key, e, next)
	{
		if (!e->unsaved)
			continue;
		e->unsaved = false;
		return &e->r;
	}
	t->any_unsaved = false;
	return NULL;
}

static bool was_silent(const struct trust_record *r, uint64_t now_ms)
{
	return now_ms > r->seen_ms && now_ms - r->seen_ms > TRUST_SILENT_DAYS * DAY_MS;
}

const struct trust_record *trust_meet(
    struct trust *t, const struct public_key *donor, uint64_t now_ms, struct trust_change *change)
{
	struct trust_record new = {.donor = *donor, .seen_ms = now_ms};
	struct entry *e = find(t, donor);

	if (e == NULL) {
		if (trust_put(t, &new) != AYNI_OK)
			return NULL;
		e = find(t, donor);
	}
	*change = (struct trust_change){e->r.state, e->r.state};
	if (was_silent(&e->r, now_ms))
		(void)step(&e->r, TRUST_WAS_SILENT, 0, now_ms, change);
	e->r.seen_ms = now_ms;
	e->unsaved = t->any_unsaved = true;
	return &e->r;
}

/* ---- what follows ------------------------------------------------------------------------- */

bool trust_serves(const struct trust *t, const struct public_key *donor)
{
	const struct trust_record *r = trust_find(t, donor);

	return r == NULL || (r->state != TRUST_QUARANTINED && r->state != TRUST_BANNED);
}

bool trust_is_trusted(const struct trust *t, const struct public_key *donor)
{
	const struct trust_record *r = trust_find(t, donor);

	return r != NULL && r->state == TRUST_TRUSTED;
}

double trust_rate(const struct trust *t, const struct public_key *donor)
{
	const struct trust_record *r = trust_find(t, donor);
	double rate;

	if (r == NULL || r->state != TRUST_TRUSTED)
		return 1;
	rate = (double)TRUST_PROOF_UNITS / (double)r->right;
	return rate > t->floor ? rate : t->floor;
}

/* A number from 0 to 1, the same for the same trail. */
static double lot(const struct trust *t, const struct trail *trail)
{
	struct {
		uint64_t session, n_spans, n_hashes;
		struct hash last;
	} what = {trail->session, trail->n_spans, trail->n_hashes, {{0}}};
	struct hash hash;
	uint64_t n;

	if (trail->n_hashes > 0)
		what.last = trail->hashes[trail->n_hashes - 1];
	hash_keyed(t->secret, (const uint8_t *)&what, sizeof what, &hash);
	memcpy(&n, hash.bytes, sizeof n);
	return (double)(n >> 11) * 0x1p-53;
}

bool trust_draws(const struct trust *t, const struct trail *trail)
{
	double highest = t->floor;

	for (uint32_t k = 0; k < trail->n_stages; k++) {
		double rate = trust_rate(t, &trail->stages[k].key);

		highest = rate > highest ? rate : highest;
	}
	return lot(t, trail) < highest;
}

const char *trust_state_name(enum trust_state s)
{
	return standing_state_name((enum standing_state)s);
}

void trust_check(const struct trust_record *r)
{
	assert(can_be(r));
}
