/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/sampling.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
	KEY_TEMPERATURE = 0x300,
	KEY_TOP_K,
	KEY_TOP_P,
	KEY_MIN_P,
	KEY_REPEAT_PENALTY,
	KEY_REPEAT_LAST_N,
	KEY_FREQUENCY_PENALTY,
	KEY_PRESENCE_PENALTY,
	KEY_SEED
};

static const struct argp_option options[] = {
    {NULL, 0, NULL, 0, "Drawing tokens:", 2},
    {"temperature", KEY_TEMPERATURE, "T", 0, "0 takes the likeliest token (default 0)", 2},
    {"top-k", KEY_TOP_K, "K", 0, "only the K likeliest; 0: all looked at (default 0)", 2},
    {"top-p", KEY_TOP_P, "P", 0, "only the likeliest that add up to P (default 1)", 2},
    {"min-p", KEY_MIN_P, "P", 0, "only those P times as likely as the best (default 0)", 2},
    {"repeat-penalty", KEY_REPEAT_PENALTY, "R", 0, "against repetition; 1: off (default 1)", 2},
    {"repeat-last-n", KEY_REPEAT_LAST_N, "N", 0, "tokens that count as repetition (default 64)", 2},
    {"frequency-penalty", KEY_FREQUENCY_PENALTY, "P", 0,
        "off a token's logit for each time it is in the answer (default 0)", 2},
    {"presence-penalty", KEY_PRESENCE_PENALTY, "P", 0,
        "off a token's logit if it is in the answer (default 0)", 2},
    {"seed", KEY_SEED, "S", 0, "the same seed draws the same tokens (default 0)", 2},
    {0},
};

uint64_t option_u64(
    struct argp_state *state, const char *name, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || n < min || n > max)
		argp_error(state, "%s %s: a whole number from %llu to %llu is allowed", name, text,
		    (unsigned long long)min, (unsigned long long)max);
	return n;
}

static float option_float(struct argp_state *state, const char *name, const char *text)
{
	char *end;
	float value = strtof(text, &end);

	if (*text == '\0' || *end != '\0' || !isfinite(value))
		argp_error(state, "%s %s: a number is wanted", name, text);
	return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct sampler_settings *s = state->input;
	struct error err;

	switch (key) {
	case KEY_TEMPERATURE:
		s->temperature = option_float(state, "--temperature", arg);
		break;
	case KEY_TOP_K:
		s->top_k = (uint32_t)option_u64(state, "--top-k", arg, 0, UINT32_MAX);
		break;
	case KEY_TOP_P:
		s->top_p = option_float(state, "--top-p", arg);
		break;
	case KEY_MIN_P:
		s->min_p = option_float(state, "--min-p", arg);
		break;
	case KEY_REPEAT_PENALTY:
		s->repeat_penalty = option_float(state, "--repeat-penalty", arg);
		break;
	case KEY_REPEAT_LAST_N:
		s->repeat_last_n =
		    (uint32_t)option_u64(state, "--repeat-last-n", arg, 0, UINT32_MAX);
		break;
	case KEY_FREQUENCY_PENALTY:
		s->frequency_penalty = option_float(state, "--frequency-penalty", arg);
		break;
	case KEY_PRESENCE_PENALTY:
		s->presence_penalty = option_float(state, "--presence-penalty", arg);
		break;
	case KEY_SEED:
		s->seed = option_u64(state, "--seed", arg, 0, UINT64_MAX);
		break;
	case ARGP_KEY_END:
		if (sampler_check(s, &err) != AYNI_OK)
			argp_error(state, "%s", err.text);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

const struct argp sampling_argp = {.options = options, .parser = parse};

enum wire_type option_wire(struct argp_state *state, const char *text)
{
	enum wire_type wire = WIRE_F32;

	if (!wire_type_find(text, &wire))
		argp_error(state, "--wire %.20s: f32, f16, q8 are known", text);
	return wire;
}
