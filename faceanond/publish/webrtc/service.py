"""WHEP without HTTP: takes offers, gives answers, and owns every viewer's session and task."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import structlog

from faceanond.clock import Clock
from faceanond.config.model import WebRtc
from faceanond.publish.packet import Codec
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc import internals
from faceanond.publish.webrtc.addresses import ExternalAddresses
from faceanond.publish.webrtc.errors import NoStreamError, OfferError, TooManyViewersError, UnsupportedOfferError
from faceanond.publish.webrtc.ice import Network
from faceanond.publish.webrtc.peer import configuration
from faceanond.publish.webrtc.protocol import Drop
from faceanond.publish.webrtc.sdp import read_offer
from faceanond.publish.webrtc.session import PROTOCOL, Session
from faceanond.publish.webrtc.shared_port import SharedPort
from faceanond.publish.webrtc.tcp_port import TcpPort
from faceanond.shares import Shares
from faceanond.watching import DEFECT, LEFT, STOPPING

log = structlog.get_logger(__name__)

MOST_ENDED = 1024
"""Sessions that are remembered after their end, so that a viewer who ends one again hears that it has ended."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a viewer gets: the session's secret name, by which it can be ended, and the answer's SDP."""

    session_id: str = field(repr=False)
    sdp: str = field(repr=False)


