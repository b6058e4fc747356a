/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool's decisions against a network that does its worst: scheduler, roster and placement are
 * driven by donors and members played from one seed, with no socket, clock or thread. Donors crash,
 * leave, forget, dawdle, lose units and lie; members come and cancel. After each step the machines'
 * own invariants must hold, and each donor must be sent only what it can do.
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

#include "compute/kv.h"
#include "node/pool/placement.h"
#include "node/pool/scheduler.h"
#include "tests/support/fake_donor.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

enum {
	SCENARIOS = 1000,
	STEPS = 250,
	LAST_STEPS = 10000, /* until all is answered once the faults have ceased */
	MAX_DONORS = 10,
	MAX_QUEUE = 64,
	MAX_REQUESTS = 40,
	KV_TOKENS = 48,
	TIMEOUT_US = 1000000,
	WAIT_US = 5000000
};

/* A unit on its way to a donor, or in its queue. */
struct queued {
	struct msg_work_unit unit; /* spans and closed are owned */
	uint8_t *payload;
	bool stale; /* the donor forgot its sessions after this was sent */
};

struct donor {
	bool here;
	int slot;
	uint64_t last_unit;
	struct fake_donor fake;
	uint64_t assignment;
	size_t n_queue;
	struct queued queue[MAX_QUEUE];
};

struct request {
	uint64_t number;
	uint32_t n_prompt, n_tokens, n_rows;
	uint32_t tokens[KV_TOKENS]; /* as answered so far */
	uint32_t n_right;
	uint32_t right[KV_TOKENS], best[KV_TOKENS];
	enum finish_reason right_reason;
	uint32_t top;
	bool finished;
};

struct world {
	uint64_t random, now_us, next_assignment;
	uint32_t stages;
	bool calm; /* no more faults */
	struct roster *roster;
	struct scheduler *scheduler;
	struct actions actions;
	struct donor donors[MAX_DONORS];
	size_t n_requests;
	struct request requests[MAX_REQUESTS];
	uint64_t bookable; /* the unit whose right result is being given; 0: none */
};

static struct scratch scratch;
static struct identity *publisher;
static struct catalog *catalog;
static const struct catalog_model *model;

/* What was played, over all scenarios: a test of faults that never happen is no test. */
static struct {
	uint64_t answered, cancelled, failed, units, wrong, lost, crashes, restarts, leaves;
} played;

