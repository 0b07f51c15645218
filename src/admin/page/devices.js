// Who hands in mail, and when something was last heard of them.

import { byId, cell, make, reconcile, setAttribute, setText, setTextOrHide, span } from "./dom.js";
import { clock, count, duration, instant, makeTime, number, setTime, size } from "./format.js";

/** More only if somebody asks. */
const SHOWN = 50;

const devices = { clients: [], all: false };

/** Puts what never changes into the page. */
export function setUpDevices(changed) {
  byId("devices-more").addEventListener("click", () => {
    devices.all = true;
    changed();
  });
}

/** Fills the table; those seen last come first. */
export function showDevices(clients, now) {
  const isNone = clients.length === 0;
  byId("devices-none").hidden = !isNone;
  byId("devices-table").hidden = isNone;
  byId("devices-more").hidden = devices.all || clients.length <= SHOWN;
  setText(byId("devices-more"), `Show all ${number(clients.length)}`);
  setText(byId("devices-count"), clients.length > 1 ? number(clients.length) : "");
  const shown = devices.all ? clients : clients.slice(0, SHOWN);
  reconcile(byId("devices"), shown, (client) => client.client, createRow, (view, client) => updateRow(view, client, now));
}

/** Those that are expected to send something now and then; silent ones first. */
export function showWatched(sections, now) {
  const watched = sections.filter((section) => section.silent_after_seconds);
  const sorted = watched.sort((one, other) => Number(other.silent) - Number(one.silent));
  reconcile(byId("watched"), sorted, (section) => section.name, createWatched, (view, section) =>
    updateWatched(view, section, now));
}

function createWatched() {
  const view = {
    state: span("state"), name: make("b", { class: "outside" }), network: span("outside quiet"),
    last: makeTime(), expected: span("quiet"),
  };
  view.root = make("li", {}, view.state, " ", view.name, " ", view.network, " ", view.last, view.expected);
  return view;
}

function updateWatched(view, section, now) {
  const heard = section.last_message_at ? "heard" : "awaited";
  setText(view.state, section.silent ? "silent" : heard);
  setAttribute(view.state, "data-level", section.silent ? "warn" : "ok");
  setText(view.name, section.name);
  setText(view.network, section.network);
  setTime(view.last, section.last_message_at, (at) => `last message ${ago(at, now)}`);
  if (!section.last_message_at) {
    setText(view.last, "no message yet");
  }
  setText(view.expected, `, expected every ${duration(section.silent_after_seconds)}`);
}

function createRow() {
  const view = {
    client: make("b", { class: "outside" }), helo: span("outside quiet"),
    seen: makeTime(), message: makeTime(), messages: span(), sessions: span("quiet"),
    sender: span("outside"), how: span("outside quiet"),
    quirks: span("quiet"), refusal: span("outside"),
  };
  view.root = make("tr", { role: "row", class: "device" },
    make("th", { role: "rowheader", scope: "row", "data-label": "Client" }, view.client, view.helo),
    cell("Last seen", view.seen),
    cell("Last message", view.message),
    cell("Messages", view.messages, view.sessions),
    cell("Sends as", view.sender, view.how),
    cell("Remarks", view.refusal, view.quirks));
  return view;
}

function updateRow(view, client, now) {
  setText(view.client, client.client);
  setTextOrHide(view.helo, client.helo);
  setTime(view.seen, client.last_seen, (at) => ago(at, now));
  setTime(view.message, client.last_message_at, (at) => ago(at, now));
  if (!client.last_message_at) {
    setText(view.message, "never");
  }
  setText(view.messages, number(client.messages));
  setTextOrHide(view.sessions, `in ${count(client.sessions, "session")}`);
  setTextOrHide(view.sender, client.sender ?? "");
  setText(view.how, how(client));
  setTextOrHide(view.refusal, refusals(client, now));
  setTextOrHide(view.quirks, quirks(client));
}

function ago(at, now) {
  const seconds = (now - at) / 1000;
  return seconds < 60 ? "just now" : `${duration(seconds)} ago`;
}

function how({ listener, tls, auth_name: name }) {
  return [`to ${listener}`, tls ?? "plain text", ...(name ? [`as ${name}`] : [])].join(", ");
}

function refusals({ refusals: all, largest_refused_bytes: largest }, now) {
  if (all.length === 0) {
    return "";
  }
  const [last] = all;
  const refused = all.reduce((sum, one) => sum + one.count, 0);
  const tooLarge = largest > 0 ? `, the largest ${size(largest)}` : "";
  return `${count(refused, "refusal")}${tooLarge}, last ${clock(instant(last.last_at), now)}: ${last.reply}`;
}

/** Words of the daemon with their numbers. */
function quirks(client) {
  const met = Object.entries(client.quirks);
  return met.map(([quirk, many]) => `${quirk.replaceAll("_", " ")} ${number(many)}×`).join(", ");
}
