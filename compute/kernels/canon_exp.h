/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The constants of the binary32 exponential, shared by canon.c and the vector kernels, which must
 * do the same operations in the same order:
 *
 *   n = x * LOG2E, rounded to an integer by adding and taking away ROUND   (one fma)
 *   r = x - n * LN2_HIGH - n * LN2_LOW                        (two fma; the first is exact)
 *   p = 1 + r (1 + r (C2 + r (C3 + r (C4 + r (C5 + r C6)))))  (six fma, innermost first)
 *   exp(x) = p * 2^h * 2^(n-h), h = n / 2 rounded down        (two products, since 2^128 is no
 * number)
 *
 * Origin: (exp(r) - 1 - r) / r^2 fitted on |r| <= ln(2)/2 by iteratively reweighted least squares
 * on 4001 Chebyshev nodes until the relative error of exp was level; then each coefficient in turn
 * was rounded to binary32 and the later ones fitted again. Relative error of the
 * polynomial: 3.2e-9, a twentieth of a unit in the last place.
 */
#ifndef AYNI_COMPUTE_KERNELS_CANON_EXP_H
#define AYNI_COMPUTE_KERNELS_CANON_EXP_H

#define CANON_EXP_LOW      (-87.3f)  /* below: 0; the smallest result stays normal */
#define CANON_EXP_HIGH     88.72283f /* above: +inf; close under the logarithm of FLT_MAX */
#define CANON_EXP_LOG2E    0x1.715476p+0f
#define CANON_EXP_ROUND    0x1.8p+23f /* adding it leaves no fraction bits */
#define CANON_EXP_LN2_HIGH 0x1.62e430p-1f
#define CANON_EXP_LN2_LOW  (-0x1.05c610p-29f)
#define CANON_EXP_C2       0x1.fffffcp-2f
#define CANON_EXP_C3       0x1.555492p-3f
#define CANON_EXP_C4       0x1.5558a8p-5f
#define CANON_EXP_C5       0x1.12397cp-7f
#define CANON_EXP_C6       0x1.6a5618p-10f

/* gelu: 2 sqrt(2/pi), and the same times 0.044715 (kernels/README.md, Elementwise). */
#define CANON_GELU_LINE 0x1.988454p+0f
#define CANON_GELU_CUBE 0x1.2444f2p-4f

/* gpt-oss's gate: its limit and the slope of its sigmoid. */
#define CANON_CLAMP       7.0f
#define CANON_CLAMP_SLOPE 0x1.b3b646p+0f

#endif
