/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where model files are on a hub of the Hugging Face kind: its list of a repository's files, and
 * the address of each. Nothing is fetched here. Pure functions, any thread.
 *
 * Origin: the hub's HTTP API, GET /api/models/REPO/tree/main and /REPO/resolve/main/FILE.
 */
#ifndef AYNI_NODE_HUB_H
#define AYNI_NODE_HUB_H

#include "protocol/base.h"

enum { HUB_NAME_BYTES = 512, HUB_URL_BYTES = 2048, HUB_SHA256_CHARS = 65, HUB_MAX_FILES = 4096 };

/* "owner/name", "owner/name:FILE" or "owner/name:Q4_K_M". */
struct hub_reference {
	char repository[HUB_NAME_BYTES];
	char wanted[HUB_NAME_BYTES]; /* "": any */
};

struct hub_file {
	char name[HUB_NAME_BYTES]; /* path in the repository */
	uint64_t bytes;
	char
	    sha256[HUB_SHA256_CHARS]; /* lower-case hexadecimal, or "" if the hub does not say it */
};

struct hub_files {
	size_t n;
	struct hub_file *list; /* owned */
};

int hub_reference_parse(const char *text, struct hub_reference *out, struct error *err);

/* The model files (.gguf) of a listing, sorted by name. AYNI_ERR_FORMAT, AYNI_ERR_LIMIT. */
int hub_listing_parse(const char *json, size_t len, struct hub_files *out, struct error *err);
void hub_files_free(struct hub_files *f);

/*
 * The file that is wanted: by its name, or by a part of it in any case, which must be of one file
 * (or of the parts of one split file) alone. *first and *n are its parts in order, n = 1 for a
 * whole one. The error lists what there is to choose from.
 */
int hub_choose(
    const struct hub_files *f, const char *wanted, size_t *first, size_t *n, struct error *err);

/* Whether the name ends as a part of a split file, "-00002-of-00003.gguf". */
bool hub_is_part(const char *name, unsigned *part, unsigned *of);
/* The name on this machine: without folders, and of a split file without the part's number. */
int hub_local_name(const char *name, char out[HUB_NAME_BYTES], struct error *err);

/* `base` is "https://huggingface.co" or so. */
int hub_listing_url(
    const char *base, const char *repository, char out[HUB_URL_BYTES], struct error *err);
int hub_file_url(const char *base, const char *repository, const char *file,
    char out[HUB_URL_BYTES], struct error *err);

#endif
