/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests to the gateway: a byte that says to which API, then the body. */
#include <stdlib.h>

#include "node/gateway/api.h"
#include "node/work.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever was read can be sent and drawn as it is, and answered. */
static void check_job(const struct api *api, const struct job *j)
{
	struct sampler_settings s = work_settings(&j->generate.sampling);
	struct choice choices[JOB_CHOICES_MAX] = {0};
	struct msg_generate g = job_choice(j, 0);
	struct text out = {0};

	if (sampler_check(&s, NULL) != AYNI_OK || j->n < 1 || j->n > JOB_CHOICES_MAX ||
	    g.logprobs > 1 + LOGPROB_ALTERNATIVES_MAX ||
	    (g.n_turns > 0) + (g.prompt != NULL) + (g.n_tokens > 0) != 1)
		abort();
	for (size_t i = 0; i < g.n_turns; i++) {
		if (strlen(g.turns[i].role) < 1 || strlen(g.turns[i].role) > 32 ||
		    g.turns[i].content == NULL)
			abort();
	}
	for (size_t i = 0; i < j->stops.n; i++) {
		if (strlen(j->stops.list[i]) < 1 || strlen(j->stops.list[i]) > STOP_BYTES_MAX)
			abort();
	}
	api->whole(j, choices, &out);
	if (out.failed)
		abort();
	text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct api *const apis[] = {
	    &openai_chat, &openai_completions, &ollama_chat, &ollama_generate, &openai_responses};
	const struct api *api;
	struct job job = {0};
	struct fault fault = {0};
	struct text out = {0};

	if (size == 0)
		return -1;
	api = apis[data[0] % 5];
	if (job_open(&job, (const char *)data + 1, size - 1, &fault) && api->read(&job, &fault)) {
		job_close_body(&job); /* nothing points into it any more */
		check_job(api, &job);
	} else {
		if (fault.status < 400)
			abort();
		api->fault(&fault, &out);
		if (out.failed)
			abort();
		text_free(&out);
	}
	job_free(&job);
	return 0;
}
