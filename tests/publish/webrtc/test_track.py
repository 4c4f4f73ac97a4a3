from __future__ import annotations

import pytest
from aiortc.mediastreams import MediaStreamError

from faceanond.publish.packet import Codec
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.track import PassthroughTrack
from tests.conftest import FakeClock
from tests.publish.webrtc.feed import Pattern


@pytest.mark.parametrize("codec", Codec)
async def test_a_packet_passes_through_unchanged(clock: FakeClock, codec: Codec) -> None:
    stream = Stream("lobby", clock=clock, codec=codec)
    track = PassthroughTrack(stream)
    sent = Pattern(codec=codec).packet(True, clock.monotonic())
    stream.write(sent)
    packet = await track.recv()
    assert bytes(packet) == sent.data
    assert packet.pts == sent.timestamp
    assert packet.time_base is not None
    assert packet.time_base.denominator == 90_000
    track.stop()


async def test_nothing_is_subscribed_before_the_first_packet_is_asked_for(clock: FakeClock) -> None:
    stream = Stream("lobby", clock=clock)
    track = PassthroughTrack(stream)
    assert sum(stream.viewers().values()) == 0
    stream.write(Pattern().packet(True, clock.monotonic()))
    await track.recv()
    assert stream.viewers() == {"webrtc": 1}
    track.stop()
    assert stream.viewers() == {"webrtc": 0}


async def test_a_closed_stream_is_a_regular_end_for_aiortc(clock: FakeClock) -> None:
    stream = Stream("lobby", clock=clock)
    track = PassthroughTrack(stream)
    events: list[str] = []
    for name in ("exhausted", "ended"):
        track.on(name, lambda name=name: events.append(name))
    stream.close()
    with pytest.raises(MediaStreamError):
        await track.recv()
    assert events == ["exhausted", "ended"]
    with pytest.raises(MediaStreamError):
        await track.recv()
