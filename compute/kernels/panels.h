/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Panels: quantised weights of sixteen rows side by side, so that a vector register holds the same
 * place of as many rows and one load serves them all.
 *
 * A panel is rows [16 i, 16 i + 16) of a matrix, block after block. A panel's block is the sixteen
 * rows' blocks with their units taking turns: unit 0 of all rows, then unit 1, ... A unit is 4
 * bytes of quants, or the 2 or 1 of a number. The bytes of a field that begins at byte o of the
 * file's block so begin at 16 o, and nothing grows. Rows that the last panel lacks are zero bytes.
 */
#ifndef AYNI_COMPUTE_KERNELS_PANELS_H
#define AYNI_COMPUTE_KERNELS_PANELS_H

#include "compute/kernels/kernels.h"

enum { PANEL_ROWS = 16, QUANT_MAX_BLOCK_BYTES = sizeof(struct block_q6_k) };

static inline uint32_t panels_of(uint32_t n_rows)
{
	return n_rows / PANEL_ROWS + (n_rows % PANEL_ROWS != 0);
}

/* Bytes of all panels of a matrix of a quantised type. */
size_t panels_bytes(const struct matrix *m);
/* Write panel i of a matrix that lies in rows: PANEL_ROWS * row_bytes bytes. */
void panel_pack(const struct matrix *m, uint32_t i, uint8_t *out);
/* The same matrix in the panels that were made of all of it. */
struct matrix matrix_in_panels(const struct matrix *m, const uint8_t *panels);

/* Block b of row r as the file stores it, in either layout: where it lies, or `copy`. */
const uint8_t *matrix_block(
    const struct matrix *m, uint32_t row, size_t b, uint8_t copy[QUANT_MAX_BLOCK_BYTES]);
/* Decode a row of any type and either layout to n_cols numbers (tensor_decode_row). */
void matrix_decode_row(const struct matrix *m, uint32_t row, float *out);

#endif