static uint64_t next_random(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

static uint32_t below(struct world *w, uint32_t n)
{
	return (uint32_t)((next_random(w) >> 20) % n);
}

static bool chance(struct world *w, uint32_t percent)
{
	return below(w, 100) < percent;
}

/* ---- donors ------------------------------------------------------------------------------- */

static void drop_head(struct donor *d)
{
	free(d->queue[0].unit.spans);
	free(d->queue[0].unit.closed);
	free(d->queue[0].payload);
	memmove(&d->queue[0], &d->queue[1], --d->n_queue * sizeof d->queue[0]);
}

static void end_donor(struct donor *d)
{
	while (d->n_queue > 0)
		drop_head(d);
	fake_donor_forget(&d->fake);
	memset(d, 0, sizeof *d);
}

static void join(struct world *w, uint64_t memory_bytes, uint32_t max_layers)
{
	for (size_t i = 0; i < MAX_DONORS; i++) {
		struct donor *d = &w->donors[i];
		struct msg_offer offer = {.memory_bytes = memory_bytes, .max_layers = max_layers};
		struct public_key key = {{0}};
		uint64_t number = next_random(w);

		if (d->here)
			continue;
		memcpy(key.bytes, &number, sizeof number);
		assert_int_equal(
		    roster_join(w->roster, &key, "d", (uint32_t)i, w->now_us, &d->slot), AYNI_OK);
		assert_int_equal(roster_offer(w->roster, d->slot, &offer), AYNI_OK);
		d->here = true;
		return;
	}
}

static struct donor *donor_at(struct world *w, int slot)
{
	for (size_t i = 0; i < MAX_DONORS; i++) {
		if (w->donors[i].here && w->donors[i].slot == slot)
			return &w->donors[i];
	}
	return NULL;
}

static bool holds(const struct roster_donor *d)
{
	return d->state == DONOR_FETCHING || d->state == DONOR_LOADING || d->state == DONOR_READY;
}

static size_t describe(struct world *w, struct placement_donor *out)
{
	size_t n = (size_t)roster_slots(w->roster);

	for (size_t i = 0; i < n; i++) {
		const struct roster_donor *d = roster_get(w->roster, (int)i);

		out[i] = (struct placement_donor){.model = PLACEMENT_NO_MODEL};
		if (d == NULL || (d->state != DONOR_IDLE && !holds(d)))
			continue;
		out[i].usable = d->failures < ROSTER_MAX_FAILURES;
		out[i].memory_bytes = d->offer.memory_bytes;
		out[i].max_layers = d->offer.max_layers;
		if (holds(d)) {
			out[i].model = d->assignment.model;
			out[i].layers = d->assignment.layers;
		}
	}
	return n;
}

static void assign(struct world *w, const struct placement_change *c)
{
	struct donor *d = donor_at(w, (int)c->donor);
	struct donor_assignment a = {.number = w->next_assignment++,
	    .model = c->model,
	    .layers = c->layers,
	    .max_sessions = c->max_sessions};

	assert_non_null(d);
	assert_int_equal(roster_assign(w->roster, d->slot, &a), AYNI_OK);
	d->assignment = a.number;
	fake_donor_forget(&d->fake);
	d->fake.layers = a.layers;
	d->fake.max_sessions = a.max_sessions;
}

static void unassign(struct world *w, int slot)
{
	struct donor *d = donor_at(w, slot);

	assert_int_equal(roster_unassign(w->roster, slot), AYNI_OK);
	d->assignment = 0;
	fake_donor_forget(&d->fake);
}

static void place(struct world *w)
{
	struct placement_donor donors[MAX_DONORS];
	struct placement_model m = {model->sizes.n_layers, model->layer_bytes, model->first_bytes,
	    model->last_bytes, kv_bytes_per_token(&model->sizes, 1) * KV_TOKENS};
	struct placement_change c;

	for (int i = 0; i < roster_slots(w->roster); i++) {
		const struct roster_donor *d = roster_get(w->roster, i);

		if (d != NULL && d->failures >= ROSTER_MAX_FAILURES && holds(d))
			unassign(w, i);
	}
	for (uint32_t changes = 0;
	     placement_next(donors, describe(w, donors), &m, 1, w->stages, 8, &c); changes++) {
		assert_true(changes < 100);
		if (c.unassign)
			unassign(w, (int)c.donor);
		else
			assign(w, &c);
	}
}

/* ---- actions ------------------------------------------------------------------------------ */

static struct request *request_of(struct world *w, const struct session *s)
{
	assert_in_range(s->r.id, 1, w->n_requests);
	return &w->requests[s->r.id - 1];
}

static void take_piece(struct world *w, const struct action_piece *p)
{
	struct request *q = request_of(w, p->session);

	assert_false(q->finished);
	for (uint32_t i = 0; i < p->n_rows; i++) {
		struct logit_rows rows = {p->n_rows, q->top, p->rows};
		uint32_t id;

		memcpy(&id, rows.data + i * logit_row_bytes(q->top) + 4, sizeof id);
		assert_true(q->n_rows < q->n_right);
		assert_int_equal(id, q->best[q->n_rows++]);
	}
	if (!p->drew)
		return;
	assert_true(q->n_tokens < q->n_right);
	assert_int_equal(p->token, q->right[q->n_tokens]);
	q->tokens[q->n_tokens++] = p->token;
}

static void take_finish(struct world *w, const struct action_finish *f)
{
	struct request *q = request_of(w, f->session);

	assert_false(q->finished);
	q->finished = true;
	if (f->reason == FINISH_CANCELLED) {
		played.cancelled++;
	} else if (f->reason == FINISH_FAILED) {
		played.failed++;
		assert_string_not_equal(f->text, "");
	} else {
		played.answered++;
		assert_int_equal(f->reason, q->right_reason);
		assert_int_equal(q->n_tokens, q->n_right);
		if (q->top > 0)
			assert_int_equal(
			    q->n_rows, q->right_reason == FINISH_END ? q->n_right : q->n_right - 1);
	}
	session_free(f->session);
}

static void take_unit(struct world *w, struct action_unit *a)
{
	const struct roster_donor *r = roster_get(w->roster, a->donor);
	struct donor *d = donor_at(w, a->donor);

	assert_non_null(r);
	assert_non_null(d);
	assert_int_equal(r->state, DONOR_READY); /* others get no units */
	assert_int_equal(a->unit.assignment, d->assignment);
	assert_int_equal(a->unit.layer_first, d->fake.layers.first);
	assert_int_equal(a->unit.layer_last, d->fake.layers.last);
	assert_true(a->unit.unit > d->last_unit);
	assert_in_range(a->unit.n_spans, 1, LIMIT_UNIT_SPANS);
	assert_in_range(a->unit.n_tokens, 1, LIMIT_UNIT_TOKENS);
	d->last_unit = a->unit.unit;
	assert_true(d->n_queue < MAX_QUEUE);
	d->queue[d->n_queue++] = (struct queued){a->unit, a->payload, false};
	a->unit.spans = NULL;
	a->unit.closed = NULL;
	a->payload = NULL;
	played.units++;
}

static void carry_out(struct world *w)
{
	for (size_t i = 0; i < w->actions.n; i++) {
		struct action *a = &w->actions.list[i];

		switch (a->kind) {
		case ACTION_BOOK:
			assert_int_equal(a->book.unit, w->bookable);
			w->bookable = 0;
			break;
		case ACTION_PIECE:
			take_piece(w, &a->piece);
			break;
		case ACTION_FINISH:
			take_finish(w, &a->finish);
			break;
		case ACTION_UNIT:
			take_unit(w, &a->unit);
			break;
		}
	}
	actions_clear(&w->actions);
}

static void advance(struct world *w)
{
	uint64_t next;

	scheduler_run(w->scheduler, w->now_us, &w->actions);
	carry_out(w);
	scheduler_check(w->scheduler);
	roster_check(w->roster);
	next = scheduler_next_us(w->scheduler);
	assert_true(next == 0 || next > w->now_us); /* else the loop would spin */
}

/* ---- what donors do ----------------------------------------------------------------------- */

static void spoil(struct world *w, struct msg_result *r, uint8_t *payload, size_t *len)
{
	static const uint8_t nan[4] = {0, 0, 0xc0, 0x7f};

	played.wrong++;
	switch (below(w, 3)) {
	case 0:
		r->cost.count++; /* allowed: a lie about the cost */
		break;
	case 1:
		*len -= 4;
		break;
	default:
		memcpy(payload, nan, sizeof nan);
		break;
	}
}

static void fail_head(struct world *w, struct donor *d, enum refusal reason)
{
	struct msg_unit_failed f = {.unit = d->queue[0].unit.unit, .reason = reason};

	drop_head(d);
	scheduler_unit_failed(w->scheduler, d->slot, &f, &w->actions);
}

/* Would this donor be the one that the pool should not have asked? */
static void compute_head(struct world *w, struct donor *d)
{
	struct queued *q = &d->queue[0];
	struct msg_result r;
	struct error why = {0};
	uint8_t *out;
	size_t len;
	bool lie = !w->calm && chance(w, 1);
	enum refusal refused;

	if (q->stale || q->unit.assignment != d->assignment) {
		fail_head(w, d, q->stale ? REFUSAL_SESSION : REFUSAL_ASSIGNMENT);
		return;
	}
	assert_int_equal(
	    fake_donor_compute(&d->fake, &model->sizes, &q->unit, q->payload, &r, &out, &len),
	    REFUSAL_NONE);
	if (lie)
		spoil(w, &r, out, &len);
	else
		w->bookable = r.unit;
	drop_head(d);
	refused = scheduler_result(
	    w->scheduler, d->slot, &r, (struct span){out, len}, w->now_us, &w->actions, &why);
	assert_true(!lie || refused != REFUSAL_NONE);
	assert_true(lie || refused == REFUSAL_NONE || refused == REFUSAL_REPLAY);
	if (chance(w, 5)) /* twice */
		assert_int_equal(scheduler_result(w->scheduler, d->slot, &r,
		                     (struct span){out, len}, w->now_us, &w->actions, &why),
		    REFUSAL_REPLAY);
	carry_out(w);
	assert_true(refused != REFUSAL_NONE || w->bookable == 0);
	w->bookable = 0;
	free(out);
}

static void load(struct world *w, struct donor *d)
{
	struct roster_donor *r = roster_get(w->roster, d->slot);

	if (r->state == DONOR_FETCHING && chance(w, 50))
		(void)roster_progress(w->roster, d->slot, d->assignment, PROGRESS_LOADING);
	else if (!w->calm && chance(w, 5))
		(void)roster_progress(w->roster, d->slot, d->assignment, PROGRESS_FAILED);
	else
		(void)roster_progress(w->roster, d->slot, d->assignment, PROGRESS_READY);
	if (r->state == DONOR_IDLE) {
		d->assignment = 0;
		place(w);
	}
}

/* The worker died: the sessions are gone, and what is in the queue does not fit any more. */
static void restart(struct world *w, struct donor *d)
{
	if (roster_get(w->roster, d->slot)->state != DONOR_READY)
		return;
	played.restarts++;
	fake_donor_forget(&d->fake);
	for (size_t i = 0; i < d->n_queue; i++)
		d->queue[i].stale = true;
	assert_int_equal(
	    roster_progress(w->roster, d->slot, d->assignment, PROGRESS_LOADING), AYNI_OK);
	advance(w);
	if (chance(w, 50))
		assert_int_equal(
		    roster_progress(w->roster, d->slot, d->assignment, PROGRESS_READY), AYNI_OK);
}

static void disturb(struct world *w, struct donor *d)
{
	static const enum refusal reasons[] = {REFUSAL_SESSION, REFUSAL_BUSY, REFUSAL_EXPIRED,
	    REFUSAL_LEAVING, REFUSAL_INTERNAL, REFUSAL_MEMORY};

	switch (below(w, 12)) {
	case 0:
		played.crashes++;
		roster_remove(w->roster, d->slot);
		end_donor(d);
		place(w);
		break;
	case 1:
		if (roster_leave(w->roster, d->slot) == AYNI_OK)
			played.leaves++;
		place(w);
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
			drop_head(d);
		}
		break;
	case 7:
	case 8:
		if (d->n_queue > 0)
			fail_head(w, d, reasons[below(w, 6)]);
		break;
	case 9:
		w->now_us += TIMEOUT_US / 2;
		break;
	case 10:
		join(w, (uint64_t)(below(w, 60) + 20) << 10, below(w, 3));
		place(w);
		break;
	default:
		w->now_us += TIMEOUT_US + below(w, WAIT_US);
		break;
	}
}

