/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numeric class `fast`: the best table's functions, but products of many vectors with a matrix
 * are made by OpenBLAS in binary32, from weights decoded a tile at a time. Activations are not
 * quantised for them. The last bits of such a product differ between processors, and with how a
 * product was cut between threads, so it is compared by tolerance and no receipt can be had for it.
 */
#ifndef AYNI_COMPUTE_KERNELS_FAST_H
#define AYNI_COMPUTE_KERNELS_FAST_H

#include "compute/kernels/kernels.h"

/* From so many vectors on OpenBLAS multiplies; with fewer the best table does, to the bit. Decoding
 * weights takes as long as multiplying them with so many. */
enum { FAST_MIN_VECTORS = 32 };

/* Decoded weights stand in a tile on the stack of the thread that multiplies: 256 KiB. */
enum { FAST_TILE_ROWS = 256, FAST_TILE_COLS = 256 };

/* The table, "fast"; made once. Its layout of weights is the best table's. */
const struct kernels *kernels_fast(void);

#endif
