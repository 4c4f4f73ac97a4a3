"""One camera's packets from the one writer to any number of readers.

The writer never waits: each reader has a ring of its own, bounded in packets and in bytes, and a reader that is too
slow loses its own packets, from the first that does not fit up to the next keyframe, so that what it does get can
always be decoded. Everything here runs on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Self

from faceanond.clock import Clock
from faceanond.publish import h264
from faceanond.publish.h264 import ParameterSets
from faceanond.publish.packet import Codec, EncodedPacket

RING_PACKETS = 64
"""Two and a half seconds at 25 fps: longer and a viewer no longer watches live, shorter and a hiccup costs pictures."""
RING_BYTES = 4 * 1024 * 1024
"""16 s at the default bit rate, and what a hundred stuck viewers may hold without harm."""
KEYFRAME_SPACING = 1.0
"""Seconds between two forced keyframes, however many viewers join: a keyframe costs ten ordinary frames."""
FRESH = 0.5
"""A viewer who joins so soon after a keyframe starts with that one, at once, instead of costing everybody another.
It runs so much behind the others until its player catches up, so not longer."""
ENDED = "the camera's stream has ended"


class StreamClosedError(Exception):
    """Nothing more will come from this stream; the message is the reason."""


class Role(Enum):
    """What a reader reads for; it decides in which figures the reader counts."""

    VIEWER = auto()
    """Somebody watches: it counts in all of them."""
    MEDIA_SERVER = auto()
    """Others watch, from there: what it gets and loses counts, but it is no viewer."""
    RECORDING = auto()
    """Nobody watches, and nothing leaves the machine: it counts in none."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a ring holds at most: packets, and bytes."""

    packets: int
    size: int


class Reader:
    """One viewer's end. Belongs to one task; closed by whoever subscribed, or by the stream."""

    def __init__(self, stream: Stream, protocol: str, *, role: Role = Role.VIEWER, room: Room | None = None) -> None:
        self.protocol = protocol
        self.role = role
        self._room = room
        self.dropped = 0
        """Packets that this viewer lost because it was too slow."""
        self._stream = stream
        self._ring: deque[EncodedPacket] = deque()
        self._size = 0
        self._arrived = asyncio.Event()
        self._needs_keyframe = True
        self._started = False
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def get(self) -> EncodedPacket:
        """The next packet; the first one is a keyframe, and so is the first after a loss. Waits for one.

        Raises StreamClosedError when the stream or this reader is closed.
        """
        while not self._closed:
            if self._ring:
                packet = self._ring.popleft()
                self._size -= len(packet.data)
                self._stream._delivered(self, packet)
                return packet
            self._arrived.clear()
            await self._arrived.wait()
        raise StreamClosedError(self._stream.ended)

    def close(self) -> None:
        """Leaves the stream and frees the ring; safe twice."""
        if not self._closed:
            self._closed = True
            self._clear()
            self._arrived.set()
            self._stream._left(self)

    def _offer(self, packet: EncodedPacket) -> None:
        if packet.keyframe:
            if self._needs_keyframe or not self._fits(packet):
                # Older pictures are worth less than a fresh start.
                self._drop(len(self._ring))
                self._clear()
            self._needs_keyframe, self._started = False, True
        elif self._needs_keyframe or not self._fits(packet):
            self._needs_keyframe = True
            if self._started:
                self._drop(1)
            return
        self._ring.append(packet)
        self._size += len(packet.data)
        self._arrived.set()

    def _fits(self, packet: EncodedPacket) -> bool:
        # Asked for every packet of every reader, so nothing is made here.
        packets, size = (RING_PACKETS, RING_BYTES) if self._room is None else (self._room.packets, self._room.size)
        return len(self._ring) < packets and self._size + len(packet.data) <= size

    def _drop(self, packets: int) -> None:
        self.dropped += packets
        self._stream._lost(self, packets)

    def _clear(self) -> None:
        self._ring.clear()
        self._size = 0


