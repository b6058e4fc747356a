/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bench/limits.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "node/loop.h"

enum {
	BUFFER_BYTES = 512 << 20, /* far more than caches hold */
	LINE_WORDS = 8,           /* of 64 bits in a cache line */
	MIN_PEAK_US = 5000        /* a round of computing is at least so long */
};

/* How far ahead of the reading memory is asked for: which is best differs between machines, so
 * rounds take turns. */
static const size_t distances[] = {1024, 2048, 4096};

enum { N_DISTANCES = sizeof distances / sizeof distances[0] };

struct yardstick {
	const struct kernels *kernels;
	struct team *team;
	uint64_t *words; /* BUFFER_BYTES */
	unsigned n_readings;
	size_t rounds; /* of one call of `peak` */
	uint64_t done; /* multiply-adds, by the caller's thread: the others do as much */
};

/* Memory of the process's own, in large pages if the system grants that; NULL if there is none. */
static void *new_pages(size_t bytes)
{
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return NULL;
	(void)madvise(pages, bytes, MADV_HUGEPAGE);
	return pages;
}

static double per_second(double amount, uint64_t took_us)
{
	return amount * 1e6 / (double)(took_us > 0 ? took_us : 1);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Two streams of lines, as long as each other; their sum, so that each word is needed. */
static uint64_t read_lines(const uint64_t *words, size_t n_lines, size_t ahead)
{
	const size_t half = n_lines / 2 * LINE_WORDS;
	uint64_t sums[LINE_WORDS] = {0}, sum = 0;

	for (size_t i = 0; i < half; i += LINE_WORDS) {
		__builtin_prefetch((const char *)(words + i) + ahead);
		__builtin_prefetch((const char *)(words + half + i) + ahead);
		for (size_t k = 0; k < LINE_WORDS; k++)
			sums[k] += words[i + k] + words[half + i + k];
	}
	for (size_t k = 0; k < LINE_WORDS; k++)
		sum += sums[k];
	return sum;
}

static void read_part(void *context, size_t first, size_t end, unsigned thread)
{
	const struct yardstick *y = context;
	volatile uint64_t kept = read_lines(
	    y->words + first * LINE_WORDS, end - first, distances[y->n_readings % N_DISTANCES]);

	(void)kept;
	(void)thread;
}

static double read_once(struct yardstick *y)
{
	uint64_t start = loop_now_us();

	team_run(y->team, BUFFER_BYTES / (LINE_WORDS * sizeof(uint64_t)), 2, read_part, y);
	y->n_readings++;
	return per_second(BUFFER_BYTES, loop_now_us() - start);
}

/* ---- computing ------------------------------------------------------------------------------ */

static void compute_part(void *context, size_t first, size_t end, unsigned thread)
{
	struct yardstick *y = context;
	uint64_t done = 0;

	for (size_t i = first; i < end; i++)
		done += y->kernels->peak(y->rounds);
	if (thread == 0)
		y->done = done;
}

static double compute_once(struct yardstick *y)
{
	for (;;) {
		uint64_t start = loop_now_us(), took;

		team_run(y->team, team_size(y->team), 1, compute_part, y);
		took = loop_now_us() - start;
		if (took >= MIN_PEAK_US)
			return per_second((double)y->done * team_size(y->team), took);
		y->rounds *= 2;
	}
}

/* ------------------------------------------------------------------------------------------- */

int yardstick_new(
    const struct kernels *k, struct team *team, struct yardstick **out, struct error *err)
{
	struct yardstick *y = calloc(1, sizeof *y);
	void *buffer = new_pages(BUFFER_BYTES);

	*out = NULL;
	if (y == NULL || buffer == NULL) {
		if (buffer != NULL)
			(void)munmap(buffer, BUFFER_BYTES);
		free(y);
		return error_set(
		    err, AYNI_ERR_MEMORY, "bench: no memory to measure reading memory with");
	}
	memset(buffer, 1, BUFFER_BYTES);
	*y = (struct yardstick){.kernels = k, .team = team, .words = buffer, .rounds = 1024};
	*out = y;
	return AYNI_OK;
}

void yardstick_free(struct yardstick *y)
{
	if (y != NULL)
		(void)munmap(y->words, BUFFER_BYTES);
	free(y);
}

void yardstick_measure(struct yardstick *y, struct limits *limits)
{
	const struct limits now = {
	    .read_bytes_s = read_once(y), .multiply_adds_s = compute_once(y)};

	limits_improve(limits, &now);
}

/* ---- new memory ----------------------------------------------------------------------------- */

enum { LARGE_PAGE = 2 << 20, SMALL_PAGE = 4096 };

static void touch_part(void *context, size_t first, size_t end, unsigned thread)
{
	volatile uint8_t *pages = context;

	(void)thread;
	for (size_t at = first * LARGE_PAGE; at < end * LARGE_PAGE; at += SMALL_PAGE)
		pages[at] = 1;
}

double new_memory_seconds(struct team *team, uint64_t bytes)
{
	const size_t n = (size_t)(bytes / LARGE_PAGE + 1);
	const uint64_t start = loop_now_us();
	double seconds;
	void *pages = new_pages(n * LARGE_PAGE);

	if (pages == NULL)
		return 0.0;
	team_run(team, n, 1, touch_part, pages);
	seconds = (double)(loop_now_us() - start) * 1e-6;
	(void)munmap(pages, n * LARGE_PAGE);
	return seconds;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

void limits_improve(struct limits *limits, const struct limits *others)
{
	limits->read_bytes_s = larger(limits->read_bytes_s, others->read_bytes_s);
	limits->multiply_adds_s = larger(limits->multiply_adds_s, others->multiply_adds_s);
}

struct bound limits_bound(const struct limits *limits, const struct demand *demand)
{
	double memory = (demand->weight_bytes + demand->kv_bytes) / limits->read_bytes_s;
	double processor = demand->multiply_adds / limits->multiply_adds_s;

	return (struct bound){larger(memory, processor), memory > processor};
}

double limits_percent(const struct limits *limits, const struct demand *demand, double seconds)
{
	return 100.0 * limits_bound(limits, demand).seconds / seconds;
}
