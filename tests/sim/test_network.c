/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool's decisions against a network that does its worst: scheduler, roster and placement are
 * driven by donors and members played from one seed, with no socket, clock or thread. Donors crash,
 * leave, forget, dawdle, lose units and lie; members come, cancel, and come back to go on; the pool
 * itself is killed and started again; guesses of a small model come late, wrong or never. After
 * each step the machines' own invariants must hold, and each donor must be sent only what it can
 * do.
 *
 * AYNI_SIM_SEED=n plays scenario n alone; AYNI_SIM_SCENARIOS=n that many.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/scratch.h"
#include "tests/support/sim_world.h"
#include "tests/support/tiny_model.h"

enum {
	SCENARIOS = 1000,
	SUSPICIOUS = 50, /* scenarios of suspicions alone */
	STEPS = 250,
	LAST_STEPS = 10000, /* until all is answered once the faults have ceased */
	TIMEOUT_US = 1000000,
	KEEP_US = 200000,
	WAIT_US = 5000000
};

static struct scratch scratch;
static struct identity *publisher;
static struct catalog *catalog;
static const struct catalog_model *model;
static struct sim_played played;

/* ---- what donors do ----------------------------------------------------------------------- */

static void load(struct sim_world *w, struct sim_donor *d)
{
	struct roster_donor *r = roster_get(w->roster, d->slot);

	struct layer_range all = r->assignment.layers;
	uint32_t ready = r->assignment.ready_last - all.first;
	bool fetches = r->state == DONOR_FETCHING;

	if (ready + 1 < all.last - all.first && sim_chance(w, 70))
		(void)roster_progress(w->roster, d->slot, d->assignment,
		    fetches ? PROGRESS_FETCHING : PROGRESS_LOADING, ready + 1);
	else if (fetches && sim_chance(w, 50))
		(void)roster_progress(w->roster, d->slot, d->assignment, PROGRESS_LOADING, ready);
	else if (!w->calm && sim_chance(w, 5))
		(void)roster_progress(w->roster, d->slot, d->assignment, PROGRESS_FAILED, 0);
	else
		(void)roster_progress(w->roster, d->slot, d->assignment, PROGRESS_READY, 0);
	if (r->state == DONOR_IDLE) {
		d->assignment = 0;
		sim_place(w);
	}
}

/* The worker died: the sessions are gone, and what is in the queue does not fit any more. */
static void restart(struct sim_world *w, struct sim_donor *d)
{
	if (!roster_serves(roster_get(w->roster, d->slot)))
		return;
	played.restarts++;
	fake_donor_forget(&d->fake);
	for (size_t i = 0; i < d->n_queue; i++)
		d->queue[i].stale = true;
	assert_int_equal(
	    roster_progress(w->roster, d->slot, d->assignment, PROGRESS_LOADING, 0), AYNI_OK);
	sim_advance(w);
	if (sim_chance(w, 50))
		assert_int_equal(
		    roster_progress(w->roster, d->slot, d->assignment, PROGRESS_READY, 0), AYNI_OK);
}

/* It says that it has more or less than it has, or again what it said before. */
static void boast(struct sim_world *w, const struct sim_donor *d)
{
	static const enum assignment_progress states[] = {
	    PROGRESS_FETCHING, PROGRESS_LOADING, PROGRESS_READY};

	if (!sim_holds(roster_get(w->roster, d->slot)))
		return;
	played.boasts++;
	assert_int_equal(roster_progress(w->roster, d->slot, d->assignment, states[sim_below(w, 3)],
	                     sim_chance(w, 20) ? UINT32_MAX : sim_below(w, 8)),
	    AYNI_OK);
}

