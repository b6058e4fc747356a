/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni model eval`: logits for given tokens, or perplexity over a text. */
#include <argp.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>

#include "node/cli/cli.h"
#include "node/cli/deviate.h"
#include "node/cli/evaluate.h"
#include "node/cli/model.h"
#include "node/cli/perplexity.h"
#include "node/cli/progress.h"
#include "node/cli/sampling.h"

enum {
	KEY_GREEDY = 0x400,
	KEY_TOP,
	KEY_TOKENS,
	KEY_POOL,
	KEY_MODEL,
	KEY_TEXT,
	KEY_WINDOW,
	KEY_STRIDE,
	KEY_LIMIT,
	KEY_JSON,
	KEY_COMPARE
};

struct options {
	struct evaluation eval;
	struct perplexity perplexity; /* where a text is given */
	const char *against;          /* kernels to compare with, or NULL */
	bool json;
};

static volatile bool interrupted;

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = true;
}

/* ---- options -------------------------------------------------------------------------------- */

static void parse_tokens(struct argp_state *state, struct evaluation *e, char *text)
{
	size_t n = 1;

	for (const char *c = text; *c != '\0'; c++)
		n += *c == ',';
	free(e->tokens);
	e->tokens = calloc(n, sizeof *e->tokens);
	if (e->tokens == NULL) {
		argp_failure(state, CLI_FAILED, 0, "out of memory");
		return;
	}
	e->n_tokens = 0;
	for (char *rest = text, *word; (word = strsep(&rest, ",")) != NULL;)
		e->tokens[e->n_tokens++] =
		    (uint32_t)option_u64(state, "--tokens", word, 0, LIMIT_VOCABULARY - 1);
}

static void check(const struct options *o, struct argp_state *state)
{
	const struct evaluation *e = &o->eval;

	if (o->perplexity.text != NULL && (e->n_tokens > 0 || e->pool != NULL))
		argp_error(state, "--text goes with neither --tokens nor --pool");
	if (o->perplexity.text == NULL && e->n_tokens == 0)
		argp_error(state, "--text FILE is needed, or --tokens 1,2,3 (`ayni model tokenize` "
		                  "makes them)");
	if (o->against != NULL && (e->n_tokens == 0 || e->pool != NULL || e->n_greedy > 0))
		argp_error(state, "--compare wants --tokens, and neither --pool nor --greedy");
	if (o->against != NULL && e->local.wire != WIRE_F32)
		argp_error(state, "--compare is of activations as they are, without --wire");
	if (e->file == NULL && e->pool == NULL)
		argp_error(state, "FILE is needed");
}

static error_t parse_perplexity(int key, char *arg, struct argp_state *state)
{
	struct perplexity *p = &((struct options *)state->input)->perplexity;

	switch (key) {
	case KEY_TEXT:
		p->text = arg;
		return 0;
	case KEY_WINDOW:
		p->window = (uint32_t)option_u64(state, "--window", arg, 2, LIMIT_CONTEXT_TOKENS);
		return 0;
	case KEY_STRIDE:
		p->stride = (uint32_t)option_u64(state, "--stride", arg, 1, LIMIT_CONTEXT_TOKENS);
		return 0;
	case KEY_LIMIT:
		p->limit = option_u64(state, "--limit", arg, 2, UINT32_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	struct evaluation *e = &o->eval;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &e->local;
		return 0;
	case KEY_TOKENS:
		parse_tokens(state, e, arg);
		return 0;
	case KEY_GREEDY:
		e->n_greedy = (uint32_t)option_u64(state, "--greedy", arg, 0, LIMIT_CONTEXT_TOKENS);
		return 0;
	case KEY_TOP:
		e->top = (uint32_t)option_u64(state, "--top", arg, 1, LIMIT_VOCABULARY);
		return 0;
	case KEY_POOL:
		e->pool = arg;
		return 0;
	case KEY_MODEL:
		e->model = arg;
		return 0;
	case KEY_JSON:
		o->json = true;
		return 0;
	case KEY_COMPARE:
		o->against = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (e->file != NULL)
			argp_error(state, "one FILE is enough");
		e->file = arg;
		return 0;
	case ARGP_KEY_END:
		check(o, state);
		return 0;
	default:
		return parse_perplexity(key, arg, state);
	}
}

/* ---- logits --------------------------------------------------------------------------------- */

/* {"prompt":[ids],"top":[[[id,logit],...] per position],"greedy":[ids]} */
static int print_evaluation(const struct evaluation *e, struct error *err)
{
	json_t *prompt = json_array(), *top = json_array(), *greedy = json_array();
	json_t *root;
	int rc;

	for (size_t i = 0; i < e->n_tokens; i++) {
		json_t *row = json_array();

		json_array_append_new(prompt, json_integer(e->tokens[i]));
		for (uint32_t k = 0; k < e->top; k++) {
			const struct logit *l = &e->logits[i * e->top + k];

			json_array_append_new(row, json_pack("[if]", (int)l->id, (double)l->value));
		}
		json_array_append_new(top, row);
	}
	for (uint32_t i = 0; i < e->n_drawn; i++)
		json_array_append_new(greedy, json_integer(e->greedy[i]));
	root = json_pack("{sososo}", "prompt", prompt, "top", top, "greedy", greedy);
	/* nine digits tell every binary32 apart */
	rc = root != NULL ? json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) : -1;
	(void)printf("\n");
	json_decref(root);
	return rc == 0 ? AYNI_OK : error_set(err, AYNI_ERR_IO, "cannot write the result");
}

static int eval_agreement(const struct options *o, struct error *err)
{
	return deviate(&(struct deviate){.file = o->eval.file,
	                   .local = o->eval.local,
	                   .against = o->against,
	                   .tokens = o->eval.tokens,
	                   .n_tokens = o->eval.n_tokens,
	                   .json = o->json},
	    err);
}

static int eval_tokens(struct options *o, struct error *err)
{
	int rc = evaluate(&o->eval, err);

	return rc == AYNI_OK ? print_evaluation(&o->eval, err) : rc;
}

/* ---- perplexity ----------------------------------------------------------------------------- */

static void show(void *context, const struct perplexity *p)
{
	struct progress *shown = context;
	double seconds = progress_seconds(shown);
	double left = (double)(p->n_text_tokens - p->n_counted);

	if (!progress_due(shown, 10))
		return;
	(void)fprintf(stderr, "%s%3.0f %%  perplexity %.4f so far, %.1f tokens/s, %.0f s left   %s",
	    shown->terminal ? "\r" : "", 100.0 * (double)p->n_counted / (double)p->n_text_tokens,
	    perplexity_value(p), (double)p->n_counted / seconds,
	    left * seconds / (double)p->n_counted, shown->terminal ? "" : "\n");
}

static double bits_per_byte(const struct perplexity *p)
{
	return p->n_text_bytes > 0 ? p->nll / log(2.0) / (double)p->n_text_bytes : NAN;
}

static void print_perplexity(const struct perplexity *p)
{
	(void)printf("perplexity %.4f +/- %.4f over %llu tokens of %s\n"
	             "sliding window of %u tokens, stride %u: every counted token but the first "
	             "ones has at least %u before it\n",
	    perplexity_value(p), perplexity_error(p), (unsigned long long)p->n_counted, p->text,
	    p->window, p->stride, p->window - p->stride);
	if (p->n_text_bytes > 0)
		(void)printf("%.4f bits a byte\n", bits_per_byte(p));
}

static int print_perplexity_json(const struct perplexity *p, struct error *err)
{
	json_t *root = json_pack("{sfsfsIsIsIsf}", "perplexity", perplexity_value(p),
	    "standard_error", perplexity_error(p), "tokens", (json_int_t)p->n_counted, "window",
	    (json_int_t)p->window, "stride", (json_int_t)p->stride, "nll", p->nll);
	int rc;

	if (root != NULL && p->n_text_bytes > 0)
		(void)json_object_set_new(root, "bits_per_byte", json_real(bits_per_byte(p)));
	rc = root != NULL ? json_dumpf(root, stdout, JSON_COMPACT) : -1;
	(void)printf("\n");
	json_decref(root);
	return rc == 0 ? AYNI_OK : error_set(err, AYNI_ERR_IO, "cannot write the result");
}

static int eval_text(struct options *o, struct error *err)
{
	struct sigaction action = {.sa_handler = on_interrupt};
	struct perplexity *p = &o->perplexity;
	struct progress shown;
	int rc;

	(void)sigaction(SIGINT, &action, NULL);
	p->file = o->eval.file;
	p->local = o->eval.local;
	p->stop = &interrupted;
	p->progress = show;
	p->context = &shown;
	progress_begin(&shown);
	rc = perplexity_measure(p, err);
	progress_clear(&shown);
	if (rc == AYNI_ERR_STATE &&
	    p->n_counted > 0) { /* what was read so far still says something */
		print_perplexity(p);
		return rc;
	}
	if (rc != AYNI_OK)
		return rc;
	if (o->json)
		return print_perplexity_json(p, err);
	print_perplexity(p);
	return AYNI_OK;
}

/* ---- the command ---------------------------------------------------------------------------- */

int cli_model_eval(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {NULL, 0, NULL, 0, "How well the model foretells a text:", 1},
	    {"text", KEY_TEXT, "FILE", 0, "print the perplexity of this text", 1},
	    {"window", KEY_WINDOW, "N", 0, "tokens the model sees at once (default 512)", 1},
	    {"stride", KEY_STRIDE, "N", 0, "by how much the window slides (default: half of it)",
	        1},
	    {"limit", KEY_LIMIT, "N", 0, "read no more than N tokens of the text", 1},
	    {"json", KEY_JSON, NULL, 0, "print the result as one line of JSON", 1},
	    {NULL, 0, NULL, 0, "Logits for a prompt, and what follows it greedily, as JSON:", 2},
	    {"tokens", KEY_TOKENS, "IDS", 0, "the prompt's token ids, with commas between", 2},
	    {"greedy", KEY_GREEDY, "N", 0, "then draw N tokens, the likeliest each time", 2},
	    {"top", KEY_TOP, "K", 0, "logits to print for each position (default 5)", 2},
	    {"pool", KEY_POOL, "INVITE", 0, "let a pool compute it, in place of FILE", 2},
	    {"model", KEY_MODEL, "NAME", 0, "one of the pool's models", 2},
	    {NULL, 0, NULL, 0, "How far kernels lie from others for the tokens of a prompt:", 3},
	    {"compare", KEY_COMPARE, "NAME", 0,
	        "compare each layer's activations with those of these kernels (with --kernels "
	        "fast --compare auto: how the class fast is checked)",
	        3},
	    {0},
	};
	static const struct argp_child children[] = {{&local_argp, 0, "Computing:", 4}, {0}};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .children = children,
	    .args_doc = "FILE",
	    .doc =
	        "Measure a model: its perplexity over a text, by which quantisations can be "
	        "compared, or its logits, computed on this machine alone or by a pool (both give "
	        "the same bits)."};
	struct options o = {.eval = {.top = 5, .model = ""}};
	struct error err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	rc = o.perplexity.text != NULL ? eval_text(&o, &err)
	     : o.against != NULL       ? eval_agreement(&o, &err)
	                               : eval_tokens(&o, &err);
	evaluation_free(&o.eval);
	return rc == AYNI_OK ? CLI_OK : cli_fail("model eval", &err);
}
