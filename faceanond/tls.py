"""The certificate of a listener: loaded with clear errors, looked at by `check`, and renewed without a restart.

Certificates are renewed every few weeks by other programs, which write new files. `ServerCertificate.reload` takes
those over; connections that are open keep what they began with.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509

from faceanond import permissions
from faceanond.clock import Clock
from faceanond.errors import FaceanondError, UnavailableError

log = structlog.get_logger(__name__)

EXPIRES_SOON = timedelta(days=14)
"""Before which a renewal should have happened: programs that renew do so 20 to 30 days before the end."""
LARGEST = 1024 * 1024
"""Bytes of a certificate's file that are read; a long chain has 20 thousand."""
RENEWAL_INTERVAL = 60.0
"""Seconds between two looks for a renewed certificate."""


class CertificateError(FaceanondError):
    """The files do not make a usable certificate. `key` says which setting to look at: "certificate" or "key"."""

    def __init__(self, key: str, message: str) -> None:
        self.key = key
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate is good."""

    begins: datetime
    ends: datetime

    def complaint(self, now: datetime) -> str | None:
        """Why clients will refuse it now."""
        if now > self.ends:
            return f"expired on {self.ends:%Y-%m-%d}"
        return f"not valid before {self.begins:%Y-%m-%d}" if now < self.begins else None

    def warning(self, now: datetime) -> str | None:
        """That it will soon be refused."""
        soon = timedelta() <= self.ends - now < EXPIRES_SOON
        return f"expires on {self.ends:%Y-%m-%d}" if soon else None


class ServerCertificate:
    """A certificate chain and its key, from two files (which may be the same). Blocks on files.

    `context` is for listeners and stays the same object: it lets every new connection have the latest certificate.
    Raises CertificateError at first and at `reload`, which changes nothing then.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._marks()
        self._latest = loaded(certificate, key)
        self.context = loaded(certificate, key)
        self.context.sni_callback = self._choose

    def reload(self) -> bool:
        """Takes over files that have changed since; whether there were any. A failed attempt is not repeated until
        they change again."""
        marks = self._marks()
        if marks == self._seen:
            return False
        self._seen = marks
        self._latest = loaded(self._certificate, self._key)
        return True

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called by OpenSSL at the start of each handshake, also when the client names no host."""
        connection.context = self._latest

    def _marks(self) -> tuple[tuple[int, ...], ...]:
        return tuple(_mark(path) for path in (self._certificate, self._key))


async def opened(certificate: str, key: str, *, table: str) -> ServerCertificate:
    """The certificate of these two files, which are settings of `table`. Raises UnavailableError."""
    try:
        return await asyncio.to_thread(ServerCertificate, Path(certificate), Path(key))
    except CertificateError as error:
        raise UnavailableError(f"{table}.{error.key}: {error}") from None


async def renew(certificate: ServerCertificate, *, table: str, clock: Clock) -> None:
    """Until cancelled, takes over renewed files."""
    while True:
        await clock.sleep(RENEWAL_INTERVAL)
        try:
            if await asyncio.to_thread(certificate.reload):
                log.info("certificate renewed", listener=table)
        except CertificateError as error:
            log.error("certificate not renewed", key=f"{table}.{error.key}", reason=str(error))


def loaded(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context for servers with that certificate: TLS 1.2 or later. Raises CertificateError; blocks."""
    for name, path in (("certificate", certificate), ("key", key)):
        _read(name, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # A password is never asked for: that would read from the terminal, or hang.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise _explained(error, certificate, key) from None
    return context


def validity(certificate: Path) -> Validity:
    """When the certificate (the first of its file) is good. Raises CertificateError; blocks."""
    try:
        first = x509.load_pem_x509_certificate(_read("certificate", certificate))
    except ValueError:
        raise CertificateError("certificate", f"{certificate} holds no certificate in PEM form") from None
    return Validity(first.not_valid_before_utc, first.not_valid_after_utc)


def problems(certificate: Path, key: Path, now: datetime | None = None) -> Iterator[tuple[str, str]]:
    """What would keep clients from connecting now: (setting, sentence). Blocks."""
    try:
        loaded(certificate, key)
        complaint = validity(certificate).complaint(now or datetime.now(UTC))
    except CertificateError as error:
        yield error.key, str(error)
        return
    if complaint:
        yield "certificate", f"the certificate {certificate} is {complaint}; renew it"


def warnings(certificate: Path, key: Path, now: datetime | None = None) -> Iterator[tuple[str, str]]:
    """What will keep them soon, and a key that is no secret. Silent about what `problems` tells. Blocks."""
    if complaint := permissions.complaint(key, "the private key"):
        yield "key", f"{complaint}; the service's user or group must own it then"
    try:
        warning = validity(certificate).warning(now or datetime.now(UTC))
    except CertificateError:
        return
    if warning:
        yield "certificate", f"the certificate {certificate} {warning}; whatever renews it seems not to work"


def _read(name: str, path: Path) -> bytes:
    what = "certificate" if name == "certificate" else "private key"
    try:
        if path.exists() and not path.is_file():
            raise CertificateError(name, f"{path} is no file; expected the {what} in PEM form")
        with path.open("rb") as stream:
            return stream.read(LARGEST)
    except FileNotFoundError:
        raise CertificateError(name, f"the {what} {path} does not exist") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "bad path"
        raise CertificateError(name, f"the {what} {path} cannot be read: {reason}") from None


def _explained(error: Exception, certificate: Path, key: Path) -> CertificateError:
    reason = getattr(error, "reason", None) or ""
    if reason == "KEY_VALUES_MISMATCH":
        return CertificateError("key", f"the private key {key} does not belong to the certificate {certificate}")
    try:
        validity(certificate)
    except CertificateError as broken:
        return broken
    if b"ENCRYPTED" in _read("key", key):
        return CertificateError("key", f"the private key {key} is encrypted; store it without a passphrase")
    if reason in ("EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
        return CertificateError("certificate", f"the certificate {certificate} is too weak ({reason}); make a new one")
    return CertificateError("key", f"{key} holds no usable private key in PEM form")


def _mark(path: Path) -> tuple[int, ...]:
    """What changes when a file is written or replaced."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return ()
    return state.st_mtime_ns, state.st_size, state.st_ino
