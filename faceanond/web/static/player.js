// Plays one camera over WHEP, or over HTTP where WebRTC does not get through, and keeps at it: a player that lost its
// picture tries again by itself.
//
// States told to `onChange`: {playing, words, hint, route}. `words` is what a person should read while there is no
// picture, `route` is which other way the pictures come, and why.

import { CONNECT, Call, NO_WEBRTC, playsVideo, unreachable } from "./call.js";
import { playOverHttp } from "./http.js";
import { webrtc } from "./route.js";
import { Rerouted, Trouble, sleep, turn } from "./trying.js";

const HANDSHAKE = 10_000; // ms from the answer to the first decoded picture
const FROZEN = 8_000; // ms without a new picture while the camera is live
const LOOK = 2_000; // ms between two looks at the statistics, which cost more than all else here
const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 20_000;
const NO_PICTURE = "no picture arrives over WebRTC";

function silent() {
  return new Trouble("No picture arrives", "", { detour: NO_PICTURE });
}

export class Player {
  /** `expecting` tells whether the camera sends pictures now: only then does silence mean that something is wrong. */
  constructor(name, { video, canvas, onChange, expecting }) {
    this.name = name;
    this.video = video;
    this.canvas = canvas;
    this.onChange = onChange;
    this.expecting = expecting;
    this.stopper = null;
    this.frames = 0;
    this.takesOver = false; // the try of WebRTC that could not be made behind the pictures
  }

  start() {
    if (this.stopper) return;
    this.stopper = new AbortController();
    this.#keepPlaying(this.stopper.signal);
  }

  stop() {
    this.stopper?.abort();
    this.stopper = null;
  }

  async #keepPlaying(signal) {
    let failures = 0;
    while (!signal.aborted) {
      const began = performance.now();
      const tries = this.takesOver || webrtc.takeTry();
      this.takesOver = false;
      try {
        if (!playsVideo()) webrtc.block(NO_WEBRTC, { forGood: true });
        this.onChange({ playing: false, words: failures ? "Connecting again…" : "Connecting…" });
        if (webrtc.reason && !tries) await this.#playOverHttp(signal);
        else await this.#playOverWebRtc(signal);
      } catch (error) {
        if (error.detour) webrtc.block(error.detour, { forGood: error.detour === NO_WEBRTC });
        else if (tries) webrtc.giveUp();
        if (signal.aborted) break;
        if (error instanceof Rerouted || error.detour) continue;
        const trouble = error instanceof Trouble ? error : new Trouble("The server does not answer", "Trying again by itself.");
        if (performance.now() - began > 30_000) failures = 0;
        const step = Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** failures) * (0.7 + 0.6 * Math.random());
        failures += 1;
        this.onChange({ playing: false, words: trouble.message, hint: trouble.hint });
        if (trouble.final) break;
        await sleep(Math.max(step, trouble.retry * 1000), signal).catch(() => {});
      }
    }
    if (this.takesOver) webrtc.giveUp();
    this.takesOver = false;
  }

  /** One connection from offer to end; always ends with an exception. */
  async #playOverWebRtc(signal) {
    const done = await turn(signal);
    let call = null;
    try {
      if (webrtc.blocked) throw new Rerouted(); // while it waited for its turn
      call = new Call(this.name);
      await call.place(signal);
      this.video.srcObject = new MediaStream([call.receiver.track]);
      this.video.play().catch(() => {}); // muted, so that it is allowed; a refusal shows as no picture
      await this.#watch(call, signal, done);
    } finally {
      done();
      this.video.srcObject = null;
      call?.end();
    }
  }

  async #watch(call, signal, connected) {
    let decoded = 0;
    let changed = call.answered;
    let looked = 0;
    for (;;) {
      await sleep(decoded ? 1_000 : 100, signal);
      if (call.broken) throw decoded ? new Trouble("Connection lost") : unreachable();
      const now = performance.now();
      if (!decoded && !call.stands && now - call.answered > CONNECT) throw unreachable();
      if (decoded && now - looked < LOOK) continue;
      looked = now;
      const count = await call.decoded();
      if (count !== decoded) {
        if (!decoded) {
          connected();
          webrtc.open();
          this.onChange({ playing: true, words: "" });
        }
        decoded = count;
        changed = now;
      }
      this.frames = decoded;
      if (!decoded && now - call.answered > HANDSHAKE) {
        if (this.expecting()) throw silent();
        connected();
        this.onChange({ playing: false, words: "Waiting for a picture" });
      }
      if (decoded && now - changed > FROZEN && this.expecting()) throw new Trouble("The picture stopped");
    }
  }

  /** Plays over HTTP until that fails or a better way gets through again; always ends with an exception. */
  async #playOverHttp(signal) {
    const { name, video, canvas, onChange, expecting } = this;
    await webrtc.detour(signal, (here, leave) => {
      const counted = (frames) => {
        this.frames = frames;
        if (webrtc.takeTry()) this.#knock(here, leave);
      };
      return playOverHttp({ name, video, canvas, onChange, expecting, counted, why: webrtc.reason }, here);
    });
  }

  /** Finds out whether WebRTC gets through by now, while the pictures go on over HTTP. */
  async #knock(signal, leave) {
    let call = null;
    try {
      call = new Call(this.name);
      await call.place(signal);
      await this.#hear(call, signal);
      call.end();
      webrtc.open();
    } catch (error) {
      call?.end();
      if (error.detour) webrtc.block(error.detour);
      else if (error.crowded && !signal.aborted) {
        this.takesOver = true; // what this tile plays now has the place that it would need
        leave();
      } else webrtc.giveUp();
    }
  }

  /** Until a picture has come, or could have. Checks are small: that they pass does not tell that pictures do. */
  async #hear(call, signal) {
    while (!call.stands || !(await call.decoded())) {
      await sleep(100, signal);
      const waited = performance.now() - call.answered;
      if (call.broken || (!call.stands && waited > CONNECT)) throw unreachable();
      if (waited <= HANDSHAKE) continue;
      if (this.expecting()) throw silent();
      return;
    }
  }
}
