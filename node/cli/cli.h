/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subcommands. Each takes its own argv (argv[0] is "ayni NAME") and gives the exit status: 0
 * done, 1 it could not be done, 2 it was asked for wrongly. Only this room prints.
 */
#ifndef AYNI_NODE_CLI_CLI_H
#define AYNI_NODE_CLI_CLI_H

#include "protocol/base.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* Of --kernels, where computing is for this machine alone. */
#define CLI_KERNELS_DOC                                                                            \
	"auto, scalar, avx2, ... (default auto), which all give the same bits; or fast: large "    \
	"products by OpenBLAS, whose last bits differ between machines"

/* Of --wire. */
#define CLI_WIRE_DOC                                                                               \
	"what activations are between layers: f32; f16 or q8 for half or a quarter of the way's "  \
	"bytes and less exact answers, the same through any donors (default f32)"

int cli_bench(int argc, char **argv);
int cli_chat(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_donate(int argc, char **argv);
int cli_invite(int argc, char **argv);
int cli_key(int argc, char **argv);
int cli_ledger(int argc, char **argv);
int cli_model(int argc, char **argv);
int cli_pardon(int argc, char **argv);
int cli_pool(int argc, char **argv);
int cli_run(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_worker(int argc, char **argv); /* not for people: a donor's computing process */

/* Print "ayni NAME: text" on stderr; the exit status that fits the error. */
int cli_fail(const char *command, const struct error *err);

#endif
