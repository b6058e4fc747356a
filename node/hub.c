/* SPDX-License-Identifier: Apache-2.0 */
#include "node/hub.h"

#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

enum { PART_CHARS = 20 /* "-00001-of-00003.gguf" */ };

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcasecmp(text + n - m, end) == 0;
}

/* Names become parts of paths and addresses: printable ASCII without what means something there. */
static bool is_name(const char *text, const char *allowed)
{
	if (text[0] == '\0' || text[0] == '/' || strstr(text, "..") != NULL)
		return false;
	for (; *text != '\0'; text++)
		if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
		        (*text >= '0' && *text <= '9') || strchr(allowed, *text) != NULL))
			return false;
	return true;
}

int hub_reference_parse(const char *text, struct hub_reference *out, struct error *err)
{
	const char *colon = strchr(text, ':');
	size_t n = colon != NULL ? (size_t)(colon - text) : strlen(text);
	const char *wanted = colon != NULL ? colon + 1 : "";
	const char *slash = memchr(text, '/', n);

	if (n < sizeof out->repository && strlen(wanted) < sizeof out->wanted && slash != NULL &&
	    memchr(slash + 1, '/', n - (size_t)(slash + 1 - text)) == NULL && slash > text &&
	    slash + 1 < text + n) {
		(void)snprintf(out->repository, sizeof out->repository, "%.*s", (int)n, text);
		(void)snprintf(out->wanted, sizeof out->wanted, "%s", wanted);
		if (is_name(out->repository, "-_./") && (colon == NULL || wanted[0] != '\0'))
			return AYNI_OK;
	}
	return error_set(err, AYNI_ERR_ARGUMENT,
	    "\"%.80s\" names no model: OWNER/NAME, OWNER/NAME:FILE or an https address", text);
}

/* ---- listings -------------------------------------------------------------------------------- */

static bool is_sha256(const char *text)
{
	return text != NULL && strlen(text) == HUB_SHA256_CHARS - 1 &&
	       strspn(text, "0123456789abcdef") == HUB_SHA256_CHARS - 1;
}

/* False for entries that are no model files, or whose names cannot be. */
static bool read_entry(const json_t *entry, struct hub_file *out)
{
	const char *type = json_string_value(json_object_get(entry, "type"));
	const char *path = json_string_value(json_object_get(entry, "path"));
	const json_t *lfs = json_object_get(entry, "lfs");
	const json_t *size = json_object_get(entry, "size");
	const char *sha256 = json_string_value(json_object_get(lfs, "oid"));

	if (type == NULL || strcmp(type, "file") != 0 || path == NULL ||
	    strlen(path) >= sizeof out->name || !is_name(path, "-_./ +@=") ||
	    !ends_with(path, ".gguf"))
		return false;
	*out = (struct hub_file){0};
	memcpy(out->name, path, strlen(path));
	size = lfs != NULL && json_object_get(lfs, "size") != NULL ? json_object_get(lfs, "size")
	                                                           : size;
	if (json_is_integer(size) && json_integer_value(size) > 0)
		out->bytes = (uint64_t)json_integer_value(size);
	if (is_sha256(sha256))
		memcpy(out->sha256, sha256, HUB_SHA256_CHARS);
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct hub_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int hub_listing_parse(const char *json, size_t len, struct hub_files *out, struct error *err)
{
	json_error_t at;
	json_t *root = json_loadb(json, len, 0, &at);
	int rc = AYNI_OK;

	*out = (struct hub_files){0};
	if (!json_is_array(root))
		rc = error_set(err, AYNI_ERR_FORMAT, "the hub's list of files is not one");
	else if (json_array_size(root) > HUB_MAX_FILES)
		rc = error_set(
		    err, AYNI_ERR_LIMIT, "the repository has more than %d files", HUB_MAX_FILES);
	else if ((out->list = calloc(json_array_size(root) + 1, sizeof *out->list)) == NULL)
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	for (size_t i = 0; rc == AYNI_OK && i < json_array_size(root); i++)
		out->n += read_entry(json_array_get(root, i), &out->list[out->n]);
	if (rc == AYNI_OK && out->n > 1)
		qsort(out->list, out->n, sizeof *out->list, by_name);
	json_decref(root);
	return rc;
}

void hub_files_free(struct hub_files *f)
{
	free(f->list);
	*f = (struct hub_files){0};
}

/* ---- choosing -------------------------------------------------------------------------------- */

bool hub_is_part(const char *name, unsigned *part, unsigned *of)
{
	size_t n = strlen(name);

	if (n <= PART_CHARS)
		return false;
	name += n - PART_CHARS;
	if (name[0] != '-' || strspn(name + 1, "0123456789") != 5 ||
	    strncmp(name + 6, "-of-", 4) != 0 || strspn(name + 10, "0123456789") != 5 ||
	    strcmp(name + 15, ".gguf") != 0)
		return false;
	*part = (unsigned)strtoul(name + 1, NULL, 10);
	*of = (unsigned)strtoul(name + 10, NULL, 10);
	return *part >= 1 && *part <= *of;
}

/* Whether b is the part after a. */
static bool follows(const char *a, const char *b)
{
	unsigned part_a, of_a, part_b, of_b;
	size_t n = strlen(a);

	return n == strlen(b) && hub_is_part(a, &part_a, &of_a) && hub_is_part(b, &part_b, &of_b) &&
	       of_a == of_b && part_b == part_a + 1 && memcmp(a, b, n - PART_CHARS) == 0;
}

static size_t count_parts(const struct hub_files *f, size_t first)
{
	size_t n = 1;

	while (first + n < f->n && follows(f->list[first + n - 1].name, f->list[first + n].name))
		n++;
	return n;
}

static bool matches(const char *name, const char *wanted)
{
	return wanted[0] == '\0' || strcasestr(name, wanted) != NULL;
}

/* "a.gguf, b.gguf, ..." as far as there is room. */
static void list_names(const struct hub_files *f, const char *wanted, char *out, size_t out_bytes)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < f->n && at < out_bytes; i += count_parts(f, i))
		if (matches(f->list[i].name, wanted))
			at += (size_t)snprintf(
			    out + at, out_bytes - at, "%s%s", at > 0 ? ", " : "", f->list[i].name);
}

