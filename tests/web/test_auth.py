"""Who gets what over HTTP. Every route of the application is asked, so that a new one cannot be forgotten."""

from __future__ import annotations

import base64
import re

import pytest

from faceanond.access import OPEN
from faceanond.config.model import Http
from faceanond.logins import BURST, FailedLogins
from faceanond.status import PushState, PushStatus, RecordState, RecordStatus
from faceanond.web import limit, remembered
from faceanond.web.app import build
from faceanond.web.auth import Right, needed
from tests.conftest import FakeClock
from tests.web.client import Answering, Client, serving
from tests.web.standin import Camera, Cameras, Pulse, Shelf, exposition

VIEWERS = """
[viewers.chief]
password = "chief-password"
token = "chief-token-of-16"
[viewers.guard]
password = "pässword-with:colon"
token = "guard-token-of-16"
cameras = ["lobby"]
[viewers.twin]
token = "twins-token-of-16"
cameras = ["lobby"]
"""
OFFER = {"Content-Type": "application/sdp"}
CHIEF = {"Authorization": "Bearer chief-token-of-16"}
GUARD = {"Authorization": "Bearer guard-token-of-16"}
TWIN = {"Authorization": "Bearer twins-token-of-16"}
OPEN_TO_ALL = {"/healthz", "/readyz", "/static/{file}", "/favicon.ico"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def routes() -> set[tuple[str, str]]:
    """Every (method, template) of the application."""
    app = build(Cameras(), Answering(), Pulse(), exposition, Http(), access=OPEN, recordings=Shelf())
    found = set()
    for route in app.router.routes():
        assert route.resource is not None
        found.add((route.method, route.resource.canonical))
    return found


def filled(template: str, camera: str) -> str:
    return re.sub(r"\{\w+\}", "x", template.replace("{name}", camera))


@pytest.mark.parametrize(("method", "template"), sorted(routes()))
async def test_no_route_answers_without_a_login_but_the_open_ones(method: str, template: str) -> None:
    async with serving(Camera("lobby"), Camera("yard"), viewers=VIEWERS) as client:
        async with client.request(method, filled(template, "lobby")) as response:
            assert (response.status == 401) is (template not in OPEN_TO_ALL)
        async with client.request(method, filled(template, "lobby"), headers=basic("guard", "guess")) as response:
            assert response.status == 401, "wrong credentials are never as good as none"


@pytest.mark.parametrize(("method", "template"), sorted(route for route in routes() if "{name}" in route[1]))
async def test_a_camera_of_others_looks_like_one_that_does_not_exist(method: str, template: str) -> None:
    async with serving(Camera("lobby"), Camera("yard"), viewers=VIEWERS) as client:
        answers = []
        for camera in ("yard", "attic"):
            async with client.request(method, filled(template, camera), headers={**GUARD, **OFFER}) as response:
                answers.append((response.status, await response.read(), sorted(response.headers)))
        assert answers[0] == answers[1]
        assert answers[0][0] == 404


@pytest.mark.parametrize("template", sorted({template for _, template in routes()}))
def test_what_is_neither_about_one_camera_nor_listed_is_for_those_who_see_everything(template: str) -> None:
    expected = {
        "/": Right.LOGIN,
        "/api/cameras": Right.LOGIN,
        "/api/version": Right.EVERYTHING,
        "/metrics": Right.EVERYTHING,
        **dict.fromkeys(OPEN_TO_ALL, Right.NOTHING),
    }
    assert needed(template) is (Right.CAMERA if "{name}" in template else expected[template])


@pytest.mark.parametrize(
    ("template", "right"),
    [
        ("/cameras/{name}/stream.mp4", Right.CAMERA),
        ("/cameras/{name}/stream.ws", Right.CAMERA),
        ("/api/cameras/{name}/recordings", Right.CAMERA),
        ("/api/cameras/{name}/recordings/{file}", Right.CAMERA),
        ("/whep/{name}/{session}", Right.CAMERA),
        ("/cameras/{name}x", Right.EVERYTHING),
        ("/cameras/{camera}/picture", Right.EVERYTHING),
        ("/{name}", Right.EVERYTHING),
        ("/anything/new", Right.EVERYTHING),
        (None, Right.LOGIN),
    ],
)
def test_a_new_route_is_guarded_by_its_shape(template: str | None, right: Right) -> None:
    assert needed(template) is right


@pytest.mark.parametrize(
    "headers", [basic("guard", "pässword-with:colon"), GUARD, {"Authorization": "bearer guard-token-of-16"}]
)
async def test_a_viewer_sees_its_cameras_and_no_others(headers: dict[str, str]) -> None:
    async with serving(Camera("lobby"), Camera("yard"), viewers=VIEWERS) as client:
        async with client.get("/api/cameras", headers=headers) as response:
            assert [camera["name"] for camera in (await response.json())["cameras"]] == ["lobby"]
        for path, status in (
            ("/", 200),
            ("/cameras/lobby", 200),
            ("/cameras/lobby/snapshot.jpg", 200),
            ("/api/cameras/lobby", 200),
            ("/metrics", 403),
            ("/api/version", 403),
            ("/nothing", 404),
        ):
            async with client.get(path, headers=headers) as response:
                assert response.status == status, path


async def test_where_a_camera_is_and_where_it_is_pushed_to_is_for_who_sees_every_camera() -> None:
    camera = Camera(
        "lobby",
        source="rtsp://10.0.0.12/stream1",
        push=PushStatus(state=PushState.UP, since=0.0, url="rtsp://10.0.0.99/lobby"),
        output_bytes={"rtsp": 7, "push_rtsp": 8},
    )
    async with serving(camera, viewers=VIEWERS) as client:
        for path in ("/api/cameras", "/api/cameras/lobby"):
            async with client.get(path, headers=GUARD) as response:
                text = await response.text()
                assert "10.0.0" not in text
                assert '"source": null' in text
                assert '"output_bytes": {"rtsp": 7}' in text
            async with client.get(path, headers=CHIEF) as response:
                text = await response.text()
                assert "rtsp://10.0.0.12/stream1" in text
                assert "rtsp://10.0.0.99/lobby" in text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("rtsp://10.0.0.12/stream1: no answer within 8 s", "no answer within 8 s"),
        ("the stream ended", "the stream ended"),
        ("'rtsp://10.0.0.12/stream1' could not be opened", None),
        ("rtsp://10.0.0.13/other: no answer within 8 s", None),
        (None, None),
    ],
)
async def test_an_error_tells_what_is_wrong_and_not_where(error: str | None, told: str | None) -> None:
    record = RecordStatus(state=RecordState.FAILING, last_error="/srv/recordings cannot be written")
    camera = Camera("lobby", source="rtsp://10.0.0.12/stream1", last_error=error, record=record)
    async with serving(camera, viewers=VIEWERS) as client:
        async with client.get("/api/cameras/lobby", headers=GUARD) as response:
            shown = await response.json()
            assert shown["last_error"] == told
            assert (shown["recording"]["state"], shown["recording"]["last_error"]) == ("failing", None)
        async with client.get("/api/cameras/lobby", headers=CHIEF) as response:
            shown = await response.json()
            assert shown["last_error"] == error
            assert shown["recording"]["last_error"] == "/srv/recordings cannot be written"


