/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/compose.h"

#include <stdlib.h>

#define FENCE "\"\"\""

enum { FENCE_BYTES = sizeof FENCE - 1 };

void compose_reset(struct compose *c)
{
	free(c->text);
	*c = (struct compose){0};
}

static int append(struct compose *c, const char *data, size_t n, struct error *err)
{
	char *more;

	if (n > COMPOSE_MAX_BYTES - c->len) {
		compose_reset(c);
		return error_set(err, AYNI_ERR_LIMIT, "a message may have up to %d KiB",
		    COMPOSE_MAX_BYTES >> 10);
	}
	more = realloc(c->text, c->len + n + 1);
	if (more == NULL) {
		compose_reset(c);
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	}
	memcpy(more + c->len, data, n);
	c->text = more;
	c->len += n;
	c->text[c->len] = '\0';
	return AYNI_OK;
}

static bool ends_with(const char *line, size_t n, const char *end, size_t n_end)
{
	return n >= n_end && memcmp(line + n - n_end, end, n_end) == 0;
}

/* `line` is all of a block's line, or what stands behind the fence that opens it. */
static int block_line(struct compose *c, const char *line, bool opens, struct error *err)
{
	size_t n = strlen(line);
	bool closes = ends_with(line, n, FENCE, FENCE_BYTES);
	int rc = AYNI_OK;

	if (closes)
		n -= FENCE_BYTES;
	/* Fences alone on their lines add none. */
	if (!opens && c->text != NULL && !(closes && n == 0))
		rc = append(c, "\n", 1, err);
	if (rc == AYNI_OK && !(opens && n == 0 && !closes))
		rc = append(c, line, n, err);
	if (rc == AYNI_OK)
		c->in_block = c->goes_on = !closes;
	return rc;
}

int compose_line(struct compose *c, const char *line, struct error *err)
{
	size_t n = strlen(line);
	bool goes_on = ends_with(line, n, "\\", 1);
	int rc;

	if (c->in_block)
		return block_line(c, line, false, err);
	if (!c->goes_on && strncmp(line, FENCE, FENCE_BYTES) == 0) {
		c->is_literal = true;
		return block_line(c, line + FENCE_BYTES, true, err);
	}
	rc = append(c, line, goes_on ? n - 1 : n, err);
	if (rc == AYNI_OK && goes_on)
		rc = append(c, "\n", 1, err);
	if (rc == AYNI_OK)
		c->goes_on = goes_on;
	return rc;
}
