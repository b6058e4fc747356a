/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The computing process of a donor: the body of `ayni worker`. Reads commands from its socket,
 * holds one range of a model's layers and the sessions' KV caches, and answers each command; ends
 * when the daemon's end of the socket closes.
 */
#ifndef AYNI_NODE_DONOR_WORKER_H
#define AYNI_NODE_DONOR_WORKER_H

/* The exit status of the process. `kernels`: "auto", "scalar", "avx2". */
int worker_main(int socket_fd, unsigned threads, const char *kernels);

#endif
