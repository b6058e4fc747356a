/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker process and the daemon's side of it. The program started is this one: main() becomes a
 * worker when called as one, an honest one or a liar as AYNI_TEST_LIE says.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "compute/layers.h"
#include "compute/logits.h"
#include "node/donor/worker.h"
#include "node/donor/worker_link.h"
#include "node/donor/worker_wire.h"
#include "protocol/messages.h"
#include "tests/support/tiny_model.h"

enum { LAYERS = 3, D = 64, V = TINY_MODEL_VOCABULARY, KV_TOKENS = 64, SESSIONS = 4, TOP = 5 };
enum { MAX_TOKENS = 64, EVENT_TIMEOUT_MS = 120000 };

static const struct worker_options ordinary = {NULL, 1, "auto"};
static int image_fd;       /* of a tiny model, for all tests */
static struct gguf *image; /* the same */

static int open_image(void **state)
{
	const struct tiny_model_options options = {.type = TENSOR_Q8_0, .seed = 3};
	char *path = tiny_model_temporary(&options);

	(void)state;
	image_fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	tiny_model_remove(path);
	return image_fd >= 0 ? gguf_open_fd(image_fd, "the model", &image, NULL) : -1;
}

static int close_image(void **state)
{
	(void)state;
	gguf_free(image);
	return close(image_fd);
}

/* ---- links ---------------------------------------------------------------------------------- */

static struct worker_link *start(const struct worker_options *o)
{
	struct worker_link *l = NULL;
	struct error err = {0};

