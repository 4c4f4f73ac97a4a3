// What every way to play has in common: waiting that a signal ends, taking turns, and troubles put into words.

const AT_ONCE = 4; // handshakes at a time, so that a wall of forty does not stall itself

export class Stopped extends Error {}

/** Another way to play has become the right one. */
export class Rerouted extends Error {}

/**
 * A failure that a person can understand; `retry` is in seconds when the server named a time, `final` ends trying,
 * `detour` says in words why this is not the way to play, which goes for the whole page.
 */
export class Trouble extends Error {
  constructor(words, hint = "", { retry = 0, final = false, detour = "" } = {}) {
    super(words);
    this.hint = hint;
    this.retry = retry;
    this.final = final;
    this.detour = detour;
  }
}

export function sentence(text) {
  return text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "";
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
 * Places for so many at a time. Gives the function that waits for one, which gives the function that frees it again and
 * may be called twice.
 */
export function turns(count) {
  let running = 0;
  const queue = [];
  return async (signal) => {
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

/** What an answer that is no video means to a person. */
export async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const retry = Number(response.headers.get("Retry-After")) || 0;
  switch (response.status) {
    case 401:
      return new Trouble("Not logged in", "Load this page again to log in.", { final: true });
    case 404:
      return new Trouble("This camera is no longer configured", "", { retry: 15 });
    case 409:
      return new Trouble("No video now", "The camera is switched off or has not started.", { retry });
    case 429:
      return new Trouble("Too much at a time", sentence(problem.detail), { retry });
    case 503:
      return new Trouble("No video now", sentence(problem.detail), { retry });
    default:
      return new Trouble("The server refused the video", sentence(problem.detail) || `HTTP ${response.status}`);
  }
}
