// Which way the pictures come, for the whole page: over WebRTC, or over HTTP where that does not get through. One tile
// finds out for all, so that forty do not each wait for a handshake that cannot succeed.

const AGAIN = 3 * 60_000; // ms until WebRTC is tried once more after it was found blocked
const LONGEST = 30 * 60_000;

let reason = "";
let due = Infinity;
let pause = AGAIN;
let trying = false;
const waiting = new Set();

/** Why the pictures come over HTTP, in words; empty while WebRTC is the way. */
export function detour() {
  return reason;
}

/** Whether a tile that was about to use WebRTC should not; the one that tries for all should. */
export function blocked() {
  return Boolean(reason) && !trying;
}

/** WebRTC does not get through, for this reason: every tile goes over HTTP from now on; with `forGood` nobody tries. */
export function block(why, { forGood = false } = {}) {
  if (reason && !trying && !forGood) return; // another tile has said so
  pause = trying ? Math.min(LONGEST, pause * 2) : AGAIN;
  trying = false;
  reason = why;
  due = forGood ? Infinity : performance.now() + pause;
}

/** WebRTC got through: every tile on the detour may come back. */
export function open() {
  reason = "";
  trying = false;
  for (const leave of [...waiting]) leave();
}

/** Calls back when the detour ends; gives the function that takes this back. */
export function whenOpen(leave) {
  waiting.add(leave);
  return () => waiting.delete(leave);
}

/** True for one caller, when it is time to try WebRTC again; it then calls `block`, `open` or `giveUp`. */
export function takeTry() {
  if (!reason || trying || performance.now() < due) return false;
  trying = true;
  return true;
}

/** The try ended without telling anything about the network. */
export function giveUp() {
  if (trying) due = performance.now() + pause;
  trying = false;
}

// Another network is another chance.
const soon = () => {
  if (due !== Infinity) due = performance.now();
};
addEventListener("online", soon);
navigator.connection?.addEventListener?.("change", soon);
