from __future__ import annotations

import pytest

from faceanond.config.model import Http
from faceanond.web.guard import HEADERS, host_of, is_loopback
from tests.web.client import Answering, serving
from tests.web.standin import Camera

OFFER = {"Content-Type": "application/sdp"}
PARTNER = "https://wall.example"


@pytest.mark.parametrize("path", ["/", "/api/cameras", "/nothing", "/static/style.css"])
async def test_every_answer_carries_the_security_headers_and_no_banner(path: str) -> None:
    async with serving() as client, client.get(path) as response:
        assert {name: response.headers[name] for name in HEADERS} == HEADERS
        assert "Server" not in response.headers
        assert "unsafe" not in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:80", "127.8.8.8", "[::1]:8080", "localhost."]
)
async def test_a_loopback_listener_answers_to_its_own_names(host: str) -> None:
    async with serving() as client, client.get("/api/version", headers={"Host": host}) as response:
        assert response.status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.0.2.1", "127.0.0.1.nip.example"])
async def test_a_rebound_name_is_misdirected(host: str) -> None:
    async with serving() as client, client.get("/api/cameras", headers={"Host": host}) as response:
        assert response.status == 421
        assert "allowed_origins" in (await response.json())["detail"]


@pytest.mark.parametrize("host", ["", "[", "[::1", "a:b:c@"])
async def test_a_host_header_that_is_none_is_a_bad_request(host: str) -> None:
    async with serving() as client, client.get("/", headers={"Host": host}) as response:
        assert response.status in (400, 421)


async def test_the_name_of_a_reverse_proxy_is_served_when_configured() -> None:
    settings = Http(allowed_origins=("https://cameras.example",))
    async with (
        serving(settings=settings) as client,
        client.get("/api/version", headers={"Host": "cameras.example"}) as response,
    ):
        assert response.status == 200


EVERYBODY = Http(listen=("0.0.0.0", 8080), allowed_origins=("https://cameras.example",))


@pytest.mark.parametrize(
    "host",
    ["192.0.2.7:8080", "[2001:db8::7]", "cams.lan", "nas.local:8080", "faceanond:8080", "Cams.LAN.", "cameras.example"],
)
async def test_a_listener_for_everybody_answers_to_addresses_and_local_names(host: str) -> None:
    async with serving(settings=EVERYBODY) as client, client.get("/api/version", headers={"Host": host}) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "local.evil.example:8080", "192.0.2.7.nip.example", "evillan.example"]
)
async def test_without_viewers_a_rebound_name_shows_nothing_of_a_local_network(host: str) -> None:
    async with serving(settings=EVERYBODY) as client, client.get("/api/cameras", headers={"Host": host}) as response:
        assert response.status == 421
        assert "[viewers]" in (await response.json())["detail"]


async def test_where_a_password_is_asked_for_every_name_will_do() -> None:
    viewers = '[viewers.guard]\ntoken = "guards-token-of-16"\n'
    headers = {"Host": "cams.example.org", "Authorization": "Bearer guards-token-of-16"}
    async with (
        serving(settings=EVERYBODY, viewers=viewers) as client,
        client.get("/", headers=headers) as response,
    ):
        assert response.status == 200


async def test_a_page_of_another_origin_gets_no_video() -> None:
    whep = Answering()
    async with serving(whep=whep) as client:
        headers = {**OFFER, "Origin": "https://evil.example"}
        async with client.post("/whep/lobby", data="v=0", headers=headers) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers
        assert whep.offers == []


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 201), (None, 201)]
)
async def test_a_browser_that_names_no_origin_says_whether_the_page_is_foreign(site: str | None, status: int) -> None:
    headers = {**OFFER, "Sec-Fetch-Site": site} if site else OFFER
    async with serving() as client:
        async with client.post("/whep/lobby", data="v=0", headers=headers) as response:
            assert response.status == status
        async with client.get("/api/version", headers=headers) as response:
            assert response.status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[", "http://[::1"])
async def test_a_page_of_another_origin_can_open_no_websocket(origin: str) -> None:
    headers = {"Origin": origin, "Connection": "Upgrade", "Upgrade": "WebSocket"}
    async with serving() as client, client.get("/cameras/lobby/stream.ws", headers=headers) as response:
        assert response.status == 403


@pytest.mark.parametrize("path", ["/api/cameras", "/cameras/lobby/snapshot.jpg", "/nothing"])
async def test_a_configured_origin_may_ask_with_a_token_for_what_is_read(path: str) -> None:
    question = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with serving(settings=Http(allowed_origins=(PARTNER,))) as client:
        async with client.options(path, headers={**question, "Origin": PARTNER}) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        async with client.options(path, headers={**question, "Origin": "https://evil.example"}) as response:
            assert not [name for name in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("origin", ["http://[::1", "http://[", "//", "null"])
async def test_an_origin_that_is_none_is_another_one(origin: str) -> None:
    async with serving() as client, client.post("/whep/yard", headers={**OFFER, "Origin": origin}) as response:
        assert response.status == 403


async def test_our_own_page_does() -> None:
    async with serving() as client:
        headers = {**OFFER, "Origin": str(client.make_url("/")).rstrip("/")}
        async with client.post("/whep/lobby", data="v=0", headers=headers) as response:
            assert response.status == 201


async def test_a_configured_origin_may_watch_and_see_where_its_session_is() -> None:
    async with (
        serving(settings=Http(allowed_origins=(PARTNER,))) as client,
        client.post("/whep/lobby", data="v=0", headers={**OFFER, "Origin": PARTNER}) as response,
    ):
        assert response.status == 201
        assert response.headers["Access-Control-Allow-Origin"] == PARTNER
        assert "Location" in response.headers["Access-Control-Expose-Headers"]
        assert response.headers["Vary"] == "Origin"


async def test_what_nobody_foresaw_is_a_json_500_that_tells_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Camera):
        async def snapshot(self) -> bytes:
            raise RuntimeError("the password is hunter2")

    async with serving(Broken("lobby")) as client, client.get("/cameras/lobby/snapshot.jpg") as response:
        assert response.status == 500
        assert "hunter2" not in await response.text()
    assert "request failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("authority", "host"),
    [("A.b:80", "a.b"), ("[::1]:8080", "::1"), ("", None), ("[", None), ("localhost.", "localhost")],
)
def test_a_host_is_read_without_port_and_brackets(authority: str, host: str | None) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.1.2.3", True), ("::1", True), ("", False), ("0.0.0.0", False), ("cams", False)],
)
def test_loopback_is_recognised(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
