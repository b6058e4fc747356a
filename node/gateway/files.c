/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a folder, as they are: the tiles of a transparency log (C2SP tlog-tiles). A name that
 * was once served under tile/ never changes its content; all others may at any time.
 */
#include "node/gateway/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES_MAX = 255 };

static bool is_allowed(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789._/-";
	size_t len = strlen(name);

	return len > 0 && len <= NAME_BYTES_MAX && strspn(name, allowed) == len &&
	       strstr(name, "..") == NULL && strstr(name, "//") == NULL && name[0] != '/' &&
	       name[len - 1] != '/';
}

/* Step by step, so that no part of the name is a link out of the folder. -1: errno. */
static int open_below(const char *folder, const char *name)
{
	int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), next, why;

	while (at >= 0) {
		char part[NAME_BYTES_MAX + 1];
		size_t len = strcspn(name, "/");
		bool last = name[len] == '\0';

		memcpy(part, name, len);
		part[len] = '\0';
		name += len + !last;
		next = openat(at, part,
		    O_NOFOLLOW | O_CLOEXEC | (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY));
		why = errno;
		(void)close(at);
		errno = why;
		if (last)
			return next;
		at = next;
	}
	return -1;
}

static const char *type_of(const char *name)
{
	return strcmp(name, "checkpoint") == 0 ? "text/plain; charset=utf-8"
	                                       : "application/octet-stream";
}

void files_get(struct exchange *x, const char *folder, const char *name)
{
	bool is_tile = strncmp(name, "tile/", 5) == 0;
	struct stat st;

	x->file = folder != NULL && is_allowed(name) ? open_below(folder, name) : -1;
	if (x->file >= 0 && (fstat(x->file, &st) != 0 || !S_ISREG(st.st_mode))) {
		(void)close(x->file);
		x->file = -1;
	}
	if (x->file < 0) {
		fault_set(&x->fault, 404, "there is no such file");
		return;
	}
	x->content_type = type_of(name);
	x->cache_control = is_tile ? "public, max-age=31536000, immutable" : "no-cache";
}
