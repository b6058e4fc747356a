/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks of models from other donors as well as from the pool, and for them. Each source is asked
 * for a few at a time, so the fast ones give most; whatever comes is used only if it has the hash
 * that the manifest lists. What this donor gives is bounded by `seed_kib_s`.
 */
#include "node/donor/donor_internal.h"

#include <stdlib.h>
#include <unistd.h>

#include "node/report.h"

enum {
	ASK_MOST = 16,          /* chunks of one source at a time, */
	ASK_POOL_BESIDE = 4,    /* of the pool where there are others, */
	ASK_FIRST = 2,          /* of one whose speed is not known; */
	ASK_AHEAD_US = 1000000, /* and no more than it gives in this time: on a slow line the
	                           heartbeats would wait behind them */
	PATIENCE_US = 5000000,  /* nothing came in this time: others are asked instead */
	LACKS_US = 10000000,    /* and this one again after so long, twice as long each time */
	LACKS_TIMES = 6,
	WISHES_EACH = 16,
	WISH_LEAST_BYTES = 1024, /* an answer costs, even "not found" */
	BURST_BYTES = LIMIT_CHUNK_BYTES
};

/* ---- for this donor ----------------------------------------------------------------------- */

/* It does not have what was asked of it, or does not give it. */
static void disappoint(struct seed_source *s, uint64_t now_us)
{
	s->asked = 0;
	s->lacks_until_us = now_us + ((uint64_t)LACKS_US << s->times);
	s->times += s->times < LACKS_TIMES;
}

static bool may_ask(struct seed_source *s, uint64_t now_us)
{
	if (s->asked > 0 && s->last_us + PATIENCE_US < now_us)
		disappoint(s, now_us);
	return s->lacks_until_us <= now_us;
}

static uint32_t most_of(const struct seed_source *s, uint32_t most)
{
	uint64_t n = s->chunk_us > 0 ? ASK_AHEAD_US / s->chunk_us + 1 : ASK_FIRST;

	return n < most ? (uint32_t)n : most;
}

static size_t ask(struct donor *d, struct seed_source *s, uint32_t most, struct message *m)
{
	uint64_t now = loop_now_us();
	struct msg_blob_request *q = &m->blob_request;

	q->n_hashes = 0;
	most = most_of(s, most);
	if ((s != &d->seeds.pool && !may_ask(s, now)) || s->asked >= most)
		return 0;
	q->n_hashes =
	    shards_ask(d->holding.shards, q->hashes, most - s->asked, now, SEEDS_ASK_AGAIN_US);
	if (s->asked == 0)
		s->last_us = now;
	s->asked += (uint32_t)q->n_hashes;
	return q->n_hashes;
}

static void ask_other(struct donor *d, struct seed_source *s, const struct public_key *other)
{
	struct message m = {.type = MSG_BLOB_REQUEST};

	if (ask(d, s, ASK_MOST, &m) == 0 || direct_send(d, other, &m, (struct span){0}) == AYNI_OK)
		return;
	for (size_t i = 0; i < m.blob_request.n_hashes; i++)
		shards_lost(d->holding.shards, &m.blob_request.hashes[i]);
	disappoint(s, loop_now_us());
}

/* The pool first: it gets what was asked of another in vain. */
void seeds_ask(struct donor *d)
{
	struct message m = {.type = MSG_BLOB_REQUEST};
	struct seed_source *pool = &d->seeds.pool, *s;
	struct public_key other;
	bool any = false;

	for (size_t i = 0; (s = direct_source(d, &i, &other)) != NULL;)
		any = any || may_ask(s, loop_now_us());
	if (pool->asked > 0 && pool->last_us + SEEDS_ASK_AGAIN_US < loop_now_us())
		pool->asked = 0;
	if (ask(d, pool, any ? ASK_POOL_BESIDE : ASK_MOST, &m) > 0)
		donor_send(d, &m, (struct span){0});
	for (size_t i = 0; (s = direct_source(d, &i, &other)) != NULL;)
		ask_other(d, s, &other);
}

static void came(struct seed_source *s)
{
	uint64_t now = loop_now_us(), us = now - s->last_us;

	if (s->asked == 0)
		return; /* it was not asked, or long ago */
	s->asked--;
	s->chunk_us = s->chunk_us > 0 ? (3 * s->chunk_us + us) / 4 : us;
	s->chunk_us += s->chunk_us == 0; /* 0 is unknown */
	s->last_us = now;
}

