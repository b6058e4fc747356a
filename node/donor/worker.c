/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <uthash.h>

#include "compute/layers.h"
#include "compute/logits.h"
#include "node/donor/spare.h"
#include "node/donor/worker_wire.h"
#include "node/work.h"
#include "protocol/identity.h"
#include "protocol/messages.h"

static_assert((int)KV_TYPE_END == (int)LIMIT_KV_TYPES, "assignments name all types");

struct held {
	uint64_t session;
	struct kv *kv;
	UT_hash_handle hh;
};

struct worker {
	int fd;
	struct worker_shared *shared;
	struct team *team;
	const struct kernels *kernels;
	struct gguf *gguf;
	struct model *model;
	struct layers *layers;
	uint32_t kv_tokens, most_sessions;
	enum kv_type kv_type;
	struct held *sessions;
	/* scratch */
	struct layers_span spans[LIMIT_UNIT_SPANS];
	uint32_t layer_first; /* of the run; parts: of its activations */
	size_t n_parts;
	struct work_part parts[WORK_PARTS_MAX];
	const float *seen; /* activations after a layer, being hashed */
	struct hash *hashes;
	uint32_t *tokens;   /* LIMIT_UNIT_TOKENS */
	float *activations; /* LIMIT_UNIT_TOKENS x d_model */
	float *logits;      /* n_rows x vocabulary, grown as needed */
	size_t logits_rows;
	float *sort_scratch; /* vocabulary */
	struct logit *top;   /* vocabulary */
};

