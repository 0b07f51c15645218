// The daemon's samples as points of charts.

import { instant } from "./format.js";

/** After so many samples that are missing the line is broken. */
const GAP_SAMPLES = 3;

/** Samples since `from`, with their times in milliseconds. */
export function samplesSince(timeline, from) {
  const samples = timeline?.samples ?? [];
  return samples.map((sample) => ({ ...sample, at: instant(sample.at) })).filter((sample) => sample.at >= from);
}

/** A longer silence between two samples is a gap, in milliseconds. */
export function gapOf(timeline) {
  return (timeline?.interval_seconds ?? 60) * 1000 * GAP_SAMPLES;
}

/** What one account had sent in the minute before each sample. */
export function ratesOf(samples, name) {
  const known = samples.filter((sample) => sample.accounts[name]);
  return known.map((sample) => ({ at: sample.at, value: sample.accounts[name].messages_last_minute }));
}

/** What all had sent; accounts that share a mailbox share its minute, and are counted once. */
export function ratesOfAll(samples, accounts) {
  const names = onePerMailbox(samples, accounts).map((account) => account.name);
  const sum = (sample) => names.reduce((sum, name) => sum + (sample.accounts[name]?.messages_last_minute ?? 0), 0);
  return samples.map((sample) => ({ at: sample.at, value: sum(sample) }));
}

/** What all may send in a minute; null if one of them has no limit. */
export function limitOfAll(samples, accounts) {
  const limits = onePerMailbox(samples, accounts).map((account) => account.pace.messages_per_minute);
  return limits.length > 0 && limits.every((limit) => limit > 0) ? limits.reduce((sum, limit) => sum + limit) : null;
}

/** Of those that are recorded: of very many accounts only the first are. */
function onePerMailbox(samples, accounts) {
  const recorded = samples.at(-1)?.accounts;
  const first = new Map();
  for (const account of accounts.filter(({ name }) => !recorded || recorded[name])) {
    const key = `${account.mailbox.toLowerCase()} ${account.host.toLowerCase()}`;
    first.set(key, first.get(key) ?? account);
  }
  return [...first.values()];
}