static void disturb(struct sim_world *w, struct sim_donor *d)
{
	static const enum refusal reasons[] = {REFUSAL_SESSION, REFUSAL_BUSY, REFUSAL_EXPIRED,
	    REFUSAL_LEAVING, REFUSAL_INTERNAL, REFUSAL_MEMORY};

	switch (sim_below(w, 13)) {
	case 0:
		played.crashes++;
		sim_remove_donor(w, d);
		sim_place(w);
		break;
	case 1:
		if (roster_leave(w->roster, d->slot) == AYNI_OK)
			played.leaves++;
		sim_place(w);
		break;
	case 2:
	case 3:
		restart(w, d);
		break;
	case 4:
	case 5:
	case 6:
		if (d->n_queue > 0) {
			played.lost++;
			sim_drop_unit(d);
		}
		break;
	case 7:
	case 8:
		if (d->n_queue > 0)
			sim_fail_head(w, d, reasons[sim_below(w, 6)]);
		break;
	case 9:
		w->now_us += TIMEOUT_US / 2;
		break;
	case 10:
		sim_join(w, (uint64_t)(sim_below(w, 60) + 20) << 10, sim_below(w, 3));
		sim_place(w);
		break;
	case 11:
		boast(w, d);
		break;
	default:
		w->now_us += TIMEOUT_US + sim_below(w, WAIT_US);
		break;
	}
}

/* ---- what members do ---------------------------------------------------------------------- */

static bool is_end(const void *context, uint32_t token)
{
	return tokenizer_is_end(context, token);
}

static void submit(struct sim_world *w)
{
	struct sim_request *q = &w->requests[w->n_requests];
	struct session_request r = {.id = w->n_requests + 1,
	    .peer = 1 + sim_below(w, 3),
	    .request = w->n_requests + 1,
	    .kv_tokens = SIM_KV_TOKENS,
	    .n_vocabulary = model->sizes.n_vocabulary,
	    .max_tokens = sim_below(w, 12),
	    .ignore_end = sim_chance(w, 30)};
	struct fake_question question = {
	    &r.sampling, SIM_KV_TOKENS, r.max_tokens, r.ignore_end, is_end, model->tokenizer};
	bool alike;

	if (w->n_requests == SIM_MAX_REQUESTS)
		return;
	sampler_defaults(&r.sampling);
	if (sim_chance(w, 50)) {
		r.sampling.temperature = 0.8f;
		r.sampling.top_k = sim_below(w, 40);
		r.sampling.repeat_penalty = sim_chance(w, 50) ? 1.1f : 1;
		r.sampling.repeat_last_n = 16;
		r.sampling.seed = sim_random(w);
	}
	r.top = sim_chance(w, 30) ? 1 + sim_below(w, model->sizes.n_vocabulary) : 0;
	q->number = r.request;
	q->top = r.top;
	alike = sim_chance(w, 50);
	q->n_prompt = alike ? 66 + sim_below(w, SIM_KV_TOKENS - 67) : 1 + sim_below(w, 40);
	r.n_tokens = q->n_prompt;
	r.tokens = calloc(r.n_tokens, sizeof *r.tokens);
	assert_non_null(r.tokens);
	for (uint32_t i = 0; i < r.n_tokens; i++)
		r.tokens[i] = q->right[i] = q->tokens[i] =
		    alike && i < 70 ? i % 7 : sim_below(w, 256);
	q->n_tokens = q->n_prompt;
	q->n_right =
	    fake_answer(&model->sizes, &question, q->right, q->n_prompt, q->best, &q->right_reason);
	q->asked = r;
	w->n_requests++;
	if (scheduler_submit(w->scheduler, &r, w->now_us, NULL) != AYNI_OK)
		q->finished = true; /* full: the member was told at once */
}

static void cancel(struct sim_world *w)
{
	uint64_t number = 1 + sim_below(w, SIM_MAX_REQUESTS);
	uint32_t peer = 1 + sim_below(w, 3);

	scheduler_cancel(w->scheduler, peer, sim_chance(w, 90) ? &number : NULL, &w->actions);
	sim_carry_out(w);
}

/* The member goes on where its answer broke off. Each session has a number of its own. */
static void ask_again(struct sim_world *w, struct sim_request *q)
{
	struct session_request r = q->asked;

	q->times++;
	r.id += q->times * SIM_MAX_REQUESTS;
	r.n_drawn = q->n_tokens - q->n_prompt;
	r.tokens = calloc(q->n_tokens, sizeof *r.tokens);
	assert_non_null(r.tokens);
	memcpy(r.tokens, q->tokens, q->n_tokens * sizeof *r.tokens);
	played.resumed++;
	q->finished = scheduler_submit(w->scheduler, &r, w->now_us, NULL) != AYNI_OK;
}

