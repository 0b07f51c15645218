// What waits: how much, how long, and of how much.

import { lineChart, meter, setMeter } from "./charts.js";
import { byId, fact, make, reconcileTexts, setAttribute, setText, span } from "./dom.js";
import {
  clock, count, DURATION_STEPS, duration, instant, makeTime, number, roundDuration, setTime, size,
} from "./format.js";
import { gapOf, limitOfAll, ratesOfAll, samplesSince } from "./timeline.js";
import { countsByState, waitingMessages } from "./verdict.js";

const SPAN_MS = { hour: 60 * 60 * 1000, day: 24 * 60 * 60 * 1000 };
const STATES = ["ready", "sending", "deferred", "held"];

const figures = {
  waiting: span("amount"), waitingOf: span("quiet"),
  messages: meter("Messages in the queue"),
  oldest: span("amount"), oldestSince: makeTime(),
  size: span("amount"), sizeOf: span("quiet"), bytes: meter("Size of the queue"),
  failed: span("amount"), failedShow: make("button", { type: "button" }, "Show them"),
};

const messages = (value) => count(value, "message");

const charts = {
  depth: lineChart({ title: "Messages in the queue", words: messages, short: number, label: number, least: 4 }),
  age: lineChart({
    title: "Age of the oldest", words: duration, short: duration, label: roundDuration, least: 60, steps: DURATION_STEPS,
  }),
  rate: lineChart({ title: "Sent in a minute", words: messages, short: number, label: number, least: 4 }),
};

/** Puts what never changes into the page. `changed` is called for another range of the charts. */
export function setUpQueue(changed, showFailed) {
  byId("figures").append(
    fact("Waiting", figures.waiting, figures.waitingOf, figures.messages.root),
    fact("Oldest", figures.oldest, figures.oldestSince),
    fact("Size", figures.size, figures.sizeOf, figures.bytes.root),
    fact("Failed, kept", figures.failed, figures.failedShow));
  byId("charts").append(charts.depth.root, charts.age.root, charts.rate.root);
  byId("range").addEventListener("change", changed);
  figures.failedShow.addEventListener("click", showFailed);
}

/** The figures of now. */
export function showQueue(queue, now) {
  const failed = countsByState(queue).failed ?? 0;
  setText(figures.waiting, number(waitingMessages(queue)));
  setText(figures.waitingOf, `of ${number(queue.limit_messages)} at most`);
  setMeter(figures.messages, queue.messages, queue.limit_messages, figures.waitingOf.textContent);
  const oldest = queue.oldest_received_at;
  setText(figures.oldest, oldest ? duration((now - instant(oldest)) / 1000) : "–");
  setTime(figures.oldestSince, oldest, (at) => `since ${clock(at, now)}`);
  setText(figures.size, size(queue.bytes));
  setText(figures.sizeOf, `of ${size(queue.limit_bytes)} at most`);
  setMeter(figures.bytes, queue.bytes, queue.limit_bytes, figures.sizeOf.textContent);
  setText(figures.failed, number(failed));
  figures.failedShow.hidden = failed === 0;
  setAttribute(figures.failed, "data-level", failed > 0 ? "warn" : null);
  reconcileTexts(byId("queue-notes"), notes(queue));
}

function notes(queue) {
  const counts = countsByState(queue);
  const states = STATES.filter((state) => counts[state]).map((state) => `${number(counts[state])} ${state}`);
  // Of a pool one account is enough.
  const unknown = Object.entries(queue.unknown_accounts ?? {}).map(([name, waiting]) =>
    `${count(waiting, "message")} for account ${name}, which the settings do not name: ` +
    `add [account.${name.split("+")[0]}], or a [[route]] that takes them, and reload.`);
  return [...(states.length > 0 ? [`${states.join(", ")}.`] : []), ...unknown];
}

/** The charts of a timeline, up to now. */
export function showCharts(timeline, accounts, now) {
  const range = { from: now - SPAN_MS[chartSpan()], to: now, gap: gapOf(timeline) };
  const samples = samplesSince(timeline, range.from);
  const points = (valueOf) => samples.map((sample) => ({ at: sample.at, value: valueOf(sample) }));
  charts.depth.update({ ...range, points: points((sample) => sample.queued) });
  charts.age.update({ ...range, points: points((sample) => sample.oldest_seconds ?? 0) });
  const limit = limitOfAll(samples, accounts);
  charts.rate.root.hidden = limit === null;
  charts.rate.update({ ...range, points: ratesOfAll(samples, accounts), limit });
}

/** What the charts are of: `hour` or `day`. */
export function chartSpan() {
  return byId("range-day").checked ? "day" : "hour";
}
