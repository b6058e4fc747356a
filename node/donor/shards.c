/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/shards.h"

#include <stdlib.h>

enum chunk_state { UNWANTED, UNKNOWN, WANTED, ASKED, HERE };

struct shards {
	size_t n;
	struct manifest_chunk *chunks;
	enum chunk_state *states;
	uint64_t *asked_us;
	size_t *by_hash; /* indices, sorted by content and then by index */
	uint32_t *parts;
	size_t missing[SHARDS_PARTS]; /* chunks of each part that are not here */
	size_t *order, *rank;         /* indices, by part and then by index; where each stands */
	bool ordered;
	size_t first_unknown, first_wanted; /* none stands before */
	size_t n_asked;
	uint64_t late_us; /* nothing asked for is late before */
	uint64_t here_bytes, needed_bytes;
};

/* qsort has no context argument in C: an array of these is sorted, then the indices are kept. */
struct entry {
	struct hash hash;
	size_t index;
};

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = memcmp(x->hash.bytes, y->hash.bytes, HASH_BYTES);

	return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static bool sort_by_hash(struct shards *s)
{
	struct entry *entries = calloc(s->n + 1, sizeof *entries);

	if (entries == NULL)
		return false;
	for (size_t i = 0; i < s->n; i++)
		entries[i] = (struct entry){s->chunks[i].hash, i};
	qsort(entries, s->n, sizeof *entries, compare_entries);
	for (size_t i = 0; i < s->n; i++)
		s->by_hash[i] = entries[i].index;
	free(entries);
	return true;
}

int shards_new(struct manifest *m, struct shards **out, struct error *err)
{
	struct shards *s = calloc(1, sizeof *s);

	if (s == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "shards: out of memory");
	s->n = m->n_chunks;
	s->chunks = m->chunks;
	m->chunks = NULL;
	s->states = calloc(s->n + 1, sizeof *s->states);
	s->asked_us = calloc(s->n + 1, sizeof *s->asked_us);
	s->by_hash = calloc(s->n + 1, sizeof *s->by_hash);
	s->parts = calloc(s->n + 1, sizeof *s->parts);
	s->order = calloc(s->n + 1, sizeof *s->order);
	s->rank = calloc(s->n + 1, sizeof *s->rank);
	if (s->states == NULL || s->asked_us == NULL || s->by_hash == NULL || s->parts == NULL ||
	    s->order == NULL || s->rank == NULL || !sort_by_hash(s)) {
		shards_free(s);
		return error_set(err, AYNI_ERR_MEMORY, "shards: out of memory");
	}
	*out = s;
	return AYNI_OK;
}

void shards_free(struct shards *s)
{
	if (s == NULL)
		return;
	free(s->chunks);
	free(s->states);
	free(s->asked_us);
	free(s->by_hash);
	free(s->parts);
	free(s->order);
	free(s->rank);
	free(s);
}

/* The first chunk that ends past an offset. */
static size_t first_after(const struct shards *s, uint64_t offset)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->chunks[middle].offset + s->chunks[middle].length <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void shards_want(struct shards *s, uint64_t offset, uint64_t len, uint32_t part)
{
	uint64_t end = len < UINT64_MAX - offset ? offset + len : UINT64_MAX;

	assert(part < SHARDS_PARTS);
	if (len == 0)
		return;
	for (size_t i = first_after(s, offset); i < s->n && s->chunks[i].offset < end; i++) {
		if (s->states[i] != UNWANTED && s->parts[i] <= part)
			continue;
		if (s->states[i] == UNWANTED) {
			s->states[i] = UNKNOWN;
			s->needed_bytes += s->chunks[i].length;
		} else {
			s->missing[s->parts[i]] -= s->states[i] != HERE;
		}
		s->missing[part] += s->states[i] != HERE;
		s->parts[i] = part;
		s->ordered = false;
	}
}

/* Counted, then placed: parts are few, and chunks stand in the order of their indices already. */
static void put_in_order(struct shards *s)
{
	size_t at[SHARDS_PARTS + 1] = {0};

	if (s->ordered)
		return;
	for (size_t i = 0; i < s->n; i++)
		at[s->parts[i] + 1]++;
	for (size_t part = 0; part < SHARDS_PARTS; part++)
		at[part + 1] += at[part];
	for (size_t i = 0; i < s->n; i++) {
		s->rank[i] = at[s->parts[i]]++;
		s->order[s->rank[i]] = i;
	}
	s->first_unknown = s->first_wanted = 0;
	s->ordered = true;
}

