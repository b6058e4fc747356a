/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/job.h"

#include <math.h>
#include <stdlib.h>

#include "node/loop.h"
#include "node/work.h"
#include "protocol/identity.h"
#include "protocol/text.h"

/* ---- faults ------------------------------------------------------------------------------- */

static void describe(struct fault *f, int status, const char *fmt, va_list ap)
{
	char said[1024];

	f->status = status;
	f->type = status < 500 ? "invalid_request_error" : "server_error";
	f->code = NULL;
	f->retry = status == 503;
	(void)vsnprintf(said, sizeof said, fmt, ap);
	text_fit(f->text, sizeof f->text, said); /* it may cite a stranger */
}

void fault_set(struct fault *f, int status, const char *fmt, ...)
{
	va_list ap;

	*f = (struct fault){0};
	va_start(ap, fmt);
	describe(f, status, fmt, ap);
	va_end(ap);
}

bool fault_param(struct fault *f, const char *param, const char *fmt, ...)
{
	va_list ap;

	*f = (struct fault){0};
	va_start(ap, fmt);
	describe(f, 400, fmt, ap);
	va_end(ap);
	(void)snprintf(f->param, sizeof f->param, "%s", param);
	return false;
}

void fault_failed(struct fault *f, const struct msg_finished *end)
{
	switch (end->failure) {
	case FAILURE_BUSY:
		fault_set(f, 503, "%s", end->text);
		f->code = "unavailable";
		return;
	case FAILURE_MODEL:
		fault_set(f, 404, "%s", end->text);
		f->code = "model_not_found";
		(void)snprintf(f->param, sizeof f->param, "model");
		return;
	case FAILURE_REQUEST:
		fault_set(f, 400, "%s", end->text);
		return;
	case FAILURE_OTHER:
		break;
	}
	fault_set(f, 502, "the pool could not answer: %.220s",
	    end->reason == FINISH_FAILED ? end->text : "the request was cancelled there");
}

bool fault_memory(struct fault *f)
{
	fault_set(f, 500, "out of memory");
	return false;
}

/* ---- values ------------------------------------------------------------------------------- */

static const json_t *value(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	return json_is_null(v) ? NULL : v;
}

bool job_bool(const json_t *o, const char *name, bool *out, struct fault *f)
{
	const json_t *v = value(o, name);

	if (v != NULL && !json_is_boolean(v))
		return fault_param(f, name, "%s must be true or false", name);
	if (v != NULL)
		*out = json_is_true(v);
	return true;
}

bool job_number(
    const json_t *o, const char *name, double min, double max, float *out, struct fault *f)
{
	const json_t *v = value(o, name);
	double number = json_number_value(v);

	if (v != NULL && (!json_is_number(v) || !(number >= min && number <= max)))
		return fault_param(f, name, "%s must be a number from %g to %g", name, min, max);
	if (v != NULL)
		*out = (float)number;
	return true;
}

/* Some clients write whole numbers as 1.0. */
static bool whole_number(const json_t *v, double min, double max, json_int_t *out)
{
	double number = json_number_value(v);

	if (!json_is_number(v) || !(number >= min && number <= max) || number != floor(number))
		return false;
	*out = json_is_integer(v) ? json_integer_value(v) : (json_int_t)number;
	return true;
}

bool job_count(
    const json_t *o, const char *name, uint32_t min, uint32_t max, uint32_t *out, struct fault *f)
{
	const json_t *v = value(o, name);
	json_int_t number = 0;

	if (v != NULL && !whole_number(v, min, max, &number))
		return fault_param(
		    f, name, "%s must be a whole number from %u to %u", name, min, max);
	if (v != NULL)
		*out = (uint32_t)number;
	return true;
}

bool job_string(struct job *j, const json_t *o, const char *name, const char **out, struct fault *f)
{
	const json_t *v = value(o, name);
	const char *kept;

	if (v == NULL)
		return true;
	if (!json_is_string(v))
		return fault_param(f, name, "%s must be a string", name);
	kept = job_keep(j, v);
	if (kept == NULL)
		return fault_memory(f);
	*out = kept;
	return true;
}

/* Of 64 bits, signed or not: the same bits are the same seed. */
static bool read_seed(const json_t *o, uint64_t *out, struct fault *f)
{
	const json_t *v = value(o, "seed");
	json_int_t number = 0;

	/* below 2^63, which no json_int_t holds */
	if (v != NULL && !whole_number(v, -0x1p63, 0x1.fffffffffffffp62, &number) &&
	    !json_is_integer(v))
		return fault_param(f, "seed", "seed must be a whole number of 64 bits");
	if (v != NULL)
		*out = (uint64_t)(json_is_integer(v) ? json_integer_value(v) : number);
	return true;
}

/* ---- jobs --------------------------------------------------------------------------------- */

