// SPDX-License-Identifier: Apache-2.0
// The operations room: which page is shown, in which language and colours.
import { chooseLanguage, languages, t } from "./language.mjs";
import { alertText } from "./alert_list.mjs";
import { Live } from "./live.mjs";
import { el, setText } from "./ui.mjs";
import { chat } from "./pages/chat.mjs";
import { donors } from "./pages/donors.mjs";
import { ledger } from "./pages/ledger.mjs";
import { models } from "./pages/models.mjs";
import { overview } from "./pages/overview.mjs";
import { policy } from "./pages/policy.mjs";

// A page is made by a function of Live that gives { node, update?, end? }.
const pages = { "": overview, models, donors, ledger, chat, policy };
const themes = ["auto", "light", "dark"];
const byId = (id) => document.getElementById(id);
const live = new Live();
let page = null, language, announced = new Map();

// What a reader chose is kept where the browser allows it.
const choice = {
	get(name) {
		try {
			return localStorage.getItem(name);
		} catch {
			return null;
		}
	},
	set(name, value) {
		try {
			localStorage.setItem(name, value);
		} catch { /* then it is asked again */ }
	},
};

const pageName = () => {
	const name = location.hash.replace(/^#\/?/, "");
	return Object.hasOwn(pages, name) ? name : "";
};

function showPage() {
	page?.end?.();
	page = pages[pageName()](live);
	byId("main").replaceChildren(el("h1", {}, t(`page.${pageName() || "overview"}`)), page.node);
	for (const link of byId("nav").children)
		link.getAttribute("href") === `#/${pageName()}`
			? link.setAttribute("aria-current", "page")
			: link.removeAttribute("aria-current");
	update();
}

function showFrame() {
	document.documentElement.lang = language;
	setText(byId("skip"), t("skip"));
	byId("nav").setAttribute("aria-label", t("pages"));
	byId("nav").replaceChildren(...Object.keys(pages).map((name) =>
		el("a", { href: `#/${name}` }, t(`page.${name || "overview"}`))));
	setText(byId("language"), t("language.other"));
	setText(byId("theme"), t(`theme.${theme()}`));
	showPage();
}

// The chosen one as the reader's system writes it, such as en-GB, if it has it at all.
function readLanguage() {
	const chosen = choice.get("language"), wanted = navigator.languages;
	language = chooseLanguage(chosen === null ? wanted : [...wanted.filter((tag) => tag.startsWith(chosen)), chosen]);
}

const theme = () => (themes.includes(choice.get("theme")) ? choice.get("theme") : "auto");

function showTheme() {
	theme() === "auto"
		? document.documentElement.removeAttribute("data-theme")
		: document.documentElement.setAttribute("data-theme", theme());
}

// Alerts that are new or more urgent are said aloud once, whichever page is open.
function announce(alerts) {
	const news = alerts.filter((a) => !a.acknowledged && (announced.get(a.key) ?? 0) < a.level);
	announced = new Map(alerts.map((a) => [a.key, a.level]));
	if (news.length > 0)
		setText(byId("announcement"), news.map(alertText).join(" "));
}

function update() {
	const alerts = live.alerts.list();
	const name = live.status?.pool || "ayni";
	const unseen = alerts.filter((a) => !a.acknowledged).length;
	setText(byId("pool"), name);
	setText(byId("connection"), t(`connection.${live.state}`));
	byId("connection").dataset.state = live.state;
	document.title = `${unseen > 0 ? `(${unseen}) ` : ""}${t(`page.${pageName() || "overview"}`)} · ${name}`;
	announce(alerts);
	page.update?.();
}

byId("language").addEventListener("click", () => {
	choice.set("language", languages[(languages.indexOf(language) + 1) % languages.length]);
	readLanguage();
	showFrame();
});
byId("theme").addEventListener("click", () => {
	choice.set("theme", themes[(themes.indexOf(theme()) + 1) % themes.length]);
	showTheme();
	showFrame(); // charts take their colours when they are made
});
byId("skip").addEventListener("click", (event) => {
	event.preventDefault(); // the hash is the page's
	byId("main").focus();
});
addEventListener("hashchange", () => {
	showPage();
	byId("main").focus();
});
readLanguage();
showTheme();
showFrame();
live.addEventListener("change", update);
live.start();
