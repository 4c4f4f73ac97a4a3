"""From a TOML text to a `Config`, or to every mistake in it, each with its place.

The steps: read the syntax (syntax), give each key its one name, apply `--set` (overrides), fetch secrets (secrets),
fill the fleet's defaults into the cameras, validate table by table (model, explain), check what must fit together
(rules). A step that finds mistakes notes them and the rest goes on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from faceanond.config import overrides as command_line
from faceanond.config import rules, syntax
from faceanond.config.explain import explain, kind_of, unknown_key
from faceanond.config.inherit import Written, with_defaults
from faceanond.config.lines import Path, dotted
from faceanond.config.model import (
    CAMERA_NAME,
    VIEWER_NAME,
    Anonymise,
    Camera,
    Config,
    Detector,
    Encode,
    Http,
    Log,
    Overload,
    Probe,
    Push,
    Rtsp,
    Track,
    Viewer,
    WebRtc,
)
from faceanond.config.overrides import Override, OverrideError, canonical
from faceanond.config.places import Place, Places
from faceanond.config.record import Record
from faceanond.config.secrets import Expansion, Resolver
from faceanond.config.types import FROM_FILE
from faceanond.errors import ConfigError, Problem
from faceanond.redact import redact

LARGEST = 16 * 1024 * 1024
"""Bytes of a configuration file at most; ten thousand cameras take about three."""

_TABLES: Mapping[str, type[BaseModel]] = {
    "detector": Detector,
    "track": Track,
    "anonymise": Anonymise,
    "encode": Encode,
    "overload": Overload,
    "probe": Probe,
    "push": Push,
    "record": Record,
    "http": Http,
    "rtsp": Rtsp,
    "webrtc": WebRtc,
    "log": Log,
}

Model = TypeVar("Model", bound=BaseModel)


def load(path: FilePath, overrides: Sequence[str] = (), *, environ: Mapping[str, str] = os.environ) -> Config:
    """Reads a configuration file. Raises ConfigError with all its mistakes. Blocks on files."""
    return parse(read_text(path), str(path), overrides, environ=environ)


def read_text(path: FilePath) -> str:
    """The file's text; raises ConfigError when there is none."""
    try:
        if path.is_dir():
            raise ConfigError([Problem(str(path), "", "is a directory; expected a TOML file")])
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "", "there is no such file")]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "bad path"
        raise ConfigError([Problem(str(path), "", f"cannot be read: {reason}")]) from None
    if len(content) > LARGEST:
        raise ConfigError([Problem(str(path), "", f"is larger than {LARGEST >> 20} MiB; expected a TOML file")])
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(f"{path}:{line}", "", "not UTF-8 text; save the file as UTF-8")]) from None


