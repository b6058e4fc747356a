/* SPDX-License-Identifier: Apache-2.0 */
/* The small model that guesses, between the scheduler and its thread. */
#include "node/pool/pool_internal.h"

#include <signal.h>
#include <unistd.h>

#include "compute/team.h"
#include "node/models.h"
#include "node/report.h"

/* From the last guess to the loop's thread, so that what was computed is not too late by a hair. */
enum { WAY_BACK_US = 1000 };

static void on_drafted(void *context)
{
	struct pool *p = context;
	struct drafted d;

	while (drafter_take(p->drafter, &d))
		scheduler_drafted(p->scheduler, d.session, d.at, d.tokens, d.n);
	explicit_bzero(&d, sizeof d);
	pool_advance(p);
}

/* Half of the processors: the loop, and what else runs here, shall not wait for these. */
unsigned pool_spare_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN) / 2;

	return n < 1 ? 1 : n > TEAM_MAX_THREADS ? TEAM_MAX_THREADS : (unsigned)n;
}

/* Which of the models served have the draft model's vocabulary: one at least. */
static int find_models(struct pool *p, const struct draft_model *m, struct error *err)
{
	for (size_t i = 0; i < catalog_size(p->catalog); i++) {
		const struct catalog_model *served = catalog_at(p->catalog, i);

		if (draft_model_knows(m, served->tokenizer))
			p->drafted_models |= UINT64_C(1) << i;
		else
			report(REPORT_WARNING,
			    "the draft model %s has not the vocabulary of %s: no guesses for it",
			    p->config->draft_model, served->name);
	}
	if (p->drafted_models != 0)
		return AYNI_OK;
	return error_set(err, AYNI_ERR_ARGUMENT,
	    "draft_model = %.90s has not the vocabulary of %.60s%s: choose a small model of the "
	    "same family",
	    p->config->draft_model, catalog_at(p->catalog, 0)->name,
	    catalog_size(p->catalog) > 1 ? ", nor of the other models" : "");
}

static int open_drafter(struct pool *p, struct error *err)
{
	struct draft_model_options o = {
	    .max_tokens = (uint32_t)p->config->kv_tokens, .threads = pool_spare_threads()};
	bool known = kv_type_find(p->config->kv, &o.kv);
	struct draft_model *m = NULL;
	char path[MODELS_PATH_BYTES];
	int rc;

	assert(known); /* config.c has made sure */
	models_resolve(p->config->draft_model, path);
	rc = draft_model_open(path, &o, &m, err);
	if (rc == AYNI_OK)
		rc = find_models(p, m, err);
	if (rc != AYNI_OK) {
		draft_model_free(m);
		return rc;
	}
	rc = drafter_new(m, &p->drafter, err);
	if (rc == AYNI_OK)
		report(REPORT_INFO, "guessing with %s", path);
	return rc;
}

/* Signals are for the loop alone: its threads begin with all of them blocked. */
int drafting_open(struct pool *p, struct error *err)
{
	sigset_t all, before;
	int rc;

	if (p->config->draft_model[0] == '\0')
		return AYNI_OK;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	rc = open_drafter(p, err);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int drafting_watch(struct pool *p, struct error *err)
{
	if (p->drafter == NULL)
		return AYNI_OK;
	return loop_watch(p->loop, drafter_fd(p->drafter), on_drafted, p, err);
}

void drafting_ask(struct pool *p, const struct action_draft *a)
{
	const struct session *s = a->session;
	struct draft_job job = {.session = s->r.id,
	    .tokens = s->tokens,
	    .n_tokens = s->n_tokens,
	    .most = a->most,
	    .wire = s->r.wire,
	    .sampling = s->r.sampling,
	    .ignore_end = s->r.ignore_end,
	    .until_us = a->until_us > WAY_BACK_US ? a->until_us - WAY_BACK_US : a->until_us};

	if (drafter_ask(p->drafter, &job))
		return;
	scheduler_drafted(p->scheduler, s->r.id, s->n_tokens, NULL, 0);
	p->draft_refused = true;
}

void drafting_forget(struct pool *p, const struct session *s)
{
	if (p->drafter != NULL && s->drafting.told)
		drafter_forget(p->drafter, s->r.id);
}
