"""References to secrets in the file: `${credential:NAME}`, `${env:NAME}` and `${file:PATH}`, in any text value.

Everything that is fetched this way counts as a secret: it is never repeated in a message, and `secret_values` gives it
to logging to be masked. Reading files blocks, so the loader does not belong on an event loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from urllib.parse import quote

from pydantic import SecretStr

from faceanond.config.lines import Path
from faceanond.config.model import Config

LONGEST = 64 * 1024
"""Bytes of a secret's file that are read at most: enough for a certificate chain, and /dev/zero comes to an end."""

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<reference>[^{}]*)\}|(?P<broken>\$\{)")
_FORMS = '"${credential:NAME}", "${env:NAME}" or "${file:PATH}"'


def refers(value: str) -> bool:
    """Whether a text, or a part of it, comes from elsewhere."""
    return any(match["reference"] for match in _REFERENCE.finditer(value))


def read_from(value: str, folder: FilePath) -> list[FilePath]:
    """The files that a text refers to by `${file:PATH}`, but for those in the home of nobody; relative ones start at
    `folder`."""
    files: list[FilePath] = []
    for match in _REFERENCE.finditer(value):
        kind, _, name = (match["reference"] or "").partition(":")
        # The text may be one that `--set` has replaced, and that nobody has followed yet.
        with suppress(RuntimeError):
            files += [_at(folder, name)] if kind == "file" else []
    return files


def _at(folder: FilePath, name: str) -> FilePath:
    """Raises RuntimeError for a "~" of nobody."""
    return folder / FilePath(name).expanduser()


class _MissingError(Exception):
    """The reference leads nowhere; the text says what to do."""


@dataclass(slots=True)
class Expansion:
    """What became of the references. `references` names them by path; `failed` are those that lead nowhere."""

    resolved: set[str] = field(default_factory=set)
    references: dict[Path, str] = field(default_factory=dict)
    failed: dict[Path, str] = field(default_factory=dict)


class Resolver:
    """Fetches secrets; `folder` is where relative paths start: the folder of the configuration file."""

    def __init__(self, environ: Mapping[str, str], folder: FilePath) -> None:
        self._environ = environ
        self._folder = folder

    def expand(self, value: object, path: Path, expansion: Expansion) -> object:
        """The value with every reference in it replaced; notes in `expansion` what happened."""
        if isinstance(value, dict):
            return {key: self.expand(item, (*path, key), expansion) for key, item in value.items()}
        if isinstance(value, list):
            return [self.expand(item, (*path, index), expansion) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value

        def replace(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            if match["broken"]:
                raise _MissingError(f'"${{" begins a reference, {_FORMS}; for the characters themselves write "$${{"')
            secret = self._fetch(match["reference"])
            expansion.resolved.add(secret)
            expansion.references[path] = match[0]
            return secret

        try:
            return _REFERENCE.sub(replace, value)
        except _MissingError as error:
            expansion.failed[path] = str(error)
            return value

    def _fetch(self, reference: str) -> str:
        kind, colon, name = reference.partition(":")
        fetchers: dict[str, Callable[[str], str]] = {
            "credential": self._credential,
            "env": self._variable,
            "file": self._file,
        }
        if not colon or kind not in fetchers or not name:
            raise _MissingError(f"unknown reference; expected {_FORMS}")
        secret = fetchers[kind](name)
        if not secret:
            raise _MissingError(f"${{{reference}}} is empty")
        return secret

    def _credential(self, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.@:-]{1,255}", name) or name in {".", ".."}:
            raise _MissingError("the name of a credential has letters, digits and _ . @ : - only")
        advice = f"add LoadCredential={name}:/path/to/file to the systemd unit"
        folder = self._environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise _MissingError(
                f"there are no systemd credentials here; {advice}, or use ${{env:NAME}} or ${{file:PATH}}"
            )
        return _read(FilePath(folder) / name, f'credential "{name}"', advice)

    def _variable(self, name: str) -> str:
        value = self._environ.get(name)
        if value is None:
            raise _MissingError(f"the environment variable {name} is not set; export {name}=... before the start")
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise _MissingError(f"the environment variable {name} is not UTF-8 text")
        return value

    def _file(self, name: str) -> str:
        return _read(_at(self._folder, name), f'file "{name}"', "create it, readable for this user")


def _read(path: FilePath, what: str, advice: str) -> str:
    """A small text file without its last line break. Only plain files: a pipe would block."""
    try:
        if not path.exists():
            raise _MissingError(f"the {what} does not exist; {advice}")
        if not path.is_file():
            raise _MissingError(f"the {what} is not a plain file")
        with path.open("rb") as stream:
            content = stream.read(LONGEST + 1)
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "bad path"
        raise _MissingError(f"the {what} cannot be read: {reason}; {advice}") from None
    if len(content) > LONGEST:
        raise _MissingError(f"the {what} is larger than {LONGEST // 1024} KiB, too large for a secret")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _MissingError(f"the {what} is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")


def secret_values(config: Config) -> frozenset[str]:
    """Every secret text of a configuration, also as it looks inside a URL, for logging to mask."""
    secrets = set(config._resolved)
    for camera in config.cameras.values():
        secrets |= _reveal(camera.password)
    for viewer in config.viewers.values():
        secrets |= _reveal(viewer.password) | _reveal(viewer.token)
    for push in (config.push, *(camera.push for camera in config.cameras.values())):
        secrets |= _reveal(push.password) | _reveal(push.token)
    for server in config.webrtc.ice_servers:
        secrets |= _reveal(server.credential)
    secrets.discard("")
    return frozenset(secrets | {quote(secret, safe="") for secret in secrets})


def _reveal(secret: SecretStr | None) -> set[str]:
    return {secret.get_secret_value()} if secret is not None else set()
