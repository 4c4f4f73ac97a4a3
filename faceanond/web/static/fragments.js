// Plays fragmented MP4 into one <video>, whatever line it comes by: for networks without UDP.
//
// The line says how much longer than it will be each picture is said to last (`hold`), so the newest picture is that
// much in front of the end of what is buffered. We stay `lag` seconds behind it by playing a little faster or slower,
// and jump when that would take too long.

import { Trouble, sleep } from "./trying.js";

const FIRST_PICTURE = 10_000; // ms from the request to the first decoded picture
const UNHEARD = 8_000; // ms without a byte: the line does not get through; without a picture the server says so after 5 s
const FROZEN = 8_000; // ms without a new picture while the camera is live
const LEAST_LAG = 0.12; // s; below it each hiccup of the network shows
const MOST_LAG = 1.5;
const TOO_FAR = 2; // s away from where we should be: jump
const CALM = 10_000; // ms without a late picture until we dare to come closer
const KEEP = 6; // s of the past that stay buffered
const MOST_WAITING = 8 * 1024 * 1024; // bytes not yet appended: a page that was asleep starts anew

const Source = window.ManagedMediaSource ?? window.MediaSource;

/** Whether this browser can play what the server sends, at all. */
export function playsFragments() {
  return Boolean(Source?.isTypeSupported('video/mp4; codecs="avc1.42C01F"'));
}

/** The newest pictures in a SourceBuffer, and the place in them where the <video> should be. */
class Buffered {
  constructor(video, source) {
    this.video = video;
    this.source = source;
    this.waiting = [];
    this.size = 0;
    this.buffer = null;
    this.hold = 0;
    this.lag = LEAST_LAG;
    this.late = performance.now();
    this.begun = false;
    this.failure = null;
  }

  /** Bytes, or {type, hold}, which describes those that follow. */
  take(data) {
    this.size += data.byteLength ?? 0;
    this.waiting.push(data);
    if (this.size > MOST_WAITING) this.failure = new Trouble("The picture stopped");
    else this.pump();
  }

  pump() {
    if (this.failure || this.source.readyState !== "open" || this.buffer?.updating) return;
    try {
      while (this.waiting[0]?.type) this.describe(this.waiting.shift());
      if (!this.waiting.length || this.forget()) return;
      // What has come since the last time goes in at once, up to the next description.
      let count = this.waiting.findIndex((item) => item.type);
      if (count < 0) count = this.waiting.length;
      const parts = this.waiting.splice(0, count);
      for (const part of parts) this.size -= part.byteLength;
      this.buffer.appendBuffer(parts.length === 1 ? parts[0] : joined(parts));
    } catch (error) {
      this.failure = new Trouble("This browser cannot play the stream", String(error.message));
    }
  }

  describe({ type, hold }) {
    if (!Source.isTypeSupported(type)) throw new Error(`It does not play ${type}.`);
    this.hold = hold;
    if (this.buffer) {
      this.buffer.changeType(type);
      return;
    }
    this.buffer = this.source.addSourceBuffer(type);
    this.buffer.addEventListener("updateend", () => {
      if (this.source.readyState !== "open") return; // the video plays something else by now
      this.steer();
      this.pump();
    });
    this.buffer.addEventListener("error", () => {
      this.failure = new Trouble("The picture cannot be decoded", this.video.error?.message ?? "");
    });
  }

  /** Drops the past now and then; true when it began to, which takes a moment. */
  forget() {
    const { buffered } = this.buffer;
    if (!buffered.length || this.video.currentTime - buffered.start(0) < 2 * KEEP) return false;
    this.buffer.remove(0, this.video.currentTime - KEEP);
    return true;
  }

  steer() {
    const { video } = this;
    const { buffered } = this.buffer;
    if (!buffered.length || video.seeking) return;
    const from = buffered.start(buffered.length - 1);
    const newest = buffered.end(buffered.length - 1) - this.hold;
    const behind = newest - video.currentTime;
    const now = performance.now();
    if (this.begun && behind < -0.02 && now - this.late > 200) {
      this.late = now;
      this.lag = Math.min(MOST_LAG, this.lag + 0.1);
    } else if (now - this.late > CALM) {
      this.late = now;
      this.lag = Math.max(LEAST_LAG, this.lag * 0.8);
    }
    const off = behind - this.lag;
    if (!this.begun || Math.abs(off) > TOO_FAR || video.currentTime < from) {
      this.begun = true;
      video.currentTime = Math.max(from, newest - this.lag);
      return;
    }
    const rate = Math.abs(off) < 0.04 ? 1 : Math.min(1.2, Math.max(0.85, 1 + off / 2));
    if (Math.abs(video.playbackRate - rate) > 0.02) video.playbackRate = rate;
    if (video.paused && !document.hidden) video.play().catch(() => {});
  }
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.byteLength, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.byteLength;
  }
  return whole;
}

/**
 * Plays until something ends it; always ends with an exception. `line.open(take, end)` calls `take` with what
 * `Buffered.take` takes and `end` with the trouble that ended it, and gives the function that closes it; `line.unheard`
 * says in words what it means when nothing comes. `shown` is called with the first picture and `counted` with the number
 * of pictures so far; `expecting` tells whether the camera sends pictures now.
 */
export async function playFragments(video, signal, line, { shown, counted, expecting }) {
  const source = new Source();
  const url = URL.createObjectURL(source);
  const buffered = new Buffered(video, source);
  const began = performance.now();
  let heard = false;
  let ended = null;
  const take = (data) => {
    heard ||= data.byteLength > 0;
    buffered.take(data);
  };
  const failure = () => {
    if (!heard && performance.now() - began > UNHEARD) {
      ended ??= new Trouble("No picture arrives", "", { detour: line.unheard });
    }
    return ended ?? buffered.failure;
  };
  const close = line.open(take, (trouble) => (ended ??= trouble));
  try {
    video.disableRemotePlayback = true; // without it Safari's ManagedMediaSource never opens
    video.src = url;
    source.addEventListener("sourceopen", () => buffered.pump());
    video.play().catch(() => {}); // muted, so that it is allowed; a refusal shows as no picture
    await watch(video, signal, { shown, counted, expecting, failure });
  } finally {
    close();
    video.playbackRate = 1;
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(url);
  }
}

async function watch(video, signal, { shown, counted, expecting, failure }) {
  let seen = video.getVideoPlaybackQuality().totalVideoFrames;
  let decoded = 0;
  let changed = performance.now();
  for (;;) {
    await sleep(decoded ? 1_000 : 100, signal);
    const trouble = failure();
    if (trouble) throw trouble;
    const now = performance.now();
    const total = video.getVideoPlaybackQuality().totalVideoFrames;
    if (total < seen) seen = 0; // another source, another count
    if (total > seen) {
      if (!decoded) shown();
      decoded += total - seen;
      seen = total;
      changed = now;
      counted(decoded);
    }
    const silence = now - changed;
    if (!decoded && silence > FIRST_PICTURE && expecting()) throw new Trouble("No picture arrives");
    if (decoded && silence > FROZEN && expecting() && !document.hidden) throw new Trouble("The picture stopped");
  }
}
