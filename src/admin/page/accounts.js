// The accounts: whether they send, why not, and what they have used of what they may.

import { meter, setMeter, setSparkline, sparkline } from "./charts.js";
import { byId, cell, make, reconcile, reconcileTexts, setAttribute, setText, setTextOrHide, span } from "./dom.js";
import { createExplanation, updateExplanation } from "./explanation.js";
import { clock, count, date, daysUntil, duration, instant, makeTime, number, setTime } from "./format.js";
import { gapOf, ratesOf, samplesSince } from "./timeline.js";
import { levelOfAccount } from "./verdict.js";

/** Where nearly all of them send to: told only where it is another. */
const USUAL_HOST = "smtp.office365.com";

/** From then on an expiry is a warning, as in the daemon. */
const EXPIRY_WARNING_DAYS = 30;

/** More only if somebody asks, or if they are in trouble. */
const SHOWN = 12;

const SPARK_MS = 60 * 60 * 1000;
const DENIED_MAX = 5;
const LEVELS = ["bad", "warn", "note", "ok"];

const table = { all: false };

/** Puts what never changes into the page. */
export function setUpAccounts(changed) {
  byId("accounts-more").addEventListener("click", () => {
    table.all = true;
    changed();
  });
}

/** Fills the table; those in trouble first. */
export function showAccounts({ accounts, incidents }, timeline, now) {
  byId("accounts-none").hidden = accounts.length > 0;
  byId("accounts-table").hidden = accounts.length === 0;
  setText(byId("accounts-count"), accounts.length > 1 ? number(accounts.length) : "");
  const context = { now, incidents, samples: samplesSince(timeline, now - SPARK_MS), gap: gapOf(timeline) };
  const weight = (account) => LEVELS.indexOf(levelOfAccount(account));
  const sorted = [...accounts].sort((one, other) => weight(one) - weight(other) || one.name.localeCompare(other.name));
  const shown = sorted.filter((account, index) => table.all || index < SHOWN || levelOfAccount(account) !== "ok");
  byId("accounts-more").hidden = shown.length === sorted.length;
  setText(byId("accounts-more"), `Show all ${number(sorted.length)}`);
  reconcile(byId("accounts"), shown.flatMap(rows), (row) => row.key, (row) => row.create(),
    (view, row) => row.update(view, row.account, context));
}

function rows(account) {
  const main = { key: `${account.name}/main`, account, create: createRow, update: updateRow };
  const trouble = { key: `${account.name}/trouble`, account, create: createTrouble, update: updateTrouble };
  return hasTrouble(account) ? [main, trouble] : [main];
}

function createRow() {
  const view = {
    name: make("b"), mailbox: span("outside quiet"), host: span("outside quiet"),
    state: span("state"), stateMore: span("quiet"),
    minute: meter("Messages in the last minute"), minuteText: span(), spark: sparkline(),
    day: meter("Recipients in the last 24 hours"), dayText: span(),
    waiting: span("amount"), waitingMore: span("quiet"),
    token: span(), tokenTime: makeTime(), signIn: span("outside quiet"),
    credential: makeTime(),
  };
  view.root = make("tr", { role: "row", class: "account" },
    make("th", { role: "rowheader", scope: "row", "data-label": "Account" }, view.name, view.mailbox, view.host),
    cell("State", view.state, view.stateMore),
    cell("Last minute", view.minuteText, view.minute.root, view.spark.root),
    cell("Recipients in 24 h", view.dayText, view.day.root),
    cell("Waiting", view.waiting, view.waitingMore),
    cell("Token, credential", make("span", {}, view.token, view.tokenTime), view.signIn, view.credential));
  return view;
}

function updateRow(view, account, context) {
  const { now } = context;
  setText(view.name, account.name);
  setText(view.mailbox, account.mailbox);
  setTextOrHide(view.host, account.host === USUAL_HOST ? "" : account.host);
  setAttribute(view.root, "data-level", levelOfAccount(account));
  setAttribute(view.state, "data-level", levelOfAccount(account));
  setText(view.state, account.state);
  setTextOrHide(view.stateMore, stateMore(account, now));
  updateMinute(view, account, context);
  updateDay(view, account.pace);
  setText(view.waiting, number(account.pace.queued));
  setTextOrHide(view.waitingMore, waitingMore(account.pace, now));
  updateToken(view, account.token, now);
  updateCredential(view.credential, account.credential_expires, now);
}

function stateMore(account, now) {
  const parts = [];
  if (account.state !== "ready") {
    parts.push(`since ${clock(instant(account.since), now)}`);
  }
  if (account.probing) {
    parts.push("being tried just now");
  } else if (account.next_probe_at) {
    parts.push(`tried again ${clock(instant(account.next_probe_at), now)}`);
  }
  if (account.connections > 0) {
    parts.push(count(account.connections, "connection"));
  }
  return parts.join(", ");
}

