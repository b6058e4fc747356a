/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

/* What stands behind "model name : " in /proc/cpuinfo; other machines than x86-64 may lack it. */
static void read_processor(char *out, size_t out_bytes)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[256];

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		const char *value = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || value == NULL)
			continue;
		value += strspn(value, ": \t");
		(void)snprintf(out, out_bytes, "%.*s", (int)strcspn(value, "\n"), value);
		break;
	}
	if (f != NULL)
		(void)fclose(f);
}

void machine_describe(struct machine *out)
{
	struct utsname u = {0};
	long n = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);

	(void)uname(&u);
	*out = (struct machine){.processors = n > 0 ? (unsigned)n : 1,
	    .memory_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE)};
	(void)snprintf(out->processor, sizeof out->processor, "%.60s", u.machine);
	read_processor(out->processor, sizeof out->processor);
	(void)snprintf(out->system, sizeof out->system, "%.30s %.60s", u.sysname, u.release);
}
