"""The sole maker of `AnonymisedFrame`: what cannot be masked with certainty is concealed, what is not there is held
for a moment and then replaced by a slate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from faceanond.anonymise import effects, policy
from faceanond.anonymise.frame import _SEAL, AnonymisedFrame
from faceanond.anonymise.legend import draw_legend, legend_text
from faceanond.anonymise.lettering import lettered, paste
from faceanond.anonymise.noise import Noise
from faceanond.anonymise.planes import Planes, even
from faceanond.anonymise.shapes import Stencil, polygons_stencil
from faceanond.anonymise.slate import slate
from faceanond.clock import Clock
from faceanond.config.model import Anonymise, Zone
from faceanond.frames import Box, ColourMatrix, Detections, RawFrame, Region, RegionKind, Verdict

log = structlog.get_logger(__name__)

HOLD = 2.0
"""Seconds after its capture during which a sealed picture may stand in for missing ones (DESIGN.md, section 1)."""
FIRST_SIZE = (640, 360)
"""Of a slate, while no picture has told the camera's size."""
LOG_INTERVAL = 1.0
"""Seconds between two reports of failing effects."""


@dataclass(frozen=True, slots=True, eq=False)
class _Zones:
    """The hidden polygons, rasterised for one size of picture (not rounded up)."""

    size: tuple[int, int]
    stencil: Stencil | None
    outside: tuple[int, ...]
    """Numbers of the polygons that do not fit into the picture: they were meant for another size."""


