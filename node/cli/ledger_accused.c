/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger verify-evidence`: did a donor sign what the model does not give? */
#include <jansson.h>
#include <stdlib.h>

#include "node/cli/accused.h"
#include "node/cli/ledger.h"
#include "protocol/identity.h"

enum { NOT_PROVEN = 1, BAD_FILE = 2 };

struct options {
	const char *file, *model;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'm':
		o->model = arg;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_usage(state);
		o->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->file == NULL || o->model == NULL)
			argp_error(state, "a file of evidence and --model are wanted");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_words(const struct evidence_finding *f, enum accused_outcome o)
{
	char donor[HEX32_CHARS], pool[HEX32_CHARS], given[HEX32_CHARS], right[HEX32_CHARS];

	hex32(f->donor.bytes, donor);
	hex32(f->pool.bytes, pool);
	hex32(f->given.bytes, given);
	hex32(f->right.bytes, right);
	(void)printf("%s\ndonor      %s\npool       %s\nmodel      %s\n"
	             "layer      %u%s, positions %u to %u\ngave       %s\nthe model  %s\n",
	    o == ACCUSED_LIED ? "PROVEN: this donor signed numbers that the model does not give"
	                      : "NOT PROVEN: what this donor signed is what the model gives",
	    donor, pool, f->model_name, f->layer, f->logits ? " (with the logits)" : "",
	    f->position, f->position + f->n_rows - 1, given, right);
}

static json_t *hex_value(const uint8_t bytes[32])
{
	char hex[HEX32_CHARS];

	hex32(bytes, hex);
	return json_string(hex);
}

static int print_json(const struct evidence_finding *f, enum accused_outcome o,
    const struct hash *file, const struct error *err)
{
	json_t *root;
	int rc;

	if (o == ACCUSED_BAD)
		root = json_pack("{sb ss}", "proven", 0, "error", err->text);
	else
		root = json_pack("{sb so so so ss so si si si sb so so}", "proven",
		    o == ACCUSED_LIED, "donor", hex_value(f->donor.bytes), "pool",
		    hex_value(f->pool.bytes), "model", hex_value(f->model.bytes), "model_name",
		    f->model_name, "evidence", hex_value(file->bytes), "layer", (int)f->layer,
		    "position", (int)f->position, "rows", (int)f->n_rows, "logits", f->logits,
		    "given", hex_value(f->given.bytes), "right", hex_value(f->right.bytes));
	rc = root != NULL ? json_dumpf(root, stdout, JSON_INDENT(1)) : -1;
	(void)printf("\n");
	json_decref(root);
	return rc;
}

int ledger_verify_evidence(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"model", 'm', "MODEL", 0, "the model that it is about: a GGUF file", 0},
	    {"json", 'j', NULL, 0, "for programs", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .args_doc = "FILE",
	    .doc =
	        "Check what a pool says of a donor that it caught, believing neither of them: is "
	        "it signed by the donor, and does the model give something else? One layer is "
	        "computed here. FILE is evidence/HASH.evidence of the pool's folder; it holds "
	        "numbers of somebody's prompt, so it is for those whom it concerns. Exit status "
	        "0 if the lie is proven, 1 if there is none, 2 if the file shows nothing."};
	struct options o = {0};
	struct evidence_finding f;
	struct hash file = {{0}};
	struct error err = {0};
	enum accused_outcome outcome;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	outcome = accused_check(o.file, o.model, &f, &file, &err);
	if (o.json && print_json(&f, outcome, &file, &err) != 0)
		return BAD_FILE;
	if (outcome == ACCUSED_BAD) {
		(void)cli_fail("ledger verify-evidence", &err);
		return BAD_FILE;
	}
	if (!o.json)
		print_words(&f, outcome);
	return outcome == ACCUSED_LIED ? CLI_OK : NOT_PROVEN;
}
