// Fragmented MP4 as one endless answer: where a proxy lets neither UDP nor WebSockets through.

import { ofCamera } from "./paths.js";
import { Trouble, refusal } from "./trying.js";

const HELD_BACK = "something between here and the server holds the video back";

/** The line for `playFragments`. */
export function streamOf(name) {
  return {
    unheard: HELD_BACK,
    open(take, end) {
      const stopper = new AbortController();
      read(name, take, stopper.signal).catch((error) => end(error instanceof Trouble ? error : new Trouble("Connection lost")));
      return () => stopper.abort();
    },
  };
}

/** Always ends with an exception: the server ends an answer when the pictures change their size, too. */
async function read(name, take, signal) {
  const response = await fetch(location.origin + ofCamera(name, "stream.mp4"), { cache: "no-store", signal });
  if (!response.ok) throw await refusal(response);
  take({ type: response.headers.get("Content-Type"), hold: 0 });
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Trouble("Connection lost");
    take(value);
  }
}
