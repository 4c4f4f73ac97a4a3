from __future__ import annotations

import pytest

from faceanond.config.load import parse
from faceanond.errors import ConfigError


def problems(text: str, *overrides: str) -> list[tuple[str, str]]:
    try:
        parse(text, "c.toml", overrides, environ={})
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


def test_a_listener_that_takes_the_default_of_another_is_the_one_that_is_told() -> None:
    assert problems("\nhttp.listen = ':8554'") == [
        (
            "c.toml:2 http.listen",
            "port 8554 is taken by [rtsp] listen already; give [http] listen another one, such as 8080",
        )
    ]
    [(place, message)] = problems("", "rtsp.listen=:8080")
    assert place == "--set rtsp.listen=:8080 rtsp.listen"
    assert "taken by [http] listen already; give [rtsp] listen another one, such as 8554" in message


def test_listeners_of_a_server_that_is_off_are_in_nobodys_way() -> None:
    assert listening(":80", ":80", f"enabled = false\ntls_listen = ':80'\n{SECURE}") == []


def test_a_secure_listener_needs_a_certificate_and_its_key() -> None:
    for extra, places in (("", [5, 5]), ("certificate = 'a.pem'", [5]), ("key = 'a.pem'", [5])):
        found = listening(":80", ":81", f"tls_listen = ':82'\n{extra}")
        assert [place for place, _ in found] == [f"c.toml:{line} rtsp.tls_listen" for line in places]
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
    ("login", "key", "words"),
    [
        ("username = 'u'", "username", "credential is missing"),
        ("credential = 'c'", "credential", "username is missing"),
        ("", "urls", "needs username and credential"),
    ],
)
def test_a_turn_server_needs_a_whole_login(login: str, key: str, words: str) -> None:
    [(place, message)] = problems(f"[[webrtc.ice_servers]]\nurls = ['stun:y', 'turn:x']\n{login}")
    assert place == f"c.toml:{3 if login else 2} webrtc.ice_servers[0].{key}"
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
    assert place == "c.toml:2 overload.max_latency"
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
    assert place == "c.toml:2 track.look_ahead"
    assert problems(common + other) == []


def test_a_recording_must_be_kept_for_longer_than_a_file_is() -> None:
    [(place, message)] = problems("[record]\nsegment = '10m'\nkeep = '15m'\n")
    assert place == "c.toml:3 record.keep"
    assert message.startswith("keep = 15m is too short for files of 10m")
    assert "keep at least 20m" in message
    [(place, _)] = problems("[record]\nkeep = '15m'\n" + CAMERA + "record.segment = '10m'\n")
    assert place == "c.toml:5 cameras.a.record.segment"
    assert problems("[record]\nsegment = '10m'\nkeep = '0s'\n") == []
    assert problems("[record]\nkeep = '15m'\n" + CAMERA + "record.segment = '1m'\n") == []


def fleet(*tables: str) -> str:
    """A camera for each text, which stands in its table."""
    return "".join(f"[cameras.c{number}]\nsource = 'demo:'\n{table}\n" for number, table in enumerate(tables))


def test_a_recording_that_all_cameras_keep_too_short_is_told_once_where_that_was_written() -> None:
    text = "[record]\nenabled = true\nkeep = '15s'\n"
    own = ["", "record.enabled = false", "record.segment = '1m'", "", "record.segment = '20m'", "record.keep = '1h'"]
    [(place, message)] = problems(text + fleet(*own))
    assert place == "c.toml:3 record.keep"
    assert "keep at least 40m" in message
    for cameras in (fleet(*own), fleet(*["record.segment = '1m'"] * 5)):
        [(place, _)] = problems(cameras, "record.keep=15s")
        assert place == "--set record.keep=15s record.keep"


def test_a_recording_that_one_camera_keeps_too_short_is_told_for_that_camera() -> None:
    text = "[record]\nkeep = '15s'\n" + fleet("", "record.keep = '16s'")
    assert [place for place, _ in problems(text)] == ["c.toml:2 record.keep", "c.toml:8 cameras.c1.record.keep"]
    [(place, _)] = problems(fleet("", ""), "cameras.c1.record.keep=16s")
    assert place == "--set cameras.c1.record.keep=16s cameras.c1.record.keep"


