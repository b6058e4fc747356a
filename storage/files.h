/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that others read while they are written: each appears whole, by rename, with the folders
 * that its path needs. Readable by everyone who can reach their folder. Any thread.
 */
#ifndef AYNI_STORAGE_FILES_H
#define AYNI_STORAGE_FILES_H

#include "protocol/base.h"

enum files_durable {
	FILES_LATER, /* when the system gets to it */
	FILES_NOW    /* when files_write returns */
};

/* A folder, made if it is missing (its parent must be there); a descriptor to close. */
int files_open_folder(const char *path, int *fd, struct error *err);
/* In place of what is there. `path` is relative, with '/' between folders. */
int files_write(int folder_fd, const char *path, struct span data, enum files_durable durable,
    struct error *err);
/* A folder of plain files and all of them; fine if there is none. */
void files_remove_folder(int folder_fd, const char *path);
/* *data is malloc'd. AYNI_ERR_NOT_FOUND; AYNI_ERR_LIMIT past max bytes. */
int files_read(
    int folder_fd, const char *path, size_t max, uint8_t **data, size_t *len, struct error *err);

#endif
