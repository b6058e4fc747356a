/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/gain.h"

/* What a trip counts for after another one. */
#define FADES 0.875

void gain_begin(struct gain *g, const struct gain *known)
{
	*g = *known;
	g->since = 0;
	g->pause = known->pause / 2;
	if (g->pause < GAIN_PAUSE)
		g->pause = 0;
}

static bool is_tried(const struct gain *g, enum way way)
{
	return g->ways[way].trips >= GAIN_TRY_TRIPS;
}

static double token_us(const struct gain_way *w)
{
	return w->us / w->n_tokens;
}

static enum way other(enum way way)
{
	return way == WAY_ALONE ? WAY_DRAFTED : WAY_ALONE;
}

static void compare(struct gain *g)
{
	double alone_us = token_us(&g->ways[WAY_ALONE]);
	double least_us = alone_us * GAIN_LEAST_PERCENT / 100;
	enum way best =
	    token_us(&g->ways[WAY_DRAFTED]) < alone_us - least_us ? WAY_DRAFTED : WAY_ALONE;

	if (best != g->best)
		g->since = g->pause = 0;
	g->best = best;
}

/* The other's trips were long ago: it is tried as if it never had been. */
static void try_again(struct gain *g)
{
	uint32_t pause = g->pause > 0 ? g->pause : GAIN_PAUSE;

	if (g->since < pause)
		return;
	g->ways[other(g->best)].trips = 0;
	g->since = 0;
	g->pause = 2 * pause < GAIN_PAUSE_MOST ? 2 * pause : GAIN_PAUSE_MOST;
}

void gain_learn(struct gain *g, enum way way, uint64_t us, uint32_t n_tokens)
{
	struct gain_way *w;

	if (way == WAY_OTHER || n_tokens == 0)
		return;
	w = &g->ways[way];
	if (w->trips == 0)
		w->us = w->n_tokens = 0;
	w->us = w->us * FADES + (double)us;
	w->n_tokens = w->n_tokens * FADES + n_tokens;
	w->trips += w->trips < GAIN_TRY_TRIPS;
	if (!is_tried(g, WAY_ALONE) || !is_tried(g, WAY_DRAFTED))
		return;
	compare(g);
	if (way == g->best)
		g->since += n_tokens;
	try_again(g);
}

enum way gain_next(const struct gain *g)
{
	if (!is_tried(g, WAY_ALONE))
		return WAY_ALONE;
	return is_tried(g, WAY_DRAFTED) ? g->best : WAY_DRAFTED;
}

bool gain_is_lost(const struct gain *g)
{
	return is_tried(g, WAY_ALONE) && is_tried(g, WAY_DRAFTED) && g->best == WAY_ALONE;
}

uint64_t gain_alone_us(const struct gain *g)
{
	const struct gain_way *w = &g->ways[WAY_ALONE];

	return w->n_tokens > 0 ? (uint64_t)token_us(w) : 0;
}
