/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "compute/pretokenizer.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdlib.h>

enum {
	STAGES_MAX = 6,
	MATCH_LIMIT = 64 << 20, /* steps of one match in the interpreter: about a second */
	HEAP_LIMIT_KIB = 64 << 10
};

/* White space as a class's content. PCRE2's own \s counts U+180E too, which Unicode gave up. */
#define S           "\\p{Z}\\t-\\r\\x{85}"
#define NOT_S_AHEAD "(?![^" S "])"

#define GPT2                                                                                       \
	"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" S "\\p{L}\\p{N}]+|[" S "]+" NOT_S_AHEAD

/* The contraction, word, number and space rules of tiktoken's cl100k; they differ in digits. */
#define CL100K(number, symbols)                                                                    \
	"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"      \
	"|" number "| ?" symbols "|[" S "]*[\\r\\n]+|[" S "]+" NOT_S_AHEAD "|[" S "]+"
#define CL100K_SYMBOLS "[^" S "\\p{L}\\p{N}]+[\\r\\n]*"

/* A word of tiktoken's o200k is cut where small letters are followed by large ones; letters without
 * case, and marks, are both. What it does with contractions and digits differs. */
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K(contraction, number)                                                                 \
	"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" contraction "|[^\\r\\n\\p{L}\\p{N}]?" UPPER   \
	"+" LOWER "*" contraction "|" number "| ?[^" S "\\p{L}\\p{N}]+[\\r\\n/]*|[" S              \
	"]*[\\r\\n]+|[" S "]+" NOT_S_AHEAD "|[" S "]+"
#define CONTRACTION "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?"

/* The cased letters as DeepSeek's first tokenizers list them: no category of Unicode. */
#define CASED                                                                                      \
	"A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}"             \
	"\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}"                      \
	"\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}"              \
	"\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}"                     \
	"\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}"             \
	"\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}"             \
	"\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}"             \
	"\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}"                        \
	"\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}"                       \
	"\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}"             \
	"\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}"              \
	"\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}"               \
	"\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}"              \
	"\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}"              \
	"\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}"              \
	"\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}"             \
	"\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}"           \
	"\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}"                          \
	"\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}"
#define DEEPSEEK_PUNCTUATION                                                                       \
	"!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}"
#define DEEPSEEK_CJK "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
/* White space at the end. The look-behind saves trying each place in every run of spaces. */
#define SPACE_AT_END "(?<![" S "])[" S "]++$"

struct rules {
	const char *names; /* separated by spaces */
	bool ignore_merges;
	bool adds_bos;
	const char *stages[STAGES_MAX];
};

