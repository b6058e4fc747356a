/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/worker_link.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/child.h"
#include "node/donor/worker_wire.h"
#include "node/work.h"

struct worker_link {
	int fd;
	pid_t pid;
	struct worker_shared *shared;
	bool mapped;                      /* the answer to MAP was here */
	enum worker_command_kind waiting; /* for the answer to this; 0: idle */
	uint64_t unit;
	bool forget; /* to be said with the next unit */
	struct worker_range range;
	uint32_t d_model, n_vocabulary, n_layers; /* as the worker said when it had loaded */
	size_t result_bytes, n_layer_hashes;      /* that the running unit must give */
};

/* ---- start -------------------------------------------------------------------------------- */

static int start_process(const struct worker_options *o, int fd, pid_t *out, struct error *err)
{
	char fd_text[16], threads[16];
	char *argv[] = {"ayni", "worker", "--fd", fd_text, "--threads", threads, "--kernels",
	    (char *)o->kernels, NULL};
	const struct child_options child = {.program = o->program, .argv = argv, .keep_fd = fd};

	(void)snprintf(fd_text, sizeof fd_text, "%d", fd);
	(void)snprintf(threads, sizeof threads, "%u", o->threads);
	return child_start(&child, out, err);
}

/* A mapping whose size the worker cannot change under us. */
static int make_shared(struct worker_link *l, int *memory_fd, struct error *err)
{
	int fd = memfd_create("ayni-worker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *at;

	if (fd < 0 || ftruncate(fd, sizeof *l->shared) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		goto failed;
	at = mmap(NULL, sizeof *l->shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		goto failed;
	l->shared = at;
	*memory_fd = fd;
	return AYNI_OK;

failed:
	(void)error_set(err, AYNI_ERR_IO, "worker: shared memory: %s", strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return AYNI_ERR_IO;
}

/* Send a command, with a descriptor if passed_fd >= 0. */
static int command(
    struct worker_link *l, const struct worker_command *c, int passed_fd, struct error *err)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec data = {(void *)c, sizeof *c};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1};

	if (passed_fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof passed_fd);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &passed_fd, sizeof passed_fd);
	}
	if (sendmsg(l->fd, &m, MSG_NOSIGNAL) != (ssize_t)sizeof *c)
		return error_set(err, AYNI_ERR_IO, "worker: %s", strerror(errno));
	l->waiting = (enum worker_command_kind)c->kind;
	l->unit = c->unit;
	return AYNI_OK;
}

int worker_link_start(const struct worker_options *o, struct worker_link **out, struct error *err)
{
	const struct worker_command map = {.kind = WORKER_MAP};
	struct worker_link *l = calloc(1, sizeof *l);
	int ends[2], memory_fd = -1;
	int rc;

	if (l == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "worker: out of memory");
	l->fd = -1;
	rc = make_shared(l, &memory_fd, err);
	if (rc != AYNI_OK)
		goto out;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
		rc = error_set(err, AYNI_ERR_IO, "worker: socketpair: %s", strerror(errno));
		goto out;
	}
	l->fd = ends[0];
	rc = start_process(o, ends[1], &l->pid, err);
	(void)close(ends[1]);
	if (rc == AYNI_OK)
		rc = command(l, &map, memory_fd, err);
out:
	if (memory_fd >= 0)
		(void)close(memory_fd);
	if (rc == AYNI_OK)
		*out = l;
	else
		worker_link_free(l);
	return rc;
}

void worker_link_free(struct worker_link *l)
{
	if (l == NULL)
		return;
	if (l->fd >= 0)
		(void)close(l->fd);
	if (l->pid > 0) {
		(void)kill(l->pid, SIGKILL);
		(void)waitpid(l->pid, NULL, 0);
	}
	if (l->shared != NULL)
		(void)munmap(l->shared, sizeof *l->shared);
	free(l);
}

int worker_link_fd(const struct worker_link *l)
{
	return l->fd;
}

/* ---- commands ----------------------------------------------------------------------------- */

static bool busy(const struct worker_link *l)
{
	return l->waiting == WORKER_LOAD || l->waiting == WORKER_LOAD_NEXT ||
	       l->waiting == WORKER_RUN;
}

int worker_link_load(struct worker_link *l, const struct worker_range *r, struct error *err)
{
	struct worker_command c = {.kind = WORKER_LOAD,
	    .layer_first = r->layer_first,
	    .layer_last = r->layer_last,
	    .kv_tokens = r->kv_tokens,
	    .max_sessions = r->max_sessions,
	    .kv_type = r->kv_type};

	if (busy(l))
		return error_set(err, AYNI_ERR_STATE, "worker: a command is not answered yet");
	l->range = *r;
	return command(l, &c, r->image_fd, err);
}

int worker_link_load_next(struct worker_link *l, struct error *err)
{
	const struct worker_command c = {.kind = WORKER_LOAD_NEXT};

	if (busy(l) || l->n_layers == 0)
		return error_set(
		    err, AYNI_ERR_STATE, "worker: nothing loaded, or a command is open");
	return command(l, &c, -1, err);
}

