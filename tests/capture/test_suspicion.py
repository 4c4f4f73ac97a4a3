"""Which pictures are believed after a loss."""

from faceanond.capture.suspicion import Suspicion


def trusted() -> Suspicion:
    suspicion = Suspicion()
    suspicion.packet(keyframe=True, pts=0, refresh=True)
    assert suspicion.picture(keyframe=True, pts=0) is None
    return suspicion


def test_pictures_before_the_first_key_picture_are_suspect() -> None:
    suspicion = Suspicion()
    suspicion.packet(keyframe=False, pts=0, refresh=False)
    assert suspicion.picture(keyframe=False, pts=0) == "gap"


def test_a_loss_makes_all_pictures_suspect_until_the_next_refresh() -> None:
    suspicion = trusted()
    suspicion.doubt("gap")
    verdicts = []
    for pts in range(1, 6):
        key = pts == 4
        suspicion.packet(keyframe=key, pts=pts, refresh=key)
        verdicts.append(suspicion.picture(keyframe=key, pts=pts))
    assert verdicts == ["gap", "gap", "gap", None, None]


def test_a_key_picture_from_before_the_loss_that_is_shown_later_cures_nothing() -> None:
    suspicion = trusted()
    suspicion.packet(keyframe=True, pts=10, refresh=True)
    suspicion.doubt("gap")
    assert suspicion.picture(keyframe=True, pts=10) == "gap"
    assert suspicion.picture(keyframe=False, pts=11) == "gap"


def test_pictures_shown_before_the_curing_key_picture_stay_suspect() -> None:
    suspicion = trusted()
    suspicion.doubt("corrupt")
    suspicion.packet(keyframe=True, pts=10, refresh=True)
    assert suspicion.picture(keyframe=False, pts=9) == "corrupt"
    assert suspicion.picture(keyframe=True, pts=10) is None


def test_a_stream_without_idr_pictures_is_whole_at_the_second_entry_point() -> None:
    suspicion = trusted()
    suspicion.doubt("gap")
    suspicion.packet(keyframe=True, pts=10, refresh=False)
    assert suspicion.picture(keyframe=True, pts=10) == "gap"
    suspicion.packet(keyframe=True, pts=20, refresh=False)
    assert suspicion.picture(keyframe=True, pts=20) is None


def test_a_second_loss_counts_entry_points_anew() -> None:
    suspicion = trusted()
    suspicion.doubt("gap")
    suspicion.packet(keyframe=True, pts=10, refresh=False)
    suspicion.doubt("gap")
    suspicion.packet(keyframe=True, pts=20, refresh=False)
    assert suspicion.picture(keyframe=True, pts=20) == "gap"


def test_a_clock_that_was_set_back_does_not_hide_the_cure() -> None:
    suspicion = trusted()
    suspicion.doubt("gap")
    suspicion.packet(keyframe=True, pts=9000, refresh=True)
    suspicion.packet(keyframe=True, pts=5, refresh=True)
    assert suspicion.picture(keyframe=True, pts=5) is None


def test_key_pictures_without_times_cure_by_being_key_pictures() -> None:
    suspicion = Suspicion()
    suspicion.packet(keyframe=True, pts=None, refresh=True)
    assert suspicion.picture(keyframe=False, pts=None) == "gap"
    assert suspicion.picture(keyframe=True, pts=None) is None


def test_a_decoder_that_lags_behind_still_gets_cured() -> None:
    suspicion = Suspicion()
    verdicts = []
    for pts in range(10):
        suspicion.packet(keyframe=True, pts=pts, refresh=True)
        if pts >= 3:
            verdicts.append(suspicion.picture(keyframe=True, pts=pts - 3))
    assert verdicts == [None] * 7
