/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/accused.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/models.h"
#include "protocol/identity.h"
#include "storage/files.h"

static unsigned n_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (n < 1)
		return 1;
	return n < TEAM_MAX_THREADS ? (unsigned)n : TEAM_MAX_THREADS;
}

static int check(
    const struct evidence *e, const char *model, struct evidence_finding *out, struct error *err)
{
	struct replay *replay = NULL;
	struct team *team = NULL;
	struct gguf *gguf = NULL;
	int rc = models_open(model, &gguf, err);

	if (rc == AYNI_OK)
		rc = team_new(n_threads(), &team, err);
	if (rc == AYNI_OK)
		rc = replay_new(kernels_best(), team, &replay, err);
	if (rc == AYNI_OK)
		rc = evidence_check(e, gguf, replay, out, err);
	replay_free(replay);
	team_free(team);
	gguf_free(gguf);
	return rc;
}

enum accused_outcome accused_check(const char *file, const char *model,
    struct evidence_finding *out, struct hash *file_hash, struct error *err)
{
	struct evidence e;
	uint8_t *data = NULL;
	size_t len;
	int rc = files_read(AT_FDCWD, file, EVIDENCE_BYTES_MAX, &data, &len, err);

	*out = (struct evidence_finding){0};
	if (rc == AYNI_OK) {
		hash_bytes(data, len, file_hash);
		rc = evidence_decode(data, len, &e, err);
	}
	free(data);
	if (rc == AYNI_OK) {
		rc = check(&e, model, out, err);
		evidence_free(&e);
	}
	if (rc != AYNI_OK)
		return ACCUSED_BAD;
	return out->proven ? ACCUSED_LIED : ACCUSED_RIGHT;
}
