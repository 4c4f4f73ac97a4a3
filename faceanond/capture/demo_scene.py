"""What the demo camera shows: a lobby with a window and a clock, and a woman who walks behind the counter.

Everything is drawn once, in YUV; a frame is a copy of the room with the moving parts pasted in. Pictures are small
dataclasses of planes, chroma at half size, so all positions and sizes are even.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceanond.assets import astronaut
from faceanond.frames import Plane

Image = NDArray[np.uint8]
FACE = (174, 62, 272, 190)
"""The face in astronaut.jpg: from the forehead to the chin, without hair and neck, as detectors see it."""
FACE_HEIGHT = FACE[3] - FACE[1]
EYES = 100
"""Row of the eyes in astronaut.jpg."""
COUNTER_BELOW = 150
"""Rows from the eyes to the counter at most: the smallest figure reaches just below."""
SCALE_STEP = 1.02
"""Ratio between neighbouring sizes of the figure: small enough not to be seen as a jump."""
# Where the figure ends in astronaut.jpg, clockwise from the left of the collar; read off the picture by eye.
OUTLINE = (
    (112, 205), (117, 190), (127, 170), (150, 154), (178, 149), (184, 145), (180, 128), (170, 121), (158, 108),
    (152, 84), (158, 55), (178, 33), (205, 19), (232, 14), (262, 21), (286, 42), (299, 68), (301, 88), (295, 108),
    (281, 127), (271, 136), (264, 155), (258, 172), (274, 182), (291, 200), (303, 222), (306, 236), (322, 246),
    (340, 262), (348, 284), (353, 303), (361, 334), (364, 346), (386, 343), (416, 347), (446, 361), (470, 382),
    (487, 409), (496, 440), (498, 462), (510, 486), (507, 511), (20, 511), (24, 460), (19, 417), (19, 389),
    (26, 342), (39, 305), (45, 276), (54, 266), (63, 248), (76, 235), (96, 219),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A picture in limited-range BT.601 or BT.709 planes, `y` of (h, w), `u` and `v` of (h/2, w/2)."""

    y: Plane
    u: Plane
    v: Plane


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A cut-out: its colours already multiplied by the opacity, and what is left of the ground (255 = all)."""

    patch: Patch
    rest: Plane
    rest_chroma: Plane


def to_patch(bgr: Image, *, hd: bool) -> Patch:
    """Limited-range planes of a BGR picture with even sides."""
    kr, kb = (0.2126, 0.0722) if hd else (0.299, 0.114)
    weights = np.array([kb, 1 - kb - kr, kr], np.float32)
    colour = bgr.astype(np.float32)
    luma = colour @ weights
    half = (bgr.shape[1] // 2, bgr.shape[0] // 2)
    small = cv2.resize(colour, half, interpolation=cv2.INTER_AREA)
    small_luma = small @ weights
    y = 16 + luma * (219 / 255)
    u = 128 + (small[..., 0] - small_luma) * (112 / 255 / (1 - kb))
    v = 128 + (small[..., 2] - small_luma) * (112 / 255 / (1 - kr))
    return Patch(*(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (y, u, v)))


@lru_cache(maxsize=1)
def _figure() -> tuple[Image, Image]:
    """The whole picture (BGR) and how opaque the figure is in it, with a soft edge."""
    picture = astronaut()
    outline = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(outline, [np.array(OUTLINE, np.int32)], 255, lineType=cv2.LINE_AA)
    inside = cv2.erode(outline, np.ones((3, 3), np.uint8))
    return picture, np.asarray(cv2.GaussianBlur(inside, (0, 0), 1.6), np.uint8)


def size_step(face_height: float) -> int:
    """The nearest of the sizes that are kept, as a number for `sprite`."""
    return round(math.log(face_height / FACE_HEIGHT, SCALE_STEP))


def scale_of(step: int) -> float:
    """Pixels of the demo per pixel of astronaut.jpg."""
    return float(SCALE_STEP**step)


@lru_cache(maxsize=160)
def sprite(step: int, hd: bool) -> Sprite:
    """The figure in one size, down to where the counter hides it. Shared by all demo cameras; all sizes take 22 MB."""
    picture, opacity = _figure()
    side = max(2, round(512 * scale_of(step) / 2) * 2)
    shrinking = cv2.INTER_AREA if side < 512 else cv2.INTER_CUBIC
    rows = min(side, _even(EYES * scale_of(step)) + COUNTER_BELOW + 20)
    patch = to_patch(_resized(picture, side, shrinking)[:rows], hd=hd)
    alpha = _resized(opacity, side, cv2.INTER_AREA if side < 512 else cv2.INTER_LINEAR)[:rows]
    alpha_chroma = np.asarray(cv2.resize(alpha, (side // 2, rows // 2), interpolation=cv2.INTER_AREA), np.uint8)
    weighted = Patch(_times(patch.y, alpha), _times(patch.u, alpha_chroma), _times(patch.v, alpha_chroma))
    return Sprite(weighted, np.asarray(255 - alpha, np.uint8), np.asarray(255 - alpha_chroma, np.uint8))


def _resized(picture: Image, side: int, how: int) -> Image:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=how), np.uint8)


def _times(plane: Plane, share: Image) -> Plane:
    return np.asarray(cv2.multiply(plane, share, scale=1 / 255), np.uint8)


def paste(canvas: Patch, figure: Sprite, left: int, top: int, floor: int) -> None:
    """Lays the figure over the canvas at an even place, only above row `floor` (even)."""
    rows, side = figure.patch.y.shape
    width = canvas.y.shape[1]
    x1, x2 = max(left, 0), min(left + side, width - width % 2)
    y1, y2 = max(top, 0), min(top + rows, floor)
    if x1 >= x2 or y1 >= y2:
        return
    for ground, colours, rest, half in (
        (canvas.y, figure.patch.y, figure.rest, 1),
        (canvas.u, figure.patch.u, figure.rest_chroma, 2),
        (canvas.v, figure.patch.v, figure.rest_chroma, 2),
    ):
        here = ground[y1 // half : y2 // half, x1 // half : x2 // half]
        rows_there = slice((y1 - top) // half, (y2 - top) // half)
        columns_there = slice((x1 - left) // half, (x2 - left) // half)
        cv2.multiply(here, rest[rows_there, columns_there], dst=here, scale=1 / 255)
        cv2.add(here, colours[rows_there, columns_there], dst=here)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in a picture of this size. All numbers are even."""

    width: int
    height: int

    @property
    def eyes(self) -> int:
        """The row at which people's eyes are, near or far: the horizon."""
        return _even(self.height * 0.42)

    @property
    def counter(self) -> int:
        """The counter's upper edge: it hides where the cut-out of the smallest figure ends."""
        return _even(min(self.height * 0.68, self.eyes + COUNTER_BELOW))

    @property
    def window(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of the glass."""
        return (
            _even(self.width * 0.08), _even(self.height * 0.12), _even(self.width * 0.4), _even(self.height * 0.5)
        )  # fmt: skip

    @property
    def clock(self) -> tuple[int, int, int]:
        """(x, y, radius)."""
        return _even(self.width * 0.6), _even(self.height * 0.17), max(6, _even(self.height * 0.09))


class Room:
    """The empty lobby of one size. Not for several threads."""

    def __init__(self, width: int, height: int, *, hd: bool) -> None:
        self._layout = Layout(width, height)
        even = (height + height % 2, width + width % 2)
        full = to_patch(_draw_room(self._layout, even), hd=hd)
        chroma = ((height + 1) // 2, (width + 1) // 2)
        self._still = Patch(full.y[:height, :width], full.u[: chroma[0], : chroma[1]], full.v[: chroma[0], : chroma[1]])
        left, top, right, bottom = self._layout.window
        self._view = to_patch(_draw_view(right - left, bottom - top), hd=hd)

    def paint(self, canvas: Patch, seconds: float) -> None:
        """The whole room as it is at this time: the view drifts past the window, the clock's hands turn."""
        canvas.y[:], canvas.u[:], canvas.v[:] = self._still.y, self._still.u, self._still.v
        left, top, right, bottom = self._layout.window
        width = right - left
        offset = _even(seconds * max(6.0, width / 30)) % width
        for plane, view, half in (
            (canvas.y, self._view.y, 1),
            (canvas.u, self._view.u, 2),
            (canvas.v, self._view.v, 2),
        ):
            glass = plane[top // half : bottom // half, left // half : right // half]
            glass[:] = view[:, offset // half : (offset + width) // half]
            post = slice(
                width // half // 2 - max(1, width // 80 // half), width // half // 2 + max(1, width // 80 // half)
            )
            glass[:, post] = 200 if half == 1 else 128
        self._hands(canvas.y, seconds)

    def _hands(self, luma: Plane, seconds: float) -> None:
        x, y, radius = self._layout.clock
        for turn, length, thickness in (
            (seconds / 43200 + 10 / 12, 0.5, 3), (seconds / 3600 + 9 / 60, 0.72, 2), (seconds / 60, 0.8, 1),
        ):  # fmt: skip
            angle = 2 * math.pi * turn
            end = (round(x + math.sin(angle) * radius * length), round(y - math.cos(angle) * radius * length))
            cv2.line(luma, (x, y), end, 40, max(1, thickness * radius // 40), cv2.LINE_AA)


def _draw_room(layout: Layout, shape: tuple[int, int]) -> Image:
    """Wall, window frame, picture, clock face, plant and counter, in BGR."""
    height, width = shape
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    wall = np.array([196, 208, 212], np.float32) * (1.06 - 0.22 * down) * (1 - 0.14 * across**2)
    room = np.clip(wall, 0, 255).astype(np.uint8)
    unit = max(1, height // 180)
    left, top, right, bottom = layout.window
    _panel(
        room, (left - 4 * unit, top - 4 * unit, right + 4 * unit, bottom + 4 * unit), (232, 236, 238), (150, 158, 162)
    )
    _panel(
        room,
        (left - 6 * unit, bottom + 4 * unit, right + 6 * unit, bottom + 8 * unit),
        (220, 225, 228),
        (150, 158, 162),
    )
    x, y, radius = layout.clock
    cv2.circle(room, (x, y), radius + 2 * unit, (70, 64, 60), -1, cv2.LINE_AA)
    cv2.circle(room, (x, y), radius, (244, 246, 246), -1, cv2.LINE_AA)
    for hour in range(12):
        angle = math.pi * hour / 6
        outer = (round(x + math.sin(angle) * radius * 0.92), round(y - math.cos(angle) * radius * 0.92))
        inner = (round(x + math.sin(angle) * radius * 0.8), round(y - math.cos(angle) * radius * 0.8))
        cv2.line(room, inner, outer, (60, 60, 60), max(1, radius // 24), cv2.LINE_AA)
    frame = (round(width * 0.72), round(height * 0.12), round(width * 0.92), round(height * 0.4))
    _panel(room, frame, (92, 104, 122), (60, 70, 84))
    inset = (frame[0] + 3 * unit, frame[1] + 3 * unit, frame[2] - 3 * unit, frame[3] - 3 * unit)
    _draw_painting(room[inset[1] : inset[3], inset[0] : inset[2]])
    _draw_counter(room, layout.counter, unit)
    return np.asarray(cv2.GaussianBlur(room, (0, 0), 0.6 * unit), np.uint8)


def _panel(
    room: Image, box: tuple[int, int, int, int], colour: tuple[int, int, int], edge: tuple[int, int, int]
) -> None:
    cv2.rectangle(room, box[:2], box[2:], colour, -1)
    cv2.rectangle(room, box[:2], box[2:], edge, 1)


def _draw_painting(room: Image) -> None:
    """Three hills at dusk."""
    height, width = room.shape[:2]
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = (1 - down) * np.array([168, 128, 92], np.float32) + down * np.array([150, 190, 232], np.float32)
    room[:] = sky.astype(np.uint8)
    x = np.arange(width)
    for share, colour in ((0.55, (120, 122, 104)), (0.68, (92, 100, 78)), (0.82, (64, 74, 58))):
        line = height * (share + 0.07 * np.sin(x / width * 9 * share + share * 20))
        room[np.arange(height)[:, None] > line[None, :]] = colour


def _draw_counter(room: Image, top: int, unit: int) -> None:
    height, width = room.shape[:2]
    down = np.linspace(1.0, 0.62, height - top, dtype=np.float32)[:, None, None]
    room[top:] = (np.array([74, 96, 124], np.float32) * down).astype(np.uint8)
    for x in range(0, width, 26 * unit):
        cv2.line(room, (x, top), (x, height), (58, 76, 98), unit)
    cv2.rectangle(room, (0, top), (width, top + 5 * unit), (128, 154, 182), -1)
    cv2.rectangle(room, (0, top + 5 * unit), (width, top + 7 * unit), (44, 58, 76), -1)
    middle = (top + 7 * unit + height) // 2
    plate = (width // 2 - 52 * unit, middle - 9 * unit, width // 2 + 52 * unit, middle + 9 * unit)
    _panel(room, plate, (170, 196, 214), (44, 58, 76))
    scale = unit * 0.42
    (wide, tall), _ = cv2.getTextSize("faceanond demo", cv2.FONT_HERSHEY_SIMPLEX, scale, unit)
    place = (width // 2 - wide // 2, middle + tall // 2)
    cv2.putText(room, "faceanond demo", place, cv2.FONT_HERSHEY_SIMPLEX, scale, (58, 66, 76), unit, cv2.LINE_AA)


def _draw_view(width: int, height: int) -> Image:
    """Sky, houses and trees, twice as wide as the window; its second half repeats the first."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = (1 - down) * np.array([226, 176, 122], np.float32) + down * np.array([240, 232, 222], np.float32)
    view = np.repeat(sky, width, axis=1).astype(np.uint8)
    random = np.random.default_rng(7)
    x = 0
    while x < width:
        wide = min(width - x, int(width * random.uniform(0.08, 0.17)) + 2)
        tall = int(height * random.uniform(0.3, 0.62))
        grey = random.uniform(0.75, 1.0)
        colour = tuple(int(value * grey) for value in (172, 176, 182))
        cv2.rectangle(view, (x, height - tall), (x + wide - 2, height), colour, -1)
        for row in range(height - tall + 5, height - 4, max(6, height // 14)):
            for column in range(x + 4, x + wide - 6, max(6, width // 36)):
                cv2.rectangle(view, (column, row), (column + 2, row + 3), (120, 112, 104), -1)
        x += wide
    for x in range(0, width, max(8, width // 6)):
        radius = max(3, height // 9)
        cv2.line(view, (x + radius, height), (x + radius, height - radius), (52, 70, 88), max(1, radius // 4))
        cv2.circle(view, (x + radius, height - radius - radius // 2), radius, (84, 128, 92), -1, cv2.LINE_AA)
    return np.concatenate([view, view], axis=1)


def _even(value: float) -> int:
    return 2 * math.floor(value / 2)
