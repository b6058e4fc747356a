/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/log_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "protocol/receipt.h"
#include "storage/files.h"

struct log_state {
	char path[PATH_MAX];
	json_t *seen; /* notes, oldest first */
	bool any;
	struct public_key pool;
	struct checkpoint last;
};

/* ---- the file ----------------------------------------------------------------------------- */

static int bad(const struct log_state *s, struct error *err, const char *what)
{
	return error_set(err, AYNI_ERR_FORMAT, "%.150s: %s", s->path, what);
}

/* {"pool": "<key>", "checkpoints": ["<note>", ...]} */
static int load(struct log_state *s, const json_t *root, struct error *err)
{
	const char *key = json_string_value(json_object_get(root, "pool"));
	json_t *notes = json_object_get(root, "checkpoints");
	const char *note;

	if (key == NULL || unhex32(key, s->pool.bytes) != AYNI_OK || !json_is_array(notes) ||
	    json_array_size(notes) == 0)
		return bad(s, err, "is not what `ayni ledger watch` wrote");
	note = json_string_value(json_array_get(notes, json_array_size(notes) - 1));
	if (note == NULL ||
	    checkpoint_open(note, strlen(note), &s->pool, &s->last, NULL) != AYNI_OK)
		return bad(s, err, "its last checkpoint is not the pool's");
	json_decref(s->seen);
	s->seen = json_incref(notes);
	s->any = true;
	return AYNI_OK;
}

static int read_file(struct log_state *s, struct error *err)
{
	json_error_t why;
	uint8_t *data;
	json_t *root;
	size_t len;
	int rc = files_read(AT_FDCWD, s->path, LOG_STATE_BYTES_MAX, &data, &len, err);

	if (rc == AYNI_ERR_NOT_FOUND)
		return AYNI_OK;
	if (rc != AYNI_OK)
		return rc;
	root = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, &why);
	rc = root != NULL ? load(s, root, err) : bad(s, err, why.text);
	json_decref(root);
	free(data);
	return rc;
}

int log_state_open(const char *path, struct log_state **out, struct error *err)
{
	struct log_state *s = calloc(1, sizeof *s);
	int rc;

	*out = NULL;
	if (s == NULL || (s->seen = json_array()) == NULL) {
		free(s);
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	}
	if (snprintf(s->path, sizeof s->path, "%s", path) >= (int)sizeof s->path)
		rc = error_set(err, AYNI_ERR_ARGUMENT, "the state's path is too long");
	else
		rc = read_file(s, err);
	if (rc != AYNI_OK) {
		log_state_free(s);
		return rc;
	}
	*out = s;
	return AYNI_OK;
}

void log_state_free(struct log_state *s)
{
	if (s == NULL)
		return;
	json_decref(s->seen);
	free(s);
}

const struct public_key *log_state_pool(const struct log_state *s)
{
	return s->any ? &s->pool : NULL;
}

/* A file beside others, whole or not at all. */
static int write_text(const char *path, const char *text, struct error *err)
{
	char copy[PATH_MAX], name[PATH_MAX];
	int fd, rc;

	(void)snprintf(copy, sizeof copy, "%s", path);
	(void)snprintf(name, sizeof name, "%s", path);
	rc = files_open_folder(dirname(copy), &fd, err);
	if (rc != AYNI_OK)
		return rc;
	rc = files_write(
	    fd, basename(name), (struct span){(const uint8_t *)text, strlen(text)}, FILES_NOW, err);
	(void)close(fd);
	return rc;
}

