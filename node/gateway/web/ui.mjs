// SPDX-License-Identifier: Apache-2.0
// Elements of the page, made and kept up to date. Text is always text: nothing of a pool, a donor or
// a model is ever read as HTML.

// on… are listeners; true is an empty attribute, false and null are none.
export function el(name, attributes = {}, ...children) {
	const node = document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		if (key.startsWith("on"))
			node.addEventListener(key.slice(2), value);
		else if (value !== false && value !== null)
			node.setAttribute(key, value === true ? "" : value);
	}
	node.append(...children);
	return node;
}

// Writing the same again would take a reader's selection away.
export function setText(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

// Text that only grows: what is new is added, so that what is selected stays so.
export function growText(node, text) {
	if (node.firstChild === null)
		node.append("");
	node.firstChild.appendData(text.slice(node.firstChild.length));
}

// draw, before the next frame, once however often it is asked for: layout takes longer than a token.
export function eachFrame(draw) {
	let due = false;
	return () => {
		if (!due)
			requestAnimationFrame(() => {
				due = false;
				draw();
			});
		due = true;
	};
}

// Children by key: those that stay are kept, so that focus and selection are.
export function keep(parent, items, keyOf, make, update) {
	const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
	items.forEach((item, i) => {
		const key = String(keyOf(item));
		const node = old.get(key) ?? make(item);
		old.delete(key);
		node.dataset.key = key;
		update(node, item);
		if (parent.children[i] !== node)
			parent.insertBefore(node, parent.children[i] ?? null);
	});
	for (const node of old.values())
		node.remove();
}

// A table of rows { key, cells }, a cell being text or { text, sort, className }. Sorted by the
// column that its reader has chosen, else as the rows come.
export function table(caption, columns) {
	let by = null, down = false, rows = [];
	const body = el("tbody");
	const heads = columns.map(({ label, number }, i) => el("th",
		{ scope: "col", class: number ? "number" : null },
		el("button", { type: "button", onclick: () => choose(i) }, label)));
	const node = el("div", { class: "table", tabindex: "0", role: "region", "aria-label": caption },
		el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...heads)), body));

	function choose(i) {
		down = by === i ? !down : Boolean(columns[i].number);
		by = i;
		heads.forEach((head, k) => k === i
			? head.setAttribute("aria-sort", down ? "descending" : "ascending")
			: head.removeAttribute("aria-sort"));
		show();
	}

	const valueOf = (row) => row.cells[by].sort ?? row.cells[by].text ?? row.cells[by];

	function compare(a, b) {
		const [x, y] = [valueOf(a), valueOf(b)];
		const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
		return down ? -order : order;
	}

	function fill(line, row) {
		row.cells.forEach((cell, i) => {
			setText(line.children[i], cell.text ?? cell);
			line.children[i].className = [columns[i].number ? "number" : "", cell.className ?? ""].join(" ").trim();
		});
	}

	function show() {
		keep(body, by === null ? rows : [...rows].sort(compare), (row) => row.key,
			() => el("tr", {}, ...columns.map((_, i) => el(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : {}))),
			fill);
	}

	return { node, update(next) { rows = next; show(); } };
}

// A heading and what is under it.
export function section(title, ...children) {
	return el("section", {}, el("h2", {}, title), ...children);
}
