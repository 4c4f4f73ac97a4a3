"""Real players against the real server and encoder, on real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import numpy as np
import pytest

from faceanond.clock import SystemClock
from faceanond.config.model import Encode, Rtsp
from faceanond.publish.encoder import Encoder
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from tests.conftest import need_tool
from tests.publish.rtsp.player import until
from tests.publish.sealed import picture, sealed

WIDTH, HEIGHT, FPS = 320, 240, 25
PATIENCE = 30.0

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]


@asynccontextmanager
async def camera() -> AsyncIterator[tuple[str, Stream]]:
    """A running camera behind an RTSP server: its URL and stream."""
    clock = SystemClock()
    stream = Stream("yard", clock=clock)
    encoder = Encoder("yard", Encode(bitrate="1M"), clock=clock)

    async def film() -> None:
        loop, index = asyncio.get_running_loop(), 0
        with ThreadPoolExecutor(1, thread_name_prefix="encode") as thread:
            while True:
                frame = sealed(picture(index, WIDTH, HEIGHT), captured=clock.monotonic(), index=index)
                keyframe = stream.take_keyframe_request()
                for one in await loop.run_in_executor(
                    thread, lambda f=frame, k=keyframe: encoder.encode(f, keyframe=k)
                ):
                    stream.write(one)
                index += 1
                await asyncio.sleep(1 / FPS)

    async with asyncio.TaskGroup() as tasks:
        filming = tasks.create_task(film(), name="film")
        async with RtspServer({"yard": stream}.get, Rtsp(listen="127.0.0.1:0"), clock=clock) as server:
            yield f"rtsp://127.0.0.1:{server.port}/yard", stream
        filming.cancel()
    encoder.close()


async def run(*command: str) -> tuple[int, bytes, str]:
    """Exit status, output and errors of a player; it is killed when it takes too long."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output, errors.decode(errors="replace")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffprobe_sees_constrained_baseline(transport: str) -> None:
    tool = need_tool("ffprobe")
    async with camera() as (url, _):
        status, output, errors = await run(
            tool, "-v", "error", "-rtsp_transport", transport, "-of", "flat", "-show_streams", url
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
    async with camera() as (url, _):
        status, output, errors = await run(
            tool, "-v", "error", "-rtsp_transport", transport, "-i", url,
            "-fps_mode", "passthrough", "-frames:v", str(count), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-",
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
    async with camera() as (url, stream):
        status, output, errors = await run(
            tool, "rtspsrc", f"location={url}", f"protocols={transport}", "!", "rtph264depay", "!", "h264parse", "!",
            "avdec_h264", "!", "identity", "eos-after=30", "!", "fakesink",
        )  # fmt: skip
        assert (status, "Got EOS" in output.decode()) == (0, True), errors
        await until(lambda: stream.viewers() == {"rtsp": 0})


async def test_two_players_watch_and_one_that_stops_reading_disturbs_nobody() -> None:
    tool = need_tool("ffmpeg")
    async with camera() as (url, stream):
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
