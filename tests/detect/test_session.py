from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from structlog.testing import capture_logs

from faceanond.detect import session
from faceanond.detect.protocol import DeviceLostError
from faceanond.detect.session import BatchedNetwork, Device, Network, available_provider, choose_device
from faceanond.errors import DetectionError, ExitCode, UnavailableError

CPU = Device("cpu", 1)


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without NVIDIA's driver, whatever this one has."""

    def absent(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(session.ctypes, "CDLL", absent)
    monkeypatch.setattr(session.ort, "get_available_providers", lambda: list(session._PROVIDERS.values()))
    session._missing.cache_clear()
    yield
    session._missing.cache_clear()


def doubling(inputs: int = 1) -> bytes:
    """A network that answers with twice its input."""
    names = [f"x{number}" for number in range(inputs)]
    graph = helper.make_graph(
        [helper.make_node("Add", [names[0], names[-1]], ["y"])],
        "doubling",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in names],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_a_network_answers() -> None:
    result = Network("twice", doubling(), CPU).run(np.array([[1, 2]], np.float32))
    assert result.tolist() == [[2, 4]]


def test_the_probe_is_a_valid_network() -> None:
    session._open_probe("cpu")


def test_a_named_device_that_is_missing_ends_with_exit_code_3(no_driver: None) -> None:
    for name in ("cuda", "tensorrt"):
        with pytest.raises(UnavailableError, match=rf'device "{name}" is not available: the NVIDIA driver') as caught:
            choose_device(name)
        assert caught.value.exit_code == ExitCode.UNAVAILABLE


def test_a_runtime_without_the_provider_says_which_package_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    session._missing.cache_clear()
    with pytest.raises(UnavailableError, match="install onnxruntime-gpu"):
        choose_device("cuda")
    session._missing.cache_clear()


def test_auto_takes_the_cpu_where_no_gpu_is_and_says_why(no_driver: None) -> None:
    with capture_logs() as logs:
        device = choose_device("auto", 3)
    assert device == Device("cpu", 3)
    assert [line["event"] for line in logs] == ["no GPU found, detecting on the CPU"]
    assert available_provider() == "cpu"


def test_half_of_the_cores_that_the_process_may_use_detect(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (2, 1), (6, 3), (64, 4)):
        monkeypatch.setattr(session.os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        assert choose_device("cpu").threads == threads


def test_a_session_on_another_provider_than_asked_for_is_refused() -> None:
    # Without CUDA, ONNX Runtime itself would answer with a CPU session and a line on stderr.
    if available_provider() == "cuda":
        pytest.skip("this machine has CUDA")
    with pytest.raises(UnavailableError, match="cannot be opened on cuda"):
        Network("twice", doubling(), Device("cuda", 1))


@pytest.mark.parametrize("model", [b"", b"not a network", doubling()[:-20]])
def test_what_is_not_a_network_is_refused_in_one_line(model: bytes) -> None:
    with pytest.raises(UnavailableError, match="twice cannot be opened on cpu") as caught:
        Network("twice", model, CPU)
    assert "\n" not in str(caught.value)


def test_a_network_with_two_inputs_is_refused() -> None:
    with pytest.raises(UnavailableError, match="2 inputs"):
        Network("two", doubling(2), CPU)


def test_a_failing_run_is_a_detection_error() -> None:
    with pytest.raises(DetectionError, match="twice failed") as caught:
        Network("twice", doubling(), CPU).run(np.zeros((1, 3), np.float32))
    assert caught.value.reason == "detector_failed"


def test_a_lost_cuda_context_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network("twice", doubling(), CPU)

    class Lost:
        def run(self, outputs: object, feeds: object) -> None:
            raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    monkeypatch.setattr(network, "_session", Lost())
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        network.run(np.zeros((1, 2), np.float32))


def test_nothing_is_written_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnavailableError):
        Network("broken", b"not a network", CPU)
    with pytest.raises(DetectionError):
        Network("twice", doubling(), CPU).run(np.zeros((1, 3), np.float32))
    assert capfd.readouterr() == ("", "")


@pytest.mark.may_block
def test_onnx_runtime_reports_to_nobody(tmp_path: Path) -> None:
    """In a process of its own, with an empty home: the library leaves no device id and no event database there."""
    code = "from faceanond.detect.session import choose_device, _open_probe; _open_probe(choose_device('cpu').provider)"
    environ = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environ |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []


def summing() -> bytes:
    """A network that adds up four bytes, and its batch size."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["floats", "axis"], ["sums"], keepdims=1),
        helper.make_node("Shape", ["pixels"], ["shape"], start=0, end=1),
        helper.make_node("Cast", ["shape"], ["size"], to=TensorProto.FLOAT),
        helper.make_node("Expand", ["size", "like"], ["sizes"]),
        helper.make_node("Concat", ["sums", "sizes"], ["y"], axis=1),
    ]
    nodes.insert(4, helper.make_node("Shape", ["sums"], ["like"]))
    graph = helper.make_graph(
        nodes,
        "summing",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_a_batched_network_sees_only_its_batch_sizes() -> None:
    network = BatchedNetwork("sum", summing(), CPU, (4,), (2, 8))
    network.warm_up()
    for count, size in ((1, 2), (2, 2), (3, 8), (8, 8), (2, 2)):
        batch = np.random.default_rng(count).integers(0, 256, (count, 4)).astype(np.uint8)
        answers = network.run(batch)
        assert answers[:, 0].tolist() == batch.sum(axis=1).tolist()
        assert set(answers[:, 1].tolist()) == {size}
    assert network.most == 8


def test_its_answers_are_not_overwritten_by_the_next_run() -> None:
    network = BatchedNetwork("sum", summing(), CPU, (4,), (2,))
    first = network.run(np.full((1, 4), 1, np.uint8))
    network.run(np.full((1, 4), 200, np.uint8))
    assert first[0, 0] == 4


def test_what_is_filled_up_holds_nothing_of_an_earlier_batch() -> None:
    network = BatchedNetwork("sum", summing(), CPU, (4,), (4,))
    network.run(np.full((4, 4), 255, np.uint8))
    network.run(np.full((1, 4), 1, np.uint8))
    assert not network._slots[0].host[1:].any()


def test_tensorrt_is_told_the_shapes_once() -> None:
    (_, options), (fallback, _) = session._provider_options(Device("tensorrt", 1), (32, 320, 320, 4))
    assert isinstance(options, dict)
    assert options["trt_profile_min_shapes"] == "pixels:1x320x320x4"
    assert options["trt_profile_max_shapes"] == "pixels:32x320x320x4"
    assert fallback == "CUDAExecutionProvider"


def test_tensorrt_keeps_what_it_compiled_where_there_is_a_folder(tmp_path: Path) -> None:
    (_, options), _ = session._provider_options(Device("tensorrt", 1, tmp_path), None)
    assert isinstance(options, dict)
    assert options["trt_engine_cache_path"] == str(tmp_path)
    (_, options), _ = session._provider_options(Device("tensorrt", 1), None)
    assert "trt_engine_cache_path" not in options


def test_tensorrt_is_loaded_from_its_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt_libs").mkdir()
    (tmp_path / "tensorrt_libs" / "__init__.py").touch()
    for name in ("libnvonnxparser.so.10", "libnvinfer.so.10", "libnvinfer_dispatch.so.10", "libnvinfer.so"):
        (tmp_path / "tensorrt_libs" / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    loaded: list[str] = []
    monkeypatch.setattr(session.ctypes, "CDLL", lambda name, mode: loaded.append(Path(name).name))
    session._load_tensorrt()
    assert loaded == ["libnvinfer.so.10", "libnvonnxparser.so.10"]


def test_a_broken_library_of_tensorrt_is_left_to_the_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt_libs").mkdir()
    (tmp_path / "tensorrt_libs" / "libnvinfer.so.10").write_text("no library")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    session._load_tensorrt()
