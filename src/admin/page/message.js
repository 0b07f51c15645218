// Everything that is known of one message.

import { fact, make, setAttribute } from "./dom.js";
import { clockSeconds, count, duration, instant, number, size, time } from "./format.js";

/** More are told in number only. */
const RECIPIENTS_MAX = 200;

/** The parts of its description. */
export function messageDetail(message, now) {
  return [
    facts(message, now),
    ...part(`${count(message.recipients.length, "recipient")}`, message.recipients.slice(0, RECIPIENTS_MAX), recipient),
    ...rest(message.recipients.length - RECIPIENTS_MAX),
    ...part("Attempts", message.history, (attempt) => attemptLine(attempt, now)),
    ...part("Besides", message.events ?? [], (event) => eventLine(event, now)),
  ];
}

function facts(message, now) {
  const known = [
    ["Subject", message.subject && outside(message.subject)],
    ["From", outside(message.reverse_path || "<>")],
    ["Id", code(message.id)],
    ["Message-ID", message.message_id && outside(message.message_id)],
    ["Account", outside(message.account)],
    ["Size", size(message.size_bytes)],
    ["From client", outside(clientWords(message))],
    ["Listener", outside(message.listener)],
    ["Received", when(message.received_at, now)],
    ["Ended", message.ended_at && when(message.ended_at, now)],
    ["Next attempt", message.next_attempt_at && when(message.next_attempt_at, now)],
    ["Last reply", message.history.length === 0 && message.last_reply && outside(message.last_reply)],
    ["Set aside", message.quarantined && outside(message.quarantined)],
  ];
  const shown = known.filter(([, value]) => value).map(([term, value]) => fact(term, value));
  return make("dl", { class: "facts" }, ...shown);
}

function clientWords({ client, helo, tls, auth_name: name }) {
  const parts = [helo ? `${client} (${helo})` : client, tls ?? "plain text"];
  return [...parts, ...(name ? [`as ${name}`] : [])].join(", ");
}

function part(title, items, line) {
  return items.length > 0 ? [make("h3", {}, title), make("ol", { class: "plain lines" }, ...items.map(line))] : [];
}

function rest(many) {
  return many > 0 ? [make("p", { class: "quiet" }, `and ${number(many)} more: exorelay queue show lists them all`)] : [];
}

function recipient({ address, state, reply }) {
  return make("li", {}, outside(address), " ", stateMark(state), ...(reply ? [" ", outside(reply)] : []));
}

function attemptLine(attempt, now) {
  const seconds = (instant(attempt.ended_at) - instant(attempt.started_at)) / 1000;
  const took = seconds >= 1 ? ` (${duration(seconds)})` : "";
  const doubt = attempt.uncertain ? " The connection was lost before the reply: perhaps it was delivered." : "";
  return make("li", {},
    `${attempt.number}. `, when(attempt.started_at, now), took, " ", stateMark(attempt.result), " ",
    make("span", { class: "quiet" }, `${attempt.account} through ${attempt.remote}: `), outside(attempt.reply), doubt);
}

function eventLine(event, now) {
  const detail = event.detail ? `: ${event.detail}` : "";
  return make("li", {}, when(event.at, now), " ", make("b", {}, event.action), " ",
    outside(`by ${event.actor}${detail}`));
}

function when(text, now) {
  return time(text, (at) => clockSeconds(at, now));
}

function stateMark(state) {
  const mark = make("b", { class: "state" }, state);
  const levels = { delivered: "ok", failed: "bad", deferred: "warn" };
  setAttribute(mark, "data-level", levels[state] ?? "note");
  return mark;
}

function code(text) {
  return make("code", {}, text);
}

/** A stranger's words: their direction of writing ends with them. */
function outside(text) {
  return make("span", { class: "outside" }, text);
}
