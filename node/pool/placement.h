/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a donor can hold of a model, and how long a token takes through it: the measures that the
 * plan (plan.h) and the choice of a path share. Pure functions, no state, any thread.
 *
 * A token passes the stages of a path one after the other, so its time is a sum:
 *
 *   stage = (sum over layers, and over the types of their weights, of
 *                max(bytes / read rate, flop / flop rate)   weights are read once
 *              * pace of the model * pace of the donor      what was seen of it
 *            + half of (round trip + 2 * activation bytes / link)   from the pool,
 *            + half of it)                                          and to it
 *           * (1 + PLACEMENT_LOSS_S / stay)
 *
 * Where a stage's donor hands over to the next one's without the pool, a hop takes the place of the
 * first one's way to the pool and of the second one's way from it:
 *
 *   hop = half of the round trip between the two + activation bytes / the slower link
 *
 * The line between two donors is not measured, it is taken as that of the slower one to the pool.
 * Nor can the pool see their round trip: it is what one of them says, but no less than what their
 * trips to the pool differ by, as the way over the other would be shorter else.
 *
 * The rates are those that the donor offers for weights of the type, or else of any. The last
 * factor is the share of a stream's time that is lost when the donor goes: its tokens are fed again
 * elsewhere. What was not measured yet is assumed: a donor that nothing is known of is neither
 * better nor worse than an ordinary one.
 */
#ifndef AYNI_NODE_POOL_PLACEMENT_H
#define AYNI_NODE_POOL_PLACEMENT_H

#include "protocol/message_types.h"

enum {
	PLACEMENT_LOSS_S = 30, /* of a stream, when a donor on its path goes */
	PLACEMENT_ASSUMED_ROUND_TRIP_US = 20000,
	PLACEMENT_ASSUMED_READ_BYTES_PER_S = 2000000000,
	PLACEMENT_ASSUMED_LINK_BYTES_PER_S = 2500000 /* 20 Mbit/s */
};

/* The weights of one type in a layer. */
struct placement_part {
	uint32_t type;       /* enum tensor_type; PLACEMENT_ANY_TYPE: not known */
	uint64_t bytes;      /* that a token reads: some experts; */
	uint64_t most_bytes; /* that many tokens read: all of them */
	uint64_t flop;       /* of one token */
};

struct placement_model {
	uint32_t n_layers;
	const uint64_t *layer_bytes;      /* [n_layers] */
	uint64_t first_bytes, last_bytes; /* with the first layer; with the last */
	uint64_t kv_layer_bytes;          /* one session's KV cache in one layer */
	/* Of layer l, or of the output head as l = n_layers, parts[part_at[l]] to
	 * [part_at[l + 1] - 1], where its time goes. NULL: all of its bytes, of any type. */
	const struct placement_part *parts;
	const uint32_t *part_at;   /* [n_layers + 2] */
	uint64_t activation_bytes; /* of one token, between stages */
	double pace; /* times that its layers usually take longer than offered; 0: not known */
};

enum { PLACEMENT_NO_MODEL = UINT32_MAX, PLACEMENT_ANY_TYPE = LIMIT_TENSOR_TYPES };

/* A way that is up: the other donor stands in the same list. */
struct placement_way {
	const struct placement_donor *to;
	uint64_t round_trip_us; /* 0: not known */
};

struct placement_donor {
	bool usable; /* may be given layers or keep them (not leaving, not failing) */
	bool ready;  /* serves what it holds; else it fetches or loads it */
	uint64_t memory_bytes;
	uint32_t max_layers; /* 0: no limit */
	uint32_t model;      /* held or being fetched; PLACEMENT_NO_MODEL: idle */
	struct layer_range layers;
	uint32_t sessions;                     /* bound to it now */
	uint64_t read_bytes_per_s, flop_per_s; /* of any type; 0: not measured */
	const struct offer_speed *speeds;      /* [n_speeds] of some types, ascending; borrowed */
	size_t n_speeds;
	double pace;                      /* times slower than usual (pace.h); 0: not known */
	uint64_t link_bytes_per_s;        /* both ways (link.h); 0: not measured */
	uint64_t round_trip_us;           /* 0: not measured */
	uint64_t stay_s;                  /* usual; 0: not known, taken as long */
	const struct placement_way *ways; /* [n_ways] to whom it hands over; borrowed */
	size_t n_ways;
};

