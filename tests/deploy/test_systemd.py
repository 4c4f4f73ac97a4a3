"""The unit is one that systemd understands, locked down, and true to what the daemon does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from faceanond.config.record import Record
from faceanond.errors import ExitCode
from tests.conftest import need_tool

UNIT = Path(__file__).parents[2] / "systemd" / "faceanond.service"
MOST_EXPOSED = 1.7
"""systemd's own score, 0 (nothing is possible) to 10; what is left is network, GPU and V4L2."""


def settings() -> dict[str, list[str]]:
    """Every setting with all its values; comments and continuation need no care in this unit."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if match := re.fullmatch(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    tool = need_tool("systemd-analyze")
    # A program that exists on this machine stands in for the installed one.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/faceanond/bin/faceanond", sys.executable))
    done = subprocess.run([tool, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_service_is_locked_down() -> None:
    tool = need_tool("systemd-analyze")
    done = subprocess.run(
        [tool, "security", "--offline=true", f"--threshold={round(MOST_EXPOSED * 10)}", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    overall = done.stdout.strip().splitlines()[-1]
    score = re.search(r"(\d+\.\d+)", overall)
    assert score, overall
    assert float(score[1]) <= MOST_EXPOSED, overall
    assert done.returncode == 0, overall


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("Restart", "on-failure"),
        ("RestartPreventExitStatus", str(int(ExitCode.USAGE))),
        ("LimitCORE", "0"),
        ("CacheDirectory", "faceanond"),
        ("StateDirectory", "faceanond"),
        ("NoNewPrivileges", "yes"),
    ],
)
def test_a_promise_of_the_guide_is_kept(setting: str, value: str) -> None:
    assert settings()[setting] == [value]


def test_what_breaks_dtls_is_left_out() -> None:
    assert "MemoryDenyWriteExecute" not in settings()


def test_a_gpu_and_usb_cameras_are_within_reach() -> None:
    devices = settings()["DeviceAllow"]
    assert {"char-video4linux rw", "char-nvidia rw", "char-nvidia-uvm rw"} <= set(devices)
    assert settings()["SupplementaryGroups"] == ["video"]


def test_the_network_runtime_reports_to_nobody() -> None:
    assert "ORT_DISABLE_TELEMETRY=1" in settings()["Environment"]
    assert "ORT_DISABLE_TELEMETRY=1" in (UNIT.parents[1] / "deploy" / "Dockerfile").read_text()


def test_there_is_time_for_an_orderly_end() -> None:
    assert int(settings()["TimeoutStopSec"][0].removesuffix("s")) > 5


def test_recordings_go_where_the_unit_may_write_unless_told_otherwise() -> None:
    state = f"/var/lib/{settings()['StateDirectory'][0]}"
    assert Path(Record().directory).parent == Path(state)
    assert state in (UNIT.parents[1] / "deploy" / "compose.yaml").read_text()
