from __future__ import annotations

import pytest

from faceanond.config.load import parse
from faceanond.errors import ConfigError


def problems(text: str) -> list[tuple[str, str]]:
    try:
        parse(text, "c.toml", environ={})
    except ConfigError as error:
        return [(f"{problem.place} {problem.key}", problem.message) for problem in error.problems]
    return []


def listening(http: str, rtsp: str, extra: str = "") -> list[tuple[str, str]]:
    return problems(f"[http]\nlisten = '{http}'\n[rtsp]\nlisten = '{rtsp}'\n{extra}")


@pytest.mark.parametrize(
    ("http", "rtsp"),
    [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("0.0.0.0:80", "10.0.0.1:80"),
        ("10.0.0.1:80", "0.0.0.0:80"),
        (":80", "127.0.0.1:80"),
        (":80", "[::1]:80"),
        ("[::]:80", "[fe80::1]:80"),
        ("[::]:80", ":80"),
        ("localhost:80", "127.0.0.1:80"),
        ("0.0.0.0:80", "cam.example:80"),
        ("cam.example:80", "CAM.example:80"),
    ],
)
def test_two_listeners_on_one_port_of_one_interface_are_a_mistake(http: str, rtsp: str) -> None:
    [(place, message)] = listening(http, rtsp)
    assert place == "c.toml:4 rtsp.listen"
    assert "port 80 is taken by [http]" in message


@pytest.mark.parametrize(
    ("http", "rtsp"),
    [
        ("127.0.0.1:80", "127.0.0.1:81"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:80", "10.0.0.1:80"),
        ("0.0.0.0:80", "[::1]:80"),
        ("[::]:80", "10.0.0.1:80"),
        ("a.example:80", "b.example:80"),
    ],
)
def test_listeners_that_do_not_meet_are_fine(http: str, rtsp: str) -> None:
    assert listening(http, rtsp) == []


SECURE = "certificate = 'a.pem'\nkey = 'a.key'"


@pytest.mark.parametrize("port", [80, 81])
def test_the_secure_listener_needs_a_port_of_its_own(port: int) -> None:
    [(place, message)] = listening(":80", ":81", f"tls_listen = ':{port}'\n{SECURE}")
    assert place == "c.toml:5 rtsp.tls_listen"
    assert f"port {port} is taken by [{'http' if port == 80 else 'rtsp'}] listen already" in message
    assert "such as 8322" in message


def test_listeners_of_a_server_that_is_off_are_in_nobodys_way() -> None:
    assert listening(":80", ":80", f"enabled = false\ntls_listen = ':80'\n{SECURE}") == []


def test_a_secure_listener_needs_a_certificate_and_its_key() -> None:
    assert [place for place, _ in listening(":80", ":81", "tls_listen = ':82'")] == [
        "c.toml:3 rtsp.certificate",
        "c.toml:3 rtsp.key",
    ]
    assert listening(":80", ":81", f"tls_listen = ':82'\n{SECURE}") == []


def test_a_certificate_that_nobody_would_use_is_a_mistake() -> None:
    [first, second] = listening(":80", ":81", SECURE)
    assert first[0] == "c.toml:5 rtsp.certificate"
    assert 'add tls_listen = ":8322", or remove certificate' in first[1]
    assert second[0] == "c.toml:6 rtsp.key"


@pytest.mark.parametrize(("name", "device"), [("mtcnn", "tensorrt"), ("yunet", "cuda"), ("centerface", "auto")])
def test_a_detector_runs_on_devices_that_suit_it(name: str, device: str) -> None:
    assert problems(f"[detector]\nname = '{name}'\ndevice = '{device}'") == []


def test_a_detector_of_whole_pictures_is_not_compiled_for_each_size() -> None:
    [(place, message)] = problems("[detector]\nname = ['mtcnn', 'yunet']\ndevice = 'tensorrt'")
    assert place == "c.toml:3 detector.device"
    assert message.startswith("yunet would be compiled anew")
    assert 'device = "cuda"' in message


def test_a_listener_that_does_not_run_takes_no_port() -> None:
    assert listening(":80", ":80", "enabled = false") == []


def test_too_few_udp_ports_for_the_viewers_are_a_mistake_with_a_range_that_would_do() -> None:
    assert problems("[webrtc]\nudp_ports = '65500-65535'\nmax_viewers = 50") == [
        (
            "c.toml:2 webrtc.udp_ports",
            "36 ports are too few for max_viewers = 50: each viewer takes one; "
            'widen the range ("65486-65535"), lower max_viewers, or write a single port, which serves all ("65500")',
        )
    ]
    assert problems("[webrtc]\nudp_ports = '40000-40099'") == []
    assert problems("[webrtc]\nudp_ports = '0'") == []


@pytest.mark.parametrize("port", ["40000", "40000-40000"])
def test_a_single_port_serves_any_number_of_viewers(port: str) -> None:
    assert problems(f"[webrtc]\nudp_ports = '{port}'\nmax_viewers = 5000") == []


def test_media_over_tcp_takes_a_port_of_its_own() -> None:
    assert problems("[webrtc]\ntcp_port = 8555") == []
    for port, table in ((8080, "http"), (8554, "rtsp")):
        [(place, message)] = problems(f"[webrtc]\ntcp_port = {port}")
        assert place == "c.toml:2 webrtc.tcp_port"
        assert f"[{table}] listen" in message
    assert problems("[rtsp]\nenabled = false\n[webrtc]\ntcp_port = 8554") == []


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("urls = ['turn:x'], username = 'u'", "credential is missing"),
        ("urls = ['turn:x'], credential = 'c'", "username is missing"),
        ("urls = ['stun:y', 'turn:x']", "needs username and credential"),
    ],
)
def test_a_turn_server_needs_a_whole_login(server: str, words: str) -> None:
    [(place, message)] = problems(f"[webrtc]\nice_servers = [\n{{{server}}}]")
    assert place == "c.toml:3 webrtc.ice_servers[0]"
    assert words in message


