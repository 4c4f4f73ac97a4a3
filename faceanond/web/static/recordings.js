// The recordings of one camera: a list, the newest first, and a <video> that plays what is chosen from it.

import { ofCamera } from "./paths.js";
import { PATIENCE, refusal, sentence, within } from "./trying.js";

const AT_ONCE = 100; // recordings that are asked for, and added to the list, at a time

const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });
const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

/** Whether there is anything to show, or will be. */
export function isRecorded({ recording }) {
  return recording.state !== "off" || recording.segments > 0;
}

function lengthOf(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
  return `${rest} s`;
}

function sizeOf(bytes) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const size = bytes / 1000 ** power;
  return `${size.toFixed(power && size < 9.95 ? 1 : 0)} ${UNITS[power]}`;
}

export class Shelf {
  constructor(name, element) {
    this.name = name;
    this.element = element;
    this.camera = null;
    this.asking = null;
    this.following = "";
    this.trouble = "";
    this.chosen = null;
    const part = (selector) => element.querySelector(selector);
    this.parts = {
      title: part("h2"),
      until: part("input"),
      video: screen(),
      playing: part(".playing"),
      words: part(".shelf-words"),
      days: part(".days"),
      more: part(".more"),
    };
    this.template = document.getElementById("tape");
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    part(".zone").textContent = `Times are those of this device${timeZone ? ` (${timeZone})` : ""}.`;
    part("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#load();
    });
    part(".newest").addEventListener("click", () => {
      this.parts.until.value = "";
      this.#load();
    });
    this.parts.more.addEventListener("click", () => this.#add());
    this.parts.video.addEventListener("error", () => this.#explain());
    this.parts.video.addEventListener("ended", () => this.#goOn());
  }

  /** What the server says of the camera now. */
  update(camera) {
    const first = this.camera === null;
    this.camera = camera;
    if (first) this.#say();
  }

  show() {
    this.element.hidden = false;
    this.parts.title.focus();
    this.#load();
  }

  hide() {
    this.element.hidden = true;
    this.asking?.abort();
    this.#rest();
    this.parts.days.replaceChildren();
  }

  // The list

  #load() {
    const { until, days } = this.parts;
    const query = new URLSearchParams({ order: "newest", limit: AT_ONCE });
    if (until.value) query.set("to", new Date(until.value).toISOString());
    this.#rest();
    days.replaceChildren();
    this.following = `/api${ofCamera(this.name, "recordings")}?${query}`;
    this.#add();
  }

  /** Asks for the recordings that follow, and appends them. */
  async #add() {
    const { days, more, words } = this.parts;
    const isFocused = document.activeElement === more; // hiding it would leave a keyboard at the top of the page
    const count = days.querySelectorAll(".play").length;
    this.asking?.abort();
    const stopper = (this.asking = new AbortController());
    more.hidden = true;
    this.trouble = "";
    words.textContent = "Asking for the recordings…";
    try {
      const { recordings, next } = await within(PATIENCE, stopper.signal, (signal) => this.#ask(signal));
      if (stopper.signal.aborted) return;
      this.following = next;
      for (const recording of recordings) this.#append(recording);
      more.textContent = "Show earlier ones";
      more.hidden = !next;
    } catch (error) {
      if (stopper.signal.aborted) return;
      this.trouble = error instanceof Refused ? error.message : "The server does not answer.";
      more.textContent = "Try again";
      more.hidden = false;
    }
    this.asking = null;
    this.#say();
    if (isFocused) {
      const rows = days.querySelectorAll(".play");
      (rows[count] ?? (more.hidden ? rows[count - 1] : more))?.focus();
    }
  }

  async #ask(signal) {
    const response = await fetch(location.origin + this.following, { cache: "no-store", signal });
    if (!response.ok) throw await refused(response);
    return response.json();
  }

