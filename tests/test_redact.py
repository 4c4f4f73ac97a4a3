import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceanond.redact import redact


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