/* ---- what members do ---------------------------------------------------------------------- */

static bool is_end(const void *context, uint32_t token)
{
	return tokenizer_is_end(context, token);
}

static void submit(struct world *w)
{
	struct request *q = &w->requests[w->n_requests];
	struct session_request r = {.id = w->n_requests + 1,
	    .peer = 1 + below(w, 3),
	    .request = w->n_requests + 1,
	    .kv_tokens = KV_TOKENS,
	    .n_vocabulary = model->sizes.n_vocabulary,
	    .max_tokens = below(w, 12),
	    .ignore_end = chance(w, 30)};
	struct fake_question question = {
	    &r.sampling, KV_TOKENS, r.max_tokens, r.ignore_end, is_end, model->tokenizer};

	if (w->n_requests == MAX_REQUESTS)
		return;
	sampler_defaults(&r.sampling);
	if (chance(w, 50)) {
		r.sampling.temperature = 0.8f;
		r.sampling.top_k = below(w, 40);
		r.sampling.repeat_penalty = 1.1f;
		r.sampling.repeat_last_n = 16;
		r.sampling.seed = next_random(w);
	}
	r.top = chance(w, 30) ? 1 + below(w, model->sizes.n_vocabulary) : 0;
	q->number = r.request;
	q->top = r.top;
	q->n_prompt = 1 + below(w, KV_TOKENS - 1);
	r.n_tokens = q->n_prompt;
	r.tokens = calloc(r.n_tokens, sizeof *r.tokens);
	assert_non_null(r.tokens);
	for (uint32_t i = 0; i < r.n_tokens; i++)
		r.tokens[i] = q->right[i] = q->tokens[i] = below(w, 256);
	q->n_tokens = q->n_prompt;
	q->n_right =
	    fake_answer(&model->sizes, &question, q->right, q->n_prompt, q->best, &q->right_reason);
	w->n_requests++;
	if (scheduler_submit(w->scheduler, &r, w->now_us, NULL) != AYNI_OK)
		q->finished = true; /* full: the member was told at once */
}

