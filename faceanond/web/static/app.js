// The live wall and the page of one camera: both are tiles; the path says which. A camera's page shows its recordings
// instead where the address ends with #recordings.

import { ofCamera } from "./paths.js";
import { Player } from "./player.js";
import { Shelf, isRecorded } from "./recordings.js";

const POLL = 2_000; // ms between two looks at /api/cameras
const LEAVE = 4_000; // ms that a tile may be out of sight before its connection is given up
const HIDDEN = 60_000; // ms that the whole page may be in the background

const wall = document.getElementById("wall");
const notice = document.getElementById("notice");
const summary = document.getElementById("summary");
const template = document.getElementById("tile");
const toggle = document.getElementById("toggle");
const only = decodeURIComponent(location.pathname.match(/^\/cameras\/([^/]+)\/?$/)?.[1] ?? "") || null;

const tiles = new Map();

// Words for what the API names

function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function judge(camera) {
  if (camera.state === "disabled") return { tone: "quiet", text: "Switched off" };
  if (camera.state === "retrying") {
    const wait = camera.retry_in === null ? "" : ` in ${Math.max(1, Math.ceil(camera.retry_in))} s`;
    return { tone: "bad", text: `Retrying${wait}`, detail: camera.last_error ?? "" };
  }
  if (camera.state === "connecting") return { tone: "quiet", text: "Connecting", detail: camera.last_error ?? "" };
  if (camera.fail_closed) return { tone: "warn", text: "Concealed", detail: camera.fail_closed.replaceAll("_", " ") };
  if (camera.overload === "reduced") return { tone: "warn", text: "Live", detail: "overloaded, fewer pictures" };
  return { tone: "good", text: "Live" };
}

function figures(camera) {
  if (!camera.width) return "";
  const parts = [`${camera.width}×${camera.height}`];
  if (camera.state === "retrying" && camera.last_error) return ""; // the error needs the room
  if (camera.state === "live") {
    parts.push(`${camera.fps.toFixed(camera.fps < 9.95 ? 1 : 0)} fps`);
    if (!camera.fail_closed) parts.push(camera.faces_current ? plural(camera.faces_current, "face") : "no faces");
  }
  return parts.join(" · ");
}

const IDLE = { playing: false, words: "", hint: "", route: "" };

class Tile {
  constructor(name) {
    this.name = name;
    this.camera = null;
    this.view = IDLE;
    this.visible = false;
    this.leaving = 0;
    this.element = template.content.firstElementChild.cloneNode(true);
    const part = (selector) => this.element.querySelector(selector);
    this.parts = {
      state: part(".state"),
      figures: part(".figures"),
      detail: part(".detail"),
      words: part(".words"),
      hint: part(".hint"),
      route: part(".route"),
      video: part("video"),
      canvas: part("canvas"),
      tapes: part(".tapes"),
    };
    part(".name").textContent = name;
    this.element.dataset.camera = name;
    const screen = part(".screen");
    if (only === null) {
      screen.href = ofCamera(name);
      screen.setAttribute("aria-label", `Show camera ${name} alone`);
    }
    this.parts.video.setAttribute("aria-label", `Live picture of camera ${name}`);
    this.parts.canvas.setAttribute("aria-label", `Last picture of camera ${name}`);
    const shot = part(".shot");
    shot.href = ofCamera(name, "snapshot.jpg");
    shot.title = "Snapshot";
    shot.setAttribute("aria-label", `Snapshot of camera ${name}`);
    this.parts.tapes.href = `${ofCamera(name)}#recordings`;
    this.parts.tapes.title = "Recordings";
    this.parts.tapes.setAttribute("aria-label", `Recordings of camera ${name}`);
    this.player = new Player(name, {
      video: this.parts.video,
      canvas: this.parts.canvas,
      onChange: (view) => {
        this.view = { hint: "", route: "", ...view };
        this.draw();
      },
      expecting: () => this.camera?.state === "live",
    });
    this.parts.video.addEventListener("resize", () => fit());
    this.element.tile = this;
    sight.observe(this.element);
  }

  update(camera) {
    this.camera = camera;
    this.play();
    this.draw();
  }

  see(visible) {
    this.visible = visible;
    clearTimeout(this.leaving);
    if (visible) this.play();
    else this.leaving = setTimeout(() => this.play(), LEAVE);
  }

  play() {
    const wanted = this.visible && !asleep && this.camera !== null && this.camera.state !== "disabled";
    if (wanted) this.player.start();
    else {
      this.player.stop();
      this.view = IDLE;
    }
  }

  draw() {
    const { camera, view, parts, element } = this;
    if (camera === null) return;
    const { tone, text, detail = "" } = judge(camera);
    element.dataset.tone = tone;
    element.toggleAttribute("data-playing", view.playing);
    put(parts.state, text);
    put(parts.figures, figures(camera));
    put(parts.detail, detail);
    parts.detail.title = detail;
    put(parts.words, camera.state === "disabled" ? "Switched off" : view.words);
    put(parts.hint, view.hint);
    put(parts.route, view.route);
    parts.route.title = view.route;
    parts.tapes.hidden = !isRecorded(camera);
  }

