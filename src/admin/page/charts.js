// Line charts over time with axes, a limit, and a readout for mouse and keyboard; meters and sparklines.

import { draw, make, setAttribute, setText } from "./dom.js";
import { clock, day } from "./format.js";

const HEIGHT = 160;
const LEFT = 52;
const RIGHT = 18;
const TOP = 18;
const BOTTOM = 24;

const MINUTE_MS = 60 * 1000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const TIME_STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map((minutes) => minutes * MINUTE_MS);

/** Wide enough for `12:30` with air. */
const TIME_LABEL_WIDTH = 64;
const VALUE_LABELS = 4;

/**
 * A figure with a title, a readout and a drawing. `words` says a value, `short` does so among others, `label`
 * on the axis; `steps` are good distances of labels, and the axis reaches up to `least` at any rate.
 */
export function lineChart({ title, words, short, label, least, steps = [] }) {
  const readout = make("span", { class: "readout" });
  const svg = draw("svg", {
    class: "chart", height: HEIGHT, tabindex: 0, role: "slider", "aria-label": `${title} over time`,
    "aria-roledescription": "chart", "aria-readonly": "true",
  });
  const root = make("figure", {}, make("figcaption", {}, make("b", {}, title), readout), svg);
  const chart = {
    words, short, label, least, steps, svg, readout, root,
    points: [], from: 0, to: 1, limit: null, gap: Infinity, cursorAt: null,
  };
  listen(chart);
  return { root, update: (changes) => paint(Object.assign(chart, changes)) };
}

function listen(chart) {
  const { svg } = chart;
  new ResizeObserver(() => paint(chart)).observe(svg);
  svg.addEventListener("pointermove", (event) => pointAt(chart, event));
  svg.addEventListener("pointerdown", (event) => pointAt(chart, event));
  svg.addEventListener("pointerleave", () => moveCursor(chart, null));
  svg.addEventListener("blur", () => moveCursor(chart, null));
  svg.addEventListener("keydown", (event) => {
    const target = keyTarget(chart, event.key);
    if (target !== undefined) {
      event.preventDefault();
      moveCursor(chart, target);
    }
  });
}

function pointAt(chart, event) {
  const box = chart.svg.getBoundingClientRect();
  const share = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
  moveCursor(chart, nearest(chart.points, chart.from + share * (chart.to - chart.from)));
}

/** The index a key leads to; null to leave, undefined for keys that mean nothing here. */
function keyTarget(chart, key) {
  const last = chart.points.length - 1;
  const present = chart.cursorAt === null ? last + 1 : nearest(chart.points, chart.cursorAt);
  const targets = {
    ArrowLeft: present - 1, ArrowDown: present - 1, ArrowRight: present + 1, ArrowUp: present + 1,
    PageDown: present - 10, PageUp: present + 10, Home: 0, End: last, Escape: null,
  };
  const target = targets[key];
  return typeof target === "number" ? Math.max(0, Math.min(last, target)) : target;
}

function nearest(points, at) {
  let best = 0;
  points.forEach((point, index) => {
    if (Math.abs(point.at - at) < Math.abs(points[best].at - at)) {
      best = index;
    }
  });
  return best;
}

function moveCursor(chart, index) {
  chart.cursorAt = index === null ? null : chart.points[index]?.at ?? null;
  paint(chart);
}

function paint(chart) {
  const { svg, points, from, to } = chart;
  const width = svg.clientWidth;
  if (width <= LEFT + RIGHT) {
    return;
  }
  const ticks = valueTicks(Math.max(chart.least, chart.limit ?? 0, ...points.map((point) => point.value)), chart.steps);
  const top = ticks[ticks.length - 1];
  const x = (at) => LEFT + ((at - from) / (to - from)) * (width - LEFT - RIGHT);
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  svg.replaceChildren(
    ...ticks.map((value) => valueTick(y(value), width, value === 0 ? "0" : chart.label(value))),
    ...timeTicks(from, to, (width - LEFT - RIGHT) / TIME_LABEL_WIDTH).map((tick) => timeTick(x(tick.at), tick.label)),
    ...segments(points, chart.gap).flatMap((segment) => curve(segment, x, y)),
    ...limitLine(chart, y, width),
    ...cursor(chart, x, y),
  );
  tell(chart);
}

/** From 0 to the first good number above the highest value. */
function valueTicks(highest, steps) {
  const step = steps.find((step) => highest / step <= VALUE_LABELS) ?? wholeStep(highest);
  const many = Math.ceil(highest / step);
  return Array.from({ length: many + 1 }, (_, index) => index * step);
}

/** 1, 2 or 5 times a power of ten. */
function wholeStep(highest) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, highest / VALUE_LABELS)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => highest / step <= VALUE_LABELS);
}

