// Times, durations and amounts for people. Clock times are in the viewer's zone, ages by the daemon's clock.

import { make, setAttribute, setText } from "./dom.js";

const NUMBERS = new Intl.NumberFormat("en-GB");
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const SECONDS = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const EXACT = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "long", year: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "longOffset",
});

const DAY_MS = 24 * 60 * 60 * 1000;
const UNITS = [[24 * 60 * 60, "d"], [60 * 60, "h"], [60, "min"], [1, "s"]];

/** `10,000` */
export function number(value) {
  return NUMBERS.format(value);
}

/** `1 message`, `12 messages` */
export function count(value, noun, plural = `${noun}s`) {
  return `${number(value)} ${value === 1 ? noun : plural}`;
}

/** `4.1 GiB` */
export function size(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && value < 10 ? 1 : 0;
  return amount(value.toFixed(digits), units[unit]);
}

/** `3 h 12 min`; of ten minutes or more nobody wants the seconds. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const largest = UNITS.findIndex(([unit]) => whole >= unit);
  if (largest < 0) {
    return amount(0, "s");
  }
  const [unit, name] = UNITS[largest];
  const [lower, lowerName] = UNITS[largest + 1] ?? [whole + 1];
  const many = Math.floor(whole / unit);
  const rest = Math.floor((whole % unit) / lower);
  return many >= 10 || rest === 0 ? amount(many, name) : `${amount(many, name)} ${amount(rest, lowerName)}`;
}

/** A unit is not parted from its number. */
function amount(value, unit) {
  return `${value}\u00a0${unit}`;
}

/** Good distances on an axis of seconds. */
export const DURATION_STEPS = [
  1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600,
];

/** `90 s`, `30 min`; one of those distances, or a multiple. */
export function roundDuration(seconds) {
  const fits = ([unit]) => seconds >= 2 * unit || (seconds >= unit && seconds % unit === 0);
  const [unit, name] = UNITS.find(fits) ?? [1, "s"];
  return amount(number(seconds / unit), name);
}

/** Milliseconds of a time in RFC 3339. */
export function instant(text) {
  return Date.parse(text);
}

/** `12:03` of today, else with the day. */
export function clock(at, now) {
  return withDay(CLOCK, at, now);
}

/** `12:03:09` of today, else with the day. */
export function clockSeconds(at, now) {
  return withDay(SECONDS, at, now);
}

function withDay(format, at, now) {
  const date = new Date(at);
  const isToday = DAY.format(date) === DAY.format(new Date(now));
  return isToday ? format.format(date) : `${DAY.format(date)} ${format.format(date)}`;
}

/** `19 Nov` */
export function day(at) {
  return DAY.format(new Date(at));
}

/** `1 May 2027` of a date without a time. */
export function date(text) {
  return DATE.format(new Date(`${text}T00:00:00Z`));
}

/** Whole days from now to the beginning of a date. */
export function daysUntil(text, now) {
  const today = new Date(now);
  const begin = Date.UTC(today.getFullYear(), today.getMonth(), today.getDate());
  return Math.round((Date.parse(`${text}T00:00:00Z`) - begin) / DAY_MS);
}

/** `Sat 21 November 2026, 12:03:09 GMT+01:00` */
function exact(at) {
  return EXACT.format(new Date(at));
}

/** A time element without a time. */
export function makeTime() {
  return make("time");
}

/** Shows a time in some words, with the exact one behind them; nothing for null. */
export function setTime(element, text, words) {
  setText(element, text ? words(instant(text)) : "");
  setAttribute(element, "datetime", text ?? null);
  setAttribute(element, "title", text ? exact(instant(text)) : null);
}

/** A new time element. */
export function time(text, words) {
  const element = makeTime();
  setTime(element, text, words);
  return element;
}