function updateMinute(view, { name, pace }, { now, samples, gap }) {
  const limit = pace.messages_per_minute;
  const words = limit > 0 ? `${number(pace.messages_last_minute)} of ${number(limit)}` : "no limit set";
  setText(view.minuteText, words);
  setMeter(view.minute, pace.messages_last_minute, limit, words, true);
  setAttribute(view.minute.root, "hidden", limit > 0 ? null : "");
  setAttribute(view.spark.root, "hidden", limit > 0 ? null : "");
  if (limit > 0) {
    setSparkline(view.spark, ratesOf(samples, name), { from: now - SPARK_MS, to: now, limit, gap });
  }
}

function updateDay(view, pace) {
  const limit = pace.recipients_per_day;
  const used = number(pace.recipients_last_day);
  const words = limit > 0 ? `${used} of ${number(limit)}` : `${used}, no limit set`;
  setText(view.dayText, words);
  setMeter(view.day, pace.recipients_last_day, limit, words);
  setAttribute(view.day.root, "hidden", limit > 0 ? null : "");
}

function waitingMore(pace, now) {
  const parts = [];
  if (pace.waiting_until) {
    parts.push(`next about ${clock(instant(pace.waiting_until), now)}`);
  }
  if (pace.drained_at) {
    parts.push(`last about ${clock(instant(pace.drained_at), now)}`);
  }
  return parts.join(", ");
}

function updateToken(view, token, now) {
  const left = token.expires_at ? (instant(token.expires_at) - now) / 1000 : null;
  const isOver = left !== null && left <= 0;
  setText(view.token, tokenState(token));
  setTime(view.tokenTime, token.expires_at, () => (isOver ? "expired" : `good for ${duration(left)}`));
  setAttribute(view.token, "data-level", token.state === "failing" ? "warn" : null);
  setAttribute(view.tokenTime, "data-level", isOver ? "bad" : null);
  setTextOrHide(view.signIn, token.sign_in ? `signed in as ${token.sign_in.user ?? "an unknown person"}` : "");
}

function tokenState(token) {
  return {
    starting: "token asked for",
    valid: "token ",
    failing: token.expires_at ? "token cannot be renewed, " : "no token: none is given",
    stopped: "token no longer renewed ",
  }[token.state] ?? token.state;
}

function updateCredential(element, expires, now) {
  const { words, level } = expires ? credential(expires, daysUntil(expires, now)) : { words: "", level: null };
  setTextOrHide(element, words);
  setAttribute(element, "datetime", expires ?? null);
  setAttribute(element, "data-level", level);
}

function credential(expires, days) {
  if (days < 0) {
    return { words: `credential ran out on ${date(expires)}`, level: "bad" };
  }
  const until = `credential until ${date(expires)}`;
  return days > EXPIRY_WARNING_DAYS ? { words: until, level: null }
    : { words: `${until}, ${count(days, "day")} left`, level: "warn" };
}

function hasTrouble(account) {
  return Boolean(account.reason || tokenTrouble(account) || notes(account).length > 0);
}

/** What is told of the account need not be told of its token. */
function tokenTrouble({ rule, reason, token }) {
  const isTold = (token.rule && token.rule === rule) || token.error === reason;
  return token.error && !isTold ? token : null;
}

function notes({ unknown_replies: unknown, last_unknown_reply: reply, denied_senders: denied = [] }) {
  const shown = denied.slice(0, DENIED_MAX).map((one) => one.address).join(", ");
  const rest = denied.length > DENIED_MAX ? ` and ${denied.length - DENIED_MAX} more` : "";
  return [
    ...(reply ? [`${count(unknown, "reply", "replies")} that exorelay does not know, last: ${reply}`] : []),
    ...(denied.length > 0 ? [`May not send as ${shown}${rest}: they are rewritten to the mailbox.`] : []),
  ];
}

function createTrouble() {
  const view = {
    account: createExplanation(), token: createExplanation(), notes: make("ul", { class: "plain quiet small" }),
  };
  const contents = make("td", { role: "cell", colspan: 6 }, view.account.root, view.token.root, view.notes);
  view.root = make("tr", { role: "row", class: "more" }, contents);
  return view;
}

function updateTrouble(view, account, { incidents }) {
  // What it means stands with the incident, if there is one.
  const isTold = incidents.some((incident) => incident.account === account.name && incident.why === account.why);
  updateExplanation(view.account, isTold ? { ...account, why: null } : account);
  const token = tokenTrouble(account);
  updateExplanation(view.token, token ? { ...token, reason: token.error } : {});
  reconcileTexts(view.notes, notes(account));
}