struct placement_change {
	size_t donor;
	bool unassign; /* else: assign */
	uint32_t model;
	struct layer_range layers;
	uint32_t max_sessions; /* that its memory allows, up to the limit given */
};

/* Bytes of a range's weights, the extras with the first and the last layer too. */
uint64_t placement_weight(const struct placement_model *m, struct layer_range range);
/* Sessions that fit beside the weights of a range, `most` at most; 0: the range does not fit. */
uint32_t placement_sessions(const struct placement_model *m, const struct placement_donor *d,
    struct layer_range range, uint32_t most);
/* Computing one token, microseconds; the last layer includes the output head. Both paces count. */
double placement_layer_us(
    const struct placement_model *m, const struct placement_donor *d, uint32_t layer);
double placement_head_us(const struct placement_model *m, const struct placement_donor *d);
double placement_compute_us(
    const struct placement_model *m, const struct placement_donor *d, struct layer_range range);
/* Where the time of all layers and the head goes, by type: up to PLACEMENT_ANY_TYPE + 1 parts into
 * out; their number. And computing such parts, as above. */
size_t placement_sum(const struct placement_model *m, struct placement_part *out);
double placement_parts_us(const struct placement_model *m, const struct placement_donor *d,
    const struct placement_part *parts, size_t n);
/* Computing a unit of few tokens, microseconds, by the donor's offer alone. */
double placement_offered_us(const struct placement_model *m, const struct placement_donor *d,
    struct layer_range range, uint32_t tokens);
/* Activations of so many tokens, to the donor and back, microseconds. */
double placement_transfer_us(
    const struct placement_model *m, const struct placement_donor *d, uint32_t tokens);
/* Reaching the donor and coming back with one token, microseconds. */
double placement_trip_us(const struct placement_model *m, const struct placement_donor *d);
/* Between the pool and a donor, with one token, there and back: the way, and the bytes. */
struct placement_line {
	double trip_us, transfer_us;
};
struct placement_line placement_line(
    const struct placement_model *m, const struct placement_donor *d);
/* A hop between the ends of such lines; round_trip_us as in struct placement_way. */
struct placement_line placement_hop(
    struct placement_line a, struct placement_line b, uint64_t round_trip_us);
/* The hop from one donor to another, microseconds; negative: there is no way. */
double placement_hop_us(const struct placement_model *m, const struct placement_donor *from,
    const struct placement_donor *to);
/* By which its stages are longer because donors like it go soon; 1: not at all. */
double placement_loss_factor(const struct placement_donor *d);
/* All of the equation above, without hops. */
double placement_stage_us(
    const struct placement_model *m, const struct placement_donor *d, struct layer_range range);

/*
 * Cut a model into `stages` ranges, at most one a layer: cuts[i] to cuts[i + 1]. Of equal length,
 * unless cutting by what a token reads (the output head, but not the embedding, which is looked up)
 * makes the heaviest range lighter by a tenth. Both are at least 1. Returns the number of ranges;
 * `cuts` has room for n_layers + 1.
 */
uint32_t placement_cut(const struct placement_model *m, uint32_t stages, uint32_t *cuts);

/* Where none of `held` [n_layers] is: up to `max` ranges into out; their number. */
size_t placement_gaps(const bool *held, uint32_t n_layers, struct layer_range *out, size_t max);
/* Layers of a model that no donor in the list holds: up to `max` ranges into out; their number. */
size_t placement_missing(const struct placement_donor *donors, size_t n_donors, uint32_t model,
    uint32_t n_layers, struct layer_range *out, size_t max);

#endif
