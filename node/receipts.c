/* SPDX-License-Identifier: Apache-2.0 */
#include "node/receipts.h"

struct ledger_entry receipts_entry(const struct receipt *r, const struct signed_receipt *s)
{
	return (struct ledger_entry){.number = r->number,
	    .pool = r->pool,
	    .donor = r->donor,
	    .model = r->model,
	    .layer_first = r->layer_first,
	    .layer_last = r->layer_last,
	    .units = r->units,
	    .tokens = r->tokens,
	    .cost = r->cost,
	    .first_ms = r->first_ms,
	    .last_ms = r->last_ms,
	    .receipt = {s->receipt, s->receipt_len},
	    .pool_signature = s->pool_signature,
	    .countersigned = s->countersigned,
	    .donor_signature = s->donor_signature};
}

int receipts_signed(const struct ledger_entry *e, struct signed_receipt *out)
{
	memset(out, 0, sizeof *out);
	if (e->receipt.len > sizeof out->receipt)
		return AYNI_ERR_FORMAT;
	memcpy(out->receipt, e->receipt.data, e->receipt.len);
	out->receipt_len = e->receipt.len;
	out->pool_signature = e->pool_signature;
	out->countersigned = e->countersigned;
	out->donor_signature = e->donor_signature;
	return AYNI_OK;
}
