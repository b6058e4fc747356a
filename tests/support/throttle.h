/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slower processors than this machine's: a process and its child may take so much of a core, as by
 * a control group's cpu.max, but without its rights. A thread looks at their processor time each
 * millisecond, and who has used more than its share stands still (SIGSTOP) until it is due again.
 * So an idle process answers at once, and one that computes takes so much longer.
 */
#ifndef AYNI_TESTS_SUPPORT_THROTTLE_H
#define AYNI_TESTS_SUPPORT_THROTTLE_H

#include <sys/types.h>

enum { THROTTLE_MAX = 8 };

struct throttle;

struct throttle *throttle_start(void);
/* From now on; its child is found when it has one. */
void throttle_add(struct throttle *t, pid_t process, unsigned percent);
/* It is to end: it runs freely, and is looked at no more. */
void throttle_release(struct throttle *t, pid_t process);
void throttle_stop(struct throttle *t); /* releases all */

#endif
