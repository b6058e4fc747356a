/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementary functions of the canonical arithmetic: only + - * / sqrt fma on IEEE 754 numbers,
 * round to nearest even, so that every machine gets the same bits (README.md beside this file).
 *
 * The binary32 ones are used on activations; the binary64 ones only to make tables of rotary
 * angles, where binary32 would lose the angle at long context.
 */
#ifndef AYNI_COMPUTE_CANON_H
#define AYNI_COMPUTE_CANON_H

float canon_exp(float x); /* error under 2 ulp; 0 below -87.3, +inf above 88.7 */
float canon_log(float x); /* x > 0 and normal */

double canon_exp64(double x);
double canon_log64(double x);                                /* x > 0 and normal */
void canon_sincos64(double x, double *sine, double *cosine); /* |x| < 2^30 */

#endif
