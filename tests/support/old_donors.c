/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/old_donors.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "node/pool/trust.h"
#include "protocol/invite.h"
#include "storage/registry.h"
#include "storage/standing.h"

enum { LONG_AGO_MS = 1 };

static void make_invite(const struct network *n, char out[NETWORK_PATH])
{
	static char text[NETWORK_OUTPUT], err[NETWORK_OUTPUT];
	char folder[NETWORK_PATH * 2];
	const char *args[] = {"invite", "--folder", folder, "--uses", "1000", NULL};

	(void)snprintf(folder, sizeof folder, "%s/pool", n->folder);
	if (network_run(n, args, NULL, text, err) != 0)
		fail_msg("no invite: %s", err);
	text[strcspn(text, "\n")] = '\0';
	assert_true(strlen(text) < NETWORK_PATH);
	memcpy(out, text, strlen(text) + 1);
}

static struct public_key make_key(const struct network *n, int donor)
{
	char path[NETWORK_PATH * 2];
	struct identity *id;
	struct public_key key;

	(void)snprintf(path, sizeof path, "%s/donor%d/key", n->folder, donor);
	assert_int_equal(identity_open(path, &id, NULL, NULL), AYNI_OK);
	key = *identity_public(id);
	identity_free(id);
	return key;
}

static void write_down(struct db *db, const struct network *n, int count, const char *other)
{
	struct registry *registry;
	struct standing_store *standings;

	assert_int_equal(registry_new(db, &registry, NULL), AYNI_OK);
	assert_int_equal(standing_new(db, &standings, NULL), AYNI_OK);
	for (int i = 0; i < count; i++) {
		struct standing s = {.donor = make_key(n, i),
		    .state = TRUST_TRUSTED,
		    .right_units = TRUST_PROOF_UNITS,
		    .verified_units = TRUST_PROOF_UNITS,
		    .seen_ms = (uint64_t)time(NULL) * 1000};
		struct invite invite;
		struct hash token;

		assert_int_equal(
		    invite_parse(i + 1 < count ? n->invite : other, &invite, NULL), AYNI_OK);
		hash_bytes(invite.token, sizeof invite.token, &token);
		assert_int_equal(
		    registry_admit(registry, &s.donor, ROLE_DONOR, "", &token, LONG_AGO_MS, NULL),
		    AYNI_OK);
		assert_int_equal(standing_put(standings, &s, NULL), AYNI_OK);
	}
	standing_free(standings);
	registry_free(registry);
}

void old_donors_make(struct network *n, int count, const char *model, const char *const *settings,
    char other[NETWORK_PATH])
{
	char path[NETWORK_PATH * 2];
	struct error err = {0};
	struct db *db;

	make_invite(n, other);
	assert_int_equal(kill(n->pool, SIGTERM), 0);
	assert_int_equal(network_wait_end(n->pool), 0);
	n->pool = 0;
	(void)snprintf(path, sizeof path, "%s/pool/pool.db", n->folder);
	if (db_open(path, DB_READ_WRITE, &db, &err) != AYNI_OK)
		fail_msg("%s", err.text);
	write_down(db, n, count, other);
	db_free(db);
	network_restart_pool(n, model, settings);
}
