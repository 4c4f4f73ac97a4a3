from __future__ import annotations

import pytest

from faceanond.config.detectors import DETECTORS, detector_names, model_hashes, model_paths, told_of
from faceanond.config.load import parse
from faceanond.config.model import Detector
from faceanond.errors import ConfigError
from tests.config.test_config_toml import TEXT

HASH = "0123456789abcdef" * 4


def read(lines: str, *overrides: str) -> Detector:
    return parse(f"[detector]\n{lines}", "c.toml", overrides, environ={}).detector


def problems(lines: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(lines)
    return [str(problem) for problem in caught.value.problems]


def test_one_detector_or_a_list_of_them_is_taken() -> None:
    assert read("name = 'yunet'").name == ("yunet",)
    assert read("name = ['mtcnn', 'yunet']").name == ("mtcnn", "yunet")
    assert read("", "detector.name=centerface").name == ("centerface",)
    assert read("", 'detector.name=["mtcnn", "centerface"]').name == ("mtcnn", "centerface")
    assert Detector().name == ("mtcnn",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("'yolo'", 'unknown detector "yolo"; expected one of "mtcnn", "yunet", "centerface", or a list of them'),
        ("['mtcnn', 'yolo']", 'unknown detector "yolo"; expected one of "mtcnn", "yunet", "centerface", or a list of '
                              "them"),
        ("['yunet', 'yunet']", 'the detector "yunet" is named twice; name each of them once'),
        ("[]", 'an empty list would find no faces; expected one of "mtcnn", "yunet", "centerface", or a list of them'),
        ("3", 'expected one of "mtcnn", "yunet", "centerface", or a list of them, got a whole number'),
        ("[1]", 'expected one of "mtcnn", "yunet", "centerface", or a list of them, got a list'),
        ("''", 'unknown detector ""; expected one of "mtcnn", "yunet", "centerface", or a list of them'),
    ],
)  # fmt: skip
def test_what_is_no_detector_is_refused_with_what_was_expected(value: str, message: str) -> None:
    assert problems(f"name = {value}") == [f"c.toml:2: detector.name: {message}"]


def test_a_path_belongs_to_the_only_detector_that_reads_a_file() -> None:
    detector = read("name = ['mtcnn', 'yunet']\nmodel = '/srv/y.onnx'")
    assert told_of(detector.model, "yunet") == "/srv/y.onnx"


def test_a_table_names_a_file_for_each_detector() -> None:
    detector = read("name = ['yunet', 'centerface']\nmodel = { yunet = 'y.onnx' }\nmodel_sha256.yunet = '" + HASH + "'")
    assert [told_of(detector.model, name) for name in ("yunet", "centerface")] == ["y.onnx", ""]
    assert told_of(detector.model_sha256, "yunet") == HASH
    assert told_of(read("", "detector.model.yunet=/y.onnx").model, "yunet") == "/y.onnx"


def test_a_table_may_name_files_of_detectors_that_are_not_used_now() -> None:
    assert read("name = 'mtcnn'\nmodel = { yunet = 'y.onnx' }").name == ("mtcnn",)


@pytest.mark.parametrize("key", ["model", "model_sha256"])
def test_a_lone_value_that_could_belong_to_several_detectors_or_to_none_is_a_mistake(key: str) -> None:
    assert problems(f"name = ['yunet', 'centerface']\n{key} = '{HASH}'") == [
        f"c.toml:3: detector.{key}: yunet and centerface read a file each; "
        f'write {key} = {{ yunet = "...", centerface = "..." }}'
    ]
    assert problems(f"{key} = '{HASH}'") == [
        f"c.toml:2: detector.{key}: no detector in name reads a model file; "
        f'add "yunet" or "centerface" to name, or remove {key}'
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("model = 5", "expected the path of an ONNX file, or a table of paths: "
                      '{ yunet = "...", centerface = "..." }, got a whole number'),
        ("model = { yunet = 5 }", "expected the path of an ONNX file, or a table of paths: "
                                  '{ yunet = "...", centerface = "..." }, got a table'),
        ("model = { yunte = 'x' }", 'unknown detector "yunte"; expected the path of an ONNX file, or a table of paths: '
                                    '{ yunet = "...", centerface = "..." }'),
        ("model = { mtcnn = 'x' }", "mtcnn reads no model file; expected the path of an ONNX file, or a table of "
                                    'paths: { yunet = "...", centerface = "..." }'),
        ("model_sha256 = 'abc'", "expected 64 hexadecimal digits, as sha256sum prints them, or a table of such: "
                                 '{ yunet = "...", centerface = "..." }'),
    ],
)  # fmt: skip
def test_what_tells_nothing_of_a_model_file_is_refused(lines: str, message: str) -> None:
    [problem] = problems("name = 'yunet'\n" + lines)
    assert problem == f"c.toml:3: detector.{lines.split(' ', maxsplit=1)[0]}: {message}"


def test_a_hash_may_be_written_in_capitals() -> None:
    assert model_hashes(HASH.upper()) == HASH
    assert model_hashes({"yunet": HASH.upper()}) == {"yunet": HASH}


def test_what_was_parsed_is_parsed_to_the_same() -> None:
    for names in (("mtcnn",), DETECTORS):
        assert detector_names(names) == names
    for value in ("", "x", {"yunet": "x"}):
        assert model_paths(model_paths(value)) == value


def test_a_path_may_come_from_elsewhere() -> None:
    config = parse("[detector]\nname = 'yunet'\nmodel = '${env:Y}'", "c.toml", environ={"Y": "/srv/y.onnx"})
    assert config.detector.model == "/srv/y.onnx"


def test_every_detector_is_named_in_the_shipped_file() -> None:
    for name in DETECTORS:
        assert f'"{name}"' in TEXT
