// SPDX-License-Identifier: Apache-2.0
// What the page says, in the language of its reader: a dictionary a language, keys the same in all.
import en from "./en.mjs";
import zh from "./zh.mjs";

const dictionaries = { en, zh };
const languageOf = (tag) => tag.toLowerCase().split("-")[0];
let locale = "en"; // how numbers and times are written
let language = "en";

export const languages = Object.keys(dictionaries);

// The first of these, such as "zh-Hans-CN", that there is a dictionary for.
export function chooseLanguage(wanted) {
	locale = wanted.find((tag) => languageOf(tag) in dictionaries) ?? "en";
	language = languageOf(locale);
	return language;
}

// The text of a key, with {names} filled in.
export function t(key, values = {}) {
	return dictionaries[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// Words that the pool says and that have a translation, such as a donor's state; others as they are.
export function word(kind, said) {
	return dictionaries[language][`${kind}.${said}`] ?? said;
}

export function number(value, digits = 3) {
	return new Intl.NumberFormat(locale, { maximumSignificantDigits: digits }).format(value);
}

export function count(value) {
	return new Intl.NumberFormat(locale).format(value);
}

export function time(ms) {
	return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(ms);
}

export function clock(s) {
	return new Intl.DateTimeFormat(locale, { timeStyle: "medium", hourCycle: "h23" }).format(s * 1000);
}

// How long, in its two largest units.
export function duration(ms) {
	const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
	let rest = Math.floor(ms / 1000);
	const parts = units.map(([unit, seconds]) => {
		const n = Math.floor(rest / seconds);
		rest %= seconds;
		return [unit, n];
	});
	const first = Math.min(parts.findIndex(([, n]) => n > 0) >>> 0, units.length - 1);
	return parts.slice(first, first + 2).map(([unit, n]) =>
		new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short" }).format(n)).join(" ");
}

// Layers as people count them where the pool does: from 0, the last one included.
export function layers([first, last]) {
	return last > first ? `${first}–${last - 1}` : "–";
}
