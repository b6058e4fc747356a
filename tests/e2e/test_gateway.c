/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP in front of a real pool: what clients of OpenAI's and Ollama's APIs get, and what those get
 * that hang up, do not read, are many, or come when the pool is full or being restarted.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/support/http_client.h"
#include "tests/support/network.h"

#define DEMO_MODEL "configs/models/ayni-demo.gguf"
#define CHAT       "/v1/chat/completions"
#define SUM        "\"messages\":[{\"role\":\"user\",\"content\":\"What is 27 + 48?\"}]"
/* As long as the context allows, and never the same text twice. */
#define LONG SUM ",\"stream\":true,\"ignore_eos\":true,\"temperature\":1.5,\"seed\":11"

enum { IDLE = 1000, STREAMS = 200, DESCRIPTORS = 4096 };

static const char *const pool_settings[] = {"stages=2", "http=127.0.0.1:0", "keep_s=0", NULL};

static struct network net;
static char at[64]; /* the pool's own HTTP */
static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

static void start_donors(void)
{
	static const char *const donor[] = {"cores=1", NULL};

	network_donor(&net, 0, NULL, donor);
	network_donor(&net, 1, NULL, donor);
	network_wait_ready(&net);
}

static int start(void **state)
{
	(void)state;
	network_start(&net, DEMO_MODEL, pool_settings);
	start_donors();
	http_find(&net, "pool/http", at);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	network_stop(&net);
	return 0;
}

/* `ayni serve` of a member, where it listens. */
static pid_t serve(const char *more, const char *value, char address[64])
{
	char file[NETWORK_PATH * 2];
	const char *args[] = {"serve", "--pool", net.invite, "--listen", "127.0.0.1:0",
	    "--address-file", file, more, value, NULL};
	pid_t pid;

	(void)snprintf(file, sizeof file, "%s/address", net.folder);
	(void)unlink(file);
	pid = network_spawn(&net, "serve", args);
	http_find(&net, "address", address);
	http_wait_metric(address, "ayni_pool_up 1\n");
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(network_wait_end(pid), 0);
}

static void assert_fault(const char *path, const char *body, long status, const char *code)
{
	json_t *o = http_json(at, path, body, status);
	const char *message = NULL, *type = NULL;
	json_t *param = NULL, *has = NULL;

	assert_int_equal(json_unpack(o, "{s:{s:s,s:s,s:o,s:o}}", "error", "message", &message,
	                     "type", &type, "param", &param, "code", &has),
	    0);
	if (code != NULL)
		assert_string_equal(json_string_value(has), code);
	json_decref(o);
}

/* ---- answers ------------------------------------------------------------------------------ */

static void a_question_is_answered_with_its_usage(void **state)
{
	json_t *o = http_json(at, CHAT, "{\"model\":\"ayni-demo\"," SUM "}", 200);
	const char *content, *reason;
	int prompt, completion, total;

	(void)state;
	assert_int_equal(
	    json_unpack(o, "{s:[{s:{s:s},s:s}],s:{s:i,s:i,s:i}}", "choices", "message", "content",
	        &content, "finish_reason", &reason, "usage", "prompt_tokens", &prompt,
	        "completion_tokens", &completion, "total_tokens", &total),
	    0);
	assert_string_equal(content, "27 + 48 = 75");
	assert_string_equal(reason, "stop");
	assert_true(prompt > 0 && completion > 0);
	assert_int_equal(total, prompt + completion);
	json_decref(o);
}

/* What the pool's log calls the answer. */
static const char *session_of(const struct http_answer *a)
{
	const char *header = strstr(a->headers, "Ayni-Session: ");

	assert_non_null(header);
	return header + strlen("Ayni-Session: ");
}

/* Each of the choices is a session. */
static void an_answer_names_its_sessions(void **state)
{
	struct http_answer a = http_ask(at, CHAT, "{" SUM ",\"n\":2}");
	const char *sessions = session_of(&a);

	(void)state;
	assert_int_equal(a.status, 200);
	assert_int_equal(strspn(sessions, "0123456789abcdef"), 32);
	assert_int_equal(strspn(sessions + 32, ", "), 2);
	assert_int_equal(strspn(sessions + 34, "0123456789abcdef"), 32);
	assert_int_not_equal(memcmp(sessions, sessions + 34, 32), 0);
	http_answer_free(&a);
}

