"""One camera's path from a captured picture to packets.

    mailbox -> detect -> delay line -> seal and encode -> stream

Two tasks share the work, so that one frame is detected while the one before it is encoded. A third keeps the stream
alive when no picture comes: the last sealed one for a moment, then a slate. A fourth, when it is switched on, looks at
what was published (probe). Every picture that is written to the
stream comes from the anonymiser, which alone can make one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import structlog

from faceanond.anonymise.anonymiser import Anonymiser
from faceanond.anonymise.frame import AnonymisedFrame
from faceanond.capture.source import StreamInfo
from faceanond.clock import Clock
from faceanond.config.model import Camera, Overload
from faceanond.detect.pyramid import is_searched
from faceanond.errors import SourceFault
from faceanond.frames import Detections, RawFrame, Verdict
from faceanond.mailbox import Mailbox
from faceanond.pipeline.figures import Figures
from faceanond.pipeline.follow import Follower
from faceanond.pipeline.in_time import LATE, InTime, unless_late
from faceanond.pipeline.judge import Judged, SharedDetector, seal_judged
from faceanond.pipeline.overload import LOOK_EVERY, Ladder
from faceanond.pipeline.overload_log import OverloadLog
from faceanond.pipeline.probe import LeakProbe
from faceanond.pipeline.sealer import Sealer, SealerStuckError
from faceanond.pipeline.second import SecondEncoding
from faceanond.pipeline.spacing import Spacing
from faceanond.publish.packet import Codec
from faceanond.publish.stream import ENDED, Stream
from faceanond.ratelimit import RateLimited
from faceanond.redact import redact
from faceanond.status import CameraState, CameraStatus

log = structlog.get_logger(__name__)

ABSENT_AFTER = 1.0
"""Seconds without a published frame before the stream shows the held picture: viewers' players start to stall."""
ABSENT_INTERVAL = 0.2
"""Seconds between held frames: a viewer who joins meanwhile gets a picture at once, at the cost of 5 still frames."""
RESERVE = 0.3
"""Of the time that the look-ahead leaves of the longest latency: what must be left for sealing when a picture goes."""
COMING_EVERY = 0.02
"""Seconds between two looks whether the next picture has its verdict."""
PATIENCE = 0.1
"""Seconds beyond the look-ahead for which a picture waits for the next ones; a camera that stalls sends none."""
LINE_LENGTH = 4
"""Judged frames that may wait for sealing. When full, detection waits and the mailbox drops before it."""


