"""What FFmpeg is told."""

from __future__ import annotations

import pytest

from faceanond.capture import options
from faceanond.capture.options import target
from faceanond.config.model import Camera
from faceanond.errors import SourceError, SourceFault

DANGEROUS = {"concat", "subfile", "ftp", "gopher", "crypto", "data", "cache", "pipe", "hls"}


def camera(source: str, **keys: object) -> Camera:
    return Camera(source=source, timeout=10.0, **keys)


@pytest.mark.parametrize(
    "source",
    ["rtsp://h/s", "rtsps://h/s", "http://h/s", "https://h/s", "v4l2:/dev/video0", "file:/a.mp4"],
)
def test_every_scheme_has_a_closed_list_of_protocols(source: str) -> None:
    allowed = set(target(camera(source, tls_verify=False)).options["protocol_whitelist"].split(","))
    assert allowed
    assert not allowed & DANGEROUS
    assert ("file" in allowed) == source.startswith(("v4l2", "file"))


@pytest.mark.parametrize("source", ["rtsp://h/s", "rtsps://h/s", "http://h/s", "https://h/s"])
def test_every_network_wait_has_an_end_in_microseconds(source: str) -> None:
    assert target(camera(source, tls_verify=False)).options["timeout"] == "8000000"


@pytest.mark.parametrize("source", ["http://h/s", "https://h/s", "file:/a.mp4"])
def test_formats_that_name_other_places_are_not_on_the_list(source: str) -> None:
    listed = set(target(camera(source, tls_verify=False)).options["format_whitelist"].split(","))
    assert not listed & {"hls", "applehttp", "dash", "concat", "sdp", "rtsp", "image2", "tty", "lavfi"}


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_the_transport_is_the_cameras(transport: str) -> None:
    made = target(camera("rtsp://h/s", transport=transport))
    assert made.options["rtsp_transport"] == transport
    assert made.lossy == (transport == "udp")


def test_encrypted_rtsp_keeps_its_pictures_inside_the_connection() -> None:
    made = target(camera("rtsps://h/s", transport="udp", tls_verify=False))
    assert made.options["rtsp_transport"] == "tcp"
    assert not made.lossy


def test_certificates_are_verified_against_the_systems_file(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    trusted = tmp_path / "ca.crt"
    trusted.write_text("")
    monkeypatch.setattr(options, "CA_FILES", (str(trusted),))
    monkeypatch.setattr(options.ssl, "get_default_verify_paths", lambda: _Paths(None))
    made = target(camera("https://h/s"))
    assert made.options["tls_verify"] == "1"
    assert made.options["ca_file"] == str(trusted)


def test_verification_without_certificates_is_an_error_and_no_silent_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "CA_FILES", ())
    monkeypatch.setattr(options.ssl, "get_default_verify_paths", lambda: _Paths(None))
    with pytest.raises(SourceError, match="certificates"):
        target(camera("rtsps://h/s"))


def test_verification_can_be_turned_off() -> None:
    assert target(camera("https://h/s", tls_verify=False)).options["tls_verify"] == "0"


def test_a_redirect_is_not_followed_over_http() -> None:
    assert target(camera("http://h/s")).options["max_redirects"] == "0"


def test_credentials_are_in_the_url_alone_and_show_nowhere() -> None:
    made = target(camera("rtsp://h:554/s?x=1", username="us er", password="ge:h@/?#"))
    assert made.url == "rtsp://us%20er:ge%3Ah%40%2F%3F%23@h:554/s?x=1"
    assert made.shown == "rtsp://h:554/s?x=***"
    for text in (repr(made), str(made), made.shown, repr(dict(made.options))):
        assert "ge:h" not in text
        assert "ge%3Ah" not in text


def test_credentials_that_ffmpeg_would_cut_are_an_error_without_them() -> None:
    with pytest.raises(SourceError) as caught:
        target(camera("rtsp://h/s", username="u", password="x" * 126))
    assert caught.value.fault is SourceFault.UNAUTHORISED
    assert "xxx" not in str(caught.value)
    assert target(camera("rtsp://h/s", username="u", password="x" * 125)).url.startswith("rtsp://u:x")


def test_secrets_in_a_query_are_not_shown() -> None:
    assert "s3cret" not in target(camera("http://h/s?token=s3cret")).shown


@pytest.mark.parametrize(
    ("source", "peer"),
    [
        ("rtsp://10.0.0.1/s", ("10.0.0.1", 554)),
        ("rtsps://cam/s", ("cam", 322)),
        ("http://[::1]:8081/s", ("::1", 8081)),
        ("https://cam/s", ("cam", 443)),
        ("file:/a", (None, None)),
    ],
)
def test_the_peer_is_known(source: str, peer: tuple[str | None, int | None]) -> None:
    made = target(camera(source, tls_verify=False))
    assert (made.host, made.port) == peer


@pytest.mark.parametrize("name", ["concat:a|b", "-i", "a:b.mp4", "http:x"])
def test_a_file_name_is_a_name_and_nothing_else(name: str) -> None:
    assert target(camera(f"file:{name}")).url == f"file:{name}"


class _Paths:
    def __init__(self, cafile: str | None) -> None:
        self.cafile = cafile
