/* SPDX-License-Identifier: Apache-2.0 */
/* Before main: run only the tests whose name matches TEST_FILTER, if that is set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void filter_from_environment(void)
{
	const char *pattern = getenv("TEST_FILTER");

	if (pattern != NULL)
		cmocka_set_test_filter(pattern);
}
