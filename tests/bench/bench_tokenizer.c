/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to tokens on one core: 10 MB of natural text, and 1 MB each of texts that are bad for one
 * part or the other. Vocabularies: those of ../shared/tokenizers, or files named as arguments.
 * Then the cutting into words alone, by the rules of each family.
 */
#include <glob.h>
#include <stdlib.h>
#include <time.h>

#include "compute/pretokenizer.h"
#include "compute/tokenizer.h"

enum { NATURAL_BYTES = 10 * 1000 * 1000, WORST_BYTES = 1000 * 1000 };

static double seconds_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The project's own text and sources, as often as they fit. */
static size_t natural(char *out)
{
	size_t n = 0;

	while (n < NATURAL_BYTES) {
		static const char *const patterns[] = {"*/*.md", "*/*.c", "*/*/*.c", "*/*/*.md"};
		size_t before = n;
		glob_t files = {0};

		for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
			(void)glob(patterns[i], i > 0 ? GLOB_APPEND : 0, NULL, &files);
		for (size_t i = 0; i < files.gl_pathc && n < NATURAL_BYTES; i++) {
			FILE *f = fopen(files.gl_pathv[i], "re");

			if (f == NULL)
				continue;
			n += fread(out + n, 1, NATURAL_BYTES - n, f);
			(void)fclose(f);
		}
		globfree(&files);
		if (n == before)
			break; /* not run from the project's root */
	}
	return n;
}

static void measure(const struct tokenizer *t, const char *what, const char *text, size_t len)
{
	double start = seconds_now(), took;
	struct error err = {0};
	uint32_t *ids;
	size_t n;

	if (tokenizer_encode(t, text, len, 0, &ids, &n, &err) != AYNI_OK) {
		printf("  %-14s %s\n", what, err.text);
		return;
	}
	took = seconds_now() - start;
	printf("  %-14s %9zu bytes %9zu tokens  %6.3f s  %7.2f MB/s\n", what, len, n, took,
	    (double)len / took * 1e-6);
	free(ids);
}

/* The invalid one comes last: only whole tokenizers take it. */
static const char *const worst[] = {"a", " ", "7", "\n", "A", "!", "aA", "ab ", "\xc3\xa9",
    "\xe4\xb8\xad", "\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97", "\xf0\x9f\x98\x80", "'s", "\xcc\x81",
    " \n", "\xff"};
enum { N_WORST = sizeof worst / sizeof worst[0] };

static size_t repeat(const char *pattern, char *text)
{
	size_t n = strlen(pattern);

	for (size_t k = 0; k + n <= WORST_BYTES; k += n)
		memcpy(text + k, pattern, n);
	return WORST_BYTES / n * n;
}

static int count_word(void *arg, const uint8_t *word, size_t len)
{
	(void)word;
	(void)len;
	++*(size_t *)arg;
	return AYNI_OK;
}

/* Seconds, or a negative number. */
static double cut(const struct pretokenizer *p, const char *text, size_t len)
{
	double start = seconds_now();
	size_t n_words = 0;

	if (pretokenizer_split(p, (const uint8_t *)text, len, count_word, &n_words, NULL) < 0)
		return -1;
	return seconds_now() - start;
}

/* Speed on natural text, and the slowest of the bad ones. */
static int measure_cutting(char *text)
{
	static const char *const names[] = {"gpt-2", "llama-bpe", "gpt-4o", "tekken", "dbrx",
	    "qwen2", "deepseek-llm", "deepseek-coder", "deepseek-v3", "smollm", "default"};
	size_t len = natural(text);

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct span name = {(const uint8_t *)names[i], strlen(names[i])};
		double took, slowest = 0;
		struct pretokenizer *p;
		size_t at = 0;

		if (pretokenizer_new(name, &p, NULL) < 0)
			return AYNI_ERR_UNSUPPORTED;
		took = cut(p, text, len);
		for (size_t k = 0; k + 1 < N_WORST; k++) {
			char *bad = text + NATURAL_BYTES;
			double t = cut(p, bad, repeat(worst[k], bad));

			at = t < 0 || t > slowest ? k : at;
			slowest = t < 0 || t > slowest ? t : slowest;
			if (t < 0)
				break;
		}
		printf("  words of %-14s %7.2f MB/s, slowest megabyte %.3f s (\"%s\")\n", names[i],
		    (double)len / took * 1e-6, slowest, worst[at][0] == '\n' ? "\\n" : worst[at]);
		pretokenizer_free(p);
	}
	return AYNI_OK;
}

static void measure_all(const struct tokenizer *t, char *text)
{
	uint32_t random = 1;

	measure(t, "natural", text, natural(text));
	for (size_t i = 0; i < N_WORST; i++) {
		size_t n = repeat(worst[i], text);
		char name[40] = "1 MB of \"";

		(void)snprintf(name + 9, sizeof name - 9, "%s\"",
		    worst[i][0] == '\n'     ? "\\n"
		    : worst[i][0] == '\xff' ? "\\xff"
		                            : worst[i]);
		measure(t, name, text, n);
	}
	for (size_t k = 0; k < WORST_BYTES; k++) {
		random = random * 1664525U + 1013904223U;
		text[k] = (char)('a' + (random >> 24) % 26);
	}
	measure(t, "random letters", text, WORST_BYTES);
}

static int measure_file(const char *path, char *text)
{
	struct tokenizer *t = NULL;
	struct gguf *g = NULL;
	struct error err = {0};
	double start = seconds_now();
	int rc = gguf_open(path, &g, &err);

	if (rc == AYNI_OK)
		rc = tokenizer_new(g, &t, &err);
	if (rc == AYNI_OK) {
		printf("%s: %u tokens, opened in %.3f s\n", path, tokenizer_size(t),
		    seconds_now() - start);
		measure_all(t, text);
	} else {
		(void)fprintf(stderr, "bench_tokenizer: %s: %s\n", path, err.text);
	}
	tokenizer_free(t);
	gguf_free(g);
	return rc;
}

int main(int argc, char **argv)
{
	char *text = malloc(NATURAL_BYTES + WORST_BYTES);
	int failed = 0;
	glob_t files = {0};

	if (text == NULL)
		return 1;
	for (int i = 1; i < argc; i++)
		failed |= measure_file(argv[i], text) != AYNI_OK;
	if (argc == 1 && glob("../shared/tokenizers/*.gguf", 0, NULL, &files) == 0)
		for (size_t i = 0; i < files.gl_pathc; i++)
			failed |= measure_file(files.gl_pathv[i], text) != AYNI_OK;
	if (argc == 1 && files.gl_pathc == 0)
		failed |= measure_file("configs/models/ayni-demo.gguf", text) != AYNI_OK;
	failed |= measure_cutting(text) != AYNI_OK;
	globfree(&files);
	free(text);
	return failed;
}
