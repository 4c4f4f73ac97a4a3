"""Runs the installed command as a user would, and talks to it only through what it serves."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = [str(Path(sys.executable).with_name("faceanond"))]


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_command(*arguments: str, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs `faceanond ARGUMENTS` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout, check=False, **options
    )


def eventually(condition: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:
    """Waits until the condition is true and returns its value; real processes need real time."""
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            if value := condition():
                return value
        except (OSError, KeyError, ValueError) as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout:.0f} s: {what} (last error: {last})")


@dataclass
class Daemon:
    """A running daemon."""

    process: subprocess.Popen[bytes]
    url: str
    rtsp: str
    log: Path

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:
            return bytes(answer.read())

    def status_of(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def metrics(self, name: str) -> dict[str, float]:
        """The samples of one metric, keyed by their labels as they stand."""
        found = {}
        for line in self.get("/metrics").decode().splitlines():
            match = re.match(rf"{re.escape(name)}(\{{.*\}})? (\S+)", line)
            if match:
                found[match[1] or ""] = float(match[2])
        return found

    def published(self, camera: str) -> float:
        """Frames of the camera that went out, whatever their verdict."""
        samples = self.metrics("faceanond_frames_published_total")
        return sum(value for labels, value in samples.items() if f'camera="{camera}"' in labels)

    def shown(self, camera: str) -> float:
        """Frames of the camera that went out and were not concealed."""
        samples = self.metrics("faceanond_frames_published_total")
        return sum(
            value
            for labels, value in samples.items()
            if f'camera="{camera}"' in labels and ("clean" in labels or "masked" in labels)
        )

    def stop(self, timeout: float = 10.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)


@contextmanager
def daemon(
    arguments: Sequence[str],
    folder: Path,
    *,
    environ: dict[str, str] | None = None,
    ready: bool = True,
    host: str = "127.0.0.1",
) -> Iterator[Daemon]:
    """Starts the command on free ports and waits until it says that it is ready; ends it whatever happens.

    `host` is where it listens; the `Daemon` itself always talks to it over loopback.
    """
    http, rtsp = free_port(), free_port()
    log = folder / "daemon.log"
    settings = ["--set", f"http.listen={host}:{http}", "--set", f"rtsp.listen={host}:{rtsp}"]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*COMMAND, *arguments, *settings], stdout=sink, stderr=sink, env={**os.environ, **(environ or {})}
        )
    running = Daemon(process, f"http://127.0.0.1:{http}", f"rtsp://127.0.0.1:{rtsp}", log)
    try:
        if ready:
            eventually(lambda: _ready(running), "the daemon is ready", 30)
        yield running
    except BaseException:
        print(log.read_text(errors="replace")[-8000:])
        raise
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def _ready(running: Daemon) -> bool:
    if running.process.poll() is not None:
        raise AssertionError(f"the daemon ended with {running.process.returncode}:\n{running.log.read_text()}")
    return running.status_of("/readyz") == 200
