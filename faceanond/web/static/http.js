// Plays one camera over HTTP, by the best way that gets through: a WebSocket, which browsers count apart from their few
// connections; else one endless answer, where a connection is free for that; else single pictures.

import { playFragments, playsFragments } from "./fragments.js";
import { ofCamera } from "./paths.js";
import { takePlace } from "./places.js";
import { sockets, streams } from "./route.js";
import { NO_SOCKETS, heard, socketOf } from "./socket.js";
import { Stills } from "./stills.js";
import { streamOf } from "./stream.js";
import { PATIENCE, Rerouted, refusal, turn, within } from "./trying.js";

/**
 * `screen` is {name, video, canvas, onChange, expecting, counted, why}: `counted` is called with the number of pictures
 * now and then, `why` says in words why WebRTC is not the way. Always ends with an exception: what went wrong, or
 * Rerouted when another way is the right one now.
 */
export async function playOverHttp(screen, signal) {
  if (!playsFragments()) return onlyStills(screen, signal);
  const tries = sockets.takeTry();
  try {
    if (!sockets.reason || tries) await overSocket(screen, signal);
    else await withoutSockets(screen, signal);
  } finally {
    if (tries) sockets.giveUp();
  }
}

async function onlyStills(screen, signal) {
  const stills = new Stills(screen, () => `${screen.why}, and this browser plays no video over HTTP`);
  try {
    await stills.play(signal, () => false);
  } finally {
    stills.hide();
  }
}

async function overSocket(screen, signal) {
  const { name, why } = screen;
  try {
    await overLine(screen, signal, socketOf(name), { way: sockets, route: `over HTTP: ${why}` });
  } catch (error) {
    if (!error.detour) throw error;
    // Scripts cannot see why a handshake failed. The server's own answer about the same video tells it.
    await within(PATIENCE, signal, async (stopping) => {
      const address = location.origin + ofCamera(name, "stream.mp4");
      const response = await fetch(address, { method: "HEAD", cache: "no-store", signal: stopping });
      if (!response.ok) throw await refusal(response);
    });
    sockets.block(error.detour);
    throw new Rerouted();
  }
}

/** Until a WebSocket gets through again, which a tile tries for all behind its running picture. */
async function withoutSockets(screen, signal) {
  await sockets.detour(signal, (here) => {
    const counted = (frames) => {
      screen.counted(frames);
      if (sockets.takeTry()) knock(screen.name, here);
    };
    return overStream({ ...screen, counted }, here);
  });
}

async function overStream(screen, signal) {
  const stills = new Stills(screen, () => streams.reason || "no connection is free for video");
  let free = null;
  try {
    free = await placeForVideo();
    if (!free) await stills.play(signal, async () => Boolean((free = await placeForVideo())));
    const route = `over HTTP without WebSockets: ${screen.why}`;
    await overLine(screen, signal, streamOf(screen.name), { way: streams, route, began: () => stills.hide() });
  } catch (error) {
    if (!error.detour) throw error;
    streams.block(error.detour);
    throw new Rerouted();
  } finally {
    stills.hide();
    if (free) {
      streams.giveUp();
      free();
    }
  }
}

/** A connection that may carry an endless answer; null when there is none, or such answers do not get through. */
async function placeForVideo() {
  const tries = streams.takeTry();
  if (streams.reason && !tries) return null;
  let free = null;
  try {
    free = await takePlace();
  } finally {
    if (!free && tries) streams.giveUp();
  }
  return free;
}

/** Plays what comes by that line; always ends with an exception. */
async function overLine(screen, signal, line, { way, route, began = () => {} }) {
  const done = await turn(signal);
  try {
    if (way.blocked) throw new Rerouted(); // while it waited for its turn
    await playFragments(screen.video, signal, line, {
      shown: () => {
        done();
        way.open();
        began();
        screen.onChange({ playing: true, words: "", route });
      },
      counted: screen.counted,
      expecting: screen.expecting,
    });
  } finally {
    done();
  }
}

/** Finds out whether WebSockets get through by now. */
async function knock(name, signal) {
  try {
    if (await heard(name, signal)) sockets.open();
    else sockets.block(NO_SOCKETS);
  } catch {
    sockets.giveUp();
  }
}
