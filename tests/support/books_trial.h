/* SPDX-License-Identifier: Apache-2.0 */
/* A pool's books in a scratch folder, two donors, and what was issued to them. One at a time. */
#ifndef AYNI_TESTS_SUPPORT_BOOKS_TRIAL_H
#define AYNI_TESTS_SUPPORT_BOOKS_TRIAL_H

#include "node/pool/books.h"

enum { WINDOW = 4, MAX_ISSUED = 300 };

extern struct error err;
extern struct identity *pool, *ana, *ben;
extern struct db *db;
extern struct ledger *ledger;
extern struct tree *tree;
extern struct books *books;

struct issued {
	size_t n;
	struct public_key donor[MAX_ISSUED];
	struct signed_receipt receipt[MAX_ISSUED];
	bool durable; /* each was in the ledger, outside a transaction, when it was handed out */
};
extern struct issued issued;
extern const struct hash model_a;

int set_up(void **state);
int tear_down(void **state);
void open_books(void);
void close_books(void);

/* Of a unit of one session. */
void add_to(const struct identity *donor, uint64_t session, struct layer_range ran, uint64_t unit,
    bool late, uint64_t now_ms);
void add(const struct identity *donor, uint64_t session, uint64_t unit, uint64_t now_ms);
/* Its session leaves it. */
void end(const struct identity *donor, uint64_t session, const void *recheck);
/* At once, so that no time is waited for. */
void run(uint64_t now_ms);
/* That was issued. */
struct receipt last_receipt(void);
bool last_is_of(const struct identity *donor);
/* A full one, and a run. */
void fill_window(const struct identity *donor, uint64_t session);
/* What is thought of ana. */
void think(enum books_belief b);

#endif
