/* SPDX-License-Identifier: Apache-2.0 */
#include "node/log_reader.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "storage/files.h"

static_assert((int)MERKLE_PROOF_MAX == (int)PROOF_HASHES_MAX, "a proof has room for its hashes");

enum { URL_BYTES = 2048, CONNECT_S = 15, TRANSFER_S = 60, REDIRECTS_MAX = 4 };

struct log_reader {
	int folder_fd; /* or -1: */
	CURL *curl;
	char where[URL_BYTES]; /* the folder; of a URL, with '/' at its end */
	uint8_t *data;         /* the last file; owned */
	size_t len, limit;
	struct error why; /* of the last tile */
};

/* ---- opening ------------------------------------------------------------------------------ */

static int open_url(struct log_reader *r, const char *where, struct error *err)
{
	size_t len = strlen(where);
	const char *slash = len > 0 && where[len - 1] == '/' ? "" : "/";

	if (len + TILE_PATH_BYTES + 1 >= sizeof r->where)
		return error_set(err, AYNI_ERR_ARGUMENT, "the log's address is too long");
	(void)snprintf(r->where, sizeof r->where, "%s%s", where, slash);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    (r->curl = curl_easy_init()) == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "libcurl cannot begin");
	return AYNI_OK;
}

int log_reader_open(const char *where, struct log_reader **out, struct error *err)
{
	struct log_reader *r = calloc(1, sizeof *r);
	int rc = AYNI_OK;

	*out = NULL;
	if (r == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	r->folder_fd = -1;
	if (strstr(where, "://") != NULL) {
		rc = open_url(r, where, err);
	} else {
		(void)snprintf(r->where, sizeof r->where, "%s", where);
		r->folder_fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (r->folder_fd < 0)
			rc = error_set(err, errno == ENOENT ? AYNI_ERR_NOT_FOUND : AYNI_ERR_IO,
			    "%.180s: %s", where, strerror(errno));
	}
	if (rc != AYNI_OK) {
		log_reader_free(r);
		return rc;
	}
	*out = r;
	return AYNI_OK;
}

void log_reader_free(struct log_reader *r)
{
	if (r == NULL)
		return;
	if (r->folder_fd >= 0)
		(void)close(r->folder_fd);
	curl_easy_cleanup(r->curl);
	free(r->data);
	free(r);
}

/* ---- fetching ----------------------------------------------------------------------------- */

static size_t on_data(char *data, size_t size, size_t n, void *context)
{
	struct log_reader *r = context;
	size_t len = size * n;
	uint8_t *more;

	if (len > r->limit - r->len)
		return 0;
	more = realloc(r->data, r->len + len + 1);
	if (more == NULL)
		return 0;
	r->data = more;
	memcpy(r->data + r->len, data, len);
	r->len += len;
	return len;
}

static int status_error(CURLcode code, long status, const char *url, struct error *err)
{
	if (code == CURLE_FILE_COULDNT_READ_FILE || status == 404 || status == 410)
		return error_set(err, AYNI_ERR_NOT_FOUND, "%.180s: there is no such file", url);
	if (code == CURLE_WRITE_ERROR)
		return error_set(err, AYNI_ERR_LIMIT, "%.180s: is too large", url);
	if (code != CURLE_OK)
		return error_set(err, AYNI_ERR_IO, "%.180s: %s", url, curl_easy_strerror(code));
	if (status != 0 && status != 200)
		return error_set(err, AYNI_ERR_IO, "%.180s: answered with %ld", url, status);
	return AYNI_OK;
}

static int fetch_url(struct log_reader *r, const char *path, struct error *err)
{
	char url[URL_BYTES + TILE_PATH_BYTES];
	long status = 0;
	CURLcode code;

	(void)snprintf(url, sizeof url, "%s%s", r->where, path);
	curl_easy_reset(r->curl); /* keeps its connections */
	(void)curl_easy_setopt(r->curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(r->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(r->curl, CURLOPT_FOLLOWLOCATION, 1L);
	(void)curl_easy_setopt(r->curl, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	(void)curl_easy_setopt(r->curl, CURLOPT_PROTOCOLS_STR, "http,https,file");
	(void)curl_easy_setopt(r->curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(r->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	(void)curl_easy_setopt(r->curl, CURLOPT_TIMEOUT, (long)TRANSFER_S);
	(void)curl_easy_setopt(r->curl, CURLOPT_ACCEPT_ENCODING, "");
	(void)curl_easy_setopt(r->curl, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(r->curl, CURLOPT_WRITEDATA, r);
	code = curl_easy_perform(r->curl);
	(void)curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
	return status_error(code, status, url, err);
}

/* Into r->data, of at most `limit` bytes. */
static int fetch(struct log_reader *r, const char *path, size_t limit, struct error *err)
{
	free(r->data);
	r->data = NULL;
	r->len = 0;
	r->limit = limit;
	if (r->folder_fd >= 0)
		return files_read(r->folder_fd, path, limit, &r->data, &r->len, err);
	return fetch_url(r, path, err);
}

/* ---- the checkpoint ----------------------------------------------------------------------- */

static int whose(const struct log_reader *r, struct public_key *pool, struct error *err)
{
	struct checkpoint c;
	struct note n;
	int rc = note_parse((const char *)r->data, r->len, &n, err);

	if (rc == AYNI_OK)
		rc = checkpoint_parse(&n, &c, err);
	if (rc == AYNI_OK && checkpoint_origin_key(c.origin, pool) != AYNI_OK)
		rc = error_set(err, AYNI_ERR_FORMAT, "this is not a log of an ayni pool");
	return rc;
}

int log_reader_head(
    struct log_reader *r, const struct public_key *pool, struct log_head *out, struct error *err)
{
	int rc = fetch(r, TILE_CHECKPOINT, NOTE_BYTES_MAX, err);

	memset(out, 0, sizeof *out);
	if (rc == AYNI_ERR_NOT_FOUND)
		return error_set(err, AYNI_ERR_NOT_FOUND,
		    "%.180s: there is no pool's log, whose \"" TILE_CHECKPOINT "\" would be there",
		    r->where);
	if (rc == AYNI_OK && r->len == 0)
		rc = error_set(err, AYNI_ERR_FORMAT, "the checkpoint is empty");
	if (rc == AYNI_OK && pool != NULL)
		out->pool = *pool;
	else if (rc == AYNI_OK)
		rc = whose(r, &out->pool, err);
	if (rc == AYNI_OK)
		rc = checkpoint_open(
		    (const char *)r->data, r->len, &out->pool, &out->checkpoint, err);
	if (rc != AYNI_OK)
		return rc;
	out->note = strndup((const char *)r->data, r->len); /* a note has no NUL */
	out->len = r->len;
	return out->note != NULL ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "out of memory");
}

void log_head_free(struct log_head *h)
{
	free(h->note);
	h->note = NULL;
}

/* ---- tiles and bundles -------------------------------------------------------------------- */

int log_reader_tile(void *reader, unsigned level, uint64_t index, unsigned width, struct hash *out)
{
	struct log_reader *r = reader;
	char path[TILE_PATH_BYTES];
	int rc;

	tile_path(level, index, width, path);
	rc = fetch(r, path, TILE_BYTES, &r->why);
	if (rc == AYNI_ERR_NOT_FOUND && width < TILE_WIDTH) {
		tile_path(level, index, TILE_WIDTH, path);
		rc = fetch(r, path, TILE_BYTES, &r->why);
	}
	if (rc == AYNI_OK && (r->len < width * sizeof *out || r->len % sizeof *out != 0))
		rc = error_set(
		    &r->why, AYNI_ERR_FORMAT, "%s: is not a tile of %u hashes", path, width);
	if (rc == AYNI_OK)
		memcpy(out, r->data, width * sizeof *out);
	return rc;
}

const char *log_reader_why(const struct log_reader *r)
{
	return r->why.text;
}

int log_reader_bundle(
    struct log_reader *r, uint64_t index, unsigned width, struct bundle *out, struct error *err)
{
	char path[TILE_PATH_BYTES];
	unsigned there = width;
	int rc;

	tile_entries_path(index, width, path);
	rc = fetch(r, path, BUNDLE_BYTES_MAX, err);
	if (rc == AYNI_ERR_NOT_FOUND && width < TILE_WIDTH) {
		there = TILE_WIDTH;
		tile_entries_path(index, there, path);
		rc = fetch(r, path, BUNDLE_BYTES_MAX, err);
	}
	if (rc == AYNI_OK && bundle_parse(r->data, r->len, there, out) != AYNI_OK)
		rc = error_set(
		    err, AYNI_ERR_FORMAT, "%s: is not a bundle of %u entries", path, there);
	out->n = width;
	return rc;
}

int log_reader_first(struct log_reader *r, uint64_t size, uint64_t *bundle, struct error *err)
{
	uint64_t low = 0, high = (size + TILE_WIDTH - 1) / TILE_WIDTH;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		struct bundle b;
		int rc = log_reader_bundle(r, middle, tile_width(0, middle, size), &b, err);

		if (rc == AYNI_ERR_IO || rc == AYNI_ERR_MEMORY)
			return rc;
		if (rc == AYNI_ERR_NOT_FOUND)
			low = middle + 1;
		else
			high = middle;
	}
	*bundle = low;
	return AYNI_OK;
}

int log_reader_signatures(
    struct log_reader *r, uint64_t index, struct signature out[TILE_WIDTH], struct error *err)
{
	char path[TILE_PATH_BYTES];
	int rc;

	memset(out, 0, TILE_WIDTH * sizeof *out);
	tile_signatures_path(index, path);
	rc = fetch(r, path, TILE_WIDTH * sizeof *out, err);
	if (rc == AYNI_OK && r->len > 0)
		memcpy(out, r->data, r->len);
	return rc == AYNI_ERR_NOT_FOUND ? AYNI_OK : rc;
}

/* ---- proofs ------------------------------------------------------------------------------- */

void log_reader_source(struct log_reader *r, uint64_t size, struct tile_source *out)
{
	memset(out->kept_width, 0, sizeof out->kept_width);
	out->size = size;
	out->read = log_reader_tile;
	out->context = r;
}

bool log_proof_holds(const struct proof *p, const struct checkpoint *c)
{
	struct merkle_proof m = {.n = p->n};
	struct hash leaf;

	merkle_leaf(p->receipt.receipt, p->receipt.receipt_len, &leaf);
	memcpy(m.hashes, p->hashes, p->n * sizeof *m.hashes);
	return merkle_check_inclusion(p->index, c->size, &leaf, &m, &c->root);
}

int log_reader_prove(
    struct log_reader *r, const struct log_head *h, struct proof *p, struct error *err)
{
	struct tile_source source;
	struct merkle_proof m;
	int rc;

	log_reader_source(r, h->checkpoint.size, &source);
	rc = merkle_prove_inclusion(p->index, h->checkpoint.size, tile_source_hash, &source, &m);
	if (rc != AYNI_OK)
		return error_set(err, (enum ayni_error)rc, "%s", log_reader_why(r));
	p->n = m.n;
	memcpy(p->hashes, m.hashes, m.n * sizeof *m.hashes);
	p->checkpoint = (struct span){(const uint8_t *)h->note, h->len};
	if (!log_proof_holds(p, &h->checkpoint))
		return error_set(err, AYNI_ERR_SIGNATURE,
		    "receipt %llu and the log's tiles do not give the root that the pool signed",
		    (unsigned long long)(p->index + 1));
	return AYNI_OK;
}
