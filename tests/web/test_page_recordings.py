"""The recordings of a camera in a real Chromium: listed, played, and told in words where there are none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from faceanond.errors import RecordFault
from faceanond.publish.record.faults import RecordError
from faceanond.publish.record.names import Name
from faceanond.status import RecordState, RecordStatus
from faceanond.web import recordings as recordings_module
from faceanond.web.receiver import TooSlowError
from tests.publish.record.reel import film, pieces
from tests.waiting import until
from tests.web.shelf import MORNING, Shelf
from tests.web.site import Site, site
from tests.web.standin import Camera

pytestmark = pytest.mark.e2e

RECORDING = RecordStatus(state=RecordState.RECORDING, segments=4)
PLAY = ".playback video"
TIME_ZONE = "America/St_Johns"


PADDING = 8 * 1024 * 1024
"""Bytes between two fragments, so that a recording is larger than what a browser takes ahead."""


def content(seconds: float, padding: int) -> bytes:
    head, fragments = pieces(film(seconds, size=(160, 120)))
    between = (padding.to_bytes(4, "big") + b"free").ljust(padding, b"\0") if padding else b""
    return head + between.join(fragments)


@contextlib.asynccontextmanager
async def shelf(
    folder: Path, count: int = 3, *, status: RecordStatus = RECORDING, seconds: float = 2, padding: int = 0
) -> AsyncIterator[tuple[Site, Shelf]]:
    """The page of a camera with so many recordings, opened on them."""
    recordings = await asyncio.to_thread(lambda: Shelf(folder, count, content(seconds, padding)))
    try:
        async with site(Camera("lobby", record=status), Camera("yard"), recordings=recordings) as wall:
            yield wall, recordings
    finally:
        recordings.threads.close()


async def words(wall: Site, expected: str) -> None:
    await wall.text(".shelf-words", expected)


async def test_the_newest_are_listed_first_with_time_length_and_size(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (wall, recordings):
        await wall.open("/cameras/lobby#recordings")
        rows = wall.page.locator(".tape")
        await rows.nth(3).wait_for()
        assert await rows.count() == 4
        times = await wall.page.eval_on_selector_all(".tape time", "all => all.map((one) => one.dateTime)")
        assert times == [f"2026-11-27T03:{minute}:00.000Z" for minute in (45, 40, 35, 30)]
        newest = await rows.first.inner_text()
        assert "being recorded, 3 pictures missing" in newest
        assert "1.0 kB" in newest
        assert "5 min" in await rows.nth(1).inner_text()
        save = rows.nth(3).locator(".save")
        assert await save.get_attribute("download") == Name("lobby", MORNING).file
        async with wall.page.expect_download() as download:
            await save.click()
        assert (await (await download.value).path()).read_bytes() == recordings.file.read_bytes()
        assert wall.errors == []


async def test_times_are_the_viewers_with_their_zone(tmp_path: Path) -> None:
    async with shelf(tmp_path, 0) as (wall, _):
        browser = wall.page.context.browser
        assert browser is not None
        context = await browser.new_context(timezone_id=TIME_ZONE, locale="en-GB")
        wall.page = await context.new_page()
        await wall.open("/cameras/lobby#recordings")
        await wall.text(".tape time", "00:00:00 GMT-3:30")
        await wall.text(".days h3", "27 November 2026")
        await wall.text(".zone", TIME_ZONE)


async def test_a_chosen_recording_plays_and_the_next_one_follows(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (wall, _):
        await wall.open("/cameras/lobby#recordings")
        await wall.page.locator(".tape .play").nth(2).click()
        video = f"document.querySelector('{PLAY}')"
        await wall.page.wait_for_function(f"() => {video}.currentTime > 0.5 && {video}.videoWidth === 160")
        assert str(await wall.page.evaluate(f"{video}.currentSrc")).endswith(Name("lobby", MORNING + 300_000).file)
        later = Name("lobby", MORNING + 600_000).file
        await wall.page.wait_for_function(f"(file) => {video}.currentSrc.endsWith(file)", arg=later)
        assert await wall.page.locator("[aria-current=true]").count() == 1
        await wall.page.wait_for_function(f"() => {video}.currentTime > 0.5")
        assert wall.errors == []


async def test_a_recording_can_be_sought_in(tmp_path: Path) -> None:
    async with shelf(tmp_path, seconds=20) as (wall, _):
        await wall.open("/cameras/lobby#recordings")
        await wall.page.locator(".tape .play").nth(1).click()
        video = f"document.querySelector('{PLAY}')"
        await wall.page.wait_for_function(f"() => {video}.currentTime > 0.2")
        await wall.page.evaluate(f"{video}.currentTime = 15")
        await wall.page.wait_for_function(f"() => {video}.currentTime > 15.5")


async def test_a_pause_in_which_the_server_breaks_off_is_nothing_to_whoever_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser takes nothing while its video pauses, and asks for the rest when it needs that."""
    monkeypatch.setattr(recordings_module, "SLOW", 0.5)
    told: list[str] = []
    monkeypatch.setattr(TooSlowError, "__init__", lambda _, words: told.append(words))
    async with shelf(tmp_path, 1, seconds=20, padding=PADDING) as (wall, _):
        await wall.open("/cameras/lobby#recordings")
        await wall.page.locator(".tape .play").nth(1).click()
        video = f"document.querySelector('{PLAY}')"
        await wall.page.wait_for_function(f"() => {video}.currentTime > 0.2")
        await wall.page.evaluate(f"{video}.pause()")
        await until(lambda: told)
        await asyncio.sleep(2)
        await wall.page.evaluate(f"{video}.playbackRate = 4; {video}.play()")
        await wall.page.wait_for_function(f"() => {video}.currentTime > 18")