/* Its connection was lost: the pool forgets the request before it comes again. */
static void reconnect(struct sim_world *w)
{
	struct sim_request *q = &w->requests[sim_below(w, SIM_MAX_REQUESTS)];

	if (q->number == 0 || q->finished || q->top > 0)
		return;
	scheduler_cancel(w->scheduler, q->asked.peer, &q->number, &w->actions);
	sim_carry_out(w);
	ask_again(w, q);
}

/* kill -9 of the pool: it knows nothing any more. Donors join the new one with empty caches,
 * members go on; one that wants logits of each token cannot. */
static void replace_pool(struct sim_world *w)
{
	uint32_t n = 0;

	played.pools++;
	for (size_t i = 0; i < SIM_MAX_DONORS; i++) {
		n += w->donors[i].here;
		sim_end_donor(&w->donors[i]);
	}
	sim_free_pool(w);
	sim_start_pool(w, catalog);
	while (n-- > 0)
		sim_join(w, (uint64_t)(sim_below(w, 60) + 20) << 10, sim_below(w, 3));
	sim_place(w);
	for (size_t i = 0; i < w->n_requests; i++) {
		struct sim_request *q = &w->requests[i];

		if (!q->finished && q->top == 0)
			ask_again(w, q);
		q->finished = q->finished || q->top > 0;
	}
}

/* ---- a scenario --------------------------------------------------------------------------- */

/* Once it is calm, one that has something to do, if it is found soon. */
static struct sim_donor *some_donor(struct sim_world *w)
{
	struct sim_donor *d = &w->donors[sim_below(w, SIM_MAX_DONORS)];

	for (uint32_t i = 0; i < 2 * SIM_MAX_DONORS && w->calm && d->n_queue == 0; i++)
		d = &w->donors[sim_below(w, SIM_MAX_DONORS)];
	return d;
}

/* A donor is silent for a while, and then heard again. */
static void hear(struct sim_world *w, const struct sim_donor *d)
{
	struct roster_donor *r = d->here ? roster_get(w->roster, d->slot) : NULL;

	if (r == NULL)
		return;
	if (!w->calm && sim_chance(w, 3)) {
		r->alive.suspect = true;
		w->played->suspected++;
	} else if (w->calm || sim_chance(w, 30)) {
		liveness_heard(&r->alive, 0, w->now_us);
	}
}

static void step(struct sim_world *w)
{
	struct sim_donor *d = some_donor(w);
	uint32_t dice = sim_below(w, 100);

	w->now_us += 1 + sim_below(w, 2000);
	hear(w, d);
	for (uint32_t i = sim_below(w, 20); i > 0; i--)
		sim_answer_draft(w);
	if (!w->calm && dice < 12)
		submit(w);
	else if (!w->calm && dice < 14)
		cancel(w);
	else if (!w->calm && dice < 15)
		reconnect(w);
	else if (!w->calm && dice < 16 && sim_chance(w, 20))
		replace_pool(w);
	else if (d->here && !w->calm && dice < 26)
		disturb(w, d);
	else if (d->here && sim_holds(roster_get(w->roster, d->slot)) &&
	         roster_get(w->roster, d->slot)->state != DONOR_READY)
		load(w, d);
	else if (d->here && d->n_queue > 0)
		sim_compute_head(w, d);
	if (d->here && roster_get(w->roster, d->slot)->state == DONOR_LEAVING && d->n_queue == 0) {
		sim_remove_donor(w, d);
	}
	sim_carry_out(w);
	sim_advance(w);
}

static bool all_finished(const struct sim_world *w)
{
	for (size_t i = 0; i < w->n_requests; i++) {
		if (!w->requests[i].finished)
			return false;
	}
	return true;
}

/* Whoever is left gets enough donors that work: all must be answered now. */
static void calm_down(struct sim_world *w)
{
	w->calm = true;
	for (size_t i = 0; i < SIM_MAX_DONORS; i++) {
		struct sim_donor *d = &w->donors[i];

		if (d->here && (i < 3 || roster_get(w->roster, d->slot)->failures > 0)) {
			sim_remove_donor(w, d);
		}
	}
	for (size_t i = 0; i < 3; i++)
		sim_join(w, 1 << 20, 0);
	sim_place(w);
	for (uint32_t i = 0; i < LAST_STEPS && !all_finished(w); i++)
		step(w);
	assert_true(all_finished(w));
}

