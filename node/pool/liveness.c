/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pool/liveness.h"

enum { TRIP_MOST_US = 1000000 }; /* one that was stopped for long is not far away */

static void measure(struct liveness *l, uint64_t trip_us)
{
	uint64_t off;

	if (trip_us > TRIP_MOST_US)
		trip_us = TRIP_MOST_US;
	if (l->trip_us == 0) {
		l->trip_us = trip_us > 0 ? trip_us : 1;
		l->variation_us = trip_us / 2;
		return;
	}
	off = trip_us > l->trip_us ? trip_us - l->trip_us : l->trip_us - trip_us;
	l->variation_us = (3 * l->variation_us + off) / 4;
	l->trip_us = (7 * l->trip_us + trip_us + 7) / 8;
}

void liveness_heard(struct liveness *l, uint64_t echo_us, uint64_t now_us)
{
	if (l->suspect && now_us - l->suspect_us < liveness_limit_us(l)) {
		l->alarms += l->alarms < LIVENESS_ALARMS;
		l->alarm_us = now_us;
	} else if (l->alarms > 0 && now_us - l->alarm_us >= LIVENESS_EASE_US) {
		l->alarms--;
		l->alarm_us = now_us;
	}
	l->suspect = false;
	if (echo_us != 0 && echo_us <= now_us)
		measure(l, now_us - echo_us);
}

uint64_t liveness_limit_us(const struct liveness *l)
{
	uint64_t limit = l->trip_us + 4 * l->variation_us + LIVENESS_ASK_US;

	limit = limit < LIVENESS_LEAST_US ? LIVENESS_LEAST_US : limit;
	limit += l->alarms * (uint64_t)LIVENESS_ALARM_US;
	return limit < LIVENESS_MOST_US ? limit : LIVENESS_MOST_US;
}

bool liveness_silent(struct liveness *l, uint64_t since_us, uint64_t now_us)
{
	uint64_t asked = l->asked_us > since_us ? l->asked_us : since_us;

	if (!l->suspect && now_us - since_us >= liveness_limit_us(l)) {
		l->suspect = true;
		l->suspect_us = now_us;
	}
	if (now_us - asked < LIVENESS_ASK_US)
		return false;
	l->asked_us = now_us;
	return true;
}
