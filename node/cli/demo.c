/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole network on this machine, with real processes, sockets and files in a throw-away folder: a
 * pool, two donors with half of the model's layers each, a member who asks, and the books.
 */
#include <argp.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/answer.h"
#include "node/cli/audit.h"
#include "node/cli/cli.h"
#include "protocol/identity.h"
#include "protocol/invite.h"

enum { N_DONORS = 2, PATH_BYTES = 512, START_MS = 30000, STEP_MS = 20 };

static const struct {
	const char *question;
	const char *number; /* in which the answer must end; NULL: any answer */
} questions[] = {
    {"What is 27 + 48?", "75"},
    {"91 - 36", "55"},
    {"What is a work unit?", NULL},
    {"Who may donate?", NULL},
};

enum { N_QUESTIONS = sizeof questions / sizeof *questions };

struct demo {
	const char *model;
	char folder[64];
	char invite[INVITE_TEXT_BYTES];
	pid_t pool, donors[N_DONORS];
	struct client *client;
	uint64_t units; /* of all shares so far */
	unsigned wrong;
};

static volatile bool interrupted;

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = true;
}

static void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}

/* ---- processes ---------------------------------------------------------------------------- */

/* Start this program again with other arguments; its standard output goes to out_fd, if >= 0. */
static pid_t start(char *const argv[], int out_fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays behind, whatever happens to us */
	(void)setpgid(0, 0);                    /* Ctrl-C is ours: we stop them in order */
	if (out_fd >= 0)
		(void)dup2(out_fd, STDOUT_FILENO);
	(void)execv("/proc/self/exe", argv);
	_exit(127);
}

static void stop(pid_t *pid)
{
	if (*pid <= 0)
		return;
	(void)kill(*pid, SIGTERM);
	for (int waited = 0; waited < 10000; waited += STEP_MS) {
		if (waitpid(*pid, NULL, WNOHANG) != 0) {
			*pid = 0;
			return;
		}
		pause_ms(STEP_MS);
	}
	(void)kill(*pid, SIGKILL);
	(void)waitpid(*pid, NULL, 0);
	*pid = 0;
}

static int start_pool(struct demo *d, struct error *err)
{
	char folder[PATH_BYTES], endpoint[PATH_BYTES + 16];
	char *argv[] = {"ayni", "pool", "--name", "demo pool", "--listen", "127.0.0.1:0",
	    "--folder", folder, "--model", (char *)d->model, "--set", "stages=2", "--set",
	    "receipt_units=16", "--set", "heartbeat_ms=500", NULL};

	(void)snprintf(folder, sizeof folder, "%s/pool", d->folder);
	(void)snprintf(endpoint, sizeof endpoint, "%s/endpoint", folder);
	d->pool = start(argv, -1);
	for (int waited = 0; waited < START_MS && !interrupted; waited += STEP_MS) {
		if (access(endpoint, R_OK) == 0)
			return AYNI_OK;
		if (d->pool < 0 || waitpid(d->pool, NULL, WNOHANG) != 0) {
			d->pool = 0;
			return error_set(err, AYNI_ERR_IO, "the pool did not start: see above");
		}
		pause_ms(STEP_MS);
	}
	return error_set(err, AYNI_ERR_TIMEOUT, "the pool did not start in time");
}

static int make_invite(struct demo *d, struct error *err)
{
	char folder[PATH_BYTES];
	char *argv[] = {"ayni", "invite", "--folder", folder, "--uses", "3", NULL};
	int ends[2], status = 1;
	ssize_t n = 0;
	size_t len = 0;
	pid_t pid;

	(void)snprintf(folder, sizeof folder, "%s/pool", d->folder);
	if (pipe(ends) != 0)
		return error_set(err, AYNI_ERR_IO, "pipe: %s", strerror(errno));
	pid = start(argv, ends[1]);
	(void)close(ends[1]);
	while (len < sizeof d->invite - 1 &&
	       (n = read(ends[0], d->invite + len, sizeof d->invite - 1 - len)) > 0)
		len += (size_t)n;
	(void)close(ends[0]);
	d->invite[len] = '\0';
	d->invite[strcspn(d->invite, "\n")] = '\0';
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return error_set(err, AYNI_ERR_IO, "no invite could be made");
	return AYNI_OK;
}

