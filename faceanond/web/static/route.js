// Which ways to play get through, for the whole page. One tile finds out for all, so that forty do not each wait for a
// handshake that cannot succeed; and now and then one tries for all whether a better way gets through again.

import { Rerouted } from "./trying.js";

const AGAIN = 3 * 60_000; // ms until a way is tried once more after it was found blocked
const LONGEST = 30 * 60_000;

class Way {
  #due = Infinity;
  #pause = AGAIN;
  #trying = false;
  #began = 0;
  #changed = 0;
  #detours = new Set();

  /** Why this is not the way, in words; empty while it is. */
  reason = "";

  constructor() {
    // Another network is another chance.
    const soon = () => {
      this.#changed = performance.now();
      if (this.#due !== Infinity) this.#due = performance.now();
    };
    addEventListener("online", soon);
    navigator.connection?.addEventListener?.("change", soon);
  }

  /** Whether a tile that was about to go this way should not; the one that tries for all should. */
  get blocked() {
    return Boolean(this.reason) && !this.#trying;
  }

  /** It does not get through, for this reason: every tile takes the next way from now on; with `forGood` nobody tries. */
  block(why, { forGood = false } = {}) {
    if (this.reason && !this.#trying && !forGood) return; // another tile has said so
    this.#pause = this.#trying ? Math.min(LONGEST, this.#pause * 2) : AGAIN;
    if (!this.#trying) this.#began = performance.now();
    this.#trying = false;
    this.reason = why;
    this.#due = forGood ? Infinity : this.#next();
  }

  /** It got through: every tile on a detour may come back. */
  open() {
    this.reason = "";
    this.#trying = false;
    for (const leave of [...this.#detours]) leave();
  }

  /**
   * Another way, until this one gets through again: `go` is called with a signal that aborts then, and with ours, and
   * when it is over, and with the function that ends it sooner. Where it was ended so, Rerouted is thrown.
   */
  async detour(signal, go) {
    const here = new AbortController();
    const leave = () => here.abort();
    this.#detours.add(leave);
    signal.addEventListener("abort", leave, { once: true });
    try {
      await go(here.signal, leave);
    } catch (error) {
      throw here.signal.aborted && !signal.aborted ? new Rerouted() : error;
    } finally {
      this.#detours.delete(leave);
      here.abort();
      signal.removeEventListener("abort", leave);
    }
  }

  /** True for one caller, when it is time to try again; it then calls `block`, `open` or `giveUp`. */
  takeTry() {
    if (!this.reason || this.#trying || performance.now() < this.#due) return false;
    this.#trying = true;
    this.#began = performance.now();
    return true;
  }

  /** The try ended without telling anything about the network. */
  giveUp() {
    if (this.#trying) this.#due = this.#next();
    this.#trying = false;
  }

  /** A try that began on another network says nothing of this one. */
  #next() {
    return performance.now() + (this.#changed > this.#began ? 0 : this.#pause);
  }
}

// From the best to the last but one; single pictures, which come after these, always get through.
export const webrtc = new Way();
export const sockets = new Way();
export const streams = new Way();
