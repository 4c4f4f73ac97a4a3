"""Where MTCNN's numbers come from: the files of the PyPI package `mtcnn` 1.0.0, taken as data only.

Rule: nothing is unpickled before its SHA-256 has been compared with the one written here, because joblib unpickles and
a pickle can run code. The package itself is never imported (its `__init__` asks for TensorFlow).
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import joblib
import numpy as np
from numpy.typing import NDArray

from faceanond.errors import UnavailableError

PACKAGE = "mtcnn"
VERSION = "1.0.0"

SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}
"""Of `mtcnn/assets/weights/NAME.lz4` in the wheel of VERSION."""

_SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "pnet": (
        *((3, 3, 3, 10), (10,), (1, 1, 10)),
        *((3, 3, 10, 16), (16,), (1, 1, 16)),
        *((3, 3, 16, 32), (32,), (1, 1, 32)),
        *((1, 1, 32, 4), (4,), (1, 1, 32, 2), (2,)),
    ),
    "rnet": (
        *((3, 3, 3, 28), (28,), (1, 1, 28)),
        *((3, 3, 28, 48), (48,), (1, 1, 48)),
        *((2, 2, 48, 64), (64,), (1, 1, 64)),
        *((576, 128), (128,), (128,)),
        *((128, 4), (4,), (128, 2), (2,)),
    ),
    "onet": (
        *((3, 3, 3, 32), (32,), (1, 1, 32)),
        *((3, 3, 32, 64), (64,), (1, 1, 64)),
        *((3, 3, 64, 64), (64,), (1, 1, 64)),
        *((2, 2, 64, 128), (128,), (1, 1, 128)),
        *((1152, 256), (256,), (256,)),
        *((256, 4), (4,), (256, 10), (10,), (256, 2), (2,)),
    ),
}

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """The arrays of each network, layer by layer: kernels HWIO, biases, PReLU slopes, dense layers (in, out).

    A dense layer's input is the feature map flattened as width, height, channel.
    """

    pnet: tuple[Array, ...]
    rnet: tuple[Array, ...]
    onet: tuple[Array, ...]


def weights_folder() -> Path:
    """The folder with the three files, found without importing the package.

    Raises UnavailableError when the package is missing or of another version.
    """
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise UnavailableError(
            f"the Python package {PACKAGE} {VERSION}, which holds the detector's weights, is not installed; "
            f"install it with: pip install {PACKAGE}=={VERSION}"
        ) from None
    if package.version != VERSION:
        raise UnavailableError(
            f"the detector's weights are those of {PACKAGE} {VERSION}, but {package.version} is installed; "
            f"install it with: pip install {PACKAGE}=={VERSION}"
        )
    return Path(str(package.locate_file("mtcnn/assets/weights")))


def load_weights(folder: Path | None = None) -> Weights:
    """Reads, checks and unpacks the three files. Raises UnavailableError when one is missing or not as published."""
    folder = weights_folder() if folder is None else folder
    return Weights(**{name: _read(folder, name) for name in SHA256})


def _read(folder: Path, name: str) -> tuple[Array, ...]:
    path = folder / f"{name}.lz4"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnavailableError(f"the detector's weight file {path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise UnavailableError(
            f"the detector's weight file {path} is not the one of {PACKAGE} {VERSION} (its SHA-256 differs); "
            f"reinstall it with: pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}"
        )
    arrays = tuple(np.asarray(array, dtype=np.float32) for array in joblib.load(io.BytesIO(content)))
    shapes = tuple(array.shape for array in arrays)
    if shapes != _SHAPES[name]:
        raise UnavailableError(f"the detector's weight file {path} holds arrays of unexpected shapes: {shapes}")
    return arrays