	if (worker_link_start(o, &l, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return l;
}

static struct worker_event next_event(struct worker_link *l)
{
	struct pollfd p = {worker_link_fd(l), POLLIN, 0};
	struct worker_event e;

	while (worker_link_receive(l, &e) == AYNI_ERR_AGAIN)
		assert_int_equal(poll(&p, 1, EVENT_TIMEOUT_MS), 1);
	return e;
}

static void load_from(struct worker_link *l, int fd, uint32_t first, uint32_t last)
{
	const struct worker_range r = {fd, first, last, KV_TOKENS, SESSIONS};
	struct error err = {0};

	if (worker_link_load(l, &r, &err) != AYNI_OK)
		fail_msg("%s", err.text);
}

static struct worker_link *loaded(const struct worker_options *o, uint32_t first, uint32_t last)
{
	struct worker_link *l = start(o);
	struct worker_event e;

	load_from(l, image_fd, first, last);
	e = next_event(l);
	if (e.kind != WORKER_LOADED)
		fail_msg("%s", e.text);
	return l;
}

/* The process of the only link that is open. */
static pid_t only_child(void)
{
	char path[64];
	int pid = 0, more = 0;
	FILE *f;

	(void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d %d", &pid, &more), 1);
	(void)fclose(f);
	return pid;
}

/* ---- units ---------------------------------------------------------------------------------- */

struct unit {
	struct msg_work_unit u;
	struct unit_span spans[SESSIONS + 1];
	uint64_t closed[SESSIONS];
	uint32_t tokens[MAX_TOKENS];
	uint8_t payload[MAX_TOKENS * D * 4];
	size_t payload_len;
};

static void unit_begin(struct unit *unit, uint32_t first, uint32_t last)
{
	static uint64_t number;

	memset(unit, 0, sizeof *unit);
	unit->u = (struct msg_work_unit){.unit = ++number,
	    .layer_first = first,
	    .layer_last = last,
	    .spans = unit->spans,
	    .closed = unit->closed};
}

/* n tokens of a session; rows of logits for the last n_logits. */
static void add(
    struct unit *unit, uint64_t session, uint32_t position, uint32_t n, uint32_t n_logits)
{
	for (uint32_t i = 0; i < n; i++)
		unit->tokens[unit->u.n_tokens + i] =
		    (uint32_t)(session * 101 + (position + i) * 37) % 256;
	unit->spans[unit->u.n_spans++] = (struct unit_span){session, position, n, n_logits};
	unit->u.n_tokens += n;
	unit->u.n_logits += n_logits;
	unit->u.top = unit->u.n_logits > 0 ? TOP : 0;
	payload_put_u32(unit->payload, unit->tokens, unit->u.n_tokens);
	unit->payload_len = unit->u.n_tokens * 4;
}

static void send_unit(struct worker_link *l, const struct unit *unit)
{
	struct error err = {0};

	if (worker_link_run(l, &unit->u, (struct span){unit->payload, unit->payload_len}, &err) !=
	    AYNI_OK)
		fail_msg("%s", err.text);
}

static struct worker_event run(struct worker_link *l, const struct unit *unit)
{
	struct worker_event e;

	send_unit(l, unit);
	e = next_event(l);
	if (e.kind != WORKER_DIED)
		assert_int_equal(e.unit, unit->u.unit);
	return e;
}

/* One session's tokens through the whole model. */
static struct worker_event run_one(
    struct worker_link *l, uint64_t session, uint32_t position, uint32_t n)
{
	struct unit unit;

	unit_begin(&unit, 0, LAYERS);
	add(&unit, session, position, n, 1);
	return run(l, &unit);
}

static void assert_ran(struct worker_event e)
{
	if (e.kind != WORKER_RESULT)
		fail_msg("event %d: %s", (int)e.kind, e.text);
}

static void assert_failed(struct worker_event e, enum ayni_error code)
{
	assert_int_equal(e.kind, WORKER_UNIT_FAILED);
	assert_int_equal(e.code, code);
	assert_true(e.text[0] != '\0');
}

/* ---- the same in this process --------------------------------------------------------------- */

struct reference {
	struct model *model;
	struct team *team;
	struct layers *layers;
	struct kv *sessions[SESSIONS + 1]; /* by number */
	float activations[MAX_TOKENS * D];
	float logits[MAX_TOKENS * V];
};

static struct reference *reference_new(uint32_t first, uint32_t last)
{
	struct reference *r = calloc(1, sizeof *r);

	assert_non_null(r);
	assert_int_equal(model_load(image, first, last, &r->model, NULL), AYNI_OK);
	assert_int_equal(team_new(1, &r->team, NULL), AYNI_OK);
	assert_int_equal(
	    layers_new(r->model, kernels_best(), r->team, MAX_TOKENS, &r->layers, NULL), AYNI_OK);
	for (size_t i = 0; i <= SESSIONS; i++)
		assert_int_equal(kv_new(r->model, KV_TOKENS, &r->sessions[i], NULL), AYNI_OK);
	return r;
}

static void reference_free(struct reference *r)
{
	for (size_t i = 0; i <= SESSIONS; i++)
		kv_free(r->sessions[i]);
	layers_free(r->layers);
	team_free(r->team);
	model_free(r->model);
	free(r);
}

static void reference_run(struct reference *r, const struct unit *unit)
{
	struct layers_span spans[SESSIONS + 1];
	bool last = unit->u.layer_last == LAYERS;

	for (size_t i = 0; i < unit->u.n_spans; i++) {
		const struct unit_span *s = &unit->spans[i];

		spans[i] = (struct layers_span){
		    r->sessions[s->session], s->position, s->n_tokens, s->n_logits};
	}
	assert_int_equal(layers_run(r->layers, spans, unit->u.n_spans,
	                     unit->u.layer_first == 0 ? unit->tokens : NULL, r->activations,
	                     last ? r->logits : NULL, NULL),
	    AYNI_OK);
}

static void assert_same_rows(const struct reference *r, const struct unit *unit, struct span got)
{
	uint8_t want[MAX_TOKENS * (4 + TOP * 8)], *at = want;
	float scratch[V], lse;
	struct logit top[TOP];

	for (uint32_t i = 0; i < unit->u.n_logits; i++) {
		logits_top(kernels_best(), r->logits + (size_t)i * V, V, TOP, scratch, top, &lse);
		payload_put_f32(at, &lse, 1);
		at += 4;
		for (size_t k = 0; k < TOP; k++, at += 8) {
			payload_put_u32(at, &top[k].id, 1);
			payload_put_f32(at + 4, &top[k].value, 1);
		}
	}
	assert_int_equal(got.len, at - want);
	assert_memory_equal(got.data, want, got.len);
}

static void assert_same_activations(
    const struct reference *r, const struct unit *unit, struct span got)
{
	uint8_t want[MAX_TOKENS * D * 4];

	assert_int_equal(got.len, unit->u.n_tokens * D * 4);
	payload_put_f32(want, r->activations, unit->u.n_tokens * D);
	assert_memory_equal(got.data, want, got.len);
}

/* ---- results -------------------------------------------------------------------------------- */

/* Prompts of several lengths, then steps with sessions that come and go back. */
static const struct {
	uint64_t session;
	uint32_t position, n, n_logits;
} script[][3] = {
    {{1, 0, 9, 2}, {2, 0, 1, 1}, {3, 0, 20, 0}},
    {{1, 9, 1, 1}, {2, 1, 7, 7}, {3, 20, 1, 1}},
    {{3, 21, 1, 1}, {4, 0, 5, 5}, {1, 10, 1, 1}},
    {{1, 4, 3, 3}, {2, 8, 1, 0}, {3, 0, 2, 1}},
};
enum { STEPS = sizeof script / sizeof *script };

static void script_unit(struct unit *unit, size_t step, uint32_t first, uint32_t last)
{
	unit_begin(unit, first, last);
	for (size_t i = 0; i < 3; i++)
		add(unit, script[step][i].session, script[step][i].position, script[step][i].n,
		    last == LAYERS ? script[step][i].n_logits : 0);
}

static void assert_whole_model_is_right(const struct worker_options *o)
{
	struct reference *r = reference_new(0, LAYERS);
	struct worker_link *l = loaded(o, 0, LAYERS);

	for (size_t step = 0; step < STEPS; step++) {
		struct worker_event e;
		struct unit unit;

		script_unit(&unit, step, 0, LAYERS);
		e = run(l, &unit);
		assert_ran(e);
		reference_run(r, &unit);
		assert_same_rows(r, &unit, e.payload);
	}
	worker_link_free(l);
	reference_free(r);
}

static void the_whole_model_gives_the_same_bits_as_in_this_process(void **state)
{
	(void)state;
	assert_whole_model_is_right(&ordinary);
}

static void threads_and_kernels_give_the_same_bits(void **state)
{
	const struct worker_options o = {NULL, 2, "scalar"};

	(void)state;
	assert_whole_model_is_right(&o);
}

static void parts_give_the_same_bits_as_in_this_process(void **state)
{
	struct reference *r = reference_new(0, 1), *whole = reference_new(0, LAYERS);
	struct worker_link *a = loaded(&ordinary, 0, 1), *b = loaded(&ordinary, 1, LAYERS);

	(void)state;
	for (size_t step = 0; step < STEPS; step++) {
		struct worker_event e;
		struct unit first, second;

		script_unit(&first, step, 0, 1);
		e = run(a, &first);
		assert_ran(e);
		reference_run(r, &first);
		assert_same_activations(r, &first, e.payload);

		script_unit(&second, step, 1, LAYERS);
		memcpy(second.payload, e.payload.data, e.payload.len);
		second.payload_len = e.payload.len;
		e = run(b, &second);
		assert_ran(e);
		script_unit(&first, step, 0, LAYERS);
		reference_run(whole, &first);
		assert_same_rows(whole, &second, e.payload);
	}
	worker_link_free(a);
	worker_link_free(b);
	reference_free(r);
	reference_free(whole);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void an_unknown_session_is_an_event_and_the_worker_goes_on(void **state)
{
	struct worker_link *l = loaded(&ordinary, 0, LAYERS);

	(void)state;
	assert_failed(run_one(l, 1, 5, 1), AYNI_ERR_STATE);
	assert_ran(run_one(l, 1, 0, 5));
	assert_failed(run_one(l, 1, 6, 1), AYNI_ERR_STATE);
	assert_ran(run_one(l, 2, 0, 5));
	worker_link_free(l);
}

static void closed_sessions_are_forgotten_and_make_room(void **state)
{
	struct worker_link *l = loaded(&ordinary, 0, LAYERS);
	struct unit unit;

	(void)state;
	for (uint64_t s = 1; s <= SESSIONS; s++)
		assert_ran(run_one(l, s, 0, 5));
	unit_begin(&unit, 0, LAYERS);
	add(&unit, 77, 0, 1, 1);
	unit.closed[unit.u.n_closed++] = 2;
	unit.closed[unit.u.n_closed++] = 2;
	unit.closed[unit.u.n_closed++] = 1234; /* never opened */
	assert_ran(run(l, &unit));
	assert_failed(run_one(l, 2, 5, 1), AYNI_ERR_STATE);
	assert_ran(run_one(l, 1, 5, 1));
	worker_link_free(l);
}

static void no_more_sessions_are_held_than_agreed(void **state)
{
	struct worker_link *l = loaded(&ordinary, 0, LAYERS);

	(void)state;
	for (uint64_t s = 1; s <= SESSIONS; s++)
		assert_ran(run_one(l, s, 0, 1));
	assert_failed(run_one(l, 99, 0, 1), AYNI_ERR_MEMORY);
	for (uint64_t s = 1; s <= SESSIONS; s++)
		assert_ran(run_one(l, s, 1, 1));
	worker_link_free(l);
}

static void a_unit_that_fails_leaves_none_of_its_sessions_behind(void **state)
{
	struct worker_link *l = loaded(&ordinary, 0, LAYERS);
	struct unit unit;

	(void)state;
	assert_ran(run_one(l, 1, 0, 3));
	unit_begin(&unit, 0, LAYERS);
	add(&unit, 1, 3, 1, 1);
	add(&unit, 2, 0, 1, 1);
	add(&unit, 3, 5, 1, 1); /* nothing is known of it */
	assert_failed(run(l, &unit), AYNI_ERR_STATE);
	assert_failed(run_one(l, 1, 4, 1), AYNI_ERR_STATE);
	for (uint64_t s = 1; s <= SESSIONS; s++)
		assert_ran(run_one(l, 10 + s, 0, 1)); /* there is room for all */
	worker_link_free(l);
}

static void a_token_outside_the_vocabulary_fails_its_unit_alone(void **state)
{
	struct worker_link *l = loaded(&ordinary, 0, LAYERS);
	const uint32_t wrong = V;
	struct unit unit;

	(void)state;
	assert_ran(run_one(l, 1, 0, 3));
	unit_begin(&unit, 0, LAYERS);
	add(&unit, 2, 0, 2, 1);
	payload_put_u32(unit.payload + 4, &wrong, 1);
	assert_failed(run(l, &unit), AYNI_ERR_ARGUMENT);
	assert_ran(run_one(l, 1, 3, 1));
	worker_link_free(l);
}

/* ---- commands ------------------------------------------------------------------------------- */

static void a_command_before_the_answer_to_the_last_is_refused(void **state)
{
	const struct worker_range range = {image_fd, 0, LAYERS, KV_TOKENS, SESSIONS};
	struct worker_link *l = start(&ordinary);
	struct error err = {0};
	struct unit unit;

	(void)state;
	unit_begin(&unit, 0, LAYERS);
	add(&unit, 1, 0, 3, 1);
	assert_int_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, &err), AYNI_ERR_STATE);
	load_from(l, image_fd, 0, LAYERS);
	assert_int_equal(worker_link_load(l, &range, &err), AYNI_ERR_STATE);
	assert_int_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, &err), AYNI_ERR_STATE);
	assert_int_equal(next_event(l).kind, WORKER_LOADED);
	send_unit(l, &unit);
	assert_int_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, &err), AYNI_ERR_STATE);
	assert_int_equal(worker_link_load(l, &range, &err), AYNI_ERR_STATE);
	assert_ran(next_event(l));
	worker_link_free(l);
}

