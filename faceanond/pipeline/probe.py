"""A look at what really went out: now and then a published picture is decoded again and searched for faces.

Everything before this point believes its own parts: boxes belong to frames, masks lie over boxes, packets show masks.
The leak probe believes none of them. It takes the packets of a keyframe, decodes them as a viewer would, and asks the
detector with lower thresholds whether a face is there that no mask covers.

Rule: it only looks. It holds what was published already, in memory, and gives nothing of it away: counts go into the
metrics, a place and a score into the log. Whatever fails in it is counted and forgotten; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

import structlog

from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.clock import Clock
from faceanond.config.model import Camera, DetectOptions
from faceanond.detect.pyramid import is_searched
from faceanond.errors import DetectionError
from faceanond.frames import Face, FrameId, RawFrame, Verdict
from faceanond.pipeline.judge import SharedDetector
from faceanond.pipeline.residue import residual
from faceanond.publish.decode import DecodedPicture, UndecodableError, decoded
from faceanond.publish.packet import EncodedPacket
from faceanond.ratelimit import RateLimited

log = structlog.get_logger(__name__)

PREFIX = "probe:"
"""In front of the camera's name in the detector's queue, so that a probe never takes the place of the camera's own
picture. No camera can be called so."""
WITHIN = 10.0
"""Seconds that one probe may take; decoding takes 5 ms, and the detector has a timeout of its own."""
TELL_EVERY = 60.0
"""Seconds between two lines about the same camera: the metrics have every one, the log needs one to look at."""

Decode = Callable[[Sequence[EncodedPacket]], DecodedPicture]


def spread(camera: str) -> float:
    """When in the interval a camera's probes come, 0 to 1: all at once, those of a fleet would keep the detector from
    the cameras' own pictures. The same in every run, so that two runs can be compared."""
    return zlib.crc32(camera.encode()) / 2**32


class ProbeResult(StrEnum):
    """How one probe ended; the label of `probe_frames_total`.

    `skipped`: there was nothing to look at (concealed or held pictures, or none), or the one before still ran.
    """

    CLEAR = "clear"
    RESIDUAL = "residual"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Published:
    """A keyframe and the picture that it was made of."""

    frame: AnonymisedFrame
    packets: Sequence[EncodedPacket]


