/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of a test's own under $TMPDIR (or /tmp), removed with all that is in it. */
#ifndef AYNI_TESTS_SUPPORT_SCRATCH_H
#define AYNI_TESTS_SUPPORT_SCRATCH_H

struct scratch {
	char folder[512];
	char path[1024]; /* of the last scratch_path */
};

void scratch_make(struct scratch *s); /* ends the test program if it cannot */
void scratch_remove(struct scratch *s);
/* "<folder>/<name>", valid until the next call. */
const char *scratch_path(struct scratch *s, const char *name);

#endif