@pytest.mark.parametrize("headers", [basic("chief", "chief-password"), CHIEF])
async def test_who_sees_every_camera_sees_the_fleet(headers: dict[str, str]) -> None:
    async with serving(Camera("lobby"), Camera("yard"), viewers=VIEWERS) as client:
        for path in ("/metrics", "/api/version", "/cameras/yard"):
            async with client.get(path, headers=headers) as response:
                assert response.status == 200
        async with client.get("/api/cameras", headers=headers) as response:
            assert len((await response.json())["cameras"]) == 2


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_an_orchestrator_is_told_yes_or_no_and_only_the_chief_more(path: str) -> None:
    health = Pulse()
    async with serving(viewers=VIEWERS, health=health) as client:
        async with client.get(path) as response:
            assert await response.json() == {"ok": True}
        async with client.get(path, headers=GUARD) as response:
            assert await response.json() == {"ok": True}
        async with client.get(path, headers=CHIEF) as response:
            assert len(await response.json()) > 1
        health.good = False
        async with client.get(path) as response:
            assert (response.status, await response.json()) == (503, {"ok": False})


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Basic " + base64.b64encode(b"guard").decode(),
        "Basic " + base64.b64encode(b"guard:").decode(),
        "Basic " + base64.b64encode(b"nobody:chief-password").decode(),
        "Basic " + base64.b64encode(b"twin:twins-token-of-16").decode(),
        "Basic " + base64.b64encode(b":").decode(),
        "Bearer",
        "Bearer chief-token-of-1",
        "Bearer chief-token-of-16x",
        "Bearer chief-password",
        "Digest username=chief",
        "chief-token-of-16",
    ],
)
async def test_credentials_that_are_none_are_refused(value: str) -> None:
    async with (
        serving(viewers=VIEWERS) as client,
        client.get("/api/cameras", headers={"Authorization": value}) as response,
    ):
        assert response.status == 401
        assert response.content_type == "application/problem+json"


