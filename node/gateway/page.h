/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations room: the files of node/gateway/web, which the build puts into the program
 * (embed_web.sh), so that the page needs nothing from elsewhere. Constant, any thread.
 */
#ifndef AYNI_NODE_GATEWAY_PAGE_H
#define AYNI_NODE_GATEWAY_PAGE_H

#include "protocol/base.h"

struct page_file {
	const char *name; /* "index.html", "vendor/uPlot.min.css" */
	const char *type; /* Content-Type */
	const char *etag; /* quoted; of the content */
	const uint8_t *data;
	size_t len;
};

extern const struct page_file page_files[];
extern const size_t page_n_files;

#endif
