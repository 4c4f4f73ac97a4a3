"""A camera that needs no camera: `demo:?size=1280x720&fps=25&seed=0&faces=1`.

A real face (NASA's Eileen Collins) walks through a lobby, comes nearer and goes back, leaves and comes again. What is
shown depends on (options, index) alone, and `true_boxes` tells where the faces are.
"""

from __future__ import annotations

import math
import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceanond.capture.demo_scene import (
    EYES,
    FACE,
    FACE_HEIGHT,
    Layout,
    Patch,
    Room,
    paste,
    scale_of,
    size_step,
    sprite,
)
from faceanond.capture.pacing import Pacer
from faceanond.capture.source import StreamInfo
from faceanond.clock import Clock
from faceanond.errors import SourceError, SourceFault
from faceanond.frames import Box, ColourMatrix, FrameId, RawFrame

HD_HEIGHT = 720
SMALLEST, LARGEST = (160, 120), (3840, 2160)
MAX_FPS = 120.0
MAX_FACES = 8
NEAR, FAR = 200.0, 60.0
"""Height of the face in pixels when nearest and farthest."""
NEAR_SHARE = 0.42
"""In small pictures the face is at most this share of the height."""
WALK = 19.0
"""Seconds for one walk through the picture."""
AWAY = 4.0
"""Seconds without a face after each walk."""
VISIBLE = 0.25
"""A face of which less than this share is to be seen is not called one."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the URL's query says."""

    width: int = 1280
    height: int = 720
    fps: float = 25.0
    seed: int = 0
    faces: int = 1

    @staticmethod
    def parse(options: Sequence[tuple[str, str]]) -> DemoOptions:
        """Raises SourceError for names and values that are not known, with what was expected."""
        values: dict[str, int | float] = {}
        for key, value in options:
            match key:
                case "size":
                    values["width"], values["height"] = _size(value)
                case "fps":
                    values["fps"] = _number(key, value, 1, MAX_FPS)
                case "seed":
                    values["seed"] = int(_number(key, value, 0, 2**31, whole=True))
                case "faces":
                    values["faces"] = int(_number(key, value, 0, MAX_FACES, whole=True))
                case _:
                    raise _wrong(f'unknown option "{key[:40]}"; expected size, fps, seed or faces')
        return DemoOptions(**values)  # type: ignore[arg-type]


def _size(value: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value)
    if match is not None:
        width, height = int(match[1]), int(match[2])
        if SMALLEST[0] <= width <= LARGEST[0] and SMALLEST[1] <= height <= LARGEST[1]:
            return width, height
    smallest, largest = "x".join(map(str, SMALLEST)), "x".join(map(str, LARGEST))
    raise _wrong(f'size "{value[:40]}" is not WIDTHxHEIGHT from {smallest} to {largest}')


def _number(key: str, value: str, low: float, high: float, *, whole: bool = False) -> float:
    if re.fullmatch(r"\d{1,10}" if whole else r"\d{1,10}(\.\d{1,10})?", value) and low <= float(value) <= high:
        return float(value)
    raise _wrong(f'{key} "{value[:40]}" is not a {"whole " if whole else ""}number from {low:g} to {high:g}')


def _wrong(reason: str) -> SourceError:
    return SourceError(SourceFault.NOT_FOUND, f"demo: {reason}")


@dataclass(frozen=True, slots=True)
class _Figure:
    """One person in one frame: where the cut-out lies, and in which size."""

    step: int
    left: int
    top: int

    @property
    def face(self) -> Box:
        scale = scale_of(self.step)
        x1, y1, x2, y2 = (value * scale for value in FACE)
        return Box(self.left + x1, self.top + y1, self.left + x2, self.top + y2)


