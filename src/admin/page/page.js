// The status page: asks the daemon every few seconds and shows what it says. It changes nothing.

import { ask, daemonNow, inWords } from "./ask.js";
import { setUpAccounts, showAccounts } from "./accounts.js";
import { setUpDevices, showDevices, showWatched } from "./devices.js";
import { byId, fact, make, reconcileTexts, setAttribute, setText, setTextOrHide } from "./dom.js";
import { clock, clockSeconds, duration, time } from "./format.js";
import { showIncidents } from "./incidents.js";
import { loadMessages, setUpMessages, showOnly } from "./messages.js";
import { chartSpan, setUpQueue, showCharts, showQueue } from "./queue.js";
import { summary, verdict } from "./verdict.js";

const EVERY_MS = 3000;

/** While nobody answers, and for what changes slowly. */
const SELDOM_MS = 10_000;

/** The day has a sample a minute. */
const DAY_MS = 60_000;

/** A restart takes a moment: nobody is to be alarmed by one question that fails. */
const FAILURES_TOLERATED = 1;

const RECORD_TROUBLE = "The record of the last hours cannot be read";

const state = {
  status: null, timeline: null, day: null, clients: null,
  answeredAt: null, failures: 0, trouble: "",
  isAsking: false, timer: null, slowAt: 0, dayAt: 0, commits: null, daemonShown: null,
};

/** One round of questions, one after the other; the next begins a while after this one has ended. */
async function round() {
  if (state.isAsking || document.hidden) {
    return;
  }
  clearTimeout(state.timer);
  state.isAsking = true;
  try {
    await askAll();
    state.failures = 0;
  } catch (error) {
    state.failures += 1;
    state.trouble = inWords(error);
  }
  state.isAsking = false;
  show();
  // Hidden pages are not asked for; they go on when they are shown again.
  state.timer = setTimeout(round, state.failures > FAILURES_TOLERATED ? SELDOM_MS : EVERY_MS);
}

async function askAll() {
  const status = await ask("/v1/status");
  if (state.status && state.status.version !== status.version) {
    // An upgrade: this page belongs to the program before.
    location.reload();
    return;
  }
  const isBack = state.failures > 0;
  state.status = status;
  state.answeredAt = daemonNow();
  show();
  if (isBack || daemonNow() - state.slowAt >= SELDOM_MS) {
    state.slowAt = daemonNow();
    await askSlow();
    await askDay();
  }
  await askMessages(status);
}

async function askSlow() {
  state.timeline = await askOrTell("/v1/timeline", "timeline-trouble", RECORD_TROUBLE) ?? state.timeline;
  state.clients = await askOrTell("/v1/clients", "clients-trouble", "The devices cannot be read") ?? state.clients;
}

/** Long, and only for whoever looks at it. */
async function askDay() {
  if (chartSpan() === "day" && daemonNow() - state.dayAt >= DAY_MS) {
    state.dayAt = daemonNow();
    state.day = await askOrTell("/v1/timeline?span=day", "timeline-trouble", RECORD_TROUBLE) ?? state.day;
  }
}

async function changeSpan() {
  await askDay();
  show();
}

/** One part that fails must not take the others with it. */
async function askOrTell(path, place, complaint) {
  try {
    const answer = await ask(path);
    setTextOrHide(byId(place), "");
    return answer;
  } catch (error) {
    setTextOrHide(byId(place), `${complaint}: ${inWords(error)}`);
    return null;
  }
}

/** Messages change only with the queue, so that an idle daemon is not asked to read its history. */
async function askMessages(status) {
  const commits = `${status.started_at} ${status.queue.commits.count}`;
  if (commits !== state.commits) {
    await loadMessages();
    state.commits = commits;
  }
}

function show() {
  showBand();
  const { status, timeline, day, clients } = state;
  byId("main").hidden = status === null;
  if (status === null) {
    return;
  }
  const now = state.answeredAt;
  showIncidents(status.incidents, now);
  showAccounts(status, timeline, now);
  showQueue(status.queue, now);
  showCharts(chartSpan() === "day" ? day : timeline, status.accounts, now);
  showWatched(status.clients ?? [], now);
  if (clients) {
    showDevices(clients, now);
  }
  showDaemon(status, now);
}

function showBand() {
  const said = isAnswering() ? verdict(state.status) : silence();
  setAttribute(byId("band"), "data-level", said.level);
  setAttribute(byId("main"), "data-stale", said.level === "silent" ? "" : null);
  setText(byId("verdict"), said.text);
  reconcileTexts(byId("findings"), said.more);
  setTextOrHide(byId("summary"), state.status ? summary(state.status, state.answeredAt) : "");
  setText(byId("hostname"), state.status?.hostname ?? location.hostname);
  document.title = `${said.text} – exorelay ${state.status?.hostname ?? ""}`;
  showFreshness();
}

function isAnswering() {
  return state.status !== null && state.failures <= FAILURES_TOLERATED;
}

function silence() {
  if (state.failures === 0) {
    return { level: "unknown", text: "Asking the daemon", more: [] };
  }
  if (state.answeredAt === null) {
    return { level: "silent", text: "The daemon does not answer", more: [state.trouble] };
  }
  const since = clock(state.answeredAt, daemonNow());
  const more = [`${state.trouble}; what stands below is of ${clockSeconds(state.answeredAt, daemonNow())}`];
  return { level: "silent", text: `The daemon does not answer since ${since}`, more };
}

function showFreshness() {
  const seconds = state.answeredAt === null ? null : (daemonNow() - state.answeredAt) / 1000;
  const isOld = seconds !== null && (seconds * 1000 > EVERY_MS + 1000);
  const words = isOld ? `last answer ${duration(seconds)} ago` : "live";
  setText(byId("freshness"), seconds === null ? "" : words);
  setAttribute(byId("freshness"), "data-live", seconds === null ? null : !isOld);
}

function showDaemon(status, now) {
  const since = time(status.started_at, (at) => `${duration((now - at) / 1000)}, since ${clock(at, now)}`);
  const wanted = JSON.stringify([status.version, since.textContent, status.pid, status.hostname, status.listeners]);
  if (state.daemonShown === wanted) {
    return;
  }
  state.daemonShown = wanted;
  byId("daemon").replaceChildren(
    fact("Version", status.version),
    fact("Up for", since),
    fact("Process", String(status.pid)),
    fact("Greets as", status.hostname),
    ...status.listeners.map((listener) => fact(`Listener ${listener.name}`, make("code", {}, listener.address))));
}

function start() {
  setUpAccounts(show);
  setUpQueue(changeSpan, () => showOnly("failed"));
  setUpDevices(show);
  setUpMessages();
  byId("main").hidden = true;
  document.addEventListener("visibilitychange", round);
  setInterval(showFreshness, 1000);
  round();
}

start();
