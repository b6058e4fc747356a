/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/checkers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <uthash.h>

struct known {
	struct public_key donor;
	struct checker_origin origin;
	UT_hash_handle hh;
};

/* One trail that donors compute, or that the pool computes because they found it to be other. */
struct check_case {
	uint64_t session; /* of those that check */
	struct trail *about, *own;
	bool audited; /* the pool computes it now */
	struct check_case *next;
};

struct checkers {
	uint8_t secret[DERIVED_KEY_BYTES];
	struct known *known; /* in order of meeting */
	struct check_case *cases;
};

int checkers_new(const uint8_t secret[DERIVED_KEY_BYTES], struct checkers **out, struct error *err)
{
	struct checkers *c = calloc(1, sizeof *c);

	if (c == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "checkers: out of memory");
	memcpy(c->secret, secret, sizeof c->secret);
	*out = c;
	return AYNI_OK;
}

static void forget(struct checkers *c, struct known *k)
{
	HASH_DEL(c->known, k);
	free(k);
}

static void end_case(struct checkers *c, struct check_case *ended)
{
	struct check_case **at = &c->cases;

	while (*at != ended)
		at = &(*at)->next;
	*at = ended->next;
	trail_release(ended->about);
	trail_release(ended->own);
	free(ended);
}

void checkers_free(struct checkers *c)
{
	struct known *k, *next;

	if (c == NULL)
		return;
	HASH_ITER(hh, c->known, k, next)
	forget(c, k);
	while (c->cases != NULL)
		end_case(c, c->cases);
	explicit_bzero(c->secret, sizeof c->secret);
	free(c);
}

/* ---- relations ---------------------------------------------------------------------------- */

static struct network_prefix network_of_ipv4(const uint8_t address[4])
{
	struct network_prefix n = {.kind = NETWORK_IPV4};

	if (address[0] == 127)
		return (struct network_prefix){0};
	memcpy(n.bytes, address, 3);
	return n;
}

struct network_prefix network_of(const char *address)
{
	struct network_prefix n = {0};
	struct in_addr ipv4;
	struct in6_addr ipv6;

	if (address == NULL)
		return n;
	if (inet_pton(AF_INET, address, &ipv4) == 1)
		return network_of_ipv4((const uint8_t *)&ipv4);
	if (inet_pton(AF_INET6, address, &ipv6) != 1 || IN6_IS_ADDR_LOOPBACK(&ipv6))
		return n;
	if (IN6_IS_ADDR_V4MAPPED(&ipv6))
		return network_of_ipv4(ipv6.s6_addr + 12);
	n.kind = NETWORK_IPV6;
	memcpy(n.bytes, ipv6.s6_addr, sizeof n.bytes);
	return n;
}