class DemoSource:
    """See `Source`. Never fails once made; `open` draws the room, which takes a few hundredths of a second.

    `options` are a URL's, which are checked, or already what they mean, in any size.
    """

    def __init__(
        self,
        name: str,
        options: Sequence[tuple[str, str]] | DemoOptions = (),
        *,
        generation: int,
        clock: Clock,
        live: bool = True,
        pacer: Pacer | None = None,
    ) -> None:
        self._name = name
        self._options = options if isinstance(options, DemoOptions) else DemoOptions.parse(options)
        self._generation = generation
        self._clock = clock
        self._live = live
        self._pacer = pacer if pacer is not None else Pacer(clock, longest=2.0)
        self._layout = Layout(self._options.width, self._options.height)
        self._hd = self._options.height >= HD_HEIGHT
        self._matrix = ColourMatrix.BT709 if self._hd else ColourMatrix.BT601
        chance = random.Random(self._options.seed)  # noqa: S311  a walk, not a secret
        self._walks = [_Walk(self._options, chance, number) for number in range(self._options.faces)]
        self._room: Room | None = None
        self._buffers: list[NDArray[np.uint8]] = []
        self._index = 0

    def __repr__(self) -> str:
        return f"DemoSource({self._name!r})"

    def open(self) -> StreamInfo:
        options = self._options
        self._room = Room(options.width, options.height, hd=self._hd)
        return StreamInfo("raw", options.width, options.height, options.fps, self._live)

    def read(self) -> RawFrame | None:
        """The next picture in its time; None after an interrupt."""
        index = self._index
        pts = index / self._options.fps
        if self._live and not self._pacer.until(pts):
            return None
        if self._pacer.stopped:
            return None
        self._index += 1
        return self.frame(index)

    def interrupt(self) -> None:
        self._pacer.stop()

    def close(self) -> None:
        self._room = None
        self._buffers.clear()

    def frame(self, index: int) -> RawFrame:
        """Picture number `index`, drawn now; needs `open`."""
        if self._room is None:
            raise SourceError(SourceFault.INTERNAL, "demo: read before open")
        pts = index / self._options.fps
        canvas = self._canvas()
        self._room.paint(canvas, pts)
        for figure in self._figures(index):
            paste(canvas, sprite(figure.step, self._hd), figure.left, figure.top, self._layout.counter)
        for plane in (canvas.y, canvas.u, canvas.v):
            plane.flags.writeable = False
        return RawFrame(
            id=FrameId(self._name, self._generation, index),
            y=canvas.y,
            u=canvas.u,
            v=canvas.v,
            full_range=False,
            matrix=self._matrix,
            captured=self._clock.monotonic(),
            pts=pts,
        )

    def true_boxes(self, index: int) -> list[Box]:
        """The faces to be seen in picture number `index`, farthest first, as tight boxes clipped to the picture."""
        figures = self._figures(index)
        boxes = []
        for number, figure in enumerate(figures):
            face = figure.face
            seen = face.clipped(self._options.width, self._layout.counter)
            if seen.width <= 0 or seen.height <= 0:
                continue
            share = seen.width * seen.height / (face.width * face.height)
            if share * (1 - self._covered(seen, figures[number + 1 :])) >= VISIBLE:
                boxes.append(seen)
        return boxes

    def _figures(self, index: int) -> list[_Figure]:
        """Who is on the way at that moment, farthest first."""
        seconds = index / self._options.fps
        present = (walk.figure(seconds, self._layout) for walk in self._walks)
        return sorted((figure for figure in present if figure is not None), key=lambda figure: figure.step)

    def _covered(self, box: Box, nearer: Sequence[_Figure]) -> float:
        """The share of the box that nearer figures hide."""
        x1, y1, x2, y2 = box.rounded_out()
        rest = np.full((y2 - y1, x2 - x1), 255, np.uint8)
        for figure in nearer:
            ground = sprite(figure.step, self._hd).rest
            left, top = figure.left - x1, figure.top - y1
            a, b = max(left, 0), min(left + ground.shape[1], rest.shape[1])
            c, d = max(top, 0), min(top + ground.shape[0], rest.shape[0])
            if a < b and c < d:
                rest[c:d, a:b] = np.minimum(rest[c:d, a:b], ground[c - top : d - top, a - left : b - left])
        return 1 - float(rest.mean()) / 255

    def _canvas(self) -> Patch:
        """Planes to draw in: a buffer that nobody refers to any more, or a new one.

        Fresh memory for each frame would cost more than drawing it; a buffer that is still referred to would change a
        picture under the eyes of the detector. CPython's reference count tells them apart.
        """
        width, height = self._options.width, self._options.height
        chroma = ((height + 1) // 2, (width + 1) // 2)
        luma_size, chroma_size = width * height, chroma[0] * chroma[1]
        for place in range(len(self._buffers)):
            # One reference is the list's, one the call's own.
            if sys.getrefcount(self._buffers[place]) <= 2:
                buffer = self._buffers[place]
                break
        else:
            buffer = np.empty(luma_size + 2 * chroma_size, np.uint8)
            self._buffers.append(buffer)
        return Patch(
            buffer[:luma_size].reshape(height, width),
            buffer[luma_size : luma_size + chroma_size].reshape(chroma),
            buffer[luma_size + chroma_size :].reshape(chroma),
        )


class _Walk:
    """The way of one person: in at one side, slowly past the middle, out at the other, a pause, and back."""

    def __init__(self, options: DemoOptions, chance: random.Random, number: int) -> None:
        cycle = WALK + AWAY
        # The first one is in the picture from the first frame on.
        self._phase = chance.uniform(0.3, 0.6) * WALK + cycle * number / max(1, options.faces)
        self._swing = chance.uniform(0, 2 * math.pi)
        self._sway = chance.uniform(0.8, 1.2)
        self._near = max(min(NEAR, options.height * NEAR_SHARE), 1.0)
        self._far = min(FAR, self._near)

    def figure(self, seconds: float, layout: Layout) -> _Figure | None:
        turn, way = divmod(seconds + self._phase, WALK + AWAY)
        if way >= WALK:
            return None
        along = 2 * way / WALK - 1
        along = 0.5 * along + 0.5 * along**3 + 0.03 * math.sin(way * 1.3 * self._sway)
        if int(turn) % 2:
            along = -along
        nearness = 0.5 - 0.5 * math.cos(seconds * 2 * math.pi / 14.0 * self._sway + self._swing)
        step = size_step(self._far * (self._near / self._far) ** nearness)
        scale = scale_of(step)
        # At along = -1 and 1 the whole cut-out is outside.
        reach = layout.width / 2 + 256 * scale + 2
        centre = layout.width / 2 + along * reach
        bob = 0.02 * FACE_HEIGHT * scale * math.sin(seconds * 5.0)
        return _Figure(step, _even(centre - 256 * scale), _even(layout.eyes + bob - EYES * scale))


def _even(value: float) -> int:
    return 2 * math.floor(value / 2)