static int start_donors(struct demo *d, struct error *err)
{
	static const char *const names[N_DONORS] = {"anna", "bela"};

	for (int i = 0; i < N_DONORS; i++) {
		char folder[PATH_BYTES];
		char *argv[] = {"ayni", "donate", "--pool", d->invite, "--folder", folder, "--name",
		    (char *)names[i], "--cores", "1", NULL};

		(void)snprintf(folder, sizeof folder, "%s/donor-%s", d->folder, names[i]);
		d->donors[i] = start(argv, -1);
		if (d->donors[i] < 0)
			return error_set(err, AYNI_ERR_IO, "fork: %s", strerror(errno));
	}
	return AYNI_OK;
}

/* ---- steps -------------------------------------------------------------------------------- */

static int wait_for_layers(struct demo *d, struct error *err)
{
	struct message q = {.type = MSG_STATUS_QUERY};
	const struct message *m;

	for (int waited = 0; waited < START_MS && !interrupted; waited += STEP_MS) {
		int rc = client_ask(d->client, &q, MSG_STATUS, &m, err);

		if (rc != AYNI_OK)
			return rc;
		if (m->status.n_models > 0 && m->status.models[0].n_missing == 0)
			return AYNI_OK;
		pause_ms(STEP_MS);
	}
	return error_set(err, AYNI_ERR_TIMEOUT, "the donors did not get their layers in time");
}

static void print_piece(void *context, const struct msg_piece *piece)
{
	(void)context;
	(void)fwrite(piece->text.data, 1, piece->text.len, stdout);
	(void)fflush(stdout);
}

static bool ends_in(const char *text, const char *number)
{
	size_t len = strlen(text), n = strlen(number);

	while (len > 0 && strchr(".! \n", text[len - 1]) != NULL)
		len--;
	return len > n && memcmp(text + len - n, number, n) == 0 && text[len - n - 1] == ' ';
}

static int ask(struct demo *d, size_t i, struct error *err)
{
	struct turn turn = {.role = "user", .content = (char *)questions[i].question};
	struct msg_generate g = {.request = i + 1,
	    .n_turns = 1,
	    .turns = &turn,
	    .max_tokens = 100,
	    .sampling = {.top_p = 1, .repeat_penalty = 1}};
	struct answer a;
	int rc;

	(void)printf("\n> %s\n", questions[i].question);
	rc = answer_get(d->client, &g, print_piece, NULL, &interrupted, &a, err);
	if (rc == AYNI_OK) {
		(void)printf("\n");
		if (questions[i].number != NULL && !ends_in(a.text, questions[i].number)) {
			(void)printf("  (wrong: it is %s)\n", questions[i].number);
			d->wrong++;
		}
		for (size_t k = 0; k < a.finished.n_shares; k++) {
			const struct share *s = &a.finished.shares[k];
			char hex[HEX32_CHARS];

			hex32(s->donor.bytes, hex);
			(void)printf("  layers %u to %u: donor %s (%.8s), %llu signed results\n",
			    s->layer_first, s->layer_last - 1, s->donor_name, hex,
			    (unsigned long long)s->units);
			d->units += s->units;
		}
	}
	answer_free(&a);
	return rc;
}

/* Wait until the books hold all the work, then show them. */
static int show_books(struct demo *d, struct error *err)
{
	struct audit a;
	uint64_t units = 0, receipts = 0;
	int rc;

	for (int waited = 0;; waited += 100) {
		a = (struct audit){0};
		rc = audit_pool(&a, d->client, err);
		units = receipts = 0;
		for (size_t i = 0; i < a.n_totals; i++) {
			units += a.totals[i].units;
			receipts += a.totals[i].receipts;
		}
		if (rc != AYNI_OK || units >= d->units || waited >= START_MS || interrupted)
			break;
		audit_free(&a);
		pause_ms(100);
	}
	if (rc == AYNI_OK)
		rc = audit_finish(&a, err);
	if (rc == AYNI_OK) {
		(void)printf(
		    "\nThe ledger: %llu receipts, each signed by the pool and by its donor; "
		    "%llu wrong, %llu missing\n",
		    (unsigned long long)receipts, (unsigned long long)a.bad,
		    (unsigned long long)a.missing);
		for (size_t i = 0; i < a.n_totals; i++) {
			const struct audit_total *t = &a.totals[i];

			(void)printf("  %-8s %10.3f verified GFLOP  %6llu units  %6llu tokens\n",
			    t->name, audit_gflop(t), (unsigned long long)t->units,
			    (unsigned long long)t->tokens);
		}
		if (a.bad > 0 || a.missing > 0 || units < d->units)
			rc = error_set(err, AYNI_ERR_SIGNATURE, "the books are not in order");
	}
	audit_free(&a);
	return rc;
}

