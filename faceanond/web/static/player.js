// Plays one camera into one <video> over WHEP, or over HTTP where WebRTC does not get through, and keeps at it: a player
// that lost its picture tries again by itself.
//
// States told to `onChange`: {playing, words, hint, route}. `words` is what a person should read while there is no
// picture, `route` is why the pictures come over HTTP.

import { playFragments, playsFragments } from "./fragments.js";
import * as route from "./route.js";
import { Trouble, sentence, sleep, turn } from "./trying.js";

const CONNECT = 5_000; // ms from the answer until a connection stands; where UDP passes it takes a few hundred
const HANDSHAKE = 10_000; // ms from the answer to the first decoded picture
const FROZEN = 8_000; // ms without a new picture while the camera is live
const LOOK = 2_000; // ms between two looks at the statistics, which cost more than all else here
const GATHERING = 400; // ms: without candidates of ours the server finds us by our own checks
const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 20_000;
const NO_UDP = "UDP does not get through";
const NO_PICTURE = "no picture arrives over WebRTC";
const NO_WEBRTC = "this browser has no WebRTC with H.264 or VP8";

function playsVideo() {
  if (!("RTCPeerConnection" in window)) return false;
  const capabilities = RTCRtpReceiver.getCapabilities?.("video");
  return !capabilities || capabilities.codecs.some((codec) => /^video\/(h264|vp8)$/i.test(codec.mimeType));
}

async function gathered(connection) {
  if (connection.iceGatheringState === "complete") return;
  await new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHERING);
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState === "complete") {
        clearTimeout(timer);
        resolve();
      }
    });
  });
}

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const retry = Number(response.headers.get("Retry-After")) || 0;
  switch (response.status) {
    case 401:
      return new Trouble("Not logged in", "Load this page again to log in.", { final: true });
    case 404:
      return new Trouble("This camera is no longer configured", "", { retry: 15 });
    case 406:
      return new Trouble("This browser offers no suitable video", sentence(problem.detail), { detour: NO_WEBRTC });
    case 409:
      return new Trouble("No video now", "The camera is switched off or has not started.", { retry });
    case 429:
      return new Trouble("Too many attempts from this address", "", { retry });
    case 503:
      return new Trouble("No free place to watch", sentence(problem.detail), { retry });
    default:
      return new Trouble("The server refused the video", sentence(problem.detail) || `HTTP ${response.status}`);
  }
}

/** Another way to play has become the right one. */
class Rerouted extends Error {}

/** One WebRTC session, from the offer to its end. */
class Call {
  constructor(name) {
    this.name = name;
    this.session = null;
    this.connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.receiver = this.connection.addTransceiver("video", { direction: "recvonly" }).receiver;
    if ("jitterBufferTarget" in this.receiver) this.receiver.jitterBufferTarget = 0;
  }

