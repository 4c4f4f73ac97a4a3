"""Pictures that their server has cut in two."""

from __future__ import annotations

from dataclasses import dataclass

from faceanond.capture.access_units import MOST_PIECES, PictureJoiner, begins_inside

HEADERS = b"\0\0\0\1\x67sps\0\0\0\1\x68pps"
BEGIN, INSIDE = b"\x88rest", b"\x31rest"
"""Slice headers whose first_mb_in_slice is 0, and is not."""


@dataclass(frozen=True)
class Piece:
    data: bytes
    is_keyframe: bool = True

    def __bytes__(self) -> bytes:
        return self.data


def key(inside: bool = False) -> Piece:
    return Piece(HEADERS + b"\0\0\0\1\x65" + (INSIDE if inside else BEGIN))


def other() -> Piece:
    return Piece(b"\0\0\0\1\x41" + BEGIN, is_keyframe=False)


def pictures(*pieces: Piece) -> list[list[Piece]]:
    joiner: PictureJoiner[Piece] = PictureJoiner()
    return [picture for piece in pieces for picture in joiner.push(piece)] + list(joiner.flush())


def test_whole_pictures_stay_as_they_are() -> None:
    stream = [key(), other(), other(), key(), other()]
    assert pictures(*stream) == [[piece] for piece in stream]


def test_pieces_become_one_picture() -> None:
    one, two, three = key(), key(inside=True), key(inside=True)
    after = other()
    assert pictures(one, two, three, after) == [[one, two, three], [after]]


def test_after_a_whole_key_picture_the_next_one_is_not_held_back() -> None:
    joiner: PictureJoiner[Piece] = PictureJoiner()
    for piece in (key(), other()):
        list(joiner.push(piece))
    assert len(list(joiner.push(key()))) == 1


def test_while_pieces_come_every_key_picture_is_held_back() -> None:
    joiner: PictureJoiner[Piece] = PictureJoiner()
    for piece in (key(), key(inside=True), other()):
        list(joiner.push(piece))
    assert list(joiner.push(key())) == []


def test_a_piece_without_its_beginning_is_let_through() -> None:
    alone = key(inside=True)
    assert pictures(other(), alone)[-1] == [alone]


def test_a_picture_does_not_grow_for_ever() -> None:
    made = pictures(key(), *[key(inside=True)] * (MOST_PIECES * 3))
    assert max(len(picture) for picture in made) == MOST_PIECES
    assert sum(len(picture) for picture in made) == MOST_PIECES * 3 + 1


def test_nothing_is_lost_at_the_end() -> None:
    assert pictures(key()) == [[key()]]


def test_a_packet_without_slices_begins_nothing_inside() -> None:
    assert not begins_inside(HEADERS)
    assert not begins_inside(b"")
    assert not begins_inside(b"\0\0\1\x65")
