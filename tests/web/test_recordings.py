from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError
from structlog.testing import capture_logs
from yarl import URL

from faceanond.clock import Clock
from faceanond.errors import RecordFault
from faceanond.publish.record.faults import RecordError
from faceanond.publish.record.index import Segment
from faceanond.publish.record.names import Name
from faceanond.publish.record.playback import Playback
from faceanond.web import recordings as module
from tests.conftest import FakeClock
from tests.waiting import until
from tests.web.client import Client, serving
from tests.web.shelf import CONTENT, MORNING, Shelf
from tests.web.standin import Camera

LIST = "/api/cameras/lobby/recordings"


VIEWERS = """
[viewers.guard]
token = "guards-secret-token"
[viewers.porter]
token = "porters-secret-token"
"""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def shelf(
    folder: Path, count: int = 3, *, viewers: str = "", clock: Clock | None = None
) -> AsyncIterator[tuple[Client, Shelf]]:
    recordings = await asyncio.to_thread(Shelf, folder, count)
    cameras = Camera("lobby"), Camera("yard")
    async with serving(*cameras, recordings=recordings, viewers=viewers, clock=clock) as client:
        yield client, recordings
    recordings.threads.close()


async def listed(client: Client, path: str = LIST) -> dict[str, Any]:
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


def url(number: int = 0) -> str:
    return f"/cameras/lobby/recordings/{Name('lobby', MORNING + number * 300_000).file}"


# The list


