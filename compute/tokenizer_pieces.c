/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "compute/tokenizer_internal.h"

uint32_t bytes_hash(const uint8_t *data, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ data[i]) * 16777619u;
	h ^= h >> 15;
	h *= 0x2c1b3c6du;
	return h ^ h >> 13;
}

int pieces_init(struct pieces *p, uint32_t max, size_t max_bytes)
{
	uint32_t slots = 64;

	while (slots / 2 < max)
		slots *= 2;
	memset(p, 0, sizeof *p);
	p->at = calloc(max > 0 ? max : 1, sizeof *p->at);
	p->bytes = malloc(max_bytes > 0 ? max_bytes : 1);
	p->slots = calloc(slots, sizeof *p->slots);
	p->max = max;
	p->max_bytes = max_bytes;
	p->mask = slots - 1;
	return p->at == NULL || p->bytes == NULL || p->slots == NULL ? AYNI_ERR_MEMORY : AYNI_OK;
}

void pieces_clear(struct pieces *p)
{
	free(p->at);
	free(p->bytes);
	free(p->slots);
	memset(p, 0, sizeof *p);
}

/* The slot that holds these bytes, or the free one where they belong. */
static uint32_t pieces_slot(const struct pieces *p, const uint8_t *data, size_t len)
{
	uint32_t slot = bytes_hash(data, len) & p->mask;

	for (; p->slots[slot] != 0; slot = (slot + 1) & p->mask) {
		const struct piece *at = &p->at[p->slots[slot] - 1];

		if (at->len == len && memcmp(p->bytes + at->offset, data, len) == 0)
			break;
	}
	return slot;
}

uint32_t pieces_find(const struct pieces *p, const uint8_t *data, size_t len)
{
	uint32_t found = p->slots[pieces_slot(p, data, len)];

	return found == 0 ? (uint32_t)TOKENIZER_NONE : found - 1;
}

uint32_t pieces_intern(struct pieces *p, const uint8_t *data, size_t len)
{
	uint32_t slot = pieces_slot(p, data, len);

	if (p->slots[slot] != 0)
		return p->slots[slot] - 1;
	assert(p->n < p->max && len <= p->max_bytes - p->n_bytes);
	if (len > 0)
		memcpy(p->bytes + p->n_bytes, data, len);
	p->at[p->n] = (struct piece){(uint32_t)p->n_bytes, (uint32_t)len, TOKENIZER_NONE};
	p->n_bytes += len;
	p->slots[slot] = ++p->n;
	return p->n - 1;
}

int utf8_step(const uint8_t *p, size_t n)
{
	uint8_t low = 0x80, high = 0xbf; /* of the second byte: no overlong form, no surrogate */
	int need;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return -1;
	need = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	for (int i = 1; i < need; i++) {
		if ((size_t)i == n)
			return 0;
		if (p[i] < low || p[i] > high)
			return -i;
		low = 0x80;
		high = 0xbf;
	}
	return need;
}

/*
 * GPT-2 spells printable Latin-1 as itself and the other 68 bytes, in their order, as the
 * characters from U+0100 on.
 */
static bool prints_as_itself(uint32_t byte)
{
	return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) ||
	       (byte >= 0xae && byte <= 0xff);
}

int alphabet_byte(uint32_t character)
{
	if (character < 0x100)
		return prints_as_itself(character) ? (int)character : -1;
	if (character <= 0x120)
		return (int)(character - 0x100);
	if (character <= 0x142)
		return (int)(character - 0x121 + 0x7f);
	return character == 0x143 ? 0xad : -1;
}

bool alphabet_decode(const uint8_t *text, size_t len, uint8_t *out, size_t *out_len)
{
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		int step = utf8_step(text + i, len - i);
		int byte = -1;

		if (step == 1)
			byte = alphabet_byte(text[i]);
		else if (step == 2)
			byte = alphabet_byte((text[i] & 0x1fu) << 6 | (text[i + 1] & 0x3fu));
		if (byte < 0)
			return false;
		out[n++] = (uint8_t)byte;
		i += (size_t)step;
	}
	*out_len = n;
	return true;
}
