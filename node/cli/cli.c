/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/cli.h"

#include "node/config.h"

int cli_fail(const char *command, const struct error *err)
{
	(void)fprintf(stderr, "ayni %s: %s\n", command, err->text);
	return err->code == AYNI_ERR_ARGUMENT ? CLI_USAGE : CLI_FAILED;
}

int cli_key_path(const char *role, char *out, size_t out_bytes, struct error *err)
{
	char folder[CONFIG_PATH_BYTES];
	int rc = config_folder(role, folder, sizeof folder, err);

	if (rc == AYNI_OK && (size_t)snprintf(out, out_bytes, "%s/key", folder) >= out_bytes)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "the path of the key is too long");
	return rc;
}
