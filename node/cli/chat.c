/* SPDX-License-Identifier: Apache-2.0 */
#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/cli/answer.h"
#include "node/cli/cli.h"
#include "node/cli/command.h"
#include "node/cli/compose.h"
#include "node/cli/conversation.h"
#include "node/cli/input.h"
#include "node/cli/sampling.h"
#include "node/cli/show.h"
#include "node/config.h"
#include "node/work.h"
#include "protocol/identity.h"

enum { JOIN_MS = 15000, KEY_NO_HISTORY = 0x500 };

struct options {
	const char *pool, *model, *system;
	uint32_t max_tokens;
	enum wire_type wire;
	bool quiet, verbose, raw, hides_reasoning, keeps_no_history;
	struct sampler_settings sampling;
	char **words; /* of the message, if it stands on the command line */
	size_t n_words;
};

static const struct argp_option options[] = {
    {"pool", 'p', "INVITE", 0, "the pool to use: ayni://host:port?key=...", 1},
    {"model", 'm', "NAME", 0, "one of the pool's models (default: its first)", 1},
    {"system", 's', "TEXT", 0, "a system message before the conversation", 1},
    {"max-tokens", 'n', "N", 0, "end an answer after N tokens (default: when the model ends it)",
        1},
    {"wire", 'w', "TYPE", 0, CLI_WIRE_DOC, 1},
    {"raw", 'r', NULL, 0, "send the message as it is, without the chat template", 1},
    {"hide-reasoning", SHOW_KEY_HIDE, NULL, 0, "print the answer, not what leads to it", 1},
    {"no-history", KEY_NO_HISTORY, NULL, 0, "keep nothing of what is typed, and read no history",
        1},
    {"quiet", 'q', NULL, 0, "print answers only", 1},
    {"verbose", 'v', NULL, 0, "say too what `ayni ledger show` calls an answer", 1},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->sampling;
		break;
	case 'p':
		o->pool = arg;
		break;
	case 'm':
		o->model = arg;
		break;
	case 's':
		o->system = arg;
		break;
	case 'n':
		o->max_tokens =
		    (uint32_t)option_u64(state, "--max-tokens", arg, 1, LIMIT_CONTEXT_TOKENS);
		break;
	case 'w':
		o->wire = option_wire(state, arg);
		break;
	case 'r':
		o->raw = true;
		break;
	case SHOW_KEY_HIDE:
		o->hides_reasoning = true;
		break;
	case KEY_NO_HISTORY:
		o->keeps_no_history = true;
		break;
	case 'q':
		o->quiet = true;
		break;
	case 'v':
		o->verbose = true;
		break;
	case ARGP_KEY_ARGS:
		o->words = state->argv + state->next;
		o->n_words = (size_t)(state->argc - state->next);
		break;
	case ARGP_KEY_END:
		if (o->pool == NULL)
			argp_error(
			    state, "--pool INVITE is needed (whoever runs the pool gives one out)");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_child children[] = {{&sampling_argp, 0, NULL, 2}, {0}};
static const struct argp argp = {.options = options,
    .parser = parse,
    .args_doc = "[MESSAGE]",
    .doc = "Talk to a model of a pool. With a MESSAGE: one answer. Without: a conversation, one "
           "message a line, until the end of input. Ctrl-C ends an answer, and what came of it "
           "stays in the conversation. The model's reasoning goes to stderr, and not into the "
           "conversation.\n\n"
           "At a terminal, lines can be edited. A backslash at the end of a line goes on with the "
           "next; \"\"\" begins and ends a message of many lines. /help lists the commands: "
           "/model, /system, /save and others. What is typed is kept, for you alone to read, in "
           "the file history of the member's folder: --no-history keeps nothing, /forget erases "
           "it.",
    .children = children};

static volatile bool interrupted;

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = true;
}

static void catch_interrupt(void)
{
	struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART: waits end */

	(void)sigaction(SIGINT, &action, NULL);
}

struct chat {
	const struct options *options;
	struct client *client;
	struct conversation *conversation;
	struct input *input; /* NULL: not at a terminal */
	uint64_t requests;
	char model[LIMIT_NAME_BYTES]; /* "": the pool's first */
	bool over, failed;            /* of a conversation at a terminal */
};

