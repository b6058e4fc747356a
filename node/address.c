/* SPDX-License-Identifier: Apache-2.0 */
#include "node/address.h"

#include <stdlib.h>

enum { HOST_BYTES = 64 };

/* The C library cuts off what is too large. */
static bool is_port(const char *text)
{
	size_t len = strspn(text, "0123456789");

	return len > 0 && len <= 5 && text[len] == '\0' && strtoul(text, NULL, 10) <= UINT16_MAX;
}

int address_resolve(const char *text, struct addrinfo **out, struct error *err)
{
	const struct addrinfo hints = {
	    .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	const char *colon = strrchr(text, ':');
	size_t bracket = text[0] == '[' ? 1 : 0;
	size_t len = colon != NULL ? (size_t)(colon - text) : 0;
	char host[HOST_BYTES];

	if (len > 2 * bracket && len < sizeof host && (bracket == 0 || colon[-1] == ']') &&
	    is_port(colon + 1)) {
		memcpy(host, text + bracket, len - 2 * bracket);
		host[len - 2 * bracket] = '\0';
		if (getaddrinfo(host, colon + 1, &hints, out) == 0)
			return AYNI_OK;
	}
	return error_set(err, AYNI_ERR_ARGUMENT,
	    "%.80s is no address with a port: 127.0.0.1:11500 or [::1]:11500, say", text);
}

bool address_is_numeric(const char *text)
{
	struct addrinfo *found;

	if (address_resolve(text, &found, NULL) != AYNI_OK)
		return false;
	freeaddrinfo(found);
	return true;
}
