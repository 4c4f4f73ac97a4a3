from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from aiortc import RTCSessionDescription

from faceanond.clock import SystemClock
from faceanond.config.model import Encode, IceServer, WebRtc
from faceanond.errors import UnavailableError
from faceanond.pipeline.second import SecondEncoding
from faceanond.publish.packet import Codec, EncodedPacket
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc.addresses import host_addresses
from faceanond.publish.webrtc.errors import (
    MalformedOfferError,
    NoAddressError,
    NoStreamError,
    OfferError,
    TooManyViewersError,
    UnsupportedOfferError,
)
from faceanond.publish.webrtc.sending import SharedSending
from faceanond.publish.webrtc.service import WhepService
from tests.conftest import FakeClock, settle
from tests.publish.sealed import moving, picture
from tests.publish.webrtc.feed import finder, live, viewer
from tests.publish.webrtc.offers import VIDEO, offer
from tests.publish.webrtc.test_sockets import free_range
from tests.waiting import until


def sockets() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def gone(service: WhepService) -> None:
    """Waits until every session is closed."""
    await until(lambda: not service.sessions)


async def test_a_viewer_sees_the_camera_that_it_asked_for() -> None:
    async with live("lobby", "yard", size=(320, 180)) as (service, streams), viewer() as one:
        answer = await one.join(service, "yard")
        frame = await one.picture()
        assert (frame.width, frame.height) == (320, 180)
        assert streams["yard"].viewers() == {"webrtc": 1}
        assert not streams["lobby"].viewers().get("webrtc")
        assert await service.end(answer.session_id)


async def test_viewers_share_one_stream() -> None:
    async with live("lobby") as (service, streams), viewer() as one, viewer() as other:
        await one.join(service, "lobby")
        await other.join(service, "lobby")
        assert (await one.picture()).width == (await other.picture()).width
        assert streams["lobby"].viewers() == {"webrtc": 2}


@pytest.mark.parametrize("codec", Codec)
@pytest.mark.parametrize("full_intra", [False, True], ids=["PLI", "FIR"])
async def test_a_keyframe_request_of_a_viewer_reaches_the_shared_stream(codec: Codec, full_intra: bool) -> None:
    async with live("lobby", codec=codec) as (service, streams), viewer(codec) as one:
        asked = asyncio.Event()
        keep = streams["lobby"].request_keyframe
        streams["lobby"].request_keyframe = lambda: (asked.set(), keep())  # type: ignore[assignment,method-assign]
        await one.join(service, "lobby")
        await one.picture()
        asked.clear()
        async with asyncio.timeout(5):
            await one.ask_for_keyframe(full_intra=full_intra)
            await asked.wait()


async def test_a_hundred_keyframe_requests_of_many_viewers_give_one_keyframe_a_second(clock: FakeClock) -> None:
    async with live("lobby") as (service, streams), AsyncExitStack() as stack:
        stream = streams["lobby"]
        write, ask = stream.write, stream.request_keyframe
        keyframes = asked = written = 0

        def counted(packet: EncodedPacket) -> None:
            nonlocal keyframes, written
            keyframes += packet.keyframe
            written += 1
            write(packet)

        def noted() -> None:
            nonlocal asked
            asked += 1
            ask()

        async def storm() -> None:
            """Every viewer asks twenty times; returns when that has arrived and two more pictures have gone out."""
            nonlocal keyframes
            keyframes, before = 0, asked
            for number in range(20):
                for one in viewers:
                    await one.ask_for_keyframe(full_intra=number % 2 == 1)
            await until(lambda: asked >= before + 90)  # UDP may lose some
            sent = written
            await until(lambda: written > sent + 2)

        stream.write = counted  # type: ignore[method-assign]
        stream.request_keyframe = noted  # type: ignore[method-assign]
        viewers = [await stack.enter_async_context(viewer()) for _ in range(5)]
        for one in viewers:
            await one.join(service, "lobby")
        for one in viewers:
            await one.picture()
        # From here on its seconds pass when the test says so.
        stream._clock, stream._keyframe_granted, stream._keyframe_wanted = clock, clock.monotonic() - 1, False
        await storm()
        assert keyframes == 1
        await clock.advance(0.99)
        await storm()
        assert keyframes == 0
        await clock.advance(0.01)
        await until(lambda: keyframes == 1)
        await storm()
        assert keyframes == 0