async def test_a_recording_is_listed_with_its_times_and_where_it_is(tmp_path: Path) -> None:
    async with shelf(tmp_path, 1) as (client, _):
        assert await listed(client) == {
            "recordings": [
                {
                    "file": "lobby-20261127T033000.000Z.mp4",
                    "url": "/cameras/lobby/recordings/lobby-20261127T033000.000Z.mp4",
                    "start": 1_795_750_200.0,
                    "end": 1_795_750_500.0,
                    "duration": 300.0,
                    "bytes": 1_048_576,
                    "complete": True,
                    "lost": 0,
                },
                {
                    "file": "lobby-20261127T033500.000Z.mp4",
                    "url": "/cameras/lobby/recordings/lobby-20261127T033500.000Z.mp4",
                    "start": 1_795_750_500.0,
                    "end": 1_795_750_502.0,
                    "duration": 2.0,
                    "bytes": 1000,
                    "complete": False,
                    "lost": 3,
                },
            ],
            "next": None,
        }


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-11-27T03:36:00Z&to=2026-11-27T03:41:00Z",
        "from=2026-11-27T03:36:00&to=2026-11-27T03:41:00",
        "from=2026-11-27T04:36:00%2B01:00&to=2026-11-27T04:41:00%2B01:00",
        "from=1795750560&to=1795750860.5",
    ],
)
async def test_a_time_is_asked_for_in_either_form(tmp_path: Path, query: str) -> None:
    async with shelf(tmp_path) as (client, _):
        found = await listed(client, f"{LIST}?{query}")
        assert [one["start"] - MORNING // 1000 for one in found["recordings"]] == [300.0, 600.0]


async def test_a_long_list_comes_in_pages(tmp_path: Path) -> None:
    async with shelf(tmp_path, 25) as (client, _):
        starts, path = [], f"{LIST}?limit=10&from={MORNING // 1000}"
        while path:
            page = await listed(client, path)
            assert len(page["recordings"]) <= 10
            starts += [one["start"] for one in page["recordings"]]
            path = page["next"]
        assert starts == [MORNING / 1000 + number * 300 for number in range(26)]


async def test_the_newest_come_first_where_that_is_asked_for_also_in_pages(tmp_path: Path) -> None:
    async with shelf(tmp_path, 25) as (client, _):
        starts, path = [], f"{LIST}?limit=10&order=newest"
        while path:
            page = await listed(client, path)
            assert len(page["recordings"]) <= 10
            starts += [one["start"] for one in page["recordings"]]
            path = page["next"]
        assert starts == [MORNING / 1000 + number * 300 for number in reversed(range(26))]
        before = await listed(client, f"{LIST}?limit=2&order=newest&to={MORNING / 1000 + 700}")
        assert [one["start"] - MORNING // 1000 for one in before["recordings"]] == [600.0, 300.0]


async def test_a_camera_without_recordings_has_an_empty_list_and_no_camera_has_none(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (client, _):
        assert await listed(client, "/api/cameras/yard/recordings") == {"recordings": [], "next": None}
        async with client.get("/api/cameras/attic/recordings") as response:
            assert response.status == 404


@pytest.mark.parametrize(
    "query",
    ["from=x", "to=", "from=nan", "from=inf", "from=-1", "to=1e99", "limit=0", "limit=1001", "limit=x", "after=%D9%A2",
     "from=99999-01-01", "order=size", "before=0"],
)  # fmt: skip
async def test_a_question_that_makes_no_sense_is_told_so(tmp_path: Path, query: str) -> None:
    async with shelf(tmp_path) as (client, _), client.get(f"{LIST}?{query}") as response:
        assert response.status == 400
        assert query.partition("=")[0] in (await response.json())["detail"]


@pytest.mark.parametrize("zone", ["+01:00", "+0100", "+01"])
async def test_a_zone_whose_plus_became_a_space_is_told_how_to_write_it(tmp_path: Path, zone: str) -> None:
    for time in ("2026-11-27T09:00:00", "2026-11-27T09:00", "2026-11-27T09:00:00.5"):
        async with (
            shelf(tmp_path) as (client, _),
            client.get(URL(f"{LIST}?from={time}{zone}", encoded=True)) as response,
        ):
            assert response.status == 400
            assert "from: expected Unix seconds" in (detail := (await response.json())["detail"])
            assert detail.endswith('"+" means a space in a URL: write it as %2B')


async def test_a_parameter_that_nobody_knows_is_told_with_those_that_are(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (client, _):
        for query in ("form=1795750560", "limit=1&form=x", "From=1", "form"):
            async with client.get(f"{LIST}?{query}") as response:
                assert response.status == 400
                detail = (await response.json())["detail"]
                name = "From" if query.startswith("From") else "form"
                assert detail == f"{name}: unknown parameter; expected from, to, limit, order, after or before"


# The files


async def test_a_recording_is_a_video_that_nobody_may_keep(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (client, _), client.get(url()) as response:
        assert (response.status, response.content_type) == (200, "video/mp4")
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Accept-Ranges"] == "bytes"
        assert response.headers["Last-Modified"] == "Fri, 27 Nov 2026 03:35:00 GMT"
        assert await response.read() == CONTENT


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=1000000-", 1_000_000, 1_048_576),
        ("bytes=-76", 1_048_500, 1_048_576),
        ("bytes=-99999999", 0, 1_048_576),
        ("bytes=1048575-99999999", 1_048_575, 1_048_576),
        ("bytes=1-600000", 1, 600_001),
    ],
)
async def test_a_range_is_what_was_asked_for(tmp_path: Path, asked: str, start: int, stop: int) -> None:
    async with shelf(tmp_path) as (client, _), client.get(url(), headers={"Range": asked}) as response:
        whole = (start, stop) == (0, len(CONTENT))
        assert response.status == (200 if whole else 206)
        if not whole:
            assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/1048576"
        assert await response.read() == CONTENT[start:stop]


async def test_a_range_behind_the_end_is_refused_with_the_size(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (client, _), client.get(url(), headers={"Range": "bytes=1048576-"}) as response:
        assert response.status == 416
        assert response.headers["Content-Range"] == "bytes */1048576"


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=x", "lines=1-2", "bytes=9-2"])
async def test_a_range_that_nobody_understands_gives_the_whole(tmp_path: Path, asked: str) -> None:
    async with shelf(tmp_path) as (client, _), client.get(url(), headers={"Range": asked}) as response:
        assert response.status == 200
        assert await response.read() == CONTENT


async def test_a_download_goes_on_only_where_it_is_the_same_file(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (client, _):
        async with client.head(url()) as response:
            tag = response.headers["ETag"]
        for known, status in ((tag, 206), ('"other"', 200)):
            async with client.get(url(), headers={"Range": "bytes=5-9", "If-Range": known}) as response:
                assert response.status == status
        async with client.get(url(), headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")


async def test_the_head_alone_reads_nothing(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (client, _), client.head(url()) as response:
        assert (response.status, response.headers["Content-Length"]) == (200, "1048576")


async def test_of_the_current_recording_what_is_whole_is_handed_out(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (client, _), client.get(url(3)) as response:
        assert response.status == 200
        assert await response.read() == CONTENT[:1000]


@pytest.mark.parametrize(
    "path",
    [
        "/cameras/lobby/recordings/nothing.mp4",
        "/cameras/lobby/recordings/lobby-20261127T033000.001Z.mp4",
        "/cameras/yard/recordings/lobby-20261127T033000.000Z.mp4",
        "/cameras/attic/recordings/attic-20261127T033000.000Z.mp4",
        "/cameras/lobby/recordings/..%2F..%2Fcontent",
        "/cameras/lobby/recordings/%00",
        "/cameras/lobby/recordings/",
    ],
)
async def test_what_was_not_recorded_is_not_there(tmp_path: Path, path: str) -> None:
    async with shelf(tmp_path) as (client, _), client.get(path) as response:
        assert response.status == 404


async def test_a_disk_that_does_not_answer_is_a_503(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (client, recordings):
        recordings.error = RecordError(RecordFault.STALLED, "cannot record in /srv/kept: no answer within 10 s")
        async with client.get(url()) as response:
            assert response.status == 503
            assert "/srv" not in await response.text()
            assert response.headers["Retry-After"] == "10"


class Held:
    """Downloads of a shelf, of which each waits until it may go on."""

    def __init__(self, client: Client, recordings: Shelf) -> None:
        self.may_go_on = asyncio.Event()
        self.waiting = 0
        self._client = client
        self._real = recordings.play
        recordings.play = self._play  # type: ignore[method-assign]

    async def _play(self, camera: str, file: str) -> Playback | None:
        self.waiting += 1
        await self.may_go_on.wait()
        return await self._real(camera, file)

    async def begin(self, tasks: asyncio.TaskGroup, *logins: dict[str, str]) -> list[asyncio.Task[Any]]:
        """A download for each login."""
        wanted = self.waiting + len(logins)
        begun = [tasks.create_task(self._client.get(url(), headers=login)._coro) for login in logins]
        await until(lambda: self.waiting == wanted)
        return begun


async def test_only_so_many_are_handed_out_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DOWNLOADS", 1)
    async with shelf(tmp_path) as (client, recordings):
        held = Held(client, recordings)
        async with asyncio.TaskGroup() as tasks:
            (first,) = await held.begin(tasks, {})
            async with client.get(url()) as response:
                assert response.status == 503
            held.may_go_on.set()
        async with first.result() as response:
            assert await response.read() == CONTENT
        async with client.get(url()) as response:
            assert response.status == 200


async def test_one_viewer_leaves_places_for_the_others(tmp_path: Path) -> None:
    assert module.SHARE >= 6, "two pages whose browser asks for three parts at once"
    assert module.DOWNLOADS >= 4 * module.SHARE
    guard, porter = bearer("guards-secret-token"), bearer("porters-secret-token")
    async with shelf(tmp_path, viewers=VIEWERS) as (client, recordings):
        held = Held(client, recordings)
        async with asyncio.TaskGroup() as tasks:
            begun = await held.begin(tasks, *[guard] * module.SHARE)
            async with client.get(url(), headers=guard) as response:
                assert (response.status, response.headers["Retry-After"]) == (429, "10")
                assert "you have 8 recordings under way" in (await response.json())["detail"]
            begun += await held.begin(tasks, porter)
            held.may_go_on.set()
        for task in begun:
            async with task.result() as response:
                assert response.status == 200
                await response.read()
        async with client.get(url(), headers=guard) as response:
            assert response.status == 200


async def test_where_nobody_logs_in_an_address_has_that_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE", 1)
    async with shelf(tmp_path) as (client, recordings):
        held = Held(client, recordings)
        async with asyncio.TaskGroup() as tasks:
            await held.begin(tasks, {})
            async with client.get(url()) as response:
                assert response.status == 429
                assert "your address has 1 recordings" in (await response.json())["detail"]
            held.may_go_on.set()


# Who watched


async def test_the_log_tells_once_a_minute_who_watches_which_recording(tmp_path: Path, clock: FakeClock) -> None:
    with capture_logs() as told:
        async with shelf(tmp_path, viewers=VIEWERS, clock=clock) as (client, _):
            for login, number in (("guards-secret-token", 0), ("porters-secret-token", 0), ("guards-secret-token", 1)):
                for start in (0, 1000, 2000):
                    headers = {**bearer(login), "Range": f"bytes={start}-"}
                    async with client.get(url(number), headers=headers) as response:
                        await response.read()
            clock.move(60)
            async with client.get(url(), headers=bearer("guards-secret-token")) as response:
                await response.read()
    lines = [line for line in told if line["event"] == "recording watched"]
    assert lines[0] == {
        "event": "recording watched",
        "log_level": "info",
        "camera": "lobby",
        "viewer": "guard",
        "client": "127.0.0.1",
        "protocol": "http",
        "file": "lobby-20261127T033000.000Z.mp4",
    }
    assert [(line["viewer"], line["file"][-11:-5]) for line in lines] == [
        ("guard", "00.000"), ("porter", "00.000"), ("guard", "00.000"), ("guard", "00.000"),
    ]  # fmt: skip
    assert lines[2]["file"] == "lobby-20261127T033500.000Z.mp4"


async def test_who_sees_nothing_of_a_recording_is_not_told_to_have_watched_it(tmp_path: Path) -> None:
    with capture_logs() as told:
        async with shelf(tmp_path) as (client, recordings):
            async with client.head(url()) as response:
                tag = response.headers["ETag"]
            for headers in ({"If-None-Match": tag}, {"Range": "bytes=1048576-"}):
                async with client.get(url(), headers=headers) as response:
                    assert response.status in (304, 416)
            recordings.error = RecordError(RecordFault.IO, "broken")
            async with client.get(url()) as response:
                assert response.status == 503
    assert [line["event"] for line in told if "viewer" in line] == ["a recording cannot be read"]


async def test_a_file_that_is_shorter_than_it_should_be_breaks_the_answer_off(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (client, recordings):
        await asyncio.to_thread(recordings.file.write_bytes, CONTENT[:400_000])
        async with client.get(url()) as response:
            with pytest.raises(ClientError):
                await response.read()


@asynccontextmanager
async def greedy(client: Client, recordings: Shelf) -> AsyncIterator[asyncio.StreamReader]:
    """A client that asks for a large recording and reads nothing by itself."""
    size = 64 * 1024 * 1024
    recordings.index.add(Segment(Name("lobby", MORNING), MORNING + 1, size))
    await asyncio.to_thread(os.truncate, recordings.file, size)
    reader, writer = await asyncio.open_connection(client.host, client.port, limit=1024)
    writer.write(f"GET {url()} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    try:
        yield reader
    finally:
        writer.transport.abort()


async def test_a_client_that_takes_too_little_is_let_go_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW", 0.1)
    with capture_logs() as told:
        async with shelf(tmp_path, 1) as (client, recordings), greedy(client, recordings) as reader:
            await until(lambda: any(line["event"] == "recording broken off" for line in told))
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(64 * 1024 * 1024)
    (line,) = [line for line in told if line["event"] == "recording broken off"]
    assert (line["camera"], line["viewer"], line["client"]) == ("lobby", "", "127.0.0.1")
    assert (line["file"], line["reason"]) == ("lobby-20261127T033000.000Z.mp4", "takes too little")


async def test_who_takes_a_little_now_and_then_holds_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW", 0.3)
    async with shelf(tmp_path, 1) as (client, recordings), greedy(client, recordings) as reader:

        async def sip() -> None:
            while True:
                await reader.readexactly(1024)
                await asyncio.sleep(0.05)

        await reader.readexactly(1)
        async with asyncio.TaskGroup() as tasks:
            sipping = tasks.create_task(sip())
            await until(lambda: not held_by(client))
            sipping.cancel()


async def test_a_client_that_leaves_half_way_is_no_defect(tmp_path: Path) -> None:
    with capture_logs() as told:
        async with shelf(tmp_path, 1) as (client, recordings):
            async with greedy(client, recordings) as reader:
                await reader.readexactly(1024)
            await until(lambda: not held_by(client))
    assert {line["event"] for line in told} == {"recording watched"}


def held_by(client: Client) -> int:
    """Requests that are being answered."""
    server = client.server.runner.server  # type: ignore[attr-defined]
    assert server is not None
    return sum(connection._current_request is not None for connection in server.connections)
