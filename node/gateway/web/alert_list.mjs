// SPDX-License-Identifier: Apache-2.0
// Alerts in words, and as a list to acknowledge.
import { number, t } from "./language.mjs";
import { el, keep, setText } from "./ui.mjs";

export function alertText({ key, details }) {
	const format = (value) => (value === undefined ? "" : number(value));
	return t(`alert.${key.split(":")[0]}`, {
		name: details.name || t("nameless"),
		value: format(details.value),
		normal: format(details.normal),
	});
}

export function alertList(live) {
	const list = el("ul", { class: "alerts" });
	const none = el("p", { class: "quiet" }, t("alerts.none"));

	function make({ key }) {
		return el("li", {}, el("strong"), " ", el("span"), " ",
			el("button", { type: "button", onclick: () => live.acknowledge(key) }, t("alerts.acknowledge")));
	}

	function show(item, alert) {
		const [level, text, button] = item.children;
		item.dataset.level = alert.level;
		setText(level, t(`alerts.level${alert.level}`));
		setText(text, alertText(alert));
		button.hidden = alert.acknowledged;
	}

	return {
		node: el("div", {}, none, list),
		update() {
			const alerts = live.alerts.list();
			none.hidden = alerts.length > 0;
			keep(list, alerts, (alert) => alert.key, make, show);
		},
	};
}
