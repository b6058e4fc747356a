/* SPDX-License-Identifier: Apache-2.0 */
#include <argp.h>
#include <signal.h>
#include <stdlib.h>

#include "compute/reasoning.h"
#include "node/cli/cli.h"
#include "node/cli/local.h"
#include "node/cli/sampling.h"
#include "node/cli/show.h"
#include "node/loop.h"
#include "node/prompt.h"

struct options {
	const char *file, *prompt, *system;
	uint32_t max_tokens;
	bool raw, hides_reasoning;
	struct local_options local;
	struct sampler_settings sampling;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->local;
		state->child_inputs[1] = &o->sampling;
		break;
	case 'p':
		o->prompt = arg;
		break;
	case 'y':
		o->system = arg;
		break;
	case 'n':
		o->max_tokens = (uint32_t)option_u64(state, "-n", arg, 1, LIMIT_CONTEXT_TOKENS);
		break;
	case 'r':
		o->raw = true;
		break;
	case SHOW_KEY_HIDE:
		o->hides_reasoning = true;
		break;
	case 'P':
		o->local.pinned = true;
		break;
	case ARGP_KEY_ARG:
		if (o->file != NULL)
			argp_error(state, "one FILE is enough; a prompt goes behind -p");
		o->file = arg;
		break;
	case ARGP_KEY_END:
		if (o->file == NULL || o->prompt == NULL)
			argp_error(state, "FILE and -p PROMPT are needed");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

struct generation {
	struct local *local;
	struct tokenizer *tokenizer;
	struct reasoning *text;
	struct show show;
	const struct options *options;
	uint32_t *tokens; /* [context] */
	uint32_t n_tokens, n_prompt;
	float *row;
	uint64_t began_us, first_us, last_us;
};

/* One token after the other, until the model, the limit, the context or the user ends it. */
static int generate(struct generation *g, struct error *err)
{
	uint32_t context = local_sizes(g->local)->context_tokens;
	uint32_t most = g->options->max_tokens;
	struct sampler_settings sampling = g->options->sampling;
	struct reasoning_text text;
	int rc;

	sampling.answer_from = g->n_prompt;
	g->began_us = loop_now_us();
	rc = local_feed(g->local, g->tokens, g->n_prompt, g->row, 1, err);
	while (rc == AYNI_OK && !interrupted) {
		uint32_t token = local_draw(g->local, &sampling, g->row, g->tokens, g->n_tokens);

		g->last_us = loop_now_us();
		g->first_us = g->first_us > 0 ? g->first_us : g->last_us;
		if (tokenizer_is_end(g->tokenizer, token))
			break;
		g->tokens[g->n_tokens++] = token;
		rc = reasoning_feed(g->text, token, &text);
		if (rc != AYNI_OK)
			return error_set(err, rc, "the token %u cannot be shown", token);
		show_text(&g->show, text.reasoning, text.answer);
		if (g->n_tokens == context || (most > 0 && g->n_tokens - g->n_prompt == most))
			break;
		rc = local_feed(g->local, &token, 1, g->row, 1, err);
	}
	if (rc == AYNI_OK && reasoning_finish(g->text, &text) == AYNI_OK)
		show_text(&g->show, text.reasoning, text.answer);
	show_end(&g->show);
	return rc;
}

static void print_figures(const struct generation *g)
{
	double prefill_s = (double)(g->first_us - g->began_us) / 1e6;
	double decode_s = (double)(g->last_us - g->first_us) / 1e6;
	uint32_t drawn = g->n_tokens - g->n_prompt;

	if (g->first_us == 0)
		return;
	(void)fprintf(stderr,
	    "[%s, %u threads: prefill %u tokens, %.1f tokens/s; decode %u tokens, "
	    "%.1f tokens/s]\n",
	    local_kernels(g->local), local_threads(g->local), g->n_prompt,
	    prefill_s > 0 ? g->n_prompt / prefill_s : 0, drawn,
	    decode_s > 0 && drawn > 1 ? (drawn - 1) / decode_s : 0);
}

static int encode(const struct generation *g, uint32_t **ids, size_t *n, struct error *err)
{
	const struct options *o = g->options;
	const struct chat_message messages[2] = {
	    {.role = "system", .content = o->system}, {.role = "user", .content = o->prompt}};
	size_t first = o->system != NULL ? 0 : 1;
	const struct chat chat = {.messages = messages + first, .n = 2 - first};
	struct template *t = NULL;
	int rc = o->raw ? AYNI_OK : prompt_template(local_gguf(g->local), &t, err);

	if (rc != AYNI_OK)
		return rc;
	if (t == NULL)
		return prompt_encode_text(g->tokenizer, o->prompt, ids, n, err);
	rc = prompt_encode_chat(t, g->tokenizer, &chat, ids, n, err);
	template_free(t);
	return rc;
}

static int prepare(struct generation *g, struct error *err)
{
	const struct options *o = g->options;
	const struct model_sizes *s;
	uint32_t *ids = NULL;
	size_t n = 0;
	int rc;

	if ((rc = local_open(o->file, &o->local, &g->local, err)) != AYNI_OK ||
	    (rc = tokenizer_new(local_gguf(g->local), &g->tokenizer, err)) != AYNI_OK ||
	    (rc = encode(g, &ids, &n, err)) != AYNI_OK)
		return rc;
	s = local_sizes(g->local);
	g->tokens = calloc(s->context_tokens, sizeof *g->tokens);
	g->row = calloc(s->n_vocabulary, sizeof *g->row);
	if (g->tokens == NULL || g->row == NULL ||
	    reasoning_new(g->tokenizer, ids, n, o->raw, &g->text) != AYNI_OK)
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	else if (n == 0 || n >= s->context_tokens)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "the prompt has %zu tokens; 1 to %u fit", n,
		    s->context_tokens - 1);
	else
		memcpy(g->tokens, ids, n * sizeof *ids);
	g->n_tokens = g->n_prompt = (uint32_t)n;
	free(ids);
	return rc;
}

