from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from faceanond.config.model import Http, IceServer
from faceanond.publish.webrtc.errors import (
    MalformedOfferError,
    NoStreamError,
    OfferError,
    TooManyViewersError,
    UnsupportedOfferError,
)
from faceanond.shares import OverShareError
from faceanond.web.limit import BURST
from faceanond.web.whep import FRAGMENT, LARGEST_OFFER
from tests.conftest import FakeClock
from tests.web.client import Answering, Client, serving

OFFER = {"Content-Type": "application/sdp"}


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
async def test_the_way_between_a_proxy_and_us_is_not_taken_for_the_viewers(header: str) -> None:
    whep = Answering()
    async with serving(whep=whep) as client:
        async with client.post("/whep/lobby", data="v=0\r\n", headers={**OFFER, header: "192.0.2.1"}) as response:
            assert response.status == 201
        assert whep.offers == [("lobby", "v=0\r\n", None)]
        assert whep.remotes == [None]
        assert whep.clients == ["127.0.0.1"], "for the log, where anybody could write another one into that header"


async def test_an_offer_is_answered_with_a_session_to_end() -> None:
    whep = Answering()
    async with serving(whep=whep) as client:
        async with client.post("/whep/lobby", data="v=0\r\n", headers=OFFER) as response:
            assert response.status == 201
            assert response.content_type == "application/sdp"
            assert response.headers["ETag"].strip('"')
            assert response.headers["Accept-Patch"] == FRAGMENT
            location = response.headers["Location"]
            assert await response.text() == "v=0\r\n"
        assert location == "/whep/lobby/s3cret"
        assert whep.offers == [("lobby", "v=0\r\n", "127.0.0.1")]
        assert whep.remotes == ["127.0.0.1"]
        for _ in range(2):
            async with client.delete(location) as response:
                assert response.status == 200
                assert await response.read() == b""
        async with client.delete("/whep/lobby/another") as response:
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
        (OverShareError("guard", 3), 429, "12"),
        (OfferError("no"), 503, "5"),
    ],
)
async def test_each_refusal_has_its_status(error: OfferError | OverShareError, status: int, retry: str | None) -> None:
    async with (
        serving(whep=Answering(error)) as client,
        client.post("/whep/lobby", data="v=0", headers=OFFER) as response,
    ):
        assert response.status == status
        assert (await response.json())["detail"] == str(error)
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


@pytest.fixture
async def trickling() -> AsyncIterator[tuple[Client, Answering, str]]:
    """A client with a session, and the session's entity tag."""
    whep = Answering()
    async with serving(whep=whep) as client:
        async with client.post("/whep/lobby", data="v=0", headers=OFFER) as response:
            tag = response.headers["ETag"]
        yield client, whep, tag


@pytest.mark.parametrize("match", ["", "*", '"*"', '"other", '])
async def test_candidates_that_come_after_the_offer_are_passed_on(
    trickling: tuple[Client, Answering, str], match: str
) -> None:
    client, whep, tag = trickling
    headers = {"Content-Type": FRAGMENT, "If-Match": match if "*" in match else match + tag}
    async with client.patch("/whep/lobby/s3cret", data="a=candidate:1\r\n", headers=headers) as response:
        assert response.status == 204
        assert "ETag" not in response.headers
    assert whep.fragments == ["a=candidate:1\r\n"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/whep/lobby/other", {"Content-Type": FRAGMENT, "If-Match": "*"}, 404),
        ("/whep/yard/s3cret", {"Content-Type": FRAGMENT, "If-Match": "*"}, 404),
        ("/whep/lobby/s3cret", {"Content-Type": "application/sdp", "If-Match": "*"}, 415),
        ("/whep/lobby/s3cret", {"Content-Type": FRAGMENT}, 428),
        ("/whep/lobby/s3cret", {"Content-Type": FRAGMENT, "If-Match": "unquoted"}, 428),
        ("/whep/lobby/s3cret", {"Content-Type": FRAGMENT, "If-Match": '"another"'}, 412),
    ],
)
async def test_a_fragment_that_does_not_belong_here_is_refused(
    trickling: tuple[Client, Answering, str], path: str, headers: dict[str, str], status: int
) -> None:
    client, whep, _ = trickling
    async with client.patch(path, data="a=candidate:1", headers=headers) as response:
        assert response.status == status
        assert (response.headers.get("Accept-Patch") == FRAGMENT) is (status == 415)
    assert whep.fragments == []


async def test_a_weak_tag_matches_no_session(trickling: tuple[Client, Answering, str]) -> None:
    client, _, tag = trickling
    headers = {"Content-Type": FRAGMENT, "If-Match": f"W/{tag}"}
    async with client.patch("/whep/lobby/s3cret", data="a=candidate:1", headers=headers) as response:
        assert response.status == 412


