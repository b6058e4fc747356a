/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers libzmq's question whether a CURVE key may connect (ZAP, ZeroMQ RFC 27). Part of
 * transport.c: same thread, same ZeroMQ context.
 */
#ifndef AYNI_PROTOCOL_ZAP_H
#define AYNI_PROTOCOL_ZAP_H

#include "protocol/transport.h"

#define ZAP_DOMAIN "ayni"

/* The handler's socket, to be there before a server listens; NULL and errno if it cannot be. */
void *zap_open(void *zmq_context);
/* Answer all questions that wait; `admit` NULL admits every key. */
void zap_serve(void *socket, transport_admit_fn *admit, void *context);

#endif
