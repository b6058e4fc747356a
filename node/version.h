/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AYNI_NODE_VERSION_H
#define AYNI_NODE_VERSION_H

#define AYNI_VERSION "0.1.0"

#endif
