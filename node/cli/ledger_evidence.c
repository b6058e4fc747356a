/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What shows that a pool signed a receipt and has another one in its place, or none.
 *
 *     {"mine": "<SignedReceipt, base64>",    what the pool gave to the donor, with its signature
 *      "checkpoint": "<note>",               what the pool says of its log
 *      "log": "<tlog-proof>"}                what is in the place; not there: the log ends before
 */
#include "node/cli/ledger.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "protocol/receipt.h"

/* ---- writing ------------------------------------------------------------------------------ */

/* What the log has, as a proof of its own. */
static int prove_found(const struct signed_receipt *mine, struct log_reader *r,
    const struct log_head *h, struct span found, char **out, struct error *err)
{
	struct receipt receipt;
	struct proof p = {0};
	int rc = receipt_read((struct span){mine->receipt, mine->receipt_len}, &receipt, err);

	if (rc == AYNI_OK && found.len > RECEIPT_BYTES_MAX)
		rc = error_set(err, AYNI_ERR_FORMAT, "the log's entry is not a receipt");
	if (rc != AYNI_OK)
		return rc;
	p.index = receipt.number - 1;
	memcpy(p.receipt.receipt, found.data, found.len);
	p.receipt.receipt_len = found.len;
	rc = log_reader_prove(r, h, &p, err);
	return rc == AYNI_OK ? proof_format(&p, out, err) : rc;
}

int ledger_evidence(const struct signed_receipt *mine, struct log_reader *r,
    const struct log_head *h, struct span found, char **out, struct error *err)
{
	char receipt[RECEIPT_TEXT_BYTES], *proof = NULL;
	json_t *root = NULL;
	int rc = receipt_to_text(mine, receipt, err);

	*out = NULL;
	if (rc == AYNI_OK && found.len > 0)
		rc = prove_found(mine, r, h, found, &proof, err);
	if (rc == AYNI_OK)
		root =
		    json_pack("{ss ss ss*}", "mine", receipt, "checkpoint", h->note, "log", proof);
	if (root != NULL)
		*out = json_dumps(root, JSON_INDENT(1));
	if (rc == AYNI_OK && *out == NULL)
		rc = error_set(err, AYNI_ERR_MEMORY, "out of memory");
	json_decref(root);
	free(proof);
	return rc;
}

/* ---- checking ----------------------------------------------------------------------------- */

static int bad(struct error *err, const char *what)
{
	return error_set(err, AYNI_ERR_FORMAT, "evidence: %s", what);
}

static int check_changed(const struct signed_receipt *mine, const struct receipt *r,
    const struct checkpoint *c, const char *text, struct error *err)
{
	struct proof p;
	int rc = proof_parse(text, strlen(text), &p, err);

	if (rc != AYNI_OK)
		return rc;
	if (p.index != r->number - 1 || !log_proof_holds(&p, c))
		return error_set(err, AYNI_ERR_SIGNATURE,
		    "evidence: what it shows is not in the log that the checkpoint speaks of");
	if (p.receipt.receipt_len == mine->receipt_len &&
	    memcmp(p.receipt.receipt, mine->receipt, mine->receipt_len) == 0)
		return bad(err, "the log has this very receipt");
	(void)printf("PROVEN: the pool signed receipt %" PRIu64
	             " for its donor and another one of that number for its log\n",
	    r->number);
	return AYNI_OK;
}

static int check_missing(const struct receipt *r, const struct checkpoint *c, struct error *err)
{
	uint64_t until_ms = r->last_ms + (uint64_t)r->merge_delay_s * 1000;
	char until[32];

	if (c->size >= r->number)
		return bad(err, "the log has a receipt of that number, which is not shown");
	ledger_format_time(until_ms, until);
	if (r->merge_delay_s > 0 && (uint64_t)time(NULL) * 1000 < until_ms)
		return error_set(err, AYNI_ERR_STATE,
		    "the receipt is promised for %s only: nothing is proven yet", until);
	(void)printf("the pool signed receipt %" PRIu64 ", for its log by %s at the latest; the "
	             "checkpoint here is of %" PRIu64
	             " receipts. If the pool's log has no more even now, it is PROVEN that it "
	             "holds this one back\n",
	    r->number, until, c->size);
	return AYNI_OK;
}

int ledger_check_evidence(const char *text, size_t len, struct error *err)
{
	json_error_t why;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	const char *note = json_string_value(json_object_get(root, "checkpoint"));
	const char *receipt = json_string_value(json_object_get(root, "mine"));
	const char *log = json_string_value(json_object_get(root, "log"));
	struct signed_receipt mine;
	struct checkpoint c;
	struct receipt r;
	int rc;

	if (note == NULL || receipt == NULL) {
		rc = bad(err, root == NULL ? why.text : "no receipt, or no checkpoint");
		json_decref(root);
		return rc;
	}
	rc =
	    receipt_from_text((struct span){(const uint8_t *)receipt, strlen(receipt)}, &mine, err);
	if (rc == AYNI_OK)
		rc = receipt_check(&mine, &r, err);
	if (rc == AYNI_OK)
		rc = checkpoint_open(note, strlen(note), &r.pool, &c, err);
	if (rc == AYNI_OK)
		rc = log != NULL ? check_changed(&mine, &r, &c, log, err)
		                 : check_missing(&r, &c, err);
	json_decref(root);
	return rc;
}
