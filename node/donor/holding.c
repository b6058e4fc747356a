/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/donor_internal.h"

#include <malloc.h>
#include <stdlib.h>

#include "compute/kv.h"
#include "node/report.h"
#include "node/work.h"
#include "protocol/messages.h"
#include "storage/cache.h"

enum {
	CHECK_BYTES_A_STEP = 32 << 20, /* hashed before the loop looks at other things */
	ASK_AGAIN_US = 10000000,
	REPORT_EVERY_US = 1000000
};

static void send_state(struct donor *d, enum assignment_progress state, const char *text)
{
	struct message m = {.type = MSG_ASSIGNMENT_STATE};
	struct msg_assignment_state *s = &m.assignment_state;

	s->assignment = d->holding.a.assignment;
	s->state = state;
	if (d->holding.shards != NULL)
		shards_progress(d->holding.shards, &s->done_bytes, &s->total_bytes);
	s->layers_ready = d->holding.loaded - d->holding.a.layer_first;
	(void)snprintf(s->text, sizeof s->text, "%s", text);
	donor_send(d, &m, (struct span){0});
	d->holding.reported_us = loop_now_us();
}

static void stop_worker(struct donor *d)
{
	if (d->worker == NULL)
		return;
	loop_unwatch(d->loop, worker_link_fd(d->worker));
	worker_link_free(d->worker);
	chains_forget(&d->chains);
	d->worker = NULL;
	d->holding.loading = false;
	d->holding.loaded = d->holding.a.layer_first;
}

void holding_drop(struct donor *d)
{
	struct holding *h = &d->holding;

	units_drop_all(d);
	intake_unassign(d->intake);
	stop_worker(d);
	(void)loop_timer(d->loop, 0, holding_step, d, NULL);
	shards_free(h->shards);
	cache_image_free(h->image);
	free(h->sizes);
	memset(h, 0, sizeof *h);
}

void holding_failed(struct donor *d, const char *why)
{
	report(REPORT_ERROR, "the layers cannot be held: %s", why);
	units_fail_all(d, REFUSAL_ASSIGNMENT, why);
	send_state(d, PROGRESS_FAILED, why);
	holding_drop(d);
}

static void wake(struct donor *d, uint64_t after_us)
{
	(void)loop_timer(d->loop, loop_now_us() + after_us, holding_step, d, NULL);
}

static void ask_for_manifest(struct donor *d)
{
	struct message m = {.type = MSG_BLOB_REQUEST};

	m.blob_request.n_hashes = 1;
	m.blob_request.hashes[0] = d->holding.a.model;
	donor_send(d, &m, (struct span){0});
}

/* ---- manifest ----------------------------------------------------------------------------- */

/* Whoever published it, the pool vouches for it: the assignment, which the pool has signed, names
 * the manifest by its hash. */
static void on_manifest(struct donor *d, struct span blob)
{
	struct holding *h = &d->holding;
	struct manifest m = {0};
	struct error err = {0};
	int rc = manifest_open(blob.data, blob.len, &m, &err);

	if (rc == AYNI_OK)
		rc = cache_image_open(d->cache, &h->a.model, m.file_bytes, &h->image, &err);
	if (rc == AYNI_OK) {
		h->head_bytes = m.head_bytes;
		report(REPORT_INFO, "fetching layers %u to %u of %s", h->a.layer_first,
		    h->a.layer_last - 1, m.name);
		rc = shards_new(&m, &h->shards, &err);
	}
	manifest_free(&m);
	if (rc != AYNI_OK) {
		holding_failed(d, err.text);
		return;
	}
	h->state = HOLDING_HEAD;
	shards_want(h->shards, 0, h->head_bytes, 0);
	wake(d, 0);
}

/* The layers stay, and what is being fetched or loaded goes on. Sessions do not: a pool that was
 * started anew does not know them, and replays those that it wants. */
void holding_keep(struct donor *d)
{
	units_orphan(d);
	intake_unassign(d->intake);
}

void holding_offer(const struct donor *d, struct msg_offer *offer)
{
	offer->holds = d->holding.state != HOLDING_NOTHING;
	offer->held = d->holding.a;
}

/* All but the number. */
static bool is_held(const struct holding *h, const struct msg_assignment *a)
{
	struct msg_assignment held = h->a;

	held.assignment = a->assignment;
	return h->state != HOLDING_NOTHING && hash_equal(&held.model, &a->model) &&
	       held.layer_first == a->layer_first && held.layer_last == a->layer_last &&
	       held.kv_tokens == a->kv_tokens && held.max_sessions == a->max_sessions &&
	       held.kv_type == a->kv_type;
}

