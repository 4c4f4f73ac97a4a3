"""Sends H.264 to one viewer for half of what aiortc's own loop costs, which it replaces.

aiortc packetises each picture anew for each viewer and asks the clock three times a packet. Here all viewers of a
camera share the payloads, and only the twelve bytes before them and the encryption are a viewer's own. What stays
aiortc's: the handshake, sender reports (made of the counters that are kept for it here) and the reading of feedback.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections import deque
from typing import Any

from aiortc import RTCRtpSender
from aiortc.clock import current_ntp_time
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcdtlstransport import State

from faceanond.publish import rtp
from faceanond.publish.packet import EncodedPacket
from faceanond.publish.webrtc.track import PassthroughTrack

AT_ONCE = 16
"""Packets after which everybody else has a turn: a keyframe for fifty viewers in one go would stop the event loop for
a quarter of a second."""
HISTORY = 512
"""Packets that can be sent again: two seconds of an ordinary stream. They hold payloads that all viewers share."""
_HEADER = struct.Struct("!BBHII")
_Sent = tuple[int, int, int, bytes]
"""Sequence number, marker bit, time, payload."""


class SharedSending:
    """Takes the place of a sender's loop from its construction on; the sender must not have been started."""

    def __init__(self, sender: RTCRtpSender, track: PassthroughTrack) -> None:
        self._sender: Any = sender
        self._track = track
        # In the lower half: a wrap among the first packets would confuse SRTP (RFC 3711, 3.3.1).
        self._sequence = secrets.randbits(15)
        self._offset = secrets.randbits(32)
        self._again_sequence = secrets.randbits(15)
        self._payload_type = 0
        self._history: deque[_Sent] = deque(maxlen=HISTORY)
        sender._run_rtp = self._run  # type: ignore[method-assign]
        sender._retransmit = self._retransmit  # type: ignore[method-assign]

    async def _run(self, codec: Any) -> None:
        """aiortc's task: until cancelled, the connection or the stream ends. Stops the track.

        A defect is the track's "failed" event: of its own task's errors aiortc would tell nobody.
        """
        sender = self._sender
        self._payload_type = codec.payloadType
        sender._RTCRtpSender__rtp_started.set()
        try:
            while True:
                await self._send(await self._track.next())
        except (asyncio.CancelledError, ConnectionError, MediaStreamError):
            pass
        except Exception as error:  # noqa: BLE001 (whoever made the connection ends it, and tells)
            self._track.emit("failed", error)
        finally:
            # Whatever happened: aiortc waits for the event, and would never close the connection.
            self._track.stop()
            sender._RTCRtpSender__track = None
            sender._RTCRtpSender__rtp_exited.set()

    async def _send(self, packet: EncodedPacket) -> None:
        parts = rtp.payloads(packet.data)
        time = (packet.timestamp + self._offset) & 0xFFFFFFFF
        ssrc, last = self._sender._ssrc, len(parts) - 1
        for number, part in enumerate(parts):
            sequence = self._sequence
            marker = rtp.MARKER if number == last else 0
            self._history.append((sequence, marker, time, part))
            self._sequence = (sequence + 1) & 0xFFFF
            await self._put(_HEADER.pack(rtp.VERSION, self._payload_type | marker, sequence, time, ssrc) + part)
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
        self._report(packet, time, len(parts))

    async def _put(self, packet: bytes) -> None:
        """Encrypts and sends one RTP packet. Raises ConnectionError when there is no connection."""
        transport = self._sender.transport
        if transport._state is not State.CONNECTED:
            raise ConnectionError("not connected")
        await transport.transport._send(transport._tx_srtp.protect(packet))

    async def _retransmit(self, sequence_number: int) -> None:
        """Answers a NACK: as a retransmission (RFC 4588) where the viewer knows it, else as the packet was."""
        place = len(self._history) - ((self._sequence - sequence_number) & 0xFFFF)
        if not 0 <= place < len(self._history):
            return
        number, marker, time, part = self._history[place]
        payload_type = self._sender._RTCRtpSender__rtx_payload_type
        if payload_type is None:
            payload_type, ssrc = self._payload_type, self._sender._ssrc
        else:
            ssrc, part = self._sender._rtx_ssrc, number.to_bytes(2, "big") + part
            number, self._again_sequence = self._again_sequence, (self._again_sequence + 1) & 0xFFFF
        await self._put(_HEADER.pack(rtp.VERSION, payload_type | marker, number, time, ssrc) + part)

    def _report(self, packet: EncodedPacket, time: int, packets: int) -> None:
        """What aiortc's sender reports tell."""
        sender = self._sender
        sender._RTCRtpSender__ntp_timestamp = current_ntp_time()
        sender._RTCRtpSender__rtp_timestamp = time
        sender._RTCRtpSender__octet_count += len(packet.data)
        sender._RTCRtpSender__packet_count += packets