class LeakProbe:
    """One camera's probe. Belongs to the event loop; `run` is its work, `offer` what the sealing calls."""

    def __init__(
        self,
        camera: str,
        settings: Camera,
        *,
        detector: SharedDetector,
        clock: Clock,
        ask_keyframe: Callable[[], None] = lambda: None,
        decode: Decode = decoded,
        phase: Callable[[str], float] = spread,
    ) -> None:
        """`ask_keyframe` is called when keyframes come too rarely by themselves."""
        self._camera = camera
        self._interval = settings.probe.interval
        self._options = keener(settings.detector, settings.probe.score_threshold)
        self._rare = settings.encode.keyframe_interval > settings.probe.interval
        self._detector = detector
        self._clock = clock
        self._ask_keyframe = ask_keyframe
        self._decode = decode
        self._phase = phase(camera) * self._interval
        self._wanted = False
        self._taken: asyncio.Queue[_Published] = asyncio.Queue(1)
        self.idle = asyncio.Event()
        """Set while no picture is being looked at."""
        self.idle.set()
        self._decoding: Future[DecodedPicture] | None = None
        self._number = 0
        self._found = RateLimited[Face](interval=TELL_EVERY)
        self._failed = RateLimited[str](interval=TELL_EVERY)
        self.results: Counter[str] = Counter()
        self.residual_faces = 0

    async def run(self) -> None:
        """Probes until cancelled; ends at once when switched off. A thread that hangs in a decoder is left behind."""
        if not self._interval:
            return
        self._wanted = False
        self._taken = asyncio.Queue(1)
        self.idle.set()
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"{PREFIX}{self._camera}")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tick(), name=f"probe ticks:{self._camera}")
                tasks.create_task(self._look_on(thread), name=f"probe looks:{self._camera}")
        finally:
            self._wanted = False
            self._detector.forget(PREFIX + self._camera)
            thread.shutdown(wait=False, cancel_futures=True)

    def offer(self, frame: AnonymisedFrame, packets: Sequence[EncodedPacket]) -> None:
        """Takes the picture and its packets, which have been published, if a probe is due and they are a keyframe's.

        Called for every frame; costs nothing otherwise, and never waits.
        """
        if not self._wanted or not packets or not packets[0].keyframe:
            return
        self._wanted = False
        if frame.verdict in (Verdict.FULL, Verdict.HELD):
            self.results[ProbeResult.SKIPPED] += 1
            return
        self.idle.clear()
        self._taken.put_nowait(_Published(frame, packets))

    async def _tick(self) -> None:
        await self._clock.sleep(self._phase)
        while True:
            await self._clock.sleep(self._interval)
            hanging = self._decoding is not None and not self._decoding.done()
            if self._wanted or hanging or not self.idle.is_set():
                # Nothing was published since the last time, or the last probe is not over.
                self.results[ProbeResult.SKIPPED] += 1
                continue
            self._wanted = True
            if self._rare:
                self._ask_keyframe()

    async def _look_on(self, thread: ThreadPoolExecutor) -> None:
        while True:
            published = await self._taken.get()
            try:
                async with asyncio.timeout(WITHIN):
                    result = await self._look(published, thread)
            except Exception as error:  # noqa: BLE001 - a probe must never end the camera that it watches
                result = ProbeResult.FAILED
                reason = f"not done within {WITHIN:g} s" if isinstance(error, TimeoutError) else str(error)
                if told := self._failed.note(f"{type(error).__name__}: {reason}", self._clock.monotonic()):
                    log.warning("leak probe failed", camera=self._camera, probes=told.count, reason=told.last)
            self.results[result] += 1
            self.idle.set()

    async def _look(self, published: _Published, thread: ThreadPoolExecutor) -> ProbeResult:
        """One honest attempt. Raises whatever goes wrong."""
        self._decoding = thread.submit(self._decode, published.packets)
        picture = await asyncio.wrap_future(self._decoding)
        self._number += 1
        frame = RawFrame(
            FrameId(PREFIX + self._camera, 0, self._number),
            picture.y,
            picture.u,
            picture.v,
            False,
            picture.matrix,
            published.frame.captured,
            published.frame.pts,
        )
        if frame.size != (published.frame.width, published.frame.height):
            raise UndecodableError("the decoded picture has another size than the sealed one")
        if not is_searched(frame.size, self._options.min_size):
            return ProbeResult.SKIPPED
        detections = await self._detector.detect(frame, self._options)
        if detections.frame != frame.id:
            raise DetectionError("wrong_frame", "the detector answered for another picture")
        left = residual(detections.faces, published.frame.regions)
        if not left:
            return ProbeResult.CLEAR
        self.residual_faces += len(left)
        self._tell(left)
        return ProbeResult.RESIDUAL

    def _tell(self, faces: Sequence[Face]) -> None:
        """A place and a score, never pixels: enough to look for it, too little to see anybody."""
        surest = max(faces, key=lambda face: face.score)
        if told := self._found.note(surest, self._clock.monotonic()):
            log.error(
                "a face is visible in what was published",
                camera=self._camera,
                box=list(told.last.box.rounded_out()),
                score=round(told.last.score, 3),
                faces=len(faces),
                probes=told.count,
            )


def keener(options: DetectOptions, score: float) -> DetectOptions:
    """The camera's options with every threshold down to `score`; those that are lower already stay.

    The size stays: a smaller one would cost a multiple, and faces below it are not promised to be hidden.
    """
    first, second, third = (min(threshold, score) for threshold in options.network_thresholds)
    return DetectOptions(
        min_size=options.min_size,
        scale_factor=options.scale_factor,
        network_thresholds=(first, second, third),
        score_threshold=min(options.score_threshold, score),
    )
