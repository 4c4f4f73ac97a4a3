"""The first step of the cascade: P-Net over the levels of all frames' pyramids, and what remains of its answers.

Two ways lead to the same proposals. The dense one runs the float network over every level; on a GPU the levels are cut
and packed into sheets of one size, so that the network sees few shapes. With the 8-bit network, that one looks at every
level, and the float network only at the 12x12 pixels of cells that could be one or the other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from faceanond.detect.boxes import CELL, STRIDE
from faceanond.detect.native import Proposer
from faceanond.detect.networks import ANSWERS, Answers, Pixels, Runner, ask, checked
from faceanond.detect.protocol import too_many
from faceanond.errors import DetectionError

MARGIN = 0.75
"""How far the 8-bit network's score may be too low."""
MOST_CELLS = 8192
"""Cells of one frame that P-Net may fire on, or nearly: a crowd of a hundred faces fires on a few thousand."""

_RUN_PIXELS = 1 << 19
"""Pixels of levels in one run of P-Net at most: its largest tensor holds 64 bytes for each."""
_SHARED = CELL - STRIDE
"""Pixels that neighbouring pieces of a level share, so that no cell is lost between them."""

Cells = NDArray[np.int32]
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Look:
    """One level of one frame, and what P-Net found in it: columns and rows of cells (n, 2), answers (n, 5). `frame`
    counts the frames; `refused` says why this one is not looked at further."""

    frame: int
    picture: Pixels
    threshold: float
    """The score that a cell must exceed."""
    refused: DetectionError | None = None
    cells: Cells = field(default_factory=lambda: np.empty((0, 2), np.int32))
    answers: Answers = field(default_factory=lambda: np.empty((0, ANSWERS), np.float32))