static void print_piece(void *context, const struct msg_piece *piece)
{
	if (piece->notice[0] != '\0')
		(void)fprintf(stderr, "(%s)\n", piece->notice);
	show_text(context, (struct span){piece->reasoning.data, piece->reasoning.len},
	    (struct span){piece->text.data, piece->text.len});
}

static void print_figures(const struct answer *a, bool verbose)
{
	const struct msg_finished *f = &a->finished;
	double prefill_s = (double)f->prefill_us / 1e6, decode_s = (double)f->decode_us / 1e6;

	show_dim(true);
	(void)fprintf(stderr, "[%u tokens", f->prompt_tokens);
	if (f->reused_tokens > 0)
		(void)fprintf(stderr, ", %u of them known,", f->reused_tokens);
	(void)fprintf(stderr, " in %.2f s", prefill_s);
	if (a->times_lost > 0) /* those that came before cost no time after */
		(void)fprintf(stderr, ", went on after the pool was lost");
	else if (f->answer_tokens > 1 && decode_s > 0)
		(void)fprintf(stderr, ", then %.1f tokens/s", (f->answer_tokens - 1) / decode_s);
	if (f->guessed > 0)
		(void)fprintf(stderr, ", %llu of %llu guessed tokens right",
		    (unsigned long long)f->guessed_right, (unsigned long long)f->guessed);
	if (f->verification == VERIFICATION_RIGHT)
		(void)fprintf(stderr, ", rechecked and right");
	if (f->verification == VERIFICATION_WRONG)
		(void)fprintf(stderr, ", RECHECKED AND WRONG: a donor lied, ask again");
	for (size_t i = 0; i < f->n_shares; i++) {
		const struct share *s = &f->shares[i];
		char hex[HEX32_CHARS];

		hex32(s->donor.bytes, hex);
		(void)fprintf(stderr, "; layers %u to %u: %s", s->layer_first, s->layer_last - 1,
		    s->donor_name[0] != '\0' ? s->donor_name : "donor");
		(void)fprintf(stderr, " %.8s", hex);
	}
	if (verbose) {
		char session[PSEUDONYM_CHARS];

		pseudonym_to_text(&f->session, session);
		(void)fprintf(stderr, "; session %s", session);
	}
	(void)fprintf(stderr, "]");
	show_dim(false);
	(void)fprintf(stderr, "\n");
}

static int keep_answer(struct chat *c, const struct answer *a, struct error *err)
{
	bool cut = a->finished.reason == FINISH_CANCELLED;
	int rc;

	if (cut && a->text_len == 0) { /* a question without an answer is none of a conversation */
		conversation_take_back(c->conversation);
		return AYNI_OK;
	}
	rc = conversation_add(c->conversation, "assistant", a->text, err);
	if (rc == AYNI_OK && cut)
		conversation_interrupted(c->conversation);
	return rc;
}

/* After an error the conversation is as it was before. */
static int exchange(struct chat *c, const char *message, struct error *err)
{
	const struct options *o = c->options;
	struct msg_generate g = {
	    .request = ++c->requests, .max_tokens = o->max_tokens, .wire = o->wire};
	struct show show = {.hides_reasoning = o->quiet || o->hides_reasoning};
	struct answer a;
	size_t n;
	int rc = conversation_add(c->conversation, "user", message, err);

	if (rc != AYNI_OK)
		return rc;
	(void)snprintf(g.model, sizeof g.model, "%s", c->model);
	g.sampling = work_sampling(&o->sampling);
	g.turns = conversation_turns(c->conversation, &n);
	if (o->raw) {
		g.prompt = g.turns[n - 1].content;
		g.turns = NULL;
	} else {
		g.n_turns = n;
	}
	interrupted = false;
	rc = answer_get(c->client, &g, print_piece, &show, &interrupted, &a, err);
	if (rc == AYNI_OK || c->input != NULL)
		show_end(&show);
	if (rc == AYNI_OK && !o->quiet)
		print_figures(&a, o->verbose);
	if (rc == AYNI_OK)
		rc = keep_answer(c, &a, err);
	if (rc != AYNI_OK)
		conversation_take_back(c->conversation);
	answer_free(&a);
	return rc;
}

