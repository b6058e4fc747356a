/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/roster.h"

#include <stdlib.h>

struct roster {
	int n_slots; /* highest used + 1 */
	struct roster_donor donors[ROSTER_MAX_DONORS];
};

static const char *const state_names[DONOR_STATE_END] = {
    "free", "joined", "idle", "fetching", "loading", "ready", "leaving"};

#define BIT(s) (1u << (s))

/* allowed[from] = set of states that may follow */
static const unsigned allowed[DONOR_STATE_END] = {
    [DONOR_FREE] = BIT(DONOR_JOINED),
    [DONOR_JOINED] = BIT(DONOR_IDLE) | BIT(DONOR_LEAVING),
    [DONOR_IDLE] = BIT(DONOR_IDLE) | BIT(DONOR_FETCHING) | BIT(DONOR_LEAVING),
    [DONOR_FETCHING] = BIT(DONOR_FETCHING) | BIT(DONOR_LOADING) | BIT(DONOR_READY) |
                       BIT(DONOR_IDLE) | BIT(DONOR_LEAVING),
    [DONOR_LOADING] = BIT(DONOR_FETCHING) | BIT(DONOR_LOADING) | BIT(DONOR_READY) |
                      BIT(DONOR_IDLE) | BIT(DONOR_LEAVING),
    /* a donor whose worker died loads again */
    [DONOR_READY] = BIT(DONOR_LOADING) | BIT(DONOR_FETCHING) | BIT(DONOR_READY) | BIT(DONOR_IDLE) |
                    BIT(DONOR_LEAVING),
    [DONOR_LEAVING] = BIT(DONOR_LEAVING),
};

int roster_new(struct roster **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	return *out != NULL ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "roster: out of memory");
}

void roster_free(struct roster *r)
{
	free(r);
}

int roster_find(const struct roster *r, const struct public_key *key)
{
	for (int i = 0; i < r->n_slots; i++) {
		const struct roster_donor *d = &r->donors[i];

		if (d->state != DONOR_FREE && public_key_equal(&d->key, key))
			return i;
	}
	return ROSTER_NONE;
}

int roster_join(struct roster *r, const struct public_key *key, const char *name, uint32_t peer,
    uint64_t now_us, int *slot)
{
	int free_slot = 0;
	struct roster_donor *d;

	*slot = roster_find(r, key);
	if (*slot != ROSTER_NONE)
		return AYNI_ERR_EXISTS;
	while (free_slot < ROSTER_MAX_DONORS && r->donors[free_slot].state != DONOR_FREE)
		free_slot++;
	if (free_slot == ROSTER_MAX_DONORS)
		return AYNI_ERR_LIMIT;
	d = &r->donors[free_slot];
	memset(d, 0, sizeof *d);
	d->state = DONOR_JOINED;
	d->key = *key;
	(void)snprintf(d->name, sizeof d->name, "%s", name);
	d->peer = peer;
	d->joined_us = d->heard_us = now_us;
	if (free_slot >= r->n_slots)
		r->n_slots = free_slot + 1;
	*slot = free_slot;
	roster_check(r);
	return AYNI_OK;
}

struct roster_donor *roster_get(struct roster *r, int slot)
{
	if (slot < 0 || slot >= r->n_slots || r->donors[slot].state == DONOR_FREE)
		return NULL;
	return &r->donors[slot];
}

int roster_slots(const struct roster *r)
{
	return r->n_slots;
}

static int move(struct roster *r, int slot, enum donor_state to)
{
	struct roster_donor *d = roster_get(r, slot);

	if (d == NULL || (allowed[d->state] & BIT(to)) == 0)
		return AYNI_ERR_STATE;
	d->state = to;
	return AYNI_OK;
}

int roster_offer(struct roster *r, int slot, const struct msg_offer *offer)
{
	struct roster_donor *d = roster_get(r, slot);

	if (d == NULL)
		return AYNI_ERR_STATE;
	d->offer = *offer;
	if (d->state == DONOR_JOINED)
		d->state = DONOR_IDLE;
	roster_check(r);
	return AYNI_OK;
}

int roster_assign(struct roster *r, int slot, const struct donor_assignment *a)
{
	struct roster_donor *d = roster_get(r, slot);

	if (d == NULL || d->state != DONOR_IDLE)
		return AYNI_ERR_STATE;
	d->assignment = *a;
	d->assignment.ready_last = a->layers.first;
	d->state = DONOR_FETCHING;
	roster_check(r);
	return AYNI_OK;
}

/* Sessions that were bound to it find their path broken. */
static void forget_assignment(struct roster_donor *d)
{
	memset(&d->assignment, 0, sizeof d->assignment);
	d->sessions = 0;
	d->bound_layers = 0;
	d->pages = 0;
	d->kept_pages = 0;
	d->stalled_us = 0;
}

static uint32_t ready_last(
    const struct donor_assignment *a, enum donor_state state, uint32_t layers_ready)
{
	uint32_t all = a->layers.last - a->layers.first;

	return a->layers.first + (state == DONOR_READY || layers_ready > all ? all : layers_ready);
}

void roster_did_right(struct roster_donor *d)
{
	/* one that failed too often stays out, whatever it still sends */
	if (d->failures < ROSTER_MAX_FAILURES)
		d->failures = 0;
	if (d->excuses == 0 || ++d->since_excuse < ROSTER_EXCUSE_UNITS)
		return;
	d->excuses--;
	d->since_excuse = 0;
}