class Anonymiser:
    """Turns one camera's pictures into pictures that may be seen. Used by one thread at a time; blocks for about a
    millisecond.

    `zones` are polygons in pixels of the input; they are always filled with one colour, whatever the method.
    """

    def __init__(self, camera: str, settings: Anonymise, zones: Sequence[Zone] = (), *, clock: Clock) -> None:
        self._camera = camera
        self._settings = settings
        self._noise = Noise.of_camera(camera, settings.noise)
        self._polygons = tuple(zones)
        self._clock = clock
        self._zones: _Zones | None = None
        self._shown: AnonymisedFrame | None = None
        self._shown_until = -math.inf
        self._size = FIRST_SIZE
        self._matrix = ColourMatrix.BT709
        self._slate: tuple[str, AnonymisedFrame] | None = None
        self._failures = 0
        self._reported = -math.inf

    def seal(self, frame: RawFrame, detections: Detections, *, fps: float = 0.0) -> AnonymisedFrame:
        """The frame with its faces and the zones hidden: `masked` when one was found in it, `coasted` when tracks
        alone say that there is one, `clean` when it shows none.

        Where the detections cannot be believed for this very frame, or hiding fails, the whole picture is concealed
        and the reason says why; nothing is raised for it. `fps` is for the legend.
        """
        try:
            reason = policy.doubt(frame.id, frame.suspect, frame.size, detections)
            if reason is None and self._zones_outside(frame.size):
                reason = policy.Doubt.ZONE_OUTSIDE
            if reason is None:
                return self._masked(frame, detections, fps)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, this picture is not believed
            self._report(error)
            reason = policy.Doubt.EFFECT_FAILED
        return self.conceal(frame, reason)

    def conceal(self, frame: RawFrame, reason: str) -> AnonymisedFrame:
        """The frame as a few flat cells with the reason written on it: `full`. Nothing can be recognised in it.

        `reason` is a short name from a closed set (a metric label). A slate takes its place when even that fails.
        """
        self._forget()
        reason = str(reason)
        width, height = self._size = frame.size
        try:
            planes = Planes.copied(frame)
            zones = self._zone_stencil(frame.size)
            if zones is not None:
                effects.hide(planes, [(zones, effects.SOLID)])
            settings = self._settings
            effects.hide_all(
                planes,
                effects.concealing_effect(
                    settings.method, width, height, mosaic_level=settings.mosaic_level, noise=self._noise
                ),
            )
            letters = lettered(f"concealed: {reason.replace('_', ' ')}", max(12, planes.height // 24))
            paste(planes, letters, 0, (planes.height - letters.shape[0]) // 2 * 2 if planes.height > 64 else 0)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, this picture is not believed
            self._report(error)
            planes = slate(self._camera, f"concealed: {reason.replace('_', ' ')}", width, height)
        whole = Region(Box(0.0, 0.0, float(width), float(height)), RegionKind.FRAME)
        return self._sealed(planes, frame, Verdict.FULL, reason, (whole,))

    def absent(self, reason: str, *, message: str, size: tuple[int, int] | None = None) -> AnonymisedFrame:
        """What is shown while no picture comes: `held`.

        The newest sealed picture, for at most 2 s after its capture, unless it was concealed; then a slate with the
        camera's name and the message. `size` (width, height) is the input's, when it is known to have changed.
        """
        now = self._clock.monotonic()
        if size is not None and size != self._size:
            self.reset()
            self._size = size
        shown = self._shown
        if shown is None or now > self._shown_until:
            self._forget()
            shown = self._slated(message)
        return AnonymisedFrame(
            camera=self._camera,
            source=shown.source,
            i420=shown.i420,
            width=shown.width,
            height=shown.height,
            matrix=shown.matrix,
            captured=now,
            pts=shown.pts,
            verdict=Verdict.HELD,
            reason=str(reason),
            regions=shown.regions,
            seal=_SEAL,
        )

    def reset(self) -> None:
        """A new connection or a new size begins: nothing of the old picture is shown again."""
        self._forget()
        self._slate = None
        self._zones = None

    def _masked(self, frame: RawFrame, detections: Detections, fps: float) -> AnonymisedFrame:
        settings = self._settings
        planes = Planes.copied(frame)
        hidden: list[tuple[Stencil, effects.Effect]] = []
        regions: list[Region] = []
        zones = self._zone_stencil(frame.size)
        if zones is not None:
            hidden.append((zones, effects.SOLID))
            regions.append(Region(zones.bounds(*frame.size), RegionKind.ZONE))
        verdict = Verdict.CLEAN
        for face in detections.faces:
            target = policy.target(face, margin=settings.margin, shape=settings.shape)
            stencil = policy.stencil(target.reach, settings.shape, planes.width, planes.height)
            if stencil is None:
                continue
            effect = effects.effect_for(
                settings.method,
                target.side,
                mosaic_level=settings.mosaic_level,
                blur_level=settings.blur_level,
                noise=self._noise,
                track=face.track,
            )
            hidden.append((stencil, effect))
            regions.append(Region(stencil.bounds(*frame.size), RegionKind.FACE, target.score, face.track))
            verdict = Verdict.COASTED if face.coasted and verdict is not Verdict.MASKED else Verdict.MASKED
        effects.hide(planes, hidden)
        wall = self._clock.wall()
        draw_legend(planes, legend_text(settings.legend, camera=self._camera, fps=fps, wall=wall))
        sealed = self._sealed(planes, frame, verdict, None, tuple(regions))
        self._shown, self._shown_until = sealed, min(frame.captured, self._clock.monotonic()) + HOLD
        self._size, self._matrix = frame.size, frame.matrix
        return sealed

    def _sealed(
        self, planes: Planes, frame: RawFrame, verdict: Verdict, reason: str | None, regions: tuple[Region, ...]
    ) -> AnonymisedFrame:
        return AnonymisedFrame(
            camera=self._camera,
            source=frame.id,
            i420=planes.i420,
            width=planes.width,
            height=planes.height,
            matrix=frame.matrix,
            captured=frame.captured,
            pts=frame.pts,
            verdict=verdict,
            reason=reason,
            regions=regions,
            seal=_SEAL,
        )

    def _slated(self, message: str) -> AnonymisedFrame:
        """The slate with that message, drawn once: it may be repeated for days."""
        size = even(self._size[0]), even(self._size[1])
        if self._slate is not None:
            words, drawn = self._slate
            if words == message and (drawn.width, drawn.height) == size:
                return drawn
        drawn = AnonymisedFrame(
            camera=self._camera,
            source=None,
            i420=slate(self._camera, message, *size).i420,
            width=size[0],
            height=size[1],
            matrix=self._matrix,
            captured=self._clock.monotonic(),
            pts=0.0,
            verdict=Verdict.HELD,
            reason="slate",
            regions=(),
            seal=_SEAL,
        )
        self._slate = message, drawn
        return drawn

    def _zones_outside(self, size: tuple[int, int]) -> bool:
        """Whether a zone cannot be where it was meant to be: then nobody knows what must be hidden."""
        zones = self._zones_for(size)
        return zones is not None and bool(zones.outside)

    def _zone_stencil(self, size: tuple[int, int]) -> Stencil | None:
        zones = self._zones_for(size)
        return None if zones is None else zones.stencil

    def _zones_for(self, size: tuple[int, int]) -> _Zones | None:
        if not self._polygons:
            return None
        if self._zones is None or self._zones.size != size:
            width, height = even(size[0]), even(size[1])
            outside = policy.zones_outside(self._polygons, size)
            if outside:
                log.error(
                    "zones do not fit the picture, so all of it is concealed; draw them for this size",
                    camera=self._camera,
                    zones=[f"zones[{number}]" for number in outside],
                    size=f"{size[0]}x{size[1]}",
                )
            self._zones = _Zones(size, polygons_stencil(self._polygons, width, height), outside)
        return self._zones

    def _forget(self) -> None:
        self._shown = None

    def _report(self, error: Exception) -> None:
        """One line a second at most: how often, and the last."""
        self._failures += 1
        now = self._clock.monotonic()
        if now - self._reported >= LOG_INTERVAL:
            log.error("hiding failed", camera=self._camera, failures=self._failures, exc_info=error)
            self._failures, self._reported = 0, now
