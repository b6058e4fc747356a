/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/command.h"

enum arity { TAKES_NONE, TAKES_ONE_OR_NONE, TAKES_ONE };

static const struct entry {
	const char *name;
	enum command_kind kind;
	enum arity arity;
	const char *help;
} entries[] = {
    {"/help", COMMAND_HELP, TAKES_NONE, "/help            these lines"},
    {"/model", COMMAND_MODEL, TAKES_ONE_OR_NONE,
        "/model [NAME]    list the pool's models, or go on with another"},
    {"/system", COMMAND_SYSTEM, TAKES_ONE_OR_NONE,
        "/system [TEXT]   show the system message, or set it; /system \"\" removes it"},
    {"/save", COMMAND_SAVE, TAKES_ONE,
        "/save FILE       write the conversation as JSON, for its owner's eyes alone"},
    {"/load", COMMAND_LOAD, TAKES_ONE, "/load FILE       go on with a saved conversation"},
    {"/clear", COMMAND_CLEAR, TAKES_NONE, "/clear           begin anew; the system message stays"},
    {"/forget", COMMAND_FORGET, TAKES_NONE, "/forget          erase the history of typed lines"},
    {"/quit", COMMAND_QUIT, TAKES_NONE, "/quit            end (so does Ctrl-D)"},
};

enum { N_ENTRIES = sizeof entries / sizeof *entries };

#define SPACE " \t\n"

const char *command_help(size_t i)
{
	return i < N_ENTRIES ? entries[i].help : NULL;
}

static struct command unknown(const char *name, struct error *err)
{
	char names[128] = "";
	size_t at = 0;

	for (size_t i = 0; i < N_ENTRIES && at < sizeof names; i++)
		at += (size_t)snprintf(
		    names + at, sizeof names - at, "%s%s", i > 0 ? " " : "", entries[i].name);
	(void)error_set(err, AYNI_ERR_ARGUMENT,
	    "there is no command %.32s, but %s (// begins a message with a slash)", name, names);
	return (struct command){COMMAND_WRONG, ""};
}

/* Cut the command from its argument; both lose the white space around them. */
static char *split(char *text)
{
	char *argument = text + strcspn(text, SPACE);
	size_t n;

	if (*argument != '\0')
		*argument++ = '\0';
	argument += strspn(argument, SPACE);
	for (n = strlen(argument); n > 0 && strchr(SPACE, argument[n - 1]) != NULL; n--)
		argument[n - 1] = '\0';
	return argument;
}

struct command command_parse(char *text, struct error *err)
{
	char *argument;

	if (text[0] != '/')
		return (struct command){COMMAND_MESSAGE, text};
	if (text[1] == '/')
		return (struct command){COMMAND_MESSAGE, text + 1};
	argument = split(text);
	for (size_t i = 0; i < N_ENTRIES; i++) {
		const struct entry *e = &entries[i];

		if (strcmp(text, e->name) != 0)
			continue;
		if ((e->arity == TAKES_ONE && *argument == '\0') ||
		    (e->arity == TAKES_NONE && *argument != '\0')) {
			(void)error_set(err, AYNI_ERR_ARGUMENT, "%s", e->help);
			return (struct command){COMMAND_WRONG, ""};
		}
		return (struct command){e->kind, argument};
	}
	return unknown(text, err);
}