bool shards_unknown(struct shards *s, size_t *index)
{
	put_in_order(s);
	while (s->first_unknown < s->n && s->states[s->order[s->first_unknown]] != UNKNOWN)
		s->first_unknown++;
	*index = s->first_unknown < s->n ? s->order[s->first_unknown] : s->n;
	return s->first_unknown < s->n;
}

/* Nothing of it is here or on its way. */
static void want_again(struct shards *s, size_t index)
{
	s->states[index] = WANTED;
	put_in_order(s);
	if (s->rank[index] < s->first_wanted)
		s->first_wanted = s->rank[index];
}

const struct manifest_chunk *shards_chunk(const struct shards *s, size_t index)
{
	assert(index < s->n);
	return &s->chunks[index];
}

void shards_here(struct shards *s, size_t index)
{
	if (s->states[index] == HERE || s->states[index] == UNWANTED)
		return;
	s->n_asked -= s->states[index] == ASKED;
	s->states[index] = HERE;
	s->missing[s->parts[index]]--;
	s->here_bytes += s->chunks[index].length;
}

void shards_missing(struct shards *s, size_t index)
{
	assert(s->states[index] == UNKNOWN);
	want_again(s, index);
}

/* What did not come in time is wanted again. */
static void take_back_late(struct shards *s, uint64_t now_us, uint64_t again_us)
{
	if (s->n_asked == 0 || now_us < s->late_us)
		return;
	s->late_us = UINT64_MAX;
	for (size_t i = 0; i < s->n; i++) {
		uint64_t late_us = s->asked_us[i] + again_us;

		if (s->states[i] != ASKED)
			continue;
		if (late_us > now_us) {
			s->late_us = late_us < s->late_us ? late_us : s->late_us;
			continue;
		}
		s->n_asked--;
		want_again(s, i);
	}
}

size_t shards_ask(
    struct shards *s, struct hash *out, size_t max, uint64_t now_us, uint64_t again_us)
{
	size_t n = 0;

	put_in_order(s);
	take_back_late(s, now_us, again_us);
	for (; s->first_wanted < s->n && n < max && s->n_asked < SHARDS_MAX_ASKED;
	     s->first_wanted++) {
		size_t i = s->order[s->first_wanted];

		if (s->states[i] != WANTED)
			continue;
		if (s->n_asked == 0 || now_us + again_us < s->late_us)
			s->late_us = now_us + again_us;
		s->states[i] = ASKED;
		s->asked_us[i] = now_us;
		s->n_asked++;
		out[n++] = s->chunks[i].hash;
	}
	return n;
}

/* The first place in by_hash of this content at or after chunk `index`, or behind it. */
static size_t place_of(const struct shards *s, const struct hash *content, size_t index)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		size_t i = s->by_hash[middle];
		int order = memcmp(s->chunks[i].hash.bytes, content->bytes, HASH_BYTES);

		if (order < 0 || (order == 0 && i < index))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool find(const struct shards *s, const struct hash *content, bool here, size_t *index)
{
	for (size_t at = place_of(s, content, *index); at < s->n; at++) {
		size_t i = s->by_hash[at];

		if (!hash_equal(&s->chunks[i].hash, content))
			return false;
		if (s->states[i] != UNWANTED && (s->states[i] == HERE) == here) {
			*index = i;
			return true;
		}
	}
	return false;
}

bool shards_find(const struct shards *s, const struct hash *content, size_t *index)
{
	return find(s, content, false, index);
}

bool shards_held(const struct shards *s, const struct hash *content, size_t *index)
{
	return find(s, content, true, index);
}

void shards_lost(struct shards *s, const struct hash *content)
{
	for (size_t i = 0; shards_find(s, content, &i); i++) {
		if (s->states[i] != ASKED)
			continue;
		s->n_asked--;
		want_again(s, i);
	}
}

void shards_all_lost(struct shards *s)
{
	for (size_t i = 0; i < s->n && s->n_asked > 0; i++) {
		if (s->states[i] != ASKED)
			continue;
		s->n_asked--;
		want_again(s, i);
	}
}

bool shards_complete(const struct shards *s)
{
	return s->here_bytes == s->needed_bytes;
}

bool shards_part_complete(const struct shards *s, uint32_t part)
{
	return s->missing[part] == 0;
}

void shards_progress(const struct shards *s, uint64_t *here_bytes, uint64_t *needed_bytes)
{
	*here_bytes = s->here_bytes;
	*needed_bytes = s->needed_bytes;
}
