/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { OPEN_FOLDERS = 8 };

void scratch_make(struct scratch *s)
{
	const char *base = getenv("TMPDIR");

	(void)snprintf(
	    s->folder, sizeof s->folder, "%s/ayni-test-XXXXXX", base == NULL ? "/tmp" : base);
	if (mkdtemp(s->folder) == NULL) {
		perror(s->folder);
		abort();
	}
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

void scratch_remove(struct scratch *s)
{
	(void)nftw(s->folder, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_path(struct scratch *s, const char *name)
{
	(void)snprintf(s->path, sizeof s->path, "%s/%s", s->folder, name);
	return s->path;
}
