"""Everything that touches the recordings' disk. Each call blocks, perhaps for good, so it belongs to `threads`.

The rule: from the configured folder on, each step goes through the descriptor of the folder before it and follows no
link, so that nothing outside can be reached, whoever else may write there. And no file is touched whose name is not
one of ours (`names`).

Durability: each fragment is one write, so a process that dies leaves at most one that is torn, which is cut off at the
next start. The kernel is told to write a file out every SYNC_EVERY seconds and at its end: that is what a power cut
may cost.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from faceanond.publish.record import boxes, names
from faceanond.publish.record.faults import NoRoomError
from faceanond.publish.record.index import Segment
from faceanond.publish.record.names import Name

SYNC_EVERY = 10.0
"""Seconds between two fdatasync of a growing file: more often would cost a spinning disk its speed."""
LONGEST = 2 * 3_600_000
"""Milliseconds: no segment is so long. A file whose time stamps say so was copied, and is measured by its content."""
LOCK = ".lock"
FOLDER_MODE, FILE_MODE = 0o750, 0o640
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
"""Network file systems that know no locks: there it is left to the administrator that only one process records."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NOFOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC


class SegmentFile:
    """A recording that is being written. `busy` is held by whichever thread works on it.

    `end` (milliseconds since 1970), `size` (bytes, all of them whole) and `fragments` say what is on disk.
    """

    def __init__(self, name: Name) -> None:
        self.name = name
        self.end = name.start
        self.size = 0
        self.fragments = 0
        self.busy = threading.Lock()
        self.file = -1
        self.folder = -1
        self.synced = 0.0

    def close(self) -> None:
        """Frees the descriptors; safe twice."""
        for descriptor in (self.file, self.folder):
            if descriptor >= 0:
                os.close(descriptor)
        self.file = self.folder = -1


