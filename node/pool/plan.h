/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which donor should hold which layers, and what each donor is for. A pure function of what the
 * donors offer, what they hold now and what the models weigh; memory is its own, no I/O, any
 * thread. The caller carries the changes out in their order and makes a new plan when something
 * has changed; a plan of what it brought about has no changes.
 *
 * Of each model, in the order given:
 *  1. The path: the fastest for one token (placement.h says how long stages and hops take,
 * plan_search.h how the path is found) in which every donor that holds layers keeps them. Idle
 * donors get any ranges in it if no path is there yet, or if a token is PLAN_GAIN_PERCENT faster:
 * new cuts make replicas of the old ranges useless. A path in which donors move is aimed at if a
 * token is that much faster again, or if only it covers the model. With `stages` = n the model is
 * cut into n ranges and a donor gets one of these; only a path that cannot be completed otherwise
 *     moves a donor.
 *  2. If no path covers the model, gaps are filled as far as idle donors can, those that can hold
 *     most of a gap first; of several the one with the least memory.
 *  3. Of all models together: who is not on a path becomes a replica of the scarcest range that it
 *     can hold: one with less than PLAN_HOLDERS_LEAST holders, else one that serves the fewest
 *     tokens a second. If streams over it were PLAN_SLOW_TIMES slower, it is a spare, unless the
 *     range has too few holders. Where no single range fits, several donors become a second path.
 *
 * What moves. A donor is taken from its layers only if
 *  - no session is bound to it,
 *  - each layer that it gives up is held by another donor that is ready, now and after all changes
 *    that go before (or the layers held do not cover the model, so that no session can use them,
 *    and it stays with the model),
 *  - it gets others instead: in a path that is aimed at; because its range joins no path (while
 *    the model is not in use: a path that is aimed at may have to wait for sessions); or, one
 *    in each plan, because its range has PLAN_CROWD_TIMES the holders of the scarcest one.
 * A caller whose measures vary lets a wish stand for a while (`gains`, `strays`) before it allows
 * such moves (`hold`, `hold_strays`). So a pool that nothing happens to settles, and no session is
 * interrupted by a plan.
 */
#ifndef AYNI_NODE_POOL_PLAN_H
#define AYNI_NODE_POOL_PLAN_H

#include "node/pool/placement.h"

enum {
	PLAN_GAIN_PERCENT = 10, /* hysteresis: how much faster a token must be for donors to move */
	PLAN_HOLDERS_LEAST = 2,
	PLAN_SLOW_TIMES = 2,
	PLAN_CROWD_TIMES = 3,
	PLAN_STEADY_S = 60 /* that a wish stands without a break before donors move for it */
};

enum plan_role { PLAN_NOTHING, PLAN_PATH, PLAN_REPLICA, PLAN_SPARE };

enum plan_reason {
	PLAN_NO_REASON,
	PLAN_TOO_SMALL, /* no range fits in its memory */
	PLAN_TOO_SLOW   /* streams over it would be too slow */
};

struct plan_donor {
	enum plan_role role; /* PLAN_NOTHING: not usable */
	enum plan_reason reason;
	uint32_t model; /* PLACEMENT_NO_MODEL for a spare */
	struct layer_range layers;
	double with_us, without_us; /* too slow: a token over the path with it in, and as it is */
};

struct plan_stage {
	size_t donor;
	struct layer_range layers;
	double us;
};

struct plan_path {
	uint32_t n_stages; /* 0: the model is not covered */
	struct plan_stage *stages;
	double us; /* a token */
};

struct plan {
	size_t n_donors, n_models, n_changes;
	struct plan_donor *donors;
	struct plan_path *paths; /* [n_models] */
	struct placement_change *changes;
	bool strays; /* donors hold what joins no path, and could be replicas of something else */
	bool gains;  /* a path with donors moved would be faster by PLAN_GAIN_PERCENT */
};

struct plan_settings {
	uint32_t stages;       /* 0: as many as are best */
	uint32_t max_sessions; /* of a donor */
	bool hold;             /* move no donor only because a token would be faster, */
	bool hold_strays;      /* nor because what it holds joins no path */
};

/* Since when plans wish to move donors; 0: not in the last. A round trip that was long for a moment
 * is no reason to fetch gigabytes. */
struct plan_wishes {
	uint64_t gains_us, strays_us;
};

/* Before a plan: may it move donors? After it: what does it wish (NULL: there is none)? */
void plan_wishes_hold(const struct plan_wishes *w, uint64_t now_us, struct plan_settings *settings);
void plan_wishes_note(struct plan_wishes *w, const struct plan *p, uint64_t now_us);

/* NULL without memory. */
struct plan *plan_new(const struct placement_donor *donors, size_t n_donors,
    const struct placement_model *models, size_t n_models, const struct plan_settings *settings);
void plan_free(struct plan *p);

const char *plan_role_name(enum plan_role r);

#endif
