/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that a pool has booked and that is in no receipt yet: windows of one session at one donor,
 * written again and again while they fill, so that little is lost if the pool dies. Statements are
 * prepared once; one thread, like struct db.
 */
#ifndef AYNI_STORAGE_WINDOWS_H
#define AYNI_STORAGE_WINDOWS_H

#include "storage/db.h"

struct windows;

struct window {
	uint64_t number; /* its name here, at least 1 */
	struct public_key donor;
	struct pseudonym session; /* unset: of several, from before there were such */
	struct hash model;
	uint32_t layer_first, layer_last;
	uint64_t units, tokens;
	struct flop cost;
	struct hash units_hash;
	uint64_t first_ms, last_ms;
};

/* A callback's non-zero return ends the walk and is returned. */
typedef int window_fn(void *context, const struct window *w);

int windows_new(struct db *d, struct windows **out, struct error *err); /* borrows d */
void windows_free(struct windows *w);

/* In place of the window of this number before. Both join an open transaction or make their own. */
int windows_put(struct windows *w, const struct window *window, struct error *err);
/* It is in a receipt now. Fine if there is none. */
int windows_drop(struct windows *w, uint64_t number, struct error *err);
/* In order of number. */
int windows_each(struct windows *w, window_fn *fn, void *context, struct error *err);

#endif
