"""The seal: an `AnonymisedFrame` can be made only inside this package, and nothing else can be published.

Three locks hold it. The constructor wants `_SEAL`, an init-only value that `dataclasses.replace` cannot copy over.
The frame keeps a proof that is bound to its very pixel array, so that other pixels put in its place are noticed at
the gate. And the array lies over read-only memory: numpy refuses to make it, or any view of it, writeable again.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from typing import NoReturn, SupportsIndex, final

import numpy as np
from numpy.typing import NDArray

from faceanond.frames import ColourMatrix, FrameId, Region, Verdict

_SEAL = object()
"""Known to this package alone; a test walks the source tree and fails when another package reaches for it."""


class _Proof:
    """Made with a frame and never given out: says which pixel array was sealed."""

    __slots__ = ("pixels",)

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AnonymisedFrame:
    """A picture that may leave the process, with the verdict that lets it.

    `i420`: (height * 3 // 2, width) uint8, contiguous, read-only: Y, then U, then V. width and height are even
    (an odd input is padded by repeating its last column or row), the range is always limited (16..235).
    `source` names the picture that it shows, or that it was held from; None for a slate. `captured` is in monotonic
    seconds (for a held frame or a slate, the moment when it was made), `pts` in seconds since the source's start.
    `reason` says why a frame is full or held. `regions` is what was really covered, in pixels of the input.

    The maker hands its pixel array over and must not write into it any more. Copying and pickling are refused: a
    frame never changes, so it can be shared instead.
    """

    camera: str
    source: FrameId | None
    i420: NDArray[np.uint8] = field(repr=False)
    width: int
    height: int
    matrix: ColourMatrix
    captured: float
    pts: float
    verdict: Verdict
    reason: str | None
    regions: tuple[Region, ...]
    seal: InitVar[object]
    _proof: _Proof = field(init=False, repr=False)

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("an AnonymisedFrame can be made only inside faceanond.anonymise")
        shape = (self.height * 3 // 2, self.width)
        if self.width < 2 or self.height < 2 or self.width % 2 or self.height % 2 or self.i420.shape != shape:
            raise ValueError(f"{self.i420.shape} is not an I420 picture of {self.width}x{self.height}")
        if self.i420.dtype != np.uint8:
            raise ValueError(f"an I420 picture holds bytes, not {self.i420.dtype}")
        pixels = _frozen(self.i420)
        object.__setattr__(self, "i420", pixels)
        object.__setattr__(self, "_proof", _Proof(pixels))

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("an AnonymisedFrame is neither copied nor pickled: its seal holds in this process only")


def require_sealed(frame: object) -> AnonymisedFrame:
    """The one gate in front of every way out: raises TypeError for anything but an anonymised frame.

    `type(...) is`, not isinstance: no subclass and no look-alike passes. The proof must belong to the pixels that
    the frame holds now.
    """
    if type(frame) is AnonymisedFrame:
        proof: object = getattr(frame, "_proof", None)
        if type(proof) is _Proof and proof.pixels is frame.i420:
            return frame
    raise TypeError(f"only an AnonymisedFrame may be published, not {type(frame).__name__}")


def _frozen(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same memory behind a lock that numpy cannot open; a copy where somebody else might hold the memory.

    numpy lets the owner of an array set `writeable` again, but asks the buffer below when that is not an array.
    """
    if _is_frozen(pixels):
        return pixels
    if pixels.base is not None or not pixels.flags.c_contiguous:
        pixels = pixels.copy(order="C")
    return np.frombuffer(pixels.data.toreadonly(), np.uint8).reshape(pixels.shape)


def _is_frozen(pixels: NDArray[np.uint8]) -> bool:
    base: object = pixels
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, memoryview) and base.readonly
