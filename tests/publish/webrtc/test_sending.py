from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiortc.rtcdtlstransport import State

from faceanond.publish import rtp
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.sending import AT_ONCE, HISTORY, SharedSending
from faceanond.publish.webrtc.track import PassthroughTrack
from tests.conftest import FakeClock, settle
from tests.publish.sealed import packet

H264, RTX = SimpleNamespace(payloadType=102), 103


class Sender:
    """What of aiortc's sender the sending touches; the encryption is none, and what is sent is kept."""

    def __init__(self, *, rtx: int | None = RTX) -> None:
        self._ssrc, self._rtx_ssrc = 1111, 2222
        self._RTCRtpSender__rtx_payload_type = rtx
        self._RTCRtpSender__rtp_started, self._RTCRtpSender__rtp_exited = asyncio.Event(), asyncio.Event()
        self._RTCRtpSender__octet_count = self._RTCRtpSender__packet_count = 0
        self.sent: list[bytes] = []

        async def send(data: bytes) -> None:
            self.sent.append(data)

        self.transport = SimpleNamespace(
            _state=State.CONNECTED,
            _tx_srtp=SimpleNamespace(protect=lambda data: data),
            transport=SimpleNamespace(_send=send),
        )
        self._run_rtp: Any = None
        self._retransmit: Any = None


class Stage:
    """A sender at work."""

    def __init__(self, clock: FakeClock, sender: Sender) -> None:
        self.clock = clock
        self.stream = Stream("yard", clock=clock)
        self.track = PassthroughTrack(self.stream)
        self.sender = sender
        SharedSending(sender, self.track)  # type: ignore[arg-type]

    async def send(self, index: int, *, keyframe: bool = False, size: int = 100) -> list[bytes]:
        """What goes out for one picture."""
        before = len(self.sender.sent)
        self.stream.write(packet(index, keyframe=keyframe, size=size, encoded=self.clock.monotonic()))
        await settle(200)
        return self.sender.sent[before:]


def numbers(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(data[2:4], "big") for data in packets]


@pytest.fixture
def stage(clock: FakeClock) -> Stage:
    return Stage(clock, Sender())


async def test_a_picture_goes_out_as_shared_payloads_with_numbers_of_the_viewer_s_own(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stage.sender._run_rtp(H264))
        await settle()
        first = await stage.send(1, keyframe=True, size=5000)
        second = await stage.send(2)
        running.cancel()
    expected = rtp.payloads(packet(1, keyframe=True, size=5000).data)
    assert tuple(data[12:] for data in first) == expected
    start = numbers(first)[0]
    assert numbers(first + second) == [(start + place) & 0xFFFF for place in range(len(first) + len(second))]
    assert [data[1] for data in first] == [102] * (len(first) - 1) + [102 | 0x80]
    assert {data[8:12] for data in first} == {(1111).to_bytes(4, "big")}
    assert {data[4:8] for data in first} != {data[4:8] for data in second}
    assert stage.sender._RTCRtpSender__packet_count == len(first) + len(second)


async def test_a_large_picture_lets_others_have_a_turn(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stage.sender._run_rtp(H264))
        await settle()
        stage.stream.write(packet(1, keyframe=True, size=200 * rtp.MAX_PAYLOAD, encoded=stage.clock.monotonic()))
        most = 0
        for _ in range(40):
            before = len(stage.sender.sent)
            await asyncio.sleep(0)
            most = max(most, len(stage.sender.sent) - before)
        running.cancel()
    assert len(stage.sender.sent) > 200
    assert most <= AT_ONCE


async def test_a_lost_packet_is_sent_again_in_the_stream_for_that(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stage.sender._run_rtp(H264))
        await settle()
        sent = await stage.send(1, keyframe=True, size=5000)
        stage.sender.sent.clear()
        await stage.sender._retransmit(numbers(sent)[1])
        await stage.sender._retransmit(numbers(sent)[-1])
        running.cancel()
    again = stage.sender.sent
    assert [data[1] for data in again] == [RTX, RTX | 0x80]
    assert [data[12:14] for data in again] == [sent[1][2:4], sent[-1][2:4]]
    assert [data[14:] for data in again] == [sent[1][12:], sent[-1][12:]]
    assert {data[8:12] for data in again} == {(2222).to_bytes(4, "big")}
    assert (numbers(again)[1] - numbers(again)[0]) & 0xFFFF == 1


async def test_without_retransmission_the_same_packet_goes_out_again(clock: FakeClock) -> None:
    stage = Stage(clock, Sender(rtx=None))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stage.sender._run_rtp(H264))
        await settle()
        sent = await stage.send(1, keyframe=True, size=3000)
        await stage.sender._retransmit(numbers(sent)[0])
        running.cancel()
    assert stage.sender.sent[-1] == sent[0]


async def test_what_was_never_sent_or_long_ago_is_not_sent_again(stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stage.sender._run_rtp(H264))
        await settle()
        sent = await stage.send(1, keyframe=True, size=(HISTORY + 10) * (rtp.MAX_PAYLOAD - 2))
        stage.sender.sent.clear()
        for number in (numbers(sent)[-1] + 1, numbers(sent)[0], numbers(sent)[0] - 1):
            await stage.sender._retransmit(number & 0xFFFF)
        assert stage.sender.sent == []
        await stage.sender._retransmit(numbers(sent)[-HISTORY])
        assert len(stage.sender.sent) == 1
        running.cancel()


@pytest.mark.parametrize("end", ["stream", "connection", "defect"])
async def test_whatever_ends_it_the_track_is_stopped_and_aiortc_knows(stage: Stage, end: str) -> None:
    defects: list[Exception] = []
    stage.track.on("failed", defects.append)
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.sender._run_rtp(H264))
        await settle()
        await stage.send(1, keyframe=True)
        if end == "stream":
            stage.stream.close()
        elif end == "connection":
            stage.sender.transport._state = State.CLOSED
            await stage.send(2)
        else:
            stage.sender.transport._tx_srtp = None
            await stage.send(2)
    assert stage.sender._RTCRtpSender__rtp_exited.is_set()
    assert stage.track.readyState == "ended"
    assert stage.stream.viewers() == {"webrtc": 0}
    assert [type(defect) for defect in defects] == ([AttributeError] if end == "defect" else [])
