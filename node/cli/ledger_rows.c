/* SPDX-License-Identifier: Apache-2.0 */
/* Totals as text, CSV and JSON: by donor, model, day or team. */
#include "node/cli/ledger.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

static const char *const names[] = {[SUMS_BY_DONOR] = "donor",
    [SUMS_BY_MODEL] = "model",
    [SUMS_BY_DAY] = "day",
    [SUMS_BY_TEAM] = "team"};

enum sums_by ledger_parse_by(struct argp_state *state, const char *text)
{
	for (int by = SUMS_BY_DONOR; by <= SUMS_BY_TEAM; by++) {
		if (strcmp(text, names[by]) == 0)
			return (enum sums_by)by;
	}
	argp_error(state, "--by %s: day, donor, model or team is wanted", text);
	return SUMS_BY_DONOR;
}

void ledger_format_time(uint64_t ms, char text[32])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (ms == 0 || gmtime_r(&seconds, &tm) == NULL || strftime(text, 32, "%FT%TZ", &tm) == 0)
		(void)snprintf(text, 32, "-");
}

static enum sums_by by_of(const struct audit *a)
{
	return a->by != 0 ? a->by : SUMS_BY_DONOR;
}

/* What a row is of, in full: a key, a hash, a day or a team. */
static void format_subject(enum sums_by by, const struct audit_total *t, char text[HEX32_CHARS])
{
	_Static_assert((int)TEXT_SHORT <= (int)HEX32_CHARS, "a team fits");

	switch (by) {
	case SUMS_BY_DAY:
		ledger_format_time(audit_day_ms(t), text);
		text[strcspn(text, "T")] = '\0';
		break;
	case SUMS_BY_TEAM:
		(void)snprintf(text, HEX32_CHARS, "%s", t->team);
		break;
	case SUMS_BY_DONOR:
	case SUMS_BY_MODEL:
		hex32(t->key.bytes, text);
		break;
	}
}

/* ---- JSON --------------------------------------------------------------------------------- */

json_t *ledger_row_json(enum sums_by by, const struct audit_total *t)
{
	char subject[HEX32_CHARS], first[32], last[32];
	json_t *row;

	format_subject(by, t, subject);
	ledger_format_time(t->first_ms, first);
	ledger_format_time(t->last_ms, last);
	row = json_pack("{ss sf sI sI sI ss ss sI}", names[by], subject, "gflop", audit_gflop(t),
	    "receipts", (json_int_t)t->receipts, "units", (json_int_t)t->units, "tokens",
	    (json_int_t)t->tokens, "first", first, "last", last, "not_countersigned",
	    (json_int_t)t->unsigned_receipts);
	/* A whole pool's FLOP may be more than an integer of JSON's readers holds. */
	if (t->giga < INT64_MAX / 1000000000)
		(void)json_object_set_new(row, "flop",
		    json_integer((json_int_t)t->giga * 1000000000 + (json_int_t)t->flop));
	if (by == SUMS_BY_DONOR || by == SUMS_BY_MODEL)
		(void)json_object_set_new(row, "name", json_string(t->name));
	if (by == SUMS_BY_DONOR)
		(void)json_object_set_new(row, "team", json_string(t->team));
	if (by == SUMS_BY_DONOR)
		(void)json_object_set_new(row, "standing",
		    json_string(t->has_standing ? standing_state_name(t->standing) : ""));
	return row;
}

int ledger_print_json(const struct audit *a)
{
	enum sums_by by = by_of(a);
	json_t *rows = json_array();
	char list[16];
	json_t *root;
	int rc = -1;

	for (size_t i = 0; i < a->n_totals; i++)
		(void)json_array_append_new(rows, ledger_row_json(by, &a->totals[i]));
	(void)snprintf(list, sizeof list, "%ss", names[by]);
	root = json_pack("{so sI sI sI}", list, rows, "last_receipt", (json_int_t)a->last_number,
	    "bad", (json_int_t)a->bad, "missing", (json_int_t)a->missing);
	if (root != NULL) {
		rc = json_dumpf(root, stdout, JSON_COMPACT);
		(void)printf("\n");
	}
	json_decref(root);
	return rc;
}

/* ---- CSV ---------------------------------------------------------------------------------- */

/* RFC 4180: quotes doubled; a name that a spreadsheet could take for a formula gets a quote mark.
 */
static void print_csv_name(const char *name)
{
	(void)printf("\"%s", name[0] != '\0' && strchr("=+-@", name[0]) != NULL ? "'" : "");
	for (; *name != '\0'; name++)
		(void)printf(*name == '"' ? "\"\"" : "%c", *name);
	(void)printf("\"");
}

static void print_csv(const struct audit *a, enum sums_by by)
{
	bool named = by == SUMS_BY_DONOR || by == SUMS_BY_MODEL;

	(void)printf("%s,%sgflop,receipts,units,tokens,first,last,not_countersigned%s\n", names[by],
	    named ? "name," : "", by == SUMS_BY_DONOR ? ",team" : "");
	for (size_t i = 0; i < a->n_totals; i++) {
		const struct audit_total *t = &a->totals[i];
		char subject[HEX32_CHARS], first[32], last[32];

		format_subject(by, t, subject);
		ledger_format_time(t->first_ms, first);
		ledger_format_time(t->last_ms, last);
		if (by == SUMS_BY_TEAM)
			print_csv_name(subject);
		else
			(void)printf("%s", subject);
		(void)printf(",");
		if (named) {
			print_csv_name(t->name);
			(void)printf(",");
		}
		(void)printf("%" PRIu64 ".%09" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
		             ",%s,%s,%" PRIu64,
		    t->giga, t->flop, t->receipts, t->units, t->tokens, first, last,
		    t->unsigned_receipts);
		if (by == SUMS_BY_DONOR) {
			(void)printf(",");
			print_csv_name(t->team);
		}
		(void)printf("\n");
	}
}

/* ---- text --------------------------------------------------------------------------------- */

static void print_subject(enum sums_by by, const struct audit_total *t)
{
	char subject[HEX32_CHARS];

	format_subject(by, t, subject);
	if (by == SUMS_BY_DAY || by == SUMS_BY_TEAM)
		(void)printf("%-26.26s", subject[0] != '\0' ? subject : "(no team)");
	else
		(void)printf("%.8s  %-16.16s", subject, t->name);
}

void ledger_print_rows(const struct audit *a, bool csv)
{
	enum sums_by by = by_of(a);

	if (csv) {
		print_csv(a, by);
		return;
	}
	(void)printf("%-10s%-16s verified GFLOP receipts    units   tokens  first seen            "
	             "last seen\n",
	    names[by], by == SUMS_BY_DONOR || by == SUMS_BY_MODEL ? "name" : "");
	for (size_t i = 0; i < a->n_totals; i++) {
		const struct audit_total *t = &a->totals[i];
		char first[32], last[32];

		ledger_format_time(t->first_ms, first);
		ledger_format_time(t->last_ms, last);
		print_subject(by, t);
		(void)printf(" %14.3f %8" PRIu64 " %8" PRIu64 " %8" PRIu64 "  %-20s  %s\n",
		    audit_gflop(t), t->receipts, t->units, t->tokens, first, last);
		if (t->unsigned_receipts > 0)
			(void)printf("          and %" PRIu64
			             " receipts that are not countersigned\n",
			    t->unsigned_receipts);
	}
}