static void cancel(struct world *w)
{
	uint64_t number = 1 + below(w, MAX_REQUESTS);
	uint32_t peer = 1 + below(w, 3);

	scheduler_cancel(w->scheduler, peer, chance(w, 90) ? &number : NULL, &w->actions);
	carry_out(w);
}

/* ---- a scenario --------------------------------------------------------------------------- */

/* Once it is calm, one that has something to do, if it is found soon. */
static struct donor *some_donor(struct world *w)
{
	struct donor *d = &w->donors[below(w, MAX_DONORS)];

	for (uint32_t i = 0; i < 2 * MAX_DONORS && w->calm && d->n_queue == 0; i++)
		d = &w->donors[below(w, MAX_DONORS)];
	return d;
}

static void step(struct world *w)
{
	struct donor *d = some_donor(w);
	uint32_t dice = below(w, 100);

	w->now_us += 1 + below(w, 2000);
	if (!w->calm && dice < 12)
		submit(w);
	else if (!w->calm && dice < 14)
		cancel(w);
	else if (d->here && !w->calm && dice < 26)
		disturb(w, d);
	else if (d->here && holds(roster_get(w->roster, d->slot)) &&
	         roster_get(w->roster, d->slot)->state != DONOR_READY)
		load(w, d);
	else if (d->here && d->n_queue > 0)
		compute_head(w, d);
	if (d->here && roster_get(w->roster, d->slot)->state == DONOR_LEAVING && d->n_queue == 0) {
		roster_remove(w->roster, d->slot);
		end_donor(d);
	}
	carry_out(w);
	advance(w);
}

