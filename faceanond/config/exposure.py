"""Secrets of a configuration that others can read or guess: in files, on the command line, or because they are short.

No message repeats a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath

from pydantic import SecretStr

from faceanond import permissions
from faceanond.config.lines import Path
from faceanond.config.model import Config
from faceanond.config.overrides import Override
from faceanond.config.secrets import read_from, refers
from faceanond.redact import SHORTEST_EVERYWHERE

SECRETS = frozenset({"password", "token", "credential"})
"""The keys that hold secrets, wherever they stand."""

Risk = tuple[Path, str]


def readable(data: Mapping[str, object], path: FilePath, overrides: Sequence[Override] = ()) -> Iterator[Risk]:
    """Secrets that every user of this machine can read. `data` is what the file at `path` says. Looks at the disk."""
    secrets = list(_secrets(data, ()))
    written = [where for where, value in secrets if not refers(value)]
    if written and (complaint := permissions.complaint(path, "the passwords and tokens in")):
        advice = 'or, where the service itself reads it that way, write "${credential:NAME}" in their place'
        yield written[0], f"{complaint}, {advice}"
    given = [found for one in overrides for found in _secrets(one.value, one.path)]
    for where, value in given:
        if not refers(value):
            message = "a secret on the command line shows in the list of processes"
            yield where, f'{message}; write "${{env:NAME}}" or "${{file:PATH}}", or put it into the file'
    told: set[FilePath] = set()
    for where, value in secrets + given:
        for file in read_from(value, path.parent):
            if file not in told and (complaint := permissions.complaint(file, "the secret in")):
                told.add(file)
                yield where, f"{complaint}; the service's user or group must own it then"


def guessable(config: Config) -> Iterator[Risk]:
    """Secrets that are found by trying. Viewers' own have a least length already. What is inherited comes again."""
    for name, camera in config.cameras.items():
        here: Path = ("cameras", name)
        yield from _short((*here, "password"), camera.password)
        for key in ("password", "token"):
            yield from _short((*here, "push", key), getattr(camera.push, key))
    yield from _short(("push", "password"), config.push.password)
    yield from _short(("push", "token"), config.push.token)
    for index, server in enumerate(config.webrtc.ice_servers):
        yield from _short(("webrtc", "ice_servers", index, "credential"), server.credential)
    for name, viewer in config.viewers.items():
        if viewer.password is not None and viewer.password.get_secret_value().casefold() == name.casefold():
            message = "the password is the viewer's own name, which anybody tries first"
            yield ("viewers", name, "password"), f'{message}; make a random one, "openssl rand -base64 24"'


def _short(where: Path, secret: SecretStr | None) -> Iterator[Risk]:
    if secret is not None and 0 < len(secret.get_secret_value()) < SHORTEST_EVERYWHERE:
        message = f"shorter than {SHORTEST_EVERYWHERE} characters: soon guessed, and hidden in the log only where it"
        yield where, f"{message} stands alone; choose a longer one"


def _secrets(value: object, where: Path) -> Iterator[tuple[Path, str]]:
    """Every secret in a value, with its place."""
    if isinstance(value, str):
        if value and where[-1] in SECRETS:
            yield where, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets(item, (*where, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _secrets(item, (*where, index))
