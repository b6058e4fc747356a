/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real processes that die, stop and stall at random moments of an answer: it goes on, token for
 * token as if nothing had happened. Four donors hold two stages; AYNI_FAILURES says how often each
 * kind is played (2), AYNI_FAILURES_SEED with which moments.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/cli/answer.h"
#include "node/loop.h"
#include "tests/support/network.h"
#include "tests/support/relay.h"
#include "tests/support/tiny_model.h"
#include "tests/support/wan.h"

enum {
	N_DONORS = 4,
	PROMPT = 200,
	ANSWER = 200,
	SURE_RESULTS =
	    100, /* that each stage gives for an answer, however much is guessed rightly */
	SLOW_TICK_US = 10000,
	SLOW_TICKS = 5, /* in one of so many a slow worker runs */
	FAR_US = 1000,
	MOST_ASKED = 100,
	MOST_DEATHS = 4, /* of a donor's worker */
	PATIENCE_US = 30000000
};

/* Nothing is kept: each answer reads its prompt anew, and that can be disturbed too. */
static const char *const pool_settings[] = {"stages=2", "unit_timeout_ms=5000", "kv_tokens=1024",
    "draft_tokens=4", "keep_s=0", "out_s=0", NULL};

static struct network net;
static char *model;
static uint32_t undisturbed[ANSWER];
static uint64_t usual_us, random_state;

/* What the alarm strikes: processes, by a signal, or the line of a donor. */
static volatile pid_t struck[2];
static volatile int strike_signal;
static volatile unsigned slow_ticks; /* not 0: it is slow from then on */
static struct wan *lines[N_DONORS], *struck_line;
static struct wan *between[N_DONORS]; /* the way of other donors to each */
static char listens[N_DONORS][64], announces[N_DONORS][64];
static void (*strike_line)(struct wan *line);
static struct relay *liar; /* instead of donor 0's line */

static void strike(int signal_number)
{
	(void)signal_number;
	if (struck_line != NULL)
		strike_line(struck_line);
	if (slow_ticks > 0)
		strike_signal = slow_ticks++ % SLOW_TICKS == 0 ? SIGCONT : SIGSTOP;
	for (int i = 0; i < 2; i++) {
		if (struck[i] > 0)
			(void)kill(struck[i], strike_signal);
	}
}

static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % n;
}

static pid_t worker_of(pid_t donor)
{
	pid_t pid = network_child(donor);

	assert_true(pid > 0);
	return pid;
}

/* Each has a line of its own to the pool, and one that others reach it by; but of a liar the pool
 * sees all. */
static void start_donor(int i)
{
	bool lies = i == 0 && liar != NULL;
	char invite[NETWORK_PATH];

	network_invite_through(&net, lies ? relay_endpoint(liar) : wan_endpoint(lines[i]), invite);
	network_donor(&net, i, invite,
	    (const char *const[]){
	        "cores=1", "memory_mib=64", lies ? "listen=none" : listens[i], announces[i], NULL});
}

static void start_lines(int i, const char *pool, uint64_t delay_us)
{
	unsigned port = network_free_port();
	char at[64];

	lines[i] = wan_start(&(struct wan_options){.to = pool, .delay_us = delay_us});
	(void)snprintf(at, sizeof at, "tcp://127.0.0.1:%u", port);
	between[i] = wan_start(&(struct wan_options){.to = at, .delay_us = delay_us});
	(void)snprintf(listens[i], sizeof listens[i], "listen=127.0.0.1:%u", port);
	(void)snprintf(announces[i], sizeof announces[i], "announce=%s",
	    wan_endpoint(between[i]) + strlen("tcp://"));
}