static int check_parts(const struct hub_files *f, size_t first, size_t n, struct error *err)
{
	unsigned part, of;

	if (!hub_is_part(f->list[first].name, &part, &of) || (part == 1 && of == n))
		return AYNI_OK;
	return error_set(err, AYNI_ERR_FORMAT, "the hub has %zu of the %u parts of %.120s", n, of,
	    f->list[first].name);
}

int hub_choose(
    const struct hub_files *f, const char *wanted, size_t *first, size_t *n, struct error *err)
{
	size_t n_found = 0;
	char names[160];

	for (size_t i = 0; i < f->n; i += count_parts(f, i)) {
		bool exact = strcmp(f->list[i].name, wanted) == 0;

		if (!exact && !matches(f->list[i].name, wanted))
			continue;
		*first = i;
		*n = count_parts(f, i);
		n_found = exact ? 1 : n_found + 1;
		if (exact)
			break;
	}
	if (n_found == 1)
		return check_parts(f, *first, *n, err);
	list_names(f, n_found > 0 ? wanted : "", names, sizeof names);
	if (f->n == 0)
		return error_set(err, AYNI_ERR_NOT_FOUND, "the repository has no .gguf files");
	return error_set(err, n_found == 0 ? AYNI_ERR_NOT_FOUND : AYNI_ERR_ARGUMENT,
	    "%s; there are: %s%s", n_found == 0 ? "no such file" : "name one, as REPO:FILE", names,
	    strlen(names) + 1 == sizeof names ? "..." : "");
}

/* ---- names ----------------------------------------------------------------------------------- */

int hub_local_name(const char *name, char out[HUB_NAME_BYTES], struct error *err)
{
	const char *slash = strrchr(name, '/');
	unsigned part, of;
	size_t n;

	name = slash != NULL ? slash + 1 : name;
	n = strlen(name);
	if (n >= HUB_NAME_BYTES || name[0] == '.' || !is_name(name, "-_. +@=") ||
	    !ends_with(name, ".gguf"))
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "\"%.80s\" is not the name of a .gguf file", name);
	if (hub_is_part(name, &part, &of))
		(void)snprintf(out, HUB_NAME_BYTES, "%.*s.gguf", (int)(n - PART_CHARS), name);
	else
		(void)snprintf(out, HUB_NAME_BYTES, "%s", name);
	return AYNI_OK;
}

/* Percent-encoding as of RFC 3986 for what is_name lets through. */
static bool append_encoded(char *out, size_t out_bytes, const char *text)
{
	size_t n = strlen(out);

	for (; *text != '\0'; text++) {
		bool plain = strchr(" +@=", *text) == NULL;
		int more =
		    snprintf(out + n, out_bytes - n, plain ? "%c" : "%%%02X", (unsigned char)*text);

		n += (size_t)more;
		if (n >= out_bytes)
			return false;
	}
	return true;
}

static int url_too_long(struct error *err)
{
	return error_set(err, AYNI_ERR_ARGUMENT, "the address is too long");
}

int hub_listing_url(
    const char *base, const char *repository, char out[HUB_URL_BYTES], struct error *err)
{
	int n = snprintf(
	    out, HUB_URL_BYTES, "%s/api/models/%s/tree/main?recursive=true", base, repository);

	return n < HUB_URL_BYTES ? AYNI_OK : url_too_long(err);
}

int hub_file_url(const char *base, const char *repository, const char *file,
    char out[HUB_URL_BYTES], struct error *err)
{
	int n = snprintf(out, HUB_URL_BYTES, "%s/%s/resolve/main/", base, repository);

	return n < HUB_URL_BYTES && append_encoded(out, HUB_URL_BYTES, file) ? AYNI_OK
	                                                                     : url_too_long(err);
}
