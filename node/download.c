/* SPDX-License-Identifier: Apache-2.0 */
#include "node/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	PATH_BYTES = 4200,
	TAG_BYTES = 256,
	MAX_REDIRECTS = 8,
	MAX_FRUITLESS = 6, /* attempts in a row that bring nothing */
	CONNECT_S = 30,
	STALL_S = 60,         /* without a byte: the attempt is over */
	FREE_BYTES = 64 << 20 /* of the disk that stay */
};

struct transfer {
	const struct download *d;
	CURL *curl;
	struct curl_slist *headers;
	char part[PATH_BYTES], tag_path[PATH_BYTES];
	char tag[TAG_BYTES];     /* of the version that is in the part; "" if none is known */
	char new_tag[TAG_BYTES]; /* of the answer being read */
	uint64_t have;           /* bytes of the part */
	int fd;                  /* the part */
	char *text;              /* or, of a small text, */
	size_t text_len;
	bool checked; /* the answer's status has been looked at */
	struct error *err;
	int rc; /* why writing ended the transfer */
};

static bool stopped(const struct download *d)
{
	return d->stop != NULL && *d->stop;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static size_t on_header(char *line, size_t size, size_t n, void *context)
{
	struct transfer *t = context;
	size_t len = size * n;

	if (len > 5 && strncasecmp(line, "HTTP/", 5) == 0)
		t->new_tag[0] = '\0'; /* of an answer before, a redirection perhaps */
	if (len > 5 && len < TAG_BYTES && strncasecmp(line, "ETag:", 5) == 0) {
		size_t from = 5 + strspn(line + 5, " \t");

		(void)snprintf(
		    t->new_tag, sizeof t->new_tag, "%.*s", (int)(len - from), line + from);
		t->new_tag[strcspn(t->new_tag, "\r\n")] = '\0';
	}
	return len;
}

static size_t on_text(char *data, size_t size, size_t n, void *context)
{
	struct transfer *t = context;
	size_t len = size * n;
	char *more;

	if (len > DOWNLOAD_MAX_TEXT_BYTES - t->text_len)
		return 0;
	more = realloc(t->text, t->text_len + len + 1);
	if (more == NULL)
		return 0;
	t->text = more;
	memcpy(t->text + t->text_len, data, len);
	t->text_len += len;
	t->text[t->text_len] = '\0';
	return len;
}

static int remember_tag(struct transfer *t)
{
	FILE *f;

	memcpy(t->tag, t->new_tag, sizeof t->tag);
	if (t->tag[0] == '\0') {
		(void)unlink(t->tag_path);
		return AYNI_OK;
	}
	f = fopen(t->tag_path, "we");
	if (f == NULL || fputs(t->tag, f) < 0 || fclose(f) != 0)
		return error_set(
		    t->err, AYNI_ERR_IO, "cannot write %.180s: %s", t->tag_path, strerror(errno));
	return AYNI_OK;
}

/* Before the first byte of an answer: does it continue the part, or is it the whole file? */
static int begin_body(struct transfer *t)
{
	struct statvfs disk;
	curl_off_t length = -1;
	long status = 0;
	uint64_t need;

	t->checked = true;
	(void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (status != 206) {
		t->have = 0;
		if (ftruncate(t->fd, 0) != 0)
			return error_set(t->err, AYNI_ERR_IO, "cannot write %.180s: %s", t->part,
			    strerror(errno));
	}
	need = length > 0 ? (uint64_t)length : 0;
	if (fstatvfs(t->fd, &disk) == 0 &&
	    need + FREE_BYTES > (uint64_t)disk.f_bavail * disk.f_frsize)
		return error_set(t->err, AYNI_ERR_LIMIT,
		    "%.1f MiB are still to come, but the disk has %.1f MiB left",
		    (double)need / (1 << 20),
		    (double)disk.f_bavail * (double)disk.f_frsize / (1 << 20));
	return remember_tag(t);
}

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
	struct transfer *t = context;
	size_t len = size * n, done = 0;
	long status = 0;

	(void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 300) /* an error's page */
		return len;
	if (!t->checked && (t->rc = begin_body(t)) != AYNI_OK)
		return 0;
	while (done < len) {
		ssize_t more = pwrite(t->fd, data + done, len - done, (off_t)(t->have + done));

		if (more < 0 && errno == EINTR)
			continue;
		if (more <= 0) {
			t->rc = error_set(t->err, AYNI_ERR_IO, "cannot write %.180s: %s", t->part,
			    strerror(errno));
			return 0;
		}
		done += (size_t)more;
	}
	t->have += len;
	return len;
}

static int on_progress(
    void *context, curl_off_t all, curl_off_t now, curl_off_t up_all, curl_off_t up_now)
{
	struct transfer *t = context;
	const struct download *d = t->d;

	(void)up_all;
	(void)up_now;
	if (d->progress != NULL && t->checked)
		d->progress(d->context, t->have,
		    d->bytes > 0 ? d->bytes
		    : all > 0    ? t->have + (uint64_t)(all - now)
		                 : 0);
	return stopped(d);
}

/* ---- one attempt ------------------------------------------------------------------------------
 */

#define SET(t, option, value)                                                                      \
	((t)->rc = (t)->rc == AYNI_OK && curl_easy_setopt((t)->curl, option, value) != CURLE_OK    \
	               ? AYNI_ERR_MEMORY                                                           \
	               : (t)->rc)

static int set_up(struct transfer *t, const struct download *d, struct error *err)
{
	bool https = strncasecmp(d->url, "https://", 8) == 0;

	*t = (struct transfer){.d = d, .err = err, .fd = -1};
	if (!https && strncasecmp(d->url, "http://", 7) != 0)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "\"%.80s\" is neither an https nor an http address", d->url);
	t->curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
	if (t->curl == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	SET(t, CURLOPT_URL, d->url);
	SET(t, CURLOPT_USERAGENT, "ayni");
	SET(t, CURLOPT_PROTOCOLS_STR, https ? "https" : "http,https");
	SET(t, CURLOPT_REDIR_PROTOCOLS_STR, https ? "https" : "http,https");
	SET(t, CURLOPT_FOLLOWLOCATION, 1L);
	SET(t, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
	SET(t, CURLOPT_NOSIGNAL, 1L);
	SET(t, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	SET(t, CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(t, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	SET(t, CURLOPT_HEADERFUNCTION, on_header);
	SET(t, CURLOPT_HEADERDATA, t);
	SET(t, CURLOPT_NOPROGRESS, 0L);
	SET(t, CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(t, CURLOPT_XFERINFODATA, t);
	if (d->token != NULL && d->token[0] != '\0') { /* libcurl keeps it from other hosts */
		SET(t, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
		SET(t, CURLOPT_XOAUTH2_BEARER, d->token);
	}
	return t->rc == AYNI_OK ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "out of memory");
}

static void clean_up(struct transfer *t)
{
	curl_slist_free_all(t->headers);
	if (t->curl != NULL)
		curl_easy_cleanup(t->curl);
	if (t->fd >= 0)
		(void)close(t->fd);
}

static int status_error(const struct transfer *t, long status)
{
	const struct download *d = t->d;
	bool token = d->token != NULL && d->token[0] != '\0';

	if (status == 401 || status == 403)
		return error_set(t->err, AYNI_ERR_IO, "%.150s: %s (HTTP %ld)", d->url,
		    token ? "the token has no access" : "needs a token: set HF_TOKEN", status);
	if (status == 404)
		return error_set(t->err, AYNI_ERR_NOT_FOUND, "%.180s: not found", d->url);
	return error_set(t->err, AYNI_ERR_IO, "%.180s: HTTP %ld", d->url, status);
}

/* Whether another attempt may bring more. */
static bool passes(CURLcode code, long status)
{
	if (status == 429 || status >= 500)
		return true;
	return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
	       code == CURLE_OPERATION_TIMEDOUT || code == CURLE_GOT_NOTHING ||
	       code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
	       code == CURLE_SSL_CONNECT_ERROR || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

/* AYNI_ERR_AGAIN: it broke off, and may go on. */
static int attempt(struct transfer *t)
{
	CURLcode code;
	long status = 0;

	t->checked = false;
	t->rc = AYNI_OK;
	code = curl_easy_perform(t->curl);
	(void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->rc != AYNI_OK)
		return t->rc;
	if (code == CURLE_ABORTED_BY_CALLBACK || stopped(t->d))
		return error_set(t->err, AYNI_ERR_STATE, "stopped");
	if (code == CURLE_OK && status < 300)
		return AYNI_OK;
	if (status == 416 && t->have > 0) { /* the part is no beginning of this file */
		t->have = 0;
		t->tag[0] = '\0';
		return AYNI_ERR_AGAIN;
	}
	if (code == CURLE_OK)
		(void)status_error(t, status);
	else
		(void)error_set(
		    t->err, AYNI_ERR_IO, "%.150s: %s", t->d->url, curl_easy_strerror(code));
	if (passes(code, status))
		return AYNI_ERR_AGAIN;
	return code == CURLE_OK && status == 404 ? AYNI_ERR_NOT_FOUND : AYNI_ERR_IO;
}

/* Half a second, then twice as long each time, but not past a stop. */
static void wait_before_attempt(const struct transfer *t, unsigned fruitless)
{
	const struct timespec step = {.tv_nsec = 50000000};

	for (unsigned n = 10U << fruitless; n > 0 && !stopped(t->d); n--)
		(void)nanosleep(&step, NULL);
}

/* ---- texts ------------------------------------------------------------------------------------
 */

int download_text(const struct download *d, char **text, size_t *len, struct error *err)
{
	struct transfer t;
	int rc = set_up(&t, d, err);

	if (rc == AYNI_OK) {
		SET(&t, CURLOPT_WRITEFUNCTION, on_text);
		SET(&t, CURLOPT_WRITEDATA, &t);
		SET(&t, CURLOPT_ACCEPT_ENCODING, "");
		rc = t.rc;
	}
	for (unsigned n = 0; rc == AYNI_OK && n < MAX_FRUITLESS; n++) {
		t.text_len = 0;
		rc = attempt(&t);
		if (rc != AYNI_ERR_AGAIN)
			break;
		rc = n + 1 < MAX_FRUITLESS ? AYNI_OK : AYNI_ERR_IO;
		if (rc == AYNI_OK)
			wait_before_attempt(&t, n);
	}
	clean_up(&t);
	if (rc == AYNI_OK && t.text == NULL)
		rc = error_set(err, AYNI_ERR_FORMAT, "%.180s: an empty answer", d->url);
	if (rc != AYNI_OK) {
		free(t.text);
		return rc;
	}
	*text = t.text;
	*len = t.text_len;
	return AYNI_OK;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static int open_part(struct transfer *t, struct error *err)
{
	const struct download *d = t->d;
	struct stat s;
	FILE *f;

	if (snprintf(t->part, sizeof t->part, "%s.part", d->path) >= (int)sizeof t->part ||
	    snprintf(t->tag_path, sizeof t->tag_path, "%s.part.tag", d->path) >=
	        (int)sizeof t->tag_path)
		return error_set(err, AYNI_ERR_ARGUMENT, "the file's path is too long");
	t->fd = open(t->part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (t->fd < 0 || fstat(t->fd, &s) != 0)
		return error_set(
		    err, AYNI_ERR_IO, "cannot write %.180s: %s", t->part, strerror(errno));
	f = fopen(t->tag_path, "re");
	if (f != NULL) {
		if (fgets(t->tag, sizeof t->tag, f) == NULL)
			t->tag[0] = '\0';
		(void)fclose(f);
	}
	/* Without a tag nobody knows which version the part is of. */
	t->have = t->tag[0] != '\0' ? (uint64_t)s.st_size : 0;
	return AYNI_OK;
}

/* Ask for what is missing, if the server still has the same version. */
static int ask_for_rest(struct transfer *t)
{
	char line[TAG_BYTES + 16];

	curl_slist_free_all(t->headers);
	t->headers = NULL;
	t->rc = AYNI_OK;
	SET(t, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)0);
	SET(t, CURLOPT_RANGE, (char *)NULL);
	if (t->have > 0 && t->tag[0] != '\0') {
		char range[32];

		(void)snprintf(line, sizeof line, "If-Range: %s", t->tag);
		t->headers = curl_slist_append(NULL, line);
		(void)snprintf(range, sizeof range, "%llu-", (unsigned long long)t->have);
		SET(t, CURLOPT_RANGE, range);
		if (t->headers == NULL)
			t->rc = AYNI_ERR_MEMORY;
	}
	SET(t, CURLOPT_HTTPHEADER, t->headers);
	return t->rc;
}

static int fetch_all(struct transfer *t)
{
	unsigned fruitless = 0;
	int rc = AYNI_ERR_AGAIN;

	while (rc == AYNI_ERR_AGAIN) {
		uint64_t before = t->have;

		if (t->d->bytes > 0 && t->have == t->d->bytes)
			return AYNI_OK; /* whole since the last time */
		if (ask_for_rest(t) != AYNI_OK)
			return error_set(t->err, AYNI_ERR_MEMORY, "out of memory");
		rc = attempt(t);
		if (rc != AYNI_ERR_AGAIN)
			break;
		fruitless = t->have > before ? 0 : fruitless + 1;
		if (fruitless == MAX_FRUITLESS)
			return AYNI_ERR_IO;
		if (fruitless > 0)
			wait_before_attempt(t, fruitless - 1);
	}
	return rc;
}

static int check_hash(const struct transfer *t, struct error *err)
{
	crypto_hash_sha256_state state;
	unsigned char hash[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof hash + 1];
	uint8_t piece[1 << 16];
	off_t at = 0;
	ssize_t n;

	(void)crypto_hash_sha256_init(&state);
	while ((n = pread(t->fd, piece, sizeof piece, at)) > 0 && !stopped(t->d)) {
		(void)crypto_hash_sha256_update(&state, piece, (unsigned long long)n);
		at += n;
	}
	if (stopped(t->d))
		return error_set(err, AYNI_ERR_STATE, "stopped");
	if (n < 0)
		return error_set(
		    err, AYNI_ERR_IO, "cannot read %.180s: %s", t->part, strerror(errno));
	(void)crypto_hash_sha256_final(&state, hash);
	(void)sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
	return strcmp(hex, t->d->sha256) == 0 ? AYNI_OK
	                                      : error_set(err, AYNI_ERR_SIGNATURE,
	                                            "what arrived has the SHA-256 %.16s..., not "
	                                            "%.16s...: it is deleted, try again",
	                                            hex, t->d->sha256);
}

static int check_file(const struct transfer *t, struct error *err)
{
	const struct download *d = t->d;

	if (d->bytes > 0 && t->have != d->bytes)
		return error_set(err, AYNI_ERR_SIGNATURE,
		    "%llu bytes arrived of a file of %llu: it is deleted, try again",
		    (unsigned long long)t->have, (unsigned long long)d->bytes);
	return d->sha256 != NULL && d->sha256[0] != '\0' ? check_hash(t, err) : AYNI_OK;
}

int download_file(const struct download *d, struct error *err)
{
	struct transfer t;
	int rc = set_up(&t, d, err);

	if (rc == AYNI_OK)
		rc = open_part(&t, err);
	if (rc == AYNI_OK) {
		SET(&t, CURLOPT_WRITEFUNCTION, on_body);
		SET(&t, CURLOPT_WRITEDATA, &t);
		rc = fetch_all(&t);
	}
	if (rc == AYNI_OK)
		rc = check_file(&t, err);
	if (rc == AYNI_OK && (fsync(t.fd) != 0 || rename(t.part, d->path) != 0))
		rc = error_set(
		    err, AYNI_ERR_IO, "cannot write %.180s: %s", d->path, strerror(errno));
	if (rc == AYNI_ERR_SIGNATURE)
		(void)unlink(t.part);
	if (rc == AYNI_OK || rc == AYNI_ERR_SIGNATURE)
		(void)unlink(t.tag_path);
	clean_up(&t);
	return rc;
}
