// One WebRTC session over WHEP.

import { PATIENCE, Trouble, problemOf, refusal, sentence, within } from "./trying.js";

export const CONNECT = 5_000; // ms from the answer until a connection stands; where UDP passes it takes a few hundred
const GATHERING = 400; // ms: without candidates of ours the server finds us by our own checks
const NO_UDP = "UDP does not get through";
export const NO_WEBRTC = "this browser has no WebRTC with H.264 or VP8";

/** Whether this browser can play what the server sends, at all. */
export function playsVideo() {
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

async function refused(response) {
  const trouble = await refusal(response.clone());
  const problem = await problemOf(response);
  if (response.status === 406) {
    return new Trouble("This browser offers no suitable video", sentence(problem.detail), { detour: NO_WEBRTC });
  }
  if (response.status === 503) return new Trouble("No free place to watch", trouble.hint, { retry: trouble.retry });
  return trouble;
}

export function unreachable() {
  return new Trouble("Video cannot get through", "", { detour: NO_UDP });
}

/** From the offer to the end. */
export class Call {
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
    const sdp = await within(PATIENCE, signal, (stopping) => this.#offer(connection.localDescription.sdp, stopping));
    await connection.setRemoteDescription({ type: "answer", sdp });
    this.answered = performance.now();
  }

  async #offer(sdp, signal) {
    const response = await fetch(`${location.origin}/whep/${encodeURIComponent(this.name)}`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: sdp,
      signal,
    });
    if (!response.ok) throw await refused(response);
    this.session = response.headers.get("Location");
    return response.text();
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
