// Shows snapshots of a camera, one after the other, where its video does not get through or no connection is left for it.

import { ofCamera } from "./paths.js";
import { PATIENCE, Stopped, Trouble, refusal, sleep, turns, within } from "./trying.js";

const EVERY = 2_000; // ms between two pictures of a camera
const FROZEN = 8_000; // ms without a new picture while the camera is live
const OLD = 30_000; // ms that a picture may be on show, whatever keeps the next one away

const tags = new WeakMap(); // of what each canvas shows, so that a picture that has stopped is not shown as a new one
const turn = turns(1); // a wall of forty asks for one after the other, and keeps one connection busy

/** The single pictures of one tile, until `hide`, which whoever made it calls at the end. */
export class Stills {
  #screen;
  #why;
  #shows = false;
  #ageing = 0;

  /** `screen` is that of `playOverHttp`; `why` tells in words why it is not video. */
  constructor(screen, why) {
    this.#screen = screen;
    this.#why = why;
  }

  /** Until `enough`, asked after each picture; all else that ends it is an exception. The last picture stays. */
  async play(signal, enough) {
    const { name, canvas, counted, expecting } = this.#screen;
    let count = 0;
    let changed = performance.now();
    for (;;) {
      const began = performance.now();
      const isNew = await renew(name, canvas, signal);
      if (isNew) changed = performance.now();
      if (isNew || !expecting()) {
        count += 1;
        this.#show();
      }
      counted(count);
      if (await enough()) return;
      if (performance.now() - changed > FROZEN && expecting()) throw new Trouble("The picture stopped");
      await sleep(Math.max(0, began + EVERY - performance.now()), signal);
    }
  }

  hide() {
    clearTimeout(this.#ageing);
    this.#shows = false;
    this.#screen.canvas.hidden = true;
  }

  #show() {
    clearTimeout(this.#ageing);
    this.#ageing = setTimeout(() => this.#expire(), OLD);
    if (this.#shows) return;
    this.#shows = true;
    this.#screen.canvas.hidden = false;
    this.#screen.onChange({ playing: true, words: "", route: `single pictures: ${this.#why()}` });
  }

  /** It waits for its turn, or for an answer; what it shows must not look live any more. */
  #expire() {
    this.hide();
    this.#screen.onChange({ playing: false, words: "Waiting for a picture" });
  }
}

/** Draws the camera's picture unless it is there already; gives whether it was not. */
async function renew(name, canvas, signal) {
  const done = await turn(signal);
  try {
    return await within(PATIENCE, signal, async (stopping) => {
      const response = await fetch(location.origin + ofCamera(name, "snapshot.jpg"), { cache: "no-store", signal: stopping });
      if (!response.ok) throw await refusal(response);
      const { headers } = response;
      const tag = headers.get("ETag") ?? headers.get("Last-Modified") ?? String(performance.now());
      if (tag === tags.get(canvas)) return false;
      const picture = await createImageBitmap(await response.blob());
      if (signal.aborted) throw new Stopped();
      draw(picture, canvas);
      picture.close();
      tags.set(canvas, tag);
      return true;
    });
  } finally {
    done();
  }
}

function draw(picture, canvas) {
  if (canvas.width !== picture.width) canvas.width = picture.width;
  if (canvas.height !== picture.height) canvas.height = picture.height;
  canvas.getContext("2d").drawImage(picture, 0, 0);
}