  #append({ file, start, end, duration, bytes, complete, lost }) {
    const { days } = this.parts;
    const began = new Date(start * 1000);
    const day = DAY.format(began);
    if (days.lastElementChild?.dataset.day !== day) {
      const group = document.createElement("section");
      group.dataset.day = day;
      const title = document.createElement("h3");
      title.textContent = day;
      group.append(title, document.createElement("ul"));
      days.append(group);
    }
    const row = this.template.content.firstElementChild.cloneNode(true);
    const part = (selector) => row.querySelector(selector);
    const time = part("time");
    time.dateTime = began.toISOString();
    time.textContent = TIME.format(began);
    part(".length").textContent = lengthOf(duration);
    part(".remark").textContent = remarkOn(complete, lost);
    part(".remark").classList.toggle("lost", lost > 0);
    part(".size").textContent = sizeOf(bytes);
    const words = `${day}, ${TIME.format(began)}, ${lengthOf(duration)}`;
    const save = part(".save");
    save.href = ofCamera(this.name, "recordings", file);
    save.download = file;
    save.setAttribute("aria-label", `Download ${words}, ${sizeOf(bytes)}`);
    const play = part(".play");
    play.title = `${TIME.format(began)} – ${TIME.format(new Date(end * 1000))}`;
    play.addEventListener("click", () => this.#play(row));
    row.recording = { file, words };
    days.lastElementChild.lastElementChild.append(row);
  }

  /** What there is to say of the list: why it is empty, or what is the matter. */
  #say() {
    const { days, words, until, playing } = this.parts;
    if (this.asking) return;
    if (!this.chosen) playing.textContent = days.firstElementChild ? "Choose a recording to play it." : "";
    const state = this.camera?.recording.state;
    const failing = state === "failing" ? "Recording fails now. " + sentence(this.camera.recording.last_error) : "";
    if (this.trouble) words.textContent = this.trouble;
    else if (days.firstElementChild) words.textContent = state === "off" ? "Recording is switched off; this is what is left." : failing;
    else if (until.value) words.textContent = "Nothing is left of what was recorded up to then.";
    else if (state === "off") words.textContent = "Recording is switched off for this camera, and nothing is left of what was recorded before.";
    else words.textContent = `Nothing has been recorded yet. ${failing}`;
  }

  // What is played

  #play(row) {
    const { video, playing } = this.parts;
    this.chosen?.querySelector(".play").removeAttribute("aria-current");
    this.chosen = row;
    row.querySelector(".play").setAttribute("aria-current", "true");
    playing.before(video);
    video.src = location.origin + ofCamera(this.name, "recordings", row.recording.file);
    video.setAttribute("aria-label", `Recording of camera ${this.name}, ${row.recording.words}`);
    playing.textContent = row.recording.words;
    video.play().catch(() => {}); // what cannot be played is told by its error, and else there are the controls
    video.scrollIntoView({ block: "nearest" });
  }

  /** The one that came after it in time. */
  #goOn() {
    const rows = [...this.parts.days.querySelectorAll(".tape")];
    const later = rows[rows.indexOf(this.chosen) - 1];
    if (later) this.#play(later);
  }

  /** Nothing is played, and no connection is kept. */
  #rest() {
    const { video, playing } = this.parts;
    this.chosen?.querySelector(".play").removeAttribute("aria-current");
    this.chosen = null;
    video.remove();
    video.removeAttribute("src");
    video.load();
    playing.textContent = "";
  }

  /** A <video> does not say why it has nothing to play; the server does. */
  async #explain() {
    const { video, playing } = this.parts;
    const row = this.chosen;
    if (row === null) return;
    const address = location.origin + ofCamera(this.name, "recordings", row.recording.file);
    const why = await fetch(address, { method: "HEAD", cache: "no-store" }).then(
      async (response) => {
        if (response.ok) return "This browser cannot play it; it may be downloaded.";
        if (response.status === 404) return "It is not there any more.";
        return response.status === 503 ? "The server cannot read it now; try again in a while." : (await refused(response)).message;
      },
      () => "The server does not answer.",
    );
    if (row !== this.chosen) return;
    video.remove();
    playing.textContent = `${row.recording.words}: ${why}`;
  }
}

function screen() {
  const video = document.createElement("video");
  video.controls = true;
  video.playsInline = true;
  return video;
}

class Refused extends Error {}

async function refused(response) {
  switch (response.status) {
    case 403:
      return new Refused("You may not see the recordings of this camera.");
    case 404:
      return new Refused("This camera is no longer there, or you may not see its recordings.");
    case 401:
    case 429: {
      const { message, hint } = await refusal(response);
      return new Refused([sentence(message), hint].filter(Boolean).join(" "));
    }
    default:
      return new Refused(`The server has no answer to that now (HTTP ${response.status}).`);
  }
}

function remarkOn(complete, lost) {
  const remarks = complete ? [] : ["being recorded"];
  if (lost) remarks.push(`${lost} picture${lost === 1 ? "" : "s"} missing`);
  return remarks.join(", ");
}
