/* SPDX-License-Identifier: Apache-2.0 */
#include "node/gateway/http_internal.h"

/* ---- ends --------------------------------------------------------------------------------- */

void exchange_drop(struct exchange *x)
{
	for (uint32_t i = 0; i < x->job.n; i++) {
		backend_drop(x->http->backend, x->slots[i].request);
		x->slots[i].request = NULL;
	}
	x->n_open = 0;
}

/* Nothing more comes: x->fault is told, by status or, where that has gone out, in the stream. */
static void break_off(struct exchange *x)
{
	exchange_drop(x);
	if (x->state == EXCHANGE_STREAM) {
		x->route->api->broken(&x->fault, x->choices, &x->out);
		x->over = true;
	} else {
		x->state = EXCHANGE_ANSWER;
	}
	exchange_wake(x);
}

static void finish(struct exchange *x)
{
	if (x->job.stream) {
		x->route->api->end(&x->job, x->choices, &x->out);
		x->over = true;
		x->state = EXCHANGE_STREAM;
	} else {
		x->route->api->whole(&x->job, x->choices, &x->out);
		x->state = EXCHANGE_ANSWER;
	}
	exchange_wake(x);
}

/* ---- pieces ------------------------------------------------------------------------------- */

static size_t collected(const struct exchange *x)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < x->job.n; i++) {
		const struct choice *c = &x->choices[i];

		bytes += c->answer.len + c->reasoning.len + c->calls.bytes + c->calls.held.len;
		for (int k = 0; k < TOKEN_TEXTS; k++)
			bytes += c->tokens[k].len;
	}
	return bytes;
}

/* False: it broke off. */
static bool within_bounds(struct exchange *x)
{
	const struct http_limits *limits = &x->http->options.limits;

	if (x->out.failed) {
		fault_set(&x->fault, 500, "out of memory");
	} else if (x->out.len - x->sent > limits->stream_bytes) {
		x->http->counts.too_slow++;
		fault_set(&x->fault, 500,
		    "the answer was not read fast enough: more than %zu bytes of it waited",
		    limits->stream_bytes);
	} else if (collected(x) > ANSWER_BYTES_MAX) {
		fault_set(&x->fault, 500, "the answer is longer than %d bytes: stream it",
		    ANSWER_BYTES_MAX);
	} else {
		return true;
	}
	break_off(x);
	return false;
}

static void keep(struct exchange *x, struct choice *c, const struct part *p)
{
	text_add(&c->answer, p->answer.data, p->answer.len);
	text_add(&c->reasoning, p->reasoning.data, p->reasoning.len);
	x->out.failed |= c->answer.failed || c->reasoning.failed;
	if (p->n_tokens > 0)
		x->route->api->tokens(p, c->tokens);
	for (int k = 0; k < TOKEN_TEXTS; k++)
		x->out.failed |= c->tokens[k].failed;
}

/* Of the text what is said, and what calls tools. */
static void find_calls(struct choice *c, struct part *p, bool last, struct text *said)
{
	p->first_call = tool_calls_n(&c->calls);
	tool_calls_feed(&c->calls, p->answer, said);
	if (last)
		tool_calls_end(&c->calls, said);
	p->n_calls = tool_calls_n(&c->calls) - p->first_call;
	p->answer = text_span(said);
}

static bool hand_out(struct exchange *x, uint32_t i, const struct part *p)
{
	struct choice *c = &x->choices[i];

	if (p->answer.len + p->reasoning.len + p->n_tokens + p->n_calls == 0)
		return true;
	if (!x->job.stream || x->route->api->keeps)
		keep(x, c, p);
	if (x->job.stream) {
		x->route->api->piece(&x->job, c, i, p, &x->out);
		c->begun = true;
		x->state = EXCHANGE_STREAM;
		exchange_wake(x);
	}
	token_list_drop(&c->waiting, p->n_tokens);
	return within_bounds(x);
}

static bool emit(struct exchange *x, uint32_t i, struct part p, bool last)
{
	struct choice *c = &x->choices[i];
	struct text said = {0};
	bool goes_on;

	c->sent += p.answer.len;
	p.tokens = c->waiting.list;
	p.n_tokens = token_list_ready(&c->waiting, c->sent, last && !c->stopped);
	x->out.failed |= c->waiting.failed;
	find_calls(c, &p, last, &said);
	x->out.failed |= said.failed;
	goes_on = hand_out(x, i, &p);
	text_free(&said);
	return goes_on;
}

