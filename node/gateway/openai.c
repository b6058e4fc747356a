/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of OpenAI's API (platform.openai.com/docs/api-reference, "Chat" and "Completions"). What
 * would change an answer and cannot be done is refused by name; other unknown parameters are left
 * alone, since clients send many.
 */
#include "node/gateway/openai.h"

#include <stdlib.h>

#include "node/gateway/job_tools.h"

enum { STOPS_ALLOWED = 4, COMPLETION_LOGPROBS_MAX = 5 };

/* ---- messages ----------------------------------------------------------------------------- */

const char *openai_role(const char *role)
{
	static const char *const known[] = {"system", "user", "assistant", "tool"};

	if (role == NULL)
		return NULL;
	if (strcmp(role, "developer") == 0)
		return "system"; /* its newer name */
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (strcmp(role, known[i]) == 0)
			return known[i];
	}
	return NULL;
}

static bool is_text_part(const json_t *part, const char *const *types)
{
	const char *type = json_string_value(json_object_get(part, "type"));

	if (type == NULL || !json_is_string(json_object_get(part, "text")))
		return false;
	while (*types != NULL && strcmp(type, *types) != 0)
		types++;
	return *types != NULL;
}

/* All parts in one string, which is kept. */
static bool join_parts(struct job *j, const json_t *parts, const char *where,
    const char *const *types, const char **content, struct fault *f)
{
	struct text all = {0};
	const json_t *part;
	json_t *joined;
	size_t i;

	json_array_foreach(parts, i, part)
	{
		const json_t *text = json_object_get(part, "text");

		if (!is_text_part(part, types)) {
			text_free(&all);
			return fault_param(f, where, "%s[%zu]: only parts of type %s are supported",
			    where, i, types[0]);
		}
		text_add(&all, json_string_value(text), json_string_length(text));
	}
	joined = all.failed ? NULL : text_json(text_span(&all));
	*content = job_keep(j, joined);
	json_decref(joined);
	text_free(&all);
	return true;
}

bool openai_content(struct job *j, const json_t *message, const char *where,
    const char *const *types, const char **content, struct fault *f)
{
	const json_t *v = json_object_get(message, "content");

	if (json_is_string(v))
		*content = job_keep(j, v);
	else if (json_is_array(v))
		return join_parts(j, v, where, types, content, f);
	else if (v == NULL || json_is_null(v))
		*content = "";
	else
		return fault_param(f, where, "%s must be a string or a list of parts", where);
	return true;
}

static bool read_message(struct job *j, const json_t *message, size_t i, struct fault *f)
{
	static const char *const refused[] = {"function_call", "audio", NULL};
	static const char *const types[] = {"text", NULL};
	const char *role = openai_role(json_string_value(json_object_get(message, "role")));
	const char *content = NULL;
	char where[48];

	if (role == NULL) {
		(void)snprintf(where, sizeof where, "messages[%zu].role", i);
		return fault_param(
		    f, where, "%s must be system, developer, user, assistant or tool", where);
	}
	(void)snprintf(where, sizeof where, "messages[%zu].content", i);
	return job_refuses(message, refused, f) &&
	       openai_content(j, message, where, types, &content, f) &&
	       job_turn(j, role, content, f) && job_turn_tools(j, message, "name", f);
}

/* ---- prompts ------------------------------------------------------------------------------ */

static bool read_tokens(struct job *j, const json_t *list, struct fault *f)
{
	size_t n = json_array_size(list), i;
	const json_t *each;

	if (n > LIMIT_CONTEXT_TOKENS)
		return fault_param(
		    f, "prompt", "prompt: at most %d tokens are allowed", LIMIT_CONTEXT_TOKENS);
	j->tokens = reallocarray(NULL, n, sizeof *j->tokens);
	if (j->tokens == NULL)
		return fault_memory(f);
	json_array_foreach(list, i, each)
	{
		json_int_t id = json_integer_value(each);

		if (!json_is_integer(each) || id < 0 || id >= LIMIT_VOCABULARY)
			return fault_param(f, "prompt", "prompt[%zu] is not a token", i);
		j->tokens[i] = (uint32_t)id;
	}
	j->generate.n_tokens = n;
	return true;
}

/* A string, a list of one string, or a list of tokens. */
static bool read_prompt(struct job *j, struct fault *f)
{
	const json_t *v = json_object_get(j->body, "prompt");

	if (json_is_array(v) && json_is_integer(json_array_get(v, 0)))
		return read_tokens(j, v, f);
	if (json_is_array(v) && json_array_size(v) == 1)
		v = json_array_get(v, 0);
	if (!json_is_string(v) || json_string_length(v) == 0)
		return fault_param(f, "prompt",
		    "prompt must be a string that is not empty, a list of one, or a list of "
		    "tokens");
	j->generate.prompt = (char *)job_keep(j, v);
	return j->generate.prompt != NULL || fault_memory(f);
}