def test_a_stun_server_needs_no_login() -> None:
    assert problems("[webrtc]\nice_servers = [{urls = ['stun:x']}]") == []


def test_a_password_needs_a_user_name() -> None:
    text = "[cameras.a]\nsource = 'rtsp://x/'\npassword = 'p'\n"
    assert problems(text) == [("c.toml:3 cameras.a.password", "a password without a user name; add username")]
    assert problems(text + "username = 'u'") == []
    assert problems("[cameras.a]\nsource = 'rtsp://x/'\nusername = 'u'") == []


def test_a_source_without_login_takes_none() -> None:
    assert [message for _, message in problems("[cameras.a]\nsource = 'demo:'\nusername = 'u'\npassword = 'p'")] == [
        "a demo: source asks for no login; remove username",
        "a demo: source asks for no login; remove password",
    ]


CAMERA = "[cameras.a]\nsource = 'demo:'\n"


def test_a_look_ahead_that_leaves_no_time_is_a_mistake() -> None:
    [(place, message)] = problems("[track]\nlook_ahead = '950ms'\n")
    assert place == "c.toml:2 track.look_ahead"
    assert "950 ms of waiting leave less than 100 ms of max_latency = 1000 ms" in message
    assert "shorten look_ahead, or raise max_latency" in message


def test_a_latency_too_short_for_the_default_look_ahead_is_a_mistake() -> None:
    [(place, message)] = problems("[overload]\nmax_latency = '250ms'\n")
    assert "track.look_ahead" in place
    assert "200 ms of waiting" in message


@pytest.mark.parametrize(
    "text",
    [
        "[track]\nlook_ahead = '900ms'\n",
        "[track]\nlook_ahead = '5s'\n[overload]\nmax_latency = '5100ms'\n",
        "[track]\nlook_ahead = '0s'\n[overload]\nmax_latency = '200ms'\n",
        "[track]\nlook_ahead = '5s'\nenabled = false\n",
    ],
)
def test_a_look_ahead_that_leaves_time_is_fine_and_one_that_is_not_used_too(text: str) -> None:
    assert problems(text) == []


def test_a_cameras_own_look_ahead_must_leave_time_too() -> None:
    [(place, message)] = problems(CAMERA + "track.look_ahead = '2s'\n")
    assert place == "c.toml:3 cameras.a.track.look_ahead"
    assert "2000 ms of waiting" in message
    assert problems(CAMERA + "track.look_ahead = '2s'\ntrack.enabled = false\n") == []


