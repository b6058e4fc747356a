/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger watch` and `ayni ledger witness` */
#include "node/cli/ledger.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "node/cli/log_watch.h"
#include "node/config.h"

enum { INTERVAL_S = 30, INTERVAL_MAX_S = 86400 };

struct options {
	struct ledger_log log;
	const char *state, *name, *key_file;
	bool once, whole;
	unsigned interval_s;
};

enum { KEY_ONCE = 0x100, KEY_KEY_FILE, KEY_WHOLE };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->log;
		return 0;
	case 's':
		o->state = arg;
		return 0;
	case 'i':
		o->interval_s = (unsigned)strtoul(arg, &end, 10);
		if (*end != '\0' || o->interval_s == 0 || o->interval_s > INTERVAL_MAX_S)
			argp_error(state, "--interval %s: 1 to %d seconds", arg, INTERVAL_MAX_S);
		return 0;
	case 'n':
		o->name = arg;
		return 0;
	case KEY_ONCE:
		o->once = true;
		return 0;
	case KEY_KEY_FILE:
		o->key_file = arg;
		return 0;
	case KEY_WHOLE:
		o->whole = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Where what was seen is kept: as asked, or a file of the log's own in a folder of the role. */
static int open_state(
    const struct options *o, const char *role, struct log_state **out, struct error *err)
{
	char folder[CONFIG_PATH_BYTES], path[PATH_MAX], hex[HEX32_CHARS];
	struct hash name;
	int rc;

	if (o->state != NULL)
		return log_state_open(o->state, out, err);
	rc = config_folder(role, folder, sizeof folder, err);
	if (rc != AYNI_OK)
		return rc;
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return error_set(err, AYNI_ERR_IO, "%.180s: %s", folder, strerror(errno));
	hash_bytes((const uint8_t *)o->log.where, strlen(o->log.where), &name);
	hex32(name.bytes, hex);
	(void)snprintf(path, sizeof path, "%s/log-%.16s.json", folder, hex);
	return log_state_open(path, out, err);
}

/* ---- watch -------------------------------------------------------------------------------- */

static void print_report(const struct log_watch_report *r, const struct log_head *h)
{
	char hex[HEX32_CHARS];

	hex32(h->pool.bytes, hex);
	switch (r->verdict) {
	case LOG_FIRST:
		(void)printf(
		    "pool %s: first seen with %llu receipts\n", hex, (unsigned long long)r->now);
		break;
	case LOG_SAME:
		(void)printf("still %llu receipts\n", (unsigned long long)r->now);
		break;
	case LOG_GREW:
		(void)printf("from %llu to %llu receipts, consistent\n",
		    (unsigned long long)r->before, (unsigned long long)r->now);
		break;
	case LOG_ALARM:
		(void)fprintf(stderr, "ALARM: %s\n", r->text);
		break;
	}
	(void)fflush(stdout);
}

/* A network that is down for a while is no reason to stop following. */
static int follow(
    const struct options *o, struct log_state *s, struct log_reader *r, struct error *err)
{
	struct log_watch_report report;
	struct log_head head;
	int rc;

	for (;;) {
		const struct timespec pause = {.tv_sec = o->interval_s};

		rc = log_watch(s, r, o->log.pool, &head, &report, err);
		if (rc == AYNI_OK)
			print_report(&report, &head);
		log_head_free(&head);
		if (rc == AYNI_OK && report.verdict == LOG_ALARM)
			return CLI_ALARM;
		if (o->once)
			return rc == AYNI_OK ? CLI_OK : CLI_FAILED;
		if (rc != AYNI_OK && rc != AYNI_ERR_IO && rc != AYNI_ERR_NOT_FOUND)
			return CLI_FAILED;
		if (rc != AYNI_OK)
			(void)fprintf(stderr, "ayni ledger watch: %s (again in %u s)\n", err->text,
			    o->interval_s);
		(void)nanosleep(&pause, NULL);
	}
}

int ledger_watch(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"state", 's', "FILE", 0, "where what was seen is kept (default: one a log)", 0},
	    {"interval", 'i', "SECONDS", 0, "how often it is looked at (default 30)", 0},
	    {"once", KEY_ONCE, NULL, 0, "look once and end, for cron", 0},
	    {0},
	};
	static const struct argp_child children[] = {{&ledger_log_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .children = children,
	    .doc =
	        "Follow a pool's log. Each checkpoint that the pool signs is proven to continue "
	        "the one before, and each new receipt to be there. Ends with status 3 and an "
	        "alarm if the log forks, goes back or lacks a receipt: the two signed checkpoints "
	        "that show it are then in FILE.alarm. Status 1: it could not be read."};
	struct options o = {.interval_s = INTERVAL_S};
	struct log_state *s = NULL;
	struct log_reader *r = NULL;
	struct error err = {0};
	int rc, status = CLI_FAILED;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	rc = open_state(&o, "watch", &s, &err);
	if (rc == AYNI_OK)
		rc = log_reader_open(o.log.where, &r, &err);
	if (rc == AYNI_OK)
		status = follow(&o, s, r, &err);
	log_reader_free(r);
	log_state_free(s);
	return status == CLI_FAILED ? cli_fail("ledger watch", &err) : status;
}

/* ---- witness ------------------------------------------------------------------------------ */

static int open_key(const struct options *o, struct identity **out, struct error *err)
{
	char path[CONFIG_PATH_BYTES + 8];
	int rc = AYNI_OK;

	if (o->key_file != NULL)
		(void)snprintf(path, sizeof path, "%s", o->key_file);
	else
		rc = config_key_path("witness", path, sizeof path, err);
	return rc == AYNI_OK ? identity_open(path, out, NULL, err) : rc;
}

static int cosign(const struct options *o, const struct log_head *h, struct error *err)
{
	char line[NOTE_LINE_BYTES], name[NOTE_NAME_BYTES], key[NOTE_KEY_BYTES], hex[HEX32_CHARS];
	struct identity *id = NULL;
	struct note n;
	int rc = open_key(o, &id, err);

	if (rc != AYNI_OK)
		return rc;
	hex32(identity_public(id)->bytes, hex);
	(void)snprintf(name, sizeof name, "ayni.witness/%s", hex);
	if (o->name != NULL)
		(void)snprintf(name, sizeof name, "%s", o->name);
	rc = note_parse(h->note, h->len, &n, err);
	if (rc == AYNI_OK)
		rc = note_cosign((const char *)n.text.data, n.text.len, name, id,
		    (uint64_t)time(NULL), line, err);
	if (rc == AYNI_OK) {
		note_key_text(name, NOTE_COSIGNATURE, identity_public(id), key);
		(void)fprintf(stderr, "key: %s\n", key);
		(void)printf("%s%s", o->whole ? h->note : "", line);
	}
	identity_free(id);
	return rc;
}

int ledger_witness(int argc, char **argv)
{
	static const struct argp_option options[] = {
	    {"state", 's', "FILE", 0, "where what was seen is kept (default: one a log)", 0},
	    {"name", 'n', "NAME", 0,
	        "under which name to sign, an address without scheme (default "
	        "ayni.witness/<key>)",
	        0},
	    {"key-file", KEY_KEY_FILE, "FILE", 0, "the witness's key (default: its own)", 0},
	    {"whole", KEY_WHOLE, NULL, 0, "print the checkpoint with the cosignature added", 0},
	    {0},
	};
	static const struct argp_child children[] = {{&ledger_log_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {.options = options,
	    .parser = parse,
	    .children = children,
	    .doc = "Be a witness of a pool's log: check, as `watch --once` does, that it continues "
	           "what was seen before, and print a cosignature of its checkpoint (C2SP "
	           "tlog-cosignature, cosignature/v1) on standard output, and the key to check it "
	           "with on standard error. A witness never signs what contradicts what it signed "
	           "before: status 3 and an alarm then."};
	struct options o = {0};
	struct log_watch_report report = {0};
	struct log_state *s = NULL;
	struct log_reader *r = NULL;
	struct log_head head = {0};
	struct error err = {0};
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
		return CLI_USAGE;
	rc = open_state(&o, "witness", &s, &err);
	if (rc == AYNI_OK)
		rc = log_reader_open(o.log.where, &r, &err);
	if (rc == AYNI_OK)
		rc = log_watch(s, r, o.log.pool, &head, &report, &err);
	if (rc == AYNI_OK && report.verdict == LOG_ALARM)
		print_report(&report, &head);
	else if (rc == AYNI_OK)
		rc = cosign(&o, &head, &err);
	log_head_free(&head);
	log_reader_free(r);
	log_state_free(s);
	if (rc != AYNI_OK)
		return cli_fail("ledger witness", &err);
	return report.verdict == LOG_ALARM ? CLI_ALARM : CLI_OK;
}
