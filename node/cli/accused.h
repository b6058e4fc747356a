/* SPDX-License-Identifier: Apache-2.0 */
/* A file of evidence against a donor, looked at again on this machine. */
#ifndef AYNI_NODE_CLI_ACCUSED_H
#define AYNI_NODE_CLI_ACCUSED_H

#include "node/evidence.h"

enum accused_outcome {
	ACCUSED_LIED,  /* proven */
	ACCUSED_RIGHT, /* what it stands for is what the model gives: no lie */
	ACCUSED_BAD    /* the file shows nothing, or could not be looked at; the error says why */
};

/* `model`: what a person calls it. *file_hash is that of the file, as far as it could be read. */
enum accused_outcome accused_check(const char *file, const char *model,
    struct evidence_finding *out, struct hash *file_hash, struct error *err);

#endif