static void a_stream_says_what_ayni_chat_says_with_the_same_seed(void **state)
{
	const char *args[] = {"chat", "--quiet", "--pool", net.invite, "--temperature", "1.5",
	    "--seed", "7", "--max-tokens", "40", "What is 27 + 48?", NULL};
	struct http_answer a = http_ask(
	    at, CHAT, "{" SUM ",\"stream\":true,\"temperature\":1.5,\"seed\":7,\"max_tokens\":40}");
	char *text = http_stream_text(a.body);

	(void)state;
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.headers, "Content-Type: text/event-stream"));
	assert_int_equal(strspn(session_of(&a), "0123456789abcdef"), 32);
	assert_non_null(strstr(a.body, "data: [DONE]\n\n"));
	assert_int_equal(network_run(&net, args, NULL, out, err), 0);
	out[strcspn(out, "\n")] = '\0';
	text[strcspn(text, "\n")] = '\0';
	assert_true(strlen(text) > 0);
	assert_string_equal(text, out);
	free(text);
	http_answer_free(&a);
}

static void an_answer_ends_before_a_stop_and_comes_n_times(void **state)
{
	json_t *o = http_json(at, CHAT, "{" SUM ",\"stop\":[\"never\",\" 7\"],\"n\":2}", 200);
	const char *content[2], *reason[2];
	int completion;

	(void)state;
	assert_int_equal(json_unpack(o, "{s:[{s:{s:s},s:s},{s:{s:s},s:s}],s:{s:i}}", "choices",
	                     "message", "content", &content[0], "finish_reason", &reason[0],
	                     "message", "content", &content[1], "finish_reason", &reason[1],
	                     "usage", "completion_tokens", &completion),
	    0);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(content[i], "27 + 48 =");
		assert_string_equal(reason[i], "stop");
	}
	assert_true(completion > 2);
	json_decref(o);
	o = http_json(at, CHAT, "{" SUM ",\"max_tokens\":2}", 200);
	assert_int_equal(json_unpack(o, "{s:[{s:s}],s:{s:i}}", "choices", "finish_reason",
	                     &reason[0], "usage", "completion_tokens", &completion),
	    0);
	assert_string_equal(reason[0], "length");
	assert_int_equal(completion, 2);
	json_decref(o);
}

/* What the tokens of a list say together, and their number. */
static size_t join_tokens(json_t *list, char *text, size_t bytes)
{
	size_t used = 0, i;
	json_t *each;

	json_array_foreach(list, i, each)
	{
		assert_true(json_number_value(json_object_get(each, "logprob")) <= 0);
		assert_int_equal(json_array_size(json_object_get(each, "top_logprobs")), 3);
		used += (size_t)snprintf(text + used, bytes - used, "%s",
		    json_string_value(json_object_get(each, "token")));
	}
	return i;
}

static void logprobs_change_nothing_and_end_where_the_answer_does(void **state)
{
	static const char *const ends[] = {"", ",\"stop\":[\" 7\"]"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const char *content, *listed;
		char body[512], text[256] = "";
		int completion;
		json_t *list, *plain, *o;

		(void)snprintf(body, sizeof body,
		    "{" SUM ",\"temperature\":1,\"seed\":3,\"max_tokens\":9%s}", ends[i]);
		plain = http_json(at, CHAT, body, 200);
		assert_int_equal(json_unpack(plain, "{s:[{s:{s:s},s:n}]}", "choices", "message",
		                     "content", &content, "logprobs"),
		    0);
		(void)snprintf(body, sizeof body,
		    "{" SUM ",\"temperature\":1,\"seed\":3,\"max_tokens\":9%s,\"logprobs\":true,"
		    "\"top_logprobs\":3}",
		    ends[i]);
		o = http_json(at, CHAT, body, 200);
		assert_int_equal(json_unpack(o, "{s:[{s:{s:s},s:{s:o}}],s:{s:i}}", "choices",
		                     "message", "content", &listed, "logprobs", "content", &list,
		                     "usage", "completion_tokens", &completion),
		    0);
		assert_string_equal(listed, content);
		assert_true(join_tokens(list, text, sizeof text) <= (size_t)completion);
		assert_int_equal(strncmp(text, content, strlen(content)), 0);
		json_decref(o);
		json_decref(plain);
	}
}

