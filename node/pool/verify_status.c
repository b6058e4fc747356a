/* SPDX-License-Identifier: Apache-2.0 */
/* What `ayni status` says of rechecks. */
#include "node/pool/checking.h"
#include "node/pool/verify_internal.h"

void verify_describe_donor(
    const struct pool *p, const struct roster_donor *d, struct status_donor *out)
{
	const struct trust_record *r = trust_find(p->verify->trust, &d->key);

	if (r == NULL || p->verify->auditor == NULL)
		return;
	(void)snprintf(out->trust, sizeof out->trust, "%s", trust_state_name(r->state));
	out->verified_units = r->verified;
	out->lies = r->lies;
}

void verify_describe(const struct pool *p, struct msg_status *out)
{
	out->checks_right = p->verify->right;
	out->checks_wrong = p->verify->wrong;
	out->checks_missed = p->verify->missed;
	out->checks_by_donors = checking_by_donors(p);
}
