"""Keeps the built graphs on disk, so that what runs can be looked at and a start does not depend on the `onnx` package.

Rule: a file is used only while it hashes to what was written beside it; the folder is a convenience, so its faults are
warnings, never failures. The file's name carries the hash of the weights and the builder's version.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from faceanond.detect import graphs
from faceanond.detect.weights import SHA256, Weights, load_weights

log = structlog.get_logger(__name__)

_BUILDERS: dict[str, Callable[[Weights], bytes]] = {
    "pnet": graphs.build_pnet,
    "rnet": graphs.build_rnet,
    "onet": graphs.build_onet,
}


@dataclass(frozen=True, slots=True)
class Graphs:
    """The three networks as ONNX files."""

    pnet: bytes
    rnet: bytes
    onet: bytes


def cache_folder() -> Path:
    """systemd's CACHE_DIRECTORY (the first, when there are several), else the user's own cache."""
    given = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".cache") / "faceanond"


def engines_folder(folder: Path | None = None) -> Path | None:
    """Where TensorRT may keep engines, for this user alone, because they are programs; None when nowhere."""
    path = (cache_folder() if folder is None else folder) / "tensorrt"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        log.warning("TensorRT's engines cannot be kept, so each start compiles them anew", reason=str(error))
        return None
    return path


def mtcnn_graphs(folder: Path | None = None) -> Graphs:
    """The graphs from the folder (default: `cache_folder()`), built and kept there when it has none.

    Raises UnavailableError when they must be built and the weights are missing or changed.
    """
    store = _Store(cache_folder() if folder is None else folder)
    weights: Weights | None = None
    files: dict[str, bytes] = {}
    for name, build in _BUILDERS.items():
        content = store.read(name)
        if content is None:
            weights = weights or load_weights()
            content = build(weights)
            store.write(name, content)
        files[name] = content
    return Graphs(**files)


class _Store:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writable = True

    def _path(self, name: str) -> Path:
        key = hashlib.sha256(f"{graphs.VERSION}:{SHA256[name]}".encode()).hexdigest()[:16]
        return self._folder / f"mtcnn-{name}-{key}.onnx"

    def read(self, name: str) -> bytes | None:
        path = self._path(name)
        try:
            content = path.read_bytes()
            expected = path.with_suffix(".sha256").read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            log.warning("cached graph unreadable, building it again", path=str(path), reason=str(error))
            return None
        if hashlib.sha256(content).hexdigest() != expected:
            log.warning("cached graph damaged, building it again", path=str(path))
            return None
        return content

    def write(self, name: str, content: bytes) -> None:
        if not self._writable:
            return
        path = self._path(name)
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # The hash goes first: a crash in between leaves a pair that does not match and is built again.
            _replace(path.with_suffix(".sha256"), hashlib.sha256(content).hexdigest().encode("ascii"))
            _replace(path, content)
        except OSError as error:
            self._writable = False
            log.warning("graph cache not writable, keeping the graphs in memory", path=str(path), reason=str(error))


def _replace(path: Path, content: bytes) -> None:
    """Writes beside and renames, so that no reader ever sees half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
