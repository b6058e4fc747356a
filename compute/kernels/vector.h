/* SPDX-License-Identifier: Apache-2.0 */
/* Small pieces that all vector kernels share. */
#ifndef AYNI_COMPUTE_KERNELS_VECTOR_H
#define AYNI_COMPUTE_KERNELS_VECTOR_H

#include "protocol/base.h"

#define INLINE static inline __attribute__((always_inline))

/* Before loops over a tile: only unrolled do its arrays become registers. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { CACHE_LINE = 64 };

INLINE size_t at_most(size_t n, size_t limit)
{
	return n < limit ? n : limit;
}

#endif
