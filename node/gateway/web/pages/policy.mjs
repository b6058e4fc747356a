// SPDX-License-Identifier: Apache-2.0
// Who is served, in which order: what this pool does today, not what it might.
import { t } from "../language.mjs";
import { el, section } from "../ui.mjs";

const list = (...keys) => el("ul", {}, ...keys.map((key) => el("li", {}, t(key))));

export function policy() {
	return {
		node: el("div", { class: "prose" },
			section(t("policy.order"), list("policy.order1", "policy.order2", "policy.order3")),
			section(t("policy.limits"), list("policy.limits1", "policy.limits2", "policy.limits3"),
				el("p", {}, el("a", { href: "metrics" }, t("policy.metrics")))),
			section(t("policy.privacy"), list("policy.privacy1", "policy.privacy2"))),
	};
}
