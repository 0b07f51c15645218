// Is all well? One sentence, and what else is wrong in the order of its weight.

import { clock, count, date } from "./format.js";

/** From the worst to the best. */
const LEVELS = ["bad", "warn", "note"];

/** Accounts that are named in a sentence. */
const NAMES_MAX = 5;

/** What every part of the page takes the state of an account for. */
export function levelOfAccount(account) {
  return {
    blocked: "bad",
    paused: "warn",
    throttled: "warn",
    ready: "ok",
    refreshing: "ok",
  }[account.state] ?? "note";
}

/** The level and sentence for the top, and the sentences below it. */
export function verdict(status) {
  const found = findings(status);
  const [worst, ...others] = LEVELS.flatMap((level) => found.filter((one) => one.level === level));
  if (!worst) {
    return { level: "ok", text: "Mail flows", more: [] };
  }
  const more = [...(worst.because ? [worst.because] : []), ...others.map((one) => one.text)];
  const text = worst.level === "note" ? `Mail flows, but ${lowerFirst(worst.text)}` : worst.text;
  return { level: worst.level === "note" ? "ok" : worst.level, text, more };
}

function findings(status) {
  return [
    ...ofQueue(status.queue),
    ...ofAccounts(status.accounts),
    ...ofIncidents(status),
    ...ofUnknownAccounts(status.queue.unknown_accounts ?? {}),
    ...ofDefects(status),
  ];
}

function ofQueue(queue) {
  if (queue.latched) {
    const because = "A storage failure has stopped the queue. See the log, then restart the daemon.";
    return [{ level: "bad", text: "No mail is accepted or sent", because }];
  }
  const found = [];
  if (queue.full) {
    const because = upperFirst(queue.full);
    found.push({ level: "bad", text: "The queue is full: clients are told to try later", because });
  }
  if (queue.error) {
    found.push({ level: "bad", text: "The queue cannot be read", because: upperFirst(queue.error) });
  }
  if (queue.quarantined) {
    const text = `${count(queue.quarantined, "damaged message")} set aside: exorelay queue verify tells what is wrong`;
    found.push({ level: "warn", text });
  }
  return found;
}

function ofAccounts(accounts) {
  if (accounts.length === 0) {
    return [{ level: "warn", text: "No account is set up" }];
  }
  const inState = (...states) => accounts.filter((account) => states.includes(account.state));
  return [
    ...ofState(accounts, inState("blocked"), "bad", "blocked"),
    ...ofState(accounts, inState("paused"), "warn", "paused"),
    ...ofState(accounts, inState("throttled"), "warn", "throttled"),
    ...ofState(accounts, inState("starting"), "note", "starting"),
    ...ofState(accounts, inState("stopped"), "warn", "stopped"),
  ];
}

function ofState(accounts, those, level, word) {
  if (those.length === 0) {
    return [];
  }
  const isOne = those.length === 1;
  const who = isOne ? `account ${those[0].name} is ${word}` : `${those.length} accounts are ${word}`;
  const names = isOne ? "" : `: ${listed(those.map((account) => account.name))}`;
  const isAll = level !== "note" && those.length === accounts.length;
  const because = isOne ? those[0].why ?? those[0].reason : null;
  return [{ level, text: isAll ? `No mail leaves: ${who}` : upperFirst(who) + names, because }];
}

function listed(names) {
  const rest = names.length - NAMES_MAX;
  return names.slice(0, NAMES_MAX).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

/** Those of accounts are told with the accounts. */
function ofIncidents(status) {
  const others = status.incidents.filter((incident) => !["account", "client"].includes(incident.kind));
  const told = others.map((incident) => ({
    level: incident.state === "expired" ? "bad" : "warn",
    text: sentence(incident, status),
    because: incident.why,
  }));
  return [...told, ...ofDevices(status.incidents.filter((incident) => incident.kind === "client"))];
}

function ofDevices(silent) {
  const names = silent.map((incident) => incident.client ?? "unknown");
  const text = silent.length === 1 ? `Device ${names[0]} sends nothing any more`
    : `${silent.length} devices send nothing any more: ${listed(names)}`;
  return silent.length > 0 ? [{ level: "warn", text }] : [];
}

function sentence(incident, status) {
  const account = status.accounts.find((one) => one.name === incident.account);
  if (incident.kind === "credential" && account?.credential_expires) {
    const verb = incident.state === "expired" ? "has run out: it was good until" : "runs out on";
    return `The credential of account ${account.name} ${verb} ${date(account.credential_expires)}`;
  }
  return upperFirst(incident.reason);
}

function ofUnknownAccounts(unknown) {
  return Object.entries(unknown).map(([name, waiting]) => ({
    level: "warn",
    text: `${count(waiting, "message")} for account ${name}, which the settings do not name`,
  }));
}

function ofDefects(status) {
  const panics = status.session_panics ?? 0;
  const text = `${count(panics, "session")} broken off by a defect of exorelay: see the log and report it`;
  return panics > 0 ? [{ level: "warn", text }] : [];
}

/** What waits, in words. */
export function summary(status, now) {
  const { oldest_received_at: oldest } = status.queue;
  const waiting = waitingMessages(status.queue);
  if (waiting === 0) {
    return "Nothing waits.";
  }
  const since = oldest ? `, the oldest since ${clock(Date.parse(oldest), now)}` : "";
  return `${count(waiting, "message")} ${waiting === 1 ? "waits" : "wait"}${since}.${pacing(status.accounts, now)}`;
}

/** Messages by state, over all accounts. */
export function countsByState(queue) {
  const sums = {};
  for (const states of Object.values(queue.counts)) {
    for (const [state, counted] of Object.entries(states)) {
      sums[state] = (sums[state] ?? 0) + counted;
    }
  }
  return sums;
}

/** What waits to be sent; failed messages do not. */
export function waitingMessages(queue) {
  const { failed: _, ...waiting } = countsByState(queue);
  return Object.values(waiting).reduce((sum, counted) => sum + counted, 0);
}

function pacing(accounts, now) {
  const held = accounts.filter(({ state, pace }) => state === "ready" && pace.waiting_until && pace.drained_at);
  const last = Math.max(...held.map((account) => Date.parse(account.pace.drained_at)));
  return held.length > 0 ? ` At the limit of messages a minute; the last leaves about ${clock(last, now)}.` : "";
}

function upperFirst(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function lowerFirst(text) {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
