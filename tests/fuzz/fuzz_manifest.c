/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests and receipts as they come from elsewhere. A fuzzer cannot sign, so the input is the
 * inner message, which is wrapped and signed here: [kind][encoded Manifest or Receipt].
 */
#include <stdlib.h>

#include "protocol/receipt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct identity *self;

/* Protobuf's form of a field of bytes; returns past its end. */
static uint8_t *put_bytes(uint8_t *at, uint8_t field, const uint8_t *data, size_t len)
{
	size_t left = len;

	*at++ = (uint8_t)(field << 3 | 2);
	for (; left > 0x7f; left >>= 7)
		*at++ = (uint8_t)(left | 0x80);
	*at++ = (uint8_t)left;
	if (len > 0)
		memcpy(at, data, len);
	return at + len;
}

static void open_manifest(const uint8_t *data, size_t len)
{
	struct signature signature;
	struct manifest m;
	uint8_t *bytes = malloc(len + 256), *again, *end_of;
	size_t bytes_len, again_len;
	struct error err;

	assert(bytes != NULL);
	assert(identity_sign(self, "ayni v1 manifest", data, len, &signature) == AYNI_OK);
	end_of = put_bytes(bytes, 1, data, len);
	end_of = put_bytes(end_of, 2, identity_public(self)->bytes, PUBLIC_KEY_BYTES);
	end_of = put_bytes(end_of, 3, signature.bytes, SIGNATURE_BYTES);
	bytes_len = (size_t)(end_of - bytes);
	if (manifest_open(bytes, bytes_len, &m, &err) == AYNI_OK) {
		uint64_t end = 0;

		for (size_t i = 0; i < m.n_chunks; i++) {
			assert(m.chunks[i].offset >= end && m.chunks[i].length > 0);
			end = m.chunks[i].offset + m.chunks[i].length;
			assert(end <= m.file_bytes);
		}
		assert(manifest_sign(&m, self, &again, &again_len, &err) == AYNI_OK);
		free(again);
		manifest_free(&m);
	}
	free(bytes);
}

static void open_receipt(const uint8_t *data, size_t len)
{
	struct signed_receipt s = {0};
	struct receipt r;

	if (len > sizeof s.receipt)
		return;
	memcpy(s.receipt, data, len);
	s.receipt_len = len;
	/* The key inside is not ours, so only the parser is reached: it must not open. */
	assert(receipt_check(&s, &r, NULL) != AYNI_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (self == NULL)
		assert(identity_generate(&self, NULL) == AYNI_OK);
	/* Raw bytes as they are, and the inner message rightly signed. */
	{
		struct manifest m;

		if (manifest_open(data, size, &m, NULL) == AYNI_OK)
			manifest_free(&m);
	}
	if (size < 1)
		return 0;
	if (data[0] & 1)
		open_receipt(data + 1, size - 1);
	else
		open_manifest(data + 1, size - 1);
	return 0;
}
