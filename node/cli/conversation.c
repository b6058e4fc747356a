/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/conversation.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/text.h"

struct conversation {
	struct turn turns[CONVERSATION_MAX_TURNS];
	bool interrupted[CONVERSATION_MAX_TURNS];
	size_t n;

	/* The file that was written last, by which it is known again; 0, 0 before. */
	dev_t saved_device;
	ino_t saved_inode;
};

static const char *const roles[] = {"system", "user", "assistant"};

int conversation_new(struct conversation **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	return *out != NULL ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "out of memory");
}

static void free_turn(struct turn *t)
{
	free(t->role);
	free(t->content);
	*t = (struct turn){0};
}

static void keep_first(struct conversation *c, size_t n)
{
	while (c->n > n)
		conversation_take_back(c);
}

void conversation_free(struct conversation *c)
{
	if (c == NULL)
		return;
	keep_first(c, 0);
	free(c);
}

struct turn *conversation_turns(struct conversation *c, size_t *n)
{
	*n = c->n;
	return c->turns;
}

static int check_text(const char *text, struct error *err)
{
	return text_is_utf8(text, strlen(text))
	           ? AYNI_OK
	           : error_set(err, AYNI_ERR_FORMAT, "the text is not UTF-8");
}

int conversation_add(
    struct conversation *c, const char *role, const char *content, struct error *err)
{
	struct turn t;

	if (c->n == CONVERSATION_MAX_TURNS)
		return error_set(err, AYNI_ERR_LIMIT, "the conversation is over after %d messages",
		    CONVERSATION_MAX_TURNS);
	if (check_text(content, err) != AYNI_OK)
		return AYNI_ERR_FORMAT;
	t = (struct turn){.role = strdup(role), .content = strdup(content)};
	if (t.role == NULL || t.content == NULL) {
		free_turn(&t);
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	}
	c->interrupted[c->n] = false;
	c->turns[c->n++] = t;
	return AYNI_OK;
}

void conversation_interrupted(struct conversation *c)
{
	assert(c->n > 0);
	c->interrupted[c->n - 1] = true;
}

void conversation_take_back(struct conversation *c)
{
	assert(c->n > 0);
	free_turn(&c->turns[--c->n]);
}

void conversation_clear(struct conversation *c)
{
	keep_first(c, conversation_system(c) != NULL ? 1 : 0);
}

/* ---- the system message ------------------------------------------------------------------- */

const char *conversation_system(const struct conversation *c)
{
	return c->n > 0 && strcmp(c->turns[0].role, "system") == 0 ? c->turns[0].content : NULL;
}

static void move(struct conversation *c, size_t from, size_t to, size_t n)
{
	memmove(c->turns + to, c->turns + from, n * sizeof *c->turns);
	memmove(c->interrupted + to, c->interrupted + from, n * sizeof *c->interrupted);
}

static int replace_first(struct conversation *c, const char *text, struct error *err)
{
	char *content = strdup(text);

	if (content == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	free(c->turns[0].content);
	c->turns[0].content = content;
	return AYNI_OK;
}

int conversation_set_system(struct conversation *c, const char *text, struct error *err)
{
	bool has_one = conversation_system(c) != NULL;
	struct turn added;
	int rc;

	if (text[0] == '\0') {
		if (has_one) {
			free_turn(&c->turns[0]);
			move(c, 1, 0, --c->n);
		}
		return AYNI_OK;
	}
	if (has_one)
		return check_text(text, err) == AYNI_OK ? replace_first(c, text, err)
		                                        : AYNI_ERR_FORMAT;
	rc = conversation_add(c, "system", text, err);
	if (rc != AYNI_OK)
		return rc;
	added = c->turns[c->n - 1];
	move(c, 0, 1, c->n - 1);
	c->turns[0] = added;
	c->interrupted[0] = false;
	return AYNI_OK;
}

/* ---- JSON --------------------------------------------------------------------------------- */

static json_t *turn_json(const struct turn *t, bool interrupted)
{
	json_t *object = json_pack("{ss ss}", "role", t->role, "content", t->content);

	if (object != NULL && interrupted)
		(void)json_object_set_new(object, "interrupted", json_true());
	return object;
}

int conversation_json(
    const struct conversation *c, const char *model, char **out, struct error *err)
{
	json_t *messages = json_array();
	json_t *root = json_object();
	bool ok = true;

	for (size_t i = 0; i < c->n; i++)
		ok &= json_array_append_new(messages, turn_json(&c->turns[i], c->interrupted[i])) ==
		      0;
	if (model[0] != '\0')
		ok &= json_object_set_new(root, "model", json_string(model)) == 0;
	ok &= json_object_set_new(root, "messages", messages) == 0;
	*out = ok ? json_dumps(root, JSON_INDENT(2)) : NULL;
	json_decref(root);
	return *out != NULL ? AYNI_OK : error_set(err, AYNI_ERR_MEMORY, "out of memory");
}

static bool is_role(const char *name)
{
	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
		if (strcmp(name, roles[i]) == 0)
			return true;
	}
	return false;
}

