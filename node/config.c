/* SPDX-License-Identifier: Apache-2.0 */
#include "node/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>

#include "compute/kv.h"
#include "node/address.h"
#include "node/report.h"

enum option_type { OPTION_TEXT, OPTION_NUMBER, OPTION_PATHS };

struct option {
	const char *key;
	enum option_type type;
	size_t offset;
	size_t bytes;      /* of text */
	uint64_t min, max; /* of a number */
	const char *initial;
};

#define TEXT(type, field, initial)                                                                 \
	{                                                                                          \
#field, OPTION_TEXT, offsetof(struct type, field),                                 \
		    sizeof(((struct type *)0)->field), 0, 0, initial                               \
	}
#define NUMBER(type, field, min, max, initial)                                                     \
	{                                                                                          \
#field, OPTION_NUMBER, offsetof(struct type, field), 0, min, max, initial          \
	}

static const struct option donor_options[] = {
    TEXT(donor_config, pool, ""),
    TEXT(donor_config, name, ""),
    TEXT(donor_config, team, ""),
    TEXT(donor_config, folder, ""),
    NUMBER(donor_config, cores, 0, 256, "0"),
    NUMBER(donor_config, memory_mib, 0, 1 << 24, "0"),
    NUMBER(donor_config, disk_mib, 1, 1 << 26, "20480"),
    NUMBER(donor_config, max_layers, 0, LIMIT_LAYERS, "0"),
    TEXT(donor_config, kernels, "auto"),
    TEXT(donor_config, listen, "auto"),
    TEXT(donor_config, announce, ""),
    NUMBER(donor_config, seed_kib_s, 0, 1 << 24, "1024"),
    TEXT(donor_config, log, "info"),
};

static const struct option pool_options[] = {
    TEXT(pool_config, name, "ayni pool"),
    TEXT(pool_config, listen, "127.0.0.1:7411"),
    TEXT(pool_config, http, "none"),
    TEXT(pool_config, folder, ""),
    {"model", OPTION_PATHS, 0, 0, 0, 0, NULL},
    NUMBER(pool_config, stages, 0, LIMIT_LAYERS, "0"),
    NUMBER(pool_config, kv_tokens, 16, LIMIT_CONTEXT_TOKENS, "4096"),
    TEXT(pool_config, kv, "f16"),
    NUMBER(pool_config, max_sessions, 1, 4096, "64"),
    NUMBER(pool_config, max_waiting, 0, 65536, "1024"),
    NUMBER(pool_config, wait_s, 0, 86400, "60"),
    NUMBER(pool_config, fetch_s, 1, 86400, "30"),
    NUMBER(pool_config, out_s, 0, 3600, "60"),
    NUMBER(pool_config, heartbeat_ms, 100, 60000, "1000"),
    NUMBER(pool_config, unit_timeout_ms, 100, 3600000, "60000"),
    NUMBER(pool_config, draft_tokens, 0, CONFIG_MAX_DRAFT, "16"),
    TEXT(pool_config, draft_model, ""),
    NUMBER(pool_config, keep_s, 0, 86400, "300"),
    TEXT(pool_config, recheck, "pool"),
    NUMBER(pool_config, recheck_permille, 1, 1000, "10"),
    NUMBER(pool_config, receipt_units, 1, 1 << 20, "256"),
    NUMBER(pool_config, statistics_h, 0, 8760, "0"),
    TEXT(pool_config, log, "info"),
};

enum {
	N_DONOR_OPTIONS = sizeof donor_options / sizeof *donor_options,
	N_POOL_OPTIONS = sizeof pool_options / sizeof *pool_options
};

struct table {
	const char *section;
	const struct option *options;
	size_t n;
	void *config;
};

static struct table donor_table(struct donor_config *c)
{
	return (struct table){"donor", donor_options, N_DONOR_OPTIONS, c};
}

static struct table pool_table(struct pool_config *c)
{
	return (struct table){"pool", pool_options, N_POOL_OPTIONS, c};
}

static int set_number(const struct option *o, void *config, const char *value, struct error *err)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end != '\0' || errno != 0 || n < o->min ||
	    n > o->max)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "%s = %.40s: a whole number from %llu to %llu is allowed", o->key, value,
		    (unsigned long long)o->min, (unsigned long long)o->max);
	*(uint64_t *)((char *)config + o->offset) = n;
	return AYNI_OK;
}

