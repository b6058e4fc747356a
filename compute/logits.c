/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/logits.h"

#include "compute/kernels/canon.h"

/* The order of the definition: larger value first, equal ones by smaller id. */
static bool before(const struct logit *a, const struct logit *b)
{
	return a->value > b->value || (a->value == b->value && a->id < b->id);
}

/* Restore the heap below `i`: each parent comes after its children, the last of all at [0]. */
static void sift_down(struct logit *heap, uint32_t i, uint32_t n)
{
	struct logit moving = heap[i];

	for (;;) {
		uint64_t child = 2 * (uint64_t)i + 1;

		if (child >= n)
			break;
		if (child + 1 < n && before(&heap[child], &heap[child + 1]))
			child++;
		if (!before(&moving, &heap[child]))
			break;
		heap[i] = heap[child];
		i = (uint32_t)child;
	}
	heap[i] = moving;
}

static void top_k(const float *logits, uint32_t n, uint32_t k, struct logit *out)
{
	for (uint32_t i = 0; i < k; i++)
		out[i] = (struct logit){.id = i, .value = logits[i]};
	for (uint32_t i = k / 2; i-- > 0;)
		sift_down(out, i, k);
	/* An equal value has the larger id here, so only a larger one gets in. */
	for (uint32_t i = k; i < n; i++)
		if (logits[i] > out[0].value) {
			out[0] = (struct logit){.id = i, .value = logits[i]};
			sift_down(out, 0, k);
		}
	for (uint32_t end = k; end > 1; end--) {
		struct logit last = out[0];

		out[0] = out[end - 1];
		out[end - 1] = last;
		sift_down(out, 0, end - 1);
	}
}

void logits_top(const struct kernels *kern, const float *logits, uint32_t n, uint32_t k,
    float *scratch, struct logit *out, float *lse)
{
	float max;

	assert(n > 0 && k <= n);
	max = kern->max(logits, n);
	memcpy(scratch, logits, n * sizeof *scratch);
	*lse = max + canon_log(kern->exp_sum(scratch, max, n));
	if (k > 0)
		top_k(logits, n, k, out);
}
