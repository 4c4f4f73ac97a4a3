from __future__ import annotations

import errno
import os

import pytest

from faceanond.errors import RecordFault
from faceanond.publish.record.faults import NoRoomError, RecordError, explained


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.ENOSPC, RecordFault.FULL),
        (errno.EDQUOT, RecordFault.FULL),
        (errno.EROFS, RecordFault.READ_ONLY),
        (errno.EACCES, RecordFault.DENIED),
        (errno.ENOENT, RecordFault.GONE),
        (errno.ESTALE, RecordFault.GONE),
        (errno.EWOULDBLOCK, RecordFault.IN_USE),
        (errno.EIO, RecordFault.IO),
        (errno.EINVAL, RecordFault.IO),
    ],
)
def test_each_error_of_a_disk_has_its_reason_and_says_what_to_do(number: int, fault: RecordFault) -> None:
    error = explained(OSError(number, os.strerror(number)), "/srv/x")
    assert error.fault is fault
    text, _, advice = str(error).partition("; ")
    assert text == f"cannot record in /srv/x: {os.strerror(number)}"
    assert advice


def test_too_little_room_counts_as_a_full_disk_and_names_the_key() -> None:
    error = explained(NoRoomError(500_000_000, 10**9), "/srv/x")
    assert error.fault is RecordFault.FULL
    assert "0.50 GB are free, and record.min_free = 1 GB stay so" in str(error)


@pytest.mark.parametrize("fault", RecordFault)
def test_every_reason_has_its_advice(fault: RecordFault) -> None:
    assert str(RecordError(fault, "x")).startswith("x; ")
