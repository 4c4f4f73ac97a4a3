from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faceanond.config.model import Push
from faceanond.errors import PushError, PushFault
from faceanond.publish.push import rtsp as module
from faceanond.publish.push.conversation import ANSWER
from faceanond.publish.push.network import Network
from faceanond.publish.push.rtsp import REFUSED, STALLED, RtspPush
from faceanond.publish.push.target import target
from faceanond.publish.stream import Stream, StreamClosedError
from tests.conftest import FakeClock, settle
from tests.daemon.file_server import certified
from tests.publish.push.media_server import CLOSE, HANG, Asked, MediaServer, serving
from tests.publish.sealed import packet
from tests.waiting import until

DIGEST = 'Digest realm="x", nonce="{nonce}", algorithm=SHA-256, qop="auth"'


@dataclass
class Pushing:
    """A push that runs beside the test."""

    stream: Stream
    task: asyncio.Task[Exception]
    clock: FakeClock
    up: list[float] = field(default_factory=list)
    _index: int = 1

    def film(self, pictures: int = 1, *, size: int = 100) -> None:
        """The camera goes on; the first picture that a reader needs is a keyframe."""
        for _ in range(pictures):
            keyframe = self.stream.take_keyframe_request()
            self.stream.write(packet(self._index, keyframe=keyframe, size=size, encoded=self.clock.monotonic()))
            self._index += 1

    async def error(self) -> Exception:
        """Why the push ended."""
        await until(self.task.done)
        return self.task.result()

    async def fault(self) -> PushFault:
        error = await self.error()
        assert isinstance(error, PushError), error
        return error.fault


@asynccontextmanager
async def pushing(url: str, clock: FakeClock, **settings: object) -> AsyncIterator[Pushing]:
    """A push of the camera "yard", which has a keyframe already. What is left of it at the end is cancelled."""
    stream = Stream("yard", clock=clock)
    stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
    place = target("yard", Push(url=url, **settings))
    assert place is not None
    up: list[float] = []
    async with Network(clock=clock) as network, asyncio.TaskGroup() as tasks:
        push = RtspPush(place, stream, network, clock=clock, connected=lambda: up.append(clock.monotonic()))

        async def outcome() -> Exception:
            try:
                await push.run()
            except (PushError, StreamClosedError) as error:
                return error
            raise AssertionError("a push ends with an error")

        task = tasks.create_task(outcome(), name="push")
        try:
            yield Pushing(stream, task, clock, up)
        finally:
            task.cancel()


async def recording(server: MediaServer, push: Pushing) -> None:
    """Waits until the first picture has arrived."""
    await until(lambda: server.packets or push.task.done())
    assert not push.task.done(), push.task.result()


# The conversation


async def test_a_stream_is_announced_set_up_recorded_and_torn_down(clock: FakeClock) -> None:
    server = MediaServer()
    async with serving(server) as url:
        async with pushing(url, clock) as push:
            await recording(server, push)
            push.film(3)
            await until(lambda: sum(channel == 0 for channel, _ in server.packets) >= 6)
        await until(lambda: not server.open)
    assert server.methods == ["OPTIONS", "ANNOUNCE", "SETUP", "RECORD", "GET_PARAMETER", "TEARDOWN"]
    assert {request.url for request in server.asked} == {url, f"{url}/trackID=0"}
    announce, setup, record = server.asked[1:4]
    assert announce.headers["Content-Type"] == "application/sdp"
    assert b"sprop-parameter-sets=Z0LAH9o=,aM48gA==" in announce.body
    assert setup.headers["Transport"] == "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"
    assert record.headers["Session"] == "4711"
    assert [int(request.headers["CSeq"]) for request in server.asked] == [1, 2, 3, 4, 5, 6]


