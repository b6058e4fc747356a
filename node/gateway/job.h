/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client asks for, whichever API it speaks, and the tools with which the APIs read it. A
 * body is a stranger's: each value is checked, and what is wrong is said by name.
 */
#ifndef AYNI_NODE_GATEWAY_JOB_H
#define AYNI_NODE_GATEWAY_JOB_H

#include "compute/sampler.h"
#include "node/gateway/stops.h"
#include "protocol/message_types.h"

enum { JOB_CHOICES_MAX = 8, JOB_TURNS_MAX = 256, JOB_ID_BYTES = 40 };

/* Why a request gets no answer. */
struct fault {
	int status;       /* of HTTP; 0: nothing is wrong */
	const char *type; /* as OpenAI's API names it */
	const char *code; /* likewise, or NULL */
	char param[64];   /* the parameter that is wrong, or "" */
	char text[256];   /* one line of UTF-8 */
	bool retry;       /* later may be better */
};

__attribute__((format(printf, 3, 4))) void fault_set(
    struct fault *f, int status, const char *fmt, ...);
/* 400, and which parameter is meant. Always false. */
__attribute__((format(printf, 3, 4))) bool fault_param(
    struct fault *f, const char *param, const char *fmt, ...);
bool fault_memory(struct fault *f); /* 500; always false */
/* Of a request that the pool did not answer. */
void fault_failed(struct fault *f, const struct msg_finished *end);

struct job {
	json_t *body;                 /* until it was read */
	json_t *kept;                 /* a list of strings, which the rest points into */
	struct turn *turns;           /* owned; their texts are kept */
	uint32_t *tokens;             /* owned, or NULL */
	struct msg_generate generate; /* borrows all of these */
	uint32_t n;                   /* choices */
	struct stops stops;
	json_t *tool_names; /* owned: an object with a member for each tool, or NULL */
	bool one_call;      /* the answer ends behind its first */
	bool stream, wants_usage;
	char id[JOB_ID_BYTES];
	uint64_t created_ms;
};

/* Zeroed before. The body must be an object. */
bool job_open(struct job *j, const char *data, size_t len, struct fault *f);
/* All that is of use was read: a body may be many times as large as what is kept of it. */
void job_close_body(struct job *j);
void job_free(struct job *j);
/* How the choice is drawn: each has a seed of its own. */
struct msg_generate job_choice(const struct job *j, uint32_t choice);

/* ---- for parsers; all return false after they filled the fault ---- */
/* Absent and null are the same: *out stays as it is. */
bool job_bool(const json_t *o, const char *name, bool *out, struct fault *f);
bool job_number(
    const json_t *o, const char *name, double min, double max, float *out, struct fault *f);
bool job_count(
    const json_t *o, const char *name, uint32_t min, uint32_t max, uint32_t *out, struct fault *f);
/* Valid as long as the job. */
bool job_string(
    struct job *j, const json_t *o, const char *name, const char **out, struct fault *f);
bool job_model(struct job *j, struct fault *f);
/* temperature, top_k, top_p, min_p, repeat_penalty, repeat_last_n, frequency_penalty,
 * presence_penalty, seed; the program's own defaults
 * for what is not said. */
bool job_sampling(struct job *j, const json_t *o, struct fault *f);
/* A string, or a list of up to `most`. */
bool job_stops(struct job *j, const json_t *o, size_t most, struct fault *f);
/* Those parameters that would change the answer, and cannot here: only what is as good as absent
 * is allowed (null, false, 0, "", [], {}). NULL-terminated. */
bool job_refuses(const json_t *o, const char *const *names, struct fault *f);
/* Room for n turns more than there are. */
bool job_turns_reserve(struct job *j, size_t n, struct fault *f);
/* Both strings must live as long as the job. */
bool job_turn(struct job *j, const char *role, const char *content, struct fault *f);
/* Each of the body's "messages" by the API's own function, which makes a turn of number i. */
typedef bool job_message_fn(struct job *j, const json_t *message, size_t i, struct fault *f);
bool job_messages(struct job *j, job_message_fn *read, struct fault *f);
/* Keep a string as long as the job; NULL if memory is out, or it is NULL. */
const char *job_keep(struct job *j, const json_t *string);

#endif