static void begin(struct sim_world *w, uint64_t seed)
{
	assert_non_null(w);
	w->model = model;
	w->played = &played;
	w->limits = (struct scheduler_limits){.max_waiting = 20,
	    .wait_us = WAIT_US,
	    .unit_timeout_us = TIMEOUT_US,
	    .keep_us = KEEP_US,
	    .draft_tokens = DRAFT_MAX,
	    .first_unit = 1,
	    .trails = true};
	w->random = seed * 0x9e3779b97f4a7c15ULL + 1;
	for (uint32_t i = 0; i < 8; i++)
		(void)sim_random(w);
	w->now_us = w->next_assignment = 1;
}

static void end(struct sim_world *w)
{
	scheduler_fail_all(w->scheduler, "over", &w->actions); /* checks */
	sim_carry_out(w);
	for (int i = 0; i < roster_slots(w->roster); i++) {
		const struct roster_donor *d = roster_get(w->roster, i);

		assert_true(d == NULL || d->sessions == 0);
	}
	for (size_t i = 0; i < SIM_MAX_DONORS; i++)
		sim_end_donor(&w->donors[i]);
	actions_free(&w->actions);
	sim_free_pool(w);
	free(w);
}

static void play(uint64_t seed)
{
	struct sim_world *w = calloc(1, sizeof *w);

	begin(w, seed);
	w->stages = sim_below(w, 4);
	w->limits.drafted_models = sim_below(w, 2);
	w->limits.max_sessions = 1 + sim_below(w, 12);
	sim_start_pool(w, catalog);
	for (uint32_t i = sim_below(w, 6); i-- > 0;)
		sim_join(w, (uint64_t)(sim_below(w, 60) + 20) << 10, sim_below(w, 4));
	sim_place(w);
	for (uint32_t i = 0; i < STEPS; i++)
		step(w);
	calm_down(w);
	end(w);
}

/* Whoever has work is suspected: it goes to another. What it computes after all is for nobody. */
static void suspect_all(struct sim_world *w)
{
	for (size_t i = 0; i < 4; i++) {
		struct sim_donor *d = &w->donors[i];
		bool works = scheduler_units_at(w->scheduler, d->slot) > 0;

		roster_get(w->roster, d->slot)->alive.suspect = works;
		w->played->suspected += works;
	}
	sim_advance(w);
	for (size_t i = 0; i < 4; i++) {
		struct sim_donor *d = &w->donors[i];

		roster_get(w->roster, d->slot)->alive.suspect = false;
		while (d->n_queue > 0 && scheduler_units_at(w->scheduler, d->slot) == 0)
			sim_drop_unit(d);
	}
}

