/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetches over HTTP(S) with libcurl: a small text, or a large file that is resumed where it broke
 * off.
 *
 * While a file is not whole it is PATH.part, and PATH.part.tag says which version of the file on
 * the server it is (its ETag). Transfers that break are taken up again by range; if the server has
 * another version by then, from the beginning. What has arrived stays when the program is ended, so
 * that the same call goes on from there. A token is sent to the host that was asked, never to one
 * that it redirects to.
 */
#ifndef AYNI_NODE_DOWNLOAD_H
#define AYNI_NODE_DOWNLOAD_H

#include "protocol/base.h"

/* Called now and then; all is 0 while it is not known. */
typedef void download_progress_fn(void *context, uint64_t done, uint64_t all);

struct download {
	const char *url;
	const char *token;              /* or NULL */
	const volatile bool *stop;      /* may be NULL */
	download_progress_fn *progress; /* may be NULL */
	void *context;

	/* of a file */
	const char *path;
	uint64_t bytes;     /* 0: not known */
	const char *sha256; /* lower-case hexadecimal; NULL or "": not known */
};

enum { DOWNLOAD_MAX_TEXT_BYTES = 16 << 20 };

/* *text is malloc'd and NUL-terminated. */
int download_text(const struct download *d, char **text, size_t *len, struct error *err);

/*
 * AYNI_ERR_NOT_FOUND, AYNI_ERR_STATE when stopped, AYNI_ERR_SIGNATURE if what arrived has another
 * SHA-256 (it is deleted), AYNI_ERR_LIMIT without room on the disk, AYNI_ERR_IO for all else, among
 * it a server that breaks off again and again without sending anything.
 */
int download_file(const struct download *d, struct error *err);

#endif
