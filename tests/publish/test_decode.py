from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceanond.clock import SystemClock
from faceanond.config.model import Encode
from faceanond.frames import ColourMatrix
from faceanond.publish.decode import UndecodableError, decoded
from faceanond.publish.encoder import Encoder
from faceanond.publish.packet import EncodedPacket
from tests.publish.sealed import moving, packet, picture, sealed


def encoded(*frames: int, width: int = 64, height: int = 48) -> list[EncodedPacket]:
    encoder = Encoder("yard", Encode(), clock=SystemClock())
    packets = [one for index in frames for one in encoder.encode(moving(index, width=width, height=height))]
    encoder.close()
    return packets


@pytest.mark.parametrize("size", [(64, 48), (322, 270), (1280, 720)])
def test_a_keyframe_becomes_the_picture_that_was_sealed(size: tuple[int, int]) -> None:
    width, height = size
    made = decoded(encoded(3, width=width, height=height))
    original = picture(3, width, height)
    assert made.y.shape == (height, width)
    assert made.u.shape == made.v.shape == (height // 2, width // 2)
    assert np.abs(made.y.astype(int) - original[:height]).mean() < 4
    u = original[height:].reshape(2, height // 2, width // 2)[0]
    assert np.abs(made.u.astype(int) - u).mean() < 4


def test_of_several_packets_the_last_ones_picture_counts() -> None:
    one, two = decoded(encoded(0)), decoded(encoded(0, 12))
    assert abs(int(one.y[16, 4]) - 220) < 12
    assert abs(int(two.y[16, 4]) - 220) > 60
    assert abs(int(two.y[16, 28]) - 220) < 24


@pytest.mark.parametrize("matrix", list(ColourMatrix))
def test_the_colours_are_read_from_the_packets(matrix: ColourMatrix) -> None:
    encoder = Encoder("yard", Encode(), clock=SystemClock())
    assert decoded(encoder.encode(sealed(picture(0), matrix=matrix))).matrix is matrix


def test_the_picture_has_memory_of_its_own_that_nobody_writes() -> None:
    made = decoded(encoded(0))
    for plane in (made.y, made.u, made.v):
        assert plane.flags.owndata
        assert not plane.flags.writeable


def test_without_a_keyframe_there_is_nothing_to_begin_with() -> None:
    for packets in ([], encoded(0, 1)[1:]):
        with pytest.raises(UndecodableError, match="keyframe"):
            decoded(packets)


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00\x01\x65\xff\xff", bytes(range(256)) * 9])
def test_what_is_no_picture_is_told_as_such(data: bytes) -> None:
    broken = replace(packet(0, keyframe=True), data=data)
    with pytest.raises(UndecodableError):
        decoded([broken])


def test_headers_alone_are_no_picture() -> None:
    with pytest.raises(UndecodableError):
        decoded([packet(0, keyframe=True)])
