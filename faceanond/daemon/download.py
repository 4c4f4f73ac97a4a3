"""Fetches one file whose size and hash are known beforehand, so that a server can do no harm but not deliver it.

Rule: nothing takes the file's name before its hash is right, and nothing of what was wrong is kept. No more bytes are
read than the file has. Only https: URLs are followed; http: reaches this very machine alone.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import os
import ssl
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from typing import IO, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from faceanond.errors import FaceanondError, UnavailableError, UsageError
from faceanond.redact import redact

SILENCE = 30.0
"""Seconds without a byte after which a server is given up."""
PATIENCE = 600.0
"""Seconds for the whole file: enough for 7 MB at 100 kbit/s."""
_CHUNK = 64 * 1024


class DownloadError(FaceanondError):
    """The file could not be fetched, or is not the one that was meant."""


class _Readable(Protocol):
    def read1(self, size: int, /) -> bytes:
        """What has come in, at most so many bytes; waits only while there is nothing."""
        ...


def download(
    url: str, target: Path, *, size: int, sha256: str, progress: Callable[[int], object] = lambda count: None
) -> None:
    """Fetches the file to `target`, replacing what is there. `progress` is told the bytes of each piece.

    Raises UsageError for a URL that is not followed, UnavailableError when a file: URL or the folder is not usable,
    DownloadError otherwise. All name the URL or the path.
    """
    parts, place = _checked(url), redact(url)
    with _opened(url, parts) as source, _Landing(target) as landing:
        digest, received, deadline = hashlib.sha256(), 0, time.monotonic() + PATIENCE
        while piece := _piece(source, place, size - received + 1):
            received += len(piece)
            if received > size:
                raise DownloadError(f"{place} holds another file: it has more than {size} bytes")
            if time.monotonic() > deadline:
                raise DownloadError(f"{place} is too slow: {received} of {size} bytes came in {PATIENCE:g} s")
            digest.update(piece)
            landing.write(piece)
            progress(len(piece))
        if received < size:
            raise DownloadError(
                f"{place} ended after {received} of {size} bytes: it was cut short, or is another file; try again"
            )
        if digest.hexdigest() != sha256:
            raise DownloadError(
                f"{place} holds another file: its SHA-256 is {digest.hexdigest()}, expected {sha256}; nothing was kept"
            )
        landing.keep()


def _checked(url: str) -> SplitResult:
    expected = "expected https://HOST/PATH, file:///PATH, or http:// on this very machine"
    try:
        parts = urlsplit(url)
        local = parts.scheme == "http" and _is_loopback(parts.hostname)
        proper = parts.port != 0 and url.isascii() and url.isprintable() and " " not in url
    except ValueError:
        raise UsageError(f"--from: the URL is malformed; {expected}") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"--from: the URL holds a user name or password; {expected}")
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return parts
    if proper and parts.hostname and (parts.scheme == "https" or local):
        return parts
    raise UsageError(f"--from {redact(url[:200])!a}: {expected}")


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to https: only, whatever the first URL was."""

    def redirect_request(  # noqa: PLR0917 - the signature is inherited
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme != "https":
            fp.close()
            places = f"{redact(req.full_url)} leads to {redact(newurl[:200])}"
            raise DownloadError(f"{places}, which is not https://; not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opened(url: str, parts: SplitResult) -> AbstractContextManager[_Readable]:
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        try:
            return path.open("rb")
        except OSError as error:
            raise UnavailableError(f"{path} cannot be read: {error.strerror}") from error
    try:
        response: AbstractContextManager[_Readable] = _opener(parts).open(
            Request(url, headers={"User-Agent": "faceanond"}),  # noqa: S310 - the scheme was checked
            timeout=SILENCE,
        )
    except HTTPError as error:
        error.close()
        raise DownloadError(f"{redact(url)} answers {_status(error.code)}; {_ELSEWHERE}") from error
    except (URLError, OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{redact(url)} cannot be reached: {_reason(error)}; {_ELSEWHERE}") from error
    return response


_ELSEWHERE = "check the network, or bring the file here by other means and name it with --from file:///PATH/OF/THE/FILE"


def _status(code: int) -> str:
    """The code with its standard phrase: the server's own words may hold anything."""
    return f"{code} {HTTPStatus(code).phrase}" if code in set(HTTPStatus) else str(code)


def _opener(parts: SplitResult) -> OpenerDirector:
    if parts.scheme == "http":  # this very machine: no proxy stands in between
        return build_opener(ProxyHandler({}), _Redirects())
    return build_opener(_Redirects())


def _piece(source: _Readable, place: str, most: int) -> bytes:
    try:
        return source.read1(min(_CHUNK, most))
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{place} broke off: {_reason(error)}; try again") from error


def _reason(error: Exception) -> str:
    """What went wrong, on one line."""
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {SILENCE:g} s"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return " ".join(text.split())[:200] or type(cause).__name__


class _Landing:
    """A file beside the target, which takes its place only when `keep` is called, and goes otherwise."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._file: IO[bytes] | None = None
        self._path: Path | None = None

    def __enter__(self) -> _Landing:
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            handle, name = tempfile.mkstemp(dir=self._target.parent, prefix=f".{self._target.name}.")
        except OSError as error:
            raise UnavailableError(
                f"{self._target} cannot be written: {error.strerror}; name a folder of yours in XDG_DATA_HOME"
            ) from error
        self._file, self._path = os.fdopen(handle, "wb"), Path(name)
        return self

    def write(self, piece: bytes) -> None:
        assert self._file is not None
        try:
            self._file.write(piece)
        except OSError as error:
            raise self._failed(error) from error

    def keep(self) -> None:
        """Puts the file in its place, for good: also after a power cut it is whole or not there."""
        assert self._file is not None
        assert self._path is not None
        try:
            self._file.flush()
            os.fchmod(self._file.fileno(), 0o644)  # public weights; the service may run as another user
            os.fsync(self._file.fileno())
            self._path.replace(self._target)
            self._path = None
            folder = os.open(self._target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._failed(error) from error

    def __exit__(self, *details: object) -> None:
        assert self._file is not None
        try:
            self._file.close()
        except OSError:  # a full disk may show only now; the file goes anyway
            pass
        finally:
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> DownloadError:
        return DownloadError(f"{self._target} cannot be written: {error.strerror}; nothing was kept")