static int set_text(char *to, size_t bytes, const char *key, const char *value, struct error *err)
{
	size_t len = strlen(value);

	if (len >= bytes)
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "%s: at most %zu bytes are allowed", key, bytes - 1);
	memcpy(to, value, len + 1);
	return AYNI_OK;
}

static int add_model(struct pool_config *c, const char *value, struct error *err)
{
	if (c->n_models == CONFIG_MAX_MODELS)
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "model: at most %d are allowed", CONFIG_MAX_MODELS);
	if (set_text(c->models[c->n_models], CONFIG_PATH_BYTES, "model", value, err) != AYNI_OK)
		return AYNI_ERR_ARGUMENT;
	c->n_models++;
	return AYNI_OK;
}

/* Texts that are one of a few words. */
static int check_text(const char *key, const char *value, struct error *err)
{
	enum report_level level;
	enum kv_type type;

	if (strcmp(key, "log") == 0 && report_level_parse(value, &level) != AYNI_OK)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "log = %.40s: error, warning, info, debug are allowed", value);
	if (strcmp(key, "kv") == 0 && !kv_type_find(value, &type))
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "kv = %.40s: f16, int8 are allowed", value);
	if (strcmp(key, "recheck") == 0 && strcmp(value, "pool") != 0 &&
	    strcmp(value, "donors") != 0 && strcmp(value, "none") != 0)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "recheck = %.40s: pool, donors, none are allowed", value);
	if (strcmp(key, "http") == 0 && strcmp(value, "none") != 0 && !address_is_numeric(value))
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "http = %.40s: none, or an address with a port (127.0.0.1:7480) is allowed",
		    value);
	return AYNI_OK;
}

static size_t common_beginning(const char *a, const char *b)
{
	size_t n = 0;

	while (a[n] != '\0' && a[n] == b[n])
		n++;
	return n;
}

/* With the one that begins most alike; there are too many for all to be said. */
static int unknown_key(const struct table *t, const char *key, struct error *err)
{
	const char *alike = NULL;
	size_t most = 1;

	for (size_t i = 0; i < t->n; i++) {
		size_t n = common_beginning(t->options[i].key, key);

		if (n <= most)
			continue;
		most = n;
		alike = t->options[i].key;
	}
	return error_set(err, AYNI_ERR_ARGUMENT, "unknown key \"%.40s\"%s%s; %s.conf explains all",
	    key, alike != NULL ? ": perhaps " : "", alike != NULL ? alike : "", t->section);
}

static int set_option(const struct table *t, const char *key, const char *value, struct error *err)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct option *o = &t->options[i];

		if (strcmp(o->key, key) != 0)
			continue;
		switch (o->type) {
		case OPTION_NUMBER:
			return set_number(o, t->config, value, err);
		case OPTION_PATHS:
			return add_model(t->config, value, err);
		case OPTION_TEXT:
			if (check_text(key, value, err) != AYNI_OK)
				return AYNI_ERR_ARGUMENT;
			return set_text((char *)t->config + o->offset, o->bytes, key, value, err);
		}
	}
	return unknown_key(t, key, err);
}

static void set_defaults(const struct table *t)
{
	struct error err;

	for (size_t i = 0; i < t->n; i++) {
		const struct option *o = &t->options[i];

		if (o->initial != NULL && set_option(t, o->key, o->initial, &err) != AYNI_OK)
			assert(false && "a default is outside its own range");
	}
}

enum { LINE_BYTES = 2048, SAID_BYTES = 230 };

struct reading {
	const struct table *table;
	FILE *file;
	int line; /* that is being read */
	int rc;   /* of the first line that is wrong: */
	int wrong_line;
	struct error err;
};

/* For libinih, which cuts lines at its own limit and takes the rest for another line. */
static char *next_line(char *text, int bytes, void *stream)
{
	struct reading *r = stream;
	size_t len;

	if (fgets(text, bytes, r->file) == NULL)
		return NULL;
	r->line++;
	len = strlen(text);
	if (len > 0 && text[len - 1] != '\n' && !feof(r->file)) {
		for (int c = 0; c != '\n' && c != EOF;)
			c = fgetc(r->file);
		if (r->rc == AYNI_OK) {
			r->wrong_line = r->line;
			r->rc = error_set(&r->err, AYNI_ERR_FORMAT,
			    "the line is longer than %d bytes", bytes - 1);
		}
	}
	return text;
}