def test_the_common_look_ahead_is_a_mistake_for_the_cameras_that_have_no_other() -> None:
    common = "[track]\nlook_ahead = '2s'\n"
    other = "[cameras.b]\nsource = 'demo:'\ntrack.look_ahead = '100ms'\n"
    [(place, _)] = problems(common + CAMERA + other)
    assert place.endswith("cameras.a.track.look_ahead")
    assert problems(common + other) == []


def test_a_recording_must_be_kept_for_longer_than_a_file_is() -> None:
    [(place, message)] = problems("[record]\nsegment = '10m'\nkeep = '15m'\n")
    assert place == "c.toml:3 record.keep"
    assert message.startswith("15m is too short for files of 10m")
    assert "keep at least 20m" in message
    [(place, _)] = problems("[record]\nkeep = '15m'\n" + CAMERA + "record.segment = '10m'\n")
    assert place.endswith("cameras.a.record.keep")
    assert problems("[record]\nsegment = '10m'\nkeep = '0s'\n") == []
    assert problems("[record]\nkeep = '15m'\n" + CAMERA + "record.segment = '1m'\n") == []


@pytest.mark.parametrize(("given", "lacking"), [("certificate", "key"), ("key", "certificate")])
def test_a_certificate_of_the_pages_needs_its_key_and_the_other_way_round(given: str, lacking: str) -> None:
    [(place, message)] = problems(f"[http]\n{given} = 'a.pem'\n")
    assert place == f"c.toml:1 http.{lacking}"
    assert f"needs {lacking}" in message
    assert problems("[http]\ncertificate = 'a.pem'\nkey = 'b.pem'\n") == []


CAMERAS = '[cameras.a]\nsource = "demo:"\n[cameras.b]\nsource = "demo:"\n'


def pushed(text: str, cameras: str = CAMERAS) -> list[tuple[str, str]]:
    return problems(f"[push]\n{text}\n{cameras}")


def test_two_cameras_cannot_be_pushed_to_one_place() -> None:
    [(place, message)] = pushed('url = "rtsp://media:8554/wall"')
    assert place == "c.toml:2 push.url"
    assert "a and b would be pushed to the same place; write {camera}" in message


def test_each_camera_has_a_place_of_its_own_by_its_name() -> None:
    assert pushed('url = "rtsp://media:8554/{camera}"') == []
    assert pushed('url = "https://media/{camera}/whip"\ntoken = "x"') == []


def test_a_camera_that_is_off_takes_no_place() -> None:
    off = CAMERAS.replace("[cameras.b]", "[cameras.b]\nenabled = false")
    assert pushed('url = "rtsp://media:8554/wall"', off) == []
    assert pushed('url = "rtsp://media:8554/wall"', CAMERAS + '[cameras.b.push]\nurl = ""\n') == []


def test_the_place_of_a_mistake_is_where_the_key_stands() -> None:
    [(place, _)] = pushed("", CAMERAS + '[cameras.b.push]\nurl = "rtsp://media/b"\ntoken = "x"\n')
    assert place == "c.toml:9 cameras.b.push.token"


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('url = "rtsp://media/{camera}"\ntoken = "x"', "token", "no token"),
        ('url = "rtsp://media/{camera}"\npassword = "x"', "password", "add username"),
        ('url = "rtsps://media/{camera}"\ntransport = "udp"', "transport", "not be encrypted"),
        ('url = "http://media/{camera}"\nusername = "x"', "username", "a token"),
        ('url = "https://media/{camera}"\nusername = ""\npassword = "x"', "password", "a token"),
    ],
)
def test_a_login_is_of_the_kind_that_the_server_knows(text: str, key: str, words: str) -> None:
    found = pushed(text)
    assert {place.split()[1] for place, _ in found} == {f"push.{key}"}
    assert words in found[0][1]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("media/{camera}", "expected"),
        ("srt://media/{camera}", "use one of rtsp:"),
        ("rtsp://cam:geheim@media/{camera}", "username, password and token"),
        ("rtsp://media/{name}", "is {camera}"),
        ("rtsp://media/{camera", "is {camera}"),
        ("rtsp://media:99999/x", "port of the push's URL"),
        ("rtsp:///x", "names no host"),
        ("http://media/a b", "space"),
    ],
)
def test_a_push_url_that_cannot_be_is_told_without_its_password(url: str, words: str) -> None:
    [(place, message)] = pushed(f'url = "{url}"')
    assert place == "c.toml:2 push.url"
    assert words in message
    assert "geheim" not in message
