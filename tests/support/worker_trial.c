/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/worker_trial.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "node/donor/worker.h"
#include "protocol/messages.h"

enum { EVENT_TIMEOUT_MS = 120000 };

const struct worker_options trial_ordinary = {NULL, 1, "auto"};
int trial_image_fd;
struct gguf *trial_image;

int trial_open_image(void **state)
{
	const struct tiny_model_options options = {.type = TENSOR_Q8_0, .seed = 3};
	char *path = tiny_model_temporary(&options);

	(void)state;
	trial_image_fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	tiny_model_remove(path);
	return trial_image_fd >= 0 ? gguf_open_fd(trial_image_fd, "the model", &trial_image, NULL)
	                           : -1;
}

int trial_close_image(void **state)
{
	(void)state;
	gguf_free(trial_image);
	return close(trial_image_fd);
}

/* ---- links ---------------------------------------------------------------------------------- */

struct worker_link *trial_start(const struct worker_options *o)
{
	struct worker_link *l = NULL;
	struct error err = {0};

	if (worker_link_start(o, &l, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	return l;
}

struct worker_event trial_event(struct worker_link *l)
{
	struct pollfd p = {worker_link_fd(l), POLLIN, 0};
	struct worker_event e;

	while (worker_link_receive(l, &e) == AYNI_ERR_AGAIN)
		assert_int_equal(poll(&p, 1, EVENT_TIMEOUT_MS), 1);
	return e;
}

void trial_load(struct worker_link *l, int fd, uint32_t first, uint32_t last)
{
	const struct worker_range r = {fd, first, last, KV_TOKENS, SESSIONS, 0};
	struct error err = {0};

	if (worker_link_load(l, &r, &err) != AYNI_OK)
		fail_msg("%s", err.text);
}

struct worker_link *trial_loaded(const struct worker_options *o, uint32_t first, uint32_t last)
{
	struct worker_link *l = trial_start(o);
	struct worker_event e;

	trial_load(l, trial_image_fd, first, last);
	for (uint32_t loaded = first + 1; (e = trial_event(l)).kind == WORKER_LOADED; loaded++) {
		if (loaded == last)
			return l;
		assert_int_equal(worker_link_load_next(l, NULL), AYNI_OK);
	}
	fail_msg("%s", e.text);
	return NULL;
}

pid_t trial_pid(void)
{
	char path[64];
	int pid = 0, more = 0;
	FILE *f;

	(void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d %d", &pid, &more), 1);
	(void)fclose(f);
	return pid;
}

/* ---- units ---------------------------------------------------------------------------------- */

void trial_begin(struct trial_unit *unit, uint32_t first, uint32_t last)
{
	static uint64_t number;

	memset(unit, 0, sizeof *unit);
	unit->u = (struct msg_work_unit){.unit = ++number,
	    .layer_first = first,
	    .layer_last = last,
	    .spans = unit->spans,
	    .closed = unit->closed};
}

void trial_add(
    struct trial_unit *unit, uint64_t session, uint32_t position, uint32_t n, uint32_t n_logits)
{
	for (uint32_t i = 0; i < n; i++)
		unit->tokens[unit->u.n_tokens + i] =
		    (uint32_t)(session * 101 + (position + i) * 37) % 256;
	unit->spans[unit->u.n_spans++] = (struct unit_span){session, position, n, n_logits, 0, 0};
	unit->u.n_tokens += n;
	unit->u.n_logits += n_logits;
	unit->u.top = unit->u.n_logits > 0 ? TOP : 0;
	payload_put_u32(unit->payload, unit->tokens, unit->u.n_tokens);
	unit->payload_len = unit->u.n_tokens * 4;
}

void trial_send(struct worker_link *l, const struct trial_unit *unit)
{
	struct error err = {0};

	if (worker_link_run(l, &unit->u, (struct span){unit->payload, unit->payload_len}, &err) !=
	    AYNI_OK)
		fail_msg("%s", err.text);
}

struct worker_event trial_run(struct worker_link *l, const struct trial_unit *unit)
{
	struct worker_event e;

	trial_send(l, unit);
	e = trial_event(l);
	if (e.kind != WORKER_DIED)
		assert_int_equal(e.unit, unit->u.unit);
	return e;
}

struct worker_event trial_run_one(
    struct worker_link *l, uint64_t session, uint32_t position, uint32_t n)
{
	struct trial_unit unit;

	trial_begin(&unit, 0, LAYERS);
	trial_add(&unit, session, position, n, 1);
	return trial_run(l, &unit);
}

void trial_assert_ran(struct worker_event e)
{
	if (e.kind != WORKER_RESULT)
		fail_msg("event %d: %s", (int)e.kind, e.text);
}

void trial_assert_failed(struct worker_event e, enum ayni_error code)
{
	assert_int_equal(e.kind, WORKER_UNIT_FAILED);
	assert_int_equal(e.code, code);
	assert_true(e.text[0] != '\0');
}

/* ---- programs ------------------------------------------------------------------------------- */

void trial_worker_options(int argc, char **argv, struct trial_call *out)
{
	*out = (struct trial_call){-1, 1, "auto"};
	for (int i = 2; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--fd") == 0)
			out->fd = (int)strtol(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--threads") == 0)
			out->threads = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--kernels") == 0)
			out->kernels = argv[i + 1];
	}
}

int trial_worker_main(int argc, char **argv)
{
	struct trial_call o;
	int rc;

	trial_worker_options(argc, argv, &o);
	rc = worker_main(o.fd, o.threads, o.kernels);
	(void)prctl(PR_SET_DUMPABLE, 1); /* the leak checker looks in from outside */
	return rc;
}
