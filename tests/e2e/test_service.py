"""The daemon as systemd runs it: told when it is ready, alive and stopping; ended by signals in every phase."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.daemon import COMMAND, daemon, eventually, run_command

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]


@contextmanager
def manager(folder: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """The service manager's end of the socket, and what it puts into the daemon's environment."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(20)
        yield listener, {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"}


def heard(listener: socket.socket, wanted: str) -> None:
    """Waits until the daemon says so."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if wanted in listener.recv(4096).decode().splitlines():
            return
    raise AssertionError(f"the daemon never said {wanted}")


def test_systemd_hears_ready_signs_of_life_and_the_end(tmp_path: Path) -> None:
    with manager(tmp_path) as (listener, environ), daemon(["demo"], tmp_path, environ=environ) as running:
        for message in ("READY=1", "WATCHDOG=1", "WATCHDOG=1"):
            heard(listener, message)
        running.process.send_signal(signal.SIGTERM)
        heard(listener, "STOPPING=1")
        assert running.process.wait(10) == 0


def test_a_fleet_whose_cameras_are_all_down_is_alive_and_ready(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[cameras.gone]\nsource = "rtsp://127.0.0.1:1/x"\n')
    with manager(tmp_path) as (listener, environ), daemon(["run", "-c", str(config)], tmp_path, environ=environ) as on:
        heard(listener, "READY=1")
        eventually(lambda: on.json("/api/cameras/gone")["last_error"], "the camera's error is told")
        heard(listener, "WATCHDOG=1")
        eventually(lambda: on.status_of("/cameras/gone/snapshot.jpg") == 200, "a slate is there at once", 2)
        assert on.stop() == 0


@pytest.mark.parametrize("after", [0.3, 0.8, 1.3])
def test_a_signal_during_the_start_ends_it(tmp_path: Path, after: float) -> None:
    with daemon(["demo"], tmp_path, ready=False) as running:
        time.sleep(after)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(10) in (0, -signal.SIGTERM)
    assert "Traceback" not in running.log.read_text()


def test_a_config_with_mistakes_tells_them_all_and_starts_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        """[anonymise]
blurr_level = 3
method = "none"
[cameras.yard]
source = "ftp://10.0.0.1/x"
[cameras.hall]
source = "demo:"
password = "${env:NO_SUCH_VARIABLE_HERE}"
username = "a"
[cameras.gate]
source = 3.5
"""
    )
    for command in ("run", "check"):
        result = run_command(command, "-c", str(config))
        assert result.returncode == 2
        places = [line.split(": ")[0] for line in result.stderr.splitlines() if line.startswith(str(config))]
        assert places == [f"{config}:{line}" for line in (2, 3, 5, 8, 11)]
        assert 'did you mean "blur_level"' in result.stderr
        assert "Traceback" not in result.stderr


def test_a_named_device_that_is_missing_is_never_replaced(tmp_path: Path) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has the device")
    listen = ["--port", "0", "--set", "rtsp.listen=127.0.0.1:0"]
    result = run_command("demo", "--duration", "3", *listen, "--set", "detector.device=cuda")
    assert result.returncode == 3
    assert "is not available: " in result.stderr


def test_without_a_configuration_the_command_says_where_it_looked(tmp_path: Path) -> None:
    if Path("/etc/faceanond/config.toml").exists():
        pytest.skip("this machine has a configuration")
    result = subprocess.run(
        [*COMMAND, "run"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False, env={**os.environ}
    )
    assert result.returncode == 2
    assert "/etc/faceanond/config.toml" in result.stderr
    assert "faceanond demo" in result.stderr