async def test_the_pictures_arrive_with_sender_reports_and_a_goodbye(clock: FakeClock) -> None:
    server = MediaServer()
    async with serving(server) as url:
        async with pushing(url, clock) as push:
            await recording(server, push)
            push.film()
            await until(lambda: sum(channel == 0 for channel, _ in server.packets) >= 4)
        await until(lambda: not server.open)
    media = [data for channel, data in server.packets if channel == 0]
    # SPS, PPS and the picture; then the next picture.
    assert [data[12] & 0x1F for data in media] == [7, 8, 5, 1]
    assert [data[1] >> 7 for data in media] == [0, 0, 1, 1]
    reports = [data for channel, data in server.packets if channel == 1]
    assert reports[0][1] == 200
    assert reports[-1][1] == 201
    assert b"yard" in reports[-1]


async def test_the_channels_are_the_servers_to_choose(clock: FakeClock) -> None:
    other = "RTSP/1.0 200 OKCRLFCSEQCRLFSession: 1CRLFTransport: RTP/AVP/TCP;unicast;interleaved=6-7CRLFCRLF"
    server = MediaServer(answers={"SETUP": other})
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        await until(lambda: len({channel for channel, _ in server.packets}) == 2)
    assert {channel for channel, _ in server.packets} == {6, 7}


async def test_over_udp_the_packets_go_to_the_servers_ports_from_ours(clock: FakeClock) -> None:
    loop = asyncio.get_running_loop()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
    ):
        for one in (rtp, rtcp):
            one.setblocking(False)
            one.bind(("127.0.0.1", 0))
        ports = f"{rtp.getsockname()[1]}-{rtcp.getsockname()[1]}"

        def answer(request: Asked) -> str:
            transport = f"{request.headers['Transport']};server_port={ports}"
            return f"RTSP/1.0 200 OKCRLFCSEQCRLFSession: 1CRLFTransport: {transport}CRLFCRLF"

        server = MediaServer(answers={"SETUP": answer})
        async with serving(server) as url, pushing(url, clock, transport="udp") as push:
            async with asyncio.timeout(5):
                first, sender = await loop.sock_recvfrom(rtp, 2048)
                report, _ = await loop.sock_recvfrom(rtcp, 2048)
            assert first[12] & 0x1F == 7
            assert report[1] == 200
            client = server.asked[2].headers["Transport"].split("client_port=")[1].split(";")[0]
            assert client == f"{sender[1]}-{sender[1] + 1}"
            assert sender[1] % 2 == 0
            # What the server sends there, reports, does no harm.
            await loop.sock_sendto(rtcp, b"nonsense", ("127.0.0.1", sender[1] + 1))
            push.film()
            assert await loop.sock_recv(rtp, 2048)
            assert not push.task.done()


async def test_a_push_that_is_stopped_while_it_takes_its_leave_keeps_no_port(clock: FakeClock) -> None:
    def answer(request: Asked) -> str:
        transport = f"{request.headers['Transport']};server_port=5000-5001"
        return f"RTSP/1.0 200 OKCRLFCSEQCRLFSession: 1CRLFTransport: {transport}CRLFCRLF"

    server = MediaServer(answers={"SETUP": answer, "TEARDOWN": HANG})
    async with serving(server) as url, pushing(url, clock, transport="udp") as push:
        await until(lambda: push.up)
        push.task.cancel()
        await until(lambda: "TEARDOWN" in server.methods)
        push.task.cancel()
        await asyncio.wait([push.task])
        await settle()
        ports = server.asked[2].headers["Transport"].split("client_port=")[1].split(";")[0]
        for port in map(int, ports.split("-")):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                again.bind(("127.0.0.1", port))


async def test_a_closed_udp_port_ends_the_push_after_a_while(clock: FakeClock) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

    def answer(request: Asked) -> str:
        transport = f"{request.headers['Transport']};server_port={port}-{port + 1}"
        return f"RTSP/1.0 200 OKCRLFCSEQCRLFSession: 1CRLFTransport: {transport}CRLFCRLF"

    server = MediaServer(answers={"SETUP": answer})
    async with serving(server) as url, pushing(url, clock, transport="udp") as push:
        await until(lambda: push.up)
        for _ in range(int(REFUSED) + 3):
            push.film()
            await clock.advance(1)
        assert await push.fault() is PushFault.STALLED


