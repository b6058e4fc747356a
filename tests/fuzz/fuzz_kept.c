/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people keep of a pool's log, and may get from anybody: [kind][bytes]. What a watcher saw,
 * which opens only if its last checkpoint is signed; a receipt as a line of text, which is written
 * as it was read; the receipt of a log's entry, within its bounds; and evidence against a pool.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "node/cli/ledger.h"
#include "node/cli/log_watch.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What evidence proves is told to people. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return freopen("/dev/null", "we", stdout) != NULL ? 0 : -1;
}

static void try_state(const uint8_t *data, size_t size)
{
	int fd = memfd_create("state", MFD_CLOEXEC);
	struct log_state *s;
	char path[64];

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (log_state_open(path, &s, NULL) == AYNI_OK) {
		assert(log_state_pool(s) != NULL);
		log_state_free(s);
	}
	(void)close(fd);
}

static void try_receipt_text(const uint8_t *data, size_t size)
{
	static const struct signed_receipt none;
	struct signed_receipt first = none, second = none;
	char text[RECEIPT_TEXT_BYTES];

	if (receipt_from_text((struct span){data, size}, &first, NULL) != AYNI_OK)
		return;
	assert(first.receipt_len <= RECEIPT_BYTES_MAX);
	assert(receipt_to_text(&first, text, NULL) == AYNI_OK);
	assert(receipt_from_text(
	           (struct span){(const uint8_t *)text, strlen(text)}, &second, NULL) == AYNI_OK);
	assert(second.receipt_len == first.receipt_len);
	assert(memcmp(second.receipt, first.receipt, first.receipt_len) == 0);
}

static void try_entry(const uint8_t *data, size_t size)
{
	struct receipt r;

	if (receipt_read((struct span){data, size}, &r, NULL) != AYNI_OK)
		return;
	assert(r.layer_first < r.layer_last && r.first_ms <= r.last_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		try_state(data + 1, size - 1);
		break;
	case 1:
		try_receipt_text(data + 1, size - 1);
		break;
	case 2:
		try_entry(data + 1, size - 1);
		break;
	default:
		(void)ledger_check_evidence((const char *)data + 1, size - 1, NULL);
	}
	return 0;
}