async def test_the_keyboard_is_enough(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (wall, _):
        await wall.open("/cameras/lobby")
        await wall.frames()
        await wall.page.locator("#toggle").focus()
        await wall.page.keyboard.press("Enter")
        await wall.page.locator(".tape").nth(1).wait_for()
        await wall.page.wait_for_function("() => document.activeElement.id === 'shelf'")
        for _ in range(30):
            await wall.page.keyboard.press("Tab")
            if await wall.page.evaluate("document.activeElement.matches('.tape:nth-child(2) .play')"):
                break
        await wall.page.keyboard.press("Enter")
        await wall.page.wait_for_function(f"() => document.querySelector('{PLAY}')?.currentTime > 0.2")


async def test_thousands_come_a_hundred_at_a_time(tmp_path: Path) -> None:
    async with shelf(tmp_path, 2999) as (wall, _):
        await wall.open("/cameras/lobby#recordings")
        more = wall.page.get_by_role("button", name="Show earlier ones")
        await more.click()
        await wall.page.wait_for_function("() => document.querySelectorAll('.tape').length === 200")
        times = await wall.page.eval_on_selector_all(".tape time", "all => all.map((one) => one.dateTime)")
        assert times == sorted(set(times), reverse=True)
        await wall.page.locator("input").fill("2026-12-02T12:02")
        await wall.page.get_by_role("button", name="Show", exact=True).click()
        first = "document.querySelector('.tape time')?.dateTime"
        await wall.page.wait_for_function(f"() => {first} === new Date('2026-12-02T12:00').toISOString()")
        await wall.page.get_by_role("button", name="Newest").click()
        await wall.page.wait_for_function(f"(newest) => {first} === newest", arg=times[0])
        assert await wall.page.locator(".tape").count() == 100


async def test_a_keyboard_goes_on_with_the_first_of_those_that_came(tmp_path: Path) -> None:
    async with shelf(tmp_path, 150) as (wall, _):
        await wall.open("/cameras/lobby#recordings")
        await wall.page.get_by_role("button", name="Show earlier ones").press("Enter")
        await wall.page.wait_for_function(
            "() => document.activeElement === document.querySelectorAll('.tape .play')[100]"
        )


async def test_live_pictures_rest_while_recordings_are_looked_at_and_come_back(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (wall, _):
        await wall.open("/cameras/lobby")
        await wall.frames()
        await wall.page.click("#toggle")
        await wall.page.locator(".tape .play").nth(1).click()
        await wall.page.locator(PLAY).wait_for()
        await wall.page.wait_for_function("() => document.querySelector('#wall video').srcObject === null")
        await wall.page.click("#toggle")
        await wall.page.wait_for_function("() => document.querySelector('.tile[data-playing]')")
        assert await wall.page.locator(PLAY).count() == 0


async def test_the_wall_leads_to_the_recordings_of_those_that_have_some(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (wall, _):
        await wall.open()
        await wall.page.locator("[data-camera=yard] .tapes").wait_for(state="hidden")
        await wall.page.locator("[data-camera=lobby] .tapes").click()
        await wall.page.locator(".tape").nth(3).wait_for()
        assert wall.page.url.endswith("/cameras/lobby#recordings")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (RecordStatus(), "Recording is switched off for this camera"),
        (RecordStatus(state=RecordState.STARTING), "Nothing has been recorded yet."),
        (RecordStatus(state=RecordState.FAILING, last_error="the disk is full"), "fails now. The disk is full."),
    ],
)
async def test_why_there_are_none_is_told(status: RecordStatus, expected: str, tmp_path: Path) -> None:
    async with shelf(tmp_path, 0, status=status) as (wall, recordings):
        recordings.index.close("lobby")
        await wall.open("/cameras/lobby#recordings")
        await words(wall, expected)
        assert await wall.page.locator(".tape").count() == 0


async def test_what_is_left_after_recording_was_switched_off_is_listed_as_that(tmp_path: Path) -> None:
    async with shelf(tmp_path, status=RecordStatus(segments=4)) as (wall, _):
        await wall.open("/cameras/lobby#recordings")
        await words(wall, "switched off; this is what is left")
        assert await wall.page.locator(".tape").count() == 4


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (403, "You may not see the recordings"),
        (404, "you may not see its recordings"),
        (500, "no answer to that now (HTTP 500)"),
        (0, "not answer"),
    ],
)
async def test_a_list_that_cannot_be_had_is_told_and_asked_for_again(
    status: int, expected: str, tmp_path: Path
) -> None:
    async with shelf(tmp_path) as (wall, _):
        pattern = "**/api/cameras/lobby/recordings*"
        if status:
            await wall.page.route(pattern, lambda route: route.fulfill(status=status, json={}))
        else:
            await wall.page.route(pattern, lambda route: route.abort())
        await wall.open("/cameras/lobby#recordings")
        await words(wall, expected)
        await wall.page.unroute(pattern)
        await wall.page.get_by_role("button", name="Try again").click()
        await wall.page.locator(".tape").nth(3).wait_for()


