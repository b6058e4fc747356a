/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/placement.h"

uint64_t placement_weight(const struct placement_model *m, struct layer_range range)
{
	uint64_t sum = range.first == 0 ? m->first_bytes : 0;

	sum += range.last == m->n_layers ? m->last_bytes : 0;
	for (uint32_t i = range.first; i < range.last; i++)
		sum += m->layer_bytes[i];
	return sum;
}

uint32_t placement_sessions(const struct placement_model *m, const struct placement_donor *d,
    struct layer_range range, uint32_t most)
{
	uint64_t weights, session = m->kv_layer_bytes * (range.last - range.first), n;

	if (d->max_layers != 0 && range.last - range.first > d->max_layers)
		return 0;
	weights = placement_weight(m, range);
	if (weights >= d->memory_bytes)
		return 0;
	n = session > 0 ? (d->memory_bytes - weights) / session : most;
	return n < most ? (uint32_t)n : most;
}

static const struct offer_speed *speed_of(const struct placement_donor *d, uint32_t type)
{
	for (size_t i = 0; i < d->n_speeds && d->speeds[i].type <= type; i++) {
		if (d->speeds[i].type == type)
			return &d->speeds[i];
	}
	return NULL;
}

static double part_us(
    const struct placement_donor *d, const struct placement_part *p, uint32_t tokens)
{
	const struct offer_speed *s = speed_of(d, p->type);
	uint64_t read = s != NULL ? s->read_bytes_per_s : d->read_bytes_per_s;
	uint64_t flop = s != NULL ? s->flop_per_s : d->flop_per_s;
	double bytes = (double)p->bytes * tokens; /* each token may need other experts */
	double work = (double)p->flop * tokens;
	bool reads; /* longer than it computes */

	if (bytes > (double)p->most_bytes)
		bytes = (double)p->most_bytes;
	if (read == 0 && flop == 0)
		read = PLACEMENT_ASSUMED_READ_BYTES_PER_S;
	reads = read > 0 && (flop == 0 || bytes * (double)flop >= work * (double)read);
	return (reads ? bytes / (double)read : work / (double)flop) * 1e6;
}

static double parts_us(
    const struct placement_donor *d, const struct placement_part *parts, size_t n, uint32_t tokens)
{
	double us = 0;

	for (size_t i = 0; i < n; i++)
		us += part_us(d, &parts[i], tokens);
	return us;
}

/* The parts of a layer, or of the head; `whole` is room for one. */
static const struct placement_part *parts_of(
    const struct placement_model *m, uint32_t layer, struct placement_part *whole, size_t *n)
{
	uint64_t bytes = layer < m->n_layers ? m->layer_bytes[layer] : m->last_bytes;

	*whole = (struct placement_part){PLACEMENT_ANY_TYPE, bytes, bytes, 0};
	*n = m->parts != NULL ? m->part_at[layer + 1] - m->part_at[layer] : 1;
	return m->parts != NULL ? &m->parts[m->part_at[layer]] : whole;
}

/* Of a layer, or of the head, by the offer alone. */
static double offered_us(const struct placement_model *m, const struct placement_donor *d,
    uint32_t layer, uint32_t tokens)
{
	struct placement_part whole;
	size_t n;
	const struct placement_part *parts = parts_of(m, layer, &whole, &n);

	return parts_us(d, parts, n, tokens);
}

static double paces(const struct placement_model *m, const struct placement_donor *d)
{
	return (m->pace > 0 ? m->pace : 1) * (d->pace > 0 ? d->pace : 1);
}

double placement_head_us(const struct placement_model *m, const struct placement_donor *d)
{
	return offered_us(m, d, m->n_layers, 1) * paces(m, d);
}

double placement_layer_us(
    const struct placement_model *m, const struct placement_donor *d, uint32_t layer)
{
	double us = offered_us(m, d, layer, 1) * paces(m, d);

	return layer + 1 == m->n_layers ? us + placement_head_us(m, d) : us;
}

size_t placement_sum(const struct placement_model *m, struct placement_part *out)
{
	size_t n_out = 0;

	for (uint32_t l = 0; l <= m->n_layers; l++) {
		struct placement_part whole;
		size_t n;
		const struct placement_part *parts = parts_of(m, l, &whole, &n);

		for (size_t i = 0; i < n; i++) {
			size_t k = 0;

			while (k < n_out && out[k].type != parts[i].type)
				k++;
			if (k == n_out)
				out[n_out++] = (struct placement_part){.type = parts[i].type};
			out[k].bytes += parts[i].bytes;
			out[k].most_bytes += parts[i].most_bytes;
			out[k].flop += parts[i].flop;
		}
	}
	return n_out;
}

double placement_parts_us(const struct placement_model *m, const struct placement_donor *d,
    const struct placement_part *parts, size_t n)
{
	return parts_us(d, parts, n, 1) * paces(m, d);
}

double placement_offered_us(const struct placement_model *m, const struct placement_donor *d,
    struct layer_range range, uint32_t tokens)
{
	double us = 0;

	for (uint32_t i = range.first; i < range.last; i++)
		us += offered_us(m, d, i, tokens);
	if (range.last == m->n_layers)
		us += offered_us(m, d, m->n_layers, tokens);
	return us;
}

