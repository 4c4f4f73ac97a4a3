"""Why a recording failed, in the closed set that metrics know."""

from __future__ import annotations

import errno

from faceanond.errors import FaceanondError, RecordFault

_FAULTS = {
    errno.ENOSPC: RecordFault.FULL,
    errno.EDQUOT: RecordFault.FULL,
    errno.EFBIG: RecordFault.FULL,
    errno.EROFS: RecordFault.READ_ONLY,
    errno.EACCES: RecordFault.DENIED,
    errno.EPERM: RecordFault.DENIED,
    errno.ENOENT: RecordFault.GONE,
    errno.ENOTDIR: RecordFault.GONE,
    errno.ELOOP: RecordFault.GONE,
    errno.ESTALE: RecordFault.GONE,
    errno.ENODEV: RecordFault.GONE,
    errno.ENXIO: RecordFault.GONE,
    errno.EAGAIN: RecordFault.IN_USE,
    errno.EBUSY: RecordFault.STALLED,
}
"""By error number; everything else is an I/O error."""

_ADVICE = {
    RecordFault.FULL: "free some space, or lower record.max_size or record.keep",
    RecordFault.READ_ONLY: "the disk cannot be written; it may have been mounted read-only after an error",
    RecordFault.DENIED: "the user that faceanond runs as needs write access",
    RecordFault.GONE: "is the disk mounted? Only the last folder of record.directory is made when it is missing",
    RecordFault.IN_USE: "another faceanond records there; give each a record.directory of its own",
    RecordFault.STALLED: "the disk does not answer",
    RecordFault.IO: "look at the disk's health",
    RecordFault.INTERNAL: "a defect; the log has its traceback",
}


class RecordError(FaceanondError):
    """A recording cannot go on. `fault` is for metrics, `str()` for people."""

    def __init__(self, fault: RecordFault, message: str) -> None:
        self.fault = fault
        super().__init__(f"{message}; {_ADVICE[fault]}")


class NoRoomError(OSError):
    """Writing would touch what has to stay free."""

    def __init__(self, free: int, least: int) -> None:
        text = f"{free / 1e9:.2f} GB are free, and record.min_free = {least / 1e9:g} GB stay so"
        super().__init__(errno.ENOSPC, text)


def explained(error: OSError, directory: str) -> RecordError:
    """The error of a file or folder, told once for all of them."""
    fault = _FAULTS.get(error.errno or 0, RecordFault.IO)
    return RecordError(fault, f"cannot record in {directory}: {error.strerror or type(error).__name__}")
