/* SPDX-License-Identifier: Apache-2.0 */
/* Options of every command that draws tokens, as an argp child (struct sampler_settings as input).
 */
#ifndef AYNI_NODE_CLI_SAMPLING_H
#define AYNI_NODE_CLI_SAMPLING_H

#include <argp.h>

#include "compute/sampler.h"
#include "compute/wire.h"

/* The parent's parser hands its settings down in ARGP_KEY_INIT: state->child_inputs[0]. */
extern const struct argp sampling_argp;

/* Whole text as a number in [min, max], or the end of the program with a usage error. */
uint64_t option_u64(
    struct argp_state *state, const char *name, const char *text, uint64_t min, uint64_t max);
/* The value of --wire, likewise. */
enum wire_type option_wire(struct argp_state *state, const char *text);

#endif