static void ollamas_clients_are_answered_too(void **state)
{
	struct http_answer a =
	    http_ask(at, "/api/chat", "{\"model\":\"ayni-demo:latest\"," SUM "}");
	json_t *o;
	const char *text;

	(void)state;
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.headers, "application/x-ndjson"));
	assert_non_null(strstr(a.body, "\"done\":true,\"done_reason\":\"stop\""));
	http_answer_free(&a);
	o = http_json(
	    at, "/api/generate", "{\"prompt\":\"What is 27 + 48?\",\"stream\":false}", 200);
	assert_int_equal(json_unpack(o, "{s:s}", "response", &text), 0);
	assert_string_equal(text, "27 + 48 = 75");
	json_decref(o);
	o = http_json(at, "/api/tags", NULL, 200);
	assert_int_equal(json_unpack(o, "{s:[{s:s}]}", "models", "name", &text), 0);
	assert_string_equal(text, "ayni-demo");
	json_decref(o);
	json_decref(http_json(at, "/api/generate", "{\"prompt\":\"x\",\"model\":\"no\"}", 404));
	json_decref(http_json(at, "/api/version", NULL, 200));
}

static void what_is_wrong_gets_its_status(void **state)
{
	char *large = malloc((5 << 20) + 1);

	(void)state;
	assert_fault(CHAT, "{", 400, NULL);
	assert_fault(CHAT, "{" SUM ",\"logit_bias\":{\"5\":1}}", 400, "unsupported_parameter");
	assert_fault(CHAT,
	    "{" SUM ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}", 400,
	    NULL); /* this model's template has none */
	assert_fault(CHAT, "{" SUM ",\"model\":\"no such\"}", 404, "model_not_found");
	assert_fault(CHAT, NULL, 405, NULL);
	assert_fault("/v1/models", "{}", 405, NULL);
	assert_fault("/v1/models/no", NULL, 404, "model_not_found");
	assert_fault("/v1/other", NULL, 404, NULL);
	assert_non_null(large);
	memset(large, 'a', 5 << 20);
	large[5 << 20] = '\0';
	assert_fault(CHAT, large, 413, NULL);
	memcpy(large, "{\"messages\":[{\"role\":\"user\",\"content\":\"", 39);
	memcpy(large + 2000, "\"}]}", 5);
	assert_fault(CHAT, large, 400, NULL); /* more than the context holds */
	free(large);
}

static void the_pool_can_be_looked_at(void **state)
{
	json_t *o = http_json(at, "/v1/models", NULL, 200);
	struct http_answer a;
	const char *id;

	(void)state;
	assert_int_equal(json_unpack(o, "{s:[{s:s}]}", "data", "id", &id), 0);
	assert_string_equal(id, "ayni-demo");
	json_decref(o);
	json_decref(http_json(at, "/v1/models/ayni-demo", NULL, 200));
	a = http_ask(at, "/healthz", NULL);
	assert_string_equal(a.body, "ok\n");
	http_answer_free(&a);
	a = http_ask(at, "/readyz", NULL);
	assert_string_equal(a.body, "ready\n");
	http_answer_free(&a);
	a = http_ask(at, "/metrics", NULL);
	assert_non_null(strstr(a.headers, "text/plain; version=0.0.4"));
	assert_non_null(strstr(a.body, "\nayni_model_missing_layers{model=\"ayni-demo\"} 0\n"));
	assert_non_null(strstr(a.body, ",name=\"donor1\"} 1\n"));
	http_answer_free(&a);
}

static void write_file(const char *name, const char *text)
{
	char path[NETWORK_PATH * 2];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/pool/%s", net.folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void files_of_the_log_are_served_and_no_others(void **state)
{
	static const char *const others[] = {"/log/", "/log/tile", "/log/tile/", "/log/link",
	    "/log/out/key", "/log/../key", "/log/tile/../../key", "/log/%2e%2e/key", "/log//key",
	    "/log/Upper", "/log/none"};
	char from[NETWORK_PATH * 2];
	struct http_answer a;

	(void)state;
	(void)snprintf(from, sizeof from, "%s/pool/log/tile", net.folder);
	assert_true(mkdir(from, 0700) == 0 || errno == EEXIST); /* there may be no receipts yet */
	write_file("log/tile/x001", "bytes");
	write_file("log/Upper", "x");
	(void)snprintf(from, sizeof from, "%s/pool/log/link", net.folder);
	assert_int_equal(symlink("../key", from), 0);
	(void)snprintf(from, sizeof from, "%s/pool/log/out", net.folder);
	assert_int_equal(symlink("..", from), 0);
	a = http_ask(at, "/log/checkpoint", NULL);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.headers, "Cache-Control: no-cache"));
	http_answer_free(&a);
	a = http_ask(at, "/log/tile/x001", NULL);
	assert_string_equal(a.body, "bytes");
	assert_non_null(strstr(a.headers, "immutable"));
	http_answer_free(&a);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		a = http_ask(at, others[i], NULL);
		if (a.status != 404)
			fail_msg("%s: %ld", others[i], a.status);
		http_answer_free(&a);
	}
}

