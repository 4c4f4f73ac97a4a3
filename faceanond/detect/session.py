"""ONNX Runtime, and the only place that knows it: devices, sessions, and what its failures mean.

Rule: a device that was named is used or refused, never replaced. Only `auto` chooses, once, and says what it chose.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# The wheels report to their maker unless told not to, before the library is loaded: a privacy tool must not, and needs
# no device id and no event database in the home folder either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime as ort
import structlog
from numpy.typing import NDArray

from faceanond.detect.pinned import page_lock
from faceanond.detect.protocol import DeviceLostError
from faceanond.errors import DetectionError, UnavailableError

log = structlog.get_logger(__name__)

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_GPU_MEMORY = 2 << 30
"""Bytes of GPU memory that one session's arena may grow to: arenas never shrink, and others share the card."""
_FATAL_CUDA = ("CUDA failure 700", "CUDA failure 719", "error 700", "error 719")
"""Illegal address and launch failure: the process's GPU context is lost for good."""

# ONNX Runtime writes to stderr by itself. What matters comes back as an exception, which this module translates.
ort.set_default_logger_severity(4)

Tensor = NDArray[np.float32]
PIXELS = "pixels"
"""The input of networks that take bytes."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where networks run: `provider` is "cpu", "cuda" or "tensorrt". `threads` is for one network on the CPU; `engines`
    is the folder in which TensorRT keeps what it has compiled."""

    provider: str
    threads: int
    engines: Path | None = None


def runtime_version() -> str:
    """ONNX Runtime's version."""
    return str(ort.__version__)


def available_provider() -> str:
    """What `auto` would use here, without opening a session."""
    return "cuda" if _missing("cuda") is None else "cpu"


def choose_device(name: str, threads: int = 0) -> Device:
    """The device for `auto`, `cpu`, `cuda` or `tensorrt`. Raises UnavailableError when a named one is missing."""
    threads = threads or _automatic_threads()
    if name == "cpu":
        return Device("cpu", threads)
    wanted = "cuda" if name == "auto" else name
    reason = _missing(wanted)
    if reason is None:
        return Device(wanted, threads)
    if name == "auto":
        log.info("no GPU found, detecting on the CPU", reason=reason)
        return Device("cpu", threads)
    raise UnavailableError(f'the detector\'s device "{name}" is not available: {reason}')


