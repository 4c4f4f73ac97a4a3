"""What a real Chromium is given: H.264 where it can, VP8 where it cannot, a keyframe when it asks for one."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.conftest import need_tool
from tests.e2e.browser import browser, decoded, wall
from tests.e2e.daemon import Daemon, daemon, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

VP8_ONLY = """
const known = RTCRtpReceiver.getCapabilities("video").codecs.filter(({mimeType}) => /vp8|rtx/i.test(mimeType));
RTCRtpReceiver.getCapabilities = () => ({codecs: known, headerExtensions: []});
const add = RTCPeerConnection.prototype.addTransceiver;
RTCPeerConnection.prototype.addTransceiver = function (...given) {
  const transceiver = add.apply(this, given);
  transceiver.setCodecPreferences(known);
  return transceiver;
};
"""

CODECS = """
async () => {
  const found = [];
  for (const connection of window.connections) {
    const stats = await connection.getStats();
    for (const report of stats.values()) {
      if (report.type === "inbound-rtp" && report.framesDecoded) found.push(stats.get(report.codecId).mimeType);
    }
  }
  return found;
}
"""

# A viewer that loses every picture but keyframes, and asks for a keyframe whenever it cannot go on.
LOSES_ALL_BUT_KEYFRAMES = """
async (name) => {
  const connection = new RTCPeerConnection({encodedInsertableStreams: true});
  window.keyframes = [];
  window.connection = connection;
  const {receiver} = connection.addTransceiver("video", {direction: "recvonly"});
  const {readable, writable} = receiver.createEncodedStreams();
  readable.pipeThrough(new TransformStream({
    transform(frame, controller) {
      if (frame.type === "key") {
        window.keyframes.push(performance.now());
        controller.enqueue(frame);
      }
    },
  })).pipeTo(writable);
  await connection.setLocalDescription(await connection.createOffer());
  const headers = {"Content-Type": "application/sdp"};
  const response = await fetch(`/whep/${name}`, {method: "POST", headers, body: connection.localDescription.sdp});
  await connection.setRemoteDescription({type: "answer", sdp: await response.text()});
  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = new MediaStream([receiver.track]);
  document.body.append(video);
  await video.play();
}
"""

REQUESTS = """
async () => {
  for (const report of (await window.connection.getStats()).values()) {
    if (report.type === "inbound-rtp") return report.pliCount + report.firCount;
  }
  return 0;
}
"""


def second_encoding(running: Daemon) -> float:
    (value,) = running.metrics("faceanond_vp8_encoding").values()
    return value


def watching(running: Daemon) -> float:
    (value,) = (count for labels, count in running.metrics("faceanond_viewers").items() if "webrtc" in labels)
    return value


def plays(page: Page, codec: str) -> None:
    eventually(lambda: page.evaluate(CODECS) == [codec], f"{codec} is decoded", 30)
    before = decoded(page)
    eventually(lambda: all(decoded(page)[key] > count + 10 for key, count in before.items()), "it goes on", 30)


def test_a_browser_is_given_h264_and_one_without_it_vp8_while_it_watches(tmp_path: Path) -> None:
    with daemon(["demo", "--cameras", "1"], tmp_path) as running:
        with wall(running.url, script=VP8_ONLY) as page:
            plays(page, "video/VP8")
            assert second_encoding(running) == 1
            assert watching(running) == 1
        with wall(running.url) as page:
            plays(page, "video/H264")
            # The first browser was closed without a word, which is noticed after a while.
            eventually(lambda: second_encoding(running) == 0, "the second encoding ends after its last viewer", 25)
            assert watching(running) == 1
        assert running.stop() == 0


def test_a_browser_that_keeps_asking_gets_a_keyframe_a_second_and_the_camera_goes_on(tmp_path: Path) -> None:
    with daemon(["demo", "--cameras", "1", "--set", "encode.keyframe_interval=60s"], tmp_path) as running:
        with browser() as page:
            page.goto(f"{running.url}/healthz")
            page.evaluate(LOSES_ALL_BUT_KEYFRAMES, "demo-1")
            eventually(lambda: page.evaluate("window.keyframes.length") >= 5, "keyframes come when asked for", 40)
            # One that the encoder makes of its own accord, because the rate has changed, needs no asking.
            eventually(lambda: page.evaluate(REQUESTS) >= 4, "the browser asks", 40)
            times = page.evaluate("window.keyframes")
        # The first may be a fresh one that was there already.
        gaps = [later - earlier for earlier, later in pairwise(times[1:])]
        assert min(gaps) > 800, gaps  # ms; they arrive with the network's jitter
        assert running.stop() == 0


def test_ffprobe_sees_constrained_baseline_without_delay(tmp_path: Path) -> None:
    with daemon(["demo", "--cameras", "1"], tmp_path) as running:
        fields = "stream=profile,level,has_b_frames,refs"
        result = subprocess.run(
            [need_tool("ffprobe"), "-v", "error", "-show_entries", fields, "-of", "csv=p=0", f"{running.rtsp}/demo-1"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert result.stdout.split() == ["Constrained", "Baseline,0,31,1"]
        assert running.stop() == 0
