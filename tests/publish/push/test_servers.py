"""Real media servers take what is pushed, and decode the pictures that were sealed; on real time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from faceanond.clock import SystemClock
from faceanond.config.model import Push
from faceanond.publish.push import network as network_module
from faceanond.publish.push.network import Network
from faceanond.publish.push.pusher import Pusher
from faceanond.publish.push.rtsp import RtspPush
from faceanond.publish.push.target import target
from faceanond.status import PushState
from tests.conftest import need_tool
from tests.daemon.file_server import certified
from tests.publish.filming import HEIGHT, WIDTH, camera
from tests.publish.push.servers import PASSWORD, USER, gst_server
from tests.publish.sealed import picture
from tests.waiting import until

LUMA = int(picture(0, WIDTH, HEIGHT)[:HEIGHT].mean())

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]


@contextlib.asynccontextmanager
async def pushed(url: str, *, login: bool = False, **settings: object) -> AsyncIterator[Pusher]:
    """A camera that is pushed there."""
    clock = SystemClock()
    user = {"username": USER, "password": SecretStr(PASSWORD)} if login else {}
    place = target("yard", Push(url=url, **user, **settings))
    assert place is not None
    async with camera() as stream, Network(clock=clock) as network, asyncio.TaskGroup() as tasks:
        pusher = Pusher(
            place,
            stream,
            lambda one, stream, connected: RtspPush(one, stream, network, clock=clock, connected=connected),
            clock=clock,
        )
        task = tasks.create_task(pusher.run(), name="push")
        try:
            yield pusher
        finally:
            task.cancel()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("auth", ["", "digest", "basic"])
async def test_gstreamer_records(transport: str, auth: str) -> None:
    options = ["--auth", auth] if auth else []
    async with (
        gst_server(*options) as server,
        pushed(f"rtsp://127.0.0.1:{server.port}/yard", login=bool(auth), transport=transport) as pusher,
    ):
        await until(lambda: len(server.pictures) >= 25)
        assert pusher.status().state is PushState.UP
        assert pusher.status().failures == {}
    sizes = {one[:2] for one in server.pictures}
    assert sizes == {(WIDTH, HEIGHT)}
    assert all(abs(luma - LUMA) <= 4 for _, _, luma in server.pictures)


async def test_gstreamer_refuses_a_wrong_password() -> None:
    async with (
        gst_server("--auth", "digest") as server,
        pushed(f"rtsp://127.0.0.1:{server.port}/yard", username=USER, password=SecretStr("wrong")) as pusher,
    ):
        await until(lambda: pusher.status().failures)
        assert set(pusher.status().failures) == {"unauthorised"}
    assert server.pictures == []


async def test_gstreamer_records_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, authority = certified(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(authority.read_bytes() + (tmp_path / "server.key").read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    network_module._verifying.cache_clear()
    try:
        async with (
            gst_server("--tls", str(both), "--auth", "digest") as server,
            pushed(f"rtsps://127.0.0.1:{server.port}/yard", login=True) as pusher,
        ):
            await until(lambda: len(server.pictures) >= 10)
            assert pusher.status().failures == {}
    finally:
        network_module._verifying.cache_clear()


async def test_a_server_that_dies_and_comes_back_gets_the_stream_again() -> None:
    async with gst_server() as first:
        port = first.port
        async with pushed(f"rtsp://127.0.0.1:{port}/yard") as pusher:
            await until(lambda: first.pictures)
            first.process.kill()
            await until(lambda: pusher.status().state is PushState.RETRYING)
            assert set(pusher.status().failures) <= {"closed", "unreachable"}
            async with gst_server("--port", str(port)) as second:
                await until(lambda: second.pictures)
                assert pusher.status().state is PushState.UP


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffmpeg_decodes_what_is_pushed_to_it(transport: str, tmp_path: Path) -> None:
    tool = need_tool("ffmpeg")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"rtsp://127.0.0.1:{port}/yard"
    process = await asyncio.create_subprocess_exec(
        tool, "-v", "error", "-rtsp_flags", "listen", "-i", url, "-frames:v", "30", "-pix_fmt", "yuv420p",
        "-f", "rawvideo", "-", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with pushed(url, transport=transport), asyncio.timeout(30):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    size = WIDTH * HEIGHT * 3 // 2
    assert len(output) == 30 * size
    for start in range(0, len(output), size):
        luma = output[start : start + WIDTH * HEIGHT]
        assert abs(sum(luma) / len(luma) - LUMA) <= 4
