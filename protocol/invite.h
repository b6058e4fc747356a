/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The joining ticket: `ayni://host:port?key=<64 hex digits>&token=<32 hex digits>`.
 *
 * `key` is the pool's public key, so whoever holds an invite can be deceived by no other pool; the
 * token is a secret that the pool counts (expiry and uses are known to the pool alone, by the
 * token's hash). An address without a token serves those whom the pool already knows.
 * IPv6 hosts are written in brackets. Pure functions.
 */
#ifndef AYNI_PROTOCOL_INVITE_H
#define AYNI_PROTOCOL_INVITE_H

#include "protocol/base.h"

enum { INVITE_TOKEN_BYTES = 16, INVITE_TEXT_BYTES = 512, INVITE_HOST_BYTES = 256 };

struct invite {
	char host[INVITE_HOST_BYTES]; /* without brackets */
	uint16_t port;
	struct public_key pool;
	bool has_token;
	uint8_t token[INVITE_TOKEN_BYTES];
};

int invite_parse(const char *text, struct invite *out, struct error *err);
int invite_format(const struct invite *in, char *text, size_t text_bytes, struct error *err);
/*
 * Host and port of "tcp://host:port" as transport.h gives it, or without "tcp://"; the host may be
 * "*". AYNI_ERR_ARGUMENT: it is not one, or has no port.
 */
int invite_set_endpoint(struct invite *in, const char *endpoint, struct error *err);
/* "tcp://host:port" as transport.h wants it */
int invite_endpoint(const struct invite *in, char *text, size_t text_bytes);

#endif
