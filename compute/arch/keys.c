/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a family's metadata keys: each in its bounds, each error one line that names the key. */
#include <inttypes.h>

#include "compute/arch/arch.h"

const char *key_name(const struct arch_keys *k, const char *suffix, char name[GGUF_MAX_NAME_BYTES])
{
	(void)snprintf(name, GGUF_MAX_NAME_BYTES, "%s.%s", k->arch, suffix);
	return name;
}

int key_u32(const struct arch_keys *k, const char *suffix, uint64_t min, uint64_t max, int need,
    uint32_t *out)
{
	char name[GGUF_MAX_NAME_BYTES];
	uint64_t value;
	int rc = gguf_get_u64(k->g, key_name(k, suffix, name), &value);

	if (rc == AYNI_ERR_NOT_FOUND && need == KEY_OPTIONAL)
		return AYNI_OK;
	if (rc == AYNI_ERR_NOT_FOUND)
		return error_set(k->err, AYNI_ERR_FORMAT, "model: %s is missing", name);
	if (rc != AYNI_OK)
		return error_set(
		    k->err, AYNI_ERR_FORMAT, "model: %s is not one whole number", name);
	if (value < min || value > max)
		return error_set(k->err, AYNI_ERR_LIMIT,
		    "model: %s is %" PRIu64 ", not between %" PRIu64 " and %" PRIu64, name, value,
		    min, max);
	*out = (uint32_t)value;
	return AYNI_OK;
}

int key_number(
    const struct arch_keys *k, const char *suffix, double min, double max, int need, double *out)
{
	char name[GGUF_MAX_NAME_BYTES];
	double value;
	int rc = gguf_get_f64(k->g, key_name(k, suffix, name), &value);

	if (rc == AYNI_ERR_NOT_FOUND && need == KEY_OPTIONAL)
		return AYNI_OK;
	if (rc != AYNI_OK)
		return error_set(k->err, AYNI_ERR_FORMAT, "model: %s is %s", name,
		    rc == AYNI_ERR_NOT_FOUND ? "missing" : "not a number");
	if (!(value >= min && value <= max))
		return error_set(k->err, AYNI_ERR_LIMIT, "model: %s is %g, not between %g and %g",
		    name, value, min, max);
	*out = value;
	return AYNI_OK;
}

int key_bool(const struct arch_keys *k, const char *suffix, bool *out)
{
	char name[GGUF_MAX_NAME_BYTES];

	if (gguf_get_bool(k->g, key_name(k, suffix, name), out) == AYNI_ERR_FORMAT)
		return error_set(k->err, AYNI_ERR_FORMAT, "model: %s is not true or false", name);
	return AYNI_OK;
}

bool key_exists(const struct arch_keys *k, const char *suffix)
{
	char name[GGUF_MAX_NAME_BYTES];
	struct span ignored;

	return gguf_get_string(k->g, key_name(k, suffix, name), &ignored) != AYNI_ERR_NOT_FOUND;
}

int key_word(const struct arch_keys *k, const char *suffix, struct span *out)
{
	char name[GGUF_MAX_NAME_BYTES];

	*out = (struct span){NULL, 0};
	if (gguf_get_string(k->g, key_name(k, suffix, name), out) == AYNI_ERR_FORMAT)
		return error_set(k->err, AYNI_ERR_FORMAT, "model: %s is not a string", name);
	return AYNI_OK;
}

bool word_is(struct span word, const char *text)
{
	return word.data != NULL && word.len == strlen(text) &&
	       memcmp(word.data, text, word.len) == 0;
}

int key_refuse(const struct arch_keys *k, const char *suffix, const char *why)
{
	char name[GGUF_MAX_NAME_BYTES];

	return error_set(k->err, AYNI_ERR_UNSUPPORTED, "model: %s: %s is not supported",
	    key_name(k, suffix, name), why);
}
