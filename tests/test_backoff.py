from faceanond.backoff import FIRST, GOOD_RUN, LONGEST, Backoff


def test_the_delay_doubles_up_to_a_limit() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    delays = [backoff.failed(run_seconds=0.0) for _ in range(10)]
    assert delays[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert delays[-1] == LONGEST


def test_a_good_run_resets_the_delay() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    for _ in range(6):
        backoff.failed(run_seconds=0.0)
    assert backoff.failed(run_seconds=GOOD_RUN) == FIRST
    assert backoff.failures == 1


def test_jitter_spreads_the_delay_over_its_upper_half() -> None:
    assert Backoff(jitter=lambda: 0.0).failed(0.0) == FIRST / 2
    assert all(FIRST / 2 <= Backoff().failed(0.0) <= FIRST for _ in range(100))


def test_hundreds_of_failures_do_not_overflow() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.failed(0.0) for _ in range(5000)][-1] == LONGEST
