// What is wrong at the moment, and how it is mended.

import { byId, make, reconcile, setAttribute, setText, span } from "./dom.js";
import { createExplanation, updateExplanation } from "./explanation.js";
import { clock, count, makeTime, setTime } from "./format.js";

/** Fills the list; those that weigh most first. */
export function showIncidents(incidents, now) {
  byId("incidents-none").hidden = incidents.length > 0;
  const weight = (incident) => (levelOf(incident) === "bad" ? 0 : 1);
  const sorted = [...incidents].sort((one, other) => weight(one) - weight(other));
  reconcile(byId("incidents"), sorted, (incident) => incident.id, create, (view, incident) =>
    update(view, incident, now));
}

function levelOf(incident) {
  return ["blocked", "expired"].includes(incident.state) ? "bad" : "warn";
}

function create() {
  const view = {
    what: make("b", { class: "state" }), since: makeTime(), failures: span(), id: make("code"),
    explanation: createExplanation(),
  };
  view.root = make("li", { class: "incident" },
    make("p", {}, view.what, " since ", view.since, view.failures,
      make("span", { class: "quiet" }, ", incident ", view.id)),
    view.explanation.root);
  return view;
}

function update(view, incident, now) {
  setAttribute(view.what, "data-level", levelOf(incident));
  setText(view.what, `${subject(incident)}: ${incident.state}`);
  setTime(view.since, incident.opened_at, (at) => clock(at, now));
  const counts = incident.kind === "account" && incident.count > 0;
  setText(view.failures, counts ? `, ${count(incident.count, "failure")}` : "");
  updateExplanation(view.explanation, { ...incident, ...meaning(incident) });
  setText(view.id, incident.id);
}

/** The service's own words stand with the account; of everything else the reason is exorelay's. */
function meaning({ kind, why, reason }) {
  return kind === "account" && !why ? { why, reason } : { why: why ?? reason, reason: null };
}

function subject(incident) {
  const kinds = {
    credential: "Credential of account", queue_messages: "Queue, messages", queue_bytes: "Queue, size",
    queue_disk: "Queue, disk", account: "Account", client: "Device",
  };
  const kind = kinds[incident.kind] ?? incident.kind;
  const name = incident.account ?? incident.client;
  return name ? `${kind} ${name}` : kind;
}
