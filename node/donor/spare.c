/* SPDX-License-Identifier: Apache-2.0 */
#include "node/donor/spare.h"

#include <sched.h>
#include <stdlib.h>

#include "node/products.h"

enum {
	MATRIX_BYTES = 64 << 20, /* larger than most processors' caches */
	TOKEN_BYTES = 1 << 20,   /* of it, and of each thread, in a round of one token */
	BATCH_BYTES = 1 << 16,   /* in one of a batch, */
	BATCH_TOKENS = ACTIVATION_GROUP,
	TURNS = 2 /* of all types, so that a bad moment of the machine does not hit one alone */
};

/* For each type of weights, in each turn: one round at least. */
static const double TOKEN_S = 0.004, BATCH_S = 0.002;

static_assert((int)TENSOR_TYPE_END == (int)LIMIT_TENSOR_TYPES, "an offer names any type");

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

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t rate(double amount, double seconds)
{
	double per_s = amount / seconds;

	return per_s >= 1 ? (uint64_t)per_s : 1;
}

/* Ordinary rounds count, of the better turn: the best rounds had the machine to themselves by
 * chance.
 */
static void measure_type(
    struct products *p, const struct kernels *k, struct team *team, struct offer_speed *out)
{
	struct product what = {.kernels = k,
	    .team = team,
	    .type = (enum tensor_type)out->type,
	    .n_vectors = 1,
	    .round_bytes = smaller((size_t)TOKEN_BYTES * team_size(team), MATRIX_BYTES / 4)};
	struct product_speed speed;

	products_measure(p, &what, TOKEN_S, &speed);
	out->read_bytes_per_s = larger(out->read_bytes_per_s, rate(speed.bytes, speed.median_s));
	what.n_vectors = BATCH_TOKENS;
	what.round_bytes = smaller((size_t)BATCH_BYTES * team_size(team), MATRIX_BYTES / 4);
	products_measure(p, &what, BATCH_S, &speed);
	out->flop_per_s = larger(out->flop_per_s, rate(2 * speed.multiply_adds, speed.median_s));
}

static void list_types(struct msg_offer *out)
{
	for (uint32_t type = 0; type < TENSOR_TYPE_END; type++) {
		if (tensor_type_info(type) == NULL)
			continue;
		assert(out->n_speeds < LIMIT_SPEEDS);
		out->speeds[out->n_speeds++].type = type;
	}
}

/* As the worker will compute: the same kernels, as many threads. */
static int measure_speeds(const struct kernels *k, struct msg_offer *out, struct error *err)
{
	struct products *p = NULL;
	struct team *team;
	int rc = team_new((unsigned)smaller(out->cores, TEAM_MAX_THREADS), &team, err);

	if (rc != AYNI_OK)
		return rc;
	rc = products_new(MATRIX_BYTES, &p, err);
	list_types(out);
	for (size_t i = 0; rc == AYNI_OK && i < TURNS * out->n_speeds; i++)
		measure_type(p, k, team, &out->speeds[i % out->n_speeds]);
	for (size_t i = 0; i < out->n_speeds; i++) {
		if (out->speeds[i].type != TENSOR_Q8_0)
			continue;
		out->read_bytes_per_s = out->speeds[i].read_bytes_per_s; /* of other types */
		out->flop_per_s = out->speeds[i].flop_per_s;
	}
	products_free(p);
	team_free(team);
	return rc;
}

int spare_measure(const struct donor_config *c, struct msg_offer *out, struct error *err)
{
	const struct kernels *k = spare_kernels(c->kernels);
	uint64_t available = available_bytes();

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
	return measure_speeds(k, out, err);
}
