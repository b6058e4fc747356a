/* SPDX-License-Identifier: Apache-2.0 */
/* Answers with files of the page, and what browsers are told about it. */
#include "node/gateway/page.h"

#include "node/gateway/http_internal.h"

/* Nothing from elsewhere, nothing written into the page itself, and no page of others around it. */
#define PAGE_POLICY                                                                                \
	"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "        \
	"object-src 'none'"

void page_get(struct exchange *x, const char *name)
{
	for (size_t i = 0; i < page_n_files && x->page == NULL; i++) {
		if (strcmp(page_files[i].name, name) == 0)
			x->page = &page_files[i];
	}
	if (x->page == NULL) {
		fault_set(&x->fault, 404, "there is no such file");
		return;
	}
	x->content_type = x->page->type;
	x->cache_control = "no-cache"; /* it is asked for again, and costs a 304 */
}

/* RFC 9110, section 13.1.2: a list of tags, or a star. None of ours is part of another. */
static bool reader_has_it(const struct exchange *x)
{
	const char *tags = exchange_header(x, MHD_HTTP_HEADER_IF_NONE_MATCH);

	return tags != NULL && (strcmp(tags, "*") == 0 || strstr(tags, x->page->etag) != NULL);
}

struct MHD_Response *page_response(const struct exchange *x, unsigned *status)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(
	    x->page->len, (void *)(uintptr_t)x->page->data, MHD_RESPMEM_PERSISTENT);

	if (r == NULL)
		return NULL;
	if (reader_has_it(x))
		*status = MHD_HTTP_NOT_MODIFIED; /* MHD sends no body with it */
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_ETAG, x->page->etag);
	(void)MHD_add_response_header(r, "Content-Security-Policy", PAGE_POLICY);
	(void)MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
	return r;
}
