/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of kernels that tests hold against the definition: those that this machine can run,
 * and in emulation (intrinsics.h) those of AVX-512 and AVX-VNNI where the processor has only AVX2,
 * as most machines that run the tests do.
 */
#ifndef AYNI_TESTS_EMULATED_TABLES_H
#define AYNI_TESTS_EMULATED_TABLES_H

#include "compute/kernels/kernels.h"

/* The i-th table but the definition, or NULL. */
const struct kernels *table_at(size_t i);

#endif
