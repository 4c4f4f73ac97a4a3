from __future__ import annotations

import pytest

from faceanond.config.model import Http
from faceanond.publish.webrtc.errors import (
    MalformedOfferError,
    NoStreamError,
    OfferError,
    TooManyViewersError,
    UnsupportedOfferError,
)
from faceanond.web.limit import BURST
from faceanond.web.whep import LARGEST_OFFER
from tests.conftest import FakeClock
from tests.web.client import Answering, serving

OFFER = {"Content-Type": "application/sdp"}


async def test_an_offer_is_answered_with_a_session_to_end() -> None:
    whep = Answering()
    async with serving(whep=whep) as client:
        async with client.post("/whep/lobby", data="v=0\r\n", headers=OFFER) as response:
            assert response.status == 201
            assert response.content_type == "application/sdp"
            assert response.headers["ETag"]
            location = response.headers["Location"]
            assert await response.text() == "v=0\r\n"
        assert location == "/whep/lobby/s3cret"
        assert whep.offers == [("lobby", "v=0\r\n", "127.0.0.1")]
        async with client.delete(location) as response:
            assert response.status == 204
        async with client.delete(location) as response:
            assert response.status == 404


async def test_a_session_cannot_be_ended_at_another_camera() -> None:
    async with serving() as client, client.delete("/whep/yard/s3cret") as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (MalformedOfferError("no"), 400, None),
        (UnsupportedOfferError("no"), 406, None),
        (NoStreamError("no"), 409, "5"),
        (TooManyViewersError("no", retry_after=7), 503, "7"),
        (OfferError("no"), 503, "5"),
    ],
)
async def test_each_refusal_has_its_status(error: OfferError, status: int, retry: str | None) -> None:
    async with (
        serving(whep=Answering(error)) as client,
        client.post("/whep/lobby", data="v=0", headers=OFFER) as response,
    ):
        assert response.status == status
        assert (await response.json())["detail"] == "no"
        assert response.headers.get("Retry-After") == retry


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/whep/attic", OFFER, 404),
        ("/whep/lobby", {"Content-Type": "application/json"}, 415),
        ("/whep/lobby", {**OFFER, "Accept": "application/json, text/*"}, 406),
        ("/whep/lobby", {**OFFER, "Accept": "application/sdp;q=0"}, 406),
        ("/whep/lobby", {**OFFER, "Accept": "text/html, application/sdp;q=0.5"}, 201),
        ("/whep/lobby", {**OFFER, "Accept": "*/*"}, 201),
    ],
)
async def test_a_request_is_judged_before_its_body(path: str, headers: dict[str, str], status: int) -> None:
    async with serving() as client, client.post(path, data=b"v=0", headers=headers) as response:
        assert response.status == status


async def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    whep = Answering()
    async with serving(whep=whep) as client:
        async with client.post("/whep/lobby", data=b"v" * (LARGEST_OFFER + 1), headers=OFFER) as response:
            assert response.status == 413
        assert whep.offers == []


async def test_a_body_that_is_not_text_is_a_bad_request() -> None:
    async with serving() as client, client.post("/whep/lobby", data=b"\xff\xfe", headers=OFFER) as response:
        assert response.status == 400


async def test_too_many_offers_from_one_address_are_slowed_down(clock: FakeClock) -> None:
    async with serving(clock=clock) as client:
        for _ in range(BURST):
            async with client.post("/whep/lobby", data="v=0", headers=OFFER) as response:
                assert response.status == 201
        async with client.post("/whep/lobby", data="v=0", headers=OFFER) as response:
            assert response.status == 429
            wait = int(response.headers["Retry-After"])
        await clock.advance(wait)
        async with client.post("/whep/lobby", data="v=0", headers=OFFER) as response:
            assert response.status == 201


async def test_trickle_ice_is_refused_as_the_standard_says() -> None:
    async with serving() as client, client.patch("/whep/lobby/s3cret", data="a=ice-ufrag:x") as response:
        assert response.status == 405
        assert set(response.headers["Allow"].split(",")) == {"DELETE", "OPTIONS"}


@pytest.mark.parametrize(("path", "methods"), [("/whep/lobby", "POST, OPTIONS"), ("/whep/lobby/x", "DELETE, OPTIONS")])
async def test_only_a_configured_origin_is_told_what_it_may_do(path: str, methods: str) -> None:
    async with serving(settings=Http(allowed_origins=("https://wall.example",))) as client:
        async with client.options(path, headers={"Origin": "https://wall.example"}) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "https://wall.example"
            assert response.headers["Access-Control-Allow-Methods"] == methods
        async with client.options(path, headers={"Origin": "https://evil.example"}) as response:
            assert response.status == 204
            assert not [name for name in response.headers if name.startswith("Access-Control")]
