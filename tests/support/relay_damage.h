/* SPDX-License-Identifier: Apache-2.0 */
/* How a relay damages a message; see relay.h for what each damage is. */
#ifndef AYNI_TESTS_SUPPORT_RELAY_DAMAGE_H
#define AYNI_TESTS_SUPPORT_RELAY_DAMAGE_H

#include "protocol/frame.h"
#include "tests/support/relay.h"

struct relay_keys {
	struct identity *pool, *donor;
	struct identity *stranger; /* another pool */
};

enum { RELAYED_ENVELOPE_MAX = 2048 };

/* A message on its way, as a copy that may be changed. */
struct relayed {
	uint8_t envelope[RELAYED_ENVELOPE_MAX];
	size_t envelope_len;
	uint8_t *header, *payload; /* owned */
	size_t header_len, payload_len;
	bool twice;
};

/* Ends the process if memory is out. */
void relayed_copy(struct span envelope, struct span header, struct span payload, struct relayed *m);
void relayed_free(struct relayed *m);
/* AYNI_ERR_ARGUMENT: this message cannot be damaged so. */
int relayed_damage(
    struct relayed *m, enum relay_damage damage, const struct relay_keys *keys, struct error *err);

#endif
