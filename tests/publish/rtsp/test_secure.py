"""RTSPS: the same server inside TLS."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from faceanond.access import OPEN, Access
from faceanond.config.model import Rtsp, Viewer
from faceanond.errors import UnavailableError
from faceanond.publish.rtsp import server as module
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from faceanond.tls import RENEWAL_INTERVAL, ServerCertificate, opened
from tests import certificates
from tests.conftest import FakeClock
from tests.e2e.daemon import free_port
from tests.publish.rtsp.player import TCP, Player, connected
from tests.publish.sealed import packet
from tests.waiting import until

UDP = "RTP/AVP;unicast;client_port=5000-5001"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return certificates.make(tmp_path)


@pytest.fixture
def trust(files: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(files[0]))


@pytest.fixture
async def stream(clock: FakeClock) -> Stream:
    stream = Stream("yard", clock=clock)
    stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
    return stream


def settings(files: tuple[Path, Path], **more: object) -> Rtsp:
    secure = {"tls_listen": "127.0.0.1:0", "certificate": str(files[0]), "key": str(files[1])}
    return Rtsp.model_validate({"listen": "127.0.0.1:0", **secure, **more})


@pytest_asyncio.fixture
async def server(stream: Stream, files: tuple[Path, Path], clock: FakeClock) -> AsyncIterator[RtspServer]:
    access = Access({"guard": Viewer(password=SecretStr("secret-1"))})
    async with RtspServer({"yard": stream}.get, settings(files), clock=clock, access=access) as server:
        yield server


@pytest_asyncio.fixture
async def player(server: RtspServer, trust: ssl.SSLContext) -> AsyncIterator[Player]:
    assert server.tls_port is not None
    async with connected(server.tls_port, trust) as player:
        yield player


async def test_nobody_can_connect_before_the_certificate_is_read(
    stream: Stream, files: tuple[Path, Path], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()

    async def read(certificate: str, key: str, *, table: str) -> ServerCertificate:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        return await opened(certificate, key, table=table)

    monkeypatch.setattr(module, "opened", read)
    secured = settings(files, listen=f"127.0.0.1:{port}")
    async with RtspServer({}.get, secured, clock=clock, access=OPEN), connected(port) as player:
        assert (await player.ask("OPTIONS")).status == 200


async def test_a_second_port_that_is_taken_leaves_the_first_one_free(
    stream: Stream, files: tuple[Path, Path], clock: FakeClock
) -> None:
    port = free_port()
    async with RtspServer({}.get, settings(files), clock=clock, access=OPEN) as server:
        taken = settings(files, listen=f"127.0.0.1:{port}", tls_listen=f"127.0.0.1:{server.port}")
        with pytest.raises(UnavailableError, match="tls_listen"):
            await RtspServer({}.get, taken, clock=clock, access=OPEN).__aenter__()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_player_whose_trust_is_checked_plays_and_leaves(
    player: Player, server: RtspServer, stream: Stream
) -> None:
    assert (await player.ask_as("guard", "secret-1", "DESCRIBE")).status == 200
    assert (await player.ask_as("guard", "secret-1", "SETUP", "/yard/trackID=0", Transport=TCP)).status == 200
    answer = await player.ask("PLAY")
    assert answer.headers["RTP-Info"].startswith("url=rtsps://")
    for number in range(1, 20):
        stream.write(packet(number, keyframe=number % 10 == 0, size=30_000))
    pictures = 0
    while pictures < 20:
        pictures += (await player.rtp())[1] >> 7
    assert (await player.ask("TEARDOWN")).status == 200
    assert server.sessions == 0


async def test_pictures_never_leave_tls_over_udp(player: Player) -> None:
    assert (await player.ask_as("guard", "secret-1", "SETUP", "/yard/trackID=0", Transport=UDP)).status == 461
    both = await player.ask_as("guard", "secret-1", "SETUP", "/yard/trackID=0", Transport=f"{UDP},{TCP}")
    assert both.headers["Transport"].startswith("RTP/AVP/TCP;")


async def test_both_listeners_serve_at_once_and_share_their_limits(server: RtspServer, trust: ssl.SSLContext) -> None:
    assert server.tls_port is not None
    async with connected(server.port) as plain, connected(server.tls_port, trust) as secure:
        assert [(await one.ask("OPTIONS")).status for one in (plain, secure)] == [200, 200]
        assert server._from["127.0.0.1"] == 2
    await until(lambda: not server._connections)
    assert not server._from


async def test_what_is_no_tls_ends_that_connection_only(server: RtspServer, trust: ssl.SSLContext) -> None:
    assert server.tls_port is not None
    async with connected(server.tls_port) as lost:
        lost.writer.write(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" * 10)
        assert await lost.ended()
    async with connected(server.tls_port, trust) as player:
        assert (await player.ask("OPTIONS")).status == 200


async def test_a_client_that_does_not_shake_hands_takes_a_place_for_seconds_only(
    server: RtspServer, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceanond.publish.rtsp.connection.HANDSHAKE", 0.05)
    assert server.tls_port is not None
    async with connected(server.tls_port) as mute:
        await until(lambda: server._connections)
        assert server._from["127.0.0.1"] == 1
        assert await mute.ended()
    await until(lambda: not server._connections)


async def test_leaving_cuts_clients_in_the_middle_of_the_handshake(
    stream: Stream, files: tuple[Path, Path], clock: FakeClock
) -> None:
    async with RtspServer({"yard": stream}.get, settings(files), clock=clock, access=OPEN) as server:
        assert server.tls_port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", server.tls_port)
        await until(lambda: server._connections)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_a_player_that_does_not_read_is_dropped_inside_tls_as_well(
    server: RtspServer, trust: ssl.SSLContext, stream: Stream, clock: FakeClock
) -> None:
    assert server.tls_port is not None
    async with connected(server.tls_port, trust) as stuck:
        await stuck.ask_as("guard", "secret-1", "SETUP", "/yard/trackID=0", Transport=TCP)
        await stuck.ask("PLAY")
        sent = 0
        # The kernel's buffers must be full for good, and real: every further picture is lost.
        while stream.dropped < 200:
            sent += 1
            stream.write(packet(sent, keyframe=sent % 10 == 1, size=50_000))
            await asyncio.sleep(0.001)
        await clock.advance(9.0)
        assert server.sessions == 1
        await clock.advance(2.0)
        assert server.sessions == 0
    await until(lambda: not server._connections)


async def test_a_renewed_certificate_is_taken_over_without_a_restart(
    server: RtspServer, trust: ssl.SSLContext, files: tuple[Path, Path], tmp_path: Path, clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    told: list[str] = []
    monkeypatch.setattr("faceanond.tls.log.info", lambda event, **more: told.append(event))
    assert server.tls_port is not None
    new = certificates.make(tmp_path, "new")
    renewed = ssl.create_default_context(cafile=str(new[0]))
    async with connected(server.tls_port, trust) as early:
        await early.ask_as("guard", "secret-1", "DESCRIBE")
        for fresh, old in zip(new, files, strict=True):
            shutil.copy(fresh, old)
        for _ in range(3):
            await clock.advance(RENEWAL_INTERVAL / 3)
            assert (await early.ask("OPTIONS")).status == 200
        await until(lambda: told)
        async with connected(server.tls_port, renewed) as late:
            assert (await late.ask("OPTIONS")).status == 200
        assert (await early.ask("OPTIONS")).status == 200


async def test_a_broken_renewal_is_told_and_the_old_certificate_serves_on(
    server: RtspServer, trust: ssl.SSLContext, files: tuple[Path, Path], clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    told: list[str] = []
    monkeypatch.setattr(
        "faceanond.tls.log.error", lambda event, **more: told.append(f"{more['key']}: {more['reason']}")
    )
    files[1].write_text("no key")
    await clock.advance(RENEWAL_INTERVAL)
    await until(lambda: told)
    assert told == [f"rtsp.key: {files[1]} holds no usable private key in PEM form"]
    assert server.tls_port is not None
    async with connected(server.tls_port, trust) as player:
        assert (await player.ask("OPTIONS")).status == 200


async def test_an_unusable_certificate_names_the_key_and_opens_no_listener(
    stream: Stream, files: tuple[Path, Path], clock: FakeClock
) -> None:
    files[1].unlink()
    server = RtspServer({"yard": stream}.get, settings(files), clock=clock, access=OPEN)
    with pytest.raises(UnavailableError, match=r"^rtsp\.key: the private key .* does not exist"):
        await server.__aenter__()
    assert server._listener is None


async def test_a_taken_port_names_the_key_of_the_secure_listener(
    server: RtspServer, files: tuple[Path, Path], clock: FakeClock
) -> None:
    second = RtspServer({}.get, settings(files, tls_listen=f"127.0.0.1:{server.tls_port}"), clock=clock, access=OPEN)
    with pytest.raises(UnavailableError, match=r"rtsp\.tls_listen: .* another program uses this port"):
        await second.__aenter__()