@pytest.mark.parametrize(("error", "status"), [(UnsupportedOfferError("no"), 422), (MalformedOfferError("no"), 400)])
async def test_an_ice_restart_is_refused_as_the_draft_says(
    trickling: tuple[Client, Answering, str], error: OfferError, status: int
) -> None:
    client, whep, tag = trickling
    whep.error = error
    headers = {"Content-Type": FRAGMENT, "If-Match": tag}
    async with client.patch("/whep/lobby/s3cret", data="a=ice-ufrag:new1", headers=headers) as response:
        assert response.status == status
    assert whep.has("s3cret", camera="lobby")


async def test_too_many_fragments_from_one_address_are_slowed_down(clock: FakeClock) -> None:
    headers = {"Content-Type": FRAGMENT, "If-Match": "*"}
    async with serving(clock=clock) as client:
        for _ in range(BURST):
            async with client.patch("/whep/lobby/s3cret", data="a=x", headers=headers) as response:
                assert response.status == 204
        async with client.patch("/whep/lobby/s3cret", data="a=x", headers=headers) as response:
            assert response.status == 429
        async with client.post("/whep/lobby", data="v=0", headers=OFFER) as response:
            assert response.status == 201


async def test_a_player_recognises_the_endpoint_by_its_media_type() -> None:
    async with serving() as client:
        for method in ("HEAD", "GET"):
            async with client.request(method, "/whep/lobby") as response:
                assert (response.status, response.content_type) == (200, "application/sdp")
                assert await response.read() == b""
            async with client.request(method, "/whep/attic") as response:
                assert response.status == 404
            async with client.request(method, "/whep/lobby/s3cret") as response:
                assert (response.status, await response.read()) == (200, b"")
            async with client.request(method, "/whep/lobby/guess") as response:
                assert response.status == 404


async def test_players_are_told_of_the_ice_servers() -> None:
    servers = (
        IceServer(urls=("stun:stun.example:3478",)),
        IceServer(urls=("turn:turn.example?transport=udp", "turns:turn.example"), username='a"b', credential="c\\d"),
    )
    login = '; rel="ice-server"; username="a\\"b"; credential="c\\\\d"; credential-type="password"'
    links = [
        '<stun:stun.example:3478>; rel="ice-server"',
        "<turn:turn.example?transport=udp>" + login,
        "<turns:turn.example>" + login,
    ]
    question = {"Origin": "https://wall.example", "Access-Control-Request-Method": "POST"}
    async with serving(ice_servers=servers, settings=Http(allowed_origins=("https://wall.example",))) as client:
        async with client.post("/whep/lobby", data="v=0", headers=OFFER) as response:
            assert response.headers.getall("Link") == links
        async with client.options("/whep/lobby") as response:
            assert response.headers.getall("Link") == links
        async with client.options("/whep/lobby", headers=question) as response:
            assert "Link" not in response.headers, "nobody has logged in for a preflight"


async def test_a_secret_that_no_header_can_carry_is_kept() -> None:
    server = IceServer(urls=("turn:turn.example",), username="a", credential="b\r\nSet-Cookie: x=y")
    async with (
        serving(ice_servers=(server,)) as client,
        client.post("/whep/lobby", data="v=0", headers=OFFER) as response,
    ):
        assert response.status == 201
        assert "Link" not in response.headers


@pytest.mark.parametrize(
    ("path", "methods", "accepted"),
    [
        ("/whep/lobby", "GET, HEAD, POST, OPTIONS", "Accept-Post"),
        ("/whep/lobby/x", "GET, HEAD, PATCH, DELETE, OPTIONS", "Accept-Patch"),
    ],
)
async def test_only_a_configured_origin_is_told_what_it_may_do(path: str, methods: str, accepted: str) -> None:
    question = {"Access-Control-Request-Method": "POST"}
    async with serving(settings=Http(allowed_origins=("https://wall.example",))) as client:
        async with client.options(path, headers={**question, "Origin": "https://wall.example"}) as response:
            assert response.status == 200
            assert response.headers["Allow"] == methods
            assert response.headers[accepted]
            assert response.headers["Access-Control-Allow-Origin"] == "https://wall.example"
            assert response.headers["Access-Control-Allow-Methods"] == methods
            assert response.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type, If-Match"
        async with client.options(path, headers={**question, "Origin": "https://evil.example"}) as response:
            assert response.status == 200
            assert not [name for name in response.headers if name.startswith("Access-Control")]
