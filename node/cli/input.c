/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CTRL_C = 3,
	/* libedit writes a byte in up to four characters. */
	HISTORY_MAX_BYTES = INPUT_HISTORY_LINES * (4 * INPUT_HISTORY_LINE_BYTES + 8)
};

/* What stands between two of these takes no room on the screen. */
#define INVISIBLE "\1"

struct input {
	EditLine *edit;
	History *history;
	char *path; /* of the history; NULL: none is kept */
	FILE *out;
	char *line; /* of the last call */
	bool coloured, goes_on, cleared;
};

bool input_can_edit(void)
{
	return isatty(STDIN_FILENO) == 1 &&
	       (isatty(STDOUT_FILENO) == 1 || isatty(STDERR_FILENO) == 1);
}

static struct input *input_of(EditLine *edit)
{
	void *in = NULL;

	(void)el_get(edit, EL_CLIENTDATA, &in);
	return in;
}

static char *prompt(EditLine *edit)
{
	static char plain[] = "> ", more[] = ". ";
	static char bold[] = INVISIBLE "\033[1m" INVISIBLE ">" INVISIBLE "\033[0m" INVISIBLE " ";
	const struct input *in = input_of(edit);

	return in->goes_on ? more : in->coloured ? bold : plain;
}

static unsigned char clear_line(EditLine *edit, wint_t key)
{
	struct input *in = input_of(edit);

	(void)key;
	(void)fputs("^C\n", in->out);
	(void)fflush(in->out);
	in->cleared = true;
	return CC_NEWLINE;
}

/* ---- the history's file ------------------------------------------------------------------- */

/* None there is no error; what is not ours or too long is not read. */
static void load(struct input *in)
{
	HistEvent event;
	struct stat st;

	if (lstat(in->path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    st.st_size <= HISTORY_MAX_BYTES)
		(void)history(in->history, &event, H_LOAD, in->path);
}

/* Whole and in one step, by its owner's eyes alone. What fails costs a line, not the conversation.
 */
static void save(struct input *in)
{
	char *part = NULL;
	HistEvent event;
	FILE *f = NULL;
	bool ok;
	int fd;

	if (asprintf(&part, "%s.part", in->path) < 0)
		return;
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && fchmod(fd, 0600) == 0)
		f = fdopen(fd, "w");
	if (f != NULL) {
		ok = history(in->history, &event, H_SAVE_FP, f) != -1;
		if (fclose(f) != 0 || !ok || rename(part, in->path) != 0)
			(void)unlink(part);
	} else if (fd >= 0) {
		(void)close(fd);
	}
	free(part);
}

static void remember(struct input *in, const char *line)
{
	HistEvent event;

	if (line[0] == '\0' || strlen(line) > INPUT_HISTORY_LINE_BYTES)
		return;
	(void)history(in->history, &event, H_ENTER, line);
	if (in->path != NULL)
		save(in);
}

int input_forget(struct input *in, struct error *err)
{
	HistEvent event;

	(void)history(in->history, &event, H_CLEAR);
	if (in->path != NULL && unlink(in->path) != 0 && errno != ENOENT)
		return error_set(
		    err, AYNI_ERR_IO, "cannot remove %.150s: %s", in->path, strerror(errno));
	return AYNI_OK;
}

/* ---- lines -------------------------------------------------------------------------------- */

/* What is typed is UTF-8 even where the locale says nothing of it. */
static void choose_locale(void)
{
	if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1)
		(void)setlocale(LC_CTYPE, "C.UTF-8");
}

/* el_wset keeps the names that it is given; el_set would keep copies that nobody frees. */
static bool set_up(struct input *in)
{
	static const char key[] = {CTRL_C, '\0'};
	EditLine *e = in->edit;
	HistEvent event;

	if (history(in->history, &event, H_SETSIZE, INPUT_HISTORY_LINES) == -1 ||
	    history(in->history, &event, H_SETUNIQUE, 1) == -1 ||
	    el_set(e, EL_CLIENTDATA, in) != 0 || el_set(e, EL_EDITOR, "emacs") != 0 ||
	    el_set(e, EL_HIST, history, in->history) != 0 ||
	    el_set(e, EL_PROMPT_ESC, prompt, INVISIBLE[0]) != 0 ||
	    el_wset(e, EL_ADDFN, L"ayni-clear", L"void what was typed", clear_line) != 0)
		return false;
	(void)el_set(e, EL_BIND, "^R", "em-inc-search-prev", NULL);
	(void)el_source(e, NULL); /* ~/.editrc, if there is one */
	/* Ctrl-C is a key while a line is typed, and the signal again while the model speaks. */
	(void)el_set(e, EL_SETTY, "-d", "-intr", NULL);
	return el_set(e, EL_BIND, key, "ayni-clear", NULL) == 0 && el_set(e, EL_SIGNAL, 1) == 0;
}

int input_open(const char *path, bool coloured, struct input **out, struct error *err)
{
	struct input *in = calloc(1, sizeof *in);

	if (in == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	choose_locale();
	in->coloured = coloured;
	in->out = isatty(STDOUT_FILENO) == 1 ? stdout : stderr;
	in->path = path != NULL ? strdup(path) : NULL;
	in->history = history_init();
	in->edit = el_init("ayni", stdin, in->out, stderr);
	if (in->history == NULL || in->edit == NULL || (path != NULL && in->path == NULL) ||
	    !set_up(in)) {
		input_free(in);
		return error_set(err, AYNI_ERR_UNSUPPORTED, "this terminal cannot be used");
	}
	if (in->path != NULL)
		load(in);
	*out = in;
	return AYNI_OK;
}

void input_free(struct input *in)
{
	if (in == NULL)
		return;
	if (in->edit != NULL)
		el_end(in->edit);
	if (in->history != NULL)
		history_end(in->history);
	free(in->path);
	free(in->line);
	free(in);
}

enum input_result input_line(struct input *in, bool goes_on, const char **line)
{
	const char *typed;
	int n = 0;

	in->goes_on = goes_on;
	in->cleared = false;
	/* Before the prompt, so that what is typed upon it is a key already. */
	(void)el_set(in->edit, EL_PREP_TERM, 1);
	typed = el_gets(in->edit, &n);
	if (in->cleared || (typed == NULL && n < 0 && errno == EINTR))
		return INPUT_CLEARED;
	if (typed == NULL || n <= 0) {
		(void)fputc('\n', in->out);
		return INPUT_END;
	}
	free(in->line);
	in->line = strndup(typed, strcspn(typed, "\r\n"));
	if (in->line == NULL)
		return INPUT_END;
	remember(in, in->line);
	*line = in->line;
	return INPUT_LINE;
}
