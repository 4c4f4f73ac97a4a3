"""The compiled kernels, where this machine can run them.

The C files are compiled when the package is installed, if there is a C compiler; nothing else depends on it. What draws
pictures and suppresses boxes then runs everywhere, with the same results to the last bit; the 8-bit networks want
AVX-512 VNNI. Everything that calls them is in here, so that no other module sees a pointer. The calls release Python's
lock.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceanond.detect.native.build import BUILDS_HERE, LIBRARY, source_hash
from faceanond.detect.quantise import Layer, Quantised
from faceanond.errors import DetectionError
from faceanond.frames import Plane

ANSWERS = 5

Pixels = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]
Answers = NDArray[np.float32]


class _Layer(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("weights", "gain", "shift", "slope", "offset"))


class _Head(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_void_p) for name in ("weights", "bias"))


@functools.cache
def _library(path: Path = LIBRARY) -> ctypes.CDLL | str:
    """The loaded library, or why there is none."""
    if not BUILDS_HERE:
        return "they are written for Linux on 64-bit x86 and ARM"
    if not path.is_file():
        return "they were not built when faceanond was installed (that needs gcc or clang)"
    try:
        library = ctypes.CDLL(str(path))
        library.faceanond_source.restype = ctypes.c_char_p
        if library.faceanond_source().decode() != source_hash():
            return "they were built from another source; install faceanond again"
        library.faceanond_variants.restype = ctypes.c_char_p
    except (OSError, AttributeError) as error:
        return f"they cannot be loaded: {error}"
    return library


def missing() -> str | None:
    """Why the kernels cannot be used here, or None. Where they can, `Sampler` and `unsuppressed` run."""
    found = _library()
    return found if isinstance(found, str) else None


def networks_missing() -> str | None:
    """Why `Proposer` and `Classifier` cannot be used here, or None."""
    reason = missing()
    if reason is None and not _needed().faceanond_runs_networks():
        reason = "this CPU has no AVX-512 VNNI"
    return reason


def variants() -> tuple[str, ...]:
    """What `Sampler` and `unsuppressed` are compiled for and this CPU runs, the best first, which is used. All do the
    same to the last bit. Raises RuntimeError where the kernels are missing."""
    return _variants(_needed())


@functools.cache
def _variants(library: ctypes.CDLL) -> tuple[str, ...]:
    return tuple(library.faceanond_variants().decode().split())


def _needed() -> ctypes.CDLL:
    found = _library()
    if isinstance(found, str):
        raise RuntimeError(f"the compiled kernels are not available: {found}")
    return found


class _Plane(ctypes.Structure):
    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("stride", ctypes.c_size_t),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("black", ctypes.c_int32),
    )


class _Colours(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int16)
        for name in ("red_y", "red_v", "green_y", "green_u", "green_v", "blue_y", "blue_u", "black")
    )


def _readable(plane: Plane) -> Plane:
    """Rows of pixels without gaps, one behind the other in memory: all that the kernels can read."""
    beside, below = plane.strides[1], plane.strides[0]
    return plane if beside == 1 and below >= plane.shape[1] else np.ascontiguousarray(plane)


def _plane(plane: Plane, black: int) -> _Plane:
    height, width = plane.shape
    return _Plane(plane.__array_interface__["data"][0], plane.strides[0], width, height, black)


@functools.lru_cache(maxsize=16)  # matrices and ranges of all cameras
def _colours(matrix: bytes, black: int) -> _Colours:
    whole = np.rint(np.frombuffer(matrix, np.float32).reshape(3, 4) * (32768 / 4)).astype(int)
    (red_y, _, red_v, _), (green_y, green_u, green_v, _), (blue_y, blue_u, _, _) = whole.tolist()
    return _Colours(red_y, red_v, green_y, green_u, green_v, blue_y, blue_u, black)


_MOST_ZOOM = 4
"""Pixels along a side that one of a drawn picture can be made of: what the kernels have room for."""
_FAR = 1e6
"""Pixels, beyond which no square is looked for."""
_SHORTEST = 1e-6
"""Pixels of a square's side: so far away, doubles tell no two sides of a shorter one's pixels apart."""


class Sampler:
    """Draws pictures of any size from three planes, by averaging areas."""

    fine = 1.5

    def __init__(self, planes: Planes, share: float, matrix: NDArray[np.float32], black: int) -> None:
        """`share`: the chroma planes' size as a share of the luma's, 0.5 or 1. `matrix` turns (Y, U, V, 1) into RGB,
        (3, 4); `black` is the luma of black."""
        library, variant = _needed(), variants()[0]
        self._level = getattr(library, f"faceanond_level_{variant}")
        self._crops = getattr(library, f"faceanond_crops_{variant}")
        self._kept = [_readable(plane) for plane in planes]
        blacks = (black, 128, 128)
        self._planes = (_Plane * 3)(*(_plane(plane, value) for plane, value in zip(self._kept, blacks, strict=True)))
        self._share = ctypes.c_double(share)
        self._colours = ctypes.byref(_colours(matrix.tobytes(), black))

    def level(self, out: Pixels, width: int, height: int) -> None:
        """The whole picture into the first `width` columns and `height` rows of `out`: RGBX. It is at most four times
        as wide and as high as that.

        Raises DetectionError("detector_failed") without memory.
        """
        if out.shape[0] < height or out.shape[1] < width or not _fits(out, (*out.shape[:2], 4)):
            raise ValueError(f"{width}x{height} RGBX pixels do not fit into {out.dtype} of shape {out.shape}")
        rows, columns = self._kept[0].shape
        if columns > _MOST_ZOOM * width or rows > _MOST_ZOOM * height:
            raise ValueError(f"{columns}x{rows} pixels are too many to be drawn as {width}x{height}")
        failed = self._level(
            self._planes,
            self._share,
            self._colours,
            ctypes.c_void_p(out.ctypes.data),
            ctypes.c_size_t(out.strides[0]),
            ctypes.c_int(width),
            ctypes.c_int(height),
        )
        if failed:
            raise DetectionError("detector_failed", "a level of the pyramid got no memory")

    def crops(self, squares: NDArray[np.float64], side: int) -> Pixels:
        """Squares (left, top, length) in pixels of the luma as RGBX pictures: (n, side, side, 4). `side` is at most
        48, and a square at most four times as long, and longer than nothing."""
        if side > 48:
            raise ValueError(f"crops are at most 48 wide and high, not {side}")
        squares = np.ascontiguousarray(squares, np.float64).reshape(-1, 3)
        lengths = squares[:, 2]
        if not (np.abs(squares) < _FAR).all() or not ((lengths >= _SHORTEST) & (lengths <= _MOST_ZOOM * side)).all():
            raise ValueError(f"squares are {_SHORTEST} to {_MOST_ZOOM * side} long, and near the picture")
        out = np.empty((len(squares), side, side, 4), np.uint8)
        self._crops(
            self._planes,
            self._share,
            self._colours,
            ctypes.c_void_p(squares.ctypes.data),
            ctypes.c_int(len(squares)),
            ctypes.c_void_p(out.ctypes.data),
            ctypes.c_int(side),
        )
        return out


class _Network:
    """Keeps a network's arrays alive beside the structures that point into them."""

    def __init__(self, network: Quantised) -> None:
        if (reason := networks_missing()) is not None:
            raise RuntimeError(f"the 8-bit networks are not available: {reason}")
        self._library = _needed()
        self._arrays = network
        self._layers = (_Layer * len(network.layers))(*map(_pointers, network.layers))
        self._head = _Head(network.head.ctypes.data, network.bias.ctypes.data)

    def _arguments(self) -> tuple[object, object]:
        return self._layers, ctypes.byref(self._head)