static void refuses_units_that_the_mapping_cannot_hold(void **state)
{
	struct worker_link *l = loaded(&ordinary, 0, LAYERS);
	struct error err = {0};
	struct unit unit;

	(void)state;
	unit_begin(&unit, 0, LAYERS);
	add(&unit, 1, 0, 3, 1);
	assert_int_equal(worker_link_run(l, &unit.u,
	                     (struct span){unit.payload, LIMIT_PAYLOAD_BYTES + (size_t)1}, &err),
	    AYNI_ERR_LIMIT);
	unit.u.n_closed = WORKER_CLOSED_MAX + 1;
	assert_int_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, &err), AYNI_ERR_LIMIT);
	unit.u.n_closed = 0;
	unit.u.n_spans = LIMIT_UNIT_SPANS + 1;
	assert_int_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, &err), AYNI_ERR_LIMIT);
	unit.u.n_spans = 1;
	unit.u.n_logits = UINT32_MAX;
	assert_int_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, &err), AYNI_ERR_LIMIT);
	unit.u.n_logits = 1;
	assert_ran(run(l, &unit));
	worker_link_free(l);
}

static void assert_load_fails(int fd, uint32_t first, uint32_t last, const char *words)
{
	struct worker_link *l = start(&ordinary);
	struct worker_event e;

	load_from(l, fd, first, last);
	e = next_event(l);
	assert_int_equal(e.kind, WORKER_LOAD_FAILED);
	if (strstr(e.text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.text, words);
	worker_link_free(l);
}

static void what_cannot_be_loaded_is_told_with_words(void **state)
{
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_load_fails(zero, 0, LAYERS, "the model");
	(void)close(zero);
	assert_load_fails(image_fd, 0, LAYERS + 1, "layer");
	assert_load_fails(image_fd, 2, 1, "layer");
}

static void a_worker_loads_once(void **state)
{
	struct worker_link *l = loaded(&ordinary, 0, LAYERS);
	struct worker_event e;

	(void)state;
	load_from(l, image_fd, 0, LAYERS);
	e = next_event(l);
	assert_int_equal(e.kind, WORKER_LOAD_FAILED);
	assert_string_equal(e.text, "a worker loads once");
	assert_ran(run_one(l, 1, 0, 3));
	worker_link_free(l);
}

/* ---- life and death ------------------------------------------------------------------------- */

static void a_killed_worker_is_an_event_and_another_can_be_started(void **state)
{
	struct worker_link *l = loaded(&ordinary, 0, LAYERS);
	pid_t pid = only_child();
	struct worker_event e;
	struct unit unit;
	siginfo_t info;

	(void)state;
	assert_int_equal(kill(pid, SIGSTOP), 0); /* so that it cannot answer first */
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
	unit_begin(&unit, 0, LAYERS);
	add(&unit, 1, 0, 3, 1);
	send_unit(l, &unit);
	assert_int_equal(kill(pid, SIGKILL), 0);
	e = next_event(l);
	assert_int_equal(e.kind, WORKER_DIED);
	assert_int_equal(e.unit, unit.u.unit);
	assert_int_not_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, NULL), AYNI_OK);
	worker_link_free(l);
	l = loaded(&ordinary, 0, LAYERS);
	assert_ran(run(l, &unit));
	worker_link_free(l);
}

