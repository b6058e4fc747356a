/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/show.h"

#include <stdlib.h>
#include <unistd.h>

bool show_is_coloured(FILE *f)
{
	const char *none = getenv("NO_COLOR");

	return (none == NULL || none[0] == '\0') && isatty(fileno(f)) == 1;
}

void show_dim(bool on)
{
	if (show_is_coloured(stderr))
		(void)fputs(on ? "\033[2m" : "\033[0m", stderr);
}

static void end_reasoning(struct show *s)
{
	if (!s->thinking)
		return;
	show_dim(false);
	(void)fputs("\n\n", stderr);
	s->thinking = false;
}

void show_text(struct show *s, struct span reasoning, struct span answer)
{
	if (reasoning.len > 0 && !s->hides_reasoning) {
		if (!s->thinking)
			show_dim(true);
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