def _automatic_threads() -> int:
    """Half of the cores that this process may use, four at most. On two cores a second thread shortens a frame by a
    fifth and costs a seventh more CPU, which decoders and encoders need more."""
    return max(1, min(4, len(os.sched_getaffinity(0)) // 2))


@functools.cache
def _missing(provider: str) -> str | None:
    """Why a GPU provider cannot be used, or None."""
    if _PROVIDERS[provider] not in ort.get_available_providers():
        return "this ONNX Runtime was built without it; install onnxruntime-gpu (and not onnxruntime beside it)"
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "the NVIDIA driver (libcuda.so.1) is not installed or not visible in this container"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # it prints what it could not load
        ort.preload_dlls()
    if provider == "tensorrt":
        _load_tensorrt()
    try:
        _open_probe(provider)
    except UnavailableError as error:
        details = " ".join(said.getvalue().split())
        return f"{error}; {details}" if details else str(error)
    return None


def _load_tensorrt() -> None:
    """Loads TensorRT from its wheel, which ONNX Runtime does not look for; one that the system has is found anyway."""
    # Ten bits of precision would move borderline scores, and the provider has no option for it.
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    wheel = importlib.util.find_spec("tensorrt_libs")
    for folder in wheel.submodule_search_locations or () if wheel else ():
        for pattern in ("libnvinfer.so.*", "libnvonnxparser.so.*"):
            for library in Path(folder).glob(pattern):
                with contextlib.suppress(OSError):  # the probe says what is missing
                    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


def _open_probe(provider: str) -> None:
    """Opens the smallest network there is on the provider."""
    # An identity of one number, written as the protocol buffer that it is: this module needs no graph builder.
    model = (
        b'\x08\x08:;\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x05probeZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04'
        b"\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
    )
    Network("probe", model, Device(provider, 1))


class Network:
    """One network in one session: one input, one output, float32. One thread at a time."""

    def __init__(self, name: str, model: bytes, device: Device, *, largest: tuple[int, ...] | None = None) -> None:
        """`largest` is the largest input that will come, which TensorRT must know. Raises UnavailableError when the
        model cannot be opened on that very device."""
        self._name = name
        provider = _PROVIDERS[device.provider]
        try:
            session = ort.InferenceSession(
                model, _options(device), providers=_provider_options(device, largest), enable_fallback=0
            )
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise UnavailableError(f"{name} cannot be opened on {device.provider}: {_one_line(error)}") from error
        session.disable_fallback()
        active = session.get_providers()
        if not active or active[0] != provider:
            raise UnavailableError(f"{name} cannot be opened on {device.provider}: ONNX Runtime offers only {active}")
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise UnavailableError(f"{name} has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
        self._input = inputs[0].name
        self._session = session

    def run(self, batch: Tensor) -> Tensor:
        """The network's answers. Raises DetectionError("detector_failed"), or DeviceLostError."""
        with _translated(self._name):
            (answers,) = self._session.run(None, {self._input: batch})
        result: Tensor = answers
        return result


class BatchedNetwork(Network):
    """A network that only ever sees a few batch sizes, filled up with zeros: a GPU prepares itself for each new shape,
    which takes far longer than a run. Everything it needs is allocated once, in page-locked memory where possible."""

    def __init__(self, name: str, model: bytes, device: Device, shape: tuple[int, ...], sizes: Sequence[int]) -> None:
        """`shape`: of one item, bytes. `sizes`: the batch sizes, the largest last. Raises UnavailableError."""
        super().__init__(name, model, device, largest=(sizes[-1], *shape))
        self.most = sizes[-1]
        try:
            self._slots = [_Slot(self._session, (size, *shape), device) for size in sizes]
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise UnavailableError(f"{name} gets no memory on {device.provider}: {_one_line(error)}") from error

    def warm_up(self) -> None:
        """Runs every batch size once. Raises as `run` does."""
        for slot in self._slots:
            self.run(slot.host)

    def run(self, batch: NDArray[np.uint8]) -> Tensor:  # type: ignore[override] # bytes here
        """As `Network.run`, for at most `most` items."""
        slot = next(slot for slot in self._slots if len(slot.host) >= len(batch))
        with _translated(self._name):
            return slot.run(self._session, batch)


class _Slot:
    """Input and output of one batch size, bound to a session."""

    def __init__(self, session: ort.InferenceSession, shape: tuple[int, ...], device: Device) -> None:
        kind = "cpu" if device.provider == "cpu" else "cuda"
        self.host = np.zeros(shape, np.uint8)
        if kind == "cuda" and not page_lock(self.host):
            log.warning("host memory is not page-locked, so copies to the GPU are slower", bytes=self.host.nbytes)
        self._input = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, kind, 0)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(session.get_inputs()[0].name, self._input)
        self._binding.bind_output(session.get_outputs()[0].name, "cpu")

    def run(self, session: ort.InferenceSession, batch: NDArray[np.uint8]) -> Tensor:
        if batch is not self.host:
            self.host[: len(batch)] = batch
            self.host[len(batch) :] = 0
        self._input.update_inplace(self.host)
        session.run_with_iobinding(self._binding)
        answers: Tensor = self._binding.copy_outputs_to_cpu()[0]
        return answers[: len(batch)].copy()


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turns ONNX Runtime's errors into ours."""
    try:
        yield
    except Exception as error:  # they share no base class
        message = f"{name} failed: {_one_line(error)}"
        if any(mark in message for mark in _FATAL_CUDA):
            raise DeviceLostError(message) from error
        raise DetectionError("detector_failed", message) from error


def _options(device: Device) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = device.threads if device.provider == "cpu" else 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Spinning threads cost 38 ms of CPU a run at 25 runs a second where waiting ones cost 2.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _provider_options(device: Device, largest: tuple[int, ...] | None) -> list[str | tuple[str, dict[str, str]]]:
    """CUDA and TensorRT settings follow ONNX Runtime's documentation; they have not been tried on a GPU yet."""
    cuda = {
        # An exhaustive search would run again for each new shape.
        "cudnn_conv_algo_search": "HEURISTIC",
        "gpu_mem_limit": str(_GPU_MEMORY),
        "arena_extend_strategy": "kSameAsRequested",
        # Ten bits of precision would move borderline scores.
        "use_tf32": "0",
    }
    if device.provider == "cuda":
        return [("CUDAExecutionProvider", cuda)]
    if device.provider == "tensorrt":
        tensorrt = {"trt_max_workspace_size": str(_GPU_MEMORY), "trt_fp16_enable": "0"}
        if device.engines is not None:
            # Compiling takes minutes. The files' names carry the network's hash, TensorRT's version and the card's.
            tensorrt |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(device.engines)}
        if largest is not None:
            # One engine for all batch sizes; without a profile it would be built again for each, for minutes.
            most, *item = largest
            for name, size in (("min", 1), ("opt", most), ("max", most)):
                tensorrt[f"trt_profile_{name}_shapes"] = f"{PIXELS}:{'x'.join(map(str, (size, *item)))}"
        return [("TensorrtExecutionProvider", tensorrt), ("CUDAExecutionProvider", cuda)]
    return ["CPUExecutionProvider"]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
