/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 256 };

static int failed(const char *path, struct error *err)
{
	return error_set(err, AYNI_ERR_IO, "%.180s: %s", path, strerror(errno));
}

int files_open_folder(const char *path, int *fd, struct error *err)
{
	if (mkdir(path, 0755) != 0 && errno != EEXIST)
		return failed(path, err);
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd >= 0 ? AYNI_OK : failed(path, err);
}

static int make_folders(int folder_fd, const char *path, struct error *err)
{
	char part[PATH_BYTES];

	for (const char *p = strchr(path, '/'); p != NULL; p = strchr(p + 1, '/')) {
		(void)snprintf(part, sizeof part, "%.*s", (int)(p - path), path);
		if (mkdirat(folder_fd, part, 0755) != 0 && errno != EEXIST)
			return failed(part, err);
	}
	return AYNI_OK;
}

static int write_all(int fd, struct span data)
{
	size_t done = 0;

	while (done < data.len) {
		ssize_t n = write(fd, data.data + done, data.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

int files_write(int folder_fd, const char *path, struct span data, enum files_durable durable,
    struct error *err)
{
	static const char temporary[] = "unfinished";
	int fd, rc = AYNI_OK;

	if (strlen(path) >= PATH_BYTES)
		return error_set(err, AYNI_ERR_ARGUMENT, "a path is too long");
	rc = make_folders(folder_fd, path, err);
	if (rc != AYNI_OK)
		return rc;
	fd = openat(
	    folder_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return failed(path, err);
	if (write_all(fd, data) != 0 || (durable == FILES_NOW && fsync(fd) != 0))
		rc = failed(path, err);
	if (close(fd) != 0 && rc == AYNI_OK)
		rc = failed(path, err);
	if (rc == AYNI_OK && renameat(folder_fd, temporary, folder_fd, path) != 0)
		rc = failed(path, err);
	if (rc != AYNI_OK)
		(void)unlinkat(folder_fd, temporary, 0);
	return rc;
}

void files_remove_folder(int folder_fd, const char *path)
{
	int fd = openat(folder_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	if (dir == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(fd, e->d_name, 0);
	}
	(void)closedir(dir);
	(void)unlinkat(folder_fd, path, AT_REMOVEDIR);
}

/* `size` bytes, or fewer if the file became shorter meanwhile. */
static int read_all(int fd, uint8_t *data, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size) {
		ssize_t n = read(fd, data + *len, size - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	return 0;
}

int files_read(
    int folder_fd, const char *path, size_t max, uint8_t **data, size_t *len, struct error *err)
{
	int rc = AYNI_OK, fd = openat(folder_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	*data = NULL;
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return error_set(err, AYNI_ERR_NOT_FOUND, "%.180s: there is no such file", path);
	if (fd < 0)
		return failed(path, err);
	if (fstat(fd, &st) != 0)
		rc = failed(path, err);
	else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		rc = error_set(err, AYNI_ERR_LIMIT, "%.180s: is no file, or too large", path);
	if (rc == AYNI_OK && (*data = malloc((size_t)st.st_size + 1)) == NULL)
		rc = error_set(err, AYNI_ERR_MEMORY, "%.180s: out of memory", path);
	if (rc == AYNI_OK && read_all(fd, *data, (size_t)st.st_size, len) != 0)
		rc = failed(path, err);
	(void)close(fd);
	if (rc != AYNI_OK) {
		free(*data);
		*data = NULL;
	}
	return rc;
}