/* One message a line, nothing else: what is piped in never is a command. */
static int converse(struct chat *c, struct error *err)
{
	char *line = NULL;
	size_t capacity = 0;
	ssize_t len;
	int rc = AYNI_OK;

	while (rc == AYNI_OK && (len = getline(&line, &capacity, stdin)) >= 0) {
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			line[--len] = '\0';
		if (len > 0)
			rc = exchange(c, line, err);
	}
	free(line);
	return rc;
}

/* ---- at a terminal ------------------------------------------------------------------------ */

/* The pool may have forgotten us while nothing was typed: then join again, and ask again. */
static int ask_status(struct chat *c, const struct message **out, struct error *err)
{
	struct message question = {.type = MSG_STATUS_QUERY};
	int rc = client_ask(c->client, &question, MSG_STATUS, out, err);

	if (rc == AYNI_ERR_IO) {
		interrupted = false;
		rc = client_rejoin(c->client, &interrupted, err);
		if (rc == AYNI_OK)
			rc = client_ask(c->client, &question, MSG_STATUS, out, err);
	}
	return rc;
}

static int list_models(struct chat *c, struct error *err)
{
	const struct message *m = NULL;
	int rc = ask_status(c, &m, err);

	for (size_t i = 0; rc == AYNI_OK && i < m->status.n_models; i++) {
		const char *name = m->status.models[i].name;
		bool current = c->model[0] == '\0' ? i == 0 : strcmp(c->model, name) == 0;

		(void)printf("%c %s\n", current ? '*' : ' ', name);
	}
	return rc;
}

static int choose_model(struct chat *c, const char *name, struct error *err)
{
	const struct message *m = NULL;
	int rc = ask_status(c, &m, err);

	if (rc != AYNI_OK)
		return rc;
	for (size_t i = 0; i < m->status.n_models; i++) {
		if (strcmp(m->status.models[i].name, name) == 0) {
			(void)snprintf(c->model, sizeof c->model, "%s", name);
			return AYNI_OK;
		}
	}
	return error_set(err, AYNI_ERR_NOT_FOUND,
	    "the pool has no model \"%.100s\"; /model lists those it has", name);
}

static int system_message(struct chat *c, const char *text, struct error *err)
{
	const char *now = conversation_system(c->conversation);

	if (text[0] != '\0')
		return conversation_set_system(
		    c->conversation, strcmp(text, "\"\"") == 0 ? "" : text, err);
	(void)printf("%s\n", now != NULL ? now : "(there is no system message)");
	return AYNI_OK;
}

static int save(struct chat *c, const char *path, struct error *err)
{
	size_t n;
	int rc = conversation_save(c->conversation, path, c->model, err);

	(void)conversation_turns(c->conversation, &n);
	if (rc == AYNI_OK)
		(void)printf("%zu messages are in %s\n", n, path);
	return rc;
}

static int load(struct chat *c, const char *path, struct error *err)
{
	size_t n;
	int rc = conversation_load(c->conversation, path, err);

	(void)conversation_turns(c->conversation, &n);
	if (rc == AYNI_OK)
		(void)printf("%zu messages are from %s\n", n, path);
	return rc;
}

static void print_help(void)
{
	for (size_t i = 0; command_help(i) != NULL; i++)
		(void)printf("%s\n", command_help(i));
	(void)printf(
	    "A \\ at the end of a line goes on with the next; \"\"\" begins and ends a "
	    "message of many\nlines; // begins one with a slash. Ctrl-C ends an answer, or "
	    "voids what is typed.\n");
}

static int obey(struct chat *c, const struct command *command, struct error *err)
{
	switch (command->kind) {
	case COMMAND_MESSAGE:
		return exchange(c, command->argument, err);
	case COMMAND_HELP:
		print_help();
		return AYNI_OK;
	case COMMAND_MODEL:
		return command->argument[0] == '\0' ? list_models(c, err)
		                                    : choose_model(c, command->argument, err);
	case COMMAND_SYSTEM:
		return system_message(c, command->argument, err);
	case COMMAND_SAVE:
		return save(c, command->argument, err);
	case COMMAND_LOAD:
		return load(c, command->argument, err);
	case COMMAND_CLEAR:
		conversation_clear(c->conversation);
		return AYNI_OK;
	case COMMAND_FORGET:
		return input_forget(c->input, err);
	case COMMAND_QUIT:
		c->over = true;
		return AYNI_OK;
	case COMMAND_WRONG:
		break; /* the error says why */
	}
	return AYNI_ERR_ARGUMENT;
}

