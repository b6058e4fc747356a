/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni model inspect | tokenize`; the others have files of their own. */
#include <argp.h>
#include <stdlib.h>

#include "compute/kv.h"
#include "compute/tokenizer.h"
#include "node/cli/cli.h"
#include "node/cli/model.h"
#include "node/models.h"

struct options {
	const char *file;
	bool bos, special;
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
		if (o->file == NULL)
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
	int rc = models_open(o->file, &g, err);

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
		    "feed-forward %u, vocabulary %u, context %u\nKV cache: %llu bytes a token",
		    s.n_layers, s.d_model, s.n_heads, s.n_kv_heads, s.d_head, s.d_ff,
		    s.n_vocabulary, s.context_tokens,
		    (unsigned long long)kv_bytes_per_token(&s, KV_F16, s.n_layers));
		if (kv_type_suits(KV_INT8, &s))
			(void)printf("; in int8 %llu",
			    (unsigned long long)kv_bytes_per_token(&s, KV_INT8, s.n_layers));
		(void)printf("\n\nlayers\n");
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

/* ---- tokenize ----------------------------------------------------------------------------- */

static int read_stdin(char **text, size_t *len, struct error *err)
{
	char *data = malloc(TOKENIZER_MAX_TEXT_BYTES + 1);

	if (data == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	*len = fread(data, 1, TOKENIZER_MAX_TEXT_BYTES + 1, stdin);
	*text = data;
	if (ferror(stdin))
		return error_set(err, AYNI_ERR_IO, "cannot read the standard input");
	if (*len > TOKENIZER_MAX_TEXT_BYTES)
		return error_set(err, AYNI_ERR_LIMIT, "the text is longer than %d MiB",
		    TOKENIZER_MAX_TEXT_BYTES >> 20);
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

	if ((rc = models_open(o->file, &g, err)) == AYNI_OK &&
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
	} commands[] = {{"inspect", cli_inspect}, {"eval", cli_model_eval},
	    {"tokenize", cli_tokenize}, {"quantize", cli_model_quantize}, {"pull", cli_model_pull},
	    {"list", cli_model_list}, {"rm", cli_model_rm}, {"publish", cli_model_publish}};
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
	    "Usage: ayni model pull OWNER/NAME[:FILE] | URL\n"
	    "       ayni model list\n"
	    "       ayni model rm NAME\n"
	    "       ayni model inspect FILE\n"
	    "       ayni model eval FILE --tokens IDS [--greedy N] [--top K]\n"
	    "       ayni model eval FILE --text TEXT [--window N] [--stride N]\n"
	    "       ayni model tokenize FILE < TEXT\n"
	    "       ayni model quantize IN OUT TYPE\n"
	    "       ayni model publish FILE [--pool FOLDER]\n"
	    "`ayni model COMMAND --help` tells more.\n");
	return strcmp(word, "--help") == 0 ? CLI_OK : CLI_USAGE;
}
