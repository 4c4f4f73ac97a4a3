from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiortc import RTCCertificate, RTCPeerConnection
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from faceanond.publish.webrtc import dtls
from tests.publish.webrtc.feed import live, viewer


class RsaCertificate(RTCCertificate):
    """As GStreamer and other native players have it. Such a peer must be the DTLS server, since we are the client."""

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> Any:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
        return context


def rsa_certificate() -> RsaCertificate:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "player")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    return RsaCertificate(key=key, cert=builder.sign(key, hashes.SHA256()))  # type: ignore[arg-type]


async def test_a_player_with_an_rsa_certificate_sees_the_camera() -> None:
    async with live("lobby") as (service, _), viewer() as one:
        transport = one.transceiver.receiver.transport
        transport._RTCDtlsTransport__local_certificate = rsa_certificate()  # type: ignore[attr-defined]
        answer = await one.join(service, "lobby")
        assert "a=setup:active" in answer.sdp.splitlines()
        assert (await one.picture()).width == 320


async def test_the_certificate_stays_the_one_that_the_connection_made() -> None:
    connection = RTCPeerConnection()
    (own,) = connection._RTCPeerConnection__certificates  # type: ignore[attr-defined]
    dtls.adopt(connection)
    (ours,) = connection._RTCPeerConnection__certificates  # type: ignore[attr-defined]
    assert ours.getFingerprints() == own.getFingerprints()
    await connection.close()


@pytest.mark.parametrize("weak", [b"NULL", b"RC4", b"3DES", b"ADH", b"MD5", b"EXP"])
def test_no_cipher_is_weak(weak: bytes) -> None:
    assert weak not in dtls.CIPHERS
    assert all(cipher.startswith(b"ECDHE-") for cipher in dtls.CIPHERS.split(b":"))
