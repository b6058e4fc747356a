/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the scheduler, which gives the trails of sessions, the thread that computes them once
 * more, and what follows for donors (trust.h), books and members.
 */
#include "node/pool/verify.h"

#include <stdlib.h>

#include "node/pardons.h"
#include "node/pool/auditor.h"
#include "node/pool/doubts.h"
#include "node/pool/trust.h"
#include "node/report.h"
#include "storage/standing.h"

enum { FINISH_WAIT_US = 1000000 /* the end of an answer waits for its recheck no longer */ };

/* What is known of a session's trails, and its end if that waits. */
struct verdict {
	uint64_t session;
	uint32_t pending;           /* trails being computed */
	bool right, wrong, unknown; /* of others, some were */
	bool parked;
	struct action_finish finish; /* if so: its session is owned */
	uint64_t until_us;
	UT_hash_handle hh;
};

struct verify {
	struct trust *trust;
	struct standing_store *store;
	struct auditor *auditor; /* NULL: nothing is computed once more */
	struct verdict *verdicts;
	struct doubts *doubts;
	uint64_t right, wrong, missed; /* trails, since the pool started */
};

/* ---- opening ------------------------------------------------------------------------------ */

static int recall(void *context, const struct standing *s)
{
	struct trust_record r = {.donor = s->donor,
	    .state = (enum trust_state)s->state,
	    .right = s->right_units,
	    .verified = s->verified_units,
	    .lies = s->lies,
	    .seen_ms = s->seen_ms};
	int rc = trust_put(context, &r);

	return rc == AYNI_ERR_LIMIT ? AYNI_OK : rc; /* those seen last came first */
}

static int open_trust(struct pool *p, struct verify *v, struct error *err)
{
	uint8_t secret[DERIVED_KEY_BYTES];
	int rc;

	identity_derive(p->identity, "ayni recheck", secret);
	rc = trust_new(secret, (uint32_t)p->config->recheck_permille, &v->trust, err);
	explicit_bzero(secret, sizeof secret);
	if (rc == AYNI_OK)
		rc = standing_new(p->db, &v->store, err);
	if (rc == AYNI_OK)
		rc = standing_each(v->store, recall, v->trust, err);
	return rc;
}

int verify_open(struct pool *p, struct error *err)
{
	char folder[CONFIG_PATH_BYTES + 16];
	int rc;

	p->verify = calloc(1, sizeof *p->verify);
	if (p->verify == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "pool: out of memory");
	rc = doubts_new(&p->verify->doubts, err);
	if (rc == AYNI_OK)
		rc = open_trust(p, p->verify, err);
	if (rc != AYNI_OK || strcmp(p->config->recheck, "none") == 0)
		return rc;
	(void)snprintf(folder, sizeof folder, "%s/evidence", p->folder);
	return auditor_new(pool_spare_threads(), folder, &p->verify->auditor, err);
}

bool verify_wants_trails(const struct pool *p)
{
	return p->verify->auditor != NULL;
}

static void on_audited(void *context);

int verify_watch(struct pool *p, struct error *err)
{
	books_ask(p->books, verify_believes);
	if (p->verify->auditor == NULL)
		return AYNI_OK;
	return loop_watch(p->loop, auditor_fd(p->verify->auditor), on_audited, p, err);
}

static void forget(struct verify *v, struct verdict *d)
{
	HASH_DEL(v->verdicts, d);
	if (d->parked)
		session_free(d->finish.session);
	free(d);
}

void verify_free(struct pool *p)
{
	struct verify *v = p->verify;
	struct verdict *d, *next;

	if (v == NULL)
		return;
	auditor_free(v->auditor);
	HASH_ITER(hh, v->verdicts, d, next)
	forget(v, d);
	doubts_free(v->doubts);
	standing_free(v->store);
	trust_free(v->trust);
	free(v);
	p->verify = NULL;
}

/* ---- records ------------------------------------------------------------------------------ */

