/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open Internet in a test: a TCP relay in a process of its own that delays what it passes on,
 * both ways, unsteadily if wanted, and no faster than some rate; and whose connections break, or
 * fall silent, on order. It passes bytes on as they came and knows nothing of what they mean.
 * Whatever goes wrong in the relay itself fails the test.
 */
#ifndef AYNI_TESTS_SUPPORT_WAN_H
#define AYNI_TESTS_SUPPORT_WAN_H

#include <stdint.h>

struct wan;

struct wan_options {
	const char *to;       /* "tcp://127.0.0.1:port" */
	uint64_t delay_us;    /* each way: half a round trip */
	uint64_t jitter_us;   /* up to so much more, by chance; the order stays */
	uint64_t bytes_per_s; /* each way of each connection; 0: no limit */
	uint32_t seed;        /* of the chance */
};

struct wan *wan_start(const struct wan_options *o);
/* "tcp://127.0.0.1:port": where peers find it. */
const char *wan_endpoint(const struct wan *w);
void wan_cut(struct wan *w);    /* all connections end at once; new ones are taken */
void wan_freeze(struct wan *w); /* nothing passes, nothing ends: a cable that is pulled */
void wan_thaw(struct wan *w);
void wan_stop(struct wan *w); /* NULL is fine */

#endif
