from __future__ import annotations

import errno
import itertools
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from faceanond.publish import fmp4
from faceanond.publish.packet import CLOCK_RATE
from faceanond.publish.record import disk as module
from faceanond.publish.record.disk import Disk, SegmentFile, unusable
from faceanond.publish.record.index import Segment
from faceanond.publish.record.names import Name
from tests.conftest import need_tool
from tests.publish.record.reel import TICKS, film, pieces, probed

NOON = 1_795_780_800_000
"""2026-11-27 12:00 UTC."""
NAME = Name("yard", NOON)
FILM = film(4)
HEAD, FRAGMENTS = pieces(FILM)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def disk(folder: Path) -> Iterator[Disk]:
    made = Disk(str(folder), min_free=0)
    yield made
    made.close()


def record(disk: Disk, name: Name = NAME, *, fragments: int = 4, finish: bool = True) -> SegmentFile:
    file = SegmentFile(name)
    for number, fragment in enumerate(FRAGMENTS[:fragments], start=1):
        disk.write(file, HEAD, fragment, length=number * 1000)
    if finish:
        assert disk.finish(file) == Segment(file.name, file.name.start + fragments * 1000, file.size)
    return file


def path(folder: Path, name: Name = NAME, *, part: bool = False) -> Path:
    return folder / name.camera / name.day / (name.part if part else name.file)


def everything(folder: Path) -> set[str]:
    return {str(one.relative_to(folder)) for one in folder.rglob("*")} - {".lock"}


def test_a_recording_plays_while_it_is_written_and_afterwards(disk: Disk, folder: Path) -> None:
    file = record(disk, fragments=2, finish=False)
    assert probed(path(folder, part=True)) == (50, pytest.approx(2.0, abs=0.001))
    disk.write(file, HEAD, FRAGMENTS[2], length=3000)
    segment = disk.finish(file)
    assert segment == Segment(NAME, NOON + 3000, path(folder).stat().st_size)
    assert probed(path(folder)) == (75, pytest.approx(3.0, abs=0.001))
    assert not path(folder, part=True).exists()


def test_nobody_else_can_read_it(disk: Disk, folder: Path) -> None:
    before = os.umask(0)
    try:
        record(disk)
    finally:
        os.umask(before)
    assert path(folder).stat().st_mode & 0o777 == 0o640
    for one in (folder, folder / "yard", folder / "yard" / "2026-11-27"):
        assert one.stat().st_mode & 0o777 == 0o750


def test_each_fragment_is_one_write(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, place: writes.append(len(data)) or real(file, data, place))
    record(disk)
    assert writes == [len(HEAD) + len(FRAGMENTS[0]), *map(len, FRAGMENTS[1:])]


