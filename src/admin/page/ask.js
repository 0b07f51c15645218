// Questions to the daemon, one at a time.

/** A daemon that has not answered by then does not answer. */
const PATIENCE_MS = 8000;

/** What the daemon's clock is ahead of this one, in milliseconds; below a few seconds: nothing. */
let ahead = 0;

/** The time by the daemon's clock: ages are right even where this machine's clock is not. */
export function daemonNow() {
  return Date.now() + ahead;
}

/** One JSON value. */
export async function ask(path) {
  const response = await get(path);
  return response.json();
}

/** A JSON value a line. */
export async function askLines(path, signal) {
  const response = await get(path, signal);
  const text = await response.text();
  return text.split("\n").filter((line) => line).map((line) => JSON.parse(line));
}

async function get(path, signal) {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  const response = await fetch(path, {
    cache: "no-store",
    credentials: "same-origin",
    signal: signal ? AbortSignal.any([signal, patience]) : patience,
  });
  noteClock(response.headers.get("date"));
  if (!response.ok) {
    throw new Error(await complaint(response));
  }
  return response;
}

function noteClock(date) {
  const difference = date ? Date.parse(date) - Date.now() : 0;
  ahead = Math.abs(difference) > 3000 ? difference : 0;
}

async function complaint(response) {
  const said = await response.json().catch(() => ({}));
  return said.error ?? `it answers with ${response.status}`;
}

/** Why a question failed, for people. */
export function inWords(error) {
  if (error.name === "TimeoutError") {
    return `no answer within ${PATIENCE_MS / 1000} s`;
  }
  // The browser does not tell a page why a connection failed.
  return error instanceof TypeError ? "no connection" : error.message;
}