void roster_excuse(struct roster_donor *d, uint64_t unit)
{
	if (unit <= d->excused_unit)
		return;
	d->excused_unit = d->last_unit;
	d->excuses++;
	d->since_excuse = 0;
	if (d->excuses >= ROSTER_MAX_EXCUSES && d->failures < ROSTER_MAX_FAILURES)
		d->failures = ROSTER_MAX_FAILURES;
}

void roster_forgive(struct roster_donor *d)
{
	d->failures = d->excuses = d->since_excuse = 0;
	d->out_until_us = 0;
}

int roster_progress(struct roster *r, int slot, uint64_t assignment,
    enum assignment_progress progress, uint32_t layers_ready)
{
	struct roster_donor *d = roster_get(r, slot);
	enum donor_state to = DONOR_FREE;
	int rc;

	if (d == NULL || assignment == 0 || d->assignment.number != assignment)
		return AYNI_ERR_STATE;
	switch (progress) {
	case PROGRESS_FETCHING:
		to = DONOR_FETCHING;
		break;
	case PROGRESS_LOADING:
		to = DONOR_LOADING;
		break;
	case PROGRESS_READY:
		to = DONOR_READY;
		break;
	case PROGRESS_FAILED:
		to = DONOR_IDLE;
		break;
	}
	rc = move(r, slot, to);
	if (rc == AYNI_OK && to == DONOR_IDLE) {
		d->failures++;
		forget_assignment(d);
	} else if (rc == AYNI_OK) {
		uint32_t before = d->assignment.ready_last;

		d->assignment.ready_last = ready_last(&d->assignment, to, layers_ready);
		if (d->assignment.ready_last < before && d->sessions > 0)
			roster_excuse(d, UINT64_MAX); /* what they had there is gone */
	}
	roster_check(r);
	return rc;
}

int roster_unassign(struct roster *r, int slot)
{
	struct roster_donor *d = roster_get(r, slot);
	int rc = AYNI_ERR_STATE;

	if (d != NULL && d->assignment.number != 0)
		rc = move(r, slot, DONOR_IDLE);
	if (rc == AYNI_OK)
		forget_assignment(d);
	roster_check(r);
	return rc;
}

int roster_leave(struct roster *r, int slot)
{
	int rc = move(r, slot, DONOR_LEAVING);

	roster_check(r);
	return rc;
}

void roster_remove(struct roster *r, int slot)
{
	struct roster_donor *d = roster_get(r, slot);

	if (d != NULL)
		memset(d, 0, sizeof *d);
	while (r->n_slots > 0 && r->donors[r->n_slots - 1].state == DONOR_FREE)
		r->n_slots--;
	roster_check(r);
}

int roster_silent(const struct roster *r, uint64_t before_us)
{
	for (int i = 0; i < r->n_slots; i++) {
		if (r->donors[i].state != DONOR_FREE && r->donors[i].heard_us < before_us)
			return i;
	}
	return ROSTER_NONE;
}

struct layer_range roster_ready(const struct roster_donor *d)
{
	bool loads = d->state == DONOR_FETCHING || d->state == DONOR_LOADING;

	if (!loads && d->state != DONOR_READY)
		return (struct layer_range){0};
	return (struct layer_range){d->assignment.layers.first, d->assignment.ready_last};
}

bool roster_holds(const struct roster_donor *d, struct layer_range layers)
{
	struct layer_range ready = roster_ready(d);

	return ready.first <= layers.first && layers.last <= ready.last;
}

bool roster_serves(const struct roster_donor *d)
{
	struct layer_range ready;

	if (d == NULL || d->failures >= ROSTER_MAX_FAILURES)
		return false;
	ready = roster_ready(d);
	return ready.first < ready.last;
}

bool roster_responds(const struct roster_donor *d)
{
	return roster_serves(d) && !d->alive.suspect && d->stalled_us == 0;
}

bool roster_has_room(const struct roster_donor *d, uint32_t pages)
{
	return d->pages <= d->assignment.pages && pages <= d->assignment.pages - d->pages;
}

uint64_t roster_trip_us(const struct roster_donor *d)
{
	return d->link.trip_us >= 1 ? (uint64_t)d->link.trip_us : d->round_trip_us;
}

const char *donor_state_name(enum donor_state s)
{
	return state_names[s];
}

void roster_check(const struct roster *r)
{
	for (int i = 0; i < r->n_slots; i++) {
		const struct roster_donor *d = &r->donors[i];
		bool assigned = d->assignment.number != 0;

		switch (d->state) {
		case DONOR_FREE:
		case DONOR_JOINED:
		case DONOR_IDLE:
			assert(!assigned);
			break;
		case DONOR_FETCHING:
		case DONOR_LOADING:
		case DONOR_READY:
			assert(assigned && d->assignment.layers.first < d->assignment.layers.last);
			assert(d->assignment.layers.first <= d->assignment.ready_last &&
			       d->assignment.ready_last <= d->assignment.layers.last);
			assert(d->state != DONOR_READY ||
			       d->assignment.ready_last == d->assignment.layers.last);
			assert(d->assignment.head_us <= d->assignment.token_us);
			break;
		case DONOR_LEAVING:
		case DONOR_STATE_END:
			break;
		}
	}
}
