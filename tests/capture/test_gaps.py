"""Lost pictures, told by timestamps."""

from faceanond.capture.gaps import GapDetector


def gaps(times: list[float]) -> list[int]:
    detector = GapDetector()
    return [index for index, time in enumerate(times) if detector.gap(time)]


def test_a_steady_stream_has_no_gap() -> None:
    assert gaps([index / 30 for index in range(100)]) == []


def test_one_missing_picture_is_a_gap() -> None:
    times = [index / 25 for index in range(50) if index != 20]
    assert gaps(times) == [20]


def test_every_loss_is_found_when_one_picture_in_twenty_is_lost() -> None:
    kept = [index for index in range(400) if index % 20 != 13]
    expected = [place for place in range(1, len(kept)) if kept[place] - kept[place - 1] > 1]
    assert gaps([index / 25 for index in kept]) == expected


def test_jitter_of_a_fifth_is_no_gap() -> None:
    assert gaps([index / 25 + (0.008 if index % 3 == 1 else 0.0) for index in range(100)]) == []


def test_a_stream_that_alternates_between_two_steps_has_no_gap() -> None:
    times, now = [], 0.0
    for index in range(100):
        times.append(now)
        now += 0.050 if index % 2 else 0.033
    assert gaps(times) == []


def test_a_lower_frame_rate_is_doubted_at_first_and_then_accepted() -> None:
    times = [index / 25 for index in range(50)] + [2 + index / 10 for index in range(50)]
    found = gaps(times)
    assert found[0] == 51
    assert max(found) < 60


def test_a_higher_frame_rate_is_no_gap() -> None:
    assert gaps([index / 10 for index in range(50)] + [5 + index / 30 for index in range(50)]) == []


def test_nothing_is_claimed_before_the_step_is_known() -> None:
    assert gaps([0.0, 0.04, 0.5, 0.54]) == []


def test_a_clock_that_is_set_back_starts_anew() -> None:
    times = [100 + index / 25 for index in range(50)] + [index / 25 for index in range(50)]
    assert gaps(times) == []
