/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/spare.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "node/loop.h"

enum {
	ROWS = 16384, /* x 4096 of Q8_0: larger than the processor's caches */
	COLUMNS = 4096,
	MEASURE_US = 150000
};

const struct kernels *spare_kernels(const char *name)
{
	const struct kernels *k =
	    strcmp(name, "auto") == 0 ? kernels_best() : kernels_by_name(name);

	return k != NULL && k->fast ? NULL : k;
}

static uint32_t count_cores(uint64_t wanted)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

	if (wanted > 0)
		return (uint32_t)wanted;
	return n > 1 ? (uint32_t)n - 1 : 1; /* one stays for the owner */
}

/* MemAvailable of /proc/meminfo; 0 if it is not there. */
static uint64_t available_bytes(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	static const char key[] = "MemAvailable:";
	unsigned long long kib = 0;
	char line[128];

	while (f != NULL && kib == 0 && fgets(line, sizeof line, f) != NULL) {
		if (strncmp(line, key, sizeof key - 1) == 0)
			kib = strtoull(line + sizeof key - 1, NULL, 10);
	}
	if (f != NULL)
		(void)fclose(f);
	return (uint64_t)kib * 1024;
}

/* One vector times a matrix that comes from memory, on one core: what making text is bound by. */
static void measure_speed(
    const struct kernels *k, uint8_t *weights, size_t row_bytes, struct msg_offer *out)
{
	static float x[COLUMNS], y[ROWS];
	static int8_t quants[COLUMNS];
	static struct quant_terms terms[COLUMNS / QUANT_BLOCK];
	const struct matrix w = {TENSOR_Q8_0, ROWS, COLUMNS, row_bytes, weights, k->panels, 0};
	const struct activations a = {COLUMNS, 1, x, quants, terms};
	uint64_t began, spent, rows = 0;

	for (size_t i = 0; i < COLUMNS; i++)
		x[i] = (float)(i % 17) - 8;
	k->quantise(x, COLUMNS, 1, quants, terms);
	began = loop_now_us();
	do {
		k->matmul(&w, 0, ROWS, &a, y, ROWS);
		rows += ROWS;
		spent = loop_now_us() - began;
	} while (spent < MEASURE_US);
	out->flop_per_s = rows * 2 * COLUMNS * 1000000 / spent;
	out->read_bytes_per_s = rows * row_bytes * 1000000 / spent;
}

int spare_measure(const struct donor_config *c, struct msg_offer *out, struct error *err)
{
	const struct kernels *k = spare_kernels(c->kernels);
	uint64_t available = available_bytes();
	uint64_t row_bytes;
	uint8_t *weights;

	if (strcmp(c->kernels, "fast") == 0)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "kernels = fast: a donor's results are compared to the bit, which those of the "
		    "class fast are not; auto is the fastest that may be used here");
	if (k == NULL)
		return error_set(err, AYNI_ERR_ARGUMENT,
		    "kernels = %s: this machine does not have them; auto, " KERNELS_NAMES
		    " are known",
		    c->kernels);
	*out = (struct msg_offer){.cores = count_cores(c->cores),
	    .memory_bytes = c->memory_mib > 0 ? c->memory_mib << 20 : available / 2,
	    .disk_bytes = c->disk_mib << 20,
	    .max_layers = (uint32_t)c->max_layers};
	(void)snprintf(out->kernels, sizeof out->kernels, "%s", k->name);
	if (tensor_row_bytes(TENSOR_Q8_0, COLUMNS, &row_bytes) != AYNI_OK)
		return error_set(err, AYNI_ERR_UNSUPPORTED, "spare: Q8_0 has no rows");
	weights = mmap(NULL, ROWS * row_bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (weights == MAP_FAILED)
		return error_set(
		    err, AYNI_ERR_MEMORY, "spare: no memory to measure with: %s", strerror(errno));
	measure_speed(k, weights, row_bytes, out);
	out->flop_per_s *= out->cores; /* exact arithmetic scales; memory does not */
	(void)munmap(weights, ROWS * row_bytes);
	return AYNI_OK;
}
