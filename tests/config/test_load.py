from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from faceanond.config import load as loading
from faceanond.config.load import load, parse
from faceanond.config.model import Config
from faceanond.errors import ConfigError, ExitCode
from tests.config.toml_writer import RANDOM

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = (ROOT / "config.toml").read_text(encoding="utf-8")


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.toml", overrides, environ={})
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_file_is_the_defaults() -> None:
    assert parse("", "c.toml") == Config()


def test_every_mistake_is_told_at_once_sorted_by_line() -> None:
    text = """\
[anonymise]
method = "none"

[cameras.yard]
source = "demo:"
timeout = 5
[cameras.yard.anonymise]
blurr = 3

[log]
level = loud
[cameras.yard]
source = "demo:"
[http]
listen = "8080"
"""
    assert problems(text, "encode.max_fps=fast") == [
        'c.toml:2: anonymise.method: "none" is not an option: no picture leaves without its faces hidden; '
        'expected one of "mosaic", "blur", "solid"',
        'c.toml:6: cameras.yard.timeout: expected a duration with its unit, such as "200ms", "10s" or "5m", '
        "got a whole number",
        'c.toml:8: cameras.yard.anonymise.blurr: unknown key; did you mean "blur_level"?',
        'c.toml:11: log.level: expected a value; text needs quotes, as in key = "text"',
        'c.toml:12: cameras.yard: camera "yard" defined twice: first on line 4, again on line 12',
        'c.toml:15: http.listen: expected "HOST:PORT", such as "127.0.0.1:8080", "[::1]:8080" or "0.0.0.0:8080"',
        "--set encode.max_fps=fast: encode.max_fps: expected a number from 0 to 240, got text",
    ]


def test_lines_sort_as_numbers() -> None:
    text = "\n" * 8 + "a = 1\nb = 2\nc = 3\n"
    assert [problem.split(":")[1] for problem in problems(text)] == ["9", "10", "11"]


def test_fleet_defaults_fill_what_a_camera_leaves_out_key_by_key() -> None:
    config = parse(
        """
        [detector]
        mtcnn_min_size = 60
        score_threshold = 0.8
        device = "cpu"
        [anonymise]
        method = "blur"
        margin = 0.5
        [encode]
        bitrate = "1M"
        [cameras.plain]
        source = "demo:"
        [cameras.special]
        source = "demo:"
        detector = {min_size = 20, mtcnn_factor = 0.8}
        anonymise.margin = 0.1
        """,
        "c.toml",
    )
    plain, special = config.cameras["plain"], config.cameras["special"]
    assert (plain.detector.min_size, plain.detector.score_threshold) == (60, 0.8)
    assert (plain.anonymise.method, plain.anonymise.margin, plain.encode.bitrate) == ("blur", 0.5, 1_000_000)
    assert (special.detector.min_size, special.detector.scale_factor, special.detector.score_threshold) == (
        20,
        0.8,
        0.8,
    )
    assert (special.anonymise.method, special.anonymise.margin) == ("blur", 0.1)
    assert (config.detector.min_size, config.detector.device) == (60, "cpu")


def test_a_mistake_in_the_fleets_defaults_is_told_once_however_many_cameras_there_are() -> None:
    cameras = "".join(f'[cameras.c{index}]\nsource = "demo:"\n' for index in range(5))
    assert len(problems("[anonymise]\nmargin = 9\nmethodd = 1\n" + cameras)) == 2


def test_a_camera_whose_own_value_replaces_a_wrong_default_adds_no_problem() -> None:
    text = '[anonymise]\nmargin = 9\n[cameras.a]\nsource = "demo:"\nanonymise.margin = 0.1'
    assert [problem.split(": ")[0] for problem in problems(text)] == ["c.toml:2"]


@pytest.mark.parametrize("key", ["device = 'cpu'", "name = 'mtcnn'", "max_batch = 2", "threads = 1", "timeout = '1s'"])
def test_what_belongs_to_the_whole_process_is_refused_in_a_camera(key: str) -> None:
    name = key.split(maxsplit=1)[0]
    assert problems(f"[cameras.a]\nsource = 'demo:'\n[cameras.a.detector]\n{key}") == [
        f'c.toml:4: cameras.a.detector.{name}: "{name}" belongs to the whole process; set it in [detector]'
    ]


def test_a_name_and_its_older_name_together_are_a_mistake() -> None:
    assert problems("[detector]\nmin_size = 20\nmtcnn_min_size = 30") == [
        'c.toml:3: detector.mtcnn_min_size: another name of "min_size", which is given as well; remove one of them'
    ]
    assert len(problems("cameras.a = {source = 0, detector = {score_threshold = 0.5, mtcnn_score = 0.5}}")) == 1


def test_a_mistake_under_an_older_name_stands_at_its_line() -> None:
    assert problems("[detector]\n\nmtcnn_factor = 2")[0].startswith(
        "c.toml:3: detector.scale_factor: expected a number"
    )


