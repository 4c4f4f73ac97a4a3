from __future__ import annotations

import pytest
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from faceanond.config.model import (
    PROCESS_KEYS,
    Anonymise,
    Camera,
    Config,
    DetectOptions,
    Detector,
    Encode,
    Http,
    IceServer,
    Log,
    Probe,
    Rtsp,
    WebRtc,
)
from faceanond.config.record import DISK_KEYS
from faceanond.config.types import FROM_FILE

TABLES = [Detector, Anonymise, Encode, Probe, Http, Rtsp, WebRtc, Log]


@pytest.mark.parametrize("table", TABLES)
def test_every_default_is_a_value_that_would_be_taken(table: type[BaseModel]) -> None:
    defaults = table()
    assert table(**{name: getattr(defaults, name) for name in table.model_fields}) == defaults


def test_a_cameras_defaults_are_values_that_would_be_taken() -> None:
    camera = Camera.model_validate({"source": "demo:"})
    assert Camera(**{name: getattr(camera, name) for name in Camera.model_fields}) == camera


@pytest.mark.parametrize("table", [*TABLES, Config, IceServer, Camera])
def test_every_table_refuses_unknown_keys_and_does_not_change(table: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        table.model_validate({"nobody-knows": 1})
    assert table.model_config["frozen"]


@pytest.mark.parametrize("table", [*TABLES, IceServer, Camera])
def test_every_key_is_described(table: type[BaseModel]) -> None:
    for name, info in table.model_fields.items():
        is_table = isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
        assert info.description or is_table, name


@pytest.mark.parametrize(
    "raw", [{"min_size": "40"}, {"min_size": 40.0}, {"min_size": True}, {"score_threshold": "0.5"}, {"timeout": 1}]
)
def test_nothing_is_converted_silently(raw: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Detector.model_validate(raw)


def test_a_file_writes_durations_with_a_unit_and_python_gives_seconds() -> None:
    assert Detector(timeout=0.5).timeout == 0.5
    with pytest.raises(ValidationError):
        Detector.model_validate({"timeout": 0.5}, context=FROM_FILE)


def test_there_is_no_method_that_hides_nothing() -> None:
    for method in ("none", "off", "raw", ""):
        with pytest.raises(ValidationError):
            Anonymise.model_validate({"method": method})


def test_the_older_names_of_detector_keys_are_taken() -> None:
    raw = {"mtcnn_min_size": 20, "mtcnn_factor": 0.8, "mtcnn_thresholds": [0.5, 0.6, 0.7], "mtcnn_score": 0.9}
    assert DetectOptions.model_validate(raw) == DetectOptions(
        min_size=20, scale_factor=0.8, network_thresholds=(0.5, 0.6, 0.7), score_threshold=0.9
    )


def test_the_detectors_own_keys_are_those_that_no_camera_has() -> None:
    assert PROCESS_KEYS == ("name", "model", "model_sha256", "device", "max_batch", "threads", "quantised", "timeout")


def test_a_cameras_recording_has_no_disk_of_its_own() -> None:
    assert DISK_KEYS == ("directory", "max_size", "min_free")


def test_passwords_do_not_show() -> None:
    camera = Camera.model_validate({"source": "demo:", "password": "hunter2"})
    server = IceServer.model_validate({"urls": ["stun:x"], "credential": "hunter2"})
    assert "hunter2" not in repr(camera) + str(camera) + repr(server)
    assert TypeAdapter(SecretStr).dump_json(SecretStr("hunter2")) != b'"hunter2"'
    assert "hunter2" not in camera.model_dump_json(include={"password"})


def test_a_zone_takes_whole_and_broken_numbers_but_no_text() -> None:
    zones = [[[0, 0], [10.5, 0], [0, 10]]]
    assert Camera.model_validate({"source": "demo:", "zones": zones}).zones == (((0, 0), (10.5, 0), (0, 10)),)
    for bad in (
        [[0, 0], [1, 1]],
        [[0, 0], [1, 1], [2]],
        [[0, 0], [1, 1], ["2", 2]],
        [[0, 0], [1, 1], [float("nan"), 2]],
    ):
        with pytest.raises(ValidationError):
            Camera.model_validate({"source": "demo:", "zones": [bad]})
