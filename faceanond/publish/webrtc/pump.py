"""Keeps a viewer's odd packets from ending its session with a traceback.

aiortc reads a connection in one task. Of what its parsers raise it expects ValueError alone; struct.error, IndexError
and others end that task, the session, and fill the log, each as often as somebody likes to send such a packet.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from aiortc import RTCDtlsTransport

log = structlog.get_logger(__name__)

Handler = Callable[..., Coroutine[Any, Any, None]]


def drop_what_is_malformed(transport: RTCDtlsTransport) -> None:
    """From now on packets that cannot be read are dropped; those that can are handled as before."""
    transport._handle_rtcp_data = _dropping(transport._handle_rtcp_data)  # type: ignore[method-assign]
    transport._handle_rtp_data = _dropping(transport._handle_rtp_data)  # type: ignore[method-assign]


def _dropping(handle: Handler) -> Handler:
    async def handled(*arguments: Any, **named: Any) -> None:
        try:
            await handle(*arguments, **named)
        except ConnectionError:
            # The connection's own end, which came while a packet was answered.
            raise
        except Exception as error:  # noqa: BLE001 (a parser of somebody else's, fed by a stranger)
            log.debug("malformed packet dropped", error=type(error).__name__)

    return handled