double placement_compute_us(
    const struct placement_model *m, const struct placement_donor *d, struct layer_range range)
{
	return placement_offered_us(m, d, range, 1) * paces(m, d);
}

double placement_transfer_us(
    const struct placement_model *m, const struct placement_donor *d, uint32_t tokens)
{
	uint64_t rate = d->link_bytes_per_s > 0 ? d->link_bytes_per_s
	                                        : (uint64_t)PLACEMENT_ASSUMED_LINK_BYTES_PER_S;

	return 2 * (double)m->activation_bytes * tokens / (double)rate * 1e6;
}

struct placement_line placement_line(
    const struct placement_model *m, const struct placement_donor *d)
{
	double trip_us = d->round_trip_us > 0 ? (double)d->round_trip_us
	                                      : (double)PLACEMENT_ASSUMED_ROUND_TRIP_US;

	return (struct placement_line){trip_us, placement_transfer_us(m, d, 1)};
}

double placement_trip_us(const struct placement_model *m, const struct placement_donor *d)
{
	struct placement_line line = placement_line(m, d);

	return line.trip_us + line.transfer_us;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

struct placement_line placement_hop(
    struct placement_line a, struct placement_line b, uint64_t round_trip_us)
{
	double least_us = larger(a.trip_us - b.trip_us, b.trip_us - a.trip_us);
	double trip_us =
	    round_trip_us > 0 ? larger((double)round_trip_us, least_us) : a.trip_us + b.trip_us;

	return (struct placement_line){trip_us / 2, larger(a.transfer_us, b.transfer_us) / 2};
}

double placement_hop_us(const struct placement_model *m, const struct placement_donor *from,
    const struct placement_donor *to)
{
	struct placement_line hop;

	for (size_t i = 0; i < from->n_ways; i++) {
		if (from->ways[i].to != to)
			continue;
		hop = placement_hop(
		    placement_line(m, from), placement_line(m, to), from->ways[i].round_trip_us);
		return hop.trip_us + hop.transfer_us;
	}
	return -1;
}

double placement_loss_factor(const struct placement_donor *d)
{
	return d->stay_s > 0 ? 1 + PLACEMENT_LOSS_S / (double)d->stay_s : 1;
}

double placement_stage_us(
    const struct placement_model *m, const struct placement_donor *d, struct layer_range range)
{
	return (placement_compute_us(m, d, range) + placement_trip_us(m, d)) *
	       placement_loss_factor(d);
}

/* ---- cutting into stages ------------------------------------------------------------------ */

/* What a token reads of it: the embedding is looked up. */
static uint64_t read_bytes(const struct placement_model *m, struct layer_range range)
{
	return placement_weight(m, range) - (range.first == 0 ? m->first_bytes : 0);
}

static uint64_t heaviest(const struct placement_model *m, const uint32_t *cuts, uint32_t n)
{
	uint64_t most = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t w = read_bytes(m, (struct layer_range){cuts[i], cuts[i + 1]});

		most = w > most ? w : most;
	}
	return most;
}

/* Each cut where the sum of weights is nearest to its share, with a layer left for each range. */
static void cut_by_weight(const struct placement_model *m, uint32_t n, uint32_t *cuts)
{
	double total = (double)read_bytes(m, (struct layer_range){0, m->n_layers});
	double sum = 0;
	uint32_t at = 0;

	cuts[0] = 0;
	for (uint32_t i = 1; i < n; i++) {
		double share = total / n * i;

		sum += (double)m->layer_bytes[at++];
		while (at < m->n_layers - (n - i) && sum + (double)m->layer_bytes[at] / 2 < share)
			sum += (double)m->layer_bytes[at++];
		cuts[i] = at;
	}
	cuts[n] = m->n_layers;
}

uint32_t placement_cut(const struct placement_model *m, uint32_t stages, uint32_t *cuts)
{
	uint32_t n = stages < m->n_layers ? stages : m->n_layers;
	uint64_t by_weight;

	assert(n > 0);
	cut_by_weight(m, n, cuts);
	by_weight = heaviest(m, cuts, n);
	for (uint32_t i = 0; i <= n; i++)
		cuts[i] = (uint32_t)((uint64_t)m->n_layers * i / n);
	if (by_weight + by_weight / 10 < heaviest(m, cuts, n))
		cut_by_weight(m, n, cuts);
	return n;
}

/* ---- what is missing ---------------------------------------------------------------------- */

size_t placement_gaps(const bool *held, uint32_t n_layers, struct layer_range *out, size_t max)
{
	size_t n = 0;

	for (uint32_t l = 0; l < n_layers && n < max; l++) {
		if (held[l])
			continue;
		out[n].first = l;
		while (l < n_layers && !held[l])
			l++;
		out[n++].last = l;
	}
	return n;
}

size_t placement_missing(const struct placement_donor *donors, size_t n_donors, uint32_t model,
    uint32_t n_layers, struct layer_range *out, size_t max)
{
	bool held[LIMIT_LAYERS] = {false};

	for (size_t i = 0; i < n_donors; i++) {
		const struct placement_donor *d = &donors[i];

		if (!d->usable || d->model != model)
			continue;
		for (uint32_t l = d->layers.first; l < d->layers.last && l < n_layers; l++)
			held[l] = true;
	}
	return placement_gaps(held, n_layers, out, max);
}
