/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/pace.h"

#include <stdlib.h>

static double within(double x, double least, double most)
{
	if (x < least)
		return least;
	return x < most ? x : most;
}

static double bounded(double ratio)
{
	return within(ratio, 1.0 / PACE_FASTER_MOST, PACE_SLOWER_MOST);
}

static double usual_of(const double *usual, uint32_t model)
{
	return usual[model] > 0 ? usual[model] : 1;
}

uint64_t pace_observed_us(struct pace *p, const struct pace_unit *u, uint64_t now_us)
{
	uint64_t since = now_us - p->result_us; /* of the first, since the clock began */
	uint64_t least = u->away_us > u->trip_us ? u->away_us - u->trip_us : 0;
	uint64_t most = u->away_us < since ? u->away_us : since;

	p->result_us = now_us;
	least = least < since ? least : since;
	if (u->said_us < least)
		return least;
	return u->said_us < most ? u->said_us : most;
}

/* What was learnt on another model tells how this donor compares with others. */
static void begin(struct pace *p, uint32_t model, const double *usual)
{
	if (p->ratio == 0)
		p->ratio = usual_of(usual, model) * (p->before > 0 ? p->before : 1);
	else if (p->model != model)
		p->ratio *= usual_of(usual, model) / usual_of(usual, p->model);
	if (p->model != model && p->seen > PACE_SEEN_LEAST)
		p->seen = PACE_SEEN_LEAST;
	p->model = model;
}

void pace_learn(struct pace *p, uint32_t model, double observed_us, double claimed_us,
    const double *usual, uint64_t now_us)
{
	double weight, sample;

	if (!(claimed_us > 0))
		return;
	begin(p, model, usual);
	sample = within(
	    observed_us / claimed_us, p->ratio / PACE_STEP_TIMES, p->ratio * PACE_STEP_TIMES);
	/* the first few count more: before them there is a guess */
	weight = p->seen + 2 < PACE_WEIGHT ? p->seen + 2 : PACE_WEIGHT;
	p->ratio = bounded(p->ratio + (sample - p->ratio) / weight);
	p->seen += p->seen < UINT32_MAX;
	p->seen_us = now_us;
}

void pace_offered(struct pace *p, double times)
{
	if (!(times > 0))
		return;
	if (p->ratio > 0)
		p->ratio = bounded(p->ratio / times);
	if (p->before > 0)
		p->before = bounded(p->before / times);
}

bool pace_known(const struct pace *p)
{
	return p->seen >= PACE_SEEN_LEAST;
}

double pace_relative(const struct pace *p, const double *usual, uint64_t now_us)
{
	double half = PACE_HALF_S * 1e6, idle, times = p->before > 0 ? p->before : 1;

	if (pace_known(p))
		times = p->ratio / usual_of(usual, p->model);
	idle = now_us > p->seen_us ? (double)(now_us - p->seen_us) : 0;
	return 1 + (times - 1) * (half / (half + idle));
}

void pace_recall(struct pace *p, double relative, uint64_t now_us)
{
	p->before = bounded(relative);
	p->seen_us = now_us;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double pace_usual(double *ratios, size_t n)
{
	double usual;

	if (n == 0)
		return 0;
	qsort(ratios, n, sizeof *ratios, compare);
	usual = n < PACE_USUAL_LEAST ? ratios[0] : (ratios[(n - 1) / 2] + ratios[n / 2]) / 2;
	return within(usual, 1.0 / PACE_USUAL_TIMES, PACE_USUAL_TIMES);
}