static int take_message(struct conversation *c, size_t i, const json_t *message, struct error *err)
{
	const char *role = json_string_value(json_object_get(message, "role"));
	const char *content = json_string_value(json_object_get(message, "content"));
	int rc;

	if (role == NULL || !is_role(role) || content == NULL)
		return error_set(err, AYNI_ERR_FORMAT,
		    "message %zu is not a text of system, user or assistant", i + 1);
	rc = conversation_add(c, role, content, err);
	if (rc == AYNI_OK && json_is_true(json_object_get(message, "interrupted")))
		conversation_interrupted(c);
	return rc;
}

static int take_messages(struct conversation *c, const json_t *root, struct error *err)
{
	const json_t *messages = json_is_array(root) ? root : json_object_get(root, "messages");
	int rc = AYNI_OK;

	if (!json_is_array(messages))
		return error_set(err, AYNI_ERR_FORMAT, "there are no messages");
	for (size_t i = 0; rc == AYNI_OK && i < json_array_size(messages); i++)
		rc = take_message(c, i, json_array_get(messages, i), err);
	return rc;
}

int conversation_parse(struct conversation *c, const char *json, size_t len, struct error *err)
{
	json_error_t at;
	json_t *root = json_loadb(json, len, 0, &at);
	struct conversation *read;
	int rc;

	if (root == NULL)
		return error_set(
		    err, AYNI_ERR_FORMAT, "not JSON: line %d: %.150s", at.line, at.text);
	rc = conversation_new(&read, err);
	if (rc == AYNI_OK) {
		rc = take_messages(read, root, err);
		if (rc == AYNI_OK) {
			keep_first(c, 0);
			memcpy(c->turns, read->turns, sizeof c->turns);
			memcpy(c->interrupted, read->interrupted, sizeof c->interrupted);
			c->n = read->n;
			read->n = 0; /* they are ours now */
		}
		conversation_free(read);
	}
	json_decref(root);
	return rc;
}

/* ---- files -------------------------------------------------------------------------------- */

static int cannot(const char *what, const char *path, struct error *err)
{
	int code = errno == EEXIST ? AYNI_ERR_EXISTS : AYNI_ERR_IO;

	return error_set(err, code, "cannot %s %.150s: %s", what, path, strerror(errno));
}

/* A new file with this text; none is left if it could not be written. */
static int write_new(const char *path, const char *text, struct stat *st, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool ok;
	int rc;

	if (f == NULL) {
		rc = cannot("write", path, err);
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	ok =
	    fprintf(f, "%s\n", text) >= 0 && fflush(f) == 0 && fsync(fd) == 0 && fstat(fd, st) == 0;
	rc = ok ? AYNI_OK : cannot("write", path, err);
	if (fclose(f) != 0 && rc == AYNI_OK)
		rc = cannot("write", path, err);
	if (rc != AYNI_OK)
		(void)unlink(path);
	return rc;
}

static bool is_ours(const struct conversation *c, const char *path)
{
	struct stat st;

	return c->saved_inode != 0 && lstat(path, &st) == 0 && st.st_dev == c->saved_device &&
	       st.st_ino == c->saved_inode;
}

/* In one step, so that what was saved before is there until all is written. */
static int replace(const char *path, const char *text, struct stat *st, struct error *err)
{
	char *part = NULL;
	int rc;

	if (asprintf(&part, "%s.part", path) < 0)
		return error_set(err, AYNI_ERR_MEMORY, "out of memory");
	rc = write_new(part, text, st, err);
	if (rc == AYNI_OK && rename(part, path) != 0) {
		rc = cannot("replace", path, err);
		(void)unlink(part);
	}
	free(part);
	return rc;
}

int conversation_save(
    struct conversation *c, const char *path, const char *model, struct error *err)
{
	struct stat st;
	char *text;
	int rc = conversation_json(c, model, &text, err);

	if (rc != AYNI_OK)
		return rc;
	rc = is_ours(c, path) ? replace(path, text, &st, err) : write_new(path, text, &st, err);
	if (rc == AYNI_OK) {
		c->saved_device = st.st_dev;
		c->saved_inode = st.st_ino;
	}
	free(text);
	return rc;
}

/* O_NONBLOCK: a FIFO is no file to wait for. */
int conversation_load(struct conversation *c, const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	char *text = NULL;
	struct stat st;
	size_t n;
	int rc;

	if (f == NULL || fstat(fd, &st) != 0) {
		rc = cannot("read", path, err);
	} else if (!S_ISREG(st.st_mode) || st.st_size > CONVERSATION_MAX_BYTES) {
		rc = error_set(err, AYNI_ERR_LIMIT, "%.150s is not a file of up to %d MiB", path,
		    CONVERSATION_MAX_BYTES >> 20);
	} else if ((text = malloc((size_t)st.st_size + 1)) == NULL) {
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	} else {
		n = fread(text, 1, (size_t)st.st_size, f);
		rc = ferror(f) ? cannot("read", path, err) : conversation_parse(c, text, n, err);
	}
	free(text);
	if (f != NULL)
		(void)fclose(f);
	else if (fd >= 0)
		(void)close(fd);
	return rc;
}