static int save(const struct log_state *s, struct error *err)
{
	char hex[HEX32_CHARS], *text = NULL;
	json_t *root;
	int rc;

	hex32(s->pool.bytes, hex);
	root = json_pack("{ss sO}", "pool", hex, "checkpoints", s->seen);
	if (root != NULL)
		text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	if (text == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	rc = write_text(s->path, text, err);
	free(text);
	return rc;
}

/* The first one stays: it is the farthest that a history can be compared with. */
static int remember(struct log_state *s, const struct log_head *h, struct error *err)
{
	if (json_array_size(s->seen) >= LOG_STATE_KEPT)
		(void)json_array_remove(s->seen, 1);
	if (json_array_append_new(s->seen, json_string(h->note)) != 0)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	s->pool = h->pool;
	s->last = h->checkpoint;
	s->any = true;
	return save(s, err);
}

/* ---- comparing ---------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int alarm_of(
    struct log_watch_report *out, const char *fmt, ...)
{
	va_list ap;

	out->verdict = LOG_ALARM;
	va_start(ap, fmt);
	(void)vsnprintf(out->text, sizeof out->text, fmt, ap);
	va_end(ap);
	return AYNI_OK;
}

/* A tile that a checkpoint says must be there, and is not, is the log's fault; a broken network is
 * nobody's. */
static int unreadable(int rc, const char *why, struct log_watch_report *out, struct error *err)
{
	if (rc == AYNI_ERR_NOT_FOUND || rc == AYNI_ERR_FORMAT || rc == AYNI_ERR_LIMIT)
		return alarm_of(out, "what the checkpoint speaks of is not there: %.150s", why);
	return error_set(err, (enum ayni_error)rc, "%s", why);
}

static int check_root(struct log_reader *r, const struct log_head *h, struct tile_source *source,
    struct log_watch_report *out, struct error *err)
{
	struct hash root;
	int rc = merkle_root_at(h->checkpoint.size, tile_source_hash, source, &root);

	if (rc != AYNI_OK)
		return unreadable(rc, log_reader_why(r), out, err);
	if (!hash_equal(&root, &h->checkpoint.root))
		return alarm_of(out, "the log's tiles do not give the root that the pool signed");
	return AYNI_OK;
}

static int check_continues(const struct log_state *s, struct log_reader *r,
    const struct log_head *h, struct tile_source *source, struct log_watch_report *out,
    struct error *err)
{
	const struct checkpoint *now = &h->checkpoint;
	struct merkle_proof proof;
	int rc =
	    merkle_prove_consistency(s->last.size, now->size, tile_source_hash, source, &proof);

	if (rc != AYNI_OK)
		return unreadable(rc, log_reader_why(r), out, err);
	if (!merkle_check_consistency(s->last.size, now->size, &s->last.root, &now->root, &proof))
		return alarm_of(out,
		    "FORK: the log of %" PRIu64 " receipts does not begin with the one of %" PRIu64
		    " that the pool signed before",
		    now->size, s->last.size);
	return AYNI_OK;
}

static int check_receipt(const struct log_head *h, uint64_t index, struct span entry,
    const struct hash *leaf, struct log_watch_report *out)
{
	struct receipt receipt;
	struct hash hash;

	merkle_leaf(entry.data, entry.len, &hash);
	if (!hash_equal(&hash, leaf))
		return alarm_of(out, "receipt %" PRIu64 " is not the one of the tree", index + 1);
	if (receipt_read(entry, &receipt, NULL) != AYNI_OK || receipt.number != index + 1 ||
	    !public_key_equal(&receipt.pool, &h->pool))
		return alarm_of(
		    out, "entry %" PRIu64 " is not the receipt of that number", index + 1);
	return AYNI_OK;
}

/* From the first-th on. */
static int check_receipts(struct log_reader *r, const struct log_head *h, uint64_t first,
    struct log_watch_report *out, struct error *err)
{
	uint64_t size = h->checkpoint.size;

	for (uint64_t i = first / TILE_WIDTH; i * TILE_WIDTH < size; i++) {
		unsigned width = tile_width(0, i, size);
		struct hash tile[TILE_WIDTH];
		struct bundle b;
		int rc = log_reader_tile(r, 0, i, width, tile);

		if (rc != AYNI_OK)
			return unreadable(rc, log_reader_why(r), out, err);
		rc = log_reader_bundle(r, i, width, &b, err);
		if (rc != AYNI_OK) {
			struct error why = err != NULL ? *err : (struct error){0};

			return unreadable(rc, why.text, out, err);
		}
		for (unsigned k = 0; k < width && out->verdict != LOG_ALARM; k++) {
			uint64_t index = i * TILE_WIDTH + k;

			if (index >= first)
				(void)check_receipt(h, index, b.entries[k], &tile[k], out);
		}
		if (out->verdict == LOG_ALARM)
			return AYNI_OK;
	}
	return AYNI_OK;
}

static int compare(const struct log_state *s, struct log_reader *r, const struct log_head *h,
    struct log_watch_report *out, struct error *err)
{
	const struct checkpoint *now = &h->checkpoint;
	struct tile_source source;
	int rc;

	out->now = now->size;
	out->before = s->any ? s->last.size : 0;
	out->verdict = !s->any ? LOG_FIRST : now->size == s->last.size ? LOG_SAME : LOG_GREW;
	if (s->any && now->size < s->last.size)
		return alarm_of(out, "the log went back from %" PRIu64 " receipts to %" PRIu64,
		    s->last.size, now->size);
	if (out->verdict == LOG_SAME && !hash_equal(&now->root, &s->last.root))
		return alarm_of(out,
		    "FORK: the pool signed two different logs of %" PRIu64 " receipts", now->size);
	if (out->verdict == LOG_SAME)
		return AYNI_OK;
	log_reader_source(r, now->size, &source);
	rc = check_root(r, h, &source, out, err);
	if (rc == AYNI_OK && out->verdict == LOG_GREW)
		rc = check_continues(s, r, h, &source, out, err);
	if (rc == AYNI_OK && out->verdict == LOG_GREW)
		rc = check_receipts(r, h, s->last.size, out, err);
	return rc;
}

/* The two that contradict each other, in one file. */
static int keep_evidence(const struct log_state *s, const struct log_head *h,
    const struct log_watch_report *report, struct error *err)
{
	const char *before =
	    json_string_value(json_array_get(s->seen, json_array_size(s->seen) - 1));
	char path[PATH_MAX + 8], *text = NULL;
	json_t *root =
	    json_pack("{ss ss* ss}", "alarm", report->text, "before", before, "now", h->note);
	int rc;

	if (root != NULL)
		text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	if (text == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	(void)snprintf(path, sizeof path, "%s.alarm", s->path);
	rc = write_text(path, text, err);
	free(text);
	return rc;
}

int log_watch(struct log_state *s, struct log_reader *r, const struct public_key *pool,
    struct log_head *head, struct log_watch_report *out, struct error *err)
{
	int rc;

	memset(out, 0, sizeof *out);
	if (pool == NULL)
		pool = log_state_pool(s);
	if (pool != NULL && s->any && !public_key_equal(pool, &s->pool)) {
		memset(head, 0, sizeof *head);
		return error_set(
		    err, AYNI_ERR_ARGUMENT, "%.150s: is of another pool's log", s->path);
	}
	rc = log_reader_head(r, pool, head, err);
	if (rc == AYNI_OK)
		rc = compare(s, r, head, out, err);
	if (rc != AYNI_OK)
		return rc;
	if (out->verdict == LOG_ALARM)
		return keep_evidence(s, head, out, err);
	return out->verdict == LOG_SAME ? AYNI_OK : remember(s, head, err);
}