static int store(
    struct pool *p, const struct public_key *donor, const char *reason, struct error *err)
{
	const struct trust_record *r = trust_find(p->verify->trust, donor);
	struct standing s = {.donor = *donor,
	    .state = (uint32_t)r->state,
	    .right_units = r->right,
	    .verified_units = r->verified,
	    .lies = r->lies,
	    .seen_ms = r->seen_ms};

	(void)snprintf(s.reason, sizeof s.reason, "%s", reason);
	return standing_put(p->verify->store, &s, err);
}

/* What a person reads of a donor; of its key the beginning if it has no name, or is gone. */
static const char *name_of(
    const struct pool *p, const struct public_key *donor, char text[HEX32_CHARS])
{
	int slot = roster_find(p->roster, donor);

	if (slot != ROSTER_NONE && roster_get(p->roster, slot)->name[0] != '\0')
		return roster_get(p->roster, slot)->name;
	hex32(donor->bytes, text);
	text[8] = '\0';
	return text;
}

/* For everybody to read, in the database and in the log. */
static int publish(struct pool *p, const struct public_key *donor,
    const struct trust_change *change, const char *reason, const struct hash *evidence,
    struct error *err)
{
	int rc = db_begin(p->db, err);

	if (rc != AYNI_OK)
		return rc;
	rc = store(p, donor, reason, err);
	if (rc == AYNI_OK)
		rc = books_standing(p->books, donor, (enum standing_state)change->from,
		    (enum standing_state)change->to, reason, evidence, loop_wall_ms(), err);
	if (rc == AYNI_OK)
		rc = db_commit(p->db, err);
	if (rc == AYNI_OK)
		return rc;
	db_rollback(p->db);
	books_reload(p->books);
	return rc;
}

