/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts a model file into the parts of a split one, as published large models are. */
#ifndef AYNI_TESTS_SUPPORT_SPLIT_MODEL_H
#define AYNI_TESTS_SUPPORT_SPLIT_MODEL_H

#include "compute/gguf.h"

/* Part `part` of n, counted from 0, with its share of the tensors: malloc'd bytes. */
uint8_t *split_model_part(const struct gguf *g, uint32_t part, uint32_t n, size_t *len);

#endif
