/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics of a pool's books as files that sites which add up many volunteer projects read: the
 * XML files of BOINC's db_dump (tables.xml, user.gz, team.gz, host.gz), and everything exactly as
 * JSON lines (ledger.jsonl.gz). From the file's own sums; each file is replaced as a whole.
 *
 * Credit there is in cobblestones: 1/200 of a day at 10^9 FLOP a second, so 432 verified GFLOP.
 *
 * Sources: BOINC wiki XmlStats, CreditSystem; sched/db_dump.cpp.
 */
#ifndef AYNI_NODE_CLI_EXPORT_H
#define AYNI_NODE_CLI_EXPORT_H

#include "node/cli/audit.h"

enum { EXPORT_GFLOP_PER_CREDIT = 432 };

/* A donor, who is one user with one host there. */
struct export_user {
	uint64_t id; /* never another's */
	struct hash key;
	char name[TEXT_SHORT], team[TEXT_SHORT];
	uint32_t team_id;           /* 31 bits of the hash of its name; 0: none */
	double gflop, gflop_a_day;  /* verified; its average, half of which is of the last week */
	uint64_t first_ms, last_ms; /* windows */
};

struct export
{
	uint64_t now_ms;
	size_t n;
	struct export_user *users; /* by id; owned */
};

int export_read(const char *db_path, uint64_t now_ms, struct export *out, struct error *err);
void export_free(struct export *e);

/* The four BOINC files into a folder. */
int export_boinc(const struct export *e, int folder_fd, struct error *err);
/* `name` with these bytes in it, in gzip's format (RFC 1952), without a time. */
int export_gzip(int folder_fd, const char *name, struct span data, struct error *err);

#endif