class Disk:
    """The recordings' folder. `min_free` bytes are never touched. Every method may raise OSError."""

    def __init__(self, directory: str, *, min_free: int) -> None:
        self.directory = directory
        self._min_free = min_free
        self._guard = threading.Lock()
        self._locked: tuple[int, int] | None = None
        self._lock = -1

    def close(self) -> None:
        """Lets others have the folder."""
        with self._guard:
            if self._lock >= 0:
                os.close(self._lock)
            self._lock, self._locked = -1, None

    # Writing

    def write(self, file: SegmentFile, head: bytes, fragment: bytes, *, length: int) -> None:
        """Appends a fragment, the first one after `head`, when the file is made. `length` is the whole file's then,
        in milliseconds.

        After an error the file is as it was, but for bytes behind its `size`, which `finish` cuts off.
        """
        with file.busy:
            if file.file < 0:
                self._create(file)
            data = fragment if file.fragments else head + fragment
            self._need_room(file.file, len(data))
            _write_all(file.file, data, file.size)
            file.size += len(data)
            file.fragments += 1
            file.end = file.name.start + length
            if time.monotonic() - file.synced >= SYNC_EVERY:
                os.fdatasync(file.file)
                file.synced = time.monotonic()

    def finish(self, file: SegmentFile) -> Segment | None:
        """Closes a file: cuts off what is torn, and gives it its final name. None when there was nothing in it.

        Raises OSError (EBUSY) while another thread still works on it. After an error it may be tried again.
        """
        if not file.busy.acquire(blocking=False):
            raise OSError(errno.EBUSY, "the disk still works on an earlier write")
        try:
            if file.file < 0:
                return None
            if file.fragments == 0:
                os.unlink(file.name.part, dir_fd=file.folder)
                file.close()
                return None
            _seal(file.file, file.folder, file.name, file.size, file.end)
            file.close()
            return Segment(file.name, file.end, file.size)
        finally:
            file.busy.release()

    def _create(self, file: SegmentFile) -> None:
        with self._folder(make=True) as root, _entered(root, file.name.camera, make=True) as camera:
            for _ in range(100):
                folder = _enter(camera, file.name.day, make=True)
                try:
                    if not _exists(file.name.file, folder):
                        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW
                        file.file = os.open(file.name.part, flags, FILE_MODE, dir_fd=folder)
                        file.folder, file.synced = folder, time.monotonic()
                        return
                except FileExistsError:
                    pass
                except FileNotFoundError:
                    # The day's folder was just found empty and removed.
                    os.close(folder)
                    continue
                except BaseException:
                    os.close(folder)
                    raise
                # The clock was set back onto another recording's beginning.
                os.close(folder)
                file.name = Name(file.name.camera, file.name.start + 1)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def _need_room(self, descriptor: int, size: int) -> None:
        free = _free(os.fstatvfs(descriptor))
        if free - size < self._min_free:
            raise NoRoomError(free, self._min_free)

    # Looking

    def free(self) -> int:
        """Bytes that may still be written on that disk, min_free included."""
        with self._folder() as root:
            return _free(os.fstatvfs(root))

    def is_there(self) -> bool:
        """Whether the folder exists."""
        return Path(self.directory).is_dir()

    def scan(self) -> tuple[list[Segment], list[str]]:
        """All recordings, and what could not be read. Those that a crash left behind are closed first."""
        found: list[Segment] = []
        unread: list[str] = []
        with self._folder(make=True) as root:
            for camera in _folders(root, names.is_camera):
                self._scan_camera(root, camera, found, unread)
        return found, unread

    def _scan_camera(self, root: int, camera: str, found: list[Segment], unread: list[str]) -> None:
        try:
            with _entered(root, camera) as folder:
                for day in _folders(folder, names.is_day):
                    with _entered(folder, day) as inner:
                        found += _segments(inner, camera, day, unread)
        except OSError as error:
            unread.append(f"{camera}: {error.strerror}")

    def open(self, segment: Segment) -> int:
        """A descriptor for reading; the caller closes it. Raises FileNotFoundError when somebody deleted the file."""
        name = segment.name
        with self._folder() as root, _entered(root, name.camera) as camera, _entered(camera, name.day) as day:
            try:
                return _opened(name.file, day)
            except FileNotFoundError:
                return _opened(name.part, day)

    # Deleting

    def delete(self, recordings: Iterable[Name]) -> tuple[list[Name], OSError | None]:
        """Deletes (finished) recordings; which are gone now, also if somebody else was faster, and the last error."""
        gone: list[Name] = []
        failure = None
        with self._folder() as root:
            for name in recordings:
                try:
                    _delete(root, name)
                except OSError as error:
                    failure = error
                else:
                    gone.append(name)
        return gone, failure

    # The folder

    @contextmanager
    def _folder(self, *, make: bool = False) -> Iterator[int]:
        """The configured folder, locked against other processes; `make` it when only itself is missing."""
        try:
            descriptor = os.open(self.directory, _FOLDER)
        except FileNotFoundError:
            if not make:
                raise
            Path(self.directory).mkdir(FOLDER_MODE)
            descriptor = os.open(self.directory, _FOLDER)
        try:
            self._claim(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def _claim(self, root: int) -> None:
        """Two processes that take each other's files for left behind would cut them off. Raises BlockingIOError."""
        here = os.fstat(root)
        with self._guard:
            if self._locked == (here.st_dev, here.st_ino):
                return
            lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | _NOFOLLOW, FILE_MODE, dir_fd=root)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    os.close(lock)
                    raise
            if self._lock >= 0:
                os.close(self._lock)
            self._lock, self._locked = lock, (here.st_dev, here.st_ino)


def unusable(directory: str) -> str | None:
    """Why nothing can be recorded there as things are now, for `faceanond check`; None when it can. Makes nothing."""
    here = Path(directory)
    try:
        if not here.is_symlink() and not here.exists():
            here = here.parent
            if not here.is_dir():
                return f"neither {directory} nor {here} exists"
        if not here.is_dir():
            return f"{directory} is not a folder"
    except OSError as error:
        return f"{directory} cannot be used: {error.strerror}"
    if not os.access(here, os.R_OK | os.W_OK | os.X_OK):
        return f"{here} cannot be written by this user"
    if os.statvfs(here).f_flag & os.ST_RDONLY:
        return f"{here} is on a disk that is mounted read-only"
    return None


