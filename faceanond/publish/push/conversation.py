"""One connection to an RTSP server: requests and their answers, with a limit of time for each.

Two tasks use it: one runs `read` for as long as the connection lasts, the other asks. One request at a time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import cast

from faceanond.clock import Clock
from faceanond.errors import PushError, PushFault
from faceanond.publish.deadline import within
from faceanond.publish.push.login import Login
from faceanond.publish.push.replies import Asked, Message, Replies, Reply
from faceanond.publish.rtsp.delivery import Output
from faceanond.publish.rtsp.messages import Interleaved, Response

ANSWER = 10.0
"""Seconds for the answer to a request: some servers start a program of their own before they answer."""
MOST_LOGINS = 3
"""Times that one request is asked again with a login: a stale nonce is renewed, a wrong password stays wrong."""
READ = 64 * 1024
UNKNOWN_LOGIN = "the server asks for a login of a kind that is not known here; Basic and Digest (MD5, SHA-256) are"
READABLE = (
    "the server asks for the password by Basic only, which anyone in between could read; push over rtsps:, let the "
    "server offer Digest (MediaMTX: rtspAuthMethods: [digest]), or set allow_basic = true in [push]"
)
REDIRECTS = frozenset((300, 301, 302, 303, 305, 307, 308))


class Conversation:
    """The connection's two ends, `reader` and `writer`, are closed by `output.close`."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, login: Login | None, *, clock: Clock
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._login = login
        self._clock = clock
        self._replies = Replies()
        self._cseq = 0
        self._waiting: asyncio.Future[Reply] | None = None
        self._over = False
        self.output = Output(writer, clock=clock)
        self.session = ""
        """The server's name for this session; empty before SETUP."""

    @property
    def socket(self) -> socket.socket:
        """The connection itself, for its two addresses."""
        return cast(socket.socket, self._writer.get_extra_info("socket"))

    @property
    def usable(self) -> bool:
        """Whether the server can still be asked something: it has not hung up, and takes what it is sent."""
        return not self._over and self.output.blocked_since is None

    def abort(self) -> None:
        """Cuts the connection; reading and writing fail at once."""
        self._writer.transport.abort()

    async def read(self) -> None:
        """Takes what the server sends, until it hangs up. Always ends with a PushError or OSError."""
        try:
            while data := await self._reader.read(READ):
                self._replies.feed(data)
                while (message := self._replies.next()) is not None:
                    await self._take(message)
        finally:
            self._over = True
        raise PushError(PushFault.CLOSED, "the server closed the connection")

    async def _take(self, message: Message) -> None:
        match message:
            case Reply():
                self._answered(message)
            case Asked():
                # Keepalives of the server's own, mostly: any answer will do.
                cseq = message.cseq if message.cseq.isascii() and message.cseq.isdigit() else ""
                self.output.write(Response(501).encode(cseq[:10]))
                await self.output.drained()
            case Interleaved():
                """Reports about what we send; nothing depends on them."""

    async def ask(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        """The server's answer, whatever its status, with a login where it asks for one.

        Raises PushError when it does not come in time, or the login is refused; OSError when the connection is gone.
        """
        for attempt in range(1 + MOST_LOGINS):
            reply = await self._ask_once(method, url, dict(headers or {}), body)
            if reply.status != 401:
                return reply
            if self._login is None:
                raise PushError(
                    PushFault.UNAUTHORISED, "the server asks for a login; give username and password in [push]"
                )
            if not self._login.take(reply.header("www-authenticate")):
                raise PushError(PushFault.UNAUTHORISED, READABLE if self._login.basic_only else UNKNOWN_LOGIN)
            # The first 401 may come in mid-session, too: some servers change the nonce without a word.
            if attempt and not self._login.stale:
                break
        raise PushError(PushFault.UNAUTHORISED, "the server refuses the user name or the password")

    async def _ask_once(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Reply:
        late = PushError(PushFault.TIMEOUT, f"the server did not answer {method} within {ANSWER:.0f} s")
        try:
            return await within(self._clock, ANSWER, self._exchange(method, url, headers, body), late)
        finally:
            self._waiting = None

    async def _exchange(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Reply:
        self._cseq += 1
        named = {"CSeq": str(self._cseq), "User-Agent": "faceanond"}
        if self.session:
            named["Session"] = self.session
        if self._login is not None and (authorization := self._login.authorization(method, url)) is not None:
            named["Authorization"] = authorization
        named |= headers
        if body:
            named["Content-Length"] = str(len(body))
        lines = [f"{method} {url} RTSP/1.0", *(f"{name}: {value}" for name, value in named.items())]
        self._waiting = asyncio.get_running_loop().create_future()
        self.output.write("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body)
        await self.output.drained()
        return await self._waiting

    def _answered(self, reply: Reply) -> None:
        # An answer that nobody waits for any more came too late; one without CSeq is for the only question there is.
        if self._waiting is not None and not self._waiting.done() and reply.header("cseq") in ("", str(self._cseq)):
            self._waiting.set_result(reply)


def require(reply: Reply, method: str) -> Reply:
    """The reply, if it says yes. Raises PushError with what the status means."""
    status = reply.status
    said = f"{method} with {status} {reply.reason}".rstrip()
    if status < 300:
        return reply
    if status in REDIRECTS:
        message = (
            f"the server answers {said}: it wants the stream elsewhere, which is not followed; set url to that place"
        )
        raise PushError(PushFault.REFUSED, message)
    if status in (401, 403):
        raise PushError(PushFault.UNAUTHORISED, f"the server refuses {said}: this user may not publish there")
    if status == 404:
        raise PushError(PushFault.NOT_FOUND, f"the server refuses {said}: it has no such path")
    if status == 461:
        message = f"the server refuses {said}: set transport in [push] to the other one, tcp or udp"
        raise PushError(PushFault.REFUSED, message)
    retry = reply.header("retry-after")
    raise PushError(
        PushFault.REFUSED,
        f"the server refuses {said}",
        retry_after=float(retry) if retry.isascii() and retry.isdigit() and len(retry) < 6 else 0.0,
    )
