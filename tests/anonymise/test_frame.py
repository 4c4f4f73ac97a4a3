from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from faceanond.anonymise.frame import _SEAL, AnonymisedFrame, require_sealed
from faceanond.frames import ColourMatrix, Verdict
from tests.anonymise.pictures import anonymiser, found, raw


def made(i420: NDArray[np.uint8], *, seal: object = _SEAL, width: int = 4, height: int = 2) -> AnonymisedFrame:
    return AnonymisedFrame(
        camera="lobby",
        source=None,
        i420=i420,
        width=width,
        height=height,
        matrix=ColourMatrix.BT601,
        captured=1.0,
        pts=0.0,
        verdict=Verdict.CLEAN,
        reason=None,
        regions=(),
        seal=seal,
    )


def picture(value: int = 7) -> NDArray[np.uint8]:
    return np.full((3, 4), value, np.uint8)


def test_a_sealed_frame_passes_the_gate() -> None:
    frame = made(picture())

    assert require_sealed(frame) is frame


@pytest.mark.parametrize("seal", [None, object(), True])
def test_nobody_makes_a_frame_without_the_seal(seal: object) -> None:
    with pytest.raises(TypeError, match=r"only inside faceanond\.anonymise"):
        made(picture(), seal=seal)


@pytest.mark.parametrize(
    "impostor",
    [None, b"", picture(), raw(), type("AnonymisedFrame", (), {"i420": picture()})()],
    ids=["nothing", "bytes", "pixels", "raw frame", "look-alike"],
)
def test_the_gate_refuses_everything_else(impostor: object) -> None:
    with pytest.raises(TypeError, match="only an AnonymisedFrame may be published"):
        require_sealed(impostor)


def test_the_gate_refuses_a_subclass() -> None:
    child = dataclasses.dataclass(frozen=True)(type("Child", (AnonymisedFrame,), {}))
    impostor = object.__new__(child)

    with pytest.raises(TypeError, match="not Child"):
        require_sealed(impostor)


def test_replace_cannot_put_other_pixels_behind_the_seal() -> None:
    frame = made(picture())

    with pytest.raises((TypeError, ValueError), match="seal"):
        dataclasses.replace(frame, i420=picture(99))


def test_replace_cannot_change_a_verdict_either() -> None:
    frame = made(picture())

    with pytest.raises((TypeError, ValueError), match="seal"):
        dataclasses.replace(frame, verdict=Verdict.MASKED)


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"])
def test_a_frame_is_neither_copied_nor_pickled(copier: object) -> None:
    assert callable(copier)
    with pytest.raises(TypeError, match="neither copied nor pickled"):
        copier(made(picture()))


def test_pixels_swapped_by_force_are_noticed_at_the_gate() -> None:
    frame = made(picture())

    object.__setattr__(frame, "i420", picture(99))

    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        require_sealed(frame)


def test_a_frame_built_without_its_constructor_is_noticed_at_the_gate() -> None:
    forged = object.__new__(AnonymisedFrame)
    for name in ("camera", "source", "width", "height", "matrix", "captured", "pts", "verdict", "reason", "regions"):
        object.__setattr__(forged, name, None)
    object.__setattr__(forged, "i420", picture(99))

    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        require_sealed(forged)


def test_a_proof_borrowed_from_another_frame_does_not_fit() -> None:
    honest, forged = made(picture()), object.__new__(AnonymisedFrame)
    object.__setattr__(forged, "_proof", honest._proof)
    object.__setattr__(forged, "i420", picture(99))

    with pytest.raises(TypeError, match="only an AnonymisedFrame"):
        require_sealed(forged)


def test_the_seal_is_not_readable_from_a_frame() -> None:
    frame = made(picture())

    assert not hasattr(frame, "seal")
    assert all(getattr(frame, slot.name) is not _SEAL for slot in dataclasses.fields(frame))


def test_the_pixels_can_never_be_written_again() -> None:
    frame = made(picture())

    with pytest.raises(ValueError, match="read-only"):
        frame.i420[0, 0] = 1
    array: object = frame.i420
    while isinstance(array, np.ndarray):
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.view().flags.writeable = True
        array = array.base


def test_a_picture_that_is_a_view_of_something_else_is_copied() -> None:
    whole = np.full((6, 4), 7, np.uint8)
    frame = made(whole[:3])

    whole[:] = 99

    assert (frame.i420 == 7).all()


def test_a_frozen_picture_is_shared_not_copied() -> None:
    frame = made(picture())

    assert made(frame.i420).i420 is frame.i420


@pytest.mark.parametrize(
    ("shape", "width", "height"),
    [((3, 4), 4, 4), ((3, 3), 3, 2), ((4, 4), 4, 3), ((0, 4), 4, 0), ((12,), 4, 2)],
)
def test_a_picture_of_another_shape_is_refused(shape: tuple[int, ...], width: int, height: int) -> None:
    with pytest.raises(ValueError, match="not an I420 picture"):
        made(np.zeros(shape, np.uint8), width=width, height=height)


def test_a_picture_that_does_not_hold_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="float32"):
        made(np.zeros((3, 4), np.float32))  # type: ignore[arg-type]


def test_what_the_anonymiser_makes_owns_its_memory_and_is_locked() -> None:
    frame = raw()

    sealed = anonymiser().seal(frame, found(frame, (10, 10, 30, 30)))

    assert sealed.i420.flags.c_contiguous
    assert not np.shares_memory(sealed.i420, frame.y)
    with pytest.raises(ValueError, match="WRITEABLE"):
        sealed.i420.flags.writeable = True
