/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A note, taken as a checkpoint, or a proof: whatever parses lies within the input, is within its
 * bounds, and a proof is written as it was read.
 */
#include <stdlib.h>

#include "protocol/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct span s, const uint8_t *data, size_t size)
{
	assert(s.data >= data && s.data <= data + size && s.len <= size);
	assert(s.data + s.len <= data + size);
}

static void try_note(const uint8_t *data, size_t size)
{
	static const struct public_key key = {{1}};
	struct checkpoint c;
	struct note n;
	uint64_t time_s;

	if (note_parse((const char *)data, size, &n, NULL) != AYNI_OK)
		return;
	check_inside(n.text, data, size);
	assert(n.n >= 1 && n.n <= NOTE_SIGNATURES_MAX && n.text.data[n.text.len - 1] == '\n');
	for (size_t i = 0; i < n.n; i++)
		check_inside(n.signatures[i].name, data, size);
	assert(note_verify(&n, "name", &key) != AYNI_OK);
	assert(note_verify_cosignature(&n, "name", &key, &time_s) != AYNI_OK);
	if (checkpoint_parse(&n, &c, NULL) == AYNI_OK)
		assert(c.origin[0] != '\0' && c.size <= UINT64_C(1) << 62);
	assert(checkpoint_open((const char *)data, size, &key, &c, NULL) != AYNI_OK);
}

static void try_proof(const uint8_t *data, size_t size)
{
	struct proof p, q;
	char *text;

	if (proof_parse((const char *)data, size, &p, NULL) != AYNI_OK)
		return;
	check_inside(p.checkpoint, data, size);
	assert(p.n <= PROOF_HASHES_MAX);
	if (memchr(p.checkpoint.data, '\0', p.checkpoint.len) != NULL)
		return; /* no text: it could not be written */
	assert(proof_format(&p, &text, NULL) == AYNI_OK);
	assert(proof_parse(text, strlen(text), &q, NULL) == AYNI_OK);
	assert(q.index == p.index && q.n == p.n && q.checkpoint.len == p.checkpoint.len);
	assert(memcmp(q.hashes, p.hashes, p.n * sizeof *p.hashes) == 0);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if ((data[0] & 1) == 0)
		try_note(data + 1, size - 1);
	else
		try_proof(data + 1, size - 1);
	return 0;
}
