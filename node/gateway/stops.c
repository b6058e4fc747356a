/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/stops.h"

/* Bytes before where `stop` stands, or the most of it that ends the text. */
static size_t before(const struct text *t, const char *stop, bool *whole)
{
	size_t n = strlen(stop), from;
	const char *at = t->len >= n ? memmem(t->data, t->len, stop, n) : NULL;

	*whole = at != NULL;
	if (at != NULL)
		return (size_t)(at - t->data);
	from = t->len >= n ? t->len - n + 1 : 0;
	while (from < t->len && memcmp(t->data + from, stop, t->len - from) != 0)
		from++;
	return from;
}

size_t stops_find(const struct stops *s, const struct text *held, bool *found)
{
	size_t cut = 0, ends = SIZE_MAX, hold = held->len;

	for (size_t i = 0; i < s->n; i++) {
		bool whole;
		size_t at = before(held, s->list[i], &whole);
		size_t end = at + strlen(s->list[i]);

		if (!whole) {
			hold = at < hold ? at : hold;
		} else if (end < ends || (end == ends && at < cut)) {
			cut = at;
			ends = end;
		}
	}
	*found = ends != SIZE_MAX;
	return *found ? cut : hold;
}
