// Which endless answers may be asked for. Over HTTP/1.1 a browser opens six connections to a host, for all its windows
// together; what finds none free waits, also the question for the cameras' state. So only some may be kept busy.

const TOGETHER = 3; // of six: one is left for questions, one for single pictures, one for a recording
const ALONE = 2; // for each window where windows cannot agree, since Web Locks are for HTTPS and localhost alone

let held = 0;
let agrees = Boolean(navigator.locks);

function isMultiplexed() {
  return /^h[23]/.test(performance.getEntriesByType("navigation")[0]?.nextHopProtocol ?? "");
}

/** Gives the function that frees the place again; null when none is free. */
export async function takePlace() {
  if (isMultiplexed()) return () => {};
  if (agrees) {
    try {
      return await takeShared();
    } catch (error) {
      if (error.name !== "SecurityError") throw error;
      agrees = false; // as where all cookies are blocked
    }
  }
  if (held >= ALONE) return null;
  held += 1;
  return () => (held -= 1);
}

async function takeShared() {
  for (let number = 1; number <= TOGETHER; number += 1) {
    const free = await lock(`stream ${number} of ${TOGETHER}`);
    if (free) return free;
  }
  return null;
}

function lock(name) {
  return new Promise((resolve, reject) => {
    const keep = (lock) => (lock ? new Promise((free) => resolve(free)) : resolve(null)); // it lasts as long as that promise
    navigator.locks.request(name, { ifAvailable: true }, keep).catch(reject);
  });
}
