"""One minute of the fuzzing, and that the tools would notice something."""

from __future__ import annotations

import asyncio
import logging
import random
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import structlog

from tests.conftest import need_tool
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import OFFERS, Offers, RtspText
from tests.fuzz.watch import Watch

ROOT = Path(__file__).parents[2]


@pytest.mark.e2e
@pytest.mark.may_block
@pytest.mark.timeout(300)
def test_a_minute_of_strange_inputs_brings_nothing_out_of_order(tmp_path: Path) -> None:
    need_tool("ffmpeg")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--minutes", "1", "--save", str(tmp_path / "inputs")],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    assert "seed " in done.stdout


def test_the_same_numbers_give_the_same_input() -> None:
    for target in (Offers(), RtspText()):
        first, again, other = (target.make(random.Random(f"1/{target.name}/{number}")) for number in (7, 7, 8))
        assert first == again
        assert first != other


def test_most_inputs_are_changed_and_some_changes_are_small() -> None:
    chance = random.Random(1)
    made = [mutated(OFFERS[0], chance) for _ in range(400)]
    assert sum(data == OFFERS[0] for data in made) < 60
    assert sum(abs(len(data) - len(OFFERS[0])) < 5 for data in made) > 100


@pytest.fixture
def watched() -> Watch:
    return Watch()


def test_what_is_logged_with_a_traceback_is_a_defect_and_is_told_once(watched: Watch) -> None:
    with watched.watching():
        watched.begin("http", b"the input")
        for _ in range(2):
            try:
                raise KeyError("x")
            except KeyError:
                structlog.get_logger().exception("request failed")
        structlog.get_logger().warning("camera lost")
        logging.getLogger("aiortc").warning("Traceback (most recent call last):")
        logging.getLogger("aiortc").warning("nothing much")
    assert [defect.what for defect in watched.defects.values()] == ["logged: request failed", "logged by aiortc"]
    assert next(iter(watched.defects.values())).times == 2
    assert next(iter(watched.defects.values())).recent == [("http", b"the input")]


def test_a_coroutine_that_nobody_awaits_is_a_defect(watched: Watch) -> None:
    with watched.watching(), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = watched._warned  # type: ignore[assignment]
        asyncio.sleep(0)
    assert [defect.what for defect in watched.defects.values()] == ["warning: RuntimeWarning"]


@pytest.mark.may_block
async def test_a_loop_that_stands_still_is_a_defect(watched: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.watch.STANDSTILL", 0.3)
    with watched.watching():
        async with asyncio.TaskGroup() as group:
            pulse = group.create_task(watched.pulse())
            await asyncio.sleep(0)
            assert not watched.defects
            time.sleep(1.5)  # noqa: ASYNC251 (that is the defect)
            pulse.cancel()
    (defect,) = watched.defects.values()
    assert defect.what == "the event loop stands still"
    assert "test_a_loop_that_stands_still" in defect.detail
