// What every way to play has in common: waiting that a signal ends, taking turns, and troubles put into words.

const AT_ONCE = 4; // handshakes at a time, so that a wall of forty does not stall itself

let running = 0;
const queue = [];

export class Stopped extends Error {}

/**
 * A failure that a person can understand; `retry` is in seconds when the server named a time, `final` ends trying,
 * `detour` says in words why WebRTC is not the way, which goes for the whole page.
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

/** Waits for a place among the handshakes; gives the function that frees it, which may be called twice. */
export async function turn(signal) {
  if (running < AT_ONCE) running += 1;
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
}
