"""The ONNX files of the optional detectors: which are official, where they lie, and what makes one believable.

Rule: a file is used only when its bytes are those that somebody vouched for, by the hash that is written here or by
the one in the configuration. Nothing is guessed: another network would run as well, and find no faces.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from faceanond.config.detectors import told_of
from faceanond.config.model import Detector as DetectorConfig
from faceanond.errors import UnavailableError

LARGEST = 256 << 20
"""Bytes of a model file at most: the official ones have 0.2 and 7 million."""


@dataclass(frozen=True, slots=True)
class OfficialModel:
    """A published file: `detector` is its name in the configuration, `size` in bytes."""

    detector: str
    file: str
    url: str
    sha256: str
    size: int
    licence: str


OFFICIAL = {
    model.detector: model
    for model in (
        OfficialModel(
            detector="yunet",
            file="face_detection_yunet_2023mar.onnx",
            url="https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/"
            "face_detection_yunet_2023mar.onnx",
            sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
            size=232_589,
            licence="MIT",
        ),
        OfficialModel(
            detector="centerface",
            file="centerface_bnmerged.onnx",
            url="https://raw.githubusercontent.com/Star-Clouds/CenterFace/master/models/onnx/centerface_bnmerged.onnx",
            sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
            size=7_304_518,
            licence="MIT",
        ),
    )
}


def data_folder() -> Path:
    """systemd's STATE_DIRECTORY (the first, when there are several), else the user's own data folder."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share") / "faceanond"


def model_path(settings: DetectorConfig, detector: str) -> Path:
    """Where that detector's file is: as configured (relative paths start where faceanond was started), else in the
    data folder."""
    told = told_of(settings.model, detector)
    return Path(told) if told else data_folder() / OFFICIAL[detector].file


def read_model(settings: DetectorConfig, detector: str) -> bytes:
    """The checked bytes of that detector's file. Raises UnavailableError when it is missing, unreadable or not the
    file that its hash was taken of."""
    path, official = model_path(settings, detector), OFFICIAL[detector]
    content = _content(path, detector)
    found = hashlib.sha256(content).hexdigest()
    own = told_of(settings.model_sha256, detector)
    if found == (own or official.sha256):
        return content
    if own:
        raise UnavailableError(
            f"the model file {path} of {detector} has changed since detector.model_sha256 was taken: its SHA-256 is "
            f"{found}, expected {own}; put the file back, or, when the new one is meant, write its hash there"
        )
    others = [model.detector for model in OFFICIAL.values() if model.sha256 == found]
    if others:
        state = f"is the file of {others[0]}"
    elif len(content) < official.size:
        state = f"is cut short or another file: it has {len(content)} of {official.size} bytes"
    else:
        state = f"is not the official one: its SHA-256 is {found}"
    raise UnavailableError(
        f'the model file {path} of {detector} {state}; fetch it with "faceanond fetch-model {detector}", or, when '
        f'this very file is meant, set detector.model_sha256 = "{found}"'
    )


def _content(path: Path, detector: str) -> bytes:
    where = f"the model file {path} of {detector}"
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block, a device might never end
            raise UnavailableError(f"{where} is a directory or device; expected an ONNX file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise UnavailableError(
            f'{where} does not exist; fetch it with "faceanond fetch-model {detector}", or name another place in '
            "detector.model"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "bad path"
        raise UnavailableError(f"{where} cannot be read: {reason}") from error
    if len(content) > LARGEST:
        raise UnavailableError(f"{where} has more than {LARGEST >> 20} MiB; expected an ONNX file of a few")
    return content
