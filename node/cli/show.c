/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/show.h"

#include <unistd.h>

static void dim(bool on)
{
	if (isatty(STDERR_FILENO) == 1)
		(void)fputs(on ? "\033[2m" : "\033[0m", stderr);
}

static void end_reasoning(struct show *s)
{
	if (!s->thinking)
		return;
	dim(false);
	(void)fputs("\n\n", stderr);
	s->thinking = false;
}

void show_text(struct show *s, struct span reasoning, struct span answer)
{
	if (reasoning.len > 0 && !s->hides_reasoning) {
		if (!s->thinking)
			dim(true);
		s->thinking = true;
		(void)fwrite(reasoning.data, 1, reasoning.len, stderr);
	}
	if (answer.len > 0) {
		end_reasoning(s);
		(void)fwrite(answer.data, 1, answer.len, stdout);
		(void)fflush(stdout);
	}
}

void show_end(struct show *s)
{
	end_reasoning(s);
	(void)putchar('\n');
	(void)fflush(stdout);
}
