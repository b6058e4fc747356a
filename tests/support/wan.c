/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/wan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MAX_LINKS = 64,
	READ_BYTES = 16 << 10,
	MAX_QUEUED = 4 << 20, /* bytes on their way in one direction: then no more are read */
	ORDER_CUT = 'c',
	ORDER_FREEZE = 'f',
	ORDER_THAW = 't'
};

struct wan {
	pid_t pid;
	int orders; /* a byte each, and one back when it was carried out */
	char endpoint[64];
};

/* ---- the relay's own process -------------------------------------------------------------- */

/* Bytes on their way; none: the end of the stream. */
struct chunk {
	struct chunk *next;
	uint64_t due_us;
	size_t len, sent;
	uint8_t data[];
};

struct way {
	int from, to;
	bool ended; /* nothing more comes */
	struct chunk *first, **last;
	size_t queued;
	uint64_t free_us, due_us; /* when the line is free; when the last chunk is due */
};

struct link {
	bool used;
	struct way there, back;
};

struct relay {
	struct wan_options o;
	struct sockaddr_in to;
	int listener, orders;
	bool frozen;
	uint32_t random;
	struct link links[MAX_LINKS];
};

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void clear(struct way *w)
{
	while (w->first != NULL) {
		struct chunk *c = w->first;

		w->first = c->next;
		free(c);
	}
}

