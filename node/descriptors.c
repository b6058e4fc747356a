/* SPDX-License-Identifier: Apache-2.0 */
#include "node/descriptors.h"

#include <sys/resource.h>

#include "node/report.h"

enum { REST = 64 };

void descriptors_raise(uint32_t connections)
{
	rlim_t wanted = (rlim_t)connections + REST;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
		report(REPORT_WARNING, "only %llu descriptors are allowed, for %u connections",
		    (unsigned long long)limit.rlim_cur, connections);
}
