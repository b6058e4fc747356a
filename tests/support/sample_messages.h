/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A valid message of each type, for tests of the protocol: SMALL has one element in each list,
 * FULL has every list and number at the bound that ayni.proto states. The arrays belong to
 * sample_free.
 */
#ifndef AYNI_TESTS_SAMPLE_MESSAGES_H
#define AYNI_TESTS_SAMPLE_MESSAGES_H

#include "protocol/messages.h"

enum sample_size { SAMPLE_SMALL, SAMPLE_FULL };

struct sample {
	struct message message;
	void *owned[8];
	size_t n_owned;
};

void sample_make(struct sample *s, enum message_type type, enum sample_size size);
void sample_free(struct sample *s);

#endif