static void end_link(struct link *l)
{
	const struct linger at_once = {.l_onoff = 1};

	clear(&l->there);
	clear(&l->back);
	(void)setsockopt(l->there.from, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	(void)setsockopt(l->there.to, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	(void)close(l->there.from);
	(void)close(l->there.to);
	memset(l, 0, sizeof *l);
}

static void begin_way(struct way *w, int from, int to)
{
	*w = (struct way){.from = from, .to = to};
	w->last = &w->first;
}

/* A line does not wait for more to send; what is small goes at once. */
static void send_at_once(int fd)
{
	const int yes = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static void take_connection(struct relay *r)
{
	int near = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
	int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	for (size_t i = 0; near >= 0 && far >= 0 && i < MAX_LINKS; i++) {
		struct link *l = &r->links[i];

		if (l->used)
			continue;
		if (connect(far, (struct sockaddr *)&r->to, sizeof r->to) != 0)
			break; /* the peer finds out */
		l->used = true;
		send_at_once(near);
		send_at_once(far);
		begin_way(&l->there, near, far);
		begin_way(&l->back, far, near);
		return;
	}
	(void)close(near);
	(void)close(far);
}

static uint64_t jitter(struct relay *r)
{
	r->random = r->random * 1664525 + 1013904223;
	return r->o.jitter_us > 0 ? (r->random >> 8) % (r->o.jitter_us + 1) : 0;
}

/* Behind what is on the line, and after the delay; never before what came earlier. */
static void enqueue(struct relay *r, struct way *w, const uint8_t *data, size_t len)
{
	struct chunk *c = malloc(sizeof *c + len);
	uint64_t now = now_us();

	if (c == NULL)
		_exit(1);
	w->free_us = w->free_us > now ? w->free_us : now;
	if (r->o.bytes_per_s > 0)
		w->free_us += len * 1000000 / r->o.bytes_per_s;
	*c = (struct chunk){.due_us = w->free_us + r->o.delay_us + jitter(r), .len = len};
	c->due_us = c->due_us > w->due_us ? c->due_us : w->due_us;
	w->due_us = c->due_us;
	memcpy(c->data, data, len);
	*w->last = c;
	w->last = &c->next;
	w->queued += len;
}

static void take_bytes(struct relay *r, struct way *w)
{
	uint8_t data[READ_BYTES];
	ssize_t n = recv(w->from, data, sizeof data, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	w->ended = n <= 0;
	enqueue(r, w, data, n > 0 ? (size_t)n : 0);
}

/* What is due. False: the link is over. */
static bool give_bytes(struct way *w, uint64_t now)
{
	while (w->first != NULL && w->first->due_us <= now) {
		struct chunk *c = w->first;
		ssize_t n;

		if (c->len == 0)
			return false;
		n = send(w->to, c->data + c->sent, c->len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->sent += (size_t)n;
		if (c->sent < c->len)
			return true;
		w->queued -= c->len;
		w->first = c->next;
		if (w->first == NULL)
			w->last = &w->first;
		free(c);
	}
	return true;
}

static void take_order(struct relay *r)
{
	char order;

	if (recv(r->orders, &order, 1, 0) != 1)
		_exit(0); /* the test is over */
	r->frozen = order == ORDER_FREEZE || (r->frozen && order != ORDER_THAW);
	for (size_t i = 0; order == ORDER_CUT && i < MAX_LINKS; i++) {
		if (r->links[i].used)
			end_link(&r->links[i]);
	}
	(void)send(r->orders, &order, 1, MSG_NOSIGNAL);
}

/* Ready for reading if there is room; for writing if something is due. */
static void watch(
    const struct way *w, uint64_t now, struct pollfd *from, struct pollfd *to, uint64_t *next_us)
{
	from->fd = w->from;
	to->fd = w->to;
	if (!w->ended && w->queued < MAX_QUEUED)
		from->events |= POLLIN;
	if (w->first == NULL)
		return;
	if (w->first->due_us <= now)
		to->events |= POLLOUT;
	else if (w->first->due_us < *next_us)
		*next_us = w->first->due_us;
}

static void turn(struct relay *r)
{
	struct pollfd fds[2 + 2 * MAX_LINKS] = {{.fd = r->orders, .events = POLLIN},
	    {.fd = r->frozen ? -1 : r->listener, .events = POLLIN}};
	uint64_t now = now_us(), next = now + 1000000;
	struct timespec wait;

	for (size_t i = 0; i < MAX_LINKS; i++) {
		struct link *l = &r->links[i];
		struct pollfd *near = &fds[2 + 2 * i], *far = near + 1;

		near->fd = far->fd = -1;
		if (!l->used || r->frozen)
			continue;
		watch(&l->there, now, near, far, &next);
		watch(&l->back, now, far, near, &next);
	}
	wait = (struct timespec){
	    (time_t)((next - now) / 1000000), (long)((next - now) % 1000000) * 1000};
	if (ppoll(fds, 2 + 2 * MAX_LINKS, &wait, NULL) < 0)
		return;
	now = now_us();
	for (size_t i = 0; i < MAX_LINKS; i++) {
		struct link *l = &r->links[i];
		const struct pollfd *near = &fds[2 + 2 * i], *far = near + 1;

		if (!l->used || r->frozen)
			continue;
		if (near->revents & (POLLIN | POLLHUP | POLLERR) && !l->there.ended)
			take_bytes(r, &l->there);
		if (far->revents & (POLLIN | POLLHUP | POLLERR) && !l->back.ended)
			take_bytes(r, &l->back);
		if (!give_bytes(&l->there, now) || !give_bytes(&l->back, now))
			end_link(l);
	}
	if (fds[1].revents != 0)
		take_connection(r);
	if (fds[0].revents != 0)
		take_order(r);
}

static _Noreturn void relay_main(const struct wan_options *o, int listener, int orders)
{
	static struct relay r;
	const char *port = strrchr(o->to, ':');

	r = (struct relay){.o = *o, .listener = listener, .orders = orders, .random = o->seed};
	r.to.sin_family = AF_INET;
	r.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r.to.sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		turn(&r);
}

/* ---- the test's side ---------------------------------------------------------------------- */

struct wan *wan_start(const struct wan_options *o)
{
	struct wan *w = calloc(1, sizeof *w);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ends[2];

	assert_non_null(w);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	(void)snprintf(w->endpoint, sizeof w->endpoint, "tcp://127.0.0.1:%u", ntohs(at.sin_port));
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (w->pid == 0) {
		(void)close(ends[0]);
		relay_main(o, listener, ends[1]);
	}
	(void)close(ends[1]);
	(void)close(listener);
	w->orders = ends[0];
	return w;
}

const char *wan_endpoint(const struct wan *w)
{
	return w->endpoint;
}

static void order(struct wan *w, char what)
{
	char done;

	assert_int_equal(send(w->orders, &what, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(w->orders, &done, 1, 0), 1);
}

void wan_cut(struct wan *w)
{
	order(w, ORDER_CUT);
}

void wan_freeze(struct wan *w)
{
	order(w, ORDER_FREEZE);
}

void wan_thaw(struct wan *w)
{
	order(w, ORDER_THAW);
}

void wan_stop(struct wan *w)
{
	if (w == NULL)
		return;
	(void)close(w->orders);
	(void)kill(w->pid, SIGKILL);
	(void)waitpid(w->pid, NULL, 0);
	free(w);
}
