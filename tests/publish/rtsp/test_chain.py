"""One faceanond as the camera of another: what we serve is what we can read, login and TLS included."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from faceanond.config.model import Viewer
from tests import certificates
from tests.e2e.daemon import daemon, eventually
from tests.publish.rtsp.studio import studio

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

VIEWERS = {"second": Viewer(password=SecretStr("secret-1"), cameras=("yard",))}


@pytest.mark.parametrize("way", ["tcp", "udp", "tls"])
async def test_another_faceanond_publishes_what_it_reads_here(way: str, tmp_path: Path) -> None:
    async with studio(VIEWERS, certificates.make(tmp_path)) as camera:
        url = camera.secure_url if way == "tls" else camera.url
        config = tmp_path / "config.toml"
        config.write_text(
            f"""
[cameras.again]
source = "{url}"
username = "second"
password = "secret-1"
transport = "{"tcp" if way == "tls" else way}"
tls_verify = false
[cameras.wrong]
source = "{url}"
username = "second"
password = "secret-2"
tls_verify = false
"""
        )
        await asyncio.to_thread(publishes, config, tmp_path)
        assert camera.server._shared.failures.counts["rtsp"] >= 1


def publishes(config: Path, folder: Path) -> None:
    """Runs the other one until it has shown pictures of ours, and has told why the other camera has none."""
    with daemon(["run", "-c", str(config)], folder) as running:
        eventually(lambda: running.shown("again") >= 25, "the pictures are published again")
        snapshot = running.get("/cameras/again/snapshot.jpg")
        assert snapshot.startswith(b"\xff\xd8")
        error = eventually(lambda: running.json("/api/cameras/wrong")["last_error"], "the wrong password is told")
        print(f"faceanond: {error}")
        assert running.shown("wrong") == 0
        assert running.stop() == 0
    log = (folder / "daemon.log").read_text()
    assert "secret-1" not in log
    assert "secret-2" not in log


def test_two_daemons_in_a_row_and_the_second_sees_what_it_may(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (first / "config.toml").write_text(
        """
[viewers.second]
password = "secret-1"
cameras = ["yard"]
[cameras.yard]
source = "demo:?size=320x240&fps=10"
[cameras.gate]
source = "demo:?size=320x240&fps=10"
"""
    )
    with daemon(["run", "-c", str(first / "config.toml")], first) as source:
        tables = "".join(
            f"""
[cameras.{name}]
source = "{source.rtsp}/{name}"
username = "second"
password = "secret-1"
"""
            for name in ("yard", "gate", "nowhere")
        )
        (second / "config.toml").write_text(tables)
        with daemon(["run", "-c", str(second / "config.toml")], second) as watcher:
            eventually(lambda: watcher.shown("yard") >= 20, "the pictures are published again")
            errors = [watcher.json(f"/api/cameras/{name}")["last_error"] for name in ("gate", "nowhere")]
            assert errors[0].replace("gate", "nowhere") == errors[1]
            print(f"faceanond: {errors[0]}")
            assert watcher.shown("gate") == 0
            assert watcher.stop() == 0
        assert source.stop() == 0