static bool same_network(const struct network_prefix *a, const struct network_prefix *b)
{
	return a->kind != NETWORK_UNKNOWN && a->kind == b->kind &&
	       memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool born_together(uint64_t a_ms, uint64_t b_ms, uint64_t now_ms)
{
	uint64_t first = a_ms < b_ms ? a_ms : b_ms, last = a_ms < b_ms ? b_ms : a_ms;

	return last - first < CHECKERS_BIRTH_MS && now_ms < last + CHECKERS_YOUNG_MS;
}

bool checkers_related(
    const struct checker_origin *a, const struct checker_origin *b, uint64_t now_ms)
{
	return hash_equal(&a->invite, &b->invite) || same_network(&a->network, &b->network) ||
	       born_together(a->admitted_ms, b->admitted_ms, now_ms);
}

static struct known *find(const struct checkers *c, const struct public_key *donor)
{
	struct known *k;

	HASH_FIND(hh, c->known, donor, sizeof *donor, k);
	return k;
}

void checkers_meet(
    struct checkers *c, const struct public_key *donor, const struct checker_origin *origin)
{
	struct known *k = find(c, donor);

	if (k != NULL)
		HASH_DEL(c->known, k); /* it is the last that was met now */
	else if (HASH_COUNT(c->known) == CHECKERS_MAX_DONORS)
		forget(c, c->known);
	k = k != NULL ? k : calloc(1, sizeof *k);
	if (k == NULL)
		return;
	k->donor = *donor;
	k->origin = *origin;
	HASH_ADD(hh, c->known, donor, sizeof k->donor, k);
}

/* ---- choice ------------------------------------------------------------------------------- */

/* Bytes that nobody else knows, of a trail and a donor, or of the trail alone. */
static uint8_t lot(const struct checkers *c, const struct trail *t, const struct public_key *donor)
{
	struct {
		uint64_t session, n_spans, n_hashes;
		struct hash last;
		struct public_key donor;
	} what = {t->session, t->n_spans, t->n_hashes, {{0}}, {{0}}};
	struct hash hash;

	if (t->n_hashes > 0)
		what.last = t->hashes[t->n_hashes - 1];
	if (donor != NULL)
		what.donor = *donor;
	hash_keyed(c->secret, (const uint8_t *)&what, sizeof what, &hash);
	return hash.bytes[0];
}

bool checkers_takes(const struct checkers *c, const struct trust *trust, const struct trail *trail)
{
	for (uint32_t k = 0; k < trail->n_stages; k++) {
		const struct public_key *donor = &trail->stages[k].key;

		if (!trust_is_trusted(trust, donor) || find(c, donor) == NULL)
			return false;
	}
	return lot(c, trail, NULL) % CHECKERS_POOL_SHARE != 0;
}

bool checkers_avoid(const void *search, const struct roster_donor *d)
{
	const struct checkers_search *s = search;
	const struct known *k = find(s->checkers, &d->key);

	if (k == NULL || !trust_is_trusted(s->trust, &d->key))
		return true;
	for (uint32_t i = 0; i < s->trail->n_stages; i++) {
		const struct public_key *donor = &s->trail->stages[i].key;
		const struct known *other = find(s->checkers, donor);

		if (other == NULL || public_key_equal(donor, &d->key) ||
		    checkers_related(&k->origin, &other->origin, s->now_ms))
			return true;
	}
	return s->half && lot(s->checkers, s->trail, &d->key) % 2 == 0;
}

/* ---- cases -------------------------------------------------------------------------------- */

int checkers_begin(struct checkers *c, uint64_t session, struct trail *trail, struct error *err)
{
	struct check_case *new = calloc(1, sizeof *new);

	if (new == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "checkers: out of memory");
	new->session = session;
	new->about = trail_hold(trail);
	new->next = c->cases;
	c->cases = new;
	return AYNI_OK;
}

static struct check_case *case_of(const struct checkers *c, uint64_t session)
{
	struct check_case *k = c->cases;

	while (k != NULL && k->session != session)
		k = k->next;
	return k;
}

bool checkers_keep(struct checkers *c, struct trail *own)
{
	struct check_case *k = case_of(c, own->session);

	if (k == NULL)
		return false;
	trail_release(k->own); /* there is one: a check is never replayed */
	k->own = own;
	return true;
}

static struct trail *take(struct trail **t)
{
	struct trail *taken = *t;

	*t = NULL;
	return taken;
}

void checkers_finished(
    struct checkers *c, uint64_t session, enum check_result result, struct checkers_orders *out)
{
	struct check_case *k = case_of(c, session);

	*out = (struct checkers_orders){0};
	if (k == NULL)
		return;
	if (result == CHECK_OTHER) { /* it waits for what the pool finds */
		out->audit = trail_hold(k->about);
		k->audited = true;
		return;
	}
	if (result == CHECK_SAME)
		out->right = take(&k->about);
	else
		out->audit = take(&k->about);
	out->own = take(&k->own);
	end_case(c, k);
}

void checkers_audited(struct checkers *c, const struct trail *trail, bool known, bool wrong,
    struct checkers_orders *out)
{
	struct check_case *k = c->cases;

	*out = (struct checkers_orders){0};
	while (k != NULL && (k->about != trail || !k->audited))
		k = k->next;
	if (k == NULL)
		return;
	out->own = take(&k->own);
	out->certainly = known && !wrong;
	end_case(c, k);
}