def test_an_override_wins_over_the_file_also_under_the_other_name() -> None:
    config = parse("[detector]\nmtcnn_min_size = 60", "c.toml", ["detector.min_size=30"])
    assert config.detector.min_size == 30
    config = parse("[detector]\nmin_size = 60", "c.toml", ["detector.mtcnn_min_size=30"])
    assert config.detector.min_size == 30


def test_an_override_of_one_camera_leaves_the_others() -> None:
    text = "[cameras.a]\nsource = 0\n[cameras.b]\nsource = 1"
    config = parse(text, "c.toml", ["cameras.a.anonymise.method=solid"])
    assert [camera.anonymise.method for camera in config.cameras.values()] == ["solid", "mosaic"]


def test_an_override_of_a_default_leaves_a_cameras_own_value() -> None:
    text = "[cameras.a]\nsource = 0\n[cameras.a.anonymise]\nmethod = 'blur'"
    config = parse(text, "c.toml", ["anonymise.method=solid"])
    assert (config.anonymise.method, config.cameras["a"].anonymise.method) == ("solid", "blur")


def test_a_camera_may_come_from_overrides_alone() -> None:
    config = parse("", "c.toml", ["cameras.a.source=rtsp://x/", "cameras.a.password=12", "cameras.a.username=x"])
    password = config.cameras["a"].password
    assert password is not None
    assert password.get_secret_value() == "12"
    (found,) = problems("", "cameras.a.enabled=true")
    assert found.startswith("--set cameras.a.enabled=true: cameras.a.source: missing; expected a URL")


def test_an_override_that_is_none_is_a_mistake_of_its_own() -> None:
    assert problems("a = 1", "nonsense") == [
        "c.toml:1: a: unknown key; expected one of detector, track, anonymise, encode, probe, push, record, overload, "
        "http, rtsp, webrtc, log, viewers, cameras",
        "--set nonsense: expected KEY=VALUE, such as anonymise.method=solid",
    ]


def test_an_override_into_a_value_stands_at_its_own_place() -> None:
    [found] = problems("log = 5", "log.level=info")[-1:]
    assert found == '--set log.level=info: log.level: "log" is a value, not a table'


def test_a_rule_across_keys_is_told_beside_other_mistakes() -> None:
    found = problems("http.listen = ':80'\nrtsp.listen = ':80'\nlog.level = 'x'")
    assert [line.split(": ")[1] for line in found] == ["rtsp.listen", "log.level"]


def test_references_are_replaced_before_values_are_looked_at() -> None:
    text = 'encode.bitrate = "${env:RATE}"\n[cameras.a]\nsource = "rtsp://${env:HOST}/x"'
    config = parse(text, "c.toml", environ={"RATE": "3M", "HOST": "10.0.0.1"})
    assert config.encode.bitrate == 3_000_000
    assert config.cameras["a"].source.location == "rtsp://10.0.0.1/x"


def test_a_reference_that_leads_nowhere_is_the_only_problem_of_its_key() -> None:
    found = problems('encode.bitrate = "${env:RATE}"')
    assert found == [
        "c.toml:1: encode.bitrate: the environment variable RATE is not set; export RATE=... before the start"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[cameras.a]\nsource = 'rtsp://viewer:hunter2@10.0.0.1/x'",
        "[cameras.a]\nsource = 'rtsp://viewer:hunter2@[::bad/x'",
        "[cameras.a]\nsource = 'viewer:hunter2@10.0.0.1'",
        "[cameras.a]\nsource = 'demo:'\npassword = ['hunter2']",
        "[cameras.a]\nsource = 'demo:'\npasword = 'hunter2'",
        "[cameras.a]\nsource = 'demo:'\npassword = hunter2",
        "[cameras.a]\nsource = ['hunter2']",
        "cameras.a = 'hunter2'",
        "[cameras]\npassword = 'hunter2'",
        "[webrtc]\nice_servers = [{urls = ['turn:u:hunter2@x'], username = 'u', credential = 'hunter2'}]",
        "[webrtc]\nice_servers = ['hunter2']",
        "[webrtc]\nexternal_addresses = ['u:hunter2@x']",
        "[http]\nallowed_origins = ['http://u:hunter2@x']\nlisten = 'u:hunter2@x:1'",
    ],
)
def test_no_message_repeats_what_may_be_a_secret(text: str) -> None:
    assert "hunter2" not in "\n".join(problems(text))


@pytest.mark.parametrize("name", ["Lobby", "a b", "", "-a", "é", "a" * 64, "a\n", "a.b", "../x"])
def test_a_bad_camera_name_is_refused(name: str) -> None:
    written = name.replace("\n", "\\n")
    assert "a camera's name is" in problems(f'[cameras."{written}"]\nsource = "demo:"')[0]


def test_a_camera_that_is_no_table_is_told_what_it_should_be() -> None:
    assert 'source = "..."' in problems("cameras.a = 'demo:'")[0]
    assert "below [cameras.NAME]" in problems("[cameras]\nsource = 'demo:'")[0]
    assert "[cameras.NAME]" in problems("cameras = []")[0]


