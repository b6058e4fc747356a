/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/action.h"

#include <stdlib.h>

struct action *actions_add(struct actions *q, enum action_kind kind)
{
	struct action *a;

	if (q->n == q->capacity) {
		size_t capacity = q->capacity > 0 ? q->capacity * 2 : 64;
		struct action *list = reallocarray(q->list, capacity, sizeof *list);

		if (list == NULL)
			return NULL;
		q->list = list;
		q->capacity = capacity;
	}
	a = &q->list[q->n++];
	memset(a, 0, sizeof *a);
	a->kind = kind;
	return a;
}

void actions_units_first(struct actions *q)
{
	size_t to = 0; /* where the next unit may stand */

	for (size_t i = 0; i < q->n; i++) {
		struct action a = q->list[i];

		if (a.kind == ACTION_PIECE || a.kind == ACTION_FINISH)
			continue;
		if (a.kind == ACTION_BOOK)
			to = i;
		memmove(&q->list[to + 1], &q->list[to], (i - to) * sizeof a);
		q->list[to++] = a;
	}
}

void actions_clear(struct actions *q)
{
	for (size_t i = 0; i < q->n; i++) {
		struct action *a = &q->list[i];

		switch (a->kind) {
		case ACTION_BOOK:
			free(a->book.spans);
			break;
		case ACTION_PIECE:
			free(a->piece.text);
			free(a->piece.rows);
			free(a->piece.logprobs);
			break;
		case ACTION_UNIT:
			free(a->unit.unit.spans);
			free(a->unit.unit.closed);
			free(a->unit.payload);
			break;
		case ACTION_HANDOVER:
			free(a->handover.payload);
			break;
		case ACTION_FINISH:
		case ACTION_WITHDRAW:
		case ACTION_DRAFT:
			break;
		}
	}
	q->n = 0;
}

void actions_free(struct actions *q)
{
	actions_clear(q);
	free(q->list);
	*q = (struct actions){0};
}
