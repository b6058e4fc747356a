/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread in which the pool computes trails once more (recheck.h), at the lowest priority, so
 * that it takes only what nobody else wants of the machine. Trails go in, findings come out, in
 * order; a descriptor says when there are some.
 *
 * All functions belong to one thread, the loop's. A trail given away is held until its finding is
 * taken.
 */
#ifndef AYNI_NODE_POOL_AUDITOR_H
#define AYNI_NODE_POOL_AUDITOR_H

#include "node/pool/recheck.h"

enum { AUDITOR_JOBS = 64 /* not taken yet */ };

struct auditor;

struct audited {
	struct trail *trail; /* the caller releases it */
	int rc;              /* of recheck_run: only AYNI_OK says something of the donors */
	struct recheck_finding finding; /* without its evidence: that is in a file, or nowhere */
	bool has_evidence;
	struct hash evidence; /* if so: of the file, which it names */
	struct error err;
};

/* Evidence goes into files of this folder, HASH.evidence, for its owner alone; NULL: nowhere. */
int auditor_new(unsigned threads, const char *folder, struct auditor **out, struct error *err);
void auditor_free(struct auditor *a); /* what is left is released unlooked at */

/* Readable when auditor_take has something. */
int auditor_fd(const struct auditor *a);
/* Takes the trail over, unless there is too much to do already: false. */
bool auditor_ask(struct auditor *a, const struct recheck_model *m, struct trail *t);
/* The next that is done; false: there is none now. */
bool auditor_take(struct auditor *a, struct audited *out);
/* Those that were given and not taken, for the caller to read; their number. */
size_t auditor_open(const struct auditor *a, const struct trail *out[AUDITOR_JOBS]);

#endif
