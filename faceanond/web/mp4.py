"""Fragmented MP4 for players and for networks without UDP: `stream.mp4` over HTTP, and `stream.ws` over a WebSocket.

The page plays the WebSocket: a browser opens six HTTP/1.1 connections to a host and no more, so that six endless
answers would leave none to ask anything else, while WebSockets are counted apart (255 in Chromium, 200 in Firefox).

A viewer takes one of the `http.max_streams` places, and one of its own share. One who is slow loses pictures in its own
ring, one who takes nothing is cut off, and one whose machine is gone is found, see `receiver`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from http import HTTPStatus

from aiohttp import WSCloseCode, hdrs, web

from faceanond.clock import Clock
from faceanond.config.model import Http
from faceanond.publish.mp4_feed import AT_ONCE, EXACT, HOLD, PROTOCOL, Mp4Feed, SizeChangedError, Timing
from faceanond.publish.packet import CLOCK_RATE
from faceanond.publish.stream import Stream, StreamClosedError
from faceanond.shares import OverShareError, Place, Shares
from faceanond.watching import DEFECT, LEFT, Watch
from faceanond.web.auth import camera_of, viewer_of
from faceanond.web.problem import ProblemError, later
from faceanond.web.receiver import Receiver, ReceiverGoneError
from faceanond.web.view import Fleet
from faceanond.web.who import who

START_WITHIN = 5.0
"""Seconds for the first keyframe: a camera that has pictures makes one within a second or two."""
RETRY_PLACE = 10
RETRY_PICTURE = 5
"""Seconds after which it makes sense to ask again: for a place, for a picture."""
CLOSE_WITHIN = 2.0
"""Seconds for a WebSocket's viewer to agree to the end."""
LARGEST_MESSAGE = 1024
"""Bytes that a WebSocket's viewer may say at once; it has nothing to say."""
ENDS = (StreamClosedError, SizeChangedError, ReceiverGoneError)
"""How a stream that has begun comes to its end; none is an error."""
HEADERS = {
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.ACCEPT_RANGES: "none",  # a stream has no end from which to count, and no past
    "X-Accel-Buffering": "no",  # nginx would keep the answer back until its buffers are full
}


