import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.redact import SHORTEST_EVERYWHERE, redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://viewer:hunter2@10.0.0.1/stream", "rtsp://***@10.0.0.1/stream"),
        ("rtsp://viewer:p@ss:w@10.0.0.1:554/s", "rtsp://***@10.0.0.1:554/s"),
        ("open http://h/x?user=a&password=b&size=1 failed", "open http://h/x?user=***&password=***&size=*** failed"),
        ("https://h/api?access_token=abc", "https://h/api?access_token=***"),
        ("two: rtsp://a:b@h/ and rtsp://c:d@i/", "two: rtsp://***@h/ and rtsp://***@i/"),
        ("mail me@example.org about rtsp://h/x", "mail me@example.org about rtsp://h/x"),
        (
            "rtsp://h/user=admin_password=hunter2_channel=1_stream=0.sdp",
            "rtsp://h/user=***_password=***_channel=1_stream=0.sdp",
        ),
        ("http://h/v.cgi?loginuse=admin&loginpas=hunter3&p=x", "http://h/v.cgi?loginuse=***&loginpas=***&p=***"),
        ("/v.cgi?pwd=a&x=1 failed", "/v.cgi?pwd=***&x=1 failed"),
        ("demo:?size=640x480&fps=5", "demo:?size=640x480&fps=5"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_credentials_in_urls_are_masked(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    assert redact("login s3cret failed for 's3cret+'", {"s3cret", "s3cret+"}) == "login *** failed for '***'"


def test_an_empty_secret_masks_nothing() -> None:
    assert redact("abc", {""}) == "abc"


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=3), st.text(max_size=20))
def test_a_password_in_a_url_never_survives(password: str, tail: str) -> None:
    secret = f"zq{password}qz"
    assert secret not in redact(f"rtsp://user:{secret}@host/{tail.replace(secret, '')}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a camera that was away", "*** camera that was away"),
        ("login with 'a' failed", "login with '***' failed"),
        ("user-id=admin user-pw=a", "user-id=admin user-pw=***"),
        ("admin:a@10.0.0.1", "admin:***@10.0.0.1"),
        ("rtsp://a:a@lan/a", "rtsp://***@lan/***"),
        ("http://lan/v?pwd=a&size=max", "http://lan/v?pwd=***&size=***"),
        ("/user=x_password=a_channel=1.sdp", "/user=***_password=***_channel=1.sdp"),
        (r"'camera\na\tbad'", r"'camera\n***\tbad'"),
        (r"b'\x00a\x00'", r"b'\x00***\x00'"),
        ("name%3Aa%40lan", "name%3A***%40lan"),
        ("a", "***"),
        ("a_a", "***_***"),
        ("bandä", "bandä"),
    ],
)
def test_a_very_short_secret_is_masked_where_it_stands_alone(text: str, shown: str) -> None:
    assert redact(text, {"a"}) == shown


@given(
    secret=st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=SHORTEST_EVERYWHERE - 1),
    before=st.sampled_from(["", " ", "'", '"', "=", ": ", ":", "(", "-", "_", "\n", "%3A", "\\n", "\\x00"]),
    after=st.sampled_from(["", " ", "'", '"', ",", ")", "@", "&", "-", "_", "\n", "%40", "\\n"]),
)
def test_no_short_secret_survives_between_marks(secret: str, before: str, after: str) -> None:
    assert redact(f"{before}{secret}{after}", {secret}).startswith(f"{before}***")


def test_four_characters_are_masked_inside_words_too() -> None:
    assert redact("wordlive: live", {"live"}) == "word***: ***"
    assert redact("olive", {"liv"}) == "olive"
