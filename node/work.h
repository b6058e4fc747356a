/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pool and donor must agree on about a work unit: its published cost, and how many bytes its
 * result has. Pure functions.
 */
#ifndef AYNI_NODE_WORK_H
#define AYNI_NODE_WORK_H

#include "compute/model.h"
#include "compute/wire.h"
#include "protocol/message_types.h"

/* A row of logits in a payload: lse, then `top` pairs of id and logit. */
size_t logit_row_bytes(uint32_t top);

/* The published cost of all spans (compute/cost.h). AYNI_ERR_LIMIT if it does not fit. */
int work_cost(const struct model_sizes *m, const struct msg_work_unit *u, struct flop *out);
/* Activations of all spans, each in its wire type. */
size_t work_activation_bytes(uint32_t d_model, const struct msg_work_unit *u);
/* Activations of every token, or at the model's last layer the rows of logits asked for. */
size_t work_result_bytes(uint32_t n_layers, uint32_t d_model, const struct msg_work_unit *u);

#endif
