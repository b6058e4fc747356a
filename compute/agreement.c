/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/agreement.h"

#include <math.h>

const struct agreement_bounds agreement_of_floats = {
    .mean_loss = 1e-7, .row_loss = 1e-6, .row_error = 5e-3};
const struct agreement_bounds agreement_of_quants = {
    .mean_loss = 5e-4, .row_loss = 4e-3, .row_error = 0.25};

static bool is_quantised(const struct matrix *m)
{
	return m->data != NULL && tensor_type_info(m->type)->quantised;
}

const struct agreement_bounds *agreement_bounds(
    const struct layer_weights *w, const struct matrix *output, enum kv_type kv)
{
	const struct matrix *const matrices[] = {&w->query, &w->key, &w->value, &w->attention_out,
	    &w->query_a, &w->query_b, &w->latent, &w->latent_key, &w->latent_value, &w->latent_both,
	    &w->ff_gate, &w->ff_up, &w->ff_down};
	bool quantised = kv != KV_F16 || (output != NULL && is_quantised(output));

	if (w->router.data != NULL)
		return NULL;
	for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++)
		quantised |= is_quantised(matrices[i]);
	return quantised ? &agreement_of_quants : &agreement_of_floats;
}

/* NaN is infinitely far, too. */
static void count(struct agreement *a, double loss, double error)
{
	if (!isfinite(loss) || !isfinite(error))
		loss = error = INFINITY;
	a->n_rows++;
	a->loss_sum += loss;
	a->loss_max = fmax(a->loss_max, loss);
	a->error_max = fmax(a->error_max, error);
}

void agreement_row(
    struct agreement *a, const float *in, const float *claimed, const float *own, size_t n)
{
	double claimed_square = 0.0, own_square = 0.0, product = 0.0, largest = 0.0, loss;

	for (size_t i = 0; i < n; i++) {
		double from = in != NULL ? (double)in[i] : 0.0;
		double c = (double)claimed[i] - from, o = (double)own[i] - from;

		claimed_square += c * c;
		own_square += o * o;
		product += c * o;
		largest = fmax(largest, fabs(c - o)); /* passes NaN over; the sums do not */
	}
	if (claimed_square == 0.0 && own_square == 0.0) {
		count(a, 0.0, 0.0);
		return;
	}
	/* The cosine of a row that did not change is 0 / 0, which is not finite. */
	loss = 1.0 - product / sqrt(claimed_square * own_square);
	count(a, loss < 0.0 ? 0.0 : loss, largest / sqrt(own_square / (double)n));
}

/* ---- logits --------------------------------------------------------------------------------- */

struct logits_shape {
	double deviation, lse;
};

static struct logits_shape shape_of(const float *logits, uint32_t n)
{
	double sum = 0.0, squares = 0.0, largest = -INFINITY, exponentials = 0.0, mean;

	assert(n > 0);
	for (uint32_t i = 0; i < n; i++) {
		sum += (double)logits[i];
		largest = fmax(largest, (double)logits[i]);
	}
	mean = sum / n;
	for (uint32_t i = 0; i < n; i++) {
		squares += ((double)logits[i] - mean) * ((double)logits[i] - mean);
		exponentials += exp((double)logits[i] - largest);
	}
	return (struct logits_shape){sqrt(squares / n), largest + log(exponentials)};
}

static bool is_named(const struct logit *top, uint32_t k, uint32_t id)
{
	for (uint32_t i = 0; i < k; i++)
		if (top[i].id == id)
			return true;
	return false;
}

/* Ids of the vocabulary, each once, by falling logits. */
static bool is_well_formed(const struct logit *top, uint32_t k, uint32_t n_vocabulary)
{
	for (uint32_t i = 0; i < k; i++)
		if (top[i].id >= n_vocabulary || is_named(top, i, top[i].id) ||
		    (i > 0 && !(top[i].value <= top[i - 1].value)))
			return false;
	return k > 0 && k <= n_vocabulary;
}

/* How far the largest that is not named lies above the least that is. Both may be off, so that each
 * has half of it. */
static double omitted(const struct logit *top, uint32_t k, const float *own, uint32_t n_vocabulary)
{
	float least = top[k - 1].value;
	double most = 0.0;

	for (uint32_t i = 0; i < n_vocabulary; i++)
		if (own[i] > least && !is_named(top, k, i))
			most = fmax(most, ((double)own[i] - (double)least) / 2.0);
	return most;
}

void agreement_logits(struct agreement *a, const struct logit *top, uint32_t k, float lse,
    const float *own, uint32_t n_vocabulary)
{
	double largest, squares = 0.0;
	struct logits_shape s;

	if (!is_well_formed(top, k, n_vocabulary) || !isfinite(lse)) {
		count(a, INFINITY, INFINITY);
		return;
	}
	s = shape_of(own, n_vocabulary);
	largest = fmax(fabs((double)lse - s.lse), omitted(top, k, own, n_vocabulary));
	for (uint32_t i = 0; i < k; i++) {
		double difference = (double)top[i].value - (double)own[top[i].id];

		squares += difference * difference;
		largest = fmax(largest, fabs(difference));
	}
	count(a, squares / (2.0 * k * s.deviation * s.deviation), largest / s.deviation);
}

bool agreement_holds(const struct agreement *a, const struct agreement_bounds *b)
{
	return a->n_rows > 0 && a->loss_max <= b->row_loss && a->error_max <= b->row_error &&
	       a->loss_sum <= (double)a->n_rows * b->mean_loss + b->row_loss;
}