function timeTicks(from, to, most) {
  const step = TIME_STEPS_MS.find((step) => (to - from) / step <= most) ?? DAY_MS;
  const zone = new Date(to).getTimezoneOffset() * MINUTE_MS;
  const ticks = [];
  for (let at = Math.ceil((from - zone) / step) * step + zone; at <= to; at += step) {
    ticks.push({ at, label: step < DAY_MS ? clock(at, at) : day(at) });
  }
  return ticks;
}

function valueTick(y, width, label) {
  return draw("g", { class: "tick" },
    draw("line", { x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
    draw("text", { x: LEFT - 6, y: y + 4, class: "end" }, label));
}

function timeTick(x, label) {
  return draw("g", { class: "tick" },
    draw("line", { x1: x, x2: x, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4 }),
    draw("text", { x, y: HEIGHT - 5, class: "middle" }, label));
}

/** Runs without a gap: while nobody looked nothing is known. */
function segments(points, gap) {
  const runs = [];
  points.forEach((point, index) => {
    if (index === 0 || point.at - points[index - 1].at > gap) {
      runs.push([]);
    }
    runs[runs.length - 1].push(point);
  });
  return runs;
}

function curve(points, x, y) {
  const first = points[0];
  const last = points[points.length - 1];
  const line = linePath(points, x, y);
  return [
    draw("path", { class: "area", d: `${line}L${x(last.at)} ${y(0)}L${x(first.at)} ${y(0)}Z` }),
    draw("path", { class: "line", d: line }),
  ];
}

function linePath(points, x, y) {
  const corners = points.map((point) => `${x(point.at).toFixed(1)} ${y(point.value).toFixed(1)}`);
  // A single point shows as a dot.
  return `M${corners.join("L")}${points.length === 1 ? "h.1" : ""}`;
}

function limitLine({ limit, label }, y, width) {
  return limit ? [
    draw("line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: y(limit), y2: y(limit) }),
    draw("text", { class: "limit-label", x: width - RIGHT, y: y(limit) - 4 }, `limit ${label(limit)}`),
  ] : [];
}

function cursor({ cursorAt, points }, x, y) {
  const point = points.find((point) => point.at === cursorAt);
  return point ? [
    draw("line", { class: "cursor", x1: x(point.at), x2: x(point.at), y1: TOP, y2: HEIGHT - BOTTOM }),
    draw("circle", { class: "cursor-dot", cx: x(point.at), cy: y(point.value), r: 4 }),
  ] : [];
}

function tell(chart) {
  const { points, words, short, svg, readout, to } = chart;
  const index = points.findIndex((point) => point.at === chart.cursorAt);
  const point = points[index];
  const said = point ? `${clock(point.at, to)}: ${words(point.value)}` : overview(points, short, to);
  setText(readout, said);
  setAttribute(svg, "aria-valuemin", 0);
  setAttribute(svg, "aria-valuemax", Math.max(0, points.length - 1));
  setAttribute(svg, "aria-valuenow", index < 0 ? Math.max(0, points.length - 1) : index);
  setAttribute(svg, "aria-valuetext", said);
}

function overview(points, short, now) {
  if (points.length === 0) {
    return "nothing recorded yet";
  }
  const most = points.reduce((most, point) => (point.value > most.value ? point : most));
  const last = points[points.length - 1];
  return most.value > last.value ? `now ${short(last.value)}, most ${short(most.value)} at ${clock(most.at, now)}`
    : `now ${short(last.value)}`;
}

/** Used against what may be used. */
export function meter(name) {
  const bar = draw("rect", { class: "bar", height: "100%", width: "0" });
  const root = draw("svg", { class: "meter", role: "meter", "aria-label": name, "aria-valuemin": 0 },
    draw("rect", { class: "track", height: "100%", width: "100%" }), bar);
  return { root, bar };
}

/** `words` is what is read out. Above nine tenths the bar warns, unless to be full is nothing unusual. */
export function setMeter({ root, bar }, used, limit, words, mayBeFull = false) {
  const share = limit > 0 ? Math.min(1, used / limit) : 0;
  // A trace of what is there stays visible.
  setAttribute(bar, "width", `${used > 0 ? Math.max(1, share * 100) : 0}%`);
  setAttribute(root, "data-level", mayBeFull || share < 0.9 ? null : share < 1 ? "near" : "full");
  setAttribute(root, "aria-valuemax", limit);
  setAttribute(root, "aria-valuenow", Math.min(used, limit));
  setAttribute(root, "aria-valuetext", words);
}

/** A line without axes; what it shows is told beside it. */
export function sparkline() {
  const line = draw("path", { class: "line" });
  const root = draw("svg", { class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" },
    draw("line", { class: "limit", x1: 0, x2: 100, y1: 1, y2: 1 }), line);
  return { root, line };
}

/** The limit is its upper edge. */
export function setSparkline({ line }, points, { from, to, limit, gap }) {
  const x = (at) => ((at - from) / (to - from)) * 100;
  const y = (value) => 19 - (Math.min(value, limit) / limit) * 18;
  const path = segments(points, gap).map((segment) => linePath(segment, x, y)).join("");
  setAttribute(line, "d", path);
}