static enum assignment_progress progress_of(const struct holding *h)
{
	if (h->state == HOLDING_READY)
		return PROGRESS_READY;
	return h->state == HOLDING_LOADING ? PROGRESS_LOADING : PROGRESS_FETCHING;
}

/* Units may come for the layers that are loaded. */
static void admit(struct donor *d)
{
	const struct holding *h = &d->holding;
	const struct intake_assignment a = {.number = h->a.assignment,
	    .model = h->a.model,
	    .layers = {h->a.layer_first, h->loaded},
	    .n_layers = h->sizes->n_layers,
	    .d_model = h->sizes->d_model,
	    .n_vocabulary = h->sizes->n_vocabulary,
	    .kv_tokens = h->a.kv_tokens,
	    .max_sessions = h->a.max_sessions};

	intake_assign(d->intake, &a);
}

/* What is held already gets another number. */
static void renew(struct donor *d, const struct msg_assignment *a)
{
	struct holding *h = &d->holding;

	holding_keep(d);
	h->a.assignment = a->assignment;
	if (h->shards != NULL)
		shards_all_lost(h->shards); /* it was asked over the old connection */
	d->seeds.pool = (struct seed_source){0};
	wake(d, 0);
	if (h->loaded > h->a.layer_first)
		admit(d);
	send_state(d, progress_of(h), "");
}

void holding_assign(struct donor *d, const struct msg_assignment *a)
{
	struct hash model = a->model;
	uint8_t *data = NULL;
	size_t len = 0;

	if (is_held(&d->holding, a)) {
		renew(d, a);
		return;
	}
	holding_drop(d);
	d->seeds.chunks = 0;
	d->seeds.pool = (struct seed_source){0};
	d->holding.a = *a;
	d->holding.fetched = d->holding.loaded = a->layer_first;
	d->holding.state = HOLDING_MANIFEST;
	d->holding.reported_us = loop_now_us();
	if (cache_blob_get(d->cache, &model, &data, &len) == AYNI_OK) {
		on_manifest(d, (struct span){data, len});
		free(data);
		return;
	}
	ask_for_manifest(d);
	wake(d, ASK_AGAIN_US);
}

/* ---- chunks ------------------------------------------------------------------------------- */

static struct cache_chunk cached(const struct manifest_chunk *c)
{
	return (struct cache_chunk){c->offset, c->length, c->hash};
}

static void store_chunk(struct donor *d, const struct hash *content, struct span data)
{
	struct holding *h = &d->holding;
	struct error err = {0};

	for (size_t i = 0; shards_find(h->shards, content, &i); i++) {
		struct cache_chunk c = cached(shards_chunk(h->shards, i));

		if (cache_put(h->image, &c, data.data, data.len, &err) != AYNI_OK) {
			holding_failed(d, err.text);
			return;
		}
		shards_here(h->shards, i);
	}
	wake(d, 0);
}

bool holding_wants(const struct donor *d, const struct hash *content)
{
	const struct holding *h = &d->holding;
	size_t i = 0;

	if (h->state == HOLDING_MANIFEST)
		return hash_equal(content, &h->a.model);
	return h->shards != NULL && h->state < HOLDING_LOADING &&
	       shards_find(h->shards, content, &i);
}

static void take_manifest(struct donor *d, struct span content)
{
	struct hash model = d->holding.a.model, hash;
	struct error err = {0};

	hash_bytes(content.data, content.len, &hash);
	if (!hash_equal(&hash, &model)) {
		holding_failed(d, "the manifest has another hash than the model");
		return;
	}
	if (cache_blob_put(d->cache, &model, content.data, content.len, &err) != AYNI_OK)
		report(REPORT_WARNING, "%s", err.text); /* it can be fetched again */
	on_manifest(d, content);
}

/* What is of no use now, an answer to an earlier assignment's question perhaps, is ignored. */
void holding_blob(struct donor *d, const struct msg_blob *b, struct span content)
{
	struct holding *h = &d->holding;

	if (!holding_wants(d, &b->hash))
		return;
	if (!b->found)
		holding_failed(d, "the pool does not have what these layers need");
	else if (h->state == HOLDING_MANIFEST)
		take_manifest(d, content);
	else
		store_chunk(d, &b->hash, content);
}