/* ---- the rest ----------------------------------------------------------------------------- */

static bool read_stream(struct job *j, struct fault *f)
{
	const json_t *options = json_object_get(j->body, "stream_options");

	return job_bool(j->body, "stream", &j->stream, f) &&
	       (options == NULL || job_bool(options, "include_usage", &j->wants_usage, f));
}

/* The answer may be JSON if it likes; what forces it is not there. */
bool openai_format(const json_t *o, const char *name, const char *where, struct fault *f)
{
	const json_t *format = json_object_get(o, name);
	const char *type = json_string_value(json_object_get(format, "type"));

	if (format == NULL || json_is_null(format) || (type != NULL && strcmp(type, "text") == 0))
		return true;
	(void)fault_param(f, where, "%s: only type text is supported", where);
	f->code = "unsupported_parameter";
	return false;
}

static bool read_common(struct job *j, struct fault *f)
{
	static const char *const refused[] = {"logit_bias", "functions", "audio", "prediction",
	    "suffix", "echo", "web_search_options", NULL};
	uint32_t most = 0;

	/* the newer name wins */
	if (!job_count(j->body, "max_tokens", 1, LIMIT_CONTEXT_TOKENS, &most, f) ||
	    !job_count(j->body, "max_completion_tokens", 1, LIMIT_CONTEXT_TOKENS, &most, f))
		return false;
	j->generate.max_tokens = most;
	return job_model(j, f) && job_sampling(j, j->body, f) &&
	       job_bool(j->body, "ignore_eos", &j->generate.ignore_end, f) &&
	       job_count(j->body, "n", 1, JOB_CHOICES_MAX, &j->n, f) &&
	       job_stops(j, j->body, STOPS_ALLOWED, f) && read_stream(j, f) &&
	       openai_format(j->body, "response_format", "response_format", f) &&
	       job_refuses(j->body, refused, f);
}

/* Whether they may be called. That one must be is more than can be done: nothing but the model
 * chooses its tokens. */
static bool read_tools(struct job *j, struct fault *f)
{
	const json_t *choice = json_object_get(j->body, "tool_choice");
	const char *name = json_string_value(choice);
	bool parallel = true;

	if (!job_tools(j, f) || !job_bool(j->body, "parallel_tool_calls", &parallel, f))
		return false;
	j->one_call = !parallel;
	if (name != NULL && strcmp(name, "none") == 0)
		j->generate.tools = NULL;
	if (choice == NULL || json_is_null(choice) ||
	    (name != NULL && (strcmp(name, "none") == 0 || strcmp(name, "auto") == 0)))
		return true;
	(void)fault_param(f, "tool_choice",
	    "tool_choice: only none and auto are supported, a call cannot be forced");
	f->code = "unsupported_parameter";
	return false;
}

/* Whether, and how many beside each token. */
static bool read_chat_logprobs(struct job *j, struct fault *f)
{
	bool wanted = false;
	uint32_t most = 0;

	if (!job_bool(j->body, "logprobs", &wanted, f) ||
	    !job_count(j->body, "top_logprobs", 0, LOGPROB_ALTERNATIVES_MAX, &most, f))
		return false;
	if (most > 0 && !wanted)
		return fault_param(f, "top_logprobs", "top_logprobs needs logprobs to be true");
	j->generate.logprobs = wanted ? 1 + most : 0;
	return true;
}

/* How many beside each token: none is an answer, too. */
static bool read_completion_logprobs(struct job *j, struct fault *f)
{
	uint32_t most = UINT32_MAX;

	if (!job_count(j->body, "logprobs", 0, COMPLETION_LOGPROBS_MAX, &most, f))
		return false;
	j->generate.logprobs = most != UINT32_MAX ? 1 + most : 0;
	return true;
}

bool openai_read_chat(struct job *j, struct fault *f)
{
	return job_messages(j, read_message, f) && read_common(j, f) && read_tools(j, f) &&
	       read_chat_logprobs(j, f);
}

bool openai_read_completion(struct job *j, struct fault *f)
{
	static const char *const refused[] = {"tools", NULL};
	uint32_t best_of = 1;

	if (!read_prompt(j, f) || !read_common(j, f) || !read_completion_logprobs(j, f) ||
	    !job_refuses(j->body, refused, f) ||
	    !job_count(j->body, "best_of", 1, JOB_CHOICES_MAX, &best_of, f))
		return false;
	if (best_of > j->n)
		return fault_param(f, "best_of", "best_of above n is not supported here");
	return true;
}