static void on_piece(void *context, const struct msg_piece *p)
{
	struct slot *slot = context;
	struct exchange *x = slot->exchange;
	uint32_t i = (uint32_t)(slot - x->slots);
	struct choice *c = &x->choices[i];
	struct span answer = {0};
	bool found;

	if (pseudonym_is_set(&p->session))
		c->session = p->session;
	if (c->stopped)
		return;
	if (p->tool_format != TOOL_FORMAT_NONE && c->calls.format == TOOL_FORMAT_NONE)
		tool_calls_begin(&c->calls, (enum tool_format)p->tool_format, x->job.tool_names,
		    x->job.one_call ? 1 : UINT32_MAX);
	c->n_tokens += (uint32_t)p->n_tokens;
	token_list_add(&c->waiting, p);
	text_add(&c->held, p->text.data, p->text.len);
	answer = text_span(&c->held);
	answer.len = stops_find(&x->job.stops, &c->held, &found);
	if (!emit(x, i,
	        (struct part){.answer = answer, .reasoning = {p->reasoning.data, p->reasoning.len}},
	        false))
		return;
	text_drop(&c->held, found ? c->held.len : answer.len);
	if (found || (x->job.one_call && tool_calls_n(&c->calls) > 0)) {
		c->stopped = true;
		backend_cancel(x->http->backend, slot->request);
	}
}

static void on_end(void *context, const struct msg_finished *f)
{
	struct slot *slot = context;
	struct exchange *x = slot->exchange;
	uint32_t i = (uint32_t)(slot - x->slots);
	struct choice *c = &x->choices[i];

	slot->request = NULL;
	x->n_open--;
	c->ended = true;
	c->end = *f;
	c->end.n_shares = 0;
	c->end.shares = NULL;
	if (!c->stopped && (f->reason == FINISH_FAILED || f->reason == FINISH_CANCELLED)) {
		fault_failed(&x->fault, f);
		break_off(x);
		return;
	}
	if (!emit(x, i, (struct part){.answer = text_span(&c->held)}, true))
		return;
	text_free(&c->held);
	token_list_free(&c->waiting); /* of a stop string, if there are any */
	if (x->job.stream) {
		x->route->api->choice_end(&x->job, c, i, &x->out);
		c->begun = true;
	}
	if (x->n_open == 0)
		finish(x);
}

/* ---- begin -------------------------------------------------------------------------------- */

static void fault_unasked(struct fault *f, const struct error *why)
{
	switch (why->code) {
	case AYNI_ERR_AGAIN:
		fault_set(f, 503, "%s", why->text);
		f->code = "unavailable";
		break;
	case AYNI_ERR_ARGUMENT:
	case AYNI_ERR_FORMAT:
		fault_set(f, 400, "%s", why->text);
		break;
	case AYNI_ERR_LIMIT:
		fault_set(f, 413, "%s", why->text);
		break;
	default:
		fault_set(f, 500, "%s", why->text);
		break;
	}
}

void exchange_ask(struct exchange *x)
{
	static const struct backend_events events = {on_piece, on_end};
	struct error err = {0};

	if (!job_open(&x->job, x->body.data, x->body.len, &x->fault) ||
	    !x->route->api->read(&x->job, &x->fault))
		return;
	job_close_body(&x->job);
	text_free(&x->body);
	for (uint32_t i = 0; i < x->job.n; i++) {
		struct msg_generate g = job_choice(&x->job, i);

		x->slots[i].exchange = x;
		if (backend_ask(x->http->backend, &g, &events, &x->slots[i], &x->slots[i].request,
		        &err) != AYNI_OK) {
			exchange_drop(x);
			fault_unasked(&x->fault, &err);
			return;
		}
		x->n_open++;
	}
	x->state = EXCHANGE_WAITING;
}

/* ---- the stream to its reader ------------------------------------------------------------- */

ssize_t exchange_read(void *exchange, uint64_t position, char *to, size_t max)
{
	struct exchange *x = exchange;
	size_t n = x->out.len - x->sent;

	(void)position;
	if (x->gone || x->out.failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0 && x->over)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0) {
		exchange_suspend(x);
		return 0;
	}
	if (n > max)
		n = max;
	memcpy(to, x->out.data + x->sent, n);
	x->sent += n;
	if (x->sent == x->out.len)
		x->out.len = x->sent = 0;
	return (ssize_t)n;
}
