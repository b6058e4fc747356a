/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/pool_internal.h"
#include "node/report.h"

/* So often it is written what donors are like that are here, in case this process dies. */
enum { SAVE_US = 300 * 1000000 };

enum { PERMILLE = 1000 };

static int recall(void *context, const struct registry_habit *stored)
{
	struct habit h = {.stay_s = stored->stay_s,
	    .pace = (double)stored->pace_permille / PERMILLE,
	    .flop_per_s = stored->flop_per_s,
	    .read_bytes_per_s = stored->read_bytes_per_s,
	    .down_us = (double)stored->down_us,
	    .up_us = (double)stored->up_us};

	habits_put(context, &stored->donor, &h);
	return 0;
}

int remember_load(struct pool *p, struct error *err)
{
	p->habits = habits_new();
	if (p->habits == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "pool: out of memory");
	return registry_habits_each(p->registry, HABITS_MAX, recall, p->habits, err);
}

static uint64_t here_s(const struct roster_donor *d, uint64_t now_us)
{
	return (now_us - d->joined_us) / 1000000;
}

uint64_t remember_stay_s(const struct pool *p, const struct roster_donor *d, uint64_t now_us)
{
	return habit_stay_s(habits_find(p->habits, &d->key), here_s(d, now_us));
}

/* Its pace is a multiple of what it offered then. */
static void recall_donor(struct pool *p, struct roster_donor *d, const struct msg_offer *offer)
{
	const struct habit *h = habits_find(p->habits, &d->key);
	struct msg_offer then = {0};

	if (h == NULL)
		return;
	d->link.down_us = h->down_us;
	d->link.up_us = h->up_us;
	if (h->pace == 0)
		return;
	then.flop_per_s = h->flop_per_s;
	then.read_bytes_per_s = h->read_bytes_per_s;
	pace_recall(&d->pace, h->pace, loop_now_us());
	pace_offered(&d->pace, observe_offers(p, NULL, &then, offer));
}

void remember_offer(struct pool *p, int slot, const struct msg_offer *offer)
{
	struct roster_donor *d = roster_get(p->roster, slot);

	if (d == NULL)
		return;
	if (d->state == DONOR_JOINED)
		recall_donor(p, d, offer);
	else
		pace_offered(&d->pace, observe_offers(p, &d->assignment, &d->offer, offer));
}

/* What is known of it now. */
static struct habit describe(const struct pool *p, const struct roster_donor *d, uint64_t now_us)
{
	const struct habit *known = habits_find(p->habits, &d->key);
	struct habit h = known != NULL ? *known : (struct habit){0};

	if (d->state == DONOR_JOINED) /* it has not offered anything yet */
		return h;
	h.flop_per_s = 0;
	h.read_bytes_per_s = observe_one_rate(p, &d->offer);
	h.pace = pace_known(&d->pace) || d->pace.before > 0
	             ? pace_relative(&d->pace, p->usual_pace, now_us)
	             : 0;
	h.down_us = d->link.down_us;
	h.up_us = d->link.up_us;
	return h;
}

static int store(
    struct pool *p, const struct public_key *donor, const struct habit *h, struct error *err)
{
	struct registry_habit out = {.donor = *donor,
	    .stay_s = h->stay_s,
	    .pace_permille = (uint64_t)(h->pace * PERMILLE),
	    .flop_per_s = h->flop_per_s,
	    .read_bytes_per_s = h->read_bytes_per_s,
	    .down_us = (uint64_t)h->down_us,
	    .up_us = (uint64_t)h->up_us};

	return registry_habit_put(p->registry, &out, loop_wall_ms(), err);
}

void remember_gone(struct pool *p, const struct roster_donor *d)
{
	uint64_t now = loop_now_us();
	struct habit h = describe(p, d, now);
	struct error err = {0};

	h.stay_s = habit_stayed_s(&h, here_s(d, now));
	if (d->failures >= ROSTER_MAX_FAILURES && d->out_until_us == 0)
		habit_out(&h, now, p->config->out_s); /* it went before that was seen */
	habits_put(p->habits, &d->key, &h);
	if (store(p, &d->key, &h, &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
}

void remember_out(struct pool *p, struct roster_donor *d)
{
	const struct habit *known = habits_find(p->habits, &d->key);
	struct habit h = known != NULL ? *known : (struct habit){0};

	habit_out(&h, loop_now_us(), p->config->out_s);
	d->out_until_us = h.out_until_us;
	habits_put(p->habits, &d->key, &h);
}

void remember_joined(struct pool *p, struct roster_donor *d)
{
	const struct habit *h = habits_find(p->habits, &d->key);
	uint64_t now = loop_now_us();

	if (h == NULL || h->out_until_us <= now)
		return;
	d->failures = ROSTER_MAX_FAILURES;
	d->out_until_us = h->out_until_us;
	report(REPORT_INFO, "donor %s failed too often before: no work for %llu s", d->name,
	    (unsigned long long)(h->out_until_us - now) / 1000000);
}

/* A donor that is still here stays for as long as it has been here at least; that the pool ends is
 * no word about it. */
static int store_all(struct pool *p, struct error *err)
{
	uint64_t now = loop_now_us();
	int rc = AYNI_OK;

	for (int i = 0; i < roster_slots(p->roster) && rc == AYNI_OK; i++) {
		const struct roster_donor *d = roster_get(p->roster, i);
		struct habit h;

		if (d == NULL)
			continue;
		h = describe(p, d, now);
		if (h.stay_s < here_s(d, now))
			h.stay_s = here_s(d, now);
		rc = store(p, &d->key, &h, err);
	}
	return rc;
}

void remember_all(struct pool *p)
{
	struct error err = {0};
	int rc = db_begin(p->db, &err);

	p->remember_at_us = loop_now_us() + SAVE_US;
	if (rc == AYNI_OK)
		rc = store_all(p, &err);
	if (rc == AYNI_OK)
		rc = db_commit(p->db, &err);
	if (rc == AYNI_OK)
		return;
	db_rollback(p->db);
	report(REPORT_ERROR, "%s", err.text);
}

void remember_sometimes(struct pool *p)
{
	if (p->remember_at_us == 0)
		p->remember_at_us = loop_now_us() + SAVE_US;
	if (loop_now_us() >= p->remember_at_us)
		remember_all(p);
}
