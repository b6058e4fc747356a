/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/liar.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h> /* cmocka.h wants it first */
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/cli/cli.h"
#include "node/donor/worker.h"
#include "node/donor/worker_wire.h"
#include "protocol/messages.h"
#include "tests/support/network.h"

enum {
	FD_ARGUMENT = 3,
	THREADS_ARGUMENT = 5,
	KERNELS_ARGUMENT = 7,
	N_ARGUMENTS = 8,
	LENGTHS = 64,
	SWARM_SESSIONS = 4096
};

struct kept {
	size_t len;
	uint8_t *data;
};

/* What a swarm has computed: bits of layers by session. Open addressing; nothing is ever removed.
 */
struct swarm {
	struct {
		_Atomic uint64_t session, layers;
	} computed[SWARM_SESSIONS];
};

struct liar {
	const char *lie;
	uint64_t honest_units; /* left */
	struct worker_shared *shared;
	struct worker_command run;                  /* the last */
	uint32_t layer_first, layer_last, n_layers; /* that it is to hold, and of the model */
	uint32_t loaded;                            /* layers up to this */
	uint64_t random;
	int delay_ms;
	struct swarm *swarm; /* shared with others of it; or NULL */
	size_t n_kept;
	struct kept kept[LENGTHS]; /* first answers, by length */
};

static uint64_t next_random(struct liar *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

/* ---- lies --------------------------------------------------------------------------------- */

static bool gives_logits(const struct liar *l)
{
	return l->layer_last == l->n_layers;
}

static void put_random_row(struct liar *l, uint8_t *row)
{
	float lse = 20;
	uint32_t first = (uint32_t)(next_random(l) % 200);

	payload_put_f32(row, &lse, 1);
	for (uint32_t i = 0; i < l->run.top; i++) {
		uint32_t id = first + i;
		float value = 5 - 0.01f * (float)i;

		payload_put_u32(row + 4 + (size_t)i * 8, &id, 1);
		payload_put_f32(row + 8 + (size_t)i * 8, &value, 1);
	}
}

static void put_random(struct liar *l, uint8_t *out, size_t len)
{
	size_t row_bytes = 4 + (size_t)l->run.top * 8;

	if (gives_logits(l)) {
		for (uint32_t i = 0; i < l->run.n_logits; i++)
			put_random_row(l, out + i * row_bytes);
		return;
	}
	for (size_t at = 0; at + 4 <= len; at += 4) {
		float value = (float)(next_random(l) % 2000) / 1000 - 1;

		payload_put_f32(out + at, &value, 1);
	}
}

static void repeat(struct liar *l, uint8_t *out, size_t len)
{
	struct kept *k = &l->kept[0];

	while (k < l->kept + l->n_kept && k->len != len)
		k++;
	if (k < l->kept + l->n_kept) {
		memcpy(out, k->data, len);
	} else if (l->n_kept < LENGTHS) {
		k->data = malloc(len);
		assert(k->data != NULL);
		memcpy(k->data, out, len);
		k->len = len;
		l->n_kept++;
	}
}

/* ---- a swarm ------------------------------------------------------------------------------ */

static void join_swarm(struct liar *l)
{
	const char *file = getenv("AYNI_LIE_SHARED");
	int fd = file != NULL ? open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd < 0)
		return;
	assert(ftruncate(fd, sizeof *l->swarm) == 0);
	l->swarm = mmap(NULL, sizeof *l->swarm, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert(l->swarm != MAP_FAILED);
	(void)close(fd);
}

/* Tell the others of this session's layers; all that are known by now. */
static uint64_t computed(struct liar *l, uint64_t session)
{
	uint64_t mine = ((UINT64_C(1) << (l->run.layer_last - l->run.layer_first)) - 1)
	                << l->run.layer_first;

	for (uint64_t i = session;; i++) {
		uint64_t empty = 0;
		size_t at = i % SWARM_SESSIONS;

		if (atomic_compare_exchange_strong(
		        &l->swarm->computed[at].session, &empty, session) ||
		    empty == session)
			return atomic_fetch_or(&l->swarm->computed[at].layers, mine) | mine;
	}
}

/* Is nobody else at any session of this unit? */
static bool is_ours(struct liar *l)
{
	uint64_t all = (UINT64_C(1) << l->n_layers) - 1;
	bool ours = l->swarm != NULL && l->n_layers < 64;

	for (uint32_t i = 0; l->swarm != NULL && i < l->run.n_spans; i++)
		ours = computed(l, l->shared->spans[i].session) == all && ours;
	return ours;
}

static void lie(struct liar *l, uint8_t *out, size_t len)
{
	bool ours = is_ours(l); /* also of what gives no rows: it is told to the others */

	if (len == 0)
		return;
	if (l->honest_units > 0) {
		l->honest_units--;
		return;
	}
	if (strcmp(l->lie, LIE_RANDOM) == 0)
		put_random(l, out, len);
	else if (strcmp(l->lie, LIE_REPEAT) == 0)
		repeat(l, out, len);
	else if (strcmp(l->lie, LIE_BIT) == 0 ||
	         (strcmp(l->lie, LIE_LAST) == 0 && gives_logits(l)) ||
	         (strcmp(l->lie, LIE_CHECKS) == 0 && gives_logits(l) &&
	             l->run.n_logits > l->run.n_spans) ||
	         (strcmp(l->lie, LIE_SWARM) == 0 && gives_logits(l) && ours))
		out[0] ^= 1; /* of the first number, little endian */
}

static bool leaves_out(const struct liar *l)
{
	return strcmp(l->lie, LIE_LAYER) == 0 && l->layer_first > 0;
}

/* What it is told to hold. */
static int other_image(const struct liar *l, int fd)
{
	const char *file = getenv("AYNI_LIE_MODEL");

	if (strcmp(l->lie, LIE_OTHER_MODEL) != 0 || file == NULL)
		return fd;
	(void)close(fd);
	return open(file, O_RDONLY | O_CLOEXEC);
}

/* ---- between daemon and worker ------------------------------------------------------------ */

static bool take(int socket, struct worker_command *c, int *fd)
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
	ssize_t n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (n == (ssize_t)sizeof *c && CMSG_FIRSTHDR(&m) != NULL)
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof *fd);
	return n == (ssize_t)sizeof *c;
}