void seeds_from_pool(struct donor *d)
{
	came(&d->seeds.pool);
}

void seeds_blob(
    struct donor *d, struct seed_source *s, const struct msg_blob *b, struct span content)
{
	if (s->asked == 0 || d->holding.shards == NULL)
		return; /* nobody asked */
	came(s);
	if (!b->found) {
		disappoint(s, loop_now_us());
		shards_lost(d->holding.shards, &b->hash);
		holding_step(d);
		return;
	}
	s->times = 0;
	if (holding_wants(d, &b->hash)) {
		d->seeds.chunks++;
		holding_blob(d, b, content);
	}
}

/* ---- for others --------------------------------------------------------------------------- */

static void refill(struct seeds *s, uint64_t bytes_per_s)
{
	uint64_t now = loop_now_us(), us = now - s->filled_us;

	us = us < 1000000 ? us : 1000000;
	s->left_bytes += (int64_t)(bytes_per_s * us / 1000000);
	s->left_bytes = s->left_bytes < BURST_BYTES ? s->left_bytes : BURST_BYTES;
	s->filled_us = now;
}

/* *content is malloc'd. */
static bool read_chunk(struct donor *d, const struct hash *hash, struct span *content)
{
	const struct holding *h = &d->holding;
	const struct manifest_chunk *c;
	uint8_t *data;
	size_t i = 0;

	if (h->shards == NULL || !shards_held(h->shards, hash, &i))
		return false;
	c = shards_chunk(h->shards, i);
	data = malloc(c->length);
	if (data == NULL || pread(cache_image_fd(h->image), data, c->length, (off_t)c->offset) !=
	                        (ssize_t)c->length) {
		free(data);
		return false;
	}
	*content = (struct span){data, c->length};
	return true;
}

static void serve(struct donor *d, const struct seed_wish *w)
{
	struct message m = {.type = MSG_BLOB};
	struct span content = {0};

	m.blob.hash = w->hash;
	m.blob.found = d->config->seed_kib_s > 0 && read_chunk(d, &w->hash, &content);
	d->seeds.left_bytes -=
	    content.len > WISH_LEAST_BYTES ? (int64_t)content.len : WISH_LEAST_BYTES;
	(void)direct_send(d, &w->donor, &m, content);
	free((void *)(uintptr_t)content.data);
}

static void serve_some(void *donor)
{
	struct donor *d = donor;
	struct seeds *s = &d->seeds;
	uint64_t bytes_per_s = d->config->seed_kib_s * 1024;

	refill(s, bytes_per_s);
	while (s->n_wishes > 0 && (s->left_bytes > 0 || bytes_per_s == 0)) {
		struct seed_wish w = s->wishes[s->first_wish];

		s->first_wish = (s->first_wish + 1) % SEEDS_WISHES;
		s->n_wishes--;
		serve(d, &w);
	}
	if (s->n_wishes > 0)
		(void)loop_timer(d->loop,
		    loop_now_us() + 1000 + (uint64_t)-s->left_bytes * 1000000 / bytes_per_s,
		    serve_some, d, NULL);
}

static size_t wishes_of(const struct seeds *s, const struct public_key *donor)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_wishes; i++)
		n += public_key_equal(&s->wishes[(s->first_wish + i) % SEEDS_WISHES].donor, donor);
	return n;
}

/* Past its share a donor is not answered, and asks another. */
void seeds_request(
    struct donor *d, const struct public_key *other, const struct msg_blob_request *q)
{
	struct seeds *s = &d->seeds;
	size_t most = WISHES_EACH - wishes_of(s, other);

	most = most < q->n_hashes ? most : q->n_hashes;
	for (size_t i = 0; i < most && s->n_wishes < SEEDS_WISHES; i++) {
		s->wishes[(s->first_wish + s->n_wishes) % SEEDS_WISHES] =
		    (struct seed_wish){*other, q->hashes[i]};
		s->n_wishes++;
	}
	serve_some(d);
}

void seeds_close(struct donor *d)
{
	(void)loop_timer(d->loop, 0, serve_some, d, NULL);
}
