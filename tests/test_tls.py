"""A listener's certificate: every way in which it can be wrong is told, and a renewed one is taken over."""

from __future__ import annotations

import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from faceanond.tls import CertificateError, ServerCertificate, loaded, problems, validity, warnings
from tests import certificates


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return certificates.make(tmp_path)


def handshake(context: ssl.SSLContext, trusted: Path, host: str | None, **client: ssl.TLSVersion) -> bytes:
    """The certificate that a client gets, in DER form, without any socket."""
    theirs = ssl.create_default_context(cafile=str(trusted))
    theirs.check_hostname = host is not None
    for name, value in client.items():
        setattr(theirs, name, value)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    visitor = theirs.wrap_bio(to_client, to_server, server_hostname=host)
    for _ in range(4):
        for side in (visitor, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = visitor.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


@pytest.mark.parametrize("host", ["localhost", None])
def test_a_renewed_certificate_is_for_the_next_connection(
    tmp_path: Path, files: tuple[Path, Path], host: str | None
) -> None:
    certificate = ServerCertificate(*files)
    listening = certificate.context
    first = handshake(listening, files[0], host)
    assert certificate.reload() is False
    for old, new in zip(files, certificates.make(tmp_path, "new"), strict=True):
        shutil.move(new, old)
    assert certificate.reload() is True
    assert certificate.reload() is False
    assert handshake(listening, files[0], host) != first


def test_a_broken_renewal_is_told_once_and_the_old_certificate_stays(tmp_path: Path, files: tuple[Path, Path]) -> None:
    certificate = ServerCertificate(*files)
    kept = shutil.copy(files[0], tmp_path / "kept.pem")
    first = handshake(certificate.context, kept, "localhost")
    shutil.move(certificates.make(tmp_path, "new")[0], files[0])  # its key is not there yet
    with pytest.raises(CertificateError, match="does not belong to the certificate"):
        certificate.reload()
    assert certificate.reload() is False
    assert handshake(certificate.context, kept, "localhost") == first
    shutil.move(tmp_path / "new.key", files[1])
    assert certificate.reload() is True


def test_old_versions_of_tls_are_refused(files: tuple[Path, Path]) -> None:
    context = ServerCertificate(*files).context
    handshake(context, files[0], "localhost", maximum_version=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(ssl.SSLError), pytest.warns(DeprecationWarning, match="TLSVersion.TLSv1_1 is deprecated"):
        handshake(context, files[0], "localhost", maximum_version=ssl.TLSVersion.TLSv1_1)


@pytest.mark.parametrize(
    ("broken", "key", "message"),
    [
        ("no certificate", "certificate", "server.pem does not exist"),
        ("no key", "key", "the private key .*server.key does not exist"),
        ("a folder", "key", "is no file"),
        ("text", "certificate", "holds no certificate in PEM form"),
        ("text for a key", "key", "holds no usable private key in PEM form"),
        ("another's key", "key", "does not belong to the certificate"),
        ("a passphrase", "key", "is encrypted; store it without a passphrase"),
    ],
)
def test_what_is_wrong_names_the_setting_and_the_file(tmp_path: Path, broken: str, key: str, message: str) -> None:
    certificate, private = certificates.make(tmp_path, passphrase=b"hunter2" if broken == "a passphrase" else None)
    match broken:
        case "no certificate":
            certificate.unlink()
        case "no key":
            private.unlink()
        case "a folder":
            private.unlink()
            private.mkdir()
        case "text":
            certificate.write_text("hello")
        case "text for a key":
            private.write_text("hello")
        case "another's key":
            shutil.move(certificates.make(tmp_path, "other")[1], private)
    with pytest.raises(CertificateError, match=message) as caught:
        ServerCertificate(certificate, private)
    assert caught.value.key == key
    assert [place for place, _ in problems(certificate, private)] == [key]


def test_one_file_may_hold_both(files: tuple[Path, Path]) -> None:
    files[0].write_bytes(files[0].read_bytes() + files[1].read_bytes())
    assert loaded(files[0], files[0])


NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("begins", "days", "problem", "warning"),
    [
        (-1, 90, None, None),
        (-80, 90, None, "expires on 2026-06-11; whatever renews it seems not to work"),
        (-100, 90, "is expired on 2026-05-22; renew it", None),
        (3, 90, "is not valid before 2026-06-04; renew it", None),
    ],
)
def test_a_certificate_out_of_its_time_is_a_problem_and_one_near_its_end_a_warning(
    tmp_path: Path, begins: int, days: int, problem: str | None, warning: str | None
) -> None:
    files = certificates.make(tmp_path, begins=NOW + timedelta(days=begins), days=days)
    assert [text.partition("server.pem ")[2] for _, text in problems(*files, NOW)] == [problem] * bool(problem)
    assert [text.partition("server.pem ")[2] for _, text in warnings(*files, NOW)] == [warning] * bool(warning)


def test_validity_is_that_of_the_first_certificate(tmp_path: Path, files: tuple[Path, Path]) -> None:
    issuer, _ = certificates.make(tmp_path, "issuer", days=9000)
    files[0].write_bytes(files[0].read_bytes() + issuer.read_bytes())
    assert validity(files[0]).ends < datetime.now(UTC) + timedelta(days=100)
