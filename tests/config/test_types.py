from __future__ import annotations

import pytest

from faceanond.config.types import (
    SCHEMES,
    Source,
    address,
    bitrate,
    duration,
    external_address,
    folder,
    ice_url,
    off_or_seconds,
    origin,
    port_range,
    size,
    source,
    thresholds,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("200ms", 0.2), ("10s", 10), ("1.5s", 1.5), ("5m", 300), ("1h", 3600), (" 1s ", 1), (2.5, 2.5)],
)
def test_a_duration_has_a_unit(text: object, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["10", "", "s", "1 s", "-1s", "1d", "1e3s", "٣s", "9" * 400 + "s", 10, True, None, ["1s"]]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        duration(text)


@pytest.mark.parametrize("value", [0.0, 1.0, 3600.0])
def test_an_interval_may_be_none_at_all(value: float) -> None:
    assert off_or_seconds(value) == value


@pytest.mark.parametrize("value", [0.001, 0.5, 0.999])
def test_an_interval_below_a_second_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="at least"):
        off_or_seconds(value)


@pytest.mark.parametrize(
    ("text", "bits"), [(500_000, 500_000), ("500k", 500_000), ("2M", 2_000_000), ("1.5M", 1_500_000)]
)
def test_a_bit_rate_is_a_number_or_has_a_multiple(text: object, bits: int) -> None:
    assert bitrate(text) == bits


@pytest.mark.parametrize("text", ["2m", "2 M", "M", "", "-1k", "9" * 400, True, 1.5, None])
def test_what_is_no_bit_rate_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected bits per second"):
        bitrate(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("[::1]:8080", ("::1", 8080)),
        (":8080", ("", 8080)),
        ("cam.example:0", ("cam.example", 0)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert address(text) == expected


@pytest.mark.parametrize(
    "text",
    ["8080", "127.0.0.1", "::1:8080", "[::g]:1", "[1.2.3.4]:1", "a:70000", "a b:1", "u:p@x:1", "http://x:1", 8080],
)
def test_what_is_no_address_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match='expected "HOST:PORT"'):
        address(text)


@pytest.mark.parametrize(
    ("text", "ports"), [("0", (0, 0)), ("40000-40100", (40000, 40100)), ("5000", (5000, 5000)), ("1-65535", (1, 65535))]
)
def test_a_port_range_is_first_and_last(text: str, ports: tuple[int, int]) -> None:
    assert port_range(text) == ports


@pytest.mark.parametrize("text", ["2-1", "0-5", "1-65536", "1-", "-1", "a", "", 5, "1-2-3"])
def test_what_is_no_port_range_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match='"FIRST-LAST"'):
        port_range(text)


@pytest.mark.parametrize(
    "value", [[0.5, 0.5], [0.5, 0.5, 1.1], [0.5, 0.5, "x"], [True, 0.5, 0.5], "0.5", [0, 0, float("nan")]]
)
def test_what_is_no_three_thresholds_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected three numbers"):
        thresholds(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("rtsp://10.0.0.1:554/x?y=1", Source("rtsp", "rtsp://10.0.0.1:554/x?y=1")),
        ("HTTPS://cam/x", Source("https", "HTTPS://cam/x")),
        ("rtsp://[fe80::1]/x", Source("rtsp", "rtsp://[fe80::1]/x")),
        ("v4l2:/dev/video2", Source("v4l2", "/dev/video2")),
        (3, Source("v4l2", "/dev/video3")),
        ("3", Source("v4l2", "/dev/video3")),
        ("file:clip.mp4", Source("file", "clip.mp4")),
        ("file:///srv/clip.mp4", Source("file", "/srv/clip.mp4")),
        ("demo:", Source("demo", "")),
        ("demo:?size=640x480", Source("demo", "", (("size", "640x480"),))),
    ],
)
def test_a_source_is_understood(value: object, expected: Source) -> None:
    assert source(value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("ftp://x", 'unknown source scheme "ftp:"'),
        ("concat:a|b", "unknown source scheme;"),
        ("clip.mp4", "unknown source scheme;"),
        ("rtsp:", "names no host"),
        ("rtsp:///x", "names no host"),
        ("rtsp://x:99999/", "port"),
        ("rtsp://x:0/", "port"),
        ("rtsp://[x/", "malformed"),
        ("rtsp://x/a b", "space"),
        ("rtsp://x/a\x00b", "control character"),
        ("rtsp://u:p@x/", "user name or password"),
        ("file:", "needs a path"),
        ("v4l2:", "needs a path"),
        ("", "expected a source"),
        (-1, "expected a source"),
        (True, "expected a source"),
        (1.5, "expected a source"),
        ("²", "unknown source scheme"),
    ],
)
def test_a_source_that_cannot_be_is_refused_with_the_reason(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        source(value)


def test_only_schemes_on_the_list_are_sources() -> None:
    for scheme in ("ftp", "sftp", "subfile", "data", "pipe", "tcp", "udp", "rtmp", "unix", "hls", "crypto", "lavfi"):
        assert scheme not in SCHEMES
        with pytest.raises(ValueError, match="unknown source scheme"):
            source(f"{scheme}://x/y")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://wall.example.org", "https://wall.example.org"),
        ("http://WALL:8080/", "http://wall:8080"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(text: str, expected: str) -> None:
    assert origin(text) == expected


@pytest.mark.parametrize(
    "text", ["*", "wall", "https://*.x", "https://x/y", "ftp://x", "https://x:0", "null", "", 5, "https://"]
)
def test_what_is_no_origin_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match='expected "SCHEME://HOST"'):
        origin(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("203.0.113.7", "203.0.113.7"), ("2001:DB8::1", "2001:db8::1"), ("Cams.example", "cams.example")],
)
def test_an_external_address_is_an_ip_address_or_a_host_name(text: str, expected: str) -> None:
    assert external_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.256", "0.0.0.0", "::", "224.0.0.1", "a b", "a:80", "http://x", "-a.b", 5]
)
def test_what_is_no_external_address_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected an IP address or a host name"):
        external_address(text)


@pytest.mark.parametrize(
    "text", ["stun:x", "stun:x:3478", "stuns:x", "turn:x:3478?transport=udp", "turns:x?transport=tcp"]
)
def test_an_ice_server_is_taken(text: str) -> None:
    assert ice_url(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "http://x",
        "stun://x",
        "stun:",
        "stun:x:0",
        "stun:x?transport=udp",
        "turn:x?transport=sctp",
        "turn:u:p@x",
        5,
    ],
)
def test_what_is_no_ice_server_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match='expected "stun:HOST:PORT"'):
        ice_url(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (500, 500),
        ("500", 500),
        ("10k", 10_000),
        ("1.5G", 1_500_000_000),
        (" 2T ", 2 * 10**12),
        ("20M", 20_000_000),
        ("0", 0),
    ],
)
def test_a_size_counts_in_thousands_as_disks_are_sold(text: object, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "G", "10GB", "10 G", "-1G", "1e9", "10g", "٣G", "9" * 99, True, 1.5, None, ["1G"]]
)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        size(text)


@pytest.mark.parametrize(("text", "path"), [("/srv/x", "/srv/x"), ("/srv//x/", "/srv/x"), ("/a b/ü", "/a b/ü")])
def test_a_folder_is_an_absolute_path(text: str, path: str) -> None:
    assert folder(text) == path


@pytest.mark.parametrize(
    "text", ["", "/", "//", "srv", "./x", "/srv/../etc", "/srv/./x", "~/x", "/x\n", "/x\0", 3, None]
)
def test_what_is_no_folder_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="absolute path of a folder"):
        folder(text)
