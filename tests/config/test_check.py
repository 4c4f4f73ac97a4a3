from __future__ import annotations

import socket
from pathlib import Path

import pytest

from faceanond.config.check import findings, warnings
from faceanond.config.load import load
from faceanond.daemon.demo import demo_config
from faceanond.errors import Problem
from tests import certificates


def written(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text)
    return path


def found(folder: Path, text: str, *overrides: str) -> list[str]:
    path = written(folder, text)
    return _without_folder(findings(load(path, overrides), path, overrides), folder)


def warned(folder: Path, text: str, *overrides: str) -> list[str]:
    path = written(folder, text)
    return _without_folder(warnings(load(path, overrides), path, overrides), folder)


CAMERA = "\n[cameras.any]\nsource = 'demo:'\n"


def _without_folder(problems: list[Problem], folder: Path) -> list[str]:
    return [str(problem).replace(f"{folder}/", "") for problem in problems]


def test_a_file_that_does_not_exist_is_found_at_its_line(tmp_path: Path) -> None:
    text = f"[cameras.a]\nsource = 'demo:'\n[cameras.b]\nsource = 'file:{tmp_path}/gone.mp4'"
    assert found(tmp_path, text) == ["c.toml:4: cameras.b.source: the file gone.mp4 does not exist"]


def test_files_and_devices_that_are_something_else_are_found(tmp_path: Path) -> None:
    text = f"[cameras]\na.source = 'file:{tmp_path}'\nb.source = 'v4l2:{tmp_path}/c.toml'\nc.source = 'v4l2:/dev/none9'"
    assert [line.split(": ", 2)[2] for line in found(tmp_path, text)] == [
        f"{tmp_path} is a directory; expected a video file",
        "c.toml is not a device",
        "the device /dev/none9 does not exist",
    ]


def test_what_exists_is_not_found_and_disabled_cameras_are_left_out(tmp_path: Path) -> None:
    text = f"[cameras]\na.source = 'file:{tmp_path}/c.toml'\nb.source = 'v4l2:/dev/null'\n"
    assert found(tmp_path, text + "c = {source = 'file:gone', enabled = false}") == []


@pytest.mark.parametrize("name", ["x" * 5000, "a/\\u0000b"])
def test_a_path_that_no_file_can_have_is_found(name: str, tmp_path: Path) -> None:
    [line] = found(tmp_path, f'cameras.a.source = "file:{name}"')
    assert "cannot be used" in line or "does not exist" in line


def test_a_fleet_without_cameras_runs_and_is_warned_of(tmp_path: Path) -> None:
    assert found(tmp_path, "") == []
    assert "there are no cameras" in warned(tmp_path, "")[0]
    assert warned(tmp_path, "\n[cameras.a]\nsource = 0\nenabled = false") == [
        "c.toml:2: cameras: every camera is disabled"
    ]


def test_an_override_is_the_place_of_what_it_brought(tmp_path: Path) -> None:
    assert found(tmp_path, "[cameras.a]\nsource = 'demo:'", "cameras.a.source=file:gone") == [
        "--set cameras.a.source=...: cameras.a.source: the file gone does not exist"
    ]


def test_the_defaults_carry_no_risk(tmp_path: Path) -> None:
    assert warned(tmp_path, "[cameras.a]\nsource = 'demo:'") == []


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:80", "[::]:80", ":80", "10.0.0.1:80", "cam.example:80", "0:80", "[::ffff:10.0.0.1]:80"]
)
def test_a_listener_that_others_can_reach_is_a_risk(listen: str, tmp_path: Path) -> None:
    [line] = warned(tmp_path, f"[http]\nlisten = '{listen}'{CAMERA}")
    assert line.startswith("c.toml:2: http.listen: there is no password")
    [line] = warned(tmp_path, f"[rtsp]\nlisten = '{listen}'{CAMERA}")
    assert line.startswith("c.toml:2: rtsp.listen: there is no password")
    assert warned(tmp_path, f"[rtsp]\nlisten = '{listen}'\nenabled = false{CAMERA}") == []


VIEWERS = '[viewers.guard]\npassword = "password-1"'


def test_a_listener_that_others_can_reach_is_no_risk_when_it_asks_who_comes(tmp_path: Path) -> None:
    assert warned(tmp_path, f"[rtsp]\nlisten = ':554'\n{VIEWERS}{CAMERA}") == []


