/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a model computed here by one table of kernels lies from what another makes of the same,
 * layer by layer, and whether a checker would take it for rounding (compute/agreement.h).
 */
#ifndef AYNI_NODE_CLI_DEVIATE_H
#define AYNI_NODE_CLI_DEVIATE_H

#include "node/cli/local.h"

struct deviate {
	const char *file;
	struct local_options local; /* what is checked */
	const char *against;        /* kernels that check it */
	const uint32_t *tokens;     /* borrowed */
	size_t n_tokens;
	bool json;
};

/* Prints a line a layer, or JSON. AYNI_ERR_STATE if a layer's results do not agree. */
int deviate(const struct deviate *d, struct error *err);

#endif
