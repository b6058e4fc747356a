/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/checking.h"

#include <stdlib.h>

#include "node/pool/verify.h"
#include "node/report.h"

struct checking {
	struct checkers *checkers;
	bool began;         /* a session was bound since this was asked last */
	uint64_t by_donors; /* trails that donors found right, or wrong */
};

int checking_open(struct pool *p, struct error *err)
{
	uint8_t secret[DERIVED_KEY_BYTES];
	int rc;

	if (strcmp(p->config->recheck, "donors") != 0)
		return AYNI_OK;
	p->checking = calloc(1, sizeof *p->checking);
	if (p->checking == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "pool: out of memory");
	identity_derive(p->identity, "ayni checkers", secret);
	rc = checkers_new(secret, &p->checking->checkers, err);
	explicit_bzero(secret, sizeof secret);
	return rc;
}

void checking_free(struct pool *p)
{
	if (p->checking != NULL)
		checkers_free(p->checking->checkers);
	free(p->checking);
	p->checking = NULL;
}

void checking_met(struct pool *p, const struct peer *peer)
{
	struct checker_origin o = {.network = peer->network};
	struct error err = {0};

	if (p->checking == NULL)
		return;
	if (registry_donor_origin(
	        p->registry, &peer->channel.peer, &o.invite, &o.admitted_ms, &err) == AYNI_OK)
		checkers_meet(p->checking->checkers, &peer->channel.peer, &o);
	else
		report(REPORT_ERROR, "%s", err.text); /* then it checks nobody */
}

/* ---- giving ------------------------------------------------------------------------------- */

static bool find_path(struct pool *p, const struct trail *t, struct path *out)
{
	struct checkers_search search = {.checkers = p->checking->checkers,
	    .trust = verify_trust(p),
	    .trail = t,
	    .now_ms = loop_wall_ms(),
	    .half = true};
	uint64_t now = loop_now_us();

	if (scheduler_recheckers(p->scheduler, t, checkers_avoid, &search, now, out))
		return true;
	search.half = false;
	return scheduler_recheckers(p->scheduler, t, checkers_avoid, &search, now, out);
}

static int begin(struct pool *p, struct trail *t, const struct path *path, struct error *err)
{
	static const struct public_key nobody;
	const struct catalog_model *m = catalog_at(p->catalog, t->model);
	uint64_t session;
	int rc = registry_session_add(p->registry, &nobody, &m->id, loop_wall_ms(), &session, err);

	if (rc != AYNI_OK)
		return rc;
	rc = scheduler_recheck(p->scheduler, session, t, path, loop_now_us(), err);
	if (rc != AYNI_OK) {
		(void)registry_session_end(
		    p->registry, session, 0, 0, FINISH_FAILED, loop_wall_ms(), NULL);
		return rc;
	}
	p->checking->began = true;
	report(REPORT_DEBUG, "session %llu is checked by donors, as session %llu",
	    (unsigned long long)t->session, (unsigned long long)session);
	return checkers_begin(p->checking->checkers, session, t, err);
}

bool checking_gives(struct pool *p, struct trail *t)
{
	struct error err = {0};
	struct path path;

	if (p->checking == NULL || p->stop_at_us != 0 ||
	    !checkers_takes(p->checking->checkers, verify_trust(p), t) || !find_path(p, t, &path))
		return false;
	if (begin(p, t, &path, &err) != AYNI_OK) {
		report(REPORT_WARNING, "%s", err.text);
		return false;
	}
	trail_release(t);
	return true;
}

bool checking_began(struct pool *p)
{
	bool began = p->checking != NULL && p->checking->began;

	if (began)
		p->checking->began = false;
	return began;
}

/* ---- what comes of it --------------------------------------------------------------------- */

bool checking_keeps(struct pool *p, struct trail *own)
{
	return p->checking != NULL && checkers_keep(p->checking->checkers, own);
}

static void carry_out(struct pool *p, const struct checkers_orders *orders)
{
	if (orders->right != NULL)
		verify_agreed(p, orders->right);
	if (orders->audit != NULL)
		verify_audit(p, orders->audit);
	if (orders->own != NULL)
		verify_audit_own(p, orders->own, orders->certainly);
}

static enum check_result result_of(const struct action_finish *a)
{
	const struct check *c = a->session->check;

	if (c->differs)
		return CHECK_OTHER;
	return a->reason == FINISH_END && check_agrees(c) ? CHECK_SAME : CHECK_FAILED;
}

void checking_finished(struct pool *p, const struct action_finish *a)
{
	const struct session *s = a->session;
	enum check_result result = result_of(a);
	struct checkers_orders orders;
	struct error err = {0};

	verify_take_trails(p); /* its own */
	books_end_session(p->books, s->r.id);
	if (result == CHECK_OTHER)
		report(REPORT_INFO,
		    "session %llu: others gave something else behind layer %u; it is computed here",
		    (unsigned long long)s->check->trail->session, s->check->layer - 1);
	else if (result == CHECK_FAILED)
		report(REPORT_DEBUG, "session %llu is not checked by donors: %s",
		    (unsigned long long)s->check->trail->session,
		    a->text[0] != '\0' ? a->text : "nothing could be compared");
	p->checking->by_donors += result != CHECK_FAILED;
	if (registry_session_end(p->registry, s->r.id, s->check->n_positions, 0, (int)a->reason,
	        loop_wall_ms(), &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
	checkers_finished(p->checking->checkers, s->r.id, result, &orders);
	carry_out(p, &orders);
	session_free(a->session);
}

void checking_audited(struct pool *p, const struct trail *t, bool known, bool wrong)
{
	struct checkers_orders orders;

	if (p->checking == NULL)
		return;
	checkers_audited(p->checking->checkers, t, known, wrong, &orders);
	carry_out(p, &orders);
}

uint64_t checking_by_donors(const struct pool *p)
{
	return p->checking != NULL ? p->checking->by_donors : 0;
}
