// SPDX-License-Identifier: Apache-2.0
// A conversation, to try the pool. It is kept in this tab while the page is open, and nowhere else.
import { askChat } from "../events.mjs";
import { count, number, t } from "../language.mjs";
import { eachFrame, el, growText, keep, setText } from "../ui.mjs";

const conversation = []; // { role, content }, as the API has them; over changes of the page

const bubble = (role, content) => el("article", { "data-role": role },
	el("h2", {}, t(`chat.${role}`)), el("p", { class: "said" }, content));

export function chat(live) {
	const log = el("div", { class: "chat", role: "log", "aria-label": t("page.chat"), tabindex: "0" },
		...conversation.map((turn) => bubble(turn.role, turn.content)));
	const model = el("select", { id: "model" });
	const input = el("textarea", { id: "question", rows: "3", required: true, placeholder: t("chat.placeholder") });
	const send = el("button", { type: "submit" }, t("chat.send"));
	const stop = el("button", { type: "button", hidden: true, onclick: () => running?.abort() }, t("chat.stop"));
	const clear = el("button", { type: "button", onclick: () => {
		conversation.length = 0;
		log.replaceChildren();
		setText(state, "");
	} }, t("chat.clear"));
	const state = el("p", { class: "quiet", role: "status" });
	const form = el("form", { onsubmit: (event) => {
		event.preventDefault();
		if (running === null && input.value.trim() !== "")
			ask();
	} }, el("label", { for: "model" }, t("models.name")), model,
		el("label", { for: "question" }, t("chat.question")), input,
		el("p", { class: "buttons" }, send, stop, clear), state);
	let running = null; // its AbortController

	input.addEventListener("keydown", (event) => {
		if (event.key !== "Enter" || event.shiftKey || event.isComposing)
			return;
		event.preventDefault();
		form.requestSubmit();
	});

	function busy(controller) {
		running = controller;
		send.hidden = clear.disabled = running !== null;
		stop.hidden = running === null;
	}

	// What came, also of an answer that was stopped, stays in the conversation.
	async function ask() {
		const question = { role: "user", content: input.value };
		const answer = { role: "assistant", content: "" };
		const shown = bubble("assistant", "");
		const thoughts = el("p", { class: "said" });
		const reasoning = el("details", { hidden: true }, el("summary", {}, t("chat.reasoning")), thoughts);
		conversation.push(question);
		shown.insertBefore(reasoning, shown.lastChild);
		log.append(bubble("user", question.content), shown);
		input.value = "";
		setText(state, t("chat.waiting"));
		busy(new AbortController());
		try {
			await read(answer, shown.lastChild, reasoning, thoughts);
		} catch (error) {
			setText(state, error.name === "AbortError" ? t("chat.stopped") : t("chat.failed", { why: error.message }));
		}
		if (answer.content === "")
			conversation.pop();
		else
			conversation.push(answer);
		busy(null);
	}

	async function read(answer, said, reasoning, thoughts) {
		const asked = performance.now();
		let thought = "";
		const draw = eachFrame(() => {
			growText(said, answer.content);
			growText(thoughts, thought);
			reasoning.hidden = thought === "";
			log.scrollTop = log.scrollHeight;
		});
		for await (const part of askChat({ model: model.value, messages: conversation }, running.signal)) {
			answer.content += part.text;
			thought += part.reasoning;
			draw();
			if (part.usage)
				setText(state, t("chat.done", {
					n: count(part.usage.completion_tokens), seconds: number((performance.now() - asked) / 1000),
				}));
		}
	}

	return {
		node: el("div", {}, el("p", { class: "quiet" }, t("chat.help")), log, form),
		update() {
			keep(model, live.status?.models ?? [], (m) => m.name, (m) => el("option", { value: m.name }, m.name), () => {});
		},
		end: () => running?.abort(),
	};
}