int cli_run(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"prompt", 'p', "TEXT", 0, "what to answer", 1},
	    {"system", 'y', "TEXT", 0, "a system message before it", 1},
	    {"max-tokens", 'n', "N", 0, "end after N tokens (default: when the model ends)", 1},
	    {"raw", 'r', NULL, 0, "take the prompt as it is, without the chat template", 1},
	    {"hide-reasoning", SHOW_KEY_HIDE, NULL, 0, "print the answer, not what leads to it", 1},
	    {"pin", 'P', NULL, 0, "bind each thread to a processor (for measurements)", 1},
	    {0},
	};
	static const struct argp_child children[] = {
	    {&local_argp, 0, NULL, 1}, {&sampling_argp, 0, NULL, 2}, {0}};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "FILE",
	    .doc = "Run a model (GGUF) on this machine alone. The answer is streamed to stdout, "
	           "the model's reasoning and figures go to stderr. The prompt is put into the "
	           "model's chat template, if it "
	           "has one.",
	    .children = children};
	struct options o = {0};
	struct generation g = {.options = &o};
	struct sigaction action = {.sa_handler = on_interrupt};
	struct error err = {0};
	int rc;

	sampler_defaults(&o.sampling);
	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	(void)sigaction(SIGINT, &action, NULL);
	g.show.hides_reasoning = o.hides_reasoning;
	rc = prepare(&g, &err);
	if (rc == AYNI_OK)
		rc = generate(&g, &err);
	if (rc == AYNI_OK)
		print_figures(&g);
	reasoning_free(g.text);
	tokenizer_free(g.tokenizer);
	local_free(g.local);
	free(g.tokens);
	free(g.row);
	return rc == AYNI_OK ? CLI_OK : cli_fail("run", &err);
}
