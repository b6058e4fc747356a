/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/catalog.h"

#include <stdlib.h>

#include "node/prompt.h"
#include "node/publish.h"

struct blob {
	struct hash name;
	struct span content;
};

struct entry {
	struct catalog_model model;
	uint8_t *manifest; /* signed */
	size_t manifest_len;
};

struct catalog {
	size_t n_entries;
	struct entry *entries[CATALOG_MAX_MODELS];
	size_t n_blobs, blobs_capacity;
	struct blob *blobs; /* sorted by name */
};

int catalog_new(struct catalog **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	return *out != NULL ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "catalog: out of memory");
}

static void entry_free(struct entry *e)
{
	if (e == NULL)
		return;
	free(e->manifest);
	free(e->model.layer_bytes);
	free(e->model.parts);
	free(e->model.part_at);
	template_free(e->model.chat_template);
	tokenizer_free(e->model.tokenizer);
	gguf_free(e->model.gguf);
	free(e);
}

void catalog_free(struct catalog *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n_entries; i++)
		entry_free(c->entries[i]);
	free(c->blobs);
	free(c);
}

static int add_blob(
    struct catalog *c, const struct hash *name, struct span content, struct error *err)
{
	if (c->n_blobs == c->blobs_capacity) {
		size_t capacity = c->blobs_capacity > 0 ? c->blobs_capacity * 2 : 256;
		struct blob *blobs = reallocarray(c->blobs, capacity, sizeof *blobs);

		if (blobs == NULL)
			return error_set(err, AYNI_ERR_MEMORY, "catalog: out of memory");
		c->blobs = blobs;
		c->blobs_capacity = capacity;
	}
	c->blobs[c->n_blobs++] = (struct blob){*name, content};
	return AYNI_OK;
}

static int compare_blobs(const void *a, const void *b)
{
	return memcmp(a, b, HASH_BYTES); /* the name stands first */
}

bool catalog_blob(const struct catalog *c, const struct hash *name, struct span *out)
{
	const struct blob *b = NULL;

	if (c->n_blobs > 0)
		b = bsearch(name, c->blobs, c->n_blobs, sizeof *b, compare_blobs);
	if (b == NULL)
		return false;
	*out = b->content;
	return true;
}

/* ---- models ------------------------------------------------------------------------------- */

/* Adds what a token takes of a tensor to its type's part of a layer. */
static void add_part(
    struct placement_part *parts, const struct model_sizes *s, const struct gguf_tensor *t)
{
	struct placement_part *p;
	uint64_t elements = 1, share = 1, all = 1;

	if (t->n_dims < 2 || t->type >= TENSOR_TYPE_END)
		return; /* a vector: no time goes there */
	p = &parts[t->type];
	if (model_tensor_is_of_experts(t->name) && s->experts.n > 0) {
		share = s->experts.n_used;
		all = s->experts.n;
	}
	for (uint32_t i = 0; i < t->n_dims; i++)
		elements *= t->dims[i];
	p->type = t->type;
	p->most_bytes += t->size_bytes;
	p->bytes += t->size_bytes / all * share;
	p->flop += 2 * (elements / all * share);
}

/* What a range of layers weighs, and where its time goes; `table` has a row of parts by type for
 * each layer, and one for the head. */
static void weigh_tensors(struct catalog_model *m, struct placement_part (*table)[TENSOR_TYPE_END])
{
	uint32_t n_layers = m->sizes.n_layers;

	for (size_t i = 0; i < gguf_n_tensors(m->gguf); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(m->gguf, i);
		bool first = model_range_needs(m->gguf, &m->sizes, 0, 1, t);
		bool last = model_range_needs(m->gguf, &m->sizes, n_layers - 1, n_layers, t);
		uint32_t layer;

		if (model_tensor_layer(t->name, &layer) && layer < n_layers) {
			m->layer_bytes[layer] += t->size_bytes;
			if (model_range_needs(m->gguf, &m->sizes, layer, layer + 1, t))
				add_part(table[layer], &m->sizes, t);
			continue;
		}
		m->first_bytes += first ? t->size_bytes : 0;
		m->last_bytes += last ? t->size_bytes : 0;
		if (last)
			add_part(table[n_layers], &m->sizes, t);
	}
}

static uint32_t count_parts(const struct placement_part parts[TENSOR_TYPE_END])
{
	uint32_t n = 0;

	for (size_t type = 0; type < TENSOR_TYPE_END; type++)
		n += parts[type].most_bytes > 0;
	return n;
}

/* Only the parts that there are, one after the other. */
static int keep_parts(struct catalog_model *m, struct placement_part (*table)[TENSOR_TYPE_END])
{
	uint32_t n_rows = m->sizes.n_layers + 1, n = 0;

	for (uint32_t row = 0; row < n_rows; row++)
		n += count_parts(table[row]);
	m->parts = calloc(n + 1, sizeof *m->parts);
	m->part_at = calloc(n_rows + 1, sizeof *m->part_at);
	if (m->parts == NULL || m->part_at == NULL)
		return AYNI_ERR_MEMORY;
	n = 0;
	for (uint32_t row = 0; row < n_rows; row++) {
		for (size_t type = 0; type < TENSOR_TYPE_END; type++) {
			if (table[row][type].most_bytes > 0)
				m->parts[n++] = table[row][type];
		}
		m->part_at[row + 1] = n;
	}
	return AYNI_OK;
}