static void a_reader_audits_the_log_over_http(void **state)
{
	char url[128];
	const char *args[] = {"ledger", "audit", "--json", url, NULL};

	(void)state;
	(void)snprintf(url, sizeof url, "http://%s/log/", at);
	do /* until the receipts of what was asked before are in it */
		out[0] = '\0';
	while (network_run(&net, args, NULL, out, err) == 0 && strstr(out, "\"units\"") == NULL);
	if (strstr(out, "\"units\"") == NULL)
		fail_msg("%s%s", out, err);
}

/* ---- many, slow, gone --------------------------------------------------------------------- */

static void many_idle_connections_and_streams_are_served_at_once(void **state)
{
	const struct rlimit descriptors = {DESCRIPTORS, DESCRIPTORS};
	static int idle[IDLE];

	(void)state;
	if (setrlimit(RLIMIT_NOFILE, &descriptors) != 0)
		skip();
	for (int i = 0; i < IDLE; i++)
		idle[i] = http_socket(at, 0);
	assert_int_equal(
	    http_ask_many(at, CHAT, "{" SUM ",\"stream\":true}", STREAMS, "[DONE]"), STREAMS);
	for (int i = 0; i < IDLE; i++)
		(void)close(idle[i]);
}

static void who_does_not_read_is_cut_off_and_others_are_not(void **state)
{
	char member[64];
	pid_t pid = serve("--buffer-kib", "16", member);
	int slow = http_socket(member, 4096);
	char *text;

	(void)state;
	http_send(slow, CHAT, "{" LONG ",\"n\":8}");
	json_decref(http_json(member, CHAT, "{" SUM "}", 200));
	http_wait_metric(member, "ayni_http_too_slow_total 1\n");
	http_wait_metric(member, "ayni_http_requests_running 0\n");
	http_wait_metric(member, "ayni_model_sessions{model=\"ayni-demo\"} 0\n");
	text = http_read_until(slow, "not read fast enough");
	assert_non_null(strstr(text, "not read fast enough"));
	free(text);
	(void)close(slow);
	end(pid);
}

static void signal_donors(int signal_number)
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(kill(net.donors[i], signal_number), 0);
}

/* The donors stand still meanwhile: nothing but the hang-up ends the session. */
static void who_hangs_up_in_a_stream_frees_its_session(void **state)
{
	int fd = http_socket(at, 0);

	(void)state;
	http_send(fd, CHAT, "{" LONG "}");
	free(http_read_until(fd, "\"content\":\""));
	signal_donors(SIGSTOP);
	(void)close(fd);
	http_wait_metric(at, "ayni_model_sessions{model=\"ayni-demo\"} 0\n");
	http_wait_metric(at, "ayni_http_requests_running 0\n");
	signal_donors(SIGCONT);
	network_wait_ready(&net);
}

static void a_server_ends_though_clients_wait(void **state)
{
	char member[64];
	pid_t pid = serve("--connections", "100", member);
	int streams = http_socket(member, 0), waits = http_socket(member, 0);

	(void)state;
	http_send(streams, CHAT, "{" LONG "}");
	free(http_read_until(streams, "\"content\":\""));
	signal_donors(SIGSTOP);
	http_send(waits, CHAT, "{" SUM "}");
	http_wait_metric(member, "ayni_http_requests_running 2\n");
	end(pid);
	http_wait_metric(at, "ayni_model_sessions{model=\"ayni-demo\"} 0\n");
	signal_donors(SIGCONT);
	(void)close(streams);
	(void)close(waits);
	network_wait_ready(&net);
}

static void a_server_that_dies_is_started_again(void **state)
{
	pid_t server = network_child(net.pool);
	char path[NETWORK_PATH * 2];

	(void)state;
	(void)snprintf(path, sizeof path, "%s/pool/http", net.folder);
	assert_true(server > 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(kill(server, SIGKILL), 0);
	http_find(&net, "pool/http", at);
	http_wait_metric(at, "ayni_pool_up 1\n");
	json_decref(http_json(at, CHAT, "{" SUM "}", 200));
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what)) != NULL) {
		text += strlen(what);
		n++;
	}
	return n;
}