int worker_link_run(
    struct worker_link *l, const struct msg_work_unit *u, struct span payload, struct error *err)
{
	struct worker_command c = {.kind = WORKER_RUN,
	    .layer_first = u->layer_first,
	    .layer_last = u->layer_last,
	    .n_spans = (uint32_t)u->n_spans,
	    .n_tokens = u->n_tokens,
	    .n_logits = u->n_logits,
	    .n_closed = (uint32_t)u->n_closed,
	    .top = u->top,
	    .forget = l->forget,
	    .unit = u->unit};

	if (busy(l) || l->n_layers == 0)
		return error_set(
		    err, AYNI_ERR_STATE, "worker: nothing loaded, or a command is open");
	if (u->n_spans > LIMIT_UNIT_SPANS || u->n_closed > WORKER_CLOSED_MAX ||
	    payload.len > sizeof l->shared->in)
		return error_set(err, AYNI_ERR_LIMIT, "worker: the unit is too large");
	l->result_bytes = work_result_bytes(l->n_layers, l->d_model, u);
	l->n_layer_hashes = work_layer_hashes(u);
	if (l->result_bytes > sizeof l->shared->out || l->n_layer_hashes > LIMIT_LAYER_HASHES)
		return error_set(err, AYNI_ERR_LIMIT, "worker: the result would be too large");
	memcpy(l->shared->spans, u->spans, u->n_spans * sizeof *u->spans);
	if (u->n_closed > 0)
		memcpy(l->shared->closed, u->closed, u->n_closed * sizeof *u->closed);
	memcpy(l->shared->in, payload.data, payload.len);
	l->forget = false;
	return command(l, &c, -1, err);
}

void worker_link_forget(struct worker_link *l)
{
	l->forget = true;
}

/* ---- answers ------------------------------------------------------------------------------ */

static int died(struct worker_link *l, struct worker_event *out)
{
	*out = (struct worker_event){.kind = WORKER_DIED, .unit = l->unit, .code = AYNI_ERR_IO};
	l->waiting = 0;
	l->n_layers = 0;
	return AYNI_OK;
}

/* Printable and ended, whatever the worker wrote. */
static void copy_text(const struct worker_answer *a, char out[ERROR_TEXT_BYTES])
{
	size_t i;

	for (i = 0; i < ERROR_TEXT_BYTES - 1 && a->text[i] != '\0'; i++)
		out[i] = isprint((unsigned char)a->text[i]) ? a->text[i] : '?';
	out[i] = '\0';
}

static bool known_code(int32_t code)
{
	return code <= AYNI_OK && code >= AYNI_ERR_NUMERIC;
}

static bool take_loaded(
    struct worker_link *l, const struct worker_answer *a, struct worker_event *out)
{
	out->kind = a->code == AYNI_OK ? WORKER_LOADED : WORKER_LOAD_FAILED;
	if (a->code != AYNI_OK || l->waiting == WORKER_LOAD_NEXT)
		return true;
	if (a->n_layers < l->range.layer_last || a->n_layers > LIMIT_LAYERS || a->d_model == 0 ||
	    a->n_vocabulary == 0 || a->n_vocabulary > LIMIT_VOCABULARY)
		return false;
	l->d_model = a->d_model;
	l->n_vocabulary = a->n_vocabulary;
	l->n_layers = a->n_layers;
	return true;
}

static bool take_result(
    const struct worker_link *l, const struct worker_answer *a, struct worker_event *out)
{
	out->kind = a->code == AYNI_OK ? WORKER_RESULT : WORKER_UNIT_FAILED;
	if (a->unit != l->unit || (a->code == AYNI_OK && a->result_bytes != l->result_bytes))
		return false;
	out->unit = a->unit;
	out->compute_us = a->compute_us;
	if (a->code != AYNI_OK)
		return true;
	out->payload = (struct span){l->shared->out, l->result_bytes};
	out->layer_hashes = l->shared->layers;
	out->n_layer_hashes = l->n_layer_hashes;
	return true;
}

/* What does not fit the question is taken as a death: that worker is not believed again. */
static int take_answer(
    struct worker_link *l, const struct worker_answer *a, struct worker_event *out)
{
	bool sensible = busy(l) && a->kind == (uint32_t)l->waiting && known_code(a->code);

	*out = (struct worker_event){.code = (enum ayni_error)a->code};
	copy_text(a, out->text);
	if (sensible)
		sensible =
		    l->waiting == WORKER_RUN ? take_result(l, a, out) : take_loaded(l, a, out);
	if (!sensible)
		return died(l, out);
	l->waiting = 0;
	return AYNI_OK;
}

int worker_link_receive(struct worker_link *l, struct worker_event *out)
{
	struct worker_answer a;
	ssize_t n;

	for (;;) {
		n = recv(l->fd, &a, sizeof a, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return AYNI_ERR_AGAIN;
		if (n != (ssize_t)sizeof a)
			return died(l, out);
		if (l->mapped || a.kind != WORKER_MAP || a.code != AYNI_OK)
			return take_answer(l, &a, out);
		l->mapped = true; /* not worth an event */
		if (l->waiting == WORKER_MAP)
			l->waiting = 0;
	}
}
