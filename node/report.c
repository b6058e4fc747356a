/* SPDX-License-Identifier: Apache-2.0 */
#include "node/report.h"

static char role_name[64] = "ayni";
static enum report_level highest = REPORT_INFO;
static const char *const level_names[] = {"error", "warning", "info", "debug"};

void report_setup(const char *role, enum report_level level)
{
	(void)snprintf(role_name, sizeof role_name, "ayni %s", role);
	highest = level;
}

int report_level_parse(const char *text, enum report_level *out)
{
	for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
		if (strcmp(text, level_names[i]) == 0) {
			*out = (enum report_level)i;
			return AYNI_OK;
		}
	}
	return AYNI_ERR_ARGUMENT;
}

void report(enum report_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (level > highest)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	/* one call, so that lines of several processes on one terminal stay whole */
	if (level <= REPORT_WARNING)
		(void)fprintf(stderr, "%s: %s: %s\n", role_name, level_names[level], line);
	else
		(void)fprintf(stderr, "%s: %s\n", role_name, line);
}