class Proposer(_Network):
    """P-Net over a whole level."""

    def propose(self, picture: Pixels, threshold: float, most: int) -> tuple[NDArray[np.int32], Answers]:
        """The cells whose score is above the threshold: columns and rows (n, 2), and their answers (n, 5).

        `picture` is RGBX, (rows, columns, 4), with even sides of at least 12. Raises DetectionError("detector_failed")
        without memory. When more than `most` cells are found, `most` + 1 are returned.
        """
        height, width = picture.shape[:2]
        if height % 2 or width % 2 or height < 12 or width < 12 or not _fits(picture, (height, width, 4)):
            raise ValueError(f"a level is RGBX with even sides of at least 12, not {picture.dtype} of {picture.shape}")
        cells = np.empty((most + 1, 2), np.int32)
        answers = np.empty((most + 1, ANSWERS), np.float32)
        found = self._library.faceanond_pnet(
            ctypes.c_void_p(picture.ctypes.data),
            ctypes.c_size_t(picture.strides[0]),
            ctypes.c_int(width),
            ctypes.c_int(height),
            *self._arguments(),
            ctypes.c_float(threshold),
            ctypes.c_void_p(cells.ctypes.data),
            ctypes.c_void_p(answers.ctypes.data),
            ctypes.c_int(most + 1),
        )
        if found < 0:
            raise DetectionError("detector_failed", "P-Net got no memory")
        count = min(found, most + 1)
        return cells[:count], answers[:count]


class Classifier(_Network):
    """R-Net (side 24) or O-Net (side 48) over crops."""

    def __init__(self, network: Quantised, side: int) -> None:
        super().__init__(network)
        self._side = side
        self._run = {24: self._library.faceanond_rnet, 48: self._library.faceanond_onet}[side]

    def classify(self, crops: Pixels) -> Answers:
        """(n, side, side, 4) RGBX to (n, 5)."""
        if not _fits(crops, (len(crops), self._side, self._side, 4)):
            raise ValueError(f"crops are RGBX, {self._side} wide and high, not {crops.dtype} of shape {crops.shape}")
        answers = np.empty((len(crops), ANSWERS), np.float32)
        self._run(
            ctypes.c_void_p(crops.ctypes.data),
            ctypes.c_int(len(crops)),
            *self._arguments(),
            ctypes.c_void_p(answers.ctypes.data),
        )
        return answers


def _pointers(layer: Layer) -> _Layer:
    arrays = (layer.weights, layer.gain, layer.shift, layer.slope, layer.offset)
    return _Layer(*(array.ctypes.data for array in arrays))


def _fits(pictures: Pixels, shape: tuple[int, ...]) -> bool:
    return pictures.shape == shape and pictures.dtype == np.uint8 and pictures.flags.c_contiguous


def unsuppressed(
    boxes: NDArray[np.float64], groups: NDArray[np.integer] | None, limit: float, *, smaller: bool
) -> NDArray[np.bool_]:
    """Which boxes (n, 4), best first, stay: see `boxes.suppressed`; with `smaller`, `boxes.suppressed_by_smaller`."""
    count = len(boxes)
    columns = np.ascontiguousarray(boxes.T, np.float64)
    same = np.zeros(count, np.int32) if groups is None else np.ascontiguousarray(groups, np.int32)
    kept = np.empty(count, np.bool_)
    suppress = getattr(_needed(), f"faceanond_suppress_{variants()[0]}")
    suppress(
        ctypes.c_void_p(columns.ctypes.data),
        ctypes.c_void_p(same.ctypes.data),
        ctypes.c_int(count),
        ctypes.c_double(limit),
        ctypes.c_int(smaller),
        ctypes.c_void_p(kept.ctypes.data),
    )
    return kept
