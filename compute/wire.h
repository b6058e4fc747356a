/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How activations travel from one range of layers to the next. binary32 is the definition of the
 * model. The narrower types are definitions of their own: in a session that declares one, the
 * residual stream goes through it after every layer but the last, wherever the model is cut, so
 * that the answer is the same through any split.
 *
 *   f32   binary32
 *   f16   binary16, nearest, ties to even; what is past its range becomes its largest number
 *   q8    for each 32 elements their scale (binary32) and then their quants (int8), as
 *         kernels/README.md defines them for products with weights
 *
 * Numbers that are not finite stay so. Little endian. Pure functions, any thread.
 */
#ifndef AYNI_COMPUTE_WIRE_H
#define AYNI_COMPUTE_WIRE_H

#include "protocol/base.h"

enum wire_type { WIRE_F32, WIRE_F16, WIRE_Q8, WIRE_TYPE_END };

/* Bytes of a row of d elements. */
size_t wire_row_bytes(enum wire_type type, size_t d);
void wire_encode(enum wire_type type, const float *row, size_t d, uint8_t *out);
void wire_decode(enum wire_type type, const uint8_t *in, size_t d, float *row);
/* Encode and decode: what a row is after its way. */
void wire_round(enum wire_type type, float *row, size_t d);

/* "f32", "f16", "q8". */
const char *wire_type_name(enum wire_type type);
bool wire_type_find(const char *name, enum wire_type *out);

#endif
