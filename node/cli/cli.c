/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/cli.h"

int cli_fail(const char *command, const struct error *err)
{
	(void)fprintf(stderr, "ayni %s: %s\n", command, err->text);
	return err->code == AYNI_ERR_ARGUMENT ? CLI_USAGE : CLI_FAILED;
}
