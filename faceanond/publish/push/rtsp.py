"""One push over RTSP (RFC 2326, 10.3 and 10.11): OPTIONS, ANNOUNCE, SETUP, RECORD, packets, TEARDOWN.

Every step has a limit of time. While it records, four things run side by side: packets go out, the server is read, it
is told in time that we are still there, and somebody watches whether it still takes what it is sent.
"""

from __future__ import annotations

import asyncio
import errno
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from faceanond.clock import Clock
from faceanond.errors import PushError, PushFault
from faceanond.publish import rtp
from faceanond.publish.deadline import first_of, within
from faceanond.publish.push.conversation import ANSWER, Conversation, require
from faceanond.publish.push.delivery import Delivery, UdpDelivery, parameter
from faceanond.publish.push.login import Login
from faceanond.publish.push.network import Network, within_machine
from faceanond.publish.push.replies import Reply
from faceanond.publish.push.target import Target
from faceanond.publish.rtp import Packetiser
from faceanond.publish.rtsp import sdp
from faceanond.publish.rtsp.delivery import TcpDelivery
from faceanond.publish.rtsp.paths import TRACK
from faceanond.publish.rtsp.reports import Reports
from faceanond.publish.rtsp.transport import OverTcp, pair
from faceanond.publish.stream import Role, Stream, StreamClosedError

SESSION_TIMEOUT = 60
"""Seconds after which a server forgets a session that it hears nothing of, unless it names others (12.37)."""
SHORTEST_TIMEOUT = 4
"""Seconds: a server that wants to hear from us more often than every two is not obeyed."""
STALLED = 10.0
"""Seconds after which a server that takes no more bytes is given up."""
REFUSED = 10.0
"""Seconds for a server whose machine answers that its UDP port is closed."""
HEARTBEAT = 10.0
"""Seconds between two signs of life at most, though servers wait for longer: their answer is a sign of theirs."""
WATCH_EVERY = 1.0
"""Seconds between two looks whether the server still takes data."""
FAREWELL = 1.0
"""Seconds for TEARDOWN and its answer; without it some servers keep the path taken for a minute."""
_SESSION = re.compile(r"([\x21-\x3a\x3c-\x7e]{1,256})(?:[ \t]*;[ \t]*timeout[ \t]*=[ \t]*(\d{1,6}))?.*")


