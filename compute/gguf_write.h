/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the head of a GGUF file, version 3: metadata, mostly taken over from another file, and a
 * tensor table. Where the tensors' bytes come from is the caller's matter: the head says at which
 * offset of the file each begins, and all between them is zeros.
 *
 * One thread at a time; the gguf that keys are copied from must live until the copy is made.
 */
#ifndef AYNI_COMPUTE_GGUF_WRITE_H
#define AYNI_COMPUTE_GGUF_WRITE_H

#include "compute/gguf.h"

struct gguf_head;

int gguf_head_new(struct gguf_head **out, struct error *err);
void gguf_head_free(struct gguf_head *h);

/* Take over a key as it is, array or not. AYNI_ERR_NOT_FOUND if `from` lacks it. */
int gguf_head_copy_key(struct gguf_head *h, const struct gguf *from, const char *key);
int gguf_head_set_u32(struct gguf_head *h, const char *key, uint32_t value);
int gguf_head_set_f32(struct gguf_head *h, const char *key, float value);
int gguf_head_set_string(struct gguf_head *h, const char *key, const char *value);
int gguf_head_set_strings(
    struct gguf_head *h, const char *key, const char *const *values, size_t n);
/* Add a tensor of t's name and shape, its rows in `type`. AYNI_ERR_FORMAT if rows are not whole
 * blocks of the type. */
int gguf_head_add_tensor(
    struct gguf_head *h, const struct gguf_tensor *t, enum tensor_type type, struct error *err);

/*
 * Complete the head: nothing may be added any more. `bytes` belongs to h and ends where tensor data
 * begins. general.alignment is not to be among the keys: it is the default, 32.
 */
int gguf_head_finish(struct gguf_head *h, struct span *bytes, struct error *err);
/* Of a finished head: where tensor i begins, in the order of adding, and how long the file is. */
uint64_t gguf_head_tensor_offset(const struct gguf_head *h, size_t i);
uint64_t gguf_head_file_bytes(const struct gguf_head *h);

#endif