/* What of it is in the cache already? A bounded part of the answer; true when all is known. */
static bool check_cache(struct holding *h)
{
	uint64_t hashed = 0;
	size_t i;

	while (hashed < CHECK_BYTES_A_STEP && shards_unknown(h->shards, &i)) {
		struct cache_chunk c = cached(shards_chunk(h->shards, i));

		hashed += c.length;
		if (cache_has(h->image, &c))
			shards_here(h->shards, i);
		else
			shards_missing(h->shards, i);
	}
	return !shards_unknown(h->shards, &i);
}

/* ---- head and layers ---------------------------------------------------------------------- */

/* For weights and all sessions; UINT64_MAX if that is past counting. */
static uint64_t memory_needed(const struct holding *h, uint64_t weights)
{
	const struct msg_assignment *a = &h->a;
	uint64_t bytes = work_room_bytes(h->sizes, (enum kv_type)a->kv_type,
	    a->layer_last - a->layer_first, a->kv_tokens, a->max_sessions);

	return __builtin_add_overflow(bytes, weights, &bytes) ? UINT64_MAX : bytes;
}

/* The first of the layers that need it. What names none is of the first or the last. */
static uint32_t part_of(const struct holding *h, const struct gguf *g, const struct gguf_tensor *t)
{
	const struct msg_assignment *a = &h->a;
	uint32_t layer;

	if (model_range_needs(g, h->sizes, a->layer_first, a->layer_first + 1, t))
		return 0;
	if (!model_tensor_layer(t->name, &layer))
		layer = a->layer_last - 1;
	return layer - a->layer_first;
}

/* The head is here: which tensors do these layers need? */
static int want_layers(struct donor *d, struct error *err)
{
	struct holding *h = &d->holding;
	const struct msg_assignment *a = &h->a;
	struct gguf *g = NULL;
	uint64_t weights = 0, needed;
	int rc = gguf_open_fd(cache_image_fd(h->image), "the model", &g, err);

	if (rc != AYNI_OK)
		return rc;
	h->sizes = calloc(1, sizeof *h->sizes);
	if (h->sizes == NULL)
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	else
		rc = model_sizes_read(g, h->sizes, err);
	if (rc == AYNI_OK &&
	    (a->layer_first >= a->layer_last || a->layer_last > h->sizes->n_layers))
		rc = error_set(err, AYNI_ERR_ARGUMENT, "layers [%u, %u) of a model of %u",
		    a->layer_first, a->layer_last, h->sizes->n_layers);
	if (rc == AYNI_OK && a->kv_tokens > h->sizes->context_tokens)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "sessions of %u tokens; the model takes %u",
		    a->kv_tokens, h->sizes->context_tokens);
	if (rc == AYNI_OK)
		rc = kv_type_check((enum kv_type)a->kv_type, h->sizes, "the model", err);
	for (size_t i = 0; rc == AYNI_OK && i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		if (!model_range_needs(g, h->sizes, a->layer_first, a->layer_last, t))
			continue;
		shards_want(h->shards, t->offset, t->size_bytes, part_of(h, g, t));
		weights += t->size_bytes;
	}
	gguf_free(g);
	if (rc != AYNI_OK)
		return rc;
	needed = memory_needed(h, weights);
	if (needed > d->offer.memory_bytes)
		return error_set(err, AYNI_ERR_LIMIT,
		    "they need %llu MiB with their sessions; %llu MiB were offered",
		    (unsigned long long)(needed >> 20),
		    (unsigned long long)(d->offer.memory_bytes >> 20));
	return AYNI_OK;
}

static int start_worker(struct donor *d, struct error *err)
{
	const struct holding *h = &d->holding;
	struct worker_options o = {.threads = d->offer.cores, .kernels = d->config->kernels};
	struct worker_range range = {.image_fd = cache_image_fd(h->image),
	    .layer_first = h->a.layer_first,
	    .layer_last = h->a.layer_last,
	    .kv_tokens = h->a.kv_tokens,
	    .max_sessions = h->a.max_sessions,
	    .kv_type = h->a.kv_type};
	int rc = worker_link_start(&o, &d->worker, err);

	if (rc == AYNI_OK)
		rc = loop_watch(d->loop, worker_link_fd(d->worker), units_on_worker, d, err);
	if (rc == AYNI_OK)
		rc = worker_link_load(d->worker, &range, err);
	return rc;
}