/* Its own child ends with the pool, so the client is at a member's. */
static void a_stream_goes_on_after_the_pool_was_killed_and_started_again(void **state)
{
	char member[64];
	pid_t pid = serve("--idle-s", "60", member);
	struct http_answer whole = http_ask(member, CHAT, "{" LONG ",\"logprobs\":true}");
	char *undisturbed = http_stream_text(whole.body), *begun, *rest, *all, *text;
	int fd = http_socket(member, 0), watches = http_socket(member, 0);

	(void)state;
	assert_int_equal(whole.status, 200);
	http_send(fd, CHAT, "{" LONG ",\"logprobs\":true}");
	begun = http_read_until(fd, "\"content\":\"");
	http_send(watches, "/room/events", NULL);
	free(http_read_until(watches, "data: {\"pool\":"));
	assert_int_equal(kill(net.pool, SIGKILL), 0);
	(void)network_wait_end(net.pool);
	free(http_read_until(watches, "event: gone\ndata: {}\n\n"));
	network_restart_pool(&net, DEMO_MODEL, pool_settings);
	free(http_read_until(watches, "data: {\"pool\":"));
	(void)close(watches);
	rest = http_read_until(fd, "data: [DONE]");
	assert_true(asprintf(&all, "%s%s", begun, rest) > 0);
	text = http_stream_text(all);
	assert_string_equal(text, undisturbed);
	assert_int_equal(count(all, "\"logprob\":"), count(whole.body, "\"logprob\":"));
	assert_true(count(all, "\"logprob\":") > 0);
	free(text);
	free(all);
	free(rest);
	free(begun);
	free(undisturbed);
	http_answer_free(&whole);
	(void)close(fd);
	end(pid);
	http_find(&net, "pool/http", at);
	network_wait_ready(&net);
}

/* ---- a full pool -------------------------------------------------------------------------- */

/*
 * Without donors a session waits, so that nothing ends it but its client; and heartbeats are so
 * seldom that none of them wakes whoever forgot to look.
 */
static void a_full_pool_says_when_to_come_again_until_a_client_hangs_up(void **state)
{
	static const char *const settings[] = {
	    "http=127.0.0.1:0", "max_sessions=1", "max_waiting=0", "heartbeat_ms=60000", NULL};
	struct http_answer a;
	int fd;

	(void)state;
	network_start(&net, DEMO_MODEL, settings);
	http_find(&net, "pool/http", at);
	http_wait_metric(at, "ayni_pool_up 1\n");
	assert_fault("/readyz", NULL, 503, NULL);
	fd = http_socket(at, 0);
	http_send(fd, CHAT, "{" SUM "}");
	http_wait_metric(at, "ayni_model_sessions{model=\"ayni-demo\"} 1\n");
	a = http_ask(at, CHAT, "{" SUM ",\"stream\":true}");
	assert_int_equal(a.status, 503);
	assert_non_null(strstr(a.headers, "Retry-After: "));
	assert_non_null(strstr(a.body, "\"code\":\"unavailable\""));
	http_answer_free(&a);
	(void)close(fd);
	http_wait_metric(at, "ayni_model_sessions{model=\"ayni-demo\"} 0\n");
	http_wait_metric(at, "ayni_http_hung_up_total 1\n");
	network_stop(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_question_is_answered_with_its_usage),
	    cmocka_unit_test(an_answer_names_its_sessions),
	    cmocka_unit_test(a_stream_says_what_ayni_chat_says_with_the_same_seed),
	    cmocka_unit_test(an_answer_ends_before_a_stop_and_comes_n_times),
	    cmocka_unit_test(logprobs_change_nothing_and_end_where_the_answer_does),
	    cmocka_unit_test(ollamas_clients_are_answered_too),
	    cmocka_unit_test(what_is_wrong_gets_its_status),
	    cmocka_unit_test(the_pool_can_be_looked_at),
	    cmocka_unit_test(files_of_the_log_are_served_and_no_others),
	    cmocka_unit_test(a_reader_audits_the_log_over_http),
	    cmocka_unit_test(many_idle_connections_and_streams_are_served_at_once),
	    cmocka_unit_test(who_does_not_read_is_cut_off_and_others_are_not),
	    cmocka_unit_test(who_hangs_up_in_a_stream_frees_its_session),
	    cmocka_unit_test(a_server_ends_though_clients_wait),
	    cmocka_unit_test(a_server_that_dies_is_started_again),
	    cmocka_unit_test(a_stream_goes_on_after_the_pool_was_killed_and_started_again),
	};
	const struct CMUnitTest alone[] = {
	    cmocka_unit_test(a_full_pool_says_when_to_come_again_until_a_client_hangs_up),
	};
	int failed = cmocka_run_group_tests_name("a pool's HTTP", tests, start, stop);

	return failed + cmocka_run_group_tests_name("a full pool", alone, NULL, NULL);
}
