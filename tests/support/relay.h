/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay between a donor and its pool that damages messages on order, for tests of what is
 * refused. It holds the secret keys of both, so that each takes it for the other: CURVE ends here,
 * the frames go on as they came, and their signatures stay right until an order says otherwise.
 *
 * It runs as a process of its own, forked by relay_start. One donor at a time. Whatever goes wrong
 * in the relay itself fails the test.
 */
#ifndef AYNI_TESTS_SUPPORT_RELAY_H
#define AYNI_TESTS_SUPPORT_RELAY_H

#include "protocol/identity.h"
#include "protocol/messages.h"

struct relay;

enum relay_damage {
	/* by someone on the way, who holds no key */
	RELAY_PAYLOAD_BIT, /* one bit of the payload is another */
	RELAY_HEADER_BIT,
	RELAY_HEADER_CUT, /* its last byte is missing */
	RELAY_UNSIGNED,   /* the signature is zero */
	RELAY_TWICE,      /* sent, and sent again */
	RELAY_VERSION,    /* of a protocol yet to come */
	RELAY_TYPE,       /* one that is not known */
	RELAY_DISGUISED,  /* it says to be a heartbeat, which has no payload */
	RELAY_ENVELOPE_CUT,
	RELAY_ENVELOPE_LONG, /* past the limit of the transport */
	/* by someone with a key that is not the sender's */
	RELAY_STRANGER, /* signed by another, who says so */
	RELAY_FORGED,   /* signed by another in the sender's name */
	/* by the sender itself: the signature is right */
	RELAY_RECIPIENT, /* meant for someone else */
	RELAY_EXPIRED,
	RELAY_HEADER_NOISE,    /* no message at all */
	RELAY_UNIT_NUMBER,     /* of the unit before, in a new envelope */
	RELAY_UNIT_ASSIGNMENT, /* work that was never assigned */
	RELAY_UNIT_LAYERS,     /* one layer more than was assigned */
	RELAY_UNIT_POSITION,   /* does not continue what the donor holds */
	RELAY_UNIT_TOKENS,     /* the payload has one token more than the header tells */
	RELAY_RESULT_SHORT,    /* a row of logits is missing */
	RELAY_RESULT_NAN,      /* not finite */
	RELAY_RESULT_COST,     /* claims more work than there was */
	RELAY_RESULT_UNKNOWN,  /* of a unit that was never sent */
	RELAY_DAMAGE_END
};

struct relay_options {
	const char *pool_key, *donor_key; /* files */
	const char *pool_endpoint;        /* tcp://host:port */
};

struct relay *relay_start(const struct relay_options *options);
/* "tcp://127.0.0.1:port": where the donor finds it. */
const char *relay_endpoint(const struct relay *r);
/*
 * From now on let `skip` messages of this type pass (each type goes one way only, but Heartbeat and
 * Refusal), then damage one. An order at a time: the next after relay_wait.
 */
void relay_order(struct relay *r, enum message_type type, uint32_t skip, enum relay_damage damage);
/* Wait until the order was carried out. */
void relay_wait(struct relay *r);
/* Or look whether it was; once it was, it is not waited for. */
bool relay_done(struct relay *r);
/* Ends the process and frees; NULL is fine. */
void relay_stop(struct relay *r);

#endif
