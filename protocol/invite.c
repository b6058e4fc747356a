/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/invite.h"

#include <arpa/inet.h>

#define SCHEME "ayni://"

/* What is left to read. A mismatch leaves it where it is, so that the error can say what is there.
 */
struct cursor {
	const char *at;
};

static bool take(struct cursor *c, const char *literal)
{
	size_t len = strlen(literal);

	if (strncmp(c->at, literal, len) != 0)
		return false;
	c->at += len;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Exactly `n` bytes in hexadecimal. */
static bool take_hex(struct cursor *c, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(c->at[0]);
		int low = high < 0 ? -1 : hex_digit(c->at[1]);

		if (low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
		c->at += 2;
	}
	return true;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_';
}

static bool is_ipv6(const char *host)
{
	struct in6_addr unused;

	return inet_pton(AF_INET6, host, &unused) == 1;
}

/* A name or IPv4 address: only characters that need no escape anywhere. */
static bool is_name(const char *host)
{
	if (host[0] == '\0' || host[0] == '-' || host[0] == '.')
		return false;
	for (const char *p = host; *p != '\0'; p++)
		if (!is_name_char(*p))
			return false;
	return true;
}

static bool take_host(struct cursor *c, char host[INVITE_HOST_BYTES])
{
	bool bracketed = take(c, "[");
	size_t len = strcspn(c->at, bracketed ? "]" : ":/?#@[]");

	if (len == 0 || len >= INVITE_HOST_BYTES)
		return false;
	memcpy(host, c->at, len);
	host[len] = '\0';
	c->at += len;
	return bracketed ? take(c, "]") && is_ipv6(host) : is_name(host);
}

/* 1 to 65535, at most five digits. */
static bool take_port(struct cursor *c, uint16_t *port)
{
	uint32_t v = 0;
	size_t n = strspn(c->at, "0123456789");

	if (n == 0 || n > 5)
		return false;
	for (size_t i = 0; i < n; i++)
		v = v * 10 + (uint32_t)(c->at[i] - '0');
	if (v == 0 || v > UINT16_MAX)
		return false;
	c->at += n;
	*port = (uint16_t)v;
	return true;
}

int invite_parse(const char *text, struct invite *out, struct error *err)
{
	struct cursor c = {text};
	struct invite in = {.has_token = false};
	const char *expected = NULL;

	if (strnlen(text, INVITE_TEXT_BYTES) >= INVITE_TEXT_BYTES)
		return error_set(err, AYNI_ERR_LIMIT, "invite: longer than %d characters",
		    INVITE_TEXT_BYTES - 1);
	if (!take(&c, SCHEME))
		expected = "\"" SCHEME "\"";
	else if (!take_host(&c, in.host))
		expected = "a host name, or an IPv6 address in brackets";
	else if (!take(&c, ":") || !take_port(&c, &in.port))
		expected = "\":\" and a port from 1 to 65535";
	else if (!take(&c, "?key=") || !take_hex(&c, in.pool.bytes, PUBLIC_KEY_BYTES))
		expected = "\"?key=\" and 64 hexadecimal digits";
	else if (*c.at != '\0' &&
	         (!take(&c, "&token=") || !take_hex(&c, in.token, INVITE_TOKEN_BYTES)))
		expected = "the end, or \"&token=\" and 32 hexadecimal digits";
	else if (*c.at != '\0')
		expected = "the end";
	if (expected != NULL)
		return error_set(err, AYNI_ERR_FORMAT, "invite: expected %s at character %zu",
		    expected, (size_t)(c.at - text) + 1);
	in.has_token = strstr(text, "&token=") != NULL;
	*out = in;
	return AYNI_OK;
}

static void put_hex(char *out, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}

int invite_format(const struct invite *in, char *text, size_t text_bytes, struct error *err)
{
	char key[2 * PUBLIC_KEY_BYTES + 1], token[2 * INVITE_TOKEN_BYTES + 1];
	bool ipv6 = is_ipv6(in->host);
	int n;

	if ((!ipv6 && !is_name(in->host)) || in->port == 0)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "invite: \"%.100s\" port %u is not an address that others can dial", in->host,
		    (unsigned)in->port);
	put_hex(key, in->pool.bytes, PUBLIC_KEY_BYTES);
	put_hex(token, in->token, INVITE_TOKEN_BYTES);
	n = snprintf(text, text_bytes, SCHEME "%s%s%s:%u?key=%s%s%s", ipv6 ? "[" : "", in->host,
	    ipv6 ? "]" : "", (unsigned)in->port, key, in->has_token ? "&token=" : "",
	    in->has_token ? token : "");
	if (n < 0 || (size_t)n >= text_bytes)
		return error_set(
		    err, AYNI_ERR_LIMIT, "invite: does not fit into %zu bytes", text_bytes);
	return AYNI_OK;
}

int invite_set_endpoint(struct invite *in, const char *endpoint, struct error *err)
{
	struct cursor c = {endpoint};
	struct invite to = *in;
	bool any;

	(void)take(&c, "tcp://");
	any = take(&c, "*");
	if (any)
		memcpy(to.host, "*", 2);
	if ((!any && !take_host(&c, to.host)) || !take(&c, ":") || !take_port(&c, &to.port) ||
	    *c.at != '\0')
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "%.100s is not an address with a port", endpoint);
	*in = to;
	return AYNI_OK;
}

int invite_endpoint(const struct invite *in, char *text, size_t text_bytes)
{
	bool ipv6 = is_ipv6(in->host);
	int n = snprintf(text, text_bytes, "tcp://%s%s%s:%u", ipv6 ? "[" : "", in->host,
	    ipv6 ? "]" : "", (unsigned)in->port);

	return n < 0 || (size_t)n >= text_bytes ? AYNI_ERR_LIMIT : AYNI_OK;
}