static const struct rules all_rules[] = {
    {"gpt-2 phi-2 mpt olmo jais gigachat trillion exaone4 granite-docling", false, false, {GPT2}},
    {"llama-bpe llama3 llama-v3 falcon3 pixtral", true, true,
        {CL100K("\\p{N}{1,3}", CL100K_SYMBOLS)}},
    {"gpt-4o llama4 kanana2 minimax-m2", false, false, {O200K(CONTRACTION, "\\p{N}{1,3}")}},
    {"tekken", true, true, {O200K("", "\\p{N}")}},
    {"dbrx smaug-bpe glm4 chatglm-bpe", false, false, {CL100K("\\p{N}{1,3}", CL100K_SYMBOLS)}},
    {"qwen2 deepseek-r1-qwen stablelm2 megrez hunyuan", false, false,
        {CL100K("\\p{N}", CL100K_SYMBOLS)}},
    {"seed-coder", false, false, {CL100K("\\p{N}", "[^" S "\\p{L}\\p{N}\\r\\n]+")}},
    {"deepseek-llm", false, false,
        {"[\\r\\n]", "[" S "]?[" CASED "]+", "[" S "]?[" DEEPSEEK_PUNCTUATION "]+", SPACE_AT_END,
            DEEPSEEK_CJK, "\\p{N}+"}},
    {"deepseek-coder", false, false,
        {"[\\r\\n]", "[" S "]?\\p{L}+", "[" S "]?\\p{P}+", DEEPSEEK_CJK, "\\p{N}"}},
    {"deepseek-v3 deepseek3 hunyuan-dense", false, false,
        {"\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{30ff}]+",
            "[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
            "| ?[\\p{P}\\p{S}]+[\\r\\n]*|[" S "]*[\\r\\n]+|[" S "]+" NOT_S_AHEAD "|[" S "]+"}},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b", false, false,
        {"\\p{N}", GPT2}},
    {"falcon", false, false, {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {"default", false, false, {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
};
enum { N_RULES = sizeof all_rules / sizeof all_rules[0] };

struct pretokenizer {
	const struct rules *rules;
	uint64_t users; /* by shared.lock */
	pcre2_code *stages[STAGES_MAX];
	uint32_t n_stages;
};

static bool names_have(const char *names, struct span name)
{
	while (*names != '\0') {
		size_t n = strcspn(names, " ");

		if (n == name.len && memcmp(names, name.data, n) == 0)
			return true;
		names += n + (names[n] == ' ');
	}
	return false;
}

static int unknown_name(struct span name, struct error *err)
{
	char known[ERROR_TEXT_BYTES] = "";
	char safe[33];
	size_t n = 0;

	for (size_t i = 0; i < name.len && i < sizeof safe - 1; i++)
		safe[n++] = name.data[i] > ' ' && name.data[i] < 127 ? (char)name.data[i] : '?';
	safe[n] = '\0';
	n = 0;
	for (size_t i = 0; i < N_RULES && n < sizeof known; i++) {
		int more = snprintf(known + n, sizeof known - n, "%s%.*s", i == 0 ? "" : ", ",
		    (int)strcspn(all_rules[i].names, " "), all_rules[i].names);
		n += (size_t)more;
	}
	return error_set(err, AYNI_ERR_UNSUPPORTED,
	    "tokenizer: pre-tokenizer '%s' is not known; known families: %s", safe, known);
}

static int stage_compile(const char *pattern, pcre2_code **out, struct error *err)
{
	int code;
	PCRE2_SIZE at;
	uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_UTF_CHECK;

	*out = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &code, &at, NULL);
	if (*out == NULL)
		return error_set(err, AYNI_ERR_UNSUPPORTED,
		    "tokenizer: this PCRE2 refuses the pre-tokenizer's expression at %zu (error "
		    "%d)",
		    at, code);
	/* Without a JIT the interpreter gives the same matches. */
	(void)pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE);
	return AYNI_OK;
}

/* Compiling takes as long as many a text, so all users of the same rules share the expressions. */
static struct {
	pthread_mutex_t lock; /* of all that is in here, and of each one's users */
	struct pretokenizer *of[N_RULES];
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void expressions_free(struct pretokenizer *p)
{
	for (uint32_t i = 0; i < p->n_stages; i++)
		pcre2_code_free(p->stages[i]);
	free(p);
}

static int expressions_new(const struct rules *rules, struct pretokenizer **out, struct error *err)
{
	struct pretokenizer *p = calloc(1, sizeof *p);
	int rc = AYNI_OK;

	if (p == NULL)
		return error_set(err, AYNI_ERR_MEMORY, "tokenizer: no memory");
	p->rules = rules;
	while (rc == AYNI_OK && p->n_stages < STAGES_MAX && rules->stages[p->n_stages] != NULL) {
		rc = stage_compile(rules->stages[p->n_stages], &p->stages[p->n_stages], err);
		p->n_stages += rc == AYNI_OK;
	}
	if (rc < 0) {
		expressions_free(p);
		return rc;
	}
	*out = p;
	return AYNI_OK;
}

int pretokenizer_new(struct span name, struct pretokenizer **out, struct error *err)
{
	int rc = AYNI_OK;
	size_t i = 0;

	*out = NULL;
	while (i < N_RULES && !names_have(all_rules[i].names, name))
		i++;
	if (i == N_RULES)
		return unknown_name(name, err);
	(void)pthread_mutex_lock(&shared.lock);
	if (shared.of[i] == NULL)
		rc = expressions_new(&all_rules[i], &shared.of[i], err);
	if (rc == AYNI_OK) {
		*out = shared.of[i];
		(*out)->users++;
	}
	(void)pthread_mutex_unlock(&shared.lock);
	return rc;
}

void pretokenizer_free(struct pretokenizer *p)
{
	bool last;

	if (p == NULL)
		return;
	(void)pthread_mutex_lock(&shared.lock);
	last = --p->users == 0;
	if (last)
		shared.of[p->rules - all_rules] = NULL;
	(void)pthread_mutex_unlock(&shared.lock);
	if (last)
		expressions_free(p);
}

bool pretokenizer_ignores_merges(const struct pretokenizer *p)
{
	return p->rules->ignore_merges;
}

bool pretokenizer_adds_bos(const struct pretokenizer *p)
{
	return p->rules->adds_bos;
}

struct splitting {
	const struct pretokenizer *p;
	pcre2_match_data *found[STAGES_MAX]; /* one a stage: the stages nest */
	pcre2_match_context *limits;
	word_fn fn;
	void *arg;
	struct error *err;
};

/* Returns 1 for a match, 0 for none. */
static int stage_match(
    struct splitting *s, uint32_t stage, const uint8_t *text, size_t len, size_t from)
{
	const pcre2_code *code = s->p->stages[stage];
	pcre2_match_data *found = s->found[stage];
	int rc = pcre2_match(code, text, len, from, PCRE2_NO_UTF_CHECK, found, s->limits);

	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(
		    code, text, len, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, found, s->limits);
	if (rc > 0)
		return 1;
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	return error_set(s->err, rc == PCRE2_ERROR_NOMEMORY ? AYNI_ERR_MEMORY : AYNI_ERR_LIMIT,
	    "tokenizer: the text costs too much to cut into words (PCRE2 error %d)", rc);
}

static int split_stage(struct splitting *s, uint32_t stage, const uint8_t *text, size_t len)
{
	size_t done = 0; /* what has been handed on */

	if (stage == s->p->n_stages)
		return s->fn(s->arg, text, len);
	while (done < len) {
		const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->found[stage]);
		int rc = stage_match(s, stage, text, len, done);
		size_t start, end;

		if (rc < 0)
			return rc;
		start = rc == 0 ? len : at[0];
		end = rc == 0 ? len : at[1];
		assert(done <= start && (rc == 0 || start < end)); /* no expression matches "" */
		if (start > done) {
			rc = split_stage(s, stage + 1, text + done, start - done);
			if (rc < 0)
				return rc;
		}
		if (end > start) {
			rc = split_stage(s, stage + 1, text + start, end - start);
			if (rc < 0)
				return rc;
		}
		done = end;
	}
	return AYNI_OK;
}

int pretokenizer_split(const struct pretokenizer *p, const uint8_t *text, size_t len, word_fn fn,
    void *arg, struct error *err)
{
	struct splitting s = {.p = p, .fn = fn, .arg = arg, .err = err};
	int rc = AYNI_ERR_MEMORY;

	s.limits = pcre2_match_context_create(NULL);
	if (s.limits == NULL)
		goto out;
	(void)pcre2_set_match_limit(s.limits, MATCH_LIMIT);
	(void)pcre2_set_heap_limit(s.limits, HEAP_LIMIT_KIB);
	for (uint32_t i = 0; i < p->n_stages; i++) {
		s.found[i] = pcre2_match_data_create(1, NULL);
		if (s.found[i] == NULL)
			goto out;
	}
	rc = split_stage(&s, 0, text, len);
out:
	for (uint32_t i = 0; i < p->n_stages; i++)
		pcre2_match_data_free(s.found[i]);
	pcre2_match_context_free(s.limits);
	if (rc == AYNI_ERR_MEMORY)
		error_set(err, AYNI_ERR_MEMORY, "tokenizer: no memory to cut text into words");
	return rc;
}