# The login


def guarded(nonces: list[str]) -> MediaServer:
    """Asks for a login with each of these nonces in turn, then takes what comes."""

    def answer(request: Asked) -> str | None:
        given = request.headers.get("Authorization", "")
        if nonces and f'nonce="{nonces[0]}"' in given:
            nonces.pop(0)
        if not nonces:
            return None
        challenge = DIGEST.replace("{nonce}", nonces[0]) + (", stale=true" if given else "")
        return f"RTSP/1.0 401 UnauthorizedCRLFCSEQCRLFWWW-Authenticate: {challenge}CRLFCRLF"

    return MediaServer(answers=dict.fromkeys(("OPTIONS", "ANNOUNCE", "SETUP", "RECORD"), answer))


async def test_a_login_is_given_when_it_is_asked_for_and_kept(clock: FakeClock) -> None:
    server = guarded(["1"])
    async with serving(server) as url, pushing(url, clock, username="cam", password="geheim") as push:
        await recording(server, push)
    assert server.methods[:5] == ["OPTIONS", "OPTIONS", "ANNOUNCE", "SETUP", "RECORD"]
    assert "Authorization" not in server.asked[0].headers
    assert all("geheim" not in str(request.headers) for request in server.asked)
    counts = [request.headers["Authorization"].split("nc=")[1] for request in server.asked[1:5]]
    assert counts == ["00000001", "00000002", "00000003", "00000004"]


async def test_a_stale_nonce_is_renewed(clock: FakeClock) -> None:
    server = guarded(["1", "2"])
    async with serving(server) as url, pushing(url, clock, username="cam", password="geheim") as push:
        await recording(server, push)
    assert server.methods[:3] == ["OPTIONS", "OPTIONS", "OPTIONS"]


async def test_a_server_that_always_calls_the_nonce_stale_is_given_up(clock: FakeClock) -> None:
    server = guarded([str(number) for number in range(100)])
    async with serving(server) as url, pushing(url, clock, username="cam", password="geheim") as push:
        assert await push.fault() is PushFault.UNAUTHORISED
    assert len(server.asked) == 4


async def test_a_nonce_that_changes_in_mid_session_without_a_word_is_taken(clock: FakeClock) -> None:
    """Some servers do so, and do not call the old one stale."""
    seen: list[str] = []

    def answer(request: Asked) -> str | None:
        given = request.headers.get("Authorization", "")
        wanted = request.method
        seen.append(given)
        if f'nonce="{wanted}"' in given:
            return None
        challenge = DIGEST.replace("{nonce}", wanted)
        return f"RTSP/1.0 401 UnauthorizedCRLFCSEQCRLFWWW-Authenticate: {challenge}CRLFCRLF"

    server = MediaServer(answers=dict.fromkeys(("OPTIONS", "ANNOUNCE", "SETUP", "RECORD"), answer))
    async with serving(server) as url, pushing(url, clock, username="cam", password="geheim") as push:
        await recording(server, push)
    assert server.methods[:8] == ["OPTIONS", "OPTIONS", "ANNOUNCE", "ANNOUNCE", "SETUP", "SETUP", "RECORD", "RECORD"]


@pytest.mark.parametrize(
    ("challenge", "settings", "words"),
    [
        (DIGEST, {"username": "cam", "password": "wrong"}, "refuses the user name or the password"),
        (DIGEST, {}, "give username and password"),
        ("Bearer", {"username": "cam"}, "not known here"),
    ],
)
async def test_a_login_that_does_not_help_is_told(
    clock: FakeClock, challenge: str, settings: dict[str, str], words: str
) -> None:
    refusal = f"RTSP/1.0 401 UnauthorizedCRLFCSEQCRLFWWW-Authenticate: {challenge}CRLFCRLF"
    server = MediaServer(answers={"OPTIONS": refusal})
    async with serving(server) as url, pushing(url, clock, **settings) as push:
        error = await push.error()
    assert isinstance(error, PushError)
    assert error.fault is PushFault.UNAUTHORISED
    assert words in str(error)
    assert "wrong" not in str(error)
    assert len(server.asked) <= 2


