"""What the log tells of those who watch."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from faceanond import watching
from faceanond.watching import Fetches, Watch, Who
from tests.conftest import FakeClock

GUARD = Who("guard", "192.0.2.7")


def test_a_stream_is_told_at_its_beginning_and_at_its_first_end(clock: FakeClock) -> None:
    with capture_logs() as told:
        watch = Watch("lobby", GUARD, protocol="rtsp", transport="udp", clock=clock)
        clock.move(61.26)
        watch.end("left")
        watch.end("again")
    same = {"camera": "lobby", "viewer": "guard", "client": "192.0.2.7", "protocol": "rtsp", "transport": "udp"}
    assert told == [
        {"event": "viewer joined", "log_level": "info", **same},
        {"event": "viewer left", "log_level": "info", **same, "seconds": 61.3, "reason": "left"},
    ]


def test_what_is_fetched_in_pieces_is_told_once_an_interval(clock: FakeClock) -> None:
    fetches = Fetches("recording watched", interval=60.0, clock=clock)
    with capture_logs() as told:
        for _ in range(59):
            fetches.note("lobby", GUARD, file="a.mp4")
            clock.move(1)
    assert told == [
        {
            "event": "recording watched",
            "log_level": "info",
            "camera": "lobby",
            "viewer": "guard",
            "client": "192.0.2.7",
            "protocol": "http",
            "file": "a.mp4",
        }
    ]
    clock.move(1)
    with capture_logs() as told:
        fetches.note("lobby", GUARD, file="a.mp4")
    assert len(told) == 1, "it goes on"


def test_nobody_hides_behind_another(clock: FakeClock) -> None:
    fetches = Fetches("snapshot watched", interval=60.0, clock=clock)
    everybody = [GUARD, Who("guard", "192.0.2.8"), Who("", "192.0.2.7")]
    with capture_logs() as told:
        for camera in ("lobby", "yard"):
            for who in everybody * 2:
                fetches.note(camera, who)
    assert [(line["camera"], Who(line["viewer"], line["client"])) for line in told] == [
        (camera, who) for camera in ("lobby", "yard") for who in everybody
    ]
    assert "file" not in told[0]


def test_only_so_many_are_remembered(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_REMEMBERED", 3)
    fetches = Fetches("snapshot watched", interval=60.0, clock=clock)
    with capture_logs() as told:
        for number in (1, 2, 3, 1, 4, 1, 2):
            fetches.note("lobby", Who("", f"192.0.2.{number}"))
    assert [line["client"][-1] for line in told] == ["1", "2", "3", "4", "2"]
    assert len(fetches) == 3
