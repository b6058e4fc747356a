/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole of a pool's log recomputed by someone who trusts nothing: each entry is a receipt of
 * this pool with the number of its place, the tree over the entries has the root that the pool
 * signed, each tile says what the entries give, and totals are made from the entries alone.
 *
 * The pool's signature on a single receipt need not be looked at: it signed the root over all.
 * Donors' countersignatures are checked if asked for; they take most of the time then.
 */
#ifndef AYNI_NODE_CLI_LOG_AUDIT_H
#define AYNI_NODE_CLI_LOG_AUDIT_H

#include "node/cli/audit.h"
#include "node/log_reader.h"

enum { LOG_AUDIT_FAULTS_KEPT = 20, LOG_AUDIT_THREADS_MAX = 16 };

struct log_audit_options {
	const struct public_key *pool; /* NULL: whoever the log says */
	bool signatures;
	bool pruned;      /* entries of the oldest receipts may be gone */
	unsigned threads; /* 0: as many as there are processors */
	uint64_t since_ms;
	enum sums_by by; /* not by team: the log does not know them */
};

struct log_audit {
	struct log_head head;
	struct audit totals;    /* a receipt counts if it is in the tree; with signatures, if it is
	                           also countersigned */
	uint64_t countersigned; /* with signatures */
	uint64_t unread;        /* if pruned: of receipts 1 to this only the hashes were there */
	uint64_t n_faults;
	char faults[LOG_AUDIT_FAULTS_KEPT][160]; /* the first: what does not fit, and where */
};

/* AYNI_OK with n_faults 0: all fits. An error: the log could not be read. */
int log_audit_run(const char *where, const struct log_audit_options *options, struct log_audit *out,
    struct error *err);
void log_audit_free(struct log_audit *a);

#endif