async def test_a_viewer_who_knows_vp8_only_sees_the_sealed_pictures_in_vp8(clock: FakeClock) -> None:
    second = SecondEncoding("lobby", Encode(), clock=clock)
    h264 = Stream("lobby", clock=clock)

    def find(name: str, codec: Codec) -> Stream:
        return h264 if codec is Codec.H264 else second.stream

    async def feed() -> None:
        for index in itertools.count():
            second.offer(moving(index, width=320, height=180))
            await asyncio.sleep(0.04)

    async with (
        WhepService(find, WebRtc(), clock=clock) as service,
        viewer(Codec.VP8) as one,
        asyncio.TaskGroup() as tasks,
    ):
        work = [tasks.create_task(second.run(), name="encode"), tasks.create_task(feed(), name="feed")]
        answer = await one.join(service, "lobby")
        async with asyncio.timeout(10):
            frames = [await one.picture() for _ in range(10)]
        assert [(frame.width, frame.height) for frame in frames] == [(320, 180)] * 10
        luma = frames[-1].to_ndarray()[:180].astype(int)
        still = picture(0, 320, 180)[:180].astype(int)
        # Below the square that moves, the picture is always the same.
        assert np.abs(luma[60:] - still[60:]).mean() < 3
        assert (second.stream.viewers(), h264.viewers()) == ({"webrtc": 1}, {})
        assert "VP8/90000" in answer.sdp
        assert "H264" not in answer.sdp
        for task in work:
            task.cancel()
    second.close()


async def test_a_viewer_who_knows_vp8_only_is_told_when_it_is_switched_off() -> None:
    async with live("lobby") as (service, _), viewer(Codec.VP8) as one:
        with pytest.raises(UnsupportedOfferError, match=r"encode\.vp8"):
            await one.join(service, "lobby")


async def test_a_session_is_ended_at_its_camera_by_its_owner_and_stays_so() -> None:
    async with live("lobby") as (service, _), viewer() as one:
        answer = await service.offer("lobby", await one.offer(), local="127.0.0.1", owner="guard")
        for name, camera, owner in (
            (answer.session_id, "yard", "guard"),
            (answer.session_id, "lobby", ""),
            (answer.session_id, "lobby", "chief"),
            ("guess", "lobby", "guard"),
        ):
            assert not service.has(name, camera=camera, owner=owner)
            assert not await service.end(name, camera=camera, owner=owner)
            assert not await service.add_candidates(name, "a=x", camera=camera, owner=owner)
        assert service.sessions == 1
        assert service.has(answer.session_id, camera="lobby", owner="guard")
        assert await service.end(answer.session_id, camera="lobby", owner="guard")
        await gone(service)
        assert not service.has(answer.session_id, camera="lobby", owner="guard")
        assert await service.end(answer.session_id, camera="lobby", owner="guard"), "it has ended, as was asked"
        assert not await service.end(answer.session_id, camera="lobby", owner="chief")


async def test_only_so_many_ended_sessions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceanond.publish.webrtc.service.MOST_ENDED", 2)
    async with live("lobby") as (service, _), viewer() as one:
        text = await one.offer()
        names = []
        for _ in range(3):
            names.append((await service.offer("lobby", text, local="127.0.0.1")).session_id)
            await service.end(names[-1])
            await gone(service)
        assert [await service.end(name) for name in names] == [False, True, True]


async def test_a_candidate_that_comes_later_is_what_reaches_a_viewer_that_cannot_reach_us() -> None:
    """The viewer does not know where we are, so only our own checks can connect the two, once we know where it is."""
    async with live("lobby") as (service, _), viewer() as one:
        whole = (await one.offer()).splitlines()
        later = [line for line in whole if line.startswith("a=candidate:")]
        if not any(" 127.0.0.1 " not in line for line in later):
            pytest.skip("this machine has no address but loopback, which no viewer may name")
        alone = [line for line in whole if "candidate" not in line]
        answer = await service.offer("lobby", "\r\n".join(alone) + "\r\n")
        hidden = [line for line in answer.sdp.splitlines() if "candidate" not in line]
        await one.connection.setRemoteDescription(RTCSessionDescription("\r\n".join(hidden) + "\r\n", "answer"))
        await asyncio.sleep(0.3)
        assert one.connection.connectionState == "connecting"
        fragment = "\r\n".join(["a=mid:0", *later, "a=end-of-candidates"])
        assert await service.add_candidates(answer.session_id, fragment, camera="lobby")
        assert (await one.picture()).width == 320