/* No key, no file and no way to more rights, whatever a model file does to this process. */
static int confine(void)
{
	const struct rlimit none = {0, 0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
	    prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
		return -1;
	(void)signal(SIGINT, SIG_IGN); /* the daemon decides when it is over */
	(void)signal(SIGTERM, SIG_IGN);
	return 0;
}

/* ---- sessions ----------------------------------------------------------------------------- */

static struct held *find(const struct worker *w, uint64_t session)
{
	struct held *h = NULL;

	HASH_FIND(hh, w->sessions, &session, sizeof session, h);
	return h;
}

static void forget(struct worker *w, struct held *h)
{
	HASH_DEL(w->sessions, h); /* NOLINT(clang-analyzer-unix.Malloc): loses uthash's thread */
	kv_free(h->kv);
	free(h);
}

/* At most `most` sessions are held. */
static int hold(
    struct worker *w, uint64_t session, uint32_t most, struct held **out, struct error *err)
{
	struct held *h;
	int rc;

	if (HASH_COUNT(w->sessions) >= most)
		return error_set(err, AYNI_ERR_MEMORY, "no room for another session");
	h = calloc(1, sizeof *h);
	if (h == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	h->session = session;
	rc = kv_new(w->model, w->kv_tokens, w->kv_type, &h->kv, err);
	if (rc != AYNI_OK) {
		free(h);
		return rc;
	}
	HASH_ADD(hh, w->sessions, session, sizeof h->session, h);
	*out = h;
	return AYNI_OK;
}

static void begin(struct kv *kv, enum wire_type wire)
{
	kv_filled(kv, 0);
	kv_set_wire(kv, wire);
}

static void forget_all(struct worker *w)
{
	struct held *h, *next;

	HASH_ITER(hh, w->sessions, h, next)
	forget(w, h);
}

/* Begin a span's session with a copy of what another one holds. The unit may close sessions, that
 * one too, but only after this, so that as many more may be here for the moment. */
static int fork_session(
    struct worker *w, const struct unit_span *s, uint32_t n_closed, struct error *err)
{
	const struct held *from = find(w, s->from);
	struct held *to = find(w, s->session);
	int rc = AYNI_OK;

	if (from == NULL || from == to || s->position > kv_length(from->kv))
		return error_set(err, AYNI_ERR_STATE,
		    "the session to begin with does not reach position %u here", s->position);
	if (to == NULL)
		rc = hold(w, s->session, w->most_sessions + n_closed, &to, err);
	if (rc != AYNI_OK)
		return rc;
	begin(to->kv, kv_wire(from->kv));
	return kv_copy(to->kv, from->kv, s->position, err);
}

static int open_span(
    struct worker *w, const struct unit_span *s, struct layers_span *out, struct error *err)
{
	struct held *h = find(w, s->session);
	int rc = AYNI_OK;

	if (s->position > 0 && (h == NULL || s->position > kv_length(h->kv)))
		return error_set(err, AYNI_ERR_STATE, "the session does not reach position %u here",
		    s->position);
	if (h == NULL)
		rc = hold(w, s->session, w->most_sessions, &h, err);
	if (rc == AYNI_OK && s->position == 0)
		begin(h->kv, (enum wire_type)s->wire);
	if (rc == AYNI_OK && kv_wire(h->kv) != (enum wire_type)s->wire)
		rc = error_set(err, AYNI_ERR_STATE, "the session began with another wire type");
	if (rc == AYNI_OK)
		*out = (struct layers_span){h->kv, s->position, s->n_tokens, s->n_logits};
	return rc;
}

static void on_layer(void *context, uint32_t layer, const float *activations);

/* ---- load --------------------------------------------------------------------------------- */

static void unload(struct worker *w)
{
	forget_all(w);
	free(w->tokens);
	free(w->activations);
	free(w->logits);
	free(w->sort_scratch);
	free(w->top);
	layers_free(w->layers);
	model_free(w->model);
	gguf_free(w->gguf);
}

static int load(struct worker *w, const struct worker_command *c, int image_fd,
    struct worker_answer *a, struct error *err)
{
	struct model_sizes sizes;
	int rc;

	if (w->gguf != NULL)
		return error_set(err, AYNI_ERR_STATE, "a worker loads once");
	if ((rc = gguf_open_fd(image_fd, "the model", &w->gguf, err)) != AYNI_OK ||
	    (rc = model_sizes_read(w->gguf, &sizes, err)) != AYNI_OK ||
	    (rc = model_open(w->gguf, c->layer_first, c->layer_last, w->kernels, &w->model, err)) !=
	        AYNI_OK ||
	    (rc = model_ready_next(w->model, w->gguf, w->team, err)) != AYNI_OK ||
	    (rc = layers_new(w->model, w->kernels, w->team, LIMIT_UNIT_TOKENS, &w->layers, err)) !=
	        AYNI_OK)
		return rc;
	layers_watch(w->layers, on_layer, w);
	w->kv_tokens = c->kv_tokens;
	w->most_sessions = work_room_pages(c->kv_tokens, c->max_sessions); /* each takes a page */
	w->kv_type = (enum kv_type)c->kv_type;
	w->tokens = calloc(LIMIT_UNIT_TOKENS, sizeof *w->tokens);
	w->activations = calloc(LIMIT_UNIT_TOKENS, (size_t)sizes.d_model * sizeof *w->activations);
	w->sort_scratch = calloc(sizes.n_vocabulary, sizeof *w->sort_scratch);
	w->top = calloc(sizes.n_vocabulary, sizeof *w->top);
	if (w->tokens == NULL || w->activations == NULL || w->sort_scratch == NULL ||
	    w->top == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	a->d_model = sizes.d_model;
	a->n_vocabulary = sizes.n_vocabulary;
	a->n_layers = sizes.n_layers;
	return AYNI_OK;
}

static int load_next(struct worker *w, struct error *err)
{
	if (w->layers == NULL)
		return error_set(err, AYNI_ERR_STATE, "nothing is loaded");
	return model_ready_next(w->model, w->gguf, w->team, err);
}

/* ---- run ---------------------------------------------------------------------------------- */

static int room_for_logits(struct worker *w, uint32_t n_rows, struct error *err)
{
	float *logits;

	if (n_rows <= w->logits_rows)
		return AYNI_OK;
	logits = reallocarray(
	    w->logits, n_rows, (size_t)w->model->sizes.n_vocabulary * sizeof *w->logits);
	if (logits == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	w->logits = logits;
	w->logits_rows = n_rows;
	return AYNI_OK;
}

/* As they travel: each session's in its wire type. */
static void get_activations(struct worker *w, const struct worker_command *c)
{
	size_t d = w->model->sizes.d_model;
	const uint8_t *in = w->shared->in;
	float *row = w->activations;

	for (uint32_t i = 0; i < c->n_spans; i++) {
		enum wire_type wire = kv_wire(w->spans[i].kv);

		for (uint32_t t = 0; t < w->spans[i].n_tokens; t++, row += d) {
			wire_decode(wire, in, d, row);
			in += wire_row_bytes(wire, d);
		}
	}
}

static void put_part(struct worker *w, const struct work_part *p, const float *activations)
{
	size_t d = w->model->sizes.d_model, row_bytes = p->bytes / p->n_rows;
	enum wire_type wire = kv_wire(w->spans[p->span].kv);

	for (uint32_t i = 0; i < p->n_rows; i++)
		wire_encode(wire, activations + (p->row + i) * d, d,
		    w->shared->out + p->offset + i * row_bytes);
}

static size_t put_activations(struct worker *w)
{
	const struct work_part *last = &w->parts[w->n_parts - 1];

	for (size_t i = 0; i < w->n_parts; i++)
		put_part(w, &w->parts[i], w->activations);
	return last->offset + last->bytes;
}

static void hash_parts(void *context, size_t first, size_t end, unsigned thread)
{
	struct worker *w = context;

	(void)thread;
	for (size_t i = first; i < end; i++) {
		const struct work_part *p = &w->parts[i];

		put_part(w, p, w->seen);
		hash_bytes(w->shared->out + p->offset, p->bytes, &w->hashes[i]);
	}
}

/* What this donor stands for. The place of the result is free until the last layer is done. */
static void on_layer(void *context, uint32_t layer, const float *activations)
{
	struct worker *w = context;

	w->seen = activations;
	w->hashes = w->shared->layers + (layer - w->layer_first) * w->n_parts;
	team_run(w->team, w->n_parts, 1, hash_parts, w);
}

static bool is_source(const struct worker *w, const struct worker_command *c, uint64_t session)
{
	for (uint32_t i = 0; i < c->n_spans; i++) {
		if (w->shared->spans[i].from == session)
			return true;
	}
	return false;
}

/* All that the unit closes, or at first only those that nobody begins with: their memory may be
 * needed for the copies of the others. */
static void close_sessions(struct worker *w, const struct worker_command *c, bool sources_too)
{
	for (uint32_t i = 0; i < c->n_closed; i++) {
		struct held *h = find(w, w->shared->closed[i]);

		if (h != NULL && (sources_too || !is_source(w, c, h->session)))
			forget(w, h);
	}
}

static int prepare(struct worker *w, const struct worker_command *c, struct error *err)
{
	const struct worker_shared *s = w->shared;
	int rc = room_for_logits(w, c->n_logits, err);

	if (c->forget)
		forget_all(w);
	close_sessions(w, c, false);
	for (uint32_t i = 0; i < c->n_spans && rc == AYNI_OK; i++) {
		if (s->spans[i].from != 0)
			rc = fork_session(w, &s->spans[i], c->n_closed, err);
	}
	close_sessions(w, c, true);
	for (uint32_t i = 0; i < c->n_spans && rc == AYNI_OK; i++)
		rc = open_span(w, &s->spans[i], &w->spans[i], err);
	if (rc != AYNI_OK)
		return rc;
	w->layer_first = c->layer_first;
	w->n_parts = work_parts(w->model->sizes.d_model,
	    &(struct msg_work_unit){.n_spans = c->n_spans, .spans = w->shared->spans}, false,
	    w->parts);
	if (w->n_parts * (c->layer_last - c->layer_first - 1) > LIMIT_LAYER_HASHES)
		return error_set(err, AYNI_ERR_LIMIT, "too many parts for so many layers");
	if (c->layer_first == 0)
		payload_get_u32(s->in, w->tokens, c->n_tokens);
	else
		get_activations(w, c);
	return AYNI_OK;
}

static size_t put_rows(struct worker *w, const struct worker_command *c)
{
	uint8_t *at = w->shared->out;
	uint32_t n_vocabulary = w->model->sizes.n_vocabulary;

	for (uint32_t i = 0; i < c->n_logits; i++) {
		float lse;

		logits_top(w->kernels, w->logits + (size_t)i * n_vocabulary, n_vocabulary, c->top,
		    w->sort_scratch, w->top, &lse);
		logit_row_write(at, w->top, c->top, lse);
		at += logit_row_bytes(c->top);
	}
	return (size_t)(at - w->shared->out);
}

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* As the daemon's intake does: what they hold after a failure is not known there. */
static void forget_spans(struct worker *w, const struct worker_command *c)
{
	for (uint32_t i = 0; i < c->n_spans; i++) {
		struct held *h = find(w, w->shared->spans[i].session);

		if (h != NULL)
			forget(w, h);
	}
}

static int run(
    struct worker *w, const struct worker_command *c, struct worker_answer *a, struct error *err)
{
	uint64_t began = now_us();
	bool last;
	int rc;

	if (w->layers == NULL)
		return error_set(err, AYNI_ERR_STATE, "nothing is loaded");
	last = c->layer_last == w->model->sizes.n_layers;
	rc = prepare(w, c, err);
	if (rc == AYNI_OK)
		rc = layers_run_part(w->layers, c->layer_first, c->layer_last, w->spans, c->n_spans,
		    c->layer_first == 0 ? w->tokens : NULL, w->activations, last ? w->logits : NULL,
		    err);
	if (rc != AYNI_OK) {
		forget_spans(w, c);
		return rc;
	}
	a->result_bytes = last ? put_rows(w, c) : put_activations(w);
	a->compute_us = now_us() - began;
	return AYNI_OK;
}

/* ---- commands ----------------------------------------------------------------------------- */

static int map(struct worker *w, int fd, struct error *err)
{
	void *at = mmap(NULL, sizeof *w->shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return error_set(err, AYNI_ERR_IO, "mmap: %s", strerror(errno));
	w->shared = at;
	return AYNI_OK;
}

/* One command, with the descriptor that came along or -1. False: the daemon is gone. */
static bool next_command(struct worker *w, struct worker_command *c, int *fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec data = {c, sizeof *c};
	struct msghdr m = {.msg_iov = &data,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof control};
	ssize_t n;

	do {
		n = recvmsg(w->fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	*fd = -1;
	if (n != (ssize_t)sizeof *c)
		return false;
	if (CMSG_FIRSTHDR(&m) != NULL && CMSG_FIRSTHDR(&m)->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof *fd);
	return true;
}

static void answer(
    struct worker *w, const struct worker_command *c, int fd, struct worker_answer *a)
{
	struct error err = {0};
	int rc;

	a->kind = c->kind;
	a->unit = c->unit;
	if (c->kind == WORKER_MAP)
		rc = map(w, fd, &err);
	else if (c->kind == WORKER_LOAD)
		rc = load(w, c, fd, a, &err);
	else if (c->kind == WORKER_LOAD_NEXT)
		rc = load_next(w, &err);
	else
		rc = run(w, c, a, &err);
	a->code = rc;
	memcpy(a->text, err.text, sizeof a->text);
}

int worker_main(int socket_fd, unsigned threads, const char *kernels)
{
	struct worker *w = calloc(1, sizeof *w);
	struct worker_command c;
	int fd;

	if (w == NULL || confine() != 0 || team_new(threads, &w->team, NULL) != AYNI_OK ||
	    (w->kernels = spare_kernels(kernels)) == NULL) {
		if (w != NULL)
			team_free(w->team);
		free(w);
		return 1;
	}
	w->fd = socket_fd;
	while (next_command(w, &c, &fd)) {
		struct worker_answer a = {0};

		answer(w, &c, fd, &a);
		if (fd >= 0)
			(void)close(fd);
		if (send(w->fd, &a, sizeof a, MSG_NOSIGNAL) != (ssize_t)sizeof a)
			break;
	}
	unload(w);
	team_free(w->team);
	free(w);
	return 0;
}
