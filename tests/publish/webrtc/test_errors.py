from __future__ import annotations

from faceanond.publish.webrtc import errors


def test_every_refusal_is_an_offer_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__name__.endswith("Error")]
    assert len(kinds) == 8  # with FaceanondError
    assert all(issubclass(kind, errors.OfferError) for kind in kinds if kind.__module__ == errors.__name__)


def test_a_missing_port_reads_as_a_missing_place() -> None:
    error = errors.NoFreePortError("no UDP port is free")
    assert isinstance(error, errors.TooManyViewersError)
    assert error.retry_after > 0
