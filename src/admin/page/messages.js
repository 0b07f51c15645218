// Recent messages, newest first, and what happened to each.

import { askLines, daemonNow, inWords } from "./ask.js";
import { byId, cell, make, reconcile, setAttribute, setText, setTextOrHide, span } from "./dom.js";
import { clockSeconds, count, makeTime, number, setTime } from "./format.js";
import { messageDetail } from "./message.js";

/** Asked for at first, and after each "Show more". */
const STEPS = [30, 200, 1000];

/** Typing goes on for so long before the daemon is asked. */
const TYPING_MS = 250;

const LEVELS = { delivered: "ok", failed: "bad", deferred: "warn", held: "warn", deleted: "gone" };

const list = { step: 0, messages: null, open: new Set(), question: null, typing: null };

/** Puts what never changes into the page. */
export function setUpMessages() {
  byId("search").addEventListener("input", () => {
    clearTimeout(list.typing);
    list.typing = setTimeout(searchAnew, TYPING_MS);
  });
  byId("search-state").addEventListener("change", searchAnew);
  byId("messages-more").addEventListener("click", () => {
    list.step = Math.min(list.step + 1, STEPS.length - 1);
    loadMessages();
  });
}

/** Looks for messages in a state, and nothing else. */
export function showOnly(state) {
  byId("search").value = "";
  byId("search-state").value = state;
  searchAnew();
  byId("messages-title").scrollIntoView();
  byId("search-state").focus({ preventScroll: true });
}

function searchAnew() {
  list.step = 0;
  loadMessages();
}

/** Asks for what the fields say; a question before that is still open is dropped. */
export async function loadMessages() {
  list.question?.abort();
  const question = new AbortController();
  list.question = question;
  try {
    const found = await askLines(`/v1/history?${query()}`, question.signal);
    if (list.question === question) {
      list.messages = found;
      setTextOrHide(byId("history-trouble"), "");
      showMessages();
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      setTextOrHide(byId("history-trouble"), `The messages cannot be read: ${inWords(error)}`);
    }
  }
}

function query() {
  const asked = new URLSearchParams({ last: STEPS[list.step] });
  const text = byId("search").value.trim();
  const state = byId("search-state").value;
  if (text) {
    asked.set("text", text);
  }
  if (state) {
    asked.set("state", state);
  }
  return asked;
}

/** Shows what is loaded. */
function showMessages() {
  const { messages } = list;
  const many = messages.length;
  const isAll = many < STEPS[list.step];
  setText(byId("search-result"), resultWords(many, isAll));
  byId("messages-table").hidden = many === 0;
  byId("messages-more").hidden = isAll || list.step === STEPS.length - 1;
  const context = { now: daemonNow() };
  reconcile(byId("messages"), messages.flatMap(rows), (row) => row.key, (row) => row.create(row.message),
    (view, row) => row.update(view, row.message, context));
}

function resultWords(many, isAll) {
  const isSearch = Boolean(byId("search").value.trim() || byId("search-state").value);
  if (many === 0) {
    return isSearch ? "No message matches." : "None has come in yet.";
  }
  if (isSearch) {
    return isAll ? `${count(many, "message matches", "messages match")}.` : `The last ${number(many)} that match.`;
  }
  return isAll ? `${count(many, "message")} in all.` : `The last ${number(many)}.`;
}

function rows(message) {
  const main = { key: message.id, message, create: createRow, update: updateRow };
  const detail = { key: `${message.id}/detail`, message, create: createDetail, update: updateDetail };
  return list.open.has(message.id) ? [main, detail] : [main];
}

function createRow({ id }) {
  const view = {
    time: makeTime(), from: span("outside"), to: span("outside"), toMore: span("quiet"),
    subject: span("outside"), state: span("state"),
    button: make("button", {
      type: "button", class: "disclose", "aria-controls": `detail-${id}`,
      "aria-label": `Details of message ${id}`,
    }),
  };
  view.root = make("tr", { role: "row", class: "message" },
    cell("Received", view.button, view.time), cell("From", view.from),
    cell("To", make("span", { class: "recipients" }, view.to, view.toMore)),
    cell("Subject", view.subject), cell("State", view.state));
  view.root.addEventListener("click", () => {
    if (getSelection().isCollapsed) {
      toggle(id);
    }
  });
  return view;
}

function toggle(id) {
  if (!list.open.delete(id)) {
    list.open.add(id);
  }
  showMessages();
}

function updateRow(view, message, { now }) {
  setTime(view.time, message.received_at, (at) => clockSeconds(at, now));
  setText(view.from, message.reverse_path || "<>");
  const [first, ...others] = message.recipients;
  setText(view.to, first?.address ?? "");
  setTextOrHide(view.toMore, others.length > 0 ? `+${number(others.length)}` : "");
  setText(view.subject, message.subject ?? "");
  setText(view.state, message.state);
  setAttribute(view.state, "data-level", LEVELS[message.state] ?? "note");
  setAttribute(view.button, "aria-expanded", list.open.has(message.id));
}

function createDetail({ id }) {
  const contents = make("td", { role: "cell", colspan: 5, id: `detail-${id}` });
  return { root: make("tr", { role: "row", class: "more" }, contents), contents, shown: "" };
}

/** Made anew only if something has changed: a selection must not be disturbed. */
function updateDetail(view, message, { now }) {
  const wanted = JSON.stringify(message);
  if (view.shown !== wanted) {
    view.shown = wanted;
    view.contents.replaceChildren(...messageDetail(message, now));
  }
}
