/* SPDX-License-Identifier: Apache-2.0 */
#include <argp.h>
#include <signal.h>
#include <stdlib.h>

#include "node/cli/cli.h"
#include "node/version.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary; /* NULL: not for people */
} commands[] = {
    {"demo", cli_demo, "show a whole network on this machine"},
    {"chat", cli_chat, "talk to a model of a pool"},
    {"donate", cli_donate, "lend spare CPU to a pool"},
    {"pool", cli_pool, "run a pool"},
    {"serve", cli_serve, "answer OpenAI's and Ollama's clients with a pool's models"},
    {"invite", cli_invite, "make a ticket with which others join a pool"},
    {"pardon", cli_pardon, "let a pool believe a donor again"},
    {"status", cli_status, "show a pool's models, donors and counters"},
    {"ledger", cli_ledger, "read and check the contribution ledger"},
    {"run", cli_run, "run a model on this machine alone"},
    {"model", cli_model, "inspect, evaluate, tokenize with a model file"},
    {"bench", cli_bench, "measure how fast this machine runs models"},
    {"key", cli_key, "create or show an identity"},
    {"worker", cli_worker, NULL},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void usage(FILE *to)
{
	(void)fprintf(to, "Usage: ayni COMMAND [OPTION...]\n\n"
	                  "A volunteer network that runs open language models on spare CPUs.\n\n"
	                  "Commands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (commands[i].summary != NULL)
			(void)fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].summary);
	}
	(void)fprintf(to, "\n`ayni COMMAND --help` tells more of each; `ayni --version`.\n");
}

static int run_command(const struct command *c, int argc, char **argv)
{
	static char name[64];

	(void)snprintf(name, sizeof name, "ayni %s", c->name);
	argv[0] = name;
	return c->run(argc, argv);
}

int main(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : "";

	argp_err_exit_status = CLI_USAGE;
	(void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of write, not a death */
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(word, commands[i].name) == 0)
			return run_command(&commands[i], argc - 1, argv + 1);
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
		usage(stdout);
		return CLI_OK;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		(void)printf("ayni %s\n", AYNI_VERSION);
		return CLI_OK;
	}
	if (word[0] != '\0')
		(void)fprintf(stderr, "ayni: there is no command \"%s\"\n\n", word);
	usage(stderr);
	return CLI_USAGE;
}