def test_a_look_ahead_that_all_cameras_inherit_is_told_once_where_it_was_written() -> None:
    many = fleet("", "", "track.look_ahead = '3s'")
    found = problems("[track]\nlook_ahead = '2s'\n" + many)
    assert [place for place, _ in found] == ["c.toml:2 track.look_ahead", "c.toml:11 cameras.c2.track.look_ahead"]
    [(place, _)] = problems(fleet("", ""), "track.look_ahead=2s")
    assert place == "--set track.look_ahead=2s track.look_ahead"
    [(place, _)] = problems(fleet("", ""), "overload.max_latency=250ms")
    assert place == "--set overload.max_latency=250ms overload.max_latency"


@pytest.mark.parametrize(("given", "lacking"), [("certificate", "key"), ("key", "certificate")])
def test_a_certificate_of_the_pages_needs_its_key_and_the_other_way_round(given: str, lacking: str) -> None:
    [(place, message)] = problems(f"[http]\n{given} = 'a.pem'\n")
    assert place == f"c.toml:2 http.{given}"
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


def test_however_many_cameras_share_a_place_it_is_told_once() -> None:
    [(place, message)] = problems("[push]\nurl = 'rtsp://media/wall'\n" + fleet(*[""] * 40))
    assert place == "c.toml:2 push.url"
    assert message.startswith("c0, c1 and 38 more would be pushed to the same place")
    own = fleet(*["push.url = 'rtsp://media/wall'"] * 3)
    found = problems(own)
    assert [place for place, _ in found] == ["c.toml:6 cameras.c1.push.url", "c.toml:9 cameras.c2.push.url"]
    assert found[0][1].startswith("c0, c1 and c2 would be")
    mixed = "[push]\nurl = 'rtsp://media/wall'\n" + fleet("", "push.url = 'rtsp://media/wall'")
    assert [place for place, _ in problems(mixed)] == ["c.toml:8 cameras.c1.push.url"]
    assert [place for place, _ in problems(mixed + fleet("").replace("c0", "c2"))] == [
        "c.toml:2 push.url",
        "c.toml:8 cameras.c1.push.url",
    ]


def test_a_camera_that_is_off_takes_no_place() -> None:
    off = CAMERAS.replace("[cameras.b]", "[cameras.b]\nenabled = false")
    assert pushed('url = "rtsp://media:8554/wall"', off) == []
    assert pushed('url = "rtsp://media:8554/wall"', CAMERAS + '[cameras.b.push]\nurl = ""\n') == []


def test_the_place_of_a_mistake_is_where_the_key_stands() -> None:
    [(place, _)] = pushed("", CAMERAS + '[cameras.b.push]\nurl = "rtsp://media/b"\ntoken = "x"\n')
    assert place == "c.toml:9 cameras.b.push.token"


def test_a_login_that_does_not_suit_one_cameras_server_is_told_for_that_camera() -> None:
    common = "[push]\nurl = 'https://media/{camera}'\ntoken = 'x'\n"
    assert problems(common + fleet("", "", "push = {url = 'rtsp://nvr/a', token = ''}")) == []
    [(place, message)] = problems(common + fleet("", "", "push.url = 'rtsp://nvr/a'"))
    assert place == "c.toml:12 cameras.c2.push.url"
    assert message.endswith('token is inherited from [push], and token = "" in this table takes it away')


def test_a_login_that_suits_no_camera_is_told_once_where_it_was_written() -> None:
    own = [f"push.url = 'rtsp://nvr/{number}'" for number in range(3)]
    for text in ("[push]\nurl = 'rtsp://nvr/{camera}'\n" + fleet("", ""), fleet(*own)):
        assert [place for place, _ in problems(text, "push.token='x'")] == ["--set push.token=... push.token"]
        assert [place for place, _ in problems(text, "push.password='x'")] == ["--set push.password=... push.password"]


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
