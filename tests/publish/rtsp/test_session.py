from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from faceanond.publish import rtp
from faceanond.publish.rtsp.session import FIRST_PICTURE, RECOVERED, TOO_SLOW, Session, soon
from faceanond.publish.stream import RING_PACKETS, Stream, StreamClosedError
from tests.conftest import FakeClock, settle
from tests.publish.sealed import packet


class Recorder:
    """A delivery that remembers."""

    transport_header = "RTP/AVP;unicast"

    def __init__(self, name: str = "udp") -> None:
        self.name = name
        self.refused_at: float | None = None
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.closed = False

    def send(self, packets: Sequence[bytes]) -> None:
        self.rtp.extend(packets)

    def send_rtcp(self, data: bytes) -> None:
        self.rtcp.append(data)

    async def ready(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def stream(clock: FakeClock) -> Stream:
    return Stream("yard", clock=clock)


def session_with(stream: Stream, clock: FakeClock, delivery: Recorder) -> Session:
    session = Session(stream, clock=clock)
    session.set_up(delivery)
    return session


async def test_a_silent_udp_player_is_overdue_after_a_minute(stream: Stream, clock: FakeClock) -> None:
    session = session_with(stream, clock, Recorder())
    await clock.advance(59.0)
    assert session.overdue() is None
    await clock.advance(1.0)
    assert session.overdue() == "no sign of life"
    session.touch()
    assert session.overdue() is None


async def test_a_refusing_udp_player_is_overdue_after_ten_seconds_of_silence(stream: Stream, clock: FakeClock) -> None:
    delivery = Recorder()
    session = session_with(stream, clock, delivery)
    delivery.refused_at = clock.monotonic()
    await clock.advance(9.0)
    assert session.overdue() is None
    await clock.advance(1.0)
    assert session.overdue() == "its port is closed"


async def test_a_playing_tcp_player_is_never_overdue_by_silence(stream: Stream, clock: FakeClock) -> None:
    session = session_with(stream, clock, Recorder("tcp"))
    await clock.advance(60.0)
    assert session.overdue() == "no sign of life"
    stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
    await session.cue()
    assert session.overdue() is None
    session.end()


async def seconds(count: float, stream: Stream, clock: FakeClock, session: Session, *, read: bool) -> list[str | None]:
    """What the server hears in so many looks, a second apart, while pictures come that nobody reads, or the player."""
    heard = []
    for _ in range(int(count)):
        for number in range(1 if read else RING_PACKETS + 1):
            stream.write(packet(number, keyframe=number == 0, encoded=clock.monotonic()))
        if read:
            assert session._reader is not None
            await session._reader.get()
        await clock.advance(1.0)
        heard.append(session.overdue())
    return heard


async def test_a_tcp_player_that_loses_pictures_for_a_minute_is_dropped(stream: Stream, clock: FakeClock) -> None:
    session = session_with(stream, clock, Recorder("tcp"))
    stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
    await session.cue()
    assert await seconds(TOO_SLOW, stream, clock, session, read=False) == [None] * int(TOO_SLOW)
    assert await seconds(1, stream, clock, session, read=False) == ["its line is too slow for the stream"]
    session.end()


async def test_a_tcp_player_that_catches_up_is_given_another_minute(stream: Stream, clock: FakeClock) -> None:
    session = session_with(stream, clock, Recorder("tcp"))
    stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
    await session.cue()
    for _ in range(3):
        assert set(await seconds(TOO_SLOW - 10, stream, clock, session, read=False)) == {None}
        assert set(await seconds(RECOVERED + 2, stream, clock, session, read=True)) == {None}
    session.end()


async def test_the_report_says_when_its_picture_was_captured(stream: Stream, clock: FakeClock) -> None:
    delivery = Recorder()
    session = session_with(stream, clock, delivery)
    async with asyncio.TaskGroup() as tasks:
        stream.write(packet(24_975, keyframe=True, encoded=clock.monotonic()))  # captured at 999, a second ago
        session.start(await session.cue(), tasks)
        await settle()
        await session.pause()
    assert int.from_bytes(delivery.rtcp[0][8:16], "big") == rtp.ntp_time(clock.wall() - 1.0)


async def test_ending_says_goodbye_once_and_only_if_something_was_said_before(stream: Stream, clock: FakeClock) -> None:
    mute, delivery = Recorder(), Recorder()
    session_with(stream, clock, mute).end()
    session = session_with(stream, clock, delivery)
    async with asyncio.TaskGroup() as tasks:
        stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
        session.start(await session.cue(), tasks)
        await settle()
        await session.pause()
    session.end()
    session.end()
    assert (mute.rtcp, mute.closed, delivery.closed) == ([], True, True)
    assert [rtp.parse_rtcp(data).goodbye for data in delivery.rtcp] == [False, True]


async def test_a_new_delivery_closes_the_old_one(stream: Stream, clock: FakeClock) -> None:
    first = Recorder()
    session = session_with(stream, clock, first)
    session.set_up(Recorder())
    assert first.closed
    session.end()


async def test_what_comes_soon_is_waited_for_and_nothing_else(clock: FakeClock) -> None:
    async def after(seconds: float) -> int:
        await clock.sleep(seconds)
        return 7

    async with asyncio.TaskGroup() as tasks:
        in_time = tasks.create_task(soon(clock, after(FIRST_PICTURE / 2)), name="in time")
        late = tasks.create_task(soon(clock, after(FIRST_PICTURE * 2)), name="late")
        await clock.advance(FIRST_PICTURE)
    assert (in_time.result(), late.result()) == (7, None)


async def test_a_stream_that_closes_is_not_waited_for(clock: FakeClock) -> None:
    async def closed() -> int:
        raise StreamClosedError

    assert await soon(clock, closed()) is None
