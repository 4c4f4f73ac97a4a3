// Plays one camera into one <video> over WHEP, and keeps at it: a player that lost its picture tries again by itself.
//
// States told to `onChange`: {playing, words, hint}. `words` is what a person should read while there is no picture.

const HANDSHAKE = 10_000; // ms from the answer to the first decoded picture
const FROZEN = 8_000; // ms without a new picture while the camera is live
const LOOK = 2_000; // ms between two looks at the statistics, which cost more than all else here
const GATHERING = 400; // ms: without candidates of ours the server finds us by our own checks
const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 20_000;
const AT_ONCE = 4; // handshakes at a time, so that a wall of forty does not stall itself

let running = 0;
const queue = [];

/** Rejects when the signal aborts first; leaves no listener behind, since a page may stay open for months. */
function abortable(signal, start) {
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

async function turn(signal) {
  if (running < AT_ONCE) {
    running += 1;
    return;
  }
  await abortable(signal, (resolve) => {
    queue.push(resolve);
    return () => queue.splice(queue.indexOf(resolve), 1);
  });
}

function release() {
  const next = queue.shift();
  if (next) next();
  else running -= 1;
}

class Stopped extends Error {}

/** A failure that a person can understand; `retry` is in seconds when the server named a time, `final` ends trying. */
class Trouble extends Error {
  constructor(words, hint = "", { retry = 0, final = false } = {}) {
    super(words);
    this.hint = hint;
    this.retry = retry;
    this.final = final;
  }
}

function sentence(text) {
  return text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "";
}

function playsVideo() {
  if (!("RTCPeerConnection" in window)) return false;
  const capabilities = RTCRtpReceiver.getCapabilities?.("video");
  return !capabilities || capabilities.codecs.some((codec) => /^video\/(h264|vp8)$/i.test(codec.mimeType));
}

function sleep(ms, signal) {
  return abortable(signal, (resolve) => {
    const timer = setTimeout(resolve, ms);
    return () => clearTimeout(timer);
  });
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
      return new Trouble("This browser offers no suitable video", sentence(problem.detail), { final: true });
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
      try {
        if (!playsVideo()) {
          throw new Trouble("This browser offers neither H.264 nor VP8", "Chromium, Firefox and Safari play both.", { final: true });
        }
        this.onChange({ playing: false, words: failures ? "Connecting again…" : "Connecting…" });
        await this.#play(signal);
      } catch (error) {
        if (signal.aborted) break;
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
  async #play(signal) {
    let session = null;
    let waiting = true;
    const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    const finish = () => {
      if (waiting) release();
      waiting = false;
    };
    try {
      await turn(signal).catch((error) => {
        waiting = false;
        throw error;
      });
      const { receiver } = connection.addTransceiver("video", { direction: "recvonly" });
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
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
      session = response.headers.get("Location");
      await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
      this.video.srcObject = new MediaStream([receiver.track]);
      this.video.play().catch(() => {}); // muted, so that it is allowed; a refusal shows as no picture
      await this.#watch(connection, receiver, signal, finish);
    } finally {
      finish();
      this.video.srcObject = null;
      connection.close();
      if (session) fetch(location.origin + session, { method: "DELETE", keepalive: true }).catch(() => {});
    }
  }

  async #watch(connection, receiver, signal, connected) {
    const answered = performance.now();
    let decoded = 0;
    let changed = answered;
    let looked = 0;
    for (;;) {
      await sleep(decoded ? 1_000 : 100, signal);
      // A server that ends the session closes DTLS, which the connection's own state does not tell.
      if ([connection.connectionState, receiver.transport?.state].some((state) => state === "failed" || state === "closed")) {
        throw decoded ? new Trouble("Connection lost") : unreachable();
      }
      const now = performance.now();
      if (decoded && now - looked < LOOK) continue;
      looked = now;
      for (const entry of (await receiver.getStats()).values()) {
        if (entry.type === "inbound-rtp" && entry.framesDecoded !== decoded) {
          if (!decoded) {
            connected();
            this.onChange({ playing: true, words: "" });
          }
          decoded = entry.framesDecoded;
          changed = now;
        }
      }
      this.frames = decoded;
      if (!decoded && now - answered > HANDSHAKE) {
        if (connection.connectionState !== "connected") throw unreachable();
        if (this.expecting()) throw new Trouble("No picture arrives", "The connection stands, but no video could be decoded.");
        connected();
        this.onChange({ playing: false, words: "Waiting for a picture" });
      }
      if (decoded && now - changed > FROZEN && this.expecting()) throw new Trouble("The picture stopped");
    }
  }
}

function unreachable() {
  return new Trouble(
    "Video cannot get through",
    "UDP between this browser and the server seems blocked. Check the firewall, webrtc.udp_ports and webrtc.external_addresses.",
  );
}
