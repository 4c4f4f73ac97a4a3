"""Our end of DTLS, where aiortc is narrower than it needs to be.

aiortc makes an ECDSA certificate, and talks only to peers that have one, too. Browsers do; GStreamer's and other native
players have RSA certificates. What a certificate is signed with does not matter here: it proves nothing but that it
has the fingerprint of the offer, which aiortc compares. So the RSA variants of the same ciphers are allowed besides.
"""

from __future__ import annotations

from typing import Any

from aiortc import RTCCertificate, RTCPeerConnection

CIPHERS = ":".join(
    f"ECDHE-{signature}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
    for signature in ("ECDSA", "RSA")
).encode()
"""The best first. All have forward secrecy."""


class Certificate(RTCCertificate):
    """A fresh certificate, for peers with whichever kind."""

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> Any:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS)
        return context


def adopt(connection: RTCPeerConnection) -> None:
    """Gives a connection that has no transport yet such a certificate in place of its own."""
    (own,) = connection._RTCPeerConnection__certificates  # type: ignore[attr-defined]
    certificate = Certificate(key=own._key, cert=own._cert)
    connection._RTCPeerConnection__certificates = [certificate]  # type: ignore[attr-defined]
