/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fastest path over donors that may hold ranges they do not hold yet: cut a model's layers into
 * contiguous ranges and give each to another donor, so that the sum of the stages' times
 * (placement.h) is least. Which donors to use, where to cut and who comes first are one question,
 * and NP-hard; this is a beam search over it.
 *
 * A state is (layers covered so far, set of donors used, the last of them), with the least time
 * that reaches it. From each layer on, states go over any donor not used yet to any end that fits
 * it. A state is dropped if another at the same layer uses a subset of its donors (it can do all
 * that this one can) and is as fast, also after all that the ways of this one's last donor to
 * others could save, or ends at the same donor. Beyond `width` states a layer the slowest are
 * dropped. As long as that does not happen the result is exact: without ways there are at most 2^n
 * sets of n donors, so always for n <= 7 with a width of 128. (Beam search: Lowerre 1976; the exact
 * one is Held and Karp's dynamic programme over subsets, 1962.)
 *
 * Pure; memory is taken and released within the call.
 */
#ifndef AYNI_NODE_POOL_PLAN_SEARCH_H
#define AYNI_NODE_POOL_PLAN_SEARCH_H

#include "node/pool/path.h"
#include "node/pool/placement.h"

enum {
	SEARCH_MAX_MOVABLE = 256, /* donors of one search whose range is open */
	SEARCH_WIDTH = 128,       /* states a layer; fewer when layers x ends are many: */
	SEARCH_STEPS = 1 << 19,   /* width * layers * (ends of all donors), about */
	SEARCH_WIDTH_LEAST = 4
};

struct search_candidate {
	const struct placement_donor *donor;
	size_t index; /* for the caller */
	/* It may be given any range within this one that fits; if `exact`, this one only. */
	struct layer_range within;
	bool exact;
	/* Taking this range costs time and traffic, so that of nearly equal paths the one that is
	 * there already is preferred: its time is taken as SEARCH_FETCH_PERCENT longer. */
	bool fetches;
	/* Donors with more than one candidate in a search share a mark. -1: it cannot be used
	 * twice anyhow (it is exact, and the donor has no other candidate). */
	int mark; /* below SEARCH_MAX_MOVABLE */
};

enum { SEARCH_FETCH_PERCENT = 2 };

struct search {
	const struct placement_model *model;
	const uint32_t *cuts; /* [n_cuts + 1] ranges to keep to; NULL: any */
	uint32_t n_cuts;
	const struct search_candidate *candidates;
	size_t n_candidates;
	uint32_t width; /* states a layer; 0: as SEARCH_WIDTH says */
};

struct search_stage {
	size_t candidate;
	struct layer_range layers;
};

struct search_path {
	double us;         /* a token over the path, without what SEARCH_FETCH_PERCENT adds */
	uint32_t n_stages; /* 0: no path covers the model */
	struct search_stage stages[PATH_MAX_STAGES];
};

/* AYNI_ERR_MEMORY, or AYNI_OK: out->n_stages says if there is a path. */
int search_path(const struct search *s, struct search_path *out);

#endif