/* Instead of one that ended, and ready: the pool may take the old one for ready still. */
static void replace_donor(int i)
{
	static const char ready[] = "are ready";
	char name[32];
	unsigned times;

	(void)snprintf(name, sizeof name, "donor%d", i);
	times = network_count_log(&net, name, ready);
	net.donors[i] = 0;
	start_donor(i);
	network_wait_log(&net, name, ready, times + 1);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

struct progress {
	uint64_t last_us, pause_us;
};

static void on_piece(void *context, const struct msg_piece *piece)
{
	struct progress *p = context;
	uint64_t now = loop_now_us();

	if (piece->n_tokens == 0)
		return;
	p->pause_us = now - p->last_us > p->pause_us ? now - p->last_us : p->pause_us;
	p->last_us = now;
}

static void set_alarm(uint64_t after_us)
{
	const struct itimerval when = {.it_value = {.tv_sec = (time_t)(after_us / 1000000),
	                                   .tv_usec = (suseconds_t)(after_us % 1000000)},
	    .it_interval.tv_usec = slow_ticks > 0 ? SLOW_TICK_US : 0};

	assert_int_equal(setitimer(ITIMER_REAL, &when, NULL), 0);
}

/* The longest time without a token. The alarm comes so long after the question; 0: never. */
static uint64_t get_answer(uint64_t alarm_us, uint32_t *tokens)
{
	struct msg_generate g = {.request = 1,
	    .n_tokens = PROMPT,
	    .max_tokens = ANSWER,
	    .ignore_end = true,
	    .sampling = {.temperature = 0.9f, .top_p = 1, .repeat_penalty = 1, .seed = 7}};
	struct progress p = {.last_us = loop_now_us()};
	struct client *c;
	struct answer a;
	struct error err = {0};

	g.tokens = calloc(PROMPT, sizeof *g.tokens);
	assert_non_null(g.tokens);
	for (uint32_t i = 0; i < PROMPT; i++)
		g.tokens[i] = i * 7 % 256;
	if (client_open(net.invite, 20000, &c, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	set_alarm(alarm_us);
	if (answer_get(c, &g, on_piece, &p, NULL, &a, &err) != AYNI_OK)
		fail_msg("%s\n%s", err.text, network_read(&net, "pool.err"));
	set_alarm(0);
	assert_int_equal(a.n_tokens, ANSWER);
	memcpy(tokens, a.tokens, ANSWER * sizeof *tokens);
	answer_free(&a);
	client_free(c);
	free(g.tokens);
	return p.pause_us;
}

/* One answer, and a strike at a random moment of it. */
static uint64_t get_disturbed_answer(int signal_number, pid_t first, pid_t second)
{
	static uint32_t tokens[ANSWER];
	uint64_t pause;

	strike_signal = signal_number;
	struck[0] = first;
	struck[1] = second;
	pause = get_answer(1 + random_below(usual_us), tokens);
	assert_memory_equal(tokens, undisturbed, sizeof tokens);
	return pause;
}

/* ---- kinds ------------------------------------------------------------------------------------
 */

static int repetitions(void)
{
	const char *text = getenv("AYNI_FAILURES");

	return text != NULL && atol(text) > 0 ? (int)atol(text) : 2; /* allowed: a test's setting */
}

static void report_pauses(const char *kind, uint64_t *pauses, int n)
{
	uint64_t longest = 0;

	for (int i = 0; i < n; i++)
		longest = pauses[i] > longest ? pauses[i] : longest;
	print_message(
	    "%s, %d times: the longest pause was %.0f ms\n", kind, n, (double)longest / 1e3);
	assert_true(longest < PATIENCE_US);
}

typedef void play_fn(int donor, uint64_t *pause_us);

static void play(const char *kind, play_fn *once)
{
	int n = repetitions();
	uint64_t *pauses = calloc((size_t)n, sizeof *pauses);

	assert_non_null(pauses);
	for (int i = 0; i < n; i++) {
		network_wait_donors(&net, N_DONORS);
		once((int)random_below(N_DONORS), &pauses[i]);
	}
	report_pauses(kind, pauses, n);
	free(pauses);
}

static void kill_donor(int i, uint64_t *pause_us)
{
	pid_t pid = net.donors[i];

	*pause_us = get_disturbed_answer(SIGKILL, pid, 0);
	(void)kill(pid, SIGKILL); /* the answer may have been there before */
	(void)network_wait_end(pid);
	replace_donor(i);
}

static void an_answer_goes_on_when_a_donor_is_killed(void **state)
{
	(void)state;
	play("kill -9 of a donor", kill_donor);
}

static void stop_donor(int i, uint64_t *pause_us)
{
	pid_t daemon = net.donors[i], worker = worker_of(daemon);

	*pause_us = get_disturbed_answer(SIGSTOP, daemon, worker);
	(void)kill(worker, SIGCONT);
	(void)kill(daemon, SIGCONT);
}

static void an_answer_goes_on_when_a_donor_is_stopped(void **state)
{
	(void)state;
	play("SIGSTOP of a donor", stop_donor);
}

static void stop_worker(int i, uint64_t *pause_us)
{
	pid_t worker = worker_of(net.donors[i]);

	*pause_us = get_disturbed_answer(SIGSTOP, worker, 0);
	(void)kill(worker, SIGCONT);
}

static void an_answer_goes_on_when_a_worker_stands_still(void **state)
{
	(void)state;
	play("SIGSTOP of a worker", stop_worker);
}

/* It works, but takes about so many times as long as the others. */
static void slow_worker(int i, uint64_t *pause_us)
{
	pid_t worker = worker_of(net.donors[i]);

	slow_ticks = 1;
	*pause_us = get_disturbed_answer(SIGSTOP, worker, 0);
	slow_ticks = 0;
	(void)kill(worker, SIGCONT);
}

static void an_answer_goes_on_when_a_worker_is_slow(void **state)
{
	(void)state;
	play("a slow worker", slow_worker);
}

static void end_donor(int i)
{
	pid_t pid = net.donors[i];

	(void)kill(pid, SIGTERM);
	assert_int_equal(network_wait_end(pid), 0);
	replace_donor(i);
}

/* A donor whose worker dies again and again gives its layers up: before that it starts anew. */
static void kill_worker(int i, uint64_t *pause_us)
{
	static unsigned times[N_DONORS];

	*pause_us = get_disturbed_answer(SIGKILL, worker_of(net.donors[i]), 0);
	if (++times[i] % MOST_DEATHS == 0)
		end_donor(i);
}

static void an_answer_goes_on_when_a_worker_is_killed(void **state)
{
	(void)state;
	play("kill -9 of a worker", kill_worker);
}

static void leave(int i, uint64_t *pause_us)
{
	*pause_us = get_disturbed_answer(SIGTERM, net.donors[i], 0);
	end_donor(i);
}

static void an_answer_goes_on_when_a_donor_leaves(void **state)
{
	(void)state;
	play("SIGTERM of a donor", leave);
}

static uint64_t disturb_line(int i, void (*how)(struct wan *line))
{
	uint64_t pause;

	strike_line = how;
	struck_line = lines[i];
	pause = get_disturbed_answer(0, 0, 0);
	struck_line = NULL;
	return pause;
}

static void pull_cable(int i, uint64_t *pause_us)
{
	*pause_us = disturb_line(i, wan_freeze);
	wan_thaw(lines[i]);
}

static void an_answer_goes_on_when_a_cable_is_pulled(void **state)
{
	(void)state;
	play("a frozen line", pull_cable);
}

/* All ways to a donor but the pool's: some of them are in use. */
static void freeze_between(struct wan *unused)
{
	(void)unused;
	for (int i = 0; i < N_DONORS; i++)
		wan_freeze(between[i]);
}

static void pull_cables_between(int i, uint64_t *pause_us)
{
	network_wait_status(&net, "\"direct\":true");
	*pause_us = disturb_line(i, freeze_between);
	for (int k = 0; k < N_DONORS; k++)
		wan_thaw(between[k]);
}

static void an_answer_goes_on_when_donors_lose_each_other(void **state)
{
	(void)state;
	play("frozen lines between donors", pull_cables_between);
}

static void cut_line(int i, uint64_t *pause_us)
{
	*pause_us = disturb_line(i, wan_cut);
}

static void an_answer_goes_on_when_a_connection_breaks(void **state)
{
	(void)state;
	play("a connection that breaks", cut_line);
}

/* Donor 0 is behind a relay that holds its key and spoils one of its results, and the others are
 * further away, so that it is on the path, mostly. Whoever is found out joins anew. */
static void spoil(int i, uint64_t *pause_us)
{
	static const enum relay_damage damages[] = {RELAY_PAYLOAD_BIT, RELAY_UNSIGNED,
	    RELAY_HEADER_NOISE, RELAY_RESULT_SHORT, RELAY_RESULT_NAN, RELAY_RESULT_COST,
	    RELAY_RESULT_UNKNOWN};
	pid_t pid = net.donors[0];

	(void)i;
	relay_order(liar, MSG_RESULT, (uint32_t)random_below(SURE_RESULTS),
	    damages[random_below(sizeof damages / sizeof *damages)]);
	for (int asked = 0; !relay_done(liar); asked++) {
		uint64_t pause = get_disturbed_answer(0, 0, 0);

		*pause_us = pause > *pause_us ? pause : *pause_us;
		assert_true(asked < MOST_ASKED);
	}
	(void)kill(pid, SIGKILL);
	(void)network_wait_end(pid);
	replace_donor(0);
}

static void an_answer_goes_on_when_a_donor_is_corrupt(void **state)
{
	(void)state;
	play("a corrupt donor", spoil);
}

/* A member of its own process, since the pool must be started again while it waits. */
static void kill_pool(int i, uint64_t *pause_us)
{
	const char *args[] = {"chat", "--raw", "--pool", net.invite, "--max-tokens", "1000",
	    "--temperature", "0.9", "hello", NULL};
	static char whole[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
	static int times;
	char name[32], file[40], *text;
	pid_t member;

	(void)i;
	if (times == 0 && network_run(&net, args, NULL, whole, err) != 0)
		fail_msg("%s", err);
	(void)snprintf(name, sizeof name, "member%d", ++times);
	(void)snprintf(file, sizeof file, "%s.out", name);
	member = network_spawn(&net, name, args);
	network_wait_output(&net, name, random_below(strlen(whole)));
	*pause_us = loop_now_us();
	assert_int_equal(kill(net.pool, SIGKILL), 0);
	(void)network_wait_end(net.pool);
	network_restart_pool(&net, model, pool_settings);
	assert_int_equal(network_wait_end(member), 0);
	*pause_us = loop_now_us() - *pause_us; /* and the rest of the answer */
	text = network_read(&net, file);
	assert_string_equal(text, whole);
	free(text);
}

static void an_answer_goes_on_when_the_pool_is_killed_and_started_again(void **state)
{
	(void)state;
	play("kill -9 of the pool, to the answer's end", kill_pool);
}

/* ---- set-up -----------------------------------------------------------------------------------
 */

static void start_liar(const char *pool)
{
	char pool_key[NETWORK_PATH * 2], key[NETWORK_PATH * 2];
	const struct relay_options o = {pool_key, key, pool};
	struct identity *id;

	(void)snprintf(pool_key, sizeof pool_key, "%s/pool/key", net.folder);
	(void)snprintf(key, sizeof key, "%s/donor0/key", net.folder);
	assert_int_equal(identity_open(key, &id, NULL, NULL), AYNI_OK);
	identity_free(id);
	liar = relay_start(&o);
}

static int start_network(bool lies)
{
	const struct tiny_model_options options = {
	    .n_layers = 4, .context_tokens = 1024, .seed = 7};
	const char *seed = getenv("AYNI_FAILURES_SEED");
	struct sigaction action = {.sa_handler = strike};
	char pool[NETWORK_PATH];

	random_state = seed != NULL ? strtoull(seed, NULL, 10) : loop_now_us() | 1;
	print_message("AYNI_FAILURES_SEED=%llu\n", (unsigned long long)random_state);
	(void)sigaction(SIGALRM, &action, NULL);
	model = tiny_model_temporary(&options);
	network_start(&net, model, pool_settings);
	(void)setenv("AYNI_HOME", net.folder, 1);
	network_endpoint(&net, pool);
	if (lies)
		start_liar(pool);
	for (int i = 0; i < N_DONORS; i++) {
		start_lines(i, pool, lies ? FAR_US : 0);
		start_donor(i);
	}
	network_wait_donors(&net, N_DONORS);
	(void)get_answer(0, undisturbed); /* makes the key, and warms up */
	usual_us = loop_now_us();
	(void)get_answer(0, undisturbed);
	usual_us = loop_now_us() - usual_us;
	return 0;
}

static int start(void **state)
{
	(void)state;
	return start_network(false);
}

static int start_with_liar(void **state)
{
	(void)state;
	return start_network(true);
}

static int end(void **state)
{
	(void)state;
	network_wait_donors(&net, N_DONORS);
	network_stop(&net);
	for (int i = 0; i < N_DONORS; i++) {
		wan_stop(lines[i]);
		wan_stop(between[i]);
	}
	relay_stop(liar);
	liar = NULL;
	tiny_model_remove(model);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_answer_goes_on_when_a_donor_is_killed),
	    cmocka_unit_test(an_answer_goes_on_when_a_donor_is_stopped),
	    cmocka_unit_test(an_answer_goes_on_when_a_worker_stands_still),
	    cmocka_unit_test(an_answer_goes_on_when_a_worker_is_slow),
	    cmocka_unit_test(an_answer_goes_on_when_a_worker_is_killed),
	    cmocka_unit_test(an_answer_goes_on_when_a_donor_leaves),
	    cmocka_unit_test(an_answer_goes_on_when_a_cable_is_pulled),
	    cmocka_unit_test(an_answer_goes_on_when_a_connection_breaks),
	    cmocka_unit_test(an_answer_goes_on_when_donors_lose_each_other),
	    cmocka_unit_test(an_answer_goes_on_when_the_pool_is_killed_and_started_again),
	};

	const struct CMUnitTest corrupt[] = {
	    cmocka_unit_test(an_answer_goes_on_when_a_donor_is_corrupt),
	};
	int failed = cmocka_run_group_tests(tests, start, end);

	return failed + cmocka_run_group_tests(corrupt, start_with_liar, end);
}
