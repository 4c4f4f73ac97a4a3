from __future__ import annotations

import asyncio

from faceanond.config.load import parse
from faceanond.daemon.fleet import CameraView
from faceanond.daemon.push import Pushes
from faceanond.publish.push.rtsp import RtspPush
from faceanond.publish.push.target import target
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.whip import WhipPush
from faceanond.status import PushState
from tests.conftest import FakeClock, settle
from tests.publish.push.media_server import MediaServer, serving
from tests.publish.sealed import packet
from tests.waiting import until

CONFIG = """
[push]
url = "rtsp://127.0.0.1:PORT/{camera}"
[cameras.yard]
source = "demo:"
[cameras.gate]
source = "demo:"
[cameras.gate.push]
url = "http://127.0.0.1:1/whip/gate"
[cameras.lobby]
source = "demo:"
[cameras.lobby.push]
url = ""
"""


def pushes(clock: FakeClock, port: int = 1) -> tuple[Pushes, dict[str, Stream]]:
    config = parse(CONFIG.replace("PORT", str(port)), "c.toml")
    streams = {name: Stream(name, clock=clock) for name in config.cameras}
    return Pushes(config, streams, clock=clock), streams


def test_each_camera_with_a_url_is_pushed_in_its_own_way(clock: FakeClock) -> None:
    made, streams = pushes(clock)
    assert list(made.pushers) == ["yard", "gate"]
    config = parse(CONFIG.replace("PORT", "1"), "c.toml")
    for name, kind in (("yard", RtspPush), ("gate", WhipPush)):
        place = target(name, config.cameras[name].push)
        assert place is not None
        assert isinstance(made._attempt(place, streams[name], lambda: None), kind)


async def test_pushes_run_side_by_side_until_they_are_cancelled(clock: FakeClock) -> None:
    server = MediaServer()
    async with serving(server) as url:
        made, streams = pushes(clock, server.port)
        for stream in streams.values():
            stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(made.run(), name="pushes")
            await until(lambda: server.packets)
            # The other one's server is not there; that is its own affair.
            await until(lambda: made.pushers["gate"].status().failures)
            assert made.pushers["yard"].status().state is PushState.UP
            task.cancel()
        await until(lambda: not server.open)
    assert url.endswith("/yard")
    assert server.methods[-1] == "TEARDOWN"


async def test_a_camera_shows_its_push(clock: FakeClock) -> None:
    config = parse(CONFIG.replace("PORT", "1"), "c.toml")
    made, _ = pushes(clock)

    class Pipeline:
        def status(self):
            return CameraView("yard", config.cameras["yard"]).status()

    pushed, other = CameraView("yard", config.cameras["yard"]), CameraView("lobby", config.cameras["lobby"])
    assert pushed.status().push is None
    pushed.start(Pipeline(), None, made.pushers["yard"])  # type: ignore[arg-type]
    other.start(Pipeline(), None, made.pushers.get("lobby"))  # type: ignore[arg-type]
    await settle()
    shown = pushed.status().push
    assert shown is not None
    assert shown.state is PushState.WAITING
    assert other.status().push is None