async def test_session_names_are_long_and_all_different() -> None:
    async with live("lobby") as (service, _):
        names = {(await service.offer("lobby", offer(), local="127.0.0.1")).session_id for _ in range(5)}
        assert len(names) == 5
        assert min(map(len, names)) >= 32


async def test_a_viewer_that_closes_is_forgotten_at_once() -> None:
    async with live("lobby") as (service, streams):
        async with viewer() as one:
            await one.join(service, "lobby")
            await one.picture()
        await gone(service)
        assert streams["lobby"].viewers() == {"webrtc": 0}


async def test_a_closing_stream_ends_its_viewers() -> None:
    async with live("lobby") as (service, streams), viewer() as one:
        await one.join(service, "lobby")
        await one.picture()
        streams["lobby"].close()
        await gone(service)


async def test_leaving_the_service_closes_every_session_and_socket() -> None:
    before, tasks = sockets(), len(asyncio.all_tasks())
    async with live("lobby") as (service, _):
        for _ in range(3):
            await service.offer("lobby", offer(), local="127.0.0.1")
        assert sockets() > before
    assert service.sessions == 0
    assert sockets() == before
    assert len(asyncio.all_tasks()) == tasks
    with pytest.raises(OfferError):
        await service.offer("lobby", offer())


async def test_a_cancelled_service_closes_its_viewers_too(clock: FakeClock) -> None:
    before = sockets()
    service = WhepService(finder({"lobby": Stream("lobby", clock=clock)}), WebRtc(), clock=clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(service.run())
        await asyncio.sleep(0)
        await service.offer("lobby", offer(), local="127.0.0.1")
        running.cancel()
    assert service.sessions == 0
    assert sockets() == before


async def test_an_offer_that_never_connects_is_given_up(clock: FakeClock) -> None:
    async with WhepService(finder({"lobby": Stream("lobby", clock=clock)}), WebRtc(), clock=clock) as service:
        before = sockets()
        await service.offer("lobby", offer(), local="127.0.0.1")
        await clock.advance(9.9)
        assert service.sessions == 1
        await clock.advance(0.2)
        await gone(service)
        assert sockets() == before


async def test_a_viewer_that_falls_silent_is_dropped(clock: FakeClock) -> None:
    async with live("lobby", clock=clock) as (service, streams), viewer() as one:
        await one.join(service, "lobby")
        await until(lambda: streams["lobby"].viewers() == {"webrtc": 1})
        # It sends no report any more, as if it had been killed.
        one.transceiver.receiver._RTCRtpReceiver__rtcp_task.cancel()  # type: ignore[attr-defined]
        await clock.advance(10)
        assert service.sessions == 1
        await clock.advance(12.1)
        await gone(service)


async def test_a_defect_in_sending_to_one_viewer_is_counted_and_spares_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send = SharedSending._send
    served: list[SharedSending] = []

    async def serve(sending: SharedSending, packet: EncodedPacket) -> None:
        if sending not in served:
            served.append(sending)
        if sending is not served[0]:
            raise ZeroDivisionError
        await send(sending, packet)

    monkeypatch.setattr(SharedSending, "_send", serve)
    async with live("lobby") as (service, streams), viewer() as one:
        await one.join(service, "lobby")
        await one.picture()
        before = sockets()
        async with viewer() as unlucky:
            await unlucky.join(service, "lobby")
            await until(lambda: service.failed)
            assert (service.sessions, service.failed) == (1, 1)
            assert streams["lobby"].viewers() == {"webrtc": 1}
        assert sockets() == before
        await one.picture()


async def test_too_many_viewers_are_told_when_to_come_back() -> None:
    async with live("lobby", settings=WebRtc(max_viewers=2)) as (service, _):
        for _ in range(2):
            await service.offer("lobby", offer(), local="127.0.0.1")
        with pytest.raises(TooManyViewersError, match="max_viewers") as caught:
            await service.offer("lobby", offer(), local="127.0.0.1")
        assert caught.value.retry_after > 0


async def test_when_the_ports_run_out_the_viewer_is_told() -> None:
    async with live("lobby", settings=WebRtc(udp_ports=(45998, 45999))) as (service, _):
        for _ in range(2):
            await service.offer("lobby", offer(), local="127.0.0.1")
        with pytest.raises(TooManyViewersError, match="udp_ports"):
            await service.offer("lobby", offer(), local="127.0.0.1")
        await until(lambda: service.sessions == 2)


async def test_any_number_of_viewers_share_a_single_port() -> None:
    first, _ = free_range(1)
    before = sockets()
    async with live("lobby", "yard", settings=WebRtc(udp_ports=(first, first))) as (service, streams):
        opened = sockets()
        async with viewer() as one, viewer() as other, viewer() as third:
            offers = sockets()
            answers = [await one.join(service, "lobby"), await other.join(service, "yard")]
            answers.append(await third.join(service, "lobby"))
            # One for the address where they asked, and none for each viewer.
            assert sockets() <= offers + 3 * 10
            ports = {line.split()[5] for answer in answers for line in answer.sdp.splitlines() if "a=candidate" in line}
            assert ports == {str(first)}
            for watching in (one, other, third):
                assert (await watching.picture()).width == 320
            assert streams["lobby"].viewers() == {"webrtc": 2}
            with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as stranger:
                stranger.sendto(b"hello", ("127.0.0.1", first))
            await until(lambda: service.dropped().get("unknown"))
            assert await service.end(answers[0].session_id)
            await until(lambda: service.sessions == 2)
            assert (await other.picture()).width == 320
        await gone(service)
        assert sockets() <= opened + 1
    await until(lambda: sockets() == before)


async def test_the_shared_ports_are_closed_when_one_of_them_is_taken(clock: FakeClock) -> None:
    first, _ = free_range(1)
    (address,) = host_addresses(None)[:1]
    before = sockets()
    with contextlib.closing(socket.create_server((address, 0))) as other:
        settings = WebRtc(udp_ports=(first, first), tcp_port=other.getsockname()[1])
        with pytest.raises(UnavailableError, match=r"webrtc\.tcp_port"):
            async with WhepService(lambda _: None, settings, clock=clock):
                pass
    await settle()
    assert sockets() == before


async def test_a_service_with_a_tcp_port_watches_it_and_ends(clock: FakeClock) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    tasks = len(asyncio.all_tasks())
    async with WhepService({"lobby": Stream("lobby", clock=clock)}.get, WebRtc(tcp_port=port), clock=clock) as service:
        answer = await service.offer("lobby", offer(), local="127.0.0.1")
        assert f" 127.0.0.1 {port} typ host tcptype passive" in answer.sdp
        assert len(asyncio.all_tasks()) > tasks
    assert len(asyncio.all_tasks()) == tasks


async def test_interfaces_that_do_not_exist_are_told_and_end_nothing(
    clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = WebRtc(interfaces=("none0",), udp_ports=(45997, 45997))
    async with WhepService({"lobby": Stream("lobby", clock=clock)}.get, settings, clock=clock) as service:
        assert "webrtc.interfaces" in capsys.readouterr().out
        with pytest.raises(NoAddressError):
            await service.offer("lobby", offer(), local="127.0.0.1")


async def test_a_camera_without_a_stream_has_no_place(clock: FakeClock) -> None:
    async with WhepService(lambda *_: None, WebRtc(), clock=clock) as service:
        with pytest.raises(NoStreamError, match="lobby"):
            await service.offer("lobby", offer())


async def test_external_addresses_stand_in_the_answer() -> None:
    async with live("lobby", settings=WebRtc(external_addresses=("203.0.113.9",))) as (service, _):
        answer = await service.offer("lobby", offer(), local="127.0.0.1")
        assert " 203.0.113.9 " in answer.sdp
        assert " 127.0.0.1 " in answer.sdp


async def test_no_stun_server_is_asked_unless_configured(clock: FakeClock) -> None:
    assert WhepService(lambda *_: None, WebRtc(), clock=clock)._configuration.iceServers == []
    settings = WebRtc(ice_servers=(IceServer(urls=("stun:192.0.2.9",)),))
    (server,) = WhepService(lambda *_: None, settings, clock=clock)._configuration.iceServers or []
    assert server.urls == ["stun:192.0.2.9"]


async def test_an_offer_that_aiortc_chokes_on_is_malformed_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def choke(*_: object) -> None:
        raise KeyError("aiortc's parser")

    monkeypatch.setattr("aiortc.RTCPeerConnection.setRemoteDescription", choke)
    async with live("lobby") as (service, _):
        before = sockets()
        with pytest.raises(MalformedOfferError):
            await service.offer("lobby", offer())
        await gone(service)
        assert sockets() == before


async def test_three_hundred_mutated_offers_leave_no_trace() -> None:
    dice = random.Random(20261123)
    lines = offer().split("\r\n")
    async with live("lobby", clock=SystemClock()) as (service, _):
        gc.collect()
        before, tasks = sockets(), len(asyncio.all_tasks())
        outcomes = {"answered": 0, "refused": 0}
        for _ in range(300):
            mutated = list(lines)
            for _ in range(dice.randint(1, 3)):
                place = dice.randrange(len(mutated))
                text = mutated[place]
                cut = dice.randint(0, len(text))
                mutated[place] = dice.choice(
                    [
                        "",
                        text[:cut],
                        text[:cut] + dice.choice("\x00é9 :=/-") + text[cut:],
                        text[::-1],
                        mutated[dice.randrange(len(mutated))],
                    ]
                )
            try:
                answer = await service.offer("lobby", "\r\n".join(mutated), local="127.0.0.1")
            except (MalformedOfferError, UnsupportedOfferError):
                outcomes["refused"] += 1
            else:
                outcomes["answered"] += 1
                assert await service.end(answer.session_id)
        assert min(outcomes.values()) > 20
        await gone(service)
        gc.collect()
        assert sockets() == before
        assert len(asyncio.all_tasks()) == tasks


@pytest.mark.parametrize("shared", [False, True])
async def test_twenty_viewers_that_come_and_go_leave_no_trace(shared: bool) -> None:
    ports = free_range(1) if shared else (0, 0)
    async with live("lobby", settings=WebRtc(udp_ports=ports)) as (service, streams):
        if shared:
            # The socket for the address where viewers ask is opened for the first of them.
            answer = await service.offer("lobby", offer(), local="127.0.0.1")
            assert await service.end(answer.session_id)
            await gone(service)
        before, tasks = sockets(), len(asyncio.all_tasks())
        for _ in range(20):
            async with viewer() as one:
                await one.join(service, "lobby")
                await until(lambda: streams["lobby"].viewers().get("webrtc") == 1)
            await gone(service)
        gc.collect()
        assert sockets() == before
        assert len(asyncio.all_tasks()) == tasks


async def test_a_viewer_with_audio_in_its_offer_gets_the_video() -> None:
    async with live("lobby") as (service, _), viewer() as one:
        one.connection.addTransceiver("audio", direction="recvonly")
        answer = await one.join(service, "lobby")
        assert (await one.picture()).width == 320
        kinds = [line.split()[0] for line in answer.sdp.splitlines() if line.startswith("m=")]
        assert kinds == ["m=video", "m=audio"]


async def test_a_viewer_that_offers_to_send_as_well_is_only_sent_to() -> None:
    async with live("lobby") as (service, _):
        answer = await service.offer("lobby", offer(VIDEO.replace("a=recvonly", "a=sendrecv")), local="127.0.0.1")
        assert "a=sendonly" in answer.sdp.splitlines()
        with pytest.raises(UnsupportedOfferError):
            await service.offer("lobby", offer(VIDEO.replace("a=recvonly", "a=sendonly")))
        assert service.sessions == 1


async def test_an_abandoned_offer_is_closed(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = asyncio.Event()

    async def hang(_: object, __: RTCSessionDescription) -> None:
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("aiortc.RTCPeerConnection.setRemoteDescription", hang)
    monkeypatch.setattr("faceanond.publish.webrtc.session.NEGOTIATION", 0.2)
    async with WhepService(finder({"lobby": Stream("lobby", clock=clock)}), WebRtc(), clock=clock) as service:
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(service.offer("lobby", offer()))
            await entered.wait()
            asking.cancel()
        await gone(service)
