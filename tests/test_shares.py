"""How many streams a viewer has at a time, whatever carries them."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from faceanond.config.load import parse
from faceanond.shares import RETRY_AFTER, TELL_EVERY, OverShareError, Shares
from tests.conftest import FakeClock

TEXT = """
[viewers.guard]
password = "guards-password"
max_streams = 2
[viewers.porter]
password = "porters-password"
max_streams = 1
[viewers.chief]
password = "chiefs-password"
"""


@pytest.fixture
def shares(clock: FakeClock) -> Shares:
    return Shares(parse(TEXT, "c.toml").viewers, clock=clock)


def test_all_protocols_count_together(shares: Shares) -> None:
    shares.take("guard", "webrtc")
    shares.take("guard", "rtsp")
    with pytest.raises(OverShareError, match=r"watching 2 of 2 streams \(viewers\.guard\.max_streams\)") as caught:
        shares.take("guard", "mp4")
    assert caught.value.retry_after == RETRY_AFTER
    assert shares.held("guard") == 2


def test_each_viewer_has_its_own(shares: Shares) -> None:
    shares.take("porter", "mp4")
    shares.take("guard", "mp4")
    with pytest.raises(OverShareError):
        shares.take("porter", "mp4")


@pytest.mark.parametrize("viewer", ["chief", ""], ids=["without max_streams", "without [viewers]"])
def test_who_has_no_share_is_not_limited(shares: Shares, viewer: str) -> None:
    places = [shares.take(viewer, "mp4") for _ in range(1000)]
    assert shares.held(viewer) == 1000
    for place in places:
        place.release()
    assert shares.held(viewer) == 0


def test_a_place_is_given_back_once_however_often_it_is_released(shares: Shares) -> None:
    with shares.take("guard", "mp4") as place:
        shares.take("guard", "mp4")
        place.release()
        place.release()
        assert shares.held("guard") == 1
    assert shares.held("guard") == 1


def test_a_block_that_fails_gives_its_place_back(shares: Shares) -> None:
    with pytest.raises(KeyError), shares.take("porter", "mp4"):
        raise KeyError("mine")
    shares.take("porter", "mp4")


def test_who_is_refused_takes_nothing(shares: Shares) -> None:
    place = shares.take("porter", "mp4")
    for _ in range(3):
        with pytest.raises(OverShareError):
            shares.take("porter", "mp4")
    place.release()
    shares.take("porter", "mp4")


def test_the_log_is_told_of_each_viewer_once_a_minute(shares: Shares, clock: FakeClock) -> None:
    for _ in range(2):
        shares.take("guard", "mp4")
    shares.take("porter", "mp4")

    def refused(viewer: str, protocol: str) -> None:
        with pytest.raises(OverShareError):
            shares.take(viewer, protocol)

    with capture_logs() as told:
        for _ in range(5):
            refused("guard", "webrtc")
        refused("porter", "rtsp")
        clock.move(TELL_EVERY)
        refused("guard", "rtsp")
    assert [(line["viewer"], line["protocol"], line["count"]) for line in told] == [
        ("guard", "webrtc", 1),
        ("porter", "rtsp", 1),
        ("guard", "rtsp", 5),
    ]
    assert told[0]["reason"] == "viewers.guard.max_streams reached"
    assert (told[0]["log_level"], told[0]["most"]) == ("warning", 2)


def test_the_words_fit_into_the_end_of_a_websocket() -> None:
    assert len(str(OverShareError("n" * 63, 10_000)).encode()) <= 123