BASIC = 'RTSP/1.0 401 UnauthorizedCRLFCSEQCRLFWWW-Authenticate: Basic realm="x"CRLFCRLF'


def basic_only() -> MediaServer:
    """MediaMTX as it comes: everybody may ask for its methods, and Basic is all that it knows."""
    return MediaServer(
        answers={"ANNOUNCE": lambda request: None if "Authorization" in request.headers else BASIC},
    )


async def test_a_server_on_this_machine_gets_the_password_by_basic(clock: FakeClock) -> None:
    server = basic_only()
    async with serving(server) as url, pushing(url, clock, username="cam", password="geheim") as push:
        await recording(server, push)
    assert server.asked[2].headers["Authorization"] == "Basic Y2FtOmdlaGVpbQ=="


async def test_a_server_elsewhere_that_offers_basic_only_gets_no_password(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "within_machine", lambda own, peer: False)
    server = basic_only()
    async with serving(server) as url, pushing(url, clock, username="cam", password="geheim") as push:
        error = await push.error()
    assert isinstance(error, PushError)
    assert error.fault is PushFault.UNAUTHORISED
    assert "rtsps:" in str(error)
    assert "rtspAuthMethods: [digest]" in str(error)
    assert "allow_basic = true in [push]" in str(error)
    assert all("Authorization" not in request.headers for request in server.asked)


async def test_it_gets_the_password_where_that_is_allowed(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "within_machine", lambda own, peer: False)
    server = basic_only()
    settings = {"username": "cam", "password": "geheim", "allow_basic": True}
    async with serving(server) as url, pushing(url, clock, **settings) as push:
        await recording(server, push)


async def test_inside_tls_basic_needs_no_leave(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "within_machine", lambda own, peer: False)
    server = basic_only()
    tls, _ = certified(tmp_path)
    settings = {"username": "cam", "password": "geheim", "tls_verify": False}
    async with serving(server, tls=tls) as url, pushing(url, clock, **settings) as push:
        await recording(server, push)


# Servers that say no


@pytest.mark.parametrize("method", ["ANNOUNCE", "SETUP", "RECORD"])
@pytest.mark.parametrize(
    ("status", "fault", "words"),
    [
        ("301 Moved", PushFault.REFUSED, "not followed"),
        ("403 Forbidden", PushFault.UNAUTHORISED, "may not publish"),
        ("404 Not Found", PushFault.NOT_FOUND, "no such path"),
        ("405 Method Not Allowed", PushFault.REFUSED, "405 Method Not Allowed"),
        ("461 Unsupported Transport", PushFault.REFUSED, "set transport"),
        ("500 Internal Server Error", PushFault.REFUSED, "500"),
    ],
)
async def test_a_refusal_is_told_with_what_it_means(
    clock: FakeClock, method: str, status: str, fault: PushFault, words: str
) -> None:
    server = MediaServer(answers={method: f"RTSP/1.0 {status}CRLFCSEQCRLFLocation: rtsp://127.0.0.1:1/xCRLFCRLF"})
    async with serving(server) as url, pushing(url, clock) as push:
        error = await push.error()
    assert isinstance(error, PushError)
    assert error.fault is fault
    assert words in str(error)
    assert method in str(error)
    assert server.connections == 1


async def test_a_server_that_is_busy_says_when_to_come_again(clock: FakeClock) -> None:
    server = MediaServer(answers={"ANNOUNCE": "RTSP/1.0 503 BusyCRLFCSEQCRLFRetry-After: 120CRLFCRLF"})
    async with serving(server) as url, pushing(url, clock) as push:
        error = await push.error()
    assert isinstance(error, PushError)
    assert error.retry_after == 120


