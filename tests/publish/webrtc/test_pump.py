from __future__ import annotations

import asyncio
import struct

import pytest

from faceanond.publish.webrtc.pump import drop_what_is_malformed


class Transport:
    """aiortc's transport, as far as packets go: raises what it is told to."""

    def __init__(self) -> None:
        self.raises: BaseException | None = None
        self.handled: list[tuple[bytes, ...]] = []

    async def _handle_rtcp_data(self, data: bytes) -> None:
        self.handled.append((data,))
        if self.raises is not None:
            raise self.raises

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        await self._handle_rtcp_data(data)


@pytest.mark.parametrize("error", [struct.error("short"), IndexError(), KeyError(1), AssertionError()])
async def test_what_a_parser_stumbles_over_is_dropped_and_the_next_packet_is_handled(error: Exception) -> None:
    transport = Transport()
    drop_what_is_malformed(transport)  # type: ignore[arg-type]
    transport.raises = error
    await transport._handle_rtcp_data(b"bad")
    await transport._handle_rtp_data(b"bad too", arrival_time_ms=1)
    transport.raises = None
    await transport._handle_rtcp_data(b"good")
    assert transport.handled == [(b"bad",), (b"bad too",), (b"good",)]


@pytest.mark.parametrize("error", [ConnectionError(), asyncio.CancelledError()])
async def test_the_end_of_the_connection_still_ends_the_reading(error: BaseException) -> None:
    transport = Transport()
    drop_what_is_malformed(transport)  # type: ignore[arg-type]
    transport.raises = error
    with pytest.raises(type(error)):
        await transport._handle_rtcp_data(b"the last one")
