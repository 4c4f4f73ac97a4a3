"""A real Prometheus scrapes the page, and every query of the dashboard finds what it looks for."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from faceanond.observe.metrics import Metrics
from faceanond.status import CameraState, CameraStatus, InferenceStatus
from tests.conftest import need_tool
from tests.deploy import promql
from tests.observe.fleet import camera, histogram, inference

pytestmark = [pytest.mark.e2e, pytest.mark.may_block]

EMPTY = {"Not live, and in which state", "Restarts"}
"""Panels that have nothing to show while all is well."""


class Fleet:
    """Three cameras, one of them concealed, whose counters grow with every look."""

    def __init__(self) -> None:
        self.looks = 0

    def cameras(self) -> Iterable[CameraStatus]:
        self.looks += 1
        yield camera("yard", age=self.looks)
        yield replace(camera("lobby", age=self.looks), fail_closed="late")
        yield CameraStatus(name="attic", state=CameraState.DISABLED, source="demo:")

    def inference(self) -> InferenceStatus:
        return inference(age=self.looks)


@asynccontextmanager
async def serving(fleet: Fleet, accepted: list[str]) -> AsyncIterator[int]:
    """/metrics over HTTP; yields the port. Notes which forms the scraper asked for."""
    executor = ThreadPoolExecutor(1)
    metrics = Metrics(fleet.cameras, fleet.inference, histogram, version="1", ffmpeg="8", executor=executor)

    async def exposition(request: web.Request) -> web.Response:
        accepted.append(request.headers.get("Accept", ""))
        body, content_type = await metrics.scrape(request.headers.get("Accept"))
        return web.Response(body=body, headers={"Content-Type": content_type})

    application = web.Application()
    application.router.add_get("/metrics", exposition)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        yield listener.getsockname()[1]
    finally:
        await runner.cleanup()
        executor.shutdown()


@asynccontextmanager
async def prometheus(folder: Path, target: int) -> AsyncIterator[str]:
    """A real one that scrapes often, with the shipped alerts; yields its URL."""
    program = need_tool("prometheus")
    config = yaml.safe_load((promql.DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms", "scrape_timeout": "250ms"}
    config["rule_files"] = [str(promql.RULES)]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{target}"]}]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "prometheus.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            await process.wait()


async def ask(session: aiohttp.ClientSession, url: str, path: str, **parameters: str) -> Any:
    async with session.get(f"{url}/api/v1/{path}", params=parameters) as response:
        answer = json.loads(await response.text())
    assert answer["status"] == "success", answer
    return answer["data"]


async def scrapes(session: aiohttp.ClientSession, url: str, count: int) -> None:
    """Waits until Prometheus has taken so many samples of our target."""
    query = 'count_over_time(up{job="faceanond"}[5m])'
    async with asyncio.timeout(60):
        while True:
            try:
                result = (await ask(session, url, "query", query=query))["result"]
            except (aiohttp.ClientError, AssertionError, json.JSONDecodeError):  # not up yet, or still reading its log
                result = []
            if result and int(result[0]["value"][1]) >= count:
                return
            await asyncio.sleep(0.1)


async def test_prometheus_scrapes_the_page_and_the_dashboard_shows_something(tmp_path: Path) -> None:
    accepted: list[str] = []
    fleet = Fleet()
    async with (
        serving(fleet, accepted) as port,
        prometheus(tmp_path, port) as url,
        aiohttp.ClientSession() as session,
    ):
        await scrapes(session, url, 6)
        (up,) = (await ask(session, url, "query", query='up{job="faceanond"}'))["result"]
        assert up["value"][1] == "1"
        assert any("openmetrics" in accept for accept in accepted), "the scraper asked for OpenMetrics and got it"

        increase = 'sum(increase(faceanond_frames_captured_total{camera="yard"}[1m]))'
        (captured,) = (await ask(session, url, "query", query=increase))["result"]
        assert float(captured["value"][1]) > 0

        empty = set()
        for title, query in promql.dashboard_queries():
            filled = promql.filled_in(query)
            if not (await ask(session, url, "query", query=filled))["result"]:
                empty.add(title)
        assert empty == EMPTY, "a query finds nothing: a wrong label, or a join that never matches"

        types = {
            name: {entry["type"] for entry in entries}
            for name, entries in (await ask(session, url, "metadata")).items()
            if name.startswith("faceanond_")
        }
        assert types["faceanond_inference_seconds"] == {"histogram"}
        assert types["faceanond_camera_up"] == {"gauge"}

        rules = await ask(session, url, "rules")
        health = {rule["name"]: rule["health"] for group in rules["groups"] for rule in group["rules"]}
        assert set(health) == {name for name, _ in promql.alert_queries()}
        assert set(health.values()) == {"ok"}