def test_passwords_that_travel_as_they_are_are_a_risk(tmp_path: Path) -> None:
    [line] = warned(tmp_path, f"[http]\nlisten = ':80'\n{VIEWERS}{CAMERA}")
    assert line.startswith("c.toml:2: http.listen: passwords and tokens travel as they are")
    assert warned(tmp_path, f"[http]\nlisten = '127.0.0.1:80'\n{VIEWERS}{CAMERA}") == []
    certificates.make(tmp_path)
    secured = f"[http]\nlisten = ':443'\ncertificate = '{tmp_path}/server.pem'\nkey = '{tmp_path}/server.key'"
    assert warned(tmp_path, f"{secured}\n{VIEWERS}{CAMERA}") == []
    assert found(tmp_path, f"{secured}\n{VIEWERS}{CAMERA}") == []


def test_a_page_whose_certificate_clients_would_refuse_is_found(tmp_path: Path) -> None:
    text = f"[http]\ncertificate = '{tmp_path}/server.pem'\nkey = '{tmp_path}/server.key'{CAMERA}"
    assert found(tmp_path, text) == ["c.toml:2: http.certificate: the certificate server.pem does not exist"]
    certificates.make(tmp_path, days=3)
    assert found(tmp_path, text) == []
    [line] = warned(tmp_path, text)
    assert line.startswith("c.toml:2: http.certificate: the certificate")


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:80", "[::1]:80", "localhost:80", "127.9.9.9:80", "127.1:80", "localhost.:80"]
)
def test_a_listener_on_this_machine_alone_is_none(listen: str, tmp_path: Path) -> None:
    assert warned(tmp_path, f"[http]\nlisten = '{listen}'{CAMERA}") == []


def test_a_user_name_alone_and_an_unchecked_certificate_are_risks(tmp_path: Path) -> None:
    text = "[cameras.a]\nsource = 'rtsps://x/'\nusername = 'u'\ntls_verify = false"
    assert [line.split(": ", 2)[1] for line in warned(tmp_path, text)] == ["cameras.a.username", "cameras.a.tls_verify"]


def test_recordings_without_an_age_limit_are_a_risk(tmp_path: Path) -> None:
    [line] = warned(tmp_path, f"[record]\nenabled = true\nkeep = '0s'{CAMERA}")
    assert line.endswith("3: record.keep: recordings have no age limit; they are kept until their space is needed")
    assert warned(tmp_path, f"[record]\nkeep = '0s'{CAMERA}") == []


def test_a_push_that_can_be_overheard_is_a_risk_told_once_for_the_fleet(tmp_path: Path) -> None:
    text = """
        [push]
        url = "http://media/{camera}"
        token = "x-y-z"
        [cameras.a]
        source = "demo:"
        [cameras.b]
        source = "demo:"
        [cameras.c]
        source = "demo:"
        [cameras.c.push]
        url = "rtsps://media/c"
        username = "u"
        token = ""
        tls_verify = false
    """
    assert [line.split(": ", 2)[1] for line in warned(tmp_path, text)] == [
        "push.url",
        "cameras.c.push.username",
        "cameras.c.push.tls_verify",
    ]


def test_a_risk_that_cameras_inherit_is_told_once_where_the_value_was_written(tmp_path: Path) -> None:
    cameras = "".join(f"[cameras.c{number}]\nsource = 'demo:'\nrecord.enabled = true\n" for number in range(3))
    text = f"\n[record]\nkeep = '0s'\n{cameras}"
    [line] = warned(tmp_path, text)
    assert line.startswith("c.toml:3: record.keep: recordings have no age limit")
    [line] = warned(tmp_path, cameras, "record.keep=0s")
    assert line.startswith("--set record.keep=0s: record.keep: recordings have no age limit")
    [line] = warned(tmp_path, cameras + "record.keep = '0s'")
    assert line.startswith("c.toml:10: cameras.c2.record.keep: ")
    [line] = warned(tmp_path, cameras, "cameras.c0.record={enabled=true, keep='0s'}")
    assert line.startswith("--set cameras.c0.record=...: cameras.c0.record.keep: ")


