/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's side of its worker: commands, life and death, and what a worker may not say. main()
 * becomes a worker when called as one, an honest one or a liar as AYNI_TEST_LIE says.
 */
#include "node/donor/worker_link.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/donor/worker_wire.h"
#include "tests/support/worker_trial.h"

/* ---- commands ------------------------------------------------------------------------------- */

static void a_command_before_the_answer_to_the_last_is_refused(void **state)
{
	const struct worker_range range = {trial_image_fd, 0, LAYERS, KV_TOKENS, SESSIONS, 0};
	struct worker_link *l = trial_start(&trial_ordinary);
	struct error err = {0};
	struct trial_unit unit;

	(void)state;
	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 1, 0, 3, 1);
	assert_int_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, &err), AYNI_ERR_STATE);
	trial_load(l, trial_image_fd, 0, LAYERS);
	assert_int_equal(worker_link_load(l, &range, &err), AYNI_ERR_STATE);
	assert_int_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, &err), AYNI_ERR_STATE);
	assert_int_equal(worker_link_load_next(l, &err), AYNI_ERR_STATE);
	for (uint32_t loaded = 1; loaded < LAYERS; loaded++) {
		assert_int_equal(trial_event(l).kind, WORKER_LOADED);
		assert_int_equal(worker_link_load_next(l, NULL), AYNI_OK);
		assert_int_equal(worker_link_load_next(l, &err), AYNI_ERR_STATE);
	}
	assert_int_equal(trial_event(l).kind, WORKER_LOADED);
	trial_send(l, &unit);
	assert_int_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, &err), AYNI_ERR_STATE);
	assert_int_equal(worker_link_load(l, &range, &err), AYNI_ERR_STATE);
	assert_int_equal(worker_link_load_next(l, &err), AYNI_ERR_STATE);
	trial_assert_ran(trial_event(l));
	worker_link_free(l);
}

static void refuses_units_that_the_mapping_cannot_hold(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);
	struct error err = {0};
	struct trial_unit unit;

	(void)state;
	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 1, 0, 3, 1);
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
	trial_assert_ran(trial_run(l, &unit));
	worker_link_free(l);
}

static void assert_load_fails(int fd, uint32_t first, uint32_t last, const char *words)
{
	struct worker_link *l = trial_start(&trial_ordinary);
	struct worker_event e;

	trial_load(l, fd, first, last);
	e = trial_event(l);
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
	assert_load_fails(trial_image_fd, 0, LAYERS + 1, "layer");
	assert_load_fails(trial_image_fd, 2, 1, "layer");
}

static void a_worker_loads_once(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);
	struct worker_event e;

	(void)state;
	trial_load(l, trial_image_fd, 0, LAYERS);
	e = trial_event(l);
	assert_int_equal(e.kind, WORKER_LOAD_FAILED);
	assert_string_equal(e.text, "a worker loads once");
	trial_assert_ran(trial_run_one(l, 1, 0, 3));
	worker_link_free(l);
}

static void there_is_no_next_layer_before_the_first_nor_behind_the_last(void **state)
{
	struct worker_link *l = trial_start(&trial_ordinary);

	(void)state;
	assert_int_equal(worker_link_load_next(l, NULL), AYNI_ERR_STATE);
	worker_link_free(l);
	l = trial_loaded(&trial_ordinary, 0, LAYERS);
	assert_int_equal(worker_link_load_next(l, NULL), AYNI_OK);
	assert_int_equal(trial_event(l).kind, WORKER_LOAD_FAILED);
	trial_assert_ran(trial_run_one(l, 1, 0, 3));
	worker_link_free(l);
}

/* ---- life and death ------------------------------------------------------------------------- */