static void a_program_that_is_not_there_is_a_death(void **state)
{
	const struct worker_options o = {"/nonexistent/ayni", 1, "auto"};
	struct worker_link *l = NULL;

	(void)state;
	if (worker_link_start(&o, &l, NULL) != AYNI_OK)
		return; /* it was gone before the first command */
	assert_int_equal(next_event(l).kind, WORKER_DIED);
	worker_link_free(l);
}

static void kernels_that_are_not_known_are_a_death(void **state)
{
	const struct worker_options o = {NULL, 1, "abacus"};
	struct worker_link *l = NULL;

	(void)state;
	if (worker_link_start(&o, &l, NULL) != AYNI_OK)
		return;
	assert_int_equal(next_event(l).kind, WORKER_DIED);
	worker_link_free(l);
}

/* The leak checker, where there is one, has its say in the exit status. */
static void the_worker_ends_by_itself_when_the_daemon_is_gone_and_leaks_nothing(void **state)
{
	struct worker_link *l = loaded(&ordinary, 0, LAYERS);
	pid_t pid = only_child();
	int status = -1;

	(void)state;
	assert_ran(run_one(l, 1, 0, 3));
	assert_ran(run_one(l, 2, 0, 3));
	assert_int_equal(shutdown(worker_link_fd(l), SHUT_WR), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	worker_link_free(l);
}

/* ---- liars ---------------------------------------------------------------------------------- */

static void next_number(struct worker_answer *a)
{
	a->unit++;
}

static void result_too_long(struct worker_answer *a)
{
	a->result_bytes += 4;
}

static void result_too_short(struct worker_answer *a)
{
	a->result_bytes = 0;
}

static void result_endless(struct worker_answer *a)
{
	a->result_bytes = UINT64_MAX;
}

static void load_again(struct worker_answer *a)
{
	a->kind = WORKER_LOAD;
}

static void run_already(struct worker_answer *a)
{
	a->kind = WORKER_RUN;
}

static void no_kind(struct worker_answer *a)
{
	a->kind = 0;
}

static void code_positive(struct worker_answer *a)
{
	a->code = 1;
}

static void code_unknown(struct worker_answer *a)
{
	a->code = INT32_MIN;
}

static void code_failed(struct worker_answer *a)
{
	a->code = AYNI_ERR_IO;
}

static void garbage(struct worker_answer *a)
{
	memset(a, 0xa5, sizeof *a);
}

static void too_few_layers(struct worker_answer *a)
{
	a->n_layers = LAYERS - 1;
}

static void too_many_layers(struct worker_answer *a)
{
	a->n_layers = LIMIT_LAYERS + 1;
}

static void no_width(struct worker_answer *a)
{
	a->d_model = 0;
}

static void no_vocabulary(struct worker_answer *a)
{
	a->n_vocabulary = 0;
}

static void vocabulary_too_large(struct worker_answer *a)
{
	a->n_vocabulary = LIMIT_VOCABULARY + 1;
}

static void unprintable_text(struct worker_answer *a)
{
	a->code = AYNI_ERR_FORMAT;
	for (size_t i = 0; i < sizeof a->text; i++)
		a->text[i] = (char)(i % 2 == 0 ? 0x1b : 0xff); /* and no end */
}

/* How many descriptors does the worker have beside the standard three? */
static void count_descriptors(struct worker_answer *a)
{
	unsigned n = 0;

	for (int fd = 3; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	a->code = AYNI_ERR_IO;
	(void)snprintf(a->text, sizeof a->text, "%u", n);
}

/* What is said instead of the right answer to one command. */
static const struct lie {
	const char *name;
	enum worker_command_kind at;
	void (*spoil)(struct worker_answer *a); /* or NULL */
	size_t bytes;                           /* sent of the answer; 0: all */
	bool deadly;                            /* tested by the table alone */
	bool twice;                             /* the right answer, and the lie after it */
} lies[] = {
    {"next number", WORKER_RUN, next_number, 0, true, false},
    {"result too long", WORKER_RUN, result_too_long, 0, true, false},
    {"result too short", WORKER_RUN, result_too_short, 0, true, false},
    {"result endless", WORKER_RUN, result_endless, 0, true, false},
    {"run answered as load", WORKER_RUN, load_again, 0, true, false},
    {"run answered without kind", WORKER_RUN, no_kind, 0, true, false},
    {"code positive", WORKER_RUN, code_positive, 0, true, false},
    {"code unknown", WORKER_RUN, code_unknown, 0, true, false},
    {"run garbage", WORKER_RUN, garbage, 0, true, false},
    {"run cut short", WORKER_RUN, NULL, 12, true, false},
    {"run answered twice", WORKER_RUN, NULL, 0, true, true},
    {"load garbage", WORKER_LOAD, garbage, 0, true, false},
    {"load cut short", WORKER_LOAD, NULL, 1, true, false},
    {"load answered as run", WORKER_LOAD, run_already, 0, true, false},
    {"load answered twice", WORKER_LOAD, NULL, 0, true, true},
    {"load, and a word without kind", WORKER_LOAD, no_kind, 0, true, true},
    {"too few layers", WORKER_LOAD, too_few_layers, 0, true, false},
    {"too many layers", WORKER_LOAD, too_many_layers, 0, true, false},
    {"no width", WORKER_LOAD, no_width, 0, true, false},
    {"no vocabulary", WORKER_LOAD, no_vocabulary, 0, true, false},
    {"vocabulary too large", WORKER_LOAD, vocabulary_too_large, 0, true, false},
    {"map garbage", WORKER_MAP, garbage, 0, true, false},
    {"map answered twice", WORKER_MAP, NULL, 0, true, true},
    {"map failed", WORKER_MAP, code_failed, 0, true, false},
    {"unprintable text", WORKER_LOAD, unprintable_text, 0, false, false},
    {"count descriptors", WORKER_LOAD, count_descriptors, 0, false, false},
};
enum { LIES = sizeof lies / sizeof *lies };

static bool tell(int fd, const struct worker_answer *a, size_t len)
{
	return send(fd, a, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* The body of a worker that lies once. */
static int liar_main(int fd, const struct lie *lie)
{
	struct worker_command c;

	while (recv(fd, &c, sizeof c, 0) == (ssize_t)sizeof c) {
		struct worker_answer a = {.kind = c.kind,
		    .d_model = D,
		    .n_vocabulary = V,
		    .n_layers = LAYERS,
		    .unit = c.unit,
		    .result_bytes = c.n_logits * (4 + (uint64_t)c.top * 8)};
		bool now = c.kind == (uint32_t)lie->at;

		if (now && lie->twice && !tell(fd, &a, sizeof a))
			break;
		if (now && lie->spoil != NULL)
			lie->spoil(&a);
		if (!tell(fd, &a, now && lie->bytes > 0 ? lie->bytes : sizeof a))
			break;
	}
	return 0;
}

/* Load and run until the worker is taken for dead; what is heard until then is what is right. */
static void assert_taken_for_dead(const struct lie *lie)
{
	struct worker_link *l = start(&ordinary);
	struct worker_event e = {.kind = WORKER_DIED};
	struct unit unit;
	unsigned answers = 0;

	unit_begin(&unit, 0, LAYERS);
	add(&unit, 1, 0, 3, 1);
	load_from(l, image_fd, 0, LAYERS);
	for (e = next_event(l); e.kind != WORKER_DIED; e = next_event(l), answers++) {
		assert_int_equal(e.kind, answers == 0 ? WORKER_LOADED : WORKER_RESULT);
		unit.u.unit++;
		if (answers > 1 ||
		    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, NULL) != AYNI_OK)
			fail_msg("\"%s\" was believed", lie->name);
	}
	assert_int_equal(
	    answers, lie->at == WORKER_MAP ? 0U : (lie->at == WORKER_RUN) + (unsigned)lie->twice);
	worker_link_free(l);
}

static void a_worker_that_lies_is_taken_for_dead(void **state)
{
	(void)state;
	for (size_t i = 0; i < LIES; i++) {
		if (!lies[i].deadly)
			continue;
		assert_int_equal(setenv("AYNI_TEST_LIE", lies[i].name, 1), 0);
		print_message("           %s\n", lies[i].name);
		assert_taken_for_dead(&lies[i]);
	}
	assert_int_equal(unsetenv("AYNI_TEST_LIE"), 0);
}

static struct worker_event load_lied(const char *lie)
{
	struct worker_link *l;
	struct worker_event e;

	assert_int_equal(setenv("AYNI_TEST_LIE", lie, 1), 0);
	l = start(&ordinary);
	assert_int_equal(unsetenv("AYNI_TEST_LIE"), 0);
	load_from(l, image_fd, 0, LAYERS);
	e = next_event(l);
	worker_link_free(l);
	return e;
}

static void text_of_the_worker_is_made_printable(void **state)
{
	struct worker_event e = load_lied("unprintable text");

	(void)state;
	assert_int_equal(e.kind, WORKER_LOAD_FAILED);
	assert_int_equal(strlen(e.text), ERROR_TEXT_BYTES - 1);
	assert_int_equal(strspn(e.text, "?"), ERROR_TEXT_BYTES - 1);
}

static void the_worker_has_no_descriptor_of_the_daemon_but_its_socket(void **state)
{
	int careless = dup(image_fd); /* not closed on exec */
	struct worker_event e = load_lied("count descriptors");

	(void)state;
	assert_int_equal(close(careless), 0);
	assert_int_equal(e.kind, WORKER_LOAD_FAILED);
	assert_string_equal(e.text, "1");
}

/* ---- programs ------------------------------------------------------------------------------- */

static int become_worker(int argc, char **argv)
{
	const char *lie = getenv("AYNI_TEST_LIE"), *kernels = "auto";
	int fd = -1, rc;
	unsigned threads = 1;

	for (int i = 2; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--fd") == 0)
			fd = (int)strtol(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--threads") == 0)
			threads = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--kernels") == 0)
			kernels = argv[i + 1];
	}
	for (size_t i = 0; lie != NULL && i < LIES; i++) {
		if (strcmp(lie, lies[i].name) == 0)
			return liar_main(fd, &lies[i]);
	}
	rc = worker_main(fd, threads, kernels);
	(void)prctl(PR_SET_DUMPABLE, 1); /* the leak checker looks in from outside */
	return rc;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_whole_model_gives_the_same_bits_as_in_this_process),
	    cmocka_unit_test(threads_and_kernels_give_the_same_bits),
	    cmocka_unit_test(parts_give_the_same_bits_as_in_this_process),
	    cmocka_unit_test(an_unknown_session_is_an_event_and_the_worker_goes_on),
	    cmocka_unit_test(closed_sessions_are_forgotten_and_make_room),
	    cmocka_unit_test(no_more_sessions_are_held_than_agreed),
	    cmocka_unit_test(a_unit_that_fails_leaves_none_of_its_sessions_behind),
	    cmocka_unit_test(a_token_outside_the_vocabulary_fails_its_unit_alone),
	    cmocka_unit_test(a_command_before_the_answer_to_the_last_is_refused),
	    cmocka_unit_test(refuses_units_that_the_mapping_cannot_hold),
	    cmocka_unit_test(what_cannot_be_loaded_is_told_with_words),
	    cmocka_unit_test(a_worker_loads_once),
	    cmocka_unit_test(a_killed_worker_is_an_event_and_another_can_be_started),
	    cmocka_unit_test(a_program_that_is_not_there_is_a_death),
	    cmocka_unit_test(kernels_that_are_not_known_are_a_death),
	    cmocka_unit_test(the_worker_ends_by_itself_when_the_daemon_is_gone_and_leaks_nothing),
	    cmocka_unit_test(a_worker_that_lies_is_taken_for_dead),
	    cmocka_unit_test(text_of_the_worker_is_made_printable),
	    cmocka_unit_test(the_worker_has_no_descriptor_of_the_daemon_but_its_socket),
	};

	if (argc > 1 && strcmp(argv[1], "worker") == 0)
		return become_worker(argc, argv);
	return cmocka_run_group_tests(tests, open_image, close_image);
}
