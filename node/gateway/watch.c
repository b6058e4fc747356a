/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who watches the pool: streams of server-sent events (WHATWG HTML, 9.2) with its status, one each
 * second while anybody watches, from one question to the pool. A watcher that has not read one yet
 * is not sent the next, so that what waits for it is one event; MHD closes it when it reads nothing
 * for as long as a connection may stand still.
 */
#include "node/gateway/http_internal.h"

#include <utlist.h>

#include "node/loop.h"
#include "node/status_json.h"

enum { WATCH_US = 1000000 };

static void on_time(void *http)
{
	struct http *h = http;

	if (h->watchers == NULL)
		return;
	(void)loop_timer(h->loop, loop_now_us() + WATCH_US, on_time, h, NULL);
	h->watch_due = true;
	if (!backend_want_status(h->backend))
		watch_status(h, NULL);
}

void watch_status(struct http *h, const struct msg_status *s)
{
	struct text event = {0};

	if (!h->watch_due)
		return; /* somebody else's question */
	h->watch_due = false;
	text_add_string(&event, s != NULL ? "data: " : "event: gone\ndata: ");
	text_add_json(&event, s != NULL ? status_json(s) : json_object());
	text_add_string(&event, "\n\n");
	for (struct exchange *x = h->watchers; x != NULL; x = x->wait_next) {
		if (x->out.len > 0 || event.failed)
			continue;
		text_add(&x->out, event.data, event.len);
		exchange_wake(x);
	}
	text_free(&event);
}

void watch_get(struct exchange *x)
{
	struct http *h = x->http;

	if (h->n_watchers == WATCHERS_MAX) {
		fault_set(&x->fault, 503, "%d watch already; try again later", WATCHERS_MAX);
		return;
	}
	x->state = EXCHANGE_STREAM;
	x->content_type = "text/event-stream";
	text_add_string(&x->out, "retry: 2000\n\n");
	x->watches = true;
	DL_APPEND2(h->watchers, x, wait_prev, wait_next);
	if (h->n_watchers++ == 0)
		(void)loop_timer(h->loop, loop_now_us(), on_time, h, NULL);
}

void watch_end(struct exchange *x)
{
	if (!x->watches)
		return;
	DL_DELETE2(x->http->watchers, x, wait_prev, wait_next);
	x->http->n_watchers--;
}