def _write_all(descriptor: int, data: bytes, place: int) -> None:
    """One write; more only where the kernel took a part."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, place)
        view, place = view[written:], place + written


def _seal(file: int, folder: int, name: Name, size: int, end: int) -> None:
    """The end of a recording, on disk for good: its length, its time, its name."""
    if os.fstat(file).st_size != size:
        os.ftruncate(file, size)
    # The file's own time stamp is where the next start finds the recording's end.
    os.utime(file, ns=(end * 1_000_000, end * 1_000_000))
    os.fsync(file)
    os.rename(name.part, name.file, src_dir_fd=folder, dst_dir_fd=folder)
    with contextlib.suppress(OSError):  # not every file system can
        os.fsync(folder)


def _delete(root: int, name: Name) -> None:
    """The file, and the day's folder when that was its last one."""
    with contextlib.suppress(FileNotFoundError), _entered(root, name.camera) as camera:
        with _entered(camera, name.day) as day, contextlib.suppress(FileNotFoundError):
            os.unlink(name.file, dir_fd=day)
        with contextlib.suppress(OSError):  # there is something else in it
            os.rmdir(name.day, dir_fd=camera)


def _segments(folder: int, camera: str, day: str, unread: list[str]) -> Iterator[Segment]:
    """The recordings in a day's folder; others' files are passed over."""
    with os.scandir(folder) as entries:
        listed = [entry.name for entry in entries]
    for file in listed:
        name = Name.read(camera, file.removesuffix(names.PART))
        if name is None or name.day != day:
            continue
        try:
            segment = _recovered(folder, name) if file == name.part else _measured(folder, name)
        except OSError as error:
            unread.append(f"{file}: {error.strerror}")
            continue
        if segment is not None:
            yield segment


def _measured(folder: int, name: Name) -> Segment | None:
    status = os.stat(name.file, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        return None
    end = status.st_mtime_ns // 1_000_000
    if not name.start < end <= name.start + LONGEST:
        file = os.open(name.file, os.O_RDONLY | _NOFOLLOW, dir_fd=folder)
        try:
            end = name.start + round(1000 * _whole(file, status.st_size).seconds)
        finally:
            os.close(file)
    return Segment(name, end, status.st_size)


def _recovered(folder: int, name: Name) -> Segment | None:
    """Closes a file that a crash left behind; one without a whole fragment is removed."""
    file = os.open(name.part, os.O_RDWR | _NOFOLLOW, dir_fd=folder)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        whole = _whole(file, status.st_size)
        if not whole.fragments:
            os.unlink(name.part, dir_fd=folder)
            return None
        end = name.start + round(1000 * whole.seconds)
        _seal(file, folder, name, whole.size, end)
        return Segment(name, end, whole.size)
    finally:
        os.close(file)


def _whole(file: int, size: int) -> boxes.Whole:
    return boxes.whole(partial(os.pread, file), size)


def _free(status: os.statvfs_result) -> int:
    return status.f_bavail * status.f_frsize


def _opened(name: str, folder: int) -> int:
    """A descriptor for reading. What is no file is as good as deleted; a pipe would hold the thread up for ever."""
    file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _NOFOLLOW, dir_fd=folder)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _folders(folder: int, wanted: names.Wanted) -> list[str]:
    """The real folders (no links) in a folder that may be ours, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if wanted(entry.name) and entry.is_dir(follow_symlinks=False))


def _enter(folder: int, name: str, *, make: bool = False) -> int:
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, FOLDER_MODE, dir_fd=folder)
    return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)


@contextmanager
def _entered(folder: int, name: str, *, make: bool = False) -> Iterator[int]:
    descriptor = _enter(folder, name, make=make)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