async def test_a_server_that_does_not_know_options_may_record_all_the_same(clock: FakeClock) -> None:
    server = MediaServer(answers={"OPTIONS": "RTSP/1.0 501 Not ImplementedCRLFCSEQCRLFCRLF"})
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)


@pytest.mark.parametrize(
    "answer",
    [
        "RTSP/1.0 200 OKCRLFCSEQCRLFTransport: RTP/AVP/TCP;interleaved=0-1CRLFCRLF",
        "RTSP/1.0 200 OKCRLFCSEQCRLFSession: 1CRLFCRLF",
        "RTSP/1.0 200 OKCRLFCSEQCRLFSession: 1CRLFTransport: RTP/AVP/TCP;interleaved=300-301CRLFCRLF",
        "RTSP/1.0 200 OKCRLFCSEQCRLFSession: 1CRLFTransport: RTP/AVP;unicast;server_port=1-2CRLFCRLF",
        "HTTP/1.1 400 Bad RequestCRLFCRLF",
    ],
)
async def test_an_answer_that_makes_no_sense_ends_the_push(clock: FakeClock, answer: str) -> None:
    server = MediaServer(answers={"SETUP": answer})
    async with serving(server) as url, pushing(url, clock) as push:
        assert await push.fault() is PushFault.MALFORMED


async def test_nobody_listens(clock: FakeClock) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    async with pushing(f"rtsp://127.0.0.1:{port}/yard", clock) as push:
        assert await push.fault() is PushFault.UNREACHABLE


# Servers that hang, at every stage


@pytest.mark.parametrize("method", ["OPTIONS", "ANNOUNCE", "SETUP", "RECORD"])
async def test_a_server_that_does_not_answer_is_given_up(clock: FakeClock, method: str) -> None:
    server = MediaServer(answers={method: HANG})
    async with serving(server) as url, pushing(url, clock) as push:
        await until(lambda: method in server.methods)
        await clock.advance(ANSWER - 0.1)
        assert not push.task.done()
        await clock.advance(0.2)
        # The session that exists by then is taken leave of, for a second.
        await until(lambda: push.task.done() or "TEARDOWN" in server.methods)
        assert await push.fault() is PushFault.TIMEOUT
        assert method in str(await push.error())
    assert not push.up


@pytest.mark.parametrize("method", ["OPTIONS", "ANNOUNCE", "SETUP", "RECORD"])
async def test_a_server_that_hangs_up_is_given_up_at_once(clock: FakeClock, method: str) -> None:
    server = MediaServer(answers={method: CLOSE})
    async with serving(server) as url, pushing(url, clock) as push:
        assert await push.fault() is PushFault.CLOSED


async def test_a_server_that_stops_reading_is_given_up_and_the_stream_goes_on(clock: FakeClock) -> None:
    server = MediaServer(deaf_after=3)
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        began = clock.monotonic()
        while not push.task.done():
            push.film(4, size=200_000)
            await clock.advance(1)
            assert clock.monotonic() - began < 40
        assert await push.fault() is PushFault.STALLED
        assert clock.monotonic() - began >= STALLED
        # What did not fit was lost by this reader alone.
        assert push.stream.dropped > 0


async def test_a_server_that_hangs_up_in_mid_stream_ends_the_push(clock: FakeClock) -> None:
    server = MediaServer()
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        assert server.writer is not None
        server.writer.transport.abort()
        assert await push.fault() is PushFault.CLOSED


async def test_stopping_waits_for_a_silent_server_no_longer_than_a_second(clock: FakeClock) -> None:
    server = MediaServer(answers={"TEARDOWN": HANG})
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        push.task.cancel()
        await until(lambda: "TEARDOWN" in server.methods)
        await clock.advance(module.FAREWELL + 0.1)
        await until(push.task.done)
        assert push.task.cancelled()


# While it records


