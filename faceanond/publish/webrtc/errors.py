"""What can go wrong between a viewer's offer and its answer; the web application turns each into one status code."""

from __future__ import annotations

from faceanond.errors import FaceanondError


class OfferError(FaceanondError):
    """An offer got no answer. `str()` says why, in words for the viewer."""


class MalformedOfferError(OfferError):
    """The offer is not a session description that can be read (HTTP 400)."""


class UnsupportedOfferError(OfferError):
    """The offer is readable but asks for something that is not served here (HTTP 406)."""


class NoStreamError(OfferError):
    """The camera has no stream to watch now, for instance because it is disabled (HTTP 409)."""


class TooManyViewersError(OfferError):
    """Every place is taken (HTTP 503); worth trying again after `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: int = 10) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class NoFreePortError(TooManyViewersError):
    """Every port of `webrtc.udp_ports` is in use."""


class NoAddressError(OfferError):
    """There is no address of ours that a viewer may be told (HTTP 503)."""
