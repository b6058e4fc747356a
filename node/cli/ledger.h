/* SPDX-License-Identifier: Apache-2.0 */
/* `ayni ledger`: its subcommands (each takes its own argv), and what they share. */
#ifndef AYNI_NODE_CLI_LEDGER_H
#define AYNI_NODE_CLI_LEDGER_H

#include <argp.h>
#include <jansson.h>

#include "node/cli/audit.h"
#include "node/cli/cli.h"
#include "node/log_reader.h"
#include "protocol/receipt.h"
#include "storage/ledger.h"

enum { CLI_ALARM = 3 }; /* exit status: the log contradicts itself */

int ledger_audit(int argc, char **argv);
int ledger_check(int argc, char **argv);
int ledger_export(int argc, char **argv);
int ledger_forget(int argc, char **argv);
int ledger_mine(int argc, char **argv);
int ledger_prove(int argc, char **argv);
int ledger_prune(int argc, char **argv);
int ledger_reconcile(int argc, char **argv);
int ledger_show(int argc, char **argv);
int ledger_verify_evidence(int argc, char **argv);
int ledger_watch(int argc, char **argv);
int ledger_witness(int argc, char **argv);

/* Which log a subcommand is about: the input of a child parser with --key and URL|FOLDER. */
struct ledger_log {
	const char *where;
	const struct public_key *pool; /* whose it must be; NULL: as it says itself */
	struct public_key key;
};
extern const struct argp ledger_log_argp;

#define LEDGER_KEY_DOC                                                                             \
	"the pool's key, 64 digits, or an invite of it (default: the key that the log itself "     \
	"names, which is then shown)"

/* A key in hexadecimal, or an invite of its pool; an error of argp if it is neither. */
struct public_key ledger_parse_key(struct argp_state *state, const char *text);
/* A day such as 2026-01-31 (UTC) to milliseconds, likewise. */
uint64_t ledger_parse_day(struct argp_state *state, const char *text);
/* "day", "donor", "model" or "team", likewise. */
enum sums_by ledger_parse_by(struct argp_state *state, const char *text);
void ledger_format_time(uint64_t ms, char text[32]);

void ledger_print_rows(const struct audit *a, bool csv);
int ledger_print_json(const struct audit *a);
/* One row as JSON; NULL without memory. */
json_t *ledger_row_json(enum sums_by by, const struct audit_total *t);

/* `file`, or this machine's books as a donor. */
int ledger_open_books(const char *file, struct db **db, struct ledger **ledger, struct error *err);

/* Whose books these are: of the key that lies beside them; without one, of the first receipt. Any
 * rightly signed receipt can be put into a file, others' too. */
struct ledger_owner {
	bool known;
	struct public_key key;
};
int ledger_owner(const char *file, struct ledger_owner *out, struct error *err);
bool ledger_is_owners(struct ledger_owner *o, const struct receipt *r);

/*
 * What proves to anybody that a pool signed a receipt and has another one in its place, or none:
 * the receipt, and what the log has. `found` empty: the log ends before. A JSON text, malloc'd.
 */
int ledger_evidence(const struct signed_receipt *mine, struct log_reader *r,
    const struct log_head *h, struct span found, char **out, struct error *err);
/* Look at such a text, and say what it proves. */
int ledger_check_evidence(const char *text, size_t len, struct error *err);

#endif
