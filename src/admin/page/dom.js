// Elements, made and changed in place. Text is only ever set as text: much of it comes from strangers.

/** The element of index.html with this id. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) {
    throw new Error(`index.html has no ${id}`);
  }
  return found;
}

/** A new element. Children are elements, or text. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An empty piece of text. */
export function span(kind) {
  return make("span", { class: kind });
}

/** A new element of a drawing. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    setAttribute(element, name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Sets an attribute, or takes it away for null; touches nothing that is so already. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined) {
    element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value);
  }
}

/** Sets the text, unless it is so already: a selection, and whoever listens, must not be disturbed. */
export function setText(element, text) {
  const wanted = text ?? "";
  if (element.textContent !== wanted) {
    element.textContent = wanted;
  }
}

/** Sets the text, and hides the element without one. */
export function setTextOrHide(element, text) {
  setText(element, text);
  element.hidden = !text;
}

/** Views by their key, for each parent. */
const views = new WeakMap();

/**
 * Gives the parent one child for each item, in their order, and keeps what is there already. `create` makes a
 * view, an object with `root`; `update` fills it.
 */
export function reconcile(parent, items, keyOf, create, update) {
  const before = views.get(parent) ?? new Map();
  const after = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (after.has(key)) {
      continue;
    }
    const view = before.get(key) ?? create(item);
    after.set(key, view);
    update(view, item);
    if (view.root === place) {
      place = place.nextElementSibling;
    } else {
      parent.insertBefore(view.root, place);
    }
  }
  for (const [key, view] of before) {
    if (!after.has(key)) {
      view.root.remove();
    }
  }
  views.set(parent, after);
}

/** Children that are texts and nothing else. */
export function reconcileTexts(parent, texts, tag = "li") {
  const create = () => ({ root: make(tag) });
  reconcile(parent, texts.map((text, index) => ({ text, index })), (item) => item.index, create, (view, item) =>
    setText(view.root, item.text));
}

/** The cell of a table; on a narrow screen its label stands beside it. */
export function cell(label, ...children) {
  return make("td", { role: "cell", "data-label": label }, ...children);
}

/** A term and its descriptions, for a dl. */
export function fact(term, ...description) {
  return make("div", {}, make("dt", {}, term), make("dd", {}, ...description));
}

/** A text that can be taken along with one click. */
export function copyable(kind) {
  const text = make("span", { class: "copy-text" });
  const button = make("button", { type: "button", class: "copy" }, "Copy");
  const root = make("p", { class: `copyable ${kind}` }, text, " ", button);
  button.addEventListener("click", () => copy(text, button));
  return { root, text };
}

async function copy(text, button) {
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(text.textContent);
  } catch {
    // Pages without TLS from another host may not write to the clipboard.
    getSelection().selectAllChildren(text);
    said = "Selected";
  }
  setText(button, said);
  setTimeout(() => setText(button, "Copy"), 2000);
}

/** A link to an address that came from outside; none unless it is on the web. */
export function outsideLink(address, text) {
  return make("a", { href: webAddress(address), rel: "noreferrer noopener", target: "_blank" }, text);
}

function webAddress(address) {
  try {
    return new URL(address).protocol === "https:" ? address : null;
  } catch {
    return null;
  }
}