class Stream:
    """One camera's published video in one codec. It outlives the camera's connections; `close` ends every reader."""

    def __init__(self, camera: str, *, clock: Clock, codec: Codec = Codec.H264) -> None:
        self.camera = camera
        self.codec = codec
        self._clock = clock
        self._readers: set[Reader] = set()
        self._viewers: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._dropped = 0
        self._keyframe_wanted = False
        self._keyframe_granted = -KEYFRAME_SPACING
        self._recent: list[EncodedPacket] = []
        self._parameter_sets: ParameterSets | None = None
        self._described = asyncio.Event()
        self._closed = False
        self.ended = ""
        """Why nothing more comes; empty while something may."""

    @property
    def parameter_sets(self) -> ParameterSets | None:
        """The latest SPS and PPS; None before the first keyframe, and of VP8, which has none."""
        return self._parameter_sets

    @property
    def output_bytes(self) -> Mapping[str, int]:
        """Bytes handed to viewers and media servers since the start, by protocol."""
        return self._bytes

    @property
    def readers(self) -> int:
        """Readers now, of all protocols."""
        return len(self._readers)

    @property
    def dropped(self) -> int:
        """Packets that viewers and media servers lost since the start."""
        return self._dropped

    def viewers(self) -> dict[str, int]:
        """Viewers now, by protocol; a protocol that was ever used stays, with 0."""
        return dict(self._viewers)

    def write(self, packet: EncodedPacket) -> None:
        """Hands a packet to every reader. Never waits; ignored after `close`.

        Raises TypeError for anything but an EncodedPacket of the stream's codec; only the encoders make them, of sealed
        frames.
        """
        if type(packet) is not EncodedPacket:
            raise TypeError(f"only an EncodedPacket may be published, not {type(packet).__name__}")
        if packet.codec is not self.codec:
            raise TypeError(f"a packet in {packet.codec} is not for a stream in {self.codec}")
        if self._closed:
            return
        if packet.keyframe:
            self._keyframe_wanted = False
            self._recent = [packet]
            self._learn(packet)
        elif self._recent:
            if self._is_fresh() and len(self._recent) < RING_PACKETS:
                self._recent.append(packet)
            else:
                self._recent = []
        for reader in self._readers:
            reader._offer(packet)

    def subscribe(self, protocol: str, *, role: Role = Role.VIEWER, room: Room | None = None) -> Reader:
        """A new reader, which starts at a keyframe: a fresh one that was already sent, or one made for it.

        `room` is how much its ring holds where that is not the usual.

        Raises StreamClosedError after `close`.
        """
        if self._closed:
            raise StreamClosedError(self.ended)
        reader = Reader(self, protocol, role=role, room=room)
        self._readers.add(reader)
        if role is Role.VIEWER:
            self._viewers[protocol] += 1
        if self._recent and self._is_fresh():
            for packet in self._recent:
                reader._offer(packet)
        else:
            self.request_keyframe()
        return reader

    def request_keyframe(self) -> None:
        """Somebody needs a keyframe: the encoder is asked for one as soon as the spacing allows."""
        self._keyframe_wanted = True

    def take_keyframe_request(self) -> bool:
        """Whether the next frame must be a keyframe; the writer asks before each. True at most once a second."""
        now = self._clock.monotonic()
        if not self._keyframe_wanted or now - self._keyframe_granted < KEYFRAME_SPACING:
            return False
        self._keyframe_wanted = False
        self._keyframe_granted = now
        return True

    async def described(self) -> ParameterSets:
        """The parameter sets of an H.264 stream, as soon as there are some. Raises StreamClosedError."""
        await self._described.wait()
        if self._parameter_sets is None:
            raise StreamClosedError(self.ended)
        return self._parameter_sets

    def close(self, reason: str = ENDED) -> None:
        """Ends every reader, for a reason that viewers and the log are told; safe twice."""
        if not self._closed:
            self.ended = reason
        self._closed = True
        self._described.set()
        for reader in tuple(self._readers):
            reader.close()

    def _is_fresh(self) -> bool:
        return self._clock.monotonic() - self._recent[0].encoded <= FRESH

    def _learn(self, packet: EncodedPacket) -> None:
        if self.codec is not Codec.H264:
            return
        sets = h264.parameter_sets(packet.data)
        if sets is not None:
            self._parameter_sets = sets
            self._described.set()

    # What readers report

    def _delivered(self, reader: Reader, packet: EncodedPacket) -> None:
        if reader.role is not Role.RECORDING:
            self._bytes[reader.protocol] += len(packet.data)

    def _lost(self, reader: Reader, packets: int) -> None:
        if reader.role is not Role.RECORDING:
            self._dropped += packets

    def _left(self, reader: Reader) -> None:
        self._readers.discard(reader)
        if reader.role is Role.VIEWER:
            self._viewers[reader.protocol] -= 1