  remove() {
    this.camera = null; // what was observed before may still be told, and must not start it again
    this.player.stop();
    clearTimeout(this.leaving);
    sight.unobserve(this.element);
    this.element.remove();
  }
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Which tiles play: those in sight, while anyone looks at the page

let asleep = false;
let dozing = 0;
const sight = new IntersectionObserver(
  (entries) => entries.forEach((entry) => entry.target.tile.see(entry.isIntersecting)),
  { rootMargin: "120px" },
);

document.addEventListener("visibilitychange", () => {
  clearTimeout(dozing);
  const set = (value) => {
    asleep = value;
    for (const tile of tiles.values()) {
      tile.play();
      tile.draw();
    }
  };
  if (document.hidden) dozing = setTimeout(() => set(true), HIDDEN);
  else set(false);
});
addEventListener("pagehide", () => tiles.forEach((tile) => tile.player.stop()));
addEventListener("pageshow", (event) => {
  if (event.persisted) tiles.forEach((tile) => tile.play());
});

// As few columns as let every tile be seen without scrolling, and never smaller than a picture is of use

const SMALLEST = 260; // px
const GAP = 12;

function fit() {
  if (only !== null) {
    const { video, canvas } = tiles.get(only)?.parts ?? {};
    if (!video) return;
    const [across, down] = canvas.hidden ? [video.videoWidth, video.videoHeight] : [canvas.width, canvas.height];
    if (across) {
      wall.style.setProperty("--aspect", `${across} / ${down}`);
      wall.style.setProperty("--ratio", String(across / down));
    }
    return;
  }
  const count = tiles.size;
  if (!count) return;
  const width = document.documentElement.clientWidth - 32;
  const height = innerHeight - wall.getBoundingClientRect().top - scrollY - 16;
  const caption = wall.querySelector(".caption").offsetHeight + 2;
  const most = Math.max(1, Math.min(count, Math.floor((width + GAP) / (SMALLEST + GAP))));
  let columns = most;
  let scale = 1;
  let best = 0;
  for (let tried = 1; tried <= most; tried += 1) {
    const rows = Math.ceil(count / tried);
    const full = (width - (tried - 1) * GAP) / tried;
    const fitting = ((height - (rows - 1) * GAP) / rows - caption) * (16 / 9);
    const tile = Math.min(full, fitting);
    if (tile >= SMALLEST && tile > best) {
      best = tile;
      columns = tried;
      scale = tile / full;
    }
  }
  wall.style.setProperty("--columns", String(columns));
  wall.style.setProperty("--wall-width", best && scale < 1 ? `${Math.ceil(best * columns + (columns - 1) * GAP + 32)}px` : "100%");
}
new ResizeObserver(fit).observe(document.documentElement);

// What the server says, every two seconds

function show(cameras) {
  const shown = only === null ? cameras : cameras.filter((camera) => camera.name === only);
  const names = new Set(shown.map((camera) => camera.name));
  for (const [name, tile] of tiles) {
    if (!names.has(name)) {
      tile.remove();
      tiles.delete(name);
    }
  }
  shown.forEach((camera, place) => {
    let tile = tiles.get(camera.name);
    if (!tile) {
      tile = new Tile(camera.name);
      tiles.set(camera.name, tile);
    }
    if (wall.children[place] !== tile.element) wall.insertBefore(tile.element, wall.children[place] ?? null);
    tile.update(camera);
    shelf?.update(camera);
  });
  delete wall.dataset.loading;
  if (only === null) {
    const live = cameras.filter((camera) => judge(camera).tone === "good").length;
    put(summary, cameras.length ? `${live} of ${plural(cameras.length, "camera")} live` : "");
    document.title = cameras.length && live < cameras.length ? `(${cameras.length - live}) faceanond` : "faceanond";
  }
  fit();
}

function warn(text) {
  notice.hidden = !text;
  put(notice, text);
}

/** The password was changed, or taken away. Ends all asking: each further try with the old one is a wrong login. */
function loggedOut() {
  tiles.forEach((tile) => tile.remove());
  tiles.clear();
  shelf?.hide();
  toggle.hidden = true;
  wall.hidden = true;
  put(summary, "");
  warn("You are not logged in any more: your password is not valid now. ");
  const again = document.createElement("button");
  again.textContent = "Log in again";
  again.addEventListener("click", () => location.reload());
  notice.append(again);
}

async function poll() {
  try {
    const response = await fetch(`${location.origin}/api/cameras`, { cache: "no-store", signal: AbortSignal.timeout(5_000) });
    if (response.status === 401) return loggedOut();
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    show((await response.json()).cameras);
    warn(only !== null && !tiles.size ? `There is no camera "${only}" any more.` : "");
  } catch {
    warn("The server does not answer. What you see may be old; trying again every few seconds.");
    put(summary, "");
  }
  setTimeout(poll, document.hidden ? POLL * 5 : POLL);
}

// The page of one camera: live, or its recordings

const shelf = only === null ? null : new Shelf(only, document.getElementById("recordings"));

function choose() {
  const back = location.hash === "#recordings";
  wall.hidden = back;
  put(toggle, back ? "Live" : "Recordings");
  toggle.href = back ? "#live" : "#recordings";
  if (back) shelf.show();
  else shelf.hide();
}

if (only !== null) {
  document.body.classList.add("single");
  document.title = `${only} · faceanond`;
  const title = document.getElementById("title");
  title.hidden = false;
  title.textContent = only;
  document.getElementById("links").hidden = false;
  document.getElementById("snapshot").href = ofCamera(only, "snapshot.jpg");
  addEventListener("hashchange", choose);
  choose();
}
wall.dataset.loading = "";
poll();
