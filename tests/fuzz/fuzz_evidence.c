/* SPDX-License-Identifier: Apache-2.0 */
/* Files of evidence as anybody may send them: what opens is within its bounds, and the same when it
 * is written and read again; and the frames inside, which nobody need have signed. */
#include <stdlib.h>

#include "protocol/envelope.h"
#include "protocol/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bounds(const struct evidence *e)
{
	uint32_t reached = 0;

	assert(e->layer >= e->layers.first && e->layer < e->layers.last && e->part < e->n_parts);
	for (size_t i = 0; i < e->n_parts; i++) {
		const struct evidence_part *p = &e->parts[i];

		assert(p->position <= reached && p->n_rows >= 1 && p->n_logits <= p->n_rows);
		assert(p->n_rows <= EVIDENCE_PART_ROWS);
		reached = p->position + p->n_rows;
		for (uint32_t k = 0; k + 1 < e->layers.last - e->layers.first; k++)
			assert(hash_equal(&p->after[k], &p->after[k])); /* it can be read */
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evidence e, again;
	struct message *m = NULL;
	struct frame frame;
	uint8_t *bytes;
	size_t len;

	if (evidence_decode(data, size, &e, NULL) != AYNI_OK)
		return 0;
	check_bounds(&e);
	if (envelope_read(e.envelope, e.header, &frame, &m, NULL) == AYNI_OK)
		message_free(m);
	assert(evidence_encode(&e, &bytes, &len, NULL) == AYNI_OK);
	assert(evidence_decode(bytes, len, &again, NULL) == AYNI_OK);
	assert(again.n_parts == e.n_parts && again.rows.len == e.rows.len);
	evidence_free(&again);
	evidence_free(&e);
	free(bytes);
	return 0;
}