@pytest.mark.parametrize(
    ("session", "every"), [("1;timeout=8", 4), ("1;timeout=60", 10), ("1", 10), ("1;timeout=0", 10)]
)
async def test_the_server_hears_from_us_in_half_its_timeout_or_sooner(
    clock: FakeClock, session: str, every: float
) -> None:
    server = MediaServer(session=session)
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        for count in (1, 2, 3):
            await until(lambda count=count: server.methods.count("GET_PARAMETER") == count)
            await clock.advance(every - 0.5)
            assert server.methods.count("GET_PARAMETER") == count
            await clock.advance(0.6)


async def test_a_server_without_get_parameter_is_asked_for_its_options(clock: FakeClock) -> None:
    server = MediaServer(public="OPTIONS, ANNOUNCE, SETUP, RECORD")
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        await until(lambda: server.methods.count("OPTIONS") == 2)


async def test_a_server_that_does_not_know_what_it_said_it_knows_is_asked_otherwise(clock: FakeClock) -> None:
    server = MediaServer(answers={"GET_PARAMETER": "RTSP/1.0 501 NoCRLFCSEQCRLFCRLF"})
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        await until(lambda: "GET_PARAMETER" in server.methods)
        await clock.advance(module.HEARTBEAT + 0.1)
        await until(lambda: server.methods.count("OPTIONS") == 2)
        assert not push.task.done()


async def test_a_server_that_never_answers_while_it_records_may_do_so(clock: FakeClock) -> None:
    server = MediaServer(answers={"GET_PARAMETER": HANG})
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        for _ in range(90):
            push.film()
            await clock.advance(1)
        await until(lambda: server.methods.count("GET_PARAMETER") >= 3)
        assert not push.task.done()


async def test_a_server_that_answers_no_more_is_given_up(clock: FakeClock) -> None:
    server = MediaServer()
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        await until(lambda: "GET_PARAMETER" in server.methods)
        server.answers["GET_PARAMETER"] = HANG
        await clock.advance(module.HEARTBEAT + 0.1)
        await until(lambda: server.methods.count("GET_PARAMETER") == 2)
        await clock.advance(ANSWER + 0.1)
        assert await push.fault() is PushFault.STALLED


async def test_a_session_that_the_server_forgot_is_begun_anew(clock: FakeClock) -> None:
    server = MediaServer(answers={"GET_PARAMETER": "RTSP/1.0 454 Session Not FoundCRLFCSEQCRLFCRLF"})
    async with serving(server) as url, pushing(url, clock) as push:
        assert await push.fault() is PushFault.CLOSED


async def test_requests_of_the_server_get_an_answer_and_its_reports_are_taken(clock: FakeClock) -> None:
    server = MediaServer(greeting=b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n$\x01\x00\x04\x80\xc9\x00\x00")
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        await until(lambda: server.replies)
    assert server.replies == ["RTSP/1.0 501 Not Implemented CSeq: 9"]


async def test_a_camera_that_is_taken_away_ends_the_push_for_good(clock: FakeClock) -> None:
    server = MediaServer()
    async with serving(server) as url, pushing(url, clock) as push:
        await recording(server, push)
        push.stream.close()
        assert isinstance(await push.error(), StreamClosedError)
    assert server.methods[-1] == "TEARDOWN"


async def test_nothing_is_left_of_a_push(clock: FakeClock) -> None:
    before = asyncio.all_tasks()
    server = MediaServer()
    async with serving(server) as url:
        async with pushing(url, clock) as push:
            await recording(server, push)
            assert len(push.stream._readers) == 1
        assert not push.stream._readers
        await until(lambda: not server.open)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("number", "fault"),
    [(errno.ETIMEDOUT, PushFault.STALLED), (errno.ECONNRESET, PushFault.CLOSED), (0, PushFault.CLOSED)],
)
def test_a_broken_connection_is_told_in_words(number: int, fault: PushFault) -> None:
    error = module._translated(OSError(number, "gone") if number else ConnectionResetError("Connection lost"))
    assert isinstance(error, PushError)
    assert error.fault is fault
    assert "server" in str(error)
