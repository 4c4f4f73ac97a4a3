"""The pictures inside the package; README.md beside this file says where they come from."""

from __future__ import annotations

from importlib.resources import files

import cv2
import numpy as np
from numpy.typing import NDArray


def astronaut() -> NDArray[np.uint8]:
    """The face that demo and known pictures show: BGR, (512, 512, 3). Reads and decodes a file, so it blocks."""
    data = np.frombuffer(files(__name__).joinpath("astronaut.jpg").read_bytes(), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
