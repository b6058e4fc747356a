/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many files and sockets a process may have open. Shells give few, and a daemon whose
 * connections take them all hears nobody any more.
 */
#ifndef AYNI_NODE_DESCRIPTORS_H
#define AYNI_NODE_DESCRIPTORS_H

#include <stdint.h>

/* For so many connections, and some for the rest; a warning if the system allows less. */
void descriptors_raise(uint32_t connections);

#endif
