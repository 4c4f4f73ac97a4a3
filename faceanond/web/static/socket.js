// Fragmented MP4 by a WebSocket. In front of each initialisation segment the server says in a text what follows.

import { ofCamera } from "./paths.js";
import { Trouble, sentence, sleep } from "./trying.js";

const PLACES_TAKEN = 1013;
const OPENS_WITHIN = 8_000; // ms to the first message; without a picture the server says so after 5 s
export const NO_SOCKETS = "WebSockets do not get through";

function addressOf(name) {
  const address = new URL(location.origin + ofCamera(name, "stream.ws"));
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address;
}

/** The line for `playFragments`. */
export function socketOf(name) {
  return {
    unheard: NO_SOCKETS,
    open(take, end) {
      const socket = new WebSocket(addressOf(name));
      let silent = true;
      socket.binaryType = "arraybuffer";
      socket.addEventListener("message", ({ data }) => {
        silent = false;
        take(typeof data === "string" ? JSON.parse(data) : new Uint8Array(data));
      });
      socket.addEventListener("close", ({ code, reason }) => {
        if (code === PLACES_TAKEN) end(new Trouble("No video now", sentence(reason), { retry: 10 }));
        else end(new Trouble("Connection lost", sentence(reason), { detour: silent && !reason ? NO_SOCKETS : "" }));
      });
      return () => socket.close();
    },
  };
}

/** Whether the server is heard through a WebSocket. */
export async function heard(name, signal) {
  let verdict = null;
  const close = socketOf(name).open(
    () => (verdict = true),
    ({ detour }) => (verdict ??= !detour),
  );
  try {
    const began = performance.now();
    while (verdict === null && performance.now() - began < OPENS_WITHIN) await sleep(100, signal);
  } finally {
    close();
  }
  return verdict === true;
}
