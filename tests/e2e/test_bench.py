"""`faceanond bench` as somebody runs it who wants to know what to buy: not how fast, but that the answer is whole."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.daemon import COMMAND, run_command

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

SHORT = ("bench", "--size", "320x240", "--seconds", "2")


def test_the_text_says_how_many_cameras(tmp_path: Path) -> None:
    result = run_command(*SHORT, "--fps", "5", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "faceanond bench: 320x240 at 5 fps" in result.stdout
    assert "This machine carries " in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    for stage in ("decode", "detect", "seal", "encode"):
        assert f"\n{stage} " in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_json_is_one_object_and_nothing_else() -> None:
    result = run_command(*SHORT, "--json", "--set", "detector.min_size=60", "--set", "encode.preset=ultrafast")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    found = json.loads(result.stdout)
    assert found["settings"]["size"] == [320, 240]
    assert found["settings"]["detector"]["min_size"] == 60
    assert found["settings"]["encode"]["preset"] == "ultrafast"
    assert found["machine"]["provider"] in {"cpu", "cuda"}
    assert all(stage["cpu_ms"]["mean"] > 0 for stage in found["stages"].values())
    assert found["detector_stages"]
    assert found["scene"]["faces_found"] > 0
    assert found["together"]["cameras"] >= 1
    limits = found["capacity"]["limits"]
    assert found["capacity"]["limit"] == min(limits, key=limits.get)


def test_the_configuration_is_the_files(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[encode]\nbitrate = "500k"\n[cameras.lobby]\nsource = "rtsp://192.0.2.1/"\n')
    result = run_command(*SHORT, "--json", "-c", str(config))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["settings"]["encode"]["bitrate"] == 500_000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--size", "abc"], "--size 'abc': expected WIDTHxHEIGHT"),
        (["--size", "12x7"], "expected at least 160x120"),
        (["--size", "9000x720"], "expected at most 8192"),
        (["--size", "641x480"], "expected even numbers"),
        (["--seconds", "0"], "expected seconds"),
        (["--seconds", "1"], "--seconds 1: expected 2 to 600"),
        (["--fps", "0"], "--fps 0: expected 1 to 120"),
        (["--fps", "nan"], "--fps nan: expected 1 to 120"),
        (["--fps", "many"], "--fps: invalid float value"),
        (["--size", "320x240", "--set", "detector.min_size=240"], "no face of detector.min_size = 240 pixels"),
        (["--set", "detector.min_size=4"], "detector.min_size"),
        (["-c", "/does/not/exist.toml"], "there is no such file"),
    ],
)
def test_bad_usage_is_one_clear_line(arguments: list[str], expected: str) -> None:
    result = run_command("bench", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_gpu_is_told() -> None:
    result = run_command("bench", "--set", "detector.device=cuda", "--seconds", "2", "--size", "160x120")
    assert result.returncode in (0, 3), result.stderr
    if result.returncode == 3:
        assert "cuda" in result.stderr
        assert result.stdout == ""


@pytest.mark.parametrize("after", [1.5, 4.5, 9.0])
def test_ctrl_c_ends_it_without_a_word(after: float) -> None:
    """At whatever it is interrupted: opening, measuring a stage, or running cameras together."""
    with subprocess.Popen(
        [*COMMAND, "bench", "--size", "320x240", "--seconds", "14"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130, stderr.decode()
    assert (stdout, stderr) == (b"", b"")
