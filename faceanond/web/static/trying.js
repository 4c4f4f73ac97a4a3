// What every way to play has in common: waiting that a signal ends, taking turns, and troubles put into words.

const AT_ONCE = 4; // handshakes at a time, so that a wall of forty does not stall itself
export const PATIENCE = 15_000; // ms for an answer that has an end, with all of it
const LONGEST_WAIT = 300; // s: whatever an answer asks for, and timers of weeks would be over at once

export class Stopped extends Error {}

/** Another way to play has become the right one. */
export class Rerouted extends Error {}

/**
 * A failure that a person can understand; `retry` is in seconds when the server named a time, `final` ends trying,
 * `detour` says in words why this is not the way to play, which goes for the whole page, `crowded` that this viewer has
 * too much open already.
 */
export class Trouble extends Error {
  constructor(words, hint = "", { retry = 0, final = false, detour = "", crowded = false } = {}) {
    super(words);
    this.hint = hint;
    this.retry = retry;
    this.final = final;
    this.detour = detour;
    this.crowded = crowded;
  }
}

export function sentence(text) {
  return text && typeof text === "string" ? `${text[0].toUpperCase()}${text.slice(1)}.` : "";
}

/** Rejects when the signal aborts first; leaves no listener behind, since a page may stay open for months. */
export function abortable(signal, start) {
  return new Promise((resolve, reject) => {
    let undo = () => {};
    const stopped = () => {
      undo();
      reject(new Stopped());
    };
    if (signal.aborted) return reject(new Stopped());
    signal.addEventListener("abort", stopped, { once: true });
    undo = start(() => {
      signal.removeEventListener("abort", stopped);
      resolve();
    });
  });
}

export function sleep(ms, signal) {
  return abortable(signal, (resolve) => {
    const timer = setTimeout(resolve, ms);
    return () => clearTimeout(timer);
  });
}

/**
 * What `ask` gives, which is called with a signal that aborts with ours, and when it takes too long: a connection may be
 * dead for a quarter of an hour before a browser finds out.
 */
export async function within(ms, signal, ask) {
  const stopper = new AbortController();
  const stop = () => stopper.abort();
  const timer = setTimeout(stop, ms);
  signal.addEventListener("abort", stop, { once: true });
  try {
    if (signal.aborted) throw new Stopped();
    return await ask(stopper.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    stopper.abort();
  }
}

/**
 * Places for so many at a time. Gives the function that waits for one, which gives the function that frees it again and
 * may be called twice.
 */
export function turns(count) {
  let running = 0;
  const queue = [];
  return async (signal) => {
    if (signal.aborted) throw new Stopped();
    if (running < count) running += 1;
    else {
      await abortable(signal, (resolve) => {
        queue.push(resolve);
        return () => queue.splice(queue.indexOf(resolve), 1);
      });
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = queue.shift();
      if (next) next();
      else running -= 1;
    };
  };
}

/** Waits for a place among the handshakes. */
export const turn = turns(AT_ONCE);

/** What an answer says of itself: nothing when it is not the server's own. */
export async function problemOf(response) {
  return (await response.json().catch(() => null)) ?? {};
}

/** What an answer that is no video means to a person. */
export async function refusal(response) {
  const problem = await problemOf(response);
  const retry = Math.min(LONGEST_WAIT, Number(response.headers.get("Retry-After")) || 0);
  switch (response.status) {
    case 401:
      return new Trouble("Not logged in", "Load this page again to log in.", { final: true });
    case 404:
      return new Trouble("This camera is no longer configured", "", { retry: 15 });
    case 409:
      return new Trouble("No video now", "The camera is switched off or has not started.", { retry });
    case 429:
      return new Trouble("Too much at a time", sentence(problem.detail), { retry, crowded: true });
    case 503:
      return new Trouble("No video now", sentence(problem.detail), { retry });
    default:
      return new Trouble("The server refused the video", sentence(problem.detail) || `HTTP ${response.status}`);
  }
}
