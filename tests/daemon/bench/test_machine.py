"""What the numbers were measured on."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from faceanond.daemon.bench import machine as module
from faceanond.daemon.bench.machine import Others, busy_seconds, cpu_model, cpu_quota, own_groups, this_machine

STAT = """cpu  900 0 900 9000 0 0 0 0 0 0
cpu0 100 20 30 5000 7 1 2 40 50 60
cpu1 300 0 0 1000 0 0 0 0 0 0
cpu10 500 0 0 1000 0 0 0 0 0 0
intr 1 2 3
"""


def test_the_processors_name_is_read_where_linux_writes_it() -> None:
    assert (
        cpu_model("processor\t: 0\nmodel name\t: AMD  EPYC 9454\nflags\t: fpu\nmodel name\t: other\n")
        == "AMD EPYC 9454"
    )


def test_an_architecture_without_a_name_is_named_itself() -> None:
    assert cpu_model("processor\t: 0\nBogoMIPS\t: 50.00\n") == os.uname().machine


@pytest.mark.parametrize(
    ("text", "cores"),
    [("200000 100000\n", 2.0), ("50000 100000\n", 0.5), ("max 100000\n", None), ("", None), ("0 100000", None)],
)
def test_a_containers_limit_is_a_number_of_cores(text: str, cores: float | None) -> None:
    assert cpu_quota(text) == cores


def test_the_limits_of_all_groups_around_the_process_count() -> None:
    assert own_groups("0::/system.slice/box.scope\n") == [
        PurePosixPath("/system.slice/box.scope"),
        PurePosixPath("/system.slice"),
        PurePosixPath("/"),
    ]
    assert own_groups("1:cpu:/old\n") == []
    assert own_groups("") == []


def test_the_smallest_limit_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = own_groups(Path("/proc/self/cgroup").read_text(encoding="utf-8"))
    if not own:
        pytest.skip("this system has no control groups of version 2")
    folder = tmp_path / own[0].relative_to("/")
    folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cpu.max").write_text("75000 100000\n")
    (folder / "cpu.max").write_text("25000 100000\n")
    monkeypatch.setattr(module, "CGROUPS", tmp_path)
    assert this_machine().cores == 0.25


def test_without_a_limit_the_usable_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CGROUPS", tmp_path)
    found = this_machine()
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.online == os.cpu_count()
    assert found.cpu


def test_only_the_asked_cores_busy_time_is_summed() -> None:
    tick = os.sysconf("SC_CLK_TCK")
    # user, nice, system, irq, softirq and steal; a guest's time is in user's already.
    assert busy_seconds(STAT, {0}) == pytest.approx((100 + 20 + 30 + 1 + 2 + 40) / tick)
    assert busy_seconds(STAT, {1, 10}) == pytest.approx(800 / tick)


def test_a_core_that_is_not_listed_makes_the_sum_unknown() -> None:
    assert busy_seconds(STAT, {0, 2}) is None
    assert busy_seconds("", {0}) is None


def test_what_others_take_is_a_share_and_zero_where_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 <= Others().share() <= 1
    monkeypatch.setattr(module, "STAT", tmp_path / "none")
    assert Others().share() == 0
