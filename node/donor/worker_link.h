/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's side of its computing process. `ayni worker` holds no key, no network and no
 * database; it is joined to the daemon by a socket pair (SOCK_SEQPACKET) for small fixed commands
 * and by one shared mapping for tensors. What the worker says is checked like a stranger's words:
 * a worker that was taken over can spoil a result, not the daemon.
 *
 * Layers are loaded one at a time, and between these units run, one at a time, over those that are
 * there: a command is answered before the next is given. A worker that dies is an event; the caller
 * starts another link. One thread.
 */
#ifndef AYNI_NODE_DONOR_WORKER_LINK_H
#define AYNI_NODE_DONOR_WORKER_LINK_H

#include "protocol/message_types.h"

struct worker_link;

struct worker_options {
	const char *program; /* NULL: /proc/self/exe */
	unsigned threads;    /* at least 1 */
	const char *kernels; /* "auto", "scalar", "avx2" */
};

/* What to hold. */
struct worker_range {
	int image_fd; /* GGUF image; handed over, the caller keeps its own */
	uint32_t layer_first, layer_last;
	uint32_t kv_tokens, max_sessions;
	uint32_t kv_type; /* enum kv_type */
};

enum worker_event_kind {
	WORKER_LOADED,      /* one layer more */
	WORKER_LOAD_FAILED, /* text says why */
	WORKER_RESULT,
	WORKER_UNIT_FAILED, /* code and text say why; AYNI_ERR_STATE: unknown session or position */
	WORKER_DIED
};

struct worker_event {
	enum worker_event_kind kind;
	uint64_t unit;
	enum ayni_error code;
	char text[ERROR_TEXT_BYTES];
	struct span payload; /* of a result: in the shared mapping, valid until the next command */
	struct hash *layer_hashes; /* likewise */
	size_t n_layer_hashes;
	uint64_t compute_us;
};

/* Starts the process: execv(program, {"ayni", "worker", "--fd", N, "--threads", T, "--kernels",
 * K}). */
int worker_link_start(const struct worker_options *o, struct worker_link **out, struct error *err);
void worker_link_free(struct worker_link *l); /* ends the process */

int worker_link_fd(const struct worker_link *l); /* readable: an event */
/* What is to be held, and its first layer, which must be in the image. AYNI_ERR_STATE if a command
 * is not answered yet. An answer follows as an event. */
int worker_link_load(struct worker_link *l, const struct worker_range *r, struct error *err);
/* Another layer is in the image. */
int worker_link_load_next(struct worker_link *l, struct error *err);
/* The unit was admitted (intake.h); payload is in wire form (ayni.proto) and is copied. */
int worker_link_run(
    struct worker_link *l, const struct msg_work_unit *u, struct span payload, struct error *err);
/* The worker forgets all sessions before its next unit. */
void worker_link_forget(struct worker_link *l);
/* AYNI_ERR_AGAIN: nothing yet. After WORKER_DIED only worker_link_free makes sense. */
int worker_link_receive(struct worker_link *l, struct worker_event *out);

#endif