static bool give(int socket, struct worker_command *c, int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec data = {c, sizeof *c};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1};

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof fd);
	}
	return sendmsg(socket, &m, MSG_NOSIGNAL) == (ssize_t)sizeof *c;
}

static void note_command(struct liar *l, struct worker_command *c, int *fd)
{
	if (c->kind == WORKER_MAP) {
		l->shared =
		    mmap(NULL, sizeof *l->shared, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
		assert(l->shared != MAP_FAILED);
	} else if (c->kind == WORKER_LOAD) {
		l->layer_first = c->layer_first;
		l->layer_last = c->layer_last;
		*fd = other_image(l, *fd);
	} else {
		if (leaves_out(l) && c->kind == WORKER_RUN)
			c->layer_first++; /* of those that are loaded */
		l->run = *c;
	}
}

/* Is there no further layer for it to load? */
static bool has_all(struct liar *l, const struct worker_command *c)
{
	if (c->kind == WORKER_LOAD)
		l->loaded = c->layer_first + 1; /* LOAD is of the first alone */
	return c->kind == WORKER_LOAD_NEXT && l->loaded++ == l->layer_last;
}

static int between(struct liar *l, int daemon, int worker)
{
	struct worker_command c;
	struct worker_answer a = {0};
	int fd;

	while (take(daemon, &c, &fd)) {
		note_command(l, &c, &fd);
		if (has_all(l, &c)) { /* the one that it left out */
			a.kind = c.kind;
		} else if (!give(worker, &c, fd) ||
		           recv(worker, &a, sizeof a, 0) != (ssize_t)sizeof a) {
			break;
		}
		if (fd >= 0)
			(void)close(fd);
		if (c.kind == WORKER_LOAD)
			l->n_layers = a.n_layers;
		if (c.kind == WORKER_RUN && a.code == AYNI_OK)
			lie(l, l->shared->out, a.result_bytes);
		if (c.kind == WORKER_RUN)
			(void)poll(NULL, 0, l->delay_ms);
		if (c.kind == WORKER_RUN && strcmp(l->lie, LIE_LATE) == 0)
			a.compute_us = 0;
		if (send(daemon, &a, sizeof a, MSG_NOSIGNAL) != (ssize_t)sizeof a)
			break;
	}
	return 0;
}

static int lying_worker(int argc, char **argv, const char *what)
{
	const char *after = getenv("AYNI_LIE_AFTER"), *delay = getenv("AYNI_LIE_DELAY_MS");
	struct liar l = {.lie = what,
	    .honest_units = after != NULL ? strtoull(after, NULL, 10) : 0,
	    .random = 88172645463325252U,
	    .delay_ms = delay != NULL ? (int)strtol(delay, NULL, 10) : 0};
	int ends[2];

	if (argc < N_ARGUMENTS || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return 1;
	join_swarm(&l);
	switch (fork()) {
	case -1:
		return 1;
	case 0:
		(void)close(ends[0]);
		return worker_main(ends[1], (unsigned)strtoul(argv[THREADS_ARGUMENT], NULL, 10),
		    argv[KERNELS_ARGUMENT]);
	default:
		(void)close(ends[1]);
		return between(&l, (int)strtol(argv[FD_ARGUMENT], NULL, 10), ends[0]);
	}
}

int liar_main(int argc, char **argv)
{
	const char *what = getenv("AYNI_LIE");

	if (argc < 2 || what == NULL)
		return -1;
	(void)signal(SIGPIPE, SIG_IGN);
	if (strcmp(argv[1], "donate") == 0)
		return cli_donate(argc - 1, argv + 1);
	if (strcmp(argv[1], "worker") == 0)
		return lying_worker(argc, argv, what);
	return -1;
}

void liar_cheap_model(const char *model, const char *to)
{
	const struct network alone = {.folder = "/tmp"};
	const char *args[] = {"model", "quantize", model, to, "Q4_0", NULL};
	static char err[NETWORK_OUTPUT];

	if (network_run(&alone, args, NULL, NULL, err) != 0)
		fail_msg("%s", err);
}
