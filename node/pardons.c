/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pardons.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "protocol/identity.h"
#include "protocol/text.h"
#include "storage/files.h"

enum { FILE_BYTES = 512, PATH_BYTES = 4096 };

static const char NO_EVIDENCE[] = "-";

static int open_folder(const char *folder, int *fd, struct error *err)
{
	char path[PATH_BYTES];

	if (snprintf(path, sizeof path, "%s/pardons", folder) >= (int)sizeof path)
		return error_set(err, AYNI_ERR_ARGUMENT, "%.200s: the path is too long", folder);
	return files_open_folder(path, fd, err);
}

int pardons_ask(const char *folder, const struct pardon *p, struct error *err)
{
	char name[HEX32_CHARS], evidence[HEX32_CHARS], reason[PARDON_REASON_BYTES];
	char text[FILE_BYTES];
	int fd, len, rc = open_folder(folder, &fd, err);

	if (rc != AYNI_OK)
		return rc;
	hex32(p->donor.bytes, name);
	hex32(p->evidence.bytes, evidence);
	text_fit(reason, sizeof reason, p->reason);
	len = snprintf(
	    text, sizeof text, "%s\n%s\n", p->has_evidence ? evidence : NO_EVIDENCE, reason);
	rc = files_write(fd, name, (struct span){(uint8_t *)text, (size_t)len}, FILES_NOW, err);
	(void)close(fd);
	return rc;
}

/* Two lines: hash or "-", and why. */
static int parse(const char *name, char *text, struct pardon *out, struct error *err)
{
	char *rest = text, *evidence = strsep(&rest, "\n"), *reason = strsep(&rest, "\n");

	*out = (struct pardon){0};
	if (reason == NULL || unhex32(name, out->donor.bytes) != AYNI_OK)
		return error_set(err, AYNI_ERR_FORMAT, "%.100s is no pardon", name);
	out->has_evidence = strcmp(evidence, NO_EVIDENCE) != 0;
	if (out->has_evidence && unhex32(evidence, out->evidence.bytes) != AYNI_OK)
		return error_set(err, AYNI_ERR_FORMAT, "%.100s is no pardon", name);
	text_fit(out->reason, sizeof out->reason, reason);
	return AYNI_OK;
}

static int take(int fd, const char *name, struct pardon *out, struct error *err)
{
	uint8_t *data;
	size_t len;
	int rc = files_read(fd, name, FILE_BYTES, &data, &len, err);

	if (rc == AYNI_OK) {
		data[len] = '\0'; /* there is room for one more */
		rc = parse(name, (char *)data, out, err);
		free(data);
	}
	if (unlinkat(fd, name, 0) != 0 && rc == AYNI_OK)
		rc = error_set(err, AYNI_ERR_IO, "%.100s cannot be removed", name);
	return rc;
}

int pardons_take(const char *folder, struct pardon *out, struct error *err)
{
	const struct dirent *e;
	char path[PATH_BYTES];
	int rc = AYNI_ERR_NOT_FOUND;
	DIR *dir;

	(void)snprintf(path, sizeof path, "%s/pardons", folder);
	dir = opendir(path);
	if (dir == NULL)
		return AYNI_ERR_NOT_FOUND;
	while (rc == AYNI_ERR_NOT_FOUND && (e = readdir(dir)) != NULL) {
		if (strlen(e->d_name) == HEX32_CHARS - 1) /* not one being written */
			rc = take(dirfd(dir), e->d_name, out, err);
	}
	(void)closedir(dir);
	return rc;
}
