"""One viewer from offer to end: everything that belongs to it is made and closed in `Session.run`.

A session ends when the viewer leaves, its handshake takes too long, its receiver reports stop, the camera's stream
closes, the sender ends for a reason of aiortc's own or by a defect of ours, or somebody calls `end`; the first of these
decides.
"""

from __future__ import annotations

import asyncio
import secrets

import structlog
from aiortc import RTCConfiguration, RTCIceTransport, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from faceanond.clock import Clock
from faceanond.publish.stream import Stream
from faceanond.publish.webrtc import ice
from faceanond.publish.webrtc.errors import MalformedOfferError, OfferError
from faceanond.publish.webrtc.peer import capabilities, sending
from faceanond.publish.webrtc.sdp import Offer, write_answer
from faceanond.publish.webrtc.track import PassthroughTrack
from faceanond.publish.webrtc.trickle import Trickle
from faceanond.shares import Place
from faceanond.watching import Watch, Who

log = structlog.get_logger(__name__)

PROTOCOL = "webrtc"
"""How its viewers are counted."""
NEGOTIATION = 10.0
"""Seconds for an answer: the longest part is a STUN or TURN server that does not reply."""
HANDSHAKE = 9.0
"""Seconds from the answer to the first packet that is asked for: an offer without candidates would wait for ever. With
the answer before and the closing after them, nothing is left of such a viewer after ten."""
SILENCE = 11.0
"""Seconds without an RTCP packet from the viewer: browsers report each second, and ICE itself needs half a minute. With
the closing, a viewer that was killed is gone after twelve."""


class Session:
    """One viewer's peer connection. `id` is the secret by which its `owner`, and nobody else, may end it.

    `stream` is the camera's in the codec of the offer. `place` is the owner's for this session; it is given back as
    soon as the session is to end, so that a page that leaves one camera for another need not wait until all is closed.
    `client` is the address that the log names.
    """

    def __init__(
        self,
        camera: str,
        stream: Stream,
        offer: Offer,
        *,
        configuration: RTCConfiguration,
        network: ice.Network,
        local: str | None,
        remote: str | None = None,
        clock: Clock,
        place: Place,
        owner: str = "",
        client: str = "",
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.camera = camera
        self.owner = owner
        self._who = Who(owner, client)
        self._watch: Watch | None = None
        self._stream = stream
        self._offer = offer
        self._configuration = configuration
        self._network = network
        self._local = local
        self._remote = remote
        self._clock = clock
        self._place = place
        self._trickle = Trickle(offer.text)
        self._ice: RTCIceTransport | None = None
        self._answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._reason = ""
        self._defect: Exception | None = None
        self._started = False
        self._heard = 0.0

    def end(self, reason: str) -> None:
        """Asks the session to close; the first reason counts."""
        if not self._over.is_set():
            self._reason = reason
            self._over.set()
            self._place.release()
            if self._watch is not None:
                self._watch.end(reason)

    def refuse(self, error: OfferError) -> None:
        """Gives the viewer an error for an answer, unless it has its answer already; and ends."""
        if not self._answer.done():
            self._answer.set_exception(error)
            self._answer.exception()  # looked at, since the one who asked may be gone
        self.end("offer refused")

    async def answer(self) -> str:
        """The answer for the viewer. Raises OfferError."""
        return await self._answer

    async def add_candidates(self, fragment: str) -> None:
        """Takes over what a viewer found out after its offer. Raises MalformedOfferError or UnsupportedOfferError."""
        for candidate in self._trickle.read(fragment):
            if self._ice is not None and self._ice.state in ("new", "checking"):  # later they are of no use
                await self._ice.addRemoteCandidate(candidate_from_sdp(candidate))

    async def run(self) -> None:
        """Lives as long as the viewer. Cancellable; returns when everything of it is closed.

        Raises what ended it by a defect, then.
        """
        async with sending(
            self._stream,
            protocol=PROTOCOL,
            codecs=capabilities(self._offer.codec),
            configuration=self._configuration,
            network=self._network,
            local=self._local,
            remote=self._remote,
            heard=self._hear,
        ) as peer:
            self._ice = peer.ice
            self._listen(peer.connection, peer.track)
            await self._negotiate(peer.connection)
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._look(), name=f"webrtc watch {self.camera}")
                await self._over.wait()
                watch.cancel()
        if ignored := self._offer.ignored + self._trickle.ignored:
            log.debug("too many candidates", camera=self.camera, ignored=ignored)
        if not self._started:
            viewer, client = self._who
            log.info(
                "viewer did not get through", camera=self.camera, viewer=viewer, client=client, reason=self._reason
            )
        if self._defect is not None:
            raise self._defect

    def _listen(self, connection: RTCPeerConnection, track: PassthroughTrack) -> None:
        """Ties aiortc's events to ours."""

        def changed() -> None:
            if connection.connectionState in ("failed", "closed"):
                self.end("viewer gone" if self._started else "no connection")

        def started() -> None:
            self._started = True
            self._hear()
            if not self._over.is_set():
                self._watch = Watch(
                    self.camera, self._who, protocol=PROTOCOL, codec=self._offer.codec.value, clock=self._clock
                )

        connection.on("connectionstatechange", changed)
        track.on("started", started)
        track.on("failed", self._fail)
        track.on("exhausted", lambda: self.end(self._stream.ended))
        track.on("ended", lambda: self.end("viewer gone"))

    def _fail(self, error: Exception) -> None:
        self._defect = error
        self.end("sending failed")

    def _hear(self) -> None:
        self._heard = self._clock.monotonic()

    async def _negotiate(self, connection: RTCPeerConnection) -> None:
        try:
            async with asyncio.timeout(NEGOTIATION):
                await connection.setRemoteDescription(RTCSessionDescription(self._offer.text, "offer"))
                await connection.setLocalDescription(await connection.createAnswer())
        except OfferError as error:
            self.refuse(error)
        except TimeoutError:
            self.refuse(OfferError(f"no answer could be made within {NEGOTIATION:.0f} s; is the STUN server up?"))
        except Exception as error:  # noqa: BLE001 (aiortc raises whatever its parser runs into)
            log.info("offer refused", camera=self.camera, error=type(error).__name__)
            self.refuse(MalformedOfferError("the offer cannot be answered"))
        else:
            if not self._answer.done():
                sets = self._stream.parameter_sets
                level = 0 if sets is None else sets.level_idc
                self._answer.set_result(write_answer(self._offer, connection.localDescription.sdp, level=level))

    async def _look(self) -> None:
        """Ends the session when the viewer does not get through, or falls silent."""
        await self._clock.sleep(HANDSHAKE)
        if not self._started:
            self.end("handshake timed out")
            return
        while True:
            left = self._heard + SILENCE - self._clock.monotonic()
            if left <= 0:
                self.end("viewer silent")
                return
            await self._clock.sleep(left)
