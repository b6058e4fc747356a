/* SPDX-License-Identifier: Apache-2.0 */
#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/cli/answer.h"
#include "node/cli/cli.h"
#include "node/cli/sampling.h"
#include "node/cli/show.h"
#include "node/work.h"
#include "protocol/identity.h"

enum { MAX_TURNS = 256, JOIN_MS = 15000 };

struct options {
	const char *pool, *model, *system;
	uint32_t max_tokens;
	enum wire_type wire;
	bool quiet, raw, hides_reasoning;
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
    {"quiet", 'q', NULL, 0, "print answers only", 1},
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
	case 'q':
		o->quiet = true;
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
           "message a line, until the end of input. Ctrl-C ends an answer. The model's "
           "reasoning goes to stderr, and not into the conversation.",
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

struct conversation {
	const struct options *options;
	struct client *client;
	uint64_t requests;
	struct turn turns[MAX_TURNS];
	size_t n_turns;
};

static int add_turn(
    struct conversation *c, const char *role, const char *content, struct error *err)
{
	struct turn *t = &c->turns[c->n_turns];

	if (c->n_turns == MAX_TURNS)
		return error_set(
		    err, AYNI_ERR_LIMIT, "the conversation is over after %d messages", MAX_TURNS);
	t->role = strdup(role);
	t->content = strdup(content);
	if (t->role == NULL || t->content == NULL) {
		free(t->role);
		free(t->content);
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	}
	c->n_turns++;
	return AYNI_OK;
}

static void free_turns(struct conversation *c)
{
	for (size_t i = 0; i < c->n_turns; i++) {
		free(c->turns[i].role);
		free(c->turns[i].content);
	}
}

static void print_piece(void *context, const struct msg_piece *piece)
{
	if (piece->notice[0] != '\0')
		(void)fprintf(stderr, "(%s)\n", piece->notice);
	show_text(context, (struct span){piece->reasoning.data, piece->reasoning.len},
	    (struct span){piece->text.data, piece->text.len});
}

static void print_figures(const struct answer *a)
{
	const struct msg_finished *f = &a->finished;
	double prefill_s = (double)f->prefill_us / 1e6, decode_s = (double)f->decode_us / 1e6;

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
	(void)fprintf(stderr, "]\n");
}

static int exchange(struct conversation *c, const char *message, struct error *err)
{
	const struct options *o = c->options;
	struct msg_generate g = {
	    .request = ++c->requests, .max_tokens = o->max_tokens, .wire = o->wire};
	struct show show = {.hides_reasoning = o->quiet || o->hides_reasoning};
	struct answer a;
	int rc = add_turn(c, "user", message, err);

	if (rc != AYNI_OK)
		return rc;
	(void)snprintf(g.model, sizeof g.model, "%s", o->model);
	g.sampling = work_sampling(&o->sampling);
	if (o->raw) {
		g.prompt = c->turns[c->n_turns - 1].content;
	} else {
		g.turns = c->turns;
		g.n_turns = c->n_turns;
	}
	interrupted = false;
	rc = answer_get(c->client, &g, print_piece, &show, &interrupted, &a, err);
	if (rc == AYNI_OK) {
		show_end(&show);
		if (!o->quiet)
			print_figures(&a);
		rc = add_turn(c, "assistant", a.text, err);
	}
	answer_free(&a);
	return rc;
}

static int converse(struct conversation *c, struct error *err)
{
	bool terminal = isatty(STDIN_FILENO) == 1;
	char *line = NULL;
	size_t capacity = 0;
	ssize_t len;
	int rc = AYNI_OK;

	while (rc == AYNI_OK) {
		if (terminal) {
			(void)printf("> ");
			(void)fflush(stdout);
		}
		len = getline(&line, &capacity, stdin);
		if (len < 0)
			break;
		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
			line[--len] = '\0';
		if (len > 0)
			rc = exchange(c, line, err);
	}
	free(line);
	return rc;
}

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

static int exchange_words(struct conversation *c, struct error *err)
{
	char *message = join_words(c->options);
	int rc = message != NULL ? exchange(c, message, err)
	                         : error_set(err, AYNI_ERR_MEMORY, "out of memory");

	free(message);
	return rc;
}

int cli_chat(int argc, char **argv)
{
	struct options o = {.model = ""};
	struct conversation c = {.options = &o};
	struct error err = {0};
	int rc;

	sampler_defaults(&o.sampling);
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	rc = client_open(o.pool, JOIN_MS, &c.client, &err);
	if (rc == AYNI_OK && o.system != NULL)
		rc = add_turn(&c, "system", o.system, &err);
	if (rc == AYNI_OK) {
		catch_interrupt();
		rc = o.n_words > 0 ? exchange_words(&c, &err) : converse(&c, &err);
	}
	free_turns(&c);
	client_free(c.client);
	return rc == AYNI_OK ? CLI_OK : cli_fail("chat", &err);
}