static bool all_finished(const struct world *w)
{
	for (size_t i = 0; i < w->n_requests; i++) {
		if (!w->requests[i].finished)
			return false;
	}
	return true;
}

/* Whoever is left gets enough donors that work: all must be answered now. */
static void calm_down(struct world *w)
{
	w->calm = true;
	for (size_t i = 0; i < MAX_DONORS; i++) {
		struct donor *d = &w->donors[i];

		if (d->here && (i < 3 || roster_get(w->roster, d->slot)->failures > 0)) {
			roster_remove(w->roster, d->slot);
			end_donor(d);
		}
	}
	for (size_t i = 0; i < 3; i++)
		join(w, 1 << 20, 0);
	place(w);
	for (uint32_t i = 0; i < LAST_STEPS && !all_finished(w); i++)
		step(w);
	assert_true(all_finished(w));
}

static void play(uint64_t seed)
{
	struct world *w = calloc(1, sizeof *w);
	struct scheduler_limits limits = {
	    .max_waiting = 20, .wait_us = WAIT_US, .unit_timeout_us = TIMEOUT_US, .first_unit = 1};

	assert_non_null(w);
	w->random = seed * 0x9e3779b97f4a7c15ULL + 1;
	for (uint32_t i = 0; i < 8; i++)
		(void)next_random(w);
	w->now_us = w->next_assignment = 1;
	w->stages = below(w, 4);
	limits.max_sessions = 1 + below(w, 12);
	assert_int_equal(roster_new(&w->roster, NULL), AYNI_OK);
	assert_int_equal(scheduler_new(catalog, w->roster, &limits, &w->scheduler, NULL), AYNI_OK);
	for (uint32_t i = below(w, 6); i-- > 0;)
		join(w, (uint64_t)(below(w, 60) + 20) << 10, below(w, 4));
	place(w);
	for (uint32_t i = 0; i < STEPS; i++)
		step(w);
	calm_down(w);
	for (int i = 0; i < roster_slots(w->roster); i++) {
		const struct roster_donor *d = roster_get(w->roster, i);

		assert_true(d == NULL || d->sessions == 0);
	}
	for (size_t i = 0; i < MAX_DONORS; i++)
		end_donor(&w->donors[i]);
	actions_free(&w->actions);
	scheduler_free(w->scheduler);
	roster_free(w->roster);
	free(w);
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
	if (only == 0) {
		assert_true(played.answered > n && played.cancelled > 0 && played.wrong > 0);
		assert_true(played.lost > 0 && played.crashes > 0 && played.restarts > 0);
	}
	print_message("%llu answered, %llu cancelled, %llu failed; %llu units, %llu wrong, %llu "
	              "lost; %llu crashes, %llu restarts, %llu leaves\n",
	    (unsigned long long)played.answered, (unsigned long long)played.cancelled,
	    (unsigned long long)played.failed, (unsigned long long)played.units,
	    (unsigned long long)played.wrong, (unsigned long long)played.lost,
	    (unsigned long long)played.crashes, (unsigned long long)played.restarts,
	    (unsigned long long)played.leaves);
}

static int set_up(void **state)
{
	struct tiny_model_options o = {.n_layers = 4,
	    .d_model = 16,
	    .d_ff = 16,
	    .n_heads = 2,
	    .n_kv_heads = 1,
	    .context_tokens = KV_TOKENS};
	char path[1024];

	(void)state;
	scratch_make(&scratch);
	(void)snprintf(path, sizeof path, "%s", scratch_path(&scratch, "tiny.gguf"));
	if (tiny_model_write(path, &o) != 0 || identity_generate(&publisher, NULL) != AYNI_OK ||
	    catalog_new(&catalog, NULL) != AYNI_OK ||
	    catalog_add(catalog, path, publisher, KV_TOKENS, NULL) != AYNI_OK)
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
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
