/* SPDX-License-Identifier: Apache-2.0 */
/* A hub's list of files, and what follows from it: a line with what is wanted, then the JSON. */
#include <stdlib.h>

#include "node/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name)
{
	char local[HUB_NAME_BYTES], url[HUB_URL_BYTES];

	if (name[0] == '/' || strstr(name, "..") != NULL)
		abort();
	if (hub_local_name(name, local, NULL) == AYNI_OK && strchr(local, '/') != NULL)
		abort();
	if (hub_file_url("https://h", "a/b", name, url, NULL) == AYNI_OK &&
	    strpbrk(url, " \n?#") != NULL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	struct hub_reference reference;
	struct hub_files files;
	char wanted[64];
	size_t first, n;

	if (end == NULL)
		return -1;
	(void)snprintf(wanted, sizeof wanted, "%.*s", (int)(end - data < 63 ? end - data : 63),
	    (const char *)data);
	(void)hub_reference_parse(wanted, &reference, NULL);
	if (hub_listing_parse(
	        (const char *)end + 1, size - (size_t)(end + 1 - data), &files, NULL) == AYNI_OK) {
		for (size_t i = 0; i < files.n; i++)
			check_name(files.list[i].name);
		if (hub_choose(&files, wanted, &first, &n, NULL) == AYNI_OK && first + n > files.n)
			abort();
	}
	hub_files_free(&files);
	return 0;
}
