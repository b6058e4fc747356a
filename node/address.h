/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "host:port" with a host given as numbers, IPv6 in brackets: a name would be looked up, and take
 * the resolver's time. Any thread.
 */
#ifndef AYNI_NODE_ADDRESS_H
#define AYNI_NODE_ADDRESS_H

#include <netdb.h>

#include "protocol/base.h"

/* For a socket of TCP, to listen at or to connect to; freeaddrinfo releases it. AYNI_ERR_ARGUMENT,
 * with an example, if it is none. */
int address_resolve(const char *text, struct addrinfo **out, struct error *err);
bool address_is_numeric(const char *text);

#endif
