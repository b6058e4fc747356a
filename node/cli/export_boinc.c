/* SPDX-License-Identifier: Apache-2.0 */
/* tables.xml, user.gz, team.gz and host.gz, as BOINC's db_dump writes them. */
#include "node/cli/export.h"

#include <inttypes.h>
#include <libxml/chvalid.h>
#include <libxml/xmlwriter.h>
#include <stdlib.h>
#include <zlib.h>

#include "storage/files.h"

int export_gzip(int folder_fd, const char *name, struct span data, struct error *err)
{
	z_stream z = {0};
	uint8_t *out = NULL;
	size_t room;
	int rc = AYNI_ERR_MEMORY;

	if (deflateInit2(
	        &z, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return error_set(err, AYNI_ERR_MEMORY, "%s: out of memory", name);
	room = deflateBound(&z, data.len);
	if (data.len <= UINT32_MAX && room <= UINT32_MAX && (out = malloc(room)) != NULL) {
		z.next_in = (z_const Bytef *)data.data;
		z.avail_in = (uInt)data.len;
		z.next_out = out;
		z.avail_out = (uInt)room;
		rc = deflate(&z, Z_FINISH) == Z_STREAM_END ? AYNI_OK : AYNI_ERR_STATE;
	}
	if (rc == AYNI_OK)
		rc =
		    files_write(folder_fd, name, (struct span){out, z.total_out}, FILES_LATER, err);
	else
		(void)error_set(err, (enum ayni_error)rc, "%s: cannot be compressed", name);
	(void)deflateEnd(&z);
	free(out);
	return rc;
}

/* ---- documents ---------------------------------------------------------------------------- */

/* Calls to the writer add up what fails: below 0. */
struct document {
	xmlBufferPtr buffer;
	xmlTextWriterPtr w;
	int failed;
};

static void note(struct document *d, int result)
{
	if (result < 0)
		d->failed = result;
}

static void begin(struct document *d, const char *root)
{
	*d = (struct document){.buffer = xmlBufferCreate()};
	d->w = d->buffer != NULL ? xmlNewTextWriterMemory(d->buffer, 0) : NULL;
	if (d->w == NULL) {
		d->failed = -1;
		return;
	}
	(void)xmlTextWriterSetIndent(d->w, 1);
	note(d, xmlTextWriterStartDocument(d->w, "1.0", "UTF-8", NULL));
	note(d, xmlTextWriterStartElement(d->w, BAD_CAST root));
}

static void open_element(struct document *d, const char *name)
{
	if (d->failed == 0)
		note(d, xmlTextWriterStartElement(d->w, BAD_CAST name));
}

static void close_element(struct document *d)
{
	if (d->failed == 0)
		note(d, xmlTextWriterEndElement(d->w));
}

static void text(struct document *d, const char *name, const char *value)
{
	if (d->failed == 0)
		note(d, xmlTextWriterWriteElement(d->w, BAD_CAST name, BAD_CAST value));
}

static void number(struct document *d, const char *name, uint64_t value)
{
	if (d->failed == 0)
		note(d, xmlTextWriterWriteFormatElement(d->w, BAD_CAST name, "%" PRIu64, value));
}

static void real(struct document *d, const char *name, double value)
{
	if (d->failed == 0)
		note(d, xmlTextWriterWriteFormatElement(d->w, BAD_CAST name, "%.6f", value));
}

/* Can XML 1.0 hold it? */
static bool is_text(const char *s)
{
	const xmlChar *at = BAD_CAST s;

	if (!xmlCheckUTF8(at))
		return false;
	while (*at != '\0') {
		int len = 4, c = xmlGetUTF8Char(at, &len);

		if (c < 0 || !xmlIsCharQ((unsigned)c))
			return false;
		at += len;
	}
	return true;
}

/* A person who gave no name is called by the beginning of the key. */
static void name_element(struct document *d, const char *name, const struct hash *key)
{
	char hex[HEX32_CHARS];

	hex32(key->bytes, hex);
	hex[8] = '\0';
	text(d, "name", name[0] != '\0' && is_text(name) ? name : hex);
}

/* Half of a key: a user's and a host's identifier, the same in every pool. */
static void cpid(struct document *d, const char *name, const struct hash *key)
{
	char hex[HEX32_CHARS];

	hex32(key->bytes, hex);
	hex[32] = '\0';
	text(d, name, hex);
}

static void credit(struct document *d, double gflop, double gflop_a_day, uint64_t now_ms)
{
	real(d, "total_credit", gflop / EXPORT_GFLOP_PER_CREDIT);
	real(d, "expavg_credit", gflop_a_day / EXPORT_GFLOP_PER_CREDIT);
	real(d, "expavg_time", (double)now_ms / 1000);
}

/* Close it and write it: compressed if the name ends so. */
static int finish(struct document *d, int folder_fd, const char *name, struct error *err)
{
	const char *end = strrchr(name, '.');
	struct span data;
	int rc = AYNI_OK;

	if (d->failed == 0)
		note(d, xmlTextWriterEndDocument(d->w));
	xmlFreeTextWriter(d->w);
	if (d->failed != 0)
		rc = error_set(err, AYNI_ERR_MEMORY, "%s: cannot be made", name);
	if (rc == AYNI_OK) {
		data =
		    (struct span){xmlBufferContent(d->buffer), (size_t)xmlBufferLength(d->buffer)};
		rc = strcmp(end, ".gz") == 0 ? export_gzip(folder_fd, name, data, err)
		                             : files_write(folder_fd, name, data, FILES_LATER, err);
	}
	xmlBufferFree(d->buffer);
	return rc;
}

/* ---- files -------------------------------------------------------------------------------- */

static int write_users(const struct export *e, int folder_fd, struct error *err)
{
	struct document d;

	begin(&d, "users");
	for (size_t i = 0; i < e->n; i++) {
		const struct export_user *u = &e->users[i];

		open_element(&d, "user");
		number(&d, "id", u->id);
		name_element(&d, u->name, &u->key);
		number(&d, "create_time", u->first_ms / 1000);
		credit(&d, u->gflop, u->gflop_a_day, e->now_ms);
		cpid(&d, "cpid", &u->key);
		if (u->team_id != 0)
			number(&d, "teamid", u->team_id);
		close_element(&d);
	}
	return finish(&d, folder_fd, "user.gz", err);
}

/* What a machine is, no donor tells. */
static int write_hosts(const struct export *e, int folder_fd, struct error *err)
{
	struct document d;

	begin(&d, "hosts");
	for (size_t i = 0; i < e->n; i++) {
		const struct export_user *u = &e->users[i];

		open_element(&d, "host");
		number(&d, "id", u->id);
		number(&d, "userid", u->id);
		credit(&d, u->gflop, u->gflop_a_day, e->now_ms);
		number(&d, "create_time", u->first_ms / 1000);
		number(&d, "rpc_time", u->last_ms / 1000);
		cpid(&d, "host_cpid", &u->key);
		close_element(&d);
	}
	return finish(&d, folder_fd, "host.gz", err);
}

/* By team, and in a team who was first before. */
static int by_team(const void *a, const void *b)
{
	const struct export_user *x = *(const struct export_user *const *)a;
	const struct export_user *y = *(const struct export_user *const *)b;

	if (x->team_id != y->team_id)
		return x->team_id < y->team_id ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id ? 1 : 0;
}

static void write_team(
    struct document *d, const struct export_user *const *members, size_t n, uint64_t now_ms)
{
	const struct export_user *founder = members[0];
	uint64_t first_ms = founder->first_ms;
	double gflop = 0, gflop_a_day = 0;

	for (size_t i = 0; i < n; i++) {
		gflop += members[i]->gflop;
		gflop_a_day += members[i]->gflop_a_day;
		first_ms = members[i]->first_ms < first_ms ? members[i]->first_ms : first_ms;
	}
	open_element(d, "team");
	number(d, "id", founder->team_id);
	number(d, "type", 1); /* BOINC: of no kind */
	text(d, "name", is_text(founder->team) ? founder->team : "-");
	number(d, "userid", founder->id);
	credit(d, gflop, gflop_a_day, now_ms);
	number(d, "nusers", n);
	number(d, "create_time", first_ms / 1000);
	close_element(d);
}

static int write_teams(const struct export *e, int folder_fd, uint64_t *n_teams, struct error *err)
{
	const struct export_user **members = calloc(e->n + 1, sizeof(*members));
	struct document d;
	size_t n = 0;

	*n_teams = 0;
	if (members == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	for (size_t i = 0; i < e->n; i++) {
		if (e->users[i].team_id != 0)
			members[n++] = &e->users[i];
	}
	if (n > 0)
		qsort((void *)members, n, sizeof(*members), by_team);
	begin(&d, "teams");
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i; end < n && members[end]->team_id == members[i]->team_id;)
			end++;
		write_team(&d, &members[i], end - i, e->now_ms);
		++*n_teams;
	}
	free((void *)members);
	return finish(&d, folder_fd, "team.gz", err);
}

static int write_tables(const struct export *e, int folder_fd, uint64_t n_teams, struct error *err)
{
	struct document d;
	double gflop = 0;

	for (size_t i = 0; i < e->n; i++)
		gflop += e->users[i].gflop;
	begin(&d, "tables");
	number(&d, "update_time", e->now_ms / 1000);
	number(&d, "nusers_total", e->n);
	number(&d, "nteams_total", n_teams);
	number(&d, "nhosts_total", e->n);
	real(&d, "total_credit", gflop / EXPORT_GFLOP_PER_CREDIT);
	open_element(&d, "applications");
	open_element(&d, "application");
	text(&d, "name", "ayni");
	close_element(&d);
	close_element(&d);
	return finish(&d, folder_fd, "tables.xml", err);
}

/* tables.xml last: its time says that the others are there. */
int export_boinc(const struct export *e, int folder_fd, struct error *err)
{
	uint64_t n_teams;
	int rc = write_users(e, folder_fd, err);

	if (rc == AYNI_OK)
		rc = write_hosts(e, folder_fd, err);
	if (rc == AYNI_OK)
		rc = write_teams(e, folder_fd, &n_teams, err);
	return rc == AYNI_OK ? write_tables(e, folder_fd, n_teams, err) : rc;
}
