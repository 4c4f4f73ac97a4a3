"""`faceanond fetch-model`: brings an optional detector's official file to where the detector looks for it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from tqdm import tqdm

from faceanond.daemon.download import download
from faceanond.detect.model_files import OFFICIAL, OfficialModel, data_folder
from faceanond.errors import ExitCode, UsageError


def fetch_model(detector: str, url: str | None = None) -> int:
    """Fetches the file unless it is there, and prints what to write into the configuration. Returns the exit code.

    `url` replaces the official place. Raises UsageError for an unknown detector, and what `download` raises.
    """
    model = OFFICIAL.get(detector)
    if model is None:
        raise UsageError(f'no detector "{detector}" has a model file; expected {" or ".join(OFFICIAL)}')
    path = data_folder() / model.file
    state = _state(path, model)
    if state == "intact":
        print(f"{path}: is there already, and intact ({model.size} bytes)")
    else:
        if state == "other":
            print(f"{path}: is not the official file, replacing it", file=sys.stderr)
        hidden = not sys.stderr.isatty()
        with tqdm(total=model.size, unit="B", unit_scale=True, desc=model.file, disable=hidden) as bar:
            download(url or model.url, path, size=model.size, sha256=model.sha256, progress=bar.update)
        print(f"{path}: fetched, {model.size} bytes, SHA-256 as published; licence {model.licence}")
    print("in the configuration:\n")
    print(f'[detector]\nname = "{detector}"   # or ["mtcnn", "{detector}"], which finds what either of them finds')
    print(f'model = "{path}"')
    return ExitCode.OK


def _state(path: Path, model: OfficialModel) -> str:
    """Whether the file is "intact", "absent" or "other"; one that cannot be read is "other"."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "absent"
    except OSError:
        return "other"
    return "intact" if digest == model.sha256 else "other"
