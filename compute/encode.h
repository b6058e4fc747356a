/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of floats to rows of a tensor type: the other direction of tensor_decode_row.
 *
 * Integers and scales are chosen to bring the weighted squared error down (large weights count
 * more): several starting scales are rounded with, each is improved by least squares, the best
 * stays. The same input gives the same bytes on every machine. Pure functions, any thread.
 */
#ifndef AYNI_COMPUTE_ENCODE_H
#define AYNI_COMPUTE_ENCODE_H

#include "compute/quant.h"

/* What tensor_encode_row can make. */
bool tensor_type_encodes(enum tensor_type type);

/* The largest magnitude that every type but F32 and BF16 can hold. */
#define ENCODE_MAX 65504.0f

/* n elements, whole blocks of a type that encodes, finite and within ENCODE_MAX. */
void tensor_encode_row(enum tensor_type type, const float *x, size_t n, uint8_t *row);

/* The nearest bfloat16, ties to even. */
uint16_t f32_to_bf16(float x);

#endif
