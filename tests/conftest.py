"""Fixtures that every test may use: simulated time, a guard against blocking the loop, and where the real media are."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.machines import MACHINES, run_as_on

MEDIA = Path(__file__).resolve().parents[2] / "shared" / "media"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--machine", choices=MACHINES, help="detect as on a machine without AVX-512 VNNI (tests/machines.py)"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than processors: tests with browsers, players and networks wait more than they compute."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    if machine := config.getoption("--machine"):
        run_as_on(machine)


class FakeClock:
    """Simulated time: `sleep` returns when `advance` has passed its moment. Nothing really waits."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self._now

    def wall(self) -> float:
        return 1_700_000_000.0 + self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._now + seconds, next(self._order), future))
        await future

    def move(self, seconds: float) -> None:
        """Lets so much time pass where nobody sleeps: for code without a loop."""
        assert not self._waiting
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Lets so much time pass, waking each sleeper at its own moment and letting it run."""
        end = self._now + seconds
        await settle()
        while self._waiting and self._waiting[0][0] <= end:
            moment, _, future = heapq.heappop(self._waiting)
            self._now = max(self._now, moment)
            if not future.done():
                future.set_result(None)
            await settle()
        self._now = end
        await settle()


async def settle(rounds: int = 20) -> None:
    """Lets every task that can run do so."""
    for _ in range(rounds):
        await asyncio.sleep(0)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can enter, which `tmp_path` is not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        if not all(parent.stat().st_mode & 0o001 for parent in folder.parents):
            pytest.skip(f"others cannot reach {folder}; set TMPDIR to a place where they can")
        yield folder


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def no_blocking_on_the_loop(request: pytest.FixtureRequest) -> Iterator[BlockBuster | None]:
    """Any blocking call on a running event loop fails the test; `@pytest.mark.may_block` opts a test helper out."""
    if request.node.get_closest_marker("may_block"):
        yield None
        return
    with blockbuster_ctx("faceanond") as blockbuster:
        yield blockbuster


@pytest.fixture
def media() -> Path:
    """The folder of real clips and labels; absent in a fresh clone."""
    if not (MEDIA / "clips").is_dir():
        pytest.skip("the real clips (../shared/media) are not on this machine")
    return MEDIA


def need_tool(name: str) -> str:
    """The path of a system tool. Without it the test skips, saying so; under CI=true it fails."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed (apt-get install it; .ci/run names the packages)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
