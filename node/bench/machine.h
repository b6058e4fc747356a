/* SPDX-License-Identifier: Apache-2.0 */
/* The machine that figures were measured on, in words for people. */
#ifndef AYNI_NODE_BENCH_MACHINE_H
#define AYNI_NODE_BENCH_MACHINE_H

#include "protocol/base.h"

struct machine {
	char processor[64];
	char system[96];     /* "Linux 6.1.0" */
	unsigned processors; /* that this process may use */
	double memory_bytes;
};

void machine_describe(struct machine *out);

#endif