/* A donor's state may have changed. `evidence`: hash of the file that shows why, or NULL. */
static void note_change(struct pool *p, enum report_level level, const struct public_key *donor,
    const struct trust_change *change, const char *reason, const struct hash *evidence)
{
	char hex[HEX32_CHARS];
	struct error err = {0};

	if (change->from == change->to)
		return;
	report(level, "donor %s is %s now, it was %s: %s", name_of(p, donor, hex),
	    trust_state_name(change->to), trust_state_name(change->from), reason);
	if (evidence != NULL) {
		hex32(evidence->bytes, hex);
		report(level, "what shows it: %s/evidence/%s.evidence", p->folder, hex);
	}
	if (publish(p, donor, change, reason, evidence, &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
}

void verify_joined(struct pool *p, int slot)
{
	struct roster_donor *d = roster_get(p->roster, slot);
	struct trust_change change;

	if (trust_meet(p->verify->trust, &d->key, loop_wall_ms(), &change) == NULL)
		return; /* then it is new at each unit */
	note_change(p, REPORT_INFO, &d->key, &change, "it was away for long", NULL);
	if (trust_serves(p->verify->trust, &d->key))
		return;
	d->failures = ROSTER_MAX_FAILURES;
	report(REPORT_WARNING, "donor %s gets no work: it is %s", d->name,
	    trust_state_name(trust_find(p->verify->trust, &d->key)->state));
}

bool verify_pays(const struct pool *p, const struct roster_donor *d)
{
	return trust_serves(p->verify->trust, &d->key);
}

/* ---- trails ------------------------------------------------------------------------------- */

static struct verdict *find(const struct verify *v, uint64_t session)
{
	struct verdict *d;

	HASH_FIND(hh, v->verdicts, &session, sizeof session, d);
	return d;
}

static struct verdict *find_or_add(struct verify *v, uint64_t session)
{
	struct verdict *d = find(v, session);

	if (d != NULL)
		return d;
	d = calloc(1, sizeof *d);
	if (d == NULL)
		return NULL;
	d->session = session;
	HASH_ADD(hh, v->verdicts, session, sizeof d->session, d);
	return d;
}

/* True: it is given to the auditor. */
static bool ask(struct pool *p, struct trail *t)
{
	const struct catalog_model *m = catalog_at(p->catalog, t->model);
	struct recheck_model model = {.gguf = m->gguf, .kv = m->kv_type};

	(void)catalog_blob(p->catalog, &m->id, &model.manifest);

	if (t->n_spans > 0 && auditor_ask(p->verify->auditor, &model, t))
		return true;
	p->verify->missed++;
	report(REPORT_DEBUG, "session %llu is not rechecked: there is too much to do",
	    (unsigned long long)t->session);
	return false;
}

/* Its donors' windows are all that there will be of them. */
static void end_windows(struct pool *p, const struct trail *t, bool asked)
{
	for (uint32_t k = 0; k < t->n_stages; k++)
		books_end(
		    p->books, t->session, &t->stages[k].key, asked ? t : NULL, t->n_missed > 0);
}

static void take_trails(struct pool *p)
{
	struct trail *t;

	while ((t = scheduler_take_trail(p->scheduler)) != NULL) {
		struct verdict *d = find_or_add(p->verify, t->session);
		bool asked = d != NULL && trust_draws(p->verify->trust, t) && ask(p, t);

		p->verify->missed += t->n_missed > 0;
		if (asked)
			d->pending++;
		if (d != NULL)
			d->unknown = d->unknown || !asked || t->n_missed > 0;
		end_windows(p, t, asked);
		if (!asked)
			trail_release(t);
	}
}

enum books_belief verify_believes(void *pool, const struct public_key *donor)
{
	const struct pool *p = pool;

	if (!trust_serves(p->verify->trust, donor))
		return BOOKS_LIES;
	return p->verify->auditor == NULL || trust_is_trusted(p->verify->trust, donor)
	           ? BOOKS_BELIEVED
	           : BOOKS_NOT_YET;
}

void verify_run(struct pool *p)
{
	take_trails(p);
}

bool verify_is_busy(const struct pool *p)
{
	const struct trail *trails[AUDITOR_JOBS];

	return p->verify->auditor != NULL && auditor_open(p->verify->auditor, trails) > 0;
}

/* ---- findings ----------------------------------------------------------------------------- */

static void reward(struct pool *p, const struct trail *t)
{
	for (uint32_t k = 0; k < t->n_stages; k++) {
		const struct public_key *donor = &t->stages[k].key;
		struct trust_change change;

		if (trust_step(p->verify->trust, donor, TRUST_WAS_RIGHT,
		        t->n_spans - t->n_inherited, loop_wall_ms(), &change) != AYNI_OK)
			continue;
		note_change(
		    p, REPORT_INFO, donor, &change, "what was computed once more was right", NULL);
	}
}

/* No more work; its sessions are replayed by others. */
static void shut_out(struct pool *p, int slot, const char *reason)
{
	struct roster_donor *d = roster_get(p->roster, slot);
	struct peer *peer = d != NULL ? peer_by_number(p, d->peer) : NULL;

	if (d == NULL)
		return;
	d->failures = ROSTER_MAX_FAILURES;
	if (peer != NULL)
		peer_refuse(p, peer, REFUSAL_NUMERIC, reason);
	d = roster_get(p->roster, slot); /* telling it may have ended the connection */
	if (d != NULL && d->assignment.number != 0)
		donor_unassign(p, slot);
}

/* Who has an answer that rests on it. */
static void doubt_all(struct pool *p, const struct public_key *donor, const char *reason)
{
	struct doubt doubt;

	while (doubts_take(p->verify->doubts, donor, &doubt))
		member_send_doubt(p, &doubt, donor, reason);
}

static void punish(struct pool *p, const struct audited *a)
{
	const struct trail *t = a->trail;
	const struct recheck_finding *f = &a->finding;
	const struct trail_stage *stage = &t->stages[f->stage];
	char reason[STANDING_LINE_BYTES], session[PSEUDONYM_CHARS];
	struct trust_change change;
	struct pseudonym name;

	books_name(p->books, t->session, &name);
	pseudonym_to_text(&name, session);
	(void)snprintf(reason, sizeof reason,
	    "in session %s, layer %u of %.20s, it gave at position %u what the model does not",
	    session, f->layer, catalog_at(p->catalog, t->model)->name, f->position);
	if (trust_step(p->verify->trust, &stage->key, TRUST_LIED, 0, loop_wall_ms(), &change) !=
	    AYNI_OK)
		return; /* that was known */
	note_change(
	    p, REPORT_WARNING, &stage->key, &change, reason, a->has_evidence ? &a->evidence : NULL);
	if (!a->has_evidence)
		report(REPORT_WARNING, "nobody else can be shown that: %s", f->no_evidence.text);
	doubt_all(p, &stage->key, reason);
	shut_out(p, roster_find(p->roster, &stage->key), reason);
}

/* It is given work again; what it gave before stays as it was judged. */
static void pardon(struct pool *p, const struct pardon *pardon)
{
	int slot = roster_find(p->roster, &pardon->donor);
	struct trust_change change;
	char hex[HEX32_CHARS];

	if (trust_step(p->verify->trust, &pardon->donor, TRUST_PARDONED, 0, loop_wall_ms(),
	        &change) != AYNI_OK) {
		report(REPORT_WARNING, "donor %s is not quarantined, and cannot be pardoned",
		    name_of(p, &pardon->donor, hex));
		return;
	}
	note_change(p, REPORT_INFO, &pardon->donor, &change, pardon->reason,
	    pardon->has_evidence ? &pardon->evidence : NULL);
	if (slot != ROSTER_NONE)
		roster_get(p->roster, slot)->failures = 0;
}

void verify_pardon(struct pool *p)
{
	struct pardon asked;
	struct error err = {0};
	int rc;

	while ((rc = pardons_take(p->folder, &asked, &err)) == AYNI_OK)
		pardon(p, &asked);
	if (rc != AYNI_ERR_NOT_FOUND)
		report(REPORT_WARNING, "a pardon could not be taken up: %s", err.text);
}

static void keep_doubt(struct pool *p, const struct session *s)
{
	struct doubt answer = {.peer = s->r.peer, .request = s->r.request};

	books_name(p->books, s->r.id, &answer.session);
	if (peer_by_number(p, s->r.peer) != NULL)
		doubts_add(p->verify->doubts, &answer, s->shares, s->n_shares);
}

void verify_forget_member(struct pool *p, uint32_t peer)
{
	doubts_forget(p->verify->doubts, peer);
}

static void send_finish(struct pool *p, const struct action_finish *a, const struct verdict *d)
{
	enum verification v = VERIFICATION_NONE;

	if (d != NULL && d->wrong)
		v = VERIFICATION_WRONG;
	else if (d != NULL && d->right && !d->unknown && d->pending == 0)
		v = VERIFICATION_RIGHT;
	member_send_finish(p, a, v);
	if (v == VERIFICATION_NONE)
		keep_doubt(p, a->session);
	session_free(a->session);
}

/* The end that waits, if there is nothing left to wait for, or it took too long. */
static void finish(struct pool *p, struct verdict *d)
{
	if (d->parked) {
		d->parked = false;
		send_finish(p, &d->finish, d);
	}
	if (d->pending == 0)
		forget(p->verify, d);
}

/* Its answer is over, and was said to be unchecked. */
static void conclude_late(struct pool *p, const struct audited *a, const struct verdict *d)
{
	const struct trail *t = a->trail;
	struct pseudonym name;
	struct doubt doubt;

	books_name(p->books, t->session, &name);
	if (a->rc == AYNI_OK && a->finding.wrong) {
		if (doubts_take_session(p->verify->doubts, &name, &doubt))
			member_send_doubt(p, &doubt, &t->stages[a->finding.stage].key,
			    "what it gave for this answer is not what the model gives");
	} else if (d->right && !d->unknown && !d->wrong && d->pending == 0) {
		(void)doubts_take_session(p->verify->doubts, &name, &doubt);
	}
}

static void conclude(struct pool *p, const struct audited *a)
{
	struct verdict *d = find(p->verify, a->trail->session);
	enum verification verification = VERIFICATION_NONE;

	if (a->rc != AYNI_OK) {
		p->verify->missed++;
		report(REPORT_WARNING, "session %llu could not be rechecked: %s",
		    (unsigned long long)a->trail->session, a->err.text);
	} else if (a->finding.wrong) {
		p->verify->wrong++;
		punish(p, a);
	} else {
		p->verify->right++;
		verification = VERIFICATION_RIGHT;
		reward(p, a->trail);
	}
	books_judge(p->books, a->trail, verification);
	d->unknown = d->unknown || a->rc != AYNI_OK;
	d->wrong = d->wrong || (a->rc == AYNI_OK && a->finding.wrong);
	d->right = d->right || (a->rc == AYNI_OK && !a->finding.wrong);
	d->pending--;
	if (!d->parked && d->until_us != 0)
		conclude_late(p, a, d);
	if (d->pending == 0 && (d->parked || d->until_us != 0))
		finish(p, d);
}

static void on_audited(void *context)
{
	struct pool *p = context;
	struct audited a;

	while (auditor_take(p->verify->auditor, &a)) {
		conclude(p, &a);
		trail_release(a.trail);
	}
	pool_advance(p);
}

/* ---- ends of answers ---------------------------------------------------------------------- */

static void on_time(void *context)
{
	struct pool *p = context;
	uint64_t now = loop_now_us(), next = 0;
	struct verdict *d, *after;

	HASH_ITER(hh, p->verify->verdicts, d, after)
	{
		if (d->parked && d->until_us <= now)
			finish(p, d);
		else if (d->parked && (next == 0 || d->until_us < next))
			next = d->until_us;
	}
	(void)loop_timer(p->loop, next, on_time, p, NULL);
}

void verify_finish(struct pool *p, const struct action_finish *a)
{
	struct verdict *d;

	take_trails(p);
	books_end_session(p->books, a->session->r.id);
	d = find(p->verify, a->session->r.id);
	if (d == NULL || d->pending == 0 || p->stop_at_us != 0) {
		send_finish(p, a, d);
		if (d != NULL) {
			d->until_us = 1;
			finish(p, d);
		}
		return;
	}
	d->parked = true;
	d->finish = *a;
	d->until_us = loop_now_us() + FINISH_WAIT_US;
	on_time(p);
}

/* ---- status and disk ---------------------------------------------------------------------- */

void verify_save(struct pool *p)
{
	const struct trust_record *r = trust_unsaved(p->verify->trust);
	struct error err = {0};
	int rc = AYNI_OK;

	if (r == NULL)
		return;
	rc = db_begin(p->db, &err);
	for (; r != NULL && rc == AYNI_OK; r = trust_unsaved(p->verify->trust))
		rc = store(p, &r->donor, "", &err);
	if (rc == AYNI_OK)
		rc = db_commit(p->db, &err);
	if (rc == AYNI_OK)
		return;
	db_rollback(p->db);
	report(REPORT_ERROR, "%s", err.text);
}

void verify_describe_donor(
    const struct pool *p, const struct roster_donor *d, struct status_donor *out)
{
	const struct trust_record *r = trust_find(p->verify->trust, &d->key);

	if (r == NULL || p->verify->auditor == NULL)
		return;
	(void)snprintf(out->trust, sizeof out->trust, "%s", trust_state_name(r->state));
	out->verified_units = r->verified;
	out->lies = r->lies;
}

void verify_describe(const struct pool *p, struct msg_status *out)
{
	out->checks_right = p->verify->right;
	out->checks_wrong = p->verify->wrong;
	out->checks_missed = p->verify->missed;
}
