/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units that were admitted and not run yet, in their order. A unit whose input another donor hands
 * over waits for it; later ones overtake it, but not those that share a session with it. Plain
 * bookkeeping; all zeros is empty. One thread.
 */
#ifndef AYNI_NODE_DONOR_QUEUE_H
#define AYNI_NODE_DONOR_QUEUE_H

#include "node/donor/intake.h"
#include "protocol/messages.h"
#include "protocol/transport.h"

enum { QUEUE_MAX = INTAKE_MAX_QUEUE + 1 /* with one whose result nobody wants any more */ };

struct queued_unit {
	struct message *message; /* owned, with what it borrows from parts */
	struct transport_parts parts;
	uint8_t *input; /* owned; what was handed over */
	struct span payload;
	struct hash input_hash;
	struct hash *inputs; /* owned; of its parts, once it runs */
	bool waits;          /* for its input */
};

struct unit_queue {
	size_t n;
	struct queued_unit units[QUEUE_MAX];
};

/* Takes message and parts over; there must be room. */
void queue_add(struct unit_queue *q, struct message *m, struct transport_parts *parts);
/* Would it change what either does, if the later one ran first? */
bool queue_depends(const struct msg_work_unit *later, const struct msg_work_unit *earlier);
/* Bring the first that may run to the front; false: there is none. */
bool queue_next(struct unit_queue *q);
void queue_remove(struct unit_queue *q, size_t i);
/* The unit that waits for this of that donor (NULL: of any), or NULL. */
struct queued_unit *queue_waiting(
    struct unit_queue *q, const struct public_key *donor, uint64_t ticket);
/* The unit with this number, or q->n. */
size_t queue_find(const struct unit_queue *q, uint64_t unit);
/* It waits no more. AYNI_ERR_MEMORY: it still does. */
int queue_give(struct queued_unit *u, struct span payload, const struct hash *hash);

#endif
