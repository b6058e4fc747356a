/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A donor that speaks the protocol itself and means harm: it joins, takes layers that it never
 * loads, and says what it likes of them. What it signs is what a patched daemon could sign; a
 * worker that gives wrong numbers to an honest daemon is tests/support/liar.h.
 *
 * A test program that begins its main() with crook_main can be started as one
 * (network.donor_program), with AYNI_CROOK as below in the environment, and AYNI_CROOK_MODEL, the
 * model's file: results that it makes up have the right shape. What the pool refuses of it is a
 * line of its standard error, "refused: REASON: ...".
 */
#ifndef AYNI_TESTS_SUPPORT_CROOK_H
#define AYNI_TESTS_SUPPORT_CROOK_H

/* AYNI_CROOK: all offer more speed and memory than there is, so that they get work. */
#define CROOK_COST   "cost"   /* results claim more FLOP than the unit has */
#define CROOK_BOAST  "boast"  /* made-up results that took no time at all */
#define CROOK_MUTE   "mute"   /* takes units and answers nothing but heartbeats */
#define CROOK_HALF   "half"   /* half of a result */
#define CROOK_CHUNKS "chunks" /* fetches its layers one chunk at a time, the same for ever */
#define CROOK_FLIP   "flip"   /* at each unit its layers are lost, and ready again */
#define CROOK_BUSY   "busy"   /* gives each unit back: it is busy */
#define CROOK_NAN    "nan"    /* says that each unit's numbers are not finite */
/* Answers units that it was not given, signs with the key of a friend over its own connection
 * (AYNI_CROOK_FRIEND: file), speaks as a donor whose key it does not have (AYNI_CROOK_VICTIM: key
 * in hexadecimal), and countersigns the first receipts at each heartbeat. Its own units it gives
 * back. */
#define CROOK_THIEF "thief"

/* If it is to be a crook and the arguments are those of `ayni donate`: runs it, and returns its
 * exit status; else -1. */
int crook_main(int argc, char **argv);

#endif
