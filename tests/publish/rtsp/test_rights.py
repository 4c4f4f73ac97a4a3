"""Who may see which camera, over a whole connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pydantic import SecretStr

from faceanond.access import Access
from faceanond.config.model import Rtsp, Viewer
from faceanond.logins import FailedLogins
from faceanond.publish.rtsp.digest import REALM, Digest
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from tests.conftest import FakeClock
from tests.publish.rtsp.player import TCP, Player, connected
from tests.publish.sealed import packet
from tests.waiting import until

ACCESS = Access(
    {
        "guard": Viewer(password=SecretStr("secret-1")),
        "porter": Viewer(password=SecretStr("secret-2"), cameras=("gate*",)),
    }
)


@pytest.fixture
async def streams(clock: FakeClock) -> dict[str, Stream]:
    streams = {name: Stream(name, clock=clock) for name in ("yard", "gate")}
    for stream in streams.values():
        stream.write(packet(0, keyframe=True, encoded=clock.monotonic()))
    return streams


@pytest_asyncio.fixture
async def server(clock: FakeClock, streams: dict[str, Stream]) -> AsyncIterator[RtspServer]:
    settings = Rtsp(listen="127.0.0.1:0")
    async with RtspServer(streams.get, settings, clock=clock, access=ACCESS, failures=FailedLogins(clock)) as server:
        yield server


@pytest_asyncio.fixture
async def player(server: RtspServer) -> AsyncIterator[Player]:
    async with connected(server.port) as player:
        yield player


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_a_viewer_who_logs_in_plays_without_being_asked_again(
    player: Player, streams: dict[str, Stream], clock: FakeClock, algorithm: str
) -> None:
    answer = await player.ask_as("guard", "secret-1", "DESCRIBE", algorithm=algorithm)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/sdp")
    setup = await player.ask_as("guard", "secret-1", "SETUP", "/yard/trackID=0", algorithm=algorithm, Transport=TCP)
    assert setup.status == 200
    assert (await player.ask("PLAY")).status == 200
    await clock.advance(120.0)  # the nonce is long expired
    assert (await player.ask("GET_PARAMETER")).status == 200
    assert (await player.ask("PAUSE")).status == 200
    assert (await player.ask("TEARDOWN")).status == 200


async def test_the_proof_for_setup_may_name_the_camera_instead_of_its_track(player: Player) -> None:
    """live555 (VLC) does so."""
    first = await player.ask("SETUP", "/yard/trackID=0", Transport=TCP)
    nonce = first.headers["WWW-Authenticate"].split('nonce="')[1].split('"')[0]
    base, player.base = player.base, ""
    given = proof(nonce, f"{base}/yard/")
    answer = await player.ask("SETUP", f"{base}/yard/trackID=0", Transport=TCP, Authorization=given)
    assert answer.status == 200


def proof(nonce: str, uri: str) -> str:
    response = Digest("guard", REALM, nonce, uri, "").expected("secret-1", "SETUP")
    return f'Digest username="guard", realm="{REALM}", nonce="{nonce}", uri="{uri}", response="{response}"'


@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP"])
async def test_who_has_not_logged_in_cannot_tell_which_cameras_there_are(player: Player, method: str) -> None:
    answers = [await player.ask(method, path, Transport=TCP) for path in ("/yard", "/gate", "/nowhere", "/", "*")]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.headers["WWW-Authenticate"] for answer in answers}) == 1
    assert {frozenset(answer.headers) for answer in answers} == {frozenset(answers[0].headers)}


@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP"])
async def test_a_camera_that_a_viewer_may_not_see_looks_like_one_that_is_not_there(player: Player, method: str) -> None:
    hidden, missing = [
        await player.ask_as("porter", "secret-2", method, path, Transport=TCP) for path in ("/yard", "/nowhere")
    ]
    assert hidden.status == missing.status == 404
    assert {**hidden.headers, "CSeq": ""} == {**missing.headers, "CSeq": ""}
    assert (await player.ask_as("porter", "secret-2", method, "/gate", Transport=TCP)).status == 200


async def test_a_session_cannot_be_used_by_another_viewer_of_the_same_connection(player: Player) -> None:
    assert (await player.ask_as("porter", "secret-2", "SETUP", "/gate/trackID=0", Transport=TCP)).status == 200
    answer = await player.ask_as("guard", "secret-1", "SETUP", "/gate/trackID=0", Transport=TCP)
    assert answer.status == 403
    assert (await player.ask_as("guard", "secret-1", "DESCRIBE", "/yard")).status == 403


async def test_a_session_cannot_be_used_from_another_connection(player: Player, server: RtspServer) -> None:
    assert (await player.ask_as("guard", "secret-1", "SETUP", "/yard/trackID=0", Transport=TCP)).status == 200
    async with connected(server.port) as thief:
        for method in ("PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER"):
            assert (await thief.ask(method, Session=player.session)).status == 454
        thief.session = ""
        assert (await thief.ask("PLAY")).status == 454
    assert server.sessions == 1


async def test_options_and_signs_of_life_need_no_login(player: Player) -> None:
    assert (await player.ask("OPTIONS", "/nowhere")).status == 200
    assert (await player.ask("GET_PARAMETER", "/yard")).status == 200
    assert (await player.ask("GET_PARAMETER", "/nowhere")).status == 200


async def test_a_connection_on_which_nobody_logs_in_ends_however_busy_it_is(
    player: Player, server: RtspServer, clock: FakeClock
) -> None:
    for _ in range(3):
        await clock.advance(9.0)
        assert (await player.ask("DESCRIBE")).status == 401
    await clock.advance(4.0)
    assert await player.ended()
    await until(lambda: not server._connections)


async def test_a_viewer_who_has_logged_in_may_take_time_to_set_up(player: Player, clock: FakeClock) -> None:
    await player.ask_as("guard", "secret-1", "DESCRIBE")
    for _ in range(4):
        await clock.advance(20.0)
        assert (await player.ask("OPTIONS")).status == 200


async def test_a_wrong_password_is_answered_after_a_second_and_noted(
    player: Player, server: RtspServer, clock: FakeClock
) -> None:
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(player.ask_as("guard", "secret-9", "DESCRIBE"), name="describe")
        await until(lambda: server._shared.failures.counts["rtsp"])
        await clock.advance(0.9)
        assert not answer.done()
        await clock.advance(0.2)
    assert answer.result().status == 401
