"""Changes inputs a little: bytes, words, lines, numbers; all decided by one `random.Random`."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

NUMBERS = (b"0", b"1", b"-1", b"65535", b"65536", b"99999999999999999999", b"0x10", b"1e9", b"\xd9\xa3", b"")
"""What is put in place of a number; the one before the last is a digit of another script."""
STRANGE = (
    b"\x00",
    b"\xff\xfe",
    b"%00",
    b"%s%n",
    b"../",
    b"\r\n\r\n",
    b"\r",
    b"\n",
    b" " * 40,
    b"A" * 300,
    b"\xe2\x80\xae",
)
LONG = 20_000
LONGEST = 80_000


def mutated(data: bytes, chance: random.Random, words: Sequence[bytes] = (), *, most: int = 4) -> bytes:
    """The same with one to `most` changes, mostly few; one time in twenty unchanged."""
    if chance.random() < 0.05:
        return data
    for _ in range(min(most, 1 + int(chance.expovariate(1.0)))):
        change = chance.choice(_CHANGES)
        data = change(data, chance, words)[:LONGEST]
    return data


def _flip(data: bytes, chance: random.Random, words: Sequence[bytes]) -> bytes:
    if not data:
        return b"\x00"
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _cut(data: bytes, chance: random.Random, words: Sequence[bytes]) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + data[end:]


def _double(data: bytes, chance: random.Random, words: Sequence[bytes]) -> bytes:
    start, end = _span(data, chance)
    return data[:end] + data[start:end] * chance.choice((1, 1, 3, 50)) + data[end:]


def _end(data: bytes, chance: random.Random, words: Sequence[bytes]) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _insert(data: bytes, chance: random.Random, words: Sequence[bytes]) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.choice((*STRANGE, *words)) + data[place:]


def _number(data: bytes, chance: random.Random, words: Sequence[bytes]) -> bytes:
    found = list(re.finditer(rb"\d+", data))
    if not found:
        return _flip(data, chance, words)
    one = chance.choice(found)
    value = chance.choice((*NUMBERS, str(int(one[0][:18]) + chance.choice((-1, 1))).encode()))
    return data[: one.start()] + value + data[one.end() :]


def _line(data: bytes, chance: random.Random, words: Sequence[bytes]) -> bytes:
    """Drops, doubles, swaps or blows up a line."""
    lines = data.splitlines(keepends=True)
    if len(lines) < 2:
        return _double(data, chance, words)
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case _:
            lines[one] = lines[one].rstrip(b"\r\n") + b"x" * chance.choice((100, 1000, LONG)) + b"\r\n"
    return b"".join(lines)


def _word(data: bytes, chance: random.Random, words: Sequence[bytes]) -> bytes:
    """Puts another word, one of `words` or of the input itself, in the place of one."""
    found = list(re.finditer(rb"[A-Za-z0-9_./+-]{2,64}", data))
    if not found:
        return _insert(data, chance, words)
    one = chance.choice(found)
    other = chance.choice((*words, *(match[0] for match in found)))
    return data[: one.start()] + other + data[one.end() :]


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.choice((1, 2, 4, 16, 100)))


_CHANGES = (_flip, _cut, _double, _end, _insert, _number, _number, _line, _line, _word, _word)
