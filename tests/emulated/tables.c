/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/emulated/tables.h"

#if defined(__x86_64__)

extern const struct kernels emulated_avx512, emulated_avxvnni;

static const struct kernels *const emulated[] = {&emulated_avx512, &emulated_avxvnni};

enum { N_EMULATED = sizeof emulated / sizeof emulated[0] };

static const struct kernels *emulated_at(size_t i)
{
	for (size_t e = 0; e < N_EMULATED && kernels_avx2.supported(); e++)
		if (!emulated[e]->supported() && i-- == 0)
			return emulated[e];
	return NULL;
}

#else

static const struct kernels *emulated_at(size_t i)
{
	(void)i;
	return NULL;
}

#endif

const struct kernels *table_at(size_t i)
{
	size_t n = 0; /* tables before the definition, which is the last */

	while (kernels_at(n) != &kernels_scalar)
		n++;
	return i < n ? kernels_at(i) : emulated_at(i - n);
}