async def test_a_recording_that_is_gone_or_cannot_be_read_is_told(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (wall, recordings):
        await wall.open("/cameras/lobby#recordings")
        play = wall.page.locator(".tape .play")
        await play.nth(3).wait_for()
        recordings.index.discard(Name("lobby", MORNING))
        await play.nth(3).click()
        await wall.text(".playing", "It is not there any more.")
        recordings.error = RecordError(RecordFault.IO, "/srv/secret: Input/output error")
        await play.nth(2).click()
        await wall.text(".playing", "The server cannot read it now")


HOSTILE = ['<img src=x onerror="window.hurt=1">', "javascript:window.hurt=1", "../../api/version", "a b%2f?#"]


async def test_names_cannot_inject_anything(tmp_path: Path) -> None:
    """No such name gets through the configuration; the page does not rely on that."""
    cameras = [
        Camera(name, record=RECORDING, last_error=f"{name} </span><script>window.hurt=1</script>") for name in HOSTILE
    ]
    async with site(*cameras) as wall:
        await wall.open()
        await wall.page.wait_for_function("() => document.querySelectorAll('.tile').length === 4")
        await wall.page.wait_for_timeout(500)
        assert await wall.page.eval_on_selector_all(".name", "all => all.map((one) => one.textContent)") == HOSTILE
        assert await wall.page.locator(".tile img, .tile script").count() == 0
        hrefs = await wall.page.eval_on_selector_all(".tile a", "all => all.map((one) => new URL(one.href).pathname)")
        assert all(href.startswith("/cameras/") for href in hrefs)
        assert await wall.page.evaluate("window.hurt") is None


async def test_files_with_hostile_names_cannot_inject_anything(tmp_path: Path) -> None:
    async with shelf(tmp_path) as (wall, _):
        one = {
            "start": 1.5,
            "end": 2,
            "duration": 0.5,
            "bytes": 1,
            "complete": True,
            "lost": "<b>1</b>",
            "url": "javascript:0",
        }
        listed = {"recordings": [{**one, "file": name} for name in HOSTILE], "next": None}
        await wall.page.route("**/api/cameras/lobby/recordings*", lambda route: route.fulfill(json=listed))
        await wall.open("/cameras/lobby#recordings")
        await wall.page.locator(".tape").nth(3).wait_for()
        assert await wall.page.locator(".days img, .days script, .days b").count() == 0
        hrefs = await wall.page.eval_on_selector_all(".save", "all => all.map((one) => new URL(one.href).pathname)")
        assert all(href.startswith("/cameras/lobby/recordings/") for href in hrefs)
        assert await wall.page.evaluate("window.hurt") is None
