from __future__ import annotations

import pytest
from pydantic import SecretStr

from faceanond.config.model import Push
from faceanond.publish.push.target import target


def test_nothing_is_pushed_without_a_url() -> None:
    assert target("yard", Push()) is None


@pytest.mark.parametrize(
    ("url", "protocol", "host", "port", "encrypted"),
    [
        ("rtsp://media.example.org/{camera}", "push_rtsp", "media.example.org", 554, False),
        ("RTSPS://media.example.org/{camera}", "push_rtsp", "media.example.org", 322, True),
        ("http://[2001:db8::1]:8889/{camera}/whip", "push_whip", "2001:db8::1", 8889, False),
        ("https://media.example.org/whip/{camera}?x=1", "push_whip", "media.example.org", 443, True),
    ],
)
def test_a_url_says_how_and_where(url: str, protocol: str, host: str, port: int, encrypted: bool) -> None:
    place = target("yard", Push(url=url))
    assert place is not None
    assert (place.protocol, place.host, place.port, place.encrypted) == (protocol, host, port, encrypted)
    assert "yard" in place.url
    assert "{" not in place.url


def test_what_is_shown_holds_no_key() -> None:
    place = target("yard", Push(url="https://media.example.org/whip?key=geheim", token=SecretStr("secret")))
    assert place is not None
    assert place.shown == "https://media.example.org/whip?key=***"
    assert "secret" not in repr(place)