def test_a_push_that_cameras_change_in_part_is_told_where_the_risk_was_written(tmp_path: Path) -> None:
    common = "[push]\nurl = 'rtsp://media/{camera}'\nusername = 'u'\npassword = 'x-y-z'\nallow_basic = true\n"
    own = "".join(f"[cameras.c{number}]\nsource = 'demo:'\npush.username = 'u{number}'\n" for number in range(3))
    [line] = warned(tmp_path, common + own)
    assert line.startswith("c.toml:5: push.allow_basic: ")
    [_, line] = warned(tmp_path, common + own.replace("username = 'u2'", "password = ''"))
    assert line.startswith("c.toml:14: cameras.c2.push.password: a user name without a password")


def test_a_push_within_this_machine_can_be_overheard_by_nobody(tmp_path: Path) -> None:
    names = ("localhost", "localhost.", socket.gethostname(), "127.1", "0.0.0.0", "[::ffff:127.0.0.1]")
    for host in ("127.0.0.1:8889", "[::1]:8889", *(f"{name}:8889" for name in names)):
        assert warned(tmp_path, f"[push]\nurl = 'http://{host}/{{camera}}/whip'\ntoken = 'x-y-z'{CAMERA}") == []
        basic = "username = 'u'\npassword = 'x-y-z'\nallow_basic = true"
        assert warned(tmp_path, f"[push]\nurl = 'rtsp://{host}/{{camera}}'\n{basic}{CAMERA}") == []


def test_a_push_that_may_send_its_password_readable_is_a_risk(tmp_path: Path) -> None:
    text = f"[push]\nurl = 'RTSP://media/{{camera}}'\nusername = 'u'\npassword = 'x-y-z'\nallow_basic = true{CAMERA}"
    [line] = warned(tmp_path, text)
    assert line.startswith("c.toml:5: push.allow_basic: anyone in between can read the password when")
    assert warned(tmp_path, text.replace("RTSP:", "rtsps:")) == []
    assert warned(tmp_path, text.replace("true", "false")) == []


@pytest.mark.parametrize(
    ("push", "said"),
    [
        ("url = 'rtsps://media/{camera}'\nusername = 'u'\npassword = 'x-y-z'", " can be it and ask for the login"),
        ("url = 'https://media/{camera}'\ntoken = 'x-y-z'", " can be it and ask for the login"),
        ("url = 'https://media/{camera}'", " can be it"),
    ],
)
def test_a_push_to_whoever_poses_as_its_server_is_a_risk_for_the_login_too(
    tmp_path: Path, push: str, said: str
) -> None:
    [line] = warned(tmp_path, f"[push]\n{push}\ntls_verify = false{CAMERA}")
    assert line.split(": ", 2)[1] == "push.tls_verify"
    assert line.endswith(said)


def test_the_shipped_files_carry_no_risk_but_what_they_say_themselves() -> None:
    root = Path(__file__).resolve().parents[2]

    def keys(name: str) -> list[str]:
        path = root / name
        return [f"{problem.key}: {problem.message.partition(';')[0]}" for problem in warnings(load(path), path)]

    assert keys("config.toml") == ["cameras: there are no cameras"]
    # A container has to listen on every interface of its own; who reaches those, compose.yaml decides.
    what = "there is no password: whoever reaches 0.0.0.0"
    assert keys("deploy/config.toml") == [
        f"http.listen: {what}:8080 sees the pages, the streams and the metrics",
        f"rtsp.listen: {what}:8554 sees the streams",
    ]


def test_the_demo_carries_no_risk() -> None:
    assert warnings(demo_config(4, 8080), Path("demo")) == []


def test_a_file_that_has_gone_since_is_still_named(tmp_path: Path) -> None:
    path = written(tmp_path, "\n[cameras.a]\nsource = 'file:gone'")
    config = load(path)
    path.unlink()
    assert findings(config, path) == [Problem(f"{path}:1", "cameras.a.source", "the file gone does not exist")]


def test_interfaces_that_this_machine_lacks_are_warned_of(tmp_path: Path) -> None:
    [line] = warned(tmp_path, "[webrtc]\ninterfaces = ['l?', 'none*']" + CAMERA)
    assert line.startswith('c.toml:2: webrtc.interfaces: no interface of this machine is named "none*"; it has lo')


