"""One RTSP connection: reads requests, answers them in order, and owns the session that they make.

Whatever a client does ends at most its own connection.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from faceanond.access import Access
from faceanond.clock import Clock
from faceanond.logins import FailedLogins
from faceanond.publish.rtsp import sdp, transport
from faceanond.publish.rtsp.delivery import Delivery, Output, TcpDelivery, UdpDelivery
from faceanond.publish.rtsp.login import Login
from faceanond.publish.rtsp.messages import Interleaved, Request, Response, RtspError
from faceanond.publish.rtsp.parser import Parser
from faceanond.publish.rtsp.paths import TRACK, base, camera_of
from faceanond.publish.rtsp.session import PROTOCOL, TIMEOUT, Session, soon
from faceanond.publish.rtsp.transport import OverTcp, OverUdp
from faceanond.publish.stream import Stream, StreamClosedError
from faceanond.ratelimit import RateLimited
from faceanond.shares import OverShareError, Place, Shares
from faceanond.watching import DEFECT, LEFT, STOPPING, Watch, Who

log = structlog.get_logger(__name__)

STALLED = 10.0
"""Seconds after which a peer that takes no more bytes is dropped."""
IDLE = 30.0
"""Seconds that a connection without a session may stay silent, and that nobody may have logged in on it."""
HANDSHAKE = 10.0
"""Seconds for the TLS handshake."""
MOST_MESSAGES = 50
"""Requests and RTCP packets a second: players send under ten, and each holds up the loop a little."""
READ = 16 * 1024


@dataclass(slots=True)
class Shared:
    """What all connections of one server have in common."""

    find_stream: Callable[[str], Stream | None]
    clock: Clock
    access: Access
    failures: FailedLogins
    shares: Shares
    max_sessions: int
    sessions: int = 0
    refused: RateLimited[str] = field(default_factory=RateLimited)
    """Clients that speak nonsense or are too many, for the log."""


class Connection:
    """Made by the server for each client; `run` returns when it is over, with everything freed.

    With `tls` the client has to begin with a handshake, and reading must be paused until `run`.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        shared: Shared,
        *,
        peer: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._tls = tls
        self._mute = False
        self._output = Output(writer, clock=shared.clock)
        self._shared = shared
        self._clock = shared.clock
        self._parser = Parser()
        self._session: Session | None = None
        self._place: Place | None = None
        self._watch: Watch | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._began = self._heard = shared.clock.monotonic()
        self._second, self._messages = self._began, 0
        self._after: Callable[[], None] | None = None
        self.client = peer
        self._login = Login(shared.access, shared.failures, peer=peer, secure=tls is not None, clock=shared.clock)
        self._methods: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "OPTIONS": self._options,
            "DESCRIBE": self._describe,
            "SETUP": self._setup,
            "PLAY": self._play,
            "PAUSE": self._pause,
            "GET_PARAMETER": self._parameter,
            "SET_PARAMETER": self._parameter,
            "TEARDOWN": self._teardown,
        }

    @property
    def _who(self) -> Who:
        viewer = self._login.viewer
        return Who(viewer.name if viewer is not None else "", self.client)

    @property
    def busy(self) -> bool:
        """Whether a player is set up on it."""
        return self._session is not None

    async def run(self) -> None:
        """Serves the client until either side has had enough."""
        reason = STOPPING  # nobody else cancels it
        try:
            reason = await self._converse()
        except Exception:
            reason = DEFECT
            raise
        finally:
            self._end_session(reason)
            if self._mute:
                self.abort()
            else:
                await self._output.close()

    def check(self) -> None:
        """Ends the connection when its client is gone without a word; called every second by the server."""
        now = self._clock.monotonic()
        reason = None
        if self._output.blocked_since is not None and now - self._output.blocked_since >= STALLED:
            reason = "it takes no more data"
        elif self._session is not None:
            reason = self._session.overdue()
        elif now - self._heard >= IDLE:
            reason = "idle"
        elif self._login.viewer is None and now - self._began >= IDLE:
            reason = "nobody logged in"
        if reason is not None:
            log.debug("connection dropped", client=self.client, reason=reason)
            self._end_session(reason)
            self.abort()

    def abort(self) -> None:
        """Cuts the connection; reading and writing fail at once, which ends `run`."""
        self._writer.transport.abort()

    async def _converse(self) -> str:
        """Serves the client; gives the reason why that is over."""
        reason = LEFT
        try:
            async with asyncio.TaskGroup() as self._tasks:
                if self._tls is not None:
                    await self._shake_hands(self._tls)
                await self._serve()
                if self._session is not None:
                    await self._session.pause()
        except* StreamClosedError as errors:
            reason = str(errors.exceptions[0])
        except* OSError as errors:
            # The peer is gone in one of the many ways that a network knows.
            log.debug("connection lost", client=self.client, reason=str(errors.exceptions[0]))
        return reason

    async def _shake_hands(self, context: ssl.SSLContext) -> None:
        """Raises OSError (TimeoutError, ConnectionError, ssl.SSLError) when it does not come to a secure connection."""
        try:
            await self._writer.start_tls(context, ssl_handshake_timeout=HANDSHAKE)
        except BaseException:
            # Nothing is left to say, and asyncio would not tell us that the connection is closed.
            self._mute = True
            raise
        # The limits of the buffer are those of the transport, and this is a new one.
        self._output = Output(self._writer, clock=self._clock)

    async def _serve(self) -> None:
        while data := await self._reader.read(READ):
            self._parser.feed(data)
            while True:
                try:
                    message = self._parser.next()
                    if message is None:
                        break
                    self._count()
                except RtspError as error:
                    self._tell(str(error))
                    await self._send(Response(error.status, {"Connection": "close"}), "")
                    return
                if isinstance(message, Interleaved):
                    if self._session is not None:
                        self._session.rtcp(message.data)
                else:
                    await self._answer(message)

    def _count(self) -> None:
        """Raises RtspError when there are too many messages a second."""
        now = self._clock.monotonic()
        if now - self._second >= 1.0:
            self._second, self._messages = now, 0
        self._messages += 1
        if self._messages > MOST_MESSAGES:
            raise RtspError(503, "too many messages a second")

    async def _answer(self, request: Request) -> None:
        self._heard = self._clock.monotonic()
        cseq = request.header("cseq")
        try:
            if not (cseq.isascii() and cseq.isdigit() and len(cseq) <= 10):
                cseq = ""
                raise RtspError(400, "no CSeq")
            response = await self._dispatch(request)
        except RtspError as error:
            response = Response(error.status, error.headers)
            log.debug("request refused", client=self.client, method=request.method, reason=str(error))
        await self._send(response, cseq)
        after, self._after = self._after, None
        if after is not None:
            after()

    async def _dispatch(self, request: Request) -> Response:
        if request.header("require"):
            raise RtspError(551, headers={"Unsupported": request.header("require")})
        handler = self._methods.get(request.method)
        if handler is None:
            known = request.method in ("ANNOUNCE", "RECORD", "REDIRECT")
            raise RtspError(405 if known else 501, headers={"Allow": ", ".join(self._methods)})
        named = request.header("session").partition(";")[0].strip()
        if named and (self._session is None or self._session.id != named):
            raise RtspError(454)
        if self._session is not None:
            self._session.touch()
        return await handler(request)

    async def _send(self, response: Response, cseq: str) -> None:
        headers = {"Server": "faceanond", **response.headers}
        self._output.write(Response(response.status, headers, response.body).encode(cseq))
        await self._output.drained()

    # The methods

    async def _options(self, request: Request) -> Response:
        return Response(headers={"Public": ", ".join(self._methods)})

    async def _describe(self, request: Request) -> Response:
        accept = request.header("accept")
        if accept and "application/sdp" not in accept and "*/*" not in accept:
            raise RtspError(406)
        stream = await self._stream(request)
        sets = stream.parameter_sets or await soon(self._clock, stream.described())
        if sets is None:
            raise RtspError(503, "no picture has been encoded yet", headers={"Retry-After": "2"})
        local = str(self._writer.get_extra_info("sockname")[0])
        return Response(
            headers={"Content-Base": base(request.url) + "/", "Content-Type": "application/sdp"},
            body=sdp.describe(stream.camera, sets, address=local),
        )

    async def _setup(self, request: Request) -> Response:
        stream = await self._stream(request)
        session = self._session
        if session is not None and session.stream is not stream:
            raise RtspError(459, "one camera at a time on a connection")
        if session is not None and session.playing:
            raise RtspError(455)
        # RTP over UDP would travel outside TLS, for everybody to see.
        wanted = transport.choose(request.header("transport"), udp=self._tls is None)
        if session is None:
            session = self._begin_session(stream)
        try:
            session.set_up(await self._delivery(wanted, session))
        except RtspError:
            self._end_session(LEFT)
            raise
        chosen = f"{session.delivery.transport_header};ssrc={session.packetiser.ssrc:08X}"
        return Response(headers={"Transport": chosen, "Session": f"{session.id};timeout={TIMEOUT}"})

    def _begin_session(self, stream: Stream) -> Session:
        """Raises RtspError when there is no place for it."""
        try:
            place = self._shared.shares.take(self._who.viewer, PROTOCOL)
        except OverShareError as error:
            raise RtspError(503, str(error), headers={"Retry-After": str(error.retry_after)}) from None
        if self._shared.sessions >= self._shared.max_sessions:
            place.release()
            self._tell("rtsp.max_sessions reached")
            raise RtspError(503, headers={"Retry-After": "10"})
        self._place = place
        self._session = Session(stream, clock=self._clock)
        self._shared.sessions += 1
        return self._session

    async def _delivery(self, wanted: OverTcp | OverUdp, session: Session) -> Delivery:
        if isinstance(wanted, OverTcp):
            return TcpDelivery(self._output, wanted)
        delivery = UdpDelivery(wanted, clock=self._clock, heard=session.rtcp)
        await delivery.open(self._writer.get_extra_info("socket"))
        return delivery

    async def _play(self, request: Request) -> Response:
        session = self._required(request)
        info = f"url={base(request.url).removesuffix('/' + TRACK)}/{TRACK}"
        headers = {"Session": session.id, "Range": "npt=now-"}
        if session.playing:
            return Response(headers=headers)
        first = await session.cue()
        info += f";seq={session.packetiser.next_sequence}"
        if first is not None:
            info += f";rtptime={session.packetiser.rtp_time(first.timestamp)}"
        assert self._tasks is not None
        # Packets follow the answer, never overtake it.
        self._after = partial(session.start, first, self._tasks)
        self._watch = Watch(
            session.stream.camera,
            self._who,
            protocol=PROTOCOL,
            transport="tls" if self._tls is not None else session.delivery.name,
            clock=self._clock,
        )
        return Response(headers={**headers, "RTP-Info": info})

    async def _pause(self, request: Request) -> Response:
        session = self._required(request)
        await session.pause()
        self._stop_watching("paused")
        return Response(headers={"Session": session.id})

    async def _parameter(self, request: Request) -> Response:
        """A sign of life; there are no parameters."""
        if request.body.strip():
            raise RtspError(451)
        return Response(headers={"Session": self._session.id} if self._session is not None else {})

    async def _teardown(self, request: Request) -> Response:
        session = self._required(request)
        await session.pause()
        self._end_session(LEFT)
        return Response()

    # What the methods need

    def _required(self, request: Request) -> Session:
        """The session that a request must name."""
        if self._session is None or not request.header("session"):
            raise RtspError(454)
        return self._session

    async def _stream(self, request: Request) -> Stream:
        """The camera that a request names, if whoever asks may see it; else it looks as if there were none."""
        viewer = await self._login.demand(request)
        name = camera_of(request.url)
        stream = self._shared.find_stream(name) if viewer.may_watch(name) else None
        if stream is None:
            raise RtspError(404)
        return stream

    def _tell(self, reason: str) -> None:
        """Logs why a client is refused, at most once a second for all of them."""
        if told := self._shared.refused.note(reason, self._clock.monotonic()):
            log.warning("client refused", client=self.client, reason=told.last, count=told.count)

    def _stop_watching(self, reason: str) -> None:
        if self._watch is not None:
            self._watch.end(reason)
            self._watch = None

    def _end_session(self, reason: str) -> None:
        self._stop_watching(reason)
        if self._session is not None:
            self._session.end()
            self._session = None
            self._shared.sessions -= 1
            if self._place is not None:
                self._place.release()