class Mp4Routes:
    """The handlers of `/cameras/NAME/stream.mp4` and `/cameras/NAME/stream.ws`."""

    def __init__(self, fleet: Fleet, settings: Http, shares: Shares, clock: Clock) -> None:
        self._fleet = fleet
        self._shares = shares
        self._clock = clock
        self._most = settings.max_streams
        self._viewers = 0

    def install(self, app: web.Application) -> None:
        app.router.add_get("/cameras/{name}/stream.mp4", self.stream)
        app.router.add_get("/cameras/{name}/stream.ws", self.socket, allow_head=False)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Endless: until the camera's stream or the size of its pictures ends it. Ranges are ignored, as RFC 9110
        allows, for there is nothing to count from.
        """
        stream = self._stream(request)
        if request.method == hdrs.METH_HEAD:
            return web.Response(content_type="video/mp4", headers=HEADERS)
        response = web.StreamResponse(headers=HEADERS)
        response.force_close()
        receiver = Receiver(request.transport)
        with self._place(request), suppress(*ENDS):
            async with self._watching(request, stream, EXACT, "http") as feed:
                media_type, head = await _begun(feed)
                response.headers[hdrs.CONTENT_TYPE] = media_type
                await receiver.take(response.prepare(request))
                await receiver.take(response.write(head))
                while True:
                    await receiver.take(response.write(await receiver.following(feed)))
        if not response.prepared:
            raise _no_stream()  # it ended just now
        return response

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """In front of each initialisation segment comes a text, JSON: its media type, and how many seconds each picture
        lasts at most. A place or a picture that is missing is told by the code 1013 and in words, since scripts cannot
        read the status of a handshake that failed.
        """
        stream = self._stream(request)
        channel = web.WebSocketResponse(compress=False, timeout=CLOSE_WITHIN, max_msg_size=LARGEST_MESSAGE)
        await channel.prepare(request)
        code, words = WSCloseCode.GOING_AWAY, "the camera's stream has ended"
        try:
            with self._place(request):
                watching = self._watching(request, stream, AT_ONCE, "websocket")
                trouble = await _talk(watching, channel, Receiver(request.transport), camera=stream.camera)
        except ProblemError as error:
            trouble = error
        if trouble is not None:
            code, words = WSCloseCode.TRY_AGAIN_LATER, trouble.detail
        await channel.close(code=code, message=words.encode())
        return channel

    def _stream(self, request: web.Request) -> Stream:
        camera_of(request, self._fleet)
        stream = self._fleet.stream(request.match_info["name"])
        if stream is None:
            raise _no_stream()
        return stream

    @asynccontextmanager
    async def _watching(
        self, request: web.Request, stream: Stream, timing: Timing, transport: str
    ) -> AsyncIterator[Mp4Feed]:
        """A feed of the stream, whose beginning and end are told to the log."""
        async with Mp4Feed(stream, timing) as feed:
            watch = Watch(stream.camera, who(request), protocol=PROTOCOL, transport=transport, clock=self._clock)
            reason = LEFT
            try:
                yield feed
            except (*ENDS, ProblemError) as error:
                reason = str(error)
                raise
            except Exception:
                reason = DEFECT
                raise
            finally:
                watch.end(stream.ended or reason)

    @contextmanager
    def _place(self, request: web.Request) -> Iterator[None]:
        with self._share(request):
            if self._viewers >= self._most:
                detail = f"all {self._most} places for viewers are taken (http.max_streams)"
                raise later(HTTPStatus.SERVICE_UNAVAILABLE, detail, RETRY_PLACE)
            self._viewers += 1
            try:
                yield
            finally:
                self._viewers -= 1

    def _share(self, request: web.Request) -> Place:
        try:
            return self._shares.take(viewer_of(request).name, PROTOCOL)
        except OverShareError as error:
            raise later(HTTPStatus.TOO_MANY_REQUESTS, str(error), error.retry_after) from None


async def _begun(feed: Mp4Feed) -> tuple[str, bytes]:
    """What `Mp4Feed.start` gives. Raises ProblemError when the camera sends no picture for a while."""
    try:
        async with asyncio.timeout(START_WITHIN):
            return await feed.start()
    except TimeoutError:
        raise later(HTTPStatus.SERVICE_UNAVAILABLE, "the camera sends no picture now", RETRY_PICTURE) from None


async def _send(feed: Mp4Feed, channel: web.WebSocketResponse, receiver: Receiver) -> None:
    """Sends the stream through a WebSocket. Raises what ends it."""
    while True:
        media_type, head = await _begun(feed)
        await receiver.take(channel.send_str(json.dumps({"type": media_type, "hold": HOLD / CLOCK_RATE})))
        await receiver.take(channel.send_bytes(head))
        with suppress(SizeChangedError):
            while True:
                await receiver.take(channel.send_bytes(await receiver.following(feed)))


async def _talk(
    watching: AbstractAsyncContextManager[Mp4Feed], channel: web.WebSocketResponse, receiver: Receiver, *, camera: str
) -> ProblemError | None:
    """Sends until one end has enough. Gives the trouble when the camera sends no picture."""

    async def serve() -> ProblemError | None:
        with suppress(*ENDS):
            async with watching as feed:
                try:
                    await _send(feed, channel, receiver)
                except ProblemError as error:
                    return error
        return None

    async def hear() -> None:
        # Whatever a viewer says, also that it leaves, is the end. Pings are answered inside, which it may not wait for.
        with suppress(ConnectionError):
            await channel.receive()

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(serve(), name=f"mp4 viewer {camera}")
        hearing = tasks.create_task(hear(), name=f"mp4 viewer {camera} speaks")
        await asyncio.wait((sending, hearing), return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        hearing.cancel()
    return None if sending.cancelled() else sending.result()


def _no_stream() -> ProblemError:
    return later(HTTPStatus.CONFLICT, "the camera has no stream now", RETRY_PICTURE)