static int on_key(void *user, const char *section, const char *key, const char *value)
{
	struct reading *r = user;

	if (r->rc != AYNI_OK)
		return 0;
	if (strcmp(section, r->table->section) != 0)
		r->rc = error_set(&r->err, AYNI_ERR_ARGUMENT,
		    "section [%.40s]: only [%s] is allowed here", section, r->table->section);
	else
		r->rc = set_option(r->table, key, value, &r->err);
	r->wrong_line = r->line;
	return r->rc == AYNI_OK;
}

/* "path:line: text"; of a path that is too long the end says more than the beginning. */
static int wrong_at(struct error *err, int rc, const char *path, int line, const char *text)
{
	size_t said = strnlen(text, SAID_BYTES), len = strlen(path);
	size_t room = ERROR_TEXT_BYTES - said - sizeof ":2147483647: ";

	return error_set(err, (enum ayni_error)rc, "%s:%d: %.*s",
	    len > room ? path + len - room : path, line, SAID_BYTES, text);
}

static int read_file(const struct table *t, const char *path, struct error *err)
{
	struct reading r = {.table = t, .file = fopen(path, "re"), .rc = AYNI_OK};
	int line;

	if (r.file == NULL)
		return error_set(err, AYNI_ERR_IO, "%.180s: %s", path, strerror(errno));
	ini_max_line = LINE_BYTES;
	ini_allow_multiline = false;
	errno = 0;
	line = ini_parse_stream(next_line, &r, on_key, &r);
	if (line < 0 || ferror(r.file)) {
		(void)fclose(r.file);
		return error_set(err, AYNI_ERR_IO, "%.180s: %s", path,
		    errno != 0 ? strerror(errno) : "cannot be read");
	}
	(void)fclose(r.file);
	if (r.rc != AYNI_OK && (line == 0 || r.wrong_line <= line))
		return wrong_at(err, r.rc, path, r.wrong_line, r.err.text);
	if (line > 0)
		return wrong_at(err, AYNI_ERR_FORMAT, path, line,
		    "neither [section], key = value nor ; comment");
	return AYNI_OK;
}

static int set_from(const struct table *t, const char *key, const char *value, const char *origin,
    struct error *err)
{
	struct error why;
	int rc = set_option(t, key, value, &why);

	return rc == AYNI_OK ? rc : error_set(err, rc, "%.60s: %.190s", origin, why.text);
}

void config_donor_defaults(struct donor_config *c)
{
	struct table t = donor_table(c);

	memset(c, 0, sizeof *c);
	set_defaults(&t);
}

void config_pool_defaults(struct pool_config *c)
{
	struct table t = pool_table(c);

	memset(c, 0, sizeof *c);
	set_defaults(&t);
}

int config_donor_file(struct donor_config *c, const char *path, struct error *err)
{
	struct table t = donor_table(c);

	return read_file(&t, path, err);
}

int config_pool_file(struct pool_config *c, const char *path, struct error *err)
{
	struct table t = pool_table(c);

	return read_file(&t, path, err);
}

int config_donor_set(struct donor_config *c, const char *key, const char *value, const char *origin,
    struct error *err)
{
	struct table t = donor_table(c);

	return set_from(&t, key, value, origin, err);
}

int config_pool_set(struct pool_config *c, const char *key, const char *value, const char *origin,
    struct error *err)
{
	struct table t = pool_table(c);

	return set_from(&t, key, value, origin, err);
}

int config_folder(const char *role, char *out, size_t out_bytes, struct error *err)
{
	const char *home = getenv("AYNI_HOME");
	const char *between = "";
	int n;

	if (home == NULL || home[0] == '\0') {
		home = getenv("XDG_STATE_HOME");
		between = "/ayni";
	}
	if (home == NULL || home[0] == '\0') {
		home = getenv("HOME");
		between = "/.local/state/ayni";
	}
	if (home == NULL || home[0] == '\0')
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "no home folder: set AYNI_HOME, or name a folder in the configuration");
	n = snprintf(out, out_bytes, "%s%s/%s", home, between, role);
	if (n < 0 || (size_t)n >= out_bytes)
		return error_set(err, AYNI_ERR_ARGUMENT, "the path of the home folder is too long");
	return AYNI_OK;
}

int config_key_path(const char *role, char *out, size_t out_bytes, struct error *err)
{
	char folder[CONFIG_PATH_BYTES];
	int rc = config_folder(role, folder, sizeof folder, err);

	if (rc == AYNI_OK && (size_t)snprintf(out, out_bytes, "%s/key", folder) >= out_bytes)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "the path of the key is too long");
	return rc;
}