def test_a_missing_file_is_a_configuration_error_that_exits_with_2(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "gone.toml")
    assert str(caught.value) == f"{tmp_path}/gone.toml: there is no such file"
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        load(tmp_path)


def test_a_file_that_is_not_utf8_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError, match=r"c\.toml:2: not UTF-8"):
        load(path)


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    path = tmp_path / "loop.toml"
    path.symlink_to(path)
    with pytest.raises(ConfigError, match="cannot be read: Too many levels of symbolic links"):
        load(path)


def test_a_name_that_no_file_can_have_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(Path("x" * 5000))


def test_a_file_beyond_reason_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "LARGEST", 10)
    path = tmp_path / "c.toml"
    path.write_text("# " + "x" * 20)
    with pytest.raises(ConfigError, match="is larger than"):
        load(path)


def test_relative_secret_files_start_at_the_configurations_folder(tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("hunter2\n")
    path = tmp_path / "c.toml"
    path.write_text('[cameras.a]\nsource = "rtsp://x/"\nusername = "u"\npassword = "${file:pass}"')
    password = load(path).cameras["a"].password
    assert password is not None
    assert password.get_secret_value() == "hunter2"


VALUES = st.one_of(
    st.sampled_from(
        ["true", "[]", "{}", "nan", "-inf", "1e400", "2020-01-01", '"${env:X}"', '"${"', '"${file:/dev/zero}"']
    ),
    st.integers().map(str),
    st.text(st.sampled_from("ab:/.@${}[]1-"), max_size=12).map(lambda text: f"'{text}'"),
    st.lists(st.sampled_from(["1", "'x'", "[1, 2]", "[[1, 2], [1]]", "{urls = ['stun:x']}"]), max_size=4).map(
        lambda parts: f"[{', '.join(parts)}]"
    ),
)
KEYS = sorted(
    {line.strip("#").split("=")[0].strip() for line in SHIPPED.splitlines() if "=" in line and line[:2] != "# "}
)
HEADERS = ["[detector]", "[anonymise]", "[encode]", "[http]", "[rtsp]", "[webrtc]", "[log]", "[cameras]", "[cameras.a]",
           "[cameras.a.detector]", "[[cameras.a.encode]]", "[cameras.A]", "[x]", "[[webrtc.ice_servers]]"]  # fmt: skip
LINES = st.one_of(
    st.sampled_from(HEADERS),
    st.tuples(st.sampled_from(KEYS), VALUES).map(" = ".join),
    st.sampled_from(SHIPPED.splitlines()),
)


def attempt(text: str, *overrides: str) -> None:
    """Parses; anything but a configuration or a complete ConfigError is a failure."""
    try:
        parse(text, "c.toml", overrides, environ={"X": "\udcff"})
    except ConfigError as error:
        found = error.problems
    else:
        return
    assert found
    for problem in found:
        assert problem.place.startswith(("c.toml:", "--set "))
        assert problem.message
        assert "pydantic" not in problem.message
        assert "Input should" not in problem.message
        assert "\n" not in str(problem)


@RANDOM
@given(st.lists(LINES, max_size=12).map("\n".join))
def test_random_keys_with_random_values_raise_nothing_but_configuration_errors(text: str) -> None:
    attempt(text)


@RANDOM
@given(st.text(max_size=80))
@example("\ud800")
@example("a = '\ud800'")
@example("cameras.'\ud800'.source = 1")
@example("a = " + "9" * 5000)
@example("a = " + "[" * 3000)
@example("a" + ".a" * 3000 + " = 1")
@example("[" + "a." * 3000 + "a]")
def test_random_text_raises_nothing_but_configuration_errors(text: str) -> None:
    attempt(text)


@RANDOM
@given(st.integers(0, len(SHIPPED)), st.integers(0, 40), st.text(st.sampled_from("[]{}='\"\n#.ax1"), max_size=6))
def test_a_damaged_file_raises_nothing_but_configuration_errors(start: int, length: int, inserted: str) -> None:
    attempt(SHIPPED[:start] + inserted + SHIPPED[start + length :])


@RANDOM
@given(
    st.sampled_from(["", "a", "detector", "cameras.a", "cameras", "webrtc.ice_servers"]), st.sampled_from(KEYS), VALUES
)
def test_random_overrides_raise_nothing_but_configuration_errors(table: str, key: str, value: str) -> None:
    attempt("cameras.a.source = 1", f"{table}.{key}={value}", f"{key}={value}", value, f"{table}={value}")


def test_a_camera_chooses_its_recording_and_not_the_disk() -> None:
    text = "[record]\nkeep = '24h'\nmax_size = '5G'\n[cameras.a]\nsource = 'demo:'\nrecord.enabled = true\n"
    config = parse(text, "c.toml")
    assert (config.cameras["a"].record.enabled, config.cameras["a"].record.keep) == (True, 86_400.0)
    assert (config.record.enabled, config.record.max_size) == (False, 5_000_000_000)
    [problem] = problems(text + "record.max_size = '1G'\n")
    assert problem == 'c.toml:7: cameras.a.record.max_size: "max_size" belongs to the whole process; set it in [record]'