static int play(struct demo *d, struct error *err)
{
	int rc;

	(void)printf("Starting a pool and %d donors in %s\n", N_DONORS, d->folder);
	(void)fflush(stdout);
	if ((rc = start_pool(d, err)) != AYNI_OK || (rc = make_invite(d, err)) != AYNI_OK ||
	    (rc = start_donors(d, err)) != AYNI_OK ||
	    (rc = client_open(d->invite, START_MS, &d->client, err)) != AYNI_OK ||
	    (rc = wait_for_layers(d, err)) != AYNI_OK)
		return rc;
	for (size_t i = 0; i < N_QUESTIONS && rc == AYNI_OK && !interrupted; i++)
		rc = ask(d, i, err);
	if (rc == AYNI_OK && !interrupted)
		rc = show_books(d, err);
	if (rc == AYNI_OK && d->wrong > 0)
		rc = error_set(err, AYNI_ERR_NUMERIC, "%u answers were wrong", d->wrong);
	return rc;
}

/* ---- life --------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	(void)remove(path);
	return 0;
}

/* Beside the sources, or where `make install` puts it. */
static int find_model(char path[PATH_BYTES], struct error *err)
{
	static const char *const places[] = {
	    "/../configs/models/ayni-demo.gguf", "/../share/ayni/ayni-demo.gguf"};
	char here[PATH_BYTES / 2];
	ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
	char *slash;

	here[n > 0 ? n : 0] = '\0';
	slash = strrchr(here, '/');
	if (slash != NULL)
		*slash = '\0';
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		(void)snprintf(path, PATH_BYTES, "%s%s", here, places[i]);
		if (access(path, R_OK) == 0)
			return AYNI_OK;
	}
	return error_set(
	    err, AYNI_ERR_NOT_FOUND, "ayni-demo.gguf is not beside the program: say --model FILE");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct demo *d = state->input;

	if (key != 'm')
		return ARGP_ERR_UNKNOWN;
	d->model = arg;
	return 0;
}

int cli_demo(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"model", 'm', "FILE", 0, "another model than the demo's", 0},
	    {0},
	};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .doc =
	        "Show a whole network on this machine: a pool, two donors with half of a model's "
	        "layers each, questions, answers, and the ledger. Leaves nothing behind."};
	struct sigaction action = {.sa_handler = on_interrupt};
	struct demo d = {.folder = "/tmp/ayni-demo-XXXXXX"};
	char model[PATH_BYTES];
	struct error err = {0};
	int rc = AYNI_OK;

	if (argp_parse(&argp, argc, argv, 0, NULL, &d) != 0)
		return CLI_USAGE;
	if (d.model == NULL) {
		rc = find_model(model, &err);
		d.model = model;
	}
	if (rc == AYNI_OK && mkdtemp(d.folder) == NULL)
		rc = error_set(&err, AYNI_ERR_IO, "%s: %s", d.folder, strerror(errno));
	if (rc != AYNI_OK)
		return cli_fail("demo", &err);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)setenv("AYNI_HOME", d.folder, 1);
	rc = play(&d, &err);
	if (interrupted)
		rc = error_set(&err, AYNI_ERR_STATE, "interrupted");
	(void)printf("\n");
	(void)fflush(stdout);
	client_free(d.client);
	for (int i = 0; i < N_DONORS; i++)
		stop(&d.donors[i]);
	stop(&d.pool);
	(void)nftw(d.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (rc == AYNI_OK)
		(void)printf("Stopped; nothing is left behind.\n");
	return rc == AYNI_OK ? CLI_OK : cli_fail("demo", &err);
}
