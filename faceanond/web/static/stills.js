// Shows snapshots of a camera, one after the other, where no connection is left for its video.

import { ofCamera } from "./paths.js";
import { Trouble, refusal, sleep, turns } from "./trying.js";

const EVERY = 2_000; // ms between two pictures of a camera
const PATIENCE = 15_000; // ms for one picture
const FROZEN = 8_000; // ms without a new picture while the camera is live

const tags = new WeakMap(); // of what each canvas shows, so that a picture that has stopped is not shown as a new one
const turn = turns(1); // a wall of forty asks for one after the other, and keeps one connection busy

/** Until `enough`, asked after each picture; all else that ends it is an exception. `shown` is called with the first. */
export async function playStills({ name, canvas, counted, expecting }, signal, { shown, enough }) {
  let count = 0;
  let changed = performance.now();
  for (;;) {
    const began = performance.now();
    const isNew = await renew(name, canvas, signal);
    if (isNew) changed = performance.now();
    if (isNew || !expecting()) {
      count += 1;
      if (count === 1) shown();
    }
    counted(count);
    if (await enough()) return;
    if (performance.now() - changed > FROZEN && expecting()) throw new Trouble("The picture stopped");
    await sleep(Math.max(0, began + EVERY - performance.now()), signal);
  }
}

/** Draws the camera's picture unless it is there already; gives whether it was not. */
async function renew(name, canvas, signal) {
  const done = await turn(signal);
  const stopper = new AbortController();
  const stop = () => stopper.abort();
  const timer = setTimeout(stop, PATIENCE);
  signal.addEventListener("abort", stop, { once: true });
  try {
    const response = await fetch(location.origin + ofCamera(name, "snapshot.jpg"), { cache: "no-store", signal: stopper.signal });
    if (!response.ok) throw await refusal(response);
    const tag = response.headers.get("ETag") ?? String(performance.now());
    if (tag === tags.get(canvas)) return false;
    const picture = await createImageBitmap(await response.blob());
    draw(picture, canvas);
    picture.close();
    tags.set(canvas, tag);
    return true;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
    stopper.abort();
    done();
  }
}

function draw(picture, canvas) {
  if (canvas.width !== picture.width) canvas.width = picture.width;
  if (canvas.height !== picture.height) canvas.height = picture.height;
  canvas.getContext("2d").drawImage(picture, 0, 0);
}