def test_ice_servers_that_are_not_used_are_warned_of(tmp_path: Path) -> None:
    login = "username = 'u', credential = 'secret'"
    urls = "['stuns:a', 'stun:b', 'stun:c', 'turns:d?transport=udp', 'turn:e', 'turns:f']"
    lines = warned(tmp_path, f"[webrtc]\nice_servers = [{{urls = {urls}, {login}}}]" + CAMERA)
    assert [line.split(": ")[2].split(" ")[0] for line in lines] == [
        "stun:c",
        "stuns:a",
        "turns:d?transport=udp",
        "turns:f",
    ]
    assert all(line.startswith("c.toml:2: webrtc.ice_servers: ") for line in lines)
    assert warned(tmp_path, f"[webrtc]\nice_servers = [{{urls = ['stun:b', 'turns:e'], {login}}}]" + CAMERA) == []


def secure(folder: Path, key: str = "server.key", listen: str = "127.0.0.1:8322") -> str:
    return f"[rtsp]\ntls_listen = '{listen}'\ncertificate = '{folder}/server.pem'\nkey = '{folder}/{key}'{CAMERA}"


def test_a_good_certificate_is_neither_found_nor_warned_of(tmp_path: Path) -> None:
    certificates.make(tmp_path)
    assert found(tmp_path, secure(tmp_path)) == []
    assert warned(tmp_path, secure(tmp_path)) == []


def test_a_certificate_that_clients_would_refuse_is_found(tmp_path: Path) -> None:
    assert found(tmp_path, secure(tmp_path)) == [
        "c.toml:3: rtsp.certificate: the certificate server.pem does not exist"
    ]
    certificates.make(tmp_path, "other")
    certificates.make(tmp_path, days=0.01)
    assert (
        "c.toml:4: rtsp.key: the private key other.key does not belong to"
        in found(tmp_path, secure(tmp_path, "other.key"))[0]
    )
    [line] = found(tmp_path, secure(tmp_path))
    assert line.startswith("c.toml:3: rtsp.certificate: the certificate server.pem is expired on ")
    assert warned(tmp_path, secure(tmp_path)) == []


def test_a_certificate_near_its_end_is_warned_of(tmp_path: Path) -> None:
    certificates.make(tmp_path, days=5)
    assert found(tmp_path, secure(tmp_path)) == []
    [line] = warned(tmp_path, secure(tmp_path))
    assert line.startswith("c.toml:3: rtsp.certificate: the certificate server.pem expires on ")


def test_a_secure_listener_without_viewers_is_a_risk_all_the_same(tmp_path: Path) -> None:
    certificates.make(tmp_path)
    [line] = warned(tmp_path, secure(tmp_path, listen=":8322"))
    assert line.startswith("c.toml:2: rtsp.tls_listen: there is no password")


FIVE = "".join(f"[cameras.yard-{number}]\nsource = 'demo:'\n" for number in range(5))


def shared(folder: Path, keys: str, text: str = FIVE) -> list[str]:
    return warned(folder, f"[viewers.guard]\n{keys}\npassword = 'secret-1'\n{text}")


def test_a_viewer_that_cannot_play_all_its_cameras_at_once_is_told_with_the_numbers(tmp_path: Path) -> None:
    assert shared(tmp_path, "max_streams = 4") == [
        "c.toml:2: viewers.guard.max_streams: the wall shows 5 cameras to this viewer and can play 4 at a time, so "
        "that the others stay dark; give at least 5, or fewer cameras"
    ]
    assert shared(tmp_path, "max_streams = 5") == []
    assert shared(tmp_path, "") == []


def test_cameras_that_are_off_or_not_the_viewers_take_none_of_its_streams(tmp_path: Path) -> None:
    assert shared(tmp_path, "max_streams = 4", FIVE + "enabled = false") == []
    assert shared(tmp_path, "max_streams = 2\ncameras = ['yard-0', '*-3']") == []
    [line] = shared(tmp_path, "max_streams = 1\ncameras = ['yard-0', '*-3', '*0']")
    assert "shows 2 cameras to this viewer and can play 1" in line


def test_a_viewer_without_a_password_has_no_wall(tmp_path: Path) -> None:
    assert warned(tmp_path, f"[viewers.nvr]\ntoken = '0123456789abcdef'\nmax_streams = 1\n{FIVE}") == []


def test_a_share_beyond_all_places_limits_nothing(tmp_path: Path) -> None:
    assert shared(tmp_path, "max_streams = 300") == []
    [line] = shared(tmp_path, "max_streams = 301")
    assert line.startswith("c.toml:2: viewers.guard.max_streams: it limits nothing: all listeners together have 300")
    [line] = shared(tmp_path, "max_streams = 300", f"[rtsp]\nenabled = false\n{FIVE}")
    assert "together have 200 places" in line
