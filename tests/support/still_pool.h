/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool that computes nothing: it admits whoever comes, and answers each request at once with a
 * word out of the air. So all the time that a client sees is the gateway's and the wires'. A
 * request of one token ends with it; any other goes on, a word every STILL_POOL_WORD_MS, until it
 * is cancelled. A process of its own; failures end it.
 */
#ifndef AYNI_TESTS_SUPPORT_STILL_POOL_H
#define AYNI_TESTS_SUPPORT_STILL_POOL_H

#include <sys/types.h>

#include "protocol/invite.h"

enum { STILL_POOL_WORD_MS = 50 };

/* Its process, to be killed, and how it is joined. Fails the test (cmocka). */
pid_t still_pool_start(char invite[INVITE_TEXT_BYTES]);

#endif
