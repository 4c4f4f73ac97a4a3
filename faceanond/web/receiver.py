"""One viewer's connection while pictures run over it: how long it may stand still, and how we hear that it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from faceanond.publish.mp4_feed import Mp4Feed
from faceanond.sockets import tune

STUCK = 10.0
"""Seconds in which a viewer must take what waits for it."""
LOOK = 1.0
"""Seconds between two looks whether the viewer of a camera without pictures is still there."""


class ReceiverGoneError(Exception):
    """Nobody takes the stream any more; the message is the reason."""


class TooSlowError(ReceiverGoneError):
    """It is there, and was cut off because it takes too little."""


class Receiver:
    """Bounds what a viewer's connection holds and how long it may hold it. Closed by aiohttp, or cut off here.

    `transport` is a request's: None when the viewer has left already.
    """

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._transport = transport
        connection = transport.get_extra_info("socket") if transport is not None else None
        if connection is not None:
            tune(connection)

    async def take(self, sending: Awaitable[object], *, within: float | None = None) -> None:
        """Waits for something to be sent. Raises ReceiverGoneError when it is not taken (within STUCK seconds unless
        told otherwise), having cut it off.
        """
        try:
            async with asyncio.timeout(STUCK if within is None else within):
                await sending
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
            raise TooSlowError("takes too little") from None
        except ConnectionError:
            raise ReceiverGoneError("left") from None

    async def following(self, feed: Mp4Feed) -> bytes:
        """The feed's next part. Raises ReceiverGoneError when the viewer leaves meanwhile, and what the feed raises."""
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    return await feed.get()
            except TimeoutError:
                if self._transport is None or self._transport.is_closing():
                    raise ReceiverGoneError("left") from None
