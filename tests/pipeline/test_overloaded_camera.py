"""A camera whose pictures come faster than they can be looked at, or sealed: what viewers see, and what is told."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from statistics import median

import pytest

from faceanond.errors import SourceFault
from faceanond.frames import Verdict
from faceanond.status import OverloadState
from tests.conftest import FakeClock
from tests.pipeline.overloaded import gaps, overloaded, play

NONE, DROPPING, REDUCED, CONCEALING = OverloadState


async def test_a_detector_that_keeps_up_leaves_every_picture_alone(clock: FakeClock) -> None:
    async with overloaded(clock, detection=0.03) as [camera]:
        await play([camera], 20)
        await clock.advance(3)
        camera.check()
        camera.check_all_done()
    assert camera.rungs == [NONE]
    assert sum(camera.pipeline.status().dropped.values()) == 0


async def test_a_detector_ten_times_too_slow_drops_first_and_then_shows_fewer_pictures_evenly(clock: FakeClock) -> None:
    async with overloaded(clock, detection=0.4) as [camera]:
        await play([camera], 60)
        assert camera.rungs == [NONE, DROPPING, REDUCED], "and it stays there"
        camera.check()
        late = camera.since(clock.monotonic() - 40)
        assert {frame.verdict for _, frame in late} == {Verdict.CLEAN}
        assert 40 * 0.75 / 0.4 <= len(late) <= 40 / 0.4, "nearly as many as the detector can do"
        between = list(gaps(late))
        even = [gap for gap in between if abs(gap - median(between)) <= 0.04 + 1e-6]
        assert len(even) >= 0.8 * len(between), "gaps differ by one of the camera's pictures, a few trials aside"
        assert median(at - frame.captured for at, frame in late) <= 0.45, "a picture that is let in hardly waits"
        await clock.advance(3)
        camera.check_all_done()
        dropped = camera.pipeline.status().dropped
        assert dropped["capture", "overload"] > dropped["mailbox", "newer"] > 0


async def test_a_detector_that_hangs_conceals_within_the_limit_and_a_slate_follows_when_nothing_comes(
    clock: FakeClock,
) -> None:
    async with overloaded(clock, detection=0.03) as [camera]:
        await play([camera], 5)
        camera.detector.seconds = 1e9
        hung = clock.monotonic()
        await play([camera], 20)
        camera.check()
        after = camera.since(hung + 0.1)
        assert {(frame.verdict, frame.reason) for _, frame in after} == {(Verdict.FULL, "overload")}
        assert after[0][0] <= hung + 1.1
        assert max(later[0] - earlier[0] for earlier, later in pairwise(after)) <= 2.1
        assert camera.rungs == [NONE, CONCEALING]
        assert camera.pipeline.status().fail_closed == "overload"
        await clock.advance(10)
        assert camera.pipeline.last_sealed is not None
        assert (camera.pipeline.last_sealed.verdict, camera.pipeline.last_sealed.source) == (Verdict.HELD, None)
        camera.check()
        camera.check_all_done()


async def test_a_detector_too_slow_for_the_limit_shows_nothing_rather_than_something_late(clock: FakeClock) -> None:
    async with overloaded(clock, detection=0.4, limit=0.3) as [camera]:
        await play([camera], 30)
        camera.check()
        assert {frame.verdict for _, frame in camera.since(0)} == {Verdict.FULL}
    assert camera.rungs == [NONE, CONCEALING]


async def test_sealing_that_is_too_slow_reduces_the_rate_before_pictures_grow_too_old(clock: FakeClock) -> None:
    async with overloaded(clock, detection=0.005, sealing=0.15) as [camera]:
        await play([camera], 60)
        camera.check()
        assert REDUCED in camera.rungs
        assert camera.state is REDUCED
        settled = camera.since(clock.monotonic() - 20)
        assert {frame.verdict for _, frame in settled} == {Verdict.CLEAN}
        assert len(settled) >= 20 * 0.7 / 0.15


@pytest.mark.parametrize("sealing", [0.3, 0.7, 1.5])
async def test_however_slow_sealing_is_nothing_is_shown_late(clock: FakeClock, sealing: float) -> None:
    async with overloaded(clock, detection=0.005, sealing=sealing) as [camera]:
        await play([camera], 40)
        camera.check()
        await clock.advance(20)
        camera.check_all_done()


async def test_when_there_is_room_again_the_rate_climbs_back_to_the_cameras(clock: FakeClock) -> None:
    async with overloaded(clock, detection=0.4) as [camera]:
        await play([camera], 30)
        assert camera.state is REDUCED
        camera.detector.seconds = 0.03
        await play([camera], 60)
        assert camera.rungs == [NONE, DROPPING, REDUCED, NONE]
        assert len(camera.since(clock.monotonic() - 4)) == pytest.approx(100, abs=2)
        camera.check()


async def test_after_a_hang_the_picture_comes_back_by_itself(clock: FakeClock) -> None:
    async with overloaded(clock, detection=0.03) as [camera]:
        camera.detector.seconds = 5.0
        await play([camera], 10)
        assert camera.state is CONCEALING
        camera.detector.seconds = 0.03
        back = clock.monotonic()
        await play([camera], 3)
        assert camera.since(back + 1.1)[0][1].verdict is Verdict.CLEAN
        await play([camera], 60)
        camera.check()
    assert camera.rungs == [NONE, CONCEALING, REDUCED, NONE]


async def test_one_late_picture_costs_nothing_but_itself(clock: FakeClock) -> None:
    async with overloaded(clock, detection=0.03) as [camera]:
        await play([camera], 5)
        camera.detector.seconds = 1.5
        await play([camera], 0.04)
        camera.detector.seconds = 0.03
        started = clock.monotonic()
        await play([camera], 20)
        camera.check()
        verdicts = [frame.verdict for _, frame in camera.since(started)]
    assert verdicts.count(Verdict.FULL) == 1
    assert camera.rungs == [NONE, CONCEALING, REDUCED, NONE]
    assert camera.pipeline.status().dropped.get(("capture", "overload"), 0) == 0


@pytest.mark.parametrize("detection", [0.041, 0.044, 0.05, 0.06, 0.1, 0.9])
async def test_a_load_that_stays_keeps_the_ladder_where_it_is(clock: FakeClock, detection: float) -> None:
    async with overloaded(clock, detection=detection) as [camera]:
        await play([camera], 120)
        camera.check()
    assert camera.states[-1][0] <= 1020, f"the last move was one of the first: {camera.states}"


@pytest.mark.parametrize(("count", "fps"), [(8, 15.0), (40, 8.0)])
async def test_cameras_that_share_a_slow_detector_all_slow_down_and_share_it(
    clock: FakeClock, count: int, fps: float
) -> None:
    async with overloaded(clock, detection=0.02, cameras=count) as cameras:
        await play(cameras, 36, fps=fps)
        shown: Counter[Verdict] = Counter()
        for camera in cameras:
            camera.check()
            assert camera.state in (REDUCED, CONCEALING), camera.states
            shown.update(frame.verdict for _, frame in camera.since(0))
        assert shown[Verdict.FULL] <= 0.03 * shown[Verdict.CLEAN], "although a round of forty takes 0.8 s of the limit"
        shares = [len(camera.since(clock.monotonic() - 20)) for camera in cameras]
        assert sum(shares) >= 20 * 0.75 / 0.02
        assert min(shares) >= 0.5 * max(shares), shares


async def test_a_lost_camera_begins_anew(clock: FakeClock) -> None:
    async with overloaded(clock, detection=0.4) as [camera]:
        await play([camera], 15)
        assert camera.state is REDUCED
        camera.pipeline.lost(SourceFault.STALLED, "gone", 1.0)
        assert camera.state is NONE