def parse(text: str, name: str, overrides: Sequence[str] = (), *, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in a text; `name` is the file's name in messages, its folder is where `${file:...}` starts.

    Raises ConfigError with all mistakes, sorted by line; those of overrides come last.
    """
    return _Loader(text, name, overrides, environ).load()


class _Loader:
    """One run over one text."""

    def __init__(self, text: str, name: str, overrides: Sequence[str], environ: Mapping[str, str]) -> None:
        self._reading = syntax.read(text)
        self._texts = overrides
        self._places = Places(name, self._reading.document)
        self._resolver = Resolver(environ, FilePath(name).parent)
        self._expansion = Expansion()
        self._problems: dict[Problem, Place] = {}
        self._written = Written({})

    def load(self) -> Config:
        for mistake in self._reading.mistakes:
            self._report(self._places.line(mistake.line), mistake.path, mistake.message)
        data = self._reading.data
        self._canonicalise(data)
        self._override(data)
        self._canonicalise(data)
        expanded = self._resolver.expand(data, (), self._expansion)
        assert isinstance(expanded, dict)
        self._written = Written(expanded)
        for path, message in self._expansion.failed.items():
            self._report(self._places.of(path), path, message)
        config = self._validate(expanded)
        if self._problems or config is None:
            raise ConfigError(sorted(self._problems, key=lambda problem: (self._problems[problem], problem)))
        return config

    def _report(self, place: Place, path: Path, message: str) -> None:
        problem = Problem(place.text, dotted(path), redact(message, self._expansion.resolved))
        self._problems.setdefault(problem, place)

    def _canonicalise(self, data: dict[str, Any]) -> None:
        """Gives every detector key its own name; PeekingDuck's older ones are taken too."""
        tables: list[Path] = [("detector",)]
        if isinstance(cameras := data.get("cameras"), dict):
            tables += [("cameras", camera, "detector") for camera in cameras]
        for where in tables:
            table = _at(data, where)
            for key in list(table) if isinstance(table, dict) else ():
                name = canonical((*where, key))[-1]
                if name == key:
                    continue
                value = table.pop(key)
                if name in table:
                    message = f'another name of "{name}", which is given as well; remove one of them'
                    self._report(self._places.of((*where, key)), (*where, key), message)
                else:
                    table[name] = value
                    self._places.rename((*where, name), (*where, key))

    def _override(self, data: dict[str, object]) -> None:
        overrides: list[Override] = []
        for number, text in enumerate(self._texts):
            try:
                overrides.append(command_line.read(text, number))
            except OverrideError as error:
                self._report(self._places.override(number, command_line.place_of(text)), (), str(error))
        self._places.add(overrides)
        for override, reason in command_line.apply(overrides, data):
            self._report(self._places.override(override.number, override.place), override.path, reason)

    def _validate(self, data: dict[str, Any]) -> Config | None:
        """Validates each table by itself, so that a mistake in one hides none in the others."""
        for key in data:
            if key not in Config.model_fields:
                self._report(self._places.of((key,)), (key,), unknown_key((key,)))
        fleet = {key: self._table(model, data.get(key, {}), (key,)) for key, model in _TABLES.items()}
        cameras = self._cameras(data)
        viewers = self._viewers(data)
        detector, http, rtsp, webrtc = fleet["detector"], fleet["http"], fleet["rtsp"], fleet["webrtc"]
        if isinstance(detector, Detector):
            self._check(rules.model_files(detector))
            self._check(rules.device(detector))
        if isinstance(http, Http) and isinstance(rtsp, Rtsp):
            self._check(rules.listeners(http, rtsp, self._written))
        self._certificates(http, rtsp)
        track, overload = fleet["track"], fleet["overload"]
        if isinstance(track, Track) and isinstance(overload, Overload) and not cameras:
            self._check(rules.in_time((), track, overload, self._written))
        if isinstance(webrtc, WebRtc):
            self._check(rules.viewers(webrtc))
            if isinstance(http, Http) and isinstance(rtsp, Rtsp):
                self._check(rules.media_port(http, rtsp, webrtc))
        for name, camera in cameras.items():
            self._check(rules.login(name, camera))
            if isinstance(overload, Overload):
                self._check(rules.in_time(("cameras", name), camera.track, overload, self._written))
        for name, viewer in viewers.items():
            self._check(rules.viewer(name, viewer, data.get("cameras", {})))
        self._check(rules.tokens(viewers))
        self._check(rules.recordings(cameras, fleet["record"], self._written))
        self._check(rules.pushes(cameras, self._written))
        if self._problems:
            return None
        config = Config.model_validate({**fleet, "viewers": viewers, "cameras": cameras})
        config._resolved = frozenset(self._expansion.resolved)
        return config

    def _certificates(self, http: object, rtsp: object) -> None:
        if isinstance(http, Http):
            self._check(rules.https(http))
        if isinstance(rtsp, Rtsp):
            self._check(rules.certificate(rtsp))

    def _cameras(self, data: dict[str, Any]) -> dict[str, Camera]:
        """The cameras that are right, each with the fleet's defaults filled in."""
        tables = data.get("cameras", {})
        if not isinstance(tables, dict):
            message = f"expected a table for each camera, [cameras.NAME]; got {kind_of(tables)}"
            self._report(self._places.of(("cameras",)), ("cameras",), message)
            return {}
        cameras: dict[str, Camera] = {}
        for name, own in tables.items():
            here: Path = ("cameras", name)
            if not re.match(CAMERA_NAME, name) or name.endswith("\n"):
                message = (
                    "a camera's name is up to 63 small letters, digits, - and _, and begins with a letter or digit"
                )
                self._report(self._places.of(here), here, message)
            if not isinstance(own, dict):
                message = f'expected a table, [cameras.NAME] with source = "..."; got {kind_of(own)}'
                if name in Camera.model_fields:
                    message = f'"{name}" belongs to one camera: write it below [cameras.NAME]'
                self._report(self._places.of(here), here, message)
                continue
            camera = self._table(Camera, with_defaults(own, data), here)
            if camera is not None:
                cameras[name] = camera
        return cameras

    def _viewers(self, data: dict[str, Any]) -> dict[str, Viewer]:
        """The viewers that are right."""
        tables = data.get("viewers", {})
        if not isinstance(tables, dict):
            message = f"expected a table for each viewer, [viewers.NAME]; got {kind_of(tables)}"
            self._report(self._places.of(("viewers",)), ("viewers",), message)
            return {}
        viewers: dict[str, Viewer] = {}
        for name, own in tables.items():
            here: Path = ("viewers", name)
            if not isinstance(own, dict):
                message = f'expected a table, [viewers.NAME] with password = "..."; got {kind_of(own)}'
                if name in Viewer.model_fields:
                    message = f'"{name}" belongs to one viewer: write it below [viewers.NAME]'
                self._report(self._places.of(here), here, message)
                continue
            if not re.match(VIEWER_NAME, name) or name.endswith("\n"):
                message = "a viewer's name is up to 63 letters, digits and . _ @ -, and begins with a letter or digit"
                self._report(self._places.of(here), here, message)
            viewer = self._table(Viewer, own, here)
            if viewer is not None:
                viewers[name] = viewer
        return viewers

    def _table(self, model: type[Model], data: object, here: Path) -> Model | None:
        """The validated table. Problems of what a camera inherits have been told where it was written."""
        try:
            return model.model_validate(data, context=FROM_FILE)
        except ValidationError as error:
            found = error.errors(include_url=False)
            for one in found:
                path = (*here, *one["loc"])
                inherited = self._written.origin(path) != path
                if not inherited and not self._follows(one["type"], path, [(*here, *two["loc"]) for two in found]):
                    self._report(self._places.of(path), path, explain(one, path, self._reference(path)))
            return None

    def _follows(self, kind: str, path: Path, others: Sequence[Path]) -> bool:
        """Whether this is only the consequence of another mistake that is told."""
        if kind == "missing" and self._reading.mistakes:
            return True
        if kind == "too_short" and any(len(other) > len(path) and other[: len(path)] == path for other in others):
            # pydantic does not count the entries that are wrong in themselves.
            return True
        return any(path[: len(failed)] == failed for failed in self._expansion.failed)

    def _reference(self, path: Path) -> str | None:
        """The `${...}` that a value, or a part of it, came from."""
        found = (text for place, text in self._expansion.references.items() if place[: len(path)] == path)
        return next(found, None)

    def _check(self, findings: Iterable[rules.Finding]) -> None:
        for finding, message in findings:
            path = self._written.origin(finding)
            self._report(self._places.of(path), path, message)


def _at(data: object, path: Path) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data