/* What cannot be done is said, and the conversation goes on: it could still be saved. */
static void take_line(struct chat *c, struct compose *compose, const char *line)
{
	struct command command = {COMMAND_MESSAGE, ""};
	struct error err = {0};
	int rc = compose_line(compose, line, &err);

	if (rc == AYNI_OK && compose->goes_on)
		return;
	if (rc == AYNI_OK && compose->text[0] != '\0') {
		command.argument = compose->text;
		if (!compose->is_literal)
			command = command_parse(compose->text, &err);
		rc = obey(c, &command, &err);
	}
	if (rc != AYNI_OK)
		(void)cli_fail("chat", &err);
	if (command.kind == COMMAND_MESSAGE)
		c->failed = rc != AYNI_OK;
	compose_reset(compose);
}

static void converse_at_terminal(struct chat *c)
{
	struct compose compose = {0};
	enum input_result result = INPUT_LINE;
	const char *line = NULL;

	while (!c->over && result != INPUT_END) {
		result = input_line(c->input, compose.goes_on, &line);
		if (result == INPUT_LINE)
			take_line(c, &compose, line);
		else
			compose_reset(&compose);
	}
	compose_reset(&compose);
}

static int history_path(char *out, size_t out_bytes, struct error *err)
{
	char folder[CONFIG_PATH_BYTES];
	int rc = config_folder("member", folder, sizeof folder, err);

	if (rc == AYNI_OK && (size_t)snprintf(out, out_bytes, "%s/history", folder) >= out_bytes)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "the path of the history is too long");
	return rc;
}

static int open_input(struct chat *c, struct error *err)
{
	char path[CONFIG_PATH_BYTES + 16];
	int rc = history_path(path, sizeof path, err);

	if (rc != AYNI_OK)
		return rc;
	return input_open(
	    c->options->keeps_no_history ? NULL : path, show_is_coloured(stdout), &c->input, err);
}

/* ---- the command -------------------------------------------------------------------------- */

/* The words of the command line with one space between; NULL if memory is out. */
static char *join_words(const struct options *o)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (size_t i = 0; f != NULL && i < o->n_words; i++)
		(void)fprintf(f, "%s%s", i > 0 ? " " : "", o->words[i]);
	if (f != NULL && fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

static int exchange_words(struct chat *c, struct error *err)
{
	char *message = join_words(c->options);
	int rc = message != NULL ? exchange(c, message, err)
	                         : error_set(err, AYNI_ERR_MEMORY, "out of memory");

	free(message);
	return rc;
}

static int chat(struct chat *c, struct error *err)
{
	const struct options *o = c->options;
	int rc = client_open(o->pool, JOIN_MS, &c->client, err);

	(void)snprintf(c->model, sizeof c->model, "%s", o->model);
	if (rc == AYNI_OK)
		rc = conversation_new(&c->conversation, err);
	if (rc == AYNI_OK && o->system != NULL)
		rc = conversation_add(c->conversation, "system", o->system, err);
	if (rc != AYNI_OK)
		return rc;
	catch_interrupt();
	if (o->n_words > 0)
		return exchange_words(c, err);
	if (!input_can_edit())
		return converse(c, err);
	rc = open_input(c, err);
	if (rc == AYNI_OK)
		converse_at_terminal(c);
	return rc;
}

int cli_chat(int argc, char **argv)
{
	struct options o = {.model = ""};
	struct chat c = {.options = &o};
	struct error err = {0};
	int rc;

	sampler_defaults(&o.sampling);
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	rc = chat(&c, &err);
	input_free(c.input);
	conversation_free(c.conversation);
	client_free(c.client);
	if (rc != AYNI_OK)
		return cli_fail("chat", &err);
	return c.failed ? CLI_FAILED : CLI_OK;
}
