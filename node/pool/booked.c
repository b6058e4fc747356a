/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/booked.h"

#include <stdlib.h>

#include <utlist.h>

struct booked {
	struct booked_window *windows; /* owned; in order of their numbers */
	struct booked_window *open;    /* of these, by session and donor */
	size_t n;
	uint64_t last_number;
};

int booked_new(struct booked **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	if (*out == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "books: out of memory");
	return AYNI_OK;
}

void booked_free(struct booked *b)
{
	if (b == NULL)
		return;
	while (b->windows != NULL)
		booked_drop(b, b->windows);
	free(b);
}

struct booked_window *booked_first(const struct booked *b)
{
	return b->windows;
}

void booked_drop(struct booked *b, struct booked_window *w)
{
	assert(b->windows != NULL);
	if (w->state == BOOKED_OPEN)
		booked_settle(b, w);
	DL_DELETE(b->windows, w);
	b->n--;
	free(w);
}

static int add_window(struct booked *b, struct booked_window **out, struct error *err)
{
	struct booked_window *w;

	if (b->n == BOOKED_WINDOWS_MAX)
		return error_set(err, AYNI_ERR_LIMIT, "books: too many windows are open");
	w = calloc(1, sizeof *w);
	if (w == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "books: out of memory");
	DL_APPEND(b->windows, w);
	b->n++;
	*out = w;
	return AYNI_OK;
}

int booked_recall(struct booked *b, const struct window *window, struct error *err)
{
	struct booked_window *w = NULL;
	int rc = add_window(b, &w, err);

	if (rc != AYNI_OK)
		return rc;
	w->w = *window;
	w->state = BOOKED_SETTLED;
	w->saved = true;
	b->last_number = window->number;
	return AYNI_OK;
}

/* ---- work --------------------------------------------------------------------------------- */

static struct booked_key key_of(uint64_t session, const struct public_key *donor)
{
	struct booked_key key = {.session = session};

	memcpy(key.donor.bytes, donor->bytes, sizeof key.donor.bytes);
	return key;
}

static struct booked_window *find_open(const struct booked *b, const struct booked_key *key)
{
	struct booked_window *w;

	HASH_FIND(hh, b->open, key, sizeof *key, w);
	return w;
}

/* The newest, open or not. */
static struct booked_window *find_last(const struct booked *b, const struct booked_key *key)
{
	struct booked_window *w = b->windows != NULL ? b->windows->prev : NULL;

	while (w != NULL && memcmp(&w->key, key, sizeof *key) != 0)
		w = w == b->windows ? NULL : w->prev;
	return w;
}

static bool has_layers(const struct booked_window *w, const struct booked_work *work)
{
	return w->w.layer_first == work->layers.first && w->w.layer_last == work->layers.last;
}

/* The window that it belongs into, a new one if there is none. */
static int window_for(struct booked *b, const struct booked_work *work,
    const struct action_book_span *span, struct booked_window **out, struct error *err)
{
	struct booked_key key = key_of(span->session, work->donor);
	struct booked_window *w = span->late ? find_last(b, &key) : find_open(b, &key);
	int rc;

	if (w != NULL && !has_layers(w, work)) {
		if (w->state == BOOKED_OPEN)
			booked_settle(b, w);
		w = NULL;
	}
	if (w != NULL) {
		*out = w;
		return AYNI_OK;
	}
	rc = add_window(b, out, err);
	if (rc != AYNI_OK)
		return rc;
	w = *out;
	w->key = key;
	w->state = span->late ? BOOKED_SETTLED : BOOKED_OPEN;
	if (w->state == BOOKED_OPEN)
		HASH_ADD(hh, b->open, key, sizeof w->key, w);
	w->w = (struct window){.number = ++b->last_number,
	    .donor = *work->donor,
	    .session = *work->name,
	    .model = *work->model,
	    .layer_first = work->layers.first,
	    .layer_last = work->layers.last,
	    .first_ms = work->now_ms};
	return AYNI_OK;
}

int booked_add(struct booked *b, const struct booked_work *work,
    const struct action_book_span *span, struct booked_window **out, struct error *err)
{
	int rc = window_for(b, work, span, out, err);
	struct window *w;

	if (rc != AYNI_OK)
		return rc;
	w = &(*out)->w;
	if (flop_add(w->cost, span->cost, &w->cost) != AYNI_OK)
		return error_set(err, AYNI_ERR_LIMIT, "books: a window's cost is past counting");
	w->units++;
	w->tokens += span->tokens;
	w->last_ms = work->now_ms;
	receipt_chain(&w->units_hash, work->unit, &work->result);
	(*out)->unsaved = true;
	return AYNI_OK;
}

/* ---- ends --------------------------------------------------------------------------------- */

void booked_settle(struct booked *b, struct booked_window *w)
{
	assert(w->state == BOOKED_OPEN && b->open != NULL);
	HASH_DEL(b->open, w);
	w->state = BOOKED_SETTLED;
}

void booked_end(struct booked *b, uint64_t session, const struct public_key *donor,
    const void *recheck, bool gap)
{
	struct booked_key key = key_of(session, donor);
	struct booked_window *w = find_open(b, &key);

	if (w == NULL)
		return;
	booked_settle(b, w);
	w->state = recheck != NULL ? BOOKED_WAITING : BOOKED_SETTLED;
	w->recheck = recheck;
	w->gap = gap;
}

void booked_end_session(struct booked *b, uint64_t session)
{
	for (struct booked_window *w = b->windows; w != NULL; w = w->next) {
		if (w->key.session == session && w->state == BOOKED_OPEN)
			booked_settle(b, w);
	}
}

void booked_judge(struct booked *b, const void *recheck, enum verification v)
{
	for (struct booked_window *w = b->windows; w != NULL; w = w->next) {
		if (w->state != BOOKED_WAITING || w->recheck != recheck)
			continue;
		w->state = BOOKED_SETTLED;
		w->recheck = NULL;
		w->verification = w->gap ? VERIFICATION_NONE : v;
	}
}