  async place(signal) {
    const { connection } = this;
    await connection.setLocalDescription(await connection.createOffer());
    await gathered(connection);
    // With the origin, because a page that was opened with name and password in its address may not ask relatively.
    const response = await fetch(`${location.origin}/whep/${this.name}`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: connection.localDescription.sdp,
      signal,
    });
    if (!response.ok) throw await refusal(response);
    this.session = response.headers.get("Location");
    await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
    this.answered = performance.now();
  }

  get stands() {
    return this.connection.connectionState === "connected";
  }

  /** A server that ends the session closes DTLS, which the connection's own state does not tell. */
  get broken() {
    return [this.connection.connectionState, this.receiver.transport?.state].some((state) => state === "failed" || state === "closed");
  }

  /** Pictures decoded since the beginning. */
  async decoded() {
    let count = 0;
    for (const entry of (await this.receiver.getStats()).values()) {
      if (entry.type === "inbound-rtp") count = entry.framesDecoded ?? 0;
    }
    return count;
  }

  end() {
    this.connection.close();
    if (this.session) fetch(location.origin + this.session, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

export class Player {
  /** `expecting` tells whether the camera sends pictures now: only then does silence mean that something is wrong. */
  constructor(name, video, { onChange, expecting }) {
    this.name = name;
    this.video = video;
    this.onChange = onChange;
    this.expecting = expecting;
    this.stopper = null;
    this.frames = 0;
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
      const tries = route.takeTry();
      try {
        if (!playsVideo()) {
          if (!playsFragments()) {
            throw new Trouble("This browser offers neither H.264 nor VP8", "Chromium, Firefox and Safari play both.", { final: true });
          }
          route.block(NO_WEBRTC, { forGood: true });
        }
        this.onChange({ playing: false, words: failures ? "Connecting again…" : "Connecting…" });
        if (route.detour() && playsFragments() && !tries) await this.#playOverHttp(signal);
        else await this.#playOverWebRtc(signal);
      } catch (error) {
        if (error.detour) route.block(error.detour, { forGood: error.detour === NO_WEBRTC });
        else if (tries) route.giveUp();
        if (signal.aborted) break;
        if (error instanceof Rerouted || (error.detour && playsFragments())) continue;
        const trouble = error instanceof Trouble ? error : new Trouble("The server does not answer", "Trying again by itself.");
        if (performance.now() - began > 30_000) failures = 0;
        const step = Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** failures) * (0.7 + 0.6 * Math.random());
        failures += 1;
        this.onChange({ playing: false, words: trouble.message, hint: trouble.hint });
        if (trouble.final) break;
        await sleep(Math.max(step, trouble.retry * 1000), signal).catch(() => {});
      }
    }
  }

  /** One connection from offer to end; always ends with an exception. */
  async #playOverWebRtc(signal) {
    const done = await turn(signal);
    let call = null;
    try {
      if (route.blocked() && playsFragments()) throw new Rerouted(); // while it waited for its turn
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
          route.open();
          this.onChange({ playing: true, words: "" });
        }
        decoded = count;
        changed = now;
      }
      this.frames = decoded;
      if (!decoded && now - call.answered > HANDSHAKE) {
        if (this.expecting()) throw new Trouble("No picture arrives", "The connection stands, but no video could be decoded.", { detour: NO_PICTURE });
        connected();
        this.onChange({ playing: false, words: "Waiting for a picture" });
      }
      if (decoded && now - changed > FROZEN && this.expecting()) throw new Trouble("The picture stopped");
    }
  }

  /** Plays over HTTP until that fails or WebRTC gets through again; always ends with an exception. */
  async #playOverHttp(signal) {
    const why = route.detour();
    const here = new AbortController();
    const leave = () => here.abort();
    const forget = route.whenOpen(leave);
    signal.addEventListener("abort", leave, { once: true });
    let done = () => {};
    try {
      done = await turn(here.signal);
      await playFragments(this.name, this.video, here.signal, {
        shown: () => {
          done();
          this.onChange({ playing: true, words: "", route: `over HTTP: ${why}` });
        },
        counted: (frames) => {
          this.frames = frames;
          if (route.takeTry()) this.#knock(here.signal);
        },
        expecting: this.expecting,
      });
    } catch (error) {
      throw here.signal.aborted && !signal.aborted ? new Rerouted() : error;
    } finally {
      done();
      forget();
      here.abort(); // also ends a try
      signal.removeEventListener("abort", leave);
    }
  }

  /** Finds out whether WebRTC gets through by now, while the pictures go on over HTTP. */
  async #knock(signal) {
    const call = new Call(this.name);
    try {
      await call.place(signal);
      while (!call.stands) {
        await sleep(100, signal);
        if (call.broken || performance.now() - call.answered > CONNECT) throw unreachable();
      }
      call.end();
      route.open();
    } catch (error) {
      call.end();
      if (error.detour) route.block(error.detour);
      else route.giveUp();
    }
  }
}

function unreachable() {
  return new Trouble(
    "Video cannot get through",
    "UDP between this browser and the server seems blocked. Check the firewall, webrtc.udp_ports and webrtc.external_addresses.",
    { detour: NO_UDP },
  );
}