def test_it_is_on_the_disk_for_good_every_few_seconds_and_at_its_end(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    now = 100.0
    monkeypatch.setattr(os, "fdatasync", lambda file: synced.append("data"))
    monkeypatch.setattr(os, "fsync", lambda file: synced.append("all"))
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    file = SegmentFile(NAME)
    for step in (0.0, 5.0, 5.0):
        now += step
        disk.write(file, HEAD, FRAGMENTS[0], length=1000)
    assert synced == ["data"]
    disk.finish(file)
    assert synced == ["data", "all", "all"]


def test_two_recordings_never_share_a_file(disk: Disk, folder: Path) -> None:
    """As when the clock is set back."""
    first, second = record(disk), record(disk)
    third, fourth = record(disk, finish=False), record(disk, finish=False)
    assert [one.name.start - NOON for one in (first, second, third, fourth)] == [0, 1, 2, 3]
    for file in (third, fourth):
        disk.finish(file)
    assert len(list(folder.rglob("*.mp4"))) == 4


def test_a_file_into_which_nothing_was_written_is_none(
    disk: Disk, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SegmentFile(NAME)
    assert disk.finish(file) is None
    monkeypatch.setattr(os, "pwrite", _failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        disk.write(file, HEAD, FRAGMENTS[0], length=1000)
    assert disk.finish(file) is None
    assert list(folder.rglob("*.mp4*")) == []


def _failing(number: int, after: int = 0) -> Callable[..., int]:
    real = os.pwrite
    left = [after]

    def pwrite(file: int, data: bytes, place: int) -> int:
        if left[0] <= 0:
            raise OSError(number, os.strerror(number))
        written = real(file, data[: left[0]], place)
        left[0] -= written
        return written

    return pwrite


def test_a_write_that_fails_half_way_is_cut_off(disk: Disk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = record(disk, fragments=2, finish=False)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", _failing(errno.ENOSPC, after=len(FRAGMENTS[2]) // 2))
        with pytest.raises(OSError, match="No space"):
            disk.write(file, HEAD, FRAGMENTS[2], length=3000)
    assert path(folder, part=True).stat().st_size > file.size
    assert disk.finish(file) == Segment(NAME, NOON + 2000, file.size)
    assert probed(path(folder))[0] == 50


def test_what_has_to_stay_free_is_not_touched(folder: Path) -> None:
    disk = Disk(str(folder), min_free=10**18)
    with pytest.raises(OSError, match="min_free") as caught:
        record(disk)
    assert caught.value.errno == errno.ENOSPC
    assert list(folder.rglob("*.mp4")) == []


def test_a_file_that_another_thread_works_on_is_left_to_it(disk: Disk) -> None:
    file = record(disk, finish=False)
    with file.busy, pytest.raises(OSError, match="still works"):
        disk.finish(file)
    assert disk.finish(file) is not None


# Starting again


def test_a_scan_finds_what_was_recorded(disk: Disk) -> None:
    names = [Name("yard", NOON), Name("yard", NOON + 86_400_000), Name("gate", NOON)]
    sizes = {name: record(disk, name).size for name in names}
    found, unread = disk.scan()
    assert unread == []
    assert {(one.name, one.end - one.start, one.size) for one in found} == {(name, 4000, sizes[name]) for name in names}


def test_a_copied_recording_is_as_long_as_its_pictures(disk: Disk, folder: Path) -> None:
    """A copy has another time stamp, and the end was the time stamp."""
    record(disk)
    os.utime(path(folder))
    (segment,), _ = disk.scan()
    assert segment.end == NOON + 4000


def test_whatever_a_crash_leaves_behind_plays_after_the_next_start(disk: Disk, folder: Path) -> None:
    dice = random.Random(11)
    whole = HEAD + b"".join(FRAGMENTS)
    ends = [len(HEAD) + sum(map(len, FRAGMENTS[:count])) for count in range(1, 5)]
    cuts = {number: dice.randrange(ends[0], len(whole)) for number in range(20)} | {20: ends[1], 21: ends[3]}
    for number, cut in cuts.items():
        torn = path(folder, Name("yard", NOON + 10_000 * number), part=True)
        torn.parent.mkdir(parents=True, exist_ok=True)
        torn.write_bytes(whole[:cut] + (bytes(5000) if cut in ends else b""))
    found, unread = disk.scan()
    assert unread == []
    assert len(found) == len(cuts)
    for segment in found:
        seconds = sum(end <= cuts[(segment.start - NOON) // 10_000] for end in ends)
        assert segment.end - segment.start == 1000 * seconds
        if seconds and segment.start % 30_000 == 0:
            assert probed(path(folder, segment.name)) == (25 * seconds, pytest.approx(seconds, abs=0.001))
    assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize("cut", [0, 7, len(HEAD), len(HEAD) + len(FRAGMENTS[0]) - 1])
def test_a_file_without_a_whole_fragment_is_removed(disk: Disk, folder: Path, cut: int) -> None:
    torn = path(folder, part=True)
    torn.parent.mkdir(parents=True)
    torn.write_bytes((HEAD + FRAGMENTS[0])[:cut])
    assert disk.scan() == ([], [])
    assert not torn.exists()


KILLED = """
    import pickle, sys
    from faceanond.publish.record.disk import Disk, SegmentFile
    from faceanond.publish.record.names import Name
    start, head, fragments = pickle.load(sys.stdin.buffer)
    disk = Disk(sys.argv[1], min_free=0)
    print("ready", flush=True)
    for number in range(10**6):
        file = SegmentFile(Name("yard", start + number * 4000))
        for place, fragment in enumerate(fragments, start=1):
            disk.write(file, head, fragment, length=place * 1000)
        disk.finish(file)
"""


@pytest.mark.e2e
def test_a_writer_that_is_killed_at_any_moment_leaves_only_recordings_that_play(folder: Path) -> None:
    dice = random.Random(3)
    parts = 0
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED), folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write(pickle.dumps((NOON, HEAD, FRAGMENTS)))
        writer.stdin.close()
        assert writer.stdout.readline() == b"ready\n"
        try:
            writer.wait(dice.uniform(0.0, 0.3))
        except subprocess.TimeoutExpired:
            writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        writer.stdout.close()
        parts += len(list(folder.rglob("*.part")))
        disk = Disk(str(folder), min_free=0)
        found, unread = disk.scan()
        disk.close()
        assert unread == []
        assert not list(folder.rglob("*.part"))
        for segment in [*found[:2], *found[-2:]]:
            seconds = (segment.end - segment.start) // 1000
            assert probed(path(folder, segment.name)) == (25 * seconds, pytest.approx(seconds, abs=0.001))
        shutil.rmtree(folder / "yard", ignore_errors=True)
    assert parts > 0, "no writer was caught in the middle of a file"


# Others' files


STRANGERS = [
    "notes.txt",
    "yard/notes.txt",
    "yard/2026-11-27/notes.mp4",
    "yard/2026-11-27/yard-20261127T120000.000Z.mp4.bak",
    "yard/2026-11-27/gate-20261127T120000.000Z.mp4",
    "yard/2026-11-28/yard-20261127T120000.000Z.mp4",
    "yard/yard-20261127T120000.000Z.mp4",
    "yard-20261127T120000.000Z.mp4",
    "Yard/2026-11-27/Yard-20261127T120000.000Z.mp4",
    "yard/2026-11-27/gate-20261127T120000.000Z.mp4.part",
    "yard/today/yard-20261127T120000.000Z.mp4.part",
]


def test_what_has_not_a_recordings_name_is_neither_listed_nor_touched(disk: Disk, folder: Path) -> None:
    for stranger in STRANGERS:
        (folder / stranger).parent.mkdir(parents=True, exist_ok=True)
        (folder / stranger).write_text("mine")
    assert disk.scan() == ([], [])
    record(disk, Name("yard", NOON + 500))
    assert disk.delete([Name("yard", NOON), Name("yard", NOON + 500), Name("gate", NOON)])[0] != []
    assert all((folder / stranger).read_text() == "mine" for stranger in STRANGERS)


def test_links_are_not_followed(disk: Disk, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    elsewhere = outside / "2026-11-27" / NAME.part
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(b"not yours")
    folder.mkdir()
    (folder / "yard").symlink_to(outside)
    (folder / "gate").mkdir()
    (folder / "gate" / "2026-11-27").symlink_to(outside / "2026-11-27")
    assert disk.scan()[0] == []
    with pytest.raises(OSError, match=r"symbolic|Not a directory"):
        record(disk)
    gone, failure = disk.delete([Name("gate", NOON), NAME])
    assert (gone, failure is None) == ([], False)
    assert elsewhere.read_bytes() == b"not yours"
    assert [one.name for one in outside.rglob("*.mp4*")] == [NAME.part]


@pytest.mark.parametrize("part", [False, True])
def test_a_pipe_in_a_recordings_place_holds_nobody_up(disk: Disk, folder: Path, part: bool) -> None:
    record(disk)
    path(folder).unlink()
    os.mkfifo(path(folder, part=part))
    waker = os.open(path(folder, part=part), os.O_RDWR)  # so that a failure here ends, too
    try:
        with pytest.raises(FileNotFoundError):
            disk.open(Segment(NAME, NOON + 4000, 10))
        assert disk.scan() == ([], [])
    finally:
        os.close(waker)


def test_a_link_in_a_recordings_place_is_no_recording(disk: Disk, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path(folder).parent.mkdir(parents=True)
    path(folder).symlink_to(secret)
    path(folder, part=True).symlink_to(secret)
    assert disk.scan()[0] == []
    with pytest.raises(OSError, match="symbolic"):
        disk.open(Segment(NAME, NOON, 6))
    assert secret.read_text() == "secret"


def test_a_deleted_recording_takes_its_empty_day_with_it(disk: Disk, folder: Path) -> None:
    names = [Name("yard", NOON), Name("yard", NOON + 10_000), Name("yard", NOON + 86_400_000)]
    for name in names:
        record(disk, name)
    assert disk.delete(names[:1]) == ([names[0]], None)
    assert path(folder, names[1]).exists()
    assert disk.delete(names[1:2]) == ([names[1]], None)
    assert everything(folder) == {"yard", "yard/2026-11-28", f"yard/2026-11-28/{names[2].file}"}
    assert disk.delete(names) == (names, None)


def test_one_that_cannot_be_deleted_does_not_keep_the_others(disk: Disk, folder: Path) -> None:
    record(disk)
    path(folder, Name("gate", NOON)).mkdir(parents=True)
    gone, failure = disk.delete([Name("gate", NOON), NAME])
    assert gone == [NAME]
    assert failure is not None


def test_reading_finds_a_recording_under_either_name(disk: Disk) -> None:
    file = record(disk, fragments=1, finish=False)
    segment = Segment(NAME, NOON + 1000, file.size, complete=False)
    for _ in range(2):
        descriptor = disk.open(segment)
        assert os.pread(descriptor, 8, 0) == HEAD[:8]
        os.close(descriptor)
        disk.finish(file)
    disk.delete([NAME])
    with pytest.raises(FileNotFoundError):
        disk.open(segment)


# The folder


def test_only_one_process_at_a_time(disk: Disk, folder: Path) -> None:
    disk.scan()
    other = Disk(str(folder), min_free=0)
    with pytest.raises(BlockingIOError):
        other.scan()
    disk.close()
    assert other.scan() == ([], [])
    other.close()


def test_a_folder_that_was_taken_away_is_made_again_and_locked_again(disk: Disk, folder: Path) -> None:
    record(disk)
    folder.rename(folder.with_name("away"))
    record(disk)
    assert path(folder).exists()
    with pytest.raises(BlockingIOError):
        Disk(str(folder), min_free=0).scan()


def test_a_folder_whose_parent_is_missing_is_not_made(tmp_path: Path) -> None:
    """An unmounted disk: its recordings would fill the system's."""
    disk = Disk(str(tmp_path / "mnt" / "recordings"), min_free=0)
    with pytest.raises(FileNotFoundError):
        disk.scan()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_that_knows_no_locks_will_do(disk: Disk, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(file: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.fcntl, "flock", flock)
    assert disk.scan() == ([], [])


def test_an_unusable_folder_is_found_before_anything_is_made(tmp_path: Path) -> None:
    assert unusable(str(tmp_path)) is None
    assert unusable(str(tmp_path / "recordings")) is None
    assert "neither" in str(unusable(str(tmp_path / "mnt" / "recordings")))
    (tmp_path / "file").touch()
    assert "is not a folder" in str(unusable(str(tmp_path / "file")))
    assert "neither" in str(unusable(str(tmp_path / "file" / "x")))
    (tmp_path / "link").symlink_to("nowhere")
    assert "is not a folder" in str(unusable(str(tmp_path / "link")))
    assert "read-only" in str(unusable("/proc/sys")) or "cannot be written" in str(unusable("/proc/sys"))
    assert not (tmp_path / "recordings").exists()


# Full disks


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run([need_tool("mount"), "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run([need_tool("umount"), "-l", place], check=True)


def refused(action: Callable[[], object]) -> int | None:
    """The error number."""
    with pytest.raises(OSError, match=r".") as caught:
        action()
    return caught.value.errno


def test_on_a_full_disk_what_was_written_plays_and_the_next_works_again(tiny: Path) -> None:
    disk = Disk(str(tiny), min_free=0)
    file = SegmentFile(NAME)

    def fill() -> None:
        for number in itertools.count():
            again = [replace(one, timestamp=one.timestamp + number * CLOCK_RATE) for one in FILM[:25]]
            end = again[-1].timestamp + TICKS
            disk.write(
                file,
                HEAD,
                fmp4.fragment(number + 1, again, origin=FILM[0].timestamp, end=end),
                length=(number + 1) * 1000,
            )

    assert refused(fill) == errno.ENOSPC
    assert file.fragments > 10
    segment = disk.finish(file)
    assert segment is not None
    pictures, _ = probed(path(tiny))
    assert pictures == 25 * file.fragments
    others = (Name("yard", NOON + 10**6 + number * 10_000) for number in itertools.count())
    assert refused(lambda: [record(disk, name) for name in others]) == errno.ENOSPC
    disk.delete([NAME])
    record(disk, Name("gate", NOON))
    disk.close()


def test_a_limit_on_file_sizes_counts_as_full(disk: Disk) -> None:
    """RLIMIT_FSIZE: the kernel's EFBIG, half way through a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = record(disk, fragments=1, finish=False)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.size + 100, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            disk.write(file, HEAD, FRAGMENTS[1], length=2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert disk.finish(file) == Segment(NAME, NOON + 1000, file.size)
