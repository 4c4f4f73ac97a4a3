from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

import pytest
from pydantic import SecretStr

from faceanond.access import ANYBODY, OPEN, Access, Viewer
from faceanond.clock import Clock
from faceanond.config import model
from faceanond.logins import BURST, FailedLogins
from faceanond.publish.rtsp.digest import NONCE_LIFE, REALM, Digest
from faceanond.publish.rtsp.login import PENALTY, Login
from faceanond.publish.rtsp.messages import Request, RtspError
from tests.conftest import FakeClock

URL = "rtsp://host/yard"
ACCESS = Access(
    {
        "guard": model.Viewer(password=SecretStr("secret-1")),
        "porter": model.Viewer(password=SecretStr("secret-2"), cameras=("gate",)),
        "script": model.Viewer(token=SecretStr("0123456789abcdef")),
    }
)


@pytest.fixture
def failures(clock: FakeClock) -> FailedLogins:
    return FailedLogins(clock)


def login(clock: Clock, failures: FailedLogins, *, secure: bool = False, access: Access = ACCESS) -> Login:
    return Login(access, failures, peer="192.0.2.1", secure=secure, clock=clock)


async def refusal(attempt: Login, header: str = "", clock: FakeClock | None = None) -> RtspError:
    """What the attempt is answered; simulated time passes when a clock is given."""
    request = Request("DESCRIBE", URL, {"authorization": header} if header else {})
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_caught(attempt, request), name="demand")
        if clock is not None:
            await clock.advance(PENALTY)
    return task.result()


async def _caught(attempt: Login, request: Request) -> RtspError:
    with pytest.raises(RtspError) as caught:
        await attempt.demand(request)
    return caught.value


def nonce_of(error: RtspError) -> str:
    assert error.status == 401
    challenges = error.headers["WWW-Authenticate"]
    return challenges[-1].split('nonce="')[1].split('"')[0]


def proof(nonce: str, name: str = "guard", password: str = "secret-1", method: str = "DESCRIBE") -> str:
    given = Digest(name, REALM, nonce, URL, "", "SHA-256", "auth", "00000001", "xyz")
    given = replace(given, response=given.expected(password, method))
    return (
        f'Digest username="{name}", realm="{REALM}", nonce="{nonce}", uri="{URL}", response="{given.response}", '
        'algorithm=SHA-256, qop=auth, nc=00000001, cnonce="xyz"'
    )


def asking(header: str, method: str = "DESCRIBE") -> Request:
    return Request(method, URL, {"authorization": header})


async def test_where_no_viewers_are_configured_anybody_watches(clock: FakeClock, failures: FailedLogins) -> None:
    attempt = login(clock, failures, access=OPEN)
    assert attempt.viewer == ANYBODY
    assert await attempt.demand(Request("DESCRIBE", URL)) == ANYBODY


async def test_the_first_answer_says_what_to_prove_and_is_no_failure(clock: FakeClock, failures: FailedLogins) -> None:
    attempt = login(clock, failures)
    error = await refusal(attempt)
    assert [one.split()[0] for one in error.headers["WWW-Authenticate"]] == ["Digest", "Digest"]
    assert failures.counts["rtsp"] == 0
    assert attempt.viewer is None


async def test_the_right_answer_is_the_viewer(clock: FakeClock, failures: FailedLogins) -> None:
    attempt = login(clock, failures)
    viewer = await attempt.demand(asking(proof(nonce_of(await refusal(attempt)))))
    assert viewer == Viewer("guard", ("*",)) == attempt.viewer


@pytest.mark.parametrize(
    ("name", "password"),
    [("guard", "secret-2"), ("nobody", "secret-1"), ("nobody", ""), ("script", "0123456789abcdef"), ("guard", "")],
)
async def test_a_wrong_answer_takes_a_second_and_counts(
    clock: FakeClock, failures: FailedLogins, name: str, password: str
) -> None:
    attempt = login(clock, failures)
    header = proof(nonce_of(await refusal(attempt)), name, password)
    began = clock.monotonic()
    assert (await refusal(attempt, header, clock)).status == 401
    assert clock.monotonic() - began == PENALTY
    assert failures.counts["rtsp"] == 1
    assert attempt.viewer is None


