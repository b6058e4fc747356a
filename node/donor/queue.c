/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/queue.h"

#include <stdlib.h>

void queue_add(struct unit_queue *q, struct message *m, struct transport_parts *parts)
{
	assert(q->n < QUEUE_MAX);
	q->units[q->n++] = (struct queued_unit){.message = m,
	    .parts = *parts,
	    .payload = m->payload,
	    .waits = m->work_unit.input.ticket != 0};
}

static bool runs(const struct msg_work_unit *u, uint64_t session)
{
	for (size_t i = 0; i < u->n_spans; i++) {
		if (u->spans[i].session == session || u->spans[i].from == session)
			return true;
	}
	return false;
}

static bool closes(const struct msg_work_unit *u, uint64_t session)
{
	for (size_t i = 0; i < u->n_closed; i++) {
		if (u->closed[i] == session)
			return true;
	}
	return false;
}

static bool opens(const struct msg_work_unit *u)
{
	for (size_t i = 0; i < u->n_spans; i++) {
		if (u->spans[i].position == 0 || u->spans[i].from != 0)
			return true;
	}
	return false;
}

bool queue_depends(const struct msg_work_unit *later, const struct msg_work_unit *earlier)
{
	if (earlier->n_closed > 0 && opens(later))
		return true; /* it may need the room */
	for (size_t i = 0; i < earlier->n_spans; i++) {
		const struct unit_span *s = &earlier->spans[i];

		if (runs(later, s->session) || closes(later, s->session) ||
		    (s->from != 0 && (runs(later, s->from) || closes(later, s->from))))
			return true;
	}
	for (size_t i = 0; i < earlier->n_closed; i++) {
		if (runs(later, earlier->closed[i]))
			return true;
	}
	return false;
}

/* All before it wait, or depend on one that does. */
static bool may_run(const struct unit_queue *q, size_t i)
{
	if (q->units[i].waits)
		return false;
	for (size_t k = 0; k < i; k++) {
		if (queue_depends(&q->units[i].message->work_unit, &q->units[k].message->work_unit))
			return false;
	}
	return true;
}

bool queue_next(struct unit_queue *q)
{
	struct queued_unit next;
	size_t i = 0;

	while (i < q->n && !may_run(q, i))
		i++;
	if (i == q->n)
		return false;
	next = q->units[i];
	memmove(&q->units[1], &q->units[0], i * sizeof next);
	q->units[0] = next;
	return true;
}

void queue_remove(struct unit_queue *q, size_t i)
{
	struct queued_unit *u = &q->units[i];

	message_free(u->message);
	transport_parts_free(&u->parts);
	free(u->input);
	free(u->inputs);
	q->n--;
	memmove(u, u + 1, (q->n - i) * sizeof *u);
}

struct queued_unit *queue_waiting(
    struct unit_queue *q, const struct public_key *donor, uint64_t ticket)
{
	for (size_t i = 0; i < q->n; i++) {
		const struct transfer *input = &q->units[i].message->work_unit.input;

		if (q->units[i].waits && input->ticket == ticket &&
		    (donor == NULL || public_key_equal(&input->donor, donor)))
			return &q->units[i];
	}
	return NULL;
}

size_t queue_find(const struct unit_queue *q, uint64_t unit)
{
	size_t i = 0;

	while (i < q->n && q->units[i].message->work_unit.unit != unit)
		i++;
	return i;
}

int queue_give(struct queued_unit *u, struct span payload, const struct hash *hash)
{
	u->input = malloc(payload.len);
	if (u->input == NULL)
		return AYNI_ERR_MEMORY;
	memcpy(u->input, payload.data, payload.len);
	u->payload = (struct span){u->input, payload.len};
	u->input_hash = *hash;
	u->waits = false;
	return AYNI_OK;
}
