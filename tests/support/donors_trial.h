/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The donors of one path over a tiny model, who compute a session as it is fed, stand for it and
 * sign that, honestly or not: for tests of what is made of it. One at a time, as globals.
 */
#ifndef AYNI_TESTS_SUPPORT_DONORS_TRIAL_H
#define AYNI_TESTS_SUPPORT_DONORS_TRIAL_H

#include "compute/gguf.h"
#include "compute/team.h"
#include "node/pool/recheck.h"
#include "protocol/identity.h"

enum { DONORS = 2, DONORS_LAYERS = 4, DONORS_D = 64, DONORS_CONTEXT = 256, HONEST = -1 };

struct donors_trial {
	struct gguf *gguf;
	struct team *team;
	uint8_t *manifest; /* signed, of the model */
	size_t manifest_len;
	struct identity *pool, *keys[DONORS];
	struct trail_budget budget;
	struct trail *trail; /* being recorded */
	enum wire_type wire;
	enum kv_type kv;
	uint8_t *given[DONORS_LAYERS]; /* what layers were given of all that was fed */
	size_t given_len[DONORS_LAYERS];
};
extern struct donors_trial donors;

/* Group set-up and tear-down: the model and the keys. */
int donors_open(void **state);
int donors_close(void **state);

/* The first has layer 0, the second the others. */
struct trail *donors_new_trail(void);
void donors_start(enum wire_type type, enum kv_type kv);
void donors_stop(void);

/* One unit. `liar`: a bit of what this layer gives, of which all that follows is made; or HONEST.
 */
void donors_feed(uint32_t position, uint32_t n, uint32_t n_logits, int liar);
/* A prompt over two pages, then tokens, honestly. */
void donors_feed_session(uint32_t n_tokens);
/* Each donor's last result is signed and kept with the trail. */
void donors_sign(void);
struct recheck_model donors_model(void);

#endif