static int weigh(struct catalog_model *m, struct error *err)
{
	struct placement_part(*table)[TENSOR_TYPE_END] =
	    calloc((size_t)m->sizes.n_layers + 1, sizeof *table);
	int rc = AYNI_ERR_MEMORY;

	m->layer_bytes = calloc(m->sizes.n_layers, sizeof *m->layer_bytes);
	if (table != NULL && m->layer_bytes != NULL) {
		weigh_tensors(m, table);
		rc = keep_parts(m, table);
	}
	free(table);
	return rc == AYNI_OK ? rc : error_set(err, rc, "catalog: out of memory");
}

/* What donors could not load is refused here, where a person reads it. */
static int try_load(const struct catalog_model *m, struct error *err)
{
	struct model *model;
	int rc = model_load(m->gguf, 0, m->sizes.n_layers, &model, err);

	if (rc == AYNI_OK)
		model_free(model);
	return rc;
}

static int check_name(const struct catalog *c, const char *name, struct error *err)
{
	for (size_t i = 0; i < c->n_entries; i++) {
		if (strcmp(c->entries[i]->model.name, name) == 0)
			return error_set(err, AYNI_ERR_EXISTS,
			    "catalog: two models are named %.100s; rename one of the files", name);
	}
	return AYNI_OK;
}

/* By whoever has signed the manifest beside the file, else by the pool itself. */
static int sign(struct entry *e, const struct manifest *m, const char *path,
    const struct identity *pool, struct error *err)
{
	int rc = publish_read(path, m, &e->manifest, &e->manifest_len, &e->model.publisher, err);

	if (rc != AYNI_ERR_NOT_FOUND)
		return rc;
	e->model.publisher = *identity_public(pool);
	return manifest_sign(m, pool, &e->manifest, &e->manifest_len, err);
}

static int publish(struct catalog *c, struct entry *e, const char *path,
    const struct identity *pool, struct error *err)
{
	struct catalog_model *m = &e->model;
	const uint8_t *file = gguf_data(m->gguf);
	struct manifest manifest;
	int rc = publish_cut(m->gguf, m->name, &manifest, err);

	if (rc == AYNI_OK)
		rc = sign(e, &manifest, path, pool, err);
	for (size_t i = 0; rc == AYNI_OK && i < manifest.n_chunks; i++) {
		const struct manifest_chunk *k = &manifest.chunks[i];

		rc = add_blob(c, &k->hash, (struct span){file + k->offset, k->length}, err);
	}
	if (rc == AYNI_OK) {
		hash_bytes(e->manifest, e->manifest_len, &m->id);
		rc = add_blob(c, &m->id, (struct span){e->manifest, e->manifest_len}, err);
	}
	manifest_free(&manifest);
	return rc;
}

static int choose_kv(struct catalog_model *m, const struct catalog_kv *kv, struct error *err)
{
	if (kv_type_check(kv->type, &m->sizes, m->name, err) != AYNI_OK)
		return AYNI_ERR_UNSUPPORTED;
	m->kv_type = kv->type;
	m->kv_tokens = m->sizes.context_tokens;
	if (m->kv_tokens > kv->max_tokens)
		m->kv_tokens = (uint32_t)kv->max_tokens;
	return AYNI_OK;
}

int catalog_add(struct catalog *c, const char *path, const struct identity *pool,
    const struct catalog_kv *kv, struct error *err)
{
	struct entry *e;
	struct catalog_model *m;
	size_t n_blobs = c->n_blobs;
	int rc;

	if (c->n_entries == CATALOG_MAX_MODELS)
		return error_set(
		    err, AYNI_ERR_LIMIT, "catalog: more than %d models", CATALOG_MAX_MODELS);
	e = calloc(1, sizeof *e);
	if (e == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "catalog: out of memory");
	m = &e->model;
	publish_name(path, m->name);
	if ((rc = check_name(c, m->name, err)) != AYNI_OK ||
	    (rc = gguf_open(path, &m->gguf, err)) != AYNI_OK ||
	    (rc = model_sizes_read(m->gguf, &m->sizes, err)) != AYNI_OK ||
	    (rc = choose_kv(m, kv, err)) != AYNI_OK || (rc = try_load(m, err)) != AYNI_OK ||
	    (rc = tokenizer_new(m->gguf, &m->tokenizer, err)) != AYNI_OK ||
	    (rc = prompt_template(m->gguf, &m->chat_template, err)) != AYNI_OK ||
	    (rc = weigh(m, err)) != AYNI_OK || (rc = publish(c, e, path, pool, err)) != AYNI_OK) {
		entry_free(e);
		c->n_blobs = n_blobs; /* the others may point into the file just closed */
		return rc;
	}
	m->tool_format = prompt_tool_format(m->gguf, &m->has_tools);
	c->entries[c->n_entries++] = e;
	qsort(c->blobs, c->n_blobs, sizeof *c->blobs, compare_blobs);
	return AYNI_OK;
}

size_t catalog_size(const struct catalog *c)
{
	return c->n_entries;
}

const struct catalog_model *catalog_at(const struct catalog *c, size_t i)
{
	assert(i < c->n_entries);
	return &c->entries[i]->model;
}

int catalog_find(const struct catalog *c, const char *name, uint32_t *index, struct error *err)
{
	char known[160] = "";
	size_t used = 0;

	for (size_t i = 0; i < c->n_entries; i++) {
		const char *has = c->entries[i]->model.name;

		if (name[0] == '\0' || strcmp(has, name) == 0) {
			*index = (uint32_t)i;
			return AYNI_OK;
		}
		if (used < sizeof known) {
			int n = snprintf(
			    known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", has);

			used += n > 0 ? (size_t)n : 0;
		}
	}
	return error_set(
	    err, AYNI_ERR_NOT_FOUND, "no model \"%.60s\" here; this pool has: %s", name, known);
}
