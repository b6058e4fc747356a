/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `ayni model` that have files of their own; as in cli.h. */
#ifndef AYNI_NODE_CLI_MODEL_H
#define AYNI_NODE_CLI_MODEL_H

int cli_model_eval(int argc, char **argv);
int cli_model_list(int argc, char **argv);
int cli_model_publish(int argc, char **argv);
int cli_model_pull(int argc, char **argv);
int cli_model_rm(int argc, char **argv);
int cli_model_quantize(int argc, char **argv);

#endif
