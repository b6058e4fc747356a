/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A donor that gives wrong numbers: the real program, between whose daemon and worker process there
 * is one more that changes results. So all that it signs has the right shape, and comes from honest
 * code up to the lie.
 *
 * A test program that begins its main() with liar_main can be started as such a donor
 * (network.donor_program), with the lie in the environment: AYNI_LIE as below, and AYNI_LIE_AFTER
 * honest units. For "other-model", AYNI_LIE_MODEL is the file of a model with the same sizes.
 */
#ifndef AYNI_TESTS_SUPPORT_LIAR_H
#define AYNI_TESTS_SUPPORT_LIAR_H

/* AYNI_LIE: */
#define LIE_RANDOM      "random"      /* numbers out of the air */
#define LIE_BIT         "bit"         /* the last bit of one number */
#define LIE_REPEAT      "repeat"      /* the first answer of that length again */
#define LIE_LAYER       "layer"       /* its first layer left out; not by who has layer 0 */
#define LIE_OTHER_MODEL "other-model" /* a cheaper model's layers */
#define LIE_LAST        "last"        /* a bit, but only in rows of logits */
#define LIE_CHECKS      "checks" /* a bit, but only where a session wants several rows of logits */

/* A bit, but only in rows of logits of sessions all of whose layers were computed by such donors:
 * AYNI_LIE_SHARED, a file, is where they tell each other. */
#define LIE_SWARM "swarm"
#define LIE_LATE                                                                                   \
	"late" /* all is right, but AYNI_LIE_DELAY_MS late, and said to have taken no time */

/* A cheaper model of the same sizes for that, made of this one. Fails the test; to be unlinked. */
void liar_cheap_model(const char *model, const char *to);

/* If the arguments are those of `ayni donate` or of its worker: runs it, and returns its exit
 * status; else -1. */
int liar_main(int argc, char **argv);

#endif