class RtspPush:
    """One attempt. `run` ends with an exception, always, and frees everything."""

    def __init__(
        self, target: Target, stream: Stream, network: Network, *, clock: Clock, connected: Callable[[], None]
    ) -> None:
        self._target = target
        self._stream = stream
        self._network = network
        self._clock = clock
        self._connected = connected
        self._packetiser = Packetiser(
            ssrc=secrets.randbits(32), sequence=secrets.randbits(16), offset=secrets.randbits(32)
        )
        self._reports = Reports(self._packetiser, camera=target.camera, clock=clock)

    async def run(self) -> None:
        """Sends until it fails. Raises PushError, or StreamClosedError when the camera was taken away."""
        try:
            async with self._conversation() as talk, asyncio.TaskGroup() as tasks:
                tasks.create_task(talk.read(), name="push: read")
                await self._record(talk)
        except BaseExceptionGroup as group:
            raise _translated(first_of(group, PushError, StreamClosedError, OSError)) from None
        except OSError as error:
            raise _translated(error) from None

    @asynccontextmanager
    async def _conversation(self) -> AsyncIterator[Conversation]:
        target, settings = self._target, self._target.settings
        tls = await self._network.tls(verify=settings.tls_verify) if target.encrypted else None
        reader, writer = await self._network.connect(target.host, target.port, tls)
        talk = Conversation(reader, writer, self._login(writer), clock=self._clock)
        try:
            yield talk
        finally:
            await talk.output.close()

    def _login(self, writer: asyncio.StreamWriter) -> Login | None:
        settings = self._target.settings
        if not settings.username:
            return None
        own, peer = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
        unread = self._target.encrypted or (own and peer and within_machine(str(own[0]), str(peer[0])))
        return Login(
            settings.username,
            settings.password.get_secret_value(),
            allow_basic=settings.allow_basic or bool(unread),
        )

    async def _record(self, talk: Conversation) -> None:
        url = self._target.url
        options = await talk.ask("OPTIONS", url)
        sets = await self._stream.described()
        description = sdp.describe(self._target.camera, sets, address=str(talk.socket.getsockname()[0]))
        require(await talk.ask("ANNOUNCE", url, {"Content-Type": "application/sdp"}, description), "ANNOUNCE")
        delivery, timeout = await self._set_up(talk)
        try:
            require(await talk.ask("RECORD", url, {"Range": "npt=0.000-"}), "RECORD")
            alive = "GET_PARAMETER" if "GET_PARAMETER" in options.header("public").upper() else "OPTIONS"
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._carry(delivery), name="push: carry")
                tasks.create_task(self._keep_alive(talk, alive, timeout), name="push: keepalive")
                tasks.create_task(self._watch(talk, delivery), name="push: watch")
        finally:
            if self._packetiser.packets and talk.usable:
                delivery.send_rtcp(rtp.goodbye(self._packetiser, cname=self._target.camera))
            try:
                await self._take_leave(talk)
            finally:
                delivery.close()

    async def _set_up(self, talk: Conversation) -> tuple[Delivery, float]:
        """The way out, and the seconds after which the server forgets a session that it hears nothing of."""
        track = f"{self._target.url.rstrip('/')}/{TRACK}"
        if self._target.settings.transport == "tcp":
            reply = await self._ask_setup(talk, track, "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record")
            channels = pair(parameter(reply.header("transport"), "interleaved") or "0-1", 255)
            if channels is None or not reply.header("transport").upper().startswith("RTP/AVP/TCP"):
                raise PushError(PushFault.MALFORMED, "the server's answer to SETUP names no channels for TCP")
            return TcpDelivery(talk.output, OverTcp(channels)), _timeout(reply)
        delivery = UdpDelivery(clock=self._clock)
        try:
            delivery.bind(talk.socket)
            first, second = delivery.ports
            reply = await self._ask_setup(talk, track, f"RTP/AVP/UDP;unicast;client_port={first}-{second};mode=record")
            ports = pair(parameter(reply.header("transport"), "server_port"), 65535)
            if ports is None or min(ports) == 0:
                raise PushError(PushFault.MALFORMED, "the server's answer to SETUP names no ports for UDP")
            await delivery.open(talk.socket, ports)
        except BaseException:
            delivery.close()
            raise
        return delivery, _timeout(reply)

    async def _ask_setup(self, talk: Conversation, track: str, transport: str) -> Reply:
        reply = require(await talk.ask("SETUP", track, {"Transport": transport}), "SETUP")
        session = _SESSION.fullmatch(reply.header("session"))
        if session is None:
            raise PushError(PushFault.MALFORMED, "the server's answer to SETUP names no session")
        talk.session = session[1]
        return reply

    # While it records

    async def _carry(self, delivery: Delivery) -> None:
        async with self._stream.subscribe(self._target.protocol, role=Role.MEDIA_SERVER) as reader:
            self._connected()
            while True:
                packet = await reader.get()
                delivery.send(self._packetiser.pack(packet))
                if (report := self._reports.due(packet)) is not None:
                    delivery.send_rtcp(report)
                await delivery.ready()

    async def _keep_alive(self, talk: Conversation, method: str, timeout: float) -> None:
        """Says in time that we are there, and sees whether the server still is.

        What a server takes over TCP says little about it: the kernel takes megabytes in its place. So one that has
        answered once must go on answering. One that never does may be of the kind that does not while it records.
        """
        answers = False
        while True:
            try:
                reply = await talk.ask(method, self._target.url)
            except PushError as error:
                if error.fault is not PushFault.TIMEOUT:
                    raise
                if answers:
                    raise PushError(PushFault.STALLED, f"the server has not answered for {ANSWER:.0f} s") from None
            else:
                answers = True
                if reply.status == 454:
                    raise PushError(PushFault.CLOSED, "the server has forgotten the session")
                if reply.status >= 400:
                    method = "OPTIONS"
            await self._clock.sleep(min(timeout / 2, HEARTBEAT))

    async def _watch(self, talk: Conversation, delivery: Delivery) -> None:
        while True:
            await self._clock.sleep(WATCH_EVERY)
            now = self._clock.monotonic()
            blocked = talk.output.blocked_since
            if blocked is not None and now - blocked >= STALLED:
                raise PushError(PushFault.STALLED, f"the server took no data for {STALLED:.0f} s")
            refused = delivery.refused_at if isinstance(delivery, UdpDelivery) else None
            if refused is not None and now - refused >= REFUSED:
                raise PushError(PushFault.STALLED, "the server's UDP port is closed")

    async def _take_leave(self, talk: Conversation) -> None:
        """TEARDOWN, where the server can still hear it."""
        if not talk.usable:
            talk.abort()
            return
        late = PushError(PushFault.TIMEOUT, "no answer to TEARDOWN")
        try:
            await within(self._clock, FAREWELL, talk.ask("TEARDOWN", self._target.url), late)
        except (PushError, OSError):
            return


def _timeout(reply: Reply) -> float:
    """The session's timeout in seconds."""
    session = _SESSION.fullmatch(reply.header("session"))
    named = int(session[2]) if session is not None and session[2] else SESSION_TIMEOUT
    return max(named or SESSION_TIMEOUT, SHORTEST_TIMEOUT)


def _translated(error: BaseException) -> BaseException:
    """A connection that broke, in words; any other error as it is."""
    if not isinstance(error, OSError):
        return error
    if error.errno == errno.ETIMEDOUT:
        # TCP_USER_TIMEOUT: its machine is gone, or its buffers are full and stay so.
        return PushError(PushFault.STALLED, "the server took no data for ten seconds")
    return PushError(PushFault.CLOSED, f"the connection to the server broke: {error.strerror or error}")