static void make_id(struct job *j)
{
	uint8_t random[12];
	size_t used = 0;

	random_bytes(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		used += (size_t)snprintf(j->id + used, sizeof j->id - used, "%02x", random[i]);
}

bool job_open(struct job *j, const char *data, size_t len, struct fault *f)
{
	struct sampler_settings s;
	json_error_t at;

	j->n = 1;
	j->created_ms = loop_wall_ms();
	make_id(j);
	sampler_defaults(&s);
	j->generate.sampling = work_sampling(&s);
	j->body = json_loadb(data != NULL ? data : "", len, 0, &at);
	if (j->body == NULL) {
		fault_set(f, 400, "the body is not JSON: %.100s at line %d, column %d (byte %d)",
		    at.text, at.line, at.column, at.position);
		return false;
	}
	if (!json_is_object(j->body)) {
		fault_set(f, 400, "the body must be a JSON object");
		return false;
	}
	j->kept = json_array();
	return true;
}

void job_close_body(struct job *j)
{
	json_decref(j->body);
	j->body = NULL;
}

void job_free(struct job *j)
{
	job_close_body(j);
	json_decref(j->kept);
	json_decref(j->tool_names);
	free(j->turns);
	free(j->tokens);
	*j = (struct job){0};
}

struct msg_generate job_choice(const struct job *j, uint32_t choice)
{
	struct msg_generate g = j->generate;

	g.turns = j->turns;
	g.tokens = j->tokens;
	g.sampling.seed += choice;
	return g;
}

const char *job_keep(struct job *j, const json_t *string)
{
	/* one more that refers to it: nothing is copied */
	return json_array_append(j->kept, (json_t *)string) == 0 ? json_string_value(string) : NULL;
}

bool job_model(struct job *j, struct fault *f)
{
	const char *name = "";

	if (!job_string(j, j->body, "model", &name, f))
		return false;
	if (strlen(name) >= sizeof j->generate.model) {
		fault_set(f, 404, "no model has so long a name");
		f->code = "model_not_found";
		return false;
	}
	memcpy(j->generate.model, name, strlen(name) + 1);
	return true;
}

bool job_sampling(struct job *j, const json_t *o, struct fault *f)
{
	struct sampling *to = &j->generate.sampling;
	struct sampler_settings s;
	struct error why;

	if (!job_number(o, "temperature", 0, 100, &to->temperature, f) ||
	    !job_number(o, "top_p", 0, 1, &to->top_p, f) ||
	    !job_number(o, "min_p", 0, 1, &to->min_p, f) ||
	    !job_number(o, "repeat_penalty", 0.01, 100, &to->repeat_penalty, f) ||
	    !job_number(o, "frequency_penalty", -2, 2, &to->frequency_penalty, f) ||
	    !job_number(o, "presence_penalty", -2, 2, &to->presence_penalty, f) ||
	    !job_count(o, "top_k", 0, LIMIT_VOCABULARY, &to->top_k, f) ||
	    !job_count(o, "repeat_last_n", 0, LIMIT_CONTEXT_TOKENS, &to->repeat_last_n, f) ||
	    !read_seed(o, &to->seed, f))
		return false;
	s = work_settings(to);
	if (sampler_check(&s, &why) != AYNI_OK) {
		fault_set(f, 400, "%s", why.text);
		return false;
	}
	return true;
}

static bool add_stop(struct job *j, const json_t *v, size_t most, struct fault *f)
{
	size_t len = json_string_length(v);
	const char *stop;

	if (!json_is_string(v) || len == 0 || len > STOP_BYTES_MAX || j->stops.n == most)
		return fault_param(f, "stop",
		    "stop must be a string or a list of up to %zu, each of 1 to %d bytes", most,
		    STOP_BYTES_MAX);
	stop = job_keep(j, v);
	if (stop == NULL)
		return fault_memory(f);
	j->stops.list[j->stops.n++] = stop;
	return true;
}

bool job_stops(struct job *j, const json_t *o, size_t most, struct fault *f)
{
	const json_t *v = value(o, "stop"), *each;
	size_t i;

	if (v == NULL)
		return true;
	if (!json_is_array(v))
		return add_stop(j, v, most, f);
	json_array_foreach(v, i, each)
	{
		if (!add_stop(j, each, most, f))
			return false;
	}
	return true;
}

static bool is_neutral(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_NULL:
	case JSON_FALSE:
		return true;
	case JSON_INTEGER:
	case JSON_REAL:
		return json_number_value(v) == 0;
	case JSON_STRING:
		return json_string_length(v) == 0;
	case JSON_ARRAY:
		return json_array_size(v) == 0;
	case JSON_OBJECT:
		return json_object_size(v) == 0;
	case JSON_TRUE:
		break;
	}
	return false;
}

bool job_refuses(const json_t *o, const char *const *names, struct fault *f)
{
	for (size_t i = 0; names[i] != NULL; i++) {
		const json_t *v = json_object_get(o, names[i]);

		if (v == NULL || is_neutral(v))
			continue;
		(void)fault_param(f, names[i], "%s is not supported here", names[i]);
		f->code = "unsupported_parameter";
		return false;
	}
	return true;
}

/* ---- conversations ------------------------------------------------------------------------ */

bool job_turns_reserve(struct job *j, size_t n, struct fault *f)
{
	struct turn *turns;

	if (n > JOB_TURNS_MAX - j->generate.n_turns)
		return fault_param(f, "messages", "at most %d messages are allowed", JOB_TURNS_MAX);
	turns = reallocarray(j->turns, j->generate.n_turns + n, sizeof *turns);
	if (turns == NULL)
		return fault_memory(f);
	j->turns = turns;
	return true;
}

bool job_turn(struct job *j, const char *role, const char *content, struct fault *f)
{
	if (role == NULL || content == NULL)
		return fault_memory(f);
	j->turns[j->generate.n_turns++] =
	    (struct turn){.role = (char *)role, .content = (char *)content};
	return true;
}

bool job_messages(struct job *j, job_message_fn *read, struct fault *f)
{
	const json_t *messages = json_object_get(j->body, "messages"), *message;
	size_t i;

	if (!json_is_array(messages) || json_array_size(messages) == 0)
		return fault_param(f, "messages", "messages must be a list that is not empty");
	if (!job_turns_reserve(j, json_array_size(messages), f))
		return false;
	json_array_foreach(messages, i, message)
	{
		if (!read(j, message, i, f))
			return false;
	}
	return true;
}
