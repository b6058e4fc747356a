/* SPDX-License-Identifier: Apache-2.0 */
#include <libgen.h>
#include <unistd.h>

#include "node/cli/ledger.h"
#include "node/config.h"

int ledger_owner(const char *file, struct ledger_owner *out, struct error *err)
{
	char folder[CONFIG_PATH_BYTES], path[CONFIG_PATH_BYTES + 16];
	struct identity *id = NULL;
	int rc = AYNI_OK;

	*out = (struct ledger_owner){0};
	if (file == NULL)
		rc = config_folder("donor", folder, sizeof folder, err);
	else if (strlen(file) >= sizeof folder)
		rc = error_set(err, AYNI_ERR_LIMIT, "a path that is too long");
	else
		(void)snprintf(folder, sizeof folder, "%s", file);
	if (rc != AYNI_OK)
		return rc;
	(void)snprintf(path, sizeof path, "%s/key", file == NULL ? folder : dirname(folder));
	if (access(path, F_OK) != 0)
		return AYNI_OK;
	rc = identity_read(path, &id, err);
	if (rc != AYNI_OK)
		return rc;
	*out = (struct ledger_owner){true, *identity_public(id)};
	identity_free(id);
	return AYNI_OK;
}

bool ledger_is_owners(struct ledger_owner *o, const struct receipt *r)
{
	if (!o->known)
		*o = (struct ledger_owner){true, r->donor};
	return public_key_equal(&o->key, &r->donor);
}
