/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/progress.h"

#include <unistd.h>

#include "node/loop.h"

enum { TERMINAL_US = 200000, LINE_CHARS = 110 };

void progress_begin(struct progress *p)
{
	*p = (struct progress){.terminal = isatty(STDERR_FILENO) == 1, .began_us = loop_now_us()};
}

double progress_seconds(const struct progress *p)
{
	return (double)(loop_now_us() - p->began_us) * 1e-6;
}

bool progress_due(struct progress *p, unsigned quiet_s)
{
	uint64_t now = loop_now_us();
	uint64_t last = p->shown_us > 0 ? p->shown_us : p->began_us;

	if (now - last < (p->terminal ? TERMINAL_US : (uint64_t)quiet_s * 1000000))
		return false;
	p->shown_us = now;
	return true;
}

void progress_clear(const struct progress *p)
{
	if (p->terminal && p->shown_us > 0)
		(void)fprintf(stderr, "\r%-*s\r", LINE_CHARS, "");
}
