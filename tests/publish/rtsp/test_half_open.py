"""Players whose machine vanishes without a word: from one moment on the network between us drops everything."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import pytest

from faceanond.access import OPEN
from faceanond.clock import SystemClock
from faceanond.config.model import Rtsp
from faceanond.publish.rtsp.server import RtspServer
from faceanond.publish.stream import Stream
from tests.e2e.netns import SERVER, Lab, lab
from tests.publish.rtsp.player import Player
from tests.publish.sealed import packet
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

GONE = "table ip gone { chain base { type filter hook forward priority 30; policy drop; }; }"
SLOWEST = 20.0
"""Seconds after which any player must be gone: ten without an answer, what TCP's timers are late, and some air for a
busy machine."""


PORTS = 5000, 5001
"""At which the player over UDP listens, so that not even a refusal comes from it."""


async def connected(viewer: Lab, port: int) -> Player:
    """A player on the viewer's machine."""
    with viewer.viewer.entered():
        connection = socket.create_connection((SERVER, port), timeout=5)
    connection.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=connection)
    return Player(reader, writer, f"rtsp://{SERVER}:{port}")


def listening(viewer: Lab) -> list[socket.socket]:
    """The UDP sockets of a player on the viewer's machine."""
    with viewer.viewer.entered():
        ears = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in PORTS]
        for ear, port in zip(ears, PORTS, strict=True):
            ear.bind(("", port))
    return ears


async def watching(player: Player) -> None:
    assert (await player.play()).status == 200


async def paused(player: Player) -> None:
    await watching(player)
    assert (await player.ask("PAUSE")).status == 200


async def over_udp(player: Player) -> None:
    assert (await player.play(f"RTP/AVP;unicast;client_port={PORTS[0]}-{PORTS[1]}")).status == 200


async def without_session(player: Player) -> None:
    assert (await player.ask("OPTIONS")).status == 200


async def test_players_whose_machine_vanishes_are_gone_within_seconds() -> None:
    clock = SystemClock()
    stream = Stream("yard", clock=clock)

    async def film() -> None:
        for number in range(10_000):
            stream.write(packet(number, keyframe=number % 25 == 0, size=2000, encoded=clock.monotonic()))
            await asyncio.sleep(0.04)

    gone: dict[str, float] = {}
    # Everything that this test opens lies in the server's network, but for the players.
    with lab() as network, network.server.entered():
        async with asyncio.TaskGroup() as tasks:
            filming = tasks.create_task(film(), name="film")
            async with RtspServer({"yard": stream}.get, Rtsp(listen=f"{SERVER}:0"), clock=clock, access=OPEN) as server:
                known: dict[object, str] = {}
                players = []
                ears = listening(network)
                for prepare in (watching, paused, over_udp, without_session):
                    player = await connected(network, server.port)
                    await prepare(player)
                    players.append(player)
                    (new,) = set(server._connections) - set(known)
                    known[new] = prepare.__name__
                assert server.sessions == 3
                network.router.run("nft", "-f", "-", text=GONE)
                cut = time.monotonic()

                def left(connection: object) -> Callable[[], bool]:
                    return lambda: connection not in server._connections

                async def note(connection: object, name: str) -> None:
                    async with asyncio.timeout(SLOWEST + 10):
                        await until(left(connection))
                    gone[name] = time.monotonic() - cut

                async with asyncio.TaskGroup() as waiting:
                    for connection, name in known.items():
                        waiting.create_task(note(connection, name), name=name)
                assert (server.sessions, stream.viewers()) == (0, {"rtsp": 0})
            filming.cancel()
        for player in players:
            player.writer.transport.abort()
        for ear in ears:
            ear.close()
    for name, seconds in gone.items():
        print(f"{name}: gone {seconds:.1f} s after its network")
    assert max(gone.values()) <= SLOWEST
