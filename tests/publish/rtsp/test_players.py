"""Real players against the real server and encoder, on real time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.conftest import need_tool
from tests.gstreamer import went_well
from tests.publish.filming import HEIGHT, WIDTH
from tests.publish.rtsp.studio import run, studio
from tests.publish.sealed import picture
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffprobe_sees_constrained_baseline(transport: str) -> None:
    tool = need_tool("ffprobe")
    async with studio() as camera:
        status, output, errors = await run(
            tool, "-v", "error", "-rtsp_transport", transport, "-of", "flat", "-show_streams", camera.url
        )
    assert (status, errors) == (0, "")
    text = output.decode()
    assert 'codec_name="h264"' in text
    assert 'profile="Constrained Baseline"' in text
    assert f"width={WIDTH}" in text
    assert 'color_range="tv"' in text


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffmpeg_decodes_the_very_pictures_that_were_sealed(transport: str) -> None:
    tool, count = need_tool("ffmpeg"), 30
    async with studio() as camera:
        status, output, errors = await run(
            tool, "-v", "error", "-rtsp_transport", transport, "-i", camera.url,
            "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-frames:v", str(count),
            "-f", "rawvideo", "-pix_fmt", "yuv420p", "-",
        )  # fmt: skip
    assert (status, errors) == (0, "")
    frames = np.frombuffer(output, np.uint8).reshape(count, HEIGHT * 3 // 2, WIDTH)
    originals = np.stack([picture(index, WIDTH, HEIGHT) for index in range((WIDTH - 16) // 2)]).astype(np.int16)
    seen = []
    for frame in frames:
        differences = np.abs(originals - frame).mean(axis=(1, 2))
        seen.append(int(differences.argmin()))
        assert differences.min() < 2.0
    assert seen == list(range(seen[0], seen[0] + count))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_gstreamer_plays(transport: str) -> None:
    tool = need_tool("gst-launch-1.0")
    async with studio() as camera:
        url, stream = camera.url, camera.stream
        status, output, errors = await run(
            tool, "rtspsrc", f"location={url}", f"protocols={transport}", "!", "rtph264depay", "!", "h264parse", "!",
            "avdec_h264", "!", "identity", "eos-after=30", "!", "fakesink",
        )  # fmt: skip
        assert "Got EOS" in output.decode(), errors
        assert went_well(status, errors), errors
        await until(lambda: stream.viewers() == {"rtsp": 0})


async def test_two_players_watch_and_one_that_stops_reading_disturbs_nobody() -> None:
    tool = need_tool("ffmpeg")
    async with studio() as camera:
        url, stream = camera.url, camera.stream
        host, port = url.removeprefix("rtsp://").removesuffix("/yard").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"SETUP {url} RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP\r\n\r\n".encode())
        session = (await reader.readuntil(b"\r\n\r\n")).decode().split("Session: ")[1].split(";")[0]
        writer.write(f"PLAY {url} RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n".encode())
        players = [
            run(tool, "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-frames:v", "40", "-f", "null", "-")
            for _ in range(2)
        ]
        results = await asyncio.gather(*players)
        assert [status for status, _, _ in results] == [0, 0]
        await until(lambda: stream.viewers() == {"rtsp": 1})
        writer.close()
        await writer.wait_closed()
