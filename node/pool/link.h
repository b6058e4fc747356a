/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast bytes go to a donor and come back, as far as the pool can see:
 *
 *  - down, while it fetches layers: all bytes it asked for, over the time from the first request to
 *    its word that they are there (with its disk and its pauses: what it takes is what counts);
 *  - down or up, from a large unit that had nothing beside it: what is left of its time away after
 *    the round trip and what the donor says that it computed. It goes to the direction that had
 *    most of the bytes, less what the other takes by what is known of it.
 *
 * And how long the way there and back takes by itself: from words that no large unit was on its way
 * with. As other things may be in their way, a longer one counts much less than a shorter one.
 *
 * All in time a MiB, since times are what add up. What is slower counts more than what is faster,
 * so that a link is known by its ordinary bad moments. A donor that says it computed for longer
 * than it did has a faster link and a slower pace (pace.h) for it: it gains nothing.
 *
 * Plain data and pure functions; all zeros is a link not measured yet. One thread.
 */
#ifndef AYNI_NODE_POOL_LINK_H
#define AYNI_NODE_POOL_LINK_H

#include "protocol/base.h"

enum {
	LINK_FETCH_LEAST = 1 << 20, /* bytes; of less, other things take most of the time */
	LINK_UNIT_LEAST = 1 << 16,
	LINK_SLOWER_WEIGHT = 4, /* a slower measure counts one part in so many, */
	LINK_FASTER_WEIGHT = 16,
	LINK_SHORTER_WEIGHT = 4, /* likewise for trips */
	LINK_LONGER_WEIGHT = 32,
	LINK_BYTES_PER_S_LEAST = 10000, /* measures beyond these are taken as these */
	LINK_BYTES_PER_S_MOST = 1250000000
};

struct link {
	double down_us, up_us; /* a MiB; 0: not known */
	double trip_us;        /* there and back with nothing in the way; 0: not known */
	uint64_t fetch;        /* assignment whose layers are fetched; 0: none */
	uint64_t fetch_us, fetch_bytes;
	uint64_t fetched_us;      /* the last fetch ended */
	uint64_t large, large_us; /* the last large unit, 0 once it is back; when that was */
	uint64_t unit;            /* large, and alone when it was sent; 0: none */
	uint64_t unit_down, unit_up;
};

/* The donor asks for so many bytes of what it was assigned; it has it all, or never will. What it
 * asks for twice counts once: of more than `most` bytes only these count. */
void link_asked(struct link *l, uint64_t assignment, uint64_t bytes, uint64_t now_us);
void link_fetched(struct link *l, bool here, uint64_t most, uint64_t now_us);

/* A word came back that was sent then. False: it was behind the chunks of a model, where it takes
 * many times as long as else, and tells nothing. */
bool link_trip(struct link *l, uint64_t sent_us, uint64_t now_us);

/* A large unit is sent; the result of any unit arrived; of one that was alone when it was sent, the
 * time that its bytes took. */
void link_sent(struct link *l, uint64_t unit, bool alone, uint64_t bytes);
void link_arrived(struct link *l, uint64_t unit, uint64_t bytes, uint64_t now_us);
void link_took(struct link *l, uint64_t unit, uint64_t us);

/* As if it were as fast both ways, 0 if nothing is known. Of one way only: the way up is taken as
 * no faster than assumed (placement.h), the way down as no slower than that up. */
uint64_t link_bytes_per_s(const struct link *l);

#endif
