/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/descriptors.h"
#include "node/models.h"
#include "node/report.h"

static_assert((int)CONFIG_MAX_DRAFT == (int)DRAFT_MAX, "the setting's range is what can be done");

/* ---- actions ------------------------------------------------------------------------------ */

static void book(struct pool *p, const struct action_book *a)
{
	const struct roster_donor *d = roster_get(p->roster, a->donor);
	struct error err = {0};

	if (d == NULL || !verify_pays(p, d))
		return;
	report(REPORT_DEBUG,
	    "unit %llu: donor %s, layers %u to %u, %llu tokens, away %llu us, computed %llu us%s",
	    (unsigned long long)a->unit, d->name, a->ran.first, a->ran.last - 1,
	    (unsigned long long)a->tokens, (unsigned long long)a->away_us,
	    (unsigned long long)a->compute_us, a->handed ? ", handed on" : "");
	observe_booked(p, a);
	if (books_add(p->books, a, &d->key, &catalog_at(p->catalog, a->model)->id, loop_wall_ms(),
	        &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
}

/* In the order given; carrying one out may add more at the end. */
static void carry_out(struct pool *p)
{
	for (size_t i = 0; i < p->actions.n; i++) {
		struct action a = p->actions.list[i]; /* the list may move */

		switch (a.kind) {
		case ACTION_BOOK:
			book(p, &a.book);
			break;
		case ACTION_PIECE:
			member_send_piece(p, &a.piece);
			break;
		case ACTION_FINISH:
			drafting_forget(p, a.finish.session);
			verify_finish(p, &a.finish);
			break;
		case ACTION_UNIT:
			donor_send_unit(p, &a.unit);
			break;
		case ACTION_HANDOVER:
			donor_send_handover(p, &a.handover);
			break;
		case ACTION_WITHDRAW:
			donor_send_withdraw(p, &a.withdraw);
			break;
		case ACTION_DRAFT:
			drafting_ask(p, &a.draft);
			break;
		}
	}
	actions_clear(&p->actions);
}

/* What is booked outlives this process, but for the last moment of work; what is settled is paid.
 */
static void save_books(struct pool *p, uint64_t now_us, bool busy)
{
	struct error err = {0};

	if (busy && now_us < p->saved_us + BOOKS_SAVE_US)
		return;
	p->saved_us = now_us;
	if (books_run(p->books, loop_wall_ms(), false, &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
}

static void on_watch(void *context);

static void watch_soon(struct pool *p)
{
	p->watch_at_us = loop_now_us() + LIVENESS_ASK_US / 2;
	p->watching = loop_timer(p->loop, p->watch_at_us, on_watch, p, NULL) == AYNI_OK;
}

/* A pool that could not run itself has not heard what was said meanwhile: silence counts anew. */
static void on_watch(void *context)
{
	struct pool *p = context;
	uint64_t now = loop_now_us();
	bool busy;

	if (now > p->watch_at_us + LIVENESS_ASK_US)
		p->awake_us = now;
	p->watching = false;
	busy = donors_watch(p);
	save_books(p, now, busy);
	if (busy)
		watch_soon(p);
	pool_advance(p);
}

static void on_wake(void *context)
{
	pool_advance(context);
}

void pool_advance(struct pool *p)
{
	uint64_t next;

	do {
		p->draft_refused = false;
		scheduler_run(p->scheduler, loop_now_us(), &p->actions);
		carry_out(p);
	} while (p->draft_refused); /* it goes on without */
	verify_run(p);
	donors_introduce(p);
	if (!p->watching && scheduler_any_out(p->scheduler))
		watch_soon(p);
	next = scheduler_next_us(p->scheduler);
	(void)loop_timer(p->loop, next, on_wake, p, NULL);
}

/* ---- time and signals --------------------------------------------------------------------- */

static void send_heartbeats(struct pool *p)
{
	struct peer *peer, *next;
	struct message m = {.type = MSG_HEARTBEAT};

	m.heartbeat.echo_us = loop_now_us();
	m.heartbeat.refusals = p->refused;
	HASH_ITER(by_number, p->peers_by_number, peer, next)
	{
		if (peer->admitted)
			(void)peer_send(p, peer, &m, (struct span){0}, 0);
	}
}

static uint64_t patience_us(const struct pool *p, const struct peer *peer)
{
	uint64_t us = SILENT_HEARTBEATS * p->config->heartbeat_ms * 1000;
	uint64_t least = peer->role == ROLE_MEMBER ? SILENT_MEMBER_S * UINT64_C(1000000) : 0;

	return us > least ? us : least;
}

static void drop_silent(struct pool *p)
{
	uint64_t now = loop_now_us();
	struct peer *peer, *next;

	HASH_ITER(by_number, p->peers_by_number, peer, next)
	{
		if (peer->heard_us + patience_us(p, peer) < now)
			peer_drop(p, peer, "nothing was heard of it");
	}
}

static void on_tick(void *context)
{
	struct pool *p = context;
	struct error err = {0};

	send_heartbeats(p);
	drop_silent(p);
	if (books_run(p->books, loop_wall_ms(), false, &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
	remember_sometimes(p);
	verify_pardon(p);
	verify_save(p);
	donors_place(p);
	pool_advance(p);
	(void)loop_timer(p->loop, loop_now_us() + p->config->heartbeat_ms * 1000, on_tick, p, NULL);
}

static void publish(struct pool *p)
{
	struct error err = {0};

	if (public_log_publish(p->log, loop_wall_ms(), &err) != AYNI_OK)
		report(REPORT_ERROR, "the log: %s", err.text);
}

static void on_publish_time(void *context)
{
	struct pool *p = context;

	publish(p);
	(void)loop_timer(p->loop, loop_now_us() + PUBLIC_LOG_EVERY_MS * UINT64_C(1000),
	    on_publish_time, p, NULL);
}

static void on_stop_time(void *context)
{
	struct pool *p = context;
	struct error err = {0};

	if (books_run(p->books, loop_wall_ms(), true, &err) != AYNI_OK)
		report(REPORT_ERROR, "%s", err.text);
	if ((books_open_acks(p->books) == 0 && !verify_is_busy(p)) ||
	    loop_now_us() >= p->stop_at_us)
		loop_stop(p->loop);
	else
		(void)loop_timer(p->loop, loop_now_us() + 20000, on_stop_time, p, NULL);
}

static void on_signal(void *context, int signal_number)
{
	struct pool *p = context;

	if (p->stop_at_us != 0) {
		loop_stop(p->loop);
		return;
	}
	report(REPORT_INFO, "stopping (%s)", strsignal(signal_number));
	p->stop_at_us = loop_now_us() + STOP_WAIT_US;
	scheduler_fail_all(p->scheduler, "the pool is stopping", &p->actions);
	pool_advance(p);
	on_stop_time(p);
}

static void on_readable(void *context)
{
	(void)context; /* on_prepare takes what there is */
}

static bool on_prepare(void *context)
{
	peers_receive(context);
	return false;
}

/* ---- life --------------------------------------------------------------------------------- */

static bool admit_key(void *context, const uint8_t curve_key[CURVE_KEY_BYTES])
{
	struct pool *p = context;

	return !registry_curve_banned(p->registry, curve_key);
}

static int in_folder(const struct pool *p, const char *name, char path[CONFIG_PATH_BYTES + 16])
{
	return snprintf(path, CONFIG_PATH_BYTES + 16, "%s/%s", p->folder, name) > 0 ? AYNI_OK
	                                                                            : AYNI_ERR_IO;
}

static int open_state(struct pool *p, struct error *err)
{
	char path[CONFIG_PATH_BYTES + 16];
	int rc = AYNI_OK;

	if (p->config->folder[0] != '\0')
		memcpy(p->folder, p->config->folder, sizeof p->folder);
	else
		rc = config_folder("pool", p->folder, sizeof p->folder, err);
	if (rc != AYNI_OK)
		return rc;
	(void)in_folder(p, "key", path);
	if ((rc = identity_open(path, &p->identity, NULL, err)) != AYNI_OK)
		return rc;
	(void)in_folder(p, "pool.db", path);
	if ((rc = db_open(path, DB_READ_WRITE, &p->db, err)) != AYNI_OK ||
	    (rc = registry_new(p->db, &p->registry, err)) != AYNI_OK ||
	    (rc = ledger_new(p->db, &p->ledger, err)) != AYNI_OK ||
	    (rc = tree_new(p->db, p->ledger, &p->tree, err)) != AYNI_OK)
		return rc;
	return registry_assignments_end_all(p->registry, loop_wall_ms(), err);
}

static int add_model(struct pool *p, const char *path, struct error *err)
{
	const struct catalog_model *m;
	char publisher[HEX32_CHARS];
	struct catalog_kv kv = {.max_tokens = p->config->kv_tokens};
	bool known = kv_type_find(p->config->kv, &kv.type);
	int rc;

	assert(known); /* config.c has made sure */
	rc = catalog_add(p->catalog, path, p->identity, &kv, err);
	if (rc != AYNI_OK)
		return rc;
	m = catalog_at(p->catalog, catalog_size(p->catalog) - 1);
	hex32(m->publisher.bytes, publisher);
	report(REPORT_INFO, "serving %s: %u layers, context %u in %s, published by %.16s", m->name,
	    m->sizes.n_layers, m->kv_tokens, kv_type_name(m->kv_type), publisher);
	return registry_model_put(p->registry, &m->id, m->name, gguf_file_bytes(m->gguf),
	    m->sizes.n_layers, loop_wall_ms(), err);
}

static int is_manifest(const struct dirent *entry)
{
	static const char end[] = ".gguf.manifest";
	size_t n = strlen(entry->d_name), m = sizeof end - 1;

	return n > m && strcmp(entry->d_name + n - m, end) == 0;
}

/* What `ayni model publish` has put into the pool's folder. */
static int add_published(struct pool *p, struct error *err)
{
	char folder[CONFIG_PATH_BYTES + 8], path[CONFIG_PATH_BYTES + 300];
	struct dirent **entries = NULL;
	int rc = AYNI_OK, n;

	(void)snprintf(folder, sizeof folder, "%s/models", p->config->folder);
	n = scandir(folder, &entries, is_manifest, alphasort);
	if (n < 0 && errno != ENOENT)
		return error_set(
		    err, AYNI_ERR_IO, "cannot read %.180s: %s", folder, strerror(errno));
	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;

		(void)snprintf(path, sizeof path, "%s/%.*s", folder,
		    (int)(strlen(name) - strlen(".manifest")), name);
		if (rc == AYNI_OK)
			rc = add_model(p, path, err);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

static int open_models(struct pool *p, struct error *err)
{
	int rc = catalog_new(&p->catalog, err);

	for (size_t i = 0; i < p->config->n_models && rc == AYNI_OK; i++) {
		char path[MODELS_PATH_BYTES];

		models_resolve(p->config->models[i], path);
		rc = add_model(p, path, err);
	}
	if (rc == AYNI_OK)
		rc = add_published(p, err);
	if (rc == AYNI_OK && catalog_size(p->catalog) == 0)
		rc = error_set(err, AYNI_ERR_ARGUMENT,
		    "no model: put `model = FILE.gguf` into the configuration, use --model FILE, "
		    "or "
		    "publish one into the pool's folder");
	return rc;
}

static int open_machines(struct pool *p, struct error *err)
{
	struct scheduler_limits limits = {.max_sessions = (uint32_t)p->config->max_sessions,
	    .max_waiting = (uint32_t)p->config->max_waiting,
	    .wait_us = p->config->wait_s * 1000000,
	    .unit_timeout_us = p->config->unit_timeout_ms * 1000,
	    .keep_us = p->config->keep_s * 1000000,
	    .draft_tokens = (uint32_t)p->config->draft_tokens,
	    .drafted_models = p->drafted_models,
	    .first_unit = loop_wall_ms() * 1000,
	    .trails = verify_wants_trails(p)};
	char path[CONFIG_PATH_BYTES + 16];
	int rc;

	if ((rc = remember_load(p, err)) != AYNI_OK ||
	    (rc = roster_new(&p->roster, err)) != AYNI_OK ||
	    (rc = scheduler_new(p->catalog, p->roster, &limits, &p->scheduler, err)) != AYNI_OK)
		return rc;
	rc = books_new(p->identity, p->db, p->ledger, p->tree, p->config->receipt_units,
	    donor_send_receipt, p, &p->books, err);
	if (rc != AYNI_OK)
		return rc;
	(void)in_folder(p, "log", path);
	return public_log_new(p->identity, p->db, p->tree, p->ledger, path, &p->log, err);
}

/* For `ayni invite`, which runs beside the pool and shall not see half of it. */
static int write_endpoint(const struct pool *p, struct error *err)
{
	char path[CONFIG_PATH_BYTES + 16], unfinished[CONFIG_PATH_BYTES + 16];
	FILE *f;

	(void)in_folder(p, "endpoint", path);
	(void)in_folder(p, "endpoint.new", unfinished);
	f = fopen(unfinished, "we");
	if (f == NULL || fprintf(f, "%s\n", transport_endpoint(p->transport)) < 0 ||
	    fclose(f) != 0 || rename(unfinished, path) != 0)
		return error_set(err, AYNI_ERR_IO, "%.150s: %s", path, strerror(errno));
	return AYNI_OK;
}

static int open_loop(struct pool *p, struct error *err)
{
	static const int signals[] = {SIGINT, SIGTERM, 0};
	char endpoint[CONFIG_TEXT_BYTES + 8];
	int rc;

	(void)snprintf(endpoint, sizeof endpoint, "tcp://%s", p->config->listen);
	if ((rc = loop_new(&p->loop, err)) != AYNI_OK ||
	    (rc = loop_signals(p->loop, signals, on_signal, p, err)) != AYNI_OK ||
	    (rc = transport_listen(p->identity, endpoint, admit_key, p, &p->transport, err)) !=
	        AYNI_OK ||
	    (rc = write_endpoint(p, err)) != AYNI_OK ||
	    (rc = loop_prepare(p->loop, on_prepare, p, err)) != AYNI_OK ||
	    (rc = loop_watch(p->loop, transport_fd(p->transport), on_readable, p, err)) != AYNI_OK)
		return rc;
	if (transport_admission_fd(p->transport) >= 0)
		rc = loop_watch(p->loop, transport_admission_fd(p->transport), on_readable, p, err);
	if (rc == AYNI_OK)
		rc = drafting_watch(p, err);
	return rc == AYNI_OK ? verify_watch(p, err) : rc;
}

/* Processes beside this one. */
static int start_others(struct pool *p, struct error *err)
{
	const struct front_options o = {.listen = p->config->http,
	    .folder = p->folder,
	    .endpoint = transport_endpoint(p->transport),
	    .pool = identity_public(p->identity),
	    .verbose = strcmp(p->config->log, "debug") == 0};

	int rc = AYNI_OK;

	if (p->config->statistics_h > 0)
		rc = statistics_start(
		    p->loop, p->folder, p->config->statistics_h, &p->statistics, err);
	if (rc != AYNI_OK || strcmp(p->config->http, "none") == 0)
		return rc;
	return front_start(p->loop, p->registry, &o, &p->front, err);
}

static void close_all(struct pool *p)
{
	front_free(p->front);
	statistics_free(p->statistics);
	transport_free(p->transport, 500);
	peers_free(p);
	drafter_free(p->drafter);
	actions_free(&p->actions);
	verify_free(p);
	plan_free(p->plan);
	habits_free(p->habits);
	scheduler_free(p->scheduler);
	roster_free(p->roster);
	public_log_free(p->log);
	books_free(p->books);
	tree_free(p->tree);
	ledger_free(p->ledger);
	registry_free(p->registry);
	db_free(p->db);
	catalog_free(p->catalog);
	identity_free(p->identity);
	loop_free(p->loop);
}

int pool_run(const struct pool_config *config, struct error *err)
{
	struct pool p = {.config = config, .next_peer = 1, .started_us = loop_now_us()};
	int rc;

	descriptors_raise(MAX_PEERS);
	if ((rc = open_state(&p, err)) == AYNI_OK && (rc = open_models(&p, err)) == AYNI_OK &&
	    (rc = drafting_open(&p, err)) == AYNI_OK && (rc = verify_open(&p, err)) == AYNI_OK &&
	    (rc = open_machines(&p, err)) == AYNI_OK && (rc = open_loop(&p, err)) == AYNI_OK &&
	    (rc = start_others(&p, err)) == AYNI_OK) {
		report(REPORT_INFO, "listening on %s", transport_endpoint(p.transport));
		on_tick(&p);
		on_publish_time(&p);
		rc = loop_run(p.loop, err);
		remember_all(&p);
		verify_save(&p);
		publish(&p);
	}
	close_all(&p);
	return rc;
}