def propose_dense(looks: Sequence[Look], pnet: Runner, sheet: int | None) -> None:
    """Fills in what the float network finds. `sheet` is the side of the square sheets to pack levels into, or None
    for each level by itself."""
    pieces = [piece for look in looks for piece in _cut(look, sheet)]
    sheets = _packed(pieces, sheet) if sheet else [_Sheet(p.picture.shape[:2], [(p, 0, 0)]) for p in pieces]
    found: dict[int, list[tuple[Cells, Answers]]] = defaultdict(list)
    by_shape: dict[tuple[int, int], list[_Sheet]] = defaultdict(list)
    for page in sheets:
        by_shape[page.shape].append(page)
    for (height, width), same in by_shape.items():
        for part in chunks(same, pnet.most if sheet else max(1, _RUN_PIXELS // (height * width))):
            answers = checked(
                pnet.run(np.stack([page.drawn() for page in part])),
                (len(part), ANSWERS, _cells(height), _cells(width)),
                "P-Net",
            )
            for page, answer in zip(part, answers, strict=True):
                for piece, left, top in page.places:
                    found[id(piece.look)].append(piece.read(answer, left, top))
    for look in looks:
        look.cells = np.concatenate([cells for cells, _ in found[id(look)]])
        look.answers = np.concatenate([answers for _, answers in found[id(look)]])
    _refuse_crowds(looks)


def propose_bytes(looks: Sequence[Look], proposer: Proposer, pnet: Runner, threads: Executor | None) -> None:
    """Fills in what the 8-bit network finds, and what the float network finds among its close rejections."""

    def work(look: Look) -> None:
        look.cells, look.answers = proposer.propose(look.picture, look.threshold - MARGIN, MOST_CELLS)

    spread(work, looks, threads)
    _refuse_crowds(looks)
    close = [np.flatnonzero(look.answers[:, 0] <= look.threshold) for look in looks]
    asked = [_patches(look, which) for look, which in zip(looks, close, strict=True) if len(which)]
    patches = np.concatenate(asked) if asked else np.empty((0, CELL, CELL, 4), np.uint8)
    exact = ask(pnet, patches, "P-Net")
    ends = np.cumsum([len(which) for which in close])
    for look, which, answers in zip(looks, close, np.split(exact, ends[:-1]), strict=True):
        look.answers[which] = answers
        passed = look.answers[:, 0] > look.threshold
        look.cells, look.answers = look.cells[passed], look.answers[passed]


def spread(work: Callable[[T], object], items: Iterable[T], threads: Executor | None) -> None:
    """Does the work on each item, by several threads if there are any. Raises what the work raises."""
    for _ in map(work, items) if threads is None else threads.map(work, items):
        pass


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in parts of at most that size."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _refuse_crowds(looks: Sequence[Look]) -> None:
    """Empties the looks of frames in which too much looks like a face, before that costs more."""
    cells: Counter[int] = Counter()
    for look in looks:
        cells[look.frame] += len(look.cells)
    for look in looks:
        if cells[look.frame] > MOST_CELLS:
            look.refused = too_many(cells[look.frame], MOST_CELLS)
            look.cells, look.answers = look.cells[:0], look.answers[:0]


def _patches(look: Look, which: NDArray[np.intp]) -> Pixels:
    """What the cells look at: (n, 12, 12, 4)."""
    columns, rows = (STRIDE * look.cells[which]).T
    words = look.picture.view(np.uint32).reshape(-1)  # a pixel each
    width = look.picture.shape[1]
    inside = np.add.outer(np.arange(CELL) * width, np.arange(CELL))
    taken: NDArray[np.uint32] = words[(rows * width + columns)[:, None, None] + inside]
    return taken[..., None].view(np.uint8)


def _cells(pixels: int) -> int:
    """P-Net's cells along an even side: 3x3, pool of 2, 3x3, 3x3."""
    return pixels // STRIDE - _SHARED // STRIDE


# Levels as pieces of bounded size, and sheets that hold several of them.


@dataclass(slots=True, eq=False)
class _Piece:
    """Part of a level; `left` and `top` say where, in pixels."""

    look: Look
    picture: Pixels
    left: int
    top: int

    def read(self, answer: Answers, left: int, top: int) -> tuple[Cells, Answers]:
        """The cells that fired, out of the answer (5, rows, columns) for a sheet on which the piece lies there."""
        height, width = self.picture.shape[:2]
        column, row = left // STRIDE, top // STRIDE
        mine = answer[:, row : row + _cells(height), column : column + _cells(width)]
        rows, columns = np.nonzero(mine[0] > self.look.threshold)
        cells = np.stack([columns + self.left // STRIDE, rows + self.top // STRIDE], axis=1)
        return cells.astype(np.int32), mine[:, rows, columns].T


@dataclass(slots=True, eq=False)
class _Sheet:
    shape: tuple[int, int]
    places: list[tuple[_Piece, int, int]]
    """Pieces with their left and top, in pixels."""

    def drawn(self) -> Pixels:
        if len(self.places) == 1 and self.places[0][0].picture.shape[:2] == self.shape:
            return self.places[0][0].picture
        canvas = np.zeros((*self.shape, 4), np.uint8)
        for piece, left, top in self.places:
            height, width = piece.picture.shape[:2]
            canvas[top : top + height, left : left + width] = piece.picture
        return canvas


def _cut(look: Look, sheet: int | None) -> Iterator[_Piece]:
    """The level in pieces that fit on a sheet, or, without sheets, into one run."""
    height, width = look.picture.shape[:2]
    most_high, most_wide = (sheet, sheet) if sheet else (max(2 * _SHARED, _RUN_PIXELS // width // 2 * 2), width)
    for top in _starts(height, most_high):
        for left in _starts(width, most_wide):
            part = look.picture[top : top + most_high, left : left + most_wide]
            yield _Piece(look, part, left, top)


def _starts(length: int, most: int) -> range:
    """Where pieces of at most that length begin, each sharing pixels with the next."""
    return range(0, max(1, length - _SHARED), most - _SHARED)


def _packed(pieces: Iterable[_Piece], side: int) -> list[_Sheet]:
    """Puts the pieces on square sheets, tallest first, in rows from left to right ("shelves")."""
    sheets: list[_Sheet] = []
    left = top = below = side
    for piece in sorted(pieces, key=lambda piece: -piece.picture.shape[0]):
        height, width = piece.picture.shape[:2]
        if left + width > side:
            left, top = 0, below
            below = top + height
        if below > side or not sheets:
            sheets.append(_Sheet((side, side), []))
            left, top, below = 0, 0, height
        sheets[-1].places.append((piece, left, top))
        left += width
    return sheets