async def test_an_answer_for_another_method_is_wrong(clock: FakeClock, failures: FailedLogins) -> None:
    attempt = login(clock, failures)
    assert (await refusal(attempt, proof(nonce_of(await refusal(attempt)), method="PLAY"), clock)).status == 401


async def test_what_was_overheard_on_another_connection_is_worth_nothing(
    clock: FakeClock, failures: FailedLogins
) -> None:
    first, second = login(clock, failures), login(clock, failures)
    overheard = proof(nonce_of(await refusal(first)))
    await first.demand(asking(overheard))
    error = await refusal(second, overheard)
    assert all("stale=true" in one for one in error.headers["WWW-Authenticate"])
    assert second.viewer is None
    assert failures.counts["rtsp"] == 0
    await second.demand(asking(proof(nonce_of(error))))


async def test_a_nonce_expires_and_the_player_is_told_that_only_the_nonce_was_wrong(
    clock: FakeClock, failures: FailedLogins
) -> None:
    attempt = login(clock, failures)
    header = proof(nonce_of(await refusal(attempt)))
    clock.move(NONCE_LIFE)
    error = await refusal(attempt, header)
    assert "stale=true" in error.headers["WWW-Authenticate"][-1]
    assert (await attempt.demand(asking(proof(nonce_of(error))))).name == "guard"


async def test_a_wrong_answer_with_an_old_nonce_is_not_called_stale(clock: FakeClock, failures: FailedLogins) -> None:
    error = await refusal(login(clock, failures), proof("old", password="secret-9"), clock)
    assert "stale" not in error.headers["WWW-Authenticate"][-1]
    assert failures.counts["rtsp"] == 1


async def test_a_connection_stays_with_the_viewer_who_logged_in_first(clock: FakeClock, failures: FailedLogins) -> None:
    attempt = login(clock, failures)
    nonce = nonce_of(await refusal(attempt))
    await attempt.demand(asking(proof(nonce)))
    assert (await refusal(attempt, proof(nonce, "porter", "secret-2"))).status == 403
    assert attempt.viewer is not None
    assert attempt.viewer.name == "guard"
    await attempt.demand(asking(proof(nonce)))


async def test_passwords_are_taken_as_they_are_inside_tls_only(clock: FakeClock, failures: FailedLogins) -> None:
    header = "Basic " + base64.b64encode(b"guard:secret-1").decode()
    plain, secure = login(clock, failures), login(clock, failures, secure=True)
    assert (await refusal(plain, header, clock)).status == 401
    assert not any("Basic" in one for one in (await refusal(plain)).headers["WWW-Authenticate"])
    assert any("Basic" in one for one in (await refusal(secure)).headers["WWW-Authenticate"])
    assert (await secure.demand(asking(header))).name == "guard"
    wrong = "Basic " + base64.b64encode(b"guard:secret-2").decode()
    assert (await refusal(login(clock, failures, secure=True), wrong, clock)).status == 401


async def test_after_many_wrong_answers_even_the_right_one_has_to_wait(
    clock: FakeClock, failures: FailedLogins
) -> None:
    attempt = login(clock, failures)
    right = proof(nonce_of(await refusal(attempt)))
    for _ in range(BURST):
        failures.note("rtsp", "192.0.2.1")
    error = await refusal(attempt, right)
    assert (error.status, error.headers["Retry-After"]) == (503, "5")
    clock.move(5.0)
    await attempt.demand(asking(right))


async def test_a_malformed_answer_is_400(clock: FakeClock, failures: FailedLogins) -> None:
    assert (await refusal(login(clock, failures), "Digest nonsense")).status == 400


async def test_another_scheme_is_answered_with_what_would_do(clock: FakeClock, failures: FailedLogins) -> None:
    assert (await refusal(login(clock, failures), "Bearer 0123456789abcdef")).status == 401