class CameraPipeline:
    """Runs one camera's stages. Made and run by the daemon; `feed` is called from the capture thread.

    `stream` outlives reconnections, so viewers stay while their camera is away. `vp8` is a second encoding for those
    who cannot watch it; None when it is switched off.
    """

    def __init__(
        self,
        name: str,
        settings: Camera,
        *,
        detector: SharedDetector,
        clock: Clock,
        overload: Overload = Overload(),  # noqa: B008 - frozen
    ) -> None:
        self.name = name
        self.settings = settings
        self.stream = Stream(name, clock=clock)
        self.vp8 = SecondEncoding(name, settings.encode, clock=clock) if settings.encode.vp8 else None
        self.figures = Figures(clock)
        self.last_sealed: AnonymisedFrame | None = None
        self._detector = detector
        self._clock = clock
        self._mailbox: Mailbox[RawFrame] | None = None
        self._sealer = Sealer(name, settings, clock=clock)
        self._sealing = asyncio.Lock()
        self._probe = LeakProbe(
            name, settings, detector=detector, clock=clock, ask_keyframe=self.stream.request_keyframe
        )
        # No picture yet counts as none for long: the first slate comes at once.
        self._last_picture = clock.monotonic() - ABSENT_AFTER
        self._spacing = Spacing()
        self._judging = False
        # Every picture waits so long between its verdict and its sealing, by design.
        self._delay = settings.track.look_ahead if settings.track.enabled else 0.0
        self._spare = overload.max_latency - self._delay
        self._patience = min(PATIENCE, self._spare / 2)
        self._ladder = Ladder(overload.max_latency, delay=self._delay, camera=name)
        self._overload_log = OverloadLog(name)
        self._in_time = InTime(detector, self._spare, clock=clock)
        self._follower = Follower(name, self._in_time, settings.detector, settings.track)
        self._waits = asyncio.Event()
        self._passing = asyncio.Lock()
        self._generation = 0
        self._encoding_failed = RateLimited[str]()

    # The capture side

    def feed(self, frame: RawFrame) -> None:
        """Takes a captured picture. Called from the capture thread; never blocks, the newest picture wins."""
        self.figures.frame_captured()
        most = self.settings.encode.max_fps
        if most and not self._spacing.keeps(frame.captured, most):
            self.figures.dropped["capture", "max_fps"] += 1
            return
        if not self._ladder.lets_in(frame.captured):
            self.figures.dropped["capture", "overload"] += 1
            return
        if self._mailbox is not None:
            self._mailbox.put(frame)

    def next_generation(self) -> int:
        """A new connection begins: its number, part of every frame's identity."""
        self._generation += 1
        return self._generation

    def connecting(self) -> None:
        """An attempt to reach the camera begins."""
        self.figures.connecting()

    def opened(self, info: StreamInfo) -> None:
        """The camera answered and is sending."""
        self.figures.codec = info.codec
        self.figures.live()
        if not is_searched((info.width, info.height), self.settings.detector.min_size):
            log.error(
                "camera's picture is too small for detector.min_size, so all of it is concealed",
                camera=self.name,
                size=f"{info.width}x{info.height}",
                min_size=self.settings.detector.min_size,
            )
        log.info("camera opened", camera=self.name, codec=info.codec, size=f"{info.width}x{info.height}", fps=info.fps)

    def lost(self, fault: SourceFault, message: str, retry_in: float) -> None:
        """The camera is gone; what still waits is thrown away."""
        self.figures.lost(fault, message, retry_in)
        if self._mailbox is not None:
            self._mailbox.discard()
        self._detector.forget(self.name)
        self._ladder.reset()
        self._overload_log.reset()

    # The stages

    async def run(self) -> None:
        """Runs until cancelled. A stuck sealing thread is replaced; any other exception is a defect and goes up."""
        self._mailbox = Mailbox(capacity=1)
        self._ladder.reset()
        self._overload_log.reset()
        self._judging = False
        line: asyncio.Queue[Judged] = asyncio.Queue(LINE_LENGTH)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._detect(self._mailbox, line), name=f"detect:{self.name}")
                tasks.create_task(self._release(line), name=f"release:{self.name}")
                tasks.create_task(self._publish(line), name=f"publish:{self.name}")
                tasks.create_task(self._fill_absence(), name=f"absence:{self.name}")
                tasks.create_task(self._probe.run(), name=f"probe:{self.name}")
                tasks.create_task(self._in_time.watch(), name=f"in time:{self.name}")
                tasks.create_task(self._watch_load(), name=f"overload:{self.name}")
                if self.vp8 is not None:
                    tasks.create_task(self.vp8.run(), name=f"vp8:{self.name}")
        finally:
            self._mailbox.close()
            self.figures.dropped["mailbox", "newer"] += self._mailbox.dropped
            self._mailbox = None
            self._detector.forget(self.name)
            # Nobody renews it now, and a sealed picture may be shown for a moment only.
            self.last_sealed = None
            self._follower.close()
            self._follower = Follower(self.name, self._in_time, self.settings.detector, self.settings.track)
            await self._sealer.close()
            self._sealer = Sealer(self.name, self.settings, clock=self._clock)

    async def close(self, reason: str = ENDED) -> None:
        """Ends the viewers' streams, for that reason, and the sealing thread."""
        self.stream.close(reason)
        if self.vp8 is not None:
            self.vp8.close(reason)
        self._follower.close()
        await self._sealer.close()

    async def _detect(self, mailbox: Mailbox[RawFrame], line: asyncio.Queue[Judged]) -> None:
        while True:
            frame = await mailbox.get()
            if self._in_time.too_old(frame):
                self.figures.dropped["mailbox", "late"] += 1
                continue
            self._judging = True
            if await self._follower.judge(frame) is not None:
                # The camera went while this frame waited. Concealed it would only take the last good picture's place.
                self.figures.dropped["detect", "stopped"] += 1
            self._waits.set()
            await self._pass_on(line)
            self._judging = False

    async def _pass_on(self, line: asyncio.Queue[Judged], *, unless_gone: RawFrame | None = None) -> None:
        """Hands on the pictures that have waited long enough, one after the other; `unless_gone` names one that has to
        leave in any case, if it is still the oldest when its turn comes."""
        async with self._passing:
            oldest = unless_gone is not None and self._follower.oldest is unless_gone
            while (judged := self._follower.take(all_of_them=oldest)) is not None:
                oldest = False
                await line.put(judged)

    def _coming(self) -> bool:
        """Whether another picture is on its way to its verdict."""
        return self._judging or (self._mailbox is not None and len(self._mailbox) > 0)

    async def _release(self, line: asyncio.Queue[Judged]) -> None:
        """Lets pictures go when none come behind them."""
        while True:
            await self._waits.wait()
            self._waits.clear()
            while (frame := self._follower.oldest) is not None:
                now = self._clock.monotonic()
                left = frame.captured + self._delay + self._patience - now
                if left > 0:
                    await self._clock.sleep(left)
                elif self._coming() and now < frame.captured + self._ladder.limit - RESERVE * self._spare:
                    # What it waits for is being looked at.
                    await self._clock.sleep(COMING_EVERY)
                else:
                    await self._pass_on(line, unless_gone=frame)

    async def _publish(self, line: asyncio.Queue[Judged]) -> None:
        while True:
            judged = await line.get()
            if self._skips(judged, line):
                self.figures.dropped["seal", "late"] += 1
                continue
            if isinstance(judged.outcome, Detections):
                self.figures.faces(judged.outcome.faces)
            else:
                self.figures.faces(())
            make = partial(seal_judged, judged=judged, fps=self.figures.fps())
            await self._seal(unless_late(make, judged.frame, self._ladder.limit, self._clock))
            if self.last_sealed is not None and self.last_sealed.reason in LATE:
                self._ladder.late()
            else:
                self._ladder.shown(self._clock.monotonic() - judged.frame.captured)

    def _skips(self, judged: Judged, line: asyncio.Queue[Judged]) -> bool:
        """Too old to be shown, and a fresher one is on its way: concealing this one would only take its time."""
        if self._clock.monotonic() - judged.frame.captured <= self._ladder.limit:
            return False
        return not line.empty() or (self._judging and isinstance(judged.outcome, Detections))

    async def _watch_load(self) -> None:
        """Moves the overload ladder, and tells of it."""
        while True:
            await self._clock.sleep(LOOK_EVERY)
            now = self._clock.monotonic()
            self._ladder.look(now, self._left_out())
            self._overload_log.look(self._ladder, now)

    def _left_out(self) -> int:
        """Pictures so far that were let in and then left out for others."""
        waiting = 0 if self._mailbox is None else self._mailbox.dropped
        dropped = self.figures.dropped
        return waiting + dropped["mailbox", "newer"] + dropped["mailbox", "late"] + dropped["seal", "late"]

    async def _fill_absence(self) -> None:
        while True:
            await self._clock.sleep(ABSENT_INTERVAL)
            fps = self.figures.fps()
            patience = max(ABSENT_AFTER, 2.5 / fps if fps else 0.0)
            # While a picture is being sealed, however slowly, something comes.
            if self._clock.monotonic() - self._last_picture >= patience and not self._sealing.locked():
                await self._seal(self._absence)

    def _absence(self, anonymiser: Anonymiser) -> AnonymisedFrame:
        reason, message = self._why_absent()
        return anonymiser.absent(reason, message=message)

    def _why_absent(self) -> tuple[str, str]:
        """The metric's reason and the words on the slate."""
        if self.figures.state is CameraState.LIVE:
            return "late", "waiting for a verdict"
        if self.figures.last_frame is None:
            return "no_signal", "connecting" if self.figures.last_error is None else "no signal yet"
        since = datetime.fromtimestamp(self.figures.last_frame, UTC).strftime("%H:%M:%S")
        return "no_signal", f"no signal since {since} UTC"

    async def _seal(self, make: Callable[[Anonymiser], AnonymisedFrame]) -> None:
        """The only writer of this camera's streams: one frame at a time, in order."""
        async with self._sealing:
            keyframe = self.stream.take_keyframe_request()
            try:
                sealed = await self._sealer.seal(make, keyframe=keyframe)
            except SealerStuckError:
                self.stream.request_keyframe()
                raise
            if sealed.failure is not None:
                if told := self._encoding_failed.note(sealed.failure, self._clock.monotonic()):
                    log.error("encoding failed", camera=self.name, frames=told.count, reason=told.last)
                self.figures.dropped["encode", "failed"] += 1
                if keyframe:
                    self.stream.request_keyframe()
            for packet in sealed.packets:
                self.stream.write(packet)
            if self.vp8 is not None:
                self.vp8.offer(sealed.frame)
            self._probe.offer(sealed.frame, sealed.packets)
            self.last_sealed = sealed.frame
            if sealed.frame.verdict is not Verdict.HELD:
                self._last_picture = self._clock.monotonic()
            if sealed.packets:
                self.figures.frame_published(sealed.frame)

    # What others may know

    def stream_in(self, codec: Codec) -> Stream | None:
        """The published stream in that codec; None when it is switched off."""
        if codec is Codec.H264:
            return self.stream
        return None if self.vp8 is None else self.vp8.stream

    def status(self) -> CameraStatus:
        """A snapshot; from memory, never waits."""
        figures = self.figures
        reason, seconds = figures.fail_closed()
        dropped = dict(figures.dropped)
        if self._mailbox is not None:
            dropped["mailbox", "newer"] = dropped.get(("mailbox", "newer"), 0) + self._mailbox.dropped
        dropped["viewer", "slow"] = self.stream.dropped
        viewers, output = Counter(self.stream.viewers()), Counter(self.stream.output_bytes)
        if self.vp8 is not None:
            dropped |= self.vp8.dropped
            dropped["viewer", "slow"] += self.vp8.stream.dropped
            viewers.update(self.vp8.stream.viewers())
            output.update(self.vp8.stream.output_bytes)
        now = self._clock.monotonic()
        return CameraStatus(
            name=self.name,
            state=figures.state,
            source=redact(str(self.settings.source)),
            codec=figures.codec,
            width=figures.width,
            height=figures.height,
            fps=figures.fps(),
            captured=figures.captured,
            published=dict(figures.published),
            dropped=dropped,
            reconnects=dict(figures.reconnects),
            last_frame=figures.last_frame,
            last_error=figures.last_error,
            retry_in=max(0.0, figures.retry_at - now) if figures.retry_at is not None else None,
            faces_detected=figures.faces_detected,
            faces_current=figures.faces_current,
            tracks_coasting=figures.tracks_coasting,
            face_sizes=figures.face_sizes.snapshot(),
            latency=figures.latency.snapshot(),
            encode=self._sealer.encode_seconds(),
            output_bytes=dict(output),
            viewers=dict(viewers),
            vp8=self.vp8 is not None and self.vp8.active,
            fail_closed=reason,
            fail_closed_seconds=seconds,
            probed=dict(self._probe.results),
            residual_faces=self._probe.residual_faces,
            overload=self._ladder.state,
        )
