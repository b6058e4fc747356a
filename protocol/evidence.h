/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that shows a lie (Evidence in ayni.proto): bytes to a checked plain struct and back.
 * What it says is checked by node/evidence.h. Pure functions, any thread.
 */
#ifndef AYNI_PROTOCOL_EVIDENCE_H
#define AYNI_PROTOCOL_EVIDENCE_H

#include "protocol/message_types.h"

enum {
	EVIDENCE_BYTES_MAX = 1 << 28,
	EVIDENCE_PARTS_MAX = 1 << 20,
	EVIDENCE_PART_ROWS = 64 /* positions of a page */
};

struct evidence_part {
	uint32_t position, n_rows, n_logits, top;
	struct hash input, output;
	const struct hash *after; /* [layers but the last] */
};

/* All is borrowed if made by hand; evidence_decode's is owned by it. */
struct evidence {
	struct span manifest; /* signed */
	struct layer_range layers;
	uint32_t kv_type, wire;
	size_t n_parts;
	struct evidence_part *parts;
	struct span envelope, header;
	uint32_t layer;
	uint32_t part;
	struct span rows;
	void *memory;
};

/* *out is malloc'd. AYNI_ERR_ARGUMENT names the field that is out of bounds; AYNI_ERR_LIMIT: it is
 * larger than a file may be. */
int evidence_encode(const struct evidence *e, uint8_t **out, size_t *len, struct error *err);
/* AYNI_ERR_FORMAT, AYNI_ERR_LIMIT, AYNI_ERR_MEMORY. */
int evidence_decode(const uint8_t *data, size_t len, struct evidence *out, struct error *err);
void evidence_free(struct evidence *e); /* of evidence_decode */

#endif
