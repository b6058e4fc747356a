/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni model inspect | eval | tokenize`. */
#include <argp.h>
#include <jansson.h>
#include <stdlib.h>

#include "compute/kv.h"
#include "compute/tokenizer.h"
#include "node/cli/cli.h"
#include "node/cli/evaluate.h"
#include "node/cli/sampling.h"

struct options {
	const char *file;
	bool bos, special;
	struct evaluation eval;
};

static error_t parse_file(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (o->file != NULL)
			argp_error(state, "one FILE is enough");
		o->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->file == NULL && o->eval.pool == NULL)
			argp_error(state, "FILE is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- inspect ------------------------------------------------------------------------------ */

static void print_size(const char *what, uint64_t bytes)
{
	(void)printf("  %-22s %12.3f MiB\n", what, (double)bytes / (1 << 20));
}

static void print_layers(const struct gguf *g, const struct model_sizes *s)
{
	for (uint32_t l = 0; l < s->n_layers; l++) {
		uint64_t bytes = 0;
		char name[32];

		for (size_t i = 0; i < gguf_n_tensors(g); i++) {
			const struct gguf_tensor *t = gguf_tensor_at(g, i);
			uint32_t layer;

			if (model_tensor_layer(t->name, &layer) && layer == l)
				bytes += t->size_bytes;
		}
		(void)snprintf(name, sizeof name, "layer %u", l);
		print_size(name, bytes);
	}
}

static void print_types(const struct gguf *g)
{
	uint64_t count[TENSOR_TYPE_END] = {0}, bytes[TENSOR_TYPE_END] = {0};

	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		if (t->raw_type < TENSOR_TYPE_END) {
			count[t->raw_type]++;
			bytes[t->raw_type] += t->size_bytes;
		} else {
			(void)printf("  %s has the unknown type %u\n", t->name, t->raw_type);
		}
	}
	for (uint32_t i = 0; i < TENSOR_TYPE_END; i++) {
		const struct tensor_type_info *info = tensor_type_info(i);
		char name[64];

		if (count[i] == 0)
			continue;
		(void)snprintf(name, sizeof name, "%s x %llu",
		    info != NULL ? info->name : "unsupported", (unsigned long long)count[i]);
		print_size(name, bytes[i]);
	}
}

static void print_metadata(const struct gguf *g)
{
	for (size_t i = 0; i < gguf_n_keys(g); i++) {
		enum gguf_type type;
		char value[100];

		gguf_format_value(g, i, value, sizeof value);
		(void)printf("  %-42s %s\n", gguf_key_at(g, i, &type), value);
	}
}

static int inspect(const struct options *o, struct error *err)
{
	struct model_sizes s;
	struct gguf *g = NULL;
	int rc = gguf_open(o->file, &g, err);

	if (rc != AYNI_OK)
		return rc;
	(void)printf("%s: GGUF version %u, %.3f MiB, %zu tensors\n\nmetadata\n", o->file,
	    gguf_version(g), (double)gguf_file_bytes(g) / (1 << 20), gguf_n_tensors(g));
	print_metadata(g);
	(void)printf("\ntensor types\n");
	print_types(g);
	rc = model_sizes_read(g, &s, err);
	if (rc == AYNI_OK) {
		(void)printf(
		    "\n%u layers, width %u, %u heads (%u for keys and values) of %u, "
		    "feed-forward %u, vocabulary %u, context %u\nKV cache: %llu bytes a token\n\n"
		    "layers\n",
		    s.n_layers, s.d_model, s.n_heads, s.n_kv_heads, s.d_head, s.d_ff,
		    s.n_vocabulary, s.context_tokens,
		    (unsigned long long)kv_bytes_per_token(&s, s.n_layers));
		print_layers(g, &s);
	}
	gguf_free(g);
	return rc;
}

static int cli_inspect(int argc, char **argv)
{
	static const struct argp argp = {.parser = parse_file,
	    .args_doc = "FILE",
	    .doc = "Print a model file's metadata, tensor types, and the size of each layer."};
	struct options o = {0};
	struct error err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	return inspect(&o, &err) == AYNI_OK ? CLI_OK : cli_fail("model inspect", &err);
}

/* ---- eval --------------------------------------------------------------------------------- */

enum { KEY_GREEDY = 0x400, KEY_TOP, KEY_TOKENS, KEY_POOL, KEY_MODEL };

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

static error_t parse_eval(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	struct evaluation *e = &o->eval;

	switch (key) {
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
	case 't':
		e->local.threads =
		    (unsigned)option_u64(state, "--threads", arg, 1, TEAM_MAX_THREADS);
		return 0;
	case 'k':
		e->local.kernels = arg;
		return 0;
	case ARGP_KEY_END:
		if (e->n_tokens == 0)
			argp_error(
			    state, "--tokens 1,2,3 is needed (`ayni model tokenize` makes them)");
		return parse_file(key, arg, state);
	default:
		return parse_file(key, arg, state);
	}
}

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

static int cli_eval(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"tokens", KEY_TOKENS, "IDS", 0, "the prompt's token ids, with commas between", 0},
	    {"greedy", KEY_GREEDY, "N", 0, "then draw N tokens, the likeliest each time", 0},
	    {"top", KEY_TOP, "K", 0, "logits to print for each position (default 5)", 0},
	    {"threads", 't', "N", 0, "threads (default: one a processor)", 0},
	    {"kernels", 'k', "NAME", 0, "auto, scalar, avx2 (default auto)", 0},
	    {"pool", KEY_POOL, "INVITE", 0, "let a pool compute it, in place of FILE", 0},
	    {"model", KEY_MODEL, "NAME", 0, "one of the pool's models", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse_eval,
	    .args_doc = "FILE",
	    .doc =
	        "Print the logits for a prompt, and what follows it greedily, as one line of JSON: "
	        "computed on this machine alone, or by a pool. Both give the same bits."};
	struct options o = {.eval = {.top = 5, .model = ""}};
	struct error err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	o.eval.file = o.file;
	rc = evaluate(&o.eval, &err);
	if (rc == AYNI_OK)
		rc = print_evaluation(&o.eval, &err);
	evaluation_free(&o.eval);
	return rc == AYNI_OK ? CLI_OK : cli_fail("model eval", &err);
}

/* ---- tokenize ----------------------------------------------------------------------------- */

enum { MAX_TEXT_BYTES = 8 << 20 };

static int read_stdin(char **text, size_t *len, struct error *err)
{
	char *data = malloc(MAX_TEXT_BYTES + 1);

	if (data == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	*len = fread(data, 1, MAX_TEXT_BYTES + 1, stdin);
	*text = data;
	if (ferror(stdin))
		return error_set(err, AYNI_ERR_IO, "cannot read the standard input");
	if (*len > MAX_TEXT_BYTES)
		return error_set(
		    err, AYNI_ERR_LIMIT, "the text is longer than %d MiB", MAX_TEXT_BYTES >> 20);
	return AYNI_OK;
}

static int tokenize(const struct options *o, struct error *err)
{
	unsigned flags = (o->bos ? TOKENIZER_BOS : 0) | (o->special ? TOKENIZER_SPECIAL : 0);
	struct gguf *g = NULL;
	struct tokenizer *t = NULL;
	char *text = NULL;
	uint32_t *ids = NULL;
	size_t len = 0, n = 0;
	int rc;

	if ((rc = gguf_open(o->file, &g, err)) == AYNI_OK &&
	    (rc = tokenizer_new(g, &t, err)) == AYNI_OK &&
	    (rc = read_stdin(&text, &len, err)) == AYNI_OK &&
	    (rc = tokenizer_encode(t, text, len, flags, &ids, &n, err)) == AYNI_OK) {
		for (size_t i = 0; i < n; i++)
			(void)printf("%s%u", i > 0 ? "," : "", ids[i]);
		(void)printf("\n");
	}
	free(ids);
	free(text);
	tokenizer_free(t);
	gguf_free(g);
	return rc;
}

static error_t parse_tokenize(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	if (key == 'b')
		o->bos = true;
	else if (key == 's')
		o->special = true;
	else
		return parse_file(key, arg, state);
	return 0;
}

static int cli_tokenize(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"bos", 'b', NULL, 0, "put the model's first token before the text's", 0},
	    {"special", 's', NULL, 0, "read control tokens that are spelt out in the text", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse_tokenize,
	    .args_doc = "FILE",
	    .doc = "Read text from the standard input, print its token ids with commas between."};
	struct options o = {0};
	struct error err = {0};

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	return tokenize(&o, &err) == AYNI_OK ? CLI_OK : cli_fail("model tokenize", &err);
}

/* ------------------------------------------------------------------------------------------- */

int cli_model(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {{"inspect", cli_inspect}, {"eval", cli_eval}, {"tokenize", cli_tokenize}};
	static char name[64];
	const char *word = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(word, commands[i].name) != 0)
			continue;
		(void)snprintf(name, sizeof name, "ayni model %s", word);
		argv[1] = name;
		return commands[i].run(argc - 1, argv + 1);
	}
	(void)fprintf(strcmp(word, "--help") == 0 ? stdout : stderr,
	    "Usage: ayni model inspect FILE\n"
	    "       ayni model eval FILE --tokens IDS [--greedy N] [--top K]\n"
	    "       ayni model tokenize FILE < TEXT\n"
	    "`ayni model COMMAND --help` tells more.\n");
	return strcmp(word, "--help") == 0 ? CLI_OK : CLI_USAGE;
}
