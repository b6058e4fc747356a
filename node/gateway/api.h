/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API: how requests are read, and answers written. A table of pure functions over plain structs,
 * one for each path, so that http.c and exchange.c know of none in particular.
 */
#ifndef AYNI_NODE_GATEWAY_API_H
#define AYNI_NODE_GATEWAY_API_H

#include "node/gateway/job.h"
#include "node/gateway/token_list.h"
#include "node/gateway/tool_calls.h"
#include "protocol/status_types.h"

enum { TOKEN_TEXTS = 4 };

/* One of a request's answers. */
struct choice {
	struct text answer, reasoning;   /* all of it, if it is not streamed or the API keeps it */
	struct text tokens[TOKEN_TEXTS]; /* likewise: of its tokens what the API wrote of them */
	struct text held;                /* may be the beginning of a stop string */
	struct token_list waiting;       /* tokens of what is held, if they were asked for */
	struct tool_calls calls;         /* no format: none can be */
	size_t sent;                     /* bytes of the answer that are held no more */
	uint32_t n_tokens;
	struct pseudonym session;   /* what the pool's log calls it, once that is known */
	uint32_t n_events, n_items; /* streaming, for an API that counts them: written so far */
	bool thinks;                /* likewise: the last of these items is what the model thinks */
	bool begun;                 /* streaming: something of it has been written */
	bool stopped;               /* at a stop string: the rest is not wanted */
	bool ended;
	struct msg_finished end; /* if it ended; shares: NULL */
};

/* More of an answer. */
struct part {
	struct span answer, reasoning;
	const struct listed_token *tokens;
	size_t n_tokens;
	size_t first_call, n_calls; /* in the choice's list */
};

/* What a call is known by: of 9 letters and digits where templates want it so. */
enum { CALL_ID_BYTES = JOB_ID_BYTES };
void call_id(const struct job *j, const struct choice *c, uint32_t index, size_t call,
    char out[CALL_ID_BYTES]);

struct api {
	const char *stream_type; /* of the content, if it is streamed */
	bool keeps;              /* a stream's end says all of it again */
	/* The body is open. False: the fault is filled. */
	bool (*read)(struct job *j, struct fault *f);
	/* Streaming: more of a choice. */
	void (*piece)(const struct job *j, struct choice *c, uint32_t index, const struct part *p,
	    struct text *out);
	/* Write its tokens behind those that these texts hold. NULL: the API cannot ask for them.
	 */
	void (*tokens)(const struct part *p, struct text texts[TOKEN_TEXTS]);
	/* Streaming: a choice is over; after the last one, all is. */
	void (*choice_end)(const struct job *j, struct choice *c, uint32_t index, struct text *out);
	void (*end)(const struct job *j, struct choice *choices, struct text *out);
	/* Streaming: it broke off. */
	void (*broken)(const struct fault *f, struct choice *choices, struct text *out);
	/* Not streaming: all at once. */
	void (*whole)(const struct job *j, const struct choice *choices, struct text *out);
	void (*fault)(const struct fault *f, struct text *out);
};

/* Did the model itself end it, or a stop string? Else a limit. */
static inline bool choice_is_complete(const struct choice *c)
{
	return c->stopped || c->end.reason == FINISH_END;
}

/* openai.c */
extern const struct api openai_chat, openai_completions;
extern const struct api openai_responses; /* responses_answer.c */
void openai_fault(const struct fault *f, struct text *out);
void openai_models(const struct msg_status *s, uint64_t now_ms, struct text *out);
/* False: there is no such model. */
bool openai_model(const struct msg_status *s, uint64_t now_ms, const char *name, struct text *out);

/* ollama.c */
extern const struct api ollama_chat, ollama_generate;
void ollama_fault(const struct fault *f, struct text *out);
void ollama_tags(const struct msg_status *s, uint64_t now_ms, struct text *out);
void ollama_version(struct text *out);

#endif