async def challenges(client: Client, path: str, headers: dict[str, str], method: str = "GET") -> list[str]:
    async with client.request(method, path, headers=headers) as response:
        assert response.status == 401
        return [value.partition(" ")[0] for value in response.headers.getall("WWW-Authenticate")]


async def test_a_browser_is_asked_for_a_password_where_a_person_waits_for_the_answer() -> None:
    wrong = basic("guard", "old-password")
    foreign = {"Origin": "https://wall.example"}
    async with serving(viewers=VIEWERS, settings=Http(allowed_origins=("https://wall.example",))) as client:
        own = {"Origin": str(client.make_url("/")).rstrip("/")}
        both, token = ["Basic", "Bearer"], ["Bearer"]
        assert await challenges(client, "/", {}) == both
        assert await challenges(client, "/", wrong) == both
        assert await challenges(client, "/cameras/lobby", {**wrong, "Sec-Fetch-Mode": "navigate"}) == both
        assert await challenges(client, "/api/cameras", {"Sec-Fetch-Mode": "cors"}) == both
        assert await challenges(client, "/api/cameras", wrong) == token
        assert await challenges(client, "/cameras/lobby/snapshot.jpg", {**wrong, "Sec-Fetch-Mode": "no-cors"}) == token
        assert await challenges(client, "/whep/lobby", {**OFFER, **own}, "POST") == both
        assert await challenges(client, "/whep/lobby", {**OFFER, **own, **wrong}, "POST") == token
        assert await challenges(client, "/whep/lobby", {**OFFER, **foreign}, "POST") == token
        assert await challenges(client, "/api/cameras", foreign) == token


async def test_a_wrong_token_is_told_as_such() -> None:
    async with (
        serving(viewers=VIEWERS) as client,
        client.get("/metrics", headers={"Authorization": "Bearer wrong-token-of-16"}) as response,
    ):
        assert response.headers.getall("WWW-Authenticate")[-1] == 'Bearer realm="faceanond", error="invalid_token"'


async def test_a_session_belongs_to_the_viewer_who_made_it() -> None:
    patch = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}
    async with serving(viewers=VIEWERS) as client:
        async with client.post("/whep/lobby", data="v=0", headers={**OFFER, **GUARD}) as response:
            assert response.status == 201
            session = response.headers["Location"]
        for other in (TWIN, CHIEF):
            async with client.patch(session, data="a=x", headers={**patch, **other}) as response:
                assert response.status == 404
            async with client.delete(session, headers=other) as response:
                assert response.status == 404
        async with client.patch(session, data="a=x", headers={**patch, **GUARD}) as response:
            assert response.status == 204
        async with client.delete(session, headers=GUARD) as response:
            assert response.status == 200
        async with client.delete(session, headers=TWIN) as response:
            assert response.status == 404, "nor is anybody else told that it was there"


