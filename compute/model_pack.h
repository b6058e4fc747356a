/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model's quantised matrices in panels (kernels/panels.h), in one piece of memory: one matrix
 * after the other is copied from the file's mapping by the whole team, and its pages are given
 * back. For model.c alone.
 */
#ifndef AYNI_COMPUTE_MODEL_PACK_H
#define AYNI_COMPUTE_MODEL_PACK_H

#include "compute/model.h"
#include "compute/team.h"

/* Addresses for all panels of the range; memory is taken as they are filled. */
int model_pack_reserve(struct model *m, struct error *err);
/* Layers in order, each once; the last of the model with the output head. */
void model_pack_layer(struct model *m, uint32_t layer, const struct gguf *g, struct team *team);

#endif
