/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lint.sh shows its tools before each file, and no compiler ever sees: what a function or
 * macro does that the tool cannot look into.
 */
#ifdef __cppcheck__

/* cppcheck reads no headers of the system. */
#define HASH_ITER(hh, head, el, tmp)                                                               \
	for ((el) = (head); (el) != NULL && ((tmp) = (el)->hh.next, 1); (el) = (tmp))
#define fail_msg(...) exit(1)
#define json_array_foreach(array, i, value)                                                        \
	for ((i) = 0; (i) < json_array_size(array); (i)++)                                         \
		if (((value) = json_array_get(array, i)) != NULL)
#define json_object_foreach(object, key, value)                                                    \
	for ((key) = json_first(object); ((value) = json_get(object, key)) != NULL;                \
	     (key) = json_next(object, key))

#else

/*
 * Clang's analyzer does not follow functions with variable arguments, so it would believe that
 * error_set() may return AYNI_OK. Here its result is what it is: the code it was given.
 */
#include "protocol/base.h"

#define error_set(err, code, ...) ((void)(error_set)((err), (code), __VA_ARGS__), (int)(code))

#endif
