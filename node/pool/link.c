/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/link.h"

#include "node/pool/placement.h"

static const double mib = 1 << 20;

static double us_a_mib(double bytes_per_s)
{
	return mib / bytes_per_s * 1e6;
}

static void measure(double *known_us, double us, double bytes)
{
	double sample = us * mib / bytes, weight;

	sample =
	    sample < us_a_mib(LINK_BYTES_PER_S_LEAST) ? sample : us_a_mib(LINK_BYTES_PER_S_LEAST);
	sample =
	    sample > us_a_mib(LINK_BYTES_PER_S_MOST) ? sample : us_a_mib(LINK_BYTES_PER_S_MOST);
	weight = sample > *known_us ? LINK_SLOWER_WEIGHT : LINK_FASTER_WEIGHT;
	*known_us = *known_us > 0 ? *known_us + (sample - *known_us) / weight : sample;
}

void link_asked(struct link *l, uint64_t assignment, uint64_t bytes, uint64_t now_us)
{
	if (l->fetch != assignment) {
		l->fetch = assignment;
		l->fetch_us = now_us;
		l->fetch_bytes = 0;
	}
	l->fetch_bytes += bytes;
}

void link_fetched(struct link *l, bool here, uint64_t most, uint64_t now_us)
{
	uint64_t bytes = l->fetch_bytes < most ? l->fetch_bytes : most;

	if (here && l->fetch != 0 && bytes >= LINK_FETCH_LEAST)
		measure(&l->down_us, (double)(now_us - l->fetch_us), (double)bytes);
	if (l->fetch != 0)
		l->fetched_us = now_us;
	l->fetch = 0;
}

bool link_trip(struct link *l, uint64_t sent_us, uint64_t now_us)
{
	double us = now_us > sent_us ? (double)(now_us - sent_us) : 1;

	if (l->fetch != 0 || sent_us < l->fetched_us)
		return false;
	if (l->large != 0 || sent_us < l->large_us)
		return true;
	if (l->trip_us == 0)
		l->trip_us = us;
	else
		l->trip_us += (us - l->trip_us) /
		              (us < l->trip_us ? LINK_SHORTER_WEIGHT : LINK_LONGER_WEIGHT);
	return true;
}

void link_sent(struct link *l, uint64_t unit, bool alone, uint64_t bytes)
{
	l->large = unit;
	if (!alone)
		return;
	l->unit = unit;
	l->unit_down = bytes;
	l->unit_up = 0;
}

/* Results come in the order of their units: one that never came does not come any more. */
void link_arrived(struct link *l, uint64_t unit, uint64_t bytes, uint64_t now_us)
{
	if (l->large != 0 && unit >= l->large) {
		l->large = 0;
		l->large_us = now_us;
	}
	if (l->unit == unit)
		l->unit_up = bytes;
}

void link_took(struct link *l, uint64_t unit, uint64_t us)
{
	double down = (double)l->unit_down, up = (double)l->unit_up, rest;
	bool is_down = down > up;

	if (unit == 0 || l->unit != unit)
		return;
	l->unit = 0;
	rest = (double)us - (is_down ? up * l->up_us : down * l->down_us) / mib;
	if ((is_down ? down : up) >= LINK_UNIT_LEAST)
		measure(
		    is_down ? &l->down_us : &l->up_us, rest > 0 ? rest : 0, is_down ? down : up);
}

uint64_t link_bytes_per_s(const struct link *l)
{
	double assumed = us_a_mib(PLACEMENT_ASSUMED_LINK_BYTES_PER_S);
	double up = l->up_us, down = l->down_us;

	if (up == 0 && down == 0)
		return 0;
	if (up == 0)
		up = down > assumed ? down : assumed;
	if (down == 0)
		down = up;
	return (uint64_t)(2 * mib * 1e6 / (up + down));
}
