/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of OpenAI's API (platform.openai.com/docs/api-reference, "Responses"). Nothing of an
 * answer is kept, so what would go on from an earlier one is refused; a client sends all of the
 * conversation instead.
 */
#include "node/gateway/openai.h"

/* What the client had of an answer, and sends back as it is. */
static bool is_reasoning(const char *type)
{
	return strcmp(type, "reasoning") == 0;
}

static bool read_item(struct job *j, const json_t *item, size_t i, struct fault *f)
{
	static const char *const types[] = {"input_text", "output_text", "text", NULL};
	const json_t *given = json_object_get(item, "type");
	const char *type = given == NULL ? "message" : json_string_value(given);
	const char *role = openai_role(json_string_value(json_object_get(item, "role")));
	const char *content = NULL;
	char where[48];

	(void)snprintf(where, sizeof where, "input[%zu]", i);
	if (type != NULL && is_reasoning(type))
		return true; /* templates leave it out, too */
	if (type == NULL || strcmp(type, "message") != 0)
		return fault_param(f, where, "%s: only items of type message are supported", where);
	if (role == NULL)
		return fault_param(
		    f, where, "%s.role must be system, developer, user or assistant", where);
	(void)snprintf(where, sizeof where, "input[%zu].content", i);
	return openai_content(j, item, where, types, &content, f) && job_turn(j, role, content, f);
}

static bool read_items(struct job *j, const json_t *items, struct fault *f)
{
	const json_t *item;
	size_t i;

	if (!job_turns_reserve(j, json_array_size(items), f))
		return false;
	json_array_foreach(items, i, item)
	{
		if (!read_item(j, item, i, f))
			return false;
	}
	return true;
}

/* What the model is told stands before all that was said. */
static bool read_instructions(struct job *j, struct fault *f)
{
	const char *text = NULL;

	return job_string(j, j->body, "instructions", &text, f) && job_turns_reserve(j, 1, f) &&
	       (text == NULL || job_turn(j, "system", text, f));
}

static bool read_input(struct job *j, struct fault *f)
{
	const json_t *input = json_object_get(j->body, "input");

	if (!read_instructions(j, f))
		return false;
	if (json_is_string(input))
		return job_turns_reserve(j, 1, f) && job_turn(j, "user", job_keep(j, input), f);
	if (!json_is_array(input) || json_array_size(input) == 0)
		return fault_param(
		    f, "input", "input must be a string, or a list that is not empty");
	if (!read_items(j, input, f))
		return false;
	return j->generate.n_turns > 0 || fault_param(f, "input", "input holds no message");
}

bool responses_read(struct job *j, struct fault *f)
{
	static const char *const refused[] = {"previous_response_id", "conversation", "background",
	    "prompt", "tools", "top_logprobs", NULL};
	const json_t *text = json_object_get(j->body, "text");
	uint32_t most = 0;

	if (!read_input(j, f) ||
	    !job_count(j->body, "max_output_tokens", 1, LIMIT_CONTEXT_TOKENS, &most, f))
		return false;
	j->generate.max_tokens = most;
	return job_model(j, f) && job_sampling(j, j->body, f) &&
	       job_bool(j->body, "ignore_eos", &j->generate.ignore_end, f) &&
	       job_bool(j->body, "stream", &j->stream, f) &&
	       openai_format(text, "format", "text.format", f) && job_refuses(j->body, refused, f);
}
