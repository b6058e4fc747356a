/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/donors_seen.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h> /* cmocka.h wants it first */

#include <cmocka.h>

#include "node/loop.h"

enum { MOST_LOOKS = 1000 /* each is a process: no busy loop */ };

static char out[NETWORK_OUTPUT], err[NETWORK_OUTPUT];

/* The entry of this name in "donors" of what a command says; NULL: there is none. */
static json_t *entry(struct network *n, const char *const *args, const char *name, json_t **root)
{
	json_t *donors;

	if (network_run(n, args, NULL, out, err) != 0)
		fail_msg("%s", err);
	*root = json_loads(out, 0, NULL);
	donors = json_object_get(*root, "donors");
	for (size_t i = 0; i < json_array_size(donors); i++) {
		json_t *d = json_array_get(donors, i);

		if (strcmp(json_string_value(json_object_get(d, "name")), name) == 0)
			return d;
	}
	return NULL;
}

static json_int_t number(const json_t *d, const char *key)
{
	return json_integer_value(json_object_get(d, key));
}

struct donor_seen donor_seen(struct network *n, const char *name)
{
	const char *args[] = {"status", "--pool", n->invite, "--json", NULL}, *reason;
	struct donor_seen s = {0};
	json_t *root, *d = entry(n, args, name, &root), *count;

	if (d == NULL) {
		json_decref(root);
		return s;
	}
	(void)snprintf(
	    s.state, sizeof s.state, "%s", json_string_value(json_object_get(d, "state")));
	(void)snprintf(
	    s.trust, sizeof s.trust, "%s", json_string_value(json_object_get(d, "trust")));
	s.units = number(d, "units");
	s.lies = number(d, "lies");
	s.verified = number(d, "verified_units");
	s.round_trip_us = number(d, "round_trip_us");
	json_object_foreach(json_object_get(d, "refused_by_pool"), reason, count) s.refused +=
	    json_integer_value(count);
	json_decref(root);
	return s;
}

void donor_wait_measured(struct network *n, const char *name)
{
	for (unsigned i = 0; donor_seen(n, name).round_trip_us == 0; i++) {
		if (i == MOST_LOOKS)
			fail_msg("nothing of %s is measured", name);
	}
}

json_int_t donor_paid(struct network *n, const char *name)
{
	char db[NETWORK_PATH * 2];
	const char *args[] = {"ledger", "--db", db, "--json", NULL};
	json_int_t units;
	json_t *root;

	(void)snprintf(db, sizeof db, "%s/pool/pool.db", n->folder);
	units = number(entry(n, args, name, &root), "units");
	json_decref(root);
	return units;
}

struct told member_asks(struct network *n, const char *question)
{
	const char *args[] = {"chat", "--pool", n->invite, question, NULL};
	uint64_t began_us = loop_now_us();
	struct told t = {.answer = out, .beside = err};

	t.failed = network_run(n, args, NULL, out, err) != 0;
	t.ms = (unsigned)((loop_now_us() - began_us) / 1000);
	return t;
}
