/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The results of a run as a roofline picture (S. Williams et al., "Roofline", 2009), SVG without
 * anything from elsewhere: how many multiply-adds a byte read from memory serves, against how many
 * are done a second, both on logarithmic axes. The slope is what memory allows, the flat part what
 * the processor does; a dot under them is a case, whose number stands in the list, or, smaller, a
 * kernel.
 */
#ifndef AYNI_NODE_BENCH_ROOFLINE_H
#define AYNI_NODE_BENCH_ROOFLINE_H

#include "node/bench/bench.h"

/* Whether it was written whole is in ferror(f). */
void roofline_write(const struct bench *b, FILE *f);

#endif