bool holding_load_next(struct donor *d)
{
	struct holding *h = &d->holding;
	struct error err = {0};
	int rc;

	if (d->stopping || h->loading || h->loaded == h->fetched)
		return false;
	rc = d->worker == NULL ? start_worker(d, &err) : worker_link_load_next(d->worker, &err);
	h->loading = rc == AYNI_OK;
	if (rc != AYNI_OK)
		holding_failed(d, err.text);
	return h->loading;
}

static void all_loaded(struct donor *d)
{
	struct holding *h = &d->holding;

	h->state = HOLDING_READY;
	if (d->seeds.chunks > 0)
		report(REPORT_INFO, "%llu chunks came from other donors",
		    (unsigned long long)d->seeds.chunks);
	(void)malloc_trim(0); /* the chunks' buffers, whose pages would stay for nothing */
	report(REPORT_INFO, "layers %u to %u are ready", h->a.layer_first, h->a.layer_last - 1);
}

void holding_loaded(struct donor *d)
{
	struct holding *h = &d->holding;

	if (!h->loading)
		return;
	h->loading = false;
	if (h->loaded++ == h->a.layer_first)
		admit(d);
	else
		intake_extend(d->intake, h->loaded);
	if (h->loaded == h->a.layer_last)
		all_loaded(d);
	send_state(d, progress_of(h), "");
}

/* Earlier deaths are forgotten only where it came to have all layers since: one that dies at a
 * layer may take longer to get there. */
static bool dies_too_often(struct holding *h)
{
	uint64_t now = loop_now_us();

	if (h->state == HOLDING_READY && now > h->deaths_since_us + WORKER_DEATHS_US) {
		h->deaths_since_us = now;
		h->worker_deaths = 0;
	}
	return ++h->worker_deaths > MAX_WORKER_DEATHS;
}

/* A crash costs the units at hand, not the daemon. */
void holding_worker_died(struct donor *d)
{
	struct holding *h = &d->holding;

	report(REPORT_ERROR, "the worker process died");
	stop_worker(d);
	intake_unassign(d->intake);
	units_fail_all(d, REFUSAL_INTERNAL, "the worker process died");
	if (h->state < HOLDING_LAYERS)
		return;
	if (dies_too_often(h)) {
		holding_failed(d, "the worker process dies again and again");
		return;
	}
	h->state = h->state == HOLDING_READY ? HOLDING_LOADING : h->state;
	send_state(d, progress_of(h), "");
}

/* ---- one step ----------------------------------------------------------------------------- */

static void next_state(struct donor *d)
{
	struct error err = {0};

	if (d->holding.state == HOLDING_LAYERS) {
		d->holding.state = HOLDING_LOADING;
		send_state(d, PROGRESS_LOADING, "");
		return;
	}
	if (want_layers(d, &err) != AYNI_OK) {
		holding_failed(d, err.text);
		return;
	}
	d->holding.state = HOLDING_LAYERS;
	wake(d, 0);
}

static void report_progress(struct donor *d)
{
	uint64_t here, needed;

	if (loop_now_us() - d->holding.reported_us < REPORT_EVERY_US)
		return;
	shards_progress(d->holding.shards, &here, &needed);
	report(REPORT_INFO, "fetched %.1f of %.1f MiB", (double)here / (1 << 20),
	    (double)needed / (1 << 20));
	send_state(d, PROGRESS_FETCHING, "");
}

/* Layers whose last chunk came go to the worker. */
static void load_what_is_here(struct donor *d)
{
	struct holding *h = &d->holding;

	while (h->fetched < h->a.layer_last &&
	       shards_part_complete(h->shards, h->fetched - h->a.layer_first))
		h->fetched++;
	units_pump(d);
}

void holding_step(void *donor)
{
	struct donor *d = donor;
	struct holding *h = &d->holding;
	bool known;

	if (h->state == HOLDING_MANIFEST) {
		ask_for_manifest(d);
		wake(d, ASK_AGAIN_US);
	}
	if (h->state != HOLDING_HEAD && h->state != HOLDING_LAYERS)
		return;
	known = check_cache(h);
	if (h->state == HOLDING_LAYERS)
		load_what_is_here(d);
	if (h->state != HOLDING_HEAD && h->state != HOLDING_LAYERS)
		return; /* it failed */
	if (!known) {
		wake(d, 0);
		return;
	}
	if (shards_complete(h->shards)) {
		next_state(d);
		return;
	}
	report_progress(d);
	seeds_ask(d);
	wake(d, ASK_AGAIN_US / 10);
}