async def test_a_preflight_asks_before_anybody_logs_in() -> None:
    question = {"Origin": "https://wall.example", "Access-Control-Request-Method": "POST"}
    async with serving(viewers=VIEWERS, settings=Http(allowed_origins=("https://wall.example",))) as client:
        for path in ("/whep/lobby", "/whep/attic", "/api/cameras", "/whep/lobby/x"):
            async with client.options(path, headers=question) as response:
                assert response.status == 200
                assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        async with client.options("/whep/lobby") as response:
            assert response.status == 401, "this is not a browser's question"


async def test_after_many_wrong_logins_an_address_waits_but_not_who_was_right_before(clock: FakeClock) -> None:
    async with serving(viewers=VIEWERS, clock=clock) as client:
        async with client.get("/api/cameras", headers=GUARD) as response:
            assert response.status == 200
        for number in range(BURST):
            async with client.get("/api/cameras", headers=basic("guard", f"guess {number}")) as response:
                assert response.status == 401
        async with client.get("/api/cameras", headers=CHIEF) as response:
            assert response.status == 429
            wait = int(response.headers["Retry-After"])
        for headers, status in ((GUARD, 200), ({}, 401)):
            async with client.get("/api/cameras", headers=headers) as response:
                assert response.status == status
        await clock.advance(wait)
        async with client.get("/api/cameras", headers=CHIEF) as response:
            assert response.status == 200


async def test_the_offers_of_one_viewer_leave_those_of_another_at_the_same_address(clock: FakeClock) -> None:
    offer = {"Content-Type": "application/sdp"}
    async with serving(viewers=VIEWERS, clock=clock) as client:
        statuses = []
        for _ in range(limit.BURST + 1):
            async with client.post("/whep/lobby", data="v=0", headers=GUARD | offer) as response:
                statuses.append(response.status)
        assert statuses[-2:] == [201, 429]
        async with client.post("/whep/lobby", data="v=0", headers=CHIEF | offer) as response:
            assert response.status == 201


async def test_the_same_wrong_login_again_and_again_locks_nobody_out(clock: FakeClock) -> None:
    async with serving(viewers=VIEWERS, clock=clock) as client:
        for _ in range(3 * BURST):
            async with client.get("/api/cameras", headers=basic("guard", "the old password")) as response:
                assert response.status == 401
        async with client.get("/api/cameras", headers=CHIEF) as response:
            assert response.status == 200


async def test_a_wrong_login_is_counted_and_told_without_what_was_typed(
    clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = FailedLogins(clock)
    async with serving(viewers=VIEWERS, clock=clock, failures=failures) as client:
        for headers in (basic("guard", "s3cret-guess"), basic("typed-in-the-wrong-field", "x")):
            async with client.get("/", headers=headers) as response:
                assert response.status == 401
            await clock.advance(1.0)
    assert failures.counts["http"] == 2
    told = capsys.readouterr().out
    assert "login failed" in told
    assert "guard" in told
    assert "s3cret-guess" not in told
    assert "typed-in-the-wrong-field" not in told


async def test_no_viewer_makes_the_server_forget_that_another_was_right(clock: FakeClock) -> None:
    """However it spells its own login: the header has many forms that say the same."""
    async with serving(viewers=VIEWERS, clock=clock) as client:
        async with client.get("/api/cameras", headers=GUARD) as response:
            assert response.status == 200
        scheme, login = CHIEF["Authorization"].split(" ")
        for blanks in range(1, remembered.MOST_RIGHT + 10):
            spelled = {"Authorization": f"{scheme.upper() if blanks % 2 else scheme}{' ' * blanks}{login}"}
            async with client.get("/healthz", headers=spelled) as response:
                assert response.status == 200
        for number in range(BURST):
            async with client.get("/api/cameras", headers=basic("guard", f"guess {number}")) as response:
                assert response.status == 401
        async with client.get("/api/cameras", headers=GUARD) as response:
            assert response.status == 200


async def test_without_viewers_nothing_is_asked() -> None:
    async with serving(Camera("lobby")) as client:
        for path in ("/", "/cameras/lobby", "/metrics", "/api/version"):
            async with client.get(path, headers={"Authorization": "Basic nonsense"}) as response:
                assert response.status == 200
