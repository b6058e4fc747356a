/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/post.h"

#include <stdlib.h>

int post(struct envelope_channel *c, struct transport *t, const struct route *to, struct message *m,
    struct span payload, uint64_t expires_ms, struct error *err)
{
	uint8_t envelope[FRAME_BYTES];
	uint8_t *header = NULL;
	size_t header_len = 0;
	int rc = envelope_seal(
	    c, m, expires_ms, payload.data, payload.len, envelope, &header, &header_len, err);

	if (rc == AYNI_OK)
		rc = transport_send(t, to, (struct span){envelope, sizeof envelope},
		    (struct span){header, header_len}, payload, err);
	free(header);
	return rc;
}
