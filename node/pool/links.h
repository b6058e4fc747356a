/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which donors can hand over to which without the pool in between. A pair is named to both ends
 * (Link); one dials and probes, and says when it is up (LinkState). If that fails, the other one
 * tries; if that fails too, all goes through the pool.
 *
 *   WANTED --told--> DIALLED --up--> UP <--> (down, up: as the dialling end says)
 *                      |  down: the other end dials, WANTED again; after that FAILED
 *
 * What was lost on a way that seemed to be up blocks it for a while, longer each time. Pairs have
 * no direction: each end may send. A plain state machine; donors are slots of the roster. One
 * thread.
 */
#ifndef AYNI_NODE_POOL_LINKS_H
#define AYNI_NODE_POOL_LINKS_H

#include "protocol/base.h"

enum {
	LINKS_MOST = 1 << 14,             /* pairs; of more nothing is known */
	LINK_BLOCKED_US = 1000000,        /* after the first loss, */
	LINK_BLOCKED_MOST_US = 512000000, /* and twice as long after each other, up to this; */
	LINK_MAKES_UP = 100               /* so many that arrive make up for one */
};

struct links;

int links_new(struct links **out, struct error *err);
void links_free(struct links *l);

/* Work will go from one to the other; whether each can be dialled. Again and again is fine. */
void links_want(struct links *l, int a, bool a_listens, int b, bool b_listens);
/* A pair that its ends have to be told of, once: true, and who dials whom. */
bool links_tell(struct links *l, int *dials, int *listens);
/* What the end that dials says. */
void links_heard(struct links *l, int dials, int listens, bool up);
/* A handing over was lost, or was not what it should be. */
void links_lost(struct links *l, int a, int b, uint64_t now_us);
void links_kept(struct links *l, int a, int b); /* one arrived, as it should */
void links_forget(struct links *l, int donor);  /* it is gone */

/* May one hand over to the other? A donor to itself always. */
bool links_up(const struct links *l, int a, int b, uint64_t now_us);

#endif