class WhepService:
    """Serves each offer with a session of its own. Use it as an async context manager, or call `run`.

    `find_stream` gives a camera's stream in a codec, or None. Leaving the context closes every session (each viewer
    gets an RTCP BYE) and waits for them, a few seconds at most. Entering it opens the ports that all viewers share; it
    raises UnavailableError when one of them is taken. `shares` counts the streams of each viewer, for all listeners.
    """

    def __init__(
        self,
        find_stream: Callable[[str, Codec], Stream | None],
        settings: WebRtc,
        *,
        clock: Clock,
        shares: Shares | None = None,
    ) -> None:
        self._find_stream = find_stream
        self._most = settings.max_viewers
        self._clock = clock
        self._shares = shares or Shares({}, clock=clock)
        self._network = _network(settings, clock)
        self._configuration = configuration(settings)
        self._sessions: dict[str, Session] = {}
        # Session name -> (camera, owner), the last to end at the end.
        self._ended: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self.failed = 0
        """Sessions that a defect has ended."""
        self._group: asyncio.TaskGroup | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def sessions(self) -> int:
        """Viewers now, with those that are still connecting."""
        return len(self._sessions)

    def dropped(self) -> dict[str, int]:
        """Datagrams and connections that the ports which all viewers share have dropped, by reason."""
        total: Counter[Drop] = Counter()
        for port in (self._network.shared, self._network.tcp):
            if port is not None:
                total.update(port.dropped)
        return {str(reason): count for reason, count in total.items()}

    async def __aenter__(self) -> Self:
        # Both libraries tell of every packet at debug level and of every connectivity check at info level.
        for name in ("aiortc", "aioice"):
            logging.getLogger(name).setLevel(logging.WARNING)
        await internals.verify()
        await self._open()
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        if self._network.tcp is not None:
            self._watch = self._group.create_task(self._network.tcp.watch(), name="webrtc tcp")
        return self

    async def _open(self) -> None:
        network = self._network
        addresses = network.addresses()
        if not addresses:
            log.warning(
                "no viewer can be served: no interface of webrtc.interfaces has an address",
                interfaces=list(network.interfaces),
            )
        try:
            for port in (network.shared, network.tcp):
                if port is not None:
                    await port.open(addresses)
        except BaseException:
            self._close_network()
            raise

    def _close_network(self) -> None:
        self._network.external.close()
        for port in (self._network.shared, self._network.tcp):
            if port is not None:
                port.close()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        group, self._group = self._group, None
        assert group is not None
        for session in self._sessions.values():
            session.end(STOPPING)
        if self._watch is not None:
            self._watch.cancel()
        try:
            await group.__aexit__(kind, error, trace)
        finally:
            self._close_network()

    async def run(self) -> None:
        """Serves until cancelled."""
        async with self:
            await asyncio.Event().wait()

    async def offer(
        self,
        camera: str,
        sdp: str,
        *,
        local: str | None = None,
        remote: str | None = None,
        owner: str = "",
        client: str = "",
    ) -> Answer:
        """Answers a viewer's offer; `local` is the address of ours on which it came, `remote` the viewer's, where they
        show how it is reached, `owner` whose session it will be, and `client` the address that the log names.

        Raises MalformedOfferError, UnsupportedOfferError, NoStreamError, OverShareError, TooManyViewersError, or plain
        OfferError when the service stops meanwhile.
        """
        if self._group is None:
            raise OfferError("the server is stopping")
        offer = read_offer(sdp)
        stream = self._find_stream(camera, offer.codec)
        if stream is None:
            if self._find_stream(camera, Codec.H264) is not None:
                raise UnsupportedOfferError(
                    f"the offer has no H.264 Baseline with packetization-mode=1, and {offer.codec.upper()} is switched "
                    "off for this camera (encode.vp8)"
                )
            raise NoStreamError(f'camera "{camera}" has no stream now')
        with ExitStack() as undo:
            place = undo.enter_context(self._shares.take(owner, PROTOCOL))
            if len(self._sessions) >= self._most:
                raise TooManyViewersError(f"all {self._most} places for viewers are taken (webrtc.max_viewers)")
            session = Session(
                camera,
                stream,
                offer,
                configuration=self._configuration,
                network=self._network,
                local=local,
                remote=remote,
                clock=self._clock,
                place=place,
                owner=owner,
                client=client,
            )
            task = self._group.create_task(self._serve(session), name=f"webrtc session {camera}")
            self._sessions[session.id] = session
            # A callback, because a task that is cancelled before it has begun runs no `finally`.
            task.add_done_callback(lambda _: self._forget(session))
            undo.pop_all()  # from here on the place is the session's
        try:
            return Answer(session.id, await session.answer())
        except asyncio.CancelledError:
            session.end("offer abandoned")
            raise

    async def end(self, session_id: str, *, camera: str | None = None, owner: str = "") -> bool:
        """Ends a session, or leaves it alone when it has ended; returns before everything of it is closed.

        False when that owner never had a session of that name (at that camera), or so long ago that it is forgotten.
        """
        session = self._find(session_id, camera, owner)
        if session is None:
            ended = self._ended.get(session_id)
            return ended is not None and ended == (camera or ended[0], owner)
        session.end(LEFT)
        return True

    def has(self, session_id: str, *, camera: str, owner: str = "") -> bool:
        """Whether that owner has a session of that name at that camera."""
        return self._find(session_id, camera, owner) is not None

    async def add_candidates(self, session_id: str, fragment: str, *, camera: str, owner: str = "") -> bool:
        """Gives a session the candidates that its viewer found after its offer; False when there is no such session.

        Raises MalformedOfferError, or UnsupportedOfferError for an ICE restart.
        """
        session = self._find(session_id, camera, owner)
        if session is None:
            return False
        await session.add_candidates(fragment)
        return True

    def _find(self, session_id: str, camera: str | None, owner: str) -> Session | None:
        session = self._sessions.get(session_id)
        if session is None or session.owner != owner or session.camera != (camera or session.camera):
            return None
        return session

    async def _serve(self, session: Session) -> None:
        try:
            await session.run()
        except Exception:  # One viewer's trouble must not end the group, that is all viewers.
            session.end(DEFECT)
            self.failed += 1
            log.exception("viewer session failed", camera=session.camera)

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        self._ended[session.id] = (session.camera, session.owner)
        if len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)
        session.refuse(OfferError("the server is stopping"))


def _network(settings: WebRtc, clock: Clock) -> Network:
    first, last = settings.udp_ports
    return Network(
        settings.udp_ports,
        settings.interfaces,
        ExternalAddresses(settings.external_addresses, clock=clock),
        SharedPort(first) if first and first == last else None,
        TcpPort(settings.tcp_port, most=2 * settings.max_viewers + SPARE, clock=clock) if settings.tcp_port else None,
    )


SPARE = 32
"""TCP connections beyond two for each viewer: those that have not yet said whose they are."""