static void a_killed_worker_is_an_event_and_another_can_be_started(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);
	pid_t pid = trial_pid();
	struct worker_event e;
	struct trial_unit unit;
	siginfo_t info;

	(void)state;
	assert_int_equal(kill(pid, SIGSTOP), 0); /* so that it cannot answer first */
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 1, 0, 3, 1);
	trial_send(l, &unit);
	assert_int_equal(kill(pid, SIGKILL), 0);
	e = trial_event(l);
	assert_int_equal(e.kind, WORKER_DIED);
	assert_int_equal(e.unit, unit.u.unit);
	assert_int_not_equal(
	    worker_link_run(l, &unit.u, (struct span){unit.payload, 12}, NULL), AYNI_OK);
	worker_link_free(l);
	l = trial_loaded(&trial_ordinary, 0, LAYERS);
	trial_assert_ran(trial_run(l, &unit));
	worker_link_free(l);
}

static void a_program_that_is_not_there_is_a_death(void **state)
{
	const struct worker_options o = {"/nonexistent/ayni", 1, "auto"};
	struct worker_link *l = NULL;

	(void)state;
	if (worker_link_start(&o, &l, NULL) != AYNI_OK)
		return; /* it was gone before the first command */
	assert_int_equal(trial_event(l).kind, WORKER_DIED);
	worker_link_free(l);
}

static void kernels_that_are_not_known_are_a_death(void **state)
{
	const struct worker_options o = {NULL, 1, "abacus"};
	struct worker_link *l = NULL;

	(void)state;
	if (worker_link_start(&o, &l, NULL) != AYNI_OK)
		return;
	assert_int_equal(trial_event(l).kind, WORKER_DIED);
	worker_link_free(l);
}

/* The leak checker, where there is one, has its say in the exit status. */
static void the_worker_ends_by_itself_when_the_daemon_is_gone_and_leaks_nothing(void **state)
{
	struct worker_link *l = trial_loaded(&trial_ordinary, 0, LAYERS);
	pid_t pid = trial_pid();
	int status = -1;

	(void)state;
	trial_assert_ran(trial_run_one(l, 1, 0, 3));
	trial_assert_ran(trial_run_one(l, 2, 0, 3));
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
	struct worker_link *l = trial_start(&trial_ordinary);
	struct worker_event e = {.kind = WORKER_DIED};
	struct trial_unit unit;
	unsigned answers = 0;

	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, 1, 0, 3, 1);
	trial_load(l, trial_image_fd, 0, LAYERS);
	for (e = trial_event(l); e.kind != WORKER_DIED; e = trial_event(l), answers++) {
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
	l = trial_start(&trial_ordinary);
	assert_int_equal(unsetenv("AYNI_TEST_LIE"), 0);
	trial_load(l, trial_image_fd, 0, LAYERS);
	e = trial_event(l);
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
	int careless = dup(trial_image_fd); /* not closed on exec */
	struct worker_event e = load_lied("count descriptors");

	(void)state;
	assert_int_equal(close(careless), 0);
	assert_int_equal(e.kind, WORKER_LOAD_FAILED);
	assert_string_equal(e.text, "1");
}

/* ---- programs ------------------------------------------------------------------------------- */

static int become_worker(int argc, char **argv)
{
	const char *lie = getenv("AYNI_TEST_LIE");
	struct trial_call o;

	trial_worker_options(argc, argv, &o);
	for (size_t i = 0; lie != NULL && i < LIES; i++) {
		if (strcmp(lie, lies[i].name) == 0)
			return liar_main(o.fd, &lies[i]);
	}
	return trial_worker_main(argc, argv);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_command_before_the_answer_to_the_last_is_refused),
	    cmocka_unit_test(refuses_units_that_the_mapping_cannot_hold),
	    cmocka_unit_test(what_cannot_be_loaded_is_told_with_words),
	    cmocka_unit_test(a_worker_loads_once),
	    cmocka_unit_test(there_is_no_next_layer_before_the_first_nor_behind_the_last),
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
	return cmocka_run_group_tests(tests, trial_open_image, trial_close_image);
}