/* Nothing is wrong but that donors are suspected, wherever a session goes, before they answer. */
static void play_suspicions(uint64_t seed)
{
	struct sim_world *w = calloc(1, sizeof *w);

	begin(w, seed);
	w->stages = 2;
	w->limits.max_sessions = 4;
	sim_start_pool(w, catalog);
	for (uint32_t i = 0; i < 4; i++)
		sim_join(w, 1 << 20, 0);
	sim_place(w);
	w->calm = true; /* no other faults */
	for (uint32_t i = 0; i < 4; i++)
		submit(w);
	for (uint32_t i = 0; i < LAST_STEPS && !all_finished(w); i++) {
		if (i >= 16 && i < STEPS)
			suspect_all(w);
		else
			step(w);
	}
	assert_true(all_finished(w));
	for (size_t i = 0; i < w->n_requests; i++)
		assert_int_equal(w->requests[i].n_tokens, w->requests[i].n_right);
	end(w);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t playing;

/* The machines' own assertions end the program: the seed is said even then. */
static void on_abort(int signal_number)
{
	(void)signal(signal_number, SIG_DFL);
	print_error("AYNI_SIM_SEED=%llu plays this again\n", (unsigned long long)playing);
	(void)raise(signal_number);
}

static void every_request_ends_once_and_with_the_right_tokens(void **state)
{
	uint64_t only = from_environment("AYNI_SIM_SEED", 0);
	uint64_t n = from_environment("AYNI_SIM_SCENARIOS", SCENARIOS);

	(void)state;
	(void)signal(SIGABRT, on_abort);
	for (uint64_t seed = only > 0 ? only : 1; seed <= (only > 0 ? only : n); seed++) {
		playing = seed;
		play(seed);
	}
	playing = 0;
	print_message("%llu units over some of a donor's layers, %llu before all were ready\n",
	    (unsigned long long)played.partly, (unsigned long long)played.early);
	print_message(
	    "%llu handed over directly, %llu lost on the way, %llu wrong; %llu units ahead\n",
	    (unsigned long long)played.handed, (unsigned long long)played.not_handed,
	    (unsigned long long)played.wrongly_handed, (unsigned long long)played.ahead);
	print_message("guesses of a small model: %llu times in time, %llu times late or never\n",
	    (unsigned long long)played.drafted, (unsigned long long)played.undrafted);
	print_message("%llu trails that others computed, %llu not to the end\n",
	    (unsigned long long)played.checks, (unsigned long long)played.checks_lost);
	print_message("%llu answered, %llu cancelled, %llu failed; %llu units, %llu wrong, %llu "
	              "lost; %llu crashes, %llu restarts, %llu boasts, %llu leaves, %llu "
	              "suspicions, %llu went "
	              "on, %llu pools killed; %llu of "
	              "%llu that began "
	              "with another's keys and values lost\n",
	    (unsigned long long)played.answered, (unsigned long long)played.cancelled,
	    (unsigned long long)played.failed, (unsigned long long)played.units,
	    (unsigned long long)played.wrong, (unsigned long long)played.lost,
	    (unsigned long long)played.crashes, (unsigned long long)played.restarts,
	    (unsigned long long)played.boasts, (unsigned long long)played.leaves,
	    (unsigned long long)played.suspected, (unsigned long long)played.resumed,
	    (unsigned long long)played.pools, (unsigned long long)played.alike_lost,
	    (unsigned long long)played.alike);
	if (only == 0) {
		assert_true(played.answered > n && played.cancelled > 0 && played.wrong > 0);
		assert_true(played.lost > 0 && played.crashes > 0 && played.restarts > 0);
		assert_true(played.boasts > 0);
		assert_true(played.alike > 10 * played.alike_lost);
		assert_true(played.traced > 10000 && played.inherited > 100);
		assert_true(played.checks > n / 3 && played.checks_lost > n / 10);
		assert_true(played.resumed > n / 2 && played.pools > 0);
		assert_true(played.handed > 100 * played.not_handed / 10 && played.ahead > n);
		assert_true(played.drafted > n / 2 && played.undrafted > n / 10);
		assert_true(played.not_handed > 0 && played.wrongly_handed > 0);
		assert_true(played.early > n / 10 && played.partly > n);
	}
}

static void suspicions_alone_fail_no_request(void **state)
{
	uint64_t failed = playing; /* of the test before: it is still to be said */

	(void)state;
	(void)signal(SIGABRT, on_abort);
	for (playing = 1; playing <= SUSPICIOUS; playing++)
		play_suspicions(playing);
	playing = failed;
}

static int set_up(void **state)
{
	struct tiny_model_options o = {.n_layers = 4,
	    .d_model = 16,
	    .d_ff = 16,
	    .n_heads = 2,
	    .n_kv_heads = 1,
	    .context_tokens = SIM_KV_TOKENS};
	char path[1024];

	(void)state;
	scratch_make(&scratch);
	(void)snprintf(path, sizeof path, "%s", scratch_path(&scratch, "tiny.gguf"));
	if (tiny_model_write(path, &o) != 0 || identity_generate(&publisher, NULL) != AYNI_OK ||
	    catalog_new(&catalog, NULL) != AYNI_OK ||
	    catalog_add(catalog, path, publisher, &(struct catalog_kv){SIM_KV_TOKENS, KV_F16},
	        NULL) != AYNI_OK)
		return -1;
	model = catalog_at(catalog, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (playing != 0)
		print_error("AYNI_SIM_SEED=%llu plays this again\n", (unsigned long long)playing);
	catalog_free(catalog);
	identity_free(publisher);
	scratch_remove(&scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_request_ends_once_and_with_the_right_tokens),
	    cmocka_unit_test(suspicions_alone_fail_no_request),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
