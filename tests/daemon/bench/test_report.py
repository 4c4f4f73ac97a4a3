"""The result as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from faceanond.config.model import Config
from faceanond.daemon.bench.figures import BatchCost, Cost, Spread, Together, capacity
from faceanond.daemon.bench.machine import Machine
from faceanond.daemon.bench.plan import make_plan
from faceanond.daemon.bench.report import Result, as_json, as_text

STAGES = {
    name: Cost(100, Spread(cpu, cpu, 1.2 * cpu), Spread(cpu + 0.5, cpu + 0.5, 1234.5))
    for name, cpu in (("decode", 2.0), ("detect", 20.0), ("seal", 1.0), ("encode", 5.0))
}
BATCHES = [BatchCost(1, 20, 21), BatchCost(8, 19, 20)]
TOGETHER = Together(2, 25, 3.0, 150, 150, 0, 4.62, 1.4)


def result(*, cores: float = 2, others: float = 0.01, together: Together = TOGETHER, fps: float = 25) -> Result:
    config = Config()
    return Result(
        machine=Machine("AMD EPYC 9454 48-Core Processor with a name that is as long as marketing likes it", cores, 2),
        others=others,
        detector="mtcnn",
        provider="cpu",
        versions={"faceanond": "0.1.0", "python": "3.11.7", "ffmpeg": "8.1.2", "onnxruntime": "1.31.1", "av": "18"},
        plan=make_plan("1280x720", fps=fps, seconds=10),
        settings={name: getattr(config, name).model_dump(mode="json") for name in ("detector", "anonymise", "encode")},
        faces=2.0,
        found=1.9,
        stages=STAGES,
        inside={"pnet": 11.0, "rnet": 5.0, "onet": 4.0, "total": 20.5},
        batches=BATCHES,
        together=together,
        capacity=capacity(STAGES, BATCHES, together, cores=cores, fps=fps, others=others),
    )


def text(of: Result) -> str:
    return " ".join("\n".join(as_text(of)).split())


def test_no_line_is_wider_than_a_terminal() -> None:
    slow = Together(1, 25, 3.0, 75, 30, 45, 2.0, 1.0)
    lines = as_text(result()) + as_text(result(cores=0.25, others=0.5)) + as_text(result(together=slow, cores=64))
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)
    assert not any(line.startswith("%") or "\0" in line for line in lines)


def test_every_stage_has_its_row_and_the_shares_make_one_whole() -> None:
    rows = {line.split()[0]: line.split() for line in as_text(result()) if line.strip()}
    assert rows["decode"] == ["decode", "2.00", "2.00", "2.40", "2.50", "2.50", "1234.50", "7", "%"]
    assert rows["all"] == ["all", "28.00", "30.00", "100", "%"]
    assert sum(int(rows[name][-2]) for name in STAGES) == 100
    assert rows["rnet"] == ["rnet", "5.00"]
    assert "total" not in rows, "that is the row of the whole stage"


def test_the_settings_in_force_are_all_there_but_for_those_that_are_empty() -> None:
    found = text(result())
    config = Config()
    for table in (config.detector, config.anonymise, config.encode):
        for key, value in table.model_dump(mode="json").items():
            assert (f" {key}=" in found) == (value != "")
    assert "network_thresholds=[0.6,0.7,0.7]" in found
    with_files = {"detector": {"model": {"yunet": "/srv/a.onnx"}}, "anonymise": {"legend": []}}
    assert "[detector] model={yunet=/srv/a.onnx} [anonymise] legend=[]" in text(replace(result(), settings=with_files))


def test_the_answer_names_the_cameras_and_the_limit() -> None:
    found = text(result())
    assert "This machine carries 1 camera of 1280x720 at 25 fps, with 20 % in reserve (1.9 with none)." in found
    assert "47.6 the detector, one batch at a time for all cameras <- the limit" in found
    assert "64.9 the processor: 30.8 ms a frame on 2 cores" in found
    assert (
        "Checked with 2 cameras together that sent 50.0 frames a second for 3 s: 50.0 came out, in batches of 1.4, "
        "for 10 % more CPU than the stages alone take." in found
    )
    assert "Other programs" not in found


def test_a_machine_that_is_too_slow_is_told_what_it_can() -> None:
    found = text(result(cores=0.5))
    assert "carries 0 cameras of 1280x720 at 25 fps" in found
    assert "One such camera may send 13.0 fps at most." in found


def test_one_core_is_not_called_cores() -> None:
    assert "30.8 ms a frame on 1 core <- the limit" in text(result(cores=1))


def test_cheaper_together_than_alone_is_said_so() -> None:
    assert "for 7 % less CPU than the stages alone take." in text(result(together=replace(TOGETHER, cpu_seconds=3.9)))


def test_concealed_frames_are_told() -> None:
    slow = Together(1, 25, 3.0, 75, 10, 20, 2.0, 1.0)
    found = text(result(cores=1, together=slow))
    assert "20 frames concealed because the detector was late" in found
    assert "CPU than the stages alone" not in found, "nobody knows what was done for those"


def test_a_disturbed_measurement_says_so() -> None:
    assert "Other programs took 42 % of the cores meanwhile" in text(result(others=0.42))


def test_a_run_without_a_single_picture_still_has_a_report() -> None:
    nothing = Together(1, 25, 3.0, 0, 0, 0, 0.1, 0.0)
    assert "sent 0.0 frames a second for 3 s: 0.0 came out" in text(result(together=nothing))
    assert as_json(result(together=nothing))["together"]["cpu_ms"] is None  # type: ignore[index]


def test_the_json_has_the_documented_keys() -> None:
    found = json.loads(json.dumps(as_json(result()), allow_nan=False))
    assert {key: sorted(value) for key, value in found.items() if isinstance(value, dict)} == {
        "machine": ["cores", "cores_online", "cpu", "detector", "others_share", "provider", "versions"],
        "settings": ["anonymise", "detector", "encode", "fps", "seconds", "size"],
        "scene": ["faces", "faces_found"],
        "stages": ["decode", "detect", "encode", "seal"],
        "detector_stages": ["onet", "pnet", "rnet", "total"],
        "together": ["batch", "cameras", "concealed", "cpu_ms", "fps", "fps_sent", "kept_up", "overhead", "seconds"],
        "capacity": ["cameras", "cpu_ms", "frames_per_second", "limit", "limits", "planned_share"],
    }
    assert found["stages"]["decode"] == {
        "frames": 100,
        "cpu_ms": {"mean": 2.0, "median": 2.0, "p95": 2.4},
        "wall_ms": {"mean": 2.5, "median": 2.5, "p95": 1234.5},
        "share": 0.071,
    }
    assert found["batches"][1] == {"frames": 8, "cpu_ms": 19, "wall_ms": 20}
    assert found["settings"]["size"] == [1280, 720]
    assert found["settings"]["detector"]["min_size"] == 40
    assert found["capacity"]["limits"] == pytest.approx({"processor": 64.935, "detector": 47.619}, abs=0.001)


def test_text_and_json_name_the_same_answer() -> None:
    for cores in (0.5, 1, 2, 64):
        carried = as_json(result(cores=cores, fps=5))["capacity"]["cameras"]  # type: ignore[index]
        assert f"carries {carried} camera" in text(result(cores=cores, fps=5))
